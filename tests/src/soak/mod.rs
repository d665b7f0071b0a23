//! An hour of everything at once: whether a server's descriptors, threads, tasks and memory are afterwards where
//! they began.
//!
//! [`run`] starts a server, warms it up, and takes what it has then for the base. A few hundred clients of all
//! kinds ([`guests`]) come and go, in rounds; after each round they leave, and what the server has left is compared
//! with the base ([`verdict`]). At the end it is told to stop, with clients connected.

mod guests;
mod verdict;

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use self::guests::{KINDS, Random, Seen, visit};
use self::verdict::{FEW_LATE, LATE, LATENCY, Rest, Row, compare};
use crate::servers::{
    Client, Look, PATIENCE, Program, QUIET, Result, Server, at_rest, look, sequence,
};

/// How much of what.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long the load lasts, the pauses not counted.
    pub time: Duration,
    /// What the clients do follows from it.
    pub seed: u64,
    /// How many rounds, with a pause after each.
    rounds: u32,
    /// How many clients there are at a time.
    clients: u64,
    /// How long they warm the server up.
    warm_up: Duration,
    /// How many seconds a client may be idle.
    idle: u64,
    /// How many seconds clients have when the server is told to stop.
    grace: u64,
}

impl Options {
    /// For a load of so long: a real one, or, below half a minute, a small one that shows that all this works.
    pub fn new(time: Duration, seed: u64) -> Options {
        let small = time < Duration::from_secs(30);
        let (rounds, clients, warm_up, idle, grace) = match small {
            true => (1, 40, 1, 1, 1),
            false => (12, 300, 10, 2, 2),
        };
        Options {
            time,
            seed,
            rounds,
            clients,
            warm_up: Duration::from_secs(warm_up),
            idle,
            grace,
        }
    }

    /// How many descriptors this process needs at once: one for each client, and some for everything else.
    pub fn descriptors(&self) -> u64 {
        self.clients + 200
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(self.idle)
    }
}

/// Puts a server under load. What happens is told to `say`, line by line.
///
/// # Errors
///
/// What was promised and did not hold.
pub fn run(program: &Program, options: &Options, mut say: impl FnMut(&str)) -> Result {
    let result = Soak::start(program, options)?.run(&mut say);
    let seed = options.seed;
    result.map_err(|wrong| program.explain(&format!("with seed {seed}: {wrong}")))
}

/// What a server can do, by its own account.
#[derive(Debug, Clone, Copy)]
struct Abilities {
    /// Stops by itself when it is interrupted, with the exit code 0.
    stops: bool,
    /// Prints its tasks on SIGUSR1.
    shows_tasks: bool,
}

#[derive(Debug)]
struct Soak<'a> {
    options: &'a Options,
    abilities: Abilities,
    server: Server,
    /// Has the server's Unix socket.
    folder: tempfile::TempDir,
    start: Instant,
}

