//! Several listeners on one address.

use socket2::{Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

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

/// Listens on the file `path`, with `count` listeners, 1 or more, which share one queue. They are plain sockets that do
/// not block, for [`Cx::adopt`](crate::Cx::adopt). A socket that a server has left behind there is replaced; anything else is not touched.
///
/// # Errors
///
/// It cannot be had. The error says why, and what to do about it.
// ANCHOR: file
#[cfg(unix)]
pub fn listen_on_file(path: &Path, count: usize) -> io::Result<(Vec<UnixListener>, SocketFile)> {
    let listen = || {
        let first = match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_left_behind(path) => {
                remove_what_is_left_behind(path)?;
                UnixListener::bind(path)?
            }
            result => result?,
        };
        let file = SocketFile::at(path)?;
        first.set_nonblocking(true)?;
        let mut listeners = vec![first];
        while listeners.len() < count {
            listeners.push(listeners[0].try_clone()?);
        }
        Ok((listeners, file))
    };
    listen().map_err(|error: io::Error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "is another server running? choose another path",
            ErrorKind::NotFound => "its folder has to be there",
            _ => "choose another path",
        };
        let (path, reason) = (path.display(), reason(&error));
        let message = format!("cannot listen on unix:{path}: {reason}; {advice}");
        io::Error::new(error.kind(), message)
    })
}

/// Whether the file is a socket on which nobody listens.
#[cfg(unix)]
fn is_left_behind(path: &Path) -> bool {
    let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    // One that does not wait: the queue of a server may be full.
    is_socket && mio::net::UnixStream::connect(path).is_err_and(refused)
}

/// Two servers may begin at the same time, and what lies at `path` by now be the new socket of the other one. So it is put
/// aside first, and put back if somebody listens there.
#[cfg(unix)]
fn remove_what_is_left_behind(path: &Path) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}", std::process::id()));
    fs::rename(path, &aside)?;
    // A socket is at its place a moment before it listens.
    std::thread::sleep(std::time::Duration::from_millis(20));
    if is_left_behind(Path::new(&aside)) {
        return fs::remove_file(aside);
    }
    fs::rename(aside, path)?;
    Err(ErrorKind::AddrInUse.into())
}

/// The file of a Unix socket. Dropped, it is removed, unless another one has taken its place.
#[cfg(unix)]
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Its device and its number there.
    id: (u64, u64),
}

#[cfg(unix)]
impl SocketFile {
    fn at(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile {
            path: path.to_owned(),
            id: id(path)?,
        })
    }
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        if id(&self.path).is_ok_and(|id| id == self.id) {
            // If it stays, the next server replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn id(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}
// ANCHOR_END: file

#[cfg(unix)]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
