//! Parallelism: chapter 5 of *No Task Left Behind*.
//!
//! Every core takes part: a run has several domains, threads with a scheduler of their own each, and a
//! task can have its children run on another one.
//!
//! ```
//! use ch05_parallelism::Runtime;
//!
//! let sum = Runtime::builder().domains(2).build().run(async |cx| {
//!     let here = cx.spawn(async |_| Ok(1));
//!     let there = cx.call(async |_| Ok("2".parse::<i32>()?))?;
//!     Ok(here.await? + there.await?)
//! });
//! assert_eq!(sum?, 3);
//! # ch05_parallelism::Result::Ok(())
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `cx.rs` | `Cx`: what a task spawns its children with |
//! | `task.rs` | `Task` and `Cancel`: a child, in its parent's hands |
//! | `combine.rs` | waiting for several children |
//! | `orphans.rs` | children that are not held by name |
//! | `domain.rs` | domains: threads, and what they say to each other |
//! | `call.rs` | tasks that another domain runs |
//! | `scope.rs` | a task boundary without a task |
//! | `failure.rs`, `violation.rs` | how a task ends badly, and what ends the whole run |
//! | `end.rs` | how a task ends, step by step |
//! | `table.rs` | the tree of tasks |
//! | `runtime.rs` | `run`, and the settings of a run |
//! | `scheduler.rs` | the run queue and the loop |
//! | `event_loop.rs` | readiness: what the system says about sockets, and who waits for it |
//! | `net.rs` | `TcpListener` and `TcpStream` |
//! | `race.rs` | the first of two futures |
//! | `budget.rs` | fairness: how much one task may do in one turn |
//! | `wake.rs` | what a waker does, from here and from other threads |
//! | `inbox.rs`, `sync.rs` | what the other threads leave for a domain |
//! | `yield_now.rs` | giving way |
//! | `random.rs` | choices without a pattern |
//! | `record.rs` | what a run did, step by step |
//! | `echo.rs`, `listen.rs`, `main.rs` | the echo server |
//! | `args.rs`, `report.rs` | its command line, and what it prints |

mod args;
mod budget;
mod call;
mod combine;
mod cx;
mod domain;
mod echo;
mod end;
mod event_loop;
mod failure;
mod inbox;
mod listen;
mod net;
mod orphans;
mod race;
mod random;
mod record;
mod report;
mod runtime;
mod scheduler;
mod scope;
mod sync;
mod table;
mod task;
mod violation;
mod wake;
mod yield_now;

pub use args::{Args, ArgsError};
pub use combine::{await_all, await_first, await_one};
pub use cx::Cx;
pub use domain::{Domain, NoDomainAvailable};
pub use echo::{accept, echo, serve, serve_everywhere};
pub use event_loop::descriptor_freed;
pub use failure::{Failure, Reason, Result};
pub use listen::listen;
pub use net::{Adopt, TcpListener, TcpStream};
pub use orphans::{Care, Orphans};
pub use race::{Either, race};
pub use record::{Event, Recording, TaskId, Wait, What};
pub use report::{announce, reason, report};
pub use runtime::{Builder, Runtime, run};
pub use task::{Cancel, Task};
pub use violation::{TaskInfo, TaskState, Violation};
pub use yield_now::yield_now;
