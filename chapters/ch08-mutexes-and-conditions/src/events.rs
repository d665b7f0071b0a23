//! Where events come from: the trait that teaches a run new ones.

use crate::domain::Domain;
use crate::suspension::{SuspensionId, Suspensions};
use crate::system::System;
use crate::table::Waiter;
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::Arc;

// ANCHOR: events
/// A domain's source of events: what its thread does when it has nothing to do, and whom it resumes.
///
/// Each domain has one, made on its own thread by what [`Builder::events`](crate::Builder::events) was given. Tasks reach it
/// by [`Cx::with_events`](crate::Cx::with_events). By default it is a [`System`]: sockets and time. One that wants to add
/// to these keeps a `System`, hands its calls on to it, and says so in [`system`](Events::system).
///
/// If one fails or panics, its domain dies: its tasks count as failed, and the run ends. It is dropped when its domain
/// has come to its end; the sockets of the domain are closed by then.
// ANCHOR: trait
pub trait Events: Any {
    /// Tells `signals` which suspensions are to be resumed.
    ///
    /// If `block`, no task of this domain can go on: it waits until there is a
    /// suspension to be resumed, or until it is interrupted. It may return without a
    /// signal. Otherwise it looks at what has happened and returns at once.
    ///
    /// `cancelled` are the suspensions that were dropped without a signal since the
    /// last time. Nobody waits for them any more: what is kept for them can go.
    ///
    /// # Errors
    ///
    /// The domain dies of them: only what makes every further event impossible.
    fn select(
        &mut self,
        block: bool,
        cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()>;

    /// What ends a [`select`](Events::select) that blocks, from any thread. If it comes
    /// before that has begun, the next one must not block. It is asked for once, before
    /// the domain's first task. What it gives must not panic: nobody could end the wait then.
    ///
    /// # Errors
    ///
    /// The domain does not begin then, and neither does the run.
    fn interrupt(&self) -> io::Result<Interrupt>;

    /// Ends it: the last call. The domain has no tasks any more.
    ///
    /// # Errors
    ///
    /// They become the failure of the run.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Sockets and time, if this source has them.
    fn system(&self) -> Option<&System> {
        None
    }
}
// ANCHOR_END: trait

/// What ends a sleep, from any thread.
pub type Interrupt = Arc<dyn Fn() + Send + Sync>;
// ANCHOR_END: events

/// Makes the source of a domain, on its thread.
#[derive(Clone)]
pub(crate) struct Source(Arc<Make>);

type Make = dyn Fn(Domain) -> io::Result<Box<dyn Events>> + Send + Sync;

impl Source {
    pub(crate) fn new<E: Events>(
        make: impl Fn(Domain) -> io::Result<E> + Send + Sync + 'static,
    ) -> Source {
        Source(Arc::new(move |domain| Ok(Box::new(make(domain)?) as _)))
    }

    pub(crate) fn make(&self, domain: Domain) -> io::Result<Box<dyn Events>> {
        (self.0)(domain)
    }
}

impl Default for Source {
    fn default() -> Source {
        Source::new(|_| System::new())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

// ANCHOR: signals
/// Collects which suspensions are to be resumed. Their tasks run when [`Events::select`] has returned, in the
/// order of the signals.
pub struct Signals<'s> {
    suspensions: &'s RefCell<Suspensions>,
    waiters: &'s mut Vec<Waiter>,
}

impl<'s> Signals<'s> {
    pub(crate) fn new(
        suspensions: &'s RefCell<Suspensions>,
        waiters: &'s mut Vec<Waiter>,
    ) -> Signals<'s> {
        Signals {
            suspensions,
            waiters,
        }
    }

    /// `suspension` is to be resumed. If it was resumed before, or cancelled, nothing happens.
    pub fn push(&mut self, suspension: SuspensionId) {
        let waiter = self.suspensions.borrow_mut().signal(suspension);
        self.waiters.extend(waiter);
    }

    /// Whether somebody still waits for `suspension`, or will.
    pub fn is_awaited(&self, suspension: SuspensionId) -> bool {
        self.suspensions.borrow().is_pending(suspension)
    }
}
// ANCHOR_END: signals

impl fmt::Debug for Signals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}
