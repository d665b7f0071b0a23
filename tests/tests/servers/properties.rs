//! What a server does: the table, and the properties in its order.
//!
//! A property is a function that starts the server it needs and drives it. One that does not hold from
//! the first chapter on comes with another function, which shows how an earlier server fails it: a
//! chapter that says "the second client waits" is held to that, too.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use book_tests::servers::{
    Address, Client, PATIENCE, Program, QUIET, Reader, Result, Server, at_rest, sequence, threads,
};
use rustix::process::Signal;

pub(crate) type Check = fn(&Program) -> Result;

pub(crate) struct Property {
    /// As in the name of the test.
    pub(crate) name: &'static str,
    check: Check,
    holds: Holds,
}

enum Holds {
    /// For every server of the book.
    Always,
    /// From this chapter on; those before pass the other check instead, which shows that it does not.
    From(&'static str, Check),
}
use Holds::{Always, From};

/// A property a line: what holds, from where on, and what happens before.
#[rustfmt::skip] // a line for each
pub(crate) const TABLE: &[Property] = &[
    always("one_client", one_client),
    always("an_empty_connection", an_empty_connection),
    always("half_close", half_close),
    always("eight_megabytes", eight_megabytes),
    always("a_client_that_leaves_early", a_client_that_leaves_early),
    always("reset", reset),
    always("ctrl_c", ctrl_c),
    always("a_port_in_use", a_port_in_use),
    always("a_bad_option", a_bad_option),
    always("silence_costs_nothing", silence_costs_nothing),
    from("ch03", "two_clients_at_once", two_clients_at_once, the_second_waits),
    from("ch03", "five_hundred_clients", five_hundred_clients, a_crowd_is_served_in_turn),
    from("ch03", "five_hundred_silent_clients", five_hundred_silent_clients, a_crowd_is_served_in_turn),
    from("ch03", "reset_beside_others", reset_beside_others, others_wait_for_the_reset),
    from("ch03", "a_slow_reader", a_slow_reader, a_slow_reader_blocks),
    from("ch03", "a_flood", a_flood, a_flood_blocks),
    from("ch03", "no_descriptors_left", no_descriptors_left, one_descriptor_is_enough),
    from("ch05", "every_domain_serves", every_domain_serves, knows_no_domains),
    from("ch07", "idle_clients_are_closed", idle_clients_are_closed, knows_no_idle_timeout),
    always("a_log_whose_reader_has_gone", a_log_whose_reader_has_gone),
    from("ch08", "a_log_whose_reader_is_stuck", a_log_whose_reader_is_stuck, it_waits_for_the_reader),
    from("ch08", "a_graceful_stop", a_graceful_stop, a_signal_cuts_clients_off),
    from("ch08", "the_end_of_grace", the_end_of_grace, knows_no_grace),
    from("ch08", "a_second_signal", a_second_signal, knows_no_grace),
    from("ch08", "several_addresses", several_addresses, knows_no_unix_sockets),
    from("ch08", "places_for_clients", places_for_clients, knows_no_places),
    from("ch08", "a_line_for_each_client", a_line_for_each_client, silent_about_clients),
    from("ch08", "a_look_at_the_tasks", a_look_at_the_tasks, a_look_is_the_end),
];

const fn always(name: &'static str, check: Check) -> Property {
    let holds = Always;
    Property { name, check, holds }
}

const fn from(chapter: &'static str, name: &'static str, check: Check, before: Check) -> Property {
    let holds = From(chapter, before);
    Property { name, check, holds }
}

impl Property {
    /// What a chapter has to pass, and what that is called in the list of tests.
    pub(crate) fn for_chapter(&self, chapter: &str) -> (Check, &'static str) {
        match self.holds {
            From(first, before) if chapter < first => (before, "does not hold yet"),
            _ => (self.check, ""),
        }
    }

    /// What a server of the last chapter has to pass.
    pub(crate) fn check(&self) -> Check {
        self.check
    }

