//! Random trees of tasks beside a model of them.
//!
//! Each seed is a program: tasks that spawn, await, cancel, forget, fail, panic, open scopes, care for orphans and wait, at
//! random. The model knows who is whose child and what was cancelled, and notes whatever the runtime does otherwise.
//!
//! `SEEDS=1000 cargo test --release --test random_trees -- --nocapture` spawns a million tasks and tells how that went.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]
#![allow(
    clippy::drop_non_drop,
    clippy::forget_non_drop,
    reason = "handles are forgotten on purpose"
)]

mod common;
mod family;

use ch08_mutexes_and_conditions::{
    Care, Cx, Either, Failure, Orphans, Reason, Recording, Result, Runtime, Task, Violation, What,
    await_all, await_first, await_one, race, yield_now,
};
use family::{poll_once, turns};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;

const SEEDS: u64 = 100;
const TASKS_PER_SEED: usize = 1300;

/// A task or a scope, as the model sees it.
struct Node {
    parent: Option<usize>,
    children: Vec<usize>,
    /// It will not be polled again, unless it is running now.
    cancelled: bool,
    /// A combinator or a group that holds it may have cancelled it, and does not say.
    maybe_cancelled: bool,
    /// Its code has come to its end.
    ended: bool,
    /// It has forgotten a child.
    forgot: bool,
    /// It was spawned by a destructor.
    late: bool,
    dropped: bool,
}

#[derive(Default)]
struct World {
    random: Cell<u64>,
    nodes: RefCell<Vec<Node>>,
    /// How many tasks may still be spawned.
    left: Cell<usize>,
    /// Whether children are forgotten now and then, which ends the run.
    careless: bool,
    /// What the runtime has done wrong.
    wrong: RefCell<Vec<String>>,
    violation: Cell<bool>,
    panics: Cell<usize>,
    values: Cell<usize>,
    errors: Arc<AtomicUsize>,
    parked: RefCell<Vec<Waker>>,
    /// Wakers of tasks that may be over long since.
    stale: RefCell<Vec<Waker>>,
    foreign: Option<mpsc::Sender<Waker>>,
}

impl World {
    fn below(&self, bound: usize) -> usize {
        // Xorshift: another one than the runtime's.
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        (x >> 11) as usize % bound
    }

    /// Once in so many cases.
    fn once_in(&self, cases: usize) -> bool {
        self.below(cases) == 0
    }

    fn wrong(&self, what: String) {
        self.wrong.borrow_mut().push(what);
    }

    fn create(&self, parent: Option<usize>, late: bool) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        let id = nodes.len();
        let cancelled = parent.is_some_and(|parent| nodes[parent].cancelled);
        nodes.push(Node {
            parent,
            children: Vec::new(),
            cancelled,
            maybe_cancelled: false,
            ended: false,
            forgot: false,
            late,
            dropped: false,
        });
        if let Some(parent) = parent {
            nodes[parent].children.push(id);
        }
        id
    }

    /// Calls `f` with `id` and all below it.
    fn each_below(&self, id: usize, mut f: impl FnMut(&mut Node, usize)) {
        let mut nodes = self.nodes.borrow_mut();
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            f(&mut nodes[id], id);
            stack.extend(&nodes[id].children);
        }
    }

    fn cancel(&self, id: usize) {
        self.each_below(id, |node, _| node.cancelled = true);
    }

    fn forget_child(&self, id: usize) {
        self.nodes.borrow_mut()[id].forgot = true;
    }

    /// Whether `id` was cancelled, for all that is known.
    fn may_be_dropped(&self, id: usize) -> bool {
        let nodes = self.nodes.borrow();
        let mut next = Some(id);
        while let Some(id) = next {
            if nodes[id].cancelled || nodes[id].maybe_cancelled {
                return true;
            }
            next = nodes[id].parent;
        }
        false
    }

    /// The code of `id` has come to its end.
    fn ended(&self, id: usize, well: bool) {
        let mut nodes = self.nodes.borrow_mut();
        nodes[id].ended = true;
        let violation = well && nodes[id].forgot && !nodes[id].cancelled;
        let children = nodes[id].children.clone();
        drop(nodes);
        if violation {
            self.violation.set(true);
            self.cancel(0);
        } else if !well {
            children.into_iter().for_each(|child| self.cancel(child));
        }
    }

    /// Notes if anything of `id` is left: its end was just seen.
    fn expect_gone(&self, id: usize) {
        let mut left = Vec::new();
        self.each_below(id, |node, id| {
            if !node.dropped {
                left.push(id);
            }
        });
        if !left.is_empty() {
            self.wrong(format!("the end of {id} was seen before that of {left:?}"));
        }
    }
}

