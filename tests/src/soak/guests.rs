//! The clients: each does one thing to the server, with everything else about it left to chance.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::verdict::LATENCY;
use crate::servers::{Address, Client, QUIET, Result, Server, sequence};

/// Chance that can be had again: the SplitMix64 generator.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, worker: u64) -> Random {
        // Two steps apart in `seed` or `worker` must not be two steps apart in the same sequence.
        let mut random = Random(seed);
        let seed = random.next();
        random.0 = seed ^ worker.wrapping_mul(0xd134_2543_de82_ef95);
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn length(&mut self, end: u64) -> usize {
        usize::try_from(1 + self.below(end)).unwrap_or(1)
    }
}

/// A whole visit; an error is what the client found wrong.
type Act = fn(&mut Guest<'_>) -> Result;

/// What clients do, and how many of a hundred do it.
#[rustfmt::skip] // a line for each
pub(super) const KINDS: [(&str, u64, Act); 7] = [
    ("polite", 42, polite),
    ("slow", 15, slow),
    ("resetting", 14, resetting),
    ("flooding", 3, flooding),
    ("silent", 6, silent),
    ("leaving", 14, leaving),
    ("urgent", 6, urgent),
];

/// What a worker has seen of the clients that it was, one after the other.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How many clients of each kind.
    pub(super) clients: [u64; KINDS.len()],
    /// How long the polite ones waited for each answer.
    pub(super) latencies: Vec<Duration>,
    /// How many were closed because they were late themselves.
    pub(super) late: u64,
    /// What went wrong.
    pub(super) wrong: Vec<String>,
}

impl Seen {
    pub(super) fn add(&mut self, other: Seen) {
        for (sum, count) in self.clients.iter_mut().zip(other.clients) {
            *sum += count;
        }
        self.latencies.extend(other.latencies);
        self.late += other.late;
        self.wrong.extend(other.wrong);
    }
}

/// One client after the other, until `over`. The first that finds something wrong ends it for all.
pub(super) fn visit(
    server: &Server,
    idle: Duration,
    mut random: Random,
    worker: u64,
    over: &AtomicBool,
) -> Seen {
    let mut seen = Seen::default();
    while !over.load(Ordering::Relaxed) {
        let mut at = random.below(KINDS.iter().map(|&(_, share, _)| share).sum());
        let kind = KINDS.iter().position(|&(_, share, _)| {
            let chosen = at < share;
            at = at.saturating_sub(share);
            chosen
        });
        let kind = kind.unwrap_or_default();
        let addresses = server.addresses();
        let address = &addresses[random.length(addresses.len() as u64) - 1];
        let (name, _, act) = KINDS[kind];
        let number: u64 = seen.clients.iter().sum();
        let mut guest = Guest {
            server,
            address,
            name: format!("client {number} of worker {worker}, {name}"),
            random: &mut random,
            idle,
            latencies: &mut seen.latencies,
            active: Instant::now(),
            passive: Duration::ZERO,
        };
        let result = act(&mut guest);
        let late = guest.passive > idle / 2;
        seen.clients[kind] += 1;
        match result {
            Ok(()) => {}
            // To be late explains an end that came too soon, but no wrong byte.
            Err(wrong) if late && !wrong.contains(" instead of ") => seen.late += 1,
            Err(wrong) => {
                seen.wrong.push(wrong);
                over.store(true, Ordering::Relaxed);
            }
        }
        thread::sleep(Duration::from_millis(random.below(300)));
    }
    seen
}

/// A client before it connects.
pub(super) struct Guest<'a> {
    server: &'a Server,
    address: &'a Address,
    name: String,
    random: &'a mut Random,
    idle: Duration,
    latencies: &'a mut Vec<Duration>,
    /// When it last began to do something: the server may have seen all of it long before this thread knows that
    /// it is done.
    active: Instant,
    /// How long it did nothing that the server could have noticed. On a machine that is too busy to let it run,
    /// that may be so long that the server rightly closes it.
    passive: Duration,
}

impl Guest<'_> {
    fn connect(&mut self) -> Result<Client> {
        self.active = Instant::now();
        self.server.connect_to(self.address, &*self.name)
    }

    /// Some bytes of its own, at most `most`.
    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let seed = self.random.below(1 << 24);
        sequence(seed, 0, self.random.length(most))
    }

    /// Does something that the server notices.
    fn act<T>(&mut self, action: impl FnOnce() -> Result<T>) -> Result<T> {
        self.passive = self.passive.max(self.active.elapsed());
        self.active = Instant::now();
        action()
    }

    /// Does nothing for a moment, well below what makes it idle.
    fn pause(&mut self, most: Duration) {
        let most = most.min(self.idle / 4);
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(1);
        thread::sleep(Duration::from_millis(self.random.below(most)));
    }
}

