//! A server is asked to stop while it has a client, and every step of that. `cargo run --example last_orders`

use ch08_mutexes_and_conditions::signals::SIGUSR2;
use ch08_mutexes_and_conditions::{Cx, Either, Recording, Result, Runtime, Signal, Trigger};
use ch08_mutexes_and_conditions::{TcpListener, TcpStream, race, signal, yield_now};
use signal_hook::low_level::raise;
use std::net;

// ANCHOR: figure
async fn client(mut stream: TcpStream, stop: Trigger) -> Result<()> {
    let mut buffer = [0; 16];
    match race(stream.read(&mut buffer), stop).await {
        Either::First(count) => stream.write_all(&buffer[..count?]).await?,
        Either::Second(()) => stream.write_all(b"goodbye").await?,
    }
    Ok(())
}

async fn serve(cx: &Cx, mut listener: TcpListener, mut order: Signal) -> Result<()> {
    let stop = Trigger::new();
    let mut clients = cx.orphans();
    while let Either::First(accepted) = race(listener.accept(), order.recv()).await {
        let (stream, _) = accepted?;
        let stop = stop.clone();
        clients.spawn(async |_| client(stream, stop).await);
    }
    drop(listener);
    stop.signal();
    clients.next().await.unwrap_or(Ok(()))
}

async fn bar(cx: &Cx) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let order = signal(SIGUSR2)?;
    let server = cx.spawn(async |cx| serve(cx, listener, order).await);
    let _guest = net::TcpStream::connect(address)?;
    // The server's turn, and the client's.
    yield_now().await;
    yield_now().await;
    raise(SIGUSR2)?;
    server.await
}
// ANCHOR_END: figure

pub(crate) fn program(recording: &Recording) -> Result<()> {
    let runtime = Runtime::builder().domains(0).record(recording);
    runtime.build().run(bar)
}

fn main() -> Result<()> {
    let recording = Recording::new();
    program(&recording)?;
    print!("{recording}");
    Ok(())
}
