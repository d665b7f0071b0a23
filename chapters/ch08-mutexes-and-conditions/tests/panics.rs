//! A panic in a task is its parent's failure, and nobody else's. Nothing that panics while it is dropped takes the
//! runtime down.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod family;

use ch08_mutexes_and_conditions::{Cx, Failure, Reason, Result, run, yield_now};
use common::{Drops, PanicsOnDrop, bounded};
use family::{assert_panicked, assert_violation, failure_of, own_waker, suppressed, test, turns};
use std::error::Error;
use std::fmt;
use std::future::{Future, pending};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

#[test]
fn rule_16_a_panic_in_the_main_task_is_the_failure_of_the_run() {
    bounded(|| {
        let failure = run(async |_| -> Result<()> { panic!("main") }).expect_err("panicked");
        assert_panicked(&failure, "main");
        assert_eq!(failure.to_string(), "panicked: main");
        let next = run(async |_| Ok(1)).expect("the next run is as good as new");
        assert_eq!(next, 1);
    });
}

#[test]
fn rule_16_a_panic_in_a_task_is_the_failure_of_the_one_that_awaits() {
    let failure = failure_of(async |cx| {
        let parent = cx.spawn(async |cx| {
            let child = cx.spawn(async |_| -> Result<()> { panic!("child") });
            child.await
        });
        parent.await
    });
    assert_panicked(&failure, "child");
}

#[test]
fn rule_16_a_parent_may_live_with_the_panic_of_its_child() {
    test(async |cx| {
        let child = cx.spawn(async |_| -> Result<()> { panic!("child {}", 1) });
        let beside = cx.spawn(async |_| Ok(turns(5).await));
        assert_panicked(&child.await.expect_err("panicked"), "child 1");
        beside.await
    });
}

#[test]
fn rule_16_a_panic_that_nobody_can_receive_ends_the_run_with_it() {
    // Forgotten, it is a violation that suppresses the panic.
    let failure = failure_of(async |cx| {
        drop(cx.spawn(async |_| -> Result<()> { panic!("forgotten") }));
        yield_now().await;
        Ok(())
    });
    assert_violation(&failure);
    assert_eq!(suppressed(&failure), ["panicked: forgotten"]);

    // Cancelled without a look at how that went, it fails the parent that would have ended well.
    let failure = failure_of(async |cx| {
        let parent = cx.spawn(async |cx| {
            let child = cx.spawn(async |_| -> Result<()> { panic!("cancelled") });
            yield_now().await;
            drop(child.cancel());
            Ok(())
        });
        parent.await
    });
    assert_panicked(&failure, "cancelled");
}

#[test]
fn the_locals_of_a_task_are_dropped_before_its_panic_is_seen() {
    test(async |cx| {
        let drops = Drops::default();
        let inside = drops.witness();
        let child = cx.spawn(async move |_| -> Result<()> {
            let _inside = inside;
            yield_now().await;
            panic!("after a turn");
        });
        assert_panicked(&child.await.expect_err("panicked"), "after a turn");
        assert_eq!(drops.count(), 1);
        Ok(())
    });
}

/// Ready at once, and panics when dropped.
struct Ready<T>(Option<T>, #[allow(dead_code)] PanicsOnDrop);

impl<T: Unpin> Future for Ready<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        Poll::Ready(self.0.take().expect("polled once"))
    }
}

#[test]
fn a_panic_while_the_future_is_dropped_counts_as_the_tasks_own() {
    test(async |cx| {
        let child = cx.spawn(|_: &Cx| Ready(Some(Ok(())), PanicsOnDrop("drop")));
        assert_panicked(&child.await.expect_err("panicked"), "drop");
        Ok(())
    });
}

#[test]
fn a_panic_while_the_future_of_a_scope_is_dropped_is_not_lost() {
    test(async |cx| {
        let task = cx.spawn(async |cx| {
            cx.scope(|cx: &Cx| {
                drop(family::endless(cx));
                Ready(Some(Ok(())), PanicsOnDrop("drop"))
            })
            .await
        });
        assert_panicked(&task.await.expect_err("panicked"), "drop");
        Ok(())
    });
}

