//! TCP sockets that suspend their task, and not the thread.

use crate::budget::poll_spend;
use crate::cx::Cx;
use crate::event_loop::{Registered, Side};
use crate::owned::Owned;
use crate::resource::{Label, Resource};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::panic::Location;

// ANCHOR: listener
/// Listens for clients.
///
/// # Examples
///
/// ```
/// use ch07_sleepers::{TcpListener, TcpStream, run};
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
/// # ch07_sleepers::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    io: Registered<mio::net::TcpListener>,
}

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
                Ok(socket) => {
                    return Ok(TcpListener {
                        io: Registered::new(socket, true)?,
                    });
                }
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    /// Waits for the next client. Gives its stream and its address.
    ///
    /// It borrows the listener mutably: one task accepts at a time, as one task reads from a stream.
    /// Dropped before it is ready, it has taken no client.
    ///
    /// # Errors
    ///
    /// Those of the system. After most of them the listener is as good as before: the client may
    /// have left in the meantime, or there may be no descriptor for it
    /// ([`descriptor_freed`](crate::descriptor_freed) waits for one).
    pub async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let accept = |socket: &mio::net::TcpListener| socket.accept();
        let (socket, address) = self.io.operate(Side::Read, "a client", accept).await?;
        Ok((
            TcpStream {
                io: Registered::new(socket, true)?,
            },
            address,
        ))
    }

    /// The plain socket, which may go to another domain: [`Cx::adopt`](crate::Cx::adopt) takes it in there.
    /// It still does not block.
    ///
    /// # Errors
    ///
    /// Those of the system; it is closed then.
    pub fn detach(self) -> io::Result<std::net::TcpListener> {
        Ok(self.io.detach()?.into())
    }

    /// Closes it.
    ///
    /// # Errors
    ///
    /// Those of the system; it is closed all the same.
    pub fn close(self) -> io::Result<()> {
        self.io.detach().map(drop)
    }

    /// Makes the task of `cx` its owner, until it is [closed](TcpListener::close). [`Cx::listen`] does so at once.
    #[track_caller]
    pub fn owned(self, cx: &Cx) -> Owned<'_, TcpListener> {
        let address = self.local_addr();
        self.owned_as(cx, Label::of("listener", address, Location::caller()))
    }

    fn owned_as(self, cx: &Cx, label: Label) -> Owned<'_, TcpListener> {
        let close = |listener: TcpListener| Ok(listener.close()?);
        let resource = Resource::new(label, self, Box::new(close));
        Owned::new(cx, resource.watched(|listener| listener.io.watched()))
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

/// A connection. Dropping it closes it.
///
/// Reading and writing borrow it mutably, so that no two tasks write to it by accident.
#[derive(Debug)]
pub struct TcpStream {
    io: Registered<mio::net::TcpStream>,
}

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
        Ok(TcpStream { io })
    }
    // ANCHOR_END: connect

    /// Reads what is there into `buffer`; waits if there is nothing. Gives the number of bytes: 0
    /// means that the other end will send no more, or that `buffer` is empty.
    ///
    /// Dropped before it is ready, it has taken nothing.
    ///
    /// # Errors
    ///
    /// Those of the system, above all [`ErrorKind::ConnectionReset`]; also if the run in which the
    /// stream was made has ended.
    // ANCHOR: read
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            // Some systems would wait for a byte all the same.
            poll_fn(poll_spend).await;
            return Ok(0);
        }
        let read = |mut socket: &mio::net::TcpStream| socket.read(buffer);
        let count = self.io.operate(Side::Read, "bytes to read", read).await?;
        if 0 < count && count < buffer.len() {
            self.io.used_up(Side::Read);
        }
        Ok(count)
    }
    // ANCHOR_END: read

    /// Writes some of `bytes`, as many as there is room for; waits if there is none. Gives their
    /// number.
    ///
    /// Dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    ///
    /// Those of the system, above all [`ErrorKind::BrokenPipe`] and
    /// [`ErrorKind::ConnectionReset`]; also if the run in which the stream was made has ended.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = |mut socket: &mio::net::TcpStream| socket.write(bytes);
        let count = self.io.operate(Side::Write, "room to write", write).await?;
        if count < bytes.len() {
            self.io.used_up(Side::Write);
        }
        Ok(count)
    }

    /// Writes all of `bytes`.
    ///
    /// Dropped before it is ready, it may have sent a part, and nobody knows which: the stream is
    /// then good for nothing but to be closed.
    ///
    /// # Errors
    ///
    /// As [`write`](TcpStream::write).
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            poll_fn(poll_spend).await;
        }
        while !bytes.is_empty() {
            match self.write(bytes).await? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => bytes = &bytes[count..],
            }
        }
        Ok(())
    }

    /// The plain socket, which may go to another domain: [`Cx::adopt`](crate::Cx::adopt) takes it in there.
    /// It still does not block.
    ///
    /// # Errors
    ///
    /// Those of the system; it is closed then.
    pub fn detach(self) -> io::Result<std::net::TcpStream> {
        Ok(self.io.detach()?.into())
    }

    /// Closes it, and tells whether all went well until now: what was written before is on its way, but the other
    /// end may have reset the connection, and no operation has said so yet.
    ///
    /// # Errors
    ///
    /// Those of the system, above all [`ErrorKind::ConnectionReset`]; it is closed all the same.
    // ANCHOR: close
    pub fn close(self) -> io::Result<()> {
        let socket = self.io.detach()?;
        end(socket.take_error()?, socket.shutdown(Shutdown::Write))
    }
    // ANCHOR_END: close

    /// Makes the task of `cx` its owner, until it is [closed](TcpStream::close). [`Cx::connect`] and the `accept` of an
    /// owned listener do so at once.
    #[track_caller]
    pub fn owned(self, cx: &Cx) -> Owned<'_, TcpStream> {
        let address = self.peer_addr();
        self.owned_as(cx, Label::of("connection", address, Location::caller()))
    }

    fn owned_as(self, cx: &Cx, label: Label) -> Owned<'_, TcpStream> {
        let close = |stream: TcpStream| Ok(stream.close()?);
        let resource = Resource::new(label, self, Box::new(close));
        Owned::new(cx, resource.watched(|stream| stream.io.watched()))
    }

    /// Says that no more will be sent, or wanted, or both. What was written before still arrives.
    ///
    /// # Errors
    ///
    /// Those of the system, above all that the other end is gone already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.socket()?.shutdown(how)
    }

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

