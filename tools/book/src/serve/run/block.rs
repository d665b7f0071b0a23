//! A block of a page: compiled with the book's crates, and run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use book::{Must, RustFence};
use serde::Deserialize;

use super::compile::{self, Compiled, Lines};
use super::limits::Limits;
use super::order::{End, Report};
use super::runs::Run;
use super::stream::{Ending, Event, Page};
use super::supervised::{Supervised, Task};
use super::{Runner, environment};

/// What a block is called in messages and panics.
const SHOWN_AS: &str = "block.rs";
/// The exit status of a program that panicked.
const PANICKED: i32 = 101;
/// The package whose dependencies a block may use.
const PLAYGROUND: &str = "tools/playground/Cargo.toml";

/// Compiles and runs a block, and says how that ended.
pub(super) async fn run(
    runner: &Runner,
    run: &Run,
    page: &Page,
    fence: &RustFence,
    code: &str,
) -> Result<Ending, Ending> {
    let program = run.folder().join("block");
    let compiled = {
        let _turn = runner.turn(run, page).await?;
        let libraries = libraries(runner, run, page).await?;
        let started = Instant::now();
        let compiled = compile_block(runner, run, page, fence, code, &libraries, &program).await?;
        if compiled.well {
            let ms = started.elapsed().as_millis();
            page.send(Event::Compiled { ms }).await;
        }
        compiled
    };
    if !compiled.well {
        return Ok(refused(&fence.must, &compiled));
    }
    match fence.must {
        Must::NotCompile(_) => {
            return Ok(
                Ending::new("exit", "compiled, but the page says that it does not").expected(false),
            );
        }
        Must::Compile => {
            return Ok(
                Ending::new("exit", "compiled; this block is not meant to be run").expected(true),
            );
        }
        Must::RunWell | Must::Panic => {}
    }
    let limits = Limits::program(fence.limit);
    let (end, panicked) = program_in(run, page, program, Vec::new(), limits).await?;
    Ok(ended(end, panicked, fence))
}

/// The files of the crates that a block may use, built if they are not.
async fn libraries(
    runner: &Runner,
    run: &Run,
    page: &Page,
) -> Result<BTreeMap<String, PathBuf>, Ending> {
    #[derive(Deserialize)]
    struct Manifest {
        dependencies: BTreeMap<String, toml::Value>,
    }
    let manifest = fs::read_to_string(runner.root.join(PLAYGROUND)).map_err(|error| {
        Ending::failed(format!(
            "this book has no {PLAYGROUND}, which lists what a block may use: {error}"
        ))
    })?;
    let manifest: Manifest = toml::from_str(&manifest)
        .map_err(|error| Ending::failed(format!("{PLAYGROUND}: {error}")))?;
    let arguments = ["build", "--package=playground"];
    let reason = "compiling the book's crates, once";
    let mut built = compile::cargo(run, page, &runner.root, &arguments, None, reason).await?;
    let mut libraries = BTreeMap::new();
    for name in manifest.dependencies.keys() {
        let name = name.replace('-', "_");
        let Some(library) = built.libraries.remove(&name) else {
            return Err(Ending::failed(format!("cargo built no library `{name}`")));
        };
        libraries.insert(name, library);
    }
    Ok(libraries)
}

async fn compile_block(
    runner: &Runner,
    run: &Run,
    page: &Page,
    fence: &RustFence,
    code: &str,
    libraries: &BTreeMap<String, PathBuf>,
    program: &Path,
) -> Result<Compiled, Ending> {
    let source = run.folder().join(SHOWN_AS);
    // Its hidden lines have lost their marks on the way into the page.
    fs::write(&source, book::program(code))
        .map_err(|error| Ending::failed(format!("the block cannot be written: {error}")))?;
    let mut arguments = vec![
        source.display().to_string(),
        format!("--edition={}", fence.edition),
        "--crate-name=block".to_owned(),
        "--crate-type=bin".to_owned(),
        "-Cdebuginfo=0".to_owned(),
        "-Cstrip=debuginfo".to_owned(),
        "--error-format=json".to_owned(),
        "--json=diagnostic-rendered-ansi".to_owned(),
        format!("--remap-path-prefix={}={SHOWN_AS}", source.display()),
        format!("-o{}", program.display()),
    ];
    for (name, library) in libraries {
        arguments.push("--extern".to_owned());
        arguments.push(format!("{name}={}", library.display()));
        if let Some(folder) = library.parent() {
            let search = format!("-Ldependency={}", folder.display());
            // A library may stand outside, what it depends on is always in `deps`.
            let deps = format!("-Ldependency={}", folder.join("deps").display());
            for search in [search, deps] {
                if !arguments.contains(&search) {
                    arguments.push(search);
                }
            }
        }
    }
    let lines = Lines {
        file: SHOWN_AS,
        before: 0,
        count: code.lines().count(),
    };
    compile::rustc(run, page, &runner.root, arguments, &lines).await
}

