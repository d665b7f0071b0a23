//! The same echo server on each runtime, as its users would write it, and tasks that wait for ever.
//!
//! Each client has a task and a buffer of its own (the loop by hand: none), messages go out at once
//! (`TCP_NODELAY`), and a client that fails ends nobody else.

pub(crate) mod by_hand;
#[cfg(target_os = "linux")]
pub(crate) mod monoio;
pub(crate) mod ours;
pub(crate) mod smol;
pub(crate) mod tokio;

use std::io::{self, Write};
use std::net::SocketAddr;

/// Any free port.
pub(crate) const ANY: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Says where the server listens.
pub(crate) fn announce(address: SocketAddr) -> io::Result<()> {
    say(format_args!("listening on {address}"))
}

/// Says that the runtime is there, and waits until it is asked for tasks. That blocks it: there is nothing else
/// to do yet.
pub(crate) fn wait_to_begin() -> io::Result<()> {
    ready()?;
    io::stdin().read_line(&mut String::new()).map(drop)
}

/// Says that all tasks wait.
pub(crate) fn ready() -> io::Result<()> {
    say(format_args!("ready"))
}

/// For who reads the other end of the pipe.
pub(crate) fn say(line: std::fmt::Arguments<'_>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
