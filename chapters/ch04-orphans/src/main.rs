//! The echo server. `cargo run -- --help` says what it can be asked for.

use std::process::ExitCode;

use ch04_orphans::{Args, announce, listen, report, run, serve};

// ANCHOR: main
fn main() -> ExitCode {
    let args = match Args::from_env() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let served = run(async move |cx| {
        // The address comes from the listener: port 0 has become a real one there.
        let listener = listen(&args.listen)?;
        announce(listener.local_addr()?);
        serve(cx, listener).await
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(failure);
            ExitCode::FAILURE
        }
    }
}
// ANCHOR_END: main
