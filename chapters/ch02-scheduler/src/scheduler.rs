//! The scheduler: one thread, its tasks, and the queue of those that are ready.

use crate::promise::{Outcome, Promise};
use crate::record::{Recorder, Recording, TaskId, Wait, What};
use crate::table::{Body, Key, Progress, Slot, Step, Table, Waiter};
use crate::wake::Inbox;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

// ANCHOR: scheduler
pub(crate) struct Scheduler {
    table: RefCell<Table>,
    queue: RefCell<VecDeque<Key>>,
    /// Wakes from other threads.
    inbox: Arc<Inbox>,
    /// The task that is being polled.
    current: Cell<Option<(Key, TaskId)>>,
    /// What the leaf future says it waits for, until the poll ends.
    wait: Cell<Wait>,
    /// Set once the main task is over: what is spawned from then on is dropped unpolled.
    closing: Cell<bool>,
    recorder: Recorder,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

/// So many polls between two looks at what comes from outside. A prime, so that no pattern of
/// the tasks' own falls into step with it.
const POLLS_PER_LOOK: usize = 61;
// ANCHOR_END: scheduler

/// Runs `future` as the main task, and all that it spawns, on this thread. Returns when the main
/// task is over; tasks that are not over by then are dropped.
///
/// # Panics
///
/// - If the main task panics, with its panic.
/// - If called inside `run`: use [`spawn`] there.
/// - If every task waits and nobody is left who could wake one. A program in which somebody else
///   still holds a waker, a combinator for instance, waits for it instead: the runtime cannot know
///   that it will never be used.
///
/// # Examples
///
/// ```
/// assert_eq!(ch02_scheduler::run(async { 6 * 7 }), 42);
/// ```
#[track_caller]
pub fn run<F>(future: F) -> F::Output
where
    F: Future + 'static,
    F::Output: 'static,
{
    run_on(Scheduler::new(None), future)
}

/// Like [`run`], and notes every step in `recording`.
///
/// # Panics
///
/// As [`run`] does; what happened until then stands in the recording.
#[track_caller]
pub fn run_recorded<F>(recording: &Recording, future: F) -> F::Output
where
    F: Future + 'static,
    F::Output: 'static,
{
    run_on(Scheduler::new(Some(recording.clone())), future)
}

// ANCHOR: run
#[track_caller]
fn run_on<F>(scheduler: Scheduler, future: F) -> F::Output
where
    F: Future + 'static,
    F::Output: 'static,
{
    let running = Running::enter(scheduler);
    let main = spawn(future);
    running.0.work_until_over(&main);
    main.take()
}
// ANCHOR_END: run

/// Starts a task that runs `future` concurrently with the caller, on the same thread. It is first
/// polled after the caller has suspended, never inside `spawn`.
///
/// # Panics
///
/// If called outside of [`run`].
///
/// # Examples
///
/// ```
/// use ch02_scheduler::{run, spawn};
///
/// let length = run(async {
///     let text = spawn(async { "done by another task" });
///     text.await.len()
/// });
/// assert_eq!(length, 20);
/// ```
// ANCHOR: spawn
#[track_caller]
pub fn spawn<F>(future: F) -> Promise<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let Some(scheduler) = Scheduler::with_current(Rc::clone) else {
        panic!("spawn was called outside of run; only tasks can spawn tasks")
    };
    let key = scheduler.insert(Box::pin(future), Location::caller());
    Promise::new(scheduler, key)
}
// ANCHOR_END: spawn

/// The scheduler's turn on this thread: makes it the current one, and ends it, whether the run
/// ends well or in a panic.
struct Running(Rc<Scheduler>);

impl Running {
    #[track_caller]
    fn enter(scheduler: Scheduler) -> Running {
        let scheduler = Rc::new(scheduler);
        assert!(
            CURRENT.with_borrow(Option::is_none),
            "run was called inside run; use spawn there"
        );
        CURRENT.set(Some(scheduler.clone()));
        Running(scheduler)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.close();
        CURRENT.set(None);
    }
}