    /// What it must not pass.
    pub(crate) fn before(&self) -> Option<Check> {
        match self.holds {
            Always => None,
            From(_, before) => Some(before),
        }
    }
}

/// How many clients a large crowd has.
const CROWD: u64 = 500;

/// A small one: it fits into the queue of those who wait for `accept`, on every system.
const GROUP: u64 = 50;

/// One crowd at a time: the descriptors of this process and the patience of the machine are finite.
fn crowd() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn clients(server: &Server, count: u64) -> Result<Vec<Client>> {
    (0..count)
        .map(|i| server.connect(format!("client {i}")))
        .collect()
}

/// The server, whatever was done to it, is there for a new client.
fn still_serves(server: &Server) -> Result {
    let client = server.connect("a client that comes afterwards")?;
    client.round_trip(b"still there?")?;
    client.half_close()?;
    client.expect_end()
}

fn one_client(program: &Program) -> Result {
    let server = program.start()?;
    let client = server.connect("the client")?;
    client.round_trip(b"hello\n")?;
    client.round_trip(b"\0")?;
    client.round_trip(&sequence(1, 0, 10_000))?;
    client.half_close()?;
    client.expect_end()
}

fn an_empty_connection(program: &Program) -> Result {
    let server = program.start()?;
    for i in 0..10 {
        let client = server.connect(format!("client {i}, who has nothing to say"))?;
        client.half_close()?;
        client.expect_end()?;
    }
    still_serves(&server)
}

fn half_close(program: &Program) -> Result {
    let server = program.start()?;
    let bytes = sequence(2, 0, 64 * 1024);
    let client = server.connect("a client that says goodbye")?;
    client.send(&bytes)?;
    client.half_close()?;
    client.expect(&bytes)?;
    client.expect_end()?;

    // The bytes and the goodbye come together: that there will be no more must not hide that there is
    // something. A few only: the system has to keep them all.
    let few = &bytes[..8 * 1024];
    let client = server.stopped(|| {
        let client = server.connect("a client that says goodbye at once")?;
        client.send(few)?;
        client.half_close()?;
        Ok(client)
    })?;
    client.expect(few)?;
    client.expect_end()
}

fn eight_megabytes(program: &Program) -> Result {
    let server = program.start()?;
    let client = server.connect("a client with eight megabytes")?;
    let bytes = sequence(3, 0, 8 << 20);
    thread::scope(|scope| {
        let sent = scope.spawn(|| {
            for piece in bytes.chunks(100_000) {
                client.send(piece)?;
            }
            client.half_close()
        });
        client.expect_sequence(3, bytes.len() as u64)?;
        client.expect_end()?;
        sent.join().map_err(|_| "the sending thread panicked")?
    })
}

fn a_client_that_leaves_early(program: &Program) -> Result {
    let server = program.start()?;
    // While the server stands still, nobody is accepted: all these are gone before it looks.
    server.stopped(|| {
        for i in 0..10 {
            drop(server.connect(format!("client {i}, who says nothing"))?);
            server
                .connect(format!("client {i}, who breaks off"))?
                .reset()?;
            let talker = server.connect(format!("client {i}, who says something"))?;
            talker.send(b"never mind")?;
            drop(talker);
            let talker =
                server.connect(format!("client {i}, who says something and breaks off"))?;
            talker.send(b"never mind")?;
            talker.reset()?;
        }
        Ok(())
    })?;
    still_serves(&server)
}

fn reset(program: &Program) -> Result {
    let server = program.start()?;
    for i in 0..10 {
        let rude = server.connect(format!("rude client {i}"))?;
        rude.round_trip(b"hello")?;
        rude.send(&sequence(i, 0, 32 * 1024))?; // the answer is on its way, and is not read
        rude.reset()?;
        let rude = server.connect(format!("rude client {i}, half-closed"))?;
        rude.send(b"hello")?;
        rude.half_close()?;
        rude.reset()?;
        still_serves(&server)?;
    }
    Ok(())
}

fn ctrl_c(program: &Program) -> Result {
    let server = on_a_port_of_our_own(program)?;
    let address = server.address().to_string();
    let client = server.connect("the client")?;
    client.round_trip(b"hello")?;
    // A connection that the server ends leaves its port in a state of mourning for a minute. That must
    // not keep the next server from listening.
    server.interrupt()?;
    still_serves(&program.start_on(&address)?)
}

/// A server on a port that nobody is given while it is free for a moment: below those that the system
/// chooses from.
fn on_a_port_of_our_own(program: &Program) -> Result<Server> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = u64::from(std::process::id()) * 16;
    let mut last = String::new();
    for _ in 0..5 {
        let port = 10_000 + (process + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        match program.start_on(&format!("127.0.0.1:{port}")) {
            Ok(server) => return Ok(server),
            Err(error) => last = error,
        }
    }
    Err(format!("on none of five ports: {last}"))
}

fn a_port_in_use(program: &Program) -> Result {
    let server = program.start()?;
    let address = server.address().to_string();
    let ended = program.run(&["--listen", &address])?;
    let says = |text: &str| ended.stderr.to_lowercase().contains(text);
    let good = ended.code == Some(1)
        && ended.stdout.is_empty()
        && says(&address)
        && says("address already in use")
        && says("--listen");
    if !good {
        return Err(format!(
            "{address} is in use: this should be said, with advice, and the exit code be 1: {ended:?}"
        ));
    }
    still_serves(&server)
}

fn a_bad_option(program: &Program) -> Result {
    for args in [
        &["--no-such-option"][..],
        &["--listen"],
        &["--listen", "nonsense"],
        &["x"],
    ] {
        let ended = program
            .run(args)
            .map_err(|error| format!("{args:?}: {error}"))?;
        let named = args.last().is_some_and(|last| ended.stderr.contains(last));
        let good = ended.code == Some(2) && ended.stdout.is_empty() && named;
        if !(good && ended.stderr.contains("--listen")) {
            return Err(format!(
                "{args:?}: it should be said what is wrong and what is allowed, and the exit code \
                 be 2: {ended:?}"
            ));
        }
    }
    let ended = program.run(&["--help"])?;
    if ended.code != Some(0) || !ended.stdout.contains("--listen") {
        return Err(format!(
            "--help should help, and the exit code be 0: {ended:?}"
        ));
    }
    Ok(())
}

/// No server has a reason to do anything while its clients are silent.
fn nothing_to_do(server: &Server) -> Result {
    at_rest(server.id(), Duration::from_millis(20), 10)
}

fn silence_costs_nothing(program: &Program) -> Result {
    let server = program.start()?;
    nothing_to_do(&server).map_err(|error| format!("before the first client: {error}"))?;
    let client = server.connect("a client that falls silent")?;
    client.round_trip(b"hello")?;
    nothing_to_do(&server)?;
    client.round_trip(b"hello again")?;
    client.half_close()?;
    client.expect_end()
}

fn two_clients_at_once(program: &Program) -> Result {
    let server = program.start()?;
    let first = server.connect("the first client")?;
    let second = server.connect("the second client")?;
    second.round_trip(b"the first has not said anything yet")?;
    first.round_trip(b"here I am")?;
    second.round_trip(b"the first is silent again")?;
    first.half_close()?;
    first.expect_end()?;
    second.round_trip(b"the first has gone")?;
    second.half_close()?;
    second.expect_end()
}

fn the_second_waits(program: &Program) -> Result {
    let server = program.start()?;
    let first = server.connect("the first client")?;
    first.round_trip(b"here I am")?;
    let second = server.connect("the second client")?;
    second.send(b"and I?")?;
    second.expect_silence(QUIET)?;
    first.round_trip(b"still my turn")?;
    second.expect_silence(Duration::from_millis(1))?;
    drop(first);
    second.expect(b"and I?")
}

fn five_hundred_clients(program: &Program) -> Result {
    const ROUNDS: u64 = 20;
    const THREADS: usize = 4;
    let _crowd = crowd();
    let server = program.start()?;
    let clients = clients(&server, CROWD)?;
    let numbered: Vec<(u64, &Client)> = (0..).zip(&clients).collect();
    // From a byte to two thousand, different for every client and every round.
    let message = |client, round| {
        let length = 1 + (client * 37 + round * 101) % 2000;
        sequence(100 + client * ROUNDS + round, 0, length as usize)
    };
    thread::scope(|scope| {
        let talk = |group: &[(u64, &Client)]| {
            for round in 0..ROUNDS {
                // Everybody has sent before anybody listens.
                for &(i, client) in group {
                    client.send(&message(i, round))?;
                }
                for &(i, client) in group {
                    let answer = client.expect(&message(i, round));
                    answer.map_err(|error| format!("round {round}: {error}"))?;
                }
            }
            Ok(())
        };
        let groups = numbered.chunks(numbered.len().div_ceil(THREADS));
        let threads: Vec<_> = groups
            .map(|group| scope.spawn(move || talk(group)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a client's thread panicked".to_owned()))
        })
    })?;
    clients.iter().try_for_each(Client::half_close)?;
    clients.iter().try_for_each(Client::expect_end)
}

fn five_hundred_silent_clients(program: &Program) -> Result {
    let _crowd = crowd();
    let server = program.start()?;
    let clients = clients(&server, CROWD)?;
    clients
        .iter()
        .try_for_each(|client| client.send(b"hello"))?;
    clients
        .iter()
        .try_for_each(|client| client.expect(b"hello"))?;
    nothing_to_do(&server)?;
    clients
        .iter()
        .try_for_each(|client| client.round_trip(b"hello again"))
}

fn a_crowd_is_served_in_turn(program: &Program) -> Result {
    in_turn(&program.start()?)
}

fn in_turn(server: &Server) -> Result {
    let clients = clients(server, GROUP)?;
    let message = |i: usize| sequence(i as u64, 0, 100);
    for (i, client) in clients.iter().enumerate() {
        client.send(&message(i))?;
    }
    let mut quiet = QUIET;
    for (i, client) in clients.iter().enumerate().skip(1) {
        client
            .expect_silence(quiet)
            .map_err(|error| format!("{i} are before {error}"))?;
        quiet = Duration::from_millis(1);
    }
    for (i, client) in clients.into_iter().enumerate() {
        client.expect(&message(i))?; // and then it leaves, and the next has its turn
    }
    Ok(())
}

fn reset_beside_others(program: &Program) -> Result {
    let server = program.start()?;
    let others = clients(&server, 5)?;
    for i in 0..10 {
        let bytes = sequence(i, 0, 1000);
        let (now, later) = bytes.split_at(500);
        others.iter().try_for_each(|other| other.round_trip(now))?;
        let rude = server.connect(format!("rude client {i}"))?;
        rude.send(&sequence(i, 0, 32 * 1024))?;
        others.iter().try_for_each(|other| other.send(later))?;
        rude.reset()?;
        others.iter().try_for_each(|other| other.expect(later))?;
    }
    others.iter().try_for_each(Client::half_close)?;
    others.iter().try_for_each(Client::expect_end)
}

fn others_wait_for_the_reset(program: &Program) -> Result {
    let server = program.start()?;
    let rude = server.connect("a rude client")?;
    rude.round_trip(b"hello")?;
    let other = server.connect("another client")?;
    other.send(b"and I?")?;
    other.expect_silence(QUIET)?;
    rude.send(&sequence(1, 0, 32 * 1024))?;
    rude.reset()?;
    other.expect(b"and I?")
}

fn a_slow_reader(program: &Program) -> Result {
    let server = program.start()?;
    let slow = server.connect("a client that does not read")?;
    let taken = slow.send_until_stuck(4)?;
    let other = server.connect("a client beside it")?;
    for i in 0..20 {
        other.round_trip(&sequence(i, 0, 1000))?;
    }
    slow.half_close()?;
    slow.expect_sequence(4, taken)?;
    slow.expect_end()
}

fn a_slow_reader_blocks(program: &Program) -> Result {
    let server = program.start()?;
    let slow = server.connect("a client that does not read")?;
    slow.send_until_stuck(4)?;
    let other = server.connect("a client beside it")?;
    other.send(b"and I?")?;
    other.expect_silence(QUIET)?;
    drop(slow);
    other.expect(b"and I?")
}

/// So many bytes make a flood.
const ON: u64 = 256 * 1024;

/// Clients that send all the time, and read as fast as the answers come, while `meanwhile` runs. It
/// begins when the flood is on; its argument says how many bytes each of them has got back so far.
fn flood(server: &Server, count: usize, meanwhile: impl FnOnce(&[AtomicU64]) -> Result) -> Result {
    let clients: Vec<Client> = (0..count)
        .map(|i| server.connect(format!("flooding client {i}")))
        .collect::<Result<_>>()?;
    let bytes = sequence(5, 0, 64 * 1024);
    let done: Vec<AtomicU64> = clients.iter().map(|_| AtomicU64::new(0)).collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (client, done) in clients.iter().zip(&done) {
            let (bytes, over) = (&bytes, &over);
            threads.push(scope.spawn(move || {
                let mut sent = 0;
                while !over.load(Ordering::Relaxed) {
                    client.send(bytes)?;
                    sent += bytes.len() as u64;
                }
                client.half_close()?;
                Ok(sent)
            }));
            threads.push(
                scope.spawn(move || {
                    client.drain(bytes, |total| done.store(total, Ordering::Relaxed))
                }),
            );
        }
        let start = Instant::now();
        let result = loop {
            if done.iter().all(|done| done.load(Ordering::Relaxed) >= ON) {
                break meanwhile(&done);
            }
            if start.elapsed() > PATIENCE || threads.iter().any(|thread| thread.is_finished()) {
                break Err("the flood does not flow".to_owned());
            }
            thread::sleep(Duration::from_millis(1));
        };
        over.store(true, Ordering::Relaxed);
        let mut totals = Vec::new();
        for thread in threads {
            let total = thread.join().map_err(|_| "a flooding thread panicked")?;
            totals.push(total);
        }
        result?;
        let totals = totals.into_iter().collect::<Result<Vec<u64>>>()?;
        for (i, both) in totals.chunks(2).enumerate() {
            if both[0] != both[1] {
                let (sent, back) = (both[0], both[1]);
                return Err(format!(
                    "flooding client {i}: {back} of {sent} bytes came back"
                ));
            }
        }
        Ok(())
    })
}

