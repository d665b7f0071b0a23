//! What a waker does.
//!
//! A wake from the scheduler's own thread is a push to its run queue. A wake from any other
//! thread leaves a notice in the inbox, and interrupts the scheduler only if it sleeps.

use crate::scheduler;
use crate::table::Key;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

// ANCHOR: handle
/// What the wakers of one task point at.
pub(crate) struct Handle {
    key: Key,
    inbox: Arc<Inbox>,
    /// Whether a notice for this task is under way: one is enough.
    notified: AtomicBool,
}

impl Wake for Handle {
    fn wake(self: Arc<Self>) {
        if !scheduler::wake_from_here(&self.inbox, self.key) && self.newly_notified() {
            self.inbox.clone().send(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !scheduler::wake_from_here(&self.inbox, self.key) && self.newly_notified() {
            self.inbox.send(self.clone());
        }
    }
}
// ANCHOR_END: handle

impl Handle {
    pub(crate) fn new(key: Key, inbox: Arc<Inbox>) -> Handle {
        Handle {
            key,
            inbox,
            notified: AtomicBool::new(false),
        }
    }

    pub(crate) fn set_key(&mut self, key: Key) {
        self.key = key;
        *self.notified.get_mut() = false;
    }

    fn newly_notified(&self) -> bool {
        !self.notified.swap(true, Ordering::AcqRel)
    }

    /// Which task a notice is for; the next wake sends a new one. A swap and not a store: it makes everything visible that was written
    /// before a wake that found `notified` set and therefore sent nothing.
    pub(crate) fn acknowledge(&self) -> Key {
        self.notified.swap(false, Ordering::AcqRel);
        self.key
    }
}

// ANCHOR: inbox
/// Where other threads leave their wakes.
pub(crate) struct Inbox {
    state: Mutex<State>,
    interrupt: Box<dyn Fn() + Send + Sync>,
}

struct State {
    notices: Vec<Arc<Handle>>,
    sleeping: bool,
    closed: bool,
}

// ANCHOR_END: inbox

impl Inbox {
    /// `interrupt` ends the sleep of the inbox's owner; it may come before the sleep begins.
    pub(crate) fn new(interrupt: impl Fn() + Send + Sync + 'static) -> Inbox {
        let state = Mutex::new(State {
            notices: Vec::new(),
            sleeping: false,
            closed: false,
        });
        Inbox {
            state,
            interrupt: Box::new(interrupt),
        }
    }

    // ANCHOR: send
    fn send(&self, notice: Arc<Handle>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.notices.push(notice);
        // The first notice to a sleeper wakes it; the others need not.
        let asleep = std::mem::take(&mut state.sleeping);
        drop(state);
        if asleep {
            (self.interrupt)();
        }
    }

    /// Says that the owner is about to sleep. False if it must not: a notice is there.
    pub(crate) fn fall_asleep(&self) -> bool {
        let mut state = self.lock();
        // Looked at and noted under one lock: a notice comes either before, and is seen here, or
        // after, and finds `sleeping` set.
        state.sleeping = state.notices.is_empty();
        state.sleeping
    }
    // ANCHOR_END: send

    /// Takes all notices; the owner is awake.
    pub(crate) fn collect(&self) -> Vec<Arc<Handle>> {
        let mut state = self.lock();
        state.sleeping = false;
        std::mem::take(&mut state.notices)
    }

    /// Takes no more notices: the run is over. Kept, they would hold this inbox as it holds them.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        drop(self.collect());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way, so a poisoned state is still a good one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
