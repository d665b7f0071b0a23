//! An echo server on blocking sockets: the program the book begins with.
//!
//! It serves one client at a time. While that client says nothing, the thread waits in `read`,
//! and everybody else waits with it. The rest of the book is about mending this.
//!
//! - [`Args`]: the command line.
//! - [`listen`], [`accept`], [`echo`] and [`serve`]: the server.
//! - [`announce`], [`report`] and [`reason`]: what it says to whoever started it.

mod args;
mod echo;
mod report;

pub use args::{Args, ArgsError};
pub use echo::{accept, echo, listen, serve};
pub use report::{announce, reason, report};
