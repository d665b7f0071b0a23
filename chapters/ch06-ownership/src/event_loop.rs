//! Readiness: what the system says about the sockets, and who waits for it.
//!
//! A socket is registered once, for reading and writing, edge-triggered: the system reports each
//! change to ready once. So we remember what it said, until an operation finds nothing more to do.

use crate::budget;
use crate::scheduler::Scheduler;
use crate::table::Waiter;
use mio::event::Source;
use mio::{Events, Interest, Poll as Selector, Token};
use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

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
    waiter: Cell<Option<Waiter>>,
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

/// How often to try again while descriptors are short. They may be freed by code that this event
/// loop does not see.
const SHORTAGE_RETRY: Duration = Duration::from_millis(100);

// ANCHOR: place
/// A place for a thread to sleep at. It is made by one thread, for another one to sleep there.
pub(crate) struct WaitingPlace {
    selector: Selector,
}

impl WaitingPlace {
    pub(crate) fn new() -> io::Result<WaitingPlace> {
        let selector = Selector::new()?;
        Ok(WaitingPlace { selector })
    }

    /// What ends the sleep there, from any thread.
    pub(crate) fn interrupter(&self) -> io::Result<impl Fn() + Send + Sync + use<>> {
        let waker = mio::Waker::new(self.selector.registry(), INTERRUPT)?;
        // It fails only for a place that is gone, and nobody sleeps there.
        Ok(move || drop(waker.wake()))
    }
}
// ANCHOR_END: place

// ANCHOR: event_loop
/// The sockets of one scheduler, and the one place where its thread sleeps.
pub(crate) struct EventLoop {
    /// `None` when the run is over. A socket may outlive it.
    selector: RefCell<Option<Selector>>,
    events: RefCell<Events>,
    /// By token; `None` where a socket has gone.
    sockets: RefCell<Vec<Option<Rc<dyn Watched>>>>,
    vacant: RefCell<Vec<usize>>,
    /// How many waiters there are in all sockets.
    waiting: Cell<usize>,
    shortage: RefCell<Shortage>,
}

/// Those who wait for a descriptor to become free. Each has drawn a number; all are called at once.
#[derive(Default)]
struct Shortage {
    waiters: BTreeMap<u64, Waiter>,
    drawn: u64,
    called: u64,
    retry_at: Option<Instant>,
}
// ANCHOR_END: event_loop

impl EventLoop {
    pub(crate) fn new(place: WaitingPlace) -> EventLoop {
        EventLoop {
            selector: RefCell::new(Some(place.selector)),
            events: RefCell::new(Events::with_capacity(256)),
            sockets: RefCell::default(),
            vacant: RefCell::default(),
            waiting: Cell::new(0),
            shortage: RefCell::default(),
        }
    }

    // ANCHOR: end
    /// The run is over: nobody will look any more.
    pub(crate) fn end(&self) {
        drop(self.selector.take());
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

    /// Whether an event could come that somebody waits for.
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.get() > 0 || !self.shortage.borrow().waiters.is_empty()
    }

