//! Random trees of tasks on 0 to 3 domains that own, give, transfer, receive, release and lose, and are cancelled at random
//! moments. Each resource is accounted for: it is finalised once, when its owner and all below it is gone, after those that the owner has
//! owned later; or it was released, disowned or lost. And random connections, of which none stays open.
//!
//! `SEEDS=1000 CONNECTIONS=10000 cargo test --release --test random_owners -- --nocapture` for more.

mod common;
mod owners;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Failure, Orphans, Owned, Reason, Result, TcpStream, Violation, race,
};
use common::bounded;
use owners::{alone, open_descriptors, poll_by_hand, turns};
use std::fmt::{Display, Write};
use std::future::pending;
use std::net;
use std::panic;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use world::{OnDrop, here, seeded};

/// So many seeds, and connections, if the environment does not say otherwise.
const SEEDS: u64 = 40;
const CONNECTIONS: u64 = 300;

/// So many resources a seed, at least.
const RESOURCES: usize = 400;

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        ((self.0 >> 33) % bound as u64) as usize
    }

    fn another(&mut self) -> Dice {
        Dice(self.0 ^ (self.below(1 << 31) as u64) << 7)
    }
}

// ---- accounts ----

#[derive(Default)]
struct Ledger {
    created: AtomicUsize,
    /// By the end of their owners.
    finalised: AtomicUsize,
    released: AtomicUsize,
    disowned: AtomicUsize,
    lost: AtomicUsize,
    /// The order in which resources get owners, on each domain.
    clocks: [AtomicU64; 4],
    wrong: Mutex<String>,
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::SeqCst);
}

impl Ledger {
    fn wrong(&self, what: impl Display) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(wrong, "{what}, on {}", here());
    }

    fn tick(&self) -> Option<u64> {
        let domain: usize = here()[3..].parse().expect("a domain's name");
        Some(self.clocks[domain].fetch_add(1, Ordering::SeqCst))
    }
}

/// A task, or a scope, in the tree as it should be.
struct Node {
    ledger: Arc<Ledger>,
    parent: Option<Arc<Node>>,
    /// How many futures there are in it and below.
    subtree: AtomicUsize,
    /// When the last one that was finalised had come to it.
    last: AtomicU64,
}

impl Node {
    fn new(ledger: &Arc<Ledger>, parent: Option<&Arc<Node>>) -> Arc<Node> {
        Arc::new(Node {
            ledger: ledger.clone(),
            parent: parent.cloned(),
            subtree: AtomicUsize::new(0),
            last: AtomicU64::new(u64::MAX),
        })
    }

    fn below(self: &Arc<Node>) -> (Arc<Node>, Ticket) {
        let node = Node::new(&self.ledger, Some(self));
        let ticket = Ticket::new(&node);
        (node, ticket)
    }

    fn up(&self) -> impl Iterator<Item = &Node> {
        std::iter::successors(Some(self), |node| node.parent.as_deref())
    }

    /// Its end was seen: nothing of it may be left.
    fn seen(&self) {
        if self.subtree.load(Ordering::SeqCst) != 0 {
            self.ledger.wrong("an end was seen too early");
        }
    }
}

/// Accounts for one future, in which it is.
struct Ticket(Arc<Node>);

