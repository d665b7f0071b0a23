//! A lock for tasks, across domains.

use crate::budget::poll_spend;
use crate::sync::{AtomicU8, Ordering};
use crate::trigger::{Queue, Ticket};
use std::fmt;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::{self, PoisonError, TryLockError};

// ANCHOR: mutex
/// A value that one task uses at a time, wherever the tasks are. Whoever waits for it suspends, and its domain goes on with
/// other tasks.
///
/// It is handed over in the order in which tasks asked: nobody can overtake, and nobody starves. It is never poisoned: a task that
/// panics leaves the value as it is then.
///
/// A task that asks for what it holds already waits for itself, for ever; so do two that hold a lock each and ask for the other's.
/// The [tree](crate::Cx::tree) shows who waits.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{Mutex, Result, Runtime, yield_now};
/// use std::sync::Arc;
///
/// Runtime::builder().domains(2).build().run(async |cx| {
///     let count = Arc::new(Mutex::new(0));
///     let shared = count.clone();
///     let add = async move |_: &_, times| {
///         for _ in 0..times {
///             let mut count = shared.lock().await;
///             let before = *count;
///             yield_now().await; // the others may run, and cannot come between
///             *count = before + 1;
///         }
///         Ok(())
///     };
///     cx.parallel([10, 20, 30], add).await?.into_iter().collect::<Result<()>>()?;
///     assert_eq!(*count.lock().await, 60);
///     Ok(())
/// })?;
/// # Result::Ok(())
/// ```
// ANCHOR: fields
pub struct Mutex<T: ?Sized> {
    state: AtomicU8,
    queue: Queue,
    /// Whoever has the lock has this one, too: it is always free for them. It is what
    /// makes a `&mut T` of a `&Mutex<T>` without a line of unsafe code.
    value: sync::Mutex<T>,
}

const FREE: u8 = 0;
const HELD: u8 = 1;
/// Held, and somebody may be waiting. Only under the queue's lock does this end.
const AWAITED: u8 = 2;
// ANCHOR_END: fields
// ANCHOR_END: mutex

impl<T> Mutex<T> {
    /// One that is free.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex {
            state: AtomicU8::new(FREE),
            queue: Queue::new(),
            value: sync::Mutex::new(value),
        }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the lock is free and everybody who asked before has had it.
    ///
    /// Dropped before it is ready, it does not have the lock; if that was just handed to it, the next one gets it. One that is
    /// kept and not polled any more, or forgotten, has its turn all the same, and nobody has one after it.
    // ANCHOR: lock
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        poll_fn(poll_spend).await;
        if !self.acquire()
            && let Some(ticket) = self.queue.join("a mutex", || !self.is_awaited())
        {
            let mut turn = Turn {
                mutex: self,
                ticket: Some(ticket),
            };
            turn.come().await;
        }
        self.guard()
    }
    // ANCHOR_END: lock

    /// The lock, if it is free: then nobody waits for it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.acquire().then(|| self.guard())
    }

    /// The value, without a lock: nobody else can have this mutex.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    // ANCHOR: acquire
    fn acquire(&self) -> bool {
        self.state
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Notes that somebody is about to wait; false if the lock has become free, and was taken,
    /// instead. Under the queue's lock.
    fn is_awaited(&self) -> bool {
        loop {
            if self.acquire() {
                return false;
            }
            let (ok, fail) = (Ordering::Relaxed, Ordering::Relaxed);
            match self.state.compare_exchange(HELD, AWAITED, ok, fail) {
                Ok(_) | Err(AWAITED) => return true,
                // It has been freed this very moment.
                Err(_) => {}
            }
        }
    }
    // ANCHOR_END: acquire

    // ANCHOR: release
    fn release(&self) {
        let (ok, fail) = (Ordering::Release, Ordering::Relaxed);
        if self.state.compare_exchange(HELD, FREE, ok, fail).is_err() {
            // It stays held, and the next one has it. Nobody can come between.
            self.queue
                .resume_one(|| self.state.store(FREE, Ordering::Release));
        }
    }
    // ANCHOR_END: release

    /// For the one who has the lock.
    fn guard(&self) -> MutexGuard<'_, T> {
        let value = match self.value.try_lock() {
            Ok(value) => value,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => unreachable!("whoever has the lock has the value"),
        };
        MutexGuard {
            mutex: self,
            value: Some(value),
        }
    }
}

// ANCHOR: turn
/// Somebody who queues for the lock.
struct Turn<'m, T: ?Sized> {
    mutex: &'m Mutex<T>,
    /// `None` once it has had its turn.
    ticket: Option<Ticket<'m>>,
}

impl<T: ?Sized> Turn<'_, T> {
    async fn come(&mut self) {
        if let Some(ticket) = &mut self.ticket {
            ticket.wait().await;
        }
        self.ticket = None;
    }
}

impl<T: ?Sized> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        if let Some(mut ticket) = self.ticket.take()
            && ticket.give_up()
        {
            // The lock was handed over already, and nobody is here to use it.
            self.mutex.release();
        }
    }
}
// ANCHOR_END: turn

// ANCHOR: guard
/// The right to use what is in a [`Mutex`]. Dropped, it hands the lock to the next one.
///
/// It may be kept over an `.await`. It does not leave its thread, as no task does. Forgotten, by [`std::mem::forget`], it
/// keeps the lock for ever.
#[must_use = "the lock is given back when this is dropped"]
pub struct MutexGuard<'m, T: ?Sized> {
    mutex: &'m Mutex<T>,
    /// `None` only while it is dropped.
    value: Option<sync::MutexGuard<'m, T>>,
}

impl<'m, T: ?Sized> MutexGuard<'m, T> {
    /// The mutex of which `guard` is the guard. Called as `MutexGuard::mutex(&guard)`, so as not to hide a method of the value.
    pub fn mutex(guard: &MutexGuard<'m, T>) -> &'m Mutex<T> {
        guard.mutex
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // First the value: the next one may be on its way already.
        drop(self.value.take());
        self.mutex.release();
    }
}
// ANCHOR_END: guard

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("it is there until the guard is dropped"),
        }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("it is there until the guard is dropped"),
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    /// Shows the value if it is free.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mutex = f.debug_tuple("Mutex");
        match self.try_lock() {
            Some(guard) => mutex.field(&&*guard),
            None => mutex.field(&format_args!("<locked>")),
        };
        mutex.finish()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}
