//! Clocks that tick.

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{Either, interval, race, sleep, timeout, yield_now};
use common::panic_of;
use std::thread;
use std::time::{Duration, Instant};
use times::{HOUR, assert_soon, ms, poll_pinned};
use world::test;

#[test]
fn the_first_tick_comes_at_once_and_the_next_ones_not_before_their_time() {
    test(0, async |_| {
        let start = Instant::now();
        let mut ticks = interval(HOUR);
        let first = ticks.tick().await;
        assert!(first >= start && first <= Instant::now());
        assert_soon(start);
        let mut ticks = interval(ms(10));
        let first = ticks.tick().await;
        for number in 1..6 {
            let due = ticks.tick().await;
            assert!(Instant::now() >= due);
            assert!(due >= first + ms(10) * number);
        }
        Ok(())
    });
}

#[test]
fn the_ticks_do_not_drift() {
    test(0, async |_| {
        let period = ms(10);
        let mut ticks = interval(period);
        let first = ticks.tick().await;
        for number in 0..20 {
            // Each takes a while, not always the same; and some are late.
            thread::sleep(Duration::from_micros(700 * number));
            let due = ticks.tick().await;
            let since = due - first;
            assert_eq!(since.as_nanos() % period.as_nanos(), 0, "{since:?}");
        }
        Ok(())
    });
}

#[test]
fn ticks_for_which_nobody_was_there_are_left_out() {
    test(0, async |_| {
        let period = ms(50);
        let mut ticks = interval(period);
        let first = ticks.tick().await;
        thread::sleep(ms(175));
        // The one that is late comes at once, and tells when it was due.
        assert_eq!(ticks.tick().await, first + period);
        let late = Instant::now();
        // And then none in the past.
        let next = ticks.tick().await;
        assert!(
            next > late && next >= first + period * 4,
            "{:?}",
            next - first
        );
        assert_eq!((next - first).as_nanos() % period.as_nanos(), 0);
        Ok(())
    });
}

#[test]
fn a_tick_that_is_dropped_is_not_lost() {
    test(0, async |_| {
        let period = ms(20);
        let mut ticks = interval(period);
        let first = ticks.tick().await;
        for _ in 0..3 {
            let mut tick = Box::pin(ticks.tick());
            if poll_pinned(&mut tick).await.is_some() {
                // This machine has stood still.
                return Ok(());
            }
        }
        assert!(timeout(Duration::ZERO, ticks.tick()).await.is_err());
        assert_eq!(ticks.tick().await, first + period);
        Ok(())
    });
}

#[test]
fn a_period_of_zero_is_refused() {
    assert_eq!(
        panic_of(|| interval(Duration::ZERO)),
        "an interval of zero has no ticks"
    );
}

#[test]
fn a_period_beyond_the_reach_of_the_clock_has_one_tick() {
    test(0, async |_| {
        for period in [Duration::MAX, Duration::MAX / 2, HOUR * 24 * 365 * 1000] {
            let mut ticks = interval(period);
            ticks.tick().await;
            match race(ticks.tick(), sleep(ms(10))).await {
                Either::First(_) => panic!("a tick after {period:?}"),
                Either::Second(()) => {}
            }
        }
        Ok(())
    });
}

#[test]
fn a_short_period_gives_the_others_their_turns() {
    test(0, async |cx| {
        let busy = cx.spawn(async |_| {
            let mut ticks = interval(Duration::from_nanos(1));
            for _ in 0..100_000 {
                ticks.tick().await;
            }
            Ok(())
        });
        yield_now().await;
        assert!(!busy.is_over());
        busy.cancel().await
    });
}

#[test]
fn an_interval_outside_of_run_ticks_once() {
    let mut ticks = interval(HOUR);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut first = Box::pin(ticks.tick());
    assert!(first.as_mut().poll(&mut cx).is_ready());
    drop(first);
    let mut second = Box::pin(ticks.tick());
    let text = panic_of(|| second.as_mut().poll(&mut cx).is_ready());
    assert_eq!(text, "sleep was awaited outside of run");
}
