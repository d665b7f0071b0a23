//! Rules 1, 2 and 6: how a task ends, what it may leave behind, and what it is told if it leaves more.
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
    Cx, Failure, Reason, Result, TaskState, Violation, run, yield_now,
};
use common::{Drops, bounded};
use family::{Log, test, turns};
use family::{assert_violation, endless, failure_of, noted, still_has_children, suppressed};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

/// The violation `failure` is; its task and the forgotten children.
fn details(failure: &Failure) -> (u64, bool, Vec<(u64, TaskState)>) {
    match still_has_children(failure) {
        Some(Violation::StillHasChildren {
            parent,
            scope,
            children,
        }) => {
            let children = children.iter().map(|child| (child.id.0, child.state));
            (parent.id.0, *scope, children.collect())
        }
        _ => panic!("{failure:?}"),
    }
}

mod rule_1 {
    use super::*;

    #[test]
    fn ok_is_ending_well() {
        test(async |cx| cx.spawn(async |_| Ok(())).await);
    }

    #[test]
    fn an_error_a_panic_and_being_cancelled_are_ending_badly() {
        test(async |cx| {
            let error = cx.spawn(async |_| Ok("x".parse::<u8>()?)).await;
            let error = error.expect_err("not a number");
            assert!(matches!(error.reason(), Reason::Error(_)), "{error:?}");
            assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());

            let panic = cx.spawn(async |_| -> Result<()> { panic!("text") }).await;
            let panic = panic.expect_err("panicked");
            assert!(matches!(panic.reason(), Reason::Panicked(text) if text == "text"));

            endless(cx).cancel().await
        });
    }
}

mod rule_2 {
    use super::*;

    #[test]
    fn a_forgotten_child_that_has_not_started() {
        let failure = failure_of(async |cx| Ok(drop(endless(cx))));
        assert_eq!(details(&failure), (0, false, vec![(1, TaskState::Ready)]));
    }

    #[test]
    fn a_forgotten_child_that_is_suspended() {
        let failure = failure_of(async |cx| {
            let _held = endless(cx);
            yield_now().await;
            Ok(())
        });
        let (parent, scope, children) = details(&failure);
        assert_eq!((parent, scope, children.len()), (0, false, 1));
        assert!(matches!(children[0], (1, TaskState::Waits(_))));
    }

    #[test]
    fn a_forgotten_child_that_has_ended_well_or_badly() {
        let failure = failure_of(async |cx| {
            drop(cx.spawn(async |_| Ok(())));
            drop(cx.spawn(async |_| -> Result<()> { Err(Failure::msg("lost?")) }));
            turns(3).await;
            Ok(())
        });
        let children = vec![(1, TaskState::Succeeded), (2, TaskState::Failed)];
        assert_eq!(details(&failure), (0, false, children));
        assert_eq!(suppressed(&failure), ["lost?"], "its error is not lost");
    }

    #[test]
    fn a_forgotten_child_that_waits_for_its_own_children() {
        let failure = failure_of(async |cx| {
            let _forgotten = cx.spawn(async |cx| {
                // It ends badly; its child needs some turns to go.
                let chain = cx.spawn(async |cx| cx.spawn(async |cx| endless(cx).await).await);
                turns(5).await;
                drop(chain);
                Err::<(), _>(Failure::msg("ended"))
            });
            turns(6).await;
            Ok(())
        });
        assert_eq!(details(&failure), (0, false, vec![(1, TaskState::Ending)]));
        assert_eq!(suppressed(&failure), ["ended"]);
    }

    #[test]
    fn only_the_forgotten_ones_are_named() {
        let failure = failure_of(async |cx| {
            let awaited = cx.spawn(async |_| Ok(()));
            drop(endless(cx));
            let cancelled = endless(cx);
            let looked_after = endless(cx);
            drop(endless(cx));
            awaited.await?;
            drop(cancelled.cancel());
            looked_after.cancel().await
        });
        let (_, _, children) = details(&failure);
        let named: Vec<u64> = children.iter().map(|(id, _)| *id).collect();
        assert_eq!(named, [2, 5], "the oldest first");
    }

