//! An echo server that looks every ten milliseconds. `cargo run --example naive_select`
//!
//! It needs nothing from the runtime but tasks and wakers: it would run on chapter 2.

use ch03_system_events::{Args, announce, report, run, spawn, yield_now};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

// ANCHOR: try_again
thread_local! {
    /// The tasks whose sockets had nothing to say.
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
    /// Operations that succeeded.
    static USEFUL: Cell<u64> = const { Cell::new(0) };
}

/// Tries `operation` after each look, until it does not answer "would block".
async fn try_again<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    poll_fn(|cx| match operation() {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            WAITING.with_borrow_mut(|waiting| waiting.push(cx.waker().clone()));
            Poll::Pending
        }
        result => {
            USEFUL.set(USEFUL.get() + 1);
            Poll::Ready(result)
        }
    })
    .await
}
// ANCHOR_END: try_again

// ANCHOR: look
/// Ten milliseconds at a time: sleep, and have everybody who waits try again.
async fn look_again_and_again() {
    for looks in 1_u64.. {
        thread::sleep(Duration::from_millis(10));
        WAITING.take().into_iter().for_each(Waker::wake);
        yield_now().await;
        if looks.is_multiple_of(100) {
            let useful = USEFUL.take();
            report(format_args!("100 looks, {useful} reads and writes done"));
        }
    }
}
// ANCHOR_END: look

// ANCHOR: serve
async fn serve(listener: TcpListener) -> io::Result<()> {
    drop(spawn(look_again_and_again()));
    loop {
        let (client, _) = try_again(|| listener.accept()).await?;
        client.set_nonblocking(true)?;
        drop(spawn(echo(client)));
    }
}

async fn echo(mut client: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let count = try_again(|| client.read(&mut buffer)).await?;
        let mut rest = &buffer[..count];
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            rest = &rest[try_again(|| client.write(rest)).await?..];
        }
    }
}
// ANCHOR_END: serve

fn main() -> ExitCode {
    let args = match Args::from_env() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let served = TcpListener::bind(&args.listen[..]).and_then(|listener| {
        announce(listener.local_addr()?);
        listener.set_nonblocking(true)?;
        run(serve(listener))
    });
    if let Err(error) = served {
        report(error);
    }
    ExitCode::FAILURE
}
