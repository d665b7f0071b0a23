//! The clients of an echo server. Each sends a message, waits until all of it has come back, and sends the next.
//!
//! They are one loop around epoll or kqueue, or several on a machine with cores to spare: a runtime here
//! would be measured as well.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::Result;
use crate::servers::say;

/// Whoever waits for longer than that for an answer gets none.
const PATIENCE: Duration = Duration::from_secs(30);

/// When it is enough.
#[derive(Clone, Copy, Debug)]
pub enum Enough {
    /// After so long, with an eighth of it before, to warm up.
    Time(Duration),
    /// After so many requests.
    Requests(u64),
}

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// So many clients at once.
    pub connections: u64,
    /// Bytes in a message.
    pub size: usize,
    /// For how long.
    pub enough: Enough,
    /// On so many threads.
    pub threads: u64,
}

/// What it came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// So many messages came back.
    pub requests: u64,
    /// In this time.
    pub time: Duration,
    /// Half of them took less than that to come back.
    pub p50: Duration,
    /// One in a hundred took longer than that.
    pub p99: Duration,
}

impl Load {
    /// Does it, and says `begin` and `end …` when the measured time begins and ends, so that somebody
    /// can look at the server's clock then.
    ///
    /// # Errors
    ///
    /// When the server does not do what it should.
    pub fn run(self, address: SocketAddr) -> Result {
        let threads = self.threads.clamp(1, self.connections);
        let barrier = Barrier::new(threads as usize + 1);
        let share = |whole: u64, thread| whole / threads + u64::from(thread < whole % threads);
        let histogram = thread::scope(|scope| -> Result<Histogram<u64>> {
            let work = |thread| {
                let (load, barrier) = (self, &barrier);
                let enough = match load.enough {
                    Enough::Requests(all) => Enough::Requests(share(all, thread)),
                    time => time,
                };
                let connections = share(load.connections, thread);
                scope.spawn(move || {
                    Load {
                        connections,
                        enough,
                        ..load
                    }
                    .work(address, barrier)
                })
            };
            let threads: Vec<_> = (0..threads).map(work).collect();
            barrier.wait();
            let heard = say(format_args!("begin"));
            let start = Instant::now();
            barrier.wait();
            barrier.wait();
            let time = start.elapsed();
            heard?;
            let mut all = new_histogram()?;
            for thread in threads {
                all.add(thread.join().map_err(|_| "a thread panicked")??)?;
            }
            say(format_args!(
                "end {} {} {} {}",
                all.len(),
                time.as_nanos(),
                all.value_at_quantile(0.5),
                all.value_at_quantile(0.99),
            ))?;
            Ok(all)
        });
        histogram.map(drop)
    }

    /// One thread's part. Whatever goes wrong, it meets the others at every barrier.
    fn work(self, address: SocketAddr, barrier: &Barrier) -> Result<Histogram<u64>> {
        let mut histogram = new_histogram()?;
        let ready = Clients::new(self.size).and_then(|mut clients| {
            clients.connect(address, self.connections)?;
            if let Enough::Time(time) = self.enough {
                clients.drive(Enough::Time(time / 8), &mut histogram)?;
                histogram.reset();
            }
            Ok(clients)
        });
        barrier.wait();
        barrier.wait();
        let done = ready.and_then(|mut clients| {
            clients.drive(self.enough, &mut histogram)?;
            Ok(clients)
        });
        barrier.wait();
        done.map(|_| histogram)
    }
}

impl Outcome {
    /// Reads the line that a load ends with.
    ///
    /// # Errors
    ///
    /// When it is another one.
    ///
    /// # Examples
    ///
    /// ```
    /// let outcome = bench::load::Outcome::parse("end 100 2000000 15000 30000").unwrap();
    /// assert_eq!((outcome.requests, outcome.p99.as_micros()), (100, 30));
    /// ```
    pub fn parse(line: &str) -> Result<Outcome> {
        let numbers = line
            .strip_prefix("end ")
            .map(|rest| rest.split(' ').map(str::parse));
        let numbers: Option<Vec<u64>> =
            numbers.and_then(|each| each.collect::<std::result::Result<_, _>>().ok());
        match numbers.as_deref() {
            Some(&[requests, time, p50, p99]) => Ok(Outcome {
                requests,
                time: Duration::from_nanos(time),
                p50: Duration::from_nanos(p50),
                p99: Duration::from_nanos(p99),
            }),
            _ => Err(format!("no end of a load: `{line}`").into()),
        }
    }
}

/// Holds connections: for each number that comes on standard input it makes them so many, with one message
/// exchanged on each, and says how many there are. When it cannot have more, it says why.
///
/// # Errors
///
/// When the server does not answer.
pub fn hold(address: SocketAddr) -> Result {
    let mut clients = Clients::new(64)?;
    for line in io::stdin().lock().lines() {
        let wanted: u64 = line?.parse()?;
        let have = clients.all.len() as u64;
        match clients.connect(address, wanted.saturating_sub(have)) {
            Ok(()) => say(format_args!("{}", clients.all.len()))?,
            Err(error) => say(format_args!("{} {error}", clients.all.len()))?,
        }
    }
    Ok(())
}