/// What a future owns: tells the model when it is dropped.
struct Guard {
    world: Rc<World>,
    id: usize,
    scope: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (world, id) = (&self.world, self.id);
        world.nodes.borrow_mut()[id].dropped = true;
        if world.nodes.borrow()[id].ended {
            return;
        }
        if self.scope && !world.nodes.borrow()[id].cancelled {
            return world.cancel(id); // left half-way
        }
        if !world.may_be_dropped(id) {
            return world.wrong(format!("{id} was dropped, and not cancelled"));
        }
        let nodes = world.nodes.borrow();
        for &child in &nodes[id].children {
            if !nodes[child].dropped && !nodes[child].late {
                world.wrong(format!("{id} was dropped before its child {child}"));
            }
        }
    }
}

/// What a task returns.
struct Value {
    world: Rc<World>,
    id: usize,
}

impl Value {
    fn new(world: &Rc<World>, id: usize) -> Value {
        world.values.set(world.values.get() + 1);
        let world = world.clone();
        Value { world, id }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.world.values.set(self.world.values.get() - 1);
        // Whatever is dropped may wake somebody.
        if let Some(waker) = self.world.stale.borrow().last() {
            waker.wake_by_ref();
        }
    }
}

#[derive(Debug)]
struct Oops(Arc<AtomicUsize>);

impl Oops {
    fn new(world: &World) -> Oops {
        world.errors.fetch_add(1, Ordering::Relaxed);
        Oops(world.errors.clone())
    }
}

impl fmt::Display for Oops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("oops")
    }
}

impl Error for Oops {}

impl Drop for Oops {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How the panics begin that are made on purpose.
const ON_PURPOSE: &str = "on purpose";

/// Panics when dropped.
struct Bomb<'a>(&'a World);

impl Drop for Bomb<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.0.panics.set(self.0.panics.get() + 1);
            panic!("{ON_PURPOSE}: a bomb");
        }
    }
}

/// Spawns when dropped.
struct Spawner<'a>(&'a Cx, &'a Rc<World>, usize);

impl Drop for Spawner<'_> {
    fn drop(&mut self) {
        let Spawner(cx, world, id) = self;
        let child = spawn(cx, world, *id, true);
        if world.careless {
            world.forget_child(*id);
        } else {
            drop(child.task.cancel());
            world.cancel(child.id);
        }
    }
}

/// Tells the model how `code` ends, and notes if it is polled when it must not be.
async fn watched(
    world: Rc<World>,
    id: usize,
    scope: bool,
    code: impl Future<Output = Result<Value>>,
) -> Result<Value> {
    let _guard = Guard {
        world: world.clone(),
        id,
        scope,
    };
    let mut code = pin!(code);
    poll_fn(|cx| {
        if world.nodes.borrow()[id].cancelled && !scope {
            world.wrong(format!("{id} was polled, and is cancelled"));
        }
        let poll = catch_unwind(AssertUnwindSafe(|| code.as_mut().poll(cx)));
        match &poll {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(result)) => world.ended(id, result.is_ok()),
            Err(_) => world.ended(id, false),
        }
        poll.unwrap_or_else(|panic| resume_unwind(panic))
    })
    .await
}

/// A handle, and which task it is of.
struct Child<'p> {
    id: usize,
    task: Task<'p, Value>,
}

#[track_caller]
fn spawn<'p>(cx: &'p Cx, world: &Rc<World>, parent: usize, late: bool) -> Child<'p> {
    let (id, f) = task(world, parent, late);
    let task = cx.spawn(f);
    Child { id, task }
}

/// The code of a new task.
fn task(
    world: &Rc<World>,
    parent: usize,
    late: bool,
) -> (usize, impl AsyncFnOnce(&Cx) -> Result<Value> + 'static) {
    world.left.set(world.left.get().saturating_sub(1));
    let id = world.create(Some(parent), late);
    let unpolled = Unpolled(Some((world.clone(), id)));
    let f = async move |cx: &Cx| {
        let (world, id) = unpolled.start();
        watched(world.clone(), id, false, code(cx, world, id)).await
    };
    (id, f)
}

/// A task that has not started is dropped as well.
struct Unpolled(Option<(Rc<World>, usize)>);

