//! Servers for tests.
#![allow(dead_code, reason = "each test program uses its part")]

use ch08_mutexes_and_conditions::{
    Cx, Log, Owned, Places, Result, Server, TcpListener, TcpStream, Trigger,
};
use std::io;
use std::net;
use std::sync::Arc;
use std::time::Duration;

/// A server that nobody has to stop, and that says nothing.
pub(crate) fn quiet(idle: Duration) -> Server {
    Server {
        idle,
        grace: Duration::ZERO,
        places: Places::new(usize::MAX),
        stop: Trigger::new(),
        log: Log::to(io::sink()).expect("a thread"),
    }
}

/// As the function of the same name, without the count.
pub(crate) async fn echo(stream: &mut TcpStream, idle: Duration) -> io::Result<()> {
    ch08_mutexes_and_conditions::echo(stream, idle).await?;
    Ok(())
}

/// Serves the clients of `listener`, until cancelled.
pub(crate) async fn serve(cx: &Cx, listener: Owned<'_, TcpListener>, idle: Duration) -> Result<()> {
    Arc::new(quiet(idle)).serve(cx, listener).await
}

/// Serves with one of `listeners` on each domain, until cancelled, or one of the servers fails.
pub(crate) async fn serve_everywhere(
    cx: &Cx,
    listeners: Vec<net::TcpListener>,
    idle: Duration,
) -> Result<()> {
    let mut servers = cx.orphans();
    Arc::new(quiet(idle)).start(cx, &mut servers, listeners)?;
    while let Some(ended) = servers.next().await {
        ended?;
    }
    Ok(())
}
