//! The scheduler: one thread, its tasks, and the queue of those that are ready.

use crate::budget::{self, Budget};
use crate::cx::Cx;
use crate::domain::{Caller, Domain, Message, Threads, World};
use crate::events::{Events, Signals};
use crate::failure::{Failure, Result, without_panic};
use crate::inbox::{Inbox, Sleep};
use crate::random::Random;
use crate::record::{Recorder, TaskId, Wait, What};
use crate::runtime::Runtime;
use crate::sleep::A_TIME;
use crate::suspension::{SuspensionId, Suspensions};
use crate::system::System;
use crate::table::{Body, Key, Kind, Outcome, Progress, Slot, Table, Turn, Waiter};
use crate::task::open;
use crate::trace::{Trace, Tracer};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

// ANCHOR: scheduler
pub(crate) struct Scheduler {
    pub(crate) domain: Domain,
    table: RefCell<Table>,
    queue: RefCell<VecDeque<Key>>,
    /// What comes from other threads.
    inbox: Arc<Inbox<Message>>,
    pub(crate) world: Arc<World>,
    /// The tasks that other domains have called for, and that are not over.
    pub(crate) calls: RefCell<HashMap<Caller, Key>>,
    /// Sleeping happens here.
    pub(crate) events: RefCell<Box<dyn Events>>,
    /// Sockets and time, if the events have them.
    pub(crate) system: Option<System>,
    pub(crate) suspensions: RefCell<Suspensions>,
    /// Lists for `select`, empty in between.
    lists: RefCell<(Vec<SuspensionId>, Vec<Waiter>)>,
    /// What is left of the turn of the task being polled.
    pub(crate) budget: Budget,
    pub(crate) random: Random,
    /// The task that is being polled, or dropped.
    current: Cell<Option<(Key, TaskId)>>,
    /// What the leaf future says it waits for, until the poll ends.
    wait: Cell<Wait>,
    last_id: Cell<Option<TaskId>>,
    /// The number of the next record of a resource.
    pub(crate) next_record: Cell<u64>,
    /// On dom0, the main task.
    pub(crate) main: Cell<Key>,
    /// Whether the run is over.
    pub(crate) stopping: Cell<bool>,
    /// On dom0, why the run is being broken off.
    pub(crate) failed: RefCell<Option<Failure>>,
    pub(crate) recorder: Recorder,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

/// So many polls between two looks at what comes from outside. A prime, so that no pattern of
/// the tasks' own falls into step with it.
const POLLS_PER_LOOK: usize = 61;
// ANCHOR_END: scheduler

// ANCHOR: run
#[track_caller]
pub(crate) fn run<T: 'static>(
    runtime: Runtime,
    f: impl AsyncFnOnce(&Cx) -> Result<T> + 'static,
) -> Result<T> {
    let at = Location::caller();
    assert!(
        Scheduler::with_current(|_| ()).is_none(),
        "run was called inside run; use Cx::spawn there"
    );
    // Dropped last, when nothing happens any more.
    let _tracing = runtime.trace.as_ref().map(Trace::begin).transpose()?;
    let world = World::new(runtime.domains);
    let scheduler = without_panic(|| Scheduler::new(&runtime, Domain::ZERO, &world))?;
    let threads = Threads::start(&runtime, &world)?;
    let running = Running::enter(scheduler);
    let scheduler = &running.0;
    scheduler.spawn_main(f, at);
    let lived = scheduler.life();
    let outcome = match scheduler.progress(scheduler.main.get()) {
        Progress::Over(outcome) => outcome,
        Progress::Alive(_) | Progress::Gone => Err(Failure::cancelled()),
    };
    debug_assert!(lived.is_err() || scheduler.table().taken() == 0);
    if let Err(failure) = lived {
        scheduler.note_failure(failure);
        scheduler.abandon();
        world.bury(Domain::ZERO);
    }
    drop(threads);
    // A domain may have died while it ended.
    scheduler.read_messages();
    let failed = scheduler.failed.take();
    let failed = match (failed, running.end()) {
        (Some(failed), Err(other)) => Some(failed.suppress_all(vec![other])),
        (failed, ended) => failed.or(ended.err()),
    };
    match (failed, outcome) {
        (None, outcome) => open(outcome),
        (Some(failed), Ok(value)) => {
            drop_quietly(value);
            Err(failed)
        }
        (Some(failed), Err(failure)) => {
            let mut others = Vec::new();
            failure.flatten_into(&mut others);
            Err(failed.suppress_all(others))
        }
    }
}
// ANCHOR_END: run

