//! The processes of a measurement, started by the benchmark: a server, its clients, tasks that wait.

use std::process::ExitCode;
use std::time::Duration;

use bench::contestants::{ALL, Contestant};
use bench::limits::raise_descriptors;
use bench::load::{Enough, Load, hold};
#[cfg(target_os = "linux")]
use rustix::process::{Signal, set_parent_process_death_signal};

fn main() -> ExitCode {
    // It ends with the benchmark that started it, even if that is killed.
    #[cfg(target_os = "linux")]
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("bench-part: {error}");
    }
    // As many as one can have: whoever needs more will say so.
    raise_descriptors(1 << 18);
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-part {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> bench::Result {
    match *args {
        ["serve", who, buffer] => Ok((find(who)?.serve)(buffer.parse()?)?),
        ["idle", who, count] => {
            let idle = find(who)?.idle.ok_or("it has no tasks")?;
            Ok(idle(count.parse()?)?)
        }
        ["load", address, connections, size, threads, unit, count] => {
            let enough = match unit {
                "milliseconds" => Enough::Time(Duration::from_millis(count.parse()?)),
                _ => Enough::Requests(count.parse()?),
            };
            let load = Load {
                connections: connections.parse()?,
                size: size.parse()?,
                enough,
                threads: threads.parse()?,
            };
            load.run(address.parse()?)
        }
        ["hold", address] => hold(address.parse()?),
        _ => Err("started by `cargo bench -p bench`, not by hand".into()),
    }
}

fn find(id: &str) -> bench::Result<&'static Contestant> {
    let found = ALL.iter().find(|contestant| contestant.id == id);
    found.ok_or_else(|| format!("nobody is called {id}").into())
}
