//! The mutex: one task at a time, in order, on all domains, whatever becomes of those who wait.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{Cx, Failure, Mutex, MutexGuard, Result, Runtime};
use ch08_mutexes_and_conditions::{race, sleep, timeout, yield_now};
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Instant;
use times::{Log, assert_soon, ms};
use world::{Gate, test};

/// Polls once, as nobody.
fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_free_lock_is_had_at_once_and_outside_of_a_run() {
    let mutex = Mutex::new(1);
    {
        let Poll::Ready(mut guard) = poll(pin!(mutex.lock())) else {
            panic!("it is free")
        };
        *guard += 1;
        assert!(mutex.try_lock().is_none());
        assert!(poll(pin!(mutex.lock())).is_pending());
        assert!(MutexGuard::mutex(&guard).try_lock().is_none());
    }
    assert_eq!(*mutex.try_lock().expect("it was given back"), 2);
    assert_eq!(mutex.into_inner(), 2);
}

#[test]
fn what_it_shows_and_what_needs_no_lock() {
    let mut mutex = Mutex::new(String::from("a"));
    mutex.get_mut().push('b');
    assert_eq!(format!("{mutex:?}"), r#"Mutex("ab")"#);
    let guard = mutex.try_lock().expect("it is free");
    assert_eq!(format!("{guard:?} {mutex:?}"), r#""ab" Mutex(<locked>)"#);
    drop(guard);
    assert_eq!(Mutex::<u8>::default().into_inner(), 0);
    // Also of what has no size.
    let slice: Arc<Mutex<[u8]>> = Arc::new(Mutex::new([1, 2]));
    assert_eq!(slice.try_lock().expect("it is free").len(), 2);
}

#[test]
fn rule_14_one_task_at_a_time_on_all_domains() {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    test(3, async |cx| {
        let count = Arc::new(Mutex::new(0));
        let shared = count.clone();
        let add = async move |_: &Cx, times: u32| {
            for turn in 0..times {
                let mut count = shared.lock().await;
                assert_eq!(INSIDE.fetch_add(1, SeqCst), 0);
                if turn % 3 == 0 {
                    yield_now().await;
                }
                *count += 1;
                assert_eq!(INSIDE.fetch_sub(1, SeqCst), 1);
            }
            Ok(())
        };
        let added = cx.parallel([300; 6], add.clone()).await?;
        added.into_iter().collect::<Result<()>>()?;
        add(cx, 100).await?;
        Ok(assert_eq!(*count.lock().await, 1900))
    });
}

#[test]
fn rule_14_the_order_holds_across_domains() {
    test(2, async |cx| {
        let log = Log::default();
        let mutex = Arc::new(Mutex::new(log.clone()));
        let guard = mutex.lock().await;
        let mut waiting = Vec::new();
        for number in 0..12 {
            let (mutex, queued) = (mutex.clone(), Gate::default());
            let is_queued = queued.clone();
            let domain = cx.domains().nth(number % 2).expect("there are two");
            waiting.push(cx.call_on(domain, async move |_| {
                let mut lock = pin!(mutex.lock());
                let first = std::future::poll_fn(|cx| Poll::Ready(lock.as_mut().poll(cx))).await;
                assert!(first.is_pending());
                is_queued.open();
                Ok(lock.await.note(number))
            })?);
            queued.passed().await;
        }
        drop(guard);
        for task in waiting {
            task.await?;
        }
        let order: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        Ok(assert_eq!(log.text(), order.join(" ")))
    });
}

#[test]
fn rule_14_it_is_never_poisoned() {
    test(1, async |cx| {
        let mutex = Arc::new(Mutex::new(0));
        let shared = mutex.clone();
        let task = cx.call(async move |_| -> Result<()> {
            let mut value = shared.lock().await;
            *value = 7;
            panic!("with the lock")
        })?;
        assert!(task.await.is_err());
        assert_eq!(*mutex.lock().await, 7);
        assert_eq!(*mutex.try_lock().expect("it is free"), 7);
        Ok(())
    });
}

#[test]
fn rule_14_a_task_that_is_cancelled_with_the_lock_hands_it_on() {
    test(1, async |cx| {
        let mutex = Arc::new(Mutex::new(()));
        let (shared, locked) = (mutex.clone(), Gate::default());
        let has = locked.clone();
        let task = cx.call(async move |_| -> Result<()> {
            let _guard = shared.lock().await;
            has.open();
            pending().await
        })?;
        locked.passed().await;
        assert!(mutex.try_lock().is_none());
        task.cancel().await?;
        Ok(drop(mutex.lock().await))
    });
}

#[test]
fn a_lock_that_is_not_awaited_has_taken_nothing() {
    let mutex = Mutex::new(());
    drop(mutex.lock());
    let guard = mutex.try_lock().expect("nobody has it");
    drop(mutex.lock());
    drop(guard);
    assert!(mutex.try_lock().is_some());
}

/// Each is handed the lock, and gives up then.
#[test]
fn rule_14_a_lock_passes_through_all_who_have_gone() {
    let mutex = Mutex::new(());
    let guard = mutex.try_lock().expect("it is free");
    let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(mutex.lock())).collect();
    for lock in &mut waiting {
        assert!(poll(lock.as_mut()).is_pending());
    }
    drop(guard);
    assert!(mutex.try_lock().is_none(), "the first one has it");
    for lock in waiting {
        assert!(mutex.try_lock().is_none());
        drop(lock);
    }
    assert!(mutex.try_lock().is_some());
}

#[test]
fn those_who_give_up_while_it_is_held_cost_little_and_leave_nothing() {
    let start = Instant::now();
    let witness = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(witness.clone());
    let mut cx = Context::from_waker(&waker);
    let mutex = Mutex::new(());
    let guard = mutex.try_lock().expect("it is free");
    // One after another, as in a loop with a time-out.
    for _ in 0..100_000 {
        assert!(pin!(mutex.lock()).poll(&mut cx).is_pending());
    }
    // And all together, the oldest first.
    let mut waiting: Vec<_> = (0..100_000).map(|_| Box::pin(mutex.lock())).collect();
    for lock in &mut waiting {
        assert!(lock.as_mut().poll(&mut cx).is_pending());
    }
    for lock in waiting {
        drop(lock);
    }
    assert_eq!(Arc::strong_count(&witness), 2, "no waker is left");
    drop(guard);
    assert!(mutex.try_lock().is_some());
    assert_eq!(witness.0.load(SeqCst), 0, "nobody who gave up was woken");
    assert_soon(start);
}

/// Counts how often it was woken.
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A waker that uses the lock itself, whatever is done with it.
struct Meddler(Arc<Mutex<u32>>);

impl Meddler {
    fn meddle(&self) {
        if let Some(mut value) = self.0.try_lock() {
            *value += 1;
        }
        drop(pin!(self.0.lock()).poll(&mut Context::from_waker(Waker::noop())));
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        self.meddle();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.meddle();
    }
}

#[test]
fn wakers_may_use_the_lock() {
    common::bounded(|| {
        let mutex = Arc::new(Mutex::new(0));
        for rounds in 0..3 {
            let guard = mutex.try_lock().expect("it is free");
            let waker = Waker::from(Arc::new(Meddler(mutex.clone())));
            let mut lock = Box::pin(mutex.lock());
            assert!(
                lock.as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            drop(waker);
            // The waker is dropped here, or replaced, or woken.
            match rounds {
                0 => drop(lock),
                1 => {
                    assert!(poll(lock.as_mut()).is_pending());
                    drop((guard, lock));
                    continue;
                }
                _ => {
                    drop(guard);
                    assert!(poll(lock.as_mut()).is_ready());
                    continue;
                }
            }
            drop(guard);
        }
        drop(mutex.try_lock().expect("it is free"));
    });
}

#[test]
fn a_waker_that_panics_does_not_keep_the_lock() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of somebody else")
        }
    }
    common::bounded(|| {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock().expect("it is free");
        let waker = Waker::from(Arc::new(Panics));
        let mut lock = Box::pin(mutex.lock());
        assert!(
            lock.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        drop(guard);
        assert!(poll(lock.as_mut()).is_ready());
    });
}

