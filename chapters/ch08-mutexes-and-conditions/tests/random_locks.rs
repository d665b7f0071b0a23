//! Random tasks on 0 to 3 domains that share locks and permits, give up waiting, have time-outs, panic and are cancelled. Nobody is in
//! a lock with somebody else, and in the end every lock is free, every permit is back, and who waited is served.
//!
//! `SEEDS=1000 cargo test --release --test random_locks -- --nocapture` for more.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod world;

use ch08_mutexes_and_conditions::{Condition, Cx, Failure, Mutex, MutexGuard, Result};
use ch08_mutexes_and_conditions::{sleep, timeout, yield_now};
use common::bounded;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use world::seeded;

/// So many seeds if the environment does not say otherwise.
const SEEDS: u64 = 100;

/// So many locks, always taken in this order.
const LOCKS: usize = 3;

/// So many permits.
const PERMITS: usize = 2;

#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % bound
    }

    fn split(&mut self) -> Dice {
        Dice(self.below(u64::MAX >> 33) ^ self.0.rotate_left(17))
    }

    /// A short while, often none.
    fn nap(&mut self) -> Duration {
        Duration::from_micros(match self.below(3) {
            0 => 0,
            _ => self.below(300),
        })
    }
}

/// What all tasks share.
#[derive(Default)]
struct Shared {
    locks: [Lock; LOCKS],
    taken: Mutex<usize>,
    returned: Condition,
    /// How many have a permit.
    permitted: AtomicUsize,
    /// How often a lock and a permit were had, or given up.
    had: AtomicUsize,
    given_up: AtomicUsize,
}

#[derive(Default)]
struct Lock {
    mutex: Mutex<usize>,
    inside: AtomicUsize,
}

/// Somebody is in the lock.
struct Inside<'l> {
    lock: &'l Lock,
    count: MutexGuard<'l, usize>,
}

impl<'l> Inside<'l> {
    fn enter(lock: &'l Lock, count: MutexGuard<'l, usize>) -> Inside<'l> {
        assert_eq!(lock.inside.fetch_add(1, SeqCst), 0, "somebody is in here");
        Inside { lock, count }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.count += 1;
        assert_eq!(self.lock.inside.fetch_sub(1, SeqCst), 1);
    }
}

/// What a task does for a while.
async fn linger(dice: &mut Dice) {
    match dice.below(4) {
        0 => sleep(dice.nap()).await,
        1 => {}
        _ => yield_now().await,
    }
}

/// Takes some of the locks, one after the other, and perhaps gives up waiting.
async fn use_locks(shared: &Shared, dice: &mut Dice) {
    let mut held = Vec::new();
    for lock in &shared.locks {
        let guard = match dice.below(4) {
            0 => continue,
            1 => lock.mutex.try_lock(),
            2 => timeout(dice.nap(), lock.mutex.lock()).await.ok(),
            _ => Some(lock.mutex.lock().await),
        };
        let count = match guard {
            Some(_) => &shared.had,
            None => &shared.given_up,
        };
        count.fetch_add(1, SeqCst);
        held.extend(guard.map(|guard| Inside::enter(lock, guard)));
        linger(dice).await;
    }
}

/// A permit that somebody has. It goes back even if the task is cancelled.
struct Permit<'s>(&'s Shared);

