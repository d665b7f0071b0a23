//! The echo server. `cargo run -- --help` says what it can be asked for.

use std::process::ExitCode;

use ch07_sleepers::{Args, Runtime, announce, listen, report, serve_everywhere};

// ANCHOR: main
fn main() -> ExitCode {
    let args = match Args::from_env() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let mut builder = Runtime::builder();
    if let Some(domains) = args.domains {
        builder = builder.domains(domains);
    }
    let served = builder.build().run(async move |cx| {
        let listeners = listen(&args.listen, 1 + cx.domains().len())?;
        // The address comes from a listener: port 0 has become a real one there.
        announce(listeners[0].local_addr()?);
        serve_everywhere(cx, listeners, args.idle_timeout).await
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
