//! This book's runtime beside others, and beside a loop written by hand: measured in one run, by turns,
//! so that whatever the machine does besides happens to all of them. `README.md` says how.
//!
//! | file | holds |
//! |---|---|
//! | `contestants.rs`, `servers/` | who is measured: the same echo server on each runtime |
//! | `cases.rs` | what is measured inside one process: tasks, calls, timers |
//! | `load.rs` | the clients of an echo server, in a process of their own |
//! | `turn.rs` | one turn of a server under a load |
//! | `process.rs`, `usage.rs` | the processes, and what the system says they used |
//! | `counters.rs` | system calls and instructions, counted by `strace` and `callgrind` |
//! | `chapters.rs` | the chapters' own servers |
//! | `parts.rs` | the parts of a run: each measures, and writes down |
//! | `plan.rs` | the command line: which parts, and how long |
//! | `results.rs`, `stats.rs` | what was written down |
//! | `report.rs`, `table.rs` | tables of it |
//! | `page.rs`, `page.md`, `plot.rs` | the book's page of it |
//! | `machine.rs`, `limits.rs`, `cores.rs` | where it is measured, and what that allows |

pub mod cases;
pub mod chapters;
pub mod contestants;
pub mod cores;
pub mod counters;
pub mod limits;
pub mod load;
pub mod machine;
pub mod page;
pub mod parts;
pub mod plan;
pub mod plot;
pub mod process;
pub mod report;
pub mod results;
mod servers;
pub mod stats;
pub mod table;
pub mod turn;
pub mod usage;

/// The runtime that is measured: the last chapter's.
pub use ch08_mutexes_and_conditions as runtime;

/// Its package.
pub const RUNTIME: &str = "ch08-mutexes-and-conditions";

/// What everything here comes to: something, or a sentence on why not.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
