//! Where the other domains, and threads that are none, leave what they have for a domain.

use crate::sync::Ordering::{AcqRel, Acquire};
use crate::sync::{AtomicUsize, Mutex, MutexGuard};
use std::sync::{Arc, PoisonError};

// ANCHOR: inbox
/// Messages to one domain, in the order in which they came.
pub(crate) struct Inbox<M> {
    state: Mutex<State<M>>,
    interrupt: Box<dyn Fn() + Send + Sync>,
    /// How many owners of the run's inboxes are awake, or sleep and hope.
    hopeful: Arc<AtomicUsize>,
}

struct State<M> {
    messages: Vec<M>,
    sleeping: bool,
    /// Whether it sleeps, and only a message from another owner could wake it.
    hopeless: bool,
    closed: bool,
}
// ANCHOR_END: inbox

/// How an owner is going to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// Not at all: a message is there.
    Never,
    /// Until something comes.
    Soundly,
    /// All the others sleep as well, without a hope: nothing will ever come.
    Forever,
}

impl<M> Inbox<M> {
    /// `interrupt` ends the sleep of the inbox's owner; it may come before the sleep begins.
    /// `hopeful` is shared with the other inboxes, and counts its owner already.
    pub(crate) fn new(
        interrupt: impl Fn() + Send + Sync + 'static,
        hopeful: Arc<AtomicUsize>,
    ) -> Inbox<M> {
        let state = Mutex::new(State {
            messages: Vec::new(),
            sleeping: false,
            hopeless: false,
            closed: false,
        });
        Inbox {
            state,
            interrupt: Box::new(interrupt),
            hopeful,
        }
    }

    // ANCHOR: send
    /// Leaves a message. It comes back if the owner has closed the inbox and will not read it.
    pub(crate) fn send(&self, message: M) -> Result<(), M> {
        let mut state = self.lock();
        if state.closed {
            return Err(message);
        }
        state.messages.push(message);
        // The first message to a sleeper wakes it; the others need not.
        let asleep = self.wake(&mut state);
        drop(state);
        if asleep {
            (self.interrupt)();
        }
        Ok(())
    }
    // ANCHOR_END: send

    // ANCHOR: asleep
    /// Says that the owner is about to sleep, and whether it hopes for anything but a message from another owner.
    pub(crate) fn fall_asleep(&self, hope: bool) -> Sleep {
        let mut state = self.lock();
        // Looked at and noted under one lock: a message comes either before, and is seen here, or
        // after, and finds `sleeping` set.
        if !state.messages.is_empty() {
            return Sleep::Never;
        }
        state.sleeping = true;
        // The last one stays counted, and so is the only one to know. Who sends counts the receiver before
        // it can go to sleep itself: none is the last while a message is under way.
        let but_one = |hopeful: usize| (hopeful > 1).then(|| hopeful - 1);
        let counted = hope || self.hopeful.fetch_update(AcqRel, Acquire, but_one).is_err();
        state.hopeless = !counted;
        match counted && !hope {
            true => Sleep::Forever,
            false => Sleep::Soundly,
        }
    }
    // ANCHOR_END: asleep

    /// The owner is awake from now on. Returns whether it slept.
    fn wake(&self, state: &mut State<M>) -> bool {
        if std::mem::take(&mut state.hopeless) {
            self.hopeful.fetch_add(1, AcqRel);
        }
        std::mem::take(&mut state.sleeping)
    }

    /// Takes all messages; the owner is awake.
    pub(crate) fn collect(&self) -> Vec<M> {
        let mut state = self.lock();
        self.wake(&mut state);
        std::mem::take(&mut state.messages)
    }

    /// Takes no more messages. Those that are there are for the caller to drop: kept, they could hold this
    /// inbox as it holds them.
    #[must_use]
    pub(crate) fn close(&self) -> Vec<M> {
        self.lock().closed = true;
        self.collect()
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        // Nothing under the lock can panic half-way, so a poisoned state is still a good one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
