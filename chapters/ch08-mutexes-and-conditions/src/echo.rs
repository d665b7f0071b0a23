//! The echo server: whatever a client sends comes back to it, until it has no more to send.

use std::cell::Cell;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::log::Log;
use crate::places::{Place, Places};
use crate::report::reason;
use crate::{Adopt, Cx, Either, Failure, Kind, Listener, Orphans, Owned, Result, Stream, Trigger};
use crate::{descriptor_freed, race, sleep_until, timeout};

// ANCHOR: server
/// What all domains of a server share.
#[derive(Debug)]
pub struct Server {
    /// How long a client may neither send nor take anything.
    pub idle: Duration,
    /// How long clients may go on when the server is to stop.
    pub grace: Duration,
    /// How many may be served at once.
    pub places: Arc<Places>,
    /// When it is to stop.
    pub stop: Trigger,
    /// Where it says what happens.
    pub log: Log,
}
// ANCHOR_END: server

impl Server {
    /// A server on each domain, with one of `listeners` each; they are among `servers`. dom0, which takes no calls,
    /// takes part by a task of its own.
    ///
    /// # Errors
    ///
    /// None, if there are no more listeners than domains.
    // ANCHOR: start
    pub fn start<K: Kind, L: Adopt<Adopted = Listener<K>> + Send + 'static>(
        self: &Arc<Self>,
        cx: &Cx,
        servers: &mut Orphans<'_, ()>,
        listeners: Vec<L>,
    ) -> Result<()> {
        let mut listeners = listeners.into_iter();
        let server = |listener: L| {
            let server = self.clone();
            async move |cx: &Cx| server.serve(cx, cx.adopt(listener)?.owned(cx)).await
        };
        if let Some(listener) = listeners.next() {
            servers.spawn(server(listener));
        }
        for (domain, listener) in cx.domains().zip(listeners) {
            servers.call_on(domain, server(listener))?;
        }
        Ok(())
    }
    // ANCHOR_END: start

    /// Serves all clients at once, each in a task of its own, until [`stop`](Server::stop). Then it takes no more clients,
    /// and returns when all have ended; those that are left after the time of grace are cancelled.
    ///
    /// A client that fails stands in the log with its address, and ends nobody else; so does one that is idle for too long.
    ///
    /// # Errors
    ///
    /// None. Cancelled, it cancels its clients.
    // ANCHOR: serve
    pub async fn serve<K: Kind>(
        self: &Arc<Self>,
        cx: &Cx,
        listener: Owned<'_, Listener<K>>,
    ) -> Result<()> {
        let mut clients = cx.orphans();
        let mut stop = self.stop.clone();
        let mut listener = listener;
        loop {
            // The listener goes to a child, and comes back with a client.
            let server = self.clone();
            let mut accepting = cx
                .give(listener)
                .spawn(async move |cx, listener| server.accept(cx, listener).await);
            let next = async {
                loop {
                    // Who has finished comes first: there may always be one more to accept.
                    match race(finished(&mut clients), &mut accepting).await {
                        Either::First(ended) => self.note(ended),
                        Either::Second(accepted) => return accepted,
                    }
                }
            };
            // ANCHOR: stopping
            // In this order: a client that is handed over already is served.
            let name = match race(next, &mut stop).await {
                Either::First(accepted) => accepted?,
                Either::Second(()) => {
                    // The listener is closed with it.
                    accepting.cancel().await?;
                    return self.part_with(clients).await;
                }
            };
            // ANCHOR_END: stopping
            let gifts = (
                cx.receive(),
                cx.receive::<Stream<K>>(),
                cx.receive::<Place>(),
            );
            let (Some(back), Some(stream), Some(place)) = gifts else {
                return Err(Failure::msg(
                    "whoever accepts hands over the client, its place and the listener",
                ));
            };
            listener = back;
            let server = self.clone();
            clients
                .give((stream, place))
                .spawn(async move |cx, gifts| server.client(cx, gifts, name).await);
        }
    }
    // ANCHOR_END: serve

    // ANCHOR: part_with
    /// Waits for `clients`, but no longer than the time of grace.
    async fn part_with(&self, mut clients: Orphans<'_, ()>) -> Result<()> {
        let ending = async {
            while let Some(ended) = clients.next().await {
                self.note(ended);
            }
        };
        if timeout(self.grace, ending).await.is_ok() {
            return Ok(());
        }
        // All at once: each may take its time to say goodbye.
        let mut parting = Vec::new();
        while let Some(client) = clients.take() {
            parting.push(client.cancel());
        }
        let count = parting.len();
        let line = format_args!("the time of grace is over: closing {count} of the clients");
        self.log.line(line);
        for parting in parting {
            self.note(parting.await);
        }
        Ok(())
    }
    // ANCHOR_END: part_with

    fn note(&self, ended: Result<()>) {
        if let Err(failure) = ended {
            self.log.line(failure);
        }
    }

    /// A scope ends as a task does: a panic in it is a failure, to which the name can be added. What
    /// goes wrong then in closing the connection is among the suppressed failures.
    // ANCHOR: client
    async fn client<K: Kind>(
        &self,
        cx: &Cx,
        (stream, place): (Owned<'_, Stream<K>>, Owned<'_, Place>),
        name: String,
    ) -> Result<()> {
        let start = Instant::now();
        let mut stream = cx.own_async(name.clone(), stream.disown(), 2 * LINGER, part);
        let served = cx.scope(async move |_| {
            let count = echo(&mut stream, self.idle).await?;
            stream.release().await?;
            Ok(count)
        });
        let count = served
            .await
            .map_err(|failure| failure.context(format_args!("{name}")))?;
        let (seconds, domain) = (start.elapsed().as_secs_f64(), cx.domain());
        self.log.line(format_args!(
            "{name}: {count} bytes in {seconds:.3} s on {domain}"
        ));
        place.release().await
    }
    // ANCHOR_END: client

    /// Waits for the next client and for a place for it, however long that takes, and transfers both, and the listener.
    /// Gives the client's name. When clients cannot be had, the log says why, once for each such wait.
    // ANCHOR: accept
    async fn accept<K: Kind>(
        &self,
        cx: &Cx,
        mut listener: Owned<'_, Listener<K>>,
    ) -> Result<String> {
        let mut told = None;
        loop {
            let error = match listener.accept(cx).await {
                Ok((stream, address)) => {
                    let place = self.places.take(cx).await;
                    stream.transfer();
                    place.transfer();
                    listener.transfer();
                    return Ok(format!("client {}", K::name(&address)));
                }
                Err(error) => error,
            };
            let reason = reason(&error);
            if told.as_ref() != Some(&reason) {
                let line = format_args!("cannot accept a client: {reason}");
                self.log.line(line);
                told = Some(reason);
            }
            // A client that left before its turn concerns nobody else. Any other error, such as too
            // many open files, stays for a while, and so does the client in the queue.
            if error.kind() != ErrorKind::ConnectionAborted {
                descriptor_freed().await;
            }
        }
    }
    // ANCHOR_END: accept
}

