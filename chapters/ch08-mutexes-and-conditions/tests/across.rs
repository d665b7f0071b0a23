//! Awaiting, cancelling and failing across domains.

mod common;
mod world;

use ch08_mutexes_and_conditions::{
    Care, Cx, Either, Failure, Reason, Result, Task, TcpListener, Violation, await_all,
    await_first, await_one, race, yield_now,
};
use common::{PanicsOnDrop, bounded};
use std::future::pending;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Waker;
use world::{
    Gate, Notes, OnDrop, assert_panicked, assert_stalled, assert_still_has_children, failure_of,
    own_waker, poll_once, seeded, suppressed, test,
};

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

// ---- rule 5: cancelling, in every state ----

#[test]
fn rule_5_a_call_that_has_not_arrived_is_cancelled() {
    test(1, async |cx| {
        let (notes, busy, go_on) = (Notes::default(), Gate::default(), Gate::default());
        let (is_busy, blocked) = (busy.clone(), go_on.clone());
        let blocker = cx.call(async move |_| {
            is_busy.open();
            let _: () = blocked.block();
            Ok(())
        })?;
        busy.passed().await;
        // The call and its end arrive together.
        let (noted, noting) = (notes.on_drop("captured"), notes.clone());
        let cancel = cx
            .call(async move |_| {
                let _noted = noted;
                let _: () = noting.note("polled");
                Ok(())
            })?
            .cancel();
        go_on.open();
        cancel.await?;
        blocker.await?;
        assert_eq!(notes.text(), "captured@dom1");
        Ok(())
    });
}

#[test]
fn rule_5_a_call_cancelled_at_once_is_dropped_on_its_domain_or_before() {
    for seed in 0..200 {
        let notes = Notes::default();
        let noted = notes.on_drop("captured");
        let ended = bounded(move || {
            seeded(2, seed).run(async move |cx| {
                let task = cx.call(async move |_| {
                    let _noted = noted;
                    pending::<Result<()>>().await
                })?;
                turns(seed as usize % 3).await;
                task.cancel().await
            })
        });
        ended.expect("ends well");
        assert!(matches!(
            notes.text().as_str(),
            "captured@dom1" | "captured@dom2"
        ));
    }
}

#[test]
fn rule_5_a_running_task_is_not_polled_again() {
    test(1, async |cx| {
        let polls = Arc::new(AtomicUsize::new(0));
        let (counted, running) = (polls.clone(), Gate::default());
        let started = running.clone();
        let task = cx.call(async move |_| -> Result<()> {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                started.open();
                yield_now().await;
            }
        })?;
        running.passed().await;
        task.cancel().await?;
        let before = polls.load(Ordering::Relaxed);
        // Whatever else that domain does.
        cx.call(async |_| {
            let _: () = turns(200).await;
            Ok(())
        })?
        .await?;
        assert_eq!(polls.load(Ordering::Relaxed), before);
        Ok(())
    });
}

#[test]
fn rule_5_a_task_that_waits_for_a_socket_is_cancelled_and_closes_it() {
    test(1, async |cx| {
        let (sender, receiver) = mpsc::channel();
        let listening = Gate::default();
        let is_listening = listening.clone();
        let task = cx.call(async move |_| {
            let mut listener = TcpListener::bind("127.0.0.1:0")?;
            let _ = sender.send(listener.local_addr()?);
            is_listening.open();
            listener.accept().await?;
            Ok(())
        })?;
        listening.passed().await;
        task.cancel().await?;
        let address = receiver.recv()?;
        assert!(
            TcpStream::connect(address).is_err(),
            "nobody listens any more"
        );
        Ok(())
    });
}

/// Calls `f` on the only other domain, and returns when it is over there and the message of its end has been
/// sent. This domain has not looked at it.
fn called_and_over<'p, T: Send + 'static>(
    cx: &'p Cx,
    f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
) -> Result<(Task<'p, T>, Task<'p, ()>)> {
    let task = cx.call(f)?;
    let after = Gate::default();
    let reached = after.clone();
    // Takes its turn after the other one, whose end is sent in the same turn as its future is ready.
    let second = cx.call(async move |_| {
        turns(1).await;
        let _: () = reached.open();
        Ok(())
    })?;
    after.block();
    Ok((task, second))
}

