//! What a process costs while it should cost nothing.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::Result;

/// A look at a process.
struct Usage {
    /// The time a processor has spent on it.
    busy: Duration,
    /// Whether one of its threads runs, or would if it had a core. One that never sleeps is always found
    /// so; `busy` says little about it on a machine that is too busy to let it run.
    running: bool,
    /// How often its threads have slept and woken up again, where the system says so. One that looks
    /// around a hundred times a second hardly shows in `busy`; here it does.
    wakes: Option<u64>,
}

/// Watches a process until it has a second in which it is busy for no more than `busy`, and wakes up no
/// more than `wakes` times. It may need the first one to come to rest: an answer is out before the
/// thread that sent it sleeps again.
///
/// # Errors
///
/// Three seconds were no different.
pub fn at_rest(process: u32, busy: Duration, wakes: u64) -> Result {
    const LOOKS: u32 = 20;
    let mut wrong = String::new();
    for _ in 0..3 {
        let before = Usage::of(process)?;
        let mut after = Usage::of(process)?;
        let mut running = 0;
        for _ in 0..LOOKS {
            thread::sleep(Duration::from_secs(1) / LOOKS); // parts of the second that is measured
            after = Usage::of(process)?;
            running += u32::from(after.running);
        }
        let spent = after.busy.saturating_sub(before.busy);
        let counts = after.wakes.zip(before.wakes);
        let woken = counts.map(|(after, before)| after.saturating_sub(before));
        let found = if running > LOOKS / 2 {
            format!("it never slept ({running} of {LOOKS} looks found it running)")
        } else if spent > busy {
            format!("it was busy for {spent:?} of a second")
        } else if let Some(woken) = woken.filter(|&woken| woken > wakes) {
            format!("it woke up {woken} times in a second")
        } else {
            return Ok(());
        };
        wrong = format!("with nothing to do {found}");
    }
    Err(wrong)
}

/// What a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Open descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Memory that is in use, in KiB.
    pub memory: u64,
}

/// What a process has, where the system says so.
#[cfg(target_os = "linux")]
pub fn look(process: u32) -> Result<Option<Look>> {
    let status = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&status).map_err(|error| format!("{status}: {error}"))?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
            .ok_or_else(|| format!("no number for {name} in {status}"))
    };
    let folder = format!("/proc/{process}/fd");
    let descriptors = std::fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    Ok(Some(Look {
        descriptors: descriptors.count(),
        threads: usize::try_from(number("Threads:")?).unwrap_or(usize::MAX),
        memory: number("VmRSS:")?,
    }))
}

/// What a process has, where the system says so.
#[cfg(not(target_os = "linux"))]
pub fn look(_: u32) -> Result<Option<Look>> {
    Ok(None)
}

/// How often each thread of a process has slept and woken up again, where the system says so.
#[cfg(target_os = "linux")]
pub fn threads(process: u32) -> Result<Option<BTreeMap<u32, u64>>> {
    let folder = format!("/proc/{process}/task");
    let threads = std::fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut counts = BTreeMap::new();
    for thread in threads.flatten() {
        let id = thread.file_name().to_string_lossy().parse();
        // A thread may have ended since the folder was read.
        let (Ok(id), Ok(status)) = (id, std::fs::read_to_string(thread.path().join("status")))
        else {
            continue;
        };
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        counts.insert(
            id,
            count
                .and_then(|count| count.trim().parse().ok())
                .unwrap_or(0),
        );
    }
    Ok(Some(counts))
}

/// How often each thread of a process has slept and woken up again, where the system says so.
#[cfg(not(target_os = "linux"))]
pub fn threads(_: u32) -> Result<Option<BTreeMap<u32, u64>>> {
    Ok(None)
}

impl Usage {
    #[cfg(target_os = "linux")]
    fn of(process: u32) -> Result<Usage> {
        use std::fs;
        use std::path::Path;

        let folder = Path::new("/proc").join(process.to_string());
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let stat = read(&folder.join("stat"))?;
        // The second field is the program's name in parentheses, which may contain anything. Of those
        // after it, user and system time are the 12th and 13th, in hundredths of a second.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let mut ticks = 0;
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>().map_err(|_| format!("stat: {stat}"))?;
        }

        let mut wakes = 0;
        let mut running = false;
        let threads = fs::read_dir(folder.join("task")).map_err(|error| error.to_string())?;
        for thread in threads.flatten() {
            // A thread may have ended since the folder was read.
            let Ok(status) = read(&thread.path().join("status")) else {
                continue;
            };
            let field = |name| {
                let mut values = status.lines().filter_map(|line| line.strip_prefix(name));
                values
                    .next()
                    .map(str::trim)
                    .ok_or_else(|| format!("no {name} in {status}"))
            };
            running |= field("State:")?.starts_with('R');
            wakes += field("voluntary_ctxt_switches:")?.parse().unwrap_or(0);
        }
        Ok(Usage {
            busy: Duration::from_millis(ticks * 10),
            running,
            wakes: Some(wakes),
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn of(process: u32) -> Result<Usage> {
        let mut ps = std::process::Command::new("ps");
        ps.args(["-o", "state=,time=", "-p", &process.to_string()]);
        let output = ps.output().map_err(|error| format!("ps: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let wrong = || format!("ps says `{text}`");
        let (state, time) = text.trim().split_once(' ').ok_or_else(wrong)?;
        // [[days-]hours:]minutes:seconds[.hundredths]; no server of this suite lives for a day.
        let mut parts = time.trim().split([':', '-']);
        let seconds = parts.try_fold(0.0, |total, part| {
            Some(total * 60.0 + part.parse::<f64>().ok()?)
        });
        Ok(Usage {
            busy: Duration::from_secs_f64(seconds.ok_or_else(wrong)?),
            running: state.starts_with('R'),
            wakes: None,
        })
    }
}
