//! Rule 5: cancelling.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]
#![allow(
    clippy::drop_non_drop,
    clippy::forget_non_drop,
    reason = "handles are forgotten on purpose"
)]

mod common;
mod family;

use ch08_mutexes_and_conditions::{
    Cancel, Cx, Either, Event, Failure, Reason, Recording, Result, Runtime, Task, TaskId, What,
    await_all, await_first, await_one, race, run, yield_now,
};
use common::{Drops, PanicsOnDrop, bounded};
use family::{Log, OnDrop, endless, failure_of, noted, poll_by_hand, poll_once, suppressed};
use family::{test, turns};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

/// A task that notes each of its turns, and its end.
#[track_caller]
fn ticking<'p>(cx: &'p Cx, log: &Log, name: &'static str) -> Task<'p, ()> {
    let log = log.clone();
    cx.spawn(async move |_| {
        let _noted = log.on_drop(format_args!("{name}!"));
        loop {
            log.note(name);
            yield_now().await;
        }
    })
}

/// A chain of tasks, each the child of the one before, which notes its depth when it is dropped.
fn chain<'p>(cx: &'p Cx, log: &Log, depth: u32) -> Task<'p, ()> {
    let log = log.clone();
    cx.spawn(async move |cx| {
        let _noted = log.on_drop(depth);
        match depth {
            0 => pending::<Result<()>>().await,
            _ => chain(cx, &log, depth - 1).await,
        }
    })
}

/// Asserts that no task is polled after it was cancelled.
fn assert_none_polled_after_cancel(recording: &Recording) {
    let mut cancelled = Vec::new();
    for Event { task, what, .. } in recording.events() {
        match what {
            What::Cancelled => cancelled.push(task),
            What::Polled => assert!(!cancelled.contains(&task), "{recording}"),
            _ => {}
        }
    }
}

#[test]
fn cancel_acts_at_once_and_awaiting_it_waits_for_the_end() {
    test(async |cx| {
        let log = Log::default();
        let task = ticking(cx, &log, "tick");
        turns(2).await;
        let cancel = task.cancel();
        log.note("cancelled");
        cancel.await?;
        log.note("seen");
        assert_eq!(log.text(), "tick tick cancelled tick! seen");
        Ok(())
    });
}

#[test]
fn a_task_that_has_not_started_is_dropped_unpolled() {
    test(async |cx| {
        let log = Log::default();
        let captured = log.on_drop("captured");
        let inner = log.clone();
        let task = cx.spawn(async move |_| {
            inner.note("polled");
            drop(captured);
            Ok(())
        });
        task.cancel().await?;
        assert_eq!(log.text(), "captured");
        Ok(())
    });
}

#[test]
fn it_beats_a_wake_that_is_under_way() {
    test(async |cx| {
        let log = Log::default();
        let task = ticking(cx, &log, "tick");
        yield_now().await;
        // It stands in the run queue now.
        drop(task.cancel());
        turns(5).await;
        assert_eq!(log.text(), "tick tick!");
        Ok(())
    });
}

#[test]
fn it_beats_a_result_that_is_there_already() {
    test(async |cx| {
        for awaits in [true, false] {
            let drops = Drops::default();
            let result = drops.witness();
            let task = cx.spawn(async move |_| Ok(result));
            yield_now().await;
            assert!(task.is_over());
            let cancel = task.cancel();
            assert_eq!(drops.count(), 0, "no destructor runs inside of cancel");
            match awaits {
                true => cancel.await?,
                false => {
                    drop(cancel);
                    assert_eq!(drops.count(), 0, "nor inside of a drop");
                    turns(2).await;
                }
            }
            assert_eq!(drops.count(), 1);
        }
        Ok(())
    });
}

#[test]
fn of_a_task_that_has_failed_it_says_so() {
    test(async |cx| {
        let error = cx.spawn(async |_| -> Result<()> { Err(Failure::msg("failed")) });
        let panic = cx.spawn(async |_| -> Result<()> { panic!("panicked") });
        yield_now().await;
        for (task, text) in [(error, "failed"), (panic, "panicked: panicked")] {
            let failure = task.cancel().await.expect_err(text);
            assert!(matches!(failure.reason(), Reason::Cancelled), "{failure:?}");
            assert_eq!(suppressed(&failure), [text]);
        }
        Ok(())
    });
}