impl Unpolled {
    fn start(mut self) -> (Rc<World>, usize) {
        self.0.take().expect("it starts once")
    }
}

impl Drop for Unpolled {
    fn drop(&mut self) {
        if let Some((world, id)) = self.0.take() {
            let scope = false;
            drop(Guard { world, id, scope });
        }
    }
}

/// What a task does, or a scope in one.
async fn code(cx: &Cx, world: Rc<World>, id: usize) -> Result<Value> {
    let bomb = world.once_in(60).then(|| Bomb(&world));
    let spawner = world.once_in(150).then(|| Spawner(cx, &world, id));
    let result = steps(cx, &world, id).await;
    // Before the result is returned: if a destructor panics while it is, rustc leaks it (rust-lang/rust#47949).
    drop((bomb, spawner));
    result
}

async fn steps(cx: &Cx, world: &Rc<World>, id: usize) -> Result<Value> {
    let mut children: Vec<Child<'_>> = Vec::new();
    let mut orphans = cx.orphans();
    for _ in 0..1 + world.below(8) {
        // Not boxed, its size would have no end.
        Box::pin(step(cx, world, id, &mut children, &mut orphans)).await?;
    }
    clean_up(world, id, children, orphans).await?;
    Ok(Value::new(world, id))
}

async fn step<'p>(
    cx: &'p Cx,
    world: &Rc<World>,
    id: usize,
    children: &mut Vec<Child<'p>>,
    orphans: &mut Orphans<'p, Value>,
) -> Result<()> {
    match world.below(24) {
        0..6 if world.left.get() > 0 => children.push(spawn(cx, world, id, false)),
        6..9 if world.left.get() > 0 => orphans.spawn(task(world, id, false).1),
        9 => yield_now().await,
        10 => turns(world.below(5)).await,
        11 => park(world).await,
        12 => scope(cx, world, id).await?,
        13 => {
            if let Some(child) = any(world, children) {
                seen(world, child.id, child.task.await)?;
            }
        }
        14 => cancel_one(world, children).await,
        15 => {
            // Lent to a race, which it may lose.
            if let Some(mut child) = any(world, children) {
                match race(&mut child.task, turns(world.below(4))).await {
                    Either::First(result) => seen(world, child.id, result)?,
                    Either::Second(()) => children.push(child),
                }
            }
        }
        16 => combine(world, children).await?,
        17 | 18 => care(world, id, orphans).await?,
        19 if world.careless && world.once_in(6) => {
            if let Some(child) = any(world, children) {
                world.forget_child(id);
                match world.once_in(2) {
                    true => drop(child),
                    false => std::mem::forget(child),
                }
            }
        }
        20 if world.once_in(3) => Err(Oops::new(world))?,
        21 if world.once_in(4) => {
            world.panics.set(world.panics.get() + 1);
            panic!("{ON_PURPOSE}: a panic");
        }
        22 => {
            let stale = world.stale.borrow();
            if !stale.is_empty() {
                stale[world.below(stale.len())].wake_by_ref();
            }
        }
        _ => {}
    }
    Ok(())
}

/// Waits until somebody wakes it.
async fn park(world: &World) {
    let mut parked = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut parked, true) {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        world.stale.borrow_mut().push(waker.clone());
        match &world.foreign {
            Some(thread) if world.once_in(2) => thread.send(waker).expect("it listens"),
            _ => world.parked.borrow_mut().push(waker),
        }
        Poll::Pending
    })
    .await;
}

async fn scope(cx: &Cx, world: &Rc<World>, id: usize) -> Result<()> {
    let id = world.create(Some(id), false);
    // Dropped before it is polled, it has never been.
    let unpolled = Unpolled(Some((world.clone(), id)));
    world.nodes.borrow_mut()[id].maybe_cancelled = true;
    let scope = cx.scope(async |cx| {
        let (world, id) = unpolled.start();
        world.nodes.borrow_mut()[id].maybe_cancelled = false;
        watched(world.clone(), id, true, code(cx, world, id)).await
    });
    if world.once_in(3) {
        return match race(scope, turns(world.below(10))).await {
            Either::First(result) => seen(world, id, result),
            Either::Second(()) => {
                // In one that has ended, children may be on their way still: they are cancelled now.
                world.cancel(id);
                Ok(())
            }
        };
    }
    seen(world, id, scope.await)
}

