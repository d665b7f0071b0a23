//! How much of everything a run may have.

use std::num::NonZero;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// Runs at the same time, servers of console blocks among them.
pub(crate) const RUNS: usize = 4;
/// Of those, how many may be with the compiler.
pub(crate) const COMPILATIONS: usize = 2;
/// Connections to one server.
pub(crate) const CLIENTS: usize = 8;

const MIB: u64 = 1 << 20;

/// What a program may use: time and output with all that it starts, the rest in each of its processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) time: Duration,
    /// Bytes on both of its outputs together.
    pub(crate) output: usize,
    /// Bytes in one file.
    pub(crate) file: u64,
    /// Descriptors; what is usual for those who are trusted with more.
    pub(crate) descriptors: Option<u64>,
    /// Bytes of memory that it writes to; what is usual for those who are trusted with more.
    pub(crate) memory: Option<u64>,
}

impl Limits {
    /// For a reader's program.
    pub(crate) fn program(time: Duration) -> Self {
        Self {
            time,
            output: 256 * 1024,
            file: 64 * MIB,
            descriptors: Some(1024),
            memory: Some(2048 * MIB),
        }
    }

    /// For cargo and the compiler.
    pub(crate) fn compiler() -> Self {
        Self {
            time: Duration::from_secs(600),
            output: 16 << 20,
            file: 2048 * MIB,
            descriptors: None,
            memory: None,
        }
    }

    /// Puts the limits that the system knows on this process, and so on all that it starts.
    ///
    /// # Errors
    ///
    /// When the system does not allow it.
    pub(crate) fn impose(&self) -> rustix::io::Result<()> {
        // Time on every core counts; the clock is watched as well.
        let cores = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        lower(Resource::Cpu, (self.time.as_secs() + 1) * cores)?;
        lower(Resource::Fsize, self.file)?;
        lower(Resource::Core, 0)?;
        if let Some(descriptors) = self.descriptors {
            lower(Resource::Nofile, descriptors)?;
        }
        if let Some(memory) = self.memory {
            lower(Resource::Data, memory)?;
        }
        Ok(())
    }
}

fn lower(resource: Resource, to: u64) -> rustix::io::Result<()> {
    let to = getrlimit(resource).maximum.map_or(to, |most| most.min(to));
    setrlimit(
        resource,
        Rlimit {
            current: Some(to),
            maximum: Some(to),
        },
    )
}