#[test]
fn rule_5_cancelling_beats_a_result_that_is_under_way() {
    test(1, async |cx| {
        let notes = Notes::default();
        let value = notes.on_drop("value");
        let (task, second) = called_and_over(cx, async move |_| Ok(value))?;
        assert!(!task.is_over(), "not looked at yet");
        task.cancel().await?;
        assert_eq!(notes.text(), "value@dom0");
        second.await
    });
}

#[test]
fn rule_5_cancelling_beats_a_result_that_was_not_taken() {
    test(1, async |cx| {
        let notes = Notes::default();
        let value = notes.on_drop("value");
        let task = cx.call(async move |_| Ok(value))?;
        while !task.is_over() {
            yield_now().await;
        }
        task.cancel().await?;
        assert_eq!(notes.text(), "value@dom0");
        Ok(())
    });
}

#[test]
fn a_result_under_way_is_dropped_when_the_parent_ends() {
    test(1, async |cx| {
        // It arrives when this domain looks at its inbox, after so many polls. In one of the rounds the parent has its
        // turn between the arrival of the result and its end.
        for polls in 0..70 {
            let (notes, waker) = (Notes::default(), own_waker().await);
            // Its destructor comes back to the runtime.
            let value = WakesOnDrop(waker, notes.clone());
            let parent = cx.spawn(async move |cx| {
                let (task, second) = called_and_over(cx, async move |_| Ok(value))?;
                drop(second.cancel());
                let cancel = task.cancel();
                turns(polls).await;
                drop(cancel);
                Ok(())
            });
            parent.await?;
            assert_eq!(notes.text(), "value@dom0", "after {polls} polls");
        }
        Ok(())
    });
}

struct WakesOnDrop(Waker, Notes);

impl Drop for WakesOnDrop {
    fn drop(&mut self) {
        self.0.wake_by_ref();
        self.1.note("value");
    }
}

#[test]
fn rule_3_a_failure_under_way_is_told_when_the_task_is_cancelled() {
    for awaits in [false, true] {
        test(1, async move |cx| {
            let task = async |_: &Cx| -> Result<()> { Err(Failure::msg("over there")) };
            let (task, second) = called_and_over(cx, task)?;
            let cancel = task.cancel();
            if awaits {
                second.await?;
            } else {
                drop(second.cancel());
            }
            let failure = cancel.await.expect_err("something came to light");
            assert!(matches!(failure.reason(), Reason::Cancelled), "{failure:?}");
            assert_eq!(suppressed(&failure), ["over there"]);
            Ok(())
        });
    }
}

#[test]
fn rule_16_a_panic_under_way_is_not_lost_when_the_parent_ends() {
    test(1, async |cx| {
        for polls in 0..70 {
            let parent = cx.spawn(async move |cx| {
                let task = async |_: &Cx| -> Result<()> { panic!("over there") };
                let (task, second) = called_and_over(cx, task)?;
                drop(second.cancel());
                let cancel = task.cancel();
                turns(polls).await;
                drop(cancel);
                Ok(())
            });
            let failure = parent.await.expect_err("a panic has come to light");
            assert_panicked(&failure, "over there");
        }
        Ok(())
    });
}

