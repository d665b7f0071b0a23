//! Random trees of tasks on 0 to 3 domains, that sleep, have time-outs, are cancelled, and own what takes time to be
//! finalised. Whatever becomes of a task: when somebody sees its end, each of its resources was finalised once,
//! the newest first, those of its children before; and nobody is left.
//!
//! `SEEDS=1000 cargo test --release --test random_sleepers -- --nocapture` for more.

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Failure, Owned, Result, Task, TimedOut, sleep, timeout, yield_now,
};
use common::bounded;
use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use times::{HOUR, lock};
use world::seeded;

/// So many seeds if the environment does not say otherwise.
const SEEDS: u64 = 60;

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

    /// A short while, often none.
    fn nap(&mut self) -> Duration {
        match self.below(3) {
            0 => Duration::ZERO,
            _ => Duration::from_micros(self.below(3000)),
        }
    }

    fn split(&mut self) -> Dice {
        Dice(self.below(u64::MAX >> 33) ^ self.0)
    }
}

/// What is kept of one task, for those above it to look at.
#[derive(Default)]
struct Account {
    /// How many resources it has owned.
    owned: AtomicUsize,
    /// What was finalised: the number of the resource, and whether that began or was over.
    log: Mutex<Vec<(usize, bool)>>,
    children: Mutex<Vec<Arc<Account>>>,
}

/// Notes that a finaliser is over, however that comes about: it may be dropped at its limit.
struct Over(Arc<Account>, usize);

impl Drop for Over {
    fn drop(&mut self) {
        lock(&self.0.log).push((self.1, false));
    }
}

impl Account {
    fn child(&self) -> Arc<Account> {
        let child = Arc::<Account>::default();
        lock(&self.children).push(child.clone());
        child
    }

    /// The task is over, and everything below it.
    fn check(&self, newest_first: bool) -> usize {
        let log = lock(&self.log).clone();
        let owned = self.owned.load(Ordering::Relaxed);
        let mut begun: Vec<usize> = log
            .iter()
            .filter(|note| note.1)
            .map(|note| note.0)
            .collect();
        if newest_first {
            // Each is over before the next one begins.
            for pair in log.chunks(2) {
                let [(begun, true), (over, false)] = pair else {
                    panic!("not one after another: {log:?}")
                };
                assert_eq!(begun, over, "{log:?}");
            }
            assert!(begun.is_sorted_by(|a, b| a > b), "newest first: {log:?}");
        }
        begun.sort_unstable();
        assert_eq!(begun, (0..owned).collect::<Vec<_>>(), "each once: {log:?}");
        assert_eq!(log.len(), 2 * owned, "all are over: {log:?}");
        let children = lock(&self.children).clone();
        owned
            + children
                .iter()
                .map(|child| child.check(true))
                .sum::<usize>()
    }
}

/// Makes the task the owner of something, whose finaliser does this or that.
fn own<'c>(cx: &'c Cx, account: &Arc<Account>, dice: &mut Dice) -> Owned<'c, Over> {
    let number = account.owned.fetch_add(1, Ordering::Relaxed);
    let (noted, over) = (account.clone(), Over(account.clone(), number));
    let begin = move || lock(&noted.log).push((number, true));
    let nap = dice.nap();
    match dice.below(8) {
        0 | 1 => cx.own("plain", over, move |_over| {
            begin();
            Ok(())
        }),
        2 => cx.own("bad", over, move |_over| {
            begin();
            Err(Failure::msg("bad"))
        }),
        3 => cx.own_async("late", over, nap, async move |_over| {
            begin();
            pending().await
        }),
        4 => cx.own_async("fails", over, HOUR, async move |_over| {
            begin();
            sleep(nap).await;
            Err(Failure::msg("fails"))
        }),
        _ => cx.own_async("slow", over, HOUR, async move |_over| {
            begin();
            sleep(nap).await;
            yield_now().await;
            sleep(nap).await;
            Ok(())
        }),
    }
}

type Boxed<'a> = Pin<Box<dyn Future<Output = Result<u64>> + 'a>>;

