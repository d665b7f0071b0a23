//! The book's figures.

use crate::event::{Event, What};
use crate::{Figure, Run, mark, programs};

/// The events of a chapter, each of which has types of its own; `more` are those of resources, which not all have.
macro_rules! events {
    ($chapter:ident, $noted:expr $(, $more:ident)*) => {{
        use $chapter::What as Noted;
        let number = |task: $chapter::TaskId| task.0;
        let mut events = Vec::new();
        for event in $noted {
            let what = match event.what {
                Noted::Spawned { by, at } => What::Spawned {
                    by: by.map(number),
                    line: at.line() as usize,
                },
                Noted::Polled => What::Polled,
                Noted::Suspended { on } => What::Suspended {
                    what: on.what,
                    task: on.task.map(number),
                },
                Noted::Woken { by } => What::Woken { by: by.map(number) },
                Noted::Cancelled => What::Cancelled,
                Noted::Ended { well } => What::Ended { well },
                $(Noted::$more { at } => What::$more { line: at.line() as usize },)*
                other => unreachable!("no figure can show {other:?}"),
            };
            events.push(Event {
                domain: event.domain as usize,
                task: event.task.0,
                what,
                line: None,
            });
        }
        events
    }};
}

/// How to run a program that takes a chapter's `Recording`.
macro_rules! run {
    ($chapter:ident, $program:ident $(, $more:ident)*) => {
        || {
            let recording = $chapter::Recording::new();
            let noted = recording.clone();
            let count = move |domain: usize| {
                let of_domain = |event: &&$chapter::Event| event.domain as usize == domain;
                noted.events().iter().filter(of_domain).count()
            };
            let marks = mark::watch(Box::new(count), || {
                // How it ends is in the recording, too; and that a program ends badly may be what it shows.
                let _ = programs::$program::program(&recording);
            });
            let events = events!($chapter, recording.events() $(, $more)*);
            Run { events, marks }
        }
    };
}

/// The to-do list is no runtime, and notes its events by itself.
fn rounds() -> Run {
    let notes = programs::rounds::Notes::default();
    let noted = notes.clone();
    let count = move |_| noted.lock().map_or(0, |noted| noted.len());
    let marks = mark::watch(Box::new(count), || programs::rounds::program(&notes));
    let noted = notes.lock().map_or(Vec::new(), |noted| noted.clone());
    let events = events!(ch02_scheduler, noted);
    Run { events, marks }
}

/// All of them, in the order of the chapters.
pub const FIGURES: &[Figure] = &[
    Figure {
        name: "ch02-rounds",
        chapter: "ch02-scheduler",
        program: "rounds",
        title: "Two readers and a postman on a to-do list",
        tasks: &["Ada", "Grace", "postman"],
        resources: &[],
        outside: None,
        rounds: true,
        still: 9,
        run: rounds,
    },
    Figure {
        name: "ch02-turns",
        chapter: "ch02-scheduler",
        program: "turns",
        title: "The same three with wakers",
        tasks: &["main", "Ada", "Grace", "postman"],
        resources: &[],
        outside: None,
        rounds: false,
        still: 17,
        run: run!(ch02_scheduler, turns),
    },
    Figure {
        name: "ch03-wait",
        chapter: "ch03-system-events",
        program: "a_wait",
        title: "A wait that ends",
        tasks: &["main", "reader"],
        resources: &[],
        outside: Some("The event loop"),
        rounds: false,
        still: 9,
        run: run!(ch03_system_events, a_wait),
    },
    Figure {
        name: "ch04-left-behind",
        chapter: "ch04-orphans",
        program: "left_behind",
        title: "A forgotten child",
        tasks: &["main", "clerk", "courier"],
        resources: &[],
        outside: None,
        rounds: false,
        still: 13,
        run: run!(ch04_orphans, left_behind),
    },
    Figure {
        name: "ch04-cancel",
        chapter: "ch04-orphans",
        program: "cancel_tree",
        title: "A cancellation runs down the tree, and back up",
        tasks: &["main", "house", "kitchen", "hall", "stove"],
        resources: &[],
        outside: None,
        rounds: false,
        still: 25,
        run: run!(ch04_orphans, cancel_tree),
    },
    Figure {
        name: "ch05-call",
        chapter: "ch05-parallelism",
        program: "supper",
        title: "A call crosses to another domain, and its outcome comes back",
        tasks: &["main", "waiter", "cook", "helper"],
        resources: &[],
        outside: None,
        rounds: false,
        still: 13,
        run: run!(ch05_parallelism, supper),
    },
    Figure {
        name: "ch06-hand-over",
        chapter: "ch06-ownership",
        program: "hand_over",
        title: "A lantern is handed over twice, and finalised",
        tasks: &["main", "watchman", "boy"],
        resources: &["the lantern"],
        outside: None,
        rounds: false,
        still: 18,
        run: run!(ch06_ownership, hand_over, Owned, Disowned, Finalised),
    },
    Figure {
        name: "ch07-cut-short",
        chapter: "ch07-sleepers",
        program: "cut_short",
        title: "An interrupt cuts a sleep short",
        tasks: &["main", "watcher", "sleeper"],
        resources: &[],
        outside: Some("The bell, rung on dom1,"),
        rounds: false,
        still: 17,
        run: run!(ch07_sleepers, cut_short, Owned, Disowned, Finalised),
    },
    Figure {
        name: "ch08-in-line",
        chapter: "ch08-mutexes-and-conditions",
        program: "in_line",
        title: "A mutex is handed over in the order of asking",
        tasks: &["main", "Ada", "Ben", "Cleo"],
        resources: &[],
        outside: None,
        rounds: false,
        still: 15,
        run: run!(
            ch08_mutexes_and_conditions,
            in_line,
            Owned,
            Disowned,
            Finalised
        ),
    },
    Figure {
        name: "ch08-last-orders",
        chapter: "ch08-mutexes-and-conditions",
        program: "last_orders",
        title: "A graceful stop",
        tasks: &["main", "server", "client"],
        resources: &[],
        outside: Some("The signal"),
        rounds: false,
        still: 17,
        run: run!(
            ch08_mutexes_and_conditions,
            last_orders,
            Owned,
            Disowned,
            Finalised
        ),
    },
];
