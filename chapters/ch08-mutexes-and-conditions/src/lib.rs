//! Mutexes and conditions: chapter 8 of *No Task Left Behind*.
//!
//! A runtime for all cores, complete: tasks that cannot be forgotten, resources that know their owner, sockets, time, and
//! signals of the system. What tasks share is behind a [`Mutex`], what they wait for is a [`Condition`] or a [`Trigger`], and
//! all of it works across domains, and survives the cancelling of whoever waits.
//!
//! ```
//! use ch08_mutexes_and_conditions::signals::SIGTERM;
//! use ch08_mutexes_and_conditions::{Mutex, Result, Runtime, Trigger, race, signal, sleep};
//! use signal_hook::low_level::raise;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! /// Counts until it is told to stop.
//! async fn count(total: &Mutex<u64>, mut stop: Trigger) {
//!     let pause = Duration::from_millis(1);
//!     while !stop.is_signalled() {
//!         *total.lock().await += 1;
//!         race(&mut stop, sleep(pause)).await;
//!     }
//! }
//!
//! Runtime::builder().domains(2).build().run(async |cx| {
//!     let (total, stop) = (Arc::new(Mutex::new(0)), Trigger::new());
//!     let mut interrupt = signal(SIGTERM)?;
//!     let counters = {
//!         let (total, stop) = (total.clone(), stop.clone());
//!         cx.spawn(async move |cx| {
//!             let count = async move |_: &_, _| Ok(count(&total, stop.clone()).await);
//!             cx.parallel(0..4, count).await?.into_iter().collect::<Result<()>>()
//!         })
//!     };
//!     sleep(Duration::from_millis(20)).await;
//!     raise(SIGTERM)?; // as `kill` would
//!     interrupt.recv().await?;
//!     stop.signal();
//!     counters.await?; // all four have come to their end
//!     assert!(*total.lock().await >= 4);
//!     Ok(())
//! })?;
//! # ch08_mutexes_and_conditions::Result::Ok(())
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
//! | `trigger.rs` | `Trigger`: something that happens once; and queues of those who wait |
//! | `mutex.rs`, `condition.rs` | what tasks share, and what they wait for |
//! | `computation.rs`, `lazy.rs` | values that are written once, and made once |
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
//! | `signal.rs` | signals of the system |
//! | `event_loop.rs` | readiness: what the system says about sockets, and who waits for it |
//! | `stream.rs` | connections and listeners, of any kind |
//! | `net.rs`, `unix.rs`, `udp.rs` | TCP, Unix sockets, datagrams |
//! | `copy.rs` | `AsyncRead`, `AsyncWrite`, and from one to the other |
//! | `race.rs` | the first of two futures |
//! | `budget.rs` | fairness: how much one task may do in one turn |
//! | `wake.rs` | what a waker does, from here and from other threads |
//! | `inbox.rs`, `sync.rs` | what the other threads leave for a domain |
//! | `yield_now.rs` | giving way |
//! | `random.rs` | choices without a pattern |
//! | `record.rs` | what a run did, step by step |
//! | `tree.rs` | what all tasks are doing now |
//! | `trace.rs` | a run as a file that a viewer can draw |
//! | `echo.rs`, `listen.rs`, `main.rs` | the echo server |
//! | `stop.rs`, `places.rs`, `log.rs` | how it stops, how many clients it takes, and what it tells |
//! | `args.rs`, `report.rs` | its command line, and what it prints |

mod args;
mod budget;
mod call;
mod combine;
mod computation;
mod condition;
mod copy;
mod cx;
mod domain;
mod echo;
mod end;
mod event_loop;
mod events;
mod failure;
mod give;
mod inbox;
mod lazy;
mod listen;
mod log;
mod mutex;
mod net;
mod orphans;
mod owned;
mod places;
mod race;
mod random;
mod record;
mod report;
mod resource;
mod runtime;
mod scheduler;
mod scope;
#[cfg(unix)]
mod signal;
mod sleep;
#[cfg(unix)]
mod stop;
mod stream;
mod suspension;
mod sync;
mod system;
mod table;
mod task;
mod timers;
mod trace;
mod tree;
mod trigger;
mod udp;
#[cfg(unix)]
mod unix;
mod violation;
mod wake;
mod yield_now;

pub use args::{Address, Args, ArgsError};
pub use combine::{await_all, await_first, await_one};
pub use computation::Computation;
pub use condition::Condition;
pub use copy::{AsyncRead, AsyncWrite, copy};
pub use cx::Cx;
pub use domain::{Domain, NoDomainAvailable};
pub use echo::{Server, echo};
pub use event_loop::descriptor_freed;
pub use events::{Events, Interrupt, Signals};
pub use failure::{Failure, Reason, Result};
pub use give::{Gifts, Give, GiveOrphan};
pub use lazy::{Lazy, Recursive};
pub use listen::listen;
#[cfg(unix)]
pub use listen::{SocketFile, listen_on_file};
pub use log::Log;
pub use mutex::{Mutex, MutexGuard};
pub use net::{Tcp, TcpListener, TcpStream};
pub use orphans::{Care, Orphans};
pub use owned::Owned;
pub use places::{Place, Places};
pub use race::{Either, race};
pub use record::{Event, Recording, TaskId, Wait, What};
pub use report::{announce, reason, report};
pub use runtime::{Builder, Runtime, run};
#[cfg(unix)]
pub use signal::{Signal, signal};
#[cfg(unix)]
pub use signal_hook::consts::signal as signals;
pub use sleep::{Interval, Sleep, TimedOut, Timeout, interval, sleep, sleep_until, timeout};
#[cfg(unix)]
pub use stop::Orders;
pub use stream::{Adopt, Kind, Listener, ReadHalf, Stream, WriteHalf};
pub use suspension::{Suspension, SuspensionId};
pub use system::System;
pub use task::{Cancel, Task};
pub use trace::Trace;
pub use tree::{NodeKind, Tree, TreeNode};
pub use trigger::Trigger;
pub use udp::UdpSocket;
#[cfg(unix)]
pub use unix::{Unix, UnixListener, UnixStream};
pub use violation::{ResourceInfo, ResourceState, TaskInfo, TaskState, Violation};
pub use yield_now::yield_now;
