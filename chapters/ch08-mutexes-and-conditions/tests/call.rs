//! `call`, `call_on` and `parallel`.

mod common;
mod world;

use ch08_mutexes_and_conditions::{Cx, Domain, Failure, Reason, Result, await_all, yield_now};
use common::{PanicsOnDrop, bounded};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::num::ParseIntError;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use world::{
    Gate, Notes, OnDrop, assert_panicked, assert_still_has_children, failure_of, here, other,
    poll_once, seeded, suppressed, test,
};

#[test]
fn what_a_called_task_makes_need_not_be_send() {
    test(1, async |cx| {
        let task = cx.call(async |cx| {
            let shared = Rc::new(Cell::new(1));
            yield_now().await;
            let inner = shared.clone();
            cx.spawn(async move |_| {
                inner.set(inner.get() + 1);
                Ok(())
            })
            .await?;
            Ok(shared.get())
        })?;
        assert_eq!(task.await?, 2);
        Ok(())
    });
}

#[test]
fn a_result_without_size_and_a_large_one_come_back() {
    test(1, async |cx| {
        cx.call(async |_| Ok(()))?.await?;
        let large = cx.call(async |_| Ok([7_u8; 100_000]))?.await?;
        assert!(large.iter().all(|&byte| byte == 7));
        Ok(())
    });
}

#[test]
fn a_failure_comes_back_as_it_was() {
    test(1, async |cx| {
        let failure = cx
            .call(async |_| Ok("seven".parse::<i32>()?))?
            .await
            .expect_err("fails");
        assert!(failure.downcast_ref::<ParseIntError>().is_some());
        let task = cx.call(async |_| -> Result<()> { Err(Failure::msg("no").context("there")) })?;
        assert_eq!(task.await.expect_err("fails").to_string(), "there: no");
        Ok(())
    });
}

#[test]
fn rule_16_a_panic_on_another_domain_is_a_failure() {
    test(1, async |cx| {
        let task = cx.call(async |_| -> Result<()> { panic!("over there") })?;
        assert_panicked(&task.await.expect_err("panics"), "over there");
        // Nor is the domain harmed by a panic of what it has to drop.
        let task = cx.call(async |_| {
            let _local = PanicsOnDrop("a local");
            Ok(1)
        })?;
        assert_panicked(&task.await.expect_err("panics"), "a local");
        assert_eq!(cx.call(async |_| Ok(here()))?.await?, "dom1");
        Ok(())
    });
}

#[test]
fn a_called_task_has_a_number_of_its_own() {
    test(2, async |cx| {
        let mut ids = BTreeSet::from([cx.id()]);
        for _ in 0..50 {
            let mut tasks = Vec::new();
            for _ in 0..50 {
                tasks.push(cx.call(async |cx| {
                    let own = cx.id();
                    Ok((own, cx.spawn(async |cx| Ok(cx.id())).await?))
                })?);
                ids.insert(cx.spawn(async |cx| Ok(cx.id())).await?);
            }
            for result in await_all(&mut tasks).await {
                let (called, spawned) = result?;
                ids.extend([called, spawned]);
            }
        }
        assert_eq!(ids.len(), 1 + 50 * 50 * 3);
        Ok(())
    });
}

#[test]
fn calls_from_one_domain_to_another_start_in_order() {
    test(1, async |cx| {
        let started = Arc::new(AtomicUsize::new(0));
        let domain = other(cx, 0);
        let mut tasks = Vec::new();
        for turn in 0..200 {
            let started = started.clone();
            tasks.push(cx.call_on(domain, async move |_| {
                assert_eq!(started.fetch_add(1, Ordering::Relaxed), turn);
                Ok(())
            })?);
        }
        await_all(&mut tasks).await.into_iter().collect()
    });
}

#[test]
fn a_task_is_over_when_its_result_is_there() {
    test(1, async |cx| {
        let gate = Gate::default();
        let opened = gate.clone();
        let task = cx.call(async move |_| {
            opened.passed().await;
            Ok(5)
        })?;
        yield_now().await;
        assert!(!task.is_over());
        gate.open();
        while !task.is_over() {
            yield_now().await;
        }
        assert_eq!(poll_once(task).await.expect("is there")?, 5);
        Ok(())
    });
}

#[test]
fn a_called_task_can_be_awaited_by_hand_and_again() {
    test(1, async |cx| {
        let gate = Gate::default();
        let opened = gate.clone();
        let mut task = cx.call(async move |_| {
            let _: () = opened.passed().await;
            Ok(())
        })?;
        for _ in 0..3 {
            assert!(poll_once(&mut task).await.is_none());
            yield_now().await;
        }
        gate.open();
        task.await
    });
}

