//! Giving way.

use crate::scheduler::Scheduler;
use std::future::poll_fn;
use std::task::Poll;

/// Lets every task that is ready now have its turn before the caller goes on.
///
/// Outside of [`run`](crate::run) it works with any executor: it wakes its own waker and is
/// pending once.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{run, yield_now};
///
/// run(async |cx| {
///     let other = cx.spawn(async |_| Ok(println!("first")));
///     yield_now().await;
///     println!("second");
///     other.await
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        Scheduler::with_current(|scheduler| scheduler.wait_for("its next turn", None));
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
