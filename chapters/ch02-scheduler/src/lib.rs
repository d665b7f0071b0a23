//! A scheduler of one's own: chapter 2 of *No Task Left Behind*.
//!
//! [`run`] drives a main task and all that it [`spawn`]s on one thread. A task that waits costs
//! nothing until somebody wakes it.
//!
//! ```
//! use ch02_scheduler::{run, spawn, yield_now};
//!
//! run(async {
//!     let tick = spawn(async {
//!         for n in 1..=3 {
//!             println!("tick {n}");
//!             yield_now().await;
//!         }
//!     });
//!     println!("spawned");
//!     tick.await;
//! });
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `scheduler.rs` | `run`, `spawn`, the run queue and the loop |
//! | `table.rs` | where tasks are kept between two polls |
//! | `wake.rs` | what a waker does, from here and from other threads |
//! | `promise.rs` | the result of a task |
//! | `yield_now.rs` | giving way |
//! | `record.rs` | what a run did, step by step |
//! | `echo.rs`, `main.rs` | the echo server |
//! | `args.rs`, `report.rs` | its command line, and what it prints |

mod args;
mod echo;
mod promise;
mod record;
mod report;
mod scheduler;
mod table;
mod wake;
mod yield_now;

pub use args::{Args, ArgsError};
pub use echo::{accept, echo, listen, serve};
pub use promise::Promise;
pub use record::{Event, Recording, TaskId, Wait, What};
pub use report::{announce, reason, report};
pub use scheduler::{run, run_recorded, spawn};
pub use yield_now::yield_now;
