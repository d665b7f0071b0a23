//! Where the tasks are kept between two polls, and who is whose child.
//!
//! A task is named by a [`Key`]: its place, and how many had that place before it. A waker may
//! outlive its task, and the place is soon somebody else's: then the count no longer fits, and the
//! wake misses, as it should.
//!
//! A scope and a group of orphans have places as well, with a parent and with children, as tasks have.

use crate::domain::{Caller, Domain, Message};
use crate::failure::{Failure, Result};
use crate::inbox::Inbox;
use crate::record::{TaskId, Wait};
use crate::resource::{Record, Records};
use crate::tree::{NodeKind, Place, TreeNode};
use crate::violation::{ResourceInfo, ResourceState, TaskInfo, TaskState};
use crate::wake::Handle;
use std::any::Any;
use std::collections::VecDeque;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// What a task came to.
pub(crate) type Outcome = Result<Box<dyn Any>>;

// ANCHOR: step
/// A future whose type and result type are forgotten, so that all tasks fit into one table.
///
/// Implemented by the future itself and not by a wrapper around it: one allocation, and not a
/// byte more than the future needs.
pub(crate) trait Step {
    fn step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome>;
}

impl<F, T> Step for F
where
    F: Future<Output = Result<T>>,
    T: 'static,
{
    fn step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        // A box around `()` costs nothing: there is nothing to store.
        self.poll(cx)
            .map(|result| result.map(|value| Box::new(value) as Box<dyn Any>))
    }
}
// ANCHOR_END: step

/// What a poll needs. It leaves the table while the poll runs, so that the task may spawn and
/// wake others, and itself, meanwhile.
pub(crate) struct Body {
    pub(crate) future: Pin<Box<dyn Step>>,
    pub(crate) waker: Waker,
}

// ANCHOR: stage
enum Stage {
    /// A task that has not ended. `None` while it is polled.
    Alive(Option<Body>),
    /// A task that has not ended, on another domain. The result will come from there.
    Elsewhere(Domain),
    /// A scope that has not ended. It is polled inside of its task.
    Scope,
    /// A group of orphans. In it are those that are over, the first one first.
    Group(VecDeque<Key>),
    /// Its code has come to its end; it waits until its children are gone.
    Ending(Outcome),
    /// Cancelled, and all it had is dropped; it waits for its children.
    Closed,
    /// Over and without children; the outcome waits for somebody to take it.
    Over(Outcome),
    /// Nobody lives here.
    Vacant,
}
// ANCHOR_END: stage

/// Who is to be woken when a task is over.
pub(crate) enum Waiter {
    /// A task of the same scheduler: its key will do, no waker has to be cloned.
    Task(Key),
    /// Somebody else, for example a combinator that polls with wakers of its own.
    Other(Waker),
    /// A task of another domain, which gets the outcome by a message.
    Caller(Caller),
}

// ANCHOR: slot
pub(crate) struct Slot {
    generation: u32,
    /// Whether the key stands in the run queue. A task that is woken twice is polled once.
    queued: bool,
    /// It will not be polled again, and neither will anything below it.
    cancelled: bool,
    /// A finaliser that waits: it is not cancelled with its task.
    shielded: bool,
    /// Whether somebody may still ask how the cancelling went.
    wanted: bool,
    kin: Kin,
    stage: Stage,
    waiter: Option<Waiter>,
    /// Whether the place is among the suspects.
    suspected: bool,
    /// Kept from one task to the next, unless somebody still holds a waker of the last one.
    handle: Arc<Handle>,
    id: TaskId,
    spawned_at: &'static Location<'static>,
    wait: Wait,
    /// What went wrong below, and nobody has received.
    suppressed: Vec<Failure>,
    records: Records,
}

/// Places of the relatives. The children form a list, the oldest first.
#[derive(Clone, Copy)]
struct Kin {
    parent: u32,
    first: u32,
    last: u32,
    previous: u32,
    next: u32,
}
// ANCHOR_END: slot

/// The place of nobody.
const NOBODY: u32 = u32::MAX;

impl Kin {
    const NONE: Kin = Kin {
        parent: NOBODY,
        first: NOBODY,
        last: NOBODY,
        previous: NOBODY,
        next: NOBODY,
    };
}

impl Slot {
    /// The task that lives here, if there is one and its code has not ended.
    fn alive(&self) -> bool {
        matches!(self.stage, Stage::Alive(_))
    }

    /// The domain on which the task is, if it is another one and the task is not over.
    fn elsewhere(&self) -> Option<Domain> {
        match self.stage {
            Stage::Elsewhere(domain) => Some(domain),
            _ => None,
        }
    }

    fn has_outside_waker(&self) -> bool {
        // The table itself holds two: the handle, and the waker in the body.
        self.alive() && Arc::strong_count(&self.handle) > 2
    }

    fn childless(&self) -> bool {
        self.kin.first == NOBODY
    }

