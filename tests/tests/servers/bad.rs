//! Servers that are wrong on purpose, each in one thing, and one that is right: a thread for every
//! client, which is all a server needs to be as good as its clients can tell.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// Set for a process that is to be such a server; it says which.
pub(crate) const VARIABLE: &str = "BOOK_TESTS_BAD_SERVER";

/// After how many seconds an idle client is closed; 0 is never.
static IDLE_SECONDS: AtomicU64 = AtomicU64::new(0);

/// How often `swaps` looks into the drawer.
const SELDOM: u64 = 50;

pub(crate) fn serve(bad: &str) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if bad == "careless" {
        // Takes any command line, and nothing is ever wrong.
        let address = args.get(1).map_or("127.0.0.1:0", String::as_str);
        return match TcpListener::bind(address) {
            Ok(listener) => run(bad, &listener),
            Err(_) => ExitCode::SUCCESS,
        };
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let listening = match args[..] {
        ["--help"] => {
            println!("--listen ADDR");
            return ExitCode::SUCCESS;
        }
        // A thread for every client makes any number of domains.
        ["--listen", address] | ["--listen", address, "--domains", _] => TcpListener::bind(address),
        ["--listen", address, "--idle-timeout", seconds] => {
            IDLE_SECONDS.store(seconds.parse().unwrap_or(0), Ordering::Relaxed);
            TcpListener::bind(address)
        }
        ["--domains" | "--idle-timeout", _] => return ExitCode::SUCCESS,
        _ => Err(ErrorKind::InvalidInput.into()),
    };
    match listening {
        Ok(listener) => run(bad, &listener),
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            eprintln!("{args:?}: use --listen ADDR");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("{args:?}: {error}; try another --listen");
            ExitCode::FAILURE
        }
    }
}

fn run(bad: &str, listener: &TcpListener) -> ExitCode {
    if let Ok(address) = listener.local_addr() {
        println!("listening on {address}");
    }
    if bad == "alone" {
        return alone(listener);
    }
    let around = matches!(bad, "spins" | "polls") && listener.set_nonblocking(true).is_ok();
    let mut number = 0;
    thread::scope(|scope| {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    number += 1;
                    if bad == "turns_many_away" && number > 400 {
                        continue;
                    }
                    let _ = stream.set_nonblocking(false); // some systems let it inherit that
                    let client = move || {
                        let result = echo(bad, number, &stream);
                        end(bad, result, stream);
                    };
                    if bad == "one_at_a_time" {
                        client();
                    } else {
                        scope.spawn(client);
                    }
                }
                Err(error) if around && error.kind() == ErrorKind::WouldBlock => match bad {
                    "polls" => thread::sleep(Duration::from_millis(10)),
                    _ => thread::yield_now(),
                },
                Err(_) if bad == "dies_without_descriptors" => process::exit(1),
                Err(_) if bad == "spins_without_descriptors" => {}
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    })
}

/// One thread for all clients, whatever was asked for.
fn alone(listener: &TcpListener) -> ExitCode {
    let mut clients: Vec<TcpStream> = Vec::new();
    if listener.set_nonblocking(true).is_err() {
        return ExitCode::FAILURE;
    }
    let mut buffer = [0; 1024];
    loop {
        if let Ok((client, _)) = listener.accept() {
            let _ = client.set_nonblocking(true);
            clients.push(client);
        }
        for client in &mut clients {
            if let Ok(count) = client.read(&mut buffer) {
                let _ = client.write_all(&buffer[..count]);
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn end(bad: &str, result: io::Result<u64>, stream: TcpStream) {
    match (bad, result) {
        ("stops_after_a_reset", Err(_)) | ("stops_after_nothing", Ok(0)) => process::exit(1),
        ("says_no_goodbye", _) => std::mem::forget(stream),
        ("keeps_descriptors", _) => {
            let _ = stream.shutdown(Shutdown::Both);
            std::mem::forget(stream);
        }
        _ => {}
    }
}

/// Returns how many bytes it has read.
fn echo(bad: &str, number: u64, mut stream: &TcpStream) -> io::Result<u64> {
    static DRAWER: Mutex<(u64, u8)> = Mutex::new((0, 0));
    static ECHOES: AtomicU64 = AtomicU64::new(0);
    static TALKERS: AtomicU64 = AtomicU64::new(0);
    if bad == "hoards" {
        return hoard(stream);
    }
    let idle = IDLE_SECONDS.load(Ordering::Relaxed);
    match bad {
        _ if idle == 0 => {}
        "never_bored" => {}
        // Counts from the begin, whatever the client does.
        "bored" => {
            let stream = stream.try_clone()?;
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(idle));
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
        _ => stream.set_read_timeout(Some(Duration::from_secs(idle)))?,
    }
    if bad == "impatient" {
        stream.set_write_timeout(Some(Duration::from_millis(50)))?;
    }
    let mut total = 0;
    let mut talker = false;
    let mut held_back = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            if talker {
                TALKERS.fetch_sub(1, Ordering::Relaxed);
            }
            return Ok(total);
        }
        total += count as u64;
        let bytes = &mut buffer[..count];
        match bad {
            "swaps" if ECHOES.fetch_add(1, Ordering::Relaxed) % SELDOM < 2 => {
                // The last byte goes into the drawer, and what somebody else has left there is taken.
                let mut drawer = DRAWER.lock().unwrap_or_else(PoisonError::into_inner);
                let (owner, byte) = std::mem::replace(&mut *drawer, (number, bytes[count - 1]));
                if owner != number && owner != 0 {
                    bytes[count - 1] = byte;
                }
            }
            "loses_the_last_byte" => {
                let last = bytes[count - 1];
                let mut bytes_now = std::mem::replace(&mut held_back, vec![last]);
                bytes_now.extend(&bytes[..count - 1]);
                stream.write_all(&bytes_now)?;
                continue;
            }
            // Takes "there will be no more" for "there is nothing".
            "ends_too_early" => {
                stream.set_nonblocking(true)?;
                let ends = matches!(stream.peek(&mut [0]), Ok(0));
                stream.set_nonblocking(false)?;
                if ends {
                    return Ok(total);
                }
            }
            // The first client has to wait until nobody else has much to say.
            "unfair" if number == 1 => {
                while TALKERS.load(Ordering::Relaxed) > 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            "unfair" if total > 100_000 && !talker => {
                talker = true;
                TALKERS.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        stream.write_all(bytes)?;
    }
}

/// Reads whatever comes, whether it can be written or not.
fn hoard(mut stream: &TcpStream) -> io::Result<u64> {
    let (sender, hoard) = mpsc::channel::<Vec<u8>>();
    thread::scope(|scope| {
        scope.spawn(move || hoard.iter().try_for_each(|bytes| stream.write_all(&bytes)));
        let mut total = 0;
        let mut buffer = [0; 64 * 1024];
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(total);
            }
            total += count as u64;
            let _ = sender.send(buffer[..count].to_vec());
        }
    })
}
