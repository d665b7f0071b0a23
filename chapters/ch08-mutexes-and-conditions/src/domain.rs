//! Domains: threads with a scheduler of their own each, and what they say to each other.

use crate::events::Interrupt;
use crate::failure::{Failure, Result, without_panic};
use crate::inbox::Inbox;
use crate::record::TaskId;
use crate::runtime::Runtime;
use crate::scheduler::{Scheduler, drop_quietly};
use crate::table::{Key, Step};
use crate::tree::Ask;
use crate::wake::Handle;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

/// A thread with a scheduler of its own. Its tasks never move to another one.
///
/// dom0 is the thread that called [`run`](crate::run); it prints as `dom0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(pub(crate) u32);

impl Domain {
    /// The thread that called [`run`](crate::run).
    pub const ZERO: Domain = Domain(0);

    /// 0 for dom0; the others count from 1.
    pub fn number(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dom{}", self.0)
    }
}

/// There is no domain to call: the run has too few, or the one that was asked for is dom0, which
/// takes no calls, or the caller's own, where [`Cx::spawn`](crate::Cx::spawn) is the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDomainAvailable {
    pub(crate) wanted: Option<Domain>,
}

impl fmt::Display for NoDomainAvailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wanted {
            Some(Domain::ZERO) => f.write_str("dom0 takes no calls; use another domain, or spawn"),
            Some(domain) => write!(f, "{domain} is not another domain of this run; use spawn"),
            None => f.write_str("there is no other domain to call; start more, or use spawn"),
        }
    }
}

impl Error for NoDomainAvailable {}

/// A value on its way to another domain.
pub(crate) type Parcel = Box<dyn Any + Send>;

// ANCHOR: message
// ANCHOR: messages
/// What a domain finds in its inbox.
pub(crate) enum Message {
    /// A task is to be polled.
    Wake(Arc<Handle>),
    /// Somebody has a task for this domain.
    Call(Call),
    /// The caller has cancelled the task that it called for.
    Cancel(Caller),
    /// The task that was called for from here has come to this.
    Ended { key: Key, outcome: Result<Parcel> },
    /// The task that was called for from here, `key`, transfers a resource.
    Transfer { key: Key, deliver: Deliver },
    /// To dom0: the run has failed.
    Fail(Failure),
    /// A domain is no more. Who waits for it waits in vain.
    Died(Domain),
    /// All domains sleep, and nothing will wake them.
    Stalled,
    /// To dom0: so these tasks of the sender are stuck. dom0 breaks off the run when it is told itself.
    Stuck(Failure),
    /// Somebody wants to see the tasks.
    Tree(Ask),
    /// The run is over.
    Stop,
}
// ANCHOR_END: messages

/// Where a call came from: the domain, and the place that its task has there, among the caller's children.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) domain: Domain,
    pub(crate) key: Key,
}

pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) id: TaskId,
    pub(crate) by: Option<TaskId>,
    pub(crate) at: &'static Location<'static>,
    pub(crate) start: Start,
}

/// Makes the future, on the domain that will run it. Only this crosses, the future need not be `Send`.
pub(crate) type Start = Box<dyn FnOnce(&Rc<Scheduler>, Key) -> Pin<Box<dyn Step>> + Send>;

/// Makes the parent of a task the owner of a resource, on the parent's domain.
pub(crate) type Deliver = Box<dyn FnOnce(&Scheduler, Key) + Send>;
// ANCHOR_END: message

// ANCHOR: world
// ANCHOR: shared
/// What all domains of a run share.
pub(crate) struct World {
    inboxes: Vec<Arc<Inbox<Message>>>,
    /// What ends the sleep of each domain, once it has begun.
    interrupts: Vec<Arc<OnceLock<Interrupt>>>,
    /// The first number of the next block of task numbers.
    block: AtomicU64,
    /// Whether the domains were told that the run has stalled.
    told: AtomicBool,
}
// ANCHOR_END: shared