// ANCHOR: adopt
/// A plain socket that can become one of this runtime's. See [`Cx::adopt`](crate::Cx::adopt).
pub trait Adopt {
    /// What it becomes.
    type Adopted;

    /// Registers it with the domain of the current thread.
    ///
    /// # Errors
    ///
    /// Those of the system; also if this is not inside of [`run`](crate::run).
    fn adopt(self) -> io::Result<Self::Adopted>;
}

impl Adopt for std::net::TcpListener {
    type Adopted = TcpListener;

    fn adopt(self) -> io::Result<TcpListener> {
        self.set_nonblocking(true)?;
        let socket = mio::net::TcpListener::from_std(self);
        Ok(TcpListener {
            io: Registered::new(socket, true)?,
        })
    }
}

impl Adopt for std::net::TcpStream {
    type Adopted = TcpStream;

    fn adopt(self) -> io::Result<TcpStream> {
        self.set_nonblocking(true)?;
        let socket = mio::net::TcpStream::from_std(self);
        Ok(TcpStream {
            io: Registered::new(socket, true)?,
        })
    }
}
// ANCHOR_END: adopt

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
        async move {
            let stream = TcpStream::connect(addresses).await?;
            let label = Label::of("connection", stream.peer_addr(), at);
            Ok(stream.owned_as(self, label))
        }
    }
}

impl Owned<'_, TcpListener> {
    /// As [`TcpListener::accept`], and the task of `cx`, or the scope, owns the connection.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn accept<'a>(
        &mut self,
        cx: &'a Cx,
    ) -> impl Future<Output = io::Result<(Owned<'a, TcpStream>, SocketAddr)>> {
        let at = Location::caller();
        async move {
            let (stream, address) = TcpListener::accept(self).await?;
            let label = Label::of("connection", Ok(address), at);
            Ok((stream.owned_as(cx, label), address))
        }
    }
}
// ANCHOR_END: owned

// ANCHOR: detach
impl<'c> Owned<'c, TcpListener> {
    /// As [`TcpListener::detach`]: what is owned is then the plain socket, under the same name, and closed by
    /// the runtime's own finaliser, whatever it had.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn detach(self) -> io::Result<Owned<'c, std::net::TcpListener>> {
        let (cx, label, listener) = self.part();
        let resource = Resource::new(label, listener.detach()?, Box::new(|_| Ok(())));
        Ok(Owned::new(cx, resource))
    }
}

impl<'c> Owned<'c, TcpStream> {
    /// As [`TcpStream::detach`]: what is owned is then the plain socket, under the same name, and closed by
    /// the runtime's own finaliser, whatever it had.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn detach(self) -> io::Result<Owned<'c, std::net::TcpStream>> {
        let (cx, label, stream) = self.part();
        let close = |stream: std::net::TcpStream| {
            Ok(end(stream.take_error()?, stream.shutdown(Shutdown::Write))?)
        };
        let resource = Resource::new(label, stream.detach()?, Box::new(close));
        Ok(Owned::new(cx, resource))
    }
}

impl<'c> Adopt for Owned<'c, std::net::TcpListener> {
    type Adopted = Owned<'c, TcpListener>;

    /// What is owned is then a listener of this runtime, under the same name.
    fn adopt(self) -> io::Result<Owned<'c, TcpListener>> {
        let (cx, label, socket) = self.part();
        Ok(socket.adopt()?.owned_as(cx, label))
    }
}

impl<'c> Adopt for Owned<'c, std::net::TcpStream> {
    type Adopted = Owned<'c, TcpStream>;

    /// What is owned is then a connection of this runtime, under the same name.
    fn adopt(self) -> io::Result<Owned<'c, TcpStream>> {
        let (cx, label, socket) = self.part();
        Ok(socket.adopt()?.owned_as(cx, label))
    }
}
// ANCHOR_END: detach

/// How a connection has ended: with the error that it had, and no operation has told, or when it was shut down.
fn end(error: Option<io::Error>, shutdown: io::Result<()>) -> io::Result<()> {
    match (error, shutdown) {
        (Some(error), _) => Err(error),
        // An operation has told why.
        (None, Err(error)) if error.kind() == ErrorKind::NotConnected => Ok(()),
        (None, shutdown) => shutdown,
    }
}

fn no_address() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "there is no address to try")
}
