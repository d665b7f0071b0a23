//! Readiness: what the system says about the sockets, and who waits for it.
//!
//! A socket is registered once, for reading and writing, edge-triggered: the system reports each
//! change to ready once. So we remember what it said, until an operation finds nothing more to do.

use crate::budget;
use crate::events::{Interrupt, Signals};
use crate::race::race;
use crate::scheduler::Scheduler;
use crate::sleep::sleep;
use crate::suspension::{Suspension, SuspensionId};
use crate::system::System;
use mio::event::Source;
use mio::{Events, Interest, Poll as Selector, Token, Waker};
use std::cell::{Cell, Ref, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The direction of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Read,
    Write,
}

// ANCHOR: readiness
/// What is known of one direction of a socket.
#[derive(Default)]
pub(crate) struct Readiness {
    ready: Cell<bool>,
    /// The other end has hung up or sent urgent data, or the socket has failed. The system says so
    /// once: from then on a short read is no sign that nothing is left. There may be an end or an
    /// error to be read, and a read stops short of urgent data.
    hung_up: Cell<bool>,
    /// Where the task waits that wants it.
    suspension: Cell<Option<SuspensionId>>,
}

/// What is known of a socket, and the socket. It is shared by the socket's handle, the event loop, and
/// the record of who owns the socket.
pub(crate) struct State<S> {
    /// `None` once it was closed or detached.
    socket: RefCell<Option<S>>,
    read: Readiness,
    write: Readiness,
}
// ANCHOR_END: readiness

/// A socket of whatever kind.
pub(crate) trait Watched {
    fn side(&self, side: Side) -> &Readiness;

    /// Closes the socket, even though its handle is still somewhere.
    fn close(&self);
}

impl<S: Source> Watched for State<S> {
    fn side(&self, side: Side) -> &Readiness {
        match side {
            Side::Read => &self.read,
            Side::Write => &self.write,
        }
    }

    fn close(&self) {
        // The system forgets a socket that is closed.
        drop(self.socket.take());
    }
}

/// The token of the wakes from other threads; the sockets count from zero.
const INTERRUPT: Token = Token(usize::MAX);

/// Whether the system itself reports changes, as epoll and kqueue do. Elsewhere mio does, and only
/// after it has heard "would block".
const REPORTS_EVERY_CHANGE: bool = cfg!(any(
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "ios",
    target_os = "linux",
    target_os = "macos",
    target_os = "netbsd",
    target_os = "openbsd",
));

/// How often to try again while descriptors are short.
const SHORTAGE_RETRY: Duration = Duration::from_millis(100);

/// The domain looks at the clock at least that often.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

// ANCHOR: event_loop
/// The sockets of one domain, and the one place where its thread sleeps.
pub(crate) struct EventLoop {
    /// `None` when the run is over. A socket may outlive it.
    selector: RefCell<Option<Selector>>,
    events: RefCell<Events>,
    waker: Cell<Option<Arc<Waker>>>,
    /// By token; `None` where a socket has gone.
    sockets: RefCell<Vec<Option<Rc<dyn Watched>>>>,
    vacant: RefCell<Vec<usize>>,
    /// Where those wait who want a descriptor.
    shortage: RefCell<Vec<SuspensionId>>,
}
// ANCHOR_END: event_loop

impl EventLoop {
    pub(crate) fn new() -> io::Result<EventLoop> {
        let selector = Selector::new()?;
        let waker = Arc::new(Waker::new(selector.registry(), INTERRUPT)?);
        Ok(EventLoop {
            selector: RefCell::new(Some(selector)),
            events: RefCell::new(Events::with_capacity(256)),
            waker: Cell::new(Some(waker)),
            sockets: RefCell::default(),
            vacant: RefCell::default(),
            shortage: RefCell::default(),
        })
    }

    /// What ends the sleep here, from any thread.
    pub(crate) fn interrupt(&self) -> io::Result<Interrupt> {
        let Some(waker) = self.waker.take() else {
            return Err(io::Error::other("this run has ended"));
        };
        self.waker.set(Some(waker.clone()));
        // It fails only for a place that is gone, and nobody sleeps there.
        Ok(Arc::new(move || drop(waker.wake())))
    }

    // ANCHOR: end
    /// The run is over: nobody will look any more.
    pub(crate) fn end(&self) {
        drop(self.selector.take());
        drop(self.waker.take());
    }

    fn register(&self, socket: &mut impl Source, token: usize) -> io::Result<()> {
        let interests = Interest::READABLE | Interest::WRITABLE;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let interests = interests | Interest::PRIORITY;
        match &*self.selector.borrow() {
            Some(selector) => selector
                .registry()
                .register(socket, Token(token), interests),
            None => Err(io::Error::other("this run has ended")),
        }
    }

