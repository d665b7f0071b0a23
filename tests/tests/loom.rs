//! Wakes between domains under the model checker loom: every order in which two threads can take their
//! steps, and nearly every value that the memory model lets them see.
//!
//! The files of the chapter are compiled here as they are. Only what they meet at, `crate::sync`, is
//! loom's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize as Count;
use std::task::Wake;

use domain::Message;
use inbox::{Inbox, Sleep};
use loom::sync::Notify;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use sync::{AtomicBool, Ordering};
use table::Key;
use wake::Handle;

#[path = "../../chapters/ch05-parallelism/src/inbox.rs"]
mod inbox;

#[allow(dead_code, reason = "a place is not used twice here")]
#[path = "../../chapters/ch05-parallelism/src/wake.rs"]
mod wake;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

/// What the two files need of others.
mod domain {
    pub(crate) enum Message {
        Wake(std::sync::Arc<super::wake::Handle>),
    }
}

mod table {
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(crate) struct Key(pub(crate) u32);
}

mod scheduler {
    /// All wakes of these tests come from other threads.
    pub(crate) fn wake_from_here(
        _: &std::sync::Arc<super::inbox::Inbox<super::domain::Message>>,
        _: super::table::Key,
    ) -> bool {
        false
    }
}

/// A domain without its scheduler: an inbox, and the sleep that an interrupt ends.
struct Domain<M> {
    inbox: Arc<Inbox<M>>,
    sleep: Arc<Notify>,
    interrupts: Arc<Count>,
}

impl<M: 'static> Domain<M> {
    fn new() -> Domain<M> {
        Domain::beside_others(&Arc::new(AtomicUsize::new(1)))
    }

    /// One of several, which `hopeful` counts.
    fn beside_others(hopeful: &Arc<AtomicUsize>) -> Domain<M> {
        let (sleep, interrupts) = (Arc::new(Notify::new()), Arc::new(Count::new(0)));
        let (interrupt, count) = (sleep.clone(), interrupts.clone());
        let interrupt = move || {
            count.fetch_add(1, Relaxed);
            interrupt.notify();
        };
        let inbox = Inbox::new(interrupt, hopeful.clone());
        Domain {
            inbox: Arc::new(inbox),
            sleep,
            interrupts,
        }
    }

    /// Sleeps and reads its messages, as a scheduler with nothing to do, until `receive` says that it is done.
    fn work_until(&self, mut receive: impl FnMut(M) -> bool) {
        loop {
            if self.inbox.fall_asleep(true) == Sleep::Soundly {
                self.sleep.wait();
            }
            let mut done = false;
            for message in self.inbox.collect() {
                done |= receive(message);
            }
            if done {
                return;
            }
        }
    }
}

/// The task of these tests: it waits until so many have said that they are there. If one of them is never seen, it
/// sleeps for ever, which loom reports as a deadlock.
#[derive(Default)]
struct Arrivals([AtomicUsize; 2]);

impl Arrivals {
    /// With the weakest write there is: that the task sees it is for the wake to bring about.
    fn arrive(&self, who: usize) {
        self.0[who].store(1, Relaxed);
    }

    fn all(&self) -> bool {
        self.0.iter().all(|one| one.load(Relaxed) == 1)
    }
}

#[test]
fn two_wakes_of_one_task_are_one_notice_or_two_and_none_is_lost() {
    loom::model(|| {
        let domain = Domain::new();
        let handle = Arc::new(Handle::new(Key(7), domain.inbox.clone()));
        let arrivals = Arc::new(Arrivals::default());
        let threads = [0, 1].map(|who| {
            let (handle, arrivals) = (handle.clone(), arrivals.clone());
            thread::spawn(move || {
                arrivals.arrive(who);
                handle.wake();
            })
        });
        domain.work_until(|Message::Wake(handle)| {
            assert_eq!(handle.acknowledge(), Key(7));
            arrivals.all()
        });
        for thread in threads {
            thread.join().expect("it only wakes");
        }
    });
}

#[test]
fn one_thread_that_wakes_twice_is_heard_twice() {
    loom::model(|| {
        let domain = Domain::new();
        let handle = Arc::new(Handle::new(Key(7), domain.inbox.clone()));
        let arrivals = Arc::new(Arrivals::default());
        let there = arrivals.clone();
        let thread = thread::spawn(move || {
            there.arrive(0);
            handle.wake_by_ref();
            there.arrive(1);
            handle.wake();
        });
        domain.work_until(|Message::Wake(handle)| {
            handle.acknowledge();
            arrivals.all()
        });
        thread.join().expect("it only wakes");
    });
}

