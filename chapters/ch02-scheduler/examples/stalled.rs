//! A program in which nothing can ever happen again. `cargo run --example stalled`

use ch02_scheduler::{run, spawn};
use std::future::pending;

fn main() {
    // ANCHOR: main
    run(async {
        let never = spawn(pending::<()>());
        let friend = spawn(never);
        friend.await;
    });
    // ANCHOR_END: main
}