    fn deregister(&self, socket: &mut impl Source) -> io::Result<()> {
        match &*self.selector.borrow() {
            Some(selector) => selector.registry().deregister(socket),
            None => Ok(()),
        }
    }
    // ANCHOR_END: end

    // ANCHOR: look
    /// Takes in what the system has to say, and signals who waited for it. Waits until there is
    /// something, or an interrupt, for as long as `limit` at most.
    pub(crate) fn look(
        &self,
        limit: Option<Duration>,
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        let is_watching = self.vacant.borrow().len() < self.sockets.borrow().len();
        if limit == Some(Duration::ZERO) && !is_watching {
            return Ok(());
        }
        let mut events = self.events.borrow_mut();
        // Some systems refuse to wait for a century.
        let limit = limit.map(|limit| limit.min(LONGEST_WAIT));
        let mut selector = self.selector.borrow_mut();
        let Some(selector) = &mut *selector else {
            return Ok(());
        };
        match selector.poll(&mut events, limit) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &*events {
            if event.token() == INTERRUPT {
                continue;
            }
            let hung_up = event.is_read_closed() || event.is_error() || event.is_priority();
            if event.is_readable() || hung_up {
                self.set_ready(event.token().0, Side::Read, hung_up, signals);
            }
            let hung_up = event.is_write_closed() || event.is_error();
            if event.is_writable() || hung_up {
                self.set_ready(event.token().0, Side::Write, hung_up, signals);
            }
        }
        Ok(())
    }
    // ANCHOR_END: look

    // ANCHOR: set_ready
    /// An event may be about a socket that had this token before. It does no harm: whoever is
    /// resumed by it tries, and waits again.
    fn set_ready(&self, token: usize, side: Side, hung_up: bool, signals: &mut Signals<'_>) {
        let sockets = self.sockets.borrow();
        let Some(Some(socket)) = sockets.get(token) else {
            return;
        };
        let readiness = socket.side(side);
        readiness.ready.set(true);
        if hung_up {
            readiness.hung_up.set(true);
        }
        if let Some(suspension) = readiness.suspension.take() {
            signals.push(suspension);
        }
    }
    // ANCHOR_END: set_ready

    fn take_token(&self, state: Rc<dyn Watched>) -> usize {
        let mut sockets = self.sockets.borrow_mut();
        match self.vacant.borrow_mut().pop() {
            Some(token) => {
                sockets[token] = Some(state);
                token
            }
            None => {
                sockets.push(Some(state));
                sockets.len() - 1
            }
        }
    }

    fn return_token(&self, token: usize) {
        let state = self.sockets.borrow_mut()[token].take();
        self.vacant.borrow_mut().push(token);
        drop(state);
    }
}

/// Waits until a socket of this domain is closed, or a tenth of a second has passed: for a server
/// that was told that there are no descriptors left, so that it tries again at the right moment
/// and does not spin meanwhile.
///
/// Dropped, it waits no more and has done nothing.
///
/// # Panics
///
/// If polled outside of [`run`](crate::run), or in a run whose [`Events`](crate::Events) have no [`System`].
// ANCHOR: shortage
pub async fn descriptor_freed() {
    let freed = Scheduler::with_current(|scheduler| {
        let system = scheduler.system.as_ref()?;
        let freed = Suspension::new(scheduler, "a free descriptor");
        let mut waiting = system.event_loop().shortage.borrow_mut();
        // Those who gave up are not waiting any more.
        waiting.retain(|&id| scheduler.suspensions.borrow().is_pending(id));
        waiting.push(freed.id());
        Some(freed)
    });
    let freed = match freed {
        Some(Some(freed)) => freed,
        Some(None) => panic!("descriptor_freed was awaited in a run whose events have no sockets"),
        None => panic!("descriptor_freed was awaited outside of run"),
    };
    // They may be freed by code that this event loop does not see.
    race(freed, sleep(SHORTAGE_RETRY)).await;
}
// ANCHOR_END: shortage

// ANCHOR: registered
/// A socket that the event loop of this thread watches.
pub(crate) struct Registered<S: Source> {
    token: usize,
    state: Rc<State<S>>,
    system: System,
}

