//! Two tasks, a promise, and every step of the scheduler. `cargo run --example promises`

use ch02_scheduler::{Recording, run_recorded, spawn, yield_now};

// ANCHOR: main
fn main() {
    let recording = Recording::new();
    let sum = run_recorded(&recording, async {
        let number = spawn(async {
            yield_now().await;
            40
        });
        number.await + 2
    });
    print!("{recording}");
    println!("{sum}");
}
// ANCHOR_END: main
