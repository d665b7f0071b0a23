//! A fault in the text, and where it is.

use std::fmt;
use std::path::PathBuf;

/// Something wrong in the book, with the place to mend it.
///
/// Displayed as `src/ch02-scheduler.md:120: no anchor …`, which editors and terminals turn into a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file to change, relative to the root of the book.
    pub file: PathBuf,
    /// The line in it, counted from 1.
    pub line: usize,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(file: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = crate::paths::shown(&self.file);
        write!(f, "{file}:{}: {}", self.line, self.message)
    }
}

impl std::error::Error for Problem {}