    // ANCHOR: look
    /// Takes in what the system has to say, and wakes who waited for it. If `sleep`, waits until
    /// there is something, or an interrupt.
    pub(crate) fn look(&self, sleep: bool, scheduler: &Scheduler) -> io::Result<()> {
        if !sleep && !self.is_awaited() {
            return Ok(());
        }
        let timeout = if sleep {
            self.until_retry()
        } else {
            Some(Duration::ZERO)
        };
        let mut events = self.events.borrow_mut();
        let mut selector = self.selector.borrow_mut();
        let Some(selector) = &mut *selector else {
            return Ok(());
        };
        match selector.poll(&mut events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &*events {
            if event.token() == INTERRUPT {
                continue;
            }
            let hung_up = event.is_read_closed() || event.is_error() || event.is_priority();
            if event.is_readable() || hung_up {
                self.set_ready(event.token().0, Side::Read, hung_up, scheduler);
            }
            let hung_up = event.is_write_closed() || event.is_error();
            if event.is_writable() || hung_up {
                self.set_ready(event.token().0, Side::Write, hung_up, scheduler);
            }
        }
        drop(events);
        if self.until_retry() == Some(Duration::ZERO) {
            self.end_shortage(scheduler);
        }
        Ok(())
    }
    // ANCHOR_END: look

    // ANCHOR: set_ready
    /// An event may be about a socket that had this token before. It does no harm: whoever is
    /// woken by it tries, and waits again.
    fn set_ready(&self, token: usize, side: Side, hung_up: bool, scheduler: &Scheduler) {
        let Some(Some(state)) = self.sockets.borrow().get(token).cloned() else {
            return;
        };
        let readiness = state.side(side);
        readiness.ready.set(true);
        if hung_up {
            readiness.hung_up.set(true);
        }
        if let Some(waiter) = self.take_waiter(readiness) {
            scheduler.wake_waiter(waiter);
        }
    }
    // ANCHOR_END: set_ready

    fn set_waiter(&self, readiness: &Readiness, waiter: Waiter) {
        if readiness.waiter.replace(Some(waiter)).is_none() {
            self.waiting.set(self.waiting.get() + 1);
        }
    }

    fn take_waiter(&self, readiness: &Readiness) -> Option<Waiter> {
        let waiter = readiness.waiter.take();
        if waiter.is_some() {
            self.waiting.set(self.waiting.get() - 1);
        }
        waiter
    }

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

    fn until_retry(&self) -> Option<Duration> {
        let retry_at = self.shortage.borrow().retry_at?;
        Some(retry_at.saturating_duration_since(Instant::now()))
    }

    fn end_shortage(&self, scheduler: &Scheduler) {
        let mut shortage = self.shortage.borrow_mut();
        shortage.called = shortage.drawn;
        shortage.retry_at = None;
        let waiters = std::mem::take(&mut shortage.waiters);
        drop(shortage);
        for waiter in waiters.into_values() {
            scheduler.wake_waiter(waiter);
        }
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
/// If polled outside of [`run`](crate::run).
// ANCHOR: shortage
pub async fn descriptor_freed() {
    let Some(event_loop) = Scheduler::with_current(|scheduler| scheduler.event_loop.clone()) else {
        panic!("descriptor_freed was awaited outside of run")
    };
    let ticket = Ticket::draw(event_loop);
    poll_fn(|cx| ticket.poll(cx)).await;
}

struct Ticket {
    event_loop: Rc<EventLoop>,
    number: u64,
}

impl Ticket {
    fn draw(event_loop: Rc<EventLoop>) -> Ticket {
        let mut shortage = event_loop.shortage.borrow_mut();
        shortage.drawn += 1;
        let number = shortage.drawn;
        if shortage.retry_at.is_none() {
            shortage.retry_at = Some(Instant::now() + SHORTAGE_RETRY);
        }
        drop(shortage);
        Ticket { event_loop, number }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.event_loop.shortage.borrow().called >= self.number {
            return Poll::Ready(());
        }
        let waiter = Scheduler::with_current(|scheduler| {
            // In another run nobody looks at this event loop, and the wait would never end.
            let here = Rc::ptr_eq(&scheduler.event_loop, &self.event_loop);
            here.then(|| {
                scheduler.wait_for("a free descriptor", None);
                scheduler.waiter(cx.waker())
            })
        });
        let Some(waiter) = waiter.flatten() else {
            return Poll::Ready(());
        };
        let mut shortage = self.event_loop.shortage.borrow_mut();
        let former = shortage.waiters.insert(self.number, waiter);
        drop(shortage);
        drop(former);
        Poll::Pending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let waiter = self
            .event_loop
            .shortage
            .borrow_mut()
            .waiters
            .remove(&self.number);
        drop(waiter);
    }
}
// ANCHOR_END: shortage

// ANCHOR: registered
/// A socket that the event loop of this thread watches.
pub(crate) struct Registered<S: Source> {
    token: usize,
    state: Rc<State<S>>,
    event_loop: Rc<EventLoop>,
}

impl<S: Source + 'static> Registered<S> {
    /// Registers `socket`. One that may be ready counts as ready until an operation finds that it
    /// is not; one that still connects must not, it has to wait for the system's word.
    pub(crate) fn new(mut socket: S, ready: bool) -> io::Result<Registered<S>> {
        let event_loop = Scheduler::with_current(|scheduler| scheduler.event_loop.clone());
        let Some(event_loop) = event_loop else {
            return Err(io::Error::other("a socket can only be made inside of run"));
        };
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
            event_loop,
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
        self.event_loop.deregister(&mut socket)?;
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
        let _given_up = GivenUp(&self.event_loop, readiness);
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
            self.wait(readiness, what, cx)
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

    fn wait<R>(
        &self,
        readiness: &Readiness,
        what: &'static str,
        cx: &Context<'_>,
    ) -> Poll<io::Result<R>> {
        let noted = Scheduler::with_current(|scheduler| {
            // In another run nobody looks at this event loop, and the wait would never end.
            if !Rc::ptr_eq(&scheduler.event_loop, &self.event_loop) {
                return false;
            }
            scheduler.wait_for(what, None);
            let waiter = scheduler.waiter(cx.waker());
            self.event_loop.set_waiter(readiness, waiter);
            true
        });
        match noted {
            Some(true) => Poll::Pending,
            _ => Poll::Ready(Err(io::Error::other("this socket's run has ended"))),
        }
    }
}

/// Dropped with the future of an operation: who gives it up waits no more.
struct GivenUp<'a>(&'a EventLoop, &'a Readiness);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        drop(self.0.take_waiter(self.1));
    }
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
        if let Some(mut socket) = self.state.socket.take() {
            // If the system knows it no more, all the better.
            let _ = self.event_loop.deregister(&mut socket);
        }
        self.event_loop.return_token(self.token);
        for side in [Side::Read, Side::Write] {
            // An operation that was forgotten half-way waits no more.
            drop(self.event_loop.take_waiter(self.state.side(side)));
        }
        Scheduler::with_current(|scheduler| {
            if Rc::ptr_eq(&scheduler.event_loop, &self.event_loop) {
                self.event_loop.end_shortage(scheduler);
            }
        });
    }
}
