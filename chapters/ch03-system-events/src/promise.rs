//! The other end of a spawned task.

use crate::budget;
use crate::scheduler::Scheduler;
use crate::table::{Key, Progress};
use std::any::Any;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// What a task came to: its value, or the payload of the panic that ended it.
pub(crate) type Outcome = Result<Box<dyn Any>, Box<dyn Any + Send>>;

/// The result of a spawned task, once it is there.
///
/// Awaiting a promise gives the task's value. If the task panicked, the panic goes on in the task
/// that awaits.
///
/// Dropping a promise forgets the result, not the task: the task runs on. A task that panics when
/// its promise is gone ends unheard, except for the message that the panic hook prints.
///
/// A promise that outlives its run keeps the run's scheduler in memory, though none of its tasks.
///
/// # Panics
///
/// When polled again after it gave its value, and when its run has ended before the task has.
///
/// # Examples
///
/// ```
/// use ch03_system_events::{run, spawn};
///
/// let sum = run(async {
///     let one = spawn(async { 1 });
///     let two = spawn(async { 2 });
///     one.await + two.await
/// });
/// assert_eq!(sum, 3);
/// ```
// ANCHOR: promise
#[must_use = "a promise that is dropped forgets the task's result; await it, or say `drop`"]
pub struct Promise<T> {
    scheduler: Rc<Scheduler>,
    /// `None` once the value was given.
    key: Option<Key>,
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> Future for Promise<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(key) = self.key else {
            panic!("a promise was polled after it gave its value")
        };
        // Only what need not wait costs: a task may look at any number of promises in one turn.
        if self.scheduler.is_over(key) {
            ready!(budget::poll_spend(cx));
        }
        match self.scheduler.progress(key) {
            Progress::Alive(id) => {
                self.scheduler.wait_for("the promise of", Some(id));
                self.scheduler.set_waiter(key, cx.waker());
                Poll::Pending
            }
            Progress::Over(outcome) => {
                self.key = None;
                Poll::Ready(open(outcome))
            }
            Progress::Gone => panic!("a promise was awaited after the end of its run"),
        }
    }
}
// ANCHOR_END: promise

/// The value in `outcome`; a panic goes on here.
fn open<T: 'static>(outcome: Outcome) -> T {
    let value = outcome.unwrap_or_else(|panic| resume_unwind(panic));
    match value.downcast() {
        Ok(value) => *value,
        Err(_) => unreachable!("a promise has the type of its task"),
    }
}

impl<T> Promise<T> {
    pub(crate) fn new(scheduler: Rc<Scheduler>, key: Key) -> Promise<T> {
        Promise {
            scheduler,
            key: Some(key),
            value: PhantomData,
        }
    }

    /// Whether the task is over, or gone with its run.
    pub(crate) fn is_over(&self) -> bool {
        self.key.is_none_or(|key| self.scheduler.is_over(key))
    }
}

impl<T: 'static> Promise<T> {
    /// The value of a task that is over.
    pub(crate) fn take(mut self) -> T {
        match self.key.take().map(|key| self.scheduler.progress(key)) {
            Some(Progress::Over(outcome)) => open(outcome),
            _ => panic!("a promise was taken before its task was over"),
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.scheduler.forsake(key);
        }
    }
}

impl<T> std::fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Promise")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