fn a_flood(program: &Program) -> Result {
    const LONG: Duration = Duration::from_secs(2);
    const SOON: Duration = Duration::from_secs(5);
    // What a server may do for the flood while the polite client waits. Fair ones were seen to do up to
    // 20 megabytes on a machine with other work, most of it while the answer lay there and the client
    // had no core; one without a budget does thousands. A count says more than a time here: that the
    // machine is slow makes it smaller, not larger.
    const MUCH: u64 = 128 << 20;
    let server = program.start()?;
    let polite = server.connect("a polite client")?;
    flood(&server, 4, |done| {
        let so_far = || done.iter().map(|done| done.load(Ordering::Relaxed));
        let at_first: Vec<u64> = so_far().collect();
        let begin = Instant::now();
        for i in 0.. {
            let (start, before) = (Instant::now(), so_far().sum::<u64>());
            let answer = polite.round_trip(&sequence(i, 0, 100));
            answer.map_err(|error| format!("beside a flood: {error}"))?;
            let (taken, meanwhile) = (start.elapsed(), so_far().sum::<u64>() - before);
            if taken > SOON || meanwhile > MUCH {
                return Err(format!(
                    "beside a flood, round trip {i} took {taken:?}, or {meanwhile} bytes of the flood"
                ));
            }
            // Meanwhile each of the others must have got on, too.
            let flows = so_far()
                .zip(&at_first)
                .all(|(now, at_first)| now > at_first + ON);
            if i >= 50 && flows && begin.elapsed() > LONG {
                break;
            }
            if begin.elapsed() > PATIENCE {
                return Err("beside a polite client, the flood stands still".to_owned());
            }
        }
        Ok(())
    })?;
    polite.round_trip(b"the flood is over")
}

