//! A console block's server: the one command that starts it, read without a shell.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Runner;
use super::block::program_in;
use super::checks::Refusal;
use super::compile;
use super::limits::Limits;
use super::runs::Run;
use super::stream::{Ending, Event, Page};

/// How long a server may run.
const LIMIT: Duration = Duration::from_secs(600);

/// A server or an example of a chapter.
pub(super) struct Program {
    package: String,
    example: Option<String>,
    release: bool,
    arguments: Vec<String>,
}

impl Program {
    /// Reads `cargo run -q -p ch03-system-events -- --listen 127.0.0.1:7010`.
    pub(super) fn parse(root: &Path, command: &str) -> Result<Self, Refusal> {
        let refuse = |why: &str| Refusal::content(format!("`{command}`: {why}"));
        let command = command.trim().trim_start_matches("$ ");
        let words: Vec<&str> = command
            .strip_suffix('&')
            .unwrap_or(command)
            .split_whitespace()
            .collect();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:=,".contains(c);
        if let Some(word) = words.iter().find(|word| !word.chars().all(plain)) {
            return Err(refuse(&format!(
                "`{word}` needs a shell, or a path, and there is neither here; type this one into a terminal"
            )));
        }
        let mut words = words.into_iter();
        if (words.next(), words.next()) != (Some("cargo"), Some("run")) {
            return Err(refuse("only `cargo run` of a chapter can be started here"));
        }
        let (mut package, mut example, mut release) = (None, None, false);
        for word in words.by_ref() {
            match word {
                "-q" | "--quiet" => {}
                "--release" => release = true,
                "-p" | "--package" => package = Some(None),
                "--example" => example = Some(None),
                "--" => break,
                name if package == Some(None) => package = Some(Some(name.to_owned())),
                name if example == Some(None) => example = Some(Some(name.to_owned())),
                word => return Err(refuse(&format!("`{word}` is not for a chapter's program"))),
            }
        }
        let Some(Some(package)) = package.filter(|name| is_there(root, name.as_deref(), None))
        else {
            return Err(refuse("only a package below chapters/ can be started here"));
        };
        let example = match example {
            None => None,
            Some(Some(name)) if is_there(root, Some(&package), Some(&name)) => Some(name),
            Some(_) => return Err(refuse("this chapter has no such example")),
        };
        let mut arguments = Vec::new();
        for word in words {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) => (Some(option), value),
                None => (None, word),
            };
            let value = match value.parse::<SocketAddr>() {
                Ok(address) if address.ip().is_loopback() => {
                    SocketAddr::new(address.ip(), 0).to_string()
                }
                Ok(_) => return Err(refuse("a server is started on 127.0.0.1 only")),
                Err(_) if value.contains(':') || (value.contains('.') && option.is_some()) => {
                    return Err(refuse(&format!(
                        "`{value}` is not an address like 127.0.0.1:7007"
                    )));
                }
                Err(_) => value.to_owned(),
            };
            arguments.push(match option {
                Some(option) => format!("{option}={value}"),
                None => value,
            });
        }
        Ok(Self {
            package,
            example,
            release,
            arguments,
        })
    }
}

/// Whether a chapter, or a chapter's example, is there. A name is no path.
fn is_there(root: &Path, package: Option<&str>, example: Option<&str>) -> bool {
    let name = |name: &&str| {
        name.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let Some(package) = package.filter(name) else {
        return false;
    };
    let chapter = root.join("chapters").join(package);
    match example {
        None => chapter.join("Cargo.toml").is_file(),
        Some(example) => {
            let place = chapter.join("examples").join(example);
            name(&example)
                && (place.with_extension("rs").is_file() || place.join("main.rs").is_file())
        }
    }
}

/// Builds and runs a server until it is stopped.
pub(super) async fn run(
    runner: &Runner,
    run: &Run,
    page: &Page,
    program: &Program,
) -> Result<Ending, Ending> {
    let mut arguments = vec!["build", "--package", &program.package];
    match &program.example {
        Some(example) => arguments.extend(["--example", example]),
        None => arguments.push("--bins"),
    }
    if program.release {
        arguments.push("--release");
    }
    let mut compiled = {
        let _turn = runner.turn(run, page).await?;
        let started = Instant::now();
        let reason = "compiling the chapter's program";
        let compiled = compile::cargo(run, page, &runner.root, &arguments, None, reason).await?;
        let ms = started.elapsed().as_millis();
        page.send(Event::Compiled { ms }).await;
        compiled
    };
    let Some(built) = compiled.programs.pop() else {
        return Err(Ending::failed("cargo built no program"));
    };
    let limits = Limits {
        // A server has a descriptor for each client.
        descriptors: None,
        ..Limits::program(LIMIT)
    };
    let (outcome, panicked) =
        program_in(run, page, built, program.arguments.clone(), limits).await?;
    Ok(outcome.said(panicked, "a server"))
}
