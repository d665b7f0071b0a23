//! How a run begins: its settings.

use crate::cx::Cx;
use crate::domain::Domain;
use crate::events::{Events, Source};
use crate::failure::Result;
use crate::random::any_seed;
use crate::record::Recording;
use crate::scheduler;
use crate::trace::Trace;
use std::io;
use std::num::NonZero;
use std::thread;

/// Runs `f` as the main task on this thread, dom0, with one domain beside it for each further core of
/// the machine. Returns when everything is over and the other threads have ended.
///
/// # Errors
///
/// - What `f` returns, or its panic.
/// - A [`Violation`](crate::Violation), by whichever task: all tasks are cancelled then.
/// - The system has no event queue or no thread to give, above all because descriptors have run out.
/// - A domain has died, by a mistake of this runtime: all tasks are cancelled then.
///
/// # Panics
///
/// If called inside `run`: use [`Cx::spawn`] there.
///
/// # Examples
///
/// ```
/// let answer = ch08_mutexes_and_conditions::run(async |_| Ok(6 * 7));
/// assert_eq!(answer?, 42);
/// # ch08_mutexes_and_conditions::Result::Ok(())
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
/// use ch08_mutexes_and_conditions::{Recording, Runtime, yield_now};
///
/// let recording = Recording::new();
/// let runtime = Runtime::builder().seed(42).record(&recording).build();
/// runtime.run(async |_| Ok(yield_now().await))?;
/// assert!(recording.to_string().contains("waits for its next turn"));
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Runtime {
    pub(crate) domains: usize,
    pub(crate) seed: u64,
    pub(crate) ages: bool,
    pub(crate) recording: Option<Recording>,
    pub(crate) trace: Option<Trace>,
    pub(crate) events: Source,
}

/// Collects the settings of a [`Runtime`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    domains: Option<usize>,
    seed: Option<u64>,
    ages: bool,
    recording: Option<Recording>,
    trace: Option<Trace>,
    events: Source,
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
    /// How many domains to start beside dom0, 0 or more: threads, that is. By default one fewer than the
    /// machine has cores.
    #[must_use]
    pub fn domains(mut self, domains: usize) -> Builder {
        self.domains = Some(domains);
        self
    }

    /// Where random choices begin: with the same seed they are the same in each run. By default they
    /// are others each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Builder {
        self.seed = Some(seed);
        self
    }

    /// What the domains get their events from, instead of a [`System`](crate::System) each. `make` is called on the thread of each
    /// domain. If it fails, the run does not begin.
    #[must_use]
    pub fn events<E: Events>(
        mut self,
        make: impl Fn(Domain) -> io::Result<E> + Send + Sync + 'static,
    ) -> Builder {
        self.events = Source::new(make);
        self
    }

    /// Whether to note when each task begins, for the ages in its [`Tree`](crate::Tree). By default that is not done: it reads a
    /// clock at each spawn.
    #[must_use]
    pub fn ages(mut self, ages: bool) -> Builder {
        self.ages = ages;
        self
    }

    /// Notes every step of the run in `recording`.
    #[must_use]
    pub fn record(mut self, recording: &Recording) -> Builder {
        self.recording = Some(recording.clone());
        self
    }

    /// Writes the run to `trace` as it happens.
    #[must_use]
    pub fn trace(mut self, trace: &Trace) -> Builder {
        self.trace = Some(trace.clone());
        self
    }

    /// The runtime.
    pub fn build(self) -> Runtime {
        // A machine that does not tell has one core.
        let cores = || thread::available_parallelism().map_or(1, NonZero::get);
        Runtime {
            domains: self.domains.unwrap_or_else(|| cores() - 1),
            seed: self.seed.unwrap_or_else(any_seed),
            ages: self.ages,
            recording: self.recording,
            trace: self.trace,
            events: self.events,
        }
    }
}
// ANCHOR_END: runtime
