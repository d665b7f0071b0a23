//! Many short connections, up to a hundred at a time: connect, one echo, goodbye.
//! `cargo run --example short_connections -- [ADDR] [COUNT]`

use ch04_orphans::{Failure, Result, TcpStream, run};
use std::net::Shutdown;
use std::time::Instant;

const AT_ONCE: usize = 100;

async fn hello(address: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"hello").await?;
    stream.shutdown(Shutdown::Write)?;
    let (mut answer, mut count) = ([0; 16], 0);
    loop {
        match stream.read(&mut answer[count..]).await? {
            0 if answer[..count] == *b"hello" => return Ok(()),
            0 => return Err(Failure::msg("the echo is not what was sent")),
            more => count += more,
        }
    }
}

// ANCHOR: limit
fn connect_many(address: &'static str, count: usize) -> Result<()> {
    run(async move |cx| {
        let mut clients = cx.orphans();
        for _ in 0..count {
            if clients.len() == AT_ONCE
                && let Some(result) = clients.next().await
            {
                result?;
            }
            clients.spawn(async |_| hello(address).await);
        }
        while let Some(result) = clients.next().await {
            result?;
        }
        Ok(())
    })
}
// ANCHOR_END: limit

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let count = args.next().map_or(Ok(1000), |count| count.parse())?;
    let start = Instant::now();
    // The tasks need the address for as long as the program lasts.
    connect_many(address.leak(), count)?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{count} connections in {seconds:.1} s");
    Ok(())
}
