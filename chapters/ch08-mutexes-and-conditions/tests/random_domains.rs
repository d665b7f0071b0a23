//! Random trees of tasks on 0 to 3 domains, that do everything a task can do. Each of them is accounted for: it is dropped once,
//! where it ran, before anybody sees what became of it; and what becomes of it is what a simple model says.
//!
//! `SEEDS=1000 cargo test --release --test random_domains -- --nocapture` for more.

mod common;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Either, Failure, Reason, Result, Task, await_all, await_first, await_one, race, yield_now,
};
use std::collections::VecDeque;
use std::fmt::Write;
use std::future::pending;
use std::panic;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use world::{Gate, OnDrop, assert_still_has_children, here, seeded};

/// So many seeds if the environment does not say otherwise.
const SEEDS: u64 = 60;

/// So many tasks a seed, at least.
const TASKS: usize = 1100;

// ---- what is planned ----

/// What a task does, and how it ends.
#[derive(Clone, Debug)]
struct Plan {
    ops: Vec<Op>,
    end: End,
}

#[derive(Clone, Debug)]
enum Op {
    Yield(usize),
    /// A child, and what becomes of it.
    Child(Place, Plan, Fate),
    /// Children that are awaited together after all have started.
    All(Vec<(Place, Plan)>),
    /// One that ends and some that do not, which are cancelled.
    First(Place, Plan, Vec<(Place, Plan)>),
    One(Vec<(Place, Plan)>),
    Parallel(Vec<Plan>),
    /// As orphans: so many are taken as they end, the others are cancelled.
    Orphans(Vec<(Place, Plan)>, usize),
    Scope(Vec<Op>, bool),
    /// A scope that is dropped after so many turns.
    HalfScope(Vec<(Place, Plan)>, usize),
    /// Sleeps until another task, perhaps elsewhere, wakes it.
    Ping(Place, usize),
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Here,
    /// Wherever `call` decides, if there are others.
    Anywhere,
    /// By `call_on`.
    On(usize),
}

impl Place {
    /// For those who cannot choose the domain.
    fn by_call(self) -> Place {
        match self {
            Place::Here => Place::Here,
            Place::Anywhere | Place::On(_) => Place::Anywhere,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Awaited,
    /// Cancelled after so many turns; whether the end of that is awaited.
    Cancelled(usize, bool),
}

#[derive(Clone, Debug)]
enum End {
    Well,
    Badly,
    /// With a child that is not awaited.
    BadlyWith(Place, Box<Plan>),
    Panics,
    /// A local panics when the task has returned.
    PanicsInDrop,
    /// Never, so that it has to be cancelled. In its destructor it starts another child, or panics, or both.
    Never(Option<Place>, bool),
}

/// What a task comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Well(u64),
    Badly,
}

/// So much a failed child counts.
const BAD: u64 = 1_000;

impl Came {
    fn of(result: &Result<u64>) -> Came {
        result
            .as_ref()
            .map_or(Came::Badly, |&value| Came::Well(value))
    }

