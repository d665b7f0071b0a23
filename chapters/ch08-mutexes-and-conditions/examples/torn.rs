//! Two domains, one terminal, and nobody waits for anybody. `cargo run --example torn`

use ch08_mutexes_and_conditions::{Result, Runtime, interval};
use std::io::{self, Write};
use std::time::Duration;

// ANCHOR: speak
/// Says a sentence, word by word, as the words come.
async fn speak(name: &str) -> Result<()> {
    let mut pause = interval(Duration::from_millis(200));
    for word in [name, " has", " the", " floor.\n"] {
        pause.tick().await;
        write!(io::stdout(), "{word}")?;
        io::stdout().flush()?;
    }
    Ok(())
}

fn main() -> Result<()> {
    Runtime::builder().domains(2).build().run(async |cx| {
        let speakers = cx.parallel(["Ada", "Ben"], async |_, name| speak(name).await);
        speakers.await?.into_iter().collect()
    })
}
// ANCHOR_END: speak