#[test]
fn of_a_task_whose_result_was_given_it_does_nothing() {
    test(async |cx| {
        let mut task = cx.spawn(async |_| Ok(()));
        (&mut task).await?;
        let other = endless(cx); // in the place of the first
        task.cancel().await?;
        yield_now().await;
        assert!(!other.is_over());
        other.cancel().await
    });
}

#[test]
fn of_a_task_that_has_ended_and_waits_for_its_children() {
    test(async |cx| {
        for fails in [true, false] {
            let log = Log::default();
            let inner = log.clone();
            let task = cx.spawn(async move |cx| {
                let _result = inner.on_drop("locals");
                let below = chain(cx, &inner, 3);
                turns(5).await;
                match fails {
                    true => Err(Failure::msg("failed")),
                    false => {
                        drop(below.cancel());
                        Ok(inner.on_drop("result"))
                    }
                }
            });
            turns(6).await;
            assert!(!task.is_over());
            let cancelled = task.cancel().await;
            match fails {
                true => {
                    assert_eq!(log.text(), "locals 0 1 2 3");
                    assert_eq!(suppressed(&cancelled.expect_err("failed")), ["failed"]);
                }
                false => {
                    assert_eq!(log.text(), "locals 0 1 2 3 result");
                    cancelled?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn awaiting_a_cancel_twice_is_harmless() {
    test(async |cx| {
        let mut cancel = endless(cx).cancel();
        (&mut cancel).await?;
        (&mut cancel).await
    });
}

#[test]
fn a_childs_future_is_dropped_before_its_parents() {
    test(async |cx| {
        let log = Log::default();
        let task = chain(cx, &log, 20);
        turns(10).await; // some have started, others have not
        task.cancel().await?;
        let names: Vec<u32> = log
            .text()
            .split(' ')
            .filter_map(|n| n.parse().ok())
            .collect();
        assert_eq!(names.len(), 10);
        assert!(names.is_sorted(), "{names:?}");
        Ok(())
    });
}

#[test]
fn captured_values_and_locals_of_a_parent_go_after_its_children() {
    test(async |cx| {
        let log = Log::default();
        let (captured, inner) = (log.on_drop("captured"), log.clone());
        let task = cx.spawn(async move |cx| {
            let _captured = captured;
            let _local = inner.on_drop("local");
            let _children = [noted(cx, &inner, "child"), noted(cx, &inner, "child")];
            let mut orphans = cx.orphans();
            let orphan = inner.on_drop("orphan");
            orphans.spawn(async move |_| {
                let _orphan = orphan;
                pending::<Result<()>>().await
            });
            cx.scope(async |cx| noted(cx, &inner, "scoped").await).await
        });
        turns(2).await;
        task.cancel().await?;
        assert_eq!(log.text(), "child child orphan scoped local captured");
        Ok(())
    });
}

#[test]
fn a_wide_tree() {
    test(async |cx| {
        let drops = Drops::default();
        let inner = drops.clone();
        let task = cx.spawn(async move |cx| {
            let mut children = Vec::new();
            for _ in 0..100 {
                let inner = inner.clone();
                children.push(cx.spawn(async move |cx| {
                    let mut orphans = cx.orphans();
                    for _ in 0..100 {
                        let witness = inner.witness();
                        orphans.spawn(async move |_| {
                            let _witness = witness;
                            pending::<Result<()>>().await
                        });
                    }
                    orphans.next().await.expect("a hundred are left")
                }));
            }
            await_all(&mut children).await.remove(0)
        });
        turns(3).await;
        task.cancel().await?;
        assert_eq!(drops.count(), 10_000);
        Ok(())
    });
}

/// Runs `f` on a thread with the stack that a thread has by default.
fn on_a_default_stack(f: impl AsyncFnOnce(&Cx) -> Result<()> + Send + 'static) {
    bounded(|| {
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        let thread = thread.spawn(|| run(f)).expect("a thread");
        thread.join().expect("no panic").expect("ends well");
    });
}

/// Spawns a chain in which each but the last holds the handle of the next; ends when all have started.
async fn long_chain<'p>(cx: &'p Cx, drops: &Drops, length: usize) -> Task<'p, ()> {
    fn link<'p>(cx: &'p Cx, drops: &Drops, left: usize) -> Task<'p, ()> {
        let (drops, witness) = (drops.clone(), drops.witness());
        cx.spawn(async move |cx| {
            let _witness = witness;
            match left {
                1 => pending::<Result<()>>().await,
                _ => link(cx, &drops, left - 1).await,
            }
        })
    }
    let first = link(cx, drops, length);
    turns(length + 1).await;
    first
}

#[test]
fn a_chain_of_a_hundred_thousand_without_recursion() {
    on_a_default_stack(async |cx| {
        let drops = Drops::default();
        let first = long_chain(cx, &drops, 100_000).await;
        first.cancel().await?;
        assert_eq!(drops.count(), 100_000);
        Ok(())
    });
}

#[test]
fn a_chain_of_a_hundred_thousand_scopes_groups_and_tasks() {
    fn link<'p>(cx: &'p Cx, drops: &Drops, left: usize) -> Task<'p, ()> {
        let (drops, witness) = (drops.clone(), drops.witness());
        cx.spawn(async move |cx| {
            let _witness = witness;
            cx.scope(async |cx| {
                let mut orphans = cx.orphans();
                let drops = drops.clone();
                orphans.spawn(async move |cx| match left {
                    1 => pending::<Result<()>>().await,
                    _ => link(cx, &drops, left - 1).await,
                });
                orphans.next().await.expect("one is left")
            })
            .await
        })
    }
    on_a_default_stack(async |cx| {
        let drops = Drops::default();
        let first = link(cx, &drops, 25_000);
        turns(50_001).await;
        first.cancel().await?;
        assert_eq!(drops.count(), 25_000);
        Ok(())
    });
}

