//! The second source of events: it rests while everybody sleeps, and hears nothing meanwhile.
//! `cargo run --example deaf_sleepers`

use ch07_sleepers::{Cx, Domain, Events, Interrupt, Result, Runtime, Signals, SuspensionId, race};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Who sleeps, the next one to be woken first.
#[derive(Default)]
struct Sleepers(BinaryHeap<Reverse<(Instant, SuspensionId)>>);

async fn sleep(cx: &Cx, duration: Duration) {
    let suspension = cx.suspend("its time");
    let time = Instant::now() + duration;
    cx.with_events(|Sleepers(heap)| heap.push(Reverse((time, suspension.id()))));
    suspension.await;
}

// ANCHOR: select
impl Events for Sleepers {
    fn select(
        &mut self,
        block: bool,
        _cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        let Sleepers(heap) = self;
        if block {
            let now = Instant::now();
            let wait = match heap.peek() {
                Some(Reverse((time, _))) => time.saturating_duration_since(now),
                None => Duration::from_millis(10),
            };
            thread::sleep(wait);
        }
        while let Some(Reverse((time, suspension))) = heap.peek()
            && *time <= Instant::now()
        {
            signals.push(*suspension);
            heap.pop();
        }
        Ok(())
    }

    fn interrupt(&self) -> io::Result<Interrupt> {
        Ok(Arc::new(|| ()))
    }
}
// ANCHOR_END: select

// ANCHOR: forgotten
/// Has somebody begin to sleep a thousand times, and give up at once.
async fn toss_and_turn(cx: &Cx) {
    let hour = Duration::from_secs(3600);
    for _ in 0..1000 {
        race(sleep(cx, hour), ready(())).await;
    }
    let sleepers = cx.with_events(|Sleepers(heap)| heap.len());
    println!("{sleepers} sleepers in the heap, and nobody sleeps");
}
// ANCHOR_END: forgotten

// ANCHOR: main
fn main() -> Result<()> {
    let events = |_: Domain| Ok(Sleepers::default());
    let runtime = Runtime::builder().domains(1).events(events).build();
    runtime.run(async |cx| {
        let start = Instant::now();
        let long = cx.call(async |cx| {
            sleep(cx, Duration::from_secs(2)).await;
            Ok(())
        })?;
        sleep(cx, Duration::from_millis(100)).await;
        long.cancel().await?;
        println!("cancelled, and gone after {} s", start.elapsed().as_secs());
        toss_and_turn(cx).await;
        Ok(())
    })
}
// ANCHOR_END: main
