//! Rule 9: children that are not held by name.
#![allow(
    clippy::drop_non_drop,
    clippy::forget_non_drop,
    reason = "handles are forgotten on purpose"
)]

mod common;
mod family;

use ch08_mutexes_and_conditions::{
    Care, Cx, Either, Failure, Orphans, Result, race, run, yield_now,
};
use common::{Drops, bounded};
use family::{Log, assert_violation, failure_of, noted, poll_once, suppressed, test, turns};
use std::future::pending;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// Spawns a child that gives `value` after so many turns.
fn after<T: 'static>(orphans: &mut Orphans<'_, T>, wait: usize, value: T) {
    orphans.spawn(async move |_| {
        turns(wait).await;
        Ok(value)
    });
}

#[test]
fn care_answers_at_once() {
    test(async |cx| {
        let mut orphans = cx.orphans();
        assert!(matches!(orphans.care(), Care::Empty));
        after(&mut orphans, 1, "value");
        assert!(matches!(orphans.care(), Care::Busy));
        yield_now().await;
        assert!(matches!(orphans.care(), Care::Busy));
        yield_now().await;
        assert!(matches!(orphans.care(), Care::Over(Ok("value"))));
        assert!(matches!(orphans.care(), Care::Empty));
        Ok(())
    });
}

#[test]
fn next_gives_them_in_the_order_in_which_they_end() {
    test(async |cx| {
        let mut orphans = cx.orphans();
        for wait in [3, 1, 4, 1, 5] {
            after(&mut orphans, wait, wait);
        }
        let mut order = Vec::new();
        while let Some(result) = orphans.next().await {
            order.push(result?);
        }
        assert_eq!(order, [1, 1, 3, 4, 5]);
        assert!(orphans.next().await.is_none(), "and it stays so");
        Ok(())
    });
}

#[test]
fn a_group_that_was_empty_can_be_used_again() {
    test(async |cx| {
        let mut orphans = cx.orphans();
        for round in 0..3 {
            assert!(orphans.next().await.is_none());
            after(&mut orphans, 1, round);
            assert_eq!(orphans.next().await.expect("one is left")?, round);
        }
        Ok(())
    });
}

#[test]
fn failures_and_panics_are_results() {
    test(async |cx| {
        let mut orphans: Orphans<'_, ()> = cx.orphans();
        orphans.spawn(async |_| Err(Failure::msg("failed")));
        orphans.spawn(async |_| panic!("panicked"));
        let failure = orphans.next().await.expect("two are left");
        assert_eq!(failure.expect_err("failed").to_string(), "failed");
        let failure = orphans.next().await.expect("one is left");
        assert_eq!(
            failure.expect_err("panicked").to_string(),
            "panicked: panicked"
        );
        Ok(())
    });
}

#[test]
fn len_counts_those_whose_result_was_not_given() {
    test(async |cx| {
        let mut orphans = cx.orphans();
        assert!(orphans.is_empty());
        for n in 0..5 {
            after(&mut orphans, 0, n);
            assert_eq!(orphans.len(), n + 1);
        }
        yield_now().await;
        assert_eq!(orphans.len(), 5);
        for left in (0..5).rev() {
            assert!(orphans.next().await.is_some());
            assert_eq!(orphans.len(), left);
        }
        assert!(orphans.is_empty());
        Ok(())
    });
}

#[test]
fn take_hands_out_one_that_is_over_or_else_the_oldest() {
    test(async |cx| {
        let mut orphans = cx.orphans();
        for (wait, name) in [(9, "oldest"), (1, "first"), (0, "zeroth"), (9, "youngest")] {
            after(&mut orphans, wait, name);
        }
        turns(3).await;
        let mut names = Vec::new();
        while let Some(task) = orphans.take() {
            names.push((task.is_over(), task.await?));
            if names.len() == 2 {
                // The other two are still busy.
                assert_eq!(orphans.len(), 2);
            }
        }
        assert_eq!(
            names,
            [
                (true, "zeroth"),
                (true, "first"),
                (false, "oldest"),
                (true, "youngest")
            ]
        );
        Ok(())
    });
}

