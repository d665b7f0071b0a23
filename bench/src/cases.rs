//! What is compared: this runtime beside Tokio.

use crate::Case;
use ch07_sleepers::{Cx, Result, Runtime, sleep_until, yield_now};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "spawn and await",
        operations: 100_000,
        ours: |n| {
            alone(async move |cx| {
                let start = Instant::now();
                for _ in 0..n {
                    cx.spawn(async |_| Ok(())).await?;
                }
                Ok(start.elapsed())
            })
        },
        theirs: |n| {
            current_thread(async move {
                let start = Instant::now();
                for _ in 0..n {
                    tokio::spawn(async {}).await.expect("it ends well");
                }
                start.elapsed()
            })
        },
    },
    Case {
        name: "yield",
        operations: 100_000,
        ours: |n| {
            alone(async move |_| {
                let start = Instant::now();
                for _ in 0..n {
                    yield_now().await;
                }
                Ok(start.elapsed())
            })
        },
        theirs: |n| {
            current_thread(async move {
                let start = Instant::now();
                for _ in 0..n {
                    tokio::task::yield_now().await;
                }
                start.elapsed()
            })
        },
    },
    Case {
        name: "300,000 spawned, then awaited",
        operations: 300_000,
        ours: |n| {
            alone(async move |cx| {
                let start = Instant::now();
                let tasks: Vec<_> = (0..n).map(|_| cx.spawn(async |_| Ok(()))).collect();
                for task in tasks {
                    task.await?;
                }
                Ok(start.elapsed())
            })
        },
        theirs: |n| {
            current_thread(async move {
                let start = Instant::now();
                let tasks: Vec<_> = (0..n).map(|_| tokio::spawn(async {})).collect();
                for task in tasks {
                    task.await.expect("it ends well");
                }
                start.elapsed()
            })
        },
    },
    Case {
        name: "call a sleeping domain, and back",
        operations: 5_000,
        ours: |n| {
            let runtime = Runtime::builder().domains(1).build();
            ended_well(runtime.run(async move |cx| {
                let start = Instant::now();
                for _ in 0..n {
                    cx.call(async |_| Ok(()))?.await?;
                }
                Ok(start.elapsed())
            }))
        },
        // Its main task runs on the thread that called it, too, and what that spawns on another one.
        theirs: |n| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(1).enable_all().build();
            runtime.expect("it starts").block_on(async move {
                let start = Instant::now();
                for _ in 0..n {
                    tokio::spawn(async {}).await.expect("it ends well");
                }
                start.elapsed()
            })
        },
    },
    Case {
        name: "300,000 sleepers: to bed",
        operations: 300_000,
        ours: |n| alone(async move |_| Ok(to_bed(n, sleep_until).await.0)),
        theirs: |n| current_thread(async move { to_bed(n, tokio_sleep_until).await.0 }),
    },
    Case {
        name: "300,000 sleepers: cancelled",
        operations: 300_000,
        ours: |n| alone(async move |_| Ok(cancelled(n, sleep_until).await)),
        theirs: |n| current_thread(cancelled(n, tokio_sleep_until)),
    },
    Case {
        name: "300,000 sleepers: woken",
        operations: 300_000,
        ours: |n| alone(async move |_| Ok(woken(n, sleep_until).await)),
        theirs: |n| current_thread(woken(n, tokio_sleep_until)),
    },
];

fn tokio_sleep_until(time: Instant) -> tokio::time::Sleep {
    tokio::time::sleep_until(time.into())
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
    poll_all(&mut sleepers).await;
    (start.elapsed(), sleepers)
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
    // Long enough for all to be in bed.
    let first = Instant::now() + Duration::from_micros(n.into());
    let spread = Duration::from_millis(100);
    let times = times(n, first, spread);
    let mut sleepers: Sleepers<S> = times.map(|time| Box::pin(sleep_until(time))).collect();
    poll_all(&mut sleepers).await;
    // Tokio counts in milliseconds.
    let all = first + spread + Duration::from_millis(3);
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

/// Polls each of `sleepers` once.
async fn poll_all<S: Future<Output = ()>>(sleepers: &mut Sleepers<S>) {
    poll_fn(|cx| {
        let mut polled = sleepers.iter_mut().map(|sleeper| sleeper.as_mut().poll(cx));
        assert!(polled.all(|poll| poll.is_pending()), "nobody is awake yet");
        Poll::Ready(())
    })
    .await;
}

/// On dom0, with no other domain.
fn alone(f: impl AsyncFnOnce(&Cx) -> Result<Duration> + 'static) -> Duration {
    ended_well(Runtime::builder().domains(0).build().run(f))
}

fn ended_well(result: Result<Duration>) -> Duration {
    result.expect("it ends well")
}

fn current_thread(future: impl Future<Output = Duration>) -> Duration {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build();
    runtime.expect("it starts").block_on(future)
}
