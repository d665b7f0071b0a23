//! What is allowed, and whether it was kept.

use std::fmt;
use std::time::Duration;

use crate::servers::Look;

/// So long may a polite client wait for one answer, whatever the others do. On a busy machine, most of that is the
/// wait of the client itself for a core: nearly two seconds were seen where others compiled, a fifth of one elsewhere.
pub(super) const LATENCY: Duration = Duration::from_secs(5);

/// So much more memory than at the base a server at rest may have, in KiB: what the allocator keeps of a larger
/// crowd than that of the warm-up.
pub(super) const MEMORY: u64 = 8 * 1024;

/// So much more memory it may have in the last quarter than in the one before, in KiB. In an hour, half a million
/// clients come in a quarter: four bytes lost for each are more than this.
pub(super) const GROWTH: u64 = 1024;

/// One of so many clients may have been late itself, and closed for being idle; and a few in
/// any case: a small load in a debug build on a busy machine has many of those.
pub(super) const LATE: u64 = 100;
pub(super) const FEW_LATE: u64 = 20;

/// A promise, and what became of it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) allowed: String,
    pub(super) found: String,
    pub(super) holds: bool,
}

impl Row {
    pub(super) fn new(
        what: &'static str,
        allowed: impl fmt::Display,
        found: impl fmt::Display,
        holds: bool,
    ) -> Row {
        Row {
            what,
            allowed: allowed.to_string(),
            found: found.to_string(),
            holds,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.holds { "ok" } else { "WRONG" };
        let Row {
            what,
            allowed,
            found,
            ..
        } = self;
        write!(f, "{mark:<6}{what:<38}{allowed:<24}{found}")
    }
}

/// What a server at rest has.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    /// Nothing where the system does not say.
    pub(super) look: Option<Look>,
    /// How many lines its tree of tasks has, if it prints one.
    pub(super) tree: Option<usize>,
    /// What it does while there is nothing to do.
    pub(super) busy: Option<String>,
}

/// Compares what a server had in each pause with what it had at the base.
pub(super) fn compare(base: &Rest, later: &[Rest]) -> Vec<Row> {
    let mut rows = Vec::new();
    let looks: Vec<Look> = later.iter().filter_map(|rest| rest.look).collect();
    match base.look {
        Some(base) if !looks.is_empty() => {
            let descriptors = looks.iter().map(|look| look.descriptors);
            rows.push(same("descriptors at rest", base.descriptors, descriptors));
            let threads = looks.iter().map(|look| look.threads);
            rows.push(same("threads at rest", base.threads, threads));
            let memory: Vec<u64> = looks.iter().map(|look| look.memory).collect();
            rows.push(bounded(base.memory, &memory));
            rows.push(steady(&memory));
        }
        _ => rows.push(Row::new(
            "descriptors, threads, memory",
            "as at the base",
            "NOT SEEN: only Linux shows them",
            true,
        )),
    }
    if let Some(lines) = base.tree {
        let lengths = later.iter().map(|rest| rest.tree.unwrap_or_default());
        rows.push(same("lines of the tree of tasks at rest", lines, lengths));
    }
    let mut busy = std::iter::once(base).chain(later);
    let busy = busy.find_map(|rest| rest.busy.clone());
    let found = busy.clone().unwrap_or_else(|| "nothing".to_owned());
    rows.push(Row::new(
        "work while nobody is there",
        "nothing",
        found,
        busy.is_none(),
    ));
    rows
}

fn same(what: &'static str, base: usize, later: impl Iterator<Item = usize>) -> Row {
    let others: Vec<String> = later
        .filter(|&count| count != base)
        .map(|count| count.to_string())
        .collect();
    let found = match others.is_empty() {
        true => base.to_string(),
        false => others.join(", "),
    };
    Row::new(what, base, found, others.is_empty())
}

fn mib(kib: u64) -> String {
    let tenths = kib * 10 / 1024;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

fn bounded(base: u64, memory: &[u64]) -> Row {
    let most = memory.iter().copied().max().unwrap_or_default();
    let allowed = format!("{} + {}", mib(base), mib(MEMORY));
    Row::new(
        "memory at rest, at most",
        allowed,
        mib(most),
        most <= base + MEMORY,
    )
}

/// Whether memory has come to a stop in the second half: medians of its two halves, so that one pause in which
/// the allocator kept more says nothing.
fn steady(memory: &[u64]) -> Row {
    const WHAT: &str = "growth in the last quarter";
    let half = &memory[memory.len() / 2..];
    if half.len() < 4 {
        return Row::new(WHAT, mib(GROWTH), "not seen in so few pauses", true);
    }
    let (third, fourth) = half.split_at(half.len() / 2);
    let growth = median(fourth).saturating_sub(median(third));
    Row::new(WHAT, mib(GROWTH), mib(growth), growth <= GROWTH)
}

fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::{Rest, compare};
    use crate::servers::Look;

    fn rest(descriptors: usize, threads: usize, memory: u64) -> Rest {
        Rest {
            look: Some(Look {
                descriptors,
                threads,
                memory,
            }),
            tree: Some(5),
            busy: None,
        }
    }

    /// The promises that were broken.
    fn broken(later: &[Rest]) -> Vec<&'static str> {
        let rows = compare(&rest(12, 3, 4_000), later);
        let broken = rows.iter().filter(|row| !row.holds);
        broken.map(|row| row.what).collect()
    }

    fn memory(later: impl Fn(u64) -> u64) -> Vec<Rest> {
        (1..=12).map(|pause| rest(12, 3, later(pause))).collect()
    }

    #[test]
    fn a_good_server_is_left_in_peace() {
        assert!(broken(&memory(|_| 4_000)).is_empty());
        // It grows with the first large crowds, and then no more.
        assert!(broken(&memory(|pause| 4_000 + 1_500 * pause.min(4))).is_empty());
        // One pause found more than the others.
        assert!(broken(&memory(|pause| if pause == 11 { 8_000 } else { 4_000 })).is_empty());
        assert!(broken(&memory(|pause| 4_000 - 100 * pause)).is_empty());
    }

    #[test]
    fn a_descriptor_or_a_thread_more_or_less_is_seen() {
        let same = rest(12, 3, 4_000);
        for descriptors in [11, 13] {
            let later = [same.clone(), rest(descriptors, 3, 4_000), same.clone()];
            assert_eq!(broken(&later), ["descriptors at rest"]);
        }
        let later = [same.clone(), rest(12, 4, 4_000)];
        assert_eq!(broken(&later), ["threads at rest"]);
    }

    #[test]
    fn a_small_leak_is_seen_by_its_trend_and_a_large_one_at_once() {
        let growth = "growth in the last quarter";
        // Far below the bound, and it does not stop.
        assert_eq!(broken(&memory(|pause| 4_000 + 400 * pause)), [growth]);
        let noisy = |pause| 4_000 + 500 * pause + 300 * (pause % 2);
        assert_eq!(broken(&memory(noisy)), [growth]);
        // Too few pauses for a trend.
        let later = [rest(12, 3, 4_000), rest(12, 3, 14_000)];
        assert_eq!(broken(&later), ["memory at rest, at most"]);
    }

    #[test]
    fn a_task_and_work_without_reason_are_seen() {
        let mut task = rest(12, 3, 4_000);
        task.tree = Some(6);
        assert_eq!(broken(&[task]), ["lines of the tree of tasks at rest"]);
        let mut busy = rest(12, 3, 4_000);
        busy.busy = Some("it never slept".to_owned());
        assert_eq!(broken(&[busy]), ["work while nobody is there"]);
    }
}
