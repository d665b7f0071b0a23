//! What a waker does.
//!
//! A wake from the scheduler's own thread is a push to its run queue. A wake from any other
//! thread leaves a notice in the inbox, and interrupts the scheduler only if it sleeps.

use crate::domain::Message;
use crate::inbox::Inbox;
use crate::scheduler;
use crate::sync::{AtomicBool, Ordering};
use crate::table::Key;
use std::sync::Arc;
use std::task::Wake;

// ANCHOR: handle
/// What the wakers of one task point at.
pub(crate) struct Handle {
    key: Key,
    inbox: Arc<Inbox<Message>>,
    /// Whether a notice for this task is under way: one is enough.
    notified: AtomicBool,
}

impl Wake for Handle {
    fn wake(self: Arc<Self>) {
        if !scheduler::wake_from_here(&self.inbox, self.key) && self.newly_notified() {
            // In a closed inbox nobody waits for anything.
            let _ = self.inbox.clone().send(Message::Wake(self));
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !scheduler::wake_from_here(&self.inbox, self.key) && self.newly_notified() {
            let _ = self.inbox.send(Message::Wake(self.clone()));
        }
    }
}
// ANCHOR_END: handle

impl Handle {
    pub(crate) fn new(key: Key, inbox: Arc<Inbox<Message>>) -> Handle {
        Handle {
            key,
            inbox,
            notified: AtomicBool::new(false),
        }
    }

    /// For another task in the same place, when no waker of the former one is left.
    pub(crate) fn reset(&mut self, key: Key) {
        self.key = key;
        self.notified = AtomicBool::new(false);
    }

    // ANCHOR: notified
    fn newly_notified(&self) -> bool {
        !self.notified.swap(true, Ordering::AcqRel)
    }

    /// Which task a notice is for; the next wake sends a new one. A swap and not a store: it makes
    /// everything visible that was written before a wake that found `notified` set and therefore sent
    /// nothing.
    pub(crate) fn acknowledge(&self) -> Key {
        self.notified.swap(false, Ordering::AcqRel);
        self.key
    }
    // ANCHOR_END: notified
}
