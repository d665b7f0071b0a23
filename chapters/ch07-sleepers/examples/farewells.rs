//! Finalisers that wait: in which order, how long, and what ends them.
//! `cargo run --example farewells`

use ch07_sleepers::{Cx, Owned, Result, Runtime, sleep};
use std::time::{Duration, Instant};

// ANCHOR: thing
fn tenths(count: u32) -> Duration {
    Duration::from_millis(100) * count
}

/// Something that takes `needed` to be put away, and is given `limit`.
fn thing<'c>(
    cx: &'c Cx,
    name: &'static str,
    needed: Duration,
    limit: Duration,
) -> Owned<'c, &'static str> {
    cx.own_async(name, name, limit, async move |name| {
        println!("{name}: …");
        sleep(needed).await;
        println!("{name}: done");
        Ok(())
    })
}
// ANCHOR_END: thing

// ANCHOR: house
async fn house(cx: &Cx) -> Result<()> {
    let _gate = thing(cx, "the gate", tenths(1), tenths(4));
    let _alarm = thing(cx, "the alarm", tenths(1), tenths(4));
    let kitchen = cx.spawn(async |cx| {
        let _stove = thing(cx, "the stove", tenths(1), tenths(3));
        sleep(Duration::MAX).await;
        Ok(())
    });
    let cellar = cx.spawn(async |cx| {
        let _boiler = thing(cx, "the boiler", Duration::MAX, tenths(3));
        sleep(Duration::MAX).await;
        Ok(())
    });
    kitchen.await?;
    cellar.await
}
// ANCHOR_END: house

// ANCHOR: main
fn main() -> Result<()> {
    Runtime::builder().domains(0).build().run(async |cx| {
        let house = cx.spawn(house);
        sleep(tenths(1)).await;
        let start = Instant::now();
        println!("{:?}", house.cancel().await);
        println!("gone after {} tenths", start.elapsed().as_millis() / 100);
        Ok(())
    })
}
// ANCHOR_END: main
