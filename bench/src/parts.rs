//! The parts of a run. Each measures its contestants by turns, and writes down what they come to.

use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::cases::{CASES, Case, GROWING};
use crate::chapters;
use crate::contestants::{ALL, Contestant};
use crate::counters::Counter;
use crate::limits::{advice, raise_descriptors};
use crate::plan::Plan;
use crate::process::Process;
use crate::results::Results;
use crate::stats;
use crate::turn::{Clients, Server, Turn};
use crate::usage;

/// A part: its name, and what it does.
pub type Part = (&'static str, fn(&Plan, &mut Results) -> Result);

/// All of them, in the order of a run.
pub const PARTS: &[Part] = &[
    ("cases", cases),
    ("growth", growth),
    ("echo", echo),
    ("counts", counts),
    ("memory", memory),
    ("chapters", own_servers),
];

/// Bytes of a client's buffer: more than a message has, so that one read is enough.
const BUFFER: usize = 32 * 1024;

/// Where memory is measured, a buffer should not be all that there is.
const SMALL_BUFFER: usize = 256;

/// Besides its connections a process has some other files open.
const OTHER_FILES: u64 = 100;

fn cases(plan: &Plan, results: &mut Results) -> Result {
    for case in CASES {
        if plan.wants("cases") || plan.wants(case.name) {
            let operations = (case.operations / plan.pace.divisor).max(10);
            measure(case, operations, 1, plan, "case", results);
        }
    }
    Ok(())
}

/// The same cases with few operations and with many. Few of them take no time at all, so a turn has them often.
fn growth(plan: &Plan, results: &mut Results) -> Result {
    for case in CASES.iter().filter(|case| GROWING.contains(&case.name)) {
        for &crowd in plan.pace.crowds {
            let often = (10_000 / crowd).clamp(1, 10);
            measure(case, crowd as u32, often as u32, plan, "growth", results);
        }
    }
    Ok(())
}

/// Writes down the nanoseconds of one operation.
fn measure(
    case: &Case,
    operations: u32,
    often: u32,
    plan: &Plan,
    kind: &str,
    results: &mut Results,
) {
    let mut times = vec![Vec::new(); case.turns.len()];
    // The first turn of each warms up caches and allocator, and does not count.
    for round in 0..=plan.pace.turns {
        for ((_, turn), times) in case.turns.iter().zip(&mut times) {
            let time: Duration = (0..often).map(|_| turn(operations)).sum();
            if round > 0 {
                times.push(time.as_nanos() as f64 / f64::from(operations * often));
            }
        }
    }
    let measure = format!("{kind}/{}", case.name);
    for ((who, _), times) in case.turns.iter().zip(times) {
        results.add(&measure, who, operations.into(), times);
    }
}

fn echo(plan: &Plan, results: &mut Results) -> Result {
    let servers: Vec<_> = ALL
        .iter()
        .map(|one| Server::of(one, BUFFER, plan))
        .collect();
    for &size in plan.pace.sizes {
        for &connections in plan.pace.connections {
            let clients = Clients {
                plan,
                connections,
                size,
            };
            if allows(connections, "clients at once", results) {
                compare(&servers, &clients, &format!("echo/{size}"), results);
            }
        }
    }
    Ok(())
}

/// Can there be so many connections? If not, the reader is told.
fn allows(connections: u64, what: &str, results: &mut Results) -> bool {
    let wanted = connections + OTHER_FILES;
    let allowed = raise_descriptors(wanted);
    if allowed < wanted {
        let advice = advice(wanted, allowed);
        results.note(format!(
            "not {} {what}: {advice}",
            stats::count(connections)
        ));
    }
    allowed >= wanted
}

/// Servers under the same load, by turns, each turn in new processes.
fn compare(servers: &[Server], clients: &Clients<'_>, kind: &str, results: &mut Results) {
    let mut turns = vec![Vec::new(); servers.len()];
    for _ in 0..clients.plan.pace.rounds {
        for (server, turns) in servers.iter().zip(&mut turns) {
            match clients.turn(server) {
                Ok(turn) => turns.push(turn),
                Err(error) => results.note(format!("{}: {error}", server.name)),
            }
        }
    }
    for (server, turns) in servers.iter().zip(turns) {
        let mut add = |measure: &str, value: fn(&Turn) -> Option<f64>| {
            let values = turns.iter().filter_map(value).collect();
            let measure = format!("{kind}/{measure}");
            results.add(&measure, &server.name, clients.connections, values);
        };
        add("throughput", |turn| Some(turn.requests() / turn.seconds()));
        add("p50", |turn| Some(turn.outcome.p50.as_secs_f64() * 1e6));
        add("p99", |turn| Some(turn.outcome.p99.as_secs_f64() * 1e6));
        add("cpu", |turn| {
            Some(turn.cpu?.as_secs_f64() * 1e6 / turn.requests())
        });
        add("busy", |turn| {
            Some(100.0 * turn.cpu?.as_secs_f64() / turn.seconds())
        });
    }
}

fn alone() -> impl Iterator<Item = &'static Contestant> {
    ALL.iter().filter(|contestant| contestant.alone)
}