impl Ticket {
    fn new(node: &Arc<Node>) -> Ticket {
        node.up().for_each(|node| count(&node.subtree));
        Ticket(node.clone())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        for node in self.0.up() {
            node.subtree.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

struct Item {
    owner: Arc<Node>,
    /// When its owner got it, if that is known here.
    since: Option<u64>,
    releasing: bool,
    /// Neither finalised nor disowned.
    open: bool,
    /// What its finaliser does.
    end: usize,
}

impl Item {
    fn finalise(mut self) -> Result<()> {
        self.open = false;
        let (owner, ledger) = (&self.owner, &self.owner.ledger);
        if self.releasing {
            count(&ledger.released);
        } else {
            count(&ledger.finalised);
            if owner.subtree.load(Ordering::SeqCst) != 0 {
                ledger.wrong("finalised while there was something of its owner, or below it");
            }
            if let Some(since) = self.since {
                let last = owner.last.swap(since, Ordering::SeqCst);
                if since >= last {
                    ledger.wrong(format_args!("that of {since} after that of {last}"));
                }
            }
        }
        match self.end {
            0 => Err(Failure::msg("as planned")),
            1 => panic!("as planned"),
            _ => Ok(()),
        }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        if self.open {
            self.owner.ledger.wrong("dropped, and not finalised");
        }
    }
}

type Proof<'c> = Owned<'c, Item>;

// ---- what tasks do ----

fn own<'c>(cx: &'c Cx, node: &Arc<Node>, dice: &mut Dice) -> Proof<'c> {
    count(&node.ledger.created);
    let item = Item {
        owner: node.clone(),
        since: node.ledger.tick(),
        releasing: false,
        open: true,
        end: dice.below(25),
    };
    cx.own("an item", item, Item::finalise)
}

async fn release(mut proof: Proof<'_>) {
    proof.releasing = true;
    let _ = proof.release().await;
}

fn disown(proof: Proof<'_>) {
    let mut item = proof.disown();
    item.open = false;
    count(&item.owner.ledger.disowned);
}

fn transfer(mut proof: Proof<'_>, elsewhere: bool) {
    let Some(parent) = proof.owner.parent.clone() else {
        return drop(proof);
    };
    proof.since = match elsewhere {
        // It is as old as the message that brings it.
        true => None,
        false => parent.ledger.tick(),
    };
    proof.owner = parent;
    proof.transfer_across();
}

/// `proof` is about to be given to `node`.
fn address(proof: &mut Proof<'_>, node: &Arc<Node>, elsewhere: bool) {
    proof.since = if elsewhere { None } else { node.ledger.tick() };
    proof.owner = node.clone();
}

/// How a task or scope ends, if it is not cancelled before.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Well,
    Badly,
    Panics,
    Never,
}

struct Part<'c> {
    cx: &'c Cx,
    node: Arc<Node>,
    dice: Dice,
    depth: usize,
    end: End,
    /// Whether its parent is on another domain.
    elsewhere: bool,
    held: Vec<Proof<'c>>,
}

type Boxed<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

