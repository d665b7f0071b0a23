//! The echo server. `cargo run -- --help` says what it can be asked for.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use ch08_mutexes_and_conditions::{Address, Args, Cx, Failure, Log, Places, Result, Runtime};
#[cfg(unix)]
use ch08_mutexes_and_conditions::{Orders, listen_on_file};
use ch08_mutexes_and_conditions::{Server, Trace, Trigger, announce, listen, reason, report};

// ANCHOR: main
fn main() -> ExitCode {
    let args = match Args::from_env() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(failure);
            ExitCode::FAILURE
        }
    }
}

fn serve(args: Args) -> Result<()> {
    // Their ages stand beside the tasks that SIGUSR1 prints.
    let mut builder = Runtime::builder().ages(true);
    if let Some(domains) = args.domains {
        builder = builder.domains(domains);
    }
    let trace = match &args.trace {
        Some(path) => Some(Trace::to_file(path).map_err(|error| {
            Failure::from(error).context(format_args!("cannot write {}", path.display()))
        })?),
        None => None,
    };
    if let Some(trace) = &trace {
        builder = builder.trace(trace);
    }
    let server = Arc::new(Server {
        idle: args.idle_timeout,
        grace: args.grace,
        places: Places::new(args.max_clients),
        stop: Trigger::new(),
        log: Log::to(io::stderr())?,
    });
    let served = builder.build().run(async move |cx| {
        #[cfg(unix)]
        let obeying = {
            let (orders, server) = (Orders::hear()?, server.clone());
            cx.spawn(async move |cx| orders.obey(cx, &server).await)
        };
        serve_everywhere(cx, &server, &args.listen).await?;
        #[cfg(unix)]
        obeying.cancel().await?;
        Ok(())
    });
    if let Some(error) = trace.and_then(|trace| trace.take_error()) {
        report(format_args!(
            "the trace is not complete: {}",
            reason(&error)
        ));
    }
    served
}
// ANCHOR_END: main

// ANCHOR: everywhere
/// Servers for all addresses, on all domains. If one fails, all end.
async fn serve_everywhere(cx: &Cx, server: &Arc<Server>, addresses: &[Address]) -> Result<()> {
    let count = 1 + cx.domains().len();
    let mut servers = cx.orphans();
    for address in addresses {
        match address {
            Address::Tcp(addresses) => {
                let listeners = listen(addresses, count)?;
                // The address comes from a listener: port 0 has become a real one there.
                announce(listeners[0].local_addr()?);
                server.start(cx, &mut servers, listeners)?;
            }
            #[cfg(unix)]
            Address::Unix(path) => {
                let (listeners, file) = listen_on_file(path, count)?;
                announce(format_args!("unix:{}", path.display()));
                // It goes first, not when the last client has gone: the next server may begin by then.
                let file = cx.own("a socket's file", file, |_removed| Ok(()));
                let stop = server.stop.clone();
                servers.give(file).spawn(async move |_, file| {
                    stop.await;
                    file.release().await
                });
                server.start(cx, &mut servers, listeners)?;
            }
            #[cfg(not(unix))]
            Address::Unix(_) => unreachable!("the command line takes none here"),
        }
    }
    while let Some(ended) = servers.next().await {
        ended?;
    }
    Ok(())
}
// ANCHOR_END: everywhere
