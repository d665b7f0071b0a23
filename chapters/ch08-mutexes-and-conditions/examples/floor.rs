//! Two domains, one terminal, and a mutex. `cargo run --example floor`

use ch08_mutexes_and_conditions::{Mutex, Result, Runtime, interval};
use std::io::{self, Stdout, Write};
use std::sync::LazyLock;
use std::time::Duration;

// ANCHOR: speak
static FLOOR: LazyLock<Mutex<Stdout>> = LazyLock::new(|| Mutex::new(io::stdout()));

async fn speak(name: &str) -> Result<()> {
    let mut floor = FLOOR.lock().await;
    let mut pause = interval(Duration::from_millis(200));
    for word in [name, " has", " the", " floor.\n"] {
        pause.tick().await;
        write!(floor, "{word}")?;
        floor.flush()?;
    }
    Ok(())
}
// ANCHOR_END: speak

fn main() -> Result<()> {
    Runtime::builder().domains(2).build().run(async |cx| {
        let speakers = cx.parallel(["Ada", "Ben"], async |_, name| speak(name).await);
        speakers.await?.into_iter().collect()
    })
}
