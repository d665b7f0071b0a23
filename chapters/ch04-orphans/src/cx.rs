//! The context of a task: what it spawns with.

use crate::failure::Result;
use crate::orphans::Orphans;
use crate::record::TaskId;
use crate::scheduler::Scheduler;
use crate::scope;
use crate::table::Key;
use crate::task::Task;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// The context of a task, or of a scope in it. What is spawned with it is a child of that task or
/// scope.
///
/// It is lent to the task's closure, and cannot be kept beyond it, nor be used by a child: a child
/// has a context of its own.
// ANCHOR: cx
pub struct Cx {
    pub(crate) scheduler: Rc<Scheduler>,
    /// The task, or the scope.
    pub(crate) key: Key,
    /// The task.
    pub(crate) task: Key,
    id: TaskId,
}
// ANCHOR_END: cx

impl Cx {
    pub(crate) fn new(scheduler: Rc<Scheduler>, key: Key, task: Key, id: TaskId) -> Cx {
        Cx {
            scheduler,
            key,
            task,
            id,
        }
    }

    /// Starts a child that runs `f` concurrently with the caller, on the same thread: a fiber. It first
    /// runs after the caller has suspended, never inside `spawn`.
    ///
    /// The child's result must be received: await the handle, or cancel it. A child that is spawned
    /// while its parent is being dropped is cancelled before it starts.
    ///
    /// # Examples
    ///
    /// ```
    /// use ch04_orphans::run;
    ///
    /// let length = run(async |cx| {
    ///     let text = cx.spawn(async |_| Ok("done by a child"));
    ///     Ok(text.await?.len())
    /// });
    /// assert_eq!(length?, 15);
    /// # ch04_orphans::Result::Ok(())
    /// ```
    // ANCHOR: spawn
    #[track_caller]
    pub fn spawn<T: 'static>(
        &self,
        f: impl AsyncFnOnce(&Cx) -> Result<T> + 'static,
    ) -> Task<'_, T> {
        let key = self.scheduler.spawn(self, self.key, f, Location::caller());
        Task::new(self, key)
    }
    // ANCHOR_END: spawn

    /// Opens a scope: what `f` spawns with the context it gets is over when the scope is.
    ///
    /// A scope is to a part of a task what the task is to the whole. If `f` returns `Ok` and has
    /// forgotten a child, that is a [`Violation`](crate::Violation). If it returns `Err` or panics, its
    /// children are cancelled, and the scope ends when they are gone. Unlike a child, `f` may borrow
    /// what the caller owns.
    ///
    /// Dropped before it is ready, it cancels its children; the task around it waits for them at its
    /// own end.
    ///
    /// # Errors
    ///
    /// What `f` returns, or its panic.
    ///
    /// # Examples
    ///
    /// ```
    /// use ch04_orphans::{Cx, Result, run, yield_now};
    ///
    /// async fn sum(cx: &Cx, numbers: &[&str]) -> Result<i32> {
    ///     cx.scope(async |cx| {
    ///         let ticker = cx.spawn(async |_| -> Result<()> { loop { yield_now().await } });
    ///         let mut sum = 0;
    ///         for number in numbers {
    ///             sum += number.parse::<i32>()?; // a failure cancels the ticker
    ///             yield_now().await;
    ///         }
    ///         ticker.cancel().await?;
    ///         Ok(sum)
    ///     })
    ///     .await
    /// }
    ///
    /// run(async |cx| {
    ///     assert_eq!(sum(cx, &["1", "2"]).await?, 3);
    ///     assert!(sum(cx, &["1", "two"]).await.is_err());
    ///     Ok(())
    /// })?;
    /// # ch04_orphans::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn scope<T>(
        &self,
        f: impl AsyncFnOnce(&Cx) -> Result<T>,
    ) -> impl Future<Output = Result<T>> {
        scope::scope(self, f, Location::caller())
    }

    /// A group for children that are not held by name, empty at first.
    #[track_caller]
    pub fn orphans<T: 'static>(&self) -> Orphans<'_, T> {
        Orphans::new(self, Location::caller())
    }

    /// The number of the task.
    pub fn id(&self) -> TaskId {
        self.id
    }
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
