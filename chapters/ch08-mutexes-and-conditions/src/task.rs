//! The handle of a task, for its parent.

use crate::cx::Cx;
use crate::failure::{Failure, Result};
use crate::scheduler::Scheduler;
use crate::table::{Key, Outcome, Progress};
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A child, and its result once that is there. Only the parent has it: it borrows the parent's
/// [`Cx`].
///
/// Awaiting it gives what the child returned; a panic of the child is a [`Failure`](crate::Failure) like others. The
/// result is there when everything that the child has spawned is over, too.
///
/// Dropping it forgets the child. That is neither awaiting nor cancelling: if the parent ends well
/// after it, that is a [`Violation`](crate::Violation).
///
/// # Panics
///
/// When polled again after it gave its result.
// ANCHOR: task
#[must_use = "a child has to be awaited or cancelled; dropping its handle does neither"]
pub struct Task<'p, T> {
    pub(crate) parent: &'p Cx,
    /// `None` once the result was given.
    key: Option<Key>,
    result: PhantomData<fn() -> T>,
}

impl<T: 'static> Future for Task<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let outcome = ready!(self.scheduler().poll_over(self.key(), "the end of", cx));
        self.key = None;
        Poll::Ready(open(outcome))
    }
}
// ANCHOR_END: task

/// The value in `outcome`.
pub(crate) fn open<T: 'static>(outcome: Outcome) -> Result<T> {
    match outcome?.downcast() {
        Ok(value) => Ok(*value),
        Err(_) => unreachable!("a task handle has the type of its task"),
    }
}

impl<'p, T> Task<'p, T> {
    pub(crate) fn new(parent: &'p Cx, key: Key) -> Task<'p, T> {
        Task {
            parent,
            key: Some(key),
            result: PhantomData,
        }
    }

    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.parent.scheduler
    }

    fn key(&self) -> Key {
        match self.key {
            Some(key) => key,
            None => panic!("the result of a task was asked for again"),
        }
    }

    /// Cancels the child and all below it, now: none of them is polled again. They are dropped
    /// one after the other, children before their parents, while other tasks go on.
    ///
    /// A value that the child has already returned is dropped; an error or a panic is not lost, see
    /// [`Cancel`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ch08_mutexes_and_conditions::{Result, run, yield_now};
    ///
    /// run(async |cx| {
    ///     let endless = cx.spawn(async |_| -> Result<()> { loop { yield_now().await } });
    ///     yield_now().await;
    ///     endless.cancel().await
    /// })?;
    /// # Result::Ok(())
    /// ```
    // ANCHOR: cancel
    pub fn cancel(self) -> Cancel<'p> {
        if let Some(key) = self.key {
            self.scheduler().want(key);
            self.scheduler().cancel(key);
        }
        Cancel {
            parent: self.parent,
            key: self.key,
        }
    }
    // ANCHOR_END: cancel

    /// Whether the result is there, so that awaiting it will not wait; or was given.
    pub fn is_over(&self) -> bool {
        self.key
            .is_none_or(|key| self.scheduler().over(key).is_some())
    }

    /// Whether the result is a success; `None` if there is none yet.
    pub(crate) fn succeeded(&self) -> Option<bool> {
        self.scheduler().over(self.key())
    }

    /// Has the task woken that polls with `cx` when the child is over.
    pub(crate) fn wake_when_over(&self, cx: &Context<'_>) {
        self.scheduler().set_waiter(self.key(), cx.waker());
    }
}

impl<T: 'static> Task<'_, T> {
    /// The result, which is there. No wait for a turn comes between the decision to take it and this.
    pub(crate) fn take(self) -> Result<T> {
        match self.scheduler().progress(self.key()) {
            Progress::Over(outcome) => open(outcome),
            Progress::Alive(_) | Progress::Gone => Err(Failure::cancelled()),
        }
    }
}

impl<T> fmt::Debug for Task<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

// ANCHOR: cancelling
/// A child that was cancelled and is on its way out.
///
/// Awaiting it waits until everything below the child is dropped, and the child itself. Dropping it
/// changes nothing about that: the parent's end waits for it then, and what went wrong is kept until
/// then. So a parent that does not end should await it.
///
/// # Errors
///
/// If something came to light that nobody received: the child had failed before it was
/// cancelled, or one below it had, or a destructor panicked. The failure is `cancelled`, and the
/// [suppressed](crate::Failure::suppressed) ones say what.
pub struct Cancel<'p> {
    parent: &'p Cx,
    /// `None` once the result was given.
    key: Option<Key>,
}

impl Future for Cancel<'_> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(key) = self.key else {
            return Poll::Ready(Ok(()));
        };
        let outcome = ready!(self.parent.scheduler.poll_over(key, "the cancelled", cx));
        self.key = None;
        Poll::Ready(outcome.map(drop))
    }
}

impl Cancel<'_> {
    /// Whether awaiting it will not wait. If it will, has the task woken that polls with `cx` when it is gone.
    pub(crate) fn is_gone(&self, cx: &Context<'_>) -> bool {
        let Some(key) = self.key else { return true };
        let gone = self.parent.scheduler.over(key).is_some();
        if !gone {
            self.parent.scheduler.set_waiter(key, cx.waker());
        }
        gone
    }

    /// How it went, once it is gone.
    pub(crate) fn take(mut self) -> Result<()> {
        match self
            .key
            .take()
            .map(|key| self.parent.scheduler.progress(key))
        {
            Some(Progress::Over(outcome)) => outcome.map(drop),
            _ => Ok(()),
        }
    }
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.parent.scheduler.unwant(key);
        }
    }
}
// ANCHOR_END: cancelling

impl fmt::Debug for Cancel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