#[test]
fn rule_5_descendants_on_third_domains_and_back_are_dropped_before_their_parents() {
    /// A chain of calls from domain to domain, `depth` more of them.
    async fn chain(cx: &Cx, depth: usize, notes: Notes, all: Gate) -> Result<()> {
        let _noted = notes.on_drop(&depth.to_string());
        if depth == 0 {
            all.open();
            return pending().await;
        }
        let child = cx.call(async move |cx| Box::pin(chain(cx, depth - 1, notes, all)).await)?;
        child.await
    }
    for domains in 2..4 {
        for seed in 0..20 {
            let notes = Notes::default();
            let noting = notes.clone();
            let ended = bounded(move || {
                seeded(domains, seed).run(async move |cx| {
                    let all = Gate::default();
                    let last = all.clone();
                    let top = cx.call(async move |cx| chain(cx, 9, noting, last).await)?;
                    all.passed().await;
                    top.cancel().await
                })
            });
            ended.expect("ends well");
            let text = notes.text();
            let order: Vec<&str> = text.split(' ').map(|note| &note[..1]).collect();
            assert_eq!(order, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
            let places: Vec<&str> = text.split(' ').map(|note| &note[2..]).collect();
            assert!(places.windows(2).all(|pair| pair[0] != pair[1]), "{text}");
            assert!(!places.contains(&"dom0"), "{text}");
        }
    }
}

#[test]
fn rule_5_a_long_chain_over_two_domains_is_cancelled_without_recursion() {
    fn chain(
        cx: &Cx,
        depth: usize,
        all: Gate,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + '_>> {
        Box::pin(async move {
            if depth == 0 {
                all.open();
                return pending().await;
            }
            cx.call(async move |cx| chain(cx, depth - 1, all).await)?
                .await
        })
    }
    test(2, async |cx| {
        let all = Gate::default();
        let last = all.clone();
        let top = cx.call(async move |cx| chain(cx, 20_000, last).await)?;
        all.passed().await;
        top.cancel().await
    });
}

#[test]
fn rule_5_a_parent_cancelled_while_calls_are_out_is_gone_after_them() {
    for seed in 0..50 {
        let notes = Notes::default();
        let noting = notes.clone();
        let ended = bounded(move || {
            seeded(2, seed).run(async move |cx| {
                let own = noting.clone();
                let child = cx.spawn(async move |cx| {
                    let _noted = own.on_drop("parent");
                    let mut tasks = Vec::new();
                    for _ in 0..3 {
                        let noted = own.on_drop("child");
                        tasks.push(cx.call(async move |_| {
                            let _noted = noted;
                            pending::<Result<()>>().await
                        })?);
                    }
                    await_all(&mut tasks).await;
                    Ok(())
                });
                turns(seed as usize % 8).await;
                child.cancel().await?;
                noting.note("told");
                Ok(())
            })
        });
        ended.expect("ends well");
        let text = notes.text();
        if seed % 8 == 0 {
            assert_eq!(text, "told@dom0", "it never ran");
            continue;
        }
        let order: Vec<&str> = text
            .split(' ')
            .filter_map(|note| note.split('@').next())
            .collect();
        assert_eq!(order, ["child", "child", "child", "parent", "told"]);
        assert!(text.ends_with("parent@dom0 told@dom0"), "{text}");
    }
}

#[test]
fn other_tasks_go_on_while_a_domain_is_busy_cancelling() {
    test(1, async |cx| {
        let (busy, go_on) = (Gate::default(), Gate::default());
        let (is_busy, blocked) = (busy.clone(), go_on.clone());
        let task = cx.call(async move |_| {
            let _slow = OnDrop(move || blocked.block());
            is_busy.open();
            pending::<Result<()>>().await
        })?;
        busy.passed().await;
        let mut cancel = task.cancel();
        assert!(poll_once(&mut cancel).await.is_none());
        cx.spawn(async |_| {
            let _: () = turns(10).await;
            Ok(())
        })
        .await?;
        go_on.open();
        cancel.await
    });
}

#[test]
fn dropping_a_cancel_leaves_the_waiting_to_the_parents_end() {
    let notes = Notes::default();
    let noting = notes.clone();
    test(1, async move |cx| {
        let running = Gate::default();
        let (started, noted) = (running.clone(), noting.on_drop("child"));
        let task = cx.call(async move |_| {
            let _noted = noted;
            started.open();
            pending::<Result<()>>().await
        })?;
        running.passed().await;
        drop(task.cancel());
        Ok(())
    });
    assert_eq!(notes.text(), "child@dom1");
}

#[test]
fn a_domain_survives_cancelling_all_it_has_many_times() {
    test(2, async |cx| {
        for round in 0..300 {
            let mut tasks = Vec::new();
            for _ in 0..5 {
                tasks.push(cx.call(async |cx| {
                    let mut inner = Vec::new();
                    for _ in 0..3 {
                        inner.push(cx.call(async |_| pending::<Result<()>>().await)?);
                    }
                    await_all(&mut inner).await;
                    Ok(())
                })?);
            }
            turns(round % 5).await;
            let cancels: Vec<_> = tasks.into_iter().map(Task::cancel).collect();
            for cancel in cancels {
                cancel.await?;
            }
        }
        Ok(())
    });
}

// ---- rule 3: ending badly ----

#[test]
fn rule_3_a_failure_is_seen_when_the_calls_below_are_gone() {
    test(2, async |cx| {
        let notes = Notes::default();
        let noting = notes.clone();
        let task = cx.call(async move |cx| {
            let running = Gate::default();
            let (started, noted) = (running.clone(), noting.on_drop("grandchild"));
            let _child = cx.call(async move |_| {
                let _noted = noted;
                started.open();
                pending::<Result<()>>().await
            })?;
            running.passed().await;
            Err::<(), _>(Failure::msg("the parent fails"))
        })?;
        assert_eq!(
            task.await.expect_err("fails").to_string(),
            "the parent fails"
        );
        assert!(notes.text().starts_with("grandchild@"));
        Ok(())
    });
}

#[test]
fn rule_3_a_panic_in_drop_on_another_domain_is_suppressed() {
    test(1, async |cx| {
        let failure = cx
            .spawn(async |cx| {
                let running = Gate::default();
                let started = running.clone();
                let _child = cx.call(async move |_| {
                    let _panics = PanicsOnDrop("dropped over there");
                    started.open();
                    pending::<Result<()>>().await
                })?;
                running.passed().await;
                Err::<(), _>(Failure::msg("the parent fails"))
            })
            .await
            .expect_err("fails");
        assert_eq!(failure.to_string(), "the parent fails");
        assert_eq!(suppressed(&failure), ["panicked: dropped over there"]);
        Ok(())
    });
}

#[test]
fn rule_3_failures_of_a_deep_tree_arrive_flat() {
    /// Each level fails when it is dropped.
    async fn level(cx: &Cx, depth: usize, all: Gate) -> Result<()> {
        let _panics = PanicsOnDrop("a level");
        if depth == 0 {
            all.open();
            return pending().await;
        }
        cx.call(async move |cx| Box::pin(level(cx, depth - 1, all)).await)?
            .await
    }
    test(3, async |cx| {
        let all = Gate::default();
        let last = all.clone();
        let task = cx.call(async move |cx| level(cx, 4, last).await)?;
        all.passed().await;
        let failure = task.cancel().await.expect_err("something came to light");
        assert!(matches!(failure.reason(), Reason::Cancelled), "{failure:?}");
        assert_eq!(suppressed(&failure), ["panicked: a level"; 5]);
        assert!(
            failure
                .suppressed()
                .iter()
                .all(|failure| failure.suppressed().is_empty())
        );
        Ok(())
    });
}

#[test]
fn rule_3_a_panic_in_the_drop_of_what_a_call_brings_is_suppressed() {
    test(1, async |cx| {
        for round in 0..20 {
            let brings = PanicsOnDrop("brought along");
            let task = cx.call(async move |_| {
                let _brings = brings;
                pending::<Result<()>>().await
            })?;
            turns(round % 4).await;
            let failure = task.cancel().await.expect_err("something came to light");
            assert_eq!(suppressed(&failure), ["panicked: brought along"]);
        }
        Ok(())
    });
}

#[test]
fn rule_3_a_panic_in_the_drop_of_a_result_under_way_is_suppressed() {
    test(1, async |cx| {
        let (task, second) = called_and_over(cx, async |_| Ok(PanicsOnDrop("the result")))?;
        let failure = task.cancel().await.expect_err("something came to light");
        assert_eq!(suppressed(&failure), ["panicked: the result"]);
        second.await
    });
}

#[test]
fn rule_16_a_panic_in_drop_that_nobody_receives_ends_the_run() {
    let failure = failure_of(1, async |cx| {
        let running = Gate::default();
        let started = running.clone();
        let task = cx.call(async move |_| {
            let _panics = PanicsOnDrop("dropped over there");
            started.open();
            pending::<Result<()>>().await
        })?;
        running.passed().await;
        drop(task.cancel());
        Ok(())
    });
    assert_panicked(&failure, "dropped over there");
}

// ---- orphans, combinators and scopes ----

#[test]
fn rule_9_orphans_on_other_domains_are_given_as_they_end() {
    for seed in 0..20 {
        let ended = bounded(move || {
            seeded(3, seed).run(async |cx| {
                let mut orphans = cx.orphans();
                assert!(matches!(orphans.care(), Care::Empty));
                let gates: Vec<Gate> = (0..6).map(|_| Gate::default()).collect();
                for (n, gate) in gates.iter().cloned().enumerate() {
                    let task = async move |_: &Cx| {
                        gate.passed().await;
                        if n == 4 {
                            Err(Failure::msg("four"))
                        } else {
                            Ok(n)
                        }
                    };
                    if n % 3 == 2 {
                        orphans.spawn(task);
                    } else {
                        orphans.call(task)?;
                    }
                }
                assert_eq!(orphans.len(), 6);
                assert!(matches!(orphans.care(), Care::Busy));
                assert!(poll_once(orphans.next()).await.is_none());
                for n in [3, 2, 4] {
                    gates[n].open();
                    match orphans.next().await {
                        Some(Ok(m)) => assert_eq!(m, n),
                        Some(Err(failure)) => {
                            assert_eq!((failure.to_string().as_str(), n), ("four", 4))
                        }
                        None => panic!("there are some left"),
                    }
                }
                // Nothing is over: the oldest.
                let oldest = orphans.take().expect("there are some");
                assert_eq!(orphans.len(), 2);
                gates[0].open();
                assert_eq!(oldest.await?, 0);
                // One that is over comes first, although it is not the oldest.
                gates[5].open();
                let over = loop {
                    yield_now().await;
                    if orphans.len() == 2 && gates[5].is_open() {
                        match orphans.care() {
                            Care::Over(result) => break result?,
                            Care::Busy => {}
                            Care::Empty => panic!("there are some left"),
                        }
                    }
                };
                assert_eq!(over, 5);
                let last = orphans.take().expect("one is left");
                assert!(orphans.take().is_none() && orphans.next().await.is_none());
                last.cancel().await
            })
        });
        ended.expect("ends well");
    }
}

#[test]
fn rule_9_many_orphans_on_other_domains_all_come_back() {
    test(3, async |cx| {
        let mut orphans = cx.orphans();
        for n in 0..2000_usize {
            orphans.call(async move |_| {
                turns(n % 4).await;
                Ok(n)
            })?;
        }
        let mut sum = 0;
        while let Some(n) = orphans.next().await {
            sum += n?;
        }
        assert_eq!(sum, (0..2000).sum());
        Ok(())
    });
}

#[test]
fn rule_9_orphans_left_behind_on_other_domains_are_forgotten_children() {
    let failure = failure_of(2, async |cx| {
        let mut orphans = cx.orphans();
        orphans.call(async |_| pending::<Result<()>>().await)?;
        orphans.spawn(async |_| pending::<Result<()>>().await);
        Ok(())
    });
    assert_still_has_children(&failure);
    let text = failure.to_string();
    assert!(text.contains("runs on dom"), "{text}");
}

#[test]
fn a_parent_cancelled_inside_next_takes_its_calls_with_it() {
    test(2, async |cx| {
        let (notes, running) = (Notes::default(), Gate::default());
        let (noting, started) = (notes.clone(), running.clone());
        let parent = cx.call(async move |cx| {
            let mut orphans = cx.orphans();
            orphans.call(async move |_| {
                let _noted = noting.on_drop("orphan");
                started.open();
                pending::<Result<()>>().await
            })?;
            orphans.next().await;
            Ok(())
        })?;
        running.passed().await;
        parent.cancel().await?;
        assert!(notes.text().starts_with("orphan@dom"));
        Ok(())
    });
}

#[test]
fn rule_8_await_one_takes_a_success_before_a_failure_from_wherever() {
    test(2, async |cx| {
        for _ in 0..20 {
            let mut tasks = vec![
                cx.call(async |_| Err(Failure::msg("no")))?,
                cx.spawn(async |_| Ok(1)),
                cx.call(async |_| Err(Failure::msg("no")))?,
            ];
            while !tasks.iter().all(Task::is_over) {
                yield_now().await;
            }
            assert_eq!(await_one(&mut tasks).await?, 1);
            for result in await_all(&mut tasks).await {
                result.expect_err("both have failed");
            }
        }
        Ok(())
    });
}

#[test]
fn rule_8_await_one_waits_for_the_first_from_wherever() {
    test(2, async |cx| {
        let gates: Vec<Gate> = (0..4).map(|_| Gate::default()).collect();
        let mut tasks = Vec::new();
        for (n, gate) in gates.iter().cloned().enumerate() {
            let task = async move |_: &Cx| {
                gate.passed().await;
                Ok(n)
            };
            tasks.push(if n % 2 == 0 {
                cx.spawn(task)
            } else {
                cx.call(task)?
            });
        }
        for n in [3, 0, 1, 2] {
            assert!(poll_once(await_one(&mut tasks)).await.is_none());
            gates[n].open();
            assert_eq!(await_one(&mut tasks).await?, n);
        }
        Ok(())
    });
}

#[test]
fn rule_8_await_first_cancels_the_others_wherever_they_are() {
    test(3, async |cx| {
        let notes = Notes::default();
        let mut tasks = Vec::new();
        for domain in cx.domains() {
            let noted = notes.on_drop("loser");
            tasks.push(cx.call_on(domain, async move |_| {
                let _noted = noted;
                pending::<Result<i32>>().await
            })?);
        }
        tasks.push(cx.spawn(async |_| {
            turns(20).await;
            Ok(7)
        }));
        assert_eq!(await_first(&mut tasks).await?, 7);
        let text = notes.text();
        let mut losers: Vec<&str> = text.split(' ').collect();
        losers.sort_unstable();
        assert_eq!(losers, ["loser@dom1", "loser@dom2", "loser@dom3"]);
        Ok(())
    });
}

#[test]
fn rule_8_a_panic_among_the_losers_of_await_first_is_heard_of() {
    test(2, async |cx| {
        let running = Gate::default();
        let started = running.clone();
        let mut tasks = vec![
            cx.call(async move |_| {
                let _panics = PanicsOnDrop("a loser");
                started.open();
                pending::<Result<()>>().await
            })?,
            cx.call(async move |_| {
                let _: () = running.passed().await;
                Ok(())
            })?,
        ];
        assert_panicked(
            &await_first(&mut tasks).await.expect_err("panics"),
            "a loser",
        );
        Ok(())
    });
}

#[test]
fn a_race_with_a_call_that_loses_leaves_it_to_its_handle() {
    test(1, async |cx| {
        let mut task = cx.call(async |_| pending::<Result<()>>().await)?;
        match race(&mut task, turns(3)).await {
            Either::First(_) => panic!("it never ends"),
            Either::Second(()) => task.cancel().await,
        }
    });
}

#[test]
fn a_scope_dropped_half_way_cancels_its_calls() {
    for seed in 0..30 {
        let notes = Notes::default();
        let noting = notes.clone();
        let ended = bounded(move || {
            seeded(3, seed).run(async move |cx| {
                cx.spawn(async move |cx| {
                    let scope = cx.scope(async |cx| {
                        let mut tasks = Vec::new();
                        for _ in 0..4 {
                            let noted = noting.on_drop("child");
                            tasks.push(cx.call(async move |_| {
                                let _noted = noted;
                                pending::<Result<()>>().await
                            })?);
                        }
                        await_all(&mut tasks).await;
                        Ok(())
                    });
                    match race(scope, turns(seed as usize % 6)).await {
                        Either::First(_) => panic!("they never end"),
                        Either::Second(()) => Ok(()),
                    }
                })
                .await
            })
        });
        ended.expect("the scope's children are no forgotten ones");
        assert_eq!(notes.text().matches("child@dom").count(), 4);
    }
}

// ---- rule 2, and everything else that ends the run ----

#[test]
fn rule_2_a_violation_on_another_domain_ends_the_run() {
    let (parent_line, child_line) = (line!() + 3, line!() + 5);
    let failure = failure_of(2, async |cx| {
        // Others are in the way, on all domains.
        let task = cx.call(async |cx| {
            turns(3).await;
            let _forgotten = cx.spawn(async |_| pending::<Result<()>>().await);
            Ok(())
        })?;
        let mut busy = Vec::new();
        for domain in cx.domains() {
            busy.push(cx.call_on(domain, async |cx| {
                let spawned = cx.spawn(async |_| -> Result<()> {
                    loop {
                        yield_now().await
                    }
                });
                spawned.await
            })?);
        }
        busy.push(task);
        await_all(&mut busy).await;
        unreachable!("no ancestor survives it")
    });
    let Reason::Violation(Violation::StillHasChildren {
        parent, children, ..
    }) = failure.reason()
    else {
        panic!("{failure:?}");
    };
    assert_eq!(parent.spawned_at.line(), parent_line);
    assert_eq!(children.len(), 1);
    assert_eq!(children[0].spawned_at.line(), child_line);
    assert!(failure.suppressed().is_empty(), "{failure:?}");
}

#[test]
fn rule_2_an_ancestor_on_another_domain_cannot_catch_a_violation() {
    let after = Gate::default();
    let reached = after.clone();
    let failure = failure_of(2, async move |cx| {
        let task = cx.call(async |cx| {
            let grandchild = cx.call(async |cx| {
                let _forgotten = cx.call(async |_| pending::<Result<()>>().await)?;
                Ok(())
            })?;
            let _ = grandchild.await;
            Ok(())
        })?;
        let _ = task.await;
        reached.open();
        Ok(())
    });
    assert_still_has_children(&failure);
    assert!(!after.is_open());
}

#[test]
fn two_violations_at_once_are_both_told() {
    for domains in [1, 2] {
        let failure = failure_of(domains, async |cx| {
            let gate = Gate::default();
            let mut tasks = Vec::new();
            let places: Vec<_> = cx.domains().collect();
            for n in 0..2 {
                let gate = gate.clone();
                tasks.push(cx.call_on(places[n % places.len()], async move |cx| {
                    gate.passed().await;
                    let _forgotten = cx.spawn(async |_| pending::<Result<()>>().await);
                    Ok(())
                })?);
            }
            let blocked = Gate::default();
            // Both are there before this domain hears of any.
            let (first, second) = (blocked.clone(), Arc::new(AtomicUsize::new(0)));
            for domain in cx.domains() {
                let (gate, arrived, first) = (gate.clone(), second.clone(), first.clone());
                let count = cx.domains().len();
                tasks.push(cx.call_on(domain, async move |_| {
                    gate.open();
                    turns(3).await;
                    if arrived.fetch_add(1, Ordering::Relaxed) + 1 == count {
                        first.open();
                    }
                    Ok(())
                })?);
            }
            blocked.block();
            await_all(&mut tasks).await;
            Ok(())
        });
        assert_still_has_children(&failure);
        let also = failure.suppressed();
        assert_eq!(also.len(), 1, "with {domains}: {failure:?}");
        assert_still_has_children(&also[0]);
    }
}

#[test]
fn a_violation_here_and_one_there_at_once() {
    for seed in 0..30 {
        let failure = bounded(move || {
            seeded(2, seed).run(async |cx| {
                let _forgotten = cx.call(async |cx| {
                    let _forgotten = cx.call(async |_| pending::<Result<()>>().await)?;
                    Ok(())
                })?;
                Ok(())
            })
        });
        assert_still_has_children(&failure.expect_err("a violation"));
    }
}

#[test]
fn what_main_fails_with_and_a_violation_there() {
    // Whichever is first: the violation is never lost.
    for seed in 0..30 {
        let failure = bounded(move || {
            seeded(1, seed).run(async move |cx| {
                let violating = Gate::default();
                let opened = violating.clone();
                let _child = cx.call(async move |cx| {
                    let _forgotten = cx.spawn(async |_| pending::<Result<()>>().await);
                    opened.open();
                    Ok(())
                })?;
                violating.passed().await;
                turns(seed as usize % 3).await;
                Err::<(), _>(Failure::msg("main"))
            })
        });
        assert_still_has_children(&failure.expect_err("fails"));
    }
}

#[test]
fn a_stall_on_another_domain_is_told_with_all_that_wait() {
    let line = line!() + 4;
    for domains in [1, 3] {
        let failure = failure_of(domains, async |cx| {
            let task =
                cx.call(async |cx| cx.spawn(async |_| pending::<Result<()>>().await).await)?;
            task.await
        });
        assert_stalled(&failure);
        let text = format!("{failure:?}");
        assert!(
            text.contains("main, spawned at") && text.contains("waits for the end of"),
            "{text}"
        );
        let stuck =
            format!("tests/across.rs:{line}:39, waits for something the runtime does not know");
        assert!(text.contains(&stuck), "{text}");
    }
}

#[test]
fn a_stall_of_several_domains_is_told_once_by_each() {
    for _ in 0..20 {
        let failure = failure_of(3, async |cx| {
            let stuck = cx.parallel(0..2, async |_, _| pending::<Result<()>>().await);
            stuck.await.map(drop)
        });
        assert_stalled(&failure);
        // dom0 waits for two, and one has nothing to do.
        assert_eq!(failure.suppressed().len(), 2, "{failure:?}");
        failure.suppressed().iter().for_each(assert_stalled);
    }
}

#[test]
fn a_task_that_only_its_parent_can_end_is_no_stall() {
    test(2, async |cx| {
        let mut waiting = Vec::new();
        for domain in cx.domains() {
            waiting.push(cx.call_on(domain, async |_| pending::<Result<()>>().await)?);
        }
        // They have nothing to hope for but this.
        let gate = Gate::default();
        let opened = gate.clone();
        let timer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            opened.open();
        });
        gate.passed().await;
        timer.join().expect("no panic");
        for task in waiting {
            task.cancel().await?;
        }
        Ok(())
    });
}

