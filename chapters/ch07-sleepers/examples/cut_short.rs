//! A sleep on another domain is cut short, and every step of that. `cargo run --example cut_short`

use ch07_sleepers::{Cx, Recording, Result, Runtime, sleep, yield_now};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Rings once, on any domain, for one who listens.
#[derive(Clone, Default)]
struct Bell(Arc<Mutex<(bool, Option<Waker>)>>);

impl Bell {
    fn ring(&self) {
        let mut bell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bell.0 = true;
        let waker = bell.1.take();
        drop(bell);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Bell {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut bell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bell.0 {
            return Poll::Ready(());
        }
        bell.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

// ANCHOR: figure
const AN_HOUR: Duration = Duration::from_secs(3600);

async fn sleeper(bell: Bell) -> Result<()> {
    bell.ring();
    sleep(AN_HOUR).await;
    Ok(())
}

async fn disturb(cx: &Cx) -> Result<()> {
    let bell = Bell::default();
    let heard = bell.clone();
    let watcher = cx.spawn(async |_| {
        heard.await;
        Ok(())
    });
    // The watcher's turn: it listens before anybody rings.
    yield_now().await;
    let sleeper = cx.call(async |_| sleeper(bell).await)?;
    watcher.await?;
    sleeper.cancel().await
}
// ANCHOR_END: figure

pub(crate) fn program(recording: &Recording) -> Result<()> {
    let runtime = Runtime::builder().domains(1).record(recording);
    runtime.build().run(async |cx| disturb(cx).await)
}

fn main() -> Result<()> {
    let recording = Recording::new();
    program(&recording)?;
    print!("{recording}");
    Ok(())
}
