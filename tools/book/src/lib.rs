//! What the book's text is made of, and whether it keeps its word.
//!
//! `cargo book` and the tests share this: [`root`] finds the book, [`pages`] lists its text, [`blocks`]
//! takes the code blocks out of it as mdBook shows them, and [`check`] finds what mdBook itself is silent
//! about: missing includes and anchors, dead links, pages nobody can reach.
//!
//! ```no_run
//! let root = book::root()?;
//! for problem in book::check(&root) {
//!     eprintln!("{problem}");
//! }
//! # Ok::<(), anyhow::Error>(())
//! ```

mod blocks;
mod build;
mod chapter;
mod check;
mod config;
mod directive;
mod distance;
mod expand;
mod files;
mod highlighter;
mod include;
mod part;
mod paths;
mod prepare;
mod problem;
mod root;
mod rust;
mod summary;

pub use blocks::{Block, blocks};
pub use build::{build, looks_like_a_build};
pub use chapter::{Chapter, Source, chapters, files_below};
pub use check::check;
pub use distance::distance;
pub use files::WholeFiles;
pub use part::with_anchor_replaced;
pub use prepare::prepare;
pub use problem::Problem;
pub use root::root;
pub use rust::{Must, RUN_LIMIT, RustFence, program, seconds, unhidden, unknown};
pub use summary::{Page, pages};
