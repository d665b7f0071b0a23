//! A tree of tasks is cancelled, and recorded. `cargo run --example cancel_tree`

use ch04_orphans::{Cx, Recording, Result, Runtime, yield_now};
use std::future::pending;

// ANCHOR: figure
// ANCHOR: tree
/// Says when it goes.
struct Lamp(&'static str);

impl Drop for Lamp {
    fn drop(&mut self) {
        println!("the {} is dark", self.0);
    }
}

async fn kitchen(cx: &Cx) -> Result<()> {
    let _lamp = Lamp("kitchen");
    cx.spawn(async |_| {
        let _lamp = Lamp("stove");
        pending().await
    })
    .await
}

async fn house(cx: &Cx) -> Result<()> {
    let _lamp = Lamp("house");
    let kitchen = cx.spawn(kitchen);
    let hall = cx.spawn(async |_| {
        let _lamp = Lamp("hall");
        pending().await
    });
    kitchen.await?;
    hall.await
}
// ANCHOR_END: tree

pub(crate) fn program(recording: &Recording) -> Result<()> {
    let runtime = Runtime::builder().record(recording).build();
    // ANCHOR: cancel
    runtime.run(async |cx| {
        let house = cx.spawn(house);
        for _ in 0..3 {
            yield_now().await;
        }
        let gone = house.cancel();
        println!("cancelled");
        gone.await?;
        println!("gone");
        Ok(())
    })
    // ANCHOR_END: cancel
}
// ANCHOR_END: figure

fn main() -> Result<()> {
    let recording = Recording::new();
    program(&recording)?;
    print!("{recording}");
    Ok(())
}
