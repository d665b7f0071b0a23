//! Whatever the runtime drops or wakes may be anybody's, and call back into it: the table is never borrowed then.
//!
//! Results, errors and the payloads of panics are `'static`; what they can do is to wake a task, close a socket, or call
//! `run`. The locals of a task have its context as well: see `tests/cancel.rs`.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod family;

use ch08_mutexes_and_conditions::{
    Cx, Failure, Result, Task, TcpListener, await_first, run, yield_now,
};
use common::{PanicsOnDrop, bounded};
use family::{WakesOnDrop, own_waker, poll_once, suppressed, test, turns};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Something to be dropped, and a task that counts its wakes.
struct Sleeper<'p> {
    waker: Waker,
    dropped: Arc<AtomicUsize>,
    polled: Rc<RefCell<usize>>,
    task: Task<'p, ()>,
}

impl<'p> Sleeper<'p> {
    async fn new(cx: &'p Cx) -> Sleeper<'p> {
        let (slot, polled) = (Rc::new(RefCell::new(None)), Rc::new(RefCell::new(0)));
        let (handed_out, count) = (slot.clone(), polled.clone());
        let task = cx.spawn(async move |_| {
            *handed_out.borrow_mut() = Some(own_waker().await);
            poll_fn(|_| {
                *count.borrow_mut() += 1;
                Poll::Pending
            })
            .await
        });
        yield_now().await;
        let waker = slot.borrow_mut().take().expect("it had a turn");
        Sleeper {
            waker,
            dropped: Arc::default(),
            polled,
            task,
        }
    }

    /// Wakes the sleeper when it is dropped.
    fn foreign(&self) -> WakesOnDrop {
        WakesOnDrop(self.waker.clone(), self.dropped.clone())
    }

    /// Asserts that so many were dropped, and that the wakes have arrived.
    async fn over(self, dropped: usize) -> Result<()> {
        assert_eq!(self.dropped.load(Ordering::Relaxed), dropped);
        turns(2).await;
        assert!(*self.polled.borrow() >= 2, "the wakes got lost");
        self.task.cancel().await
    }
}

#[test]
fn a_result_that_is_there_when_its_task_is_cancelled() {
    test(async |cx| {
        let sleeper = Sleeper::new(cx).await;
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let foreign = sleeper.foreign();
            tasks.push(cx.spawn(async move |_| Ok(foreign)));
        }
        yield_now().await;
        let mut cancels: Vec<_> = tasks.into_iter().map(Task::cancel).collect();
        assert!(cancels.remove(0).await.is_ok());
        drop(cancels.remove(0));
        std::mem::forget(cancels.remove(0));
        turns(2).await;
        drop(cancels);
        sleeper.over(4).await
    });
}

#[test]
fn a_result_that_is_there_when_its_parent_ends() {
    for (well, cancel) in [(true, true), (false, true), (false, false)] {
        test(async move |cx| {
            let sleeper = Sleeper::new(cx).await;
            let foreign = [sleeper.foreign(), sleeper.foreign()];
            let parent = cx.spawn(async move |cx| {
                let [value, error] = foreign;
                let value = cx.spawn(async move |_| Ok(value));
                let error = cx.spawn(async move |_| -> Result<()> { Err(error)? });
                yield_now().await;
                if cancel {
                    // The end of the parent comes before the turn in which they would go.
                    std::mem::forget(value.cancel());
                    drop(error.cancel());
                }
                match well {
                    true => Ok(()),
                    false => Err(Failure::msg("failed")),
                }
            });
            match parent.await {
                Ok(()) => assert!(well),
                Err(failure) => {
                    assert_eq!(suppressed(&failure), ["wakes when dropped"]);
                }
            }
            sleeper.over(2).await
        });
    }
}

#[test]
fn a_result_that_gives_way_to_the_panic_of_a_child() {
    test(async |cx| {
        let sleeper = Sleeper::new(cx).await;
        for scope in [false, true] {
            let foreign = sleeper.foreign();
            let body = async move |cx: &Cx| {
                let bomb = cx.spawn(async |_| -> Result<()> {
                    let _bomb = PanicsOnDrop("bomb");
                    pending().await
                });
                yield_now().await;
                drop(bomb.cancel());
                Ok(foreign)
            };
            let outcome = match scope {
                true => cx.scope(body).await,
                false => cx.spawn(body).await,
            };
            assert!(outcome.is_err());
        }
        sleeper.over(2).await
    });
}

