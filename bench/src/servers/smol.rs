//! smol, with an executor on one thread.

use std::future::pending;
use std::io;

use smol::LocalExecutor;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};

use super::{ANY, announce, ready, wait_to_begin};

pub(crate) fn serve(buffer: usize) -> io::Result<()> {
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = TcpListener::bind(ANY).await?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            executor.spawn(echo(stream, buffer)).detach();
        }
    }))
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
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        executor.spawn(async {}).await;
        wait_to_begin()?;
        let tasks: Vec<_> = (0..count)
            .map(|_| executor.spawn(pending::<()>()))
            .collect();
        // The last one has its turn after all others.
        executor.spawn(async {}).await;
        ready()?;
        for task in tasks {
            task.await;
        }
        pending().await
    }))
}
