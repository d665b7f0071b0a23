//! Time-outs: for a future, and for a child.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Failure, Reason, Result, TimedOut, sleep, timeout, yield_now,
};
use common::panic_of;
use std::error::Error;
use std::future::{pending, poll_fn, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use times::{HOUR, Log, assert_soon, ms, poll_pinned, slow};
use world::{Gate, OnDrop, assert_panicked, failure_of, poll_once, suppressed, test};

// ---- of a future ----

#[test]
fn the_first_poll_always_happens_and_the_result_wins() {
    test(0, async |_| {
        assert_eq!(timeout(Duration::ZERO, ready(7)).await, Ok(7));
        // Its time is over before it is polled for the first time, and before the second.
        let late = timeout(ms(1), ready(7));
        std::thread::sleep(ms(5));
        assert_eq!(late.await, Ok(7));
        let mut polls = 0;
        let both = timeout(
            ms(1),
            poll_fn(|cx| {
                polls += 1;
                std::thread::sleep(ms(5));
                cx.waker().wake_by_ref();
                match polls {
                    2 => Poll::Ready(7),
                    _ => Poll::Pending,
                }
            }),
        );
        // It was over at the second poll, but so was the time at the first.
        let came = both.await;
        assert!(came == Ok(7) || came.is_err());
        Ok(())
    });
}

#[test]
fn what_is_not_ready_in_time_is_dropped_when_the_time_is_over() {
    test(0, async |_| {
        let log = Log::default();
        let noted = log.on_drop("dropped");
        let start = Instant::now();
        let late = timeout(ms(20), async move {
            let _noted = noted;
            pending::<()>().await
        });
        let error = late.await.expect_err("it never ends");
        assert!(start.elapsed() >= ms(20));
        assert_soon(start);
        assert_eq!(log.text(), "dropped");
        assert_eq!(error.limit(), ms(20));
        Ok(())
    });
}

#[test]
fn a_limit_beyond_the_reach_of_the_clock_is_none() {
    test(0, async |_| {
        assert_eq!(timeout(Duration::MAX, sleep(ms(10))).await, Ok(()));
        Ok(())
    });
}

#[test]
fn time_outs_in_time_outs() {
    test(0, async |_| {
        let start = Instant::now();
        let inner = timeout(HOUR, timeout(ms(10), pending::<()>())).await;
        assert_eq!(
            inner.map(|inner| inner.map_err(|error| error.limit())),
            Ok(Err(ms(10)))
        );
        let outer = timeout(ms(10), timeout(HOUR, pending::<()>())).await;
        assert_eq!(outer.map_err(|error| error.limit()), Err(ms(10)));
        assert_eq!(timeout(HOUR, timeout(HOUR, ready(7))).await, Ok(Ok(7)));
        assert_soon(start);
        Ok(())
    });
}

#[test]
fn dropped_before_it_is_ready_it_drops_the_future() {
    test(0, async |_| {
        let log = Log::default();
        let noted = log.on_drop("dropped");
        let mut limited = Box::pin(timeout(HOUR, async move {
            let _noted = noted;
            pending::<()>().await
        }));
        assert!(poll_pinned(&mut limited).await.is_none());
        drop(limited);
        assert_eq!(log.text(), "dropped");
        Ok(())
    });
}

#[test]
fn timed_out_says_what_it_was_allowed_and_is_an_error_like_others() {
    test(0, async |_| {
        let limit = Duration::from_micros(1500);
        let error = timeout(limit, pending::<()>()).await.expect_err("late");
        assert_eq!(error.to_string(), "it took longer than 1.5ms");
        assert_eq!((error, error.limit()), (error, limit));
        let plain: &dyn Error = &error;
        assert!(plain.source().is_none());
        let failure = Failure::from(error);
        assert_eq!(failure.to_string(), "it took longer than 1.5ms");
        assert_eq!(failure.downcast_ref(), Some(&error));
        assert!(matches!(failure.reason(), Reason::Error(_)));
        Ok(())
    });
}

#[test]
fn a_timeout_outside_of_run_is_refused() {
    let mut limited = pin!(timeout(HOUR, pending::<()>()));
    let mut cx = Context::from_waker(Waker::noop());
    let text = panic_of(|| limited.as_mut().poll(&mut cx).is_ready());
    assert_eq!(text, "sleep was awaited outside of run");
}

// ---- of a child ----

#[test]
fn a_child_that_ends_in_time_gives_its_result() {
    test(1, async |cx| {
        let start = Instant::now();
        assert_eq!(cx.spawn(async |_| Ok(1)).timeout(HOUR).await?, 1);
        assert_eq!(cx.call(async |_| Ok(2))?.timeout(HOUR).await?, 2);
        let slow = cx.spawn(async |_| Ok(sleep(ms(10)).await));
        slow.timeout(Duration::MAX).await?;
        let fails = cx.spawn(async |_| Err::<(), _>(Failure::msg("it fails")));
        let failure = fails.timeout(HOUR).await.expect_err("it fails");
        assert_eq!(failure.to_string(), "it fails");
        let panics = cx.spawn(async |_| -> Result<()> { panic!("it panics") });
        assert_panicked(
            &panics.timeout(HOUR).await.expect_err("it panics"),
            "it panics",
        );
        assert_soon(start);
        Ok(())
    });
}

#[test]
fn a_child_whose_time_is_over_is_cancelled_with_its_subtree_and_waited_for() {
    test(1, async |cx| {
        for there in [false, true] {
            let (log, begun) = (Log::default(), Gate::default());
            let (noted, opened) = (log.clone(), begun.clone());
            let tree = async move |cx: &Cx| -> Result<()> {
                let _dropped = noted.on_drop("parent");
                let inner = noted.clone();
                let child = cx.spawn(async move |cx| -> Result<()> {
                    let _owned = slow(cx, &inner, "a", ms(30));
                    opened.open();
                    pending().await
                });
                child.await
            };
            let task = match there {
                false => cx.spawn(tree),
                true => cx.call(tree)?,
            };
            begun.passed().await;
            let start = Instant::now();
            let failure = task.timeout(ms(10)).await.expect_err("it never ends");
            log.note("over");
            assert!(start.elapsed() >= ms(40));
            assert_soon(start);
            assert_eq!(log.text(), "a< a> parent over");
            let late: &TimedOut = failure.downcast_ref().expect("what it is");
            assert_eq!(late.limit(), ms(10));
            assert_eq!(suppressed(&failure), Vec::<String>::new());
        }
        Ok(())
    });
}

#[test]
fn what_comes_to_light_when_it_is_cancelled_is_suppressed() {
    test(1, async |cx| {
        for there in [false, true] {
            let begun = Gate::default();
            let opened = begun.clone();
            let task = async move |cx: &Cx| -> Result<()> {
                let _panics = OnDrop(|| panic!("dropped"));
                let _owned = cx.own("a", (), |()| Err(Failure::msg("it fails")));
                opened.open();
                pending().await
            };
            let task = match there {
                false => cx.spawn(task),
                true => cx.call(task)?,
            };
            begun.passed().await;
            let failure = task.timeout(ms(5)).await.expect_err("it never ends");
            assert!(failure.downcast_ref::<TimedOut>().is_some());
            let [panicked, failed] = &suppressed(&failure)[..] else {
                panic!("{failure:?}")
            };
            assert_eq!(panicked, "panicked: dropped");
            assert!(failed.ends_with(": it fails"), "{failed}");
        }
        Ok(())
    });
}

#[test]
fn a_child_that_ended_at_the_same_time_wins() {
    test(0, async |cx| {
        let task = cx.spawn(async |_| Ok(7));
        let limited = task.timeout(ms(1));
        yield_now().await;
        std::thread::sleep(ms(5));
        // Both are over now.
        assert_eq!(limited.await?, 7);
        // Even if the time was over before it began.
        let task = cx.spawn(async |_| Ok(7));
        yield_now().await;
        assert_eq!(task.timeout(Duration::ZERO).await?, 7);
        Ok(())
    });
}

#[test]
fn a_limit_of_zero_cancels_what_is_not_over() {
    test(0, async |cx| {
        let log = Log::default();
        let noted = log.clone();
        let task = cx.spawn(async move |_| Ok(noted.note("ran")));
        task.timeout(Duration::ZERO)
            .await
            .expect_err("it has not begun");
        assert_eq!(log.text(), "");
        Ok(())
    });
}

#[test]
fn dropped_half_way_it_cancels_the_child_and_is_no_violation() {
    for polled in [false, true] {
        for there in [false, true] {
            let log = Log::default();
            let noted = log.clone();
            test(1, async move |cx| {
                let begun = Gate::default();
                let opened = begun.clone();
                let task = async move |cx: &Cx| -> Result<()> {
                    let _owned = slow(cx, &noted, "a", ms(5));
                    opened.open();
                    pending().await
                };
                let task = match there {
                    false => cx.spawn(task),
                    true => cx.call(task)?,
                };
                begun.passed().await;
                let mut limited = task.timeout(HOUR);
                if polled {
                    assert!(poll_once(&mut limited).await.is_none());
                }
                drop(limited);
                Ok(())
            });
            assert_eq!(log.text(), "a< a>");
        }
    }
}

#[test]
fn dropped_while_it_cancels_it_is_no_violation() {
    let log = Log::default();
    let noted = log.clone();
    test(0, async move |cx| {
        let task = cx.spawn(async move |cx| -> Result<()> {
            let _owned = slow(cx, &noted, "a", ms(50));
            pending().await
        });
        yield_now().await;
        let both = timeout(ms(20), task.timeout(ms(1))).await;
        assert!(both.is_err(), "the inner one still waits for the finaliser");
        Ok(())
    });
    assert_eq!(log.text(), "a< a>");
}

#[test]
fn a_timeout_that_was_ready_has_no_child_any_more() {
    let failure = failure_of(0, async |cx| {
        let mut limited = cx.spawn(async |_| Ok(())).timeout(HOUR);
        (&mut limited).await?;
        limited.await
    });
    assert_panicked(&failure, "the result of a task was asked for again");
}

#[test]
fn a_plain_timeout_around_a_lent_task_only_stops_waiting() {
    test(0, async |cx| {
        let mut task = cx.spawn(async |_| Ok(sleep(ms(50)).await));
        assert!(timeout(ms(5), &mut task).await.is_err());
        assert!(!task.is_over());
        task.await
    });
}