#[test]
fn a_chain_of_a_hundred_thousand_that_fails_from_below() {
    fn link(cx: &Cx, left: usize) -> Task<'_, ()> {
        cx.spawn(async move |cx| match left {
            1 => Err(Failure::msg("the last")),
            _ => {
                let _beside = endless(cx);
                link(cx, left - 1).await
            }
        })
    }
    on_a_default_stack(async |cx| {
        let failure = link(cx, 100_000).await.expect_err("it fails");
        assert_eq!(failure.to_string(), "the last");
        assert_eq!(failure.suppressed().len(), 0);
        Ok(())
    });
}

#[test]
fn a_hundred_thousand_suppressed_failures_without_recursion() {
    fn link(cx: &Cx, left: usize) -> Task<'_, ()> {
        cx.spawn(async move |cx| {
            let _failed = cx.spawn(async |_| -> Result<()> { Err(Failure::msg("below")) });
            match left {
                1 => pending::<Result<()>>().await,
                _ => link(cx, left - 1).await,
            }
        })
    }
    on_a_default_stack(async |cx| {
        let first = link(cx, 100_000);
        turns(100_001).await;
        let failure = first.cancel().await.expect_err("all had failed");
        assert_eq!(failure.suppressed().len(), 100_000);
        Ok(())
    });
}

#[test]
fn other_tasks_run_while_a_big_tree_is_taken_down() {
    test(async |cx| {
        let drops = Drops::default();
        let first = long_chain(cx, &drops, 10_000).await;
        let mut cancel = first.cancel();
        let mut turns = 0;
        while let Either::Second(()) = race(&mut cancel, yield_now()).await {
            turns += 1;
            assert!(drops.count() <= turns + 1, "one at a time");
        }
        assert!(turns >= 9_000, "{turns} turns");
        Ok(())
    });
}

#[test]
fn nothing_of_the_subtree_is_polled_again() {
    bounded(|| {
        let recording = Recording::new();
        let runtime = Runtime::builder().record(&recording).build();
        let outcome = runtime.run(async |cx| {
            for wait in 0..8 {
                let task = cx.spawn(async |cx| {
                    let log = Log::default();
                    let ticking = [
                        ticking(cx, &log, "a"),
                        ticking(cx, &log, "b"),
                        cx.spawn(async |cx| ticking(cx, &Log::default(), "c").await),
                    ];
                    let mut ticking = Vec::from(ticking);
                    await_one(&mut ticking).await
                });
                turns(wait).await;
                drop(task.cancel());
                turns(wait).await;
            }
            Ok(())
        });
        outcome.expect("ends well");
        assert_none_polled_after_cancel(&recording);
    });
}