/// Each domain numbers its tasks from blocks of this size, so as not to meet the others at a counter.
const BLOCK: u64 = 1000;

impl World {
    /// With `domains` beside dom0.
    pub(crate) fn new(domains: usize) -> Arc<World> {
        let hopeful = Arc::new(AtomicUsize::new(domains.saturating_add(1)));
        let interrupts: Vec<Arc<OnceLock<Interrupt>>> =
            (0..=domains).map(|_| Arc::default()).collect();
        let inboxes = interrupts.iter().cloned().map(|interrupt| {
            // A domain that has no interrupt yet has not begun, and does not sleep.
            let interrupt = move || {
                if let Some(interrupt) = interrupt.get() {
                    interrupt();
                }
            };
            Arc::new(Inbox::new(interrupt, hopeful.clone()))
        });
        Arc::new(World {
            inboxes: inboxes.collect(),
            interrupts,
            block: AtomicU64::new(BLOCK * (domains as u64 + 1)),
            told: AtomicBool::new(false),
        })
    }

    /// `interrupt` ends the sleep of `domain`.
    pub(crate) fn can_be_interrupted(&self, domain: Domain, interrupt: Interrupt) {
        // A domain begins once.
        let _ = self.interrupts[domain.number()].set(interrupt);
    }

    pub(crate) fn inbox(&self, domain: Domain) -> &Arc<Inbox<Message>> {
        &self.inboxes[domain.number()]
    }

    /// Leaves a message for `domain`. It comes back if that domain is no more.
    pub(crate) fn send(
        &self,
        domain: Domain,
        message: Message,
    ) -> std::result::Result<(), Message> {
        self.inbox(domain).send(message)
    }

    /// All of them.
    pub(crate) fn domains(&self) -> impl Iterator<Item = Domain> + use<> {
        (0..self.inboxes.len() as u32).map(Domain)
    }

    /// Whose inbox this is, if it is one of this run.
    pub(crate) fn owner(&self, inbox: &Arc<Inbox<Message>>) -> Option<Domain> {
        self.domains()
            .find(|&domain| Arc::ptr_eq(self.inbox(domain), inbox))
    }

    /// The domains that take calls from `caller`.
    pub(crate) fn others(
        &self,
        caller: Domain,
    ) -> impl ExactSizeIterator<Item = Domain> + Clone + use<> {
        let count = self.inboxes.len() as u32;
        // Those beyond dom0, the caller's own left out.
        let (skip, others) = match caller {
            Domain::ZERO => (count, count - 1),
            own => (own.0, count - 2),
        };
        (0..others).map(move |n| Domain(if n + 1 < skip { n + 1 } else { n + 2 }))
    }

    /// All domains sleep, and nothing will wake them but this. dom0 hears of it last, when the others have
    /// it in their inboxes. All may sleep once more before that, and are told no more.
    pub(crate) fn stalled(&self) {
        if self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        for inbox in self.inboxes.iter().rev() {
            let _ = inbox.send(Message::Stalled);
        }
    }

    // ANCHOR: bury
    /// `domain` is no more. If it had tasks, they have failed, and nobody must wait for them.
    pub(crate) fn bury(&self, domain: Domain) {
        // One by one: a call has what its closure captured, and a destructor may panic.
        let unread = self.inbox(domain).close();
        unread.into_iter().for_each(drop_quietly);
        for inbox in &self.inboxes {
            let _ = inbox.send(Message::Died(domain));
        }
    }
    // ANCHOR_END: bury

    /// The task number after `last`, on `domain`.
    pub(crate) fn next_id(&self, domain: Domain, last: Option<TaskId>) -> TaskId {
        TaskId(match last {
            None => BLOCK * u64::from(domain.0),
            Some(TaskId(last)) if (last + 1) % BLOCK != 0 => last + 1,
            Some(_) => self.block.fetch_add(BLOCK, Ordering::Relaxed),
        })
    }
}
// ANCHOR_END: world

