//! `run`, `spawn`, task handles and `yield_now`.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]
#![allow(
    clippy::drop_non_drop,
    clippy::forget_non_drop,
    reason = "handles are forgotten on purpose"
)]

mod common;
mod family;

use ch08_mutexes_and_conditions::{
    Cx, Either, Orphans, Result, Runtime, Task, await_all, await_one, race, run, yield_now,
};
use common::{Drops, bounded};
use family::{assert_panicked, assert_violation, endless, failure_of, own_waker, test, turns};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

type Log = Rc<RefCell<Vec<String>>>;

#[test]
fn run_gives_the_value_of_the_main_task() {
    let value = bounded(|| run(async |_| Ok("value")));
    assert_eq!(value.expect("ends well"), "value");
}

#[test]
fn a_handle_gives_the_result_of_its_task() {
    test(async |cx| {
        let tasks: Vec<Task<'_, u64>> = (1..=100).map(|n| cx.spawn(async move |_| Ok(n))).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await?;
        }
        assert_eq!(sum, 5050);
        Ok(())
    });
}

#[test]
fn tasks_can_be_awaited_in_any_order() {
    test(async |cx| {
        let first = cx.spawn(async |_| Ok(1));
        let second = cx.spawn(async |_| {
            yield_now().await;
            Ok(2)
        });
        assert_eq!([second.await?, first.await?], [2, 1]);
        Ok(())
    });
}

#[test]
fn rule_7_a_task_never_starts_inside_spawn() {
    test(async |cx| {
        let started = Rc::new(Cell::new(false));
        let flag = started.clone();
        let task = cx.spawn(async move |_| {
            flag.set(true);
            Ok(())
        });
        assert!(!started.get());
        task.await?;
        assert!(started.get());
        Ok(())
    });
}

#[test]
fn rule_7_ready_tasks_run_first_in_first_out() {
    test(async |cx| {
        let log = Log::default();
        let tasks = ["a", "b", "c"].map(|name| {
            let log = log.clone();
            cx.spawn(async move |_| {
                for round in 1..=3 {
                    log.borrow_mut().push(format!("{name}{round}"));
                    yield_now().await;
                }
                Ok(())
            })
        });
        for task in tasks {
            task.await?;
        }
        assert_eq!(log.borrow().join(" "), "a1 b1 c1 a2 b2 c2 a3 b3 c3");
        Ok(())
    });
}

#[test]
fn rule_6_a_dropped_handle_does_not_stop_its_task() {
    bounded(|| {
        let done = Rc::new(Cell::new(false));
        let flag = done.clone();
        let outcome = run(async move |cx| {
            drop(cx.spawn(async move |_| {
                yield_now().await;
                flag.set(true);
                Ok(())
            }));
            turns(3).await;
            Ok(())
        });
        assert!(done.get());
        assert_violation(&outcome.expect_err("the child is forgotten"));
    });
}

#[test]
fn tasks_that_are_not_over_are_dropped_when_the_main_task_fails() {
    bounded(|| {
        let drops = Drops::default();
        let count = drops.clone();
        let outcome: Result<()> = run(async move |cx| {
            for _ in 0..200 {
                let witness = count.witness();
                drop(cx.spawn(async move |_| {
                    let _witness = witness;
                    pending::<Result<()>>().await
                }));
            }
            yield_now().await;
            assert_eq!(count.count(), 0);
            // One that is never polled.
            let witness = count.witness();
            drop(cx.spawn(async move |_| Ok(drop(witness))));
            Err(ch08_mutexes_and_conditions::Failure::msg("failed"))
        });
        assert!(outcome.is_err());
        assert_eq!(drops.count(), 201);
    });
}