/// The scheduler's turn on this thread: makes it the current one, and ends it, whether the run
/// ends well or in a panic.
struct Running(Rc<Scheduler>);

impl Running {
    fn enter(scheduler: Scheduler) -> Running {
        let scheduler = Rc::new(scheduler);
        CURRENT.set(Some(scheduler.clone()));
        Running(scheduler)
    }

    /// Drops it, and the events with it, whose destructor may panic.
    fn end(self) -> Result<()> {
        let domain = self.0.domain;
        without_panic(|| {
            drop(self);
            Ok(())
        })
        .map_err(|failure| failure.context(format_args!("the events of {domain} have ended badly")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abandon();
        let unread = self.0.inbox.close();
        unread.into_iter().for_each(drop_quietly);
        if let Some(system) = &self.0.system {
            system.event_loop().end();
        }
        self.0.recorder.trace(Tracer::end);
        CURRENT.set(None);
    }
}

/// Wakes `key` if `inbox` belongs to the scheduler of this very thread.
#[inline]
pub(crate) fn wake_from_here(inbox: &Arc<Inbox<Message>>, key: Key) -> bool {
    // While a thread ends, its thread-locals are gone already: the wake then comes from outside.
    CURRENT
        .try_with(|current| match &*current.borrow() {
            Some(scheduler) if Arc::ptr_eq(&scheduler.inbox, inbox) => {
                scheduler.wake(key);
                true
            }
            Some(scheduler) => {
                scheduler.wakes_elsewhere(inbox, key);
                false
            }
            None => false,
        })
        .unwrap_or(false)
}

impl Scheduler {
    pub(crate) fn new(runtime: &Runtime, domain: Domain, world: &Arc<World>) -> Result<Scheduler> {
        let begin = || {
            let events = runtime.events.make(domain)?;
            world.can_be_interrupted(domain, events.interrupt()?);
            Ok(events)
        };
        let events = begin().map_err(|error: io::Error| {
            Failure::from(error).context(format_args!("{domain} gets no events"))
        })?;
        let inbox = world.inbox(domain).clone();
        Ok(Scheduler {
            domain,
            table: RefCell::new(Table::new(inbox.clone(), runtime.ages)),
            queue: RefCell::new(VecDeque::new()),
            inbox,
            world: world.clone(),
            calls: RefCell::new(HashMap::new()),
            system: events.system().cloned(),
            events: RefCell::new(events),
            suspensions: RefCell::new(Suspensions::new()),
            lists: RefCell::default(),
            budget: Budget::new(),
            random: Random::new(runtime.seed.wrapping_add(u64::from(domain.0))),
            last_id: Cell::new(None),
            next_record: Cell::new(0),
            current: Cell::new(None),
            wait: Cell::new(Wait::default()),
            main: Cell::new(Key::NONE),
            stopping: Cell::new(false),
            failed: RefCell::new(None),
            recorder: Recorder::new(runtime, domain),
        })
    }

    /// The life of a domain beside dom0: it does what it is called for until the run is over.
    pub(crate) fn live(self) -> Result<()> {
        let running = Running::enter(self);
        let lived = running.0.life();
        debug_assert!(lived.is_err() || running.0.table().taken() == 0);
        match (lived, running.end()) {
            (Err(failure), Err(other)) => Err(failure.suppress_all(vec![other])),
            (lived, ended) => lived.and(ended),
        }
    }

    fn life(self: &Rc<Self>) -> Result<()> {
        let domain = self.domain;
        without_panic(|| self.work())
            .map_err(|failure| failure.context(format_args!("{domain} has died")))?;
        without_panic(|| Ok(self.events.borrow_mut().finish()?)).map_err(|failure| {
            failure.context(format_args!("the events of {domain} have ended badly"))
        })
    }

    /// Drops all tasks. Nothing is left, unless the events have failed, or this runtime has made a mistake.
    fn abandon(&self) {
        // First the code of all, while all places are there: a destructor may use its context.
        let places = self.table().places();
        for index in (0..places).rev() {
            let code = self.table().strip(index);
            drop_quietly(code);
        }
        self.table().disband();
        while let Some(slot) = self.pop() {
            drop_quietly(slot);
        }
    }

    pub(crate) fn table(&self) -> RefMut<'_, Table> {
        self.table.borrow_mut()
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
    fn work(self: &Rc<Self>) -> Result<()> {
        while !self.is_done() {
            for _ in 0..POLLS_PER_LOOK {
                let Some(key) = self.queue.borrow_mut().pop_front() else {
                    break;
                };
                self.turn(key);
            }
            self.look_outside()?;
        }
        Ok(())
    }

    /// dom0 has done its work when the main task is over; the others when they are told to stop.
    fn is_done(&self) -> bool {
        match self.domain {
            Domain::ZERO => self.over(self.main.get()).is_some(),
            _ => self.stopping.get() && self.calls.borrow().is_empty(),
        }
    }

    fn turn(&self, key: Key) {
        // The table is not borrowed while a task's own code runs: it may spawn, wake and drop.
        let turn = self.table().turn(key);
        match turn {
            Turn::Poll(id, body) => self.poll(key, id, body),
            Turn::Settle => self.settle(key),
            Turn::Close(id, remains) => {
                self.recorder.trace(|tracer| tracer.enter(id, "close"));
                self.current.set(Some((key, id)));
                self.close(key, id, remains);
                self.current.set(None);
                self.recorder.trace(Tracer::leave);
            }
            Turn::Nothing => {}
        }
    }
    // ANCHOR_END: work

    // ANCHOR: poll
    fn poll(&self, key: Key, id: TaskId, mut body: Body) {
        self.recorder.note(id, What::Polled);
        self.current.set(Some((key, id)));
        self.wait.set(Wait::default());
        self.budget.refill();
        let mut cx = Context::from_waker(&body.waker);
        // A panic ends the task, not the scheduler. Nothing half-changed is seen afterwards: the
        // future is dropped.
        let outcome = match without_panic(|| Ok(body.future.as_mut().step(&mut cx))) {
            Ok(Poll::Pending) => {
                let on = self.wait.get();
                self.recorder.note(id, What::Suspended { on });
                self.table().put_back(key, body, on);
                self.current.set(None);
                return;
            }
            Ok(Poll::Ready(outcome)) => outcome,
            Err(failure) => Err(failure),
        };
        self.returned(key, id, body, outcome);
        self.current.set(None);
        self.recorder.trace(Tracer::leave);
    }
    // ANCHOR_END: poll

    // ANCHOR: look
    /// Takes in events and the wakes of other threads; sleeps until there is one if there is
    /// nothing else to do.
    fn look_outside(self: &Rc<Self>) -> Result<()> {
        let debris = self.table().take_debris();
        debris.into_iter().for_each(drop_quietly);
        if self.queue.borrow().is_empty() {
            // Before it sleeps, and before it is clear that it does: the writer may wake tasks.
            self.recorder.trace(Tracer::flush);
        }
        let mut block = false;
        if self.queue.borrow().is_empty() && !self.is_done() {
            // Asked before the inbox: whoever drops the last waker has sent its notice by then.
            let hope = self.has_hope();
            let how = self.inbox.fall_asleep(hope);
            if how == Sleep::Forever {
                self.world.stalled();
            }
            block = how != Sleep::Never;
        }
        self.select(block)?;
        self.read_messages();
        Ok(())
    }

    // ANCHOR: select
    fn select(&self, block: bool) -> io::Result<()> {
        let (cancelled, waiters) = &mut *self.lists.borrow_mut();
        let mut suspensions = self.suspensions.borrow_mut();
        suspensions.take_cancelled(cancelled);
        let idle = !block && cancelled.is_empty() && !suspensions.are_pending();
        drop(suspensions);
        if !idle {
            let mut signals = Signals::new(&self.suspensions, waiters);
            let mut events = self.events.borrow_mut();
            events.select(block, cancelled, &mut signals)?;
        }
        cancelled.clear();
        // The events are not borrowed any more: a waker may be anybody's code.
        for waiter in waiters.drain(..) {
            self.wake_waiter(waiter);
        }
        Ok(())
    }

    pub(crate) fn signal(&self, suspension: SuspensionId) {
        let waiter = self.suspensions.borrow_mut().signal(suspension);
        if let Some(waiter) = waiter {
            self.wake_waiter(waiter);
        }
    }
    // ANCHOR_END: select

    fn read_messages(self: &Rc<Self>) {
        for message in self.inbox.collect() {
            self.receive(message);
        }
    }

    /// Whether anything could happen here without a word from another domain.
    fn has_hope(&self) -> bool {
        self.suspensions.borrow().are_pending() || self.table().has_outside_waker()
    }
    // ANCHOR_END: look

    // ANCHOR: spawn
    /// Spawns a child of `parent`, which is the task of `cx`, a scope, or a group in it. `make` makes its
    /// code, when it has its place.
    pub(crate) fn spawn<T: 'static, F: AsyncFnOnce(&Cx) -> Result<T> + 'static>(
        self: &Rc<Self>,
        cx: &Cx,
        parent: Key,
        make: impl FnOnce(&Scheduler, Key) -> F,
        at: &'static Location<'static>,
    ) -> Key {
        let (key, id) = self.reserve(cx, parent, Kind::Task(self.next_id()), at);
        self.start(key, id, make(self, key), at);
        key
    }

    pub(crate) fn reserve(
        &self,
        cx: &Cx,
        parent: Key,
        kind: Kind,
        at: &'static Location<'static>,
    ) -> (Key, TaskId) {
        let mut table = self.table();
        let parent = table.living(parent, cx.task);
        let (key, id, dying) = table.reserve(parent, kind, at);
        drop(table);
        if dying {
            self.queue(key);
        }
        (key, id)
    }

    pub(crate) fn is_dying(&self, cx: &Cx, parent: Key) -> bool {
        let mut table = self.table();
        let parent = table.living(parent, cx.task);
        table.is_dying(parent)
    }

    fn start<T: 'static>(
        self: &Rc<Self>,
        key: Key,
        id: TaskId,
        f: impl AsyncFnOnce(&Cx) -> Result<T> + 'static,
        at: &'static Location<'static>,
    ) {
        let by = self.current_id();
        self.recorder.note(id, What::Spawned { by, at });
        let cx = Cx::new(self.clone(), key, key, id);
        let future = Box::pin(async move { f(&cx).await });
        if self.table().start(key, future) {
            self.queue(key);
        } else {
            self.recorder.note(id, What::Cancelled);
        }
    }
    // ANCHOR_END: spawn

    fn spawn_main<T: 'static>(
        self: &Rc<Self>,
        f: impl AsyncFnOnce(&Cx) -> Result<T> + 'static,
        at: &'static Location<'static>,
    ) {
        let kind = Kind::Task(self.next_id());
        let (key, id, _) = self.table().reserve(Key::NONE, kind, at);
        self.main.set(key);
        self.start(key, id, f, at);
    }

