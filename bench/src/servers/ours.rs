//! This book's runtime.

use std::future::pending;
use std::io;
use std::time::Duration;

use crate::runtime::{Care, Cx, Failure, Result, Runtime, TcpListener, TcpStream};
use crate::runtime::{await_all, await_first, listen, sleep, yield_now};

use super::{ANY, announce, ready, wait_to_begin};

/// On one thread.
pub(crate) fn serve(buffer: usize) -> io::Result<()> {
    serve_on(0, buffer)
}

/// On a thread for each core.
pub(crate) fn serve_everywhere(buffer: usize) -> io::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    serve_on(cores - 1, buffer)
}

fn serve_on(domains: usize, buffer: usize) -> io::Result<()> {
    let runtime = Runtime::builder().domains(domains).build();
    let served = runtime.run(async move |cx| {
        let listeners = listen(&[ANY], 1 + domains)?;
        announce(listeners[0].local_addr()?)?;
        let mut listeners = listeners.into_iter();
        let mut servers = Vec::new();
        if let Some(listener) = listeners.next() {
            servers.push(cx.spawn(async move |cx| clients(cx, cx.adopt(listener)?, buffer).await));
        }
        for (domain, listener) in cx.domains().zip(listeners) {
            let server = async move |cx: &Cx| clients(cx, cx.adopt(listener)?, buffer).await;
            servers.push(cx.call_on(domain, server)?);
        }
        await_first(&mut servers).await
    });
    served.map_err(failed)
}

async fn clients(cx: &Cx, mut listener: TcpListener, buffer: usize) -> Result<()> {
    let mut clients = cx.orphans();
    loop {
        let (stream, _) = listener.accept().await?;
        clients.spawn(async move |_| Ok(echo(stream, buffer).await?));
        while let Care::Over(_) = clients.care() {}
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
    let runtime = Runtime::builder().domains(0).build();
    let idle = runtime.run(async move |cx| {
        cx.spawn(async |_| Ok(())).await?;
        wait_to_begin()?;
        let idle = async |_: &Cx| pending::<Result<()>>().await;
        let mut tasks: Vec<_> = (0..count).map(|_| cx.spawn(idle)).collect();
        // First in, first out: when it is our turn again, all have had theirs.
        yield_now().await;
        ready()?;
        // A run in which everybody waits, and nobody for an event, would end with an error.
        sleep(Duration::MAX).await;
        await_all(&mut tasks).await;
        Ok(())
    });
    idle.map_err(failed)
}

fn failed(failure: Failure) -> io::Error {
    io::Error::other(failure.to_string())
}
