//! Cancelled sleepers do not pile up. Alone in its program: memory is counted by process.
#![cfg(target_os = "linux")]

mod common;
mod times;

use ch08_mutexes_and_conditions::{run, sleep, timeout, yield_now};
use common::bounded;
use std::future::ready;
use times::{HOUR, poll_pinned};

/// What the process holds, in KiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: usize| pages * 4)
}

#[test]
fn a_million_cancelled_sleepers_leave_nothing() {
    const ROUNDS: usize = 10_000;
    let (before, after) = bounded(|| {
        run(async |cx| {
            // Somebody wakes before all of them, and somebody after: they stay in the middle of the heap.
            let mut early = Box::pin(sleep(HOUR / 2));
            let mut late = Box::pin(sleep(HOUR * 2));
            assert!(poll_pinned(&mut early).await.is_none());
            assert!(poll_pinned(&mut late).await.is_none());
            let mut before = 0;
            for round in 0..ROUNDS {
                if round == 200 {
                    before = resident();
                }
                for _ in 0..100 {
                    let mut sleep = Box::pin(sleep(HOUR));
                    assert!(poll_pinned(&mut sleep).await.is_none());
                }
                // A limit that is not reached, in a child.
                cx.spawn(async |_| Ok(timeout(HOUR, ready(())).await?))
                    .await?;
                yield_now().await;
            }
            Ok((before, resident()))
        })
        .expect("ends well")
    });
    assert!(
        after < before + 4 * 1024,
        "{before} KiB before, {after} KiB after"
    );
}
