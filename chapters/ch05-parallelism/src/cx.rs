//! The context of a task: what it spawns with.

use crate::combine::await_all;
use crate::domain::{Domain, NoDomainAvailable};
use crate::failure::Result;
use crate::net::Adopt;
use crate::orphans::Orphans;
use crate::record::TaskId;
use crate::scheduler::Scheduler;
use crate::scope;
use crate::table::Key;
use crate::task::Task;
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::Rc;

// ANCHOR: cx
/// The context of a task, or of a scope in it. What is spawned with it is a child of that task or
/// scope.
///
/// It is lent to the task's closure, and cannot be kept beyond it, nor be used by a child: a child
/// has a context of its own.
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
    /// use ch05_parallelism::run;
    ///
    /// let length = run(async |cx| {
    ///     let text = cx.spawn(async |_| Ok("done by a child"));
    ///     Ok(text.await?.len())
    /// });
    /// assert_eq!(length?, 15);
    /// # ch05_parallelism::Result::Ok(())
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

    /// Starts a child on another domain, chosen at random: never dom0, never the caller's own.
    ///
    /// `f` crosses to that domain, and its result comes back, so both are `Send`. What it makes on the way
    /// need not be: the future never moves. In all else the child is as one of [`spawn`](Cx::spawn).
    ///
    /// # Errors
    ///
    /// There is no other domain.
    ///
    /// # Examples
    ///
    /// ```
    /// use ch05_parallelism::Runtime;
    ///
    /// Runtime::builder().domains(1).build().run(async |cx| {
    ///     let there = cx.call(async |cx| Ok(cx.domain().to_string()))?;
    ///     assert_eq!(cx.domain().to_string(), "dom0");
    ///     assert_eq!(there.await?, "dom1");
    ///     Ok(())
    /// })?;
    /// # ch05_parallelism::Result::Ok(())
    /// ```
    // ANCHOR: call
    #[track_caller]
    pub fn call<T: Send + 'static>(
        &self,
        f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
    ) -> std::result::Result<Task<'_, T>, NoDomainAvailable> {
        Ok(self.call_to(self.any_other()?, f, Location::caller()))
    }
    // ANCHOR_END: call

    /// Starts a child on `domain`.
    ///
    /// # Errors
    ///
    /// It is none of [`domains`](Cx::domains).
    #[track_caller]
    pub fn call_on<T: Send + 'static>(
        &self,
        domain: Domain,
        f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
    ) -> std::result::Result<Task<'_, T>, NoDomainAvailable> {
        Ok(self.call_to(self.another(domain)?, f, Location::caller()))
    }

    fn call_to<T: Send + 'static>(
        &self,
        domain: Domain,
        f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
        at: &'static Location<'static>,
    ) -> Task<'_, T> {
        let key = self.scheduler.call(self, self.key, domain, f, at);
        Task::new(self, key)
    }

    /// `domain`, if it takes calls from here.
    pub(crate) fn another(&self, domain: Domain) -> std::result::Result<Domain, NoDomainAvailable> {
        let mut others = self.domains();
        let wanted = Some(domain);
        others
            .find(|&other| other == domain)
            .ok_or(NoDomainAvailable { wanted })
    }

    /// Another domain than this one and dom0.
    pub(crate) fn any_other(&self) -> std::result::Result<Domain, NoDomainAvailable> {
        let mut others = self.domains();
        let chosen = match others.len() {
            0 => None,
            count => others.nth(self.scheduler.random.below(count)),
        };
        chosen.ok_or(NoDomainAvailable { wanted: None })
    }

    /// Runs `f` once for each of `inputs`, spread evenly over the [other domains](Cx::domains), and waits
    /// for all. Gives the results in the order of the inputs.
    ///
    /// It starts nothing before it is polled. Dropped before it is ready, it cancels what it has started.
    ///
    /// # Errors
    ///
    /// There is no other domain. What goes wrong in a task stands among the results.
    ///
    /// # Examples
    ///
    /// ```
    /// use ch05_parallelism::{Result, Runtime};
    ///
    /// Runtime::builder().domains(3).build().run(async |cx| {
    ///     let squares = cx.parallel(1..=4, async |_, n| Ok(n * n)).await?;
    ///     let squares: Vec<i32> = squares.into_iter().collect::<Result<_>>()?;
    ///     assert_eq!(squares, [1, 4, 9, 16]);
    ///     Ok(())
    /// })?;
    /// # ch05_parallelism::Result::Ok(())
    /// ```
    // ANCHOR: parallel
    #[track_caller]
    pub fn parallel<I: Send + 'static, T: Send + 'static>(
        &self,
        inputs: impl IntoIterator<Item = I>,
        f: impl AsyncFn(&Cx, I) -> Result<T> + Clone + Send + 'static,
    ) -> impl Future<Output = Result<Vec<Result<T>>>> {
        let at = Location::caller();
        // In a scope, so that dropping it half-way makes no forgotten children.
        self.scope(async move |cx| {
            let domains: Vec<Domain> = cx.domains().collect();
            // Any one may be the first to have a turn.
            let first = cx.any_other()?.number();
            let mut tasks: Vec<Task<'_, T>> = (first..)
                .zip(inputs)
                .map(|(turn, input)| {
                    let (domain, f) = (domains[turn % domains.len()], f.clone());
                    cx.call_to(domain, async move |cx| f(cx, input).await, at)
                })
                .collect();
            Ok(await_all(&mut tasks).await)
        })
    }
    // ANCHOR_END: parallel

    /// The domain that runs this task.
    pub fn domain(&self) -> Domain {
        self.scheduler.domain
    }

    /// The domains that take calls from this task: all but dom0 and its own.
    pub fn domains(&self) -> impl ExactSizeIterator<Item = Domain> + Clone + use<> {
        self.scheduler.world.others(self.domain())
    }

    /// Takes in a plain socket: one that was detached on another domain, or that was made by other
    /// means.
    ///
    /// # Errors
    ///
    /// Those of the system. The socket is closed then.
    pub fn adopt<S: Adopt>(&self, socket: S) -> io::Result<S::Adopted> {
        socket.adopt()
    }

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
    /// use ch05_parallelism::{Cx, Result, run, yield_now};
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
    /// # ch05_parallelism::Result::Ok(())
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
