//! A client that leaves without reading its answer: the system then says to the server that the
//! connection was reset. `cargo run --example rude_client -- [ADDR]`

use std::io::{self, Write};
use std::net::TcpStream;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let mut server = TcpStream::connect(address.as_deref().unwrap_or("127.0.0.1:7007"))?;
    server.write_all(b"is anybody there?")?;
    // The answer is there, and stays unread.
    server.peek(&mut [0])?;
    println!("never mind");
    Ok(())
}