#[test]
fn a_running_task_is_cancelled_by_a_violation_that_it_declares() {
    bounded(|| {
        let log = Log::default();
        let inner = log.clone();
        let outcome = run(async move |cx| {
            let _locals = inner.on_drop("locals");
            let scope = cx.scope(async |cx| Ok(drop(noted(cx, &inner, "child"))));
            // The poll goes on to the next await.
            race(scope, async {
                inner.note("on");
                yield_now().await;
                inner.note("never");
            })
            .await;
            inner.note("never");
            Ok(())
        });
        family::assert_violation(&outcome.expect_err("forgotten"));
        assert_eq!(log.text(), "on child locals");
    });
}

/// Has `body` run in a task that has just been cancelled, by a violation, within its turn. The run has to end, with
/// nothing suppressed but `also`: an assertion that fails there fails the test here.
fn while_cancelled(
    also: &[&str],
    body: impl AsyncFnOnce(&Cx, &Log) -> Result<()> + Send + 'static,
) -> String {
    let (text, failure) = bounded(|| {
        let log = Log::default();
        let inner = log.clone();
        let outcome = run(async move |cx| {
            let _locals = inner.on_drop("locals");
            let violation = cx.scope(async |cx| Ok(drop(endless(cx))));
            assert!(poll_once(violation).await.is_none());
            body(cx, &inner).await
        });
        (log.text(), outcome.expect_err("forgotten"))
    });
    family::assert_violation(&failure);
    assert_eq!(suppressed(&failure), also);
    text
}

mod a_task_that_was_cancelled_in_its_turn {
    use super::*;

    #[test]
    fn may_return() {
        assert_eq!(while_cancelled(&[], async |_, _| Ok(())), "locals");
        let failed = async |_: &Cx, _: &Log| Err(Failure::msg("failed"));
        assert_eq!(while_cancelled(&["failed"], failed), "locals");
    }

    #[test]
    fn may_panic() {
        let panics = async |_: &Cx, _: &Log| -> Result<()> { panic!("late") };
        assert_eq!(while_cancelled(&["panicked: late"], panics), "locals");
    }

    #[test]
    fn spawns_children_that_are_born_cancelled() {
        let text = while_cancelled(&[], async |cx, log| {
            let captured = log.on_drop("captured");
            let inner = log.clone();
            let child = cx.spawn(async move |_| {
                let _captured = captured;
                inner.note("polled");
                Ok(())
            });
            child.await
        });
        assert_eq!(text, "captured locals");
    }

    #[test]
    fn opens_scopes_and_groups_that_are_born_cancelled() {
        let text = while_cancelled(&[], async |cx, log| {
            let mut orphans = cx.orphans();
            let captured = log.on_drop("orphan");
            orphans.spawn(async move |_| Ok(drop(captured)));
            assert!(poll_once(orphans.next()).await.is_none());
            assert!(orphans.take().is_none());
            let empty: ch08_mutexes_and_conditions::Orphans<'_, ()> = cx.orphans();
            std::mem::forget(empty);
            cx.scope(async |cx| noted(cx, log, "scoped").await).await
        });
        assert_eq!(text, "orphan scoped locals");
    }

    #[test]
    fn sees_no_result_that_was_there_before() {
        bounded(|| {
            let outcome = run(async |cx| {
                let mut task = cx.spawn(async |_| Ok(()));
                let mut listed = vec![cx.spawn(async |_| Ok(()))];
                let mut orphans = cx.orphans();
                orphans.spawn(async |_| Ok(()));
                orphans.spawn(async |_| Ok(()));
                turns(2).await;
                let violation = cx.scope(async |cx| Ok(drop(endless(cx))));
                assert!(poll_once(violation).await.is_none());
                assert!(poll_once(&mut task).await.is_none());
                assert!(poll_once(await_all(&mut listed)).await.is_none());
                assert!(poll_once(await_one(&mut listed)).await.is_none());
                assert!(matches!(
                    orphans.care(),
                    ch08_mutexes_and_conditions::Care::Busy
                ));
                assert!(poll_once(orphans.next()).await.is_none());
                // Moving the last child out of a group that waits for it would leave it waiting.
                assert!(orphans.take().is_none());
                assert!(orphans.take().is_none());
                Ok(())
            });
            let failure = outcome.expect_err("forgotten");
            family::assert_violation(&failure);
            assert_eq!(suppressed(&failure), [""; 0]);
        });
    }