    /// Whether cancelling changes nothing.
    fn is_untouchable(&self) -> bool {
        self.cancelled || self.shielded
    }

    fn is_group(&self) -> bool {
        matches!(self.stage, Stage::Group(_))
    }

    /// Whether its code can still receive what its children come to.
    fn receives(&self) -> bool {
        let open = self.alive() || self.is_group() || matches!(self.stage, Stage::Scope);
        open && !self.cancelled
    }
}

/// Names a task for as long as the run lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// Names no task: the table never has that many places.
    pub(crate) const NONE: Key = Key {
        index: NOBODY,
        generation: 0,
    };
}

/// How a new place is to be used.
pub(crate) enum Kind {
    Task(TaskId),
    /// A task that another domain runs.
    Elsewhere(TaskId, Domain),
    Scope,
    Group,
    Finaliser,
}

/// What [`Table::cancel`] has marked.
pub(crate) struct Marked {
    pub(crate) key: Key,
    /// Its number, if it is a task that was not over.
    pub(crate) id: Option<TaskId>,
    /// Whether it has to have a turn now, in which it goes.
    pub(crate) turn: bool,
    /// The domain that has to be told.
    pub(crate) elsewhere: Option<Domain>,
}

/// What became of a child.
pub(crate) enum Progress {
    Alive(TaskId),
    Over(Outcome),
    /// It is no longer there: somebody received its outcome, or it was cancelled with its parent.
    Gone,
}

/// Who gets what a task transfers.
pub(crate) enum Parent {
    Here(Key),
    /// It is on another domain.
    Elsewhere(Caller),
    Nobody,
}

/// What to do with a task whose turn it is.
pub(crate) enum Turn {
    Poll(TaskId, Body),
    /// Its children are gone: it is over.
    Settle,
    /// It was cancelled and its children are gone: so is its turn to go. This is what it had.
    Close(TaskId, Option<Remains>),
    Nothing,
}

/// What stands between the end of a task's code and the end of the task.
pub(crate) enum Rest {
    Nothing,
    /// It has no children, and owns something.
    Resources,
    Children,
    /// It was cancelled before it ended. If `turn`, it has no children and has to be queued.
    Cancelled {
        turn: bool,
    },
    /// It was cancelled, and is no longer there. This is for the caller to drop.
    Gone(Outcome),
}

/// What a cancelled task leaves, for the caller to drop when the table is no longer borrowed.
pub(crate) enum Remains {
    Body(Body),
    Outcome(Outcome),
    /// A scope has nothing of its own: what it had is in the future of its task.
    Scope,
}

/// All tasks of one scheduler.
///
/// Slots come in chunks that never move: one growing `Vec` would copy every slot again and again
/// while the first hundred thousand tasks are spawned.
pub(crate) struct Table {
    /// Where wakes from other threads arrive.
    inbox: Arc<Inbox<Message>>,
    chunks: Vec<Vec<Slot>>,
    vacant: Vec<u32>,
    /// Waiters of places that were left. To drop one may run anybody's code, so that has to wait
    /// until the table is not borrowed.
    debris: Vec<Waiter>,
    /// Places of tasks that had handed out wakers when they were last polled, each once.
    suspects: Vec<u32>,
    /// When who lives in each place came there, if anybody wants to know.
    births: Option<Vec<Instant>>,
}

const CHUNK: usize = 64;

impl Table {
    pub(crate) fn new(inbox: Arc<Inbox<Message>>, ages: bool) -> Table {
        Table {
            inbox,
            chunks: Vec::new(),
            vacant: Vec::new(),
            debris: Vec::new(),
            suspects: Vec::new(),
            births: ages.then(Vec::new),
        }
    }

    // ANCHOR: reserve
    /// `key`, or `task` if `key`, a scope or a group in it, was cancelled with it and is gone already.
    pub(crate) fn living(&mut self, key: Key, task: Key) -> Key {
        if self.slot(key).is_some() { key } else { task }
    }

    /// Whether `parent` can receive no results of children any more.
    pub(crate) fn is_dying(&mut self, parent: Key) -> bool {
        self.slot(parent).is_some_and(|slot| !slot.receives())
    }

