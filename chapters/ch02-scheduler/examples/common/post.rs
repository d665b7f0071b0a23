//! Something to wait for: a letter that another task delivers.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

#[derive(Default)]
struct State {
    delivered: bool,
    waker: Option<Waker>,
}

/// Ready once a letter is in it. Clones are one and the same box.
#[derive(Clone, Default)]
pub(crate) struct Letterbox(Rc<RefCell<State>>);

impl Letterbox {
    pub(crate) fn deliver(&self) {
        let mut state = self.0.borrow_mut();
        state.delivered = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Letterbox {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.borrow_mut();
        if state.delivered {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
