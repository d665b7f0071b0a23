//! The runtime's own events: sockets and time, in one wait.

use crate::event_loop::EventLoop;
use crate::events::{Events, Interrupt, Signals};
use crate::suspension::SuspensionId;
use crate::timers::Timers;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

// ANCHOR: system
/// Sockets and time: what a domain has for [`Events`] by default.
///
/// A clone is the same one.
#[derive(Clone)]
pub struct System(Rc<Parts>);

struct Parts {
    event_loop: EventLoop,
    timers: RefCell<Timers>,
}

impl System {
    /// For the domain of the current thread.
    ///
    /// # Errors
    ///
    /// The system has no event queue to give, above all because descriptors have run out.
    pub fn new() -> io::Result<System> {
        Ok(System(Rc::new(Parts {
            event_loop: EventLoop::new()?,
            timers: RefCell::default(),
        })))
    }

    pub(crate) fn event_loop(&self) -> &EventLoop {
        &self.0.event_loop
    }

    pub(crate) fn is(&self, other: &System) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn set_alarm(&self, time: Instant, suspension: SuspensionId) {
        self.0.timers.borrow_mut().insert(time, suspension);
    }
}
// ANCHOR_END: system

// ANCHOR: select
impl Events for System {
    fn select(
        &mut self,
        block: bool,
        cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        let Parts { event_loop, timers } = &*self.0;
        let mut timers = timers.borrow_mut();
        timers.forget(cancelled, signals);
        // Nobody looks at a clock while nobody sleeps.
        let next = timers.next(signals);
        let wait = match next {
            _ if !block => Some(Duration::ZERO),
            Some(next) => Some(next.saturating_duration_since(Instant::now())),
            None => None,
        };
        event_loop.look(wait, signals)?;
        if next.is_some() {
            timers.fire(Instant::now(), signals);
        }
        Ok(())
    }

    fn interrupt(&self) -> io::Result<Interrupt> {
        self.0.event_loop.interrupt()
    }

    fn system(&self) -> Option<&System> {
        Some(self)
    }
}
// ANCHOR_END: select

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("System").finish_non_exhaustive()
    }
}
