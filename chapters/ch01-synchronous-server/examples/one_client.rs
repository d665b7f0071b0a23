//! The smallest echo server: one client, and the program ends.
//!
//! `cargo run --example one_client`, or with an address: `-- 127.0.0.1:0`.

// ANCHOR: one_client
use std::io::{self, Read, Write};
use std::net::TcpListener;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:7007");
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);

    let (mut client, address) = listener.accept()?;
    println!("{address} is here");
    let mut buffer = [0; 1024];
    loop {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        client.write_all(&buffer[..count])?;
    }
    println!("{address} has gone");
    Ok(())
}
// ANCHOR_END: one_client
