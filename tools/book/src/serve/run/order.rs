//! What the server tells the supervisor, and what it hears back: JSON, a line each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::limits::Limits;

/// What is to be run, and how.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The whole environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it starts.
    pub(crate) place: PathBuf,
    /// A folder of this run alone: removed if the server is no longer there to do so.
    pub(crate) remove: Option<PathBuf>,
    pub(crate) limits: Limits,
}

/// What the supervisor reports.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    Out(String),
    Err(String),
    End(End),
}

/// How a supervised process ended, and with it everything that it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Exit(i32),
    Signal(i32),
    Time,
    Output,
    /// The server asked for it, or is gone.
    Stopped,
    Failed(String),
}
