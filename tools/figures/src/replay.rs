//! What the events of a run make of its tasks and run queues, step by step.
//!
//! The events do not tell of the queues. They follow from them by the rules of the book's schedulers; and when the scheduler
//! takes a task whose turn it should not be, the rules are wrong or the runtime is, and there is no figure.

use crate::event::{Event, What};
use crate::words::Words;
use crate::{Figure, Task};
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// One step, with all that its picture needs.
#[derive(Serialize)]
pub(crate) struct Step {
    pub(crate) domain: usize,
    task: String,
    line: Option<usize>,
    words: String,
    /// The state of each task that exists.
    tasks: BTreeMap<String, State>,
    /// What the suspended ones wait for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    on: BTreeMap<String, String>,
    /// For each domain, the first in front.
    queues: Vec<Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    owns: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Ready,
    Running,
    Suspended,
    Cancelled,
    EndedWell,
    EndedBadly,
}

/// A task, as far as the events have told of it.
struct Known {
    id: u64,
    name: &'static str,
    parent: Option<usize>,
    domain: usize,
    state: State,
    on: String,
    polled: bool,
    queued: bool,
    cancelled: bool,
    /// Its code has come to its end.
    returned: bool,
    /// Its parent waits for it.
    there: bool,
}

/// A resource.
struct Thing {
    name: &'static str,
    /// The line that made it.
    line: usize,
    owner: Option<u64>,
}

struct World {
    figure: &'static Figure,
    /// A task on one domain may be spoken of on another before it is spawned.
    names: HashMap<u64, &'static str>,
    tasks: Vec<Known>,
    things: Vec<Thing>,
    queues: Vec<VecDeque<usize>>,
}

/// The tasks and the steps of `events`.
pub(crate) fn replay(
    figure: &'static Figure,
    events: Vec<Event>,
) -> Result<(Vec<Task>, Vec<Step>)> {
    let domains = events.iter().map(|event| event.domain + 1).max();
    let spawned = |event: &&Event| matches!(event.what, What::Spawned { .. });
    let spawned: Vec<u64> = events
        .iter()
        .filter(spawned)
        .map(|event| event.task)
        .collect();
    ensure!(
        spawned.len() == figure.tasks.len(),
        "there are {} tasks, and names for {}",
        spawned.len(),
        figure.tasks.len()
    );
    let mut world = World {
        figure,
        names: spawned
            .into_iter()
            .zip(figure.tasks.iter().copied())
            .collect(),
        tasks: Vec::new(),
        things: Vec::new(),
        queues: vec![VecDeque::new(); domains.unwrap_or(0)],
    };
    let mut steps = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let words = world
            .step(event)
            .with_context(|| format!("event {index}, {event:?}"))?;
        steps.push(world.picture(event, words));
    }
    let mut tasks = Vec::new();
    for known in &world.tasks {
        tasks.push(Task {
            id: file_id(known.id),
            name: known.name,
            parent: known.parent.map(|parent| file_id(world.tasks[parent].id)),
            domain: known.domain,
        });
    }
    Ok((tasks, steps))
}

fn file_id(task: u64) -> String {
    match task {
        0 => "main".to_owned(),
        n => format!("t{n}"),
    }
}

impl World {
    fn words(&self) -> Words {
        Words {
            figure: self.figure,
            several: self.queues.len() > 1,
        }
    }

