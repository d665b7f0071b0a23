//! The server suite: drives the echo server of every chapter from outside, over real sockets.
//!
//! [`properties`] has the table: what a server does, from which chapter on, and what it does before.
//! Each pair of a chapter and a property is a test, such as `ch03-system-events::two_clients_at_once`;
//! a new folder in `chapters/` is covered without a word here. [`self_test`] holds the suite itself to
//! its word, with servers that are wrong on purpose.
//!
//! Every wait has an end, every server dies with its test, every port is chosen by the system or lies
//! where the system chooses none, and nothing leaves the loopback interface.

mod bad;
mod chapters;
mod client;
mod program;
mod properties;
mod self_test;
mod usage;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::program::Program;

/// What a step of a test comes to: something, or what went wrong in words.
type Result<T = ()> = std::result::Result<T, String>;

fn main() -> ExitCode {
    // The suite's own bad servers are this program, too.
    if let Some(bad) = std::env::var_os(bad::VARIABLE) {
        return bad::serve(&bad.to_string_lossy());
    }
    let mut args = Arguments::from_args();
    // Most of what happens here is waiting, which many tests can do on one core. Not too many: see
    // `allow_descriptors`.
    args.test_threads = args.test_threads.or(Some(16));
    match trials() {
        Ok(trials) => libtest_mimic::run(&args, trials).exit_code(),
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn trials() -> Result<Vec<Trial>> {
    allow_descriptors()?;
    let mut trials = Vec::new();
    for chapter in chapters::all()? {
        let chapter = Arc::new(chapter);
        for property in properties::TABLE {
            let (check, kind) = property.for_chapter(&chapter.name);
            let name = format!("{}::{}", chapter.name, property.name);
            let chapter = Arc::clone(&chapter);
            let run = move || {
                let mut program = Program::new(chapter.server()?);
                if chapter.name.as_str() >= "ch05" {
                    // As many on every machine.
                    program = program.with_domains(2);
                }
                check(&program).map_err(|wrong| program.explain(&wrong))?;
                Ok(())
            };
            trials.push(Trial::test(name, run).with_kind(kind));
        }
    }
    for (name, run) in self_test::all() {
        let run = move || run().map_err(Failed::from);
        trials.push(Trial::test(format!("self_test::{name}"), run));
    }
    Ok(trials)
}

/// A crowd of five hundred needs more descriptors than many systems allow a program at first, and so do
/// many tests at once. All of them let it ask for more. One crowd (they come one at a time, see
/// `properties::crowd`) beside fifteen others of up to eighty clients stay below this number.
fn allow_descriptors() -> Result {
    const NEEDED: u64 = 2048;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= NEEDED) {
        return Ok(());
    }
    let allowed = Rlimit {
        current: Some(NEEDED.min(maximum.unwrap_or(NEEDED))),
        maximum,
    };
    setrlimit(Resource::Nofile, allowed)
        .ok()
        .filter(|()| maximum.is_none_or(|maximum| maximum >= NEEDED))
        .ok_or_else(|| {
            format!(
                "this suite needs {NEEDED} open files at once: see `ulimit -n` and `ulimit -Hn`"
            )
        })
}