fn a_flood_blocks(program: &Program) -> Result {
    let server = program.start()?;
    let mut polite = None;
    flood(&server, 1, |done| {
        let before = done[0].load(Ordering::Relaxed);
        let client = server.connect("a polite client")?;
        client.send(b"and I?")?;
        client.expect_silence(QUIET)?;
        polite = Some(client);
        match done[0].load(Ordering::Relaxed) > before {
            true => Ok(()),
            false => Err("the flood dried up".to_owned()),
        }
    })?;
    polite.ok_or("no polite client")?.expect(b"and I?")
}

/// How many descriptors a server may have that shall run out of them, and a crowd too large for it.
const FEW: u64 = 32;
const TOO_MANY: u64 = 80;

fn few_descriptors(program: &Program) -> Result<Server> {
    // Several domains would take clients in an order of their own.
    program.alone().after(&format!("ulimit -n {FEW}")).start()
}

fn no_descriptors_left(program: &Program) -> Result {
    // Every program has three descriptors, a server one that listens, and a runtime a few of its own.
    const AT_LEAST: usize = 8;
    let server = few_descriptors(program)?;
    let clients = clients(&server, TOO_MANY)?;
    let message = |i: usize| sequence(i as u64, 0, 100);
    for (i, client) in clients.iter().enumerate() {
        client.send(&message(i))?;
    }
    // They are accepted in the order in which they came. It has room for the first ones …
    let (held, others) = clients.split_at(AT_LEAST);
    for (i, client) in held.iter().enumerate() {
        client.expect(&message(i))?;
    }
    // … it has not for the last, …
    let (_, last) = others.split_at(FEW as usize - AT_LEAST);
    last.iter()
        .try_for_each(|client| client.expect_silence(Duration::from_millis(1)))?;
    // … that makes it neither busy (it may look ten times a second or so) nor forget those it has.
    at_rest(server.id(), Duration::from_millis(50), 50)?;
    held.iter()
        .try_for_each(|client| client.round_trip(b"still there?"))?;
    last.iter()
        .try_for_each(|client| client.expect_silence(Duration::from_millis(1)))?;
    // When one leaves, there is room for the next, until all have had their turn.
    for (i, client) in clients.into_iter().enumerate() {
        if i >= AT_LEAST {
            client.expect(&message(i))?;
        }
    }
    still_serves(&server)
}

