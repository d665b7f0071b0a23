//! Three guests, one till, and every step of their waiting. `cargo run --example in_line`

use ch08_mutexes_and_conditions::{Mutex, Recording, Result, Runtime, yield_now};
use std::sync::Arc;

// ANCHOR: figure
type Till = Mutex<Vec<&'static str>>;

async fn pay(till: &Till, name: &'static str) -> Result<()> {
    let mut paid = till.lock().await;
    yield_now().await;
    paid.push(name);
    Ok(())
}

pub(crate) fn program(recording: &Recording) -> Result<Vec<&'static str>> {
    let runtime = Runtime::builder().domains(0).record(recording);
    runtime.build().run(async |cx| {
        let till = Arc::new(Till::default());
        let shared = till.clone();
        let ada = cx.spawn(async move |_| {
            pay(&shared, "Ada").await?;
            pay(&shared, "Ada").await
        });
        let shared = till.clone();
        let ben = cx.spawn(async move |_| pay(&shared, "Ben").await);
        let shared = till.clone();
        let cleo = cx.spawn(async move |_| pay(&shared, "Cleo").await);
        ada.await?;
        ben.await?;
        cleo.await?;
        let paid = till.lock().await;
        Ok(paid.clone())
    })
}
// ANCHOR_END: figure

fn main() -> Result<()> {
    let recording = Recording::new();
    let paid = program(&recording)?;
    print!("{recording}");
    println!("{}", paid.join(", "));
    Ok(())
}
