//! Orphans: chapter 4 of *No Task Left Behind*.
//!
//! Every task has a parent, which awaits it or cancels it. No task outlives its parent, and no failure
//! is lost.
//!
//! ```
//! use ch04_orphans::run;
//!
//! let sum = run(async |cx| {
//!     let one = cx.spawn(async |_| Ok(1));
//!     let two = cx.spawn(async |_| Ok("2".parse::<i32>()?));
//!     Ok(one.await? + two.await?)
//! });
//! assert_eq!(sum?, 3);
//! # ch04_orphans::Result::Ok(())
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `cx.rs` | `Cx`: what a task spawns its children with |
//! | `task.rs` | `Task` and `Cancel`: a child, in its parent's hands |
//! | `combine.rs` | waiting for several children |
//! | `orphans.rs` | children that are not held by name |
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
//! | `yield_now.rs` | giving way |
//! | `random.rs` | choices without a pattern |
//! | `record.rs` | what a run did, step by step |
//! | `echo.rs`, `main.rs` | the echo server |
//! | `args.rs`, `report.rs` | its command line, and what it prints |

mod args;
mod budget;
mod combine;
mod cx;
mod echo;
mod end;
mod event_loop;
mod failure;
mod net;
mod orphans;
mod race;
mod random;
mod record;
mod report;
mod runtime;
mod scheduler;
mod scope;
mod table;
mod task;
mod violation;
mod wake;
mod yield_now;

pub use args::{Args, ArgsError};
pub use combine::{await_all, await_first, await_one};
pub use cx::Cx;
pub use echo::{accept, echo, listen, serve};
pub use event_loop::descriptor_freed;
pub use failure::{Failure, Reason, Result};
pub use net::{TcpListener, TcpStream};
pub use orphans::{Care, Orphans};
pub use race::{Either, race};
pub use record::{Event, Recording, TaskId, Wait, What};
pub use report::{announce, reason, report};
pub use runtime::{Builder, Runtime, run};
pub use task::{Cancel, Task};
pub use violation::{TaskInfo, TaskState, Violation};
pub use yield_now::yield_now;
