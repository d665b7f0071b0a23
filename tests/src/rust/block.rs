//! A Rust block of a page, and whether it keeps its promise.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::compiler::SHOWN_AS;
use super::host::Host;
use super::order::{Diagnostic, Order, Refused, Report, VERSION};
use super::source::Lines;
use crate::fence::{self, Must};
use crate::process::{End, Finished};
use crate::transcript::{compare, indented, side_by_side};

/// The exit status of a program that panicked.
const PANICKED: i32 = 101;

/// A Rust block with what its page says about it.
#[derive(Debug)]
pub(crate) struct RustBlock {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) lines: Lines,
    pub(crate) fence: fence::Rust,
    pub(crate) text: String,
    /// The `text,output` block after it: its lines in the file, and its text.
    pub(crate) output: Option<(Lines, String)>,
    /// How many blocks before it are the same in every letter.
    pub(crate) nth: usize,
}

impl RustBlock {
    /// Compiles and runs it.
    pub(crate) fn check(&self, host: &Host) -> Result<(), String> {
        if self.output.is_some()
            && self.fence.must != Must::RunWell
            && self.fence.must != Must::Panic
        {
            return self.fail("an output is shown, but the block is not run");
        }
        let program = book::program(&book::unhidden(&self.text, self.fence.hidden.as_deref()));
        let order = self.order(&program);
        let source = order
            .append_to(&program)
            .map_err(|error| error.to_string())?;
        let reports = host.reports();
        let read = |error| format!("{}:{}: no report: {error}", self.file, self.line);
        loop {
            // `skeptic` wants the manifest of the tests, a folder below the target folder, and the target.
            let (manifest, target) = (env!("CARGO_MANIFEST_DIR"), env!("BOOK_TESTS_OUT_DIR"));
            let skeptic = catch_unwind(AssertUnwindSafe(|| {
                skeptic::rt::run_test(manifest, target, env!("BOOK_TESTS_TARGET"), &source);
            }));
            if let Some(refused) = Report::Refused.take(reports, &order.id).map_err(read)? {
                return self.refused(&refused);
            }
            let ran: Option<Finished> = Report::Ran.take(reports, &order.id).map_err(read)?;
            match (skeptic, ran) {
                (Ok(()), None) if !self.runs() => return Ok(()),
                (Ok(()), Some(ran)) => return self.ran(&ran),
                (Ok(()), None) => return self.fail("it was not run, and nobody said why"),
                (Err(panic), _) => {
                    let message = panic
                        .downcast_ref::<String>()
                        .map_or("skeptic panicked", String::as_str);
                    // Another thread started a process while the program was being written, and held it open.
                    if !message.contains("Text file busy") {
                        // It goes on with the whole command, and that is long.
                        let message: String = message.chars().take(300).collect();
                        return self.fail(&format!("skeptic could not test it: {message} …"));
                    }
                }
            }
        }
    }

    fn runs(&self) -> bool {
        matches!(self.fence.must, Must::RunWell | Must::Panic)
    }