// ANCHOR: threads
/// The threads of the domains beside dom0. Dropped, it has them end, and waits until they have.
pub(crate) struct Threads {
    world: Arc<World>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts a thread for each domain beside dom0, and waits until all have begun.
    pub(crate) fn start(runtime: &Runtime, world: &Arc<World>) -> Result<Threads> {
        let mut threads = Threads {
            world: world.clone(),
            threads: Vec::new(),
        };
        // ANCHOR: start
        for domain in world.others(Domain::ZERO) {
            let (runtime, world) = (runtime.clone(), world.clone());
            let (sender, begun) = mpsc::channel();
            let thread = thread::Builder::new()
                .name(domain.to_string())
                .spawn(move || live(&runtime, domain, &world, &sender))
                .map_err(|error| {
                    Failure::from(error).context(format_args!("no thread for {domain}"))
                })?;
            threads.threads.push(thread);
            if let Ok(failed @ Err(_)) = begun.recv() {
                failed?;
            }
        }
        // ANCHOR_END: start
        Ok(threads)
    }
}

// ANCHOR: join
impl Drop for Threads {
    fn drop(&mut self) {
        for domain in self.world.others(Domain::ZERO) {
            // One that is no more need not be told.
            let _ = self.world.send(domain, Message::Stop);
        }
        for thread in self.threads.drain(..) {
            // It has caught its panics, and said so to dom0.
            let _ = thread.join();
        }
    }
}
// ANCHOR_END: join
// ANCHOR_END: threads

