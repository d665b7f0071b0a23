//! Servers that are wrong on purpose, each in one thing, and one that is right: a thread for every
//! client, which is all a server needs to be as good as its clients can tell.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

/// Set for a process that is to be such a server; it says which.
pub(crate) const VARIABLE: &str = "BOOK_TESTS_BAD_SERVER";

/// After how many seconds an idle client is closed; 0 is never.
static IDLE_SECONDS: AtomicU64 = AtomicU64::new(0);

/// How long clients may go on when it is to stop.
static GRACE_MILLIS: AtomicU64 = AtomicU64::new(5000);

/// How many clients are served at once.
static MOST_CLIENTS: AtomicUsize = AtomicUsize::new(usize::MAX);

static STOPPING: AtomicBool = AtomicBool::new(false);

/// How often `swaps` looks into the drawer.
const SELDOM: u64 = 50;

pub(crate) fn serve(bad: &str) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if bad == "careless" {
        // Takes any command line, and nothing is ever wrong.
        let address = args.get(1).map_or("127.0.0.1:0", String::as_str);
        return match TcpListener::bind(address) {
            Ok(listener) => run("careless", vec![Listening::Tcp(listener)]),
            Err(_) => ExitCode::SUCCESS,
        };
    }
    let bad: &'static str = String::leak(bad.to_owned());
    match listen(&args) {
        Ok(listeners) => run(bad, listeners),
        Err(error) if error.kind() == ErrorKind::Other => {
            println!("--listen ADDR, --grace SECONDS");
            ExitCode::SUCCESS
        }
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

/// Where it listens.
enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Does what the command line says. The error is of the kind `Other` if that is done.
fn listen(args: &[String]) -> io::Result<Vec<Listening>> {
    let mut listeners = Vec::new();
    let mut args = args.iter().map(String::as_str);
    while let Some(option) = args.next() {
        if option == "--help" {
            return Err(ErrorKind::Other.into());
        }
        let value = args.next().ok_or(ErrorKind::InvalidInput)?;
        let number = || value.parse::<f64>().map_err(|_| ErrorKind::InvalidInput);
        match option {
            "--listen" => listeners.push(match value.strip_prefix("unix:") {
                Some(path) => Listening::Unix(UnixListener::bind(path)?, path.into()),
                None => Listening::Tcp(TcpListener::bind(value)?),
            }),
            // A thread for every client makes any number of domains.
            "--domains" => {}
            "--idle-timeout" => IDLE_SECONDS.store(number()? as u64, Ordering::Relaxed),
            "--grace" => GRACE_MILLIS.store((number()? * 1000.0) as u64, Ordering::Relaxed),
            "--max-clients" => MOST_CLIENTS.store(number()? as usize, Ordering::Relaxed),
            _ => return Err(ErrorKind::InvalidInput.into()),
        }
    }
    match listeners.is_empty() {
        true => Err(ErrorKind::Other.into()),
        false => Ok(listeners),
    }
}

fn run(bad: &'static str, listeners: Vec<Listening>) -> ExitCode {
    if bad != "stubborn" {
        obey_signals(bad, &listeners);
    }
    let mut threads = Vec::new();
    for (number, listener) in listeners.into_iter().enumerate() {
        if bad == "one_address" && number > 0 {
            break;
        }
        threads.push(match listener {
            Listening::Tcp(listener) => {
                if let Ok(address) = listener.local_addr() {
                    println!("listening on {address}");
                }
                thread::spawn(move || serve_tcp(bad, listener))
            }
            Listening::Unix(listener, path) => {
                println!("listening on unix:{}", path.display());
                thread::spawn(move || serve_unix(&listener))
            }
        });
    }
    for thread in threads {
        let _ = thread.join();
    }
    // Those that are left have their time of grace; then the process ends.
    loop {
        thread::park();
    }
}

fn obey_signals(bad: &'static str, listeners: &[Listening]) {
    let mut addresses = Vec::new();
    let mut files = Vec::new();
    for listener in listeners {
        match listener {
            Listening::Tcp(listener) => addresses.extend(listener.local_addr()),
            Listening::Unix(_, path) => files.push(path.clone()),
        }
    }
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGUSR1]) else {
        process::exit(1)
    };
    thread::spawn(move || {
        for signal in signals.forever() {
            if signal == SIGUSR1 {
                if bad != "blind" {
                    eprintln!("{:?}", clients());
                }
                continue;
            }
            if bad == "abrupt" {
                process::exit(0);
            }
            if STOPPING.swap(true, Ordering::Relaxed) {
                if bad != "deaf" {
                    process::exit(128 + signal);
                }
                continue;
            }
            // Whoever waits for a client gets one, and looks up.
            for address in &addresses {
                let _ = TcpStream::connect(address);
            }
            let files = files.clone();
            thread::spawn(move || {
                let grace = Duration::from_millis(GRACE_MILLIS.load(Ordering::Relaxed));
                let start = Instant::now();
                while !clients().is_empty() && (start.elapsed() < grace || bad == "patient") {
                    thread::sleep(Duration::from_millis(5));
                }
                for file in files {
                    let _ = std::fs::remove_file(file);
                }
                process::exit(0);
            });
        }
    });
}

