//! Children that their parent does not hold by name.

use crate::budget;
use crate::cx::Cx;
use crate::domain::{Domain, NoDomainAvailable};
use crate::failure::Result;
use crate::give::{Gifts, GiveOrphan};
use crate::scheduler::Scheduler;
use crate::table::{Key, Kind, Progress};
use crate::task::{Task, open};
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::panic::Location;
use std::task::{Poll, ready};

// ANCHOR: orphans
/// A group of children of one task, for those who spawn more than they can keep track of: a server
/// and its clients. Whoever is over can be asked for, in the order in which they ended.
///
/// Every operation takes the same time, however many there are. A child whose result was given is
/// forgotten by the group; so a group is as large as the number of those that are not over, or over and not
/// yet asked for.
///
/// Dropping it forgets the children that are left: if the parent then ends well, that is a
/// [`Violation`](crate::Violation).
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{run, yield_now};
///
/// run(async |cx| {
///     let mut clients = cx.orphans();
///     for turns in [3, 1, 2] {
///         clients.spawn(async move |_| {
///             for _ in 0..turns {
///                 yield_now().await;
///             }
///             Ok(turns)
///         });
///     }
///     let mut order = Vec::new();
///     while let Some(turns) = clients.next().await {
///         order.push(turns?);
///     }
///     assert_eq!(order, [1, 2, 3]);
///     Ok(())
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
pub struct Orphans<'p, T> {
    parent: &'p Cx,
    group: Key,
    len: usize,
    result: PhantomData<fn() -> T>,
}

/// What [`Orphans::care`] finds.
#[derive(Debug)]
pub enum Care<T> {
    /// There are no children left.
    Empty,
    /// There are, and none of them is over.
    Busy,
    /// This is the result of one that was over.
    Over(Result<T>),
}
// ANCHOR_END: orphans

impl<'p, T: 'static> Orphans<'p, T> {
    pub(crate) fn new(parent: &'p Cx, at: &'static Location<'static>) -> Orphans<'p, T> {
        let (group, _) = parent
            .scheduler
            .reserve(parent, parent.key, Kind::Group, at);
        Orphans {
            parent,
            group,
            len: 0,
            result: PhantomData,
        }
    }

    /// Starts a child, as [`Cx::spawn`] does.
    #[track_caller]
    pub fn spawn(&mut self, f: impl AsyncFnOnce(&Cx) -> Result<T> + 'static) {
        let at = Location::caller();
        self.start(move |_, _| f, at);
    }

    /// Starts a child on another domain, as [`Cx::call`] does.
    ///
    /// # Errors
    ///
    /// There is no other domain.
    #[track_caller]
    pub fn call(
        &mut self,
        f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
    ) -> std::result::Result<(), NoDomainAvailable>
    where
        T: Send,
    {
        self.start_on(self.parent.any_other()?, move |_, _| f, Location::caller());
        Ok(())
    }

    /// Starts a child on `domain`, as [`Cx::call_on`] does.
    ///
    /// # Errors
    ///
    /// It is none of [`Cx::domains`].
    #[track_caller]
    pub fn call_on(
        &mut self,
        domain: Domain,
        f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
    ) -> std::result::Result<(), NoDomainAvailable>
    where
        T: Send,
    {
        let domain = self.parent.another(domain)?;
        self.start_on(domain, move |_, _| f, Location::caller());
        Ok(())
    }

    pub(crate) fn start<F: AsyncFnOnce(&Cx) -> Result<T> + 'static>(
        &mut self,
        make: impl FnOnce(&Scheduler, Key) -> F,
        at: &'static Location<'static>,
    ) {
        let Orphans { parent, group, .. } = self;
        parent.scheduler.spawn(parent, *group, make, at);
        self.len += 1;
    }

    pub(crate) fn start_on<F: AsyncFnOnce(&Cx) -> Result<T> + 'static>(
        &mut self,
        domain: Domain,
        make: impl FnOnce(&Scheduler, Key) -> F + Send + 'static,
        at: &'static Location<'static>,
    ) where
        T: Send,
    {
        let Orphans { parent, group, .. } = self;
        parent.scheduler.call(parent, *group, domain, make, at);
        self.len += 1;
    }

    /// Hands resources to a child of the group, as [`Cx::give`] does to a child that is held by name:
    /// `clients.give(stream).spawn(…)`.
    pub fn give<G: Gifts>(&mut self, gifts: G) -> GiveOrphan<'_, 'p, T, G> {
        GiveOrphan::new(self, gifts)
    }

    /// The task, or scope, whose children these are.
    pub(crate) fn parent(&self) -> &'p Cx {
        self.parent
    }

    // ANCHOR: next
    /// Waits for a child to be over, and gives its result. `None` if there are no children left.
    ///
    /// Dropped before it is ready, it has taken nothing.
    ///
    /// # Errors
    ///
    /// Those of the child.
    pub async fn next(&mut self) -> Option<Result<T>> {
        poll_fn(|cx| {
            let scheduler = &self.parent.scheduler;
            if self.len > 0 && !scheduler.has_over(self.group) {
                scheduler.wait_for("an orphan", None);
                scheduler.set_waiter(self.group, cx.waker());
                return Poll::Pending;
            }
            ready!(budget::poll_spend(cx));
            match self.care() {
                Care::Over(result) => Poll::Ready(Some(result)),
                Care::Empty | Care::Busy => Poll::Ready(None),
            }
        })
        .await
    }

    // ANCHOR: care
    /// Like [`next`](Orphans::next), but answers at once.
    pub fn care(&mut self) -> Care<T> {
        let scheduler = &self.parent.scheduler;
        let over = scheduler.next_over(self.group);
        if let Some(Progress::Over(outcome)) = over.map(|key| scheduler.progress(key)) {
            self.len -= 1;
            return Care::Over(open(outcome));
        }
        match self.len {
            0 => Care::Empty,
            _ => Care::Busy,
        }
    }
    // ANCHOR_END: care
    // ANCHOR_END: next

    /// Takes a child out of the group: the first of those that are over, or else the oldest. `None` if
    /// there are no children left.
    pub fn take(&mut self) -> Option<Task<'p, T>> {
        let key = self.parent.scheduler.leave_group(self.group)?;
        self.len -= 1;
        Some(Task::new(self.parent, key))
    }

    /// How many children are in the group.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no children in the group.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T> Drop for Orphans<'_, T> {
    fn drop(&mut self) {
        self.parent.scheduler.leave_behind(self.group);
    }
}

impl<T> fmt::Debug for Orphans<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orphans")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
