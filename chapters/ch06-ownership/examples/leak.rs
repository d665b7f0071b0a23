//! A task that ends well and has not closed its connection. `cargo run --example leak`

use ch06_ownership::{Cx, Result, TcpListener, TcpStream, run};

// ANCHOR: leak
async fn serve(cx: &Cx, stream: TcpStream) -> Result<()> {
    let mut stream = stream.owned(cx);
    stream.write_all(b"served").await?;
    Ok(())
}
// ANCHOR_END: leak

fn main() -> Result<()> {
    run(async |cx| {
        let mut listener = TcpListener::bind("127.0.0.1:0")?;
        let _client = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, _) = listener.accept().await?;
        cx.spawn(async |cx| serve(cx, stream).await).await
    })
}
