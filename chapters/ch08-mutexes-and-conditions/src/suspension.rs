//! Suspension points: where a task waits for an event.

use crate::budget;
use crate::scheduler::Scheduler;
use crate::table::Waiter;
use std::fmt;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

// ANCHOR: id
/// Names a suspension, in [`Events`](crate::Events). Any thread may keep it; only the domain that made it can resume it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SuspensionId {
    /// No two domains have the same, be they of one run or of two.
    owner: u64,
    index: u32,
    generation: u32,
}
// ANCHOR_END: id

// ANCHOR: suspensions
/// All suspensions of one domain.
#[derive(Debug)]
pub(crate) struct Suspensions {
    owner: u64,
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    /// How many were not signalled yet.
    pending: usize,
    /// Those that were dropped before that.
    cancelled: Vec<SuspensionId>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    state: State,
}

enum State {
    Pending(Option<Waiter>),
    Signalled,
    /// Nobody has this place.
    Vacant,
}
// ANCHOR_END: suspensions

impl Suspensions {
    pub(crate) fn new() -> Suspensions {
        static OWNERS: AtomicU64 = AtomicU64::new(0);
        Suspensions {
            owner: OWNERS.fetch_add(1, Ordering::Relaxed),
            slots: Vec::new(),
            vacant: Vec::new(),
            pending: 0,
            cancelled: Vec::new(),
        }
    }

    /// Whether an event could come that somebody waits for.
    pub(crate) fn are_pending(&self) -> bool {
        self.pending > 0
    }

    pub(crate) fn is_pending(&self, id: SuspensionId) -> bool {
        let slot = self.slots.get(id.index as usize);
        slot.is_some_and(|slot| slot.is(self.owner, id) && matches!(slot.state, State::Pending(_)))
    }

    /// Puts those that were cancelled since the last time into `list`, which is empty.
    pub(crate) fn take_cancelled(&mut self, list: &mut Vec<SuspensionId>) {
        std::mem::swap(&mut self.cancelled, list);
    }

    fn open(&mut self) -> SuspensionId {
        self.pending += 1;
        let index = self.vacant.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.slots.len())
                .expect("memory ends long before four billion of them");
            let (generation, state) = (0, State::Vacant);
            self.slots.push(Slot { generation, state });
            index
        });
        let slot = &mut self.slots[index as usize];
        slot.state = State::Pending(None);
        SuspensionId {
            owner: self.owner,
            index,
            generation: slot.generation,
        }
    }

    fn close(&mut self, id: SuspensionId) -> Option<Waiter> {
        let slot = &mut self.slots[id.index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.vacant.push(id.index);
        match std::mem::replace(&mut slot.state, State::Vacant) {
            State::Pending(waiter) => {
                self.pending -= 1;
                self.cancelled.push(id);
                waiter
            }
            _ => None,
        }
    }

    // ANCHOR: signal
    /// Returns who waits for it.
    pub(crate) fn signal(&mut self, id: SuspensionId) -> Option<Waiter> {
        let owner = self.owner;
        let slot = self.slots.get_mut(id.index as usize)?;
        if !slot.is(owner, id) || !matches!(slot.state, State::Pending(_)) {
            return None;
        }
        self.pending -= 1;
        match std::mem::replace(&mut slot.state, State::Signalled) {
            State::Pending(waiter) => waiter,
            _ => None,
        }
    }
    // ANCHOR_END: signal

    /// Notes who waits. Returns who does no longer, for the caller to drop.
    fn set_waiter(&mut self, id: SuspensionId, waiter: Waiter) -> Option<Waiter> {
        match &mut self.slots[id.index as usize].state {
            State::Pending(place) => place.replace(waiter),
            _ => Some(waiter),
        }
    }

    fn is_signalled(&self, id: SuspensionId) -> bool {
        matches!(self.slots[id.index as usize].state, State::Signalled)
    }
}

impl Slot {
    fn is(&self, owner: u64, id: SuspensionId) -> bool {
        (owner, self.generation) == (id.owner, id.generation)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Pending(_) => "Pending",
            State::Signalled => "Signalled",
            State::Vacant => "Vacant",
        })
    }
}

// ANCHOR: suspension
/// A point at which a task waits until its domain's [`Events`](crate::Events) signal it. Made by
/// [`Cx::suspend`](crate::Cx::suspend).
///
/// It can be signalled before it is awaited, and is ready then. Dropped before it is signalled, it is cancelled: the next
/// [`select`](crate::Events::select) is told.
///
/// # Panics
///
/// When awaited outside of the run in which it was made.
pub struct Suspension {
    /// It may be forgotten, and must not keep what the run has.
    scheduler: Weak<Scheduler>,
    id: SuspensionId,
    what: &'static str,
}

impl Suspension {
    pub(crate) fn new(scheduler: &Rc<Scheduler>, what: &'static str) -> Suspension {
        let id = scheduler.suspensions.borrow_mut().open();
        Suspension {
            scheduler: Rc::downgrade(scheduler),
            id,
            what,
        }
    }

    /// What to give to the events, so that they can signal it.
    pub fn id(&self) -> SuspensionId {
        self.id
    }

    /// Polls it; `None` if this is not the run, or not the domain, in which it was made.
    pub(crate) fn poll_at_home(&self, cx: &mut Context<'_>) -> Option<Poll<()>> {
        let signalled = Scheduler::with_current(|scheduler| {
            let at_home = Rc::as_ptr(scheduler) == self.scheduler.as_ptr();
            at_home.then(|| {
                let signalled = scheduler.suspensions.borrow().is_signalled(self.id);
                if !signalled {
                    self.wake_when_signalled(scheduler, cx);
                }
                signalled
            })
        });
        match signalled.flatten()? {
            true => Some(budget::poll_spend(cx)),
            false => Some(Poll::Pending),
        }
    }

    /// Has the task woken that polls with `cx` when it is signalled. `scheduler` is the one that has made it.
    pub(crate) fn wake_when_signalled(&self, scheduler: &Scheduler, cx: &Context<'_>) {
        scheduler.wait_for(self.what, None);
        let waiter = scheduler.waiter(cx.waker());
        let mut suspensions = scheduler.suspensions.borrow_mut();
        let former = suspensions.set_waiter(self.id, waiter);
        drop(suspensions);
        drop(former);
    }
}

impl Future for Suspension {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_at_home(cx)
            .expect("a suspension was awaited outside of its run")
    }
}

impl Drop for Suspension {
    fn drop(&mut self) {
        let Some(scheduler) = self.scheduler.upgrade() else {
            return;
        };
        let waiter = scheduler.suspensions.borrow_mut().close(self.id);
        drop(waiter);
    }
}
// ANCHOR_END: suspension

impl fmt::Debug for Suspension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suspension")
            .field("id", &self.id)
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}
