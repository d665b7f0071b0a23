//! The recording tells what happened, in order.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod family;

use ch06_ownership::{Cx, Failure, Recording, Result, Runtime, TaskId, What, run, yield_now};
use common::bounded;
use family::{OnDrop, assert_panicked, endless};
use std::future::pending;

/// The outcome of `f`, and its steps in words.
fn recorded(f: impl AsyncFnOnce(&Cx) -> Result<()> + 'static) -> (Result<()>, Vec<String>) {
    let recording = Recording::new();
    let outcome = Runtime::builder().record(&recording).build().run(f);
    (outcome, steps(&recording))
}

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
        let (outcome, steps) = recorded(async |cx| cx.spawn(async |_| Ok(yield_now().await)).await);
        outcome.expect("ends well");
        assert_eq!(
            steps,
            [
                "main     spawned",
                "main     polled",
                "task 1   spawned by main",
                "main     suspended, waits for the end of task 1",
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
        let (outcome, steps) = recorded(async |cx| {
            let _forgotten = endless(cx);
            yield_now().await;
            panic!("main");
        });
        assert_panicked(&outcome.expect_err("panicked"), "main");
        assert_eq!(
            steps[steps.len() - 3..],
            [
                "main     ended badly",
                "task 1   cancelled",
                "task 1   ended badly",
            ]
        );
    });
}

#[test]
fn each_task_of_a_cancelled_tree_is_noted_once() {
    bounded(|| {
        let (outcome, steps) = recorded(async |cx| {
            let child = cx.spawn(async |cx| endless(cx).await);
            yield_now().await;
            yield_now().await;
            child.cancel().await
        });
        outcome.expect("ends well");
        let count = |step: &str| steps.iter().filter(|line| line.contains(step)).count();
        for task in ["task 1  ", "task 2  "] {
            assert_eq!(count(&format!("{task} cancelled")), 1, "{steps:#?}");
            assert_eq!(count(&format!("{task} ended badly")), 1, "{steps:#?}");
        }
        let place = |step: &str| steps.iter().position(|line| line.contains(step));
        assert!(
            place("task 2   ended") < place("task 1   ended"),
            "{steps:#?}"
        );
        assert!(
            place("task 1   cancelled") < place("task 2   ended"),
            "{steps:#?}"
        );
    });
}

#[test]
fn a_task_that_is_cancelled_while_it_runs_is_noted() {
    bounded(|| {
        // The violation is declared inside of the poll of main.
        let (outcome, steps) =
            recorded(async |cx| cx.scope(async |cx| Ok(drop(endless(cx)))).await);
        family::assert_violation(&outcome.expect_err("forgotten"));
        let count = |step: &str| steps.iter().filter(|line| *line == step).count();
        assert_eq!(count("main     cancelled"), 1, "{steps:#?}");
        assert_eq!(count("task 1   cancelled"), 1, "{steps:#?}");
        assert_eq!(count("main     ended badly"), 1, "{steps:#?}");
    });
}

#[test]
fn the_line_that_spawned_is_noted() {
    bounded(|| {
        let recording = Recording::new();
        let runtime = Runtime::builder().record(&recording).build();
        let line = line!() + 1;
        let outcome = runtime.run(async |cx| cx.spawn(async |_| Ok(())).await);
        outcome.expect("ends well");
        let mut spawned = 0;
        for event in recording.events() {
            if let What::Spawned { at, .. } = event.what {
                assert_eq!((at.file().ends_with("record.rs"), at.line()), (true, line));
                spawned += 1;
            }
        }
        assert_eq!(spawned, 2);
    });
}

#[test]
fn the_line_that_spawned_an_orphan_is_noted() {
    bounded(|| {
        let recording = Recording::new();
        let runtime = Runtime::builder().record(&recording).build();
        let line = line!() + 3;
        let outcome = runtime.run(async |cx| {
            let mut orphans = cx.orphans();
            orphans.spawn(async |_| Ok(()));
            orphans.next().await.expect("one is left")
        });
        outcome.expect("ends well");
        let at = recording
            .events()
            .iter()
            .find_map(|event| match event.what {
                What::Spawned { by: Some(_), at } => Some(at.line()),
                _ => None,
            });
        assert_eq!(at, Some(line));
    });
}