#[test]
fn results_nobody_asked_for_are_dropped() {
    bounded(|| {
        let drops = Drops::default();
        let count = drops.clone();
        let outcome = run(async move |cx| {
            for forgotten in [true, false] {
                let witness = count.witness();
                let task = cx.spawn(async move |_| Ok(witness));
                yield_now().await;
                if forgotten {
                    std::mem::forget(task);
                } else {
                    drop(task);
                }
            }
            assert_eq!(count.count(), 0, "the tasks are forgotten, not cancelled");
            Ok(())
        });
        assert_violation(&outcome.expect_err("the children are forgotten"));
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn places_are_used_again_without_mixing_up_the_tasks() {
    test(async |cx| {
        let mut sum = 0;
        for round in 0..1000_u64 {
            let one = cx.spawn(async move |_| Ok(round));
            let other = cx.spawn(async move |_| Ok(round));
            drop(one.cancel());
            sum += other.await?;
        }
        assert_eq!(sum, 499_500);
        Ok(())
    });
}

#[test]
fn a_hundred_thousand_tasks_at_once() {
    test(async |cx| {
        let spawn = |n| {
            cx.spawn(async move |_| {
                yield_now().await;
                Ok(n)
            })
        };
        let tasks: Vec<Task<'_, u64>> = (0..100_000).map(spawn).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await?;
        }
        assert_eq!(sum, 4_999_950_000);
        Ok(())
    });
}

#[test]
fn a_chain_of_tasks_each_awaiting_the_next() {
    fn chain(cx: &Cx, length: u32) -> Task<'_, u32> {
        cx.spawn(async move |cx| match length {
            0 => Ok(0),
            _ => Ok(chain(cx, length - 1).await? + 1),
        })
    }
    let length = bounded(|| run(async |cx| chain(cx, 100_000).await));
    assert_eq!(length.expect("ends well"), 100_000);
}

#[test]
fn one_run_follows_another() {
    bounded(|| {
        let one = run(async |_| Ok(1)).expect("ends well");
        let two = run(async |_| Ok(2)).expect("ends well");
        assert_eq!(one + two, 3);
    });
}

#[test]
fn run_inside_run_is_refused() {
    bounded(|| {
        let outcome = run(async |_| run(async |_| Ok(())));
        let text = "run was called inside run; use Cx::spawn there";
        assert_panicked(&outcome.expect_err("refused"), text);
        // And the thread is as good as before.
        assert_eq!(run(async |_| Ok(1)).expect("ends well"), 1);
    });
}

#[test]
fn a_task_gives_its_result_once() {
    let failure = failure_of(async |cx| {
        let mut task = cx.spawn(async |_| Ok(1));
        assert_eq!((&mut task).await?, 1);
        task.await
    });
    assert_panicked(&failure, "the result of a task was asked for again");
}

#[test]
fn a_task_in_a_list_that_has_given_its_result_is_no_task_to_wait_for() {
    let text = "the result of a task was asked for again";
    let failure = failure_of(async |cx| {
        let mut tasks = vec![cx.spawn(async |_| Ok(1)), cx.spawn(async |_| Ok(2))];
        (&mut tasks[0]).await?;
        await_all(&mut tasks)
            .await
            .into_iter()
            .collect::<Result<Vec<_>>>()
    });
    assert_panicked(&failure, text);
    let failure = failure_of(async |cx| {
        let mut tasks = vec![cx.spawn(async |_| Ok(1))];
        (&mut tasks[0]).await?;
        await_one(&mut tasks).await
    });
    assert_panicked(&failure, text);
}

#[test]
fn is_over_tells_whether_awaiting_would_wait() {
    test(async |cx| {
        let mut task = cx.spawn(async |cx| {
            let child = cx.spawn(async |_| Ok(turns(3).await));
            turns(1).await;
            child.await
        });
        let mut waited = 0;
        while !task.is_over() {
            yield_now().await;
            waited += 1;
        }
        assert!((4..=6).contains(&waited), "{waited} turns");
        assert!(matches!(
            race(&mut task, yield_now()).await,
            Either::First(Ok(()))
        ));
        assert!(task.is_over(), "and it stays so");
        Ok(())
    });
}

#[test]
fn futures_of_other_libraries_may_await_tasks() {
    /// Polls with a waker of its own, as many combinators do.
    struct Relay(Waker);
    impl Wake for Relay {
        fn wake(self: Arc<Self>) {
            self.0.wake_by_ref();
        }
    }

    test(async |cx| {
        let mut task = cx.spawn(async |_| {
            turns(2).await;
            Ok(7)
        });
        let value = poll_fn(|cx| {
            let relay = Waker::from(Arc::new(Relay(cx.waker().clone())));
            Pin::new(&mut task).poll(&mut Context::from_waker(&relay))
        });
        assert_eq!(value.await?, 7);

        let cancelled = endless(cx).cancel();
        let mut cancelled = Box::pin(cancelled);
        poll_fn(|cx| {
            let relay = Waker::from(Arc::new(Relay(cx.waker().clone())));
            cancelled.as_mut().poll(&mut Context::from_waker(&relay))
        })
        .await
    });
}

#[test]
fn a_seed_makes_random_choices_the_same_again() {
    async fn chosen(cx: &Cx) -> Result<Vec<usize>> {
        let mut chosen = Vec::new();
        for _ in 0..20 {
            let mut tasks: Vec<_> = (0..5).map(|n| cx.spawn(async move |_| Ok(n))).collect();
            turns(2).await;
            chosen.push(await_one(&mut tasks).await?);
            await_all(&mut tasks).await;
        }
        Ok(chosen)
    }
    let with = |seed| {
        let runtime = Runtime::builder().seed(seed).build();
        bounded(move || runtime.run(chosen)).expect("ends well")
    };
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
    // Without a seed it is another one each time.
    let any = || bounded(|| run(chosen)).expect("ends well");
    assert_ne!(any(), any());
}

mod rule_15 {
    //! What is always ready gives the others their turns.

    use super::*;

    /// Counts the turns of a task that runs beside `body`.
    async fn turns_beside(cx: &Cx, body: impl AsyncFnOnce(&Cx) -> Result<()> + 'static) -> usize {
        let count = Rc::new(Cell::new(0));
        let counter = count.clone();
        let beside = cx.spawn(async move |_| -> Result<()> {
            loop {
                yield_now().await;
                counter.set(counter.get() + 1);
            }
        });
        cx.spawn(body).await.expect("ends well");
        beside.cancel().await.expect("nothing goes wrong");
        count.get()
    }

    const READY: usize = 10_000;
    /// At 128 operations in a turn.
    const TURNS: usize = READY / 128 - 1;

    #[test]
    fn handles_of_tasks_that_are_over() {
        test(async |cx| {
            let turns = turns_beside(cx, async |cx| {
                let tasks: Vec<_> = (0..READY).map(|_| cx.spawn(async |_| Ok(()))).collect();
                yield_now().await;
                for task in tasks {
                    task.await?;
                }
                Ok(())
            });
            let turns = turns.await;
            assert!(turns >= TURNS, "{turns} turns");
            Ok(())
        });
    }

    #[test]
    fn orphans_that_are_over() {
        test(async |cx| {
            let turns = turns_beside(cx, async |cx| {
                let mut orphans = cx.orphans();
                (0..READY).for_each(|_| orphans.spawn(async |_| Ok(())));
                yield_now().await;
                while let Some(result) = orphans.next().await {
                    result?;
                }
                Ok(())
            });
            let turns = turns.await;
            assert!(turns >= TURNS, "{turns} turns");
            Ok(())
        });
    }

    #[test]
    fn combinators_over_tasks_that_are_over() {
        test(async |cx| {
            let turns = turns_beside(cx, async |cx| {
                for _ in 0..READY / 100 {
                    let mut tasks: Vec<_> = (0..100).map(|_| cx.spawn(async |_| Ok(()))).collect();
                    yield_now().await;
                    while !tasks.is_empty() {
                        await_one(&mut tasks).await?;
                    }
                }
                Ok(())
            });
            let turns = turns.await;
            assert!(turns >= TURNS, "{turns} turns");
            Ok(())
        });
    }

    #[test]
    fn lists_of_tasks_that_are_over() {
        test(async |cx| {
            let turns = turns_beside(cx, async |cx| {
                let tasks: Vec<_> = (0..READY).map(|_| cx.spawn(async |_| Ok(()))).collect();
                yield_now().await;
                for task in tasks {
                    await_all(&mut vec![task]).await.remove(0)?;
                }
                Ok(())
            });
            let turns = turns.await;
            assert!(turns >= TURNS, "{turns} turns");
            Ok(())
        });
    }

    #[test]
    fn an_orphan_group_that_is_empty() {
        test(async |cx| {
            let turns = turns_beside(cx, async |cx| {
                let mut orphans: Orphans<'_, ()> = cx.orphans();
                for _ in 0..READY {
                    assert!(orphans.next().await.is_none());
                }
                Ok(())
            });
            let turns = turns.await;
            assert!(turns >= TURNS, "{turns} turns");
            Ok(())
        });
    }

    /// Polls all of them whenever it is woken, as a simple `join` of another library does.
    async fn join<F: Future + Unpin>(mut futures: Vec<F>) {
        let mut ready = vec![false; futures.len()];
        poll_fn(|cx| {
            for (future, ready) in futures.iter_mut().zip(&mut ready) {
                *ready = *ready || Pin::new(future).poll(cx).is_ready();
            }
            match ready.iter().all(|&ready| ready) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    #[test]
    fn waiting_costs_nothing_so_those_at_the_end_of_a_long_list_have_their_turn() {
        // The first three hundred are over when the last one was noticed to be.
        test(async |cx| {
            let noticed = Rc::new(Cell::new(false));
            let mut tasks = Vec::new();
            for _ in 0..300 {
                let noticed = noticed.clone();
                let until = async move |_: &Cx| {
                    while !noticed.get() {
                        yield_now().await;
                    }
                    Ok(())
                };
                tasks.push(cx.spawn(until));
            }
            let last = cx.spawn(async |_| Ok(()));
            let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
            for task in tasks {
                futures.push(Box::pin(async { task.await.expect("ends well") }));
            }
            futures.push(Box::pin(async {
                last.await.expect("ends well");
                noticed.set(true);
            }));
            join(futures).await;
            Ok(())
        });
    }

    #[test]
    fn waiting_for_many_groups_and_lists_costs_nothing() {
        test(async |cx| {
            let noticed = Rc::new(Cell::new(false));
            let until = || {
                let noticed = noticed.clone();
                async move |_: &Cx| {
                    while !noticed.get() {
                        yield_now().await;
                    }
                    Ok(())
                }
            };
            let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
            for _ in 0..100 {
                let mut group = cx.orphans();
                group.spawn(until());
                futures.push(Box::pin(async move {
                    let over = group.next().await.expect("one is left");
                    over.expect("ends well");
                }));
                let mut all = vec![cx.spawn(until())];
                futures.push(Box::pin(async move {
                    assert!(await_all(&mut all).await[0].is_ok());
                }));
                let mut one = vec![cx.spawn(until())];
                futures.push(Box::pin(async move {
                    await_one(&mut one).await.expect("ends well");
                }));
            }
            let last = cx.spawn(async |_| Ok(()));
            futures.push(Box::pin(async {
                last.await.expect("ends well");
                noticed.set(true);
            }));
            join(futures).await;
            Ok(())
        });
    }

    #[test]
    fn a_turn_is_bounded_even_for_one_that_wakes_itself() {
        test(async |cx| {
            let turns = turns_beside(cx, async |_| {
                let waker = own_waker().await;
                for _ in 0..100 {
                    waker.wake_by_ref();
                    yield_now().await;
                }
                Ok(())
            });
            let turns = turns.await;
            assert!(turns >= 90, "{turns} turns");
            Ok(())
        });
    }
}
