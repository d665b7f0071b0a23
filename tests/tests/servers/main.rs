//! The server suite: drives the echo server of every chapter from outside, over real sockets.
//!
//! [`properties`] has the table: what a server does, from which chapter on, and what it does before.
//! Each pair of a chapter and a property is a test, such as `ch03-system-events::two_clients_at_once`;
//! a new folder in `chapters/` is covered without a word here. The last chapter's server passes a small
//! soak, too: `src/soak/` does it at length. [`self_test`] holds the suite itself to
//! its word, with servers that are wrong on purpose.
//!
//! Every wait has an end, every server dies with its test, every port is chosen by the system or lies
//! where the system chooses none, and nothing leaves the loopback interface.

mod bad;
mod properties;
mod self_test;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use book_tests::servers::{Program, Result, allow_descriptors, chapters};
use book_tests::soak;
use libtest_mimic::{Arguments, Failed, Trial};

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
    // One crowd of five hundred (they come one at a time, see `properties::crowd`) beside fifteen others of
    // up to eighty clients stay below this number.
    allow_descriptors(2048)?;
    let mut trials = Vec::new();
    let chapters: Vec<_> = chapters()?.into_iter().map(Arc::new).collect();
    if let Some(last) = chapters.last().map(Arc::clone) {
        let name = format!("{}::a_small_soak", last.name);
        let run = move || Ok(a_small_soak(&Program::new(last.server()?).with_domains(2))?);
        trials.push(Trial::test(name, run));
    }
    for chapter in chapters {
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

/// A second of everything at once. What it finds is another matter on each run; its message has the seed.
fn a_small_soak(program: &Program) -> Result {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = now.map_or(0, |now| now.as_secs() % 1_000_000);
    soak::run(
        program,
        &soak::Options::new(Duration::from_secs(1), seed),
        |_| {},
    )
}
