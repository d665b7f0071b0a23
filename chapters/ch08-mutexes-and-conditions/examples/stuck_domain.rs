//! The lock of the standard library, held over an `.await`. `cargo run --example stuck_domain`

use ch08_mutexes_and_conditions::{Cx, Result, Runtime, sleep};
use std::process;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

// ANCHOR: speak
static FLOOR: Mutex<()> = Mutex::new(());

#[expect(clippy::await_holding_lock, reason = "to see what comes of it")]
async fn speak(name: &str) -> Result<()> {
    println!("{name} wants the floor");
    let _floor = FLOOR.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{name} has it");
    sleep(Duration::from_millis(100)).await;
    println!("{name} is done");
    Ok(())
}

async fn debate(cx: &Cx) -> Result<()> {
    let ada = cx.spawn(async |_| speak("Ada").await);
    let ben = cx.spawn(async |_| speak("Ben").await);
    ada.await?;
    ben.await
}
// ANCHOR_END: speak

fn main() -> Result<()> {
    // Who watches must be another thread: this one will not come back.
    thread::spawn(|| {
        thread::sleep(Duration::from_secs(2));
        println!("nothing for 2 s");
        process::exit(1);
    });
    let runtime = Runtime::builder().domains(0).build();
    runtime.run(async |cx| debate(cx).await)
}
