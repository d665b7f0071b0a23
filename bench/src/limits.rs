//! How many files a process may have open: each connection is one, at either end.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Asks for `wanted` descriptors, and says how many there are now: as many as the system lets it have.
pub fn raise_descriptors(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Without a limit there is nothing to raise.
    let Some(now) = current else { return wanted };
    if now >= wanted {
        return now;
    }
    // First what only the superuser may, then what everyone may.
    let tries = [
        (wanted, Some(wanted.max(maximum.unwrap_or(wanted)))),
        (wanted.min(maximum.unwrap_or(wanted)), maximum),
    ];
    for (current, maximum) in tries {
        let current = Some(current);
        if setrlimit(Resource::Nofile, Rlimit { current, maximum }).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(wanted)
}

/// What a reader is told who wants more than [`raise_descriptors`] could get.
pub fn advice(wanted: u64, allowed: u64) -> String {
    format!(
        "{wanted} descriptors are needed, {allowed} are allowed: `ulimit -n {wanted}` in the same \
         shell raises that, as far as `ulimit -Hn` lets it; further, \
         an administrator does (`nofile` in /etc/security/limits.conf; on macOS, `sudo launchctl limit maxfiles`)"
    )
}
