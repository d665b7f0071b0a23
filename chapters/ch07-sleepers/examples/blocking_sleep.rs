//! Three tasks of one domain. Two of them sleep as a thread does, and so does everybody.
//! `cargo run --example blocking_sleep`

use ch07_sleepers::{Cx, Result, Runtime, await_all};
use std::thread;
use std::time::{Duration, Instant};

// ANCHOR: tasks
fn main() -> Result<()> {
    Runtime::builder().domains(0).build().run(async |cx: &Cx| {
        let start = Instant::now();
        let time = move || start.elapsed().as_secs();
        let mut tasks = Vec::new();
        for name in ["Ada", "Ben"] {
            tasks.push(cx.spawn(async move |_| {
                thread::sleep(Duration::from_secs(1));
                println!("after {} s: {name} has slept for one second", time());
                Ok(())
            }));
        }
        tasks.push(cx.spawn(async move |_| {
            println!("after {} s: Eve never wanted to sleep", time());
            Ok(())
        }));
        await_all(&mut tasks).await.into_iter().collect()
    })
}
// ANCHOR_END: tasks