#[test]
fn a_thread_that_is_no_domain_shares_it() {
    test(0, async |_| {
        let mutex = Arc::new(Mutex::new(0));
        let shared = mutex.clone();
        let thread = thread::spawn(move || {
            for _ in 0..1000 {
                loop {
                    if let Some(mut value) = shared.try_lock() {
                        *value += 1;
                        break;
                    }
                    thread::yield_now();
                }
            }
        });
        while !thread.is_finished() {
            *mutex.lock().await += 0;
            yield_now().await;
        }
        thread.join().expect("it only counts");
        Ok(assert_eq!(*mutex.lock().await, 1000))
    });
}

#[test]
fn a_task_that_locks_for_ever_leaves_the_others_their_turn() {
    test(0, async |cx| {
        let greedy = cx.spawn(async |_| -> Result<()> {
            let mutex = Mutex::new(0);
            loop {
                *mutex.lock().await += 1;
            }
        });
        for _ in 0..10 {
            yield_now().await;
        }
        greedy.cancel().await
    });
}

/// A lock that was handed over to a task which has used up its turn is not lost with the task.
#[test]
fn rule_14_handed_over_and_cancelled_before_the_next_turn() {
    test(0, async |cx| {
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.lock().await;
        let (shared, free) = (mutex.clone(), Arc::new(Mutex::new(())));
        let task = cx.spawn(async move |_| -> Result<()> {
            // What is free uses the turn up; then it is asked for what is not.
            let use_up = async {
                loop {
                    drop(free.lock().await);
                }
            };
            race(use_up, shared.lock()).await;
            pending().await
        });
        yield_now().await;
        drop(guard);
        task.cancel().await?;
        let lock = timeout(ms(1000), mutex.lock()).await;
        Ok(assert!(lock.is_ok(), "the lock went with the task"))
    });
}

