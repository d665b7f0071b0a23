//! Waiting for a time, and for other things no longer than that.

use crate::budget::poll_spend;
use crate::failure::{Failure, Result};
use crate::race::{Either, race};
use crate::scheduler::Scheduler;
use crate::suspension::Suspension;
use crate::task::{Cancel, Task};
use std::error::Error;
use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

// ANCHOR: sleep
/// Waits for `duration`: at least that, and as a rule a millisecond more at most, if nobody keeps the domain busy.
/// Zero is over at once; what is beyond the reach of the clock never is.
///
/// Time is that of [`Instant`]: it goes forward, whatever is done to the clock on the wall. Dropped, it waits no more.
///
/// # Panics
///
/// When awaited outside of [`run`](crate::run), or in a run whose [`Events`](crate::Events) have no
/// [`System`](crate::System).
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{run, sleep};
/// use std::time::{Duration, Instant};
///
/// run(async |cx| {
///     let start = Instant::now();
///     let other = cx.spawn(async |_| Ok(sleep(Duration::from_millis(20)).await));
///     sleep(Duration::from_millis(20)).await;
///     other.await?; // they have slept side by side
///     assert!(start.elapsed() >= Duration::from_millis(20));
///     Ok(())
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep {
        until: Instant::now().checked_add(duration),
        suspension: None,
    }
}

/// Waits until `deadline`, as [`sleep`] does; if that is over, not at all.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        until: Some(deadline),
        suspension: None,
    }
}

/// What [`sleep`] and [`sleep_until`] give, to be awaited.
#[derive(Debug)]
#[must_use = "nobody sleeps before it is awaited"]
pub struct Sleep {
    /// `None` if it is beyond the reach of the clock.
    until: Option<Instant>,
    /// From the first poll on.
    suspension: Option<Suspension>,
}

// ANCHOR: poll
impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let begun = self.suspension.as_ref();
        if let Some(poll) = begun.and_then(|suspension| suspension.poll_at_home(cx)) {
            return poll;
        }
        // It has not begun, or in another run.
        if self.until.is_some_and(|until| until <= Instant::now()) {
            return poll_spend(cx);
        }
        let begun = alarm(self.until);
        Pin::new(self.suspension.insert(begun)).poll(cx)
    }
}
// ANCHOR_END: poll

/// What a sleeper waits for.
pub(crate) const A_TIME: &str = "a time";

/// A suspension that is signalled at the time `until`.
#[track_caller]
fn alarm(until: Option<Instant>) -> Suspension {
    let made = Scheduler::with_current(|scheduler| {
        let system = scheduler.system.as_ref()?;
        let suspension = Suspension::new(scheduler, A_TIME);
        if let Some(until) = until {
            system.set_alarm(until, suspension.id());
        }
        Some(suspension)
    });
    match made {
        Some(Some(suspension)) => suspension,
        Some(None) => panic!("sleep was awaited in a run whose events have no clock"),
        None => panic!("sleep was awaited outside of run"),
    }
}
// ANCHOR_END: sleep

// ANCHOR: timeout
/// Waits for `future`, but no longer than `limit`: then it is dropped. It is polled once at least.
///
/// A [`Task`] is better limited by [`Task::timeout`]: dropping its handle would only forget it.
///
/// # Errors
///
/// The time was over first.
///
/// # Panics
///
/// As [`sleep`].
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{run, timeout};
/// use std::future::{pending, ready};
/// use std::time::Duration;
///
/// run(async |_| {
///     let limit = Duration::from_millis(10);
///     assert_eq!(timeout(limit, ready(7)).await, Ok(7));
///     let error = timeout(limit, pending::<()>()).await.unwrap_err();
///     assert_eq!(error.to_string(), "it took longer than 10ms");
///     Ok(())
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
// ANCHOR: race
pub async fn timeout<F: Future>(
    limit: Duration,
    future: F,
) -> std::result::Result<F::Output, TimedOut> {
    // Pinned here, it need not be moved into the race.
    match race(pin!(future), sleep(limit)).await {
        Either::First(output) => Ok(output),
        Either::Second(()) => Err(TimedOut { limit }),
    }
}
// ANCHOR_END: race
// ANCHOR_END: timeout

/// Something took longer than it was allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {
    limit: Duration,
}

impl TimedOut {
    /// How long it was allowed to take.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it took longer than {:?}", self.limit)
    }
}