impl<'c> Part<'c> {
    fn perform(self) -> Boxed<'c> {
        Box::pin(self.play())
    }

    fn any(&mut self) -> Option<Proof<'c>> {
        match self.held.len() {
            0 => None,
            count => Some(self.held.swap_remove(self.dice.below(count))),
        }
    }

    async fn play(mut self) -> Result<()> {
        let cx = self.cx;
        if self.elsewhere {
            for proof in &mut self.held {
                proof.since = self.node.ledger.tick();
            }
        }
        // Dropped with the future, however it ends: what it does with its proof, it does in a destructor.
        let mut last = None;
        let (what, mut dice) = (self.dice.below(6), self.dice.another());
        let (node, elsewhere) = (self.node.clone(), self.elsewhere);
        if self.end != End::Well {
            last = Some(own(cx, &self.node, &mut self.dice));
        }
        let _last = OnDrop(|| {
            let Some(proof) = last.take() else { return };
            match what {
                0 => transfer(proof, elsewhere),
                1 => drop(poll_by_hand(release(proof))),
                2 => disown(proof),
                3 => {
                    let mut proof = proof;
                    // It is born cancelled, on this domain.
                    let (child, ticket) = node.below();
                    address(&mut proof, &child, false);
                    drop(cx.give(proof).spawn(async move |_, proof| {
                        let _ticket = ticket;
                        drop(proof);
                        pending::<Result<()>>().await
                    }));
                    drop(own(cx, &node, &mut dice));
                }
                _ => drop(proof),
            }
        });
        for _ in 0..1 + self.dice.below(7) {
            self.act().await;
        }
        match self.end {
            End::Never => return pending().await,
            End::Panics => panic!("as planned"),
            End::Badly => {
                if self.dice.below(3) == 0
                    && let Some(proof) = self.any()
                {
                    count(&self.node.ledger.lost);
                    let mut proof = proof;
                    proof.since = None;
                    std::mem::forget(proof);
                }
                return Err(Failure::msg("as planned"));
            }
            End::Well => {}
        }
        while let Some(proof) = self.any() {
            match self.dice.below(4) {
                0 | 1 if self.node.parent.is_some() => transfer(proof, self.elsewhere),
                2 => disown(proof),
                _ => release(proof).await,
            }
        }
        while let Some(proof) = cx.receive::<Item>() {
            release(proof).await;
        }
        Ok(())
    }

    async fn act(&mut self) {
        let (cx, depth) = (self.cx, self.depth);
        match self.dice.below(12) {
            0..=2 => self.held.push(own(cx, &self.node, &mut self.dice)),
            3 => turns(self.dice.below(5)).await,
            4 => drop(self.any()),
            5 => self.held.extend(cx.receive::<Item>()),
            6 => match (self.any(), self.dice.below(4)) {
                (None, _) => {}
                (Some(proof), 0) => disown(proof),
                (Some(proof), 1) => transfer(proof, self.elsewhere),
                // Not polled: it is as if it had not been.
                (Some(proof), 2) => drop(proof.release()),
                (Some(proof), _) => release(proof).await,
            },
            7..=9 if depth > 0 => self.child().await,
            10 if depth > 0 => self.orphans().await,
            _ if depth > 0 => self.scope().await,
            _ => {}
        }
    }

    fn an_end(&mut self) -> End {
        match self.dice.below(8) {
            0..=3 => End::Well,
            4 | 5 => End::Badly,
            6 => End::Panics,
            _ => End::Never,
        }
    }

    async fn child(&mut self) {
        let cx = self.cx;
        let there = cx.domains().len() > 0 && self.dice.below(2) == 0;
        let end = self.an_end();
        let cancelled = end == End::Never || self.dice.below(3) == 0;
        let (node, ticket) = self.node.below();
        let (of_child, depth) = (node.clone(), self.depth - 1);
        let dice = self.dice.another();
        // What the child does, with what it is given.
        macro_rules! code {
            ($cx:ident $(, $given:pat, $held:expr)?) => {
                async move |$cx: &_ $(, $given)?| {
                    let _ticket = ticket;
                    #[allow(unused_mut, unused_assignments)]
                    let mut held = Vec::new();
                    $(held = $held;)?
                    let node = of_child;
                    let part = Part { cx: $cx, node, dice, depth, end, elsewhere: there, held };
                    part.perform().await
                }
            };
        }
        let gifts = self.dice.below(4).min(self.held.len());
        let mut given: Vec<Proof<'c>> = (0..gifts).filter_map(|_| self.any()).collect();
        given
            .iter_mut()
            .for_each(|proof| address(proof, &node, there));
        let mut given = given.into_iter();
        let task = match (given.next(), given.next(), given.next()) {
            (Some(a), None, _) if there => cx.give(a).call(code!(cx, a, vec![a])),
            (Some(a), None, _) => Ok(cx.give(a).spawn(code!(cx, a, vec![a]))),
            (Some(a), Some(b), None) if there => {
                cx.give((a, b)).call(code!(cx, (a, b), vec![a, b]))
            }
            (Some(a), Some(b), None) => Ok(cx.give((a, b)).spawn(code!(cx, (a, b), vec![a, b]))),
            (Some(a), Some(b), Some(c)) if there => {
                cx.give((a, b, c)).call(code!(cx, (a, b, c), vec![a, b, c]))
            }
            (Some(a), Some(b), Some(c)) => {
                Ok(cx
                    .give((a, b, c))
                    .spawn(code!(cx, (a, b, c), vec![a, b, c])))
            }
            _ if there => cx.call(code!(cx)),
            _ => Ok(cx.spawn(code!(cx))),
        };
        let task = task.expect("there is another domain");
        if !cancelled {
            let _ = task.await;
            return node.seen();
        }
        turns(self.dice.below(5)).await;
        let cancel = task.cancel();
        if self.dice.below(2) == 0 {
            let _ = cancel.await;
            node.seen();
        }
    }

    async fn orphans(&mut self) {
        let mut group: Orphans<'_, ()> = self.cx.orphans();
        for _ in 0..1 + self.dice.below(4) {
            let there = self.cx.domains().len() > 0 && self.dice.below(2) == 0;
            let (end, dice, depth) = (self.an_end(), self.dice.another(), self.depth - 1);
            let (node, ticket) = self.node.below();
            let mut proof = match self.any() {
                Some(proof) => proof,
                None => own(self.cx, &self.node, &mut self.dice),
            };
            address(&mut proof, &node, there);
            macro_rules! code {
                () => {
                    async move |cx, given| {
                        let _ticket = ticket;
                        let (elsewhere, held) = (there, vec![given]);
                        Part {
                            cx,
                            node,
                            dice,
                            depth,
                            end,
                            elsewhere,
                            held,
                        }
                        .perform()
                        .await
                    }
                };
            }
            match there {
                true => group.give(proof).call(code!()).expect("there is another"),
                false => group.give(proof).spawn(code!()),
            }
        }
        for _ in 0..self.dice.below(4) {
            let patience = self.dice.below(20);
            race(group.next(), turns(patience)).await;
        }
        while let Some(task) = group.take() {
            let cancel = task.cancel();
            if self.dice.below(2) == 0 {
                let _ = cancel.await;
            }
        }
    }

    async fn scope(&mut self) {
        let (node, ticket) = self.node.below();
        let (dice, depth, end) = (self.dice.another(), self.depth - 1, self.an_end());
        let (patience, whole) = (self.dice.below(30), self.dice.below(2) == 0);
        let own_node = node.clone();
        let scope = self.cx.scope(async move |cx| {
            let _ticket = ticket;
            let (elsewhere, held) = (false, Vec::new());
            Part {
                cx,
                node: own_node,
                dice,
                depth,
                end,
                elsewhere,
                held,
            }
            .perform()
            .await
        });
        match end {
            End::Well | End::Badly if whole => {
                let _ = scope.await;
                node.seen();
            }
            _ => drop(race(scope, turns(patience)).await),
        }
    }
}