#[test]
fn a_result_that_nobody_sees_because_of_a_violation() {
    bounded(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = dropped.clone();
        let outcome = run(async move |cx| {
            let waker = own_waker().await;
            let foreign = || WakesOnDrop(waker.clone(), count.clone());
            let (value, error, local) = (foreign(), foreign(), foreign());
            let _forgotten = cx.spawn(async move |_| Ok(value));
            let _failed = cx.spawn(async move |_| -> Result<()> { Err(error)? });
            let mut orphans = cx.orphans();
            orphans.spawn(async move |_| {
                let _local = local;
                pending::<Result<()>>().await
            });
            turns(2).await;
            Ok(foreign())
        });
        let failure = outcome.expect_err("forgotten");
        assert_eq!(suppressed(&failure), ["wakes when dropped"]);
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
        drop(failure);
        assert_eq!(dropped.load(Ordering::Relaxed), 4);
    });
}

#[test]
fn errors_of_the_losers() {
    test(async |cx| {
        let sleeper = Sleeper::new(cx).await;
        let mut tasks = vec![cx.spawn(async |_| Ok(1))];
        for _ in 0..3 {
            let foreign = sleeper.foreign();
            tasks.push(cx.spawn(async move |_| Err(foreign)?));
        }
        yield_now().await;
        assert_eq!(await_first(&mut tasks).await?, 1);
        sleeper.over(3).await
    });
}

#[test]
fn the_payload_of_a_panic() {
    test(async |cx| {
        let sleeper = Sleeper::new(cx).await;
        let foreign = sleeper.foreign();
        let polled = cx.spawn(async move |_| -> Result<()> { std::panic::panic_any(foreign) });
        assert!(polled.await.is_err());
        let foreign = sleeper.foreign();
        let scope = cx.scope(async |_| -> Result<()> { std::panic::panic_any(foreign) });
        assert!(scope.await.is_err());
        let foreign = sleeper.foreign();
        let dropped = cx.spawn(async move |_| -> Result<()> {
            let mut foreign = Some(foreign);
            let _panics = family::OnDrop(|| std::panic::panic_any(foreign.take()));
            pending().await
        });
        yield_now().await;
        assert!(dropped.cancel().await.is_err());
        sleeper.over(3).await
    });
}

#[test]
fn the_error_of_a_scope_that_ends_when_its_place_is_gone() {
    // Its task is cancelled, and polls it by hand in a destructor.
    test(async |cx| {
        let sleeper = Sleeper::new(cx).await;
        let foreign = sleeper.foreign();
        let task = cx.spawn(async move |cx| -> Result<()> {
            let mut scope = Box::pin(cx.scope(async |_| -> Result<()> {
                yield_now().await;
                Err(foreign)?
            }));
            assert!(poll_once(scope.as_mut()).await.is_none());
            let _goes_on = family::OnDrop(|| {
                assert!(family::poll_by_hand(scope.as_mut()).is_none());
            });
            pending().await
        });
        yield_now().await;
        task.cancel().await?;
        sleeper.over(1).await
    });
}

#[test]
fn what_an_unpolled_task_has_captured() {
    test(async |cx| {
        let sleeper = Sleeper::new(cx).await;
        let foreign = sleeper.foreign();
        cx.spawn(async move |_| Ok(drop(foreign))).cancel().await?;
        let foreign = sleeper.foreign();
        let failed = cx.spawn(async move |cx| {
            drop(cx.spawn(async move |_| Ok(drop(foreign))));
            Err::<(), _>(Failure::msg("failed"))
        });
        assert!(failed.await.is_err());
        sleeper.over(2).await
    });
}

/// A waker that is anybody's: it calls back when it is woken, and when it is dropped.
struct Foreign {
    inner: Waker,
    dropped: Arc<AtomicUsize>,
}

impl Wake for Foreign {
    fn wake(self: Arc<Self>) {
        self.inner.wake_by_ref();
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.inner.wake_by_ref();
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Sleeper<'_> {
    /// Polls `future` once with a waker that is then held by the runtime alone.
    fn poll_with_foreign<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        let waker = Waker::from(Arc::new(Foreign {
            inner: self.waker.clone(),
            dropped: self.dropped.clone(),
        }));
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }
}

#[test]
fn wakers_that_wait_for_a_task() {
    test(async |cx| {
        let sleeper = Sleeper::new(cx).await;
        // Replaced by another, which is woken.
        let mut task = cx.spawn(async |_| Ok(turns(2).await));
        for _ in 0..2 {
            assert!(sleeper.poll_with_foreign(&mut task).is_pending());
        }
        turns(4).await;
        assert!(task.is_over());
        task.await?;
        // Of a task that is cancelled, and whose Cancel is dropped.
        for _ in 0..2 {
            let mut task = family::endless(cx);
            assert!(sleeper.poll_with_foreign(&mut task).is_pending());
            let mut cancel = task.cancel();
            assert!(sleeper.poll_with_foreign(&mut cancel).is_pending());
            drop(cancel);
            turns(2).await;
        }
        // Of a child that is cancelled with its parent, in which somebody waits for it.
        let foreign = Waker::from(Arc::new(Foreign {
            inner: sleeper.waker.clone(),
            dropped: sleeper.dropped.clone(),
        }));
        let parent = cx.spawn(async move |cx| {
            let mut child = family::endless(cx);
            let mut orphans = cx.orphans();
            orphans.spawn(async |_| pending::<Result<()>>().await);
            let mut scope = Box::pin(cx.scope(async |cx| family::endless(cx).await));
            {
                let mut hand = Context::from_waker(&foreign);
                assert!(Pin::new(&mut child).poll(&mut hand).is_pending());
                assert!(scope.as_mut().poll(&mut hand).is_pending());
                let mut next = Box::pin(orphans.next());
                assert!(next.as_mut().poll(&mut hand).is_pending());
            }
            drop(foreign);
            pending::<Result<()>>().await
        });
        yield_now().await;
        parent.cancel().await?;
        sleeper.over(7).await
    });
}

