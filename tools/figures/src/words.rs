//! What a step does, as a sentence.

use crate::Figure;

/// How a figure says it.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    pub(crate) figure: &'static Figure,
    /// Whether there is more than one domain.
    pub(crate) several: bool,
}

impl Words {
    /// The place where those stand that are to be polled.
    fn queue(&self, domain: usize) -> String {
        match (self.figure.rounds, self.several) {
            (true, _) => "the list".to_owned(),
            (false, false) => "the run queue".to_owned(),
            (false, true) => format!("the run queue of dom{domain}"),
        }
    }

    pub(crate) fn spawned(
        &self,
        name: &str,
        parent: Option<&str>,
        domain: usize,
        elsewhere: bool,
    ) -> String {
        let queue = self.queue(domain);
        match parent {
            Some(parent) if elsewhere => {
                format!(
                    "The call of {parent} has come to dom{domain}: {name} is spawned there, and enters its run queue."
                )
            }
            Some(parent) => format!("{parent} spawns {name}, which enters {queue}."),
            None => format!("{name} is spawned, and enters {queue}."),
        }
    }

    pub(crate) fn polled(&self, name: &str, first: bool) -> String {
        match (self.figure.rounds, first) {
            (false, true) => format!(
                "{name} is taken from the front of the run queue, and polled for the first time."
            ),
            (false, false) => format!("{name} has its turn again, and goes on where it waited."),
            (true, true) => {
                format!("{name} is the next on the list, and is polled for the first time.")
            }
            (true, false) => format!(
                "{name} is the next on the list, and is polled again, whether that helps or not."
            ),
        }
    }

    /// What a task waits for; nothing if the runtime does not know.
    pub(crate) fn wait(&self, what: &str, task: Option<&str>) -> String {
        match task {
            Some(task) => format!("{what} {task}"),
            None => what.to_owned(),
        }
    }

    pub(crate) fn suspended(&self, name: &str, on: &str, queued: bool) -> String {
        let on = if on.is_empty() {
            "something the runtime does not know"
        } else {
            on
        };
        match (self.figure.rounds, queued) {
            (true, _) => format!("{name} is not ready, and goes to the end of the list."),
            (false, true) => format!("{name} gives up its turn, and is in the run queue already."),
            (false, false) => format!("{name} is suspended, and waits for {on}."),
        }
    }

    /// `None` if the figure does not say who else may wake a task.
    pub(crate) fn woken(
        &self,
        name: &str,
        by: Option<&str>,
        on: &str,
        domain: usize,
    ) -> Option<String> {
        let queue = self.queue(domain);
        Some(match by {
            Some(by) if by == name => {
                format!("{name} wakes itself: it enters {queue} again, at its end.")
            }
            Some(by) => format!("{by} wakes {name}, which enters {queue}."),
            None if on.starts_with("the end of ") => {
                format!(
                    "{} has come. {name} is woken, and enters {queue}.",
                    capital(on)
                )
            }
            None => format!(
                "{} wakes {name}, which enters {queue}.",
                self.figure.outside?
            ),
        })
    }

    pub(crate) fn cancelled(
        &self,
        name: &str,
        childless: bool,
        interrupted: Option<usize>,
    ) -> String {
        let rest = if childless {
            "and has no children: its next turn is its last."
        } else {
            "and is not polled again. Its children come next."
        };
        match interrupted {
            Some(domain) => {
                format!("dom{domain} sleeps, and is interrupted: {name} is cancelled, {rest}")
            }
            None => format!("{name} is cancelled, {rest}"),
        }
    }

    pub(crate) fn owned(&self, name: &str, thing: &str) -> String {
        format!("{name} is the owner of {thing}.")
    }

    pub(crate) fn given(&self, from: &str, thing: &str, to: &str, spawned: bool) -> String {
        let when = if spawned {
            ""
        } else {
            ", which owns it even before it is spawned"
        };
        format!("{from} gives {thing} to {to}{when}.")
    }

    pub(crate) fn disowned(&self, name: &str, thing: &str) -> String {
        format!("{name} disowns {thing}, which nobody owns now.")
    }

    pub(crate) fn finalised(&self, name: &str, thing: &str, runs: bool) -> String {
        if runs {
            format!("{name} releases {thing}, and its finaliser runs.")
        } else {
            format!("At the end of {name}, the finaliser of {thing} runs.")
        }
    }

    pub(crate) fn returned(&self, name: &str, well: bool, forgotten: &[&str]) -> String {
        match (well, forgotten) {
            (true, []) => format!("{name} returns, and ends well."),
            (true, some) => format!(
                "{name} returns, and has forgotten {}: that breaks a rule, and the run has failed.",
                some.join(" and ")
            ),
            (false, _) => format!("{name} ends badly."),
        }
    }

    pub(crate) fn dropped(&self, name: &str, owns: bool) -> String {
        let rest = if owns { "" } else { ", and it is gone" };
        format!("{name} has its last turn: what it had is dropped{rest}.")
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
