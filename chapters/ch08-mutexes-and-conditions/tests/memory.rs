//! Memory stays flat, however many tasks there have been. Alone in its program: memory is counted by process.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod family;

use ch08_mutexes_and_conditions::{Orphans, Result, await_first, run, yield_now};
use common::bounded;
use std::future::pending;

/// What the process holds, in KiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: usize| pages * 4)
}

#[test]
fn two_hundred_thousand_tasks_one_after_the_other_leave_nothing() {
    const ROUNDS: usize = 20_000;
    let (before, after) = bounded(|| {
        run(async |cx| {
            let mut clients = cx.orphans();
            let mut before = 0;
            for round in 0..ROUNDS {
                // The first thousand make room for what there is at the same time.
                if round == 1000 {
                    before = resident();
                }
                cx.spawn(async |_| Ok([0_u8; 64])).await?;
                drop(cx.spawn(async |_| Ok([0_u8; 64])).cancel());
                cx.spawn(async |_| pending::<Result<()>>().await)
                    .cancel()
                    .await?;
                cx.scope(async |cx| cx.spawn(async |_| Ok(())).await)
                    .await?;
                let mut group: Orphans<'_, ()> = cx.orphans();
                group.spawn(async |_| Ok(()));
                drop(group.next().await);
                drop(group);
                clients.spawn(async |_| Ok(()));
                clients.spawn(async |cx| cx.spawn(async |_| Ok(yield_now().await)).await);
                clients.next().await.expect("two are left")?;
                if let Some(client) = clients.take() {
                    client.await?;
                }
                let spawn = |_| cx.spawn(async |_| Ok(yield_now().await));
                await_first(&mut (0..2).map(spawn).collect()).await?;
            }
            Ok((before, resident()))
        })
        .expect("ends well")
    });
    assert!(
        after < before + 2 * 1024,
        "{before} KiB before, {after} KiB after"
    );
}
