//! A client whose task is cancelled, and who is told. `cargo run --example farewell`

use ch06_ownership::{Cx, Result, TcpListener, TcpStream, echo, run};
use std::io::Write;

// ANCHOR: serve
async fn serve(cx: &Cx, stream: TcpStream) -> Result<()> {
    let mut stream = cx.own("the client", stream, say_goodbye);
    echo(&mut stream).await?;
    stream.release().await
}

/// The plain socket does not block: what has no room is an error.
fn say_goodbye(stream: TcpStream) -> Result<()> {
    let mut socket = stream.detach()?;
    Ok(socket.write_all(b"goodbye")?)
}
// ANCHOR_END: serve

async fn read(stream: &mut TcpStream) -> Result<String> {
    let mut buffer = [0; 16];
    let count = stream.read(&mut buffer).await?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

fn main() -> Result<()> {
    run(async |cx| {
        let mut listener = TcpListener::bind("127.0.0.1:0")?;
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, _) = listener.accept().await?;
        let server = cx.spawn(async |cx| serve(cx, stream).await);
        client.write_all(b"hello").await?;
        println!("the client reads {:?}", read(&mut client).await?);
        println!("cancelled: {:?}", server.cancel().await);
        println!("the client reads {:?}", read(&mut client).await?);
        Ok(())
    })
}
