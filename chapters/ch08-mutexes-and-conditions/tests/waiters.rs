//! Rule 14, where it is easiest to break: those who wait for a lock or a signal, and give up just when it comes.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{Condition, Mutex, Result, sleep, timeout, yield_now};
use std::sync::Arc;
use times::{Log, ms};
use world::{other, test};

/// Waits for the lock, takes it and notes that.
async fn take(mutex: Arc<Mutex<Log>>, name: &'static str) -> Result<()> {
    Ok(mutex.lock().await.note(name))
}

#[test]
fn rule_14_those_who_wait_get_the_lock_in_the_order_in_which_they_asked() {
    test(0, async |cx| {
        let log = Log::default();
        let mutex = Arc::new(Mutex::new(log.clone()));
        let guard = mutex.lock().await;
        let mut waiting = Vec::new();
        for name in ["a", "b", "c"] {
            let mutex = mutex.clone();
            waiting.push(cx.spawn(async move |_| take(mutex, name).await));
        }
        yield_now().await;
        drop(guard);
        // Nobody who comes now is before them.
        assert!(mutex.try_lock().is_none());
        mutex.lock().await.note("main");
        for task in waiting {
            task.await?;
        }
        Ok(assert_eq!(log.text(), "a b c main"))
    });
}

#[test]
fn rule_14_a_cancelled_waiter_that_was_handed_the_lock_passes_it_on() {
    test(0, async |cx| {
        let log = Log::default();
        let mutex = Arc::new(Mutex::new(log.clone()));
        let guard = mutex.lock().await;
        let (one, two) = (mutex.clone(), mutex.clone());
        let a = cx.spawn(async move |_| take(one, "a").await);
        let b = cx.spawn(async move |_| take(two, "b").await);
        yield_now().await;
        drop(guard); // the lock is a's from here on,
        a.cancel().await?; // who has had no turn since
        let passed_on = timeout(ms(1000), b).await.is_ok();
        assert!(passed_on, "the lock was handed to a, who is gone");
        Ok(assert_eq!(log.text(), "b"))
    });
}

#[test]
fn rule_14_a_cancelled_waiter_that_was_handed_nothing_is_passed_over() {
    test(0, async |cx| {
        let log = Log::default();
        let mutex = Arc::new(Mutex::new(log.clone()));
        let guard = mutex.lock().await;
        let (one, two) = (mutex.clone(), mutex.clone());
        let a = cx.spawn(async move |_| take(one, "a").await);
        let b = cx.spawn(async move |_| take(two, "b").await);
        yield_now().await;
        a.cancel().await?;
        assert!(mutex.try_lock().is_none(), "it is still held");
        drop(guard);
        let passed_on = timeout(ms(1000), b).await.is_ok();
        assert!(passed_on, "the lock was handed to a, who is gone");
        assert!(mutex.try_lock().is_some(), "it is free again");
        Ok(assert_eq!(log.text(), "b"))
    });
}

#[test]
fn rule_14_a_cancelled_waiter_that_was_signalled_passes_the_signal_on() {
    test(0, async |cx| {
        let log = Log::default();
        let shared = Arc::new((Mutex::new(log.clone()), Condition::new()));
        let mut waiting = Vec::new();
        for name in ["a", "b"] {
            let shared = shared.clone();
            waiting.push(cx.spawn(async move |_| {
                let (mutex, condition) = &*shared;
                let guard = mutex.lock().await;
                Ok(condition.wait(guard).await.note(name))
            }));
        }
        yield_now().await;
        let (b, a) = (waiting.pop(), waiting.pop());
        shared.1.signal();
        if let Some(a) = a {
            a.cancel().await?;
        }
        if let Some(b) = b {
            let passed_on = timeout(ms(1000), b).await.is_ok();
            assert!(passed_on, "the signal was a's, who is gone");
        }
        Ok(assert_eq!(log.text(), "b"))
    });
}

/// The same, with whatever order two domains bring about.
#[test]
fn rule_14_no_lock_is_lost_between_those_who_come_and_those_who_give_up() {
    test(2, async |cx| {
        let count = Arc::new(Mutex::new(0));
        let mut patient = cx.orphans();
        let mut hasty = Vec::new();
        for turn in 0..200 {
            let (one, two) = (count.clone(), count.clone());
            patient.call_on(other(cx, turn % 2), async move |_| {
                let mut count = one.lock().await;
                let before = *count;
                yield_now().await;
                Ok(*count = before + 1)
            })?;
            hasty.push(cx.call_on(other(cx, (turn / 2) % 2), async move |_| {
                let _count = two.lock().await;
                Ok(yield_now().await)
            })?);
            if turn % 3 == 0 {
                sleep(ms(1)).await;
                for task in hasty.drain(..) {
                    task.cancel().await?;
                }
            }
        }
        for task in hasty {
            task.cancel().await?;
        }
        while let Some(ended) = patient.next().await {
            ended?;
        }
        Ok(assert_eq!(*count.lock().await, 200))
    });
}