    /// Makes a place for a child of `parent`. A task's future is told its own key, so the key comes
    /// first and the future later, by [`Table::start`].
    ///
    /// Says also whether it is the child of a dying parent: it is cancelled then, and the caller has to
    /// queue it, for its turn to go.
    pub(crate) fn reserve(
        &mut self,
        parent: Key,
        kind: Kind,
        spawned_at: &'static Location<'static>,
    ) -> (Key, TaskId, bool) {
        let id = match kind {
            Kind::Task(id) | Kind::Elsewhere(id, _) => id,
            // A part of its task.
            Kind::Scope | Kind::Group | Kind::Finaliser => self.get(parent.index).id,
        };
        let shielded = matches!(kind, Kind::Finaliser);
        let dying = self.is_dying(parent) && !shielded;
        let index = match self.vacant.pop() {
            Some(index) => index,
            None => self.grow(spawned_at),
        };
        if let Some(births) = &mut self.births {
            let (place, now) = (index as usize, Instant::now());
            births.resize(births.len().max(place + 1), now);
            births[place] = now;
        }
        let slot = self.at(index);
        slot.stage = match kind {
            Kind::Task(_) | Kind::Finaliser => Stage::Alive(None),
            Kind::Elsewhere(_, domain) => Stage::Elsewhere(domain),
            Kind::Scope => Stage::Scope,
            Kind::Group => Stage::Group(VecDeque::new()),
        };
        slot.queued = dying;
        slot.cancelled = dying;
        slot.shielded = shielded;
        slot.wanted = false;
        slot.id = id;
        slot.spawned_at = spawned_at;
        slot.wait = Wait::default();
        let key = Key {
            index,
            generation: slot.generation,
        };
        self.link(key, parent);
        (key, id, dying)
    }

    /// Gives a new task its future. Returns whether it has to be queued: the child of a dying task is
    /// already.
    pub(crate) fn start(&mut self, key: Key, future: Pin<Box<dyn Step>>) -> bool {
        let slot = &mut self.chunks[key.index as usize / CHUNK][key.index as usize % CHUNK];
        // `get_mut` succeeds only if no waker of an earlier task is left anywhere.
        match Arc::get_mut(&mut slot.handle) {
            Some(handle) => handle.reset(key),
            None => slot.handle = Arc::new(Handle::new(key, self.inbox.clone())),
        }
        let waker = Waker::from(slot.handle.clone());
        slot.stage = Stage::Alive(Some(Body { future, waker }));
        slot.queued = true;
        !slot.cancelled
    }
    // ANCHOR_END: reserve

    fn grow(&mut self, spawned_at: &'static Location<'static>) -> u32 {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let last = self.chunks.len() - 1;
        let index = last * CHUNK + self.chunks[last].len();
        let index = u32::try_from(index).expect("memory ends long before four billion tasks");
        let key = Key {
            index,
            generation: 0,
        };
        let slot = Slot {
            generation: 0,
            queued: false,
            cancelled: false,
            shielded: false,
            wanted: false,
            kin: Kin::NONE,
            stage: Stage::Vacant,
            waiter: None,
            suspected: false,
            handle: Arc::new(Handle::new(key, self.inbox.clone())),
            id: TaskId(0),
            spawned_at,
            wait: Wait::default(),
            suppressed: Vec::new(),
            records: Records::default(),
        };
        self.chunks[last].push(slot);
        index
    }

