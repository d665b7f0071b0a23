//! Sleepers: chapter 7 of *No Task Left Behind*.
//!
//! A domain gets its events from a source that can be replaced: one of your own, or the [`System`], which knows sockets
//! and time. So tasks can sleep, and finalisers can wait, each no longer than its owner says.
//!
//! ```
//! use ch07_sleepers::{run, sleep, timeout};
//! use std::future::pending;
//! use std::time::Duration;
//!
//! run(async |cx| {
//!     let limit = Duration::from_millis(20);
//!     let farewell = async move |name| {
//!         sleep(limit / 2).await; // closing well often means to wait
//!         Ok(println!("goodbye, {name}"))
//!     };
//!     let child = cx.spawn(async move |cx| {
//!         let _name = cx.own_async("a name", "Ada", limit, farewell);
//!         Ok(pending::<()>().await)
//!     });
//!     assert!(timeout(limit, pending::<()>()).await.is_err());
//!     child.cancel().await // when it is over, the goodbye has been said
//! })?;
//! # ch07_sleepers::Result::Ok(())
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
//! | `owned.rs` | `Owned`: the proof that a task owns a resource |
//! | `give.rs` | handing resources to a child |
//! | `resource.rs` | resources, and the records of who owns them |
//! | `scope.rs` | a task boundary without a task |
//! | `failure.rs`, `violation.rs` | how a task ends badly, and what ends the whole run |
//! | `end.rs` | how a task ends, step by step |
//! | `table.rs` | the tree of tasks |
//! | `runtime.rs` | `run`, and the settings of a run |
//! | `scheduler.rs` | the run queue and the loop |
//! | `events.rs` | `Events`: where a domain gets its events from |
//! | `suspension.rs` | the points at which tasks wait for an event |
//! | `system.rs` | sockets and time, in one wait |
//! | `timers.rs` | who sleeps until when |
//! | `sleep.rs` | `sleep`, `timeout`, `interval` |
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
mod events;
mod failure;
mod give;
mod inbox;
mod listen;
mod net;
mod orphans;
mod owned;
mod race;
mod random;
mod record;
mod report;
mod resource;
mod runtime;
mod scheduler;
mod scope;
mod sleep;
mod suspension;
mod sync;
mod system;
mod table;
mod task;
mod timers;
mod violation;
mod wake;
mod yield_now;

pub use args::{Args, ArgsError};
pub use combine::{await_all, await_first, await_one};
pub use cx::Cx;
pub use domain::{Domain, NoDomainAvailable};
pub use echo::{accept, echo, serve, serve_everywhere};
pub use event_loop::descriptor_freed;
pub use events::{Events, Interrupt, Signals};
pub use failure::{Failure, Reason, Result};
pub use give::{Gifts, Give, GiveOrphan};
pub use listen::listen;
pub use net::{Adopt, TcpListener, TcpStream};
pub use orphans::{Care, Orphans};
pub use owned::Owned;
pub use race::{Either, race};
pub use record::{Event, Recording, TaskId, Wait, What};
pub use report::{announce, reason, report};
pub use runtime::{Builder, Runtime, run};
pub use sleep::{Interval, Sleep, TimedOut, Timeout, interval, sleep, sleep_until, timeout};
pub use suspension::{Suspension, SuspensionId};
pub use system::System;
pub use task::{Cancel, Task};
pub use violation::{ResourceInfo, ResourceState, TaskInfo, TaskState, Violation};
pub use yield_now::yield_now;