/// Wakes `key` if `inbox` belongs to the scheduler of this very thread.
pub(crate) fn wake_from_here(inbox: &Arc<Inbox>, key: Key) -> bool {
    // While a thread ends, its thread-locals are gone already: the wake then comes from outside.
    CURRENT
        .try_with(|current| match &*current.borrow() {
            Some(scheduler) if Arc::ptr_eq(&scheduler.inbox, inbox) => {
                scheduler.wake(key);
                true
            }
            _ => false,
        })
        .unwrap_or(false)
}

impl Scheduler {
    fn new(recording: Option<Recording>) -> Scheduler {
        let thread = thread::current();
        Scheduler {
            table: RefCell::new(Table::new()),
            queue: RefCell::new(VecDeque::new()),
            inbox: Arc::new(Inbox::new(move || thread.unpark())),
            current: Cell::new(None),
            wait: Cell::new(Wait::default()),
            closing: Cell::new(false),
            recorder: Recorder::new(recording, 0),
        }
    }

    /// Calls `f` with the scheduler of this thread, if it is running one.
    pub(crate) fn with_current<R>(f: impl FnOnce(&Rc<Scheduler>) -> R) -> Option<R> {
        // While a thread ends, its thread-locals are gone already, but sockets may still be dropped.
        CURRENT
            .try_with(|current| current.borrow().as_ref().map(f))
            .ok()
            .flatten()
    }

    // ANCHOR: work
    #[track_caller]
    fn work_until_over<T>(&self, main: &Promise<T>) {
        loop {
            for _ in 0..POLLS_PER_LOOK {
                let Some(key) = self.queue.borrow_mut().pop_front() else {
                    break;
                };
                let ended = self.poll(key);
                if ended && main.is_over() {
                    return;
                }
            }
            self.look_outside();
        }
    }
    // ANCHOR_END: work

    // ANCHOR: poll
    /// Polls a task once. Returns whether it is over now.
    fn poll(&self, key: Key) -> bool {
        // The table is not borrowed while the task's own code runs: it may spawn, wake and drop.
        let Some((id, mut body)) = self.table.borrow_mut().take_body(key) else {
            return false;
        };
        self.recorder.note(id, What::Polled);
        self.current.set(Some((key, id)));
        self.wait.set(Wait::default());
        let mut cx = Context::from_waker(&body.waker);
        // A panic ends the task, not the scheduler. Nothing half-changed is seen afterwards: the
        // future is dropped.
        let polled = catch_unwind(AssertUnwindSafe(|| body.future.as_mut().step(&mut cx)));
        let outcome = match polled {
            Ok(Poll::Pending) => {
                let on = self.wait.get();
                self.recorder.note(id, What::Suspended { on });
                self.table.borrow_mut().put_back(key, body, on);
                self.current.set(None);
                return false;
            }
            Ok(Poll::Ready(value)) => Ok(value),
            Err(panic) => Err(panic),
        };
        self.end(key, id, body, outcome);
        self.current.set(None);
        true
    }
    // ANCHOR_END: poll

