//! What happens inside one process: tasks, calls between threads, timers.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;
use std::time::{Duration, Instant};

use smol::LocalExecutor;
use tokio::task::JoinSet;

use crate::contestants::{OURS, TOKIO};
use crate::runtime::{Cx, Mutex, Result, Runtime, sleep_until, yield_now};

/// Something that several runtimes do.
pub struct Case {
    /// What it is.
    pub name: &'static str,
    /// How many operations one turn has.
    pub operations: u32,
    /// Who does it, and how.
    pub turns: &'static [(&'static str, Turn)],
}

/// So many operations: how long they took.
pub type Turn = fn(u32) -> Duration;

const SMOL: &str = "smol";

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "spawn and await",
        operations: 100_000,
        turns: &[
            (OURS, |n| {
                alone(async move |cx| {
                    let start = Instant::now();
                    for _ in 0..n {
                        cx.spawn(async |_| Ok(())).await?;
                    }
                    Ok(start.elapsed())
                })
            }),
            (TOKIO, |n| {
                tokio_alone(async move {
                    let start = Instant::now();
                    for _ in 0..n {
                        tokio::spawn(async {}).await.expect("it ends well");
                    }
                    start.elapsed()
                })
            }),
            (SMOL, |n| {
                smol_alone(async |executor| {
                    let start = Instant::now();
                    for _ in 0..n {
                        executor.spawn(async {}).await;
                    }
                    start.elapsed()
                })
            }),
        ],
    },
    Case {
        name: "yield",
        operations: 100_000,
        turns: &[
            (OURS, |n| {
                alone(async move |_| {
                    let start = Instant::now();
                    for _ in 0..n {
                        yield_now().await;
                    }
                    Ok(start.elapsed())
                })
            }),
            (TOKIO, |n| {
                tokio_alone(async move {
                    let start = Instant::now();
                    for _ in 0..n {
                        tokio::task::yield_now().await;
                    }
                    start.elapsed()
                })
            }),
            (SMOL, |n| {
                smol_alone(async |executor| {
                    // In a task, as with the others: the future that drives the executor is none.
                    let yields = executor.spawn(async move {
                        let start = Instant::now();
                        for _ in 0..n {
                            smol::future::yield_now().await;
                        }
                        start.elapsed()
                    });
                    yields.await
                })
            }),
        ],
    },
    Case {
        name: MANY,
        operations: 1_000_000,
        turns: &[
            (OURS, |n| {
                alone(async move |cx| {
                    let start = Instant::now();
                    let tasks: Vec<_> = (0..n).map(|_| cx.spawn(async |_| Ok(()))).collect();
                    for task in tasks {
                        task.await?;
                    }
                    Ok(start.elapsed())
                })
            }),
            (TOKIO, |n| {
                tokio_alone(async move {
                    let start = Instant::now();
                    let tasks: Vec<_> = (0..n).map(|_| tokio::spawn(async {})).collect();
                    for task in tasks {
                        task.await.expect("it ends well");
                    }
                    start.elapsed()
                })
            }),
            (SMOL, |n| {
                smol_alone(async |executor| {
                    let start = Instant::now();
                    let tasks: Vec<_> = (0..n).map(|_| executor.spawn(async {})).collect();
                    for task in tasks {
                        task.await;
                    }
                    start.elapsed()
                })
            }),
        ],
    },
    // Each task has ten children, and something that says when it is gone. Ours is gone when `cancel` is
    // ready; for the others we wait until the last of those things is.
    Case {
        name: "a tree of tasks cancelled",
        operations: 100_000,
        turns: &[
            (OURS, |n| {
                alone(async move |cx| {
                    let (alive, gone) = channel();
                    let root = cx.spawn(async move |cx| our_tree(cx, n, alive).await);
                    for _ in 0..TREE_DEPTH {
                        yield_now().await;
                    }
                    let start = Instant::now();
                    root.cancel().await?;
                    assert!(is_over(&gone), "cancelled is gone");
                    Ok(start.elapsed())
                })
            }),
            (TOKIO, |n| {
                tokio_alone(async move {
                    let (alive, gone) = channel();
                    let root = tokio::spawn(tokio_tree(n, alive));
                    for _ in 0..TREE_DEPTH {
                        tokio::task::yield_now().await;
                    }
                    let start = Instant::now();
                    root.abort();
                    while !is_over(&gone) {
                        tokio::task::yield_now().await;
                    }
                    start.elapsed()
                })
            }),
            (SMOL, |n| {
                smol_alone(async |executor| {
                    let (alive, gone) = channel();
                    let root = executor.spawn(smol_tree(Rc::clone(executor), n, alive));
                    for _ in 0..TREE_DEPTH {
                        smol::future::yield_now().await;
                        executor.spawn(async {}).await;
                    }
                    let start = Instant::now();
                    root.cancel().await;
                    while !is_over(&gone) {
                        smol::future::yield_now().await;
                    }
                    start.elapsed()
                })
            }),
        ],
    },
    Case {
        name: "call a sleeping domain, and back",
        operations: 5_000,
        turns: &[
            (OURS, |n| {
                let runtime = Runtime::builder().domains(1).build();
                ended_well(runtime.run(async move |cx| {
                    let start = Instant::now();
                    for _ in 0..n {
                        cx.call(async |_| Ok(()))?.await?;
                    }
                    Ok(start.elapsed())
                }))
            }),
            // Its main task runs on the thread that called it, too, and what that spawns on another one.
            ("Tokio, another thread", |n| {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                let runtime = builder.worker_threads(1).enable_all().build();
                runtime.expect("it starts").block_on(async move {
                    let start = Instant::now();
                    for _ in 0..n {
                        tokio::spawn(async {}).await.expect("it ends well");
                    }
                    start.elapsed()
                })
            }),
            ("smol, another thread", |n| {
                smol::block_on(async {
                    let start = Instant::now();
                    for _ in 0..n {
                        smol::spawn(async {}).await;
                    }
                    start.elapsed()
                })
            }),
        ],
    },
    Case {
        name: "a free mutex: locked, unlocked",
        operations: 300_000,
        turns: &[
            (OURS, |n| {
                alone(async move |_| {
                    Ok(locked(n, &Mutex::new(0), async |mutex| *mutex.lock().await += 1).await)
                })
            }),
            (TOKIO, |n| {
                tokio_alone(async move {
                    let mutex = tokio::sync::Mutex::new(0);
                    locked(n, &mutex, async |mutex| *mutex.lock().await += 1).await
                })
            }),
            (SMOL, |n| {
                smol_alone(async |_| {
                    let mutex = smol::lock::Mutex::new(0);
                    locked(n, &mutex, async |mutex| *mutex.lock().await += 1).await
                })
            }),
        ],
    },
    Case {
        name: "a mutex that two threads want",
        operations: 400_000,
        turns: &[
            (OURS, |n| {
                let runtime = Runtime::builder().domains(2).build();
                ended_well(runtime.run(async move |cx| {
                    let mutex = Arc::new(Mutex::new(0));
                    let work = async move |_: &Cx, n| {
                        Ok(locked(n, &mutex, async |mutex| *mutex.lock().await += 1).await)
                    };
                    let start = Instant::now();
                    for done in cx.parallel([n / 2, n - n / 2], work).await? {
                        done?;
                    }
                    Ok(start.elapsed())
                }))
            }),
            (TOKIO, |n| {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                let runtime = builder.worker_threads(2).enable_all().build();
                runtime.expect("it starts").block_on(async move {
                    let mutex = Arc::new(tokio::sync::Mutex::new(0));
                    let start = Instant::now();
                    let tasks = [n / 2, n - n / 2].map(|n| {
                        let mutex = Arc::clone(&mutex);
                        tokio::spawn(async move {
                            locked(n, &mutex, async |mutex| *mutex.lock().await += 1).await
                        })
                    });
                    for task in tasks {
                        task.await.expect("it ends well");
                    }
                    start.elapsed()
                })
            }),
            (SMOL, |n| {
                let mutex = smol::lock::Mutex::new(0);
                let start = Instant::now();
                std::thread::scope(|scope| {
                    for n in [n / 2, n - n / 2] {
                        let locks = locked(n, &mutex, async |mutex| *mutex.lock().await += 1);
                        scope.spawn(|| smol::block_on(locks));
                    }
                });
                start.elapsed()
            }),
        ],
    },
    Case {
        name: "sleepers: to bed",
        operations: 300_000,
        turns: &[
            (OURS, |n| {
                alone(async move |_| Ok(to_bed(n, sleep_until).await.0))
            }),
            (TOKIO, |n| {
                tokio_alone(async move { to_bed(n, tokio_until).await.0 })
            }),
            (SMOL, |n| {
                smol::block_on(async { to_bed(n, smol_until).await.0 })
            }),
        ],
    },
    Case {
        name: "sleepers: cancelled",
        operations: 300_000,
        turns: &[
            (OURS, |n| {
                alone(async move |_| Ok(cancelled(n, sleep_until).await))
            }),
            (TOKIO, |n| tokio_alone(cancelled(n, tokio_until))),
            (SMOL, |n| smol::block_on(cancelled(n, smol_until))),
        ],
    },
    Case {
        name: "sleepers: woken",
        operations: 300_000,
        turns: &[
            (OURS, |n| {
                alone(async move |_| Ok(woken(n, sleep_until).await))
            }),
            (TOKIO, |n| tokio_alone(woken(n, tokio_until))),
            (SMOL, |n| smol::block_on(woken(n, smol_until))),
        ],
    },
];