    fn at(&mut self, index: u32) -> &mut Slot {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    fn get(&self, index: u32) -> &Slot {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    /// The slot of `key`, unless its task is gone.
    fn slot(&mut self, key: Key) -> Option<&mut Slot> {
        let (chunk, place) = (key.index as usize / CHUNK, key.index as usize % CHUNK);
        let slot = self.chunks.get_mut(chunk)?.get_mut(place)?;
        (slot.generation == key.generation).then_some(slot)
    }

    fn key(&self, index: u32) -> Key {
        if index == NOBODY {
            return Key::NONE;
        }
        let generation = self.get(index).generation;
        Key { index, generation }
    }

    // ANCHOR: link
    fn link(&mut self, child: Key, parent: Key) {
        // Its own children, from `first` to `last`, stay with it.
        let mut kin = Kin {
            parent: NOBODY,
            previous: NOBODY,
            next: NOBODY,
            ..self.get(child.index).kin
        };
        if let Some(slot) = self.slot(parent) {
            kin.parent = parent.index;
            kin.previous = std::mem::replace(&mut slot.kin.last, child.index);
            match kin.previous {
                NOBODY => slot.kin.first = child.index,
                previous => self.at(previous).kin.next = child.index,
            }
        }
        self.at(child.index).kin = kin;
    }

    fn unlink(&mut self, child: u32) {
        let kin = self.get(child).kin;
        match (kin.previous, kin.parent) {
            (NOBODY, NOBODY) => {}
            (NOBODY, parent) => self.at(parent).kin.first = kin.next,
            (previous, _) => self.at(previous).kin.next = kin.next,
        }
        match (kin.next, kin.parent) {
            (NOBODY, NOBODY) => {}
            (NOBODY, parent) => self.at(parent).kin.last = kin.previous,
            (next, _) => self.at(next).kin.previous = kin.previous,
        }
    }
    // ANCHOR_END: link

    /// Nobody lives in the place of `key` any more.
    fn vacate(&mut self, index: u32) -> Stage {
        self.unlink(index);
        let waiter = self.at(index).waiter.take();
        self.debris.extend(waiter);
        let slot = self.at(index);
        // After four billion tasks in one place the count starts again. A key that slept through
        // all of them would cause one poll too many, which is allowed.
        slot.generation = slot.generation.wrapping_add(1);
        let stage = std::mem::replace(&mut slot.stage, Stage::Vacant);
        self.vacant.push(index);
        stage
    }

    /// What is to be dropped when the table is not borrowed.
    pub(crate) fn take_debris(&mut self) -> Vec<Waiter> {
        std::mem::take(&mut self.debris)
    }

    /// Notes that the task `key` is queued from now on. `None` if it was already, or has no more turns.
    pub(crate) fn queue(&mut self, key: Key) -> Option<TaskId> {
        let slot = self.slot(key)?;
        let newly = !slot.queued && !slot.cancelled && slot.alive();
        slot.queued |= newly;
        newly.then_some(slot.id)
    }

    // ANCHOR: turn
    /// Takes out what the turn of `key` needs.
    pub(crate) fn turn(&mut self, key: Key) -> Turn {
        let Some(slot) = self.slot(key) else {
            return Turn::Nothing;
        };
        // Cleared before the poll, so that a wake during the poll queues the task once more.
        slot.queued = false;
        let childless = slot.childless();
        if !slot.cancelled {
            return match &mut slot.stage {
                Stage::Alive(body) => match body.take() {
                    Some(body) => Turn::Poll(slot.id, body),
                    None => Turn::Nothing,
                },
                Stage::Ending(_) if childless => Turn::Settle,
                _ => Turn::Nothing,
            };
        }
        if !childless {
            return Turn::Nothing;
        }
        let remains = match std::mem::replace(&mut slot.stage, Stage::Closed) {
            Stage::Alive(body) => body.map(Remains::Body),
            Stage::Ending(outcome) | Stage::Over(outcome) => Some(Remains::Outcome(outcome)),
            Stage::Scope => Some(Remains::Scope),
            Stage::Elsewhere(_) | Stage::Group(_) | Stage::Closed | Stage::Vacant => None,
        };
        Turn::Close(slot.id, remains)
    }
    // ANCHOR_END: turn

    /// The poll is over, and the task waits.
    pub(crate) fn put_back(&mut self, key: Key, body: Body, wait: Wait) {
        let Some(slot) = self.slot(key) else { return };
        if let Stage::Alive(place) = &mut slot.stage {
            *place = Some(body);
            slot.wait = wait;
            if slot.has_outside_waker() && !slot.suspected {
                slot.suspected = true;
                self.suspects.push(key.index);
            }
        }
    }

    // ANCHOR: ended
    /// The code of `key` has come to its end.
    pub(crate) fn ended(&mut self, key: Key, outcome: Outcome) -> Rest {
        let Some(slot) = self.slot(key) else {
            return Rest::Gone(outcome);
        };
        slot.stage = Stage::Ending(outcome);
        if !slot.childless() {
            self.sweep(key.index);
        }
        let slot = self.at(key.index);
        match (slot.cancelled, slot.childless()) {
            (false, true) if slot.records.is_empty() => Rest::Nothing,
            (false, true) => Rest::Resources,
            (false, false) => Rest::Children,
            (true, false) => Rest::Cancelled { turn: false },
            (true, true) => {
                let turn = !slot.queued;
                slot.queued = true;
                Rest::Cancelled { turn }
            }
        }
    }

    /// The code of `index` takes no more results: children that are cancelled, and kept only so that
    /// somebody might ask how that went, can go; and so can groups that are empty.
    fn sweep(&mut self, index: u32) {
        let mut next = self.get(index).kin.first;
        while next != NOBODY {
            let child = self.at(next);
            let this = std::mem::replace(&mut next, child.kin.next);
            let over = child.cancelled && matches!(child.stage, Stage::Over(_));
            if over || child.is_group() && child.childless() {
                let mut suppressed = std::mem::take(&mut child.suppressed);
                if let Stage::Over(Err(failure)) = self.vacate(this) {
                    suppressed.extend(failure.into_suppressed());
                }
                self.at(index).suppressed.append(&mut suppressed);
            }
        }
    }
    // ANCHOR_END: ended

    /// The children that `key`, which has ended well, has forgotten.
    pub(crate) fn forgotten(&self, key: Key) -> Vec<TaskInfo> {
        let mut forgotten = Vec::new();
        let mut next = self.get(key.index).kin.first;
        while next != NOBODY {
            let child = self.get(next);
            if child.is_group() {
                forgotten.extend(self.forgotten(self.key(next)));
            } else if !child.cancelled {
                forgotten.push(child.describe());
            }
            next = child.kin.next;
        }
        forgotten
    }

    // ANCHOR: mark
    /// Marks `key` and all below it as cancelled. `found` is told of each, and whether it has to have
    /// a turn, in which it goes.
    pub(crate) fn cancel(&mut self, key: Key, mut found: impl FnMut(Marked)) {
        let top = key.index;
        if self.slot(key).is_none_or(|slot| slot.is_untouchable()) {
            return;
        }
        // Down to the first child, else on to the next sibling, else up again: no stack, however
        // deep the tree is.
        let mut index = top;
        loop {
            let new = !self.get(index).is_untouchable();
            if new {
                self.sweep(index);
                let slot = self.at(index);
                slot.cancelled = true;
                slot.stage = match std::mem::replace(&mut slot.stage, Stage::Vacant) {
                    // What was there for others to receive, is not any more.
                    Stage::Over(outcome) => Stage::Ending(outcome),
                    Stage::Group(_) => Stage::Group(VecDeque::new()),
                    stage => stage,
                };
                let elsewhere = slot.elsewhere();
                let turn = elsewhere.is_none() && slot.childless() && !slot.queued;
                slot.queued |= turn;
                let id = slot.alive().then_some(slot.id);
                let key = self.key(index);
                found(Marked {
                    key,
                    id,
                    turn,
                    elsewhere,
                });
            }
            let slot = self.get(index);
            if new && !slot.childless() {
                index = slot.kin.first;
                continue;
            }
            loop {
                if index == top {
                    return;
                }
                let kin = self.get(index).kin;
                if kin.next != NOBODY {
                    index = kin.next;
                    break;
                }
                index = kin.parent;
            }
        }
    }
    // ANCHOR_END: mark

    /// Marks all that is below `key`.
    pub(crate) fn cancel_children(&mut self, key: Key, mut found: impl FnMut(Marked)) {
        let mut child = self.slot(key).map_or(NOBODY, |slot| slot.kin.first);
        while child != NOBODY {
            self.cancel(self.key(child), &mut found);
            child = self.get(child).kin.next;
        }
    }

    /// Somebody will want to know how the cancelling of `key` went.
    pub(crate) fn want(&mut self, key: Key) {
        if let Some(slot) = self.slot(key) {
            slot.wanted = true;
        }
    }

    /// Nobody wants to know any more. If it is gone already, the parent gets what went wrong.
    pub(crate) fn unwant(&mut self, key: Key) -> Option<Waiter> {
        let slot = self.slot(key)?;
        slot.wanted = false;
        let waiter = slot.waiter.take();
        if matches!(slot.stage, Stage::Over(_)) {
            let parent = slot.kin.parent;
            let suppressed = match self.vacate(key.index) {
                Stage::Over(Err(failure)) => failure.into_suppressed(),
                _ => Vec::new(),
            };
            if parent != NOBODY {
                self.at(parent).suppressed.extend(suppressed);
            }
        }
        waiter
    }

    /// Something went wrong in `key`, and it has no outcome to say so.
    pub(crate) fn suppress(&mut self, key: Key, failure: Failure) {
        if let Some(slot) = self.slot(key) {
            failure.flatten_into(&mut slot.suppressed);
        }
    }

    // ANCHOR: settle
    /// The code of `key` has ended and its children are gone: its outcome may be seen.
    pub(crate) fn settle(&mut self, key: Key) -> Option<Waiter> {
        let slot = self.slot(key)?;
        slot.stage = match std::mem::replace(&mut slot.stage, Stage::Vacant) {
            Stage::Ending(outcome) => Stage::Over(outcome),
            other => other,
        };
        self.announce(key)
    }
    // ANCHOR_END: settle

    /// The outcome of `key`, whose code has ended, if something went wrong below it; with that.
    pub(crate) fn take_troubled(&mut self, key: Key) -> Option<(Outcome, Vec<Failure>)> {
        let slot = self.slot(key)?;
        if slot.suppressed.is_empty() {
            return None;
        }
        match std::mem::replace(&mut slot.stage, Stage::Closed) {
            Stage::Ending(outcome) => Some((outcome, std::mem::take(&mut slot.suppressed))),
            stage => {
                slot.stage = stage;
                None
            }
        }
    }

    // ANCHOR: arrived
    /// The task of `key`, on another domain, has come to `outcome`. Returns who waits for it, or that
    /// it was cancelled and has to have a turn.
    pub(crate) fn arrived(&mut self, key: Key, outcome: Outcome) -> (Option<Waiter>, bool) {
        let Some(slot) = self.slot(key) else {
            return (None, false);
        };
        if slot.cancelled {
            slot.stage = Stage::Ending(outcome);
            slot.queued = true;
            return (None, true);
        }
        slot.stage = Stage::Over(outcome);
        (self.announce(key), false)
    }
    // ANCHOR_END: arrived

    /// The tasks that `domain` runs for this one.
    pub(crate) fn on(&self, domain: Domain) -> Vec<Key> {
        let mut keys = Vec::new();
        for (index, slot) in (0..).zip(self.chunks.iter().flatten()) {
            if slot.elsewhere() == Some(domain) {
                keys.push(self.key(index));
            }
        }
        keys
    }

    /// Takes out what `key` has come to, which nobody is to see: it has broken a rule, and waits to be cancelled.
    pub(crate) fn withhold(&mut self, key: Key) -> Option<Outcome> {
        match std::mem::replace(&mut self.slot(key)?.stage, Stage::Closed) {
            Stage::Ending(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Puts an outcome in the place of the one that was taken.
    pub(crate) fn put_outcome(&mut self, key: Key, outcome: Outcome) {
        if let Some(slot) = self.slot(key) {
            slot.stage = Stage::Ending(outcome);
        }
    }

    /// Whoever waits for `key` may look. Orphans are waited for as a group.
    fn announce(&mut self, key: Key) -> Option<Waiter> {
        let slot = self.slot(key)?;
        let (waiter, parent) = (slot.waiter.take(), slot.kin.parent);
        if parent != NOBODY {
            let group = self.at(parent);
            if let Stage::Group(over) = &mut group.stage {
                over.push_back(key);
                return group.waiter.take();
            }
        }
        waiter
    }

    /// A finaliser of `key` has failed. If the task has ended well, nobody else will tell: that is its failure now. Returns
    /// the value that nobody is to see, for the caller to drop.
    pub(crate) fn finaliser_failed(&mut self, key: Key, failure: Failure) -> Option<Outcome> {
        let slot = self.slot(key)?;
        if slot.cancelled || !matches!(slot.stage, Stage::Ending(Ok(_))) {
            failure.flatten_into(&mut slot.suppressed);
            return None;
        }
        match std::mem::replace(&mut slot.stage, Stage::Ending(Err(failure))) {
            Stage::Ending(outcome) => Some(outcome),
            _ => None,
        }
    }

    pub(crate) fn is_childless(&mut self, key: Key) -> bool {
        self.slot(key).is_none_or(|slot| slot.childless())
    }

    // ANCHOR: finalised
    pub(crate) fn is_finaliser(&mut self, key: Key) -> bool {
        self.slot(key).is_some_and(|slot| slot.shielded)
    }

    /// The parent of `key`, which has one.
    pub(crate) fn parent_key(&self, key: Key) -> Key {
        self.key(self.get(key.index).kin.parent)
    }

    /// The finaliser `key` is over. Returns whether `owner` has to have a turn now.
    pub(crate) fn finalised(&mut self, key: Key, owner: Key) -> bool {
        self.vacate(key.index);
        let slot = self.at(owner.index);
        let turn = slot.childless() && !slot.queued;
        slot.queued |= turn;
        turn
    }
    // ANCHOR_END: finalised

    // ANCHOR: gone
    /// All that `key`, which was cancelled, had is dropped. Returns who waits
    /// for that, and the parent, if this was its last child and it has to have
    /// a turn now.
    pub(crate) fn gone(&mut self, key: Key) -> (Option<Waiter>, Option<Key>) {
        let Some(slot) = self.slot(key) else {
            return (None, None);
        };
        if !slot.childless() {
            return (None, None);
        }
        let (parent, wanted) = (slot.kin.parent, slot.wanted);
        let mut suppressed = std::mem::take(&mut slot.suppressed);
        let kept = match parent {
            NOBODY => true,
            parent => wanted && self.get(parent).receives(),
        };
        if kept {
            self.at(key.index).stage = Stage::Over(match suppressed.is_empty() {
                true => Ok(Box::new(())),
                false => Err(Failure::cancelled().suppress_all(suppressed)),
            });
            return (self.announce(key), None);
        }
        let waiter = self.at(key.index).waiter.take();
        self.vacate(key.index);
        let slot = self.at(parent);
        slot.suppressed.append(&mut suppressed);
        let turn = slot.childless() && !slot.receives() && !slot.queued;
        slot.queued |= turn;
        (waiter, turn.then(|| self.key(parent)))
    }
    // ANCHOR_END: gone

    /// Takes the outcome if there is one.
    pub(crate) fn progress(&mut self, key: Key) -> Progress {
        let Some(slot) = self.slot(key) else {
            return Progress::Gone;
        };
        if !matches!(slot.stage, Stage::Over(_)) {
            return Progress::Alive(slot.id);
        }
        match self.vacate(key.index) {
            Stage::Over(outcome) => Progress::Over(outcome),
            _ => Progress::Gone,
        }
    }

    /// Whether the outcome of `key` can be taken, and if so, whether it is a success.
    pub(crate) fn over(&mut self, key: Key) -> Option<bool> {
        match &self.slot(key)?.stage {
            Stage::Over(outcome) => Some(outcome.is_ok()),
            _ => None,
        }
    }

    /// Notes who waits for `key`. Returns who does not, or no longer: dropping a waker is for the
    /// caller, when the table is no longer borrowed.
    pub(crate) fn set_waiter(&mut self, key: Key, waiter: Waiter) -> Option<Waiter> {
        match self.slot(key) {
            Some(slot) => slot.waiter.replace(waiter),
            None => Some(waiter),
        }
    }

    // ANCHOR: orphans
    /// Whether any of the group's children is over.
    pub(crate) fn has_over(&mut self, group: Key) -> bool {
        self.slot(group)
            .is_some_and(|slot| matches!(&slot.stage, Stage::Group(over) if !over.is_empty()))
    }

    /// The first of the group's children that is over, if any is.
    pub(crate) fn next_over(&mut self, group: Key) -> Option<Key> {
        match &mut self.slot(group)?.stage {
            Stage::Group(over) => over.pop_front(),
            _ => None,
        }
    }

    /// Makes a child of the group a child of the group's parent: the first that is over, or else the
    /// oldest. A group that is cancelled goes together with its children.
    pub(crate) fn leave_group(&mut self, group: Key) -> Option<Key> {
        let Kin { parent, first, .. } = self.slot(group).filter(|slot| slot.receives())?.kin;
        let key = match self.next_over(group) {
            Some(key) => key,
            None if first == NOBODY => return None,
            None => self.key(first),
        };
        self.unlink(key.index);
        self.link(key, self.key(parent));
        Some(key)
    }

    /// The handle of the group is gone. What is left in it waits for the parent's end.
    pub(crate) fn leave_behind(&mut self, group: Key) -> Option<Waiter> {
        let slot = self.slot(group)?;
        let waiter = slot.waiter.take();
        if slot.childless() && !slot.queued {
            self.vacate(group.index);
        }
        waiter
    }
    // ANCHOR_END: orphans

    pub(crate) fn places(&self) -> u32 {
        self.chunks.iter().map(Vec::len).sum::<usize>() as u32
    }

    /// Takes out the code that lives in the place `index`, or what it has come to, for the caller to drop.
    pub(crate) fn strip(&mut self, index: u32) -> Option<Remains> {
        let slot = self.at(index);
        let stage = std::mem::replace(&mut slot.stage, Stage::Closed);
        match stage {
            Stage::Alive(body) => body.map(Remains::Body),
            Stage::Ending(outcome) | Stage::Over(outcome) => Some(Remains::Outcome(outcome)),
            other => {
                slot.stage = other;
                None
            }
        }
    }

    /// From now on nobody has relatives: before all slots are taken out, so that no destructor follows a link to
    /// one that is out already.
    pub(crate) fn disband(&mut self) {
        let slots = self.chunks.iter_mut().flatten();
        slots.for_each(|slot| slot.kin = Kin::NONE);
    }

    /// Takes the last slot out, with all that is in it, for the caller to drop. No place is used again.
    pub(crate) fn pop(&mut self) -> Option<Slot> {
        self.vacant.clear();
        loop {
            if let Some(slot) = self.chunks.last_mut()?.pop() {
                return Some(slot);
            }
            self.chunks.pop();
        }
    }

    /// The task of `key`, which may be a scope in it.
    pub(crate) fn id(&mut self, key: Key) -> Option<TaskId> {
        Some(self.slot(key)?.id)
    }

    // ANCHOR: records
    /// What `key`, a task or a scope, owns.
    pub(crate) fn records(&mut self, key: Key) -> Option<&mut Records> {
        Some(&mut self.slot(key)?.records)
    }

    /// The records with `number`: those of `key`, or those of `task` if `key` was a scope that is gone.
    pub(crate) fn records_with(
        &mut self,
        key: Key,
        task: Key,
        number: u64,
    ) -> Option<&mut Records> {
        let place = [key, task].into_iter().find(|&key| {
            let records = self.records(key);
            records.is_some_and(|records| records.has(number))
        });
        self.records(place?)
    }

    /// Takes the newest of what `key` owns.
    pub(crate) fn pop_record(&mut self, key: Key) -> Option<Record> {
        self.slot(key)?.records.pop()
    }

    /// A scope that is cancelled with its task leaves to it what it owns: the proofs are in the task's
    /// future still, and the scope's turn comes first.
    pub(crate) fn bequeath(&mut self, key: Key) {
        let parent = self.get(key.index).kin.parent;
        if self.get(parent).cancelled {
            let records = std::mem::take(&mut self.at(key.index).records);
            self.at(parent).records.append(records);
        }
    }
    // ANCHOR_END: records

    /// What `key`, which has ended well, owns still.
    pub(crate) fn leaked(&mut self, key: Key) -> Vec<ResourceInfo> {
        let records = self.records(key);
        let mut leaked = records.map_or(Vec::new(), |records| records.list());
        // What is about to be closed is waited for.
        leaked.retain(|resource| resource.state != ResourceState::Closing);
        for resource in &mut leaked {
            if resource.state == ResourceState::Held {
                resource.state = ResourceState::Lost;
            }
        }
        leaked
    }

    /// Who gets what `key` transfers.
    pub(crate) fn parent(&self, key: Key) -> Parent {
        let slot = self.get(key.index);
        if let Some(Waiter::Caller(caller)) = &slot.waiter {
            return Parent::Elsewhere(*caller);
        }
        match slot.kin.parent {
            NOBODY => Parent::Nobody,
            // The children of a group are those of its task.
            parent if self.get(parent).is_group() => self.parent(self.key(parent)),
            parent => Parent::Here(self.key(parent)),
        }
    }

    /// How many places are taken.
    pub(crate) fn taken(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum::<usize>() - self.vacant.len()
    }

    /// Whether `waker` is that of the task `key`.
    pub(crate) fn is_own_waker(&mut self, key: Key, waker: &Waker) -> bool {
        self.slot(key)
            .is_some_and(|slot| std::ptr::eq(waker.data(), Arc::as_ptr(&slot.handle).cast()))
    }

    // ANCHOR: stalled
    /// Whether anybody else holds a waker of a task that is not over.
    pub(crate) fn has_outside_waker(&mut self) -> bool {
        while let Some(&index) = self.suspects.last() {
            let slot = self.at(index);
            if slot.has_outside_waker() {
                return true;
            }
            slot.suspected = false;
            self.suspects.pop();
        }
        false
    }
    // ANCHOR_END: stalled

    /// The tasks that are not over.
    pub(crate) fn alive(&self) -> Vec<TaskInfo> {
        let slots = self.chunks.iter().flatten();
        slots
            .filter(|slot| slot.alive())
            .map(Slot::describe)
            .collect()
    }

    // ANCHOR: survey
    /// All that live here: each child after its parent, and right after what is below its elder sibling.
    pub(crate) fn survey(&self, domain: Domain) -> Vec<Place> {
        let mut found = Vec::with_capacity(self.taken());
        let mut states = Vec::new();
        // One time for all: so no child is older than its parent.
        let now = self.births.as_ref().map(|_| Instant::now());
        for (root, slot) in (0..).zip(self.chunks.iter().flatten()) {
            if matches!(slot.stage, Stage::Vacant) || slot.kin.parent != NOBODY {
                continue;
            }
            // As in `cancel`: no stack, however deep the tree is. A group adds no depth.
            let (mut index, mut depth) = (root, 0);
            'tree: loop {
                let slot = self.get(index);
                if !slot.is_group() {
                    states.truncate(depth);
                    let mut place = self.place(index, domain, depth, states.last());
                    place.node.age = self.age(index, now);
                    states.push(place.node.task.state);
                    found.push(place);
                    depth += 1;
                }
                if !slot.childless() {
                    index = slot.kin.first;
                    continue;
                }
                loop {
                    let slot = self.get(index);
                    depth -= usize::from(!slot.is_group());
                    if index == root {
                        break 'tree;
                    }
                    if slot.kin.next != NOBODY {
                        index = slot.kin.next;
                        break;
                    }
                    index = slot.kin.parent;
                }
            }
        }
        found
    }

    fn age(&self, index: u32, now: Option<Instant>) -> Option<Duration> {
        let birth = self.births.as_ref()?.get(index as usize)?;
        Some(now?.saturating_duration_since(*birth))
    }

    fn place(&self, index: u32, domain: Domain, depth: usize, around: Option<&TaskState>) -> Place {
        let slot = self.get(index);
        let parent = slot.kin.parent;
        // What is a part of its task has the task's number.
        let is_part = parent != NOBODY && self.get(parent).id == slot.id;
        let kind = match (is_part, slot.shielded) {
            (false, _) => NodeKind::Task,
            (true, false) => NodeKind::Scope,
            (true, true) => NodeKind::Finaliser,
        };
        let mut task = slot.describe();
        if let (Stage::Scope, Some(&state)) = (&slot.stage, around) {
            task.state = state;
        }
        Place {
            key: self.key(index),
            caller: match &slot.waiter {
                Some(Waiter::Caller(caller)) => Some(*caller),
                _ => None,
            },
            node: TreeNode {
                depth,
                kind,
                domain: slot.elsewhere().unwrap_or(domain),
                task,
                cancelled: slot.cancelled,
                age: None,
                owns: slot.records.list(),
            },
        }
    }
    // ANCHOR_END: survey

    /// Who `key` is, for a message: its task, and the line that made it.
    pub(crate) fn describe(&self, key: Key) -> TaskInfo {
        self.get(key.index).describe()
    }
}

impl Slot {
    fn describe(&self) -> TaskInfo {
        TaskInfo {
            id: self.id,
            spawned_at: self.spawned_at,
            state: match &self.stage {
                Stage::Alive(None) => TaskState::Running,
                Stage::Alive(_) if self.queued => TaskState::Ready,
                Stage::Elsewhere(domain) => TaskState::Elsewhere(*domain),
                Stage::Over(Ok(_)) => TaskState::Succeeded,
                Stage::Over(Err(_)) => TaskState::Failed,
                Stage::Ending(_) | Stage::Closed => TaskState::Ending,
                _ => TaskState::Waits(self.wait),
            },
        }
    }
}
