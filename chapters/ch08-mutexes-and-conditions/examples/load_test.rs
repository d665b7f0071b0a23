//! Keeps an echo server busy from all domains, looks at every byte that comes back, and says how long that took.
//! `cargo run --release --example load_test -- [ADDR] [--clients N] [--messages N] [--bytes N]`

#[path = "common/histogram.rs"]
mod histogram;

use ch08_mutexes_and_conditions::{
    Computation, Cx, Either, Failure, Mutex, Result, Runtime, TcpStream, race, reason, report,
    timeout,
};
use histogram::Histogram;
use std::cell::RefCell;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: load_test [ADDR] [--clients N] [--messages N] [--bytes N]\n\
    (default: 127.0.0.1:7007, 64 clients that send 1000 messages of 64 bytes each)";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
struct Load {
    address: SocketAddr,
    clients: usize,
    messages: usize,
    bytes: usize,
}

impl Load {
    fn parse(args: impl Iterator<Item = String>) -> std::result::Result<Load, String> {
        let mut args = args;
        let mut address = None;
        let (mut clients, mut messages, mut bytes) = (64, 1000, 64);
        while let Some(arg) = args.next() {
            let number = match arg.as_str() {
                "--clients" => &mut clients,
                "--messages" => &mut messages,
                "--bytes" => &mut bytes,
                _ if arg.starts_with('-') || address.is_some() => return Err(USAGE.to_owned()),
                _ => {
                    address = Some(arg);
                    continue;
                }
            };
            *number = args
                .next()
                .and_then(|value| value.parse().ok())
                .filter(|&number| number > 0)
                .ok_or_else(|| format!("{arg} needs a number, 1 or more\n{USAGE}"))?;
        }
        let name = address.unwrap_or_else(|| "127.0.0.1:7007".to_owned());
        let mut addresses = name
            .to_socket_addrs()
            .map_err(|error| format!("no address for `{name}`: {error}\n{USAGE}"))?;
        let address = addresses
            .next()
            .ok_or_else(|| format!("no address for `{name}`"))?;
        Ok(Load {
            address,
            clients,
            messages,
            bytes,
        })
    }
}

// ANCHOR: start
/// All begin together, when all are connected.
struct Start {
    connecting: Mutex<usize>,
    /// Whether all could connect.
    go: Computation<bool>,
}

impl Start {
    async fn wait(&self, connected: bool) -> bool {
        let mut connecting = self.connecting.lock().await;
        *connecting -= 1;
        if !connected || *connecting == 0 {
            // If somebody has failed before, it is written already.
            let _ = self.go.complete(connected);
        }
        drop(connecting);
        *self.go.wait().await
    }
}
// ANCHOR_END: start

// ANCHOR: clients
/// The clients of one domain. They share a histogram, and no lock: they are on one thread.
async fn clients(
    cx: &Cx,
    load: Load,
    count: usize,
    first: usize,
    start: &Start,
) -> Result<Histogram> {
    let connected = connect(load, count).await;
    let go = start.wait(connected.is_ok()).await;
    let streams = connected?;
    let histogram = Rc::new(RefCell::new(Histogram::default()));
    if go {
        let mut clients = cx.orphans();
        for (stream, number) in streams.into_iter().zip(first..) {
            let histogram = histogram.clone();
            clients.spawn(async move |_| client(load, number, stream, &histogram).await);
        }
        while let Some(ended) = clients.next().await {
            // If one fails, this task does, and the others are cancelled.
            ended?;
        }
    }
    Ok(histogram.take())
}
// ANCHOR_END: clients

async fn connect(load: Load, count: usize) -> Result<Vec<TcpStream>> {
    let address = load.address;
    let mut streams = Vec::new();
    for _ in 0..count {
        let connected = match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream.set_nodelay(true).map(|()| stream),
            Ok(Err(error)) => Err(error),
            Err(_) => return Err(Failure::msg(format_args!("{address} does not answer"))),
        };
        streams.push(connected.map_err(|error| cannot_connect(address, streams.len(), &error))?);
    }
    Ok(streams)
}

fn cannot_connect(address: SocketAddr, clients: usize, error: &io::Error) -> Failure {
    // Both have these numbers on all systems with descriptors.
    const TOO_MANY_HERE: i32 = 24;
    const TOO_MANY_ANYWHERE: i32 = 23;
    let advice = match (error.kind(), error.raw_os_error()) {
        (ErrorKind::ConnectionRefused, _) => {
            "no server is there; start one with cargo run --release -p ch08-mutexes-and-conditions"
        }
        (_, Some(TOO_MANY_HERE | TOO_MANY_ANYWHERE)) => {
            "each client needs a descriptor; try fewer --clients, or say ulimit -n 20000 before, here and \
             where the server is started"
        }
        (ErrorKind::AddrNotAvailable, _) => {
            "the ports of this machine are used up; try fewer --clients, or wait a minute"
        }
        _ => "is the server well?",
    };
    let which = match clients {
        0 => String::new(),
        more => format!(" more than {more} clients of a domain"),
    };
    let reason = reason(error);
    Failure::msg(format_args!(
        "cannot connect{which} to {address}: {reason}; {advice}"
    ))
}