/// The end of `id` was seen. Sometimes its failure is passed on.
fn seen(world: &World, id: usize, result: Result<Value>) -> Result<()> {
    world.expect_gone(id);
    match result {
        Ok(value) if value.id == id => Ok(()),
        Ok(value) => Ok(world.wrong(format!("{id} gave the value of {}", value.id))),
        Err(failure) => pass_on(world, failure),
    }
}

fn pass_on(world: &World, failure: Failure) -> Result<()> {
    if matches!(failure.reason(), Reason::Violation(_)) {
        world.wrong(format!("a task has caught {failure}"));
    }
    let nested = |failure: &Failure| !failure.suppressed().is_empty();
    if failure.suppressed().iter().any(nested) {
        world.wrong(format!("what is suppressed is no flat list: {failure:?}"));
    }
    match world.once_in(3) {
        true => Err(failure),
        false => Ok(()),
    }
}

fn any<'p>(world: &World, children: &mut Vec<Child<'p>>) -> Option<Child<'p>> {
    match children.len() {
        0 => None,
        len => Some(children.swap_remove(world.below(len))),
    }
}

async fn cancel_one(world: &World, children: &mut Vec<Child<'_>>) {
    let Some(Child { id, task }) = any(world, children) else {
        return;
    };
    let mut cancel = task.cancel();
    world.cancel(id);
    match world.below(4) {
        0 => drop(cancel),
        1 => std::mem::forget(cancel),
        2 => drop(poll_once(&mut cancel).await),
        _ => {
            if let Err(failure) = cancel.await {
                if !matches!(failure.reason(), Reason::Cancelled) {
                    world.wrong(format!("a cancelled task has failed with {failure:?}"));
                }
                let _ = pass_on(world, failure);
            }
            world.expect_gone(id);
        }
    }
}

/// Hands all children to a combinator, which is sometimes dropped half-way.
async fn combine<'p>(world: &World, children: &mut Vec<Child<'p>>) -> Result<()> {
    // The list of a combinator is one of tasks; they are told apart by how they look.
    let names: Vec<(String, usize)> = children
        .iter()
        .map(|child| (format!("{:?}", child.task), child.id))
        .collect();
    let mut tasks: Vec<Task<'p, Value>> = children.drain(..).map(|child| child.task).collect();
    let half_way = world.once_in(2);
    let bound = async {
        match half_way {
            true => turns(world.below(4)).await,
            false => pending().await,
        }
    };
    let which = world.below(3);
    let outcome = match which {
        0 => match race(await_all(&mut tasks), bound).await {
            Either::First(results) => {
                let mut outcome = Ok(());
                for (result, (_, id)) in results.into_iter().zip(&names) {
                    outcome = outcome.and(seen(world, *id, result));
                }
                outcome
            }
            Either::Second(()) => Ok(()),
        },
        1 => match race(await_one(&mut tasks), bound).await {
            Either::First(Ok(value)) => {
                let id = value.id;
                seen(world, id, Ok(value))
            }
            Either::First(Err(failure)) => pass_on(world, failure),
            Either::Second(()) => Ok(()),
        },
        _ => {
            for (_, id) in &names {
                world.nodes.borrow_mut()[*id].maybe_cancelled = true;
            }
            match race(await_first(&mut tasks), bound).await {
                Either::First(result) => {
                    names.iter().for_each(|(_, id)| world.expect_gone(*id));
                    result.map(drop).or_else(|failure| pass_on(world, failure))
                }
                Either::Second(()) => Ok(()),
            }
        }
    };
    let mut gone: HashSet<usize> = names.iter().map(|(_, id)| *id).collect();
    for task in tasks {
        let name = format!("{task:?}");
        match names.iter().find(|(other, _)| *other == name) {
            Some(&(_, id)) => {
                gone.remove(&id);
                world.nodes.borrow_mut()[id].maybe_cancelled = false;
                children.push(Child { id, task });
            }
            None => world.wrong(format!("a combinator has made {name} of {names:?}")),
        }
    }
    if which == 2 {
        gone.into_iter().for_each(|id| world.cancel(id));
    }
    outcome
}

