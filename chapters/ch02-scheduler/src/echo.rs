//! The echo server: whatever a client sends comes back to it, until it has no more to send.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::report::{reason, report};
use crate::{spawn, yield_now};

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

/// Starts a task for every client, for ever. What goes wrong with one client is reported and ends
/// that client only.
///
/// The tasks still call the blocking `accept`, `read` and `write`, and whoever blocks holds the
/// only thread: the clients are served one after the other, as before.
// ANCHOR: serve
pub async fn serve(listener: TcpListener) -> ! {
    loop {
        if let Some((stream, address)) = accept(&listener) {
            drop(spawn(async move {
                if let Err(error) = echo(&stream) {
                    report(format_args!("client {address}: {}", reason(&error)));
                }
            }));
            // The new task has its first turn now.
            yield_now().await;
        }
    }
}
// ANCHOR_END: serve

/// Waits for the next client. `None` if there was one and it could not be had: the reason is
/// reported, and the caller tries again.
// ANCHOR: accept
pub fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    let error = match listener.accept() {
        Ok(client) => return Some(client),
        Err(error) => error,
    };
    report(format_args!("cannot accept a client: {}", reason(&error)));
    // A client that left before its turn concerns nobody else. Any other error, such as too many
    // open files, is still there a moment later, and so is the client who waits in the queue:
    // without a pause this would be tried again at once, all the time, at the cost of a whole core.
    if error.kind() != ErrorKind::ConnectionAborted {
        thread::sleep(Duration::from_millis(100));
    }
    None
}
// ANCHOR_END: accept

/// Sends back all that comes from `stream`, until its end.
///
/// # Errors
///
/// Those of reading and writing: above all, the client has gone without saying goodbye
/// ([`ErrorKind::ConnectionReset`] or [`ErrorKind::BrokenPipe`]).
///
/// # Examples
///
/// Any stream will do, and `&TcpStream` is one:
///
/// ```
/// use ch02_scheduler::echo;
/// use std::io::{Read, Write};
/// use std::net::{Shutdown, TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// client.write_all(b"hello")?;
/// client.shutdown(Shutdown::Write)?;
///
/// let (stream, _) = listener.accept()?;
/// echo(&stream)?;
/// drop(stream); // the last one to hold the socket closes it
///
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert_eq!(answer, "hello");
/// # std::io::Result::Ok(())
/// ```
// ANCHOR: echo
pub fn echo(mut stream: impl Read + Write) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => stream.write_all(&buffer[..count])?,
            // A signal came while we waited: nothing was read, nothing is lost.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
// ANCHOR_END: echo
