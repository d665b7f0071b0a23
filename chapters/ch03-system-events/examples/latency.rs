//! How long an echo server takes to answer. `cargo run --example latency -- [ADDR]`

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

const ROUND_TRIPS: usize = 100;

// ANCHOR: latency
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let mut server = TcpStream::connect(address.as_deref().unwrap_or("127.0.0.1:7007"))?;
    server.set_nodelay(true)?;
    let mut times: Vec<Duration> = Vec::new();
    for trip in 0..ROUND_TRIPS {
        // Between one and ten milliseconds, so as not to fall into step with the server.
        let pause = 1000 + trip * 37 % ROUND_TRIPS * 90;
        thread::sleep(Duration::from_micros(pause as u64));
        let start = Instant::now();
        server.write_all(b"ping")?;
        server.read_exact(&mut [0; 4])?;
        times.push(start.elapsed());
    }
    times.sort();
    let median = times[ROUND_TRIPS / 2].as_secs_f64() * 1000.0;
    let slowest = times[ROUND_TRIPS - 1].as_secs_f64() * 1000.0;
    println!("{ROUND_TRIPS} round trips: median {median:.2} ms, slowest {slowest:.2} ms");
    Ok(())
}
// ANCHOR_END: latency