/// The case that ends in so many tasks at once.
const MANY: &str = "tasks spawned, then awaited";

/// The cases that are repeated with fewer operations at once, to see how the cost of one grows.
pub const GROWING: &[&str] = &[MANY, "sleepers: to bed", "sleepers: woken"];

/// How long it takes to lock a mutex so many times, and to add one each time.
async fn locked<M>(n: u32, mutex: &M, add_one: impl AsyncFn(&M)) -> Duration {
    let start = Instant::now();
    for _ in 0..n {
        add_one(mutex).await;
    }
    start.elapsed()
}

fn tokio_until(time: Instant) -> tokio::time::Sleep {
    tokio::time::sleep_until(time.into())
}

/// It says when it woke up. The others do not.
fn smol_until(time: Instant) -> impl Future<Output = ()> {
    let timer = smol::Timer::at(time);
    async move {
        timer.await;
    }
}

/// A million and more tasks have no more generations than that.
const TREE_DEPTH: usize = 8;

/// How many tasks each of ten children has for itself and below.
fn shares(n: u32) -> impl Iterator<Item = u32> {
    let below = n.saturating_sub(1);
    let share = move |child| below / 10 + u32::from(child < below % 10);
    (0..10).map(share).filter(|&share| share > 0)
}

async fn our_tree(cx: &Cx, n: u32, alive: Sender<()>) -> Result<()> {
    let child = |n| {
        let alive = alive.clone();
        // A future that contains itself has no size, unless there is a box in between.
        cx.spawn(async move |cx| Box::pin(our_tree(cx, n, alive)).await)
    };
    let _children: Vec<_> = shares(n).map(child).collect();
    pending().await
}

