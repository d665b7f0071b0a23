//! Handing resources to a child.

use crate::cx::Cx;
use crate::domain::{Domain, NoDomainAvailable};
use crate::failure::Result;
use crate::orphans::Orphans;
use crate::owned::Owned;
use crate::resource::Resource;
use crate::scheduler::Scheduler;
use crate::table::Key;
use crate::task::Task;
use std::panic::Location;

// ANCHOR: gifts
/// What can be given to a child: the proof of a resource, or a tuple of two to four.
pub trait Gifts {
    #[doc(hidden)]
    type Packed: Packed;

    #[doc(hidden)]
    fn pack(self) -> Self::Packed;
}

/// Resources on their way. They can go to another domain if they are `Send`.
pub trait Packed: 'static {
    /// What the child gets: proofs of its own.
    type Given<'a>;

    /// The child's records of them.
    type Numbers: Copy + 'static;

    /// Makes the child the owner.
    fn keep(self, arrival: Arrival<'_>) -> Self::Numbers;

    /// The proofs.
    fn hold(numbers: Self::Numbers, cx: &Cx) -> Self::Given<'_>;
}

/// A resource on its way.
pub struct Gift<T>(Box<Resource<T>>);

/// The child's place, before it starts.
#[derive(Clone, Copy)]
pub struct Arrival<'s>(&'s Scheduler, Key);

impl<T: 'static> Gifts for Owned<'_, T> {
    type Packed = Gift<T>;

    fn pack(self) -> Gift<T> {
        Gift(self.take())
    }
}

impl<T: 'static> Packed for Gift<T> {
    type Given<'a> = Owned<'a, T>;
    type Numbers = u64;

    fn keep(self, Arrival(scheduler, child): Arrival<'_>) -> u64 {
        scheduler.keep(child, self.0)
    }

    fn hold(number: u64, cx: &Cx) -> Owned<'_, T> {
        Owned::hold(cx, number)
    }
}
// ANCHOR_END: gifts

macro_rules! tuple {
    ($($gift:ident $name:ident),*) => {
        impl<$($gift: Gifts),*> Gifts for ($($gift,)*) {
            type Packed = ($($gift::Packed,)*);

            fn pack(self) -> Self::Packed {
                let ($($name,)*) = self;
                ($($name.pack(),)*)
            }
        }

        impl<$($gift: Packed),*> Packed for ($($gift,)*) {
            type Given<'a> = ($($gift::Given<'a>,)*);
            type Numbers = ($($gift::Numbers,)*);

            fn keep(self, arrival: Arrival<'_>) -> Self::Numbers {
                let ($($name,)*) = self;
                ($($name.keep(arrival),)*)
            }

            fn hold(($($name,)*): Self::Numbers, cx: &Cx) -> Self::Given<'_> {
                ($($gift::hold($name, cx),)*)
            }
        }
    };
}

tuple!(A a, B b);
tuple!(A a, B b, C c);
tuple!(A a, B b, C c, D d);

/// The proofs that the child of `G` gets.
type Given<'a, G> = <<G as Gifts>::Packed as Packed>::Given<'a>;

// ANCHOR: start
/// The code of a child that is given `packed`, when the child has its place.
fn start<P: Packed, T, F>(
    packed: P,
    f: F,
    scheduler: &Scheduler,
    child: Key,
) -> impl AsyncFnOnce(&Cx) -> Result<T> + use<P, T, F>
where
    F: for<'a> AsyncFnOnce(&'a Cx, P::Given<'a>) -> Result<T> + 'static,
{
    // The child owns them before it starts: if it is cancelled before that, they are finalised.
    let numbers = packed.keep(Arrival(scheduler, child));
    async move |cx: &Cx| f(cx, P::hold(numbers, cx)).await
}
// ANCHOR_END: start

/// Hands resources to a child. Made by [`Cx::give`].
///
/// The child owns them from the moment it is spawned. Dropped before, this leaves the task the owner, without
/// proofs ([`Cx::receive`] gives new ones).
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{Cx, Owned, Result, run};
///
/// async fn join(_: &Cx, first: Owned<'_, String>, second: Owned<'_, String>) -> Result<String> {
///     let joined = format!("{} {}", *first, *second);
///     first.release().await?;
///     second.release().await?;
///     Ok(joined)
/// }
///
/// run(async |cx| {
///     let hello = cx.own("a greeting", String::from("hello"), |_| Ok(()));
///     let world = cx.own("a name", String::from("world"), |_| Ok(()));
///     let both = cx.give((hello, world));
///     let task = both.spawn(async |cx, (hello, world)| join(cx, hello, world).await);
///     assert_eq!(task.await?, "hello world");
///     Ok(())
/// })?;
/// # Result::Ok(())
/// ```
// ANCHOR: spawn
#[derive(Debug)]
#[must_use = "nothing is given before a child is spawned or called"]
pub struct Give<'p, G> {
    cx: &'p Cx,
    gifts: G,
}

