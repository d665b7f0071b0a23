//! Having cargo and the compiler work, and handing on what they say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::environment;
use super::limits::Limits;
use super::order::{End, Report};
use super::runs::Run;
use super::stream::{Ending, Event, Page};
use super::supervised::{Supervised, Task};

/// What a compilation came to.
#[derive(Default)]
pub(super) struct Compiled {
    pub(super) well: bool,
    /// The code of each error, where it has one.
    pub(super) errors: Vec<Option<String>>,
    /// Library files, by the name that a program uses them by.
    pub(super) libraries: BTreeMap<String, PathBuf>,
    pub(super) programs: Vec<PathBuf>,
}

/// Where the reader's lines are: in which file, and how many lines stand before them.
pub(super) struct Lines<'l> {
    pub(super) file: &'l str,
    pub(super) before: usize,
    pub(super) count: usize,
}

#[derive(Deserialize)]
struct Diagnostic {
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
    file_name: String,
    line_start: usize,
}

/// A line of cargo's.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum FromCargo {
    CompilerMessage {
        message: Diagnostic,
    },
    CompilerArtifact {
        target: Target,
        filenames: Vec<PathBuf>,
        executable: Option<PathBuf>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Has the compiler work on one file.
pub(super) async fn rustc(
    run: &Run,
    page: &Page,
    place: &Path,
    arguments: Vec<String>,
    lines: &Lines<'_>,
) -> Result<Compiled, Ending> {
    let program = std::env::var_os("RUSTC").map_or_else(|| "rustc".into(), PathBuf::from);
    let mut compiled = Compiled::default();
    let mut said = String::new();
    let mut pending = String::new();
    let mut supervised = start(run, program, arguments, place).await?;
    let end = loop {
        match supervised.next().await {
            Report::Err(text) => {
                for line in whole_lines(&mut pending, &text) {
                    match serde_json::from_str(&line) {
                        Ok(message) => compiled.take(page, message, lines).await,
                        Err(_) => said.push_str(&line),
                    }
                }
            }
            Report::Out(text) => said.push_str(&text),
            Report::End(end) => break end,
        }
    };
    compiled.ended("the compiler", end, &said)
}

/// Has cargo build or test something, with its messages as JSON.
pub(super) async fn cargo(
    run: &Run,
    page: &Page,
    place: &Path,
    arguments: &[&str],
    lines: Option<&Lines<'_>>,
    reason: &str,
) -> Result<Compiled, Ending> {
    let mut arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
    arguments.push("--message-format=json-diagnostic-rendered-ansi".to_owned());
    let mut compiled = Compiled::default();
    let (mut said, mut told) = (String::new(), false);
    let (mut out, mut err) = (String::new(), String::new());
    let mut supervised = start(run, cargo_program(), arguments, place).await?;
    let end = loop {
        match supervised.next().await {
            Report::Out(text) => {
                for line in whole_lines(&mut out, &text) {
                    match serde_json::from_str(&line) {
                        Ok(FromCargo::CompilerMessage { message }) => {
                            if let Some(lines) = lines {
                                compiled.take(page, message, lines).await;
                            } else if message.level == "error" {
                                said.push_str(&message.rendered.unwrap_or(message.message));
                            }
                        }
                        Ok(FromCargo::CompilerArtifact {
                            target,
                            filenames,
                            executable,
                        }) => compiled.made(&target.name, filenames, executable),
                        Ok(FromCargo::Other) | Err(_) => {}
                    }
                }
            }
            Report::Err(text) => {
                for line in whole_lines(&mut err, &text) {
                    let what = line.trim();
                    let news = ["Compiling", "Downloading", "Downloaded", "Blocking"];
                    if news.iter().any(|news| what.starts_with(news)) {
                        if !told {
                            page.note(reason).await;
                            told = true;
                        }
                        page.note(what).await;
                    } else {
                        said.push_str(&line);
                    }
                }
            }
            Report::End(end) => break end,
        }
    };
    compiled.ended("cargo", end, &said)
}

/// The cargo to call.
pub(super) fn cargo_program() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

async fn start<'r>(
    run: &'r Run,
    program: PathBuf,
    arguments: Vec<String>,
    place: &Path,
) -> Result<Supervised<'r>, Ending> {
    let task = Task {
        program,
        arguments,
        environment: environment::tools(),
        place,
        limits: Limits::compiler(),
    };
    Supervised::start(run, task).await.map_err(Ending::failed)
}

impl Compiled {
    /// Hands a message on, and keeps what it says about the outcome.
    async fn take(&mut self, page: &Page, message: Diagnostic, lines: &Lines<'_>) {
        let summary = [
            "aborting due to",
            "Some errors have",
            "For more information",
        ];
        if summary
            .iter()
            .any(|start| message.message.starts_with(start))
        {
            return;
        }
        // "2 warnings emitted" has no place, and says nothing new.
        if message.level == "warning" && message.spans.is_empty() {
            return;
        }
        if message.level.starts_with("error") {
            self.errors.push(message.code.map(|code| code.code));
        }
        let primary = message.spans.iter().find(|span| span.is_primary);
        let line = primary
            .filter(|span| span.file_name == lines.file)
            .and_then(|span| span.line_start.checked_sub(lines.before))
            .filter(|line| (1..=lines.count).contains(line));
        let level = match message.level.as_str() {
            level @ ("warning" | "note" | "help") => level,
            "failure-note" => "note",
            _ => "error",
        };
        page.send(Event::Message {
            level: level.to_owned(),
            line,
            text: message.rendered.unwrap_or(message.message),
        })
        .await;
    }

    fn made(&mut self, name: &str, files: Vec<PathBuf>, program: Option<PathBuf>) {
        let library = files.into_iter().find(|file| {
            file.extension()
                .is_some_and(|extension| extension == "rlib")
        });
        if let Some(library) = library {
            self.libraries.insert(name.replace('-', "_"), library);
        }
        self.programs.extend(program);
    }

    fn ended(mut self, who: &str, end: End, said: &str) -> Result<Self, Ending> {
        match end {
            End::Exit(0) => self.well = true,
            End::Exit(_) if !self.errors.is_empty() => {}
            End::Exit(_) | End::Signal(_) => {
                return Err(Ending::failed(format!("{who} failed: {}", said.trim())));
            }
            End::Time => return Err(Ending::failed(format!("{who} did not end in ten minutes"))),
            End::Output => return Err(Ending::failed(format!("{who} had too much to say"))),
            End::Stopped => return Err(stopped()),
            End::Failed(why) => return Err(Ending::failed(why)),
        }
        Ok(self)
    }
}

/// The end of a run that was stopped.
pub(super) fn stopped() -> Ending {
    Ending::new("stopped", "stopped")
}

/// The lines that are complete with `text`; what is not stays in `pending`.
pub(super) fn whole_lines(pending: &mut String, text: &str) -> Vec<String> {
    pending.push_str(text);
    let end = pending.rfind('\n').map_or(0, |at| at + 1);
    let rest = pending.split_off(end);
    let whole = std::mem::replace(pending, rest);
    whole.split_inclusive('\n').map(str::to_owned).collect()
}