// ANCHOR: live
/// The life of a domain beside dom0. `begun` is told when it has begun, or why it has not.
fn live(runtime: &Runtime, domain: Domain, world: &Arc<World>, begun: &Sender<Result<()>>) {
    match without_panic(|| Scheduler::new(runtime, domain, world)) {
        Err(failure) => drop(begun.send(Err(failure))),
        Ok(scheduler) => {
            let _ = begun.send(Ok(()));
            if let Err(failure) = scheduler.live() {
                let _ = world.send(Domain::ZERO, Message::Fail(failure));
            }
        }
    }
    // A task that has lost its caller may have called this domain at the last moment.
    world.bury(domain);
}
// ANCHOR_END: live

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cx, TcpListener, await_all, yield_now};
    use std::future::pending;
    use std::net::TcpStream;
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::task::Wake;
    use std::time::Duration;

    /// Within a bound in time.
    fn run<T: Send + 'static>(
        domains: usize,
        seed: u64,
        f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = mpsc::channel();
        let runtime = Runtime::builder().domains(domains).seed(seed).build();
        let thread = thread::spawn(move || sender.send(runtime.run(f)));
        let result = receiver.recv_timeout(Duration::from_secs(20));
        assert!(thread.join().is_ok_and(|sent| sent.is_ok()));
        result.expect("it ends in time")
    }

    /// Has `domain` make a mistake of the runtime, of which it dies.
    fn kill(cx: &Cx, domain: Domain) {
        let call = Call {
            caller: Caller {
                domain: cx.domain(),
                key: Key::NONE,
            },
            id: TaskId(0),
            by: None,
            at: Location::caller(),
            start: Box::new(|_, _| panic!("a mistake")),
        };
        assert!(cx.scheduler.world.send(domain, Message::Call(call)).is_ok());
    }

    /// Blocks until `domain` is no more.
    fn wait_for_death(cx: &Cx, domain: Domain) {
        while cx.scheduler.world.send(domain, Message::Stalled).is_ok() {
            thread::yield_now();
        }
    }

    struct Tells(Sender<Option<String>>);

    impl Drop for Tells {
        fn drop(&mut self) {
            let name = thread::current().name().map(str::to_owned);
            let _ = self.0.send(name);
        }
    }

    /// Where they were dropped.
    fn told(dropped: &Receiver<Option<String>>) -> Vec<String> {
        let names = dropped.try_iter();
        let mut names: Vec<_> = names.map(|name| name.unwrap_or("dom0".into())).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn when_a_domain_dies_the_run_ends_and_says_so() {
        for domains in 1..4 {
            let failure = run(domains, 0, async |cx| {
                kill(cx, Domain(1));
                cx.call_on(Domain(1), async |_| pending::<Result<()>>().await)?
                    .await
            });
            let failure = failure.expect_err("a domain has died");
            assert_eq!(failure.to_string(), "dom1 has died: panicked: a mistake");
        }
    }

    #[test]
    fn a_domain_that_dies_idle_ends_the_run_too() {
        let failure = run(2, 0, async |cx| {
            kill(cx, Domain(2));
            pending::<Result<()>>().await
        });
        let failure = failure.expect_err("a domain has died");
        assert_eq!(failure.to_string(), "dom2 has died: panicked: a mistake");
    }

    #[test]
    fn a_call_to_a_dead_domain_is_over_at_once() {
        // The main task may be over before dom0 hears of the death.
        for _ in 0..100 {
            let failure = run(1, 0, async |cx| {
                kill(cx, Domain(1));
                wait_for_death(cx, Domain(1));
                let task = cx.call_on(Domain(1), async |_| Ok(()))?;
                assert!(task.is_over());
                let failure = task.await.expect_err("is dead");
                assert_eq!(failure.to_string(), "dom1 has died, and the task with it");
                let mut orphans = cx.orphans();
                orphans.call(async |_| Ok(()))?;
                assert!(orphans.next().await.is_some_and(|result| result.is_err()));
                let results = cx.parallel(0..3, async |_, n| Ok(n)).await?;
                assert!(results.iter().all(Result::is_err));
                let cancel = cx.call_on(Domain(1), async |_| Ok(()))?.cancel();
                cancel.await.expect_err("it had failed");
                Ok(())
            });
            let failure = failure.expect_err("a domain has died");
            assert_eq!(failure.to_string(), "dom1 has died: panicked: a mistake");
        }
    }

    #[test]
    fn many_wakes_are_one_notice() {
        let world = World::new(0);
        let inbox = world.inbox(Domain::ZERO);
        let handle = Arc::new(Handle::new(Key::NONE, inbox.clone()));
        for _ in 0..2 {
            for _ in 0..1000 {
                handle.wake_by_ref();
                handle.clone().wake();
            }
            let notices = inbox.collect();
            assert_eq!(notices.len(), 1);
            handle.acknowledge();
        }
    }

    #[test]
    fn what_a_dying_domain_has_is_dropped_there_and_its_calls_elsewhere() {
        for seed in 0..30 {
            let (sender, dropped) = mpsc::channel();
            let (address, listening) = mpsc::channel();
            let failure = run(3, seed, async move |cx| {
                let (ready, wait) = mpsc::channel();
                let tells = Tells(sender.clone());
                // From dom1 to dom2, which will die, and from there to dom3.
                let task = cx.call_on(Domain(1), async move |cx| {
                    let _tells = tells;
                    let tells = Tells(sender.clone());
                    let task = cx.call_on(Domain(2), async move |cx| {
                        let _tells = tells;
                        let listener = TcpListener::bind("127.0.0.1:0")?;
                        let _ = address.send(listener.local_addr()?);
                        let tells = Tells(sender.clone());
                        let task = cx.call_on(Domain(3), async move |_| {
                            let _tells = tells;
                            let _ = ready.send(());
                            pending::<Result<()>>().await
                        })?;
                        let tells = Tells(sender);
                        let child = cx.spawn(async move |_| {
                            let _tells = tells;
                            pending::<Result<()>>().await
                        });
                        task.await?;
                        child.await
                    })?;
                    task.await
                })?;
                wait.recv()?;
                kill(cx, Domain(2));
                task.await
            });
            let failure = failure.expect_err("a domain has died");
            assert_eq!(failure.to_string(), "dom2 has died: panicked: a mistake");
            assert_eq!(told(&dropped), ["dom1", "dom2", "dom2", "dom3"]);
            assert!(TcpStream::connect(listening.recv().expect("sent")).is_err());
        }
    }

    #[test]
    fn destructors_that_panic_while_a_domain_dies_do_no_harm() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let failure = run(1, 0, async |cx| {
            let (ready, wait) = mpsc::channel();
            let task = cx.call(async move |cx| {
                let _panics = Panics;
                let child = cx.spawn(async move |_| {
                    let _panics = Panics;
                    let _ = ready.send(());
                    pending::<Result<()>>().await
                });
                child.await
            })?;
            wait.recv()?;
            kill(cx, Domain(1));
            task.await
        });
        let failure = failure.expect_err("a domain has died");
        assert_eq!(failure.to_string(), "dom1 has died: panicked: a mistake");
    }

    /// Calls back and forth without end.
    async fn busy(cx: &Cx, depth: usize) -> Result<()> {
        loop {
            let mut tasks = vec![cx.spawn(async |_| {
                let _: () = yield_now().await;
                Ok(())
            })];
            if depth > 0 {
                for _ in 0..2 {
                    tasks.push(cx.call(async move |cx| {
                        yield_now().await;
                        Box::pin(cx.scope(async |cx| {
                            cx.call(async |_| Ok(()))?.await?;
                            let endless = cx.call(async |cx| -> Result<()> {
                                let mut orphans = cx.orphans();
                                orphans.call(async |_| Ok(()))?;
                                orphans.next().await;
                                pending().await
                            })?;
                            endless.cancel().await
                        }))
                        .await
                    })?);
                }
            }
            for result in await_all(&mut tasks).await {
                result?;
            }
        }
    }

    #[test]
    fn whatever_the_domains_are_doing_nothing_hangs_when_one_dies() {
        for seed in 0..60 {
            let failure = run(3, seed, async move |cx| {
                let mut tasks = Vec::new();
                for domain in cx.domains() {
                    tasks.push(cx.call_on(domain, async |cx| busy(cx, 2).await)?);
                }
                for _ in 0..seed {
                    yield_now().await;
                }
                kill(cx, Domain(1 + seed as u32 % 3));
                await_all(&mut tasks).await;
                pending::<Result<()>>().await
            });
            let failure = failure.expect_err("a domain has died");
            let text = failure.to_string();
            assert!(text.ends_with("has died: panicked: a mistake"), "{text}");
        }
    }

    #[test]
    fn what_main_has_come_to_is_told_when_a_domain_dies_meanwhile() {
        for seed in 0..100 {
            let failure = run(1, seed, async |cx| -> Result<()> {
                kill(cx, Domain(1));
                Err(Failure::msg("my own"))
            });
            let text = format!("{:?}", failure.expect_err("main fails"));
            assert!(text.contains("my own"), "{text}");
        }
    }

    #[test]
    fn a_mistake_on_dom0_ends_the_others_too() {
        let (sender, dropped) = mpsc::channel();
        let failure = run(1, 0, async move |cx| -> Result<()> {
            let (begun, wait) = mpsc::channel();
            let tells = Tells(sender);
            let task = cx.call(async move |_| -> Result<()> {
                let _tells = tells;
                let _ = begun.send(());
                pending().await
            })?;
            wait.recv()?;
            kill(cx, Domain::ZERO);
            task.await
        });
        let failure = failure.expect_err("dom0 has died");
        assert_eq!(failure.to_string(), "dom0 has died: panicked: a mistake");
        assert_eq!(told(&dropped), ["dom1"]);
    }

    #[test]
    fn what_is_on_its_way_to_a_dead_domain_is_finalised() {
        let (sender, closed) = mpsc::channel();
        let failure = run(1, 0, async move |cx| {
            kill(cx, Domain(1));
            wait_for_death(cx, Domain(1));
            let given = cx.own("given", sender, |sender| Ok(sender.send(())?));
            let task = cx
                .give(given)
                .call(async |_, given| given.release().await)?;
            assert!(task.await.is_err());
            Ok(())
        });
        failure.expect_err("a domain has died");
        assert_eq!(closed.try_iter().count(), 1);
    }
}
