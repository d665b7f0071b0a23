//! Connects many times to a server that says who it is, and counts the answers of the first second.
//! `cargo run --example ask -- [ADDR] [COUNT]`

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let count = args.next().and_then(|arg| arg.parse().ok()).unwrap_or(300);
    // All at once: the system makes the connections, though nobody has accepted them yet.
    let connect = |_| TcpStream::connect(&address);
    let connections: Vec<TcpStream> = (0..count).map(connect).collect::<Result<_, _>>()?;
    let end = Instant::now() + Duration::from_secs(1);
    let mut answers = BTreeMap::new();
    for mut connection in connections {
        // Whoever is late still gets a look. Zero would mean "for ever".
        let left = end.saturating_duration_since(Instant::now());
        connection.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut name = [0; 16];
        let answer = match connection.read(&mut name) {
            Ok(count) => String::from_utf8_lossy(&name[..count]).trim().to_owned(),
            Err(_) => "no answer".to_owned(),
        };
        *answers.entry(answer).or_insert(0) += 1;
    }
    for (who, count) in answers {
        println!("{who:9} {count}");
    }
    Ok(())
}
