//! Fairness: how much one task may do in one turn.

use crate::scheduler::Scheduler;
use std::cell::Cell;
use std::task::{Context, Poll};

// ANCHOR: budget
/// So many operations that need not wait in one poll; then the others have their turn. Large
/// enough that switching tasks costs next to nothing beside them.
const OPERATIONS_PER_POLL: u32 = 128;

/// What is left of the turn of the task being polled.
pub(crate) struct Budget(Cell<u32>);

impl Budget {
    pub(crate) fn new() -> Budget {
        Budget(Cell::new(OPERATIONS_PER_POLL))
    }

    /// A new turn begins.
    pub(crate) fn refill(&self) {
        self.0.set(OPERATIONS_PER_POLL);
    }

    /// False if nothing is left.
    fn spend(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

/// Whether the task being polled has anything left of its turn.
pub(crate) fn is_left() -> bool {
    Scheduler::with_current(|scheduler| scheduler.budget.0.get() > 0) == Some(true)
}

/// Calls `poll` with one operation left, and then none.
pub(crate) fn with_one<R>(poll: impl FnOnce() -> R) -> R {
    let set = |left| Scheduler::with_current(|scheduler| scheduler.budget.0.set(left));
    set(1);
    let polled = poll();
    set(0);
    polled
}

/// Operations on sockets and promises begin with this: pending if the task has had its share. The
/// task stays ready, and goes on when all that are ready now have had their turn.
pub(crate) fn poll_spend(cx: &mut Context<'_>) -> Poll<()> {
    let may_go_on = Scheduler::with_current(|scheduler| {
        let may_go_on = scheduler.budget.spend();
        if !may_go_on {
            scheduler.wait_for("its next turn", None);
        }
        may_go_on
    });
    if may_go_on == Some(false) {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(())
}
// ANCHOR_END: budget
