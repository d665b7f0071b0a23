//! The condition: no signal is lost, and the lock is there when it returns.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{Condition, Cx, Mutex, Result, Task, timeout, yield_now};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use times::{assert_soon, ms};
use world::test;

/// A number, and who waits for it to change.
#[derive(Default)]
struct Shared {
    value: Mutex<u32>,
    changed: Condition,
}

fn shared() -> Arc<Shared> {
    Arc::default()
}

/// A task that waits once, and then adds one.
fn waits<'c>(cx: &'c Cx, shared: &Arc<Shared>) -> Task<'c, ()> {
    let shared = shared.clone();
    cx.spawn(async move |_| {
        let value = shared.value.lock().await;
        *shared.changed.wait(value).await += 1;
        Ok(())
    })
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn rule_14_wait_gives_the_lock_back_and_has_it_again() {
    test(0, async |cx| {
        let shared = shared();
        let task = waits(cx, &shared);
        yield_now().await;
        let value = shared.value.try_lock().expect("it was given back");
        shared.changed.signal();
        yield_now().await;
        assert!(!task.is_over(), "the lock is held");
        drop(value);
        task.await?;
        Ok(assert_eq!(*shared.value.lock().await, 1))
    });
}

#[test]
fn a_signal_resumes_one_and_a_broadcast_all() {
    test(0, async |cx| {
        let shared = shared();
        let tasks: Vec<_> = (0..5).map(|_| waits(cx, &shared)).collect();
        yield_now().await;
        for count in 1..=2 {
            shared.changed.signal();
            for _ in 0..10 {
                yield_now().await;
            }
            assert_eq!(*shared.value.lock().await, count);
        }
        shared.changed.broadcast();
        for task in tasks {
            task.await?;
        }
        Ok(assert_eq!(*shared.value.lock().await, 5))
    });
}

#[test]
fn a_signal_for_nobody_is_not_kept() {
    test(0, async |cx| {
        let shared = shared();
        shared.changed.signal();
        shared.changed.broadcast();
        let task = waits(cx, &shared);
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!task.is_over());
        shared.changed.signal();
        task.await
    });
}

#[test]
fn wait_while_does_not_wait_for_what_is_there() {
    let shared = shared();
    let value = shared.value.try_lock().expect("it is free");
    let wait = pin!(shared.changed.wait_while(value, |value| *value > 0));
    assert!(poll(wait).is_ready());
}

#[test]
fn those_who_wait_are_resumed_in_order() {
    test(0, async |cx| {
        let (order, shared) = (Arc::new(Mutex::new(Vec::new())), shared());
        let mut tasks = Vec::new();
        for number in 0..4 {
            let (order, shared) = (order.clone(), shared.clone());
            tasks.push(cx.spawn(async move |_| {
                let value = shared.value.lock().await;
                drop(shared.changed.wait(value).await);
                Ok(order.lock().await.push(number))
            }));
        }
        yield_now().await;
        for _ in 0..4 {
            shared.changed.signal();
        }
        for task in tasks {
            task.await?;
        }
        Ok(assert_eq!(*order.lock().await, [0, 1, 2, 3]))
    });
}

/// Signalled, and cancelled before its turn, while it waits for the lock, or at the end.
#[test]
fn rule_14_a_signal_is_passed_on_until_the_lock_is_there() {
    for turns in 0..3 {
        test(0, async move |cx| {
            let shared = shared();
            let first = waits(cx, &shared);
            let second = waits(cx, &shared);
            yield_now().await;
            let value = shared.value.try_lock().expect("it was given back");
            shared.changed.signal();
            for _ in 0..turns {
                yield_now().await; // the first one asks for the lock
            }
            first.cancel().await?;
            drop(value);
            let second = timeout(ms(1000), second).await;
            assert!(second.is_ok(), "the signal went with the first one");
            Ok(assert_eq!(*shared.value.lock().await, 1))
        });
    }
}

