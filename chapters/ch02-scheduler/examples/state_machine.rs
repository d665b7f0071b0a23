//! What `async` compiles to: the compiler's future beside one written by hand.
//! `cargo run --example state_machine`

use std::mem::replace;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

// ANCHOR: later
/// Gives its number on the second poll.
struct Later {
    number: u32,
    asked: bool,
}

fn later(number: u32) -> Later {
    Later {
        number,
        asked: false,
    }
}

impl Future for Later {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        if replace(&mut self.asked, true) {
            Poll::Ready(self.number)
        } else {
            Poll::Pending
        }
    }
}
// ANCHOR_END: later

// ANCHOR: by_compiler
async fn add(a: u32, b: u32) -> u32 {
    let first = later(a).await;
    let second = later(b).await;
    first + second
}
// ANCHOR_END: by_compiler

// ANCHOR: by_hand
/// Where `add` stands: at its start, at one of its `.await`s, or at its end. Each state keeps just
/// what is needed from there on.
enum Add {
    Start { a: u32, b: u32 },
    First { waiting: Later, b: u32 },
    Second { first: u32, waiting: Later },
    Done,
}

impl Future for Add {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        loop {
            *self = match &mut *self {
                Add::Start { a, b } => Add::First {
                    waiting: later(*a),
                    b: *b,
                },
                Add::First { waiting, b } => match Pin::new(waiting).poll(cx) {
                    Poll::Ready(first) => Add::Second {
                        first,
                        waiting: later(*b),
                    },
                    Poll::Pending => return Poll::Pending,
                },
                Add::Second { first, waiting } => match Pin::new(waiting).poll(cx) {
                    Poll::Ready(second) => {
                        let sum = *first + second;
                        *self = Add::Done;
                        return Poll::Ready(sum);
                    }
                    Poll::Pending => return Poll::Pending,
                },
                Add::Done => panic!("`Add` was polled after it was ready"),
            };
        }
    }
}
// ANCHOR_END: by_hand

// ANCHOR: main
fn watch(name: &str, future: impl Future<Output = u32>) {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for poll in 1.. {
        let answer = future.as_mut().poll(&mut cx);
        println!("{name}, poll {poll}: {answer:?}");
        if answer.is_ready() {
            return;
        }
    }
}

fn main() {
    watch("by the compiler", add(2, 3));
    watch("by hand", Add::Start { a: 2, b: 3 });
}
// ANCHOR_END: main
