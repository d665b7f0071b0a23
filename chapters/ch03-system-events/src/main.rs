//! The echo server. `cargo run -- --help` says what it can be asked for.

use std::process::ExitCode;

use ch03_system_events::{Args, announce, listen, report, run, serve};

// ANCHOR: main
fn main() -> ExitCode {
    let args = match Args::from_env() {
        Ok(args) => args,
        Err(code) => return code,
    };
    run(async move {
        // The address comes from the listener: port 0 has become a real one there.
        let listening = listen(&args.listen).and_then(|listener| {
            announce(listener.local_addr()?);
            Ok(listener)
        });
        match listening {
            Ok(listener) => serve(listener).await,
            Err(error) => {
                report(error);
                ExitCode::FAILURE
            }
        }
    })
}
// ANCHOR_END: main
