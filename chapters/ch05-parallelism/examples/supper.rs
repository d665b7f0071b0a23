//! A call to another domain, and every step of it. `cargo run --example supper`

use ch05_parallelism::{Cx, Recording, Result, Runtime, yield_now};

// ANCHOR: figure
async fn helper(_: &Cx) -> Result<&'static str> {
    Ok("onions")
}

async fn cook(cx: &Cx) -> Result<String> {
    let cut = cx.spawn(helper).await?;
    Ok(format!("soup of {cut}"))
}

async fn waiter(_: &Cx) -> Result<()> {
    yield_now().await;
    Ok(())
}

pub(crate) fn program(recording: &Recording) -> Result<String> {
    let runtime = Runtime::builder().domains(1).record(recording);
    runtime.build().run(async |cx| {
        let waiter = cx.spawn(waiter);
        let cook = cx.call(cook)?;
        let soup = cook.await?;
        waiter.await?;
        Ok(soup)
    })
}
// ANCHOR_END: figure

fn main() -> Result<()> {
    let recording = Recording::new();
    let soup = program(&recording)?;
    print!("{recording}");
    println!("{soup}");
    Ok(())
}