#[test]
fn one_that_was_taken_is_a_child_like_others() {
    test(async |cx| {
        let mut orphans = cx.orphans();
        after(&mut orphans, 100, 1);
        after(&mut orphans, 2, 2);
        let taken = orphans.take().expect("two are left");
        assert_eq!(orphans.len(), 1);
        // It is no longer the group's: it neither wakes its `next` nor is given by it.
        assert_eq!(orphans.next().await.expect("one is left")?, 2);
        assert!(orphans.next().await.is_none());
        taken.cancel().await
    });
    // Dropped, it is forgotten.
    let failure = failure_of(async |cx| {
        let mut orphans = cx.orphans();
        after(&mut orphans, 0, ());
        drop(orphans.take());
        Ok(())
    });
    assert_violation(&failure);
}

#[test]
fn one_that_was_taken_keeps_its_own_children() {
    test(async |cx| {
        let log = Log::default();
        let mut orphans = cx.orphans();
        for cancelled in [true, false] {
            let inner = log.clone();
            orphans.spawn(async move |cx| {
                let children = [noted(cx, &inner, "a"), noted(cx, &inner, "b")];
                let _noted = inner.on_drop("parent");
                turns(10).await;
                for child in children {
                    child.cancel().await?;
                }
                Ok(())
            });
            turns(3).await;
            let taken = orphans.take().expect("one is left");
            match cancelled {
                true => taken.cancel().await?,
                false => taken.await?,
            }
        }
        assert_eq!(log.text(), "a b parent a b parent");
        Ok(())
    });
}

#[test]
fn all_of_a_group_can_be_cancelled() {
    test(async |cx| {
        let drops = Drops::default();
        let mut orphans = cx.orphans();
        for n in 0..10 {
            let witness = drops.witness();
            orphans.spawn(async move |_| {
                let _witness = witness;
                turns(n).await;
                pending::<Result<()>>().await
            });
        }
        turns(5).await;
        let mut cancels = Vec::new();
        while let Some(task) = orphans.take() {
            cancels.push(task.cancel());
        }
        for cancel in cancels {
            cancel.await?;
        }
        assert_eq!(drops.count(), 10);
        Ok(())
    });
}

#[test]
fn next_dropped_half_way_has_taken_nothing() {
    test(async |cx| {
        let mut orphans = cx.orphans();
        after(&mut orphans, 5, 1);
        let mut waited = 0;
        let result = loop {
            match race(orphans.next(), yield_now()).await {
                Either::First(next) => break next.expect("one is left"),
                Either::Second(()) => waited += 1,
            }
        };
        assert_eq!((result?, orphans.len()), (1, 0));
        assert!(waited >= 4, "{waited}");
        Ok(())
    });
}

#[test]
fn next_that_loses_a_race_it_could_have_won_has_taken_nothing() {
    test(async |cx| {
        let mut orphans = cx.orphans();
        after(&mut orphans, 0, 1);
        yield_now().await;
        // Both are ready, and the first is preferred.
        race(async {}, orphans.next()).await;
        assert_eq!(orphans.len(), 1);
        assert_eq!(orphans.next().await.expect("one is left")?, 1);
        Ok(())
    });
}

#[test]
fn those_that_are_spawned_while_next_waits_elsewhere_are_not_missed() {
    // A group that grows from several places, as a server's does.
    test(async |cx| {
        let mut orphans = cx.orphans();
        let mut seen = 0;
        after(&mut orphans, 3, 0);
        for n in 0..100 {
            if let Either::First(Some(result)) = race(orphans.next(), yield_now()).await {
                result?;
                seen += 1;
            }
            after(&mut orphans, n % 5, n);
        }
        while let Some(result) = orphans.next().await {
            result?;
            seen += 1;
        }
        assert_eq!(seen, 101);
        Ok(())
    });
}

#[test]
fn several_groups_at_once() {
    test(async |cx| {
        let (mut numbers, mut names) = (cx.orphans(), cx.orphans());
        after(&mut numbers, 5, 1);
        after(&mut names, 1, "one");
        match race(numbers.next(), names.next()).await {
            Either::Second(Some(Ok("one"))) => {}
            _ => panic!("the name is the first"),
        }
        assert_eq!(numbers.next().await.expect("one is left")?, 1);
        Ok(())
    });
}

