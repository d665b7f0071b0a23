//! monoio with its epoll driver, which it calls the legacy one.

use std::future::pending;
use std::io;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::{LegacyDriver, RuntimeBuilder};

use super::{ANY, announce, ready, wait_to_begin};

pub(crate) fn serve(buffer: usize) -> io::Result<()> {
    let mut runtime = RuntimeBuilder::<LegacyDriver>::new().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(ANY)?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            monoio::spawn(echo(stream, buffer));
        }
    })
}

/// The buffer goes along with each operation, and comes back with its result.
async fn echo(mut stream: TcpStream, buffer: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(buffer);
    loop {
        let read;
        (read, buffer) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let written;
        (written, buffer) = stream.write_all(buffer).await;
        written?;
        buffer.clear();
    }
}

/// Keeps so many tasks waiting.
pub(crate) fn idle(count: u64) -> io::Result<()> {
    let mut runtime = RuntimeBuilder::<LegacyDriver>::new().build()?;
    runtime.block_on(async {
        monoio::spawn(async {}).await;
        wait_to_begin()?;
        let tasks: Vec<_> = (0..count).map(|_| monoio::spawn(pending::<()>())).collect();
        // The last one has its turn after all others.
        monoio::spawn(async {}).await;
        ready()?;
        for task in tasks {
            task.await;
        }
        pending().await
    })
}
