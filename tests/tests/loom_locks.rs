//! Mutex, condition and trigger under the model checker loom, as `loom.rs` has it for the wakes between domains: the
//! files of the chapter, on loom's own locks and atomics.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use condition::Condition;
use loom::sync::Notify;
use loom::thread;
use mutex::Mutex;
use trigger::Trigger;

#[allow(unreachable_pub, reason = "it is the chapter that has it public")]
mod trigger {
    include!(concat!(env!("OUT_DIR"), "/trigger.rs"));
}

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the chapter has it public; what no two threads can do at once is not checked"
)]
mod mutex {
    include!(concat!(env!("OUT_DIR"), "/mutex.rs"));
}

#[allow(unreachable_pub, reason = "it is the chapter that has it public")]
mod condition {
    include!(concat!(env!("OUT_DIR"), "/condition.rs"));
}

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU8, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

/// What the three files need of others.
mod budget {
    use std::task::{Context, Poll};

    pub(crate) fn poll_spend(_: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

mod scheduler {
    pub(crate) struct Scheduler;

    impl Scheduler {
        pub(crate) fn with_current(_: impl FnOnce(&Scheduler)) {}

        pub(crate) fn wait_for(&self, _: &'static str, _: Option<()>) {}
    }

    pub(crate) fn drop_quietly<T>(value: T) {
        drop(value);
    }
}

/// So many times a thread is stopped in the middle of its steps, at most: more find nothing here, and take hours.
const PREEMPTIONS: usize = 2;

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(f);
}

/// A thread with one task. If it is never woken, loom reports a deadlock.
struct Sleeper(Notify);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let sleeper = Arc::new(Sleeper(Notify::new()));
    let waker = Waker::from(sleeper.clone());
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => sleeper.0.wait(),
        }
    }
}

/// Polls `future` once, and drops it: as a task that is cancelled.
fn give_up<T>(future: impl Future<Output = T>) {
    let mut cx = Context::from_waker(Waker::noop());
    drop(pin!(future).poll(&mut cx));
}

#[test]
fn a_lock_has_one_owner_and_everybody_gets_it() {
    model(|| {
        let count = Arc::new(Mutex::new(0));
        let threads = [(); 2].map(|()| {
            let count = count.clone();
            thread::spawn(move || *block_on(count.lock()) += 1)
        });
        *block_on(count.lock()) += 1;
        for thread in threads {
            thread.join().expect("it only counts");
        }
        assert_eq!(*count.try_lock().expect("it is free"), 3);
    });
}

#[test]
fn a_lock_handed_to_one_who_gives_up_goes_on() {
    model(|| {
        let mutex = Arc::new(Mutex::new(()));
        let held = mutex.try_lock().expect("it is free");
        let impatient = {
            let mutex = mutex.clone();
            thread::spawn(move || give_up(mutex.lock()))
        };
        let patient = {
            let mutex = mutex.clone();
            thread::spawn(move || drop(block_on(mutex.lock())))
        };
        drop(held);
        impatient.join().expect("it only gives up");
        patient.join().expect("it only waits");
        assert!(mutex.try_lock().is_some(), "nobody has it");
    });
}

#[test]
fn nobody_overtakes_by_trying() {
    model(|| {
        let turns = Arc::new(Mutex::new(Vec::new()));
        let held = turns.try_lock().expect("it is free");
        let mut first = Box::pin(turns.lock());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        let second = {
            let turns = turns.clone();
            thread::spawn(move || {
                if let Some(mut turns) = turns.try_lock() {
                    turns.push("second");
                }
            })
        };
        drop(held);
        block_on(first).push("first");
        second.join().expect("it only tries");
        assert_eq!(turns.try_lock().expect("it is free")[0], "first");
    });
}

#[test]
fn a_signal_between_unlocking_and_waiting_is_heard() {
    model(|| {
        let shared = Arc::new((Mutex::new(false), Condition::new()));
        let signaller = {
            let shared = shared.clone();
            thread::spawn(move || {
                *block_on(shared.0.lock()) = true;
                shared.1.signal();
            })
        };
        block_on(async {
            let done = shared.0.lock().await;
            assert!(*shared.1.wait_while(done, |done| !*done).await);
        });
        signaller.join().expect("it only signals");
    });
}

/// One signal, and two who want it, of whom one gives up, perhaps when the signal is its own already.
#[test]
fn a_signal_to_one_who_gives_up_goes_on() {
    model(|| {
        let shared = Arc::new((Mutex::new(0), Condition::new()));
        let [mut impatient, mut patient] = [(); 2].map(|()| {
            let shared = shared.clone();
            Box::pin(async move {
                let count = shared.0.lock().await;
                *shared.1.wait(count).await += 1;
            })
        });
        // Both are in the queue.
        let mut cx = Context::from_waker(Waker::noop());
        assert!(impatient.as_mut().poll(&mut cx).is_pending());
        assert!(patient.as_mut().poll(&mut cx).is_pending());
        let signaller = {
            let shared = shared.clone();
            thread::spawn(move || shared.1.signal())
        };
        let impatient = thread::spawn(move || give_up(impatient.as_mut()));
        // If the impatient one was served, this takes a second signal.
        let again = {
            let shared = shared.clone();
            thread::spawn(move || {
                signaller.join().expect("it only signals");
                impatient.join().expect("it only gives up");
                if *block_on(shared.0.lock()) == 1 {
                    shared.1.signal();
                }
            })
        };
        block_on(patient);
        again.join().expect("it only signals");
    });
}

#[test]
fn a_broadcast_resumes_all() {
    model(|| {
        let shared = Arc::new((Mutex::new(false), Condition::new()));
        let wait = |shared: Arc<(Mutex<bool>, Condition)>| {
            block_on(async {
                let done = shared.0.lock().await;
                drop(shared.1.wait_while(done, |done| !*done).await);
            });
        };
        let other = {
            let shared = shared.clone();
            thread::spawn(move || wait(shared))
        };
        let broadcaster = {
            let shared = shared.clone();
            thread::spawn(move || {
                *block_on(shared.0.lock()) = true;
                shared.1.broadcast();
            })
        };
        wait(shared);
        other.join().expect("it only waits");
        broadcaster.join().expect("it only signals");
    });
}

#[test]
fn a_trigger_resumes_all_who_wait_and_one_signal_does_it() {
    model(|| {
        let trigger = Trigger::new();
        let [waiting, leaving, signalling] = [(); 3].map(|()| trigger.clone());
        let waiting = thread::spawn(move || block_on(waiting));
        let leaving = thread::spawn(move || give_up(leaving));
        let signalled = signalling.signal();
        assert!(signalled && !trigger.signal() && trigger.is_signalled());
        waiting.join().expect("it only waits");
        leaving.join().expect("it only leaves");
    });
}
