//! Something that happens once, and wakes whoever waits for it, on whichever domain.
//!
//! After the triggers of Picos (<https://github.com/ocaml-multicore/picos>): whether a waiter is resumed or gives up is
//! decided in one place, once, so each of the two can know of the other.

use crate::budget;
use crate::scheduler::{Scheduler, drop_quietly};
use crate::sync::{Mutex, MutexGuard};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

// ANCHOR: trigger
/// Something that happens once. Await it to wait until then; it stays ready from then on.
///
/// Clones are the same one: give them to other tasks, other domains and other threads. Any of them can be awaited, by as many tasks
/// as like; all are resumed. Dropped before it is ready, it waits no more.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{Runtime, Trigger};
///
/// Runtime::builder().domains(1).build().run(async |cx| {
///     let started = Trigger::new();
///     let child = {
///         let started = started.clone();
///         cx.call(async move |_| Ok(started.signal()))?
///     };
///     started.await; // what happens on another domain
///     assert!(child.await?);
///     Ok(())
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
// ANCHOR: fields
pub struct Trigger {
    shared: Arc<Mutex<State>>,
    /// Where this one waits.
    place: Option<u64>,
    what: &'static str,
}

struct State {
    signalled: bool,
    next_place: u64,
    /// The oldest first.
    waiting: BTreeMap<u64, Waker>,
}
// ANCHOR_END: fields
// ANCHOR_END: trigger

impl Trigger {
    /// One that has not happened yet.
    pub fn new() -> Trigger {
        Trigger::named("a trigger")
    }

    /// `what` says what its tasks wait for.
    pub(crate) fn named(what: &'static str) -> Trigger {
        let state = State {
            signalled: false,
            next_place: 0,
            waiting: BTreeMap::new(),
        };
        Trigger {
            shared: Arc::new(Mutex::new(state)),
            place: None,
            what,
        }
    }

    // ANCHOR: signal
    /// Resumes all who wait, in the order in which they began to. Returns whether this was the
    /// one call that did it: false if it had happened before.
    pub fn signal(&self) -> bool {
        let mut state = self.lock();
        if std::mem::replace(&mut state.signalled, true) {
            return false;
        }
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for waker in waiting.into_values() {
            // Anybody's code: if it panics, the others must be resumed all the same.
            drop_quietly(catch_unwind(AssertUnwindSafe(|| waker.wake())));
        }
        true
    }
    // ANCHOR_END: signal

    /// Whether it has happened.
    pub fn is_signalled(&self) -> bool {
        self.lock().signalled
    }

    /// As [`signal`](Trigger::signal), by the one who waits here: it does not resume itself.
    fn give_up(&mut self) -> bool {
        self.leave();
        self.signal()
    }

    fn leave(&mut self) {
        if let Some(place) = self.place.take() {
            let waker = self.lock().waiting.remove(&place);
            // It may be anybody's, and a panic here would keep who gives up from saying so.
            drop_quietly(waker);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way, so a poisoned state is still a good one.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// ANCHOR: poll
impl Future for Trigger {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // To clone a waker may run anybody's code: not under the lock.
        let waker = cx.waker().clone();
        let mut state = this.lock();
        if state.signalled {
            drop(state);
            return budget::poll_spend(cx);
        }
        let place = this.place.unwrap_or(state.next_place);
        state.next_place = state.next_place.max(place + 1);
        let former = state.waiting.insert(place, waker);
        drop(state);
        this.place = Some(place);
        drop_quietly(former);
        Scheduler::with_current(|scheduler| scheduler.wait_for(this.what, None));
        Poll::Pending
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        self.leave();
    }
}
// ANCHOR_END: poll

impl Clone for Trigger {
    fn clone(&self) -> Trigger {
        Trigger {
            shared: self.shared.clone(),
            place: None,
            what: self.what,
        }
    }
}

impl Default for Trigger {
    fn default() -> Trigger {
        Trigger::new()
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trigger")
            .field("signalled", &self.is_signalled())
            .finish_non_exhaustive()
    }
}

// ANCHOR: queue
/// Those who wait to be resumed one by one, the one who has waited longest first.
pub(crate) struct Queue(Mutex<Waiting>);

struct Waiting {
    triggers: VecDeque<Trigger>,
    /// About how many of them have given up.
    abandoned: usize,
}

/// So many places a queue keeps for those to come.
const SPARE: usize = 16;

impl Waiting {
    /// Gives back the memory of those who are gone.
    fn make_room(&mut self) {
        self.triggers.shrink_to(SPARE.max(2 * self.triggers.len()));
    }
}

impl Queue {
    pub(crate) const fn new() -> Queue {
        Queue(Mutex::new(Waiting {
            triggers: VecDeque::new(),
            abandoned: 0,
        }))
    }

    // ANCHOR: join
    /// Queues up, unless `found` says that there is no need any more.
    pub(crate) fn join(
        &self,
        what: &'static str,
        found: impl FnOnce() -> bool,
    ) -> Option<Ticket<'_>> {
        let mut waiting = self.lock();
        if found() {
            return None;
        }
        let trigger = Trigger::named(what);
        waiting.triggers.push_back(trigger.clone());
        Some(Ticket {
            queue: self,
            trigger,
        })
    }
    // ANCHOR_END: join

    // ANCHOR: resume_one
    /// Resumes the one who has waited longest; if nobody waits, calls `nobody`.
    pub(crate) fn resume_one(&self, nobody: impl FnOnce()) {
        loop {
            let mut waiting = self.lock();
            let Some(trigger) = waiting.triggers.pop_front() else {
                waiting.make_room();
                return nobody();
            };
            drop(waiting);
            // Whoever has given up is passed over.
            if trigger.signal() {
                return;
            }
            let mut waiting = self.lock();
            waiting.abandoned = waiting.abandoned.saturating_sub(1);
        }
    }
    // ANCHOR_END: resume_one

    /// Resumes all who wait now.
    pub(crate) fn resume_all(&self) {
        let mut waiting = self.lock();
        waiting.abandoned = 0;
        let triggers = std::mem::take(&mut waiting.triggers);
        drop(waiting);
        for trigger in triggers {
            trigger.signal();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
// ANCHOR_END: queue

// ANCHOR: ticket
/// A place in a [`Queue`]. Await it to be resumed.
pub(crate) struct Ticket<'q> {
    queue: &'q Queue,
    trigger: Trigger,
}

impl Ticket<'_> {
    pub(crate) async fn wait(&mut self) {
        (&mut self.trigger).await;
    }

    // ANCHOR: give_up
    /// Waits no more. Returns whether that came too late: it was resumed already, and what it was
    /// resumed for is now the caller's to pass on.
    pub(crate) fn give_up(&mut self) -> bool {
        if !self.trigger.give_up() {
            return true;
        }
        let mut waiting = self.queue.lock();
        waiting.abandoned += 1;
        // Each sweep is paid for by those who gave up since the last one.
        if 2 * waiting.abandoned > waiting.triggers.len() {
            waiting.abandoned = 0;
            waiting.triggers.retain(|trigger| !trigger.is_signalled());
            waiting.make_room();
        }
        false
    }
    // ANCHOR_END: give_up
}
// ANCHOR_END: ticket
