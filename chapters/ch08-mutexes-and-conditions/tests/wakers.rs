//! Wakers: from other threads, more than once, too late, during the poll; and nobody left to wake.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod family;

use ch08_mutexes_and_conditions::{Event, Recording, TaskId, What};
use ch08_mutexes_and_conditions::{Failure, Reason, Result, Runtime, Violation, run, yield_now};
use common::bounded;
use family::{failure_of, own_waker, test, turns};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::task::{Poll, Waker};
use std::thread;

/// Hands out its waker, and is ready once `done` says so.
async fn until(done: impl Fn() -> bool, mut hand_out: impl FnMut(&Waker)) {
    poll_fn(|cx| {
        if done() {
            return Poll::Ready(());
        }
        hand_out(cx.waker());
        // Whoever was given the waker may have been faster than this line.
        if done() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Waits until another thread has woken it.
async fn woken_by_a_thread() {
    let mut asked = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        thread::spawn(move || waker.wake());
        Poll::Pending
    })
    .await;
}

fn stalled(failure: &Failure) -> String {
    match failure.reason() {
        Reason::Violation(violation @ Violation::Stalled { .. }) => violation.to_string(),
        _ => panic!("{failure:?}"),
    }
}

#[test]
fn a_wake_from_another_thread_arrives() {
    test(async |_| {
        let done = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = mpsc::channel::<Waker>();
        let flag = done.clone();
        let thread = thread::spawn(move || {
            for waker in receiver {
                flag.store(1, Ordering::Release);
                waker.wake();
            }
        });
        until(
            || done.load(Ordering::Acquire) == 1,
            |waker| sender.send(waker.clone()).expect("the thread listens"),
        )
        .await;
        drop(sender);
        thread.join().expect("the thread ends with its channel");
        Ok(())
    });
}

#[test]
fn a_task_woken_three_times_is_polled_once() {
    bounded(|| {
        let recording = Recording::new();
        let runtime = Runtime::builder().record(&recording).build();
        let outcome = runtime.run(async |cx| {
            let slot = Rc::new(RefCell::new(None::<Waker>));
            let handed_out = slot.clone();
            let task = cx.spawn(async move |_| -> Result<()> {
                poll_fn(move |cx| {
                    *handed_out.borrow_mut() = Some(cx.waker().clone());
                    Poll::Pending
                })
                .await
            });
            yield_now().await;
            let waker = slot.borrow_mut().take().expect("polled during the yield");
            waker.wake_by_ref();
            waker.wake_by_ref();
            waker.wake();
            turns(5).await;
            task.cancel().await
        });
        outcome.expect("ends well");
        let happened = |what: fn(&What) -> bool| {
            let events = recording.events();
            let of_the_task = events.iter().filter(|event| event.task == TaskId(1));
            of_the_task.filter(|event| what(&event.what)).count()
        };
        assert_eq!(happened(|what| matches!(what, What::Polled)), 2);
        assert_eq!(happened(|what| matches!(what, What::Woken { .. })), 1);
    });
}

#[test]
fn wakes_from_other_threads_arrive_while_tasks_are_ready() {
    test(async |cx| {
        let busy = cx.spawn(async |_| -> Result<()> {
            loop {
                yield_now().await;
            }
        });
        woken_by_a_thread().await;
        busy.cancel().await
    });
}

#[test]
fn the_waker_of_a_task_that_is_over_is_no_hope() {
    let failure = failure_of(async |cx| {
        let _kept = cx.spawn(async |_| Ok(own_waker().await)).await?;
        pending::<Result<()>>().await
    });
    stalled(&failure);
}

#[test]
fn a_scope_in_the_place_of_a_task_inherits_no_hope_from_its_wakers() {
    let failure = failure_of(async |cx| {
        let waker = cx.spawn(async |_| Ok(own_waker().await)).await?;
        // The table counts wakers; the scope takes the place that these were of.
        let _kept = [waker.clone(), waker.clone(), waker];
        cx.scope(async |_| pending::<Result<()>>().await).await
    });
    stalled(&failure);
}

#[test]
fn a_thousand_wakes_from_another_thread_before_the_next_look_are_one_poll() {
    test(async |cx| {
        let polls = Rc::new(Cell::new(0));
        let count = polls.clone();
        let task = cx.spawn(async move |_| {
            poll_fn(|cx| {
                count.set(count.get() + 1);
                if count.get() == 1 {
                    let waker = cx.waker().clone();
                    let wakes = move || (0..1000).for_each(|_| waker.wake_by_ref());
                    thread::spawn(wakes).join().expect("waking does not panic");
                    Poll::Pending
                } else {
                    Poll::Ready(Ok(()))
                }
            })
            .await
        });
        task.await?;
        assert_eq!(polls.get(), 2);
        Ok(())
    });
}

#[test]
fn a_wake_during_the_poll_leads_to_another_poll() {
    test(async |_| {
        let mut polls = 0;
        poll_fn(move |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == 10 {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        })
        .await
    });
}

#[test]
fn a_waker_that_comes_too_late_wakes_nobody() {
    bounded(|| {
        let recording = Recording::new();
        let runtime = Runtime::builder().record(&recording).build();
        let waker = runtime.run(async |cx| {
            let stale = cx.spawn(async |_| Ok(own_waker().await)).await?;
            // The next task takes the place of the one that is gone.
            let next = cx.spawn(async |_| -> Result<()> {
                let mut polled = false;
                poll_fn(|_| {
                    assert!(!polled, "woken by the waker of another task");
                    polled = true;
                    Poll::Pending
                })
                .await
            });
            yield_now().await;
            stale.wake_by_ref();
            let foreign = stale.clone();
            thread::spawn(move || foreign.wake())
                .join()
                .expect("waking does not panic");
            turns(200).await;
            next.cancel().await?;
            Ok(stale)
        });
        // After the run as well.
        let waker = waker.expect("ends well");
        waker.wake_by_ref();
        thread::spawn(move || waker.wake())
            .join()
            .expect("waking does not panic");
        let woken = |event: &&Event| matches!(event.what, What::Woken { .. }) && event.task.0 > 1;
        assert_eq!(recording.events().iter().filter(woken).count(), 0);
    });
}

#[test]
fn the_waker_of_a_cancelled_task_wakes_nobody() {
    bounded(|| {
        let recording = Recording::new();
        let runtime = Runtime::builder().record(&recording).build();
        let outcome = runtime.run(async |cx| {
            let slot = Rc::new(RefCell::new(None::<Waker>));
            let handed_out = slot.clone();
            let task = cx.spawn(async move |cx| {
                *handed_out.borrow_mut() = Some(own_waker().await);
                // Cancelled, it waits for this one first.
                family::endless(cx).await
            });
            turns(2).await;
            let waker = slot.borrow_mut().take().expect("polled during the yield");
            // From another thread before: the notice is under way when the task is cancelled.
            let foreign = waker.clone();
            thread::spawn(move || foreign.wake())
                .join()
                .expect("waking does not panic");
            let cancelled = task.cancel();
            // While it is cancelled and not yet dropped, and afterwards.
            waker.wake_by_ref();
            turns(200).await;
            waker.wake_by_ref();
            let foreign = waker.clone();
            thread::spawn(move || foreign.wake())
                .join()
                .expect("waking does not panic");
            turns(200).await;
            cancelled.await?;
            // Somebody else lives there now.
            let next = cx.spawn(async |_| pending::<Result<()>>().await);
            yield_now().await;
            waker.wake_by_ref();
            thread::spawn(move || waker.wake())
                .join()
                .expect("waking does not panic");
            turns(200).await;
            next.cancel().await
        });
        outcome.expect("ends well");
        let woken = |event: &&Event| matches!(event.what, What::Woken { .. }) && event.task.0 > 0;
        assert_eq!(recording.events().iter().filter(woken).count(), 0);
        let polled = |event: &&Event| event.what == What::Polled && event.task.0 > 0;
        assert_eq!(recording.events().iter().filter(polled).count(), 3);
    });
}

#[test]
fn a_waker_may_be_used_while_its_thread_ends() {
    thread_local! {
        static LATE: RefCell<Option<WakesOnDrop>> = const { RefCell::new(None) };
    }
    struct WakesOnDrop(Waker);
    impl Drop for WakesOnDrop {
        fn drop(&mut self) {
            self.0.wake_by_ref();
        }
    }
    bounded(|| {
        // The runtime's own thread-local is used first, and therefore destroyed last, or the other
        // way round: the waker has to work in both orders.
        for early in [true, false] {
            let thread = thread::spawn(move || {
                if early {
                    LATE.set(None);
                }
                let waker = run(async |_| Ok(own_waker().await)).expect("ends well");
                LATE.set(Some(WakesOnDrop(waker)));
            });
            thread.join().expect("the thread ends well");
        }
    });
}

#[test]
fn many_threads_wake_many_tasks_and_no_wake_is_lost() {
    const THREADS: usize = 4;
    const TASKS: usize = 16;
    const WAKES: usize = 300;
    test(async |cx| {
        let counters: Arc<Vec<AtomicUsize>> =
            Arc::new((0..TASKS).map(|_| AtomicUsize::new(0)).collect());
        let start = Arc::new(Barrier::new(THREADS));
        let senders: Vec<mpsc::Sender<(usize, Waker)>> = (0..THREADS)
            .map(|_| {
                let (sender, receiver) = mpsc::channel::<(usize, Waker)>();
                let (counters, start) = (counters.clone(), start.clone());
                thread::spawn(move || {
                    start.wait();
                    for (task, waker) in receiver {
                        counters[task].fetch_add(1, Ordering::Relaxed);
                        waker.wake();
                    }
                });
                sender
            })
            .collect();
        let mut tasks = cx.orphans();
        for task in 0..TASKS {
            let (senders, counters) = (senders.clone(), counters.clone());
            tasks.spawn(async move |_| {
                for wake in 0..WAKES {
                    let mut sent = false;
                    // `Relaxed` is enough only if the wake itself makes the count visible.
                    until(
                        || counters[task].load(Ordering::Relaxed) > wake,
                        |waker| {
                            if !std::mem::replace(&mut sent, true) {
                                let to = &senders[(task + wake) % THREADS];
                                to.send((task, waker.clone())).expect("the thread listens");
                            }
                        },
                    )
                    .await;
                }
                Ok(())
            });
        }
        while let Some(result) = tasks.next().await {
            result?;
        }
        Ok(())
    });
}

#[test]
fn a_program_that_can_never_go_on_is_told_so() {
    let outcome = bounded(|| run(async |_| pending::<Result<()>>().await));
    let text = stalled(&outcome.expect_err("nobody wakes it"));
    assert!(
        text.starts_with("every task waits, and nobody is left to wake one:"),
        "{text}"
    );
    assert!(text.contains("main, spawned at"), "{text}");
    assert!(text.contains("tests/wakers.rs:"), "{text}");
}

#[test]
fn tasks_that_wait_for_each_other_are_named() {
    let text = stalled(&failure_of(async |cx| {
        let middle = cx.spawn(async |cx| {
            let mut orphans = cx.orphans();
            orphans.spawn(async |_| pending::<Result<()>>().await);
            orphans.next().await.expect("one is left")
        });
        middle.await
    }));
    assert!(
        text.contains("main, spawned at") && text.contains("waits for the end of task 1"),
        "{text}"
    );
    assert!(text.contains("waits for an orphan"), "{text}");
    assert!(
        text.contains("something the runtime does not know"),
        "{text}"
    );
}

#[test]
fn a_stalled_run_drops_all_tasks() {
    bounded(|| {
        let drops = common::Drops::default();
        let witnesses = [drops.witness(), drops.witness()];
        let outcome = run(async move |cx| {
            let [here, below] = witnesses;
            let _here = here;
            let child = cx.spawn(async move |_| {
                let _below = below;
                pending::<Result<()>>().await
            });
            child.await
        });
        stalled(&outcome.expect_err("nobody wakes them"));
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_waker_dropped_unused_by_another_thread_is_no_hope() {
    let failure = failure_of(async |_| {
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            thread::spawn(move || drop(waker))
                .join()
                .expect("dropping does not panic");
            Poll::<Result<()>>::Pending
        })
        .await
    });
    stalled(&failure);
}

#[test]
fn the_last_waker_used_at_the_last_moment_is_never_mistaken_for_none() {
    // The other thread uses up the only waker while this one looks whether there is any.
    bounded(|| {
        for _ in 0..3000 {
            run(async |_| Ok(woken_by_a_thread().await)).expect("ends well");
        }
    });
}
