//! Rule 3: ending badly cancels the children, and no failure is lost. And `Failure` itself.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod family;

use ch08_mutexes_and_conditions::{Cx, Failure, Reason, Result, run, yield_now};
use common::{PanicsOnDrop, bounded};
use family::{Log, assert_panicked, endless, failure_of, noted, suppressed, test, turns};
use std::error::Error;
use std::fmt;
use std::future::pending;
use std::io;

/// A child that fails after its first turn, and with what.
#[track_caller]
fn fails<'p>(cx: &'p Cx, message: &'static str) -> ch08_mutexes_and_conditions::Task<'p, ()> {
    cx.spawn(async move |_| Err(Failure::msg(message)))
}

mod rule_3 {
    use super::*;

    #[test]
    fn an_error_cancels_the_children() {
        test(async |cx| {
            let log = Log::default();
            let inner = log.clone();
            let task = cx.spawn(async move |cx| {
                let _child = noted(cx, &inner, "child");
                turns(2).await;
                Err::<(), _>(Failure::msg("failed"))
            });
            assert_eq!(task.await.expect_err("failed").to_string(), "failed");
            assert_eq!(log.text(), "child");
            Ok(())
        });
    }

    #[test]
    fn a_panic_cancels_the_children() {
        test(async |cx| {
            let log = Log::default();
            let inner = log.clone();
            let task = cx.spawn(async move |cx| -> Result<()> {
                let _child = noted(cx, &inner, "child");
                turns(2).await;
                panic!("panicked")
            });
            assert_panicked(&task.await.expect_err("panicked"), "panicked");
            assert_eq!(log.text(), "child");
            Ok(())
        });
    }

    #[test]
    fn a_question_mark_after_spawning_cancels_what_was_spawned() {
        test(async |cx| {
            let log = Log::default();
            let inner = log.clone();
            let task = cx.spawn(async move |cx| {
                let _child = noted(cx, &inner, "child");
                Ok("x".parse::<i32>()?)
            });
            assert!(task.await.is_err());
            assert_eq!(log.text(), "child");
            Ok(())
        });
    }

    #[test]
    fn a_result_is_seen_only_after_the_whole_subtree_is_gone() {
        test(async |cx| {
            let log = Log::default();
            for well in [true, false] {
                let inner = log.clone();
                let task = cx.spawn(async move |cx| {
                    let log = inner.clone();
                    let child = cx.spawn(async move |cx| {
                        let grandchild = noted(cx, &log, "grandchild");
                        let _noted = log.on_drop("child");
                        grandchild.await
                    });
                    turns(3).await;
                    inner.note("ends");
                    match well {
                        true => Ok(drop(child.cancel())),
                        false => Err(Failure::msg("failed")),
                    }
                });
                assert_eq!(task.await.is_ok(), well);
                log.note("seen;");
            }
            let once = "ends grandchild child seen;";
            assert_eq!(log.text(), format!("{once} {once}"));
            Ok(())
        });
    }

    #[test]
    fn is_over_says_no_while_the_subtree_lasts() {
        test(async |cx| {
            let log = Log::default();
            let inner = log.clone();
            let task = cx.spawn(async move |cx| {
                let _child = noted(cx, &inner, "child");
                yield_now().await;
                Err::<(), _>(Failure::msg("failed"))
            });
            while !task.is_over() {
                yield_now().await;
            }
            assert_eq!(log.text(), "child");
            assert!(task.await.is_err());
            Ok(())
        });
    }

    #[test]
    fn failures_of_children_that_nobody_can_receive_any_more_are_suppressed() {
        test(async |cx| {
            let task = cx.spawn(async |cx| {
                let _one = fails(cx, "one");
                let _two = fails(cx, "two");
                let _well = cx.spawn(async |_| Ok(()));
                let _alive = endless(cx);
                turns(2).await;
                Err::<(), _>(Failure::msg("zero"))
            });
            let failure = task.await.expect_err("failed");
            assert_eq!(failure.to_string(), "zero");
            assert_eq!(suppressed(&failure), ["one", "two"]);
            Ok(())
        });
    }

    #[test]
    fn failures_of_orphans_that_nobody_has_asked_for_are_suppressed() {
        test(async |cx| {
            let task = cx.spawn(async |cx| {
                let mut orphans = cx.orphans();
                orphans.spawn(async |_| -> Result<()> { Err(Failure::msg("one")) });
                orphans.spawn(async |_| -> Result<()> { Err(Failure::msg("two")) });
                turns(2).await;
                // As a server that ends with the first client that fails.
                orphans.next().await.expect("two are left")
            });
            let failure = task.await.expect_err("failed");
            assert_eq!(failure.to_string(), "one");
            assert_eq!(suppressed(&failure), ["two"]);
            Ok(())
        });
    }

