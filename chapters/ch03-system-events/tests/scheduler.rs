//! `run`, `spawn`, promises and `yield_now`.

mod common;

use ch03_system_events::{Promise, run, spawn, yield_now};
use common::{Drops, bounded, panic_of};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

type Log = Rc<RefCell<Vec<String>>>;

#[test]
fn run_gives_the_value_of_the_main_task() {
    bounded(|| {
        assert_eq!(run(async { "value" }), "value");
    });
}

#[test]
fn a_promise_gives_the_value_of_its_task() {
    bounded(|| {
        let sum = run(async {
            let promises: Vec<Promise<u64>> = (1..=100).map(|n| spawn(async move { n })).collect();
            let mut sum = 0;
            for promise in promises {
                sum += promise.await;
            }
            sum
        });
        assert_eq!(sum, 5050);
    });
}

#[test]
fn promises_can_be_awaited_in_any_order() {
    bounded(|| {
        let values = run(async {
            let first = spawn(async { 1 });
            let second = spawn(async {
                yield_now().await;
                2
            });
            [second.await, first.await]
        });
        assert_eq!(values, [2, 1]);
    });
}

#[test]
fn a_task_never_starts_inside_spawn() {
    bounded(|| {
        run(async {
            let started = Rc::new(Cell::new(false));
            let flag = started.clone();
            let task = spawn(async move { flag.set(true) });
            assert!(!started.get());
            task.await;
            assert!(started.get());
        });
    });
}

#[test]
fn ready_tasks_run_first_in_first_out() {
    bounded(|| {
        let log = Log::default();
        let notes = log.clone();
        run(async move {
            let tasks: Vec<_> = ["a", "b", "c"]
                .map(|name| {
                    let log = notes.clone();
                    spawn(async move {
                        for round in 1..=3 {
                            log.borrow_mut().push(format!("{name}{round}"));
                            yield_now().await;
                        }
                    })
                })
                .into();
            for task in tasks {
                task.await;
            }
        });
        let order = "a1 b1 c1 a2 b2 c2 a3 b3 c3";
        assert_eq!(log.borrow().join(" "), order);
    });
}

#[test]
fn a_dropped_promise_does_not_stop_its_task() {
    bounded(|| {
        let done = Rc::new(Cell::new(false));
        let flag = done.clone();
        run(async move {
            drop(spawn(async move {
                yield_now().await;
                flag.set(true);
            }));
            for _ in 0..3 {
                yield_now().await;
            }
        });
        assert!(done.get());
    });
}

#[test]
fn tasks_that_are_not_over_are_dropped_when_the_main_task_is() {
    bounded(|| {
        let drops = Drops::default();
        let count = drops.clone();
        run(async move {
            for _ in 0..200 {
                let witness = count.witness();
                drop(spawn(async move {
                    pending::<()>().await;
                    drop(witness);
                }));
            }
            yield_now().await;
            assert_eq!(count.count(), 0);
            // One that was never polled.
            let witness = count.witness();
            drop(spawn(async move { drop(witness) }));
        });
        assert_eq!(drops.count(), 201);
    });
}

#[test]
fn results_nobody_asked_for_are_dropped() {
    bounded(|| {
        let drops = Drops::default();
        let count = drops.clone();
        run(async move {
            // Dropped before the task ends, after it has ended, and not at all.
            let witness = count.witness();
            drop(spawn(async move { witness }));
            let witness = count.witness();
            let over = spawn(async move { witness });
            let witness = count.witness();
            let kept = spawn(async move { witness });
            yield_now().await;
            assert_eq!(count.count(), 1);
            drop(over);
            assert_eq!(count.count(), 2);
            std::mem::forget(kept);
        });
        assert_eq!(drops.count(), 3);
    });
}

