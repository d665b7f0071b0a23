//! Several listeners on one address.

use socket2::{Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use crate::report::reason;

/// Whether several listeners may share an address, and the system spreads the clients over them.
/// Elsewhere, `SO_REUSEPORT` means something else, or nothing.
const SPREADS: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// How many clients may wait for `accept`, for each listener.
const BACKLOG: i32 = 1024;

/// Listens on the first of `addresses` that can be had, with `count` listeners, 1 or more. They are plain
/// sockets that do not block, for [`Cx::adopt`](crate::Cx::adopt).
///
/// On Linux each has a queue of its own, and the system spreads the clients over them. Elsewhere they share one
/// queue, and whoever looks first takes the client.
///
/// # Errors
///
/// None of them can be had. The error says which addresses, why, and what to do about it.
// ANCHOR: listen
pub fn listen(addresses: &[SocketAddr], count: usize) -> io::Result<Vec<TcpListener>> {
    let mut error = ErrorKind::InvalidInput.into();
    for &address in addresses {
        match listen_on(address, count) {
            Ok(listeners) => return Ok(listeners),
            Err(failed) => error = failed,
        }
    }
    let names: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "is another server running? choose another with --listen",
        ErrorKind::PermissionDenied => "ports below 1024 may be reserved; try 7007",
        _ => "choose an address of this machine with --listen",
    };
    let (names, reason) = (names.join(", "), reason(&error));
    let message = format!("cannot listen on {names}: {reason}; {advice}");
    Err(io::Error::new(error.kind(), message))
}

fn listen_on(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // ANCHOR: share
    let first = socket_for(address)?;
    // Bound before it agrees to share: so it finds out whether somebody else listens there.
    first.bind(&address.into())?;
    let share = SPREADS && count > 1;
    if share {
        share_port(&first)?;
    }
    first.listen(BACKLOG)?;
    let first = TcpListener::from(first);
    // Port 0 has become a real one.
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    while listeners.len() < count {
        listeners.push(if share {
            let socket = socket_for(address)?;
            share_port(&socket)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            socket.into()
        } else {
            listeners[0].try_clone()?
        });
    }
    // ANCHOR_END: share
    Ok(listeners)
}
// ANCHOR_END: listen

fn socket_for(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(socket2::Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // On Windows this would let others take the address away.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    Ok(socket)
}

#[cfg(unix)]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