    fn worth(self) -> u64 {
        match self {
            Came::Well(value) => value,
            Came::Badly => BAD,
        }
    }
}

// ---- the model ----

fn model(plan: &Plan) -> Came {
    let value = 1 + plan.ops.iter().map(worth).sum::<u64>();
    match plan.end {
        End::Well => Came::Well(value),
        _ => Came::Badly,
    }
}

fn worth(op: &Op) -> u64 {
    let of = |plan: &Plan| model(plan).worth();
    match op {
        Op::Yield(_) | Op::HalfScope(..) | Op::Ping(..) => 0,
        Op::Child(_, plan, Fate::Awaited) | Op::First(_, plan, _) => of(plan),
        Op::Child(..) => 0,
        Op::All(plans) | Op::One(plans) => plans.iter().map(|(_, plan)| of(plan)).sum(),
        Op::Parallel(plans) => plans.iter().map(of).sum(),
        // Which are taken depends on the time; see `Orphans` below.
        Op::Orphans(plans, taken) if *taken >= plans.len() => {
            plans.iter().map(|(_, plan)| of(plan)).sum()
        }
        Op::Orphans(..) => 0,
        Op::Scope(_, true) => BAD,
        Op::Scope(ops, false) => ops.iter().map(worth).sum(),
    }
}

// ---- making plans ----

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        ((self.0 >> 33) % bound as u64) as usize
    }

    fn place(&mut self) -> Place {
        match self.below(5) {
            0 | 1 => Place::Here,
            2 | 3 => Place::Anywhere,
            _ => Place::On(self.below(3)),
        }
    }

    /// If `quiet`, nothing in it panics: where it will be, nobody would hear of it but the task, by its own end.
    fn plan(&mut self, depth: usize, quiet: bool) -> Plan {
        let count = self.below(if depth == 0 { 2 } else { 4 });
        let ops = (0..count).map(|_| self.op(depth, quiet)).collect();
        let end = match self.below(if quiet { 14 } else { 18 }) {
            0 => End::Badly,
            1 if depth > 0 => {
                End::BadlyWith(self.place(), Box::new(self.endless(depth - 1, quiet)))
            }
            14 => End::Panics,
            15 => End::PanicsInDrop,
            _ => End::Well,
        };
        Plan { ops, end }
    }

    fn endless(&mut self, depth: usize, quiet: bool) -> Plan {
        let guard = (self.below(4) == 0).then(|| self.place());
        let end = End::Never(guard, !quiet && self.below(6) == 0);
        Plan {
            end,
            ..self.plan(depth, quiet)
        }
    }

    /// Any: it may end or not.
    fn any(&mut self, depth: usize, quiet: bool) -> Plan {
        match self.below(2) {
            0 => self.plan(depth, quiet),
            _ => self.endless(depth, quiet),
        }
    }

    fn plans(&mut self, depth: usize, quiet: bool) -> Vec<(Place, Plan)> {
        (0..1 + self.below(4))
            .map(|_| (self.place(), self.plan(depth, quiet)))
            .collect()
    }

    fn anys(&mut self, depth: usize, quiet: bool) -> Vec<(Place, Plan)> {
        (0..1 + self.below(4))
            .map(|_| (self.place(), self.any(depth, quiet)))
            .collect()
    }

    fn op(&mut self, depth: usize, quiet: bool) -> Op {
        if depth == 0 {
            return Op::Yield(self.below(4));
        }
        let below = depth - 1;
        match self.below(16) {
            0 => Op::Yield(self.below(9)),
            1..=4 => Op::Child(self.place(), self.plan(below, quiet), Fate::Awaited),
            5 => Op::Child(
                self.place(),
                self.any(below, quiet),
                Fate::Cancelled(self.below(7), true),
            ),
            6 => Op::Child(
                self.place(),
                self.any(below, true),
                Fate::Cancelled(self.below(7), false),
            ),
            7 | 8 => Op::All(self.plans(below, quiet)),
            9 => {
                let others = (0..self.below(3)).map(|_| (self.place(), self.endless(below, true)));
                let others = others.collect();
                Op::First(self.place(), self.plan(below, quiet), others)
            }
            10 => Op::One(self.plans(below, quiet)),
            11 => Op::Parallel(
                (0..self.below(5))
                    .map(|_| self.plan(below, quiet))
                    .collect(),
            ),
            12 | 13 => {
                let plans = self.plans(below, quiet);
                let taken = self.below(2 * plans.len() + 1);
                Op::Orphans(plans, taken)
            }
            14 => match self.below(3) {
                0 => Op::Scope((0..2).map(|_| self.op(below, quiet)).collect(), true),
                1 => Op::Scope((0..3).map(|_| self.op(below, quiet)).collect(), false),
                _ => Op::HalfScope(self.anys(below, true), self.below(7)),
            },
            _ => Op::Ping(self.place(), self.below(5)),
        }
    }
}

// ---- accounts ----

#[derive(Default)]
struct Ledger {
    created: AtomicUsize,
    dropped: AtomicUsize,
    polls: AtomicUsize,
    wrong: Mutex<String>,
}

impl Ledger {
    fn wrong(&self, what: impl std::fmt::Display) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(wrong, "{what}, on {}", here());
    }
}

/// A task, or a scope, in the tree as it should be.
struct Node {
    ledger: Arc<Ledger>,
    /// And whether this one is on the same domain because of how it was started.
    parent: Option<(Arc<Node>, bool)>,
    /// How many futures there are in it and below.
    subtree: AtomicUsize,
    /// It must not be polled any more, nor those below it on this domain.
    cancelled: AtomicBool,
    /// Where it is, as soon as that is known.
    domain: AtomicU32,
}

const UNKNOWN: u32 = u32::MAX;

fn domain_here() -> u32 {
    // "dom" and a number.
    here()[3..].parse().expect("a domain's name")
}

