//! The recording tells what happened, in order.

mod common;

use ch02_scheduler::{Recording, TaskId, What, run, run_recorded, spawn, yield_now};
use common::{bounded, panic_of};
use std::future::pending;

fn steps(recording: &Recording) -> Vec<String> {
    let strip = |line: &str| {
        line.trim_start()
            .split_once("  ")
            .map(|(_, rest)| rest.to_owned())
    };
    let text = recording.to_string();
    let lines = text.lines().filter_map(strip);
    // Where it was spawned is for the reader, not for this test.
    lines
        .map(|line| line.split(", line").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn every_step_of_a_run_is_noted() {
    bounded(|| {
        let recording = Recording::new();
        run_recorded(&recording, async {
            let child = spawn(yield_now());
            child.await;
        });
        assert_eq!(
            steps(&recording),
            [
                "main     spawned",
                "main     polled",
                "task 1   spawned by main",
                "main     suspended, waits for the promise of task 1",
                "task 1   polled",
                "task 1   woken by itself",
                "task 1   suspended, waits for its next turn",
                "task 1   polled",
                "task 1   ended",
                "main     woken by task 1",
                "main     polled",
                "main     ended",
            ]
        );
    });
}

#[test]
fn panics_and_cancelled_tasks_are_noted() {
    bounded(|| {
        let recording = Recording::new();
        let text = panic_of(|| {
            run_recorded(&recording, async {
                drop(spawn(pending::<()>()));
                yield_now().await;
                panic!("main");
            })
        });
        assert_eq!(text, "main");
        let last: Vec<_> = recording
            .events()
            .iter()
            .rev()
            .take(2)
            .map(|event| (event.task, event.what))
            .collect();
        assert_eq!(
            last,
            [
                (TaskId(1), What::Cancelled),
                (TaskId(0), What::Ended { well: false })
            ]
        );
    });
}

#[test]
fn the_line_that_spawned_is_noted() {
    bounded(|| {
        let recording = Recording::new();
        let line = line!() + 1;
        run_recorded(&recording, async { spawn(async {}).await });
        for event in recording.events() {
            if let What::Spawned { at, .. } = event.what {
                assert_eq!((at.file().ends_with("record.rs"), at.line()), (true, line));
            }
        }
    });
}

#[test]
fn a_run_without_a_recording_leaves_none() {
    bounded(|| {
        let recording = Recording::new();
        run(async { spawn(async {}).await });
        assert_eq!(recording.events(), []);
    });
}

#[test]
fn a_task_spawned_while_the_run_ends_is_cancelled_unpolled() {
    struct SpawnsOnDrop;
    impl Drop for SpawnsOnDrop {
        fn drop(&mut self) {
            drop(spawn(async {}));
        }
    }
    bounded(|| {
        let recording = Recording::new();
        run_recorded(&recording, async {
            drop(spawn(async {
                let _spawns = SpawnsOnDrop;
                pending::<()>().await;
            }));
            // The place of a task that is over is free for another one, were it still inserted.
            spawn(async {}).await;
        });
        let late = |event: &&ch02_scheduler::Event| event.task == TaskId(3);
        let happened: Vec<What> = recording
            .events()
            .iter()
            .filter(late)
            .map(|event| event.what)
            .collect();
        assert!(
            matches!(happened[..], [What::Spawned { .. }, What::Cancelled]),
            "{happened:?}"
        );
    });
}