/// The result of the next client that is over.
async fn finished(clients: &mut Orphans<'_, ()>) -> Result<()> {
    match clients.next().await {
        Some(result) => result,
        // Nobody is there to wait for.
        None => pending().await,
    }
}

/// How long a client may take to hang up when it has heard that it is over.
const LINGER: Duration = Duration::from_secs(1);

/// Closes a connection such that nothing that was sent is lost: when bytes arrive at a socket that is closed,
/// the system resets the connection, and the other end may never read our last ones.
// ANCHOR: part
async fn part<K: Kind>(mut stream: Stream<K>) -> Result<()> {
    // If it fails, the connection is gone, and nobody will hang up.
    if stream.shutdown(Shutdown::Write).is_ok() {
        // To be slow is no failure.
        if let Ok(emptied) = timeout(LINGER, pin!(empty(&mut stream))).await {
            emptied?;
        }
    }
    Ok(stream.close()?)
}

/// Reads until the other end hangs up.
async fn empty<K: Kind>(stream: &mut Stream<K>) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
// ANCHOR_END: part

/// Sends back all that comes from `stream`, until its end, or until nothing has moved for as long as `idle`. Gives the
/// number of bytes.
///
/// Dropped before it is ready, it leaves open how much has come and was sent back.
///
/// # Errors
///
/// Those of reading and writing: above all, the client has gone without saying goodbye
/// ([`ErrorKind::ConnectionReset`] or [`ErrorKind::BrokenPipe`]), or was idle for too long ([`ErrorKind::TimedOut`]).
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{TcpListener, TcpStream, echo, run};
/// use std::net::Shutdown;
/// use std::time::Duration;
///
/// let answer = run(async |cx| {
///     let mut listener = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     client.write_all(b"hello").await?;
///     client.shutdown(Shutdown::Write)?;
///
///     let (mut stream, _) = listener.accept().await?;
///     let count = cx.spawn(async move |_| Ok(echo(&mut stream, Duration::MAX).await?));
///     assert_eq!(count.await?, 5);
///
///     let mut answer = [0; 5];
///     let count = client.read(&mut answer).await?;
///     Ok(answer[..count].to_vec())
/// });
/// assert_eq!(answer?, b"hello");
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
// ANCHOR: echo
pub async fn echo<K: Kind>(stream: &mut Stream<K>, idle: Duration) -> io::Result<u64> {
    // An answer that waits for the next one to fill the packet is no answer.
    stream.send_at_once()?;
    let moved = Cell::new(Instant::now());
    match race(pin!(send_back(stream, &moved)), silence(&moved, idle)).await {
        Either::First(result) => result,
        Either::Second(()) => {
            let message = format!("idle for {idle:?}, closed");
            Err(io::Error::new(ErrorKind::TimedOut, message))
        }
    }
}

async fn send_back<K: Kind>(stream: &mut Stream<K>, moved: &Cell<Instant>) -> io::Result<u64> {
    let mut buffer = [0; 4 * 1024];
    let mut total = 0;
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(total);
        }
        moved.set(Instant::now());
        stream.write_all(&buffer[..count]).await?;
        moved.set(Instant::now());
        total += count as u64;
    }
}

/// Over when nothing has moved for as long as `idle`. One alarm does for many moves: when it goes off, the last
/// of them says whether it has to be set once more.
async fn silence(moved: &Cell<Instant>, idle: Duration) {
    while let Some(end) = moved.get().checked_add(idle) {
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
    // Beyond the reach of the clock.
    pending().await
}
// ANCHOR_END: echo