impl Error for TimedOut {}

// ANCHOR: interval
/// Ticks every `period`, for the first time at once. See [`Interval::tick`].
///
/// # Panics
///
/// If `period` is zero.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{interval, run};
/// use std::time::{Duration, Instant};
///
/// run(async |_| {
///     let start = Instant::now();
///     let mut ticks = interval(Duration::from_millis(5));
///     for _ in 0..4 {
///         ticks.tick().await;
///     }
///     assert!(start.elapsed() >= Duration::from_millis(15)); // the first one was at 0
///     Ok(())
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval of zero has no ticks");
    Interval {
        next: Some(Instant::now()),
        period,
    }
}

/// A clock that ticks. Made by [`interval`].
#[derive(Debug)]
pub struct Interval {
    /// `None` if it is beyond the reach of the clock.
    next: Option<Instant>,
    period: Duration,
}

impl Interval {
    /// Waits for the next tick, and gives the time for which it was due. The ticks do not drift; those for which
    /// nobody was there are left out.
    ///
    /// Dropped before it is ready, it has taken no tick.
    ///
    /// # Panics
    ///
    /// As [`sleep`].
    // ANCHOR: tick
    pub async fn tick(&mut self) -> Instant {
        let Some(due) = self.next else {
            sleep(Duration::MAX).await;
            unreachable!("that is never over")
        };
        sleep_until(due).await;
        // The first multiple of the period after now.
        let late = due.elapsed();
        let since_last = (late.as_nanos() % self.period.as_nanos()) as u64;
        let last = due + (late - Duration::from_nanos(since_last));
        self.next = last.checked_add(self.period);
        due
    }
    // ANCHOR_END: tick
}
// ANCHOR_END: interval

// ANCHOR: task_timeout
impl<'p, T: 'static> Task<'p, T> {
    /// Waits for the child, but no longer than `limit`: then it is cancelled, and waited for until it is gone.
    ///
    /// Dropped before it is ready, it cancels the child.
    ///
    /// # Errors
    ///
    /// Those of the child. If the time is over, a [`TimedOut`], and among its suppressed failures what came to light
    /// when the child was cancelled.
    ///
    /// # Panics
    ///
    /// As [`sleep`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ch08_mutexes_and_conditions::{Result, TimedOut, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async |cx| {
    ///     let slow = cx.spawn(async |_| Ok(sleep(Duration::from_secs(3600)).await));
    ///     let failure = slow.timeout(Duration::from_millis(10)).await.unwrap_err();
    ///     assert!(failure.downcast_ref::<TimedOut>().is_some());
    ///     Ok(())
    /// })?;
    /// # Result::Ok(())
    /// ```
    pub fn timeout(self, limit: Duration) -> Timeout<'p, T> {
        Timeout {
            limit,
            sleep: sleep(limit),
            stage: Stage::Waiting(self),
        }
    }
}

/// What [`Task::timeout`] gives, to be awaited.
#[derive(Debug)]
#[must_use = "dropped, it cancels the task"]
pub struct Timeout<'p, T> {
    limit: Duration,
    sleep: Sleep,
    stage: Stage<'p, T>,
}

#[derive(Debug)]
enum Stage<'p, T> {
    Waiting(Task<'p, T>),
    Cancelling(Cancel<'p>),
    Over,
}

impl<T: 'static> Future for Timeout<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if let Stage::Waiting(task) = &mut self.stage {
            if let Poll::Ready(result) = Pin::new(task).poll(cx) {
                self.stage = Stage::Over;
                return Poll::Ready(result);
            }
            ready!(Pin::new(&mut self.sleep).poll(cx));
            self.cancel();
        }
        let Stage::Cancelling(cancel) = &mut self.stage else {
            panic!("the result of a task was asked for again")
        };
        let ended = ready!(Pin::new(cancel).poll(cx));
        self.stage = Stage::Over;
        let failure = Failure::from(TimedOut { limit: self.limit });
        let more = ended.map_or_else(Failure::into_suppressed, |()| Vec::new());
        Poll::Ready(Err(failure.suppress_all(more)))
    }
}

impl<T> Timeout<'_, T> {
    fn cancel(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Waiting(task) => Stage::Cancelling(task.cancel()),
            stage => stage,
        };
    }
}

impl<T> Drop for Timeout<'_, T> {
    fn drop(&mut self) {
        self.cancel();
    }
}
// ANCHOR_END: task_timeout
