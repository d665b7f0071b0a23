//! The proof that a task owns a resource.

use crate::cx::Cx;
use crate::domain::Message;
use crate::failure::Result;
use crate::record::What;
use crate::resource::{Closing, Finalise, Finalised, Label, Record, Resource};
use crate::scheduler::Scheduler;
use crate::table::{Key, Parent};
use crate::violation::ResourceInfo;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

// ANCHOR: owned
/// The proof that this task, or this scope, owns a resource. It dereferences to the resource.
///
/// Made by [`Cx::own`]. It borrows the context: it can neither be kept beyond the task nor slipped to a child.
/// Whoever has it can end the ownership: [`release`](Owned::release) closes the resource,
/// [`disown`](Owned::disown) gives the plain value, [`Cx::give`] hands it to a child, and
/// [`transfer`](Owned::transfer) to the parent.
///
/// Dropping the proof decides nothing. The task still owns the resource, and [`Cx::receive`] gives a new proof.
/// If the task ends well and owns something, that is a [`Violation`](crate::Violation). However it ends, the finalisers of
/// what it owns run when its children are gone, the newest first; what goes wrong in them is among the
/// [suppressed](crate::Failure::suppressed) failures.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::run;
/// use std::fs::{self, File};
/// use std::io::Write;
///
/// run(async |cx| {
///     let path = std::env::temp_dir().join(format!("owned-{}", std::process::id()));
///     let mut log = cx.own("the log", File::create(&path)?, |log| Ok(log.sync_all()?));
///     log.write_all(b"a line\n")?;
///     log.release().await?; // dropping a `File` could not say that this failed
///     Ok(fs::remove_file(path)?)
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
// ANCHOR: proof
#[must_use = "what is owned has to be released, disowned, given or transferred"]
pub struct Owned<'c, T: 'static> {
    cx: &'c Cx,
    /// Of its record.
    number: u64,
    /// `None` once the ownership has ended.
    resource: Option<Box<Resource<T>>>,
}
// ANCHOR_END: proof
// ANCHOR_END: owned

impl<'c, T: 'static> Owned<'c, T> {
    pub(crate) fn new(cx: &'c Cx, resource: Resource<T>) -> Owned<'c, T> {
        let scheduler = &cx.scheduler;
        let place = scheduler.place(cx);
        let number = scheduler.keep(place, Box::new(resource));
        Owned::hold(cx, number)
    }

    /// The proof of what is kept in the record `number`.
    pub(crate) fn hold(cx: &'c Cx, number: u64) -> Owned<'c, T> {
        let resource = cx.scheduler.hold(cx, number);
        Owned {
            cx,
            number,
            resource,
        }
    }

    fn resource(&self) -> &Resource<T> {
        match &self.resource {
            Some(resource) => resource,
            None => unreachable!("the proof goes with the ownership"),
        }
    }

    /// Ends the ownership.
    pub(crate) fn take(mut self) -> Box<Resource<T>> {
        match self.resource.take() {
            Some(resource) => {
                self.cx.scheduler.strike_out(self.cx, self.number);
                resource
            }
            None => unreachable!("the proof goes with the ownership"),
        }
    }

    /// The name that was given to [`Cx::own`].
    pub fn name(&self) -> &str {
        &self.resource().label().name
    }

    // ANCHOR: disown
    /// Ends the ownership, and gives the plain value. The finaliser will not run.
    pub fn disown(self) -> T {
        self.part().2
    }
    // ANCHOR_END: disown

    /// Ends the ownership, for the value to be owned in another shape.
    pub(crate) fn part(self) -> (&'c Cx, Label, T) {
        let cx = self.cx;
        let (label, value) = self.take().disown();
        let at = label.at;
        cx.scheduler.recorder.note(cx.id(), What::Disowned { at });
        (cx, label, value)
    }

    // ANCHOR: release
    /// Ends the ownership by running the finaliser.
    ///
    /// It does nothing before it is polled; dropped unpolled, it leaves the task the owner. Dropped while the finaliser
    /// waits, it leaves the rest to the end of the task.
    ///
    /// # Errors
    ///
    /// Those of the finaliser; a panic in it is one, too; and a [`TimedOut`](crate::TimedOut) if it took longer than it may.
    pub async fn release(self) -> Result<()> {
        let mut this = self;
        let (cx, number) = (this.cx, this.number);
        let Some(mut resource) = this.resource.take() else {
            unreachable!("the proof goes with the ownership")
        };
        let at = resource.label().at;
        cx.scheduler.recorder.note(cx.id(), What::Finalised { at });
        // While it waits, the record stays: so it is known even if this is forgotten.
        match resource.finalise() {
            Finalised::Done(result) => {
                cx.scheduler.strike_out(cx, number);
                result
            }
            Finalised::Waits(closing) => {
                let (label, closing) = (resource.label().clone(), Some(closing));
                Releasing {
                    cx,
                    number,
                    label,
                    closing,
                }
                .await
            }
        }
    }
    // ANCHOR_END: release

    // ANCHOR: transfer
    /// Makes the parent the owner, at once, whatever becomes of this task: [`Cx::receive`] gives the parent its
    /// proof. In a scope, the parent is what is around the scope. A parent whose code has ended finalises it.
    ///
    /// # Panics
    ///
    /// In the main task, which has no parent; and if the parent is on another domain:
    /// [`transfer_across`](Owned::transfer_across) works there as well. The task then still owns the resource.
    #[track_caller]
    pub fn transfer(self) {
        match self.cx.scheduler.parent(self.cx) {
            Parent::Here(parent) => {
                let scheduler = &self.cx.scheduler;
                scheduler.keep(parent, self.take());
            }
            Parent::Elsewhere(_) => {
                panic!("the parent is on another domain; use transfer_across")
            }
            Parent::Nobody => panic!("the main task has no parent to transfer to"),
        }
    }

    /// Like [`transfer`](Owned::transfer), wherever the parent is.
    ///
    /// # Panics
    ///
    /// In the main task, which has no parent.
    #[track_caller]
    pub fn transfer_across(self)
    where
        T: Send,
    {
        let scheduler = &self.cx.scheduler;
        let Parent::Elsewhere(caller) = scheduler.parent(self.cx) else {
            return self.transfer();
        };
        let resource = self.take();
        let deliver = move |scheduler: &Scheduler, child| {
            if let Parent::Here(parent) = scheduler.parent_of(child) {
                scheduler.keep(parent, resource);
            }
        };
        let (key, deliver) = (caller.key, Box::new(deliver));
        // If that domain has died, the message comes back, and drops the resource, which is finalised.
        let _ = scheduler
            .world
            .send(caller.domain, Message::Transfer { key, deliver });
    }
    // ANCHOR_END: transfer
}

impl<T> Deref for Owned<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.resource().value()
    }
}