    #[test]
    fn may_cancel_its_children_and_leave_its_scopes() {
        let text = while_cancelled(&[], async |cx, log| {
            let child = noted(cx, log, "child");
            assert!(poll_once(child.cancel()).await.is_none());
            let inner = cx.scope(async |cx| noted(cx, log, "scoped").await);
            assert!(poll_once(inner).await.is_none());
            Ok(())
        });
        assert_eq!(text, "locals child scoped", "it has returned");
    }
}

mod destructors {
    //! What those of a task's locals may do when it is cancelled.

    use super::*;

    /// Cancels a task with a local whose destructor is `on_drop`, and waits for the end.
    async fn cancel_with(cx: &Cx, on_drop: impl FnMut(&Cx) + 'static) -> Result<()> {
        let task = cx.spawn(async move |cx| {
            let mut on_drop = on_drop;
            let _calls = OnDrop(|| on_drop(cx));
            pending::<Result<()>>().await
        });
        yield_now().await;
        task.cancel().await
    }

    #[test]
    fn spawn_children_that_are_born_cancelled() {
        test(async |cx| {
            let log = Log::default();
            let inner = log.clone();
            cancel_with(cx, move |cx| {
                let (captured, inner) = (inner.on_drop("captured"), inner.clone());
                drop(cx.spawn(async move |_| {
                    let _captured = captured;
                    inner.note("polled");
                    Ok(())
                }));
            })
            .await?;
            assert_eq!(log.text(), "captured");
            Ok(())
        });
    }

    #[test]
    fn spawn_and_cancel_or_hold_or_poll_or_forget() {
        test(async |cx| {
            for what in ["cancel", "poll", "forget", "cancel and forget", "group"] {
                let drops = Drops::default();
                let inner = drops.clone();
                cancel_with(cx, move |cx| {
                    let witness = inner.witness();
                    if what == "group" {
                        let mut orphans = cx.orphans();
                        orphans.spawn(async move |_| Ok(drop(witness)));
                        assert!(poll_by_hand(orphans.next()).is_none());
                        assert!(matches!(
                            orphans.care(),
                            ch08_mutexes_and_conditions::Care::Busy
                        ));
                        return;
                    }
                    let task = cx.spawn(async move |_| Ok(drop(witness)));
                    match what {
                        "cancel" => drop(task.cancel()),
                        "poll" => assert!(poll_by_hand(task).is_none()),
                        "forget" => std::mem::forget(task),
                        _ => std::mem::forget(task.cancel()),
                    }
                })
                .await?;
                assert_eq!(drops.count(), 1, "{what}");
            }
            Ok(())
        });
    }

    #[test]
    fn open_groups_and_keep_them_out_of_sight() {
        test(async |cx| {
            for full in [false, true] {
                cancel_with(cx, move |cx| {
                    let mut orphans = cx.orphans();
                    if full {
                        orphans.spawn(async |_| Ok(()));
                        let taken = orphans.take();
                        std::mem::forget(taken);
                    }
                    std::mem::forget(orphans);
                })
                .await?;
            }
            Ok(())
        });
    }

    #[test]
    fn open_scopes_and_leave_them_half_way() {
        test(async |cx| {
            for keep in [false, true] {
                let log = Log::default();
                let inner = log.clone();
                cancel_with(cx, move |cx| {
                    let empty = cx.scope(async |_| pending::<Result<()>>().await);
                    assert!(poll_by_hand(empty).is_none());
                    let mut scope = Box::pin(cx.scope(async |cx| {
                        let _locals = inner.on_drop("locals");
                        noted(cx, &inner, "child").await
                    }));
                    assert!(poll_by_hand(scope.as_mut()).is_none());
                    if keep {
                        std::mem::forget(scope);
                    }
                })
                .await?;
                assert_eq!(log.text(), if keep { "child" } else { "locals child" });
            }
            Ok(())
        });
    }

    #[test]
    fn run_scopes_to_their_end() {
        test(async |cx| {
            cancel_with(cx, |cx| {
                // Its task is cancelled, so it is never over.
                assert!(poll_by_hand(cx.scope(async |_| Ok(()))).is_none());
                let fails = cx.scope(async |_| -> Result<()> { Err(Failure::msg("failed")) });
                assert!(poll_by_hand(fails).is_none());
            })
            .await
            .map_err(|failure| assert_eq!(suppressed(&failure), ["failed"]))
            .expect_err("what went wrong is not lost");
            Ok(())
        });
    }

