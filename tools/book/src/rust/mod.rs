//! Rust blocks: what their fences ask for, and the programs that they stand for.

mod fence;
mod program;

pub use fence::{Must, RUN_LIMIT, RustFence, seconds, unknown};
pub use program::{program, unhidden};
