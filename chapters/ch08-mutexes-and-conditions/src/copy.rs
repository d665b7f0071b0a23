//! From one stream to another.

use std::io::{self, ErrorKind};

// ANCHOR: traits
/// What bytes can be read from. For code that works with any stream.
#[expect(
    async_fn_in_trait,
    reason = "tasks do not move to other threads, so no future has to be `Send`"
)]
pub trait AsyncRead {
    /// Reads what is there into `buffer`; waits if there is nothing. Gives the number of bytes: 0
    /// means that no more will come, or that `buffer` is empty.
    ///
    /// Dropped before it is ready, it has taken nothing.
    ///
    /// # Errors
    ///
    /// Those of the source.
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// What bytes can be written to. For code that works with any stream.
#[expect(
    async_fn_in_trait,
    reason = "tasks do not move to other threads, so no future has to be `Send`"
)]
pub trait AsyncWrite {
    /// Writes some of `bytes`, as many as there is room for; waits if there is none. Gives their
    /// number.
    ///
    /// Dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    ///
    /// Those of the target.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes all of `bytes`.
    ///
    /// Dropped before it is ready, it may have sent a part, and nobody knows which.
    ///
    /// # Errors
    ///
    /// Those of [`write`](AsyncWrite::write), and [`ErrorKind::WriteZero`] if that takes no more.
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        loop {
            // Also if there is nothing: each operation spends of the budget.
            match self.write(rest).await? {
                count if count == rest.len() => return Ok(()),
                0 => return Err(ErrorKind::WriteZero.into()),
                count => rest = &rest[count..],
            }
        }
    }
}
// ANCHOR_END: traits

/// Copies from `source` to `target` until the end of the source. Gives the number of bytes.
///
/// It neither closes the target nor says there that this was all: half-close it, by
/// [`shutdown`](crate::WriteHalf::shutdown), if the other end waits for that. Dropped before it is ready, it may have taken up to 16 KiB that it has
/// not written.
///
/// # Errors
///
/// Those of the source, and of the target.
///
/// # Examples
///
/// A proxy is two copies:
///
/// ```
/// use ch08_mutexes_and_conditions::{Either, ReadHalf, Result, Tcp, TcpStream, WriteHalf};
/// use ch08_mutexes_and_conditions::{copy, race, run};
/// use std::net::{Shutdown, SocketAddr};
/// use std::pin::pin;
///
/// /// Passes on what comes from `client` and what `server` answers, at the same time, until both have said all.
/// async fn proxy(mut client: TcpStream, server: SocketAddr) -> Result<()> {
///     let mut server = TcpStream::connect(server).await?;
///     let (from_client, to_client) = client.split();
///     let (from_server, to_server) = server.split();
///     let mut up = pin!(pass_on(from_client, to_server));
///     let mut down = pin!(pass_on(from_server, to_client));
///     match race(&mut up, &mut down).await {
///         Either::First(Ok(())) => down.await,
///         Either::Second(Ok(())) => up.await,
///         Either::First(failed) | Either::Second(failed) => failed,
///     }
/// }
///
/// async fn pass_on(mut from: ReadHalf<'_, Tcp>, mut to: WriteHalf<'_, Tcp>) -> Result<()> {
///     copy(&mut from, &mut to).await?;
///     Ok(to.shutdown()?) // the other end is to know that this was all
/// }
///
/// run(async |cx| {
///     let mut server = TcpListener::bind("127.0.0.1:0")?;
///     let address = server.local_addr()?;
///     let shouts = cx.spawn(async move |_| {
///         let (mut stream, _) = server.accept().await?;
///         let mut buffer = [0; 16];
///         let count = stream.read(&mut buffer).await?;
///         buffer.make_ascii_uppercase();
///         Ok(stream.write_all(&buffer[..count]).await?)
///     });
/// #   use ch08_mutexes_and_conditions::TcpListener;
///     let mut front = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(front.local_addr()?).await?;
///     let (stream, _) = front.accept().await?;
///     let proxy = cx.spawn(async move |_| proxy(stream, address).await);
///
///     client.write_all(b"hello").await?;
///     client.shutdown(Shutdown::Write)?;
///     let mut buffer = [0; 16];
///     let count = client.read(&mut buffer).await?;
///     assert_eq!(&buffer[..count], b"HELLO");
///     shouts.await?;
///     proxy.await
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
// ANCHOR: copy
pub async fn copy(source: &mut impl AsyncRead, target: &mut impl AsyncWrite) -> io::Result<u64> {
    // In a box: on the stack it would make the task's future as large.
    let mut buffer = vec![0; 16 * 1024];
    let mut total = 0;
    loop {
        match source.read(&mut buffer).await? {
            0 => return Ok(total),
            count => {
                target.write_all(&buffer[..count]).await?;
                total += count as u64;
            }
        }
    }
}
// ANCHOR_END: copy