    pub(crate) fn next_id(&self) -> TaskId {
        let id = self.world.next_id(self.domain, self.last_id.get());
        self.last_id.set(Some(id));
        id
    }

    pub(crate) fn current_id(&self) -> Option<TaskId> {
        self.current.get().map(|(_, id)| id)
    }

    fn pop(&self) -> Option<Slot> {
        self.table().pop()
    }

    /// The caller has noted in the table that `key` is queued.
    pub(crate) fn queue(&self, key: Key) {
        self.queue.borrow_mut().push_back(key);
    }

    // ANCHOR: wake
    pub(crate) fn wake(&self, key: Key) {
        if let Some(id) = self.table.borrow_mut().queue(key) {
            self.queue.borrow_mut().push_back(key);
            let by = self.current_id();
            self.recorder.note(id, What::Woken { by });
        }
    }
    // ANCHOR_END: wake

    /// Another domain is about to be told to wake `key`.
    #[cold]
    fn wakes_elsewhere(&self, inbox: &Arc<Inbox<Message>>, key: Key) {
        self.recorder.trace(|tracer| {
            if let Some(domain) = self.world.owner(inbox) {
                tracer.depart(Caller { domain, key }, "wake");
            }
        });
    }

    /// Notes what the task being polled is about to wait for. A time is as a rule how long it will wait for what was
    /// noted before.
    pub(crate) fn wait_for(&self, what: &'static str, task: Option<TaskId>) {
        if what != A_TIME || self.wait.get().what.is_empty() {
            self.wait.set(Wait { what, task });
        }
    }

