//! Nothing itself: its dependencies are the crates that a block of a page may use. `cargo book` has cargo build
//! them, and compiles what a reader runs against the libraries that come of it.