    #[test]
    fn what_went_wrong_far_below_is_a_flat_list() {
        fn chain(cx: &Cx, depth: u32) -> ch08_mutexes_and_conditions::Task<'_, ()> {
            cx.spawn(async move |cx| {
                let _failed = cx.spawn(async move |_| -> Result<()> {
                    Err(Failure::msg(format_args!("depth {depth}")))
                });
                let _bomb = (depth == 3).then(|| PanicsOnDrop("bomb"));
                match depth {
                    0 => turns(5).await,
                    _ => chain(cx, depth - 1).await?,
                }
                Err(Failure::msg("the end"))
            })
        }
        test(async |cx| {
            let task = chain(cx, 10);
            turns(14).await;
            let failure = task.cancel().await.expect_err("much went wrong");
            assert!(matches!(failure.reason(), Reason::Cancelled));
            let mut list = suppressed(&failure);
            list.sort();
            let mut expected: Vec<_> = (0..=10).map(|depth| format!("depth {depth}")).collect();
            expected.push("panicked: bomb".to_owned());
            expected.sort();
            assert_eq!(list, expected);
            Ok(())
        });
    }

    #[test]
    fn being_cancelled_is_no_failure_to_be_listed() {
        test(async |cx| {
            let task = cx.spawn(async |cx| {
                let child = fails(cx, "child");
                yield_now().await;
                // A `?` passes on that it was cancelled, and what came to light.
                child.cancel().await
            });
            while !task.is_over() {
                yield_now().await;
            }
            let failure = task.cancel().await.expect_err("the child had failed");
            assert_eq!(suppressed(&failure), ["child"]);
            Ok(())
        });
    }

    #[test]
    fn a_failure_that_was_there_before_the_cancel_is_not_lost() {
        // Awaited, dropped, or kept to the end; in a parent that fails or is cancelled itself.
        for keep in ["await", "drop", "hold", "forget"] {
            test(async move |cx| {
                let task = cx.spawn(async move |cx| {
                    let child = fails(cx, "before");
                    yield_now().await;
                    assert!(child.is_over());
                    let cancel = child.cancel();
                    match keep {
                        "await" => {
                            let failure = cancel.await.expect_err("it had failed");
                            assert!(matches!(failure.reason(), Reason::Cancelled));
                            assert_eq!(suppressed(&failure), ["before"]);
                            return Err(failure);
                        }
                        "drop" => drop(cancel),
                        "forget" => std::mem::forget(cancel),
                        _ => {
                            // Both the wait and the end come before the turn in which it goes.
                            let _held = cancel;
                            return Err(Failure::msg("parent"));
                        }
                    }
                    Err::<(), _>(Failure::msg("parent"))
                });
                let failure = task.await.expect_err("failed");
                assert_eq!(suppressed(&failure), ["before"], "{keep}");
                Ok(())
            });
        }
    }

    #[test]
    fn a_failure_that_comes_to_light_after_the_cancel_was_dropped_is_not_lost() {
        test(async |cx| {
            for (turns_between, forget) in (0..12).map(|n| (n / 2, n % 2 == 0)) {
                let task = cx.spawn(async move |cx| {
                    let child = cx.spawn(async |cx| {
                        let _below = fails(cx, "below");
                        turns(2).await;
                        pending::<Result<()>>().await
                    });
                    turns(2).await;
                    let cancel = child.cancel();
                    turns(turns_between).await;
                    match forget {
                        true => std::mem::forget(cancel),
                        false => drop(cancel),
                    }
                    Err::<(), _>(Failure::msg("parent"))
                });
                let failure = task.await.expect_err("failed");
                assert_eq!(suppressed(&failure), ["below"], "after {turns_between}");
            }
            Ok(())
        });
    }

    #[test]
    fn errors_of_what_was_cancelled_are_no_concern_of_a_parent_that_ends_well() {
        test(async |cx| {
            let task = cx.spawn(async |cx| {
                let child = fails(cx, "before");
                yield_now().await;
                drop(child.cancel());
                Ok(1)
            });
            assert_eq!(task.await?, 1);
            Ok(())
        });
    }

    #[test]
    fn the_failure_of_a_child_that_a_question_mark_passes_on_is_the_parents() {
        let failure = failure_of(async |cx| {
            let task = cx.spawn(async |cx| {
                let _beside = fails(cx, "beside");
                let child = fails(cx, "child");
                turns(2).await;
                child.await
            });
            task.await
        });
        assert_eq!(failure.to_string(), "child");
        assert_eq!(suppressed(&failure), ["beside"]);
    }

    #[test]
    fn what_a_violation_cuts_short_is_suppressed_by_it() {
        let failure = failure_of(async |cx| {
            let _failed = fails(cx, "failed");
            let _bomb = cx.spawn(async |_| {
                let _bomb = PanicsOnDrop("bomb");
                pending::<Result<()>>().await
            });
            turns(2).await;
            Ok(())
        });
        family::assert_violation(&failure);
        assert_eq!(suppressed(&failure), ["failed", "panicked: bomb"]);
    }

    #[test]
    fn the_failure_of_the_main_task_waits_for_its_children_and_keeps_theirs() {
        bounded(|| {
            let log = Log::default();
            let inner = log.clone();
            let failure = run(async move |cx| -> Result<()> {
                let _child = noted(cx, &inner, "child");
                let _failed = fails(cx, "beside");
                turns(2).await;
                Err(Failure::msg("main"))
            })
            .expect_err("failed");
            assert_eq!(failure.to_string(), "main");
            assert_eq!(suppressed(&failure), ["beside"]);
            assert_eq!(log.text(), "child");
        });
    }
}