impl Node {
    fn new(ledger: &Arc<Ledger>, parent: Option<(Arc<Node>, bool)>, domain: u32) -> Arc<Node> {
        Arc::new(Node {
            ledger: ledger.clone(),
            parent,
            subtree: AtomicUsize::new(0),
            cancelled: AtomicBool::new(false),
            domain: AtomicU32::new(domain),
        })
    }

    fn up(&self) -> impl Iterator<Item = &Node> {
        std::iter::successors(Some(self), |node| {
            node.parent.as_ref().map(|(node, _)| &**node)
        })
    }

    fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Its end was seen: nothing of it may be left.
    fn seen(&self) {
        if self.subtree.load(Ordering::SeqCst) != 0 {
            self.ledger
                .wrong("the end of a task was seen before all below it was gone");
        }
        self.cancel();
    }

    fn polled(&self) {
        self.ledger.polls.fetch_add(1, Ordering::Relaxed);
        let domain = domain_here();
        let former = self.domain.swap(domain, Ordering::SeqCst);
        if former != UNKNOWN && former != domain {
            self.ledger
                .wrong(format_args!("a task of dom{former} was polled"));
        }
        let mut node = self;
        loop {
            if node.cancelled.load(Ordering::SeqCst) {
                self.ledger
                    .wrong("a task was polled after it was cancelled");
            }
            match &node.parent {
                Some((parent, true)) => node = parent,
                _ => return,
            }
        }
    }
}

/// Accounts for one future, in which it is.
struct Ticket(Arc<Node>);

