//! A value that is made when it is first needed.

use crate::budget::poll_spend;
use crate::cx::Cx;
use crate::failure::{Failure, Result};
use crate::mutex::Mutex;
use crate::scope::scope;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::{self, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

// ANCHOR: lazy
/// A value that is made by the first task that needs it, while the others wait, on all domains.
///
/// If making it fails, panics or is cancelled, the next one that needs it tries again.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{Lazy, Runtime, sleep};
/// use std::sync::LazyLock;
/// use std::time::Duration;
///
/// static CONFIGURATION: LazyLock<Lazy<String>> = LazyLock::new(|| {
///     Lazy::new(async |_| {
///         println!("loading"); // once
///         sleep(Duration::from_millis(10)).await;
///         Ok(String::from("verbose"))
///     })
/// });
///
/// Runtime::builder().domains(2).build().run(async |cx| {
///     let lengths = cx.parallel(0..4, async |cx, _| {
///         Ok(CONFIGURATION.force(cx).await?.len())
///     });
///     assert!(lengths.await?.into_iter().all(|length| length.is_ok_and(|n| n == 7)));
///     Ok(())
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
pub struct Lazy<T> {
    value: OnceLock<T>,
    make: Box<dyn Make<T> + Send + Sync>,
    /// Whoever has this makes the value.
    turn: Mutex<()>,
    /// The thread that is running `make` right now.
    running: sync::Mutex<Option<ThreadId>>,
}

impl<T: 'static> Lazy<T> {
    /// `make` makes the value, in the task that needs it first, with a scope of that task for its context.
    pub fn new(make: impl AsyncFn(&Cx) -> Result<T> + Send + Sync + 'static) -> Lazy<T> {
        Lazy {
            value: OnceLock::new(),
            make: Box::new(make),
            turn: Mutex::new(()),
            running: sync::Mutex::new(None),
        }
    }

    /// The value, if it has been made.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value; makes it if nobody has, or waits until somebody has.
    ///
    /// Dropped before it is ready, it gives up; the next one that waits makes the value then.
    ///
    /// # Errors
    ///
    /// - What making the value has failed with: only to the task that tried.
    /// - [`Recursive`], if `make` itself asks for the value. One that waits for a child which asks for it waits for
    ///   ever, and so do two that need each other and are forced by two tasks.
    // ANCHOR: force
    #[track_caller]
    pub fn force<'l>(&'l self, cx: &Cx) -> impl Future<Output = Result<&'l T>> {
        let at = Location::caller();
        async move {
            poll_fn(poll_spend).await;
            if let Some(value) = self.value.get() {
                return Ok(value);
            }
            if self.is_running_here() {
                return Err(Failure::from(Recursive));
            }
            // Until the children of the one who makes it are gone, too.
            let _turn = self.turn.lock().await;
            if self.value.get().is_none() {
                let mut making = pin!(scope(cx, async |cx| self.make.make(cx).await, at));
                let value = poll_fn(|context| {
                    let _running = Running::here(self);
                    making.as_mut().poll(context)
                })
                .await?;
                // Nobody else has had the turn.
                let _ = self.value.set(value);
            }
            match self.value.get() {
                Some(value) => Ok(value),
                None => unreachable!("it was set above"),
            }
        }
    }
    // ANCHOR_END: force

    /// Whether this is called by `make`: it is being polled on this very thread.
    fn is_running_here(&self) -> bool {
        *self.running() == Some(thread::current().id())
    }
}
// ANCHOR_END: lazy

impl<T> Lazy<T> {
    fn running(&self) -> sync::MutexGuard<'_, Option<ThreadId>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as this is there, `make` is being polled on this thread.
struct Running<'l, T>(&'l Lazy<T>);

impl<'l, T> Running<'l, T> {
    fn here(lazy: &'l Lazy<T>) -> Running<'l, T> {
        *lazy.running() = Some(thread::current().id());
        Running(lazy)
    }
}

impl<T> Drop for Running<'_, T> {
    fn drop(&mut self) {
        *self.0.running() = None;
    }
}

/// An async closure whose type is forgotten.
trait Make<T> {
    fn make<'a>(&'a self, cx: &'a Cx) -> Pin<Box<dyn Future<Output = Result<T>> + 'a>>;
}

impl<T, F: AsyncFn(&Cx) -> Result<T>> Make<T> for F {
    fn make<'a>(&'a self, cx: &'a Cx) -> Pin<Box<dyn Future<Output = Result<T>> + 'a>> {
        Box::pin(self(cx))
    }
}

/// The making of a [`Lazy`] value has asked for that value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recursive;

impl fmt::Display for Recursive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lazy value was forced by the code that makes it")
    }
}

impl Error for Recursive {}

impl<T: fmt::Debug> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lazy = f.debug_tuple("Lazy");
        match self.value.get() {
            Some(value) => lazy.field(value),
            None => lazy.field(&format_args!("<not made>")),
        };
        lazy.finish()
    }
}