#[test]
fn rule_14_one_that_was_not_signalled_takes_no_signal_with_it() {
    test(0, async |cx| {
        let shared = shared();
        let [first, second] = [(); 2].map(|()| waits(cx, &shared));
        yield_now().await;
        first.cancel().await?;
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!second.is_over());
        shared.changed.signal();
        second.await
    });
}

#[test]
fn a_wait_that_is_not_awaited_gives_the_lock_back() {
    let shared = shared();
    let value = shared.value.try_lock().expect("it is free");
    drop(shared.changed.wait(value));
    assert!(shared.value.try_lock().is_some());
    shared.changed.signal();
}

#[test]
fn a_wait_that_is_dropped_does_not_hold_the_lock() {
    let shared = shared();
    let value = shared.value.try_lock().expect("it is free");
    let mut wait = Box::pin(shared.changed.wait(value));
    assert!(poll(wait.as_mut()).is_pending());
    shared.changed.signal();
    drop(wait);
    assert!(shared.value.try_lock().is_some());
}

#[test]
fn many_who_gave_up_cost_little() {
    let start = Instant::now();
    let shared = shared();
    let mut waiting = Vec::new();
    for _ in 0..100_000 {
        let value = shared.value.try_lock().expect("each has given it back");
        let mut wait = Box::pin(shared.changed.wait(value));
        assert!(poll(wait.as_mut()).is_pending());
        waiting.push(wait);
    }
    drop(waiting);
    shared.changed.signal();
    assert_soon(start);
}

/// A queue of one place, between domains: each element takes a signal in both directions.
#[test]
fn rule_14_no_signal_is_lost_between_domains() {
    #[derive(Default)]
    struct Channel {
        queue: Mutex<VecDeque<u32>>,
        filled: Condition,
        emptied: Condition,
    }
    const COUNT: u32 = 2000;
    test(3, async |cx| {
        let channel = Arc::new(Channel::default());
        let mut tasks = Vec::new();
        for _ in 0..2 {
            let channel = channel.clone();
            tasks.push(cx.call(async move |_| {
                for number in 0..COUNT {
                    let queue = channel.queue.lock().await;
                    let full = |queue: &mut VecDeque<u32>| !queue.is_empty();
                    let mut queue = channel.emptied.wait_while(queue, full).await;
                    queue.push_back(number);
                    drop(queue);
                    channel.filled.signal();
                }
                Ok(0)
            })?);
        }
        for _ in 0..2 {
            let channel = channel.clone();
            tasks.push(cx.call(async move |_| {
                let mut sum = 0;
                for _ in 0..COUNT {
                    let queue = channel.queue.lock().await;
                    let empty = |queue: &mut VecDeque<u32>| queue.is_empty();
                    let mut queue = channel.filled.wait_while(queue, empty).await;
                    sum += u64::from(queue.pop_front().unwrap_or(0));
                    channel.emptied.signal();
                }
                Ok(sum)
            })?);
        }
        let mut sum = 0;
        for task in tasks {
            sum += task.await?;
        }
        Ok(assert_eq!(sum, u64::from(COUNT * (COUNT - 1))))
    });
}

#[test]
fn it_says_what_it_waits_for() -> Result<()> {
    let recording = ch08_mutexes_and_conditions::Recording::new();
    let runtime = ch08_mutexes_and_conditions::Runtime::builder().domains(0);
    runtime.record(&recording).build().run(async |cx| {
        let shared = shared();
        let guard = shared.value.lock().await;
        let task = waits(cx, &shared);
        yield_now().await;
        drop(guard);
        for _ in 0..3 {
            yield_now().await;
        }
        shared.changed.signal();
        task.await
    })?;
    let text = recording.to_string();
    assert!(text.contains("waits for a mutex"), "{text}");
    assert!(text.contains("waits for a condition"), "{text}");
    Ok(())
}
