//! The context of a task: what it spawns with.

use crate::combine::await_all;
use crate::domain::{Domain, NoDomainAvailable};
use crate::events::Events;
use crate::failure::Result;
use crate::give::{Gifts, Give};
use crate::orphans::Orphans;
use crate::owned::Owned;
use crate::record::TaskId;
use crate::resource::{Label, Resource};
use crate::scheduler::Scheduler;
use crate::scope;
use crate::stream::Adopt;
use crate::suspension::Suspension;
use crate::table::Key;
use crate::task::Task;
use crate::tree::{self, Tree};
use crate::violation::ResourceInfo;
use std::any::{Any, type_name};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

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
    /// use ch08_mutexes_and_conditions::run;
    ///
    /// let length = run(async |cx| {
    ///     let text = cx.spawn(async |_| Ok("done by a child"));
    ///     Ok(text.await?.len())
    /// });
    /// assert_eq!(length?, 15);
    /// # ch08_mutexes_and_conditions::Result::Ok(())
    /// ```
    // ANCHOR: spawn
    #[track_caller]
    pub fn spawn<T: 'static>(
        &self,
        f: impl AsyncFnOnce(&Cx) -> Result<T> + 'static,
    ) -> Task<'_, T> {
        self.start(move |_, _| f, Location::caller())
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
    /// use ch08_mutexes_and_conditions::Runtime;
    ///
    /// Runtime::builder().domains(1).build().run(async |cx| {
    ///     let there = cx.call(async |cx| Ok(cx.domain().to_string()))?;
    ///     assert_eq!(cx.domain().to_string(), "dom0");
    ///     assert_eq!(there.await?, "dom1");
    ///     Ok(())
    /// })?;
    /// # ch08_mutexes_and_conditions::Result::Ok(())
    /// ```
    // ANCHOR: call
    #[track_caller]
    pub fn call<T: Send + 'static>(
        &self,
        f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
    ) -> std::result::Result<Task<'_, T>, NoDomainAvailable> {
        Ok(self.start_on(self.any_other()?, move |_, _| f, Location::caller()))
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
        let domain = self.another(domain)?;
        Ok(self.start_on(domain, move |_, _| f, Location::caller()))
    }

    pub(crate) fn start<T: 'static, F: AsyncFnOnce(&Cx) -> Result<T> + 'static>(
        &self,
        make: impl FnOnce(&Scheduler, Key) -> F,
        at: &'static Location<'static>,
    ) -> Task<'_, T> {
        let key = self.scheduler.spawn(self, self.key, make, at);
        Task::new(self, key)
    }

    pub(crate) fn start_on<T: Send + 'static, F: AsyncFnOnce(&Cx) -> Result<T> + 'static>(
        &self,
        domain: Domain,
        make: impl FnOnce(&Scheduler, Key) -> F + Send + 'static,
        at: &'static Location<'static>,
    ) -> Task<'_, T> {
        let key = self.scheduler.call(self, self.key, domain, make, at);
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
    /// use ch08_mutexes_and_conditions::{Result, Runtime};
    ///
    /// Runtime::builder().domains(3).build().run(async |cx| {
    ///     let squares = cx.parallel(1..=4, async |_, n| Ok(n * n)).await?;
    ///     let squares: Vec<i32> = squares.into_iter().collect::<Result<_>>()?;
    ///     assert_eq!(squares, [1, 4, 9, 16]);
    ///     Ok(())
    /// })?;
    /// # ch08_mutexes_and_conditions::Result::Ok(())
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
                    let f = async move |cx: &Cx| f(cx, input).await;
                    cx.start_on(domain, move |_, _| f, at)
                })
                .collect();
            Ok(await_all(&mut tasks).await)
        })
    }
    // ANCHOR_END: parallel

    /// A point at which this task can wait for an event of its domain's [`Events`]. `what` says what it waits for, after
    /// "waits for".
    // ANCHOR: suspend
    pub fn suspend(&self, what: &'static str) -> Suspension {
        Suspension::new(&self.scheduler, what)
    }

    /// Calls `f` with the events of this domain.
    ///
    /// # Panics
    ///
    /// If they are not an `E`; and inside of another call of this.
    pub fn with_events<E: Events, R>(&self, f: impl FnOnce(&mut E) -> R) -> R {
        let mut events = self.scheduler.events.borrow_mut();
        let events: &mut dyn Any = &mut **events;
        match events.downcast_mut() {
            Some(events) => f(events),
            None => panic!("the events of this run are no {}", type_name::<E>()),
        }
    }
    // ANCHOR_END: suspend

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
    /// use ch08_mutexes_and_conditions::{Cx, Result, run, yield_now};
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
    /// # ch08_mutexes_and_conditions::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn scope<T>(
        &self,
        f: impl AsyncFnOnce(&Cx) -> Result<T>,
    ) -> impl Future<Output = Result<T>> {
        scope::scope(self, f, Location::caller())
    }

    /// Makes the task, or the scope, the owner of `value`: when it ends, `finaliser` closes it, if nobody has before.
    ///
    /// `name` and the line of the call stand in every message about it. The finaliser runs once at most. It is
    /// `Send`, because a resource may go to another domain, and what it captures goes with it.
    ///
    /// # Examples
    ///
    /// ```
    /// use ch08_mutexes_and_conditions::{Failure, Result, run};
    /// use std::rc::Rc;
    /// use std::cell::Cell;
    ///
    /// run(async |cx| {
    ///     let closed = Rc::new(Cell::new(0));
    ///     let value = closed.clone();
    ///     let task = cx.spawn(async move |cx| -> Result<()> {
    ///         let _number = cx.own("a number", value, |value| Ok(value.set(7)));
    ///         Err(Failure::msg("ends badly"))
    ///     });
    ///     assert!(task.await.is_err());
    ///     assert_eq!(closed.get(), 7);
    ///     Ok(())
    /// })?;
    /// # Result::Ok(())
    /// ```
    // ANCHOR: own
    #[track_caller]
    pub fn own<T: 'static>(
        &self,
        name: impl Into<Cow<'static, str>>,
        value: T,
        finaliser: impl FnOnce(T) -> Result<()> + Send + 'static,
    ) -> Owned<'_, T> {
        let (name, at) = (name.into(), Location::caller());
        Owned::new(
            self,
            Resource::new(Label { name, at }, value, Box::new(finaliser)),
        )
    }
    // ANCHOR_END: own

    /// As [`own`](Cx::own), with a finaliser that may wait, but no longer than `limit`: then it is dropped, and the value with
    /// it, and this is a [`TimedOut`](crate::TimedOut).
    ///
    /// It is shielded: whatever is cancelled, it runs to its end or its limit, and only then is the task over. The finalisers of
    /// one task run one after another, those of siblings side by side. So a subtree is gone after the sum of
    /// the limits along the path from its root down for which that is largest; what a domain computes meanwhile
    /// comes on top.
    /// On a domain whose events have failed nothing can wait: there the value is dropped.
    ///
    /// # Panics
    ///
    /// In a run whose [`Events`](crate::Events) have no [`System`](crate::System), and so no clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use ch08_mutexes_and_conditions::{Result, TcpStream, run};
    /// use std::time::Duration;
    ///
    /// run(async |cx| {
    ///     let mut listener = cx.listen("127.0.0.1:0")?;
    ///     let mut near = cx.connect(listener.local_addr()?).await?;
    ///     let (far, _) = listener.accept(cx).await?;
    ///     let limit = Duration::from_secs(1);
    ///     let far = cx.own_async("client", far.disown(), limit, async |mut far: TcpStream| {
    ///         far.write_all(b"goodbye").await?;
    ///         Ok(far.close()?)
    ///     });
    ///     let server = cx.give(far).spawn(async |_, _far| std::future::pending::<Result<()>>().await);
    ///     server.cancel().await?; // waits until the farewell is on its way
    ///
    ///     let mut buffer = [0; 16];
    ///     let count = near.read(&mut buffer).await?;
    ///     assert_eq!(&buffer[..count], b"goodbye");
    ///     near.release().await?;
    ///     listener.release().await
    /// })?;
    /// # Result::Ok(())
    /// ```
    // ANCHOR: own_async
    #[track_caller]
    pub fn own_async<T: 'static>(
        &self,
        name: impl Into<Cow<'static, str>>,
        value: T,
        limit: Duration,
        finaliser: impl AsyncFnOnce(T) -> Result<()> + Send + 'static,
    ) -> Owned<'_, T> {
        assert!(
            self.scheduler.system.is_some(),
            "the events of this run have no clock"
        );
        let (name, at) = (name.into(), Location::caller());
        Owned::new(
            self,
            Resource::waiting(Label { name, at }, value, limit, finaliser),
        )
    }
    // ANCHOR_END: own_async

    /// What the task, or the scope, owns, the oldest first.
    pub fn owned(&self) -> Vec<ResourceInfo> {
        self.scheduler.owned(self)
    }

    /// The proof of the oldest resource that is a `T`, is owned by this task, or this scope, and has no proof:
    /// because a child has [transferred](Owned::transfer) it, or because the proof was dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use ch08_mutexes_and_conditions::run;
    ///
    /// run(async |cx| {
    ///     let opener = cx.spawn(async |cx| {
    ///         Ok(cx.own("a text", String::from("opened"), |_| Ok(())).transfer())
    ///     });
    ///     opener.await?;
    ///     let text = cx.receive::<String>().expect("the child has transferred it");
    ///     assert_eq!(*text, "opened");
    ///     text.release().await
    /// })?;
    /// # ch08_mutexes_and_conditions::Result::Ok(())
    /// ```
    // ANCHOR: receive
    pub fn receive<T: 'static>(&self) -> Option<Owned<'_, T>> {
        let number = self.scheduler.find::<T>(self)?;
        Some(Owned::hold(self, number))
    }
    // ANCHOR_END: receive

    /// Hands resources to a child: `cx.give(stream).spawn(async |cx, stream| …)`. See [`Give`].
    // ANCHOR: give
    pub fn give<G: Gifts>(&self, gifts: G) -> Give<'_, G> {
        Give::new(self, gifts)
    }
    // ANCHOR_END: give

    /// A group for children that are not held by name, empty at first.
    #[track_caller]
    pub fn orphans<T: 'static>(&self) -> Orphans<'_, T> {
        Orphans::new(self, Location::caller())
    }

    /// All tasks of the run as they are now, on whatever domain. See [`Tree`].
    ///
    /// Each domain answers for itself, between two polls; this one does at once, with the caller
    /// [running](crate::TaskState::Running). One that has not answered after [`Tree::PATIENCE`] is busy, and left out. Where the
    /// [`Events`] have no [`System`](crate::System), and so no clock, it is waited for.
    ///
    /// Dropped, it leaves nothing behind.
    ///
    /// # Examples
    ///
    /// ```
    /// use ch08_mutexes_and_conditions::{Result, run};
    /// use std::future::pending;
    ///
    /// run(async |cx| {
    ///     let child = cx.spawn(async |cx| {
    ///         let _name = cx.own("a name", "Ada", |_| Ok(()));
    ///         Ok(pending::<()>().await)
    ///     });
    ///     ch08_mutexes_and_conditions::yield_now().await;
    ///     let text = cx.tree().await.to_string();
    ///     assert!(text.starts_with("main on dom0, spawned at "), "{text}");
    ///     assert!(text.contains("\n└─ task 1 on dom0, spawned at "), "{text}");
    ///     assert!(text.contains("\n      owns a name, owned at "), "{text}");
    ///     child.cancel().await
    /// })?;
    /// # Result::Ok(())
    /// ```
    pub async fn tree(&self) -> Tree {
        tree::look(&self.scheduler).await
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
