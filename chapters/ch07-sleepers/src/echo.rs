//! The echo server: whatever a client sends comes back to it, until it has no more to send.

use std::cell::Cell;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::{self, Shutdown, SocketAddr};
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::report::{reason, report};
use crate::{Cx, Either, Failure, Orphans, Owned, Result, TcpListener, TcpStream};
use crate::{await_first, descriptor_freed, race, sleep_until, timeout};

/// A server on each domain, with one of `listeners` each. dom0, which takes no calls, takes part by a
/// task of its own. If one server fails, all end. A client may be `idle` for so long.
///
/// # Errors
///
/// Those of the server that failed; it does not return otherwise. Cancelled, it cancels all servers.
// ANCHOR: everywhere
pub async fn serve_everywhere(
    cx: &Cx,
    listeners: Vec<net::TcpListener>,
    idle: Duration,
) -> Result<()> {
    // Whoever drops this half-way has forgotten no servers.
    cx.scope(async |cx| {
        let mut listeners = listeners.into_iter();
        let mut servers = Vec::new();
        if let Some(listener) = listeners.next() {
            let server = async move |cx: &Cx| serve(cx, cx.adopt(listener)?.owned(cx), idle).await;
            servers.push(cx.spawn(server));
        }
        for (domain, listener) in cx.domains().zip(listeners) {
            let server = async move |cx: &Cx| serve(cx, cx.adopt(listener)?.owned(cx), idle).await;
            servers.push(cx.call_on(domain, server)?);
        }
        await_first(&mut servers).await
    })
    .await
}
// ANCHOR_END: everywhere

/// Serves all clients at once, each in a task of its own, for ever. A client that fails is reported with
/// its address, and ends nobody else; so is one that is `idle` for so long.
///
/// # Errors
///
/// None; it does not return. Cancelled, it cancels its clients.
// ANCHOR: serve
pub async fn serve(cx: &Cx, mut listener: Owned<'_, TcpListener>, idle: Duration) -> Result<()> {
    let mut clients = cx.orphans();
    loop {
        // The listener goes to a child, and comes back with a client.
        let mut accepting = cx
            .give(listener)
            .spawn(async |cx, listener| accept(cx, listener).await);
        let address = loop {
            // Who has finished comes first: there may always be one more to accept.
            match race(finished(&mut clients), &mut accepting).await {
                Either::First(Ok(())) => {}
                Either::First(Err(failure)) => report(failure),
                Either::Second(accepted) => break accepted?,
            }
        };
        let (Some(back), Some(stream)) = (cx.receive(), cx.receive::<TcpStream>()) else {
            return Err(Failure::msg(
                "whoever accepts hands over the client and the listener",
            ));
        };
        listener = back;
        let client = async move |cx: &Cx, stream: Owned<'_, TcpStream>| {
            client(cx, stream, address, idle).await
        };
        clients.give(stream).spawn(client);
    }
}

/// A scope ends as a task does: a panic in it is a failure, to which the address can be added. What
/// goes wrong then in closing the connection is among the suppressed failures.
// ANCHOR: client
async fn client(
    cx: &Cx,
    stream: Owned<'_, TcpStream>,
    address: SocketAddr,
    idle: Duration,
) -> Result<()> {
    let name = format!("client {address}");
    let mut stream = cx.own_async(name, stream.disown(), 2 * LINGER, part);
    let served = cx.scope(async move |_| {
        echo(&mut stream, idle).await?;
        stream.release().await
    });
    served
        .await
        .map_err(|failure| failure.context(format_args!("client {address}")))
}
// ANCHOR_END: client

/// How long a client may take to hang up when it has heard that it is over.
const LINGER: Duration = Duration::from_secs(1);

/// Closes a connection such that nothing that was sent is lost: when bytes arrive at a socket that is closed,
/// the system resets the connection, and the other end may never read our last ones.
// ANCHOR: part
async fn part(mut stream: TcpStream) -> Result<()> {
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
async fn empty(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
// ANCHOR_END: part
// ANCHOR_END: serve

/// The result of the next client that is over.
async fn finished(clients: &mut Orphans<'_, ()>) -> Result<()> {
    match clients.next().await {
        Some(result) => result,
        // Nobody is there to wait for.
        None => pending().await,
    }
}

/// Waits for the next client, however long that takes, and transfers its stream and the listener. Gives its
/// address. When clients cannot be had, the reason is reported, once for each such wait.
///
/// # Errors
///
/// None.
// ANCHOR: accept
pub async fn accept(cx: &Cx, mut listener: Owned<'_, TcpListener>) -> Result<SocketAddr> {
    let mut reported = None;
    loop {
        let error = match listener.accept(cx).await {
            Ok((stream, address)) => {
                stream.transfer();
                listener.transfer();
                return Ok(address);
            }
            Err(error) => error,
        };
        let reason = reason(&error);
        if reported.as_ref() != Some(&reason) {
            report(format_args!("cannot accept a client: {reason}"));
            reported = Some(reason);
        }
        // A client that left before its turn concerns nobody else. Any other error, such as too
        // many open files, stays for a while, and so does the client in the queue.
        if error.kind() != ErrorKind::ConnectionAborted {
            descriptor_freed().await;
        }
    }
}
// ANCHOR_END: accept

/// Sends back all that comes from `stream`, until its end, or until nothing has moved for as long as `idle`.
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
/// use ch07_sleepers::{TcpListener, TcpStream, echo, run};
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
///     cx.spawn(async move |_| Ok(echo(&mut stream, Duration::MAX).await?)).await?;
///
///     let mut answer = [0; 5];
///     let count = client.read(&mut answer).await?;
///     Ok(answer[..count].to_vec())
/// });
/// assert_eq!(answer?, b"hello");
/// # ch07_sleepers::Result::Ok(())
/// ```
// ANCHOR: echo
pub async fn echo(stream: &mut TcpStream, idle: Duration) -> io::Result<()> {
    // An answer that waits for the next one to fill the packet is no answer.
    stream.set_nodelay(true)?;
    let moved = Cell::new(Instant::now());
    match race(pin!(send_back(stream, &moved)), silence(&moved, idle)).await {
        Either::First(result) => result,
        Either::Second(()) => {
            let message = format!("idle for {idle:?}, closed");
            Err(io::Error::new(ErrorKind::TimedOut, message))
        }
    }
}

async fn send_back(stream: &mut TcpStream, moved: &Cell<Instant>) -> io::Result<()> {
    let mut buffer = [0; 4 * 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        moved.set(Instant::now());
        stream.write_all(&buffer[..count]).await?;
        moved.set(Instant::now());
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
