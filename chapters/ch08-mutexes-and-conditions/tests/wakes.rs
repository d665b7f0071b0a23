//! Wakes from one domain to another, and from threads that are none.

mod common;
mod world;

use ch08_mutexes_and_conditions::{Result, yield_now};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::hint::spin_loop;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use world::{Gate, here, other, own_waker, test, with};

/// So many rounds, or as many as `ROUNDS` says.
fn rounds(default: usize) -> usize {
    let rounds = std::env::var("ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    rounds.unwrap_or(default)
}

#[test]
fn a_wake_reaches_a_task_on_its_own_thread() {
    test(2, async |cx| {
        let (sender, receiver) = mpsc::channel();
        let woken = Arc::new(AtomicBool::new(false));
        let flag = woken.clone();
        let sleeper = cx.call_on(other(cx, 0), async move |_| {
            let mut sent = false;
            poll_fn(|cx| {
                assert_eq!(here(), "dom1");
                if !sent {
                    sent = true;
                    let _ = sender.send(cx.waker().clone());
                }
                match flag.load(Ordering::Relaxed) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
            Ok(())
        })?;
        let waker = receiver.recv()?;
        let waking = cx.call_on(other(cx, 1), async move |_| {
            woken.store(true, Ordering::Relaxed);
            let _: () = waker.wake();
            Ok(())
        })?;
        waking.await?;
        sleeper.await
    });
}

#[test]
fn many_wakes_of_one_task_make_few_polls() {
    test(1, async |cx| {
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        let task = cx.spawn(async move |_| {
            poll_fn(|cx| {
                counted.set(counted.get() + 1);
                if counted.get() == 1 {
                    // The scheduler of this domain cannot look meanwhile.
                    let waker = cx.waker().clone();
                    let thread = thread::spawn(move || {
                        for _ in 0..10_000 {
                            waker.wake_by_ref();
                            waker.wake_by_ref();
                        }
                    });
                    thread.join().expect("no panic");
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
            Ok(())
        });
        task.await?;
        assert_eq!(polls.get(), 2);
        Ok(())
    });
}

#[test]
fn wakes_from_several_domains_at_once_are_one() {
    test(3, async |cx| {
        let (waker, polls) = (own_waker().await, Rc::new(Cell::new(0)));
        let count = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for domain in cx.domains() {
            let (waker, count) = (waker.clone(), count.clone());
            tasks.push(cx.call_on(domain, async move |_| {
                for _ in 0..1000 {
                    waker.wake_by_ref();
                }
                count.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })?);
        }
        while count.load(Ordering::Relaxed) < 3 {
            thread::yield_now();
        }
        poll_fn(|_| {
            polls.set(polls.get() + 1);
            match polls.get() {
                1 => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
        for task in tasks {
            task.await?;
        }
        Ok(())
    });
}

/// A thread and a task take turns. Each time the task is woken twice in quick succession, and the second wake is the
/// one that it must not miss.
#[test]
fn no_wake_is_lost_when_two_come_close_together() {
    test(1, async |cx| {
        let rounds = rounds(20_000);
        let wanted = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = mpsc::channel::<Waker>();
        let (value, reached) = (wanted.clone(), seen.clone());
        let task = cx.call(async move |_| {
            let _ = sender.send(own_waker().await);
            poll_fn(|_| {
                // Relaxed: that it is seen is what the wakes are for.
                let value = value.load(Ordering::Relaxed);
                reached.store(value, Ordering::Relaxed);
                match value < 2 * rounds {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                }
            })
            .await;
            Ok(())
        })?;
        let thread = thread::spawn(move || {
            let waker = receiver.recv().expect("is sent");
            for round in 1..=rounds {
                wanted.store(2 * round - 1, Ordering::Relaxed);
                waker.wake_by_ref();
                for _ in 0..round % 97 {
                    spin_loop();
                }
                wanted.store(2 * round, Ordering::Relaxed);
                waker.wake_by_ref();
                while seen.load(Ordering::Relaxed) < 2 * round {
                    thread::yield_now();
                }
            }
        });
        task.await?;
        thread.join().expect("no panic");
        Ok(())
    });
}

#[test]
fn no_wake_is_lost_between_domains_that_go_to_sleep_all_the_time() {
    test(2, async |cx| {
        let rounds = rounds(3000);
        // What each has reached, and who is to be told.
        let turn = Arc::new(AtomicUsize::new(0));
        let wakers = Arc::new([const { Mutex::new(None::<Waker>) }; 3]);
        let play = |own: usize| {
            let (turn, wakers) = (turn.clone(), wakers.clone());
            async move || {
                for round in 0..rounds {
                    poll_fn(|cx| {
                        *wakers[own].lock().expect("no panic") = Some(cx.waker().clone());
                        match turn.load(Ordering::SeqCst) == 3 * round + own {
                            true => Poll::Ready(()),
                            false => Poll::Pending,
                        }
                    })
                    .await;
                    turn.fetch_add(1, Ordering::SeqCst);
                    let next = wakers[(own + 1) % 3].lock().expect("no panic").take();
                    if let Some(waker) = next {
                        waker.wake();
                    }
                }
            }
        };
        let (second, third) = (play(1), play(2));
        let second = cx.call_on(other(cx, 0), async move |_| {
            let _: () = second().await;
            Ok(())
        })?;
        let third = cx.call_on(other(cx, 1), async move |_| {
            let _: () = third().await;
            Ok(())
        })?;
        play(0)().await;
        second.await?;
        third.await
    });
}

#[test]
fn a_plain_thread_wakes_a_domain_that_sleeps() {
    test(2, async |cx| {
        for _ in 0..50 {
            let gate = Gate::default();
            let mut tasks = Vec::new();
            for domain in cx.domains() {
                let gate = gate.clone();
                tasks.push(cx.call_on(domain, async move |_| {
                    let _: () = gate.passed().await;
                    Ok(())
                })?);
            }
            let thread = thread::spawn(move || gate.open());
            for task in tasks {
                task.await?;
            }
            thread.join().expect("no panic");
        }
        Ok(())
    });
}

#[test]
fn a_waker_of_a_task_that_has_ended_wakes_nobody_else() {
    test(1, async |cx| {
        for _ in 0..20 {
            let stale = cx.call(async |_| Ok(own_waker().await))?.await?;
            // Takes the place of the other one.
            let polls = Arc::new(AtomicUsize::new(0));
            let counted = polls.clone();
            let (running, started) = (Gate::default(), Gate::default());
            let is_running = running.clone();
            let task = cx.call(async move |_| {
                let mut waiting = Box::pin(is_running.passed());
                poll_fn(|cx| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    started.open();
                    waiting.as_mut().poll(cx)
                })
                .await;
                Ok(())
            })?;
            while polls.load(Ordering::Relaxed) == 0 {
                yield_now().await;
            }
            stale.wake_by_ref();
            let waking = cx.call(async move |_| {
                let _: () = stale.wake();
                Ok(())
            })?;
            waking.await?;
            cx.call(async |_| {
                let _: () = yield_now().await;
                Ok(())
            })?
            .await?;
            assert_eq!(polls.load(Ordering::Relaxed), 1);
            running.open();
            task.await?;
        }
        Ok(())
    });
}

#[test]
fn a_waker_outlives_the_run() {
    let wakers = common::bounded(|| {
        with(2).run(async |cx| {
            let mut wakers = vec![own_waker().await];
            for domain in cx.domains() {
                wakers.push(cx.call_on(domain, async |_| Ok(own_waker().await))?.await?);
            }
            Ok(wakers)
        })
    });
    for waker in wakers.expect("ends well") {
        waker.wake_by_ref();
        thread::spawn(move || waker.wake())
            .join()
            .expect("no panic");
    }
}

#[test]
fn wakes_while_the_run_ends_do_no_harm() {
    for _ in 0..30 {
        let (sender, receiver) = mpsc::channel::<Waker>();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let wakers: Vec<Waker> = receiver.iter().take(3).collect();
            while !stopped.load(Ordering::Relaxed) {
                wakers.iter().for_each(Waker::wake_by_ref);
            }
        });
        test(2, async move |cx| {
            sender.send(own_waker().await)?;
            let mut tasks = Vec::new();
            for domain in cx.domains() {
                let sender = sender.clone();
                tasks.push(cx.call_on(domain, async move |_| -> Result<()> {
                    sender.send(own_waker().await)?;
                    pending().await
                })?);
            }
            for _ in 0..20 {
                yield_now().await;
            }
            for task in tasks {
                task.cancel().await?;
            }
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        thread.join().expect("no panic");
    }
}