async fn care(world: &Rc<World>, id: usize, orphans: &mut Orphans<'_, Value>) -> Result<()> {
    let len = orphans.len();
    let result = match world.below(5) {
        0 => match orphans.care() {
            Care::Over(result) => Some(result),
            Care::Empty => None.filter(|_| expect(world, len == 0, "care found nothing")),
            Care::Busy => None.filter(|_| expect(world, len > 0, "care found somebody")),
        },
        1 => orphans.next().await,
        2 => match race(orphans.next(), turns(world.below(4))).await {
            Either::First(result) => result,
            Either::Second(()) => None.filter(|_| expect(world, orphans.len() == len, "a race")),
        },
        3 => match orphans.take() {
            Some(task) => Some(task.await),
            None => None,
        },
        _ => {
            if let Some(task) = orphans.take() {
                // One of all the orphans, who knows which.
                let children = world.nodes.borrow()[id].children.clone();
                for child in children {
                    world.nodes.borrow_mut()[child].maybe_cancelled = true;
                }
                let cancel = task.cancel();
                if world.once_in(2) {
                    let _ = cancel.await;
                }
            }
            None
        }
    };
    match result {
        Some(Ok(value)) => {
            let id = value.id;
            seen(world, id, Ok(value))
        }
        Some(Err(failure)) => pass_on(world, failure),
        None => Ok(()),
    }
}

fn expect(world: &World, holds: bool, what: &str) -> bool {
    if !holds {
        world.wrong(format!("{what}, and should not have"));
    }
    holds
}

/// Leaves nothing behind, most of the time.
async fn clean_up(
    world: &Rc<World>,
    id: usize,
    mut children: Vec<Child<'_>>,
    mut orphans: Orphans<'_, Value>,
) -> Result<()> {
    while !children.is_empty() {
        match world.below(4) {
            0 => combine(world, &mut children).await?,
            1 => cancel_one(world, &mut children).await,
            _ => {
                if let Some(child) = any(world, &mut children) {
                    seen(world, child.id, child.task.await)?;
                }
            }
        }
    }
    if world.careless && !orphans.is_empty() && world.once_in(40) {
        world.forget_child(id);
        match world.once_in(2) {
            true => drop(orphans),
            false => std::mem::forget(orphans),
        }
        return Ok(());
    }
    while let Some(result) = orphans.next().await {
        result
            .map(drop)
            .or_else(|failure| pass_on(world, failure))?;
    }
    Ok(())
}

/// The main task: goes on until enough tasks were spawned.
async fn main_task(cx: &Cx, world: Rc<World>) -> Result<()> {
    let waker = world.clone();
    let ticker = cx.spawn(async move |_| -> Result<()> {
        loop {
            let parked = std::mem::take(&mut *waker.parked.borrow_mut());
            parked.into_iter().for_each(Waker::wake);
            yield_now().await;
        }
    });
    let mut children = Vec::new();
    let mut orphans = cx.orphans();
    while world.left.get() > 0 {
        match world.below(3) {
            0 => orphans.spawn(task(&world, 0, false).1),
            _ => children.push(spawn(cx, &world, 0, false)),
        }
        // What fails below ends nobody here.
        match world.below(8) {
            0 => cancel_one(&world, &mut children).await,
            1 => drop(combine(&world, &mut children).await),
            2 => drop(care(&world, 0, &mut orphans).await),
            n => turns(n).await,
        }
    }
    while !children.is_empty() {
        let _ = combine(&world, &mut children).await;
    }
    while orphans.next().await.is_some() {}
    ticker.cancel().await?;
    world.ended(0, true);
    Ok(())
}

/// What came of a seed.
#[derive(Default)]
struct Figures {
    tasks: usize,
    cancelled: usize,
    polls: usize,
    violations: usize,
    panics: usize,
}