#[test]
fn a_time_out_leaves_the_queue() {
    test(1, async |cx| {
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.lock().await;
        let shared = mutex.clone();
        let task = cx.call(async move |_| Ok(timeout(ms(5), shared.lock()).await.is_err()))?;
        assert!(task.await?);
        drop(guard);
        Ok(assert!(mutex.try_lock().is_some()))
    });
}

#[test]
fn a_guard_may_leave_the_run() {
    let mutex: &'static Mutex<u32> = Box::leak(Box::new(Mutex::new(0)));
    let run = Runtime::builder().domains(0).build();
    let guard = run
        .run(async move |_| Ok(mutex.lock().await))
        .expect("it ends well");
    assert!(mutex.try_lock().is_none());
    drop(guard);
    assert!(mutex.try_lock().is_some());
}

#[test]
fn a_task_that_fails_with_the_lock_has_given_it_back_when_its_failure_is_seen() {
    test(0, async |cx| {
        let mutex = Arc::new(Mutex::new(()));
        let shared = mutex.clone();
        let task = cx.spawn(async move |_| -> Result<()> {
            let _guard = shared.lock().await;
            sleep(ms(1)).await;
            Err(Failure::msg("on purpose"))
        });
        assert!(task.await.is_err());
        Ok(assert!(mutex.try_lock().is_some()))
    });
}

#[test]
fn rule_14_a_waker_that_panics_when_it_is_dropped_does_not_take_the_lock_with_it() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a waker of somebody else")
        }
    }
    common::bounded(|| {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock().expect("it is free");
        let mut lock = Box::pin(mutex.lock());
        let waker = Waker::from(Arc::new(Panics));
        let first = lock.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(first.is_pending());
        drop(waker);
        drop(lock);
        drop(guard);
        assert!(mutex.try_lock().is_some(), "who has gone has it");
    });
}
