//! What ends the whole run.

use crate::domain::Domain;
use crate::record::{TaskId, Wait};
use std::error::Error;
use std::fmt;
use std::panic::Location;

// ANCHOR: violation
/// A rule of the runtime was broken. No task can catch it: every task is cancelled, and
/// [`run`](crate::run) returns it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Violation {
    /// A task, or a scope, ended well and left children behind that it had neither awaited nor cancelled.
    StillHasChildren {
        /// The task; for a scope, the task in which it is, with the line that opened the scope.
        parent: TaskInfo,
        /// Whether it is a scope.
        scope: bool,
        /// The forgotten ones, the oldest first.
        children: Vec<TaskInfo>,
    },
    /// A task, or a scope, ended well and still owned something.
    ResourceLeaked {
        /// The task; for a scope, the task in which it is, with the line that opened the scope.
        owner: TaskInfo,
        /// Whether it is a scope.
        scope: bool,
        /// What it owned, the oldest first. It was finalised all the same.
        resources: Vec<ResourceInfo>,
    },
    /// Every task waits, and nobody is left who could wake one.
    Stalled {
        /// The tasks of one domain. Those of the others are in the suppressed failures.
        tasks: Vec<TaskInfo>,
    },
}

/// A task, as a message shows it.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// Its number.
    pub id: TaskId,
    /// The line that spawned it.
    pub spawned_at: &'static Location<'static>,
    /// How it was doing when it was looked at.
    pub state: TaskState,
}

/// What a task owns, as [`Cx::owned`](crate::Cx::owned) and messages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceInfo {
    /// The name it was given.
    pub name: String,
    /// The line that owned it first.
    pub owned_at: &'static Location<'static>,
    /// Where it is.
    pub state: ResourceState,
}

/// Where a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResourceState {
    /// In its proof, an [`Owned`](crate::Owned).
    Held,
    /// There is no proof: that was dropped, or a child has transferred the resource.
    Kept,
    /// Its finaliser has begun, and has to wait.
    Closing,
    /// In a proof that was there when the owner had ended: one that was forgotten, or is in a cycle. It cannot be finalised.
    Lost,
}

/// How a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// It is being polled.
    Running,
    /// Its turn is to come.
    Ready,
    /// It is suspended.
    Waits(Wait),
    /// Another domain runs it, and it is not over.
    Elsewhere(Domain),
    /// Its code has ended; its children have not.
    Ending,
    /// It has ended well.
    Succeeded,
    /// It has ended badly.
    Failed,
}
// ANCHOR_END: violation

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::StillHasChildren {
                parent,
                scope,
                children,
            } => {
                who(f, parent, *scope)?;
                write!(f, " has ended and forgotten its children:")?;
                list(f, children)?;
                write!(
                    f,
                    "\nawait them or cancel them; dropping a handle does neither"
                )
            }
            Violation::ResourceLeaked {
                owner,
                scope,
                resources,
            } => {
                who(f, owner, *scope)?;
                write!(f, " has ended and still owns:")?;
                list(f, resources)?;
                write!(
                    f,
                    "\nrelease, disown, give or transfer it; dropping a proof does none of these"
                )
            }
            Violation::Stalled { tasks } => {
                write!(f, "every task waits, and nobody is left to wake one:")?;
                list(f, tasks)
            }
        }
    }
}

fn who(f: &mut fmt::Formatter<'_>, task: &TaskInfo, scope: bool) -> fmt::Result {
    let (id, at) = (task.id, task.spawned_at);
    match scope {
        true => write!(f, "a scope of {id}, opened at {at},"),
        false => write!(f, "{id}, spawned at {at},"),
    }
}

/// So many tasks or resources are listed in a message, the others are counted.
const LISTED: usize = 10;

fn list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    for item in items.iter().take(LISTED) {
        write!(f, "\n  {item}")?;
    }
    match items.len().checked_sub(LISTED) {
        None | Some(0) => Ok(()),
        Some(more) => write!(f, "\n  and {more} more"),
    }
}

impl Error for Violation {}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, spawned at {}, {}",
            self.id, self.spawned_at, self.state
        )
    }
}

impl fmt::Display for ResourceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, owned at {}", self.name, self.owned_at)?;
        match self.state {
            ResourceState::Held => Ok(()),
            ResourceState::Kept => f.write_str(", without a proof"),
            ResourceState::Closing => f.write_str(", about to be closed"),
            ResourceState::Lost => f.write_str(", by a proof that is lost"),
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskState::Running => f.write_str("is running"),
            TaskState::Ready => f.write_str("is ready to run"),
            TaskState::Waits(wait) => write!(f, "waits for {wait}"),
            TaskState::Elsewhere(domain) => write!(f, "runs on {domain}"),
            TaskState::Ending => f.write_str("waits for its children to end"),
            TaskState::Succeeded => f.write_str("has succeeded"),
            TaskState::Failed => f.write_str("has failed"),
        }
    }
}
