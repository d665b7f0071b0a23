//! A client for the echo servers of the book, for machines without `nc`: it sends what it reads
//! from standard input, and prints what comes back until the server closes.
//!
//! `cargo run --example client -- [ADDR] [--wait SECONDS]`

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const USAGE: &str = "usage: client [ADDR] [--wait SECONDS] (default ADDR: 127.0.0.1:7007)";

struct Args {
    address: String,
    /// How long to wait for the server to say something; `None`: for ever.
    wait: Option<Duration>,
}

fn parse(args: impl Iterator<Item = String>) -> Option<Args> {
    let mut args = args;
    let mut address = None;
    let mut wait = None;
    while let Some(arg) = args.next() {
        if arg == "--wait" {
            let seconds = args.next()?.parse().ok()?;
            // Zero would mean "for ever" to the system.
            wait = Some(Duration::try_from_secs_f64(seconds).ok()?).filter(|wait| !wait.is_zero());
            wait?;
        } else if arg.starts_with('-') || address.replace(arg).is_some() {
            return None;
        }
    }
    let address = address.unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    Some(Args { address, wait })
}

// ANCHOR: client
fn talk(args: &Args) -> Result<(), String> {
    let Args { address, wait } = args;
    let failed = |error: io::Error| format!("{address}: {error}");
    let server = Arc::new(TcpStream::connect(address).map_err(failed)?);
    server.set_read_timeout(*wait).map_err(failed)?;

    // This thread is never joined: it may well wait for a keyboard when the server has closed.
    // An error here needs no words, since `read` below meets it too.
    let sender = Arc::clone(&server);
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut &*sender);
        let _ = sender.shutdown(Shutdown::Write);
    });

    let mut stdout = io::stdout();
    let mut buffer = [0; 16 * 1024];
    loop {
        match (&*server).read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => stdout
                .write_all(&buffer[..count])
                .and_then(|()| stdout.flush())
                .map_err(|error| format!("standard output: {error}"))?,
            Err(error) => match (error.kind(), wait) {
                (ErrorKind::Interrupted, _) => {}
                // What a read timeout is called depends on the system.
                (ErrorKind::WouldBlock | ErrorKind::TimedOut, Some(wait)) => {
                    let seconds = wait.as_secs_f64();
                    return Err(format!("no answer from {address} within {seconds} s"));
                }
                _ => return Err(failed(error)),
            },
        }
    }
}
// ANCHOR_END: client

fn main() -> ExitCode {
    let Some(args) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match talk(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