impl<S: Source + 'static> Registered<S> {
    /// Registers `socket`. One that may be ready counts as ready until an operation finds that it
    /// is not; one that still connects must not, it has to wait for the system's word.
    pub(crate) fn new(mut socket: S, ready: bool) -> io::Result<Registered<S>> {
        let system = match Scheduler::with_current(|scheduler| scheduler.system.clone()) {
            Some(Some(system)) => system,
            Some(None) => return Err(io::Error::other("the events of this run have no sockets")),
            None => return Err(io::Error::other("a socket can only be made inside of run")),
        };
        let event_loop = system.event_loop();
        let state = Rc::new(State {
            socket: RefCell::new(None),
            read: Readiness::default(),
            write: Readiness::default(),
        });
        state.read.ready.set(ready);
        state.write.ready.set(ready);
        let token = event_loop.take_token(state.clone());
        if let Err(error) = event_loop.register(&mut socket, token) {
            event_loop.return_token(token);
            return Err(error);
        }
        state.socket.replace(Some(socket));
        Ok(Registered {
            token,
            state,
            system,
        })
    }
    // ANCHOR_END: registered

    /// # Errors
    ///
    /// It was closed, because a proof was lost in which it once was.
    pub(crate) fn socket(&self) -> io::Result<Ref<'_, S>> {
        Ref::filter_map(self.state.socket.borrow(), Option::as_ref)
            .map_err(|_| io::Error::new(ErrorKind::NotConnected, "this socket was closed"))
    }

    /// The socket, for whoever has to close it should this handle get lost.
    pub(crate) fn watched(&self) -> Rc<dyn Watched> {
        self.state.clone()
    }

    // ANCHOR: detach
    /// The socket, with which this event loop has nothing to do any more.
    ///
    /// # Errors
    ///
    /// Those of the system. The socket is closed then.
    pub(crate) fn detach(self) -> io::Result<S> {
        drop(self.socket()?);
        let Some(mut socket) = self.state.socket.take() else {
            unreachable!("looked at above")
        };
        self.system.event_loop().deregister(&mut socket)?;
        Ok(socket)
    }
    // ANCHOR_END: detach

    /// Tries `operation` until it does not answer "would block", and waits for `side` in between.
    /// `what` says what it waits for.
    ///
    /// Dropped, it has either completed the operation or not begun it.
    // ANCHOR: operate
    pub(crate) async fn operate<R>(
        &self,
        side: Side,
        what: &'static str,
        mut operation: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        let readiness = self.state.side(side);
        let mut suspension = None;
        poll_fn(|cx| {
            if readiness.ready.get() {
                ready!(budget::poll_spend(cx));
            }
            while readiness.ready.get() {
                match operation(&*self.socket()?) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        readiness.ready.set(false);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    result => return Poll::Ready(result),
                }
            }
            match self.wait(readiness, &mut suspension, what, cx) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }
    // ANCHOR_END: operate

    // ANCHOR: used_up
    /// Notes that an operation on `side` took less than it could have: the next one would block,
    /// unless it finds the end.
    pub(crate) fn used_up(&self, side: Side) {
        let readiness = self.state.side(side);
        if REPORTS_EVERY_CHANGE && !readiness.hung_up.get() {
            readiness.ready.set(false);
        }
    }
    // ANCHOR_END: used_up

    // ANCHOR: wait
    /// Waits at `suspension`, or at a new one if that was signalled, for `readiness`.
    fn wait(
        &self,
        readiness: &Readiness,
        suspension: &mut Option<Suspension>,
        what: &'static str,
        cx: &Context<'_>,
    ) -> io::Result<()> {
        let waits = Scheduler::with_current(|scheduler| {
            let is_of_this_run = |system| self.system.is(system);
            if !scheduler.system.as_ref().is_some_and(is_of_this_run) {
                return false;
            }
            let goes_on =
                |former: &Suspension| scheduler.suspensions.borrow().is_pending(former.id());
            if !suspension.as_ref().is_some_and(goes_on) {
                let made = Suspension::new(scheduler, what);
                readiness.suspension.set(Some(made.id()));
                *suspension = Some(made);
            }
            if let Some(suspension) = suspension {
                suspension.wake_when_signalled(scheduler, cx);
            }
            true
        });
        match waits {
            Some(true) => Ok(()),
            // In another run nobody looks at this socket, and the wait would never end.
            _ => Err(io::Error::other("this socket's run has ended")),
        }
    }
    // ANCHOR_END: wait
}

impl<S: Source + fmt::Debug + 'static> fmt::Debug for Registered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.socket() {
            Ok(socket) => socket.fmt(f),
            Err(_) => f.write_str("closed"),
        }
    }
}

impl<S: Source> Drop for Registered<S> {
    fn drop(&mut self) {
        let event_loop = self.system.event_loop();
        if let Some(mut socket) = self.state.socket.take() {
            // If the system knows it no more, all the better.
            let _ = event_loop.deregister(&mut socket);
        }
        event_loop.return_token(self.token);
        let mut waiting = event_loop.shortage.take();
        // Operations that were forgotten half-way wait no more.
        let sides = [Side::Read, Side::Write].map(|side| self.state.side(side));
        waiting.extend(sides.into_iter().filter_map(|side| side.suspension.take()));
        Scheduler::with_current(|scheduler| {
            for suspension in waiting {
                scheduler.signal(suspension);
            }
        });
    }
}
