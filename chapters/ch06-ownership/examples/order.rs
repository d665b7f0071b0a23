//! What goes when, at a bad end. `cargo run --example order`

use ch06_ownership::{Cx, Failure, Result, run, yield_now};
use std::future::pending;

// ANCHOR: house
/// Says when it goes.
struct Lamp(&'static str);

impl Drop for Lamp {
    fn drop(&mut self) {
        println!("the {} is dark", self.0);
    }
}

/// Says when it is finalised.
fn say(words: &'static str) -> Result<()> {
    println!("{words}");
    Ok(())
}

async fn house(cx: &Cx, blow: bool) -> Result<()> {
    let _lamp = Lamp("house");
    let _door = cx.own("the door", "the door is locked", say);
    let _alarm = cx.own("the alarm", "the alarm is set", say);
    let kitchen = cx.spawn(async |_| -> Result<()> {
        let _lamp = Lamp("kitchen");
        pending().await
    });
    yield_now().await; // the kitchen's lamp is lit
    if blow {
        return Err(Failure::msg("a fuse has blown"));
    }
    kitchen.await
}
// ANCHOR_END: house

fn main() -> Result<()> {
    run(async |cx| {
        // ANCHOR: main
        let failing = cx.spawn(async |cx| house(cx, true).await);
        println!("{:?}\n", failing.await);

        let cancelled = cx.spawn(async |cx| house(cx, false).await);
        yield_now().await;
        yield_now().await;
        println!("{:?}", cancelled.cancel().await);
        // ANCHOR_END: main
        Ok(())
    })
}
