//! Something to wait for: a letter that another thread delivers after a while.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

// ANCHOR: letter
#[derive(Default)]
struct Letterbox {
    delivered: bool,
    waker: Option<Waker>,
}

/// Ready once the letter is there.
pub(crate) struct Letter(Arc<Mutex<Letterbox>>);

impl Future for Letter {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut letterbox = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if letterbox.delivered {
            return Poll::Ready(());
        }
        letterbox.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Has a letter delivered after `delay`.
pub(crate) fn letter(delay: Duration) -> Letter {
    let letter = Letter(Arc::default());
    let letterbox = letter.0.clone();
    thread::spawn(move || {
        thread::sleep(delay);
        let mut letterbox = letterbox.lock().unwrap_or_else(PoisonError::into_inner);
        letterbox.delivered = true;
        let waker = letterbox.waker.take();
        drop(letterbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    letter
}
// ANCHOR_END: letter
