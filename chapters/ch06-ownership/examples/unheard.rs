//! A letter that nobody reads, sent with and without looking back. `cargo run --example unheard`

use ch06_ownership::{Cx, Result, TcpListener, TcpStream, run, yield_now};

// ANCHOR: send
async fn send(mut stream: TcpStream) -> Result<()> {
    stream.write_all(b"a letter of some importance").await?;
    yield_now().await; // the other one goes
    Ok(())
}
// ANCHOR_END: send

// ANCHOR: owned
async fn send_owned(cx: &Cx, stream: TcpStream) -> Result<()> {
    let mut stream = stream.owned(cx);
    stream.write_all(b"a letter of some importance").await?;
    yield_now().await; // the other one goes
    stream.release().await
}
// ANCHOR_END: owned

/// A connection, and its other end.
async fn pair() -> Result<(TcpStream, TcpStream)> {
    let mut listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    Ok((listener.accept().await?.0, client))
}

/// Sees that something has come, and hangs up without reading it.
async fn hang_up(client: TcpStream) -> Result<()> {
    // The task that sends has its turn first.
    yield_now().await;
    client.detach()?.peek(&mut [0])?;
    Ok(())
}

fn main() -> Result<()> {
    run(async |cx| {
        let (stream, client) = pair().await?;
        let sender = cx.spawn(async |_| send(stream).await);
        hang_up(client).await?;
        println!("dropped:  {:?}", sender.await);

        let (stream, client) = pair().await?;
        let sender = cx.spawn(async |cx| send_owned(cx, stream).await);
        hang_up(client).await?;
        println!("released: {:?}", sender.await);
        Ok(())
    })
}