impl<'s> Permit<'s> {
    /// Waits for one. Between the last `.await` and the end nothing can go wrong.
    async fn take(shared: &'s Shared) -> Permit<'s> {
        let taken = shared.taken.lock().await;
        let none_left = |taken: &mut usize| *taken == PERMITS;
        let mut taken = shared.returned.wait_while(taken, none_left).await;
        *taken += 1;
        assert!(shared.permitted.fetch_add(1, SeqCst) < PERMITS);
        Permit(shared)
    }

    async fn give_back(self) {
        let mut taken = self.0.taken.lock().await;
        self.0.permitted.fetch_sub(1, SeqCst);
        *taken -= 1;
        self.0.returned.signal();
    }
}

async fn use_permit(shared: &Shared, dice: &mut Dice) {
    let permit = match dice.below(2) {
        0 => Some(Permit::take(shared).await),
        _ => timeout(dice.nap(), Permit::take(shared)).await.ok(),
    };
    let count = match permit {
        Some(_) => &shared.had,
        None => &shared.given_up,
    };
    count.fetch_add(1, SeqCst);
    if let Some(permit) = permit {
        linger(dice).await;
        permit.give_back().await;
    }
}

/// Whoever is cancelled with a permit has it for ever; so only what takes none is cancelled, or it is waiting for one.
async fn patient(shared: &Shared, mut dice: Dice) -> Result<()> {
    for _ in 0..dice.below(12) {
        match dice.below(2) {
            0 => use_locks(shared, &mut dice).await,
            _ => use_permit(shared, &mut dice).await,
        }
    }
    Ok(())
}

/// Ends at any point.
async fn hasty(shared: &Shared, mut dice: Dice) -> Result<()> {
    loop {
        match dice.below(8) {
            0 => return Err(Failure::msg("enough")),
            1 => {
                let _inside = Inside::enter(&shared.locks[0], shared.locks[0].mutex.lock().await);
                panic!("with a lock");
            }
            2 => {
                // Waits, and takes nothing.
                let taken = shared.taken.lock().await;
                drop(shared.returned.wait(taken).await);
            }
            _ => use_locks(shared, &mut dice).await,
        }
    }
}

async fn main_task(cx: &Cx, shared: Arc<Shared>, mut dice: Dice) -> Result<()> {
    let (mut stays, mut goes) = (Vec::new(), Vec::new());
    for _ in 0..2 + dice.below(10) {
        let (shared, dice, elsewhere) = (shared.clone(), dice.split(), dice.below(3) > 0);
        let f = async move |_: &Cx| patient(&shared, dice).await;
        stays.push(match elsewhere && cx.domains().len() > 0 {
            true => cx.call(f)?,
            false => cx.spawn(f),
        });
    }
    for _ in 0..dice.below(10) {
        let (shared, dice, elsewhere) = (shared.clone(), dice.split(), dice.below(3) > 0);
        let f = async move |_: &Cx| hasty(&shared, dice).await;
        goes.push(match elsewhere && cx.domains().len() > 0 {
            true => cx.call(f)?,
            false => cx.spawn(f),
        });
    }
    while let Some(task) = goes.pop() {
        linger(&mut dice).await;
        // It may have failed before.
        let _ = task.cancel().await;
    }
    for task in stays {
        task.await?;
    }
    for lock in &shared.locks {
        assert_eq!(lock.inside.load(SeqCst), 0);
        assert!(lock.mutex.try_lock().is_some(), "a lock is lost");
    }
    assert_eq!(*shared.taken.try_lock().expect("nobody has it"), 0);
    Ok(assert_eq!(shared.permitted.load(SeqCst), 0))
}

#[test]
fn rule_14_random_tasks_share_and_give_up() {
    let seeds = std::env::var("SEEDS").ok();
    let seeds = seeds.map_or(SEEDS, |seeds| seeds.parse().expect("a number"));
    let (mut had, mut given_up) = (0, 0);
    for seed in 0..seeds {
        let shared = Arc::new(Shared::default());
        let used = shared.clone();
        let domains = (seed % 4) as usize;
        let ended = bounded(move || {
            let dice = Dice(seed);
            seeded(domains, seed).run(async move |cx| main_task(cx, used, dice).await)
        });
        if let Err(failure) = ended {
            panic!("seed {seed} on {domains} domains: {failure:?}");
        }
        had += shared.had.load(SeqCst);
        given_up += shared.given_up.load(SeqCst);
    }
    println!("{seeds} seeds: {had} locks and permits were had, {given_up} given up");
    assert!(had > 0 && given_up > 0, "nothing was tried");
}