// ---- a run, and many ----

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    Well,
    Fails,
    Panics,
    Leaks,
    Forgets,
}

fn one_run(seed: u64, domains: usize) -> Arc<Ledger> {
    let ledger = Arc::new(Ledger::default());
    let accounts = ledger.clone();
    let finish = match seed / 4 % 6 {
        0 => Finish::Fails,
        1 => Finish::Panics,
        2 => Finish::Leaks,
        3 => Finish::Forgets,
        _ => Finish::Well,
    };
    let ended = seeded(domains, seed).run(async move |cx| {
        let main = Node::new(&accounts, None);
        let _ticket = Ticket::new(&main);
        let mut dice = Dice(seed);
        let mut part = |end| Part {
            cx,
            node: main.clone(),
            dice: dice.another(),
            depth: 4,
            end,
            elsewhere: false,
            held: Vec::new(),
        };
        while accounts.created.load(Ordering::SeqCst) < RESOURCES {
            part(End::Well).child().await;
        }
        if finish == Finish::Well {
            return part(End::Well).perform().await;
        }
        let mut background = Vec::new();
        for place in 0..4 {
            let (node, ticket) = main.below();
            let (dice, depth, end) = (part(End::Well).dice, 3, End::Never);
            let there = domains > 0 && place % 2 == 1;
            let code = async move |cx: &Cx| {
                let _ticket = ticket;
                let (elsewhere, held) = (there, Vec::new());
                Part {
                    cx,
                    node,
                    dice,
                    depth,
                    end,
                    elsewhere,
                    held,
                }
                .perform()
                .await
            };
            background.push(match there {
                true => cx.call(code)?,
                false => cx.spawn(code),
            });
        }
        turns(part(End::Well).dice.below(9)).await;
        if finish == Finish::Fails {
            part(End::Badly).perform().await?;
        }
        let (node, ticket) = main.below();
        let mut dice = part(End::Well).dice;
        let breaks = async move |cx: &Cx| {
            let _ticket = ticket;
            let proof = own(cx, &node, &mut dice);
            match finish {
                Finish::Leaks => drop(proof),
                _ => {
                    let _: () = release(proof).await;
                    drop(cx.spawn(async |_| pending::<Result<()>>().await));
                }
            }
            Ok(())
        };
        match finish {
            Finish::Panics => panic!("as planned"),
            _ if domains > 0 => cx.call(breaks)?.await,
            _ => cx.spawn(breaks).await,
        }
    });
    let fine = match (&ended, finish) {
        (Ok(()), Finish::Well) => true,
        (Err(failure), Finish::Well | Finish::Panics) => {
            // A panic that nobody else could receive.
            matches!(failure.reason(), Reason::Panicked(text) if text == "as planned")
        }
        (Err(failure), Finish::Fails) => failure.to_string() == "as planned",
        (Err(failure), Finish::Leaks | Finish::Forgets) => matches!(
            (failure.reason(), finish),
            (
                Reason::Violation(Violation::ResourceLeaked { .. }),
                Finish::Leaks
            ) | (
                Reason::Violation(Violation::StillHasChildren { .. }),
                Finish::Forgets
            )
        ),
        _ => false,
    };
    if !fine {
        ledger.wrong(format_args!("{finish:?}, but {ended:?}"));
    }
    ledger
}