#[test]
fn a_panic_while_a_cancelled_future_is_dropped_is_found_by_whoever_cancelled() {
    test(async |cx| {
        for turns in 0..2 {
            let child = cx.spawn(async |_| {
                let _bomb = PanicsOnDrop("local");
                pending::<Result<()>>().await
            });
            let captured = PanicsOnDrop("captured");
            let unpolled = cx.spawn(async move |_| {
                let _bomb = captured;
                pending::<Result<()>>().await
            });
            for _ in 0..turns {
                yield_now().await;
            }
            let failure = unpolled.cancel().await.expect_err("panicked");
            assert!(matches!(failure.reason(), Reason::Cancelled));
            assert_eq!(suppressed(&failure), ["panicked: captured"]);
            match child.cancel().await {
                Ok(()) => assert_eq!(turns, 0, "it had no locals yet"),
                Err(failure) => assert_eq!(suppressed(&failure), ["panicked: local"]),
            }
        }
        Ok(())
    });
}

#[test]
fn a_panic_below_what_was_cancelled_and_forgotten_fails_the_parent() {
    let failure = failure_of(async |cx| {
        let parent = cx.spawn(async |cx| {
            let child = cx.spawn(async |cx| {
                let grandchild = cx.spawn(async |_| {
                    let _bomb = PanicsOnDrop("below");
                    pending::<Result<()>>().await
                });
                grandchild.await
            });
            turns(2).await;
            drop(child.cancel());
            Ok(())
        });
        parent.await
    });
    assert_panicked(&failure, "below");
}

#[test]
fn a_result_that_panics_when_dropped_is_found_by_whoever_cancelled() {
    test(async |cx| {
        let child = cx.spawn(async |_| Ok(PanicsOnDrop("result")));
        yield_now().await;
        assert!(child.is_over());
        let failure = child.cancel().await.expect_err("panicked");
        assert!(matches!(failure.reason(), Reason::Cancelled));
        assert_eq!(suppressed(&failure), ["panicked: result"]);
        Ok(())
    });
    // Or by whoever awaits the one that cancelled and did not look.
    let failure = failure_of(async |cx| {
        let parent = cx.spawn(async |cx| {
            let child = cx.spawn(async |_| Ok(PanicsOnDrop("result")));
            yield_now().await;
            drop(child.cancel());
            Ok(())
        });
        parent.await
    });
    assert_panicked(&failure, "result");
}

#[test]
fn a_result_that_panics_when_it_gives_way_to_another_panic_takes_nothing_down() {
    test(async |cx| {
        let task = cx.spawn(async |cx| {
            let bomb = cx.spawn(async |_| {
                let _bomb = PanicsOnDrop("bomb");
                pending::<Result<()>>().await
            });
            yield_now().await;
            drop(bomb.cancel());
            Ok(PanicsOnDrop("result"))
        });
        assert_panicked(&task.await.err().expect("a bomb"), "bomb");
        Ok(())
    });
}

#[test]
fn results_that_panic_when_dropped_unread_do_not_keep_the_others_from_being_dropped() {
    bounded(|| {
        let drops = Drops::default();
        let count = drops.clone();
        let failure = run(async move |cx| {
            for n in 0..10 {
                let witness = count.witness();
                drop(cx.spawn(async move |_| {
                    let bomb = (n % 2 == 0).then(|| PanicsOnDrop("unread"));
                    Ok((witness, bomb))
                }));
            }
            yield_now().await;
            Ok(())
        })
        .expect_err("they are forgotten");
        assert_violation(&failure);
        assert_eq!(suppressed(&failure), ["panicked: unread"; 5]);
        assert_eq!(drops.count(), 10);
    });
}

#[test]
fn tasks_that_panic_when_dropped_do_not_keep_the_others_from_being_dropped() {
    bounded(|| {
        let drops = Drops::default();
        let count = drops.clone();
        let failure = run(async move |cx| -> Result<()> {
            for n in 0..10 {
                let witness = count.witness();
                drop(cx.spawn(async move |_| {
                    let _witness = witness;
                    let _bomb = (n % 2 == 0).then(|| PanicsOnDrop("at the end"));
                    pending::<Result<()>>().await
                }));
            }
            yield_now().await;
            Err(Failure::msg("failed"))
        })
        .expect_err("failed");
        assert_eq!(failure.to_string(), "failed");
        assert_eq!(suppressed(&failure), ["panicked: at the end"; 5]);
        assert_eq!(drops.count(), 10);
    });
}

/// What it panics with when dropped panics when dropped, and so on.
struct Chain(u32);

impl Drop for Chain {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::panic_any(Chain(self.0 - 1));
        }
    }
}

