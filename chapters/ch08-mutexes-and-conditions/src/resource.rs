//! Resources, and the records of who owns them.
//!
//! Each task and each scope has a record of what it owns. While there is a proof, the resource is in the
//! proof and the record only knows of it; a proof that is dropped puts the resource back. So whatever
//! becomes of the proofs, the end of the task finds all that is left.

use crate::event_loop::Watched;
use crate::failure::{Failure, Result, without_panic};
use crate::scheduler::drop_quietly;
use crate::scope::without_panics;
use crate::sleep::timeout;
use crate::violation::{ResourceInfo, ResourceState};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

// ANCHOR: resource
/// A value, and what is to be done with it in the end.
pub(crate) struct Resource<T> {
    label: Label,
    /// `None` once it was finalised or disowned.
    content: Option<(T, Finaliser<T>)>,
    /// What closes it even if its proof is lost. Only the runtime's own sockets have that.
    watched: Option<Watching<T>>,
}

// ANCHOR: finaliser
enum Finaliser<T> {
    AtOnce(Box<dyn FnOnce(T) -> Result<()> + Send>),
    Waits(Box<dyn FnOnce(T) -> Closing + Send>),
}

/// A finaliser that has begun.
pub(crate) type Closing = Pin<Box<dyn Future<Output = Result<()>>>>;

pub(crate) enum Finalised {
    Done(Result<()>),
    Waits(Closing),
}
// ANCHOR_END: finaliser

/// What watches a socket.
type Watching<T> = fn(&T) -> Rc<dyn Watched>;

/// What a message says of a resource.
#[derive(Clone)]
pub(crate) struct Label {
    pub(crate) name: Cow<'static, str>,
    pub(crate) at: &'static Location<'static>,
}
// ANCHOR_END: resource

impl Label {
    /// For a socket of this runtime, with its address if it has one.
    pub(crate) fn of(
        kind: &'static str,
        address: io::Result<impl fmt::Display>,
        at: &'static Location<'static>,
    ) -> Label {
        let name = match address {
            Ok(address) => format!("{kind} {address}").into(),
            Err(_) => kind.into(),
        };
        Label { name, at }
    }
}

impl<T> Resource<T> {
    pub(crate) fn new(
        label: Label,
        value: T,
        finaliser: Box<dyn FnOnce(T) -> Result<()> + Send>,
    ) -> Resource<T> {
        Resource {
            label,
            content: Some((value, Finaliser::AtOnce(finaliser))),
            watched: None,
        }
    }

    // ANCHOR: waiting
    /// One whose finaliser may wait, as long as `limit`.
    pub(crate) fn waiting(
        label: Label,
        value: T,
        limit: Duration,
        finaliser: impl AsyncFnOnce(T) -> Result<()> + Send + 'static,
    ) -> Resource<T>
    where
        T: 'static,
    {
        let begin = move |value| {
            Box::pin(without_panics(async move {
                // Pinned here, it takes its room once.
                timeout(limit, pin!(finaliser(value))).await?
            })) as _
        };
        Resource {
            label,
            content: Some((value, Finaliser::Waits(Box::new(begin)))),
            watched: None,
        }
    }
    // ANCHOR_END: waiting

    /// With a way to close it even if its proof is lost.
    pub(crate) fn watched(mut self, watched: Watching<T>) -> Resource<T> {
        self.watched = Some(watched);
        self
    }

    pub(crate) fn label(&self) -> &Label {
        &self.label
    }

    pub(crate) fn value(&self) -> &T {
        match &self.content {
            Some((value, _)) => value,
            None => unreachable!("what is over has no proof"),
        }
    }

    pub(crate) fn value_mut(&mut self) -> &mut T {
        match &mut self.content {
            Some((value, _)) => value,
            None => unreachable!("what is over has no proof"),
        }
    }

    pub(crate) fn disown(mut self) -> (Label, T) {
        match self.content.take() {
            Some((value, _)) => (self.label.clone(), value),
            None => unreachable!("what is over has no proof"),
        }
    }
}

// ANCHOR: finalise
/// A resource whose type is forgotten.
pub(crate) trait Finalise: Any {
    fn label(&self) -> &Label;

    /// Runs the finaliser, or begins to. A panic in it is the failure.
    fn finalise(&mut self) -> Finalised;
}

impl<T: 'static> Finalise for Resource<T> {
    fn label(&self) -> &Label {
        &self.label
    }

    fn finalise(&mut self) -> Finalised {
        match self.content.take() {
            None => Finalised::Done(Ok(())),
            Some((value, Finaliser::AtOnce(finaliser))) => {
                Finalised::Done(without_panic(|| finaliser(value)))
            }
            Some((value, Finaliser::Waits(begin))) => Finalised::Waits(begin(value)),
        }
    }
}
// ANCHOR_END: finalise

impl<T> Drop for Resource<T> {
    /// It got nowhere: the domain that was to have it has died. That is told already.
    fn drop(&mut self) {
        match self.content.take() {
            Some((value, Finaliser::AtOnce(finaliser))) => {
                drop_quietly(without_panic(|| finaliser(value)));
            }
            // There is nobody to wait.
            Some(content) => drop_quietly(content),
            None => {}
        }
    }
}

// ANCHOR: records
/// What one task or scope owns, by number, the oldest first. A task owns a handful as a rule, and a short list takes
/// the least room.
#[derive(Default)]
pub(crate) struct Records {
    /// `None` where a record was taken out: moving the others up each time would add up.
    list: Vec<(u64, Option<Record>)>,
    /// How many are there.
    count: usize,
}