#[test]
fn a_run_without_a_recording_leaves_none() {
    bounded(|| {
        let recording = Recording::new();
        run(async |cx| cx.spawn(async |_| Ok(())).await).expect("ends well");
        assert_eq!(recording.events(), []);
    });
}

#[test]
fn a_task_spawned_by_a_dying_one_is_cancelled_unpolled() {
    bounded(|| {
        let recording = Recording::new();
        let runtime = Runtime::builder().record(&recording).build();
        let outcome = runtime.run(async |cx| {
            let dying = cx.spawn(async |cx| {
                let _spawns = OnDrop(|| drop(cx.spawn(async |_| Ok(()))));
                pending::<Result<()>>().await
            });
            yield_now().await;
            // The place of a task that is over is free for another one.
            cx.spawn(async |_| Ok(())).await?;
            dying.cancel().await
        });
        outcome.expect("ends well");
        let events = recording.events();
        let late = events.iter().filter(|event| event.task == TaskId(3));
        let happened: Vec<What> = late.map(|event| event.what).collect();
        assert!(
            matches!(
                happened[..],
                [
                    What::Spawned {
                        by: Some(TaskId(1)),
                        ..
                    },
                    What::Cancelled,
                    What::Ended { well: false }
                ]
            ),
            "{happened:?}"
        );
    });
}

#[test]
fn combinators_say_what_they_wait_for() {
    bounded(|| {
        let (outcome, steps) = recorded(async |cx| {
            let spawn = |_| cx.spawn(async |_| Ok(yield_now().await));
            let mut tasks = (0..3).map(spawn).collect();
            ch06_ownership::await_one(&mut tasks).await?;
            tasks.push(spawn(3));
            Ok(drop(ch06_ownership::await_all(&mut tasks).await))
        });
        outcome.expect("ends well");
        for expected in ["one of", "all of"] {
            let expected =
                format!("main     suspended, waits for the end of {expected} several tasks");
            assert!(steps.contains(&expected), "{expected} in {steps:#?}");
        }
    });
}

#[test]
fn each_owner_of_a_resource_is_noted() {
    bounded(|| {
        let recording = Recording::new();
        let runtime = Runtime::builder().record(&recording).build();
        let first = line!() + 2;
        let outcome = runtime.run(async |cx| {
            let kept = cx.own("kept", 'k', |_| Ok(()));
            let freed = cx.own("freed", 'f', |_| Ok(()));
            let given = cx.give((kept, freed));
            let child = given.spawn(async |_, (kept, freed)| {
                freed.disown();
                kept.transfer();
                pending::<Result<()>>().await
            });
            let lost = cx.own("lost", 'l', |_| Ok(()));
            let newer = cx.own("newer", 'n', |_| Ok(()));
            yield_now().await;
            child.cancel().await?;
            let kept = cx.receive::<char>().expect("the child gave it back");
            drop((lost, newer));
            // Its finaliser will never be called.
            std::mem::forget(cx.own("forgotten", 'f', |_| Ok(())));
            kept.release().await?;
            Result::<()>::Err(Failure::msg("and two are left"))
        });
        outcome.expect_err("it says so");
        let (kept, freed, lost, newer) = (first, first + 1, first + 8, first + 9);
        let forgotten = first + 15;
        let mut seen = Vec::new();
        for event in recording.events() {
            let (what, at) = match event.what {
                What::Owned { at } => ("owned", at),
                What::Disowned { at } => ("disowned", at),
                What::Finalised { at } => ("finalised", at),
                _ => continue,
            };
            seen.push((event.task.0, what, at.line()));
        }
        let expected = [
            (0, "owned", kept),
            (0, "owned", freed),
            (1, "owned", kept),
            (1, "owned", freed),
            (0, "owned", lost),
            (0, "owned", newer),
            (1, "disowned", freed),
            (0, "owned", kept),
            (0, "owned", forgotten),
            (0, "finalised", kept),
            // The newest first.
            (0, "finalised", newer),
            (0, "finalised", lost),
        ];
        assert_eq!(seen, expected, "{recording}");
    });
}
