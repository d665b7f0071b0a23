//! The smallest scheduler that waits without burning a core: wakers and a run queue.
//! `cargo run --example run_queue`

#[path = "common/letter.rs"]
mod letter;

use letter::letter;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

// ANCHOR: task
type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    /// `None` once it is done.
    job: Mutex<Option<Job>>,
    queue: Sender<Arc<Task>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let queue = self.queue.clone();
        // The other end is gone only when all is over.
        let _ = queue.send(self);
    }
}
// ANCHOR_END: task

// ANCHOR: run_all
fn run_all(todo: Vec<Job>) -> u64 {
    let (sender, queue) = channel();
    for job in todo {
        let job = Mutex::new(Some(job));
        let queue = sender.clone();
        Arc::new(Task { job, queue }).wake();
    }
    drop(sender);

    let mut polls = 0;
    // `recv` sleeps until a task is in the queue. It fails when no task is left anywhere.
    while let Ok(task) = queue.recv() {
        let waker = Waker::from(task.clone());
        let mut job = task.job.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(future) = &mut *job {
            polls += 1;
            let mut cx = Context::from_waker(&waker);
            if future.as_mut().poll(&mut cx).is_ready() {
                *job = None;
            }
        }
    }
    polls
}
// ANCHOR_END: run_all

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
