//! The road the book leaves: a thread for every client.
//!
//! `cargo run --example thread_per_client`, with the options of the server.

use std::net::TcpListener;
use std::process::ExitCode;
use std::thread;

use ch01_synchronous_server::{Args, accept, announce, echo, listen, reason, report};

// ANCHOR: serve
fn serve(listener: &TcpListener) -> ! {
    loop {
        let Some((stream, address)) = accept(listener) else {
            continue;
        };
        // `thread::spawn` would panic when the system has no thread left to give.
        let spawned = thread::Builder::new().spawn(move || {
            if let Err(error) = echo(&stream) {
                report(format_args!("client {address}: {}", reason(&error)));
            }
        });
        if let Err(error) = spawned {
            // The stream went with the closure, and so the client has been sent away.
            report(format_args!("client {address}: {}", reason(&error)));
        }
    }
}
// ANCHOR_END: serve

fn main() -> ExitCode {
    let args = match Args::from_env() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let listening = listen(&args.listen).and_then(|listener| {
        announce(listener.local_addr()?);
        Ok(listener)
    });
    match listening {
        Ok(listener) => serve(&listener),
        Err(error) => {
            report(error);
            ExitCode::FAILURE
        }
    }
}
