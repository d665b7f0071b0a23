//! The first of two futures.

use crate::budget;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// What [`race`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first future was ready.
    First(A),
    /// The second future was ready.
    Second(B),
}

/// Waits for one of two futures to be ready, and drops the other. When both are, it takes `first`.
///
/// A [`Task`](crate::Task) in a race should be lent, as `&mut task`: dropping its handle would only
/// forget it.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{Either, Result, race, run, yield_now};
///
/// run(async |cx| {
///     let mut slow = cx.spawn(async |_| {
///         for _ in 0..100 {
///             yield_now().await;
///         }
///         Ok("done")
///     });
///     match race(&mut slow, yield_now()).await {
///         Either::First(result) => assert_eq!(result?, "done"),
///         Either::Second(()) => slow.cancel().await?,
///     }
///     Ok(())
/// })?;
/// # Result::Ok(())
/// ```
// ANCHOR: race
pub async fn race<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        let had = budget::is_left();
        if let Poll::Ready(value) = first.as_mut().poll(cx) {
            return Poll::Ready(Either::First(value));
        }
        // If the first uses up each turn, the second could never be ready.
        let polled = match had && !budget::is_left() {
            true => budget::with_one(|| second.as_mut().poll(cx)),
            false => second.as_mut().poll(cx),
        };
        polled.map(Either::Second)
    })
    .await
}
// ANCHOR_END: race
