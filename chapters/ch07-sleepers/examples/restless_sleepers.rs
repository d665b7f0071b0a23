//! The first source of events: it wakes whose time has come, and never rests itself.
//! `cargo run --example restless_sleepers`

use ch07_sleepers::{
    Cx, Domain, Events, Interrupt, Result, Runtime, Signals, SuspensionId, await_all,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

// ANCHOR: sleepers
/// Who sleeps, the next one to be woken first; and how often somebody looked.
#[derive(Default)]
struct Sleepers {
    heap: BinaryHeap<Reverse<(Instant, SuspensionId)>>,
    looks: u64,
}

async fn sleep(cx: &Cx, duration: Duration) {
    let suspension = cx.suspend("its time");
    let time = Instant::now() + duration;
    cx.with_events(|sleepers: &mut Sleepers| {
        sleepers.heap.push(Reverse((time, suspension.id())));
    });
    suspension.await;
}
// ANCHOR_END: sleepers

// ANCHOR: select
impl Events for Sleepers {
    fn select(
        &mut self,
        _block: bool,
        _cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        self.looks += 1;
        while let Some(Reverse((time, suspension))) = self.heap.peek()
            && *time <= Instant::now()
        {
            signals.push(*suspension);
            self.heap.pop();
        }
        Ok(())
    }

    fn interrupt(&self) -> io::Result<Interrupt> {
        Ok(Arc::new(|| ())) // it never waits, so there is nothing to end
    }
}
// ANCHOR_END: select

// ANCHOR: main
fn main() -> Result<()> {
    let events = |_: Domain| Ok(Sleepers::default());
    let runtime = Runtime::builder().domains(0).events(events).build();
    runtime.run(async |cx| {
        let start = Instant::now();
        let mut tasks = Vec::new();
        for tenths in [3, 1, 2] {
            tasks.push(cx.spawn(async move |cx| {
                sleep(cx, Duration::from_millis(100 * tenths)).await;
                println!("slept for {tenths} tenths of a second");
                Ok(())
            }));
        }
        for result in await_all(&mut tasks).await {
            result?;
        }
        println!("all in {} tenths", start.elapsed().as_millis() / 100);
        let looks = cx.with_events(|sleepers: &mut Sleepers| sleepers.looks);
        println!("looked {looks} times");
        Ok(())
    })
}
// ANCHOR_END: main