fn refused(must: &Must, compiled: &Compiled) -> Ending {
    let Must::NotCompile(code) = must else {
        return Ending::new("compile", "did not compile").expected(false);
    };
    let as_it_should = compiled.errors.iter().all(|error| error == code);
    let text = match (code, as_it_should) {
        (Some(code), true) => format!("did not compile, with {code}, as it should"),
        (None, true) => "did not compile, as it should".to_owned(),
        (Some(code), false) => format!("did not compile, but not with {code} alone"),
        (None, false) => "did not compile, but with an error that has a code".to_owned(),
    };
    Ending::new("compile", text).expected(as_it_should)
}

/// Runs a program in the run's own folder, and says how it ended and whether it said that it panicked.
pub(super) async fn program_in(
    run: &Run,
    page: &Page,
    program: PathBuf,
    arguments: Vec<String>,
    limits: Limits,
) -> Result<(Outcome, bool), Ending> {
    let mut environment = environment::program();
    let work = run.work().display().to_string();
    environment.insert("TMPDIR".to_owned(), work);
    let task = Task {
        program,
        arguments,
        environment,
        place: run.work(),
        limits: limits.clone(),
    };
    let mut supervised = Supervised::start(run, task).await.map_err(Ending::failed)?;
    let (mut panicked, mut pending) = (false, String::new());
    let (mut listening, mut line) = (Vec::new(), String::new());
    loop {
        match supervised.next().await {
            Report::Out(text) => {
                for line in compile::whole_lines(&mut line, &text) {
                    let address = line.trim().strip_prefix("listening on ");
                    if let Some(Ok(address)) = address.map(str::parse) {
                        run.listens(address);
                        listening.push(address);
                    }
                }
                page.send(Event::Out { text }).await;
                for address in listening.drain(..) {
                    let address = address.to_string();
                    page.send(Event::Listening { address }).await;
                }
            }
            Report::Err(text) => {
                panicked |= compile::whole_lines(&mut pending, &text)
                    .iter()
                    .any(|line| line.contains("panicked at"));
                page.send(Event::Err { text }).await;
            }
            Report::End(end) => return Ok((Outcome { end, limits }, panicked)),
        }
    }
}

/// How a program ended, and what it was allowed.
pub(super) struct Outcome {
    pub(super) end: End,
    limits: Limits,
}

impl Outcome {
    /// As a sentence, for an end that says nothing about what was promised.
    pub(super) fn said(&self, panicked: bool, what: &str) -> Ending {
        match &self.end {
            End::Exit(0) => Ending {
                code: Some(0),
                ..Ending::new("exit", "ended well")
            },
            End::Exit(PANICKED) if panicked => Ending {
                code: Some(PANICKED),
                ..Ending::new("exit", "ended by a panic")
            },
            End::Exit(code) => Ending {
                code: Some(*code),
                ..Ending::new("exit", format!("ended with exit status {code}"))
            },
            End::Signal(signal) => Ending {
                signal: Some(*signal),
                ..Ending::new("signal", format!("was ended by signal {signal}"))
            },
            End::Time => {
                let seconds = self.limits.time.as_secs();
                let text = format!("stopped after {seconds} s: {what} may run that long");
                Ending::new("time", text)
            }
            End::Output => {
                let kib = self.limits.output / 1024;
                let text = format!("stopped after {kib} KiB of output: {what} may print that much");
                Ending::new("output", text)
            }
            End::Stopped => compile::stopped(),
            End::Failed(why) => Ending::failed(why.clone()),
        }
    }
}

fn ended(outcome: Outcome, panicked: bool, fence: &RustFence) -> Ending {
    let mut ending = outcome.said(panicked, "a block");
    match (&outcome.end, &fence.must) {
        (End::Stopped | End::Failed(_), _) => ending,
        (End::Exit(PANICKED), Must::Panic) if panicked => {
            ending.text.push_str(", as it should");
            ending.expected(true)
        }
        (End::Exit(0), Must::Panic) => {
            ending.text.push_str(", but the page says that it panics");
            ending.expected(false)
        }
        (End::Exit(0), _) => ending.expected(true),
        _ => ending.expected(false),
    }
}
