//! What the test tells the stagehand about a block, and what it hears back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fence::Must;

/// The last line of the source begins with this; so the order is part of what `skeptic` keeps a program by.
const MARK: &str = "// book-tests: ";

/// Where the stagehand leaves its reports.
pub(super) const REPORTS: &str = "BOOK_TESTS_REPORTS";

/// What is to be done with a block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    /// Raised when the script or its meaning changes, so that no older one is found in the cache.
    pub(super) version: u32,
    /// Names the reports. It does not depend on the block's line: what moves is not compiled again.
    pub(super) id: String,
    pub(super) edition: String,
    pub(super) must: Must,
    pub(super) limit_ms: u64,
}

pub(super) const VERSION: u32 = 1;

impl Order {
    pub(super) fn append_to(&self, source: &str) -> io::Result<String> {
        let newline = if source.ends_with('\n') { "" } else { "\n" };
        Ok(format!(
            "{source}{newline}{MARK}{}\n",
            serde_json::to_string(self)?
        ))
    }

    /// The order at the end of a source file; none if it is not a block of ours.
    pub(super) fn find_in(source: &str) -> Option<Self> {
        let line = source.lines().last()?;
        serde_json::from_str(line.strip_prefix(MARK)?).ok()
    }
}

/// What the compiler said, if it did not do what the page promises.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Refused {
    /// These errors, where none, or others, were promised.
    Errors(Vec<Diagnostic>),
    /// It compiled, but the page says that it does not.
    Compiled,
    /// The compiler did not come to an end.
    TimeOver,
    /// The compiler broke down and said this.
    Broken(String),
}

/// One error of the compiler.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Diagnostic {
    pub(super) message: String,
    pub(super) code: Option<String>,
    /// The line of the block, counted from 1.
    pub(super) line: Option<usize>,
    /// As the compiler would have printed it.
    pub(super) rendered: String,
}

/// The two reports of a block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Report {
    Refused,
    Ran,
}

impl Report {
    fn path(self, reports: &Path, id: &str) -> PathBuf {
        reports.join(match self {
            Self::Refused => format!("{id}.refused.json"),
            Self::Ran => format!("{id}.ran.json"),
        })
    }

    /// Leaves a report in the folder that the test named.
    pub(super) fn leave<T: Serialize>(self, id: &str, report: &T) -> io::Result<()> {
        fs::write(self.path(&reports()?, id), serde_json::to_vec(report)?)
    }

    /// Takes a report away; none if the stagehand left none.
    pub(super) fn take<T: DeserializeOwned>(
        self,
        reports: &Path,
        id: &str,
    ) -> io::Result<Option<T>> {
        let path = self.path(reports, id);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        fs::remove_file(path)?;
        Ok(Some(serde_json::from_slice(&bytes)?))
    }
}

pub(super) fn reports() -> io::Result<PathBuf> {
    std::env::var_os(REPORTS)
        .map(PathBuf::from)
        .ok_or_else(|| io::Error::other(format!("{REPORTS} is not set")))
}
