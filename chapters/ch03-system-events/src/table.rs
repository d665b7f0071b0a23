//! Where the tasks are kept between two polls.
//!
//! A task is named by a [`Key`]: its place, and how many tasks had that place before it. A waker
//! may outlive its task, and the place is soon somebody else's: then the count no longer fits,
//! and the wake misses, as it should.

use crate::promise::Outcome;
use crate::record::{TaskId, Wait};
use crate::wake::{Handle, Inbox};
use std::any::Any;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

// ANCHOR: step
/// A future whose type and result type are forgotten, so that all tasks fit into one table.
///
/// Implemented by the future itself and not by a wrapper around it: one allocation, and not a
/// byte more than the future needs.
pub(crate) trait Step {
    fn step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Box<dyn Any>>;
}

impl<F> Step for F
where
    F: Future,
    F::Output: 'static,
{
    fn step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Box<dyn Any>> {
        // A box around `()` costs nothing: there is nothing to store.
        self.poll(cx).map(|value| Box::new(value) as Box<dyn Any>)
    }
}
// ANCHOR_END: step

/// What a poll needs. It leaves the table while the poll runs, so that the task may spawn and
/// wake others, and itself, meanwhile.
pub(crate) struct Body {
    pub(crate) future: Pin<Box<dyn Step>>,
    pub(crate) waker: Waker,
}

enum Stage {
    /// Not over yet; `None` while it is polled.
    Alive(Option<Body>),
    /// Over; the outcome waits for the promise.
    Over(Outcome),
    /// No task lives here.
    Vacant,
}

/// Who is to be woken when a task is over.
pub(crate) enum Waiter {
    /// A task of the same scheduler: its key will do, no waker has to be cloned.
    Task(Key),
    /// Somebody else, for example a combinator that polls with wakers of its own.
    Other(Waker),
}

// ANCHOR: slot
pub(crate) struct Slot {
    generation: u32,
    /// Whether the key stands in the run queue. A task that is woken twice is polled once.
    queued: bool,
    /// Whether the promise still exists. Without it nobody can ask for the outcome.
    promised: bool,
    stage: Stage,
    waiter: Option<Waiter>,
    /// Kept from one task to the next, unless somebody still holds a waker of the last one.
    handle: Arc<Handle>,
    id: TaskId,
    spawned_at: &'static Location<'static>,
    wait: Wait,
}
// ANCHOR_END: slot

impl Slot {
    /// The task that lives here, if there is one and it is not over.
    pub(crate) fn alive(&self) -> Option<TaskId> {
        matches!(self.stage, Stage::Alive(_)).then_some(self.id)
    }
}

/// Names a task for as long as the run lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// Names no task: the table never has that many places.
    pub(crate) const NONE: Key = Key {
        index: u32::MAX,
        generation: 0,
    };
}

/// What became of a promise's task.
pub(crate) enum Progress {
    Alive(TaskId),
    Over(Outcome),
    /// The run ended first, and took the task with it.
    Gone,
}

/// All tasks of one scheduler.
///
/// Slots come in chunks that never move: one growing `Vec` would copy every slot again and again
/// while the first hundred thousand tasks are spawned.
pub(crate) struct Table {
    chunks: Vec<Vec<Slot>>,
    vacant: Vec<u32>,
    spawned: u64,
    /// Where to begin the search for an outside waker: at the task that was polled last, since the
    /// last thing it did was to hand out its waker, or where the last search ended.
    hint: usize,
}

const CHUNK: usize = 64;

impl Table {
    pub(crate) fn new() -> Table {
        Table {
            chunks: Vec::new(),
            vacant: Vec::new(),
            spawned: 0,
            hint: 0,
        }
    }

    pub(crate) fn next_id(&mut self) -> TaskId {
        self.spawned += 1;
        TaskId(self.spawned - 1)
    }

