//! What holds the book to its word.
//!
//! Every code block of every page becomes a [`Check`]: Rust blocks are compiled and run by `skeptic`,
//! `console` blocks are typed into a shell. [`copied_out`] tests the chapters outside the workspace, [`lineage`]
//! what each carries over from the one before. README.md of this folder says how to use all this on a page.

pub mod browser;
mod check;
mod console;
pub mod copied_out;
mod fence;
pub mod lineage;
mod parts;
mod place;
mod ports;
mod process;
pub mod rust;
pub mod servers;
pub mod soak;
mod suite;
mod transcript;

pub use book::chapters;
pub use check::{Check, checks, files};
pub use place::Place;
pub use suite::{Suite, expectation};
