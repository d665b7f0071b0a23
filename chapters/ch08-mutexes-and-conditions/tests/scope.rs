//! `Cx::scope`: a task boundary without a task.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod family;

use ch08_mutexes_and_conditions::{Cx, Either, Failure, Result, race, run, yield_now};
use common::{Drops, PanicsOnDrop, bounded};
use family::{Log, OnDrop, assert_panicked, assert_violation, endless, failure_of, noted};
use family::{poll_once, suppressed, test, turns};
use std::cell::Cell;
use std::future::pending;

#[test]
fn it_gives_what_its_closure_returns() {
    test(async |cx| {
        assert_eq!(cx.scope(async |_| Ok(1)).await?, 1);
        let failed: Result<()> = cx.scope(async |_| Err(Failure::msg("failed"))).await;
        assert_eq!(failed.expect_err("failed").to_string(), "failed");
        Ok(())
    });
}

#[test]
fn it_may_borrow_what_the_caller_owns() {
    test(async |cx| {
        let text = String::from("borrowed");
        let mut seen = Vec::new();
        let length = cx
            .scope(async |cx| {
                let length = text.len();
                seen.push(cx.spawn(async move |_| Ok(length)).await?);
                Ok(&text[..])
            })
            .await?;
        assert_eq!((length, seen), ("borrowed", vec![8]));
        Ok(())
    });
}

#[test]
fn without_children_it_does_not_wait() {
    test(async |cx| {
        let scope = cx.scope(async |cx| cx.scope(async |_| Ok(())).await);
        poll_once(scope).await.expect("ready at once")
    });
}

#[test]
fn it_does_nothing_before_it_is_polled() {
    test(async |cx| {
        drop(cx.scope(async |cx| Ok(drop(endless(cx)))));
        Ok(())
    });
}

#[test]
fn rule_2_ending_well_with_a_forgotten_child_is_a_violation() {
    let failure = failure_of(async |cx| -> Result<()> {
        let _ = cx.scope(async |cx| Ok(drop(endless(cx)))).await;
        panic!("no ancestor can catch it");
    });
    assert_violation(&failure);
    assert_eq!(suppressed(&failure), [""; 0]);
}

#[test]
fn rule_2_a_forgotten_child_that_has_ended_is_one_too() {
    let failure = failure_of(async |cx| {
        cx.scope(async |cx| {
            drop(cx.spawn(async |_| Ok(())));
            Ok(turns(2).await)
        })
        .await
    });
    assert_violation(&failure);
}

#[test]
fn rule_3_ending_badly_cancels_its_children_and_waits_for_them() {
    for how in ["error", "panic"] {
        test(async move |cx| {
            let log = Log::default();
            let outside = noted(cx, &log, "outside");
            let scope = cx.scope(async |cx| -> Result<()> {
                let _child = noted(cx, &log, "child");
                yield_now().await;
                assert_ne!(how, "panic", "panicked");
                Err(Failure::msg("error"))
            });
            let failure = scope.await.expect_err(how);
            assert!(failure.to_string().contains(how), "{failure}");
            assert_eq!(log.text(), "child");
            outside.cancel().await
        });
    }
}

#[test]
fn rule_3_failures_of_its_children_are_suppressed() {
    test(async |cx| {
        let scope = cx.scope(async |cx| -> Result<()> {
            let _failed = cx.spawn(async |_| -> Result<()> { Err(Failure::msg("child")) });
            let _bomb = cx.spawn(async |_| -> Result<()> {
                let _bomb = PanicsOnDrop("bomb");
                pending().await
            });
            turns(2).await;
            Err(Failure::msg("scope"))
        });
        let failure = scope.await.expect_err("failed");
        assert_eq!(failure.to_string(), "scope");
        assert_eq!(suppressed(&failure), ["child", "panicked: bomb"]);
        Ok(())
    });
}

#[test]
fn a_panic_in_it_is_its_failure() {
    test(async |cx| {
        let scope = cx.scope(async |_| -> Result<()> { panic!("inside") });
        assert_panicked(&scope.await.expect_err("panicked"), "inside");
        Ok(())
    });
}

#[test]
fn a_panic_of_what_it_has_cancelled_is_heard_of() {
    test(async |cx| {
        let drops = Drops::default();
        let scope = cx.scope(async |cx| {
            let bomb = cx.spawn(async |_| -> Result<()> {
                let _bomb = PanicsOnDrop("bomb");
                pending().await
            });
            yield_now().await;
            drop(bomb.cancel());
            Ok(drops.witness())
        });
        assert_panicked(&scope.await.err().expect("a bomb"), "bomb");
        assert_eq!(drops.count(), 1);
        Ok(())
    });
}

#[test]
fn dropped_half_way_it_cancels_its_children_and_the_task_waits_for_them_at_its_end() {
    bounded(|| {
        let log = Log::default();
        let inner = log.clone();
        let outcome = run(async move |cx| {
            let scope = cx.scope(async |cx| {
                let _local = inner.on_drop("local");
                let child = inner.clone();
                cx.spawn(async move |cx| {
                    let grandchild = noted(cx, &child, "grandchild");
                    let _noted = child.on_drop("child");
                    grandchild.await
                })
                .await
            });
            assert!(matches!(race(scope, turns(3)).await, Either::Second(())));
            inner.note("end");
            Ok(())
        });
        outcome.expect("cancelled, not forgotten");
        assert_eq!(log.text(), "local end grandchild child");
    });
}

