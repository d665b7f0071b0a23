//! Makes the figures' recordings: runs copies of the chapters' examples that tell which line they are at, and puts what the
//! runtime noted of them into pictures and words.
//!
//! A program on several domains has no single order: each domain's own is always the same, and a figure keeps the order
//! between them that it was made with. So [`record`] is told that order, and gives one of its own only if the domains do
//! something else than they did.

mod event;
mod figures;
mod line;
mod mark;
mod replay;
mod words;

/// The examples, with marks.
mod programs {
    include!(concat!(env!("OUT_DIR"), "/programs.rs"));
}

pub use figures::FIGURES;

use anyhow::{Context as _, Result, ensure};
use event::Event;
use mark::Mark;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

/// One of the book's figures.
#[derive(Debug)]
pub struct Figure {
    /// Its file's, without `.json`.
    pub name: &'static str,
    chapter: &'static str,
    /// The example's name.
    program: &'static str,
    title: &'static str,
    /// The tasks' names, in the order in which they are spawned.
    tasks: &'static [&'static str],
    /// The names of what they own, in the order in which it is made.
    resources: &'static [&'static str],
    /// Who wakes a task if no task does, as a sentence begins.
    outside: Option<&'static str>,
    /// Whether the tasks stand in a list that is gone through again and again, and nobody is woken.
    rounds: bool,
    /// The step that is shown where there are no scripts, counted from 0.
    still: usize,
    run: fn() -> Run,
}

/// What a run has left.
#[derive(Debug)]
struct Run {
    events: Vec<Event>,
    marks: Vec<Mark>,
}

/// The file of a figure, but for its steps. The directive `{{#recording NAME}}` reads it.
#[derive(Serialize)]
struct Head<'a> {
    run: String,
    title: &'a str,
    still: usize,
    code: Code,
    domains: Vec<String>,
    /// What those stand in who are to be polled.
    queue: &'static str,
    tasks: Vec<Task>,
}

/// The part of the program that is shown: the lines of its anchor `figure`.
#[derive(Serialize)]
struct Code {
    /// The number of the first line.
    from: usize,
    lines: Vec<String>,
}

#[derive(Serialize)]
struct Task {
    id: String,
    name: &'static str,
    parent: Option<String>,
    domain: usize,
}

/// The figure's file.
pub fn path(figure: &Figure) -> PathBuf {
    let name = Path::new(figure.name).with_extension("json");
    root().join("src/figures/recordings").join(name)
}

/// Runs the figure's program, and returns what its file should have. `former` is what it has, if there is one.
///
/// # Errors
///
/// If the example cannot be read or has no anchor `figure`, and if the events are not what a runtime with run queues does.
pub fn record(figure: &'static Figure, former: Option<&str>) -> Result<String> {
    let Run { events, marks } = (figure.run)();
    let order = former.and_then(order_of).unwrap_or_default();
    let code = shown(figure)?;
    let shown = code.from..code.from + code.lines.len();
    let events = line::with_lines(events, &marks, shown);
    let events = in_order(events, order);
    let (tasks, steps) = replay::replay(figure, events)
        .with_context(|| format!("the recording of {} makes no sense", figure.name))?;
    ensure!(
        figure.still < steps.len(),
        "{} has {} steps, and {} is to be shown",
        figure.name,
        steps.len(),
        figure.still
    );
    let (chapter, program) = (figure.chapter, figure.program);
    let domains = 1 + tasks.iter().map(|task| task.domain).max().unwrap_or(0);
    let head = Head {
        run: format!("cargo run -q -p {chapter} --example {program}"),
        title: figure.title,
        still: figure.still,
        code,
        // Where there is only one, its number is no news, and no chapter before the fifth has spoken of any.
        domains: match domains {
            1 => vec!["scheduler".to_owned()],
            _ => (0..domains).map(|domain| format!("dom{domain}")).collect(),
        },
        queue: if figure.rounds { "list" } else { "run queue" },
        tasks,
    };
    // A step a line, so that a difference between two versions is one that can be read.
    let head = serde_json::to_string_pretty(&head)?;
    let head = head.trim_end().trim_end_matches('}').trim_end();
    let steps: Vec<String> = steps
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()?;
    Ok(format!(
        "{head},\n  \"steps\": [\n    {}\n  ]\n}}\n",
        steps.join(",\n    ")
    ))
}

/// Which domain each of the steps of a figure's file belongs to.
fn order_of(file: &str) -> Option<Vec<usize>> {
    #[derive(Deserialize)]
    struct Former {
        steps: Vec<At>,
    }
    #[derive(Deserialize)]
    struct At {
        domain: usize,
    }
    // A file that cannot be read is a file that differs.
    let former: Former = serde_json::from_str(file).ok()?;
    Some(former.steps.iter().map(|step| step.domain).collect())
}

/// The events with the domains in `order`; as they are if each domain has not as many there.
fn in_order(events: Vec<Event>, order: Vec<usize>) -> Vec<Event> {
    let mut own: Vec<usize> = events.iter().map(|event| event.domain).collect();
    let mut other = order.clone();
    own.sort_unstable();
    other.sort_unstable();
    if own != other {
        return events;
    }
    let domains = own.last().map_or(0, |last| last + 1);
    let mut queues = vec![VecDeque::new(); domains];
    for event in events {
        queues[event.domain].push_back(event);
    }
    let next = |domain: usize| queues[domain].pop_front();
    order.into_iter().filter_map(next).collect()
}

fn shown(figure: &Figure) -> Result<Code> {
    let path = root()
        .join("chapters")
        .join(figure.chapter)
        .join("examples")
        .join(figure.program)
        .with_extension("rs");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path:?}"))?;
    let lines: Vec<&str> = text.lines().collect();
    let at = |anchor: &str| lines.iter().position(|line| line.trim() == anchor);
    let (Some(from), Some(to)) = (at("// ANCHOR: figure"), at("// ANCHOR_END: figure")) else {
        anyhow::bail!("{path:?} has no anchor `figure`");
    };
    Ok(Code {
        from: from + 2,
        lines: lines[from + 1..to]
            .iter()
            .map(|&line| line.to_owned())
            .collect(),
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
