//! What the tests of tasks and their children share.
#![allow(dead_code, reason = "each test program uses its part")]

use crate::common::bounded;
use ch08_mutexes_and_conditions::{Cx, Failure, Reason, Result, Task, Violation, run, yield_now};
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

/// Runs a test that has to end well, within a bound in time.
pub(crate) fn test(f: impl AsyncFnOnce(&Cx) -> Result<()> + Send + 'static) {
    bounded(|| run(f)).expect("the main task ends well");
}

/// Runs a test that has to end badly, within a bound in time.
pub(crate) fn failure_of<T: Send + 'static>(
    f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
) -> Failure {
    match bounded(|| run(f)) {
        Ok(_) => panic!("the main task should have ended badly"),
        Err(failure) => failure,
    }
}

pub(crate) async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// A child that never ends.
#[track_caller]
pub(crate) fn endless(cx: &Cx) -> Task<'_, ()> {
    cx.spawn(async |_| pending::<Result<()>>().await)
}

/// A child that never ends; `name` is noted when it is dropped.
#[track_caller]
pub(crate) fn noted<'p>(cx: &'p Cx, log: &Log, name: &str) -> Task<'p, ()> {
    let noted = log.on_drop(name);
    cx.spawn(async move |_| {
        let _noted = noted;
        pending::<Result<()>>().await
    })
}

/// Polls `future` once, with the waker of the task.
pub(crate) async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Polls `future` once, as a destructor can.
pub(crate) fn poll_by_hand<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: impl fmt::Display) {
        self.0.borrow_mut().push(what.to_string());
    }

    /// Something that notes `name` when it is dropped.
    pub(crate) fn on_drop(&self, name: impl fmt::Display) -> Noted {
        Noted(self.clone(), name.to_string())
    }

    /// All notes, in one line.
    pub(crate) fn text(&self) -> String {
        self.0.borrow().join(" ")
    }
}

pub(crate) struct Noted(Log, String);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note(&self.1);
    }
}

/// Runs a closure when dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Calls back into the runtime when it is dropped: the one thing that a result, an error or the payload of a panic can
/// do is to wake somebody.
pub(crate) struct WakesOnDrop(pub(crate) Waker, pub(crate) Arc<AtomicUsize>);

impl Drop for WakesOnDrop {
    fn drop(&mut self) {
        self.0.wake_by_ref();
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for WakesOnDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WakesOnDrop")
    }
}

impl fmt::Display for WakesOnDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wakes when dropped")
    }
}

impl Error for WakesOnDrop {}

/// The waker of the task that awaits this.
pub(crate) async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// `None` if the run has not ended by forgotten children.
pub(crate) fn still_has_children(failure: &Failure) -> Option<&Violation> {
    match failure.reason() {
        Reason::Violation(violation @ Violation::StillHasChildren { .. }) => Some(violation),
        _ => None,
    }
}

#[track_caller]
pub(crate) fn assert_violation(failure: &Failure) {
    assert!(still_has_children(failure).is_some(), "{failure:?}");
}

#[track_caller]
pub(crate) fn assert_panicked(failure: &Failure, text: &str) {
    match failure.reason() {
        Reason::Panicked(panicked) => assert_eq!(panicked, text),
        _ => panic!("not a panic: {failure:?}"),
    }
}

/// The messages of what `failure` suppresses.
pub(crate) fn suppressed(failure: &Failure) -> Vec<String> {
    let suppressed = failure.suppressed().iter();
    suppressed
        .inspect(|failure| assert!(failure.suppressed().is_empty(), "the list is flat"))
        .map(Failure::to_string)
        .collect()
}