    // ANCHOR: end
    fn end(&self, key: Key, id: TaskId, body: Body, mut outcome: Outcome) {
        // What the future still holds is dropped before anybody sees the outcome. If that panics,
        // the outcome is that panic, unless there was one before.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(body))) {
            let less = match outcome {
                Ok(_) => std::mem::replace(&mut outcome, Err(panic)),
                Err(_) => Err(panic),
            };
            drop_quietly(less);
        }
        self.recorder.note(
            id,
            What::Ended {
                well: outcome.is_ok(),
            },
        );
        let (waiter, unwanted) = self.table.borrow_mut().end(key, outcome);
        drop_quietly(unwanted);
        if let Some(waiter) = waiter {
            self.wake_waiter(waiter);
        }
    }
    // ANCHOR_END: end

    // ANCHOR: look
    /// Takes in the wakes of other threads; waits for one if there is nothing else to do.
    #[track_caller]
    fn look_outside(&self) {
        if self.queue.borrow().is_empty() {
            // Asked before the inbox: whoever drops the last waker has sent its notice by then.
            let hope = self.table.borrow_mut().has_outside_waker();
            if self.inbox.fall_asleep() {
                assert!(hope, "{}", self.stalled());
                thread::park();
            }
        }
        for notice in self.inbox.collect() {
            self.wake(notice.acknowledge());
        }
    }
    // ANCHOR_END: look

    fn stalled(&self) -> String {
        let tasks = self.table.borrow().describe();
        format!("every task waits, and nobody is left to wake one:{tasks}")
    }

    fn insert(&self, future: Pin<Box<dyn Step>>, at: &'static Location<'static>) -> Key {
        let by = self.current.get().map(|(_, id)| id);
        let id = self.table.borrow_mut().next_id();
        self.recorder.note(id, What::Spawned { by, at });
        if self.closing.get() {
            self.recorder.note(id, What::Cancelled);
            return Key::NONE;
        }
        let key = self.table.borrow_mut().insert(id, future, at, &self.inbox);
        self.queue.borrow_mut().push_back(key);
        key
    }

    // ANCHOR: wake
    pub(crate) fn wake(&self, key: Key) {
        if let Some(id) = self.table.borrow_mut().queue(key) {
            self.queue.borrow_mut().push_back(key);
            let by = self.current.get().map(|(_, id)| id);
            self.recorder.note(id, What::Woken { by });
        }
    }
    // ANCHOR_END: wake

    /// Notes what the task being polled is about to wait for.
    pub(crate) fn wait_for(&self, what: &'static str, task: Option<TaskId>) {
        self.wait.set(Wait { what, task });
    }

    pub(crate) fn progress(&self, key: Key) -> Progress {
        self.table.borrow_mut().progress(key)
    }

    pub(crate) fn is_over(&self, key: Key) -> bool {
        self.table.borrow_mut().is_over(key)
    }

    // ANCHOR: waiter
    /// Who is behind `waker`: if it is the task being polled, its key says so, and nothing is
    /// cloned.
    pub(crate) fn waiter(&self, waker: &Waker) -> Waiter {
        match self.current.get() {
            Some((key, _)) if self.table.borrow_mut().is_own_waker(key, waker) => Waiter::Task(key),
            _ => Waiter::Other(waker.clone()),
        }
    }

    pub(crate) fn wake_waiter(&self, waiter: Waiter) {
        match waiter {
            Waiter::Task(key) => self.wake(key),
            // Anybody's code: if it panics, that is no concern of the task that is running.
            Waiter::Other(waker) => drop_quietly(catch_unwind(AssertUnwindSafe(|| waker.wake()))),
        }
    }
    // ANCHOR_END: waiter

    /// Has `waker` woken when the task `key` is over.
    pub(crate) fn set_waiter(&self, key: Key, waker: &Waker) {
        let waiter = self.waiter(waker);
        let former = self.table.borrow_mut().set_waiter(key, waiter);
        drop(former);
    }

    pub(crate) fn forsake(&self, key: Key) {
        let unwanted = self.table.borrow_mut().forsake(key);
        drop_quietly(unwanted);
    }

    /// Drops all tasks that are left.
    fn close(&self) {
        self.closing.set(true);
        while let Some(slot) = self.pop() {
            if let Some(id) = slot.alive() {
                self.recorder.note(id, What::Cancelled);
            }
            drop_quietly(slot);
        }
        self.inbox.close();
    }

    fn pop(&self) -> Option<Slot> {
        self.table.borrow_mut().pop()
    }
}

/// Drops `value`; a panic in its destructor has been printed, and there is nobody to hear of it.
fn drop_quietly<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // What it panicked with has a destructor as well, and so on. Leaking it ends the chain.
        std::mem::forget(panic);
    }
}