/// From a nanosecond to longer than anybody waits, two digits exact.
fn new_histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(
        1,
        2 * PATIENCE.as_nanos() as u64,
        2,
    )?)
}

struct Clients {
    poll: Poll,
    all: Vec<Client>,
    message: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    since: Instant,
    /// Bytes of the message that are still to be sent, and still to come back.
    to_send: usize,
    to_come: usize,
}

impl Clients {
    fn new(size: usize) -> Result<Clients> {
        Ok(Clients {
            poll: Poll::new()?,
            all: Vec::new(),
            message: (0..size).map(|at| (at % 251) as u8).collect(),
        })
    }

    /// So many more, each of which has had an answer. A few at a time, so that the system's queue in front
    /// of the server does not run over.
    fn connect(&mut self, address: SocketAddr, mut more: u64) -> Result {
        while more > 0 {
            let some = more.min(128);
            let first = self.all.len();
            for _ in 0..some {
                let mut stream = TcpStream::from_std(connect(address, self.all.len())?);
                let interest = Interest::READABLE | Interest::WRITABLE;
                let token = Token(self.all.len());
                self.poll
                    .registry()
                    .register(&mut stream, token, interest)?;
                self.all.push(Client {
                    stream,
                    since: Instant::now(),
                    to_send: 0,
                    to_come: 0,
                });
            }
            let mut histogram = new_histogram()?;
            self.exchange(first, Enough::Requests(some), &mut histogram)?;
            more -= some;
        }
        Ok(())
    }

    fn drive(&mut self, enough: Enough, histogram: &mut Histogram<u64>) -> Result {
        self.exchange(0, enough, histogram)
    }

    /// All clients from the one numbered `first` on send messages until it is enough, and wait for their answers.
    fn exchange(&mut self, first: usize, enough: Enough, histogram: &mut Histogram<u64>) -> Result {
        let start = Instant::now();
        let mut left = match enough {
            Enough::Requests(requests) => requests,
            Enough::Time(_) => u64::MAX,
        };
        let end = match enough {
            Enough::Time(time) => Some(start + time),
            Enough::Requests(_) => None,
        };
        let mut waiting = 0_usize;
        for client in &mut self.all[first..] {
            if left == 0 {
                break;
            }
            left -= 1;
            waiting += 1;
            client.begin(&self.message)?;
        }
        let mut buffer = vec![0; 64 * 1024];
        let mut events = Events::with_capacity(1024);
        while waiting > 0 {
            match self.poll.poll(&mut events, Some(PATIENCE)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if events.is_empty() {
                return Err(format!("{waiting} clients had no answer for {PATIENCE:?}").into());
            }
            for event in &events {
                let client = &mut self.all[event.token().0];
                client.send(&self.message)?;
                if !client.has_answer(&mut buffer, &self.message)? {
                    continue;
                }
                let now = Instant::now();
                histogram.record((now - client.since).as_nanos() as u64)?;
                if left > 0 && end.is_none_or(|end| now < end) {
                    left -= 1;
                    client.begin_at(now, &self.message)?;
                } else {
                    waiting -= 1;
                }
            }
        }
        Ok(())
    }
}

impl Client {
    fn begin(&mut self, message: &[u8]) -> io::Result<()> {
        self.begin_at(Instant::now(), message)
    }

    fn begin_at(&mut self, now: Instant, message: &[u8]) -> io::Result<()> {
        self.since = now;
        self.to_send = message.len();
        self.to_come = message.len();
        self.send(message)
    }

    /// Sends what the system takes.
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        while self.to_send > 0 {
            match self.stream.write(&message[message.len() - self.to_send..]) {
                Ok(count) => self.to_send -= count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what there is. Is the answer complete with it?
    fn has_answer(&mut self, buffer: &mut [u8], message: &[u8]) -> io::Result<bool> {
        while self.to_come > 0 {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    let expected = message[message.len() - self.to_come..].get(..count);
                    if expected != Some(&buffer[..count]) {
                        return Err(io::Error::other("this is not what was sent"));
                    }
                    self.to_come -= count;
                    if self.to_come == 0 {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// An address has some 28,000 ports to call from. On Linux, each of 127.0.0.0/8 is ours.
fn connect(address: SocketAddr, number: usize) -> io::Result<std::net::TcpStream> {
    const PER_ADDRESS: usize = 20_000;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    let more = (number / PER_ADDRESS) as u8;
    if cfg!(target_os = "linux") && more > 0 {
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + more));
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect(&address.into())?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