#[test]
fn wakes_of_two_tasks_interrupt_each_sleep_once() {
    loom::model(|| {
        let domain = Domain::new();
        let threads = [0, 1].map(|number| {
            let handle = Arc::new(Handle::new(Key(number), domain.inbox.clone()));
            thread::spawn(move || handle.wake())
        });
        let mut sleeps = 0;
        let mut missing = vec![Key(0), Key(1)];
        while !missing.is_empty() {
            if domain.inbox.fall_asleep(true) == Sleep::Soundly {
                sleeps += 1;
                domain.sleep.wait();
            }
            for Message::Wake(handle) in domain.inbox.collect() {
                let key = handle.acknowledge();
                missing.retain(|&other| other != key);
            }
        }
        for thread in threads {
            thread.join().expect("it only wakes");
        }
        assert!(domain.interrupts.load(Relaxed) <= sleeps);
    });
}

/// Works without a hope of its own until it is told to stop, or finds out that nobody will ever tell it: then it tells
/// `other`, and returns true. `received` counts the other messages.
fn work_until_stalled(own: &Domain<bool>, other: &Inbox<bool>, received: &Count) -> bool {
    loop {
        match own.inbox.fall_asleep(false) {
            Sleep::Never => {}
            Sleep::Soundly => own.sleep.wait(),
            Sleep::Forever => {
                assert_eq!(received.load(Relaxed), 1, "a message was under way");
                assert!(other.send(true).is_ok(), "it is open");
                return true;
            }
        }
        for stop in own.inbox.collect() {
            if stop {
                return false;
            }
            received.fetch_add(1, Relaxed);
        }
    }
}

#[test]
fn the_last_one_to_fall_asleep_without_hope_knows_it() {
    loom::model(|| {
        let (hopeful, received) = (Arc::new(AtomicUsize::new(2)), Arc::new(Count::new(0)));
        let [here, there] = [0, 1].map(|_| Domain::beside_others(&hopeful));
        let (back, to, count) = (here.inbox.clone(), there.inbox.clone(), received.clone());
        let thread = thread::spawn(move || work_until_stalled(&there, &back, &count));
        assert!(to.send(false).is_ok(), "it is open");
        // If neither knew, both would sleep for ever.
        let knew = work_until_stalled(&here, &to, &received);
        assert_ne!(thread.join().expect("it only works"), knew);
    });
}

#[test]
fn a_message_to_a_closed_inbox_comes_back_and_none_is_kept() {
    loom::model(|| {
        let domain = Domain::new();
        let inbox = domain.inbox.clone();
        let message = Arc::new(());
        let sent = message.clone();
        let thread = thread::spawn(move || inbox.send(sent).is_ok());
        drop(domain.inbox.close());
        let sent = thread.join().expect("it only sends");
        assert_eq!(Arc::strong_count(&message), 1, "sent: {sent}");
        assert!(domain.inbox.send(message).is_err());
    });
}

/// As [`Handle`], with the plain store that is not enough: whoever wakes may find the flag still set, and
/// send nothing, although the task has already looked.
struct Careless {
    notified: AtomicBool,
    inbox: Arc<Inbox<Arc<Careless>>>,
}

impl Careless {
    fn wake(self: Arc<Self>) {
        if !self.notified.swap(true, Ordering::AcqRel) {
            assert!(self.inbox.clone().send(self).is_ok(), "it is open");
        }
    }

    fn acknowledge(&self) {
        self.notified.store(false, Ordering::Release);
    }
}

#[test]
fn with_a_plain_store_a_wake_is_lost() {
    let model = || {
        loom::model(|| {
            let domain = Domain::new();
            let handle = Arc::new(Careless {
                notified: AtomicBool::new(false),
                inbox: domain.inbox.clone(),
            });
            let arrivals = Arc::new(Arrivals::default());
            for who in [0, 1] {
                let (handle, arrivals) = (handle.clone(), arrivals.clone());
                thread::spawn(move || {
                    arrivals.arrive(who);
                    handle.wake();
                });
            }
            domain.work_until(|handle: Arc<Careless>| {
                handle.acknowledge();
                arrivals.all()
            });
        });
    };
    let panic = catch_unwind(AssertUnwindSafe(model)).expect_err("loom finds the lost wake");
    let text = panic.downcast_ref::<String>().map_or("", String::as_str);
    assert!(text.contains("deadlock"), "{text}");
}