impl<'a> Soak<'a> {
    fn start(program: &Program, options: &'a Options) -> Result<Soak<'a>> {
        let help = program.run(&["--help"])?.stdout;
        let abilities = Abilities {
            stops: help.contains("--grace"),
            shows_tasks: help.contains("SIGUSR1"),
        };
        let folder = tempfile::tempdir().map_err(|error| format!("a folder: {error}"))?;
        let mut program = program.with(&["--idle-timeout", &options.idle.to_string()]);
        if abilities.stops {
            program = program.with(&["--grace", &options.grace.to_string()]);
        }
        if help.contains("unix:") {
            let file = format!("unix:{}", folder.path().join("socket").display());
            program = program.with(&["--listen", &file]);
        }
        Ok(Soak {
            options,
            abilities,
            server: program.start()?,
            folder,
            start: Instant::now(),
        })
    }

    fn run(self, say: &mut dyn FnMut(&str)) -> Result {
        let Options {
            rounds, clients, ..
        } = *self.options;
        let seed = self.options.seed;
        say(&format!(
            "seed {seed}: {clients} clients at a time, in {rounds} rounds of {:.0?}, on {:?}",
            self.options.time / rounds,
            self.server.addresses(),
        ));
        if look(self.server.id())?.is_none() {
            say("NOT SEEN on this system: descriptors, threads and memory of the server");
        }
        let mut total = self.load(self.options.warm_up, 0)?;
        let base = self.base()?;
        say(&format!("base: {}", describe(&base)));

        let mut pauses = Vec::new();
        for round in 1..=rounds {
            let mut seen = self.load(self.options.time / rounds, u64::from(round))?;
            let rest = self.rest(Some(&base))?;
            seen.latencies.sort_unstable();
            say(&format!(
                "{:>5} s  {:>6} clients  {}  {}",
                self.start.elapsed().as_secs(),
                seen.clients.iter().sum::<u64>(),
                quantiles(&seen.latencies),
                describe(&rest)
            ));
            // The slowest stands for all: millions of them need not be kept.
            seen.latencies
                .drain(..seen.latencies.len().saturating_sub(1));
            total.add(seen);
            pauses.push(rest);
        }

        let mut rows = judge_clients(&total);
        rows.extend(compare(&base, &pauses));
        rows.extend(self.stop());
        let kinds = KINDS.iter().zip(total.clients);
        let kinds: Vec<String> = kinds
            .map(|((name, ..), count)| format!("{count} {name}"))
            .collect();
        say(&format!("clients: {}", kinds.join(", ")));
        let mut table = format!("{:<6}{:<38}{:<24}found", "", "promise", "allowed");
        for row in &rows {
            let _ = write!(table, "\n{row}");
        }
        say(&table);
        match rows.iter().all(|row| row.holds) {
            true => Ok(()),
            false => Err(format!("not all of it holds:\n{table}")),
        }
    }

    /// All clients at once, for `time`, and a moment longer until the last has left.
    ///
    /// # Errors
    ///
    /// A client has found something wrong. The server may be gone then, so nothing else is looked at.
    fn load(&self, time: Duration, round: u64) -> Result<Seen> {
        let over = &AtomicBool::new(false);
        let start = Instant::now();
        let mut total = Seen::default();
        thread::scope(|scope| {
            let worker = |worker| {
                let number = round * self.options.clients + worker;
                let random = Random::new(self.options.seed, number);
                scope.spawn(move || visit(&self.server, self.options.idle(), random, number, over))
            };
            let workers: Vec<_> = (0..self.options.clients).map(worker).collect();
            while start.elapsed() < time && !over.load(Ordering::Relaxed) {
                if round == u64::from(self.options.rounds) && self.abilities.shows_tasks {
                    // That it is asked what it does disturbs nobody.
                    if let Err(wrong) = self.server.signal(Signal::USR1) {
                        total.wrong.push(wrong);
                        break;
                    }
                    thread::sleep((time / 10).min(Duration::from_secs(1)));
                }
                thread::sleep(Duration::from_millis(10));
            }
            over.store(true, Ordering::Relaxed);
            for worker in workers {
                match worker.join() {
                    Ok(seen) => total.add(seen),
                    Err(_) => total.wrong.push("a client panicked".to_owned()),
                }
            }
        });
        match total.wrong.first() {
            None => Ok(total),
            Some(first) => Err(format!("{} clients complain: {first}", total.wrong.len())),
        }
    }

    /// What the server has when everybody has left, and nothing changes any more.
    fn base(&self) -> Result<Rest> {
        let counts = |look: Option<Look>| look.map(|look| (look.descriptors, look.threads));
        for _ in 0..5 {
            let before = look(self.server.id())?;
            let rest = self.rest(None)?;
            if counts(before) == counts(rest.look) {
                return Ok(rest);
            }
        }
        Err("everybody has left, and the server does not come to rest".to_owned())
    }

    /// What the server has when everybody has left. If that is not what it had at the `base`, it gets a moment to
    /// notice that they have.
    fn rest(&self, base: Option<&Rest>) -> Result<Rest> {
        let start = Instant::now();
        let patience = self.options.idle() + Duration::from_secs(5);
        let busy = at_rest(self.server.id(), Duration::from_millis(20), 10).err();
        let wanted = base.and_then(|base| base.look);
        let look = loop {
            let look = look(self.server.id())?;
            let as_wanted = look.zip(wanted).is_none_or(|(look, wanted)| {
                (look.descriptors, look.threads) == (wanted.descriptors, wanted.threads)
            });
            if as_wanted || start.elapsed() > patience {
                break look;
            }
            thread::sleep(Duration::from_millis(50));
        };
        let tree = match self.abilities.shows_tasks {
            true => Some(self.tree()?),
            false => None,
        };
        Ok(Rest { look, tree, busy })
    }

    /// How many lines the server prints on SIGUSR1. It has nothing else to say: nobody is there.
    fn tree(&self) -> Result<usize> {
        let before = self.server.lines();
        self.server.signal(Signal::USR1)?;
        let start = Instant::now();
        let mut lines = before;
        loop {
            thread::sleep(QUIET);
            let now = self.server.lines();
            if now > before && now == lines {
                return Ok(now - before);
            }
            if start.elapsed() > PATIENCE {
                return Err("it prints no tasks on SIGUSR1".to_owned());
            }
            lines = now;
        }
    }

    /// Interrupts the server while clients are there.
    fn stop(self) -> Vec<Row> {
        const WHAT: &str = "Ctrl-C with clients connected";
        // After the grace: to hang up, on both sides, and to be in no hurry.
        let limit = Duration::from_secs(self.options.grace) + LATENCY + Duration::from_secs(3);
        let stops = self.abilities.stops;
        let (allowed, code) = match stops {
            true => (format!("exit code 0 within {limit:?}"), Some(0)),
            false => (format!("ends within {limit:?}"), None),
        };
        let Soak { server, folder, .. } = self;
        let addresses = server.addresses().to_vec();
        let guests = match last_guests(&server) {
            Ok(guests) => guests,
            Err(wrong) => return vec![Row::new(WHAT, allowed, wrong, false)],
        };
        thread::scope(|scope| {
            let guests: Vec<_> = guests
                .iter()
                .map(|(client, talks)| {
                    scope.spawn(move || {
                        while *talks && client.round_trip(b"on and on").is_ok() {
                            thread::sleep(Duration::from_millis(5));
                        }
                        client.expect_any_end()
                    })
                })
                .collect();
            let start = Instant::now();
            let ended = server.interrupt();
            let taken = start.elapsed();
            let count = guests.len();
            let told = guests.into_iter().filter_map(|guest| guest.join().ok());
            let told = told.filter(Result::is_ok).count();
            let ended = match ended {
                Ok(status) => {
                    let good = match code {
                        Some(code) => status.code() == Some(code),
                        None => status.signal() == Some(Signal::INT.as_raw()),
                    };
                    let holds = good && taken < limit;
                    Row::new(WHAT, allowed, format!("{status} after {taken:.1?}"), holds)
                }
                Err(wrong) => Row::new(WHAT, allowed, wrong, false),
            };
            let mut there = addresses
                .iter()
                .filter(|address| {
                    Client::connect(address, "a client that comes too late".to_owned(), LATENCY)
                        .is_ok()
                })
                .count();
            if stops {
                there += folder.path().read_dir().map_or(1, Iterator::count);
            }
            vec![
                ended,
                Row::new("clients that were told", count, told, told == count),
                Row::new("sockets left behind", 0, there, there == 0),
            ]
        })
    }
}

/// Those who are there when the server is interrupted, and whether they talk without an end.
fn last_guests(server: &Server) -> Result<Vec<(Client, bool)>> {
    // More than the system's buffers hold.
    let much = sequence(1, 0, 16 << 20);
    let mut guests = Vec::new();
    for address in server.addresses() {
        for number in 0..10 {
            let client = server.connect_to(address, format!("last client {number}"))?;
            client.round_trip(b"hello")?;
            guests.push((client, number % 2 == 0));
        }
        let client = server.connect_to(address, "last client, who does not read")?;
        client.send_some(&much, QUIET)?;
        guests.push((client, false));
    }
    Ok(guests)
}

fn judge_clients(seen: &Seen) -> Vec<Row> {
    let slowest = seen.latencies.iter().max().copied().unwrap_or_default();
    let clients: u64 = seen.clients.iter().sum();
    vec![
        // A load with complaints ends the run: see `load`.
        Row::new("complaints of clients", 0, 0, true),
        Row::new(
            "slowest answer to a polite client",
            format!("{LATENCY:?}"),
            format!("{slowest:.1?}"),
            slowest <= LATENCY && !seen.latencies.is_empty(),
        ),
        Row::new(
            "clients that were late themselves",
            format!("{FEW_LATE}, and 1 of {LATE}"),
            format!("{} of {clients}", seen.late),
            seen.late <= FEW_LATE + clients / LATE,
        ),
    ]
}

/// Of a sorted list.
fn quantiles(latencies: &[Duration]) -> String {
    let at = |thousandths: usize| {
        let index = latencies.len().saturating_sub(1) * thousandths / 1000;
        latencies.get(index).copied().unwrap_or_default()
    };
    let (half, most, all) = (at(500), at(990), at(1000));
    format!("answers: half in {half:.1?}, 99 % in {most:.1?}, all in {all:.1?}")
}

fn describe(rest: &Rest) -> String {
    let mut text = match rest.look {
        Some(look) => format!(
            "at rest: {} descriptors, {} threads, {} KiB",
            look.descriptors, look.threads, look.memory
        ),
        None => "at rest".to_owned(),
    };
    if let Some(lines) = rest.tree {
        let _ = write!(text, ", {lines} lines of tasks");
    }
    if let Some(busy) = &rest.busy {
        let _ = write!(text, "; {busy}");
    }
    text
}