fn one_descriptor_is_enough(program: &Program) -> Result {
    in_turn(&few_descriptors(program)?)
}

/// How many domains beside the first one.
const DOMAINS: usize = 3;

fn every_domain_serves(program: &Program) -> Result {
    // That one of four has nothing to do with any of so many is less likely than a broken machine.
    const CLIENTS: u64 = 64;
    let server = program.clone().with_domains(DOMAINS).start()?;
    let before = threads(server.id())?;
    let clients = clients(&server, CLIENTS)?;
    for client in &clients {
        client.round_trip(b"who serves me?")?;
    }
    // Where the system does not say what a thread did, it is enough that it serves.
    if let Some((before, after)) = before.zip(threads(server.id())?) {
        let awake = after
            .iter()
            .filter(|(id, count)| before.get(id) != Some(count));
        let (awake, wanted) = (awake.count(), 1 + DOMAINS);
        if awake < wanted {
            return Err(format!(
                "{CLIENTS} clients woke {awake} of {wanted} threads"
            ));
        }
    }
    Ok(())
}

fn knows_no_domains(program: &Program) -> Result {
    knows_no("--domains", &DOMAINS.to_string(), program)
}

fn idle_clients_are_closed(program: &Program) -> Result {
    let server = program.with(&["--idle-timeout", "1"]).start()?;
    let start = Instant::now();
    let active = server.connect("an active client")?;
    let mute = server.connect("a client that never says anything")?;
    let silent = server.connect("a client that falls silent")?;
    silent.round_trip(b"hello")?;
    while start.elapsed() < Duration::from_millis(2500) {
        active.round_trip(b"I am still there")?;
        thread::sleep(Duration::from_millis(20));
    }
    for client in [&mute, &silent] {
        client.expect_end()?;
    }
    // Nobody else is meant.
    active.round_trip(b"still there?")?;
    still_serves(&server)
}

