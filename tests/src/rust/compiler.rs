//! The stagehand as compiler.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use serde::Deserialize;

use super::order::{Diagnostic, Order, Refused, Report};
use super::runner::script;
use crate::fence::Must;
use crate::process::{End, Finished, finish, in_a_session};

/// The compiler that built the tests, and so the libraries that blocks link with.
const RUSTC: &str = env!("BOOK_TESTS_RUSTC");

/// More than any block needs, less than anybody would wait.
const LIMIT: Duration = Duration::from_secs(120);

/// What blocks are called in the messages of the compiler and in panics.
pub(super) const SHOWN_AS: &str = "block.rs";

/// Beside the chapters' own crates, what a block may use. Whatever else the tests depend on, a reader has not.
const CRATES: [&str; 2] = ["mio", "tokio"];

/// Compiles a block; anything else is handed on to the compiler as it is.
pub(super) fn compile(arguments: &[OsString]) -> io::Result<ExitCode> {
    let block = arguments.iter().find_map(|argument| {
        let path = Path::new(argument);
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        let source = is_source.then(|| fs::read_to_string(path).ok()).flatten()?;
        Some((path, Order::find_in(&source)?))
    });
    let Some((source, order)) = block else {
        return Err(Command::new(RUSTC).args(arguments).exec());
    };
    let program = arguments
        .iter()
        .skip_while(|argument| *argument != "-o")
        .nth(1)
        .map(Path::new)
        .ok_or_else(|| io::Error::other("skeptic named no output"))?;

    let mut rustc = in_a_session(&std::env::current_exe()?, RUSTC);
    // skeptic 0.14 knows no edition after 2021, and takes what it does not know for 2021.
    let mut given = arguments.iter();
    while let Some(argument) = given.next() {
        let text = argument.to_string_lossy();
        if text == "--extern" {
            let library = given
                .next()
                .map(|library| library.to_string_lossy())
                .unwrap_or_default();
            if may_be_used(&library) {
                rustc.args(["--extern", &library]);
            }
        } else if !text.starts_with("--edition") && text != "--verbose" {
            rustc.arg(argument);
        }
    }
    rustc.arg(format!("--edition={}", order.edition));
    rustc.args([
        "--crate-name=block",
        "--error-format=json",
        "-Cdebuginfo=0",
        "-Cstrip=debuginfo",
    ]);
    let mut remap = OsString::from("--remap-path-prefix=");
    remap.push(source);
    remap.push(format!("={SHOWN_AS}"));
    rustc.arg(remap);

    let finished = finish(rustc, LIMIT)?;
    match judge(&order.must, &finished) {
        Ok(()) => {
            let compiled = match order.must {
                Must::RunWell | Must::Panic => fs::read(program)?,
                Must::Compile | Must::NotCompile(_) => Vec::new(),
            };
            fs::write(program, script(&order, &compiled)?)?;
            fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refused) => {
            Report::Refused.leave(&order.id, &refused)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Is this `name=path` a crate that blocks may use?
fn may_be_used(library: &str) -> bool {
    let name = library.split('=').next().unwrap_or_default();
    let is_chapter = name.strip_prefix("ch").is_some_and(|rest| {
        rest.len() > 3
            && rest.bytes().take(2).all(|b| b.is_ascii_digit())
            && rest[2..].starts_with('_')
    });
    is_chapter || CRATES.contains(&name)
}

/// Did the compiler do what the page promises?
fn judge(must: &Must, finished: &Finished) -> Result<(), Refused> {
    if finished.end == End::TimeOver {
        return Err(Refused::TimeOver);
    }
    let errors = errors(&finished.stderr);
    match must {
        _ if finished.end == End::Exited(0) => match must {
            Must::NotCompile(_) => Err(Refused::Compiled),
            Must::RunWell | Must::Panic | Must::Compile => Ok(()),
        },
        // No error to show, and no success: the linker, say, or a compiler that crashed.
        _ if errors.is_empty() => Err(Refused::Broken(finished.stderr.clone())),
        Must::NotCompile(code) if errors.iter().all(|error| error.code == *code) => Ok(()),
        _ => Err(Refused::Errors(errors)),
    }
}

/// The errors among what the compiler prints as JSON, a line each.
fn errors(stderr: &str) -> Vec<Diagnostic> {
    #[derive(Deserialize)]
    struct Line {
        message: String,
        code: Option<Code>,
        level: String,
        spans: Vec<Span>,
        rendered: Option<String>,
    }
    #[derive(Deserialize)]
    struct Code {
        code: String,
    }
    #[derive(Deserialize)]
    struct Span {
        is_primary: bool,
        line_start: usize,
    }
    stderr
        .lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok())
        .filter(|line| line.level == "error" && !line.message.starts_with("aborting due to"))
        .map(|line| Diagnostic {
            line: line
                .spans
                .iter()
                .find(|span| span.is_primary)
                .map(|span| span.line_start),
            rendered: line.rendered.unwrap_or_else(|| line.message.clone()),
            message: line.message,
            code: line.code.map(|code| code.code),
        })
        .collect()
}