fn tokio_tree(n: u32, alive: Sender<()>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut children = JoinSet::new();
        for n in shares(n) {
            children.spawn(tokio_tree(n, alive.clone()));
        }
        pending().await
    })
}

fn smol_tree(
    executor: Rc<LocalExecutor<'static>>,
    n: u32,
    alive: Sender<()>,
) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let child = |n| executor.spawn(smol_tree(Rc::clone(&executor), n, alive.clone()));
        let _children: Vec<_> = shares(n).map(child).collect();
        pending().await
    })
}

fn is_over(gone: &Receiver<()>) -> bool {
    gone.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected)
}

type Sleepers<S> = Vec<Pin<Box<S>>>;

/// How long it takes to put `n` sleepers to bed, for an hour or two; and the sleepers.
async fn to_bed<S: Future<Output = ()>>(
    n: u32,
    sleep_until: impl Fn(Instant) -> S,
) -> (Duration, Sleepers<S>) {
    let hour = Duration::from_secs(3600);
    let times = times(n, Instant::now() + hour, hour);
    let mut sleepers: Sleepers<S> = times.map(|time| Box::pin(sleep_until(time))).collect();
    let start = Instant::now();
    let pending = are_pending(&mut sleepers).await;
    let time = start.elapsed();
    assert!(pending, "an hour is not over yet");
    (time, sleepers)
}