fn run_seed(seed: u64, tasks: usize, foreign: bool) -> (Recording, Figures) {
    let (sender, receiver) = mpsc::channel::<Waker>();
    let thread = thread::spawn(move || receiver.into_iter().for_each(Waker::wake));
    let world = Rc::new(World {
        random: Cell::new((seed + 1).wrapping_mul(0x2545_f491_4f6c_dd1d)),
        left: Cell::new(tasks),
        careless: seed % 5 == 1,
        foreign: foreign.then_some(sender),
        ..World::default()
    });
    let main = world.create(None, false);
    let recording = Recording::new();
    let runtime = Runtime::builder().seed(seed).record(&recording).build();
    let inner = world.clone();
    let outcome = runtime.run(async move |cx| main_task(cx, inner).await);

    // The wakers that are left over keep nothing alive.
    world.stale.borrow_mut().clear();
    world.parked.borrow_mut().clear();
    let wrong = world.wrong.borrow().join("\n");
    assert!(wrong.is_empty(), "seed {seed}:\n{wrong}");
    assert_eq!(
        Rc::strong_count(&world),
        1,
        "seed {seed}: something is left"
    );
    world.each_below(main, |node, id| {
        assert!(node.dropped || id == main, "seed {seed}: {id} is left");
    });
    assert_eq!(world.values.get(), 0, "seed {seed}: values are left");

    match &outcome {
        Ok(()) => assert!(!world.violation.get(), "seed {seed}: a violation is lost"),
        Err(failure) => match failure.reason() {
            Reason::Violation(Violation::StillHasChildren { .. }) => {
                assert!(world.violation.get(), "seed {seed}: {failure:?}");
            }
            Reason::Panicked(text) => {
                assert!(!world.violation.get(), "seed {seed}: a violation is lost");
                assert!(text.starts_with(ON_PURPOSE), "seed {seed}: {failure:?}");
            }
            // That of a ticker that nobody could have broken, or what nobody may see.
            _ => panic!("seed {seed}: {failure:?}"),
        },
    }
    drop(outcome);
    let errors = world.errors.load(Ordering::Relaxed);
    assert_eq!(errors, 0, "seed {seed}: errors are left");

    let mut figures = Figures {
        tasks: world.nodes.borrow().len(),
        violations: usize::from(world.violation.get()),
        panics: world.panics.get(),
        ..Figures::default()
    };
    let (mut spawned, mut ended, mut cancelled) = (HashSet::new(), HashSet::new(), HashSet::new());
    for event in recording.events() {
        let task = event.task;
        match event.what {
            What::Spawned { .. } => assert!(spawned.insert(task)),
            What::Polled => {
                figures.polls += 1;
                assert!(
                    !ended.contains(&task) && !cancelled.contains(&task),
                    "{task}"
                );
            }
            What::Cancelled => assert!(cancelled.insert(task), "seed {seed}: {task} twice"),
            What::Ended { .. } => assert!(ended.insert(task), "seed {seed}: {task} twice"),
            _ => {}
        }
    }
    assert_eq!(spawned, ended, "seed {seed}");
    figures.tasks = spawned.len();
    figures.cancelled = cancelled.len();
    drop(world);
    thread.join().expect("it only wakes");
    (recording, figures)
}

/// Those that are made on purpose need not be printed.
fn quiet_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // The text is a `&str` where the compiler has put it together.
        let payload = info.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or(payload.downcast_ref::<&str>().copied());
        if !text.is_some_and(|text| text.starts_with(ON_PURPOSE)) {
            usual(info);
        }
    }));
}

/// Resident memory in KiB, and open descriptors, where the system tells.
fn held() -> Option<(usize, usize)> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').nth(1)?.parse().ok()?;
    Some((pages * 4, std::fs::read_dir("/proc/self/fd").ok()?.count()))
}

#[test]
fn random_trees_leave_nothing_behind() {
    quiet_panics();
    let seeds = std::env::var("SEEDS").map_or(Ok(SEEDS), |seeds| seeds.parse());
    let seeds = seeds.expect("SEEDS is a number");
    let mut total = Figures::default();
    let mut early = None;
    for seed in 0..seeds {
        // One by one, each bounded in time.
        let figures = common::bounded(move || {
            let (recording, figures) = run_seed(seed, TASKS_PER_SEED, seed % 4 == 3);
            if seed % 8 == 0 {
                let (again, _) = run_seed(seed, TASKS_PER_SEED, false);
                assert!(
                    recording.events() == again.events(),
                    "seed {seed} has no pattern"
                );
            }
            figures
        });
        total.tasks += figures.tasks;
        total.cancelled += figures.cancelled;
        total.polls += figures.polls;
        total.violations += figures.violations;
        total.panics += figures.panics;
        if seed == seeds / 10 {
            early = held();
        }
    }
    let Figures {
        tasks,
        cancelled,
        polls,
        violations,
        panics,
    } = total;
    println!("{seeds} seeds: {tasks} tasks, {cancelled} of them cancelled, {polls} polls");
    println!("{violations} violations, {panics} panics");
    // Not too much of either end, or the test would see little.
    assert!(violations > 0 && violations < seeds as usize * 9 / 10);
    assert!(cancelled > tasks / 20 && panics > 0);
    if let (Some((memory, descriptors)), Some((memory_now, descriptors_now))) = (early, held()) {
        println!("{memory} KiB after a tenth, {memory_now} KiB at the end");
        println!("{descriptors} descriptors after a tenth, {descriptors_now} at the end");
        assert_eq!(descriptors, descriptors_now);
        // What the allocator keeps for itself is some ten MiB; a task that leaks, some hundred bytes.
        assert!(memory_now < memory + 96 * 1024);
    }
}
