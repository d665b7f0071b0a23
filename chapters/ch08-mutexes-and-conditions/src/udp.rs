//! Datagrams.

use crate::cx::Cx;
use crate::event_loop::{Registered, Side};
use crate::net::no_address;
use crate::owned::Owned;
use crate::resource::{Label, Resource};
use crate::stream::Adopt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::Location;

/// Sends and receives datagrams over UDP. Dropping it closes it.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{UdpSocket, run};
///
/// run(async |cx| {
///     let mut server = UdpSocket::bind("127.0.0.1:0")?;
///     let address = server.local_addr()?;
///     let echo = cx.spawn(async move |_| {
///         let mut buffer = [0; 1500];
///         let (count, client) = server.recv_from(&mut buffer).await?;
///         Ok(server.send_to(&buffer[..count], client).await?)
///     });
///     let mut client = UdpSocket::bind("127.0.0.1:0")?;
///     client.connect(address)?;
///     client.send(b"hello").await?;
///     let mut buffer = [0; 1500];
///     let count = client.recv(&mut buffer).await?;
///     assert_eq!(&buffer[..count], b"hello");
///     assert_eq!(echo.await?, 5);
///     Ok(())
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    io: Registered<mio::net::UdpSocket>,
}

impl UdpSocket {
    /// Receives at the first of `addresses` that can be had. Looking up a host name blocks the thread.
    ///
    /// # Errors
    ///
    /// Those of the last address; also if `addresses` is empty, or this is not inside of
    /// [`run`](crate::run).
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        let mut error = no_address();
        for address in addresses.to_socket_addrs()? {
            match mio::net::UdpSocket::bind(address) {
                Ok(socket) => return UdpSocket::new(socket),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    fn new(socket: mio::net::UdpSocket) -> io::Result<UdpSocket> {
        let io = Registered::new(socket, true)?;
        Ok(UdpSocket { io })
    }

    /// From now on [`send`](UdpSocket::send) sends to `address`, and only what comes from there is received.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn connect(&self, address: SocketAddr) -> io::Result<()> {
        self.io.socket()?.connect(address)
    }

    /// Waits for a datagram. Gives its length, and who has sent it. What does not fit into `buffer` is lost.
    ///
    /// Dropped before it is ready, it has taken none.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub async fn recv_from(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let receive = |socket: &mio::net::UdpSocket| socket.recv_from(buffer);
        self.io.operate(Side::Read, "a datagram", receive).await
    }

    /// Waits for a datagram from where the socket is [connected](UdpSocket::connect) to. Gives its length. What does not fit
    /// into `buffer` is lost.
    ///
    /// Dropped before it is ready, it has taken none.
    ///
    /// # Errors
    ///
    /// Those of the system, above all [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): nobody took one that was sent before.
    pub async fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let receive = |socket: &mio::net::UdpSocket| socket.recv(buffer);
        self.io.operate(Side::Read, "a datagram", receive).await
    }

    /// Sends `datagram` to `address`; waits if there is no room. Gives its length. Whether it arrives, nobody knows.
    ///
    /// Dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    ///
    /// Those of the system, above all that the datagram is too long.
    pub async fn send_to(&mut self, datagram: &[u8], address: SocketAddr) -> io::Result<usize> {
        let send = |socket: &mio::net::UdpSocket| socket.send_to(datagram, address);
        self.io.operate(Side::Write, "room to write", send).await
    }

    /// As [`send_to`](UdpSocket::send_to), to where the socket is [connected](UdpSocket::connect) to.
    ///
    /// # Errors
    ///
    /// As [`send_to`](UdpSocket::send_to); also if it is not connected.
    pub async fn send(&mut self, datagram: &[u8]) -> io::Result<usize> {
        let send = |socket: &mio::net::UdpSocket| socket.send(datagram);
        self.io.operate(Side::Write, "room to write", send).await
    }

    /// The address it receives at, with the port that the system chose if 0 was asked for.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.socket()?.local_addr()
    }

    /// The plain socket, which may go to another domain: [`Cx::adopt`] takes it in there. It still does not block.
    ///
    /// # Errors
    ///
    /// Those of the system; it is closed then.
    pub fn detach(self) -> io::Result<std::net::UdpSocket> {
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

    /// Makes the task of `cx` its owner, until it is [closed](UdpSocket::close).
    #[track_caller]
    pub fn owned(self, cx: &Cx) -> Owned<'_, UdpSocket> {
        let label = Label::of("datagram socket", self.local_addr(), Location::caller());
        let close = |socket: UdpSocket| Ok(socket.close()?);
        let resource = Resource::new(label, self, Box::new(close));
        Owned::new(cx, resource.watched(|socket| socket.io.watched()))
    }
}

impl Adopt for std::net::UdpSocket {
    type Adopted = UdpSocket;

    fn adopt(self) -> io::Result<UdpSocket> {
        self.set_nonblocking(true)?;
        UdpSocket::new(mio::net::UdpSocket::from_std(self))
    }
}
