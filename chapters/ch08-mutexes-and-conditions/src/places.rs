//! How many clients are served at once, on all domains together.

use crate::{Condition, Cx, Mutex, Owned, Result};
use std::sync::Arc;
use std::time::Duration;

// ANCHOR: places
/// Places for clients.
#[derive(Debug)]
pub struct Places {
    free: Mutex<usize>,
    changed: Condition,
}

/// A place that is taken.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Places {
    /// So many.
    pub fn new(count: usize) -> Arc<Places> {
        Arc::new(Places {
            free: Mutex::new(count),
            changed: Condition::new(),
        })
    }

    // ANCHOR: take
    /// Waits for a place. The task of `cx` then owns it, and gives it back at its end.
    ///
    /// Dropped before it is ready, it has taken none.
    pub async fn take<'c>(self: &Arc<Self>, cx: &'c Cx) -> Owned<'c, Place> {
        let free = self.free.lock().await;
        let mut free = self.changed.wait_while(free, |free| *free == 0).await;
        *free -= 1;
        drop(free);
        // The lock is fair: the finaliser gets its turn.
        cx.own_async("a place", Place(self.clone()), Duration::MAX, Place::leave)
    }
    // ANCHOR_END: take
}

// ANCHOR: leave
impl Place {
    async fn leave(self) -> Result<()> {
        *self.0.free.lock().await += 1;
        self.0.changed.signal();
        Ok(())
    }
}
// ANCHOR_END: leave
// ANCHOR_END: places