    fn order(&self, program: &str) -> Order {
        let mut hasher = DefaultHasher::new();
        (&self.file, program, self.nth).hash(&mut hasher);
        Order {
            version: VERSION,
            id: format!("{:016x}", hasher.finish()),
            edition: self.fence.edition.clone(),
            must: self.fence.must.clone(),
            limit_ms: u64::try_from(self.fence.limit.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn fail(&self, message: &str) -> Result<(), String> {
        Err(format!("{}:{}: {message}", self.file, self.line))
    }

    fn refused(&self, refused: &Refused) -> Result<(), String> {
        let errors = match refused {
            Refused::Errors(errors) => errors,
            Refused::TimeOver => return self.fail("the compiler did not end within 120 s"),
            Refused::Compiled => {
                return self.fail("it compiles, but the page says `compile_fail`");
            }
            Refused::Broken(message) => {
                return self.fail(&format!("the compiler failed without an error:\n{message}"));
            }
        };
        let (line, first) = self.first(errors);
        let rendered: String = errors
            .iter()
            .map(|error| self.in_the_file(&error.rendered))
            .collect();
        let what = match &self.fence.must {
            Must::RunWell | Must::Compile => "does not compile".to_owned(),
            Must::Panic => "does not compile, so it cannot be seen to panic".to_owned(),
            Must::NotCompile(Some(code)) => format!("fails to compile, but not with {code} alone"),
            Must::NotCompile(None) => {
                "fails to compile, but with an error that has a code; add it to \
                                       `compile_fail`"
                    .to_owned()
            }
        };
        Err(format!("{}:{line}: {what}: {first}\n{rendered}", self.file))
    }

    /// Line and message of the first error that was not promised.
    fn first(&self, errors: &[Diagnostic]) -> (usize, String) {
        let promised = |error: &&Diagnostic| match &self.fence.must {
            Must::NotCompile(code) => error.code != *code,
            Must::RunWell | Must::Compile | Must::Panic => true,
        };
        let Some(error) = errors.iter().find(promised) else {
            return (self.line, String::new());
        };
        let line = error.line.map_or(self.line, |line| self.lines.at(line));
        let code = error.code.as_ref().map(|code| format!("[{code}]"));
        (
            line,
            format!("error{}: {}", code.unwrap_or_default(), error.message),
        )
    }

    fn ran(&self, ran: &Finished) -> Result<(), String> {
        let printed = format!("{}{}", ran.stdout, self.in_the_file(&ran.stderr));
        let said = format!("\n  it printed:\n{}", indented(&printed));
        match (ran.end, &self.fence.must) {
            (End::TimeOver, _) => {
                let limit = self.fence.limit.as_secs();
                return self.fail(&format!("did not end within {limit} s{said}"));
            }
            (End::Killed(signal), _) => {
                return self.fail(&format!("was killed by signal {signal}{said}"));
            }
            (End::Exited(0), Must::Panic) => {
                return self.fail(&format!(
                    "ended well, but the page says that it panics{said}"
                ));
            }
            (End::Exited(PANICKED), Must::Panic) if ran.stderr.contains("panicked at") => {}
            (End::Exited(status), Must::Panic) => {
                return self.fail(&format!(
                    "ended with status {status}, but not by a panic{said}"
                ));
            }
            (End::Exited(0), _) => {}
            (End::Exited(status), _) => {
                let line = self.panic_line(&ran.stderr).unwrap_or(self.line);
                let how = if status == PANICKED {
                    "panicked"
                } else {
                    "failed"
                };
                return Err(format!(
                    "{}:{line}: {how}: exit status {status}{said}",
                    self.file
                ));
            }
        }
        if ran.left_behind > 0 {
            let n = ran.left_behind;
            return self.fail(&format!(
                "left a process behind: {n} still ran when it had ended"
            ));
        }
        let Some((lines, shown)) = &self.output else {
            return Ok(());
        };
        let shown: Vec<&str> = shown.lines().collect();
        compare(&shown, &ran.stdout).map_err(|at| {
            format!(
                "{}:{}: the block of line {} prints something else\n{}",
                self.file,
                lines.at(at + 1),
                self.line,
                side_by_side(&shown, &ran.stdout)
            )
        })
    }

    /// The line of the file where the first panic in the block's own text happened.
    fn panic_line(&self, stderr: &str) -> Option<usize> {
        let (_, rest) = stderr.split_once(&format!(" panicked at {SHOWN_AS}:"))?;
        Some(self.lines.at(rest.split(':').next()?.parse().ok()?))
    }

    /// Leads the places `block.rs:3` in a text to the file and its lines.
    fn in_the_file(&self, text: &str) -> String {
        let place = format!("{SHOWN_AS}:");
        let mut parts = text.split(&place);
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let line = part[..digits]
                .parse()
                .map_or(self.line, |line| self.lines.at(line));
            result.push_str(&format!("{}:{line}{}", self.file, &part[digits..]));
        }
        result
    }
}