impl<'p, G: Gifts> Give<'p, G> {
    pub(crate) fn new(cx: &'p Cx, gifts: G) -> Give<'p, G> {
        Give { cx, gifts }
    }

    /// Starts a child that owns the resources and gets the proofs, in all else as [`Cx::spawn`].
    #[track_caller]
    pub fn spawn<T: 'static>(
        self,
        f: impl for<'a> AsyncFnOnce(&'a Cx, Given<'a, G>) -> Result<T> + 'static,
    ) -> Task<'p, T> {
        let packed = self.gifts.pack();
        let make = move |scheduler: &Scheduler, child| start(packed, f, scheduler, child);
        self.cx.start(make, Location::caller())
    }
    // ANCHOR_END: spawn

    /// Starts such a child on another domain, in all else as [`Cx::call`]. The resources cross with it, so they
    /// are `Send`.
    ///
    /// # Errors
    ///
    /// There is no other domain. The task still owns the resources then.
    #[track_caller]
    pub fn call<T: Send + 'static>(
        self,
        f: impl for<'a> AsyncFnOnce(&'a Cx, Given<'a, G>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<Task<'p, T>, NoDomainAvailable>
    where
        G::Packed: Send,
    {
        let domain = self.cx.any_other()?;
        self.call_on(domain, f)
    }

    /// Starts such a child on `domain`, in all else as [`Cx::call_on`].
    ///
    /// # Errors
    ///
    /// It is none of [`Cx::domains`]. The task still owns the resources then.
    #[track_caller]
    pub fn call_on<T: Send + 'static>(
        self,
        domain: Domain,
        f: impl for<'a> AsyncFnOnce(&'a Cx, Given<'a, G>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<Task<'p, T>, NoDomainAvailable>
    where
        G::Packed: Send,
    {
        let domain = self.cx.another(domain)?;
        let packed = self.gifts.pack();
        let make = move |scheduler: &Scheduler, child| start(packed, f, scheduler, child);
        Ok(self.cx.start_on(domain, make, Location::caller()))
    }
}

/// Hands resources to a child that is not held by name. Made by [`Orphans::give`]; all is as with [`Give`].
#[derive(Debug)]
#[must_use = "nothing is given before a child is spawned or called"]
pub struct GiveOrphan<'o, 'p, T, G> {
    orphans: &'o mut Orphans<'p, T>,
    gifts: G,
}

impl<'o, 'p, T: 'static, G: Gifts> GiveOrphan<'o, 'p, T, G> {
    pub(crate) fn new(orphans: &'o mut Orphans<'p, T>, gifts: G) -> GiveOrphan<'o, 'p, T, G> {
        GiveOrphan { orphans, gifts }
    }

    /// Starts a child, as [`Give::spawn`] does.
    #[track_caller]
    pub fn spawn(self, f: impl for<'a> AsyncFnOnce(&'a Cx, Given<'a, G>) -> Result<T> + 'static) {
        let packed = self.gifts.pack();
        let make = move |scheduler: &Scheduler, child| start(packed, f, scheduler, child);
        self.orphans.start(make, Location::caller());
    }

    /// Starts a child on another domain, as [`Give::call`] does.
    ///
    /// # Errors
    ///
    /// There is no other domain. The task still owns the resources then.
    #[track_caller]
    pub fn call(
        self,
        f: impl for<'a> AsyncFnOnce(&'a Cx, Given<'a, G>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<(), NoDomainAvailable>
    where
        T: Send,
        G::Packed: Send,
    {
        let domain = self.orphans.parent().any_other()?;
        self.call_on(domain, f)
    }

    /// Starts a child on `domain`, as [`Give::call_on`] does.
    ///
    /// # Errors
    ///
    /// It is none of [`Cx::domains`]. The task still owns the resources then.
    #[track_caller]
    pub fn call_on(
        self,
        domain: Domain,
        f: impl for<'a> AsyncFnOnce(&'a Cx, Given<'a, G>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<(), NoDomainAvailable>
    where
        T: Send,
        G::Packed: Send,
    {
        let domain = self.orphans.parent().another(domain)?;
        let packed = self.gifts.pack();
        let make = move |scheduler: &Scheduler, child| start(packed, f, scheduler, child);
        self.orphans.start_on(domain, make, Location::caller());
        Ok(())
    }
}