/// What a task does. If `endless`, it never ends by itself.
fn work<'a>(
    cx: &'a Cx,
    account: Arc<Account>,
    mut dice: Dice,
    depth: u64,
    endless: bool,
) -> Boxed<'a> {
    Box::pin(async move {
        let (mut proofs, mut sum) = (Vec::new(), 1);
        for _ in 0..1 + dice.below(5) {
            match dice.below(8) {
                0 => sleep(dice.nap()).await,
                1 | 2 => proofs.push(own(cx, &account, &mut dice)),
                3 if depth > 0 => {
                    // A scope, which may be left half-way.
                    let (child, dice_in) = (account.child(), dice.split());
                    let scope = cx.scope(async |cx| {
                        let (nested, mut dice) = (child.child(), dice_in);
                        let _owned = own(cx, &child, &mut dice);
                        start(cx, &nested, &mut dice, depth - 1, true).await?;
                        Err::<(), _>(Failure::msg("the scope ends"))
                    });
                    match dice.below(2) {
                        0 => {
                            // Left, it is over with the task at the latest.
                            let _ = timeout(dice.nap(), scope).await;
                        }
                        _ => {
                            let _ = timeout(Duration::from_millis(5), scope).await;
                        }
                    }
                }
                _ if depth > 0 => {
                    let child = account.child();
                    let endless = dice.below(3) == 0;
                    let task = start(cx, &child, &mut dice, depth - 1, endless);
                    sum += fate(task, &child, &mut dice, endless).await;
                }
                _ => yield_now().await,
            }
        }
        if endless {
            return pending().await;
        }
        match dice.below(6) {
            0 => return Err(Failure::msg("it ends badly")),
            1 => panic!("a random panic"),
            _ => {}
        }
        // Newest first, as a bad end would.
        while let Some(proof) = proofs.pop() {
            let _ = proof.release().await;
        }
        Ok(sum)
    })
}

fn start<'p>(
    cx: &'p Cx,
    account: &Arc<Account>,
    dice: &mut Dice,
    depth: u64,
    endless: bool,
) -> Task<'p, u64> {
    let (account, inner) = (account.clone(), dice.split());
    let f = async move |cx: &Cx| work(cx, account, inner, depth, endless).await;
    match dice.below(2) {
        0 if cx.domains().len() > 0 => cx.call(f).expect("there are others"),
        _ => cx.spawn(f),
    }
}

/// What becomes of a child. When that is known, it is over, and so is all below it.
async fn fate(task: Task<'_, u64>, account: &Account, dice: &mut Dice, endless: bool) -> u64 {
    let way = match endless {
        true => 2 + dice.below(4),
        false => dice.below(6),
    };
    let nap = dice.nap();
    let result = match way {
        0 | 1 => task.await,
        2 => {
            sleep(nap).await;
            let _ = task.cancel().await;
            account.check(true);
            return 0;
        }
        3 => {
            // Nobody waits: it is over when this task is.
            sleep(nap).await;
            drop(task.cancel());
            return 0;
        }
        4 => {
            // Dropped half-way.
            let _ = timeout(nap, task.timeout(HOUR)).await;
            return 0;
        }
        _ => {
            let result = task.timeout(nap).await;
            let late = |failure: &Failure| failure.downcast_ref::<TimedOut>().is_some();
            assert!(!endless || result.as_ref().is_err_and(late));
            result
        }
    };
    account.check(true);
    result.unwrap_or(0)
}

#[test]
fn random_sleepers() {
    let seeds = std::env::var("SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok());
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.to_string().contains("a random panic") {
            quiet(info);
        }
    }));
    let mut total = 0;
    for seed in 0..seeds.unwrap_or(SEEDS) {
        let root = Arc::<Account>::default();
        let account = root.clone();
        let outcome = bounded(move || {
            let main = account.clone();
            seeded((seed % 4) as usize, seed).run(async move |cx| {
                let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                for round in 0..6 {
                    let child = main.child();
                    let endless = round % 3 == 2;
                    let task = start(cx, &child, &mut dice, 4, endless);
                    fate(task, &child, &mut dice, endless).await;
                }
                Ok(())
            })
        });
        // Of a child that is cancelled and forgotten, a panic comes here.
        if let Err(failure) = outcome {
            let text = failure.to_string();
            assert_eq!(text, "panicked: a random panic", "seed {seed}: {failure:?}");
        }
        total += root.check(true);
        let left = Arc::strong_count(&root);
        assert_eq!(left, 1, "seed {seed}: something is left");
    }
    println!("{total} resources");
    assert!(total > 0);
}