/// The panics that are planned say nothing.
fn quietly(test: impl FnOnce()) {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref() != Some(&"as planned") {
            hook(info);
        }
    }));
    test();
    let _ = panic::take_hook();
}

fn whatever_owners_do() {
    let (seeds, first) = (setting("SEEDS", SEEDS), setting("SEED", 0));
    let began = Instant::now();
    let mut sums = [0; 5];
    let mut before = None;
    for seed in first..first + seeds {
        let domains = seed as usize % 4;
        let ledger = bounded(move || one_run(seed, domains));
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        let [created, ended @ ..] = [
            &ledger.created,
            &ledger.finalised,
            &ledger.released,
            &ledger.disowned,
            &ledger.lost,
        ]
        .map(count);
        if created != ended.iter().sum::<usize>() {
            ledger.wrong(format_args!("{created} were created: {ended:?}"));
        }
        let wrong = ledger.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(wrong.is_empty(), "seed {seed}, {domains} domains:\n{wrong}");
        for (sum, count) in sums.iter_mut().zip([created].iter().chain(&ended)) {
            *sum += count;
        }
        let now = open_descriptors();
        assert_eq!(*before.get_or_insert(now), now, "seed {seed}: descriptors");
    }
    let [created, finalised, released, disowned, lost] = sums;
    println!(
        "{seeds} seeds, {created} resources in {:?}: {finalised} finalised, {released} released, \
         {disowned} disowned, {lost} lost",
        began.elapsed()
    );
    assert!(sums.iter().all(|&sum| sum > 0), "each of them happens");
}

#[test]
fn rule_12_whatever_owners_do_each_resource_comes_to_one_end() {
    alone(
        "rule_12_whatever_owners_do_each_resource_comes_to_one_end",
        || quietly(whatever_owners_do),
    );
}

// ---- connections ----

