//! What a process has used, as the system says: of another process, so that servers need know nothing of it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The processor time of all threads that run, to the nanosecond. Only Linux tells that.
pub fn cpu(process: u32) -> Option<Duration> {
    let tasks = fs::read_dir(Path::new("/proc").join(process.to_string()).join("task")).ok()?;
    let of_task = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        on_cpu(&text)
    };
    tasks.map(|task| of_task(task.ok()?)).sum()
}

/// The first of three numbers: how long it ran, how long it waited for a core, how often it had its turn.
fn on_cpu(schedstat: &str) -> Option<Duration> {
    let nanos = schedstat.split_whitespace().next()?;
    nanos.parse().ok().map(Duration::from_nanos)
}

/// The memory that is really there for it, in bytes.
pub fn memory(process: u32) -> Option<u64> {
    if let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) {
        return resident(&status);
    }
    let ps = Command::new("ps")
        .args(["-o", "rss=", "-p", &process.to_string()])
        .output()
        .ok()?;
    let kibibytes: u64 = String::from_utf8_lossy(&ps.stdout).trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::{memory, on_cpu, resident};
    use std::time::Duration;

    #[test]
    fn the_systems_words_are_understood() {
        let status = "Name:\tserver\nVmHWM:\t    3000 kB\nVmRSS:\t    2048 kB\nThreads:\t1\n";
        assert_eq!(resident(status), Some(2 << 20));
        assert_eq!(resident("Name:\tserver\n"), None);
        assert_eq!(on_cpu("1500 20 3\n"), Some(Duration::from_nanos(1500)));
        assert_eq!(on_cpu(""), None);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(memory(std::process::id()).is_some_and(|bytes| bytes > 100_000));
    }
}