/// Sends some messages, and waits for each answer.
fn polite(guest: &mut Guest<'_>) -> Result {
    let client = guest.connect()?;
    for _ in 0..guest.random.length(20) {
        let bytes = guest.bytes(4096);
        let start = Instant::now();
        guest.act(|| client.round_trip(&bytes))?;
        guest.latencies.push(start.elapsed());
        guest.pause(Duration::from_millis(60));
    }
    if guest.random.below(2) == 0 {
        guest.act(|| client.half_close())?;
        client.expect_end()?;
    }
    Ok(())
}

/// Lets its answer wait: some read it byte by byte, others sleep first, and some sleep for too long.
fn slow(guest: &mut Guest<'_>) -> Result {
    let client = guest.connect()?;
    if guest.random.below(8) == 0 {
        let seed = guest.random.below(1 << 24);
        if client.send_until_stuck(seed).is_err() {
            // So long did it send without reading that it was closed meanwhile. The flooding ones complain.
            return Ok(());
        }
        thread::sleep(guest.idle + QUIET);
        // It may find all the bytes that were on their way, or none.
        return client.expect_any_end();
    }
    // So much fits into the system's buffers on the way, even if nobody reads it.
    let bytes = guest.bytes(if client.can_be_urgent() { 32 } else { 4 } * 1024);
    guest.act(|| client.send(&bytes))?;
    if guest.random.below(2) == 0 {
        guest.act(|| client.half_close())?;
    }
    guest.pause(Duration::MAX);
    let (first, rest) = bytes.split_at(bytes.len().min(100));
    for byte in first {
        client.expect(&[*byte])?;
        guest.pause(Duration::from_millis(3));
    }
    client.expect(rest)
}

/// Breaks off, some in the middle of a large write.
fn resetting(guest: &mut Guest<'_>) -> Result {
    let client = guest.connect()?;
    let bytes = guest.bytes(16 * 1024);
    guest.act(|| client.round_trip(&bytes))?;
    if guest.random.below(2) == 0 {
        let bytes = guest.bytes(4 << 20);
        guest.act(|| client.send_some(&bytes, Duration::from_millis(20)))?;
    } else {
        // The answer is on its way, and is not read.
        guest.act(|| client.send_some(&bytes, Duration::from_millis(20)))?;
    }
    client.reset()
}

/// Sends until the server takes no more, and only then reads.
fn flooding(guest: &mut Guest<'_>) -> Result {
    let client = guest.connect()?;
    let seed = guest.random.below(1 << 24);
    let sent = client.send_until_stuck(seed);
    // Sending is no activity: the server may wait for it to read all that time.
    guest.passive = guest.passive.max(guest.active.elapsed());
    let sent = sent?;
    guest.act(|| client.expect_sequence(seed, sent))?;
    guest.act(|| client.half_close())?;
    client.expect_end()
}

/// Has nothing to say, or nothing more, and is closed: not too soon, and not too late.
fn silent(guest: &mut Guest<'_>) -> Result {
    let client = guest.connect()?;
    let mut start = guest.active;
    if guest.random.below(2) == 0 {
        start = Instant::now();
        guest.act(|| client.round_trip(b"hello"))?;
    }
    client.expect_end()?;
    let (taken, name) = (start.elapsed(), &guest.name);
    // The server's clock may have begun before the client knew that it was connected.
    if taken < guest.idle.mul_f64(0.9) || taken > guest.idle + LATENCY {
        return Err(format!("{name}: was closed after {taken:?}"));
    }
    Ok(())
}

/// Comes and goes.
fn leaving(guest: &mut Guest<'_>) -> Result {
    let client = guest.connect()?;
    match guest.random.below(4) {
        0 => Ok(()),
        1 => client.half_close(),
        2 => client.reset(),
        _ => {
            let bytes = guest.bytes(4096);
            client.send(&bytes)
        }
    }
}

/// Has a byte that is more urgent than the others, where there is such a thing.
fn urgent(guest: &mut Guest<'_>) -> Result {
    let client = guest.connect()?;
    let bytes = guest.bytes(4096);
    let (before, after) = bytes.split_at(bytes.len() / 2);
    guest.act(|| client.send(before))?;
    if client.can_be_urgent() {
        guest.act(|| client.send_urgently(b'!'))?;
    }
    guest.pause(Duration::from_millis(20));
    guest.act(|| client.send(after))?;
    client.expect(&bytes)?;
    guest.act(|| client.half_close())?;
    client.expect_end()
}