/// What a task does with a connection that it was given.
async fn talk(cx: &Cx, mut stream: Owned<'_, TcpStream>, mut dice: Dice) -> Result<()> {
    let mut buffer = [0; 16];
    turns(dice.below(3)).await;
    match dice.below(8) {
        0 => stream.release().await?,
        1 => drop(stream.disown()),
        2 => {
            let child = cx.give(stream).spawn(async |_, mut stream| {
                stream.read(&mut [0; 16]).await?;
                pending::<Result<()>>().await
            });
            child.await?;
        }
        3 => {
            stream.write_all(b"hello").await?;
            drop(stream);
        }
        4 => std::mem::forget(stream),
        5 => stream.transfer(),
        6 if cx.domains().len() > 0 => {
            let there = cx.give(stream.detach()?).call(async |cx, plain| {
                let mut stream = cx.adopt(plain)?;
                stream.read(&mut [0; 16]).await?;
                pending::<Result<()>>().await
            })?;
            there.await?;
        }
        _ => drop(stream.read(&mut buffer).await?),
    }
    match dice.below(3) {
        0 => Err(Failure::msg("as planned")),
        _ => pending().await,
    }
}

fn connections(seed: u64, count: u64, domains: usize) -> Result<()> {
    seeded(domains, seed).run(async move |cx| {
        let during = open_descriptors();
        let code = async move |cx: &Cx| {
            let mut dice = Dice(seed);
            let mut listener = cx.listen("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            let mut peers = Vec::new();
            let mut tasks = Vec::new();
            for _ in 0..count {
                let peer = net::TcpStream::connect(address)?;
                peer.set_read_timeout(Some(Duration::from_secs(10)))?;
                peers.push(peer);
                let (stream, _) = listener.accept(cx).await?;
                let dice_of_it = dice.another();
                tasks.push(
                    cx.give(stream)
                        .spawn(async move |cx, stream| talk(cx, stream, dice_of_it).await),
                );
                // Some peers leave, some say something.
                match dice.below(4) {
                    0 => drop(peers.swap_remove(dice.below(peers.len()))),
                    1 => {
                        use std::io::Write;
                        let place = dice.below(peers.len());
                        let _ = peers[place].write_all(b"hello");
                    }
                    _ => {}
                }
                if dice.below(3) == 0 {
                    let task = tasks.swap_remove(dice.below(tasks.len()));
                    let cancel = task.cancel();
                    if dice.below(2) == 0 {
                        let _ = cancel.await;
                    }
                }
            }
            turns(dice.below(4)).await;
            while let Some(task) = tasks.pop() {
                if dice.below(20) == 0 {
                    break;
                }
                drop(task.cancel());
            }
            // Those that are left are cancelled by this.
            Err::<(), _>(Failure::msg(peers.len()))
        };
        let task = match cx.domains().next() {
            None => cx.spawn(code),
            Some(domain) => cx.call_on(domain, code)?,
        };
        let failure = task.await.expect_err("as planned");
        if failure.to_string().parse::<usize>().is_err() {
            return Err(failure);
        }
        let now = open_descriptors();
        match now == during {
            true => Ok(()),
            false => Err(Failure::msg(format_args!(
                "{during:?} were open, {now:?} are"
            ))),
        }
    })
}

#[test]
fn rule_12_no_connection_stays_open_whenever_its_task_is_cancelled() {
    alone(
        "rule_12_no_connection_stays_open_whenever_its_task_is_cancelled",
        || {
            let began = Instant::now();
            let all = setting("CONNECTIONS", CONNECTIONS);
            let (mut left, mut seed) = (all, setting("SEED", 0));
            while left > 0 {
                let count = left.min(50);
                let domains = seed as usize % 4;
                let ended = bounded(move || connections(seed, count, domains));
                assert!(ended.is_ok(), "seed {seed}, {domains} domains: {ended:?}");
                left -= count;
                seed += 1;
            }
            println!("{all} connections in {:?}", began.elapsed());
        },
    );
}
