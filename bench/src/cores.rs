//! Which core runs what. Left to itself, a system may well put a server and its clients on one core, and leave
//! the other one idle; and next time not. So on Linux a server on one thread has the first core for
//! itself, and its clients have the others.

use crate::Result;

/// Where a process may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first core.
    First,
    /// All but the first.
    Others,
    /// Wherever the system likes.
    Anywhere,
}

/// How many cores there are.
pub fn count() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// Starts something in this place: what a thread starts inherits its cores.
///
/// # Errors
///
/// Those of `start`, and when the system does not let us choose.
#[cfg(target_os = "linux")]
pub fn start<T>(place: Place, start: impl FnOnce() -> Result<T>) -> Result<T> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let all = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| all.is_set(core));
    let first = cores.next();
    let (Some(first), Some(_), true) = (first, cores.next(), place != Place::Anywhere) else {
        return start();
    };
    let mut some = all;
    if place == Place::First {
        some.clear();
        some.set(first);
    } else {
        some.unset(first);
    }
    sched_setaffinity(None, &some)?;
    let started = start();
    sched_setaffinity(None, &all)?;
    started
}

/// Starts something. There is no choosing here.
///
/// # Errors
///
/// Those of `start`.
#[cfg(not(target_os = "linux"))]
pub fn start<T>(_: Place, start: impl FnOnce() -> Result<T>) -> Result<T> {
    start()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{Place, count, start};

    #[test]
    fn what_is_started_has_its_place() {
        let everywhere = count();
        if everywhere > 1 {
            assert_eq!(start(Place::First, || Ok(count())).expect("a core"), 1);
            assert_eq!(
                start(Place::Others, || Ok(count())).expect("cores"),
                everywhere - 1
            );
        }
        assert_eq!(count(), everywhere);
    }
}
