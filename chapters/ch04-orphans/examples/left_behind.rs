//! A task ends and leaves a child behind, and every step of that. `cargo run --example left_behind`

use ch04_orphans::{Cx, Recording, Result, Runtime, yield_now};
use std::future::pending;

// ANCHOR: figure
async fn courier(_: &Cx) -> Result<()> {
    pending().await
}

async fn clerk(cx: &Cx) -> Result<()> {
    drop(cx.spawn(courier));
    yield_now().await;
    Ok(())
}

pub(crate) fn program(recording: &Recording) -> Result<()> {
    let runtime = Runtime::builder().record(recording).build();
    runtime.run(async |cx| {
        cx.spawn(clerk).await?;
        println!("nobody ever sees this line");
        Ok(())
    })
}
// ANCHOR_END: figure

fn main() {
    let recording = Recording::new();
    let outcome = program(&recording);
    print!("{recording}");
    if let Err(failure) = outcome {
        println!("{failure}");
    }
}
