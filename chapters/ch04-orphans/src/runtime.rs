//! How a run begins: its settings.

use crate::cx::Cx;
use crate::failure::Result;
use crate::random::any_seed;
use crate::record::Recording;
use crate::scheduler;

/// Runs `f` as the main task, and all that it spawns, on this thread. Returns when everything is
/// over.
///
/// # Errors
///
/// - What `f` returns, or its panic.
/// - A [`Violation`](crate::Violation), by whichever task: all tasks are cancelled then.
/// - The system has no event queue to give, above all because descriptors have run out.
///
/// # Panics
///
/// If called inside `run`: use [`Cx::spawn`] there.
///
/// # Examples
///
/// ```
/// let answer = ch04_orphans::run(async |_| Ok(6 * 7));
/// assert_eq!(answer?, 42);
/// # ch04_orphans::Result::Ok(())
/// ```
#[track_caller]
pub fn run<T: 'static>(f: impl AsyncFnOnce(&Cx) -> Result<T> + 'static) -> Result<T> {
    Runtime::builder().build().run(f)
}

// ANCHOR: runtime
/// A runtime with its settings, ready to [`run`](Runtime::run).
///
/// # Examples
///
/// ```
/// use ch04_orphans::{Recording, Runtime, yield_now};
///
/// let recording = Recording::new();
/// let runtime = Runtime::builder().seed(42).record(&recording).build();
/// runtime.run(async |_| Ok(yield_now().await))?;
/// assert!(recording.to_string().contains("waits for its next turn"));
/// # ch04_orphans::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Runtime {
    pub(crate) seed: u64,
    pub(crate) recording: Option<Recording>,
}

/// Collects the settings of a [`Runtime`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    seed: Option<u64>,
    recording: Option<Recording>,
}

impl Runtime {
    /// Begins with the default settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// As the function [`run`], with these settings.
    ///
    /// # Errors
    ///
    /// As [`run`].
    ///
    /// # Panics
    ///
    /// As [`run`].
    #[track_caller]
    pub fn run<T: 'static>(self, f: impl AsyncFnOnce(&Cx) -> Result<T> + 'static) -> Result<T> {
        scheduler::run(self, f)
    }
}

impl Builder {
    /// Where random choices begin: with the same seed they are the same in each run. By default they
    /// are others each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Builder {
        self.seed = Some(seed);
        self
    }

    /// Notes every step of the run in `recording`.
    #[must_use]
    pub fn record(mut self, recording: &Recording) -> Builder {
        self.recording = Some(recording.clone());
        self
    }

    /// The runtime.
    pub fn build(self) -> Runtime {
        Runtime {
            seed: self.seed.unwrap_or_else(any_seed),
            recording: self.recording,
        }
    }
}
// ANCHOR_END: runtime
