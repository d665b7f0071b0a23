//! The book's figures.

use crate::event::{Event, What};
use crate::{Figure, Run, mark, programs};

/// How to run a program of a chapter: each chapter has a `Recording` of its own.
macro_rules! run {
    ($chapter:ident, $program:ident) => {
        || {
            use $chapter::{Recording, What as Noted};
            let recording = Recording::new();
            let noted = recording.clone();
            let count = move |domain: usize| {
                let of_domain = |event: &&$chapter::Event| event.domain as usize == domain;
                noted.events().iter().filter(of_domain).count()
            };
            // How it ends is in the recording, too; and that a program ends badly may be what it shows.
            let program = || drop(programs::$program::program(&recording));
            let ((), marks) = mark::watch(Box::new(count), program);
            let mut events = Vec::new();
            for event in recording.events() {
                events.push(Event {
                    domain: event.domain as usize,
                    task: event.task.0,
                    what: match event.what {
                        Noted::Spawned { by, at } => What::Spawned {
                            by: by.map(|by| by.0),
                            line: at.line() as usize,
                        },
                        Noted::Polled => What::Polled,
                        Noted::Suspended { on } => What::Suspended {
                            what: on.what,
                            task: on.task.map(|task| task.0),
                        },
                        Noted::Woken { by } => What::Woken { by: by.map(|by| by.0) },
                        Noted::Cancelled => What::Cancelled,
                        Noted::Ended { well } => What::Ended { well },
                        other => unreachable!("{} notes what no figure shows: {other:?}", stringify!($chapter)),
                    },
                    line: None,
                });
            }
            Run { events, marks }
        }
    };
}

/// All of them, in the order of the chapters.
pub const FIGURES: &[Figure] = &[Figure {
    name: "ch04-cancel",
    chapter: "ch04-orphans",
    program: "cancel_tree",
    title: "A cancellation runs down the tree, and back up",
    tasks: &["main", "house", "kitchen", "hall", "stove"],
    outside: "The event loop",
    rounds: false,
    still: 24,
    run: run!(ch04_orphans, cancel_tree),
}];
