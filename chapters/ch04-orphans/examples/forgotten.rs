//! A child is forgotten, two levels below the main task. `cargo run --example forgotten`

use ch04_orphans::{Cx, Result, run, yield_now};

// ANCHOR: forgotten
async fn report(cx: &Cx) -> Result<usize> {
    let pages = cx.spawn(async |_| Ok(12));
    let clock = cx.spawn(async |_| -> Result<()> {
        loop {
            yield_now().await;
        }
    });
    drop(clock);
    pages.await
}

fn main() -> Result<()> {
    run(async |cx| {
        let report = cx.spawn(report);
        if report.await.is_err() {
            println!("nobody ever sees this line");
        }
        Ok(())
    })
}
// ANCHOR_END: forgotten
