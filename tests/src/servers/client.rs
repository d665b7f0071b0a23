//! A client of an echo server, who waits for nothing without an end, and says what is missing.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::Result;

/// How long a client listens before it takes silence for silence.
pub const QUIET: Duration = Duration::from_millis(300);

/// Bytes number `from` to `from + count` of an endless sequence that looks random and is different for
/// each `seed`: whatever is lost, doubled or mixed up, the rest does not fit any more.
pub fn sequence(seed: u64, from: u64, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 8);
    let skip = usize::try_from(from % 8).unwrap_or(0);
    let mut word = from / 8;
    while bytes.len() < count + skip {
        // The SplitMix64 generator, whose every step can be had without those before.
        let mut z = (seed << 40)
            .wrapping_add(word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((z ^ (z >> 31)).to_le_bytes());
        word += 1;
    }
    bytes.drain(..skip);
    bytes.truncate(count);
    bytes
}

/// What a read or a write without success means.
enum Hindrance {
    Interrupted,
    Timeout,
    Error(String),
}

fn hindrance(error: &std::io::Error) -> Hindrance {
    match error.kind() {
        ErrorKind::Interrupted => Hindrance::Interrupted,
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Hindrance::Timeout,
        _ => Hindrance::Error(error.to_string()),
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address of the internet.
    Tcp(std::net::SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// As a server says it: `127.0.0.1:7` or `unix:/run/echo`.
    pub(super) fn parse(said: &str) -> Result<Address> {
        match said.strip_prefix("unix:") {
            Some(path) => Ok(Address::Unix(path.into())),
            None => match said.parse() {
                Ok(address) => Ok(Address::Tcp(address)),
                Err(_) => Err(format!("it listens on `{said}`, which is no address")),
            },
        }
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: Socket,
    name: String,
    patience: Duration,
    tcp: bool,
}

impl Client {
    /// Connects. `name` stands in what it has to complain about, and it waits as long as `patience` for an answer.
    pub fn connect(address: &Address, name: String, patience: Duration) -> Result<Client> {
        let (domain, to) = match address {
            Address::Tcp(address) => (Domain::for_address(*address), Ok(SockAddr::from(*address))),
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)),
        };
        let tcp = domain != Domain::UNIX;
        let connected = to.and_then(|to| {
            let stream = Socket::new(domain, Type::STREAM, None)?;
            if tcp {
                stream.connect_timeout(&to, patience)?;
                // Small messages should leave at once, not wait for an acknowledgement of the one before.
                stream.set_tcp_nodelay(true)?;
            } else {
                // A full queue is a wait like that of a write, and cannot be waited for otherwise.
                stream.set_write_timeout(Some(patience))?;
                stream.connect(&to)?;
            }
            Ok(stream)
        });
        match connected {
            Ok(stream) => Ok(Client {
                stream,
                name,
                patience,
                tcp,
            }),
            Err(error) => Err(format!("{name}: cannot connect: {error}")),
        }
    }

    fn system<T, E: std::fmt::Display>(
        &self,
        what: &str,
        result: std::result::Result<T, E>,
    ) -> Result<T> {
        result.map_err(|error| format!("{}: {what}: {error}", self.name))
    }

    /// Where it is, for a client over TCP.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub fn address(&self) -> Result<String> {
        let address = self.system("its address", self.stream.local_addr())?;
        let address = address.as_socket();
        Ok(address.map_or_else(String::new, |address| address.to_string()))
    }

    fn remaining(&self, start: Instant) -> Duration {
        let least = Duration::from_millis(1); // zero would mean: without an end
        self.patience.saturating_sub(start.elapsed()).max(least)
    }

    /// Sends all of `bytes`.
    pub fn send(&self, bytes: &[u8]) -> Result {
        let start = Instant::now();
        let mut sent = 0;
        while sent < bytes.len() {
            let timeout = Some(self.remaining(start));
            self.system("write timeout", self.stream.set_write_timeout(timeout))?;
            match (&self.stream)
                .write(&bytes[sent..])
                .map_err(|e| hindrance(&e))
            {
                Ok(count) => sent += count,
                Err(Hindrance::Interrupted) => {}
                Err(Hindrance::Timeout) => {
                    return Err(format!(
                        "{}: the server took {sent} of {} bytes within {:?}",
                        self.name,
                        bytes.len(),
                        self.patience
                    ));
                }
                Err(Hindrance::Error(error)) => {
                    return Err(format!("{}: while sending: {error}", self.name));
                }
            }
        }
        Ok(())
    }

    /// Sends what the server takes of `bytes` at once or within `time`; returns how many.
    pub fn send_some(&self, bytes: &[u8], time: Duration) -> Result<usize> {
        self.system("write timeout", self.stream.set_write_timeout(Some(time)))?;
        match (&self.stream).write(bytes).map_err(|e| hindrance(&e)) {
            Ok(count) => Ok(count),
            Err(Hindrance::Interrupted | Hindrance::Timeout) => Ok(0),
            Err(Hindrance::Error(error)) => Err(format!("{}: while sending: {error}", self.name)),
        }
    }

    /// Whether there is such a thing as urgent data.
    pub fn can_be_urgent(&self) -> bool {
        self.tcp
    }

    /// Sends a byte past all others: the server need not see it among them.
    pub fn send_urgently(&self, byte: u8) -> Result {
        let sent = self.stream.send_out_of_band(&[byte]);
        self.system("urgent data", sent).map(|_| ())
    }

    /// Reads whatever comes until the end, be it a goodbye or not.
    pub fn expect_any_end(&self) -> Result {
        self.system(
            "read timeout",
            self.stream.set_read_timeout(Some(self.patience)),
        )?;
        let mut buffer = [0; 64 * 1024];
        loop {
            match (&self.stream).read(&mut buffer).map_err(|e| hindrance(&e)) {
                Ok(0) | Err(Hindrance::Error(_)) => return Ok(()),
                Ok(_) | Err(Hindrance::Interrupted) => {}
                Err(Hindrance::Timeout) => {
                    return Err(format!("{}: no end within {:?}", self.name, self.patience));
                }
            }
        }
    }

    /// Reads what is there, at least a byte, or nothing at the end; `None` after `timeout`.
    fn read(&self, buffer: &mut [u8], timeout: Duration) -> Result<Option<usize>> {
        self.system("read timeout", self.stream.set_read_timeout(Some(timeout)))?;
        loop {
            match (&self.stream).read(buffer).map_err(|e| hindrance(&e)) {
                Ok(count) => return Ok(Some(count)),
                Err(Hindrance::Interrupted) => {}
                Err(Hindrance::Timeout) => return Ok(None),
                Err(Hindrance::Error(error)) => {
                    return Err(format!("{}: while reading: {error}", self.name));
                }
            }
        }
    }

    /// Reads as many bytes as `expected` has, which must be these.
    pub fn expect(&self, expected: &[u8]) -> Result {
        let start = Instant::now();
        let mut buffer = vec![0; expected.len()];
        let mut have = 0;
        while have < buffer.len() {
            let of = format!("{have} of {} bytes", buffer.len());
            match self.read(&mut buffer[have..], self.remaining(start))? {
                Some(0) => return Err(format!("{}: the end came after {of}", self.name)),
                Some(count) => {
                    let answer = &buffer[have..have + count];
                    let wrong = answer
                        .iter()
                        .zip(&expected[have..])
                        .position(|(a, e)| a != e);
                    if let Some(at) = wrong {
                        let at = have + at;
                        let (a, e) = (buffer[at], expected[at]);
                        return Err(format!("{}: byte {at} is {a} instead of {e}", self.name));
                    }
                    have += count;
                }
                None => {
                    return Err(format!(
                        "{}: no more than {of} within {:?}",
                        self.name, self.patience
                    ));
                }
            }
        }
        Ok(())
    }

    /// Sends all of `bytes`, which must come back.
    pub fn round_trip(&self, bytes: &[u8]) -> Result {
        self.send(bytes)?;
        self.expect(bytes)
    }

    /// Says that it will send no more.
    pub fn half_close(&self) -> Result {
        self.system("shutdown", self.stream.shutdown(Shutdown::Write))
    }

    /// The server has said all it had to say.
    pub fn expect_end(&self) -> Result {
        match self.read(&mut [0], self.patience)? {
            Some(0) => Ok(()),
            Some(_) => Err(format!("{}: there is more than was sent", self.name)),
            None => Err(format!("{}: no end within {:?}", self.name, self.patience)),
        }
    }

    /// Nothing comes for a while.
    pub fn expect_silence(&self, quiet: Duration) -> Result {
        match self.read(&mut [0], quiet)? {
            None => Ok(()),
            Some(0) => Err(format!(
                "{}: is sent away, and should be kept waiting",
                self.name
            )),
            Some(_) => Err(format!(
                "{}: is answered, and should be kept waiting",
                self.name
            )),
        }
    }

    /// Reads until the end what `expected` says about each place, and returns how much it was.
    /// `progress` is told how much has come so far.
    pub fn drain(&self, expected: &[u8], mut progress: impl FnMut(u64)) -> Result<u64> {
        let mut buffer = vec![0; expected.len()];
        let mut total = 0_u64;
        let mut at = 0;
        loop {
            match self.read(&mut buffer[at..], self.patience)? {
                Some(0) => return Ok(total),
                Some(count) => {
                    if buffer[at..at + count] != expected[at..at + count] {
                        return Err(format!("{}: wrong bytes after {total}", self.name));
                    }
                    at = (at + count) % expected.len();
                    total += count as u64;
                    progress(total);
                }
                None => return Err(format!("{}: nothing within {:?}", self.name, self.patience)),
            }
        }
    }

    /// Sends `sequence(seed, ..)` and reads nothing until the server takes no more; returns how many
    /// bytes it took.
    pub fn send_until_stuck(&self, seed: u64) -> Result<u64> {
        const CHUNK: usize = 64 * 1024;
        // Far more than the system's buffers on both sides hold.
        const TOO_MUCH: u64 = 128 << 20;
        self.system("receive buffer", self.stream.set_recv_buffer_size(CHUNK))?;
        self.system("write timeout", self.stream.set_write_timeout(Some(QUIET)))?;
        let mut sent = 0;
        while sent < TOO_MUCH {
            let chunk = sequence(seed, sent, CHUNK);
            match (&self.stream).write(&chunk).map_err(|e| hindrance(&e)) {
                Ok(count) => sent += count as u64,
                Err(Hindrance::Interrupted) => {}
                Err(Hindrance::Timeout) => return Ok(sent),
                Err(Hindrance::Error(error)) => {
                    return Err(format!("{}: while sending: {error}", self.name));
                }
            }
        }
        Err(format!(
            "{}: the server took {sent} bytes, and not one was read: it hoards",
            self.name
        ))
    }

    /// Reads `sequence(seed, ..)` up to `end`.
    pub fn expect_sequence(&self, seed: u64, end: u64) -> Result {
        let mut at = 0;
        while at < end {
            let count = usize::try_from(end - at)
                .unwrap_or(usize::MAX)
                .min(256 * 1024);
            self.expect(&sequence(seed, at, count))
                .map_err(|error| format!("{error} (after {at} others)"))?;
            at += count as u64;
        }
        Ok(())
    }

    /// Leaves without a goodbye: the server's next read or write fails. On a Unix socket it does so only if
    /// something was left unread.
    pub fn reset(self) -> Result {
        match self.tcp {
            true => self.system("SO_LINGER", self.stream.set_linger(Some(Duration::ZERO))),
            false => Ok(()),
        }
    }
}
