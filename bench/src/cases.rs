//! What is compared: this runtime beside Tokio.

use crate::Case;
use ch05_parallelism::{Cx, Result, Runtime, yield_now};
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
];

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