// ANCHOR: client
async fn client(
    load: Load,
    number: usize,
    mut stream: TcpStream,
    histogram: &RefCell<Histogram>,
) -> Result<()> {
    let (mut message, mut answer) = (vec![0; load.bytes], vec![0; load.bytes]);
    for turn in 0..load.messages {
        fill(&mut message, number, turn);
        let start = Instant::now();
        timeout(PATIENCE, exchange(&mut stream, &message, &mut answer))
            .await
            .map_err(|_| {
                Failure::msg(format_args!(
                    "client {number}: no answer for {PATIENCE:?}; does the server take so many clients at once?"
                ))
            })?
            .map_err(|error| Failure::msg(format_args!("client {number}: {}", reason(&error))))?;
        histogram.borrow_mut().record(start.elapsed());
        if let Some(place) = (0..load.bytes).find(|&place| message[place] != answer[place]) {
            return Err(Failure::msg(format_args!(
                "client {number}: byte {place} of message {turn} has come back as {} instead of {}",
                answer[place], message[place]
            )));
        }
    }
    Ok(stream.close()?)
}

/// Writes and reads at the same time: the system does not keep a large message for a server that would
/// rather get rid of its answer.
async fn exchange(stream: &mut TcpStream, message: &[u8], answer: &mut [u8]) -> io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let write = async {
        match writer.write_all(message).await {
            Ok(()) => pending().await,
            Err(error) => error,
        }
    };
    let read = async {
        let mut count = 0;
        while count < answer.len() {
            match reader.read(&mut answer[count..]).await? {
                0 => {
                    let message = "the server has hung up";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, message));
                }
                more => count += more,
            }
        }
        Ok(())
    };
    match race(read, write).await {
        Either::First(read) => read,
        Either::Second(error) => Err(error),
    }
}
// ANCHOR_END: client

/// Bytes that no other client sends, and that this one has not sent before.
fn fill(message: &mut [u8], client: usize, turn: usize) {
    // Xorshift: any state but 0 will do.
    let mut state = ((client as u64) << 32 | turn as u64) ^ 0x9E37_79B9_7F4A_7C15;
    for chunk in message.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let count = chunk.len();
        chunk.copy_from_slice(&state.to_le_bytes()[..count]);
    }
}

// ANCHOR: run
async fn run_all(cx: &Cx, load: Load) -> Result<(Histogram, Duration)> {
    // No domain without a client.
    let domains = cx.domains().len().min(load.clients);
    let start = Arc::new(Start {
        connecting: Mutex::new(domains),
        go: Computation::new(),
    });
    let begun = {
        let go = start.go.clone();
        cx.spawn(async move |_| {
            go.wait().await;
            Ok(Instant::now())
        })
    };
    let parts = (0..domains).map(move |part| {
        let first = part * load.clients / domains;
        (first, (part + 1) * load.clients / domains - first)
    });
    let shares = cx.parallel(parts, async move |cx, (first, count)| {
        clients(cx, load, count, first, &start).await
    });
    let shares = shares.await?;
    let time = begun.await?.elapsed();
    let mut all = Histogram::default();
    for share in shares {
        all.merge(&share?);
    }
    Ok((all, time))
}
// ANCHOR_END: run

fn main() -> ExitCode {
    let load = match Load::parse(std::env::args().skip(1)) {
        Ok(load) => load,
        Err(message) => {
            report(message);
            return ExitCode::from(2);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    // dom0 only waits.
    let runtime = Runtime::builder().domains(cores).build();
    match runtime.run(async move |cx| run_all(cx, load).await) {
        Ok((histogram, time)) => {
            let (count, seconds) = (histogram.total(), time.as_secs_f64());
            let per_second = count as f64 / seconds;
            let megabytes = per_second * load.bytes as f64 / 1e6;
            println!(
                "{count} messages of {} bytes from {} clients came back unchanged in {seconds:.2} s",
                load.bytes, load.clients
            );
            println!("{per_second:.0} messages and {megabytes:.1} MB a second, each way");
            print!("{histogram}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            report(failure);
            ExitCode::FAILURE
        }
    }
}