#[test]
fn dropped_half_way_its_failures_are_not_lost() {
    test(async |cx| {
        for inside in [false, true] {
            let task = cx.spawn(async move |cx| {
                let scope = cx.scope(async |cx| {
                    let _failed = cx.spawn(async |_| -> Result<()> { Err(Failure::msg("child")) });
                    let _chain = cx.spawn(async |cx| cx.spawn(async |cx| endless(cx).await).await);
                    turns(2).await;
                    if inside {
                        pending().await
                    }
                    Err::<(), _>(Failure::msg("scope"))
                });
                // Dropped while it waits for its children, or while its closure runs.
                assert!(matches!(race(scope, turns(3)).await, Either::Second(())));
                Err::<(), _>(Failure::msg("task"))
            });
            let failure = task.await.expect_err("failed");
            assert_eq!(failure.to_string(), "task");
            let mut list = suppressed(&failure);
            list.sort();
            let expected = ["child", "scope"];
            assert_eq!(list, expected[..if inside { 1 } else { 2 }]);
        }
        Ok(())
    });
}

#[test]
fn dropped_in_the_turn_in_which_it_is_over_its_failure_is_not_lost() {
    test(async |cx| {
        let task = cx.spawn(async |cx| {
            let scope = cx.scope(async |cx| {
                let _child = endless(cx);
                yield_now().await;
                Err::<(), _>(Failure::msg("scope"))
            });
            let mut scope = Box::pin(scope);
            for _ in 0..2 {
                assert!(poll_once(scope.as_mut()).await.is_none());
                yield_now().await;
            }
            turns(5).await;
            // By now it is over, and nobody has taken its result.
            drop(scope);
            Err::<(), _>(Failure::msg("task"))
        });
        let failure = task.await.expect_err("failed");
        assert_eq!(suppressed(&failure), ["scope"]);
        Ok(())
    });
}

#[test]
fn kept_out_of_sight_its_children_are_forgotten_or_cancelled() {
    for well in [true, false] {
        bounded(move || {
            let drops = Drops::default();
            let inner = drops.clone();
            let outcome = run(async move |cx| {
                let witness = inner.witness();
                let mut scope = Box::pin(cx.scope(async |cx| {
                    let child = cx.spawn(async move |_| -> Result<()> {
                        let _witness = witness;
                        pending().await
                    });
                    child.await
                }));
                assert!(poll_once(scope.as_mut()).await.is_none());
                std::mem::forget(scope);
                yield_now().await;
                match well {
                    true => Ok(()),
                    false => Err(Failure::msg("failed")),
                }
            });
            let failure = outcome.expect_err("no good end");
            match well {
                true => assert_violation(&failure),
                false => assert_eq!(failure.to_string(), "failed"),
            }
            assert_eq!(drops.count(), 1, "the child is dropped all the same");
        });
    }
}

#[test]
fn its_locals_may_spawn_when_it_is_dropped_half_way() {
    test(async |cx| {
        let drops = Drops::default();
        let polled = Cell::new(false);
        let scope = cx.scope(async |cx| {
            let _spawns = OnDrop(|| {
                let witness = drops.witness();
                drop(cx.spawn(async move |_| Ok(drop(witness))));
            });
            polled.set(true);
            pending::<Result<()>>().await
        });
        race(scope, yield_now()).await;
        assert!(polled.get());
        turns(2).await;
        assert_eq!(drops.count(), 1);
        Ok(())
    });
}

#[test]
fn scopes_side_by_side() {
    test(async |cx| {
        let log = Log::default();
        let (one, two) = (log.clone(), log.clone());
        let fails = cx.scope(async |cx| {
            let _child = noted(cx, &one, "one");
            turns(2).await;
            Err::<(), _>(Failure::msg("one"))
        });
        let waits = cx.scope(async |cx| {
            let child = noted(cx, &two, "two");
            turns(20).await;
            child.cancel().await
        });
        let (mut fails, mut waits) = (Box::pin(fails), Box::pin(waits));
        match race(&mut fails, &mut waits).await {
            Either::First(Err(failure)) => assert_eq!(failure.to_string(), "one"),
            _ => panic!("the first fails"),
        }
        assert_eq!(log.text(), "one");
        waits.await?;
        assert_eq!(log.text(), "one two");
        Ok(())
    });
}

#[test]
fn scopes_in_scopes() {
    async fn nested(cx: &Cx, depth: u32, log: &Log) -> Result<()> {
        Box::pin(cx.scope(async |cx| {
            let child = noted(cx, log, &depth.to_string());
            yield_now().await;
            match depth {
                0 => Err(Failure::msg("the innermost")),
                _ => nested(cx, depth - 1, log).await,
            }?;
            child.cancel().await
        }))
        .await
    }
    test(async |cx| {
        let log = Log::default();
        let failure = nested(cx, 5, &log).await.expect_err("from the innermost");
        assert_eq!(failure.to_string(), "the innermost");
        assert_eq!(log.text(), "0 1 2 3 4 5");
        Ok(())
    });
}

#[test]
fn in_a_scope_the_task_has_its_own_number() {
    test(async |cx| {
        let task = cx.spawn(async |cx| {
            let outside = cx.id();
            cx.scope(async |cx| Ok((outside, cx.id()))).await
        });
        let (outside, inside) = task.await?;
        assert_eq!(outside, inside);
        Ok(())
    });
}