/// Those who are served now.
fn clients() -> MutexGuard<'static, BTreeMap<u64, String>> {
    static CLIENTS: Mutex<BTreeMap<u64, String>> = Mutex::new(BTreeMap::new());
    CLIENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve_unix(listener: &UnixListener) {
    while let Ok((mut stream, _)) = listener.accept() {
        thread::spawn(move || -> io::Result<u64> {
            let mut from = stream.try_clone()?;
            io::copy(&mut from, &mut stream)
        });
    }
}

fn serve_tcp(bad: &'static str, listener: TcpListener) {
    if bad == "alone" {
        alone(&listener);
        return;
    }
    let around = matches!(bad, "spins" | "polls") && listener.set_nonblocking(true).is_ok();
    let mut number = 0;
    loop {
        let most = MOST_CLIENTS.load(Ordering::Relaxed);
        while bad != "crowded" && clients().len() >= most {
            thread::sleep(Duration::from_millis(5));
        }
        match listener.accept() {
            Ok(_) if STOPPING.load(Ordering::Relaxed) => return,
            Ok((stream, address)) => {
                number += 1;
                if bad == "turns_many_away" && number > 400 {
                    continue;
                }
                let _ = stream.set_nonblocking(false); // some systems let it inherit that
                clients().insert(number, format!("client {address}"));
                let client = move || {
                    let result = echo(bad, number, &stream);
                    let count = result.as_ref().map_or(0, |&count| count);
                    end(bad, result, stream);
                    let name = clients().remove(&number).unwrap_or_default();
                    match bad {
                        // In two pieces: another one may come between.
                        "tears" => {
                            eprint!("{name}: ");
                            thread::sleep(Duration::from_millis(1));
                            eprintln!("{count} bytes in no time");
                        }
                        _ => {
                            let line = format!("{name}: {count} bytes in no time\n");
                            let _ = io::stderr().write_all(line.as_bytes());
                        }
                    }
                };
                if bad == "one_at_a_time" {
                    client();
                } else {
                    thread::spawn(client);
                    if bad == "talks_first" {
                        let _ = io::stderr().write_all(b"one more\n");
                    }
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
}

/// One thread for all clients, whatever was asked for.
fn alone(listener: &TcpListener) {
    let mut clients: Vec<TcpStream> = Vec::new();
    if listener.set_nonblocking(true).is_err() {
        return;
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
        ("keeps_memory", _) => {
            vec![1_u8; 256 * 1024].leak();
        }
        ("keeps_threads", _) => {
            thread::spawn(|| {
                loop {
                    thread::park();
                }
            });
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
