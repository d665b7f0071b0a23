//! A lock that is asked for again and again. `cargo run --example polled_flag`

use ch08_mutexes_and_conditions::{Result, Runtime, sleep, yield_now};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

// ANCHOR: flag
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Waits for the floor. Gives how often it had to look.
async fn take_the_floor() -> u64 {
    let mut looks = 1;
    while TAKEN.swap(true, Ordering::Acquire) {
        yield_now().await;
        looks += 1;
    }
    looks
}

fn give_it_back() {
    TAKEN.store(false, Ordering::Release);
}
// ANCHOR_END: flag

// ANCHOR: main
fn main() -> Result<()> {
    Runtime::builder().domains(1).build().run(async |cx| {
        take_the_floor().await;
        let other = cx.call(async |_| {
            let looks = take_the_floor().await;
            give_it_back();
            Ok(looks)
        })?;
        sleep(Duration::from_secs(1)).await;
        give_it_back();
        println!("looked {} times", other.await?);
        Ok(())
    })
}
// ANCHOR_END: main
