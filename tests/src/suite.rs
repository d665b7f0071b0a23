//! Checks as tests of a run.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::rust::Host;
use crate::{Check, Place};

/// The tests of one run, in a process where `skeptic` works.
#[derive(Debug)]
pub struct Suite {
    arguments: Arguments,
    place: Place,
    host: Arc<Host>,
    trials: Vec<Trial>,
}

impl Suite {
    /// Prepares this process; it may start itself anew.
    ///
    /// # Errors
    ///
    /// When it cannot.
    pub fn new(place: Place) -> std::io::Result<Self> {
        // First, because it ends the process if they are wrong, and a host has something to clean up.
        let arguments = Arguments::from_args();
        let host = Arc::new(Host::start(&place)?);
        Ok(Self {
            arguments,
            place,
            host,
            trials: Vec::new(),
        })
    }

    /// Adds a test of its own.
    pub fn add(
        &mut self,
        name: &str,
        test: impl FnOnce(&Place, &Host) -> Result<(), String> + Send + 'static,
    ) {
        let (place, host) = (self.place.clone(), Arc::clone(&self.host));
        self.trials.push(Trial::test(name, move || {
            test(&place, &host).map_err(Failed::from)
        }));
    }

    /// Adds a check that must find nothing wrong.
    pub fn add_check(&mut self, check: Check) {
        let (place, host) = (self.place.clone(), Arc::clone(&self.host));
        let (name, kind) = (check.name(), check.kind());
        let trial = Trial::ignorable_test(name, move || match check.run(&place, &host)? {
            None => Ok(Completion::Completed),
            Some(reason) => {
                // Among the results it is one line of many; so say it once more where it stands out.
                eprintln!("NOT TESTED: {}: {reason}", check.name());
                Ok(Completion::ignored_with(reason))
            }
        });
        self.trials.push(trial.with_kind(kind));
    }

    /// Adds a check that must find exactly what its fixture says is wrong with it: each part of the message.
    pub fn add_lie(&mut self, check: Check, caught: Vec<String>) {
        let (place, host) = (self.place.clone(), Arc::clone(&self.host));
        let (name, kind) = (check.name(), check.kind());
        let trial = Trial::test(name, move || {
            let message = match check.run(&place, &host) {
                Err(message) => message,
                Ok(Some(reason)) => return Err(format!("it was skipped: {reason}").into()),
                Ok(None) => return Err("the lie was not caught".into()),
            };
            let (file, line) = (check.file(), check.line());
            // The first line must lead to the block; which of its lines, the fixture may say.
            if !message.starts_with(&format!("{file}:")) {
                return Err(
                    format!("the message does not begin with {file}:{line}: {message}").into(),
                );
            }
            for part in caught {
                let part = with_lines(&part, line);
                if !message.contains(&part) {
                    return Err(format!("the message does not say {part:?}:\n{message}").into());
                }
            }
            Ok(())
        });
        self.trials.push(trial.with_kind(kind));
    }

    /// Runs them all.
    pub fn run(self) -> ExitCode {
        libtest_mimic::run(&self.arguments, self.trials).exit_code()
    }
}

/// Puts the line of the fence for `LINE`, and a line of the block for `LINE+2`.
fn with_lines(part: &str, fence: usize) -> String {
    let mut pieces = part.split("LINE");
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let offset = piece.strip_prefix('+').unwrap_or_default();
        let digits = offset.len()
            - offset
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        let plus: usize = offset[..digits].parse().unwrap_or_default();
        let rest = if digits > 0 { &offset[digits..] } else { piece };
        result.push_str(&format!("{}{rest}", fence + plus));
    }
    result
}

/// What a fixture says, above a block, must be caught about it: `<!-- caught: one part | another -->`.
pub fn expectation(file: &Path, line: usize) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(file).ok()?;
    let above = text
        .lines()
        .take(line - 1)
        .filter(|line| !line.trim().is_empty())
        .last()?;
    let parts = above
        .trim()
        .strip_prefix("<!-- caught:")?
        .strip_suffix("-->")?;
    Some(
        parts
            .split(" | ")
            .map(|part| part.trim().to_owned())
            .collect(),
    )
}
