//! Keeps an echo server busy: many connections that send as fast as they can.
//! `cargo run --example load -- [ADDR] [CONNECTIONS] [SECONDS]`

use ch05_parallelism::{Result, Runtime, TcpStream};
use std::time::{Duration, Instant};

/// Large pieces: they cost the server more than us, for it has small buffers.
const PIECE: usize = 32 * 1024;

async fn send(address: &str, until: Instant) -> Result<usize> {
    let mut stream = TcpStream::connect(address).await?;
    let (piece, mut answer) = (vec![b'x'; PIECE], vec![0; PIECE]);
    let mut sent = 0;
    while Instant::now() < until {
        stream.write_all(&piece).await?;
        let mut count = 0;
        while count < PIECE {
            match stream.read(&mut answer).await? {
                0 => return Ok(sent),
                more => count += more,
            }
        }
        sent += PIECE;
    }
    Ok(sent)
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let connections = args.next().map_or(Ok(32), |arg| arg.parse::<usize>())?;
    let seconds = args.next().map_or(Ok(5), |arg| arg.parse())?;
    let until = Instant::now() + Duration::from_secs(seconds);
    // The tasks need the address for as long as the program lasts.
    let address: &'static str = address.leak();
    let sent = Runtime::builder().domains(0).build().run(async move |cx| {
        let mut clients = cx.orphans();
        for _ in 0..connections {
            clients.spawn(async move |_| send(address, until).await);
        }
        let mut sent = 0;
        while let Some(result) = clients.next().await {
            sent += result?;
        }
        Ok(sent)
    })?;
    println!("{} MB echoed", sent / 1_000_000);
    Ok(())
}
