//! Tokio.

use std::future::pending;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use super::{ANY, announce, ready, wait_to_begin};

/// On one thread.
pub(crate) fn serve(buffer: usize) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(clients(buffer))
}

/// On a thread for each core.
pub(crate) fn serve_everywhere(buffer: usize) -> io::Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    // As in its documentation: the main thread's task is one that workers do not run.
    let server = runtime.spawn(clients(buffer));
    runtime.block_on(server).map_err(io::Error::other)?
}

async fn clients(buffer: usize) -> io::Result<()> {
    let listener = TcpListener::bind(ANY).await?;
    announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(echo(stream, buffer));
    }
}

async fn echo(mut stream: TcpStream, buffer: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; buffer];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

/// Keeps so many tasks waiting.
pub(crate) fn idle(count: u64) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::spawn(async {}).await?;
        wait_to_begin()?;
        let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(pending::<()>())).collect();
        // The last one has its turn after all others.
        tokio::spawn(async {}).await?;
        ready()?;
        for task in tasks {
            task.await?;
        }
        pending().await
    })
}