fn counts(plan: &Plan, results: &mut Results) -> Result {
    let servers: Vec<_> = alone().map(|one| Server::of(one, BUFFER, plan)).collect();
    for &connections in plan.pace.counted {
        let size = 64;
        count(
            &servers,
            &Clients {
                plan,
                connections,
                size,
            },
            "echo/64",
            results,
        );
    }
    Ok(())
}

fn count(servers: &[Server], clients: &Clients<'_>, kind: &str, results: &mut Results) {
    for (counter, measure) in [
        (Counter::Calls, "calls"),
        (Counter::Instructions, "instructions"),
    ] {
        if !counter.is_there() {
            let program = counter.program();
            results.note(format!(
                "{program} is not installed: no {measure} were counted"
            ));
            continue;
        }
        let measure = format!("{kind}/{measure}");
        for server in servers {
            match counter.per_request(server, clients) {
                Ok(count) => results.add(&measure, &server.name, clients.connections, vec![count]),
                Err(error) => results.note(format!("{}: {error}", server.name)),
            }
        }
    }
}

fn memory(plan: &Plan, results: &mut Results) -> Result {
    for contestant in alone() {
        for &count in plan.pace.crowds {
            if contestant.idle.is_some() {
                let each = idle_task(plan, contestant, count)?;
                results.add("memory/task", contestant.name, count, vec![each]);
            }
        }
    }
    for contestant in alone() {
        idle_connections(plan, contestant, results)?;
    }
    Ok(())
}

/// The memory for one of so many tasks that wait, without that of the runtime around them.
fn idle_task(plan: &Plan, contestant: &Contestant, count: u64) -> Result<f64> {
    let mut command = Command::new(&plan.part);
    let mut process = Process::start(command.args(["idle", contestant.id, &count.to_string()]))?;
    process.line()?;
    let base = memory_of(&process)?;
    process.say("go")?;
    process.line()?;
    Ok((memory_of(&process)? - base) / count as f64)
}

/// Connections that have had one answer, and keep silent. Ever more of them, at one server.
fn idle_connections(plan: &Plan, contestant: &Contestant, results: &mut Results) -> Result {
    let server = Server::of(contestant, SMALL_BUFFER, plan).start()?;
    let address = server.address()?.to_string();
    let mut clients = Process::start(Command::new(&plan.part).args(["hold", &address]))?;
    let mut connect = |count: u64| -> Result {
        clients.say(count)?;
        let answer = clients.line()?;
        if answer == count.to_string() {
            Ok(())
        } else {
            Err(answer.into())
        }
    };
    // The first one makes the server touch what it needs but once.
    connect(1)?;
    let base = memory_of(&server)?;
    for &count in plan.pace.crowds {
        let possible = if allows(count, "idle connections", results) {
            count
        } else {
            (raise_descriptors(count) - OTHER_FILES) / 1_000 * 1_000
        };
        if let Err(error) = connect(possible) {
            let name = contestant.name;
            results.note(format!("{name}, idle connections: stopped at {error}"));
            break;
        }
        let each = (memory_of(&server)? - base) / (possible - 1) as f64;
        results.add("memory/connection", contestant.name, possible, vec![each]);
    }
    Ok(())
}

fn memory_of(process: &Process) -> Result<f64> {
    let bytes = usage::memory(process.id());
    Ok(bytes.ok_or("the system does not tell a process's memory")? as f64)
}

/// The chapters' servers, and the limit beside them.
fn own_servers(plan: &Plan, results: &mut Results) -> Result {
    let mut all: Vec<_> = ALL
        .iter()
        .take(1)
        .map(|limit| Server::of(limit, BUFFER, plan))
        .collect();
    let mut many = all.clone();
    for server in chapters::all()? {
        if chapters::serves_many(&server)? {
            many.push(server.clone());
        }
        all.push(server);
    }
    for connections in [1, 64, 1024] {
        let clients = Clients {
            plan,
            connections,
            size: 64,
        };
        let servers = if connections == 1 { &all } else { &many };
        compare(servers, &clients, "chapter", results);
        if plan.pace.counted.contains(&connections) {
            count(servers, &clients, "chapter", results);
        }
    }
    Ok(())
}