fn knows_no_idle_timeout(program: &Program) -> Result {
    knows_no("--idle-timeout", "1", program)
}

/// Clients that give the server reason to complain.
fn rude_clients(server: &Server) -> Result {
    for i in 0..20 {
        let rude = server.connect(format!("rude client {i}"))?;
        rude.send(&sequence(i, 0, 32 * 1024))?;
        rude.reset()?;
    }
    Ok(())
}

fn a_log_whose_reader_has_gone(program: &Program) -> Result {
    let server = program.read_by(Reader::Gone).start()?;
    rude_clients(&server)?;
    for _ in 0..10 {
        still_serves(&server)?;
    }
    Ok(())
}

fn a_log_whose_reader_is_stuck(program: &Program) -> Result {
    let mut server = program.read_by(Reader::Stuck).start()?;
    let other = server.connect("another client")?;
    rude_clients(&server)?;
    for i in 0..10 {
        other.round_trip(&sequence(i, 0, 1000))?;
        still_serves(&server)?;
    }
    drop(other);
    // Nor does it wait for the reader in the end.
    server.signal(Signal::INT)?;
    ends_with(&mut server, Some(0))
}

fn it_waits_for_the_reader(program: &Program) -> Result {
    let server = program.alone().read_by(Reader::Stuck).start()?;
    rude_clients(&server)?;
    let other = server.connect("another client")?;
    other.send(b"and I?")?;
    other.expect_silence(QUIET)
}

