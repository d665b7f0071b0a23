//! A value that somebody will write, once.

use crate::trigger::Trigger;
use std::fmt;
use std::sync::{Arc, OnceLock};

// ANCHOR: computation
/// A value that is written once, and that any number of tasks can wait for. Clones are the same one.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{Computation, Runtime};
///
/// Runtime::builder().domains(1).build().run(async |cx| {
///     let answer = Computation::new();
///     let there = answer.clone();
///     let child = cx.call(async move |_| Ok(there.complete(6 * 7).is_ok()))?;
///     assert_eq!(*answer.wait().await, 42);
///     assert_eq!(answer.complete(43), Err(43)); // too late
///     assert!(child.await?);
///     Ok(())
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
pub struct Computation<T> {
    value: Arc<OnceLock<T>>,
    done: Trigger,
}

impl<T> Computation<T> {
    /// One without a value yet.
    pub fn new() -> Computation<T> {
        Computation {
            value: Arc::default(),
            done: Trigger::named("a computation"),
        }
    }

    /// Writes the value, and resumes all who wait for it.
    ///
    /// # Errors
    ///
    /// There is a value already. `value` comes back.
    pub fn complete(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.done.signal();
        Ok(())
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Waits until there is a value. Dropped before it is ready, it waits no more.
    pub async fn wait(&self) -> &T {
        self.done.clone().await;
        match self.value.get() {
            Some(value) => value,
            None => unreachable!("it is written before the signal"),
        }
    }
}
// ANCHOR_END: computation

impl<T> Clone for Computation<T> {
    fn clone(&self) -> Computation<T> {
        Computation {
            value: self.value.clone(),
            done: self.done.clone(),
        }
    }
}

impl<T> Default for Computation<T> {
    fn default() -> Computation<T> {
        Computation::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Computation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut computation = f.debug_tuple("Computation");
        match self.get() {
            Some(value) => computation.field(value),
            None => computation.field(&format_args!("<pending>")),
        };
        computation.finish()
    }
}