#[test]
fn a_helper_calls_and_fails_with_a_scope_around_it() {
    async fn helper(cx: &Cx, notes: Notes) -> Result<()> {
        cx.scope(async |cx| {
            let (gate, noted) = (Gate::default(), notes.on_drop("child"));
            let running = gate.clone();
            let _child = cx.call(async move |_| {
                let _noted = noted;
                running.open();
                pending::<Result<()>>().await
            })?;
            gate.passed().await;
            "two".parse::<i32>()?;
            Ok(())
        })
        .await
    }
    test(1, async |cx| {
        let notes = Notes::default();
        let failure = helper(cx, notes.clone()).await.expect_err("fails");
        assert_eq!(failure.to_string(), "invalid digit found in string");
        assert_eq!(notes.text(), "child@dom1");
        Ok(())
    });
}

#[test]
fn parallel_keeps_the_order() {
    test(3, async |cx| {
        let squares = cx.parallel(0..100_u64, async |_, n| {
            for _ in 0..(n * 7) % 13 {
                yield_now().await;
            }
            Ok(n * n)
        });
        let squares: Vec<u64> = squares.await?.into_iter().collect::<Result<_>>()?;
        assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
        Ok(())
    });
}

/// How many of `inputs` each domain gets.
async fn spread(cx: &Cx, inputs: usize) -> Result<BTreeMap<Domain, usize>> {
    let mut counts: BTreeMap<Domain, usize> = cx.domains().map(|domain| (domain, 0)).collect();
    for domain in cx
        .parallel(0..inputs, async |cx, _| Ok(cx.domain()))
        .await?
    {
        *counts.get_mut(&domain?).expect("one of the others") += 1;
    }
    Ok(counts)
}

#[test]
fn rule_10_parallel_spreads_evenly() {
    let mut single = BTreeSet::new();
    for seed in 0..20 {
        let domains = 1 + seed as usize % 3;
        let runtime = seeded(domains, seed);
        let counts = bounded(move || {
            runtime.run(async |cx| {
                let mut all = Vec::new();
                for inputs in [0, 1, 2, 3, 10, 31] {
                    all.push(spread(cx, inputs).await?);
                }
                if cx.domains().len() > 1 {
                    all.push(cx.call(async |cx| spread(cx, 17).await)?.await?);
                }
                Ok(all)
            })
        });
        for counts in counts.expect("ends well") {
            let least = counts.values().min().expect("there are domains");
            let most = counts.values().max().expect("there are domains");
            assert!(most - least <= 1, "{counts:?}");
            if domains == 3 && counts.values().sum::<usize>() == 1 {
                single.extend(
                    counts
                        .iter()
                        .filter(|(_, n)| **n == 1)
                        .map(|(domain, _)| *domain),
                );
            }
        }
    }
    // A single input does not always go to the same domain.
    assert_eq!(single.len(), 3);
}

#[test]
fn parallel_on_a_domain_leaves_that_domain_and_dom0_out() {
    test(3, async |cx| {
        let from = other(cx, 1);
        let counts = cx.call_on(from, async |cx| spread(cx, 10).await)?.await?;
        let numbers: Vec<_> = counts
            .iter()
            .map(|(domain, n)| (domain.number(), *n))
            .collect();
        assert_eq!(numbers, [(1, 5), (3, 5)]);
        Ok(())
    });
}

#[test]
fn parallel_with_nothing_to_do_has_no_results() {
    test(2, async |cx| {
        assert!(
            cx.parallel(Vec::<u8>::new(), async |_, n| Ok(n))
                .await?
                .is_empty()
        );
        Ok(())
    });
}

#[test]
fn parallel_gives_the_failures_and_panics_among_the_results() {
    test(2, async |cx| {
        let results = cx.parallel(0..5, async |_, n| match n {
            1 => Err(Failure::msg("one")),
            3 => panic!("three"),
            n => Ok(n),
        });
        let texts = results.await?.into_iter().map(|result| match result {
            Ok(n) => n.to_string(),
            Err(failure) => failure.to_string(),
        });
        assert_eq!(
            texts.collect::<Vec<_>>(),
            ["0", "one", "2", "panicked: three", "4"]
        );
        Ok(())
    });
}

#[test]
fn parallel_dropped_half_way_cancels_what_it_has_started() {
    test(2, async |cx| {
        let (notes, started) = (Notes::default(), Gate::default());
        let (noting, starting) = (notes.clone(), started.clone());
        let child = cx.spawn(async move |cx| {
            let count = Arc::new(AtomicUsize::new(0));
            let mut all = Box::pin(cx.parallel(0..4, async move |_, _| {
                let _noted = noting.on_drop("input");
                if count.fetch_add(1, Ordering::Relaxed) == 3 {
                    starting.open();
                }
                pending::<Result<()>>().await
            }));
            assert!(poll_once(&mut all).await.is_none());
            started.passed().await;
            drop(all);
            // Not forgotten children: this task ends well, when they are gone.
            Ok(())
        });
        child.await?;
        let text = notes.text();
        let mut notes: Vec<&str> = text.split(' ').collect();
        notes.sort_unstable();
        assert_eq!(
            notes,
            ["input@dom1", "input@dom1", "input@dom2", "input@dom2"]
        );
        Ok(())
    });
}