    #[test]
    fn go_on_with_scopes_that_the_task_has_opened() {
        test(async |cx| {
            let log = Log::default();
            let inner = log.clone();
            let task = cx.spawn(async move |cx| {
                let go_on = Cell::new(false);
                let mut scope = Box::pin(cx.scope(async |cx| {
                    while !go_on.get() {
                        yield_now().await;
                    }
                    inner.note("goes on");
                    drop(noted(cx, &inner, "child of the task"));
                    cx.scope(async |cx| {
                        drop(noted(cx, &inner, "grandchild of the task"));
                        Err::<(), _>(Failure::msg("for nobody"))
                    })
                    .await
                }));
                let _first = poll_once(scope.as_mut()).await;
                let _goes_on = OnDrop(|| {
                    go_on.set(true);
                    assert!(poll_by_hand(scope.as_mut()).is_none());
                });
                pending::<Result<()>>().await
            });
            yield_now().await;
            let failure = task.cancel().await.expect_err("the inner scope failed");
            assert_eq!(suppressed(&failure), ["for nobody"]);
            let text = log.text();
            assert!(text.starts_with("goes on "), "{text}");
            assert!(text.contains("child of the task grandchild of the task"));
            Ok(())
        });
    }

    #[test]
    fn cancel_children_that_were_cancelled_with_the_task() {
        test(async |cx| {
            let log = Log::default();
            let inner = log.clone();
            let task = cx.spawn(async move |cx| {
                let children = [noted(cx, &inner, "a"), noted(cx, &inner, "b")];
                let mut children = Vec::from(children);
                let mut orphans = cx.orphans();
                orphans.spawn(async |_| Ok(1));
                let _cancels = OnDrop(|| {
                    inner.note("destructor");
                    for child in children.drain(..) {
                        assert!(!child.is_over());
                        match poll_by_hand(child.cancel()) {
                            Some(Err(failure)) => {
                                assert!(matches!(failure.reason(), Reason::Cancelled));
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                    assert!(orphans.take().is_none());
                });
                pending::<Result<()>>().await
            });
            turns(2).await;
            task.cancel().await?;
            assert_eq!(log.text(), "a b destructor");
            Ok(())
        });
    }

    #[test]
    fn spawn_in_chains() {
        // Each link is a scope, opened by the destructor of a local of the link before.
        fn link(cx: &Cx, drops: &Drops, left: u32) {
            let scope = cx.scope(async |cx| {
                let (drops, witness) = (drops.clone(), drops.witness());
                drop(cx.spawn(async move |_| Ok(drop(witness))));
                let _next = OnDrop(|| {
                    if left > 1 {
                        link(cx, &drops, left - 1);
                    }
                });
                pending::<Result<()>>().await
            });
            assert!(poll_by_hand(scope).is_none());
        }
        test(async |cx| {
            let drops = Drops::default();
            let inner = drops.clone();
            cancel_with(cx, move |cx| link(cx, &inner, 50)).await?;
            assert_eq!(drops.count(), 50);
            Ok(())
        });
    }

    #[test]
    fn of_a_failing_task_spawn_children_that_never_run() {
        for how in ["error", "panic"] {
            bounded(move || {
                let drops = Drops::default();
                let inner = drops.clone();
                let outcome = run(async move |cx| {
                    let _spawns = OnDrop(|| {
                        let witness = inner.witness();
                        drop(cx.spawn(async move |_| -> Result<()> {
                            let _witness = witness;
                            panic!("polled");
                        }));
                    });
                    yield_now().await;
                    assert_ne!(how, "panic");
                    Err::<(), _>(Failure::msg("error"))
                });
                let failure = outcome.expect_err(how);
                assert_eq!(failure.suppressed().len(), 0, "{failure:?}");
                assert_eq!(drops.count(), 1);
            });
        }
    }

    #[test]
    fn that_panic_and_spawn() {
        test(async |cx| {
            let drops = Drops::default();
            let inner = drops.clone();
            let cancelled = cancel_with(cx, move |cx| {
                let captured = (inner.witness(), PanicsOnDrop("never polled"));
                drop(cx.spawn(async move |_| {
                    let _captured = captured;
                    pending::<Result<()>>().await
                }));
                panic!("after spawning");
            });
            let failure = cancelled.await.expect_err("two panics");
            let expected = ["panicked: after spawning", "panicked: never polled"];
            assert_eq!(suppressed(&failure), expected);
            assert_eq!(drops.count(), 1);
            Ok(())
        });
    }
}

mod a_parent_that_waits {
    //! It is cancelled wherever it waits.

    use super::*;

    async fn cancel_in(
        cx: &Cx,
        body: impl AsyncFnOnce(&Cx, &Log) -> Result<()> + 'static,
    ) -> Result<String> {
        let log = Log::default();
        let inner = log.clone();
        let parent = cx.spawn(async move |cx| {
            let _noted = inner.on_drop("parent");
            body(cx, &inner).await
        });
        turns(3).await;
        parent.cancel().await?;
        Ok(log.text())
    }

    fn two<'p>(cx: &'p Cx, log: &Log) -> Vec<Task<'p, ()>> {
        vec![noted(cx, log, "a"), noted(cx, log, "b")]
    }

    #[test]
    fn for_a_task() {
        test(async |cx| {
            let body = async |cx: &Cx, log: &Log| noted(cx, log, "child").await;
            assert_eq!(cancel_in(cx, body).await?, "child parent");
            Ok(())
        });
    }

    #[test]
    fn for_an_orphan() {
        test(async |cx| {
            let body = async |cx: &Cx, log: &Log| {
                let mut orphans = cx.orphans();
                for name in ["a", "b", "c"] {
                    let noted = log.on_drop(name);
                    orphans.spawn(async move |_| {
                        let _noted = noted;
                        pending::<Result<()>>().await
                    });
                }
                orphans.spawn(async |_| Ok(()));
                orphans.next().await.expect("four are left")?;
                orphans.next().await.expect("three are left")
            };
            assert_eq!(cancel_in(cx, body).await?, "a b c parent");
            Ok(())
        });
    }

    #[test]
    fn for_several_tasks() {
        test(async |cx| {
            let all = async |cx: &Cx, log: &Log| await_all(&mut two(cx, log)).await.remove(0);
            assert_eq!(cancel_in(cx, all).await?, "a b parent");
            let one = async |cx: &Cx, log: &Log| await_one(&mut two(cx, log)).await;
            assert_eq!(cancel_in(cx, one).await?, "a b parent");
            let first = async |cx: &Cx, log: &Log| await_first(&mut two(cx, log)).await;
            assert_eq!(cancel_in(cx, first).await?, "a b parent");
            Ok(())
        });
    }

    #[test]
    fn in_a_race_and_in_a_scope() {
        test(async |cx| {
            let racing = async |cx: &Cx, log: &Log| {
                let (mut a, mut b) = (noted(cx, log, "a"), noted(cx, log, "b"));
                match race(&mut a, &mut b).await {
                    Either::First(result) | Either::Second(result) => result,
                }
            };
            assert_eq!(cancel_in(cx, racing).await?, "a b parent");
            let scope = async |cx: &Cx, log: &Log| {
                let _outside = noted(cx, log, "outside");
                cx.scope(async |cx| {
                    let _local = log.on_drop("local");
                    cx.scope(async |cx| noted(cx, log, "inside").await).await
                })
                .await
            };
            let text = cancel_in(cx, scope).await?;
            assert_eq!(text, "outside inside local parent");
            Ok(())
        });
    }

    #[test]
    fn for_the_children_of_a_scope_that_has_ended() {
        test(async |cx| {
            let body = async |cx: &Cx, log: &Log| {
                let failed = cx.scope(async |cx| {
                    let _chain = chain(cx, log, 10);
                    turns(2).await;
                    Err::<(), _>(Failure::msg("scope"))
                });
                failed.await
            };
            // Cancelled in the middle of its end, it has failed all the same.
            let failure = cancel_in(cx, body).await.expect_err("the scope has failed");
            assert_eq!(suppressed(&failure), ["scope"]);
            Ok(())
        });
    }

    #[test]
    fn for_a_cancelled_child() {
        test(async |cx| {
            for turns_before in 1..12 {
                let log = Log::default();
                let inner = log.clone();
                let parent = cx.spawn(async move |cx| {
                    let _noted = inner.on_drop("parent");
                    let child = chain(cx, &inner, 3);
                    turns(4).await;
                    child.cancel().await
                });
                turns(turns_before).await;
                parent.cancel().await?;
                let text = log.text();
                assert!(text.ends_with("parent"), "{text}");
            }
            Ok(())
        });
    }
}

#[test]
fn a_cancelled_task_that_cancels_its_children_meanwhile() {
    test(async |cx| {
        let log = Log::default();
        let inner = log.clone();
        let task = cx.spawn(async move |cx| {
            let children = [chain(cx, &inner, 2), chain(cx, &inner, 2)];
            turns(4).await;
            let cancels: Vec<Cancel<'_>> = children.into_iter().map(Task::cancel).collect();
            for cancel in cancels {
                cancel.await?;
            }
            Ok(())
        });
        turns(6).await; // in the middle of it
        task.cancel().await?;
        let mut names: Vec<_> = log.text().split(' ').map(str::to_owned).collect();
        names.sort();
        assert_eq!(names, ["0", "0", "1", "1", "2", "2"]);
        Ok(())
    });
}

#[test]
fn handles_kept_in_cycles_and_out_of_sight_are_cancelled_with_their_task() {
    test(async |cx| {
        struct Node<'p> {
            task: Task<'p, ()>,
            next: RefCell<Option<Rc<Node<'p>>>>,
        }
        let log = Log::default();
        let inner = log.clone();
        let task = cx.spawn(async move |cx| {
            let node = |name| Node {
                task: noted(cx, &inner, name),
                next: RefCell::new(None),
            };
            let (a, b) = (Rc::new(node("a")), Rc::new(node("b")));
            *a.next.borrow_mut() = Some(b.clone());
            *b.next.borrow_mut() = Some(a.clone());
            std::mem::forget(noted(cx, &inner, "c"));
            yield_now().await;
            assert!(!a.task.is_over());
            pending::<Result<()>>().await
        });
        turns(2).await;
        task.cancel().await?;
        assert_eq!(log.text(), "a b c");
        Ok(())
    });
}