    // ANCHOR: insert
    /// Makes room for a task. It counts as queued: the caller puts its key into the queue.
    pub(crate) fn insert(
        &mut self,
        id: TaskId,
        future: Pin<Box<dyn Step>>,
        spawned_at: &'static Location<'static>,
        inbox: &Arc<Inbox>,
    ) -> Key {
        let index = match self.vacant.pop() {
            Some(index) => index,
            None => self.grow(spawned_at, inbox),
        };
        let slot = &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK];
        let key = Key {
            index,
            generation: slot.generation,
        };
        // `get_mut` succeeds only if no waker of an earlier task is left anywhere.
        match Arc::get_mut(&mut slot.handle) {
            Some(handle) => handle.set_key(key),
            None => slot.handle = Arc::new(Handle::new(key, inbox.clone())),
        }
        let waker = Waker::from(slot.handle.clone());
        slot.stage = Stage::Alive(Some(Body { future, waker }));
        slot.queued = true;
        slot.promised = true;
        slot.id = id;
        slot.spawned_at = spawned_at;
        slot.wait = Wait::default();
        key
    }
    // ANCHOR_END: insert

    fn grow(&mut self, spawned_at: &'static Location<'static>, inbox: &Arc<Inbox>) -> u32 {
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
            promised: false,
            stage: Stage::Vacant,
            waiter: None,
            handle: Arc::new(Handle::new(key, inbox.clone())),
            id: TaskId(0),
            spawned_at,
            wait: Wait::default(),
        };
        self.chunks[last].push(slot);
        index
    }

    /// The slot of `key`, unless its task is gone.
    fn slot(&mut self, key: Key) -> Option<&mut Slot> {
        let (chunk, place) = (key.index as usize / CHUNK, key.index as usize % CHUNK);
        let slot = self.chunks.get_mut(chunk)?.get_mut(place)?;
        (slot.generation == key.generation).then_some(slot)
    }

    fn vacate(&mut self, key: Key) -> Stage {
        let Some(slot) = self.slot(key) else {
            return Stage::Vacant;
        };
        // After four billion tasks in one place the count starts again. A key that slept through
        // all of them would cause one poll too many, which is allowed.
        slot.generation = slot.generation.wrapping_add(1);
        let stage = std::mem::replace(&mut slot.stage, Stage::Vacant);
        self.vacant.push(key.index);
        stage
    }

    /// Notes that `key` is queued from now on. `None` if it was already, is over, or gone.
    pub(crate) fn queue(&mut self, key: Key) -> Option<TaskId> {
        let slot = self.slot(key)?;
        let newly = !slot.queued && matches!(slot.stage, Stage::Alive(_));
        slot.queued |= newly;
        newly.then_some(slot.id)
    }

    // ANCHOR: poll
    /// Takes out what a poll of `key` needs.
    pub(crate) fn take_body(&mut self, key: Key) -> Option<(TaskId, Body)> {
        let slot = self.slot(key)?;
        // Cleared before the poll, so that a wake during the poll queues the task once more.
        slot.queued = false;
        match &mut slot.stage {
            Stage::Alive(body) => Some((slot.id, body.take()?)),
            _ => None,
        }
    }

    /// Puts it back: the task waits.
    pub(crate) fn put_back(&mut self, key: Key, body: Body, wait: Wait) {
        let Some(slot) = self.slot(key) else { return };
        if let Stage::Alive(place) = &mut slot.stage {
            *place = Some(body);
            slot.wait = wait;
            self.hint = key.index as usize;
        }
    }
    // ANCHOR_END: poll

    /// The task is over. Returns who waits for it, and the outcome if nobody ever will.
    pub(crate) fn end(&mut self, key: Key, outcome: Outcome) -> (Option<Waiter>, Option<Outcome>) {
        let Some(slot) = self.slot(key) else {
            return (None, Some(outcome));
        };
        if slot.promised {
            slot.stage = Stage::Over(outcome);
            return (slot.waiter.take(), None);
        }
        self.vacate(key);
        (None, Some(outcome))
    }

    pub(crate) fn is_over(&mut self, key: Key) -> bool {
        self.slot(key)
            .is_none_or(|slot| matches!(slot.stage, Stage::Over(_)))
    }

    /// Takes the outcome if there is one.
    pub(crate) fn progress(&mut self, key: Key) -> Progress {
        let Some(slot) = self.slot(key) else {
            return Progress::Gone;
        };
        match slot.stage {
            Stage::Alive(_) => Progress::Alive(slot.id),
            Stage::Over(_) => match self.vacate(key) {
                Stage::Over(outcome) => Progress::Over(outcome),
                _ => Progress::Gone,
            },
            Stage::Vacant => Progress::Gone,
        }
    }

    /// Notes who waits for `key`. Returns who did before: dropping a waker is for the caller, when
    /// the table is no longer borrowed.
    pub(crate) fn set_waiter(&mut self, key: Key, waiter: Waiter) -> Option<Waiter> {
        self.slot(key)?.waiter.replace(waiter)
    }

    /// The promise of `key` is gone. Returns what is to be dropped.
    pub(crate) fn forsake(&mut self, key: Key) -> (Option<Waiter>, Option<Outcome>) {
        let Some(slot) = self.slot(key) else {
            return (None, None);
        };
        slot.promised = false;
        let waiter = slot.waiter.take();
        let outcome = match slot.stage {
            Stage::Over(_) => match self.vacate(key) {
                Stage::Over(outcome) => Some(outcome),
                _ => None,
            },
            _ => None,
        };
        (waiter, outcome)
    }

    /// Takes the last slot out, with all that is in it, for the caller to drop.
    pub(crate) fn pop(&mut self) -> Option<Slot> {
        loop {
            if let Some(slot) = self.chunks.last_mut()?.pop() {
                return Some(slot);
            }
            self.chunks.pop();
        }
    }

    /// Whether `waker` is that of the task `key`.
    pub(crate) fn is_own_waker(&mut self, key: Key, waker: &Waker) -> bool {
        self.slot(key)
            .is_some_and(|slot| std::ptr::eq(waker.data(), Arc::as_ptr(&slot.handle).cast()))
    }

    // ANCHOR: stalled
    /// Whether anybody else holds a waker of a task that is not over. Looks at every task at worst.
    pub(crate) fn has_outside_waker(&mut self) -> bool {
        let slots = self.chunks.len() * CHUNK;
        for probe in 0..slots {
            let index = (self.hint + probe) % slots;
            let Some(slot) = self.chunks[index / CHUNK].get(index % CHUNK) else {
                continue;
            };
            // The table itself holds two: the handle, and the waker in the body.
            if slot.alive().is_some() && Arc::strong_count(&slot.handle) > 2 {
                self.hint = index;
                return true;
            }
        }
        false
    }
    // ANCHOR_END: stalled

    /// A line for each task that is not over: what it waits for, and where it was spawned.
    pub(crate) fn describe(&self) -> String {
        let mut lines = String::new();
        for slot in self.chunks.iter().flatten() {
            if let Some(id) = slot.alive() {
                let (wait, at) = (slot.wait, slot.spawned_at);
                lines += &format!("\n  {id}, spawned at {at}, waits for {wait}");
            }
        }
        lines
    }
}
