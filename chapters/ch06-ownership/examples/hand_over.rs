//! A lantern changes hands and goes out, and every step of that. `cargo run --example hand_over`

use ch06_ownership::{Cx, Owned, Recording, Result, Runtime, yield_now};
use std::future::pending;

// ANCHOR: figure
struct Lantern;

fn put_out(_: Lantern) -> Result<()> {
    println!("the lantern is out");
    Ok(())
}

async fn watchman(cx: &Cx, lantern: Owned<'_, Lantern>) -> Result<()> {
    let boy = cx
        .give(lantern)
        .spawn(async |_, _lantern| pending::<Result<()>>().await);
    boy.await
}

pub(crate) fn program(recording: &Recording) -> Result<()> {
    let runtime = Runtime::builder().domains(0).record(recording);
    runtime.build().run(async |cx| {
        let lantern = cx.own("the lantern", Lantern, put_out);
        let watchman = cx.give(lantern).spawn(watchman);
        yield_now().await;
        yield_now().await;
        watchman.cancel().await
    })
}
// ANCHOR_END: figure

fn main() -> Result<()> {
    let recording = Recording::new();
    program(&recording)?;
    print!("{recording}");
    Ok(())
}
