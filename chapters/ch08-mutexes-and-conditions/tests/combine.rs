//! Rule 8: waiting for several children.

mod common;
mod family;

use ch08_mutexes_and_conditions::{
    Cx, Either, Failure, Reason, Result, Runtime, Task, await_all, await_first, await_one, race,
    run, yield_now,
};
use common::{PanicsOnDrop, bounded};
use family::{Log, assert_panicked, endless, noted, poll_once, suppressed, test, turns};
use std::future::pending;

/// A child that gives `value` after so many turns.
#[track_caller]
fn after<'p, T: 'static>(cx: &'p Cx, wait: usize, value: Result<T>) -> Task<'p, T> {
    cx.spawn(async move |_| {
        turns(wait).await;
        value
    })
}

fn fail<T>(text: &str) -> Result<T> {
    Err(Failure::msg(text))
}

/// Uses up so much of what the task may do in its turn.
async fn spend(cx: &Cx, operations: usize) {
    let tasks: Vec<_> = (0..operations)
        .map(|_| cx.spawn(async |_| Ok(())))
        .collect();
    turns(2).await; // the budget's own wake may be under way
    for task in tasks {
        assert!(poll_once(task).await.is_some());
    }
}

#[test]
fn await_all_keeps_the_order_and_waits_for_all() {
    test(async |cx| {
        let mut tasks: Vec<_> = [3, 1, 2, 0].map(|n| after(cx, n, Ok(n))).into();
        let results: Result<Vec<_>> = await_all(&mut tasks).await.into_iter().collect();
        assert_eq!(results?, [3, 1, 2, 0]);
        assert!(tasks.is_empty());
        Ok(())
    });
}

#[test]
fn await_all_gives_failures_in_their_places() {
    test(async |cx| {
        let log = Log::default();
        let noted = log.on_drop("slow");
        let slow = cx.spawn(async move |_| {
            let _noted = noted;
            turns(5).await;
            Ok(2)
        });
        let panics = cx.spawn(async |_| panic!("panics"));
        let mut tasks = vec![
            after(cx, 0, fail("zero")),
            after(cx, 1, Ok(1)),
            slow,
            panics,
        ];
        let mut results = await_all(&mut tasks).await;
        assert_eq!(log.text(), "slow", "a failure does not end the wait");
        assert_panicked(&results.remove(3).expect_err("panicked"), "panics");
        assert_eq!(results.remove(2)?, 2);
        assert_eq!(results.remove(1)?, 1);
        assert_eq!(results.remove(0).expect_err("failed").to_string(), "zero");
        Ok(())
    });
}

#[test]
fn await_all_of_nothing_is_nothing() {
    test(async |_| {
        assert!(await_all::<()>(&mut Vec::new()).await.is_empty());
        Ok(())
    });
}

#[test]
fn await_all_of_tasks_that_are_over_does_not_wait() {
    test(async |cx| {
        let mut tasks: Vec<_> = (0..10).map(|n| after(cx, 0, Ok(n))).collect();
        yield_now().await;
        let results = poll_once(await_all(&mut tasks))
            .await
            .expect("all are over");
        assert_eq!(results.len(), 10);
        Ok(())
    });
}

#[test]
fn await_all_of_ten_thousand() {
    test(async |cx| {
        let mut tasks: Vec<_> = (0..10_000).map(|n| after(cx, n % 7, Ok(n))).collect();
        let results: Result<Vec<_>> = await_all(&mut tasks).await.into_iter().collect();
        assert!(results?.into_iter().eq(0..10_000));
        Ok(())
    });
}

#[test]
fn await_all_dropped_half_way_has_taken_nothing() {
    test(async |cx| {
        let mut tasks: Vec<_> = [0, 5, 0].map(|n| after(cx, n, Ok(n))).into();
        for _ in 0..4 {
            let waiting = race(await_all(&mut tasks), yield_now()).await;
            assert!(matches!(waiting, Either::Second(())));
            assert_eq!(tasks.len(), 3);
        }
        let results: Result<Vec<_>> = await_all(&mut tasks).await.into_iter().collect();
        assert_eq!(results?, [0, 5, 0]);
        Ok(())
    });
}

#[test]
fn await_one_gives_the_one_that_is_over_and_leaves_the_others_owned() {
    test(async |cx| {
        let mut tasks: Vec<_> = [4, 2, 6].map(|n| after(cx, n, Ok(n))).into();
        assert_eq!(await_one(&mut tasks).await?, 2);
        assert_eq!(tasks.len(), 2);
        assert_eq!(await_one(&mut tasks).await?, 4);
        assert_eq!(await_one(&mut tasks).await?, 6);
        assert!(tasks.is_empty());
        Ok(())
    });
}

#[test]
fn await_one_keeps_the_order_of_the_others() {
    test(async |cx| {
        let mut tasks: Vec<_> = [9, 0, 9, 9].map(|n| after(cx, n, Ok(n))).into();
        tasks.extend([after(cx, 10, Ok(10)), after(cx, 11, Ok(11))]);
        assert_eq!(await_one(&mut tasks).await?, 0);
        let results: Result<Vec<_>> = await_all(&mut tasks).await.into_iter().collect();
        assert_eq!(results?, [9, 9, 9, 10, 11]);
        Ok(())
    });
}

#[test]
fn await_one_prefers_a_success_among_those_that_are_over() {
    for seed in 0..50 {
        let runtime = Runtime::builder().seed(seed).build();
        let outcome = bounded(move || {
            runtime.run(async |cx| {
                let mut tasks = vec![
                    after(cx, 0, fail("a")),
                    after(cx, 0, Ok("success")),
                    cx.spawn(async |_| panic!("b")),
                    after(cx, 1, Ok("too late")),
                ];
                yield_now().await;
                assert_eq!(await_one(&mut tasks).await?, "success");
                // Now only the failures are over; one that is not over is no success.
                assert!(await_one(&mut tasks).await.is_err());
                await_all(&mut tasks).await;
                Ok(())
            })
        });
        outcome.expect("ends well");
    }
}

#[test]
fn await_one_does_not_wait_for_a_success() {
    test(async |cx| {
        let mut tasks = vec![after(cx, 5, Ok(())), after(cx, 0, fail("first"))];
        let failure = await_one(&mut tasks).await.expect_err("the first to end");
        assert_eq!(failure.to_string(), "first");
        await_one(&mut tasks).await
    });
}

#[test]
fn await_one_chooses_at_random_among_equals() {
    for well in [true, false] {
        let mut chosen = [0; 4];
        for seed in 0..400 {
            let runtime = Runtime::builder().seed(seed).build();
            let outcome = bounded(move || {
                runtime.run(async move |cx| {
                    let mut tasks: Vec<_> = (0..4_usize)
                        .map(|n| after(cx, 0, if well { Ok(n) } else { fail(&n.to_string()) }))
                        .collect();
                    yield_now().await;
                    let one = match await_one(&mut tasks).await {
                        Ok(one) => one,
                        Err(failure) => failure.to_string().parse()?,
                    };
                    await_all(&mut tasks).await;
                    Ok(one)
                })
            });
            chosen[outcome.expect("ends well")] += 1;
        }
        assert!(chosen.iter().all(|&times| times > 60), "{chosen:?}");
    }
}

#[test]
fn await_one_dropped_half_way_has_taken_nothing() {
    test(async |cx| {
        let mut tasks: Vec<_> = [5, 3].map(|n| after(cx, n, Ok(n))).into();
        for _ in 0..2 {
            let waiting = race(await_one(&mut tasks), yield_now()).await;
            assert!(matches!(waiting, Either::Second(())));
        }
        assert_eq!(await_one(&mut tasks).await?, 3);
        assert_eq!(await_one(&mut tasks).await?, 5);
        Ok(())
    });
}

#[test]
fn a_turn_that_ends_between_choosing_and_taking_loses_nothing() {
    test(async |cx| {
        for operations in 120..=128 {
            let mut tasks: Vec<_> = [0, 0].map(|n| after(cx, n, Ok(n))).into();
            spend(cx, operations).await;
            let mut taken = usize::from(poll_once(await_one(&mut tasks)).await.is_some());
            assert_eq!(taken + tasks.len(), 2, "after {operations}");
            spend(cx, operations).await;
            taken += poll_once(await_all(&mut tasks))
                .await
                .map_or(0, |all| all.len());
            assert_eq!(taken + tasks.len(), 2, "after {operations}");
            await_all(&mut tasks).await;

            let mut tasks = vec![after(cx, 0, Ok(0)), after(cx, 0, Ok(0))];
            spend(cx, operations).await;
            // Whatever it has got done: what is not in the list is over or cancelled.
            let first = poll_once(await_first(&mut tasks)).await;
            assert!(first.is_some() || !tasks.is_empty(), "after {operations}");
            spend(cx, operations).await;
            if first.is_none() {
                let first = poll_once(await_first(&mut tasks)).await;
                assert!(first.is_some() || !tasks.is_empty(), "after {operations}");
            }
            await_all(&mut tasks).await;
        }
        Ok(())
    });
}

#[test]
fn an_empty_list_is_an_error() {
    test(async |_| {
        let mut tasks: Vec<Task<'_, ()>> = Vec::new();
        let failure = await_one(&mut tasks).await.expect_err("empty");
        assert_eq!(failure.to_string(), "there is no task to wait for");
        let failure = await_first(&mut tasks).await.expect_err("empty");
        assert_eq!(failure.to_string(), "there is no task to wait for");
        Ok(())
    });
}

#[test]
fn await_first_cancels_the_others_and_waits_for_them() {
    test(async |cx| {
        let log = Log::default();
        let inner = log.clone();
        let with_children = cx.spawn(async move |cx| {
            let children = [noted(cx, &inner, "a"), noted(cx, &inner, "b")];
            let _noted = inner.on_drop("parent");
            for child in children {
                child.await?;
            }
            Ok(0)
        });
        let mut tasks = vec![with_children, after(cx, 3, Ok(1)), after(cx, 10, Ok(2))];
        assert_eq!(await_first(&mut tasks).await?, 1);
        assert_eq!(log.text(), "a b parent");
        assert!(tasks.is_empty());
        Ok(())
    });
}

#[test]
fn await_first_prefers_a_success() {
    for seed in 0..20 {
        let runtime = Runtime::builder().seed(seed).build();
        let outcome = bounded(move || {
            runtime.run(async |cx| {
                let mut tasks = vec![
                    after(cx, 0, fail("a")),
                    after(cx, 0, Ok(1)),
                    after(cx, 0, fail("b")),
                ];
                yield_now().await;
                await_first(&mut tasks).await
            })
        });
        assert_eq!(outcome.expect("a success"), 1);
    }
}

#[test]
fn await_first_of_failures_keeps_them_all() {
    test(async |cx| {
        let mut tasks: Vec<Task<'_, ()>> =
            ["a", "b", "c"].map(|name| after(cx, 0, fail(name))).into();
        yield_now().await;
        let failure = await_first(&mut tasks).await.expect_err("all have failed");
        let mut names = suppressed(&failure);
        names.push(failure.to_string());
        names.sort();
        assert_eq!(names, ["a", "b", "c"]);
        Ok(())
    });
}

#[test]
fn await_first_has_heard_of_a_panic_among_the_others() {
    test(async |cx| {
        for well in [true, false] {
            let bomb = cx.spawn(async |_| {
                let _bomb = PanicsOnDrop("bomb");
                pending::<Result<i32>>().await
            });
            let result = if well { Ok(1) } else { fail("failed") };
            let mut tasks = vec![bomb, after(cx, 2, result)];
            let failure = await_first(&mut tasks).await.expect_err("a bomb");
            match well {
                true => assert_panicked(&failure, "bomb"),
                false => {
                    assert_eq!(failure.to_string(), "failed");
                    assert_eq!(suppressed(&failure), ["panicked: bomb"]);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn await_first_dropped_before_anything_is_over_has_cancelled_nothing() {
    test(async |cx| {
        let mut tasks: Vec<_> = [5, 3].map(|n| after(cx, n, Ok(n))).into();
        assert!(poll_once(await_first(&mut tasks)).await.is_none());
        let results: Result<Vec<_>> = await_all(&mut tasks).await.into_iter().collect();
        assert_eq!(results?, [5, 3]);
        Ok(())
    });
}

#[test]
fn await_first_dropped_while_the_others_go_loses_no_panic() {
    /// A chain takes a turn for each link to go.
    async fn link(cx: &Cx, below: usize) -> Result<()> {
        match below {
            0 => pending().await,
            _ => cx.spawn(async move |cx| link(cx, below - 1).await).await,
        }
    }
    let result = bounded(|| {
        run(async |cx| {
            let bomb = PanicsOnDrop("in the destructor");
            let mut tasks = vec![
                after(cx, 30, Ok(())),
                cx.spawn(async move |_| {
                    let _bomb = bomb;
                    pending().await
                }),
                cx.spawn(async |cx| link(cx, 20).await),
            ];
            // By then the first is over, the second is gone, and the third is not.
            let raced = race(await_first(&mut tasks), turns(40)).await;
            assert!(matches!(raced, Either::Second(())), "not ready yet");
            assert_eq!(tasks.len(), 1);
            for task in tasks {
                task.await?;
            }
            Ok(())
        })
    });
    assert_panicked(
        &result.expect_err("the panic is heard of"),
        "in the destructor",
    );
}

#[test]
fn await_first_dropped_while_the_others_go_leaves_the_chosen_one() {
    bounded(|| {
        let log = Log::default();
        let inner = log.clone();
        let outcome = run(async move |cx| {
            let slow = |name| {
                let noted = inner.on_drop(name);
                cx.spawn(async move |cx| {
                    let _noted = noted;
                    endless(cx).await.map(|()| 0)
                })
            };
            let mut tasks = vec![slow("a"), after(cx, 0, Ok(1)), slow("b")];
            turns(2).await;
            assert!(poll_once(await_first(&mut tasks)).await.is_none());
            assert_eq!(tasks.len(), 1);
            assert_eq!(await_one(&mut tasks).await?, 1);
            inner.note("end");
            Ok(())
        });
        outcome.expect("the others are cancelled, not forgotten");
        assert_eq!(log.text(), "end a b");
    });
}

#[test]
fn a_combinator_that_was_dropped_wakes_nobody() {
    test(async |cx| {
        let mut tasks: Vec<_> = [2, 2].map(|n| after(cx, n, Ok(n))).into();
        assert!(poll_once(await_one(&mut tasks)).await.is_none());
        // Its waiter is still there; what is awaited now is something else.
        turns(10).await;
        assert!(tasks.iter().all(Task::is_over));
        await_all(&mut tasks).await;
        Ok(())
    });
}

#[test]
fn combinators_in_combinators() {
    test(async |cx| {
        let mut left: Vec<_> = [7, 30].map(|n| after(cx, n, Ok(n))).into();
        let mut right: Vec<_> = [3, 9].map(|n| after(cx, n, Ok(n))).into();
        match race(await_one(&mut left), await_all(&mut right)).await {
            Either::First(result) => assert_eq!(result?, 7),
            Either::Second(_) => panic!("9 is later than 7"),
        }
        assert_eq!((left.len(), right.len()), (1, 2));
        match race(await_all(&mut left), await_first(&mut right)).await {
            Either::Second(result) => assert_eq!(result?, 3),
            Either::First(_) => panic!("3 is over"),
        }
        assert!(right.is_empty());
        assert_eq!(await_first(&mut left).await?, 30);
        Ok(())
    });
}

#[test]
fn a_cancelled_failure_is_told_from_others() {
    test(async |cx| {
        let mut tasks = vec![after(cx, 0, fail::<()>("failed"))];
        let failure = await_first(&mut tasks).await.expect_err("failed");
        assert!(matches!(failure.reason(), Reason::Error(_)));
        Ok(())
    });
}
