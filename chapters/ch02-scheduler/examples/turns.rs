//! The two readers and the postman of `rounds` on the scheduler of this chapter, and every step. `cargo run --example turns`

#[path = "common/post.rs"]
mod post;

use ch02_scheduler::{Recording, run_recorded, spawn, yield_now};
use post::Letterbox;

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

pub(crate) fn program(recording: &Recording) {
    run_recorded(recording, async {
        let (ada, grace) = (Letterbox::default(), Letterbox::default());
        let first = spawn(reader(ada.clone()));
        let second = spawn(reader(grace.clone()));
        let third = spawn(postman(ada, grace));
        first.await;
        second.await;
        third.await;
    });
}
// ANCHOR_END: figure

fn main() {
    let recording = Recording::new();
    program(&recording);
    print!("{recording}");
}
