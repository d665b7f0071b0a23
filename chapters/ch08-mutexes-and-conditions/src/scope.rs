//! A task boundary without a task.

use crate::cx::Cx;
use crate::failure::{Failure, Result};
use crate::scheduler::drop_quietly;
use crate::table::{Kind, Progress};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::pin;
use std::task::Poll;

// ANCHOR: scope
// ANCHOR: enter
pub(crate) async fn scope<T>(
    outer: &Cx,
    f: impl AsyncFnOnce(&Cx) -> Result<T>,
    at: &'static Location<'static>,
) -> Result<T> {
    let boundary = Boundary::open(outer, at);
    // Pinned here, as what an async function is given takes its room twice.
    let result = without_panics(pin!(f(&boundary.0))).await;
    boundary.close(result).await
}
// ANCHOR_END: enter

/// The place in the tree. Dropped, it cancels what is below it: the scope was left half-way.
struct Boundary(Cx);

impl Boundary {
    fn open(outer: &Cx, at: &'static Location<'static>) -> Boundary {
        let scheduler = outer.scheduler.clone();
        let (key, id) = scheduler.reserve(outer, outer.key, Kind::Scope, at);
        Boundary(Cx::new(scheduler, key, outer.task, id))
    }

    /// The scope's code has ended with `result`. Waits until its children have, too.
    async fn close<T>(self, result: Result<T>) -> Result<T> {
        let Cx { scheduler, key, .. } = &self.0;
        let (value, outcome) = match result {
            Ok(value) => (Some(value), Ok(Box::new(()) as _)),
            Err(failure) => (None, Err(failure)),
        };
        scheduler.ended(*key, outcome, true);
        let outcome = poll_fn(|cx| match scheduler.progress(*key) {
            Progress::Over(outcome) => Poll::Ready(outcome),
            Progress::Alive(_) => {
                scheduler.wait_for("the children of a scope", None);
                scheduler.set_waiter(*key, cx.waker());
                Poll::Pending
            }
            // It was cancelled with its task, which is not polled again.
            Progress::Gone => Poll::Pending,
        });
        outcome.await?;
        value.ok_or_else(Failure::cancelled)
    }
}

// ANCHOR: left
impl Drop for Boundary {
    fn drop(&mut self) {
        self.0.scheduler.cancel(self.0.key);
    }
}
// ANCHOR_END: left
// ANCHOR_END: scope

// ANCHOR: without_panics
/// The result of `future`; if it panics, that is its failure.
pub(crate) async fn without_panics<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        // Nothing half-changed is seen afterwards: the future is not polled again.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(panic) => {
                let failure = Failure::panicked(&*panic);
                drop_quietly(panic);
                Poll::Ready(Err(failure))
            }
        }
    })
    .await
}
// ANCHOR_END: without_panics
