//! What the tests of ownership share.
#![allow(dead_code, reason = "each test program uses its part")]

use ch08_mutexes_and_conditions::{
    Cx, Failure, Owned, Reason, ResourceInfo, Result, Violation, yield_now,
};
use std::fmt::Display;
use std::pin::pin;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

pub(crate) async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// Polls `future` once, as a destructor can.
pub(crate) fn poll_by_hand<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// What happened, in order, on whatever domain.
#[derive(Clone, Default, Debug)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: impl Display) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(what.to_string());
    }

    /// Something that notes `name` when it is dropped.
    pub(crate) fn on_drop(&self, name: impl Display) -> Noted {
        Noted(self.clone(), name.to_string())
    }

    /// All notes, in one line.
    pub(crate) fn text(&self) -> String {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.join(" ")
    }
}

#[derive(Debug)]
pub(crate) struct Noted(Log, String);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note(&self.1);
    }
}

/// A resource whose finaliser notes its name.
#[derive(Debug)]
pub(crate) struct Thing {
    pub(crate) log: Log,
    pub(crate) name: String,
}

impl Thing {
    pub(crate) fn new(log: &Log, name: impl Display) -> Thing {
        let (log, name) = (log.clone(), name.to_string());
        Thing { log, name }
    }

    /// What its finaliser does.
    pub(crate) fn close(self) -> Result<()> {
        self.log.note(&self.name);
        Ok(())
    }
}

/// Owns a [`Thing`] under its name.
#[track_caller]
pub(crate) fn thing<'c>(cx: &'c Cx, log: &Log, name: &str) -> Owned<'c, Thing> {
    cx.own(name.to_owned(), Thing::new(log, name), Thing::close)
}

/// Owns what cannot be finalised without an error.
#[track_caller]
pub(crate) fn failing<'c>(cx: &'c Cx, name: &'static str) -> Owned<'c, &'static str> {
    cx.own(name, name, |name| {
        Err(Failure::msg(format_args!("{name} fails")))
    })
}

/// Owns what cannot be finalised without a panic.
#[track_caller]
pub(crate) fn panicking<'c>(cx: &'c Cx, name: &'static str) -> Owned<'c, &'static str> {
    cx.own(name, name, |name| panic!("{name} panics"))
}

/// The names in a list.
pub(crate) fn names(list: &[ResourceInfo]) -> String {
    let names: Vec<&str> = list.iter().map(|resource| &*resource.name).collect();
    names.join(" ")
}

/// The leak that `failure` is: the number of the task, whether it is a scope, what it owned.
#[track_caller]
pub(crate) fn leak(failure: &Failure) -> (u64, bool, Vec<ResourceInfo>) {
    match failure.reason() {
        Reason::Violation(Violation::ResourceLeaked {
            owner,
            scope,
            resources,
        }) => (owner.id.0, *scope, resources.clone()),
        _ => panic!("not a leak: {failure:?}"),
    }
}

/// Whether `failure` is that of the finaliser of `name`, which was owned at `line` of `file`, with this `text`.
#[track_caller]
pub(crate) fn assert_finaliser(message: &str, name: &str, file: &str, line: u32, text: &str) {
    let start = format!("finaliser of {name}, owned at ");
    let place = format!("{file}:{line}:");
    let end = format!(": {text}");
    let fits = message.starts_with(&start) && message.contains(&place) && message.ends_with(&end);
    assert!(fits, "{start}…{place}…{end}: {message}");
}

/// How many descriptors this process has open. Says so if the system does not tell.
pub(crate) fn open_descriptors() -> Option<usize> {
    match std::fs::read_dir("/proc/self/fd") {
        Ok(list) => Some(list.count()),
        Err(_) => {
            println!("SKIPPED: there is no /proc/self/fd here, so nobody counts the descriptors");
            None
        }
    }
}

/// Runs `body` in a process in which no other test runs. `name` is that of the test which calls this.
pub(crate) fn alone(name: &str, body: fn()) {
    const ALONE: &str = "CH06_ALONE";
    if std::env::var(ALONE).is_ok_and(|alone| alone == name) {
        return body();
    }
    let mut command = Command::new(std::env::current_exe().expect("the test program"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    let output = command.env(ALONE, name).output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "no test has this name: {text}");
    print!("{text}");
}
