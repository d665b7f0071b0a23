//! `{{#recording NAME}}`: a run that was recorded, to be stepped through.
//!
//! `src/figures/recordings/NAME.json` has all that is shown. Here, nothing is known of a runtime's rules: whether they hold is for
//! the program to see that makes these files.

mod figure;

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use super::Place;

const FOLDER: &str = "src/figures/recordings";

/// The figure, as HTML.
pub(super) fn html(place: &Place<'_>, rest: &str) -> Result<String, String> {
    let name = rest.trim();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(format!(
            "`{name}` is no name of a recording; write that of a file in {FOLDER}/, without `.json`"
        ));
    }
    let file = format!("{FOLDER}/{name}.json");
    let text = fs::read_to_string(place.root.join(&file))
        .map_err(|error| format!("{file} cannot be read: {error}"))?;
    let recording: Recording =
        serde_json::from_str(&text).map_err(|error| format!("{file} is no recording: {error}"))?;
    recording
        .check()
        .map_err(|error| format!("{file}: {error}"))?;
    Ok(figure::html(name, &recording))
}

/// What the file has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    /// The command that runs the program.
    run: String,
    title: String,
    /// The step that is shown where there are no scripts.
    still: usize,
    code: Code,
    /// The names of the domains, each with a lane.
    domains: Vec<String>,
    /// What those stand in who are to be polled.
    queue: String,
    tasks: Vec<Task>,
    steps: Vec<Step>,
}

/// The part of the program that is shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    /// The number of its first line.
    from: usize,
    lines: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    id: String,
    name: String,
    parent: Option<String>,
    domain: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(rename = "domain")]
    _domain: usize,
    task: String,
    line: Option<usize>,
    words: String,
    tasks: BTreeMap<String, State>,
    /// What the suspended ones wait for.
    #[serde(default)]
    on: BTreeMap<String, String>,
    /// The run queue of each domain, the first in front.
    queues: Vec<Vec<String>>,
    #[serde(default)]
    owns: BTreeMap<String, Vec<String>>,
}

/// The state of a task after a step.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ready,
    Running,
    Suspended,
    Cancelled,
    EndedWell,
    EndedBadly,
}

impl State {
    /// What the style sheet knows it by.
    fn name(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::Running => "running",
            State::Suspended => "suspended",
            State::Cancelled => "cancelled",
            State::EndedWell => "ended-well",
            State::EndedBadly => "ended-badly",
        }
    }
}

impl Recording {
    fn index(&self, id: &str) -> Option<usize> {
        self.tasks.iter().position(|task| task.id == id)
    }

    /// Sees that all its parts know each other.
    fn check(&self) -> Result<(), String> {
        if self.title.trim().is_empty() {
            return Err("`title` is empty".into());
        }
        if self.steps.is_empty() || self.still >= self.steps.len() {
            return Err(format!(
                "`still` is {}, and there are {} steps, counted from 0",
                self.still,
                self.steps.len()
            ));
        }
        for (at, task) in self.tasks.iter().enumerate() {
            if self.index(&task.id) != Some(at) {
                return Err(format!("there are two tasks `{}`", task.id));
            }
            // Parents first: so there is no circle.
            let parent = task.parent.as_ref().map(|parent| self.index(parent));
            if parent.is_some_and(|parent| parent.is_none_or(|parent| parent >= at)) {
                return Err(format!(
                    "the parent of task `{}` does not stand before it",
                    task.id
                ));
            }
            if task.domain >= self.domains.len() {
                return Err(format!(
                    "task `{}` is on a domain that is not listed",
                    task.id
                ));
            }
        }
        for (at, step) in self.steps.iter().enumerate() {
            self.check_step(step)
                .map_err(|error| format!("step {at}: {error}"))?;
        }
        Ok(())
    }

    fn check_step(&self, step: &Step) -> Result<(), String> {
        let named = [&step.task]
            .into_iter()
            .chain(step.tasks.keys())
            .chain(step.on.keys())
            .chain(step.owns.keys())
            .chain(step.queues.iter().flatten());
        for id in named {
            if self.index(id).is_none() {
                return Err(format!("there is no task `{id}`"));
            }
        }
        if step.words.trim().is_empty() {
            return Err("`words` is empty".into());
        }
        if step.queues.len() != self.domains.len() {
            return Err(format!(
                "there are {} queues for {} domains",
                step.queues.len(),
                self.domains.len()
            ));
        }
        let lines = self.code.from..self.code.from + self.code.lines.len();
        match step.line {
            Some(line) if !lines.contains(&line) => Err(format!(
                "line {line} is not among those that are shown, {} to {}",
                lines.start,
                lines.end.saturating_sub(1)
            )),
            _ => Ok(()),
        }
    }
}