#[test]
#[expect(
    clippy::async_yields_async,
    reason = "the promise itself is the result"
)]
fn a_result_that_holds_a_promise_of_the_same_run_is_not_leaked() {
    bounded(|| {
        let drops = Drops::default();
        let count = drops.clone();
        run(async move {
            let witness = count.witness();
            let nested = spawn(async move { spawn(async move { witness }) });
            yield_now().await;
            yield_now().await;
            std::mem::forget(nested);
        });
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_task_spawned_while_the_run_ends_is_dropped_unpolled() {
    bounded(|| {
        struct SpawnsOnDrop(Drops, Rc<Cell<bool>>);
        impl Drop for SpawnsOnDrop {
            fn drop(&mut self) {
                let (witness, polled) = (self.0.witness(), self.1.clone());
                drop(spawn(async move {
                    polled.set(true);
                    drop(witness);
                }));
            }
        }

        let (drops, polled) = (Drops::default(), Rc::new(Cell::new(false)));
        let late = SpawnsOnDrop(drops.clone(), polled.clone());
        run(async move {
            drop(spawn(async move {
                pending::<()>().await;
                drop(late);
            }));
            yield_now().await;
        });
        assert_eq!((drops.count(), polled.get()), (1, false));
    });
}

#[test]
fn places_are_used_again_without_mixing_up_the_tasks() {
    bounded(|| {
        let sum = run(async {
            let mut sum = 0;
            for round in 0..1000_u64 {
                let (one, other) = (spawn(async move { round }), spawn(async move { round }));
                drop(one);
                sum += other.await;
            }
            sum
        });
        assert_eq!(sum, 499_500);
    });
}

#[test]
fn a_hundred_thousand_tasks_at_once() {
    let sum = bounded(|| {
        run(async {
            let tasks: Vec<_> = (0..100_000_u64)
                .map(|n| {
                    spawn(async move {
                        yield_now().await;
                        n
                    })
                })
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await;
            }
            sum
        })
    });
    assert_eq!(sum, 4_999_950_000);
}

#[test]
fn a_chain_of_tasks_each_awaiting_the_next() {
    fn chain(length: u32) -> Promise<u32> {
        spawn(async move {
            match length {
                0 => 0,
                _ => chain(length - 1).await + 1,
            }
        })
    }
    assert_eq!(bounded(|| run(async { chain(10_000).await })), 10_000);
}

#[test]
fn one_run_follows_another() {
    bounded(|| {
        assert_eq!(run(async { 1 }) + run(async { 2 }), 3);
    });
}

#[test]
fn run_inside_run_is_refused() {
    bounded(|| {
        let text = panic_of(|| run(async { run(async {}) }));
        assert_eq!(text, "run was called inside run; use spawn there");
        // And the thread is as good as before.
        assert_eq!(run(async { 1 }), 1);
    });
}

#[test]
fn spawn_outside_of_run_is_refused() {
    bounded(|| {
        let text = panic_of(|| drop(spawn(async {})));
        assert!(
            text.starts_with("spawn was called outside of run"),
            "{text}"
        );
    });
}

#[test]
#[expect(
    clippy::async_yields_async,
    reason = "the promise itself is the result"
)]
fn a_promise_cannot_be_awaited_after_the_end_of_its_run() {
    bounded(|| {
        let promise = run(async { spawn(async { 1 }) });
        let text = panic_of(|| run(promise));
        assert_eq!(text, "a promise was awaited after the end of its run");
    });
}

#[test]
fn a_promise_gives_its_value_once() {
    bounded(|| {
        let text = panic_of(|| {
            run(async {
                let mut promise = spawn(async { 1 });
                assert_eq!((&mut promise).await, 1);
                promise.await
            })
        });
        assert_eq!(text, "a promise was polled after it gave its value");
    });
}

#[test]
fn futures_of_other_libraries_may_await_promises() {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    /// Polls with a waker of its own, as many combinators do.
    struct Relay(Waker);
    impl Wake for Relay {
        fn wake(self: Arc<Self>) {
            self.0.wake_by_ref();
        }
    }

    let value = bounded(|| {
        run(async {
            let mut promise = spawn(async {
                yield_now().await;
                7
            });
            poll_fn(move |cx| {
                let relay = Waker::from(Arc::new(Relay(cx.waker().clone())));
                let mut cx = Context::from_waker(&relay);
                let answer: Poll<i32> = Pin::new(&mut promise).poll(&mut cx);
                answer
            })
            .await
        })
    });
    assert_eq!(value, 7);
}
