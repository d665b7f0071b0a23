//! A part of a chapter's file, edited: put into a copy of the chapter's crate, which then shows what it does.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::block::program_in;
use super::checks::Refusal;
use super::compile::{self, Lines};
use super::limits::{Limits, RUNS};
use super::order::{End, Report};
use super::runs::Run;
use super::stream::{Ending, Event, Page};
use super::supervised::{Supervised, Task};
use super::{Runner, environment};

/// How long the tests of a chapter may take.
const TESTS: Duration = Duration::from_secs(120);

/// A part of a chapter's file, known to be there.
pub(super) struct Excerpt {
    /// The chapter's folder and package.
    chapter: String,
    /// The file in it.
    file: String,
    anchor: String,
    /// The example that it belongs to.
    example: Option<String>,
}

impl Excerpt {
    /// Reads `chapters/ch02-scheduler/src/wake.rs:waker`, and makes sure that this is a part of a chapter.
    pub(super) fn parse(root: &Path, place: &str) -> Result<Self, Refusal> {
        let refuse = |why: String| Refusal::content(format!("`{place}`: {why}"));
        let (path, anchor) = place
            .split_once(':')
            .ok_or_else(|| refuse("no anchor is named".to_owned()))?;
        let parts: Option<Vec<&str>> = Path::new(path)
            .components()
            .map(|part| match part {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .collect();
        let plain = parts
            .filter(|parts| parts.join("/") == path && path.ends_with(".rs"))
            .ok_or_else(|| refuse("this is no path of a chapter's file".to_owned()))?;
        let ["chapters", chapter, file @ ..] = plain.as_slice() else {
            return Err(refuse(
                "only files below chapters/ can be edited".to_owned(),
            ));
        };
        // A link may lead out of the chapter.
        let home = root.join("chapters").join(chapter);
        let inside = fs::canonicalize(root.join(path)).and_then(|real| {
            fs::canonicalize(&home).map(|home| real.is_file() && real.starts_with(home))
        });
        if !matches!(inside, Ok(true)) {
            return Err(refuse("there is no such file in the chapter".to_owned()));
        }
        let text =
            fs::read_to_string(root.join(path)).map_err(|error| refuse(error.to_string()))?;
        book::with_anchor_replaced(&text, Path::new(path), anchor, "").map_err(refuse)?;
        let example = match file {
            ["examples", name] => name.strip_suffix(".rs").map(str::to_owned),
            ["examples", below @ ..] => {
                let user = user_of(&home.join("examples"), below)
                    .map_err(|error| refuse(error.to_string()))?;
                Some(user.ok_or_else(|| refuse("no example has this file as a part".to_owned()))?)
            }
            _ => None,
        };
        Ok(Self {
            chapter: (*chapter).to_owned(),
            file: file.join("/"),
            anchor: anchor.to_owned(),
            example,
        })
    }
}

/// The example that a file below `examples` belongs to: that of its folder, or the first that says `#[path = "…"]` of it.
fn user_of(examples: &Path, file: &[&str]) -> io::Result<Option<String>> {
    if let [folder, ..] = file
        && examples.join(folder).join("main.rs").is_file()
    {
        return Ok(Some((*folder).to_owned()));
    }
    let part = format!("#[path = {:?}]", file.join("/"));
    let mut users = Vec::new();
    for entry in fs::read_dir(examples)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "rs")
            && fs::read_to_string(&path)?.contains(&part)
        {
            users.extend(
                path.file_stem()
                    .and_then(|name| name.to_str())
                    .map(str::to_owned),
            );
        }
    }
    Ok(users.into_iter().min())
}

/// Shows what a chapter does with the reader's `code` in it.
pub(super) async fn run(
    runner: &Runner,
    run: &Run,
    page: &Page,
    excerpt: &Excerpt,
    code: &str,
) -> Result<Ending, Ending> {
    let failed =
        |error: io::Error| Ending::failed(format!("the chapter's crate cannot be copied: {error}"));
    let copy = Copy::take(runner, &excerpt.chapter).map_err(failed)?;
    let before = copy.edit(runner, excerpt, code)?;
    let lines = Lines {
        file: &excerpt.file,
        before,
        count: code.lines().count(),
    };
    let name = excerpt.file.rsplit('/').next().unwrap_or(&excerpt.file);
    let manifest = copy.folder.join("Cargo.toml").display().to_string();
    let target = format!(
        "--target-dir={}",
        copy.folder.with_extension("target").display()
    );
    let mut arguments = match &excerpt.example {
        Some(example) => {
            page.note(format!(
                "building the example {example} of {} with your {name}",
                excerpt.chapter
            ))
            .await;
            vec!["build", "--example", example]
        }
        None => {
            page.note(format!(
                "running the tests of {} with your {name}",
                excerpt.chapter
            ))
            .await;
            vec!["test", "--lib", "--tests"]
        }
    };
    // Nobody debugs a copy, and without what a debugger needs it is built sooner.
    let rest = [
        "--offline",
        "--config=profile.dev.debug=0",
        "--manifest-path",
        &manifest,
        &target,
    ];
    arguments.extend(rest);
    let mut building = arguments.clone();
    if excerpt.example.is_none() {
        building.push("--no-run");
    }
    let mut compiled = {
        let _turn = runner.turn(run, page).await?;
        let started = Instant::now();
        let reason = "compiling a copy of the chapter's crate";
        let compiled =
            compile::cargo(run, page, &runner.root, &building, Some(&lines), reason).await?;
        if compiled.well {
            let ms = started.elapsed().as_millis();
            page.send(Event::Compiled { ms }).await;
        }
        compiled
    };
    if !compiled.well {
        return Ok(Ending::new("compile", "did not compile"));
    }
    if excerpt.example.is_some() {
        let Some(program) = compiled.programs.pop() else {
            return Err(Ending::failed("cargo built no program"));
        };
        let limits = Limits::program(book::RUN_LIMIT);
        let (outcome, panicked) = program_in(run, page, program, Vec::new(), limits).await?;
        return Ok(outcome.said(panicked, "an example"));
    }
    tests(runner, run, page, &arguments).await
}