/// How long it takes to cancel them, and until the runtime has heard of it.
async fn cancelled<S: Future<Output = ()>>(n: u32, sleep_until: impl Fn(Instant) -> S) -> Duration {
    let (_, sleepers) = to_bed(n, &sleep_until).await;
    let start = Instant::now();
    drop(sleepers);
    sleep_until(Instant::now() + Duration::from_nanos(1)).await;
    start.elapsed()
}

/// How long it takes to wake them, when the time of all has come.
async fn woken<S: Future<Output = ()>>(n: u32, sleep_until: impl Fn(Instant) -> S) -> Duration {
    let spread = Duration::from_nanos(333) * n;
    // Long enough for all to be in bed, unless the machine is busy with something else.
    let mut early = Duration::from_millis(5) + Duration::from_micros(1) * n;
    let (sleepers, last) = loop {
        let first = Instant::now() + early;
        let times = times(n, first, spread);
        let mut sleepers: Sleepers<S> = times.map(|time| Box::pin(sleep_until(time))).collect();
        if are_pending(&mut sleepers).await {
            break (sleepers, first + spread);
        }
        early *= 2;
    };
    // Tokio counts in milliseconds.
    let all = last + Duration::from_millis(3);
    std::thread::sleep(all.saturating_duration_since(Instant::now()));
    let start = Instant::now();
    for sleeper in sleepers {
        sleeper.await;
    }
    start.elapsed()
}

/// Times within `spread` after `first`, without a pattern.
fn times(n: u32, first: Instant, spread: Duration) -> impl Iterator<Item = Instant> {
    let mut state = 1_u32;
    (0..n).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        first + spread.mul_f64(f64::from(state) / f64::from(u32::MAX))
    })
}

/// Polls each of `sleepers` once. Are they all asleep then?
async fn are_pending<S: Future<Output = ()>>(sleepers: &mut Sleepers<S>) -> bool {
    poll_fn(|cx| {
        let mut polled = sleepers.iter_mut().map(|sleeper| sleeper.as_mut().poll(cx));
        Poll::Ready(polled.all(|poll| poll.is_pending()))
    })
    .await
}

/// On dom0, with no other domain.
fn alone(f: impl AsyncFnOnce(&Cx) -> Result<Duration> + 'static) -> Duration {
    ended_well(Runtime::builder().domains(0).build().run(f))
}

fn ended_well(result: Result<Duration>) -> Duration {
    result.expect("it ends well")
}

fn tokio_alone(future: impl Future<Output = Duration>) -> Duration {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build();
    runtime.expect("it starts").block_on(future)
}

fn smol_alone(f: impl AsyncFnOnce(&Rc<LocalExecutor<'static>>) -> Duration) -> Duration {
    let executor = Rc::new(LocalExecutor::new());
    smol::block_on(executor.run(f(&executor)))
}
