//! The chapters' servers, driven from outside: the programs, the processes they become, and their clients.
//!
//! Every wait has an end, every server dies with the value that stands for it, every port is chosen by the
//! system or lies where the system chooses none, and nothing leaves the loopback interface.

mod chapters;
mod client;
mod program;
mod usage;

pub(crate) use chapters::built;
pub use chapters::{Chapter, all as chapters};
pub use client::{Address, Client, QUIET, sequence};
pub use program::{Ended, PATIENCE, Program, Reader, Server};
pub use usage::{Look, at_rest, look, threads};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a step of a test comes to: something, or what went wrong in words.
pub type Result<T = ()> = std::result::Result<T, String>;

/// Lets this process have so many open files: a crowd of clients needs more than many systems allow a program at
/// first. All of them let it ask for more.
pub fn allow_descriptors(needed: u64) -> Result {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let allowed = Rlimit {
        current: Some(needed.min(maximum.unwrap_or(needed))),
        maximum,
    };
    setrlimit(Resource::Nofile, allowed)
        .ok()
        .filter(|()| maximum.is_none_or(|maximum| maximum >= needed))
        .ok_or_else(|| {
            format!("this needs {needed} open files at once: see `ulimit -n` and `ulimit -Hn`")
        })
}
