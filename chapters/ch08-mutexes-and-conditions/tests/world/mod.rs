//! What the tests of domains share.
#![allow(dead_code, reason = "each test program uses its part")]

use crate::common::bounded;
use ch08_mutexes_and_conditions::{Cx, Domain, Failure, Reason, Result, Runtime, Violation};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;

/// A runtime with so many domains beside dom0.
pub(crate) fn with(domains: usize) -> Runtime {
    Runtime::builder().domains(domains).build()
}

pub(crate) fn seeded(domains: usize, seed: u64) -> Runtime {
    Runtime::builder().domains(domains).seed(seed).build()
}

/// Runs a test that has to end well, within a bound in time.
#[track_caller]
pub(crate) fn test(domains: usize, f: impl AsyncFnOnce(&Cx) -> Result<()> + Send + 'static) {
    value_of(domains, f);
}

/// As [`test`], and gives what the main task returned.
#[track_caller]
pub(crate) fn value_of<T: Send + 'static>(
    domains: usize,
    f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
) -> T {
    match bounded(move || with(domains).run(f)) {
        Ok(value) => value,
        Err(failure) => panic!("the main task should have ended well: {failure:?}"),
    }
}

/// Runs a test that has to end badly, within a bound in time.
#[track_caller]
pub(crate) fn failure_of(
    domains: usize,
    f: impl AsyncFnOnce(&Cx) -> Result<()> + Send + 'static,
) -> Failure {
    match bounded(move || with(domains).run(f)) {
        Ok(()) => panic!("the main task should have ended badly"),
        Err(failure) => failure,
    }
}

/// The other domain with this number among them, from 0.
pub(crate) fn other(cx: &Cx, place: usize) -> Domain {
    cx.domains().nth(place).expect("enough domains")
}

/// The name of the domain whose thread this is.
pub(crate) fn here() -> String {
    // `bounded` gives the thread that calls `run` no name.
    thread::current().name().unwrap_or("dom0").to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something to wait for, on any domain, until anybody opens it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Gate {
    pub(crate) fn open(&self) {
        let mut gate = lock(&self.0);
        gate.0 = true;
        let wakers = std::mem::take(&mut gate.1);
        drop(gate);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_open(&self) -> bool {
        lock(&self.0).0
    }

    pub(crate) async fn passed(&self) {
        poll_fn(|cx| {
            let mut gate = lock(&self.0);
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Blocks the thread: for tests that need a domain to be busy.
    pub(crate) fn block(&self) {
        while !self.is_open() {
            thread::yield_now();
        }
    }
}

/// What happened, in order, and where.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    /// Notes `what`, with the domain.
    pub(crate) fn note(&self, what: &str) {
        lock(&self.0).push(format!("{what}@{}", here()));
    }

    /// Something that notes `what` when it is dropped.
    pub(crate) fn on_drop(&self, what: &str) -> Noted {
        Noted(self.clone(), what.to_owned())
    }

    /// All notes, in one line.
    pub(crate) fn text(&self) -> String {
        lock(&self.0).join(" ")
    }
}

#[derive(Debug)]
pub(crate) struct Noted(pub(crate) Notes, String);

impl std::fmt::Debug for Notes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notes")
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note(&self.1);
    }
}

/// Calls a closure when dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
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

/// The waker of the task that awaits this.
pub(crate) async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// The messages of what `failure` suppresses.
pub(crate) fn suppressed(failure: &Failure) -> Vec<String> {
    failure
        .suppressed()
        .iter()
        .map(Failure::to_string)
        .collect()
}

#[track_caller]
pub(crate) fn assert_panicked(failure: &Failure, text: &str) {
    match failure.reason() {
        Reason::Panicked(panicked) => assert_eq!(panicked, text),
        _ => panic!("not a panic: {failure:?}"),
    }
}

#[track_caller]
pub(crate) fn assert_still_has_children(failure: &Failure) {
    let reason = failure.reason();
    let expected = matches!(
        reason,
        Reason::Violation(Violation::StillHasChildren { .. })
    );
    assert!(expected, "{failure:?}");
}

#[track_caller]
pub(crate) fn assert_stalled(failure: &Failure) {
    let reason = failure.reason();
    let expected = matches!(reason, Reason::Violation(Violation::Stalled { .. }));
    assert!(expected, "{failure:?}");
}