#[test]
fn waiting_for_another_domain_is_no_stall_in_either_direction() {
    test(2, async |cx| {
        for _ in 0..200 {
            let (ping, pong) = (Gate::default(), Gate::default());
            let (pinged, ponged) = (ping.clone(), pong.clone());
            let task = cx.call(async move |cx| {
                let deeper = cx.call(async move |_| {
                    pinged.passed().await;
                    let _: () = ponged.open();
                    Ok(())
                })?;
                deeper.await
            })?;
            turns(2).await;
            ping.open();
            pong.passed().await;
            task.await?;
        }
        Ok(())
    });
}

#[test]
fn a_domain_whose_run_fails_is_not_taken_for_stalled() {
    for seed in 0..100 {
        let failure = bounded(move || {
            seeded(3, seed).run(async |cx| {
                let mut tasks = Vec::new();
                for n in 0..6 {
                    tasks.push(cx.call(async move |cx| {
                        if n == 5 {
                            let _forgotten = cx.call(async |_| pending::<Result<()>>().await)?;
                            return Ok(());
                        }
                        pending().await
                    })?);
                }
                await_all(&mut tasks).await;
                Ok(())
            })
        });
        let failure = failure.expect_err("a violation");
        assert_still_has_children(&failure);
        assert!(failure.suppressed().is_empty(), "{failure:?}");
    }
}
