//! Finding and ending everything that was started below this process.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

/// How long the ending may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kills all descendants of this process, and all of its session.
///
/// # Errors
///
/// When some are still there after five seconds, or processes cannot be listed.
pub(super) fn end_all() -> Result<()> {
    let start = Instant::now();
    loop {
        // Stopped first, because what is stopped starts nothing new while the rest is looked for.
        let mut stopped = BTreeSet::new();
        loop {
            let all = running().context("cannot list the processes")?;
            let mut grew = false;
            for pid in all {
                if stopped.insert(pid.as_raw_nonzero()) {
                    grew = true;
                    // It may be gone by itself.
                    let _ = kill_process(pid, Signal::STOP);
                }
            }
            if !grew || start.elapsed() > PATIENCE {
                break;
            }
        }
        if stopped.is_empty() {
            return Ok(());
        }
        for pid in stopped.iter().filter_map(|pid| Pid::from_raw(pid.get())) {
            let _ = kill_process(pid, Signal::KILL);
        }
        if start.elapsed() > PATIENCE {
            bail!("some of its processes do not end: {stopped:?}");
        }
        std::thread::yield_now();
    }
}

/// Collects the orphans that were taken in and have ended.
pub(super) fn collect() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// A process as the system lists it.
struct Process {
    pid: Pid,
    parent: i32,
    ours: bool,
    /// Not one that has ended and was not collected yet.
    runs: bool,
}

fn running() -> io::Result<Vec<Pid>> {
    let me = getpid();
    let mut processes = list()?;
    processes.retain(|process| process.pid != me);
    let mut known = BTreeSet::from([me.as_raw_nonzero().get()]);
    // Children may be listed before their parents.
    loop {
        let before = known.len();
        for process in &processes {
            if process.ours || known.contains(&process.parent) {
                known.insert(process.pid.as_raw_nonzero().get());
            }
        }
        if known.len() == before {
            break;
        }
    }
    let found = processes
        .iter()
        .filter(|process| process.runs && known.contains(&process.pid.as_raw_nonzero().get()));
    Ok(found.map(|process| process.pid).collect())
}

#[cfg(target_os = "linux")]
fn list() -> io::Result<Vec<Process>> {
    let session = getpid().as_raw_nonzero().to_string();
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // `pid (name) state parent group session …`: the name may contain anything, brackets too.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((_, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let fields: Vec<&str> = rest.split(' ').take(4).collect();
        if let (Some(pid), [state, parent, _, member]) = (Pid::from_raw(pid), fields.as_slice()) {
            processes.push(Process {
                pid,
                parent: parent.parse().unwrap_or_default(),
                ours: *member == session,
                runs: !matches!(*state, "Z" | "X"),
            });
        }
    }
    Ok(processes)
}

/// Here an orphan that went into a session of its own is not found: nobody takes it in.
#[cfg(not(target_os = "linux"))]
fn list() -> io::Result<Vec<Process>> {
    let mut ps = std::process::Command::new("ps")
        .args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "stat="])
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let its_own = Pid::from_child(&ps);
    let mut text = String::new();
    if let Some(mut pipe) = ps.stdout.take() {
        io::Read::read_to_string(&mut pipe, &mut text)?;
    }
    ps.wait()?;
    let me = getpid();
    let mut processes = Vec::new();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let pid = fields
            .next()
            .and_then(|pid| Pid::from_raw(pid.parse().ok()?));
        if let (Some(pid), Some(parent), Some(state)) = (pid, fields.next(), fields.next())
            && pid != its_own
        {
            processes.push(Process {
                pid,
                parent: parent.parse().unwrap_or_default(),
                ours: rustix::process::getsid(Some(pid)).is_ok_and(|session| session == me),
                runs: !state.starts_with('Z'),
            });
        }
    }
    Ok(processes)
}
