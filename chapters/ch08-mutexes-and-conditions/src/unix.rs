//! Unix sockets: connections within one machine, by way of a file.

use crate::event_loop::{Registered, Side};
use crate::stream::{Adopt, Kind, Listener, Stream};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

/// Connections by way of a file: the [`Kind`] of [`UnixListener`] and [`UnixStream`].
#[derive(Debug)]
pub enum Unix {}

impl Kind for Unix {
    type Address = SocketAddr;
    type PlainStream = net::UnixStream;
    type PlainListener = net::UnixListener;
    type Stream = mio::net::UnixStream;
    type Listener = mio::net::UnixListener;

    // One stops behind a descriptor that was sent along, and between writers that tell who they are.
    const SHORT_READ_TAKES_ALL: bool = false;

    fn accept(listener: &Self::Listener) -> io::Result<(Self::Stream, SocketAddr)> {
        listener.accept()
    }

    fn bytes(stream: &Self::Stream) -> impl Read + Write {
        stream
    }

    fn shutdown(stream: &Self::Stream, how: Shutdown) -> io::Result<()> {
        stream.shutdown(how)
    }

    fn take_error(stream: &Self::Stream) -> io::Result<Option<io::Error>> {
        stream.take_error()
    }

    fn name(address: &SocketAddr) -> String {
        named(address).unwrap_or_else(|_| String::from("on a Unix socket"))
    }

    fn send_at_once(_: &Self::Stream) -> io::Result<()> {
        // As it does anyway.
        Ok(())
    }

    fn peer(stream: &Self::Stream) -> io::Result<String> {
        // A client has no name as a rule; then that of this end has to do.
        match named(&stream.peer_addr()?) {
            Ok(name) => Ok(name),
            Err(_) => named(&stream.local_addr()?),
        }
    }

    fn place(listener: &Self::Listener) -> io::Result<String> {
        named(&listener.local_addr()?)
    }

    fn plain_stream(stream: Self::Stream) -> Self::PlainStream {
        stream.into()
    }

    fn plain_listener(listener: Self::Listener) -> Self::PlainListener {
        listener.into()
    }

    fn stream(plain: Self::PlainStream) -> io::Result<Self::Stream> {
        plain.set_nonblocking(true)?;
        Ok(mio::net::UnixStream::from_std(plain))
    }

    fn listener(plain: Self::PlainListener) -> io::Result<Self::Listener> {
        plain.set_nonblocking(true)?;
        Ok(mio::net::UnixListener::from_std(plain))
    }
}

fn named(address: &SocketAddr) -> io::Result<String> {
    match address.as_pathname() {
        Some(path) => Ok(format!("unix:{}", path.display())),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Listens for clients on a file.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{UnixListener, UnixStream, run};
///
/// run(async |cx| {
///     let path = std::env::temp_dir().join(format!("hello-{}", std::process::id()));
///     let mut listener = UnixListener::bind(&path)?;
///     let client = {
///         let path = path.clone();
///         cx.spawn(async move |_| {
///             let mut stream = UnixStream::connect(path).await?;
///             Ok(stream.write_all(b"hello").await?)
///         })
///     };
///     let (mut stream, _) = listener.accept().await?;
///     let mut buffer = [0; 16];
///     let count = stream.read(&mut buffer).await?;
///     assert_eq!(&buffer[..count], b"hello");
///     client.await?;
///     Ok(std::fs::remove_file(path)?)
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
pub type UnixListener = Listener<Unix>;

impl UnixListener {
    /// Listens on `path`, where nothing may be yet. The file stays when the listener is closed: removing it is up to the
    /// caller.
    ///
    /// # Errors
    ///
    /// Those of the system; also if this is not inside of [`run`](crate::run).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        Listener::new(mio::net::UnixListener::bind(path)?)
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.socket()?.local_addr()
    }
}

/// A connection to somebody on this machine. Dropping it closes it.
pub type UnixStream = Stream<Unix>;

impl UnixStream {
    /// Connects to whoever listens on `path`.
    ///
    /// Dropped before it is ready, it gives up.
    ///
    /// # Errors
    ///
    /// Those of the system: nobody listens, or so many wait already that the listener takes no more
    /// ([`WouldBlock`](io::ErrorKind::WouldBlock)); also if this is not inside of [`run`](crate::run).
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let io = Registered::new(mio::net::UnixStream::connect(path)?, true)?;
        io.operate(Side::Write, "a connection", |socket| {
            match socket.take_error()? {
                Some(error) => Err(error),
                None => Ok(()),
            }
        })
        .await?;
        Ok(Stream { io })
    }

    /// Two ends of a connection that has no name.
    ///
    /// # Errors
    ///
    /// Those of the system; also if this is not inside of [`run`](crate::run).
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = mio::net::UnixStream::pair()?;
        Ok((Stream::new(one)?, Stream::new(other)?))
    }
}

impl Adopt for net::UnixListener {
    type Adopted = UnixListener;

    fn adopt(self) -> io::Result<UnixListener> {
        Listener::new(Unix::listener(self)?)
    }
}

impl Adopt for net::UnixStream {
    type Adopted = UnixStream;

    fn adopt(self) -> io::Result<UnixStream> {
        Stream::new(Unix::stream(self)?)
    }
}