impl<T> DerefMut for Owned<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.resource {
            Some(resource) => resource.value_mut(),
            None => unreachable!("the proof goes with the ownership"),
        }
    }
}

// ANCHOR: releasing
/// A finaliser that the task waits for itself.
struct Releasing<'c> {
    cx: &'c Cx,
    /// Of its record.
    number: u64,
    label: Label,
    /// `None` once it is over.
    closing: Option<Closing>,
}

impl Future for Releasing<'_> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(closing) = &mut self.closing else {
            unreachable!("`release` polls it until it is ready")
        };
        let result = ready!(closing.as_mut().poll(cx));
        self.closing = None;
        self.cx.scheduler.strike_out(self.cx, self.number);
        Poll::Ready(result)
    }
}

impl Drop for Releasing<'_> {
    fn drop(&mut self) {
        if let Some(closing) = self.closing.take() {
            let (scheduler, cx) = (&self.cx.scheduler, self.cx);
            let record = Record::Closing(self.label.clone(), closing);
            if let Some(records) = scheduler.table().records_with(cx.key, cx.task, self.number) {
                records.keep(self.number, record);
            }
        }
    }
}
// ANCHOR_END: releasing

// ANCHOR: drop
impl<T> Drop for Owned<'_, T> {
    fn drop(&mut self) {
        if let Some(resource) = self.resource.take() {
            self.cx.scheduler.put_back(self.cx, self.number, resource);
        }
    }
}
// ANCHOR_END: drop

impl<T: fmt::Debug> fmt::Debug for Owned<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned")
            .field("name", &self.name())
            .field("value", &**self)
            .finish()
    }
}

impl Scheduler {
    /// Where what is owned with `cx` is recorded.
    fn place(&self, cx: &Cx) -> Key {
        self.table().living(cx.key, cx.task)
    }

    /// Who gets what a task or scope of `cx` transfers.
    fn parent(&self, cx: &Cx) -> Parent {
        let place = self.place(cx);
        if place != cx.key {
            // A scope that is gone already, with its task around it.
            return Parent::Here(place);
        }
        self.parent_of(place)
    }

    pub(crate) fn parent_of(&self, key: Key) -> Parent {
        self.table().parent(key)
    }

    /// Makes `key` the owner of `resource`, of which there is no proof. Returns the number of the record.
    pub(crate) fn keep<T: 'static>(&self, key: Key, resource: Box<Resource<T>>) -> u64 {
        let at = resource.label().at;
        self.note_owner(key, What::Owned { at });
        self.record(key, Record::Kept(resource))
    }

    fn record(&self, key: Key, record: Record) -> u64 {
        let number = self.next_record.get();
        self.next_record.set(number + 1);
        // Whoever is to own something is there, but on a domain that is dying; there it is finalised.
        if let Some(records) = self.table().records(key) {
            records.keep(number, record);
        }
        number
    }

    /// Notes what has become of a resource of `key`.
    pub(crate) fn note_owner(&self, key: Key, what: What) {
        if !self.recorder.is_on() {
            return;
        }
        let id = self.table().id(key);
        if let Some(id) = id {
            self.recorder.note(id, what);
        }
    }

    pub(crate) fn owned(&self, cx: &Cx) -> Vec<ResourceInfo> {
        let place = self.place(cx);
        let mut table = self.table();
        table
            .records(place)
            .map_or(Vec::new(), |records| records.list())
    }

    /// The oldest of what is owned with `cx` that is a `T` and has no proof.
    pub(crate) fn find<T: 'static>(&self, cx: &Cx) -> Option<u64> {
        let place = self.place(cx);
        self.table().records(place)?.find::<T>()
    }

    fn hold<T: 'static>(&self, cx: &Cx, number: u64) -> Option<Box<Resource<T>>> {
        let place = self.place(cx);
        self.table().records(place)?.hold(number)
    }

    // ANCHOR: put_back
    fn put_back<T: 'static>(&self, cx: &Cx, number: u64, resource: Box<Resource<T>>) {
        // As above, a proof does not outlive its record but on a domain that is dying.
        if let Some(records) = self.table().records_with(cx.key, cx.task, number) {
            records.keep(number, Record::Kept(resource));
        }
    }
    // ANCHOR_END: put_back

    fn strike_out(&self, cx: &Cx, number: u64) {
        if let Some(records) = self.table().records_with(cx.key, cx.task, number) {
            records.remove(number);
        }
    }
}