#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn outer() -> Failure {
    Failure::from(Outer(io::Error::other("inner")))
}

#[test]
fn a_failure_is_as_large_as_a_pointer() {
    assert_eq!(size_of::<Failure>(), size_of::<usize>());
    assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
}

#[test]
fn a_failure_can_go_to_another_thread() {
    fn can_go<T: Send + 'static>() {}
    can_go::<Failure>();
}

#[test]
fn display_is_one_line_and_debug_has_the_causes() {
    let failure = outer().context("loading").context("starting");
    assert_eq!(failure.to_string(), "starting: loading: outer");
    let debug = format!("{failure:?}");
    assert_eq!(debug, "starting: loading: outer\n  caused by: inner");
    assert_eq!(Failure::msg(1).to_string(), "1");
}

#[test]
fn a_failure_that_went_through_a_box_is_the_same() {
    let failure = failure_of(async |cx| {
        let _child = fails(cx, "child");
        yield_now().await;
        panic!("outer") as Result<()>
    });
    let boxed: Box<dyn Error + Send + Sync> = failure.context("there").into();
    let failure = Failure::from_boxed(boxed);
    assert!(matches!(failure.reason(), Reason::Panicked(text) if text == "outer"));
    assert_eq!(
        format!("{failure:?}"),
        "there: panicked: outer\n  also: child"
    );
}

#[test]
fn debug_shows_what_is_suppressed() {
    let failure = failure_of(async |cx| {
        let _child = fails(cx, "child\nwith two lines");
        yield_now().await;
        Err::<(), _>(outer())
    });
    let debug = format!("{failure:?}");
    let expected = "outer\n  caused by: inner\n  also: child\n  with two lines";
    assert_eq!(debug, expected);
}

#[test]
fn context_keeps_the_reason_and_what_is_suppressed() {
    let failure = failure_of(async |cx| {
        let _child = fails(cx, "child");
        yield_now().await;
        Err::<(), _>(outer())
    })
    .context("main");
    assert!(failure.downcast_ref::<Outer>().is_some());
    assert!(failure.downcast_ref::<io::Error>().is_none());
    assert_eq!(suppressed(&failure), ["child"]);
}

#[test]
fn a_failure_turns_into_a_boxed_error() {
    fn boxed() -> std::result::Result<(), Box<dyn Error>> {
        Err(outer().context("boxed"))?
    }
    fn sendable() -> std::result::Result<(), Box<dyn Error + Send + Sync>> {
        Err(outer().context("sendable"))?
    }
    let error = boxed().expect_err("failed");
    assert_eq!(error.to_string(), "boxed: outer");
    assert_eq!(format!("{error:?}"), "boxed: outer\n  caused by: inner");
    let cause = error.source().expect("the cause of outer").to_string();
    assert_eq!(cause, "inner");
    let error = sendable().expect_err("failed");
    assert_eq!(error.to_string(), "sendable: outer");
    // And back, as an error like others.
    let failure = Failure::from_boxed(error);
    assert_eq!(failure.to_string(), "sendable: outer");
}

#[test]
fn a_cancellation_names_what_came_to_light_and_long_lists_are_cut() {
    for (count, display) in [
        (1, "cancelled (also: child 0)"),
        (13, "cancelled (also: child 0, and 12 more)"),
    ] {
        let failure = failure_of(async move |cx| {
            let task = cx.spawn(async move |cx| {
                for n in 0..count {
                    drop(cx.spawn(async move |_| -> Result<()> {
                        Err(Failure::msg(format_args!("child {n}")))
                    }));
                }
                pending::<Result<()>>().await
            });
            turns(2).await;
            task.cancel().await
        });
        assert_eq!(failure.to_string(), display);
        let debug = format!("{failure:?}");
        assert!(debug.starts_with("cancelled\n  also: child 0"), "{debug}");
        assert_eq!(debug.contains("child 9"), count > 9, "{debug}");
        assert_eq!(debug.ends_with("\n  and 3 more"), count > 10, "{debug}");
    }
}
