//! Triggers and computations: what happens once, and whoever waits for it.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{Computation, Result, Trigger, race, yield_now};
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Instant;
use times::{Log, assert_soon};
use world::test;

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn one_signal_does_it_and_it_stays() {
    let mut trigger = Trigger::new();
    assert!(!trigger.is_signalled());
    assert!(poll(pin!(&mut trigger)).is_pending());
    assert!(trigger.clone().signal());
    assert!(!trigger.signal());
    assert!(trigger.is_signalled());
    for _ in 0..2 {
        assert!(poll(pin!(&mut trigger)).is_ready());
        assert!(poll(pin!(trigger.clone())).is_ready());
    }
    assert_eq!(format!("{trigger:?}"), "Trigger { signalled: true, .. }");
}

#[test]
fn all_who_wait_are_resumed_on_all_domains_in_order() {
    test(2, async |cx| {
        let (trigger, log) = (Trigger::default(), Log::default());
        let mut tasks = Vec::new();
        for number in 0..4 {
            let (trigger, log) = (trigger.clone(), log.clone());
            tasks.push(cx.spawn(async move |_| {
                trigger.await;
                Ok(log.note(number))
            }));
        }
        for _ in 0..20 {
            let trigger = trigger.clone();
            tasks.push(cx.call(async move |_| Ok(trigger.await))?);
        }
        yield_now().await;
        assert!(trigger.signal());
        for task in tasks {
            task.await?;
        }
        Ok(assert_eq!(log.text(), "0 1 2 3"))
    });
}

#[test]
fn a_thread_that_is_no_domain_can_signal() {
    test(0, async |_| {
        for _ in 0..100 {
            let trigger = Trigger::new();
            let there = trigger.clone();
            let thread = thread::spawn(move || there.signal());
            trigger.await;
            assert!(thread.join().expect("it only signals"));
        }
        Ok(())
    });
}

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn who_waits_no_more_is_not_resumed_and_leaves_no_waker() {
    let start = Instant::now();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    let trigger = Trigger::new();
    let mut waiting: Vec<Trigger> = (0..100_000).map(|_| trigger.clone()).collect();
    for one in &mut waiting {
        // Twice, as a task that is polled for other reasons.
        for _ in 0..2 {
            assert!(Pin::new(&mut *one).poll(&mut cx).is_pending());
        }
    }
    assert_eq!(Arc::strong_count(&count), 100_002);
    waiting.truncate(3);
    assert_eq!(Arc::strong_count(&count), 5);
    trigger.signal();
    assert_eq!(count.0.load(SeqCst), 3);
    drop(waiting);
    assert_eq!(Arc::strong_count(&count), 2);
    assert_soon(start);
}

#[test]
fn the_last_waker_counts() {
    let counts = [(); 2].map(|()| Arc::new(Count::default()));
    let mut trigger = Trigger::new();
    for count in &counts {
        let waker = Waker::from(count.clone());
        assert!(
            Pin::new(&mut trigger)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    trigger.signal();
    assert_eq!(counts.map(|count| count.0.load(SeqCst)), [0, 1]);
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_resumed() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of somebody else")
        }
    }
    let trigger = Trigger::new();
    let [mut first, mut second] = [trigger.clone(), trigger.clone()];
    let (panics, count) = (Waker::from(Arc::new(Panics)), Arc::new(Count::default()));
    let counts = Waker::from(count.clone());
    assert!(
        Pin::new(&mut first)
            .poll(&mut Context::from_waker(&panics))
            .is_pending()
    );
    assert!(
        Pin::new(&mut second)
            .poll(&mut Context::from_waker(&counts))
            .is_pending()
    );
    assert!(trigger.signal());
    assert_eq!(count.0.load(SeqCst), 1);
}

/// Whatever is done with it signals the trigger.
struct Meddler(Trigger);

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        self.0.signal();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.0.signal();
    }
}

#[test]
fn wakers_may_signal() {
    common::bounded(|| {
        for way in 0..3 {
            let trigger = Trigger::new();
            let mut waiting = trigger.clone();
            let waker = Waker::from(Arc::new(Meddler(trigger.clone())));
            assert!(
                Pin::new(&mut waiting)
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            drop(waker);
            match way {
                0 => drop(waiting),
                1 => drop(poll(pin!(waiting))),
                _ => drop(trigger.signal()),
            }
            assert!(trigger.is_signalled());
        }
    });
}

#[test]
fn what_has_happened_uses_up_a_turn_as_everything_does() {
    test(0, async |cx| {
        let greedy = cx.spawn(async |_| -> Result<()> {
            let mut trigger = Trigger::new();
            trigger.signal();
            loop {
                (&mut trigger).await;
            }
        });
        for _ in 0..10 {
            yield_now().await;
        }
        greedy.cancel().await
    });
}

#[test]
fn a_trigger_beside_something_else() {
    test(0, async |_| {
        let trigger = Trigger::new();
        trigger.signal();
        race(trigger, pending::<()>()).await;
        Ok(())
    });
}

#[test]
fn a_computation_is_written_once_and_read_by_all() {
    test(2, async |cx| {
        let computation = Computation::new();
        assert_eq!(computation.get(), None);
        assert_eq!(format!("{computation:?}"), "Computation(<pending>)");
        let mut readers = Vec::new();
        for _ in 0..10 {
            let computation: Computation<String> = computation.clone();
            readers.push(cx.call(async move |_| Ok(computation.wait().await.clone()))?);
        }
        let mut writers = Vec::new();
        for number in 0..4 {
            let computation = computation.clone();
            writers.push(cx.call(async move |_| {
                let text = format!("by {number}");
                Ok(computation
                    .complete(text.clone())
                    .map_or_else(|lost| lost == text, |()| false))
            })?);
        }
        let mut too_late = 0;
        for writer in writers {
            too_late += u32::from(writer.await?);
        }
        assert_eq!(too_late, 3);
        let value = computation.wait().await;
        for reader in readers {
            assert_eq!(&reader.await?, value);
        }
        assert_eq!(computation.get(), Some(value));
        Ok(assert_eq!(
            format!("{computation:?}"),
            format!("Computation({value:?})")
        ))
    });
}

#[test]
fn waiting_for_a_computation_can_be_given_up() {
    let computation = Computation::<u8>::default();
    assert!(poll(pin!(computation.wait())).is_pending());
    assert_eq!(computation.complete(1), Ok(()));
    assert_eq!(computation.complete(2), Err(2));
    let Poll::Ready(value) = poll(pin!(computation.wait())) else {
        panic!("it is there")
    };
    assert_eq!(*value, 1);
}
