//! How busy each thread of a process is. For Linux. `cargo run --example threads -- PID [SECONDS]`

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// What the system says about a thread.
struct Thread {
    name: String,
    /// How long it has computed, in hundredths of a second.
    ticks: u64,
    /// How often it went to sleep of its own accord.
    sleeps: u64,
}

fn threads_of(process: &str) -> Option<BTreeMap<u32, Thread>> {
    let mut threads = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let path = entry.ok()?.path();
        let number = path.file_name()?.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        // The name stands in parentheses, and may contain some. The times are the 12th and 13th word after it.
        let (before, after) = stat.rsplit_once(") ")?;
        let name = before.split_once('(')?.1.to_owned();
        let times = after.split(' ').skip(11).take(2);
        let ticks = times.map_while(|time| time.parse::<u64>().ok()).sum();
        let status = fs::read_to_string(path.join("status")).ok()?;
        let mut lines = status.lines();
        let sleeps = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        let sleeps = sleeps.trim().parse().ok()?;
        let thread = Thread {
            name,
            ticks,
            sleeps,
        };
        threads.insert(number, thread);
    }
    Some(threads)
}

fn report(process: &str, seconds: u64) -> Option<()> {
    let before = threads_of(process)?;
    thread::sleep(Duration::from_secs(seconds));
    for (number, after) in threads_of(process)? {
        if let Some(before) = before.get(&number) {
            let busy = (after.ticks - before.ticks) / seconds.max(1);
            let sleeps = after.sleeps - before.sleeps;
            println!(
                "{:16} {busy:3} % busy, fell asleep {sleeps} times",
                after.name
            );
        }
    }
    Some(())
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let process = args.next().unwrap_or_else(|| "self".to_owned());
    let seconds = args.next().and_then(|arg| arg.parse().ok()).unwrap_or(1);
    match report(&process, seconds) {
        Some(()) => ExitCode::SUCCESS,
        None => {
            eprintln!("there is no process {process}, or this is not Linux");
            ExitCode::FAILURE
        }
    }
}