    fn name(&self, id: u64) -> Result<&'static str> {
        let name = self.names.get(&id).copied();
        name.with_context(|| format!("nobody spawns task {id}"))
    }

    fn find(&self, id: u64) -> Result<usize> {
        let found = self.tasks.iter().position(|task| task.id == id);
        found.with_context(|| format!("nobody has spawned task {id}"))
    }

    /// Does what `event` does, and says so.
    fn step(&mut self, event: &Event) -> Result<String> {
        if let What::Spawned { by, .. } = event.what {
            return self.spawned(event, by);
        }
        if let What::Owned { line } = event.what {
            return self.owned(event, line);
        }
        let task = self.find(event.task)?;
        let name = self.tasks[task].name;
        let words = self.words();
        Ok(match event.what {
            What::Spawned { .. } | What::Owned { .. } => unreachable!("they were handled above"),
            What::Polled => {
                ensure!(self.running(event.domain).is_none(), "another task runs");
                self.take_from_queue(task)?;
                let first = !std::mem::replace(&mut self.tasks[task].polled, true);
                self.tasks[task].state = State::Running;
                words.polled(name, first)
            }
            What::Suspended { what, task: other } => {
                self.must_run(task)?;
                let other = other.map(|other| self.name(other)).transpose()?;
                let on = words.wait(what, other);
                if self.figure.rounds {
                    self.queue(task);
                }
                let queued = self.tasks[task].queued;
                let said = words.suspended(name, &on, queued);
                self.tasks[task].state = if queued {
                    State::Ready
                } else {
                    State::Suspended
                };
                self.tasks[task].on = on;
                said
            }
            What::Woken { by } => {
                let by = by.map(|by| self.find(by)).transpose()?;
                if by.is_none() {
                    self.skip_silent(event.domain, None);
                }
                ensure!(!self.tasks[task].queued, "it is in the run queue already");
                if self.tasks[task].state == State::Suspended {
                    self.tasks[task].state = State::Ready;
                }
                self.queue(task);
                let by = by.map(|by| self.tasks[by].name);
                let words = words.woken(name, by, &self.tasks[task].on, event.domain);
                words.context("nobody is named who wakes tasks from outside")?
            }
            What::Cancelled => {
                let childless = !self.has_children(task);
                let known = &mut self.tasks[task];
                known.cancelled = true;
                if known.state != State::Running {
                    known.state = State::Cancelled;
                }
                if childless {
                    self.queue(task);
                }
                let parent = self.tasks[task].parent;
                let called = parent.is_some_and(|parent| self.tasks[parent].domain != event.domain);
                let interrupted = called && self.running(event.domain).is_none();
                words.cancelled(name, childless, interrupted.then_some(event.domain))
            }
            What::Disowned { line } => words.disowned(name, self.given_up(event.task, line)?),
            What::Finalised { line } => {
                let runs = self.tasks[task].state == State::Running;
                words.finalised(name, self.given_up(event.task, line)?, runs)
            }
            What::Ended { well } => {
                if self.running(event.domain) == Some(task) {
                    self.returned(task, well);
                    words.returned(name, well, &self.forgotten(task))
                } else {
                    ensure!(!well, "it ends well, and does not run");
                    self.take_from_queue(task)?;
                    self.tasks[task].state = State::EndedBadly;
                    self.gone(task);
                    let owns = self
                        .things
                        .iter()
                        .any(|thing| thing.owner == Some(event.task));
                    words.dropped(name, owns)
                }
            }
        })
    }

    fn spawned(&mut self, event: &Event, by: Option<u64>) -> Result<String> {
        let parent = by.map(|by| self.find(by)).transpose()?;
        let name = self.name(event.task)?;
        self.tasks.push(Known {
            id: event.task,
            name,
            parent,
            domain: event.domain,
            state: State::Ready,
            on: String::new(),
            polled: false,
            queued: false,
            cancelled: false,
            returned: false,
            there: true,
        });
        self.queue(self.tasks.len() - 1);
        let words = self.words();
        let parent = parent.map(|parent| &self.tasks[parent]);
        let elsewhere = parent.is_some_and(|parent| parent.domain != event.domain);
        let parent = parent.map(|parent| parent.name);
        Ok(words.spawned(name, parent, event.domain, elsewhere))
    }

    /// The task may not be spawned yet.
    fn owned(&mut self, event: &Event, line: usize) -> Result<String> {
        let name = self.name(event.task)?;
        let spawned = self.find(event.task).is_ok();
        let known = self.things.iter_mut().find(|thing| thing.line == line);
        let Some(thing) = known else {
            let thing = self.figure.resources.get(self.things.len()).copied();
            let thing = thing.context("there is no name for what it owns")?;
            self.things.push(Thing {
                name: thing,
                line,
                owner: Some(event.task),
            });
            return Ok(self.words().owned(name, thing));
        };
        let former = thing.owner.replace(event.task);
        let thing = thing.name;
        let former = former.context("it was nobody's")?;
        ensure!(
            former != event.task,
            "it owns that already, or two things were made on one line"
        );
        let former = self.name(former)?;
        Ok(self.words().given(former, thing, name, spawned))
    }

    /// Takes it from its owner. Returns its name.
    fn given_up(&mut self, task: u64, line: usize) -> Result<&'static str> {
        let owned = |thing: &&mut Thing| thing.line == line && thing.owner == Some(task);
        let thing = self.things.iter_mut().find(owned);
        let thing = thing.context("it does not own that")?;
        thing.owner = None;
        Ok(thing.name)
    }

    fn running(&self, domain: usize) -> Option<usize> {
        let running = |task: &Known| task.domain == domain && task.state == State::Running;
        self.tasks.iter().position(running)
    }

    fn must_run(&self, task: usize) -> Result<()> {
        ensure!(self.tasks[task].state == State::Running, "it does not run");
        Ok(())
    }

    fn queue(&mut self, task: usize) {
        let known = &mut self.tasks[task];
        if !std::mem::replace(&mut known.queued, true) {
            self.queues[known.domain].push_back(task);
        }
    }

    fn take_from_queue(&mut self, task: usize) -> Result<()> {
        let domain = self.tasks[task].domain;
        self.skip_silent(domain, Some(task));
        let front = self.queues[domain].pop_front();
        ensure!(
            front == Some(task),
            "it has a turn, and in front of the run queue there is {}",
            front.map_or("nobody", |front| self.tasks[front].name)
        );
        self.tasks[task].queued = false;
        Ok(())
    }

    /// Of the last turn of a task whose code has ended before, no event tells.
    fn skip_silent(&mut self, domain: usize, until: Option<usize>) {
        while let Some(&front) = self.queues[domain].front()
            && Some(front) != until
            && self.tasks[front].returned
        {
            self.queues[domain].pop_front();
            self.tasks[front].queued = false;
            self.gone(front);
        }
    }

    fn has_children(&self, parent: usize) -> bool {
        let mut tasks = self.tasks.iter();
        tasks.any(|task| task.parent == Some(parent) && task.there)
    }

    /// The names of the children that nobody awaits or cancels any more once `parent` has returned.
    fn forgotten(&self, parent: usize) -> Vec<&'static str> {
        let children = self.tasks.iter().filter(|task| task.parent == Some(parent));
        let forgotten = children.filter(|task| task.there && !task.cancelled);
        forgotten.map(|task| task.name).collect()
    }

    /// The code of a running task has come to its end.
    fn returned(&mut self, task: usize, well: bool) {
        let childless = !self.has_children(task);
        let known = &mut self.tasks[task];
        known.state = if well {
            State::EndedWell
        } else {
            State::EndedBadly
        };
        known.returned = true;
        known.there = !childless;
        if known.cancelled && childless {
            self.queue(task);
        }
    }

    /// A task is over, with all that was below it. A parent that only waited for that has its last turn.
    fn gone(&mut self, task: usize) {
        self.tasks[task].there = false;
        let Some(parent) = self.tasks[task].parent else {
            return;
        };
        let known = &self.tasks[parent];
        let waits = known.cancelled || known.returned && known.there;
        if waits && known.domain == self.tasks[task].domain && !self.has_children(parent) {
            self.queue(parent);
        }
    }

    fn picture(&self, event: &Event, words: String) -> Step {
        let named = |task: &usize| file_id(self.tasks[*task].id);
        let mut step = Step {
            domain: event.domain,
            task: file_id(event.task),
            line: event.line,
            words,
            tasks: BTreeMap::new(),
            on: BTreeMap::new(),
            queues: Vec::new(),
            owns: BTreeMap::new(),
        };
        for queue in &self.queues {
            step.queues.push(queue.iter().map(named).collect());
        }
        for known in &self.tasks {
            let id = file_id(known.id);
            step.tasks.insert(id.clone(), known.state);
            if known.state == State::Suspended && !known.on.is_empty() {
                step.on.insert(id.clone(), known.on.clone());
            }
            let own = self
                .things
                .iter()
                .filter(|thing| thing.owner == Some(known.id));
            let own: Vec<String> = own.map(|thing| thing.name.to_owned()).collect();
            if !own.is_empty() {
                step.owns.insert(id, own);
            }
        }
        step
    }
}
