//! The echo server: whatever a client sends comes back to it, until it has no more to send.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::report::{reason, report};
use crate::{TcpListener, TcpStream, descriptor_freed, spawn};

/// Listens on the first of `addresses` that can be had.
///
/// # Errors
///
/// None of them can be had. The error says which addresses, why, and what to do about it.
// ANCHOR: listen
pub fn listen(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    TcpListener::bind(addresses).map_err(|error| {
        let names: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "is another server running? choose another with --listen",
            ErrorKind::PermissionDenied => "ports below 1024 may be reserved; try 7007",
            _ => "choose an address of this machine with --listen",
        };
        let (names, reason) = (names.join(", "), reason(&error));
        let message = format!("cannot listen on {names}: {reason}; {advice}");
        io::Error::new(error.kind(), message)
    })
}
// ANCHOR_END: listen

/// Serves all clients at once, each in a task of its own, for ever. What goes wrong with one client
/// is reported and ends that client only.
// ANCHOR: serve
pub async fn serve(mut listener: TcpListener) -> ! {
    loop {
        let (stream, address) = accept(&mut listener).await;
        drop(spawn(async move {
            if let Err(error) = echo(stream).await {
                report(format_args!("client {address}: {}", reason(&error)));
            }
        }));
    }
}
// ANCHOR_END: serve

/// Waits for the next client, however long that takes. When clients cannot be had, the reason is
/// reported, once for each such wait.
// ANCHOR: accept
pub async fn accept(listener: &mut TcpListener) -> (TcpStream, SocketAddr) {
    let mut reported = None;
    loop {
        let error = match listener.accept().await {
            Ok(client) => return client,
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

/// Sends back all that comes from `stream`, until its end.
///
/// Dropped before it is ready, it closes the connection.
///
/// # Errors
///
/// Those of reading and writing: above all, the client has gone without saying goodbye
/// ([`ErrorKind::ConnectionReset`] or [`ErrorKind::BrokenPipe`]).
///
/// # Examples
///
/// ```
/// use ch03_system_events::{TcpListener, TcpStream, echo, run, spawn};
/// use std::net::Shutdown;
///
/// let answer = run(async {
///     let mut listener = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     client.write_all(b"hello").await?;
///     client.shutdown(Shutdown::Write)?;
///
///     let (stream, _) = listener.accept().await?;
///     spawn(echo(stream)).await?;
///
///     let mut answer = [0; 5];
///     let count = client.read(&mut answer).await?;
///     std::io::Result::Ok(answer[..count].to_vec())
/// });
/// assert_eq!(answer?, b"hello");
/// # std::io::Result::Ok(())
/// ```
// ANCHOR: echo
pub async fn echo(mut stream: TcpStream) -> io::Result<()> {
    // An answer that waits for the next one to fill the packet is no answer.
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4 * 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}
// ANCHOR_END: echo
