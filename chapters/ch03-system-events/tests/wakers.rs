//! Wakers: from other threads, more than once, too late, during the poll; and nobody left to wake.

mod common;

use ch03_system_events::{Recording, TaskId, What, run, run_recorded, spawn, yield_now};
use common::{bounded, panic_of};
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

#[test]
fn a_wake_from_another_thread_arrives() {
    bounded(|| {
        let done = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = mpsc::channel::<Waker>();
        let flag = done.clone();
        let thread = thread::spawn(move || {
            for waker in receiver {
                flag.store(1, Ordering::Release);
                waker.wake();
            }
        });
        run(async move {
            until(
                || done.load(Ordering::Acquire) == 1,
                |waker| sender.send(waker.clone()).expect("the thread listens"),
            )
            .await;
        });
        thread.join().expect("the thread ends with its channel");
    });
}

#[test]
fn a_task_woken_three_times_is_polled_once() {
    bounded(|| {
        let recording = Recording::new();
        run_recorded(&recording, async {
            let slot = Rc::new(RefCell::new(None::<Waker>));
            let handed_out = slot.clone();
            drop(spawn(poll_fn(move |cx| {
                *handed_out.borrow_mut() = Some(cx.waker().clone());
                Poll::<()>::Pending
            })));
            yield_now().await;
            let waker = slot.borrow_mut().take().expect("polled during the yield");
            waker.wake_by_ref();
            waker.wake_by_ref();
            waker.wake();
            for _ in 0..5 {
                yield_now().await;
            }
        });
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
    bounded(|| {
        run(async {
            drop(spawn(async {
                loop {
                    yield_now().await;
                }
            }));
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
        });
    });
}

#[test]
fn the_waker_of_a_task_that_is_over_is_no_hope() {
    let text = bounded(|| {
        panic_of(|| {
            run(async {
                let task = spawn(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
                let _kept = task.await;
                pending::<()>().await;
            })
        })
    });
    assert!(text.contains("nobody is left"), "{text}");
}

#[test]
fn a_thousand_wakes_from_another_thread_before_the_next_look_are_one_poll() {
    bounded(|| {
        let polls = Rc::new(Cell::new(0));
        let count = polls.clone();
        run(async move {
            let task = spawn(poll_fn(move |cx| {
                count.set(count.get() + 1);
                if count.get() == 1 {
                    let waker = cx.waker().clone();
                    let wakes = move || (0..1000).for_each(|_| waker.wake_by_ref());
                    thread::spawn(wakes).join().expect("waking does not panic");
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            }));
            task.await;
        });
        assert_eq!(polls.get(), 2);
    });
}

#[test]
fn a_wake_during_the_poll_leads_to_another_poll() {
    bounded(|| {
        let mut polls = 0;
        run(async move {
            poll_fn(move |cx| {
                polls += 1;
                cx.waker().wake_by_ref();
                if polls == 10 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        });
    });
}

#[test]
fn a_waker_that_comes_too_late_wakes_nobody() {
    bounded(|| {
        let recording = Recording::new();
        let waker = run_recorded(&recording, async {
            let task = spawn(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
            let stale = task.await;
            // The next task takes the place of the one that is gone.
            let next = spawn(async {
                let mut polled = false;
                poll_fn(|_| {
                    assert!(!polled, "woken by the waker of another task");
                    polled = true;
                    Poll::<()>::Pending
                })
                .await;
            });
            yield_now().await;
            stale.wake_by_ref();
            let foreign = stale.clone();
            thread::spawn(move || foreign.wake())
                .join()
                .expect("waking does not panic");
            for _ in 0..200 {
                yield_now().await;
            }
            drop(next);
            stale
        });
        // After the run as well.
        waker.wake_by_ref();
        thread::spawn(move || waker.wake())
            .join()
            .expect("waking does not panic");
        let woken = |event: &&ch03_system_events::Event| {
            matches!(event.what, What::Woken { .. }) && event.task.0 > 1
        };
        assert_eq!(recording.events().iter().filter(woken).count(), 0);
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
                let waker = run(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
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
    bounded(|| {
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
        run(async move {
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| {
                    let (senders, counters) = (senders.clone(), counters.clone());
                    spawn(async move {
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
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
        });
    });
}

#[test]
fn a_program_that_can_never_go_on_is_told_so() {
    let text = bounded(|| panic_of(|| run(pending::<()>())));
    assert!(
        text.starts_with("every task waits, and nobody is left to wake one:"),
        "{text}"
    );
    assert!(text.contains("main, spawned at"), "{text}");
    assert!(text.contains("tests/wakers.rs:"), "{text}");
}

#[test]
fn tasks_that_wait_for_each_other_are_named() {
    let text = bounded(|| {
        panic_of(|| {
            run(async {
                let never = spawn(pending::<()>());
                spawn(never).await;
            })
        })
    });
    assert!(
        text.contains("main, spawned at") && text.contains("the promise of task 2"),
        "{text}"
    );
    assert!(text.contains("waits for the promise of task 1"), "{text}");
    assert!(
        text.contains("something the runtime does not know"),
        "{text}"
    );
}

#[test]
fn a_waker_dropped_unused_by_another_thread_is_no_hope() {
    let text = bounded(|| {
        panic_of(|| {
            run(poll_fn(|cx| {
                let waker = cx.waker().clone();
                thread::spawn(move || drop(waker))
                    .join()
                    .expect("dropping does not panic");
                Poll::<()>::Pending
            }))
        })
    });
    assert!(text.contains("nobody is left"), "{text}");
}

#[test]
fn the_last_waker_used_at_the_last_moment_is_never_mistaken_for_none() {
    // The other thread uses up the only waker while this one looks whether there is any.
    bounded(|| {
        for _ in 0..3000 {
            let mut asked = false;
            run(poll_fn(move |cx| {
                if std::mem::replace(&mut asked, true) {
                    return Poll::Ready(());
                }
                let waker = cx.waker().clone();
                thread::spawn(move || waker.wake());
                Poll::Pending
            }));
        }
    });
}