    pub(crate) fn progress(&self, key: Key) -> Progress {
        self.table().progress(key)
    }

    /// Whether the outcome of `key` can be taken, and if so, whether it is a success.
    pub(crate) fn over(&self, key: Key) -> Option<bool> {
        self.table().over(key)
    }

    /// The outcome of a child, once it is over. `what` says what the caller waits for.
    pub(crate) fn poll_over(
        &self,
        key: Key,
        what: &'static str,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome> {
        // Waiting costs nothing: whoever polls many has to come to the last of them, too.
        if self.over(key).is_some() {
            ready!(budget::poll_spend(cx));
        }
        match self.progress(key) {
            Progress::Alive(id) => {
                self.wait_for(what, Some(id));
                self.set_waiter(key, cx.waker());
                Poll::Pending
            }
            Progress::Over(outcome) => Poll::Ready(outcome),
            Progress::Gone => Poll::Ready(Err(Failure::cancelled())),
        }
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
            // It is sent the outcome, see `tell`.
            Waiter::Caller(_) => {}
        }
    }
    // ANCHOR_END: waiter

    /// Has `waker` woken when the task `key` is over.
    pub(crate) fn set_waiter(&self, key: Key, waker: &Waker) {
        let waiter = self.waiter(waker);
        let former = self.table.borrow_mut().set_waiter(key, waiter);
        drop(former);
    }

    pub(crate) fn want(&self, key: Key) {
        self.table().want(key);
    }

    pub(crate) fn unwant(&self, key: Key) {
        let waiter = self.table().unwant(key);
        drop(waiter);
    }

    pub(crate) fn has_over(&self, group: Key) -> bool {
        self.table().has_over(group)
    }

    pub(crate) fn next_over(&self, group: Key) -> Option<Key> {
        self.table().next_over(group)
    }

    pub(crate) fn leave_group(&self, group: Key) -> Option<Key> {
        self.table().leave_group(group)
    }

    pub(crate) fn leave_behind(&self, group: Key) {
        let waiter = self.table().leave_behind(group);
        drop(waiter);
    }
}

/// Drops `value`; a panic in its destructor has been printed, and there is nobody to hear of it.
pub(crate) fn drop_quietly<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // What it panicked with has a destructor as well, and so on. Leaking it ends the chain.
        std::mem::forget(panic);
    }
}