#[test]
fn wakers_that_wait_for_an_orphan() {
    test(async |cx| {
        let sleeper = Sleeper::new(cx).await;
        let mut orphans = cx.orphans();
        orphans.spawn(async |_| Ok(turns(3).await));
        for _ in 0..2 {
            let mut next = Box::pin(orphans.next());
            assert!(sleeper.poll_with_foreign(&mut next).is_pending());
        }
        orphans.next().await.expect("one is left")?;
        // Left in a group whose handle is dropped.
        orphans.spawn(async |_| Ok(()));
        {
            let mut next = Box::pin(orphans.next());
            assert!(sleeper.poll_with_foreign(&mut next).is_pending());
        }
        let taken = orphans.take().expect("one is left");
        drop(orphans);
        taken.await?;
        sleeper.over(3).await
    });
}

#[test]
fn a_result_that_closes_a_socket_for_which_somebody_waits() {
    test(async |cx| {
        let noticed = cx.spawn(async |_| Ok(ch08_mutexes_and_conditions::descriptor_freed().await));
        let socket = cx.spawn(async |_| Ok(TcpListener::bind("127.0.0.1:0")?));
        yield_now().await;
        socket.cancel().await?;
        yield_now().await;
        assert!(noticed.is_over());
        noticed.await
    });
}

#[test]
fn a_destructor_that_calls_run_is_refused_and_takes_nothing_down() {
    test(async |cx| {
        struct Runs;
        impl Drop for Runs {
            fn drop(&mut self) {
                run(async |_| Ok(())).expect("refused by a panic");
            }
        }
        let refused = "panicked: run was called inside run; use Cx::spawn there";
        let result = cx.spawn(async |_| Ok(Runs));
        let local = cx.spawn(async |_| -> Result<()> {
            let _runs = Runs;
            pending().await
        });
        yield_now().await;
        let failure = result.cancel().await.expect_err("refused");
        assert_eq!(suppressed(&failure), [refused]);
        let failure = local.cancel().await.expect_err("refused");
        assert_eq!(suppressed(&failure), [refused]);
        Ok(())
    });
}

#[test]
fn a_local_that_wakes_and_spawns_and_cancels_when_its_task_returns() {
    test(async |cx| {
        let task = cx.spawn(async |cx| {
            let waker = own_waker().await;
            let mut child = Some(family::endless(cx));
            let _busy = family::OnDrop(|| {
                waker.wake_by_ref();
                drop(child.take().map(Task::cancel));
                drop(family::endless(cx).cancel());
                drop(cx.orphans::<()>());
            });
            yield_now().await;
            Ok(())
        });
        task.await?;
        assert!(poll_once(yield_now()).await.is_none());
        Ok(())
    });
}

/// The waiter of an empty group goes with the group, not when somebody else waits in its place.
#[test]
fn the_waiter_of_a_group_that_was_emptied_does_not_stay_in_its_place() {
    #[expect(dead_code, reason = "it is there to be dropped")]
    struct Quiet(WakesOnDrop);

    impl Wake for Quiet {
        fn wake(self: Arc<Self>) {}
    }

    test(async |cx| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let wakes = Quiet(WakesOnDrop(own_waker().await, dropped.clone()));
        let parent = cx.spawn(async move |cx| -> Result<()> {
            let mut orphans = cx.orphans::<()>();
            orphans.spawn(async |_| pending().await);
            let waker = Waker::from(Arc::new(wakes));
            {
                let mut next = std::pin::pin!(orphans.next());
                let polled = next.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
            }
            drop(waker);
            let _taken = orphans.take();
            pending().await
        });
        yield_now().await;
        parent.cancel().await?;
        let mut orphans = cx.orphans();
        for _ in 0..4 {
            orphans.spawn(async |_| Ok(()));
        }
        while let Some(result) = orphans.next().await {
            result?;
        }
        // It is dropped at the next look at what comes from outside.
        while dropped.load(Ordering::Relaxed) == 0 {
            yield_now().await;
        }
        Ok(())
    });
}
