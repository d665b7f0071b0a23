//! A panic in a task reaches whoever awaits it, and nobody else.

mod common;

use ch03_system_events::{run, spawn, yield_now};
use common::{Drops, PanicsOnDrop, bounded, panic_of};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

#[test]
fn a_panic_in_the_main_task_leaves_run() {
    bounded(|| {
        assert_eq!(panic_of(|| run(async { panic!("main") })), "main");
        assert_eq!(run(async { 1 }), 1, "and the next run is as good as new");
    });
}

#[test]
fn a_panic_in_a_task_goes_on_in_the_task_that_awaits() {
    bounded(|| {
        let text = panic_of(|| {
            run(async {
                let child = spawn(async { panic!("child") });
                let parent = spawn(child);
                parent.await
            })
        });
        assert_eq!(text, "child");
    });
}

#[test]
fn a_panic_nobody_awaits_does_not_end_the_run() {
    bounded(|| {
        let value = run(async {
            let kept = spawn(async { panic!("kept") });
            drop(spawn(async { panic!("dropped") }));
            yield_now().await;
            drop::<ch03_system_events::Promise<()>>(kept);
            spawn(async { 1 }).await
        });
        assert_eq!(value, 1);
    });
}

#[test]
fn the_locals_of_a_task_are_dropped_before_its_panic_is_seen() {
    bounded(|| {
        let drops = Drops::default();
        let (inside, outside) = (drops.witness(), drops.clone());
        let text = panic_of(|| {
            run(async move {
                let child = spawn(async move {
                    let _inside = inside;
                    yield_now().await;
                    panic!("after a turn");
                });
                let watched = spawn(child);
                while outside.count() == 0 {
                    yield_now().await;
                }
                watched.await
            })
        });
        assert_eq!((text.as_str(), drops.count()), ("after a turn", 1));
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
    bounded(|| {
        let drops = Drops::default();
        let value = drops.witness();
        let text = panic_of(|| {
            run(async { spawn(Ready(Some(value), PanicsOnDrop("drop"))).await });
        });
        assert_eq!(text, "drop");
        assert_eq!(drops.count(), 1, "the value it had is not lost");
    });
}

#[test]
fn the_first_of_two_panics_is_the_one_that_counts() {
    bounded(|| {
        struct Panics(#[allow(dead_code)] PanicsOnDrop);
        impl Future for Panics {
            type Output = ();
            fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
                panic!("poll")
            }
        }
        let text = panic_of(|| run(async { spawn(Panics(PanicsOnDrop("drop"))).await }));
        assert_eq!(text, "poll");
    });
}

#[test]
fn a_result_that_panics_when_dropped_unread_does_not_end_the_run() {
    bounded(|| {
        let value = run(async {
            drop(spawn(async { PanicsOnDrop("unread") }));
            yield_now().await;
            1
        });
        assert_eq!(value, 1);
    });
}

#[test]
fn a_panic_while_the_run_ends_does_not_keep_the_others_from_being_dropped() {
    bounded(|| {
        let drops = Drops::default();
        let count = drops.clone();
        let value = run(async move {
            for n in 0..10 {
                let witness = count.witness();
                drop(spawn(async move {
                    let _witness = witness;
                    let _bomb = (n % 2 == 0).then(|| PanicsOnDrop("at the end"));
                    pending::<()>().await;
                }));
            }
            yield_now().await;
            1
        });
        assert_eq!((value, drops.count()), (1, 10));
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
fn a_panic_payload_that_panics_does_not_end_the_run() {
    struct Panics(#[allow(dead_code)] Chain);
    impl Future for Panics {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("poll")
        }
    }
    bounded(|| {
        let value = run(async {
            drop(spawn(Panics(Chain(3))));
            drop(spawn(async { std::panic::panic_any(Chain(3)) }));
            drop(spawn(async {
                let _at_the_end = Chain(3);
                pending::<()>().await;
            }));
            yield_now().await;
            1
        });
        assert_eq!(value, 1);
        assert_eq!(run(async { 2 }), 2, "and the thread is as good as before");
    });
}

#[test]
fn a_result_that_panics_while_a_task_unwinds_does_not_abort() {
    bounded(|| {
        let text = panic_of(|| {
            run(async {
                let task = spawn(async {
                    let _forsaken = spawn(async { PanicsOnDrop("the result") });
                    yield_now().await;
                    panic!("the task");
                });
                task.await
            })
        });
        assert_eq!(text, "the task");
    });
}

#[test]
fn a_waker_that_panics_does_not_end_the_run() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("wake")
        }
    }
    bounded(|| {
        let value = run(async {
            let mut promise = spawn(async {
                yield_now().await;
                1
            });
            let waker = Waker::from(Arc::new(Panics));
            let mut cx = Context::from_waker(&waker);
            assert!(Pin::new(&mut promise).poll(&mut cx).is_pending());
            for _ in 0..3 {
                yield_now().await;
            }
            promise.await
        });
        assert_eq!(value, 1);
    });
}
