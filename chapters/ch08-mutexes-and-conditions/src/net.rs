//! TCP sockets that suspend their task, and not the thread.

use crate::cx::Cx;
use crate::event_loop::{Registered, Side};
use crate::owned::Owned;
use crate::stream::{Adopt, Kind, Listener, Stream};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::panic::Location;

// ANCHOR: tcp
/// Connections over TCP: the [`Kind`] of [`TcpListener`] and [`TcpStream`].
#[derive(Debug)]
pub enum Tcp {}

impl Kind for Tcp {
    type Address = SocketAddr;
    type PlainStream = std::net::TcpStream;
    type PlainListener = std::net::TcpListener;
    type Stream = mio::net::TcpStream;
    type Listener = mio::net::TcpListener;

    const SHORT_READ_TAKES_ALL: bool = true;

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
        address.to_string()
    }

    fn send_at_once(stream: &Self::Stream) -> io::Result<()> {
        stream.set_nodelay(true)
    }

    fn peer(stream: &Self::Stream) -> io::Result<String> {
        Ok(stream.peer_addr()?.to_string())
    }

    fn place(listener: &Self::Listener) -> io::Result<String> {
        Ok(listener.local_addr()?.to_string())
    }

    fn plain_stream(stream: Self::Stream) -> Self::PlainStream {
        stream.into()
    }

    fn plain_listener(listener: Self::Listener) -> Self::PlainListener {
        listener.into()
    }

    fn stream(plain: Self::PlainStream) -> io::Result<Self::Stream> {
        plain.set_nonblocking(true)?;
        Ok(mio::net::TcpStream::from_std(plain))
    }

    fn listener(plain: Self::PlainListener) -> io::Result<Self::Listener> {
        plain.set_nonblocking(true)?;
        Ok(mio::net::TcpListener::from_std(plain))
    }
}
// ANCHOR_END: tcp

// ANCHOR: listener
/// Listens for clients.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{TcpListener, TcpStream, run};
///
/// let answer = run(async |cx| {
///     let mut listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let server = cx.spawn(async move |_| {
///         let (mut client, _) = listener.accept().await?;
///         Ok(client.write_all(b"hello").await?)
///     });
///     let mut stream = TcpStream::connect(address).await?;
///     let mut buffer = [0; 16];
///     let count = stream.read(&mut buffer).await?;
///     server.await?;
///     Ok(buffer[..count].to_vec())
/// });
/// assert_eq!(answer?, b"hello");
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
pub type TcpListener = Listener<Tcp>;

impl TcpListener {
    /// Listens on the first of `addresses` that can be had. Looking up a host name blocks the
    /// thread.
    ///
    /// # Errors
    ///
    /// Those of the last address; also if `addresses` is empty, or this is not inside of
    /// [`run`](crate::run).
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
        let mut error = no_address();
        for address in addresses.to_socket_addrs()? {
            match mio::net::TcpListener::bind(address) {
                Ok(socket) => return Listener::new(socket),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    /// The address it listens on, with the port that the system chose if 0 was asked for.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.socket()?.local_addr()
    }
}
// ANCHOR_END: listener

/// A TCP connection. Dropping it closes it.
pub type TcpStream = Stream<Tcp>;

impl TcpStream {
    /// Connects to the first of `addresses` that answers. Looking up a host name blocks the thread.
    ///
    /// Dropped before it is ready, it gives up.
    ///
    /// # Errors
    ///
    /// Those of the last address; also if `addresses` is empty, or this is not inside of
    /// [`run`](crate::run).
    // ANCHOR: connect
    pub async fn connect(addresses: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let mut error = no_address();
        for address in addresses.to_socket_addrs()? {
            match TcpStream::connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
        let io = Registered::new(mio::net::TcpStream::connect(address)?, false)?;
        // The system says "writable" when the attempt is over, however it went.
        io.operate(Side::Write, "a connection", |socket| {
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            match socket.peer_addr() {
                Err(error) if error.kind() == ErrorKind::NotConnected => {
                    Err(ErrorKind::WouldBlock.into())
                }
                connected => connected,
            }
        })
        .await?;
        Ok(Stream { io })
    }
    // ANCHOR_END: connect

    /// Whether small writes are sent at once, and not held back until the last one has arrived.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.socket()?.set_nodelay(nodelay)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.socket()?.local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Those of the system, above all that the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.socket()?.peer_addr()
    }
}

impl Adopt for std::net::TcpListener {
    type Adopted = TcpListener;

    fn adopt(self) -> io::Result<TcpListener> {
        Listener::new(Tcp::listener(self)?)
    }
}

impl Adopt for std::net::TcpStream {
    type Adopted = TcpStream;

    fn adopt(self) -> io::Result<TcpStream> {
        Stream::new(Tcp::stream(self)?)
    }
}

// ANCHOR: owned
impl Cx {
    /// As [`TcpListener::bind`], and the task, or the scope, owns the listener.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn listen(&self, addresses: impl ToSocketAddrs) -> io::Result<Owned<'_, TcpListener>> {
        Ok(TcpListener::bind(addresses)?.owned(self))
    }

    /// As [`TcpStream::connect`], and the task, or the scope, owns the connection.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn connect(
        &self,
        addresses: impl ToSocketAddrs,
    ) -> impl Future<Output = io::Result<Owned<'_, TcpStream>>> {
        let at = Location::caller();
        async move { Ok(TcpStream::connect(addresses).await?.owned_at(self, at)) }
    }
}
// ANCHOR_END: owned

pub(crate) fn no_address() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "there is no address to try")
}
