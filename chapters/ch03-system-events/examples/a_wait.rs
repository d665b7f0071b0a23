//! A task waits for a socket, and every step of it. `cargo run --example a_wait`

use ch03_system_events::{Recording, TcpListener, TcpStream, run_recorded, spawn, yield_now};
use std::io::{self, Write};
use std::net;

// ANCHOR: figure
async fn reader(mut stream: TcpStream) -> io::Result<usize> {
    let mut buffer = [0; 16];
    stream.read(&mut buffer).await
}

async fn talk() -> io::Result<usize> {
    let mut listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = net::TcpStream::connect(listener.local_addr()?)?;
    let (stream, _) = listener.accept().await?;
    let reader = spawn(reader(stream));
    // The reader's turn: there is nothing to read yet.
    yield_now().await;
    client.write_all(b"hello")?;
    reader.await
}
// ANCHOR_END: figure

pub(crate) fn program(recording: &Recording) -> io::Result<usize> {
    run_recorded(recording, talk())
}

fn main() -> io::Result<()> {
    let recording = Recording::new();
    let count = program(&recording)?;
    print!("{recording}");
    println!("{count} bytes");
    Ok(())
}
