//! Waiting until what a mutex guards has become as one needs it.

use crate::mutex::{Mutex, MutexGuard};
use crate::trigger::{Queue, Ticket};
use std::fmt;

// ANCHOR: condition
/// Where tasks that hold a [`Mutex`] wait until somebody has changed what is in it.
///
/// # Examples
///
/// A queue between two tasks, of two elements at most:
///
/// ```
/// use ch08_mutexes_and_conditions::{Condition, Mutex, Runtime};
/// use std::collections::VecDeque;
/// use std::sync::Arc;
///
/// #[derive(Default)]
/// struct Channel {
///     queue: Mutex<VecDeque<u32>>,
///     changed: Condition,
/// }
///
/// Runtime::builder().domains(1).build().run(async |cx| {
///     let channel = Arc::new(Channel::default());
///     let sending = channel.clone();
///     let producer = cx.call(async move |_| {
///         for number in 0..10 {
///             let queue = sending.queue.lock().await;
///             let full = |queue: &mut VecDeque<_>| queue.len() == 2;
///             let mut queue = sending.changed.wait_while(queue, full).await;
///             queue.push_back(number);
///             sending.changed.broadcast();
///         }
///         Ok(())
///     })?;
///     for number in 0..10 {
///         let queue = channel.queue.lock().await;
///         let mut queue = channel.changed.wait_while(queue, |queue| queue.is_empty()).await;
///         assert_eq!(queue.pop_front(), Some(number));
///         channel.changed.broadcast();
///     }
///     producer.await
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
pub struct Condition {
    queue: Queue,
}

impl Condition {
    /// One for which nobody waits.
    pub const fn new() -> Condition {
        Condition {
            queue: Queue::new(),
        }
    }

    /// Gives the lock back, waits for a [`signal`](Condition::signal), and for the lock again. No signal is missed in between.
    ///
    /// What it waited for may not be so any more when it has the lock again, and a signal may have been meant for one that
    /// gave up: [`wait_while`](Condition::wait_while) looks again.
    ///
    /// Dropped before it is ready, it does not have the lock; a signal that it had taken goes to the next one.
    // ANCHOR: wait
    pub async fn wait<'m, T: ?Sized>(&self, guard: MutexGuard<'m, T>) -> MutexGuard<'m, T> {
        let mutex: &'m Mutex<T> = MutexGuard::mutex(&guard);
        // In the queue before the lock is free: a signal from then on is for us, too.
        let mut waiting = Waiting {
            condition: self,
            ticket: self.queue.join("a condition", || false),
        };
        drop(guard);
        waiting.signal().await;
        let guard = mutex.lock().await;
        waiting.ticket = None;
        guard
    }
    // ANCHOR_END: wait

    /// Waits as long as `condition` says that what is in the mutex is not yet as it should be; not at all if it is.
    ///
    /// Dropped before it is ready, it does not have the lock.
    pub async fn wait_while<'m, T: ?Sized>(
        &self,
        guard: MutexGuard<'m, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'m, T> {
        let mut guard = guard;
        while condition(&mut guard) {
            guard = self.wait(guard).await;
        }
        guard
    }

    /// Resumes the one who has waited longest, if anybody waits.
    ///
    /// It may be called with and without the lock. Whoever changes what is in the mutex under the lock can call it
    /// before or after giving the lock back.
    pub fn signal(&self) {
        self.queue.resume_one(|| {});
    }

    /// Resumes all who wait now. They get the lock one after another.
    pub fn broadcast(&self) {
        self.queue.resume_all();
    }
}
// ANCHOR_END: condition

// ANCHOR: waiting
/// Somebody who waits, until the lock is theirs again.
struct Waiting<'c> {
    condition: &'c Condition,
    /// `None` once the signal has done its work.
    ticket: Option<Ticket<'c>>,
}

impl Waiting<'_> {
    async fn signal(&mut self) {
        if let Some(ticket) = &mut self.ticket {
            ticket.wait().await;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(mut ticket) = self.ticket.take()
            && ticket.give_up()
        {
            self.condition.signal();
        }
    }
}
// ANCHOR_END: waiting

impl Default for Condition {
    fn default() -> Condition {
        Condition::new()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").finish_non_exhaustive()
    }
}