fn ends_with(server: &mut Server, code: Option<i32>) -> Result {
    match server.ends()? {
        ended if ended == code => Ok(()),
        ended => Err(format!("its exit code is {ended:?} instead of {code:?}")),
    }
}

fn a_graceful_stop(program: &Program) -> Result {
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = program.with(&["--grace", "3600"]).start()?;
        let clients = clients(&server, 10)?;
        for client in &clients {
            client.round_trip(b"hello")?;
        }
        clients
            .iter()
            .try_for_each(|client| client.send(b"before"))?;
        server.signal(signal)?;
        server.refuses()?;
        for client in &clients {
            client.expect(b"before")?;
            client.round_trip(b"and after")?;
        }
        clients.iter().try_for_each(Client::half_close)?;
        clients.iter().try_for_each(Client::expect_end)?;
        ends_with(&mut server, Some(0))?;
    }
    Ok(())
}

fn a_signal_cuts_clients_off(program: &Program) -> Result {
    let mut server = program.start()?;
    let client = server.connect("the client")?;
    client.round_trip(b"hello")?;
    server.signal(Signal::TERM)?;
    ends_with(&mut server, None)
}

fn the_end_of_grace(program: &Program) -> Result {
    let mut server = program.with(&["--grace", "0.3"]).start()?;
    let idle = server.connect("an idle client")?;
    idle.round_trip(b"hello")?;
    server.signal(Signal::TERM)?;
    idle.expect_end()?;
    ends_with(&mut server, Some(0))
}

fn a_second_signal(program: &Program) -> Result {
    let mut server = program.with(&["--grace", "3600"]).start()?;
    let client = server.connect("the client")?;
    client.round_trip(b"hello")?;
    server.signal(Signal::INT)?;
    server.refuses()?;
    client.round_trip(b"still there?")?;
    server.signal(Signal::INT)?;
    ends_with(&mut server, Some(130))
}

fn knows_no_grace(program: &Program) -> Result {
    knows_no("--grace", "1", program)
}

fn knows_no(option: &str, value: &str, program: &Program) -> Result {
    let ended = program.run(&[option, value])?;
    match ended.code {
        Some(2) => Ok(()),
        _ => Err(format!("it knows {option} {value}: {ended:?}")),
    }
}

fn several_addresses(program: &Program) -> Result {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("s");
    let unix = format!("unix:{}", path.display());
    let more = ["--listen", "127.0.0.1:0", "--listen", &unix];
    let program = program.with(&more).with(&["--grace", "3600"]);
    let mut server = program.start()?;
    match server.addresses() {
        [
            Address::Tcp(first),
            Address::Tcp(second),
            Address::Unix(file),
        ] if first != second && *file == path => {}
        others => return Err(format!("it listens on {others:?}")),
    }
    let clients = server.addresses().iter().map(|address| {
        let client = server.connect_to(address, format!("a client of {address:?}"))?;
        client.round_trip(b"hello")?;
        Ok(client)
    });
    let clients = clients.collect::<Result<Vec<_>>>()?;
    clients.iter().try_for_each(Client::half_close)?;
    clients.iter().try_for_each(Client::expect_end)?;
    server.signal(Signal::INT)?;
    ends_with(&mut server, Some(0))?;
    match path.exists() {
        true => Err("it leaves the file of its socket behind".to_owned()),
        false => Ok(()),
    }
}