#[test]
fn a_panic_payload_that_panics_does_not_take_the_runtime_down() {
    test(async |cx| {
        let payload = cx.spawn(async |_| -> Result<()> { std::panic::panic_any(Chain(3)) });
        let without = "a panic without a text";
        assert_panicked(&payload.await.expect_err("panicked"), without);
        let dropped = cx.spawn(async |_| {
            let _when_cancelled = Chain(3);
            pending::<Result<()>>().await
        });
        yield_now().await;
        let failure = dropped.cancel().await.expect_err("panicked");
        assert_eq!(suppressed(&failure), ["panicked: a panic without a text"]);
        let scope = cx.scope(async |_| -> Result<()> { std::panic::panic_any(Chain(3)) });
        assert_panicked(&scope.await.expect_err("panicked"), without);
        Ok(())
    });
}

/// An error that panics when it is dropped. `T` keeps them apart.
#[derive(Debug)]
struct BadError<T>(PhantomData<T>);

impl<T> fmt::Display for BadError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bad error")
    }
}

impl<T: fmt::Debug> Error for BadError<T> {}

impl<T> Drop for BadError<T> {
    fn drop(&mut self) {
        panic!("an error was dropped");
    }
}

#[test]
fn errors_that_panic_when_dropped_do_not_take_the_runtime_down() {
    test(async |cx| {
        // Two failures of children that were cancelled when they had failed, in a task that ends well: nobody wants
        // them. Then in one that panics, which suppresses them.
        for well in [true, false] {
            let parent = cx.spawn(async move |cx| {
                for _ in 0..2 {
                    let child =
                        cx.spawn(async |_| -> Result<()> { Err(BadError(PhantomData::<u8>))? });
                    yield_now().await;
                    drop(child.cancel());
                }
                assert!(well, "on purpose");
                Ok(())
            });
            match parent.await {
                Ok(()) => assert!(well),
                Err(mut failure) => {
                    assert_panicked(&failure, "on purpose");
                    assert_eq!(suppressed(&failure), ["a bad error"; 2]);
                    // Dropped here, it would panic twice: that is the end of any program.
                    failure = failure.context("kept");
                    std::mem::forget(failure);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn an_error_that_panics_while_await_first_has_no_use_for_it_is_no_concern_of_the_winner() {
    test(async |cx| {
        let mut tasks = vec![
            cx.spawn(async |_| -> Result<u32> { Err(BadError(PhantomData::<u8>))? }),
            cx.spawn(async |_| -> Result<u32> { Err(BadError(PhantomData::<u8>))? }),
            cx.spawn(async |_| Ok(1)),
        ];
        yield_now().await;
        assert_eq!(
            ch08_mutexes_and_conditions::await_first(&mut tasks).await?,
            1
        );
        Ok(())
    });
}

#[test]
fn a_result_that_panics_while_a_task_unwinds_does_not_abort() {
    let failure = failure_of(async |cx| {
        let task = cx.spawn(async |cx| -> Result<()> {
            let _forsaken = cx.spawn(async |_| Ok(PanicsOnDrop("the result")));
            yield_now().await;
            panic!("the task");
        });
        task.await
    });
    assert_panicked(&failure, "the task");
    assert_eq!(suppressed(&failure), ["panicked: the result"]);
}

#[test]
fn a_waker_that_panics_does_not_end_the_run() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("wake")
        }
    }
    test(async |cx| {
        let mut task = cx.spawn(async |_| {
            yield_now().await;
            Ok(1)
        });
        let waker = Waker::from(Arc::new(Panics));
        let mut hand = Context::from_waker(&waker);
        assert!(Pin::new(&mut task).poll(&mut hand).is_pending());
        let cancelled = cx.spawn(async |_| pending::<Result<()>>().await);
        let mut cancelled = cancelled.cancel();
        assert!(Pin::new(&mut cancelled).poll(&mut hand).is_pending());
        let mut orphans = cx.orphans();
        orphans.spawn(async |_| Ok(()));
        assert!(std::pin::pin!(orphans.next()).poll(&mut hand).is_pending());
        turns(3).await;
        assert_eq!(task.await?, 1);
        cancelled.await?;
        orphans.next().await.expect("one is left")
    });
}

#[test]
fn a_panic_in_a_task_that_holds_its_own_waker_leaves_nothing() {
    bounded(|| {
        let drops = Drops::default();
        let witness = drops.witness();
        let failure = run(async move |_| -> Result<()> {
            let waker = own_waker().await;
            let _both = (witness, waker.clone());
            waker.wake();
            panic!("with its own waker");
        })
        .expect_err("panicked");
        assert_panicked(&failure, "with its own waker");
        assert_eq!(drops.count(), 1);
    });
}
