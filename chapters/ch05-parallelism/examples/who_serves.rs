//! A server on each domain, that tells each client which domain it is. Whoever says `compute` has the
//! domain do so for ten seconds. `cargo run --example who_serves -- [ADDR] [DOMAINS] [shared]`

use ch05_parallelism::{
    Care, Cx, Result, Runtime, TcpStream, accept, announce, await_first, listen,
};
use std::net::{TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

// ANCHOR: client
async fn client(cx: &Cx, mut stream: TcpStream) -> Result<()> {
    let name = format!("{}\n", cx.domain());
    stream.write_all(name.as_bytes()).await?;
    let mut word = [0; 16];
    let count = stream.read(&mut word).await?;
    if word[..count].starts_with(b"compute") {
        // There is no `.await` in this, so nobody else has a turn.
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }
    Ok(())
}
// ANCHOR_END: client

async fn serve(cx: &Cx, listener: TcpListener) -> Result<()> {
    let mut listener = cx.adopt(listener)?;
    let mut clients = cx.orphans();
    loop {
        let (stream, _) = accept(&mut listener).await;
        clients.spawn(async |cx| client(cx, stream).await);
        // How a client ended does not matter here.
        while let Care::Over(_) = clients.care() {}
    }
}

// ANCHOR: main
async fn serve_everywhere(cx: &Cx, listeners: Vec<TcpListener>) -> Result<()> {
    let mut servers = Vec::new();
    for (domain, listener) in cx.domains().zip(listeners) {
        servers.push(cx.call_on(domain, async |cx| serve(cx, listener).await)?);
    }
    await_first(&mut servers).await
}
// ANCHOR_END: main

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let addresses: Vec<_> = address.to_socket_addrs()?.collect();
    let domains = args.next().map_or(Ok(3), |arg| arg.parse())?;
    let shared = args.next().is_some_and(|arg| arg == "shared");
    let runtime = Runtime::builder().domains(domains).build();
    runtime.run(async move |cx| {
        // Shared, they are one socket with several names.
        let mut listeners = listen(&addresses, if shared { 1 } else { domains })?;
        while listeners.len() < domains {
            listeners.push(listeners[0].try_clone()?);
        }
        announce(listeners[0].local_addr()?);
        serve_everywhere(cx, listeners).await
    })
}
