//! Connections and listeners: what those of TCP and of Unix have in common, which is nearly all.

use crate::budget::poll_spend;
use crate::copy::{AsyncRead, AsyncWrite};
use crate::cx::Cx;
use crate::event_loop::{Registered, Side};
use crate::owned::Owned;
use crate::resource::{Label, Resource};
use mio::event::Source;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::panic::Location;

// ANCHOR: kind
/// A kind of connection: [`Tcp`](crate::Tcp), or `Unix`. What has this for its parameter works with both.
///
/// It is not for others to implement.
pub trait Kind: Sized + 'static {
    /// What a listener tells of its client.
    type Address: fmt::Debug;
    /// The plain connection of the standard library.
    type PlainStream: 'static;
    /// The plain listener of the standard library.
    type PlainListener: 'static;
    #[doc(hidden)]
    type Stream: Source + fmt::Debug + 'static;
    #[doc(hidden)]
    type Listener: Source + fmt::Debug + 'static;

    /// Whether a read that gives less than there is room for has taken all. If not, there may be more.
    #[doc(hidden)]
    const SHORT_READ_TAKES_ALL: bool;

    #[doc(hidden)]
    fn accept(listener: &Self::Listener) -> io::Result<(Self::Stream, Self::Address)>;
    #[doc(hidden)]
    fn bytes(stream: &Self::Stream) -> impl Read + Write;
    #[doc(hidden)]
    fn shutdown(stream: &Self::Stream, how: Shutdown) -> io::Result<()>;
    #[doc(hidden)]
    fn take_error(stream: &Self::Stream) -> io::Result<Option<io::Error>>;
    /// A client, for a message.
    #[doc(hidden)]
    fn name(address: &Self::Address) -> String;
    #[doc(hidden)]
    fn send_at_once(stream: &Self::Stream) -> io::Result<()>;
    /// The other end, for a message.
    #[doc(hidden)]
    fn peer(stream: &Self::Stream) -> io::Result<String>;
    /// Where it listens, for a message.
    #[doc(hidden)]
    fn place(listener: &Self::Listener) -> io::Result<String>;
    #[doc(hidden)]
    fn plain_stream(stream: Self::Stream) -> Self::PlainStream;
    #[doc(hidden)]
    fn plain_listener(listener: Self::Listener) -> Self::PlainListener;
    #[doc(hidden)]
    fn stream(plain: Self::PlainStream) -> io::Result<Self::Stream>;
    #[doc(hidden)]
    fn listener(plain: Self::PlainListener) -> io::Result<Self::Listener>;
}
// ANCHOR_END: kind

// ANCHOR: listener
/// Listens for clients: a [`TcpListener`](crate::TcpListener) or a `UnixListener`.
pub struct Listener<K: Kind> {
    pub(crate) io: Registered<K::Listener>,
}

impl<K: Kind> Listener<K> {
    pub(crate) fn new(socket: K::Listener) -> io::Result<Listener<K>> {
        let io = Registered::new(socket, true)?;
        Ok(Listener { io })
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
    pub async fn accept(&mut self) -> io::Result<(Stream<K>, K::Address)> {
        let (socket, address) = self.io.operate(Side::Read, "a client", K::accept).await?;
        Ok((Stream::new(socket)?, address))
    }

    /// The plain socket, which may go to another domain: [`Cx::adopt`](crate::Cx::adopt) takes it in there.
    /// It still does not block.
    ///
    /// # Errors
    ///
    /// Those of the system; it is closed then.
    pub fn detach(self) -> io::Result<K::PlainListener> {
        self.io.detach().map(K::plain_listener)
    }

    /// Closes it.
    ///
    /// # Errors
    ///
    /// Those of the system; it is closed all the same.
    pub fn close(self) -> io::Result<()> {
        self.io.detach().map(drop)
    }

    /// Makes the task of `cx` its owner, until it is [closed](Listener::close). [`Cx::listen`] does so at once.
    #[track_caller]
    pub fn owned(self, cx: &Cx) -> Owned<'_, Listener<K>> {
        let place = self.io.socket().and_then(|socket| K::place(&socket));
        self.owned_as(cx, Label::of("listener", place, Location::caller()))
    }

