//! What the tests share.
#![allow(dead_code, reason = "each test program uses its part")]

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Runs `test` on a thread of its own, and fails if it has not ended after twenty seconds.
pub(crate) fn bounded<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ = sender.send(catch_unwind(AssertUnwindSafe(test)));
    });
    let Ok(result) = receiver.recv_timeout(Duration::from_secs(20)) else {
        panic!("the test hangs: it has not ended after twenty seconds");
    };
    thread.join().expect("the thread sends and ends");
    result.unwrap_or_else(|panic| panic!("{}", text(&panic)))
}

/// Runs `body`, which has to panic, and gives the text of the panic.
pub(crate) fn panic_of<T>(body: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(_) => panic!("it should have panicked"),
        Err(panic) => text(&panic),
    }
}

fn text(panic: &Box<dyn Any + Send>) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without text".to_owned(),
    }
}

/// Counts how many of its clones were dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Rc<Cell<usize>>);

impl Drops {
    /// Something that is counted when it is dropped.
    pub(crate) fn witness(&self) -> Witness {
        Witness(self.0.clone())
    }

    /// How many were dropped up to now.
    pub(crate) fn count(&self) -> usize {
        self.0.get()
    }
}

/// Counted when dropped.
pub(crate) struct Witness(Rc<Cell<usize>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Panics when dropped.
pub(crate) struct PanicsOnDrop(pub(crate) &'static str);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}
