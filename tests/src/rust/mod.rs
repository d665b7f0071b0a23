//! Rust blocks: compiled and run by `skeptic`, with a stagehand where `skeptic` 0.14 falls short.
//!
//! `skeptic` finds the libraries a block may use, calls the compiler, keeps what it built, and runs it. It knows
//! neither edition 2024 nor `compile_fail`, sets no time limit, and takes a block that does not compile for one
//! that panics. So the compiler it calls (`RUSTC`) is our stagehand, and what that puts in the place of the
//! program is a small script that hands the program back to the stagehand to be run:
//!
//! ```text
//! test ── skeptic ─┬─ stagehand as rustc ── rustc          says what was wrong, or makes the script
//!                  └─ script ── stagehand ── the program   says how it ended and what it printed
//! ```

mod block;
mod compiler;
mod host;
mod order;
mod runner;
mod source;

pub(crate) use block::RustBlock;
pub use host::Host;
pub(crate) use source::{Lines, raw};

use std::process::ExitCode;

/// What `src/bin/stagehand.rs` does.
pub fn stagehand() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let result = match arguments.first().and_then(|first| first.to_str()) {
        Some("--session") => runner::start_session(&arguments[1..]),
        Some("--run-block") => runner::run(&arguments[1..]),
        _ => compiler::compile(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("stagehand: {error}");
        ExitCode::from(2)
    })
}