#[test]
fn a_task_that_holds_its_own_waker_is_dropped() {
    test(async |cx| {
        let drops = Drops::default();
        let witness = drops.witness();
        let task = cx.spawn(async move |_| {
            let waker = family::own_waker().await;
            let _holds = (waker, witness);
            pending::<Result<()>>().await
        });
        yield_now().await;
        task.cancel().await?;
        assert_eq!(drops.count(), 1);
        Ok(())
    });
}

#[test]
fn a_place_is_used_again_after_a_cancel() {
    bounded(|| {
        let recording = Recording::new();
        let runtime = Runtime::builder().record(&recording).build();
        let outcome = runtime.run(async |cx| {
            for round in 0..100_u32 {
                let cancelled = cx.spawn(async move |_| Ok(round));
                if round % 3 == 0 {
                    yield_now().await;
                }
                drop(cancelled.cancel());
                if round % 2 == 0 {
                    turns(2).await;
                }
                let next = cx.spawn(async move |_| {
                    yield_now().await;
                    Ok(round)
                });
                assert_eq!(next.await?, round);
            }
            Ok(())
        });
        outcome.expect("ends well");
        assert_none_polled_after_cancel(&recording);
        let spawned = recording.events();
        let spawned = spawned.iter().filter(|event| event.what == What::Cancelled);
        assert!(spawned.count() >= 66);
        assert!(recording.events().iter().any(|e| e.task == TaskId(200)));
    });
}

#[test]
fn the_end_of_a_parent_waits_for_a_cancel_that_was_dropped() {
    bounded(|| {
        let log = Log::default();
        let inner = log.clone();
        let outcome = run(async move |cx| {
            let child = chain(cx, &inner, 5);
            turns(7).await;
            drop(child.cancel());
            inner.note("end");
            Ok(())
        });
        outcome.expect("ends well");
        assert_eq!(log.text(), "end 0 1 2 3 4 5");
    });
}

#[test]
fn a_cancel_that_fails_names_itself_cancelled() {
    let failure = failure_of(async |cx| {
        let task = cx.spawn(async |_| {
            let _bomb = PanicsOnDrop("bomb");
            pending::<Result<()>>().await
        });
        yield_now().await;
        task.cancel().await
    });
    assert_eq!(format!("{failure:?}"), "cancelled\n  also: panicked: bomb");
}