/// Runs the tests that were just built.
async fn tests(
    runner: &Runner,
    run: &Run,
    page: &Page,
    arguments: &[&str],
) -> Result<Ending, Ending> {
    let mut environment = environment::tools();
    environment.insert("TMPDIR".to_owned(), run.work().display().to_string());
    let task = Task {
        program: compile::cargo_program(),
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        environment,
        place: &runner.root,
        limits: Limits {
            // The tests of a chapter open more than a block does, and cargo is among them.
            descriptors: None,
            memory: None,
            file: Limits::compiler().file,
            ..Limits::program(TESTS)
        },
    };
    let mut supervised = Supervised::start(run, task).await.map_err(Ending::failed)?;
    loop {
        match supervised.next().await {
            Report::Out(text) => page.send(Event::Out { text }).await,
            Report::Err(text) => page.send(Event::Err { text }).await,
            Report::End(end) => {
                return Ok(match end {
                    End::Exit(0) => Ending {
                        code: Some(0),
                        ..Ending::new("exit", "the chapter's tests pass")
                    },
                    End::Exit(code) => Ending {
                        code: Some(code),
                        ..Ending::new("exit", "the chapter's tests fail")
                    },
                    End::Signal(signal) => Ending {
                        signal: Some(signal),
                        ..Ending::new("signal", format!("ended by signal {signal}"))
                    },
                    End::Time => Ending::new(
                        "time",
                        format!(
                            "stopped after {} s: the tests may run that long",
                            TESTS.as_secs()
                        ),
                    ),
                    End::Output => Ending::new("output", "stopped: the tests printed too much"),
                    End::Stopped => compile::stopped(),
                    End::Failed(why) => Ending::failed(why),
                });
            }
        }
    }
}

/// A copy of a chapter's crate that nobody else uses now. What was built of it stays for the next.
struct Copy {
    folder: PathBuf,
    _lock: File,
}

impl Copy {
    /// Takes the first copy that is free, also among those of another `cargo book`, and makes it what the chapter is.
    fn take(runner: &Runner, chapter: &str) -> io::Result<Self> {
        let copies = runner.target().join("book-run");
        fs::create_dir_all(&copies)?;
        // Each run has one at most; twice as many will do for two servers.
        for n in 1..=2 * RUNS {
            let folder = copies.join(format!("{chapter}-{n}"));
            let lock = File::create(folder.with_extension("lock"))?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let from = runner.root.join("chapters").join(chapter);
            let mut there = BTreeSet::new();
            bring_over(&from, &folder, &mut there)?;
            let manifest = fs::read_to_string(from.join("Cargo.toml"))?;
            // By itself, although it lies inside the book's workspace.
            write_if_new(
                &folder.join("Cargo.toml"),
                format!("{manifest}\n[workspace]\n").as_bytes(),
            )?;
            // The same versions as the chapter's own, which are on this machine already.
            let (locked, own) = (runner.root.join("Cargo.lock"), folder.join("Cargo.lock"));
            if locked.exists() {
                fs::copy(locked, own)?;
            }
            there.insert(folder.join("Cargo.lock"));
            sweep(&folder, &there)?;
            return Ok(Self {
                folder,
                _lock: lock,
            });
        }
        Err(io::Error::other("all copies are in use"))
    }

    /// Puts the code in its place, and says how many lines stand before it.
    fn edit(&self, runner: &Runner, excerpt: &Excerpt, code: &str) -> Result<usize, Ending> {
        let original = runner
            .root
            .join("chapters")
            .join(&excerpt.chapter)
            .join(&excerpt.file);
        let failed = |error: io::Error| {
            Ending::failed(format!("{} cannot be edited: {error}", excerpt.file))
        };
        let text = fs::read_to_string(&original).map_err(failed)?;
        let (edited, first) =
            book::with_anchor_replaced(&text, Path::new(&excerpt.file), &excerpt.anchor, code)
                .map_err(Ending::failed)?;
        write_if_new(&self.folder.join(&excerpt.file), edited.as_bytes()).map_err(failed)?;
        Ok(first - 1)
    }
}

/// Makes `to` hold what `from` holds. What is the same is left alone, so that cargo does not build it again.
fn bring_over(from: &Path, to: &Path, there: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" {
                bring_over(&entry.path(), &target, there)?;
            }
        } else {
            if entry.file_name() != "Cargo.toml" {
                write_if_new(&target, &fs::read(entry.path())?)?;
            }
            there.insert(target);
        }
    }
    Ok(())
}

fn write_if_new(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    fs::write(path, content)
}

/// Removes the files that the chapter no longer has.
fn sweep(folder: &Path, there: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            sweep(&path, there)?;
        } else if !there.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Excerpt;

    #[test]
    fn a_part_of_several_examples_is_shown_by_the_first() {
        let root = book::root().expect("the tests are in the book");
        for (place, example) in [
            ("src/wake.rs:handle", None),
            ("examples/todo_list.rs:run_all", Some("todo_list")),
            ("examples/common/letter.rs:letter", Some("run_queue")),
        ] {
            let excerpt = Excerpt::parse(&root, &format!("chapters/ch02-scheduler/{place}"));
            let excerpt = excerpt.expect("it is there");
            assert_eq!(excerpt.example.as_deref(), example, "{place}");
        }
    }
}
