//! What a step does, as a sentence.

use crate::Figure;

/// How a figure says it.
pub(crate) struct Words<'a> {
    pub(crate) figure: &'a Figure,
    /// Whether there is more than one domain.
    pub(crate) several: bool,
}

impl Words<'_> {
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

    pub(crate) fn woken(&self, name: &str, by: Option<&str>, on: &str, domain: usize) -> String {
        let queue = self.queue(domain);
        match by {
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
                self.figure.outside
            ),
        }
    }

    pub(crate) fn cancelled(&self, name: &str, childless: bool) -> String {
        if childless {
            format!("{name} is cancelled, and has no children: its next turn is its last.")
        } else {
            format!("{name} is cancelled: it is not polled again, and its children come next.")
        }
    }

    pub(crate) fn returned(&self, name: &str, well: bool, children: bool) -> String {
        match (well, children) {
            (true, false) => format!("{name} returns, and ends well."),
            (true, true) => format!("{name} returns, and still has children."),
            (false, false) => format!("{name} ends badly."),
            (false, true) => format!("{name} ends badly, and still has children."),
        }
    }

    pub(crate) fn dropped(&self, name: &str) -> String {
        format!("{name} has its last turn: what it had is dropped, and it is gone.")
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
