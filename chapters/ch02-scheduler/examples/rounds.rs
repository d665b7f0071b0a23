//! Two readers and a postman on a to-do list, and every step. `cargo run --example rounds`

#[path = "common/post.rs"]
mod post;

use ch02_scheduler::{Event, TaskId, Wait, What, yield_now};
use post::Letterbox;
use std::collections::VecDeque;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

/// What `run_recorded` does for the scheduler of this chapter.
pub(crate) type Notes = Arc<Mutex<Vec<Event>>>;

fn note(notes: &Notes, task: TaskId, what: What) {
    let domain = 0;
    let event = Event { domain, task, what };
    notes
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(event);
}

type Job = Pin<Box<dyn Future<Output = ()>>>;

fn run_all(mut todo: VecDeque<(TaskId, Job)>, notes: &Notes) {
    let mut cx = Context::from_waker(Waker::noop());
    while let Some((id, mut job)) = todo.pop_front() {
        note(notes, id, What::Polled);
        if job.as_mut().poll(&mut cx).is_ready() {
            note(notes, id, What::Ended { well: true });
            continue;
        }
        let on = Wait::default();
        note(notes, id, What::Suspended { on });
        todo.push_back((id, job));
    }
}

// ANCHOR: figure
async fn reader(letter: Letterbox) {
    letter.await;
}

async fn postman(ada: Letterbox, grace: Letterbox) {
    yield_now().await;
    yield_now().await;
    grace.deliver();
    yield_now().await;
    ada.deliver();
}

pub(crate) fn program(notes: &Notes) {
    let (ada, grace) = (Letterbox::default(), Letterbox::default());
    let mut todo = VecDeque::new();
    add(&mut todo, notes, reader(ada.clone()));
    add(&mut todo, notes, reader(grace.clone()));
    add(&mut todo, notes, postman(ada, grace));
    run_all(todo, notes);
}
// ANCHOR_END: figure

#[track_caller]
fn add(todo: &mut VecDeque<(TaskId, Job)>, notes: &Notes, job: impl Future<Output = ()> + 'static) {
    let id = TaskId(todo.len() as u64 + 1);
    let at = Location::caller();
    note(notes, id, What::Spawned { by: None, at });
    todo.push_back((id, Box::pin(job)));
}

fn main() {
    let notes = Notes::default();
    program(&notes);
    let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    for (step, event) in notes.iter().enumerate() {
        println!("{step:>4}  {event}");
    }
}
