//! What the tests of sleepers and of finalisers that wait share.
#![allow(dead_code, reason = "each test program uses its part")]

use ch08_mutexes_and_conditions::{Cx, Failure, Owned, Result};
use std::fmt::Display;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

/// Longer than any test may take.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// What takes no time takes less than that, even on a machine that is busy with other things.
pub(crate) const SOON: Duration = Duration::from_secs(15);

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[track_caller]
pub(crate) fn assert_soon(start: Instant) {
    assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
}

/// What happened, in order, on whatever domain.
#[derive(Clone, Default, Debug)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: impl Display) {
        lock(&self.0).push(what.to_string());
    }

    /// Something that notes `name` when it is dropped.
    pub(crate) fn on_drop(&self, name: impl Display) -> Noted {
        Noted(self.clone(), name.to_string())
    }

    pub(crate) fn list(&self) -> Vec<String> {
        lock(&self.0).clone()
    }

    /// All notes, in one line.
    pub(crate) fn text(&self) -> String {
        lock(&self.0).join(" ")
    }

    /// Where `what` stands among the notes.
    #[track_caller]
    pub(crate) fn place(&self, what: &str) -> usize {
        let list = self.list();
        let place = list.iter().position(|note| note == what);
        place.unwrap_or_else(|| panic!("no {what} in {list:?}"))
    }
}

#[derive(Debug)]
pub(crate) struct Noted(Log, String);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note(&self.1);
    }
}

/// Owns what notes `name<` when its finaliser begins, waits for `pause`, and notes `name>` then.
#[track_caller]
pub(crate) fn slow<'c>(cx: &'c Cx, log: &Log, name: &str, pause: Duration) -> Owned<'c, String> {
    let log = log.clone();
    let finaliser = async move |name: String| {
        log.note(format_args!("{name}<"));
        ch08_mutexes_and_conditions::sleep(pause).await;
        log.note(format_args!("{name}>"));
        Ok(())
    };
    cx.own_async(name.to_owned(), name.to_owned(), HOUR, finaliser)
}

/// Owns what notes its name at once.
#[track_caller]
pub(crate) fn plain<'c>(cx: &'c Cx, log: &Log, name: &str) -> Owned<'c, String> {
    let log = log.clone();
    cx.own(name.to_owned(), name.to_owned(), move |name| {
        log.note(name);
        Ok(())
    })
}

/// Owns what waits, and fails then.
#[track_caller]
pub(crate) fn failing<'c>(cx: &'c Cx, name: &'static str) -> Owned<'c, ()> {
    cx.own_async(name, (), HOUR, async move |()| {
        ch08_mutexes_and_conditions::sleep(ms(1)).await;
        Err(Failure::msg(format_args!("{name} fails")))
    })
}

/// Polls `future` once, with the waker of the task.
pub(crate) async fn poll_pinned<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Option<F::Output> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// A task's end by `Ok(())`.
pub(crate) fn done() -> Result<()> {
    Ok(())
}