    #[test]
    fn no_ancestor_can_catch_it() {
        bounded(|| {
            let went_on = Rc::new(Cell::new(false));
            let flag = went_on.clone();
            let drops = Drops::default();
            let witnesses = [drops.witness(), drops.witness(), drops.witness()];
            let outcome = run(async move |cx| {
                let [main, beside, below] = witnesses;
                let _main = main;
                let _beside = cx.spawn(async move |_| {
                    let _beside = beside;
                    pending::<Result<()>>().await
                });
                let middle = cx.spawn(async move |cx| {
                    let offender = cx.spawn(async move |cx| {
                        drop(cx.spawn(async move |_| {
                            let _below = below;
                            pending::<Result<()>>().await
                        }));
                        yield_now().await;
                        Ok(())
                    });
                    let _ = offender.await;
                    flag.set(true);
                    Ok(())
                });
                let _ = middle.await;
                Ok(())
            });
            let failure = outcome.expect_err("a violation");
            let (parent, _, children) = details(&failure);
            assert_eq!((parent, children.len()), (3, 1));
            assert!(!went_on.get());
            assert_eq!(drops.count(), 3, "the whole tree is cancelled");
        });
    }

    #[test]
    fn a_result_of_the_offender_is_seen_by_nobody() {
        let drops_outside = bounded(|| {
            let drops = Drops::default();
            let witness = drops.witness();
            let outcome = run(async move |cx| {
                drop(endless(cx));
                Ok(witness)
            });
            assert!(outcome.is_err());
            drops.count()
        });
        assert_eq!(drops_outside, 1);
    }

    #[test]
    fn a_task_that_is_cancelled_by_a_violation_declares_no_second_one() {
        let failure = failure_of(async |cx| {
            // Both in one turn: the second ends in a task that is cancelled while it runs.
            let first = cx.scope(async |cx| Ok(drop(endless(cx))));
            let second = cx.scope(async |cx| Ok(drop(endless(cx))));
            ch08_mutexes_and_conditions::race(first, second).await;
            Ok(())
        });
        let (parent, scope, children) = details(&failure);
        assert_eq!((parent, scope, children.len()), (0, true, 1));
        assert_eq!(suppressed(&failure), [""; 0]);
    }

    #[test]
    fn ending_badly_with_a_forgotten_child_is_none() {
        let failure = failure_of(async |cx| {
            drop(endless(cx));
            yield_now().await;
            Err::<(), _>(Failure::msg("failed"))
        });
        assert_eq!(failure.to_string(), "failed");
    }

    #[test]
    fn cancelled_with_a_forgotten_child_is_none() {
        test(async |cx| {
            let child = cx.spawn(async |cx| {
                drop(endless(cx));
                yield_now().await;
                pending::<Result<()>>().await
            });
            turns(3).await;
            child.cancel().await
        });
    }

    #[test]
    fn a_child_that_was_cancelled_and_not_waited_for_is_none() {
        bounded(|| {
            let log = Log::default();
            let inner = log.clone();
            let outcome = run(async move |cx| {
                drop(noted(cx, &inner, "child").cancel());
                inner.note("end");
                Ok(())
            });
            outcome.expect("ends well");
            assert_eq!(log.text(), "end child", "but the end waits for it");
        });
    }

    #[test]
    fn a_child_awaited_by_reference_is_none() {
        test(async |cx| {
            let mut child = cx.spawn(async |_| Ok(()));
            (&mut child).await
        });
    }

    #[test]
    fn orphans_that_are_left_are_forgotten_children() {
        let failure = failure_of(async |cx| {
            let mut orphans = cx.orphans();
            for turns_left in [0, 100, 0] {
                orphans.spawn(async move |_| Ok(turns(turns_left).await));
            }
            orphans.next().await.expect("three are left")
        });
        let (parent, scope, children) = details(&failure);
        let named: Vec<u64> = children.iter().map(|(id, _)| *id).collect();
        assert_eq!((parent, scope), (0, false));
        assert_eq!(named, [2, 3]);
    }

