//! What a run did, step by step.
//!
//! A [`Recording`] is handed to [`Builder::record`](crate::Builder::record) and can be read when the run
//! is over, or while it lasts. A run without one keeps no record, and pays one comparison an event.

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The number of a task: 0 is the main task; on each domain the others follow in the order of their spawning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.pad("main"),
            n => f.pad(&format!("task {n}")),
        }
    }
}

/// What a suspended task waits for, as far as the runtime was told: the last thing that the task
/// asked it for in its last turn, and did not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// In words, such as `the promise of`. Empty if the task waits for something that is not the
    /// runtime's.
    pub what: &'static str,
    /// The task it waits for, if it is one.
    pub task: Option<TaskId>,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.what, self.task) {
            ("", _) => f.write_str("something the runtime does not know"),
            (what, Some(task)) => write!(f, "{what} {task}"),
            (what, None) => f.write_str(what),
        }
    }
}

/// What happened to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// It was created, and entered the run queue.
    Spawned {
        /// The task that spawned it; `None` for the main task.
        by: Option<TaskId>,
        /// The line that spawned it.
        at: &'static Location<'static>,
    },
    /// Its future was polled.
    Polled,
    /// The poll ended, and the task was not over.
    Suspended {
        /// What it waits for.
        on: Wait,
    },
    /// It entered the run queue again.
    Woken {
        /// The task that was running, or `None` if the wake came from outside the scheduler.
        by: Option<TaskId>,
    },
    /// It will not be polled again.
    Cancelled,
    /// It came to its end, or was dropped.
    Ended {
        /// Whether it returned `Ok`.
        well: bool,
    },
    /// It became the owner of a resource. What is given to a child is its own before it is spawned.
    Owned {
        /// The line that made it a resource.
        at: &'static Location<'static>,
    },
    /// It gave up a resource, which is nobody's now.
    Disowned {
        /// The line that made it a resource.
        at: &'static Location<'static>,
    },
    /// The finaliser of something it owned was called.
    Finalised {
        /// The line that made it a resource.
        at: &'static Location<'static>,
    },
}

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The domain, that is the scheduler, on which it happened: 0 is the one that called `run`.
    pub domain: u32,
    /// The task to which it happened.
    pub task: TaskId,
    /// What happened.
    pub what: What,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} ", self.task)?;
        match self.what {
            What::Spawned { by: Some(by), at } => {
                write!(f, "spawned by {by}, line {}", at.line())
            }
            What::Spawned { by: None, at } => write!(f, "spawned, line {}", at.line()),
            What::Polled => f.write_str("polled"),
            What::Suspended { on } => write!(f, "suspended, waits for {on}"),
            What::Woken { by: Some(by) } if by == self.task => f.write_str("woken by itself"),
            What::Woken { by: Some(by) } => write!(f, "woken by {by}"),
            What::Woken { by: None } => f.write_str("woken from outside"),
            What::Cancelled => f.write_str("cancelled"),
            What::Ended { well: true } => f.write_str("ended"),
            What::Ended { well: false } => f.write_str("ended badly"),
            What::Owned { at } => write!(f, "owns what line {} made", at.line()),
            What::Disowned { at } => write!(f, "disowned what line {} made", at.line()),
            What::Finalised { at } => write!(f, "finalised what line {} made", at.line()),
        }
    }
}

/// The record of a run. Clones share it; its place in the list is an event's logical step.
///
/// It grows by some fifty bytes a step for as long as the run lasts.
///
/// # Examples
///
/// ```
/// use ch07_sleepers::{Recording, Runtime, yield_now};
///
/// let recording = Recording::new();
/// let runtime = Runtime::builder().record(&recording).build();
/// runtime.run(async |_| Ok(yield_now().await))?;
/// let text = recording.to_string();
/// assert!(text.contains("main     suspended, waits for its next turn"), "{text}");
/// # ch07_sleepers::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Recording {
    events: Arc<Mutex<Vec<Event>>>,
}

impl Recording {
    /// An empty record.
    pub fn new() -> Recording {
        Recording::default()
    }

    /// All events up to now, in the order of their steps.
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    #[cold]
    fn push(&self, event: Event) {
        self.lock().push(event);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Recording {
    /// A line a step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, event) in self.events().iter().enumerate() {
            writeln!(f, "{step:>4}  {event}")?;
        }
        Ok(())
    }
}

/// What a scheduler notes its events with: on one domain, perhaps to no purpose.
#[derive(Default)]
pub(crate) struct Recorder {
    recording: Option<Recording>,
    domain: u32,
}

impl Recorder {
    pub(crate) fn new(recording: Option<Recording>, domain: u32) -> Recorder {
        Recorder { recording, domain }
    }

    /// Whether what is noted goes anywhere, for those who would have to look for the task.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.recording.is_some()
    }

    #[inline]
    pub(crate) fn note(&self, task: TaskId, what: What) {
        if let Some(recording) = &self.recording {
            recording.push(Event {
                domain: self.domain,
                task,
                what,
            });
        }
    }
}