    fn owned_as(self, cx: &Cx, label: Label) -> Owned<'_, Listener<K>> {
        let close = |listener: Listener<K>| Ok(listener.close()?);
        let resource = Resource::new(label, self, Box::new(close));
        Owned::new(cx, resource.watched(|listener| listener.io.watched()))
    }
}
// ANCHOR_END: listener

// ANCHOR: stream
/// A connection: a [`TcpStream`](crate::TcpStream) or a `UnixStream`. Dropping it closes it.
///
/// Reading and writing borrow it mutably, so that no two tasks write to it by accident. To read and write at the same time,
/// [`split`](Stream::split) it.
pub struct Stream<K: Kind> {
    pub(crate) io: Registered<K::Stream>,
}

impl<K: Kind> Stream<K> {
    pub(crate) fn new(socket: K::Stream) -> io::Result<Stream<K>> {
        let io = Registered::new(socket, true)?;
        Ok(Stream { io })
    }

    /// Reads what is there into `buffer`; waits if there is nothing. Gives the number of bytes: 0
    /// means that the other end will send no more, or that `buffer` is empty.
    ///
    /// Dropped before it is ready, it has taken nothing.
    ///
    /// # Errors
    ///
    /// Those of the system, above all [`ErrorKind::ConnectionReset`]; also if the run in which the
    /// stream was made has ended.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read::<K>(&self.io, buffer).await
    }

    /// As [`read`](Stream::read), into several buffers, the first one first.
    ///
    /// # Errors
    ///
    /// As [`read`](Stream::read).
    pub async fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        read_vectored::<K>(&self.io, buffers).await
    }

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
        write::<K>(&self.io, bytes).await
    }

    /// As [`write`](Stream::write), from several pieces, the first one first.
    ///
    /// # Errors
    ///
    /// As [`write`](Stream::write).
    pub async fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        write_vectored::<K>(&self.io, pieces).await
    }

    /// Writes all of `bytes`.
    ///
    /// Dropped before it is ready, it may have sent a part, and nobody knows which: the stream is
    /// then good for nothing but to be closed.
    ///
    /// # Errors
    ///
    /// As [`write`](Stream::write).
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        AsyncWrite::write_all(&mut self.split().1, bytes).await
    }

    // ANCHOR: split
    /// One half to read from and one to write to, so that both can be done at the same time in one task.
    pub fn split(&mut self) -> (ReadHalf<'_, K>, WriteHalf<'_, K>) {
        (ReadHalf(&self.io), WriteHalf(&self.io))
    }
    // ANCHOR_END: split

    /// Says that no more will be sent, or wanted, or both. What was written before still arrives.
    ///
    /// # Errors
    ///
    /// Those of the system, above all that the other end is gone already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        K::shutdown(&*self.io.socket()?, how)
    }

    /// Has small writes sent at once, and not held back until the last one has arrived: for a client that waits for the
    /// answer.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn send_at_once(&self) -> io::Result<()> {
        K::send_at_once(&*self.io.socket()?)
    }

    /// The plain socket, which may go to another domain: [`Cx::adopt`](crate::Cx::adopt) takes it in there.
    /// It still does not block.
    ///
    /// # Errors
    ///
    /// Those of the system; it is closed then.
    pub fn detach(self) -> io::Result<K::PlainStream> {
        self.io.detach().map(K::plain_stream)
    }

    /// Closes it, and tells whether all went well until now: what was written before is on its way, but the other
    /// end may have reset the connection, and no operation has said so yet.
    ///
    /// # Errors
    ///
    /// Those of the system, above all [`ErrorKind::ConnectionReset`]; it is closed all the same.
    pub fn close(self) -> io::Result<()> {
        end::<K>(&self.io.detach()?)
    }

    /// Makes the task of `cx` its owner, until it is [closed](Stream::close). [`Cx::connect`] and the `accept` of an
    /// owned listener do so at once.
    #[track_caller]
    pub fn owned(self, cx: &Cx) -> Owned<'_, Stream<K>> {
        self.owned_at(cx, Location::caller())
    }

    pub(crate) fn owned_at<'c>(
        self,
        cx: &'c Cx,
        at: &'static Location<'static>,
    ) -> Owned<'c, Stream<K>> {
        let peer = self.io.socket().and_then(|socket| K::peer(&socket));
        self.owned_as(cx, Label::of("connection", peer, at))
    }

    fn owned_as(self, cx: &Cx, label: Label) -> Owned<'_, Stream<K>> {
        let close = |stream: Stream<K>| Ok(stream.close()?);
        let resource = Resource::new(label, self, Box::new(close));
        Owned::new(cx, resource.watched(|stream| stream.io.watched()))
    }
}
// ANCHOR_END: stream