    #[test]
    fn a_handle_that_is_kept_out_of_sight_is_a_forgotten_child() {
        let failure = failure_of(async |cx| {
            std::mem::forget(endless(cx));
            // In a cycle of its own.
            struct Cycle<'p> {
                itself: RefCell<Option<Rc<Cycle<'p>>>>,
                _task: ch08_mutexes_and_conditions::Task<'p, ()>,
            }
            let cycle = Rc::new(Cycle {
                itself: RefCell::new(None),
                _task: endless(cx),
            });
            *cycle.itself.borrow_mut() = Some(cycle.clone());
            let mut orphans = cx.orphans();
            orphans.spawn(async |_| pending::<Result<()>>().await);
            std::mem::forget(orphans);
            Ok(())
        });
        let (_, _, children) = details(&failure);
        assert_eq!(children.len(), 3);
    }

    #[test]
    fn a_cancel_that_is_kept_out_of_sight_is_none() {
        test(async |cx| {
            let cancelled = endless(cx).cancel();
            std::mem::forget(endless(cx).cancel());
            turns(3).await;
            std::mem::forget(cancelled);
            let orphans: ch08_mutexes_and_conditions::Orphans<'_, ()> = cx.orphans();
            std::mem::forget(orphans);
            Ok(())
        });
    }

    #[test]
    fn a_child_spawned_by_a_destructor_is_a_forgotten_child() {
        let failure = failure_of(async |cx| {
            let _spawns = family::OnDrop(|| drop(endless(cx)));
            yield_now().await;
            Ok(())
        });
        assert_eq!(details(&failure).2.len(), 1);
    }

    #[test]
    fn the_message_names_the_task_each_forgotten_child_and_their_lines() {
        bounded(|| {
            let first = line!() + 1;
            let outcome = run(async |cx| {
                drop(cx.spawn(async |_| Ok(())));
                drop(cx.spawn(async |_| pending::<Result<()>>().await));
                let mut orphans = cx.orphans();
                orphans.spawn(async |_| -> Result<()> { Err(Failure::msg("failed")) });
                turns(2).await;
                Ok(())
            });
            let text = outcome.expect_err("a violation").to_string();
            let lines = [first, first + 1, first + 2, first + 4];
            let [main, one, two, three] = lines.map(|line| {
                format!("chapters/ch08-mutexes-and-conditions/tests/violations.rs:{line}:")
            });
            // The path is the one that the compiler was given.
            let strip = |text: &str| text.replace("chapters/ch08-mutexes-and-conditions/", "");
            let text = strip(&text);
            let expected = [
                format!("main, spawned at {}", strip(&main)),
                format!("\n  task 1, spawned at {}", strip(&one)),
                format!("\n  task 2, spawned at {}", strip(&two)),
                format!("\n  task 3, spawned at {}", strip(&three)),
            ];
            for expected in expected {
                assert!(text.contains(&expected), "{expected} in {text}");
            }
            for expected in [
                "has ended and forgotten its children:",
                "has succeeded",
                "waits for something the runtime does not know",
                "has failed",
                "await them or cancel them; dropping a handle does neither",
            ] {
                assert!(text.contains(expected), "{expected} in {text}");
            }
        });
    }

    #[test]
    fn a_long_list_of_forgotten_children_is_cut() {
        let failure = failure_of(async |cx| {
            (0..25).for_each(|_| drop(endless(cx)));
            Ok(())
        });
        let text = failure.to_string();
        assert!(text.contains("task 10,") && !text.contains("task 11,"));
        assert!(text.contains("and 15 more"), "{text}");
        assert_eq!(details(&failure).2.len(), 25, "all of them can be had");
    }

    #[test]
    fn a_scope_is_named_by_the_line_that_opened_it() {
        bounded(|| {
            let line = line!() + 2;
            let outcome = run(async |cx| {
                let task = cx.spawn(async |cx| cx.scope(async |cx| Ok(drop(endless(cx)))).await);
                task.await
            });
            let text = outcome.expect_err("a violation").to_string();
            assert!(text.starts_with("a scope of task 1, opened at"), "{text}");
            assert!(text.contains(&format!("violations.rs:{line}:")), "{text}");
        });
    }
}

mod rule_6 {
    use super::*;

    #[test]
    fn a_task_whose_handle_is_dropped_runs_on() {
        bounded(|| {
            let log = Log::default();
            let inner = log.clone();
            let outcome = run(async move |cx| {
                let child = inner.clone();
                drop(cx.spawn(async move |_| {
                    turns(2).await;
                    child.note("child");
                    Ok(())
                }));
                turns(4).await;
                inner.note("main");
                Ok(())
            });
            assert_violation(&outcome.expect_err("forgotten"));
            assert_eq!(log.text(), "child main");
        });
    }

    #[test]
    fn a_group_whose_handle_is_dropped_runs_on() {
        bounded(|| {
            let log = Log::default();
            let inner = log.clone();
            let outcome = run(async move |cx| {
                let child = inner.clone();
                let mut orphans = cx.orphans();
                orphans.spawn(async move |_| {
                    turns(2).await;
                    child.note("child");
                    Ok(())
                });
                drop(orphans);
                turns(4).await;
                Err::<(), _>(Failure::msg("failed"))
            });
            assert_eq!(outcome.expect_err("failed").to_string(), "failed");
            assert_eq!(log.text(), "child");
        });
    }

    #[test]
    fn a_race_that_drops_a_handle_forgets_the_child() {
        let failure = failure_of(async |cx: &Cx| {
            ch08_mutexes_and_conditions::race(endless(cx), yield_now()).await;
            Ok(())
        });
        assert_violation(&failure);
    }
}
