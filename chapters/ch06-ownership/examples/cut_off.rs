//! A client whose task is cancelled. `cargo run --example cut_off`

use ch06_ownership::{Result, TcpListener, TcpStream, echo, run};

// ANCHOR: serve
async fn serve(mut stream: TcpStream) -> Result<()> {
    echo(&mut stream).await?;
    Ok(stream.write_all(b"goodbye").await?)
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
        // ANCHOR: cancel
        let server = cx.spawn(async |_| serve(stream).await);
        client.write_all(b"hello").await?;
        println!("the client reads {:?}", read(&mut client).await?);
        println!("cancelled: {:?}", server.cancel().await);
        println!("the client reads {:?}", read(&mut client).await?);
        // ANCHOR_END: cancel
        Ok(())
    })
}
