//! The program of `todo_list`, on the scheduler of this chapter. `cargo run --example wakers`

#[path = "common/letter.rs"]
mod letter;

use ch02_scheduler::{Recording, What, run_recorded, spawn};
use letter::letter;
use std::time::Duration;

async fn reader(name: &str, millis: u64) {
    letter(Duration::from_millis(millis)).await;
    println!("{name} has her letter");
}

// ANCHOR: main
fn main() {
    let recording = Recording::new();
    run_recorded(&recording, async {
        let readers = [
            spawn(reader("Ada", 1000)),
            spawn(reader("Grace", 200)),
            spawn(reader("Mary", 600)),
        ];
        for reader in readers {
            reader.await;
        }
    });
    let events = recording.events();
    let polls = events.iter().filter(|event| event.what == What::Polled);
    println!("three letters, {} polls", polls.count());
}
// ANCHOR_END: main
