//! Which line of a program each domain is at. The copies that the build script makes of the programs call [`at`] and
//! [`awaited`].

use std::cell::Cell;
use std::future::IntoFuture;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread;

/// The program went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) domain: usize,
    /// So many events the domain had noted before.
    pub(crate) events: usize,
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A statement begins, or a future that was awaited is ready.
    Goes,
    /// A future is asked whether it is ready.
    Asks,
}

/// Tells how many events a domain has noted.
type Count = Box<dyn Fn(usize) -> usize + Send>;

struct Watched {
    count: Count,
    marks: Vec<Mark>,
}

static WATCHED: Mutex<Option<Watched>> = Mutex::new(None);
/// One run at a time is watched.
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    static WATCHER: Cell<bool> = const { Cell::new(false) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `program` on this thread, which is dom0, and gives the marks it has come by.
pub(crate) fn watch<T>(count: Count, program: impl FnOnce() -> T) -> (T, Vec<Mark>) {
    let _turn = lock(&TURN);
    let marks = Vec::new();
    *lock(&WATCHED) = Some(Watched { count, marks });
    WATCHER.set(true);
    let result = program();
    WATCHER.set(false);
    let watched = lock(&WATCHED).take();
    (result, watched.map_or(Vec::new(), |watched| watched.marks))
}

/// The domain of this thread, if it has one.
fn domain() -> Option<usize> {
    if WATCHER.get() {
        return Some(0);
    }
    thread::current().name()?.strip_prefix("dom")?.parse().ok()
}

fn put(line: usize, kind: Kind) {
    let Some(domain) = domain() else { return };
    if let Some(watched) = &mut *lock(&WATCHED) {
        let events = (watched.count)(domain);
        watched.marks.push(Mark {
            domain,
            events,
            line,
            kind,
        });
    }
}

/// The statement of `line` begins.
pub(crate) fn at(line: usize) {
    put(line, Kind::Goes);
}

/// Awaits `future`, and tells whenever it is polled.
pub(crate) async fn awaited<F: IntoFuture>(line: usize, future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    std::future::poll_fn(|cx| {
        put(line, Kind::Asks);
        let future: Pin<&mut F::IntoFuture> = future.as_mut();
        let poll = future.poll(cx);
        if let Poll::Ready(output) = poll {
            put(line, Kind::Goes);
            return Poll::Ready(output);
        }
        Poll::Pending
    })
    .await
}