impl Ticket {
    fn new(node: &Arc<Node>) -> Ticket {
        node.ledger.created.fetch_add(1, Ordering::SeqCst);
        for node in node.up() {
            node.subtree.fetch_add(1, Ordering::SeqCst);
        }
        Ticket(node.clone())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let node = &self.0;
        node.ledger.dropped.fetch_add(1, Ordering::SeqCst);
        let domain = node.domain.load(Ordering::SeqCst);
        if domain != UNKNOWN && domain != domain_here() {
            node.ledger
                .wrong(format_args!("a task of dom{domain} was dropped"));
        }
        for node in node.up() {
            node.subtree.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The future of a task, watched.
struct Watched<F> {
    future: Pin<Box<F>>,
    ticket: Ticket,
}

impl<F: Future<Output = Result<u64>>> Future for Watched<F> {
    type Output = Result<u64>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        self.ticket.0.polled();
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(cx)));
        if !matches!(polled, Ok(Poll::Pending | Poll::Ready(Ok(_)))) {
            // It ends badly: its children are cancelled with it.
            self.ticket.0.cancel();
        }
        polled.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

// ---- doing what is planned ----

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

struct Panics(&'static str);

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// A new child of `parent`, and its code.
fn child(
    cx: &Cx,
    parent: &Arc<Node>,
    place: Place,
    plan: Plan,
) -> (
    Arc<Node>,
    Place,
    impl AsyncFnOnce(&Cx) -> Result<u64> + Send + 'static,
) {
    let place = match (place, cx.domains().len()) {
        (_, 0) | (Place::Here, _) => Place::Here,
        (Place::On(n), count) => Place::On(n % count),
        (Place::Anywhere, _) => Place::Anywhere,
    };
    let dying = parent
        .up()
        .any(|node| node.cancelled.load(Ordering::SeqCst));
    let domain = match place {
        _ if dying => UNKNOWN,
        Place::Here => cx.domain().number() as u32,
        Place::On(n) => cx
            .domains()
            .nth(n)
            .map_or(UNKNOWN, |domain| domain.number() as u32),
        Place::Anywhere => UNKNOWN,
    };
    let here = matches!(place, Place::Here);
    let node = Node::new(&parent.ledger, Some((parent.clone(), here)), domain);
    let (ticket, own) = (Ticket::new(&node), node.clone());
    let code = async move |cx: &Cx| {
        let future = Box::pin(perform(cx, own, plan));
        Watched { future, ticket }.await
    };
    (node, place, code)
}

fn start<'p>(
    cx: &'p Cx,
    parent: &Arc<Node>,
    place: Place,
    plan: Plan,
) -> (Arc<Node>, Task<'p, u64>) {
    let (node, place, code) = child(cx, parent, place, plan);
    let task = match place {
        Place::Here => cx.spawn(code),
        Place::Anywhere => cx.call(code).expect("there are others"),
        Place::On(n) => cx
            .call_on(cx.domains().nth(n).expect("enough"), code)
            .expect("is another"),
    };
    (node, task)
}

async fn cancel(node: &Node, task: Task<'_, u64>, wait: bool) {
    let cancel = task.cancel();
    let local = node.parent.as_ref().is_some_and(|(_, local)| *local);
    if local {
        node.cancel();
    }
    if wait {
        // What came to light is no concern of the model.
        let _ = cancel.await;
        node.seen();
    }
}

async fn perform(cx: &Cx, node: Arc<Node>, plan: Plan) -> Result<u64> {
    let _panics;
    let mut guard = None;
    if let End::Never(place, panics) = plan.end {
        _panics = panics.then(|| Panics("while it is dropped"));
        let node = node.clone();
        guard = place.map(|place| {
            OnDrop(move || {
                node.cancel();
                let plan = Plan {
                    ops: Vec::new(),
                    end: End::Well,
                };
                // It is born cancelled, and nobody awaits it.
                drop(start(cx, &node, place, plan));
            })
        });
    }
    let mut value = 1;
    for op in plan.ops {
        value += work(cx, &node, op).await;
    }
    match plan.end {
        End::Well => Ok(value),
        End::Badly => Err(Failure::msg("as planned")),
        End::BadlyWith(place, plan) => {
            let (_node, _task) = start(cx, &node, place, *plan);
            turns(value as usize % 3).await;
            Err(Failure::msg("as planned"))
        }
        End::Panics => panic!("as planned"),
        End::PanicsInDrop => {
            let _panics = Panics("after it has returned");
            Ok(value)
        }
        End::Never(..) => {
            let never = pending().await;
            drop(guard);
            never
        }
    }
}

fn work<'a>(cx: &'a Cx, node: &'a Arc<Node>, op: Op) -> Boxed<'a, u64> {
    Box::pin(async move {
        match op {
            Op::Yield(count) => {
                turns(count).await;
                0
            }
            Op::Child(place, plan, Fate::Awaited) => {
                let (node, task) = start(cx, node, place, plan);
                let result = task.await;
                node.seen();
                Came::of(&result).worth()
            }
            Op::Child(place, plan, Fate::Cancelled(after, wait)) => {
                let (node, task) = start(cx, node, place, plan);
                turns(after).await;
                cancel(&node, task, wait).await;
                0
            }
            Op::All(plans) => {
                let (nodes, mut tasks): (Vec<_>, Vec<_>) = plans
                    .into_iter()
                    .map(|(place, plan)| start(cx, node, place, plan))
                    .unzip();
                let results = await_all(&mut tasks).await;
                nodes.iter().for_each(|node| node.seen());
                results.iter().map(|result| Came::of(result).worth()).sum()
            }
            Op::First(place, plan, others) => {
                let (winner, task) = start(cx, node, place, plan);
                let (mut nodes, mut tasks) = (vec![winner], vec![task]);
                for (place, plan) in others {
                    let (node, task) = start(cx, node, place, plan);
                    nodes.push(node);
                    tasks.push(task);
                }
                let result = await_first(&mut tasks).await;
                nodes.iter().for_each(|node| node.seen());
                Came::of(&result).worth()
            }
            Op::One(plans) => {
                let mut tasks: Vec<_> = plans
                    .into_iter()
                    .map(|(place, plan)| start(cx, node, place, plan).1)
                    .collect();
                let mut worth = 0;
                while !tasks.is_empty() {
                    worth += Came::of(&await_one(&mut tasks).await).worth();
                }
                worth
            }
            Op::Parallel(plans) => parallel(cx, node, plans).await,
            Op::Orphans(plans, taken) => orphans(cx, node, plans, taken).await,
            Op::Scope(ops, fails) => {
                let scope = Node::new(&node.ledger, Some((node.clone(), true)), UNKNOWN);
                let result = cx.scope(async |cx| {
                    let mut value = 0;
                    for op in ops {
                        value += work(cx, &scope, op).await;
                    }
                    if fails {
                        // With children of both kinds under way.
                        for place in [Place::Here, Place::Anywhere] {
                            let plan = Plan {
                                ops: vec![Op::Yield(2)],
                                end: End::Well,
                            };
                            let (_node, _task) = start(cx, &scope, place, plan);
                        }
                        turns(value as usize % 3).await;
                        return Err(Failure::msg("as planned"));
                    }
                    Ok(value)
                });
                let result = result.await;
                scope.seen();
                Came::of(&result).worth()
            }
            Op::HalfScope(plans, after) => {
                let scope = Node::new(&node.ledger, Some((node.clone(), true)), UNKNOWN);
                let half = cx.scope(async |cx| {
                    for (place, plan) in plans {
                        let (_node, _task) = start(cx, &scope, place, plan);
                    }
                    pending::<Result<()>>().await
                });
                match race(half, turns(after)).await {
                    Either::First(_) => node.ledger.wrong("a scope has ended that never does"),
                    Either::Second(()) => scope.cancel(),
                }
                0
            }
            Op::Ping(place, after) => {
                let gate = Gate::default();
                let opened = gate.clone();
                let plan = Plan {
                    ops: vec![Op::Yield(after)],
                    end: End::Well,
                };
                let place = place.by_call();
                let (node, place, code) = child(cx, node, place, plan);
                let code = async move |cx: &Cx| {
                    let value = code(cx).await;
                    opened.open();
                    value
                };
                let task = match place {
                    Place::Here => cx.spawn(code),
                    _ => cx.call(code).expect("there are others"),
                };
                gate.passed().await;
                if task.await.is_err() {
                    node.ledger.wrong("it ends well");
                }
                node.seen();
                0
            }
        }
    })
}

async fn parallel(cx: &Cx, node: &Arc<Node>, plans: Vec<Plan>) -> u64 {
    if cx.domains().len() == 0 {
        let plans = plans.into_iter().map(|plan| (Place::Here, plan)).collect();
        return work(cx, node, Op::All(plans)).await;
    }
    let (mut nodes, mut inputs) = (Vec::new(), VecDeque::new());
    for plan in plans {
        let node = Node::new(&node.ledger, Some((node.clone(), false)), UNKNOWN);
        inputs.push_back((plan, Ticket::new(&node)));
        nodes.push(node);
    }
    let results = cx.parallel(inputs, async |cx, (plan, ticket)| {
        let future = Box::pin(perform(cx, ticket.0.clone(), plan));
        Watched { future, ticket }.await
    });
    let results = results.await;
    nodes.iter().for_each(|node| node.seen());
    match results {
        Ok(results) => results.iter().map(|result| Came::of(result).worth()).sum(),
        Err(_) => {
            node.ledger.wrong("there are others");
            0
        }
    }
}

async fn orphans(cx: &Cx, node: &Arc<Node>, plans: Vec<(Place, Plan)>, taken: usize) -> u64 {
    let all = taken >= plans.len();
    let mut nodes = Vec::new();
    let mut group = cx.orphans();
    for (place, plan) in plans {
        let (node, place, code) = child(cx, node, place.by_call(), plan);
        match place {
            Place::Here => group.spawn(code),
            _ => group.call(code).expect("there are others"),
        }
        nodes.push(node);
    }
    let (mut worth, mut left) = (0, nodes.len());
    for _ in 0..taken {
        match group.next().await {
            Some(result) => worth += Came::of(&result).worth(),
            None if left > 0 => node.ledger.wrong("an orphan is missing"),
            None => break,
        }
        left -= 1;
        if group.len() != left {
            node.ledger.wrong("a wrong number of orphans");
        }
    }
    while let Some(task) = group.take() {
        let _ = task.cancel().await;
        left -= 1;
    }
    if left != 0 {
        node.ledger.wrong("an orphan was not taken");
    }
    nodes.iter().for_each(|node| node.seen());
    if all { worth } else { 0 }
}

// ---- a run, and many ----

/// How the main task ends, with some children still there if not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    Well,
    Fails,
    Panics,
    /// A task below forgets a child.
    Forgets,
    Stalls,
}

async fn forgets(cx: &Cx, depth: usize) -> Result<()> {
    let last = depth == 0;
    let code = async move |cx: &Cx| match last {
        true => pending().await,
        false => Box::pin(forgets(cx, depth - 1)).await,
    };
    let task = if cx.domains().len() > 0 && depth % 2 == 1 {
        cx.call(code)?
    } else {
        cx.spawn(code)
    };
    if last { Ok(()) } else { task.await }
}

fn one_run(seed: u64, domains: usize) -> Arc<Ledger> {
    let ledger = Arc::new(Ledger::default());
    let own = ledger.clone();
    let finish = match seed / 4 % 8 {
        0 => Finish::Fails,
        1 => Finish::Panics,
        2 | 3 => Finish::Forgets,
        4 => Finish::Stalls,
        _ => Finish::Well,
    };
    let ended = seeded(domains, seed).run(async move |cx| {
        let main = Node::new(&own, None, 0);
        let mut dice = Dice(seed);
        let mut round = 0;
        while own.created.load(Ordering::SeqCst) < TASKS {
            round += 1;
            let plan = dice.plan(4, false);
            let expected = model(&plan);
            let (node, task) = start(cx, &main, dice.place(), plan.clone());
            let result = task.await;
            node.seen();
            if Came::of(&result) != expected {
                own.wrong(format_args!(
                    "round {round}: {result:?}, not {expected:?}: {plan:?}"
                ));
            }
        }
        if finish == Finish::Well {
            return Ok(());
        }
        // Not stalled, it will be doing something.
        let mut background = Vec::new();
        if finish != Finish::Stalls {
            for _ in 0..5 {
                let plan = dice.any(3, true);
                background.push(start(cx, &main, dice.place(), plan));
            }
        }
        turns(dice.below(5)).await;
        match finish {
            Finish::Fails => Err(Failure::msg("main fails")),
            Finish::Panics => panic!("main panics"),
            Finish::Forgets => {
                forgets(cx, 1 + dice.below(4)).await?;
                unreachable!("nobody survives it")
            }
            _ => {
                let plan = Plan {
                    ops: Vec::new(),
                    end: End::Never(None, false),
                };
                let place = dice.place();
                start(cx, &main, place, plan).1.await.map(drop)
            }
        }
    });
    let fine = match (&ended, finish) {
        (Ok(()), Finish::Well) => true,
        (Err(failure), Finish::Fails) => failure.to_string() == "main fails",
        (Err(failure), Finish::Panics) => failure.to_string() == "panicked: main panics",
        (Err(failure), Finish::Forgets) => {
            assert_still_has_children(failure);
            true
        }
        (Err(failure), Finish::Stalls) => {
            matches!(failure.reason(), Reason::Violation(_))
                && failure.to_string().contains("waits")
        }
        _ => false,
    };
    if !fine {
        ledger.wrong(format_args!("{finish:?}, but {ended:?}"));
    }
    let (created, dropped) = (&ledger.created, &ledger.dropped);
    if created.load(Ordering::SeqCst) != dropped.load(Ordering::SeqCst) {
        ledger.wrong(format_args!(
            "{created:?} were created and {dropped:?} dropped"
        ));
    }
    ledger
}

/// Descriptors and threads. A thread that was joined may be listed for a moment, so waits until there are no more than
/// `usual`, if that comes.
#[cfg(target_os = "linux")]
fn taken_from_the_system(usual: usize) -> (usize, usize) {
    let count = |what| std::fs::read_dir(what).expect("Linux has it").count();
    let patience = Instant::now() + Duration::from_secs(20);
    while count("/proc/self/task") > usual && Instant::now() < patience {
        std::thread::yield_now();
    }
    (count("/proc/self/fd"), count("/proc/self/task"))
}

#[cfg(not(target_os = "linux"))]
fn taken_from_the_system(_: usize) -> (usize, usize) {
    (0, 0)
}

/// The only test of this program: it counts threads and descriptors.
#[test]
fn whatever_tasks_do_nothing_is_left_behind() {
    let seeds = std::env::var("SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SEEDS);
    let first = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    // The panics that are planned say nothing.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or(payload.downcast_ref::<&str>().copied());
        let text = text.unwrap_or_default();
        let planned = [
            "as planned",
            "while it is dropped",
            "after it has returned",
            "main panics",
        ];
        if !planned.contains(&text) {
            hook(info);
        }
    }));
    let began = Instant::now();
    let (mut tasks, mut polls) = (0, 0);
    let mut before = None;
    let (_, threads) = taken_from_the_system(usize::MAX);
    for seed in first..first + seeds {
        let domains = seed as usize % 4;
        // Each run within its bound in time.
        let ledger = catch_unwind(|| common::bounded(move || one_run(seed, domains)));
        let Ok(ledger) = ledger else {
            panic!("seed {seed} with {domains} domains")
        };
        let wrong = ledger.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            wrong.is_empty(),
            "seed {seed} with {domains} domains:\n{wrong}"
        );
        tasks += ledger.created.load(Ordering::SeqCst);
        polls += ledger.polls.load(Ordering::SeqCst);
        let now = taken_from_the_system(threads);
        assert_eq!(
            *before.get_or_insert(now),
            now,
            "seed {seed}: descriptors and threads"
        );
    }
    println!(
        "{seeds} seeds, {tasks} tasks, {polls} polls in {:?}",
        began.elapsed()
    );
    let _ = panic::take_hook();
}