// ANCHOR: operations
async fn read<K: Kind>(io: &Registered<K::Stream>, buffer: &mut [u8]) -> io::Result<usize> {
    if buffer.is_empty() {
        // Some systems would wait for a byte all the same.
        poll_fn(poll_spend).await;
        return Ok(0);
    }
    let read = |socket: &_| K::bytes(socket).read(buffer);
    let count = io.operate(Side::Read, "bytes to read", read).await?;
    note_short_read::<K>(io, count, buffer.len());
    Ok(count)
}

/// The system takes no more at once. That it has not touched the others does not mean that it could not go on.
const MOST_PIECES: usize = 1024;

async fn read_vectored<K: Kind>(
    io: &Registered<K::Stream>,
    buffers: &mut [IoSliceMut<'_>],
) -> io::Result<usize> {
    let most = buffers.len().min(MOST_PIECES);
    let buffers = &mut buffers[..most];
    let room = buffers.iter().map(|buffer| buffer.len()).sum();
    if room == 0 {
        poll_fn(poll_spend).await;
        return Ok(0);
    }
    let read = |socket: &_| K::bytes(socket).read_vectored(buffers);
    let count = io.operate(Side::Read, "bytes to read", read).await?;
    note_short_read::<K>(io, count, room);
    Ok(count)
}

fn note_short_read<K: Kind>(io: &Registered<K::Stream>, count: usize, room: usize) {
    if K::SHORT_READ_TAKES_ALL && 0 < count && count < room {
        io.used_up(Side::Read);
    }
}

async fn write<K: Kind>(io: &Registered<K::Stream>, bytes: &[u8]) -> io::Result<usize> {
    let write = |socket: &_| K::bytes(socket).write(bytes);
    let count = io.operate(Side::Write, "room to write", write).await?;
    if count < bytes.len() {
        io.used_up(Side::Write);
    }
    Ok(count)
}

async fn write_vectored<K: Kind>(
    io: &Registered<K::Stream>,
    pieces: &[IoSlice<'_>],
) -> io::Result<usize> {
    let pieces = &pieces[..pieces.len().min(MOST_PIECES)];
    let write = |socket: &_| K::bytes(socket).write_vectored(pieces);
    let count = io.operate(Side::Write, "room to write", write).await?;
    if count < pieces.iter().map(|piece| piece.len()).sum() {
        io.used_up(Side::Write);
    }
    Ok(count)
}

/// How a connection has ended: with the error that it had, and no operation has told, or when it was shut down.
fn end<K: Kind>(socket: &K::Stream) -> io::Result<()> {
    match (K::take_error(socket)?, K::shutdown(socket, Shutdown::Write)) {
        (Some(error), _) => Err(error),
        // An operation has told why.
        (None, Err(error)) if error.kind() == ErrorKind::NotConnected => Ok(()),
        (None, shutdown) => shutdown,
    }
}
// ANCHOR_END: operations

// ANCHOR: halves
/// The half of a stream that reads. Made by [`Stream::split`].
pub struct ReadHalf<'s, K: Kind>(&'s Registered<K::Stream>);

/// The half of a stream that writes. Made by [`Stream::split`].
pub struct WriteHalf<'s, K: Kind>(&'s Registered<K::Stream>);

impl<K: Kind> ReadHalf<'_, K> {
    /// As [`Stream::read`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read::<K>(self.0, buffer).await
    }

    /// As [`Stream::read_vectored`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        read_vectored::<K>(self.0, buffers).await
    }
}

