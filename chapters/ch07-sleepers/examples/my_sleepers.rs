//! A source of events of one's own: a heap of sleepers, one for each domain, on the unchanged runtime.
//! `cargo run --example my_sleepers`

use ch07_sleepers::{
    Cx, Domain, Events, Interrupt, Result, Runtime, Signals, SuspensionId, await_all,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

// ANCHOR: sleepers
/// Who sleeps, the next one to be woken first.
#[derive(Default)]
struct Sleepers(BinaryHeap<Reverse<(Instant, SuspensionId)>>);

async fn sleep(cx: &Cx, duration: Duration) {
    let suspension = cx.suspend("its time");
    let time = Instant::now() + duration;
    cx.with_events(|Sleepers(heap)| heap.push(Reverse((time, suspension.id()))));
    suspension.await;
}
// ANCHOR_END: sleepers

// ANCHOR: select
impl Events for Sleepers {
    fn select(
        &mut self,
        block: bool,
        cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        let Sleepers(heap) = self;
        if !cancelled.is_empty() {
            heap.retain(|Reverse((_, suspension))| signals.is_awaited(*suspension));
        }
        if block {
            match heap.peek() {
                Some(Reverse((time, _))) => {
                    thread::park_timeout(time.saturating_duration_since(Instant::now()));
                }
                None => thread::park(),
            }
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
        let thread = thread::current();
        Ok(Arc::new(move || thread.unpark()))
    }
}
// ANCHOR_END: select

// ANCHOR: main
fn main() -> Result<()> {
    let events = |_: Domain| Ok(Sleepers::default());
    let runtime = Runtime::builder().domains(2).events(events).build();
    runtime.run(async |cx| {
        let start = Instant::now();
        let mut tasks = Vec::new();
        for tenths in [3, 1, 2] {
            tasks.push(cx.call(async move |cx| {
                sleep(cx, Duration::from_millis(100 * tenths)).await;
                println!("{} has slept for {tenths} tenths of a second", cx.domain());
                Ok(())
            })?);
        }
        for result in await_all(&mut tasks).await {
            result?;
        }
        // They have slept side by side.
        println!("all in {} tenths", start.elapsed().as_millis() / 100);

        let long = cx.call(async |cx| {
            sleep(cx, Duration::from_secs(10)).await;
            Ok(())
        })?;
        sleep(cx, Duration::from_millis(100)).await;
        let start = Instant::now();
        long.cancel().await?;
        println!("cancelled at once: {}", start.elapsed().as_secs() == 0);
        Ok(())
    })
}
// ANCHOR_END: main