fn knows_no_unix_sockets(program: &Program) -> Result {
    knows_no("--listen", "unix:nowhere/s", program)
}

fn places_for_clients(program: &Program) -> Result {
    let server = program.with(&["--max-clients", "2"]).start()?;
    let first = server.connect("the first client")?;
    first.round_trip(b"hello")?;
    let second = server.connect("the second client")?;
    second.round_trip(b"hello")?;
    let others = clients(&server, 3)?;
    others.iter().try_for_each(|other| other.send(b"and I?"))?;
    for other in &others {
        other.expect_silence(QUIET)?;
    }
    second.round_trip(b"still there?")?;
    // However a client leaves, there is room for the next.
    first.reset()?;
    drop(second);
    for other in others {
        other.expect(b"and I?")?;
    }
    still_serves(&server)
}

fn knows_no_places(program: &Program) -> Result {
    knows_no("--max-clients", "2", program)
}

fn a_line_for_each_client(program: &Program) -> Result {
    const CLIENTS: usize = 300;
    let _one = crowd();
    let server = program.start()?;
    for group in 0..6 {
        let clients = clients(&server, GROUP)?;
        for (i, client) in clients.iter().enumerate() {
            client.round_trip(&sequence(group, 0, i + 1))?;
        }
        clients.iter().try_for_each(Client::half_close)?;
        clients.iter().try_for_each(Client::expect_end)?;
    }
    server.says("a line for each client", |said| {
        said.lines().count() >= CLIENTS
    })?;
    let said = server.said();
    let mut counts = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for line in said.lines() {
        let parsed = line
            .strip_prefix("client 127.0.0.1:")
            .and_then(|line| line.split_once(": "))
            .and_then(|(port, rest)| {
                Some((port.parse::<u16>().ok()?, rest.split_once(" bytes in ")?))
            })
            .and_then(|(port, (count, _))| Some((port, count.parse::<usize>().ok()?)));
        let (port, count) =
            parsed.ok_or_else(|| format!("this is no line for a client: `{line}`"))?;
        names.insert(port);
        counts.push(count);
    }
    counts.sort_unstable();
    let mut expected: Vec<usize> = (0..6).flat_map(|_| 1..=GROUP as usize).collect();
    expected.sort_unstable();
    match counts == expected && names.len() > CLIENTS / 2 {
        true => Ok(()),
        false => Err(format!("not a line for each client:\n{said}")),
    }
}

fn silent_about_clients(program: &Program) -> Result {
    let server = program.start()?;
    for _ in 0..10 {
        still_serves(&server)?;
    }
    thread::sleep(QUIET);
    match server.said() {
        said if said.is_empty() => Ok(()),
        said => Err(format!("it says:\n{said}")),
    }
}

fn a_look_at_the_tasks(program: &Program) -> Result {
    let server = program.start()?;
    let clients = clients(&server, 20)?;
    clients
        .iter()
        .try_for_each(|client| client.round_trip(b"hello"))?;
    let names = clients
        .iter()
        .map(Client::address)
        .collect::<Result<Vec<_>>>()?;
    server.signal(Signal::USR1)?;
    server.says("what its tasks do", |said| {
        names.iter().all(|name| said.contains(name))
    })?;
    // Again, and nobody is disturbed.
    server.signal(Signal::USR1)?;
    clients
        .iter()
        .try_for_each(|client| client.round_trip(b"hello again"))?;
    still_serves(&server)
}

fn a_look_is_the_end(program: &Program) -> Result {
    let mut server = program.start()?;
    server.signal(Signal::USR1)?;
    ends_with(&mut server, None)
}