#[test]
fn the_last_one_to_wait_is_woken() {
    test(async |cx| {
        let mut orphans = cx.orphans();
        after(&mut orphans, 3, ());
        // The first to poll is gone; its waiter is replaced.
        assert!(poll_once(orphans.next()).await.is_none());
        let mut boxed: Pin<Box<dyn Future<Output = _>>> = Box::pin(orphans.next());
        (&mut boxed).await.expect("one is left")
    });
}

#[test]
fn a_group_of_a_scope_ends_with_it() {
    test(async |cx| {
        let drops = Drops::default();
        let scope = cx.scope(async |cx| {
            let mut orphans = cx.orphans();
            for wait in [0, 100] {
                let witness = drops.witness();
                orphans.spawn(async move |_| {
                    let _witness = witness;
                    turns(wait).await;
                    Err::<(), _>(Failure::msg("orphan"))
                });
            }
            turns(2).await;
            orphans.next().await.expect("two are left")
        });
        let failure = scope.await.expect_err("failed");
        assert_eq!(failure.to_string(), "orphan");
        assert_eq!(suppressed(&failure), [""; 0]);
        assert_eq!(drops.count(), 2);
        Ok(())
    });
}

#[test]
fn a_group_whose_handle_was_dropped_fails_with_its_parent() {
    test(async |cx| {
        let task = cx.spawn(async |cx| {
            let mut orphans: Orphans<'_, ()> = cx.orphans();
            orphans.spawn(async |_| Err(Failure::msg("one")));
            orphans.spawn(async |_| pending().await);
            drop(orphans);
            turns(2).await;
            Err::<(), _>(Failure::msg("parent"))
        });
        let failure = task.await.expect_err("failed");
        assert_eq!(suppressed(&failure), ["one"]);
        Ok(())
    });
}

#[test]
fn orphans_have_orphans() {
    fn tree(cx: &Cx, depth: u32) -> Pin<Box<dyn Future<Output = Result<u32>> + '_>> {
        Box::pin(async move {
            let mut orphans = cx.orphans();
            if depth > 0 {
                (0..3).for_each(|_| orphans.spawn(async move |cx| tree(cx, depth - 1).await));
            }
            let mut count = 1;
            while let Some(below) = orphans.next().await {
                count += below?;
            }
            Ok(count)
        })
    }
    test(async |cx| {
        assert_eq!(tree(cx, 7).await?, (3_u32.pow(8) - 1) / 2);
        Ok(())
    });
}

/// The time that a hundred thousand rounds take beside so many that are busy.
fn rounds_beside(busy: usize) -> Duration {
    bounded(move || {
        run(async move |cx| {
            let mut orphans = cx.orphans();
            for _ in 0..busy {
                orphans.spawn(async |_| pending().await);
            }
            yield_now().await;
            let start = Instant::now();
            for n in 0..20_000 {
                orphans.spawn(async |_| Ok(()));
                if n % 2 == 0 {
                    orphans.next().await.expect("one is over")?;
                } else {
                    yield_now().await;
                    let Care::Over(result) = orphans.care() else {
                        panic!("one is over")
                    };
                    result?;
                }
            }
            let elapsed = start.elapsed();
            while let Some(task) = orphans.take() {
                drop(task.cancel());
            }
            Ok(elapsed)
        })
        .expect("ends well")
    })
}

#[test]
fn every_operation_takes_the_same_time_however_many_there_are() {
    let few = rounds_beside(10).max(Duration::from_millis(1));
    let many = rounds_beside(30_000);
    // Were it linear, it would be three thousand times as long.
    assert!(
        many < 30 * few,
        "{few:?} beside ten, {many:?} beside 30,000"
    );
}

#[test]
fn notes_in_order() {
    // The children's ends and the parent's reaction to them alternate: nobody waits for a second one.
    test(async |cx| {
        let log = Log::default();
        let mut orphans = cx.orphans();
        for n in 0..3 {
            let log = log.clone();
            orphans.spawn(async move |_| {
                turns(2 * n).await;
                log.note(format_args!("ends{n}"));
                Ok(n)
            });
        }
        while let Some(result) = orphans.next().await {
            log.note(format_args!("seen{}", result?));
        }
        assert_eq!(log.text(), "ends0 seen0 ends1 seen1 ends2 seen2");
        Ok(())
    });
}