pub(crate) enum Record {
    /// The resource is in its proof.
    Held(Label, Option<Rc<dyn Watched>>),
    /// There is no proof.
    Kept(Box<dyn Finalise>),
    /// The finaliser has begun, and whoever waited for it does no longer.
    Closing(Label, Closing),
}
// ANCHOR_END: records

impl Record {
    pub(crate) fn label(&self) -> &Label {
        match self {
            Record::Held(label, _) | Record::Closing(label, _) => label,
            Record::Kept(resource) => resource.label(),
        }
    }

    /// Whether its finaliser is still to be called.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self, Record::Kept(_))
    }

    // ANCHOR: end
    /// The owner has come to its end.
    pub(crate) fn end(self) -> Finalised {
        let Label { name, at } = self.label().clone();
        let finalised = match self {
            Record::Kept(mut resource) => resource.finalise(),
            Record::Closing(_, closing) => Finalised::Waits(closing),
            Record::Held(_, watched) => {
                if let Some(watched) = watched {
                    watched.close();
                }
                return Finalised::Done(Err(Failure::msg(format_args!(
                    "{name}, owned at {at}, is lost: its proof was forgotten, or is in a cycle"
                ))));
            }
        };
        let tell = move |failure: Failure| {
            failure.context(format_args!("finaliser of {name}, owned at {at}"))
        };
        match finalised {
            Finalised::Done(result) => Finalised::Done(result.map_err(tell)),
            Finalised::Waits(closing) => {
                Finalised::Waits(Box::pin(async move { closing.await.map_err(tell) }))
            }
        }
    }
    // ANCHOR_END: end
}

impl Drop for Records {
    /// The domain has died. That is told already, and what is lost is closed.
    fn drop(&mut self) {
        while let Some(record) = self.pop() {
            if let Record::Held(_, Some(watched)) = &record {
                watched.close();
            }
            drop_quietly(record);
        }
    }
}

/// So many records a list has room for as long as it likes.
const SMALL: usize = 4;

impl Records {
    fn place(&self, number: u64) -> std::result::Result<usize, usize> {
        self.list
            .binary_search_by_key(&number, |&(number, _)| number)
    }

    fn get(&self, number: u64) -> Option<&Record> {
        self.list[self.place(number).ok()?].1.as_ref()
    }

    fn iter(&self) -> impl Iterator<Item = (u64, &Record)> {
        let list = self.list.iter();
        list.filter_map(|(number, record)| Some((*number, record.as_ref()?)))
    }

    fn put(&mut self, number: u64, record: Record) {
        let former = match self.place(number) {
            Ok(place) => self.list[place].1.replace(record),
            // The numbers grow: as a rule this is the end.
            Err(place) => {
                self.list.insert(place, (number, Some(record)));
                None
            }
        };
        self.count += usize::from(former.is_none());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn has(&self, number: u64) -> bool {
        self.get(number).is_some()
    }

    /// Adds those of a scope that is gone.
    pub(crate) fn append(&mut self, mut others: Records) {
        self.count += std::mem::take(&mut others.count);
        self.list.append(&mut others.list);
        self.list.sort_by_key(|&(number, _)| number);
    }

    /// There is no proof of what `record` says.
    pub(crate) fn keep(&mut self, number: u64, record: Record) {
        self.put(number, record);
    }

    /// Takes the resource out for a proof. `None` if it is no `T`, or has one.
    pub(crate) fn hold<T: 'static>(&mut self, number: u64) -> Option<Box<Resource<T>>> {
        let place = self.place(number).ok()?;
        let record = self.list[place].1.as_mut();
        let record = record.filter(|record| record.is::<T>())?;
        let label = record.label().clone();
        let Record::Kept(resource) = std::mem::replace(record, Record::Held(label, None)) else {
            return None;
        };
        let resource = (resource as Box<dyn Any>).downcast::<Resource<T>>().ok()?;
        if let (Record::Held(_, place), Some(watched)) = (record, resource.watched) {
            *place = Some(watched(resource.value()));
        }
        Some(resource)
    }

    /// The oldest resource that is a `T` and has no proof.
    pub(crate) fn find<T: 'static>(&self) -> Option<u64> {
        let mut records = self.iter();
        records.find_map(|(number, record)| record.is::<T>().then_some(number))
    }

    /// The ownership has ended.
    pub(crate) fn remove(&mut self, number: u64) {
        let Ok(place) = self.place(number) else {
            return;
        };
        self.count -= usize::from(self.list[place].1.take().is_some());
        // Each sweep is paid for by what was taken out since the last one.
        if 2 * self.count < self.list.len() {
            self.list.retain(|(_, record)| record.is_some());
            self.list.shrink_to(2 * self.count.max(SMALL));
        }
    }

    /// Takes the newest record.
    pub(crate) fn pop(&mut self) -> Option<Record> {
        loop {
            if let (_, Some(record)) = self.list.pop()? {
                self.count -= 1;
                return Some(record);
            }
        }
    }

    pub(crate) fn list(&self) -> Vec<ResourceInfo> {
        let describe = |record: &Record| ResourceInfo {
            name: record.label().name.clone().into_owned(),
            owned_at: record.label().at,
            state: match record {
                Record::Held(..) => ResourceState::Held,
                Record::Kept(_) => ResourceState::Kept,
                Record::Closing(..) => ResourceState::Closing,
            },
        };
        self.iter().map(|(_, record)| describe(record)).collect()
    }
}

impl Record {
    /// Whether this is a `T`, and has no proof.
    fn is<T: 'static>(&self) -> bool {
        match self {
            Record::Kept(resource) => (&**resource as &dyn Any).is::<Resource<T>>(),
            Record::Held(..) | Record::Closing(..) => false,
        }
    }
}
