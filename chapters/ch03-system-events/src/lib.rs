//! System events: chapter 3 of *No Task Left Behind*.
//!
//! The scheduler of chapter 2, with an event loop: a task that waits for a socket is suspended,
//! and the thread sleeps only when no task has anything to do.
//!
//! ```
//! use ch03_system_events::{TcpListener, TcpStream, run, serve, spawn};
//!
//! run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     drop(spawn(serve(listener)));
//!
//!     let mut client = TcpStream::connect(address).await?;
//!     client.write_all(b"hello").await?;
//!     let mut answer = [0; 5];
//!     client.read(&mut answer).await?;
//!     assert_eq!(&answer, b"hello");
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `scheduler.rs` | `run`, `spawn`, the run queue and the loop |
//! | `event_loop.rs` | readiness: what the system says about sockets, and who waits for it |
//! | `net.rs` | `TcpListener` and `TcpStream` |
//! | `budget.rs` | fairness: how much one task may do in one turn |
//! | `table.rs` | where tasks are kept between two polls |
//! | `wake.rs` | what a waker does, from here and from other threads |
//! | `promise.rs` | the result of a task |
//! | `yield_now.rs` | giving way |
//! | `record.rs` | what a run did, step by step |
//! | `echo.rs`, `main.rs` | the echo server |
//! | `args.rs`, `report.rs` | its command line, and what it prints |

mod args;
mod budget;
mod echo;
mod event_loop;
mod net;
mod promise;
mod record;
mod report;
mod scheduler;
mod table;
mod wake;
mod yield_now;

pub use args::{Args, ArgsError};
pub use echo::{accept, echo, listen, serve};
pub use event_loop::descriptor_freed;
pub use net::{TcpListener, TcpStream};
pub use promise::Promise;
pub use record::{Event, Recording, TaskId, Wait, What};
pub use report::{announce, reason, report};
pub use scheduler::{run, run_recorded, spawn};
pub use yield_now::yield_now;