#[test]
fn parallel_never_polled_has_started_nothing() {
    test(1, async |cx| {
        drop(cx.parallel(0..10, async |_, _| -> Result<()> {
            panic!("is never called")
        }));
        Ok(())
    });
}

#[test]
fn parallel_whose_inputs_panic_cancels_what_it_has_started() {
    test(2, async |cx| {
        let notes = Notes::default();
        let noting = notes.clone();
        let inputs = (0..3).map(move |n| match n {
            2 => panic!("no more inputs"),
            n => (n, noting.on_drop("input")),
        });
        let all = cx.parallel(inputs, async |_, (_, _noted)| pending::<Result<()>>().await);
        assert_panicked(&all.await.expect_err("panics"), "no more inputs");
        assert_eq!(notes.text().matches("input").count(), 2);
        Ok(())
    });
}

#[test]
fn parallel_whose_function_cannot_be_cloned_fails() {
    struct Fragile(Notes);
    impl Clone for Fragile {
        fn clone(&self) -> Fragile {
            panic!("too fragile")
        }
    }
    test(1, async |cx| {
        let fragile = Fragile(Notes::default());
        let all = cx.parallel(0..3, async move |_, n: i32| {
            let Fragile(notes) = &fragile;
            notes.note("never");
            Ok(n)
        });
        assert_panicked(&all.await.expect_err("panics"), "too fragile");
        Ok(())
    });
}

#[test]
fn a_violation_inside_parallel_ends_the_run() {
    let failure = failure_of(2, async |cx| {
        let all = cx.parallel(0..3, async |cx, n| {
            if n == 1 {
                let _forgotten = cx.spawn(async |_| pending::<Result<()>>().await);
            }
            Ok(n)
        });
        all.await.map(drop)
    });
    assert_still_has_children(&failure);
}

#[test]
fn parallel_in_parallel_goes_back_and_forth() {
    test(3, async |cx| {
        let sums = cx.parallel(0..10_u64, async |cx, n| {
            let inner = cx.parallel(0..10_u64, async move |cx, m| {
                cx.spawn(async move |_| Ok(10 * n + m)).await
            });
            inner.await?.into_iter().sum::<Result<u64>>()
        });
        let sum = sums.await?.into_iter().sum::<Result<u64>>()?;
        assert_eq!(sum, (0..100).sum());
        Ok(())
    });
}

#[test]
fn rule_2_a_forgotten_call_is_a_violation_that_names_domain_and_line() {
    let line = line!() + 2;
    let failure = failure_of(1, async |cx| {
        let _forgotten = cx.call(async |_| pending::<Result<()>>().await)?;
        Ok(())
    });
    assert_still_has_children(&failure);
    let text = failure.to_string();
    assert!(text.starts_with("main, spawned at "), "{text}");
    let child = format!("tests/call.rs:{line}:29, runs on dom1\n");
    assert!(text.contains(&child), "{text}");
}

#[test]
fn rule_2_a_call_that_is_over_and_was_not_awaited_is_forgotten_too() {
    let failure = failure_of(1, async |cx| {
        let well = cx.call(async |_| Ok(()))?;
        let badly = cx.call(async |_| -> Result<()> { Err(Failure::msg("failed")) })?;
        while !(well.is_over() && badly.is_over()) {
            yield_now().await;
        }
        Ok(())
    });
    assert_still_has_children(&failure);
    let text = failure.to_string();
    assert!(
        text.contains("has succeeded") && text.contains("has failed"),
        "{text}"
    );
    // What it failed with is not lost.
    assert_eq!(suppressed(&failure), ["failed"]);
}

#[test]
fn rule_2_parallel_and_orphans_point_at_the_line_that_called() {
    let line = line!() + 3;
    let failure = failure_of(1, async |cx| {
        let mut orphans = cx.orphans();
        orphans.call(async |_| pending::<Result<()>>().await)?;
        Ok(())
    });
    assert_still_has_children(&failure);
    assert!(
        failure
            .to_string()
            .contains(&format!("tests/call.rs:{line}:17")),
        "{failure}"
    );
    assert!(!matches!(failure.reason(), Reason::Cancelled));
}

#[test]
fn rule_5_a_call_by_a_dying_task_is_born_cancelled() {
    test(2, async |cx| {
        let (notes, running) = (Notes::default(), Gate::default());
        let (noting, started) = (notes.clone(), running.clone());
        let task = cx.call_on(other(cx, 0), async move |cx| {
            let tried = RefCell::new(None);
            let _on_drop = OnDrop(|| {
                let noted = noting.on_drop("never started");
                let task = cx.call(async move |_| {
                    noted.0.note("started");
                    Ok(())
                });
                *tried.borrow_mut() = Some(task.is_ok());
                noting.note("dropping");
            });
            started.open();
            pending::<Result<()>>().await
        })?;
        running.passed().await;
        task.cancel().await?;
        assert_eq!(notes.text(), "dropping@dom1 never started@dom1");
        Ok(())
    });
}
