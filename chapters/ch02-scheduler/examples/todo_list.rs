//! The simplest scheduler: a to-do list, polled round and round. `cargo run --example todo_list`
//!
//! It works, and burns a core while it waits.

#[path = "common/letter.rs"]
mod letter;

use letter::letter;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

// ANCHOR: run_all
type Job = Pin<Box<dyn Future<Output = ()>>>;

/// Polls every job on the list until the list is empty. Returns how many polls that took.
fn run_all(mut todo: Vec<Job>) -> u64 {
    let mut cx = Context::from_waker(Waker::noop());
    let mut polls = 0;
    while !todo.is_empty() {
        todo.retain_mut(|job| {
            polls += 1;
            job.as_mut().poll(&mut cx).is_pending()
        });
    }
    polls
}
// ANCHOR_END: run_all

// ANCHOR: main
async fn reader(name: &str, millis: u64) {
    letter(Duration::from_millis(millis)).await;
    println!("{name} has her letter");
}

fn main() {
    let polls = run_all(vec![
        Box::pin(reader("Ada", 1000)),
        Box::pin(reader("Grace", 200)),
        Box::pin(reader("Mary", 600)),
    ]);
    println!("three letters, {polls} polls");
}
// ANCHOR_END: main