impl<K: Kind> WriteHalf<'_, K> {
    /// As [`Stream::write`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write::<K>(self.0, bytes).await
    }

    /// As [`Stream::write_vectored`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        write_vectored::<K>(self.0, pieces).await
    }

    /// As [`Stream::write_all`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        AsyncWrite::write_all(self, bytes).await
    }

    /// Half-closes the connection: the other end reads all that was written, and then the end. Reading goes on.
    ///
    /// # Errors
    ///
    /// As [`Stream::shutdown`].
    pub fn shutdown(&mut self) -> io::Result<()> {
        K::shutdown(&*self.0.socket()?, Shutdown::Write)
    }
}
// ANCHOR_END: halves

impl<K: Kind> AsyncRead for Stream<K> {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read::<K>(&self.io, buffer).await
    }
}

impl<K: Kind> AsyncRead for ReadHalf<'_, K> {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read::<K>(self.0, buffer).await
    }
}

impl<K: Kind> AsyncWrite for Stream<K> {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write::<K>(&self.io, bytes).await
    }
}

impl<K: Kind> AsyncWrite for WriteHalf<'_, K> {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write::<K>(self.0, bytes).await
    }
}

impl<K: Kind> fmt::Debug for Listener<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("io", &self.io).finish()
    }
}

impl<K: Kind> fmt::Debug for Stream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("io", &self.io).finish()
    }
}

impl<K: Kind> fmt::Debug for ReadHalf<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadHalf").field(self.0).finish()
    }
}

impl<K: Kind> fmt::Debug for WriteHalf<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteHalf").field(self.0).finish()
    }
}

// ANCHOR: owned
impl<K: Kind> Owned<'_, Listener<K>> {
    /// As [`Listener::accept`], and the task of `cx`, or the scope, owns the connection.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn accept<'a>(
        &mut self,
        cx: &'a Cx,
    ) -> impl Future<Output = io::Result<(Owned<'a, Stream<K>>, K::Address)>> {
        let at = Location::caller();
        async move {
            let (stream, address) = Listener::accept(self).await?;
            Ok((stream.owned_at(cx, at), address))
        }
    }
}

impl<'c, K: Kind> Owned<'c, Listener<K>> {
    /// As [`Listener::detach`]: what is owned is then the plain socket, under the same name, and closed by
    /// the runtime's own finaliser, whatever it had.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn detach(self) -> io::Result<Owned<'c, K::PlainListener>> {
        let (cx, label, listener) = self.part();
        let resource = Resource::new(label, listener.detach()?, Box::new(|_| Ok(())));
        Ok(Owned::new(cx, resource))
    }
}

impl<'c, K: Kind> Owned<'c, Stream<K>> {
    /// As [`Stream::detach`]: what is owned is then the plain socket, under the same name, and closed by
    /// the runtime's own finaliser, whatever it had.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn detach(self) -> io::Result<Owned<'c, K::PlainStream>> {
        let (cx, label, stream) = self.part();
        let close = |stream| Ok(end::<K>(&K::stream(stream)?)?);
        let resource = Resource::new(label, stream.detach()?, Box::new(close));
        Ok(Owned::new(cx, resource))
    }
}
// ANCHOR_END: owned

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

/// What can be owned under a name that was given before.
#[doc(hidden)]
pub trait Socket: Sized + 'static {
    #[doc(hidden)]
    fn renamed<'c>(self, former: Parted<'c>) -> Owned<'c, Self>;
}

/// The context and the name of what was owned.
#[doc(hidden)]
pub struct Parted<'c>(&'c Cx, Label);

impl<K: Kind> Socket for Listener<K> {
    fn renamed<'c>(self, Parted(cx, label): Parted<'c>) -> Owned<'c, Self> {
        self.owned_as(cx, label)
    }
}

impl<K: Kind> Socket for Stream<K> {
    fn renamed<'c>(self, Parted(cx, label): Parted<'c>) -> Owned<'c, Self> {
        self.owned_as(cx, label)
    }
}

impl<'c, P: Adopt<Adopted: Socket>> Adopt for Owned<'c, P> {
    type Adopted = Owned<'c, P::Adopted>;

    /// What is owned is then a socket of this runtime, under the same name.
    fn adopt(self) -> io::Result<Self::Adopted> {
        let (cx, label, plain) = self.part();
        Ok(plain.adopt()?.renamed(Parted(cx, label)))
    }
}
// ANCHOR_END: adopt
