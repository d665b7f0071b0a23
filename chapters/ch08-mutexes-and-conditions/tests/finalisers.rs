//! Rule 12: finalisers, in which order and when they run, and what becomes of what goes wrong in them.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod owners;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Either, Failure, Owned, Reason, Result, TcpListener, TcpStream, race, run, yield_now,
};
use common::PanicsOnDrop;
use owners::{Log, Thing, assert_finaliser, failing, panicking, poll_by_hand, thing, turns};
use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use world::{Gate, failure_of, here, other, own_waker, poll_once, suppressed, test};

/// Three things, a local, and a child that has the same and never ends.
async fn household(cx: &Cx, log: Log, below: bool, running: Gate, blow: Gate) -> Result<()> {
    let name = |what: &str| format!("{what}{}", if below { "'" } else { "" });
    let _local = log.on_drop(name("local"));
    let _first = thing(cx, &log, &name("a"));
    let dropped = thing(cx, &log, &name("b"));
    if below {
        drop(dropped);
        let _third = thing(cx, &log, &name("c"));
        running.open();
        return pending().await;
    }
    let child = (log.clone(), running.clone());
    let _child = cx.spawn(async move |cx| {
        let never = Gate::default();
        Box::pin(household(cx, child.0, true, child.1, never)).await
    });
    drop(dropped);
    let _third = thing(cx, &log, &name("c"));
    running.passed().await;
    blow.passed().await;
    Err(Failure::msg("blown"))
}

#[test]
fn rule_12_at_an_error_locals_go_then_children_then_what_is_owned_the_newest_first() {
    for domains in 0..2 {
        test(domains, async |cx| {
            let (log, running, blow) = (Log::default(), Gate::default(), Gate::default());
            blow.open();
            let own = log.clone();
            let code = async move |cx: &Cx| household(cx, own, false, running, blow).await;
            let task = match cx.domains().next() {
                None => cx.spawn(code),
                Some(domain) => cx.call_on(domain, code)?,
            };
            assert_eq!(task.await.expect_err("blown").to_string(), "blown");
            assert_eq!(log.text(), "local local' c' b' a' c b a");
            Ok(())
        });
    }
}

#[test]
fn rule_12_cancelled_children_go_then_locals_then_what_is_owned_the_newest_first() {
    for domains in 0..2 {
        test(domains, async |cx| {
            let (log, running) = (Log::default(), Gate::default());
            let (own, is_running) = (log.clone(), running.clone());
            let code =
                async move |cx: &Cx| household(cx, own, false, is_running, Gate::default()).await;
            let task = match cx.domains().next() {
                None => cx.spawn(code),
                Some(domain) => cx.call_on(domain, code)?,
            };
            running.passed().await;
            task.cancel().await?;
            assert_eq!(log.text(), "local' c' b' a' local c b a");
            Ok(())
        });
    }
}

#[test]
fn rule_12_at_a_panic_too() {
    test(1, async |cx| {
        for there in [false, true] {
            let log = Log::default();
            let own = log.clone();
            let panics = async move |cx: &Cx| -> Result<()> {
                let _a = thing(cx, &own, "a");
                let _local = own.on_drop("local");
                let child = own.clone();
                let _child = cx.spawn(async move |cx| {
                    let _ours = thing(cx, &child, "child's");
                    pending::<Result<()>>().await
                });
                let _b = thing(cx, &own, "b");
                turns(2).await;
                panic!("so be it")
            };
            let task = match there {
                false => cx.spawn(panics),
                true => cx.call(panics)?,
            };
            let failure = task.await.expect_err("panics");
            assert!(matches!(failure.reason(), Reason::Panicked(text) if text == "so be it"));
            assert_eq!(log.text(), "local child's b a");
        }
        Ok(())
    });
}

#[test]
fn rule_12_finalisers_wait_for_children_that_run_elsewhere() {
    for fails in [true, false] {
        test(2, async move |cx| {
            let (log, running, blocks) = (Log::default(), Gate::default(), Gate::default());
            let (own, is_running, unblocked) = (log.clone(), running.clone(), blocks.clone());
            let task = cx.call_on(other(cx, 0), async move |cx| {
                let _a = thing(cx, &own, "parent's");
                let (child, child_runs) = (own.clone(), Gate::default());
                let child_is_running = child_runs.clone();
                let there = cx.domains().next().expect("two domains");
                let _task = cx.call_on(there, async move |cx| {
                    let _b = thing(cx, &child, "child's");
                    child_is_running.open();
                    unblocked.block();
                    pending::<Result<()>>().await
                })?;
                child_runs.passed().await;
                is_running.open();
                match fails {
                    true => Err(Failure::msg("fails")),
                    false => pending::<Result<()>>().await,
                }
            })?;
            running.passed().await;
            let ending = match fails {
                true => Either::First(task),
                false => Either::Second(task.cancel()),
            };
            // That domain has had its turns, and waits for the other one.
            let idle = cx.call_on(other(cx, 0), async |_| Ok(turns(100).await))?;
            idle.await?;
            assert_eq!(log.text(), "", "the child is there still");
            blocks.open();
            match ending {
                Either::First(task) => assert!(task.await.is_err()),
                Either::Second(cancel) => cancel.await?,
            }
            assert_eq!(log.text(), "child's parent's");
            Ok(())
        });
    }
}

#[test]
fn rule_12_all_is_finalised_before_the_end_is_seen() {
    test(1, async |cx| {
        for there in [false, true] {
            let log = Log::default();
            let own = log.clone();
            let fails = async move |cx: &Cx| -> Result<()> {
                let _kept = thing(cx, &own, "finalised");
                Err(Failure::msg("fails"))
            };
            let task = match there {
                false => cx.spawn(fails),
                true => cx.call(fails)?,
            };
            while !task.is_over() {
                yield_now().await;
            }
            assert_eq!(log.text(), "finalised");
            assert!(task.await.is_err());
        }
        Ok(())
    });
}

#[test]
fn rule_12_a_finaliser_runs_on_the_domain_of_its_owner() {
    test(1, async |cx| {
        let log = Log::default();
        let own = log.clone();
        let task = cx.call(async move |cx| {
            let _placed = cx.own("placed", own, |log| Ok(log.note(here())));
            Err::<(), _>(Failure::msg("fails"))
        })?;
        assert!(task.await.is_err());
        assert_eq!(log.text(), "dom1");
        Ok(())
    });
}

#[test]
fn rule_12_a_task_cancelled_while_it_is_suspended_or_ready_or_ending() {
    test(0, async |cx| {
        for waits in 0..4 {
            let log = Log::default();
            let own = log.clone();
            let task = cx.spawn(async move |cx| {
                let _kept = thing(cx, &own, "kept");
                match waits {
                    0 => pending::<Result<()>>().await,
                    1 => loop {
                        yield_now().await;
                    },
                    2 => {
                        // It waits for the end of what it has cancelled, and of what that has spawned at its end.
                        let child = cx.spawn(async |cx| {
                            cx.spawn(async |_| pending::<Result<()>>().await).await
                        });
                        yield_now().await;
                        yield_now().await;
                        drop(child.cancel());
                        Err(Failure::msg("fails"))
                    }
                    _ => Err::<(), _>(Failure::msg("is over")),
                }
            });
            turns(3).await;
            let cancelled = task.cancel().await;
            assert_eq!(log.text(), "kept", "{waits} {cancelled:?}");
        }
        Ok(())
    });
}

#[test]
fn rule_12_a_violation_elsewhere_finalises_everything() {
    for domains in 0..3 {
        let log = Log::default();
        let own = log.clone();
        let failure = failure_of(domains, async move |cx| {
            let _main = thing(cx, &own, "main's");
            let running = Gate::default();
            let (child, is_running) = (own.clone(), running.clone());
            let code = async move |cx: &Cx| -> Result<()> {
                let _ours = thing(cx, &child, "child's");
                let _fails = failing(cx, "this");
                is_running.open();
                pending().await
            };
            let _child = match cx.domains().next() {
                None => cx.spawn(code),
                Some(domain) => cx.call_on(domain, code)?,
            };
            running.passed().await;
            let forgets = async |cx: &Cx| {
                drop(cx.spawn(async |_| pending::<Result<()>>().await));
                Ok(())
            };
            match cx.domains().last() {
                None => cx.spawn(forgets).await,
                Some(domain) => cx.call_on(domain, forgets)?.await,
            }
        });
        world::assert_still_has_children(&failure);
        assert_eq!(log.text(), "child's main's");
        let suppressed = suppressed(&failure);
        assert_eq!(suppressed.len(), 1, "{failure:?}");
        assert!(suppressed[0].starts_with("finaliser of this, owned at "));
    }
}

// ---- in a scope ----

#[test]
fn rule_12_a_scope_that_fails_finalises_its_own_before_its_end_is_seen() {
    test(0, async |cx| {
        let log = Log::default();
        let outer = thing(cx, &log, "outer");
        for panics in [false, true] {
            let scope = cx.scope(async |cx| {
                let _a = thing(cx, &log, "a");
                let _local = log.on_drop("local");
                let child = log.clone();
                let _child = cx.spawn(async move |cx| {
                    let _ours = thing(cx, &child, "child's");
                    pending::<Result<()>>().await
                });
                let _b = thing(cx, &log, "b");
                turns(2).await;
                assert!(!panics, "so be it");
                Err::<(), _>(Failure::msg("fails"))
            });
            assert!(scope.await.is_err());
            log.note("seen");
        }
        assert_eq!(log.text(), "local child's b a seen local child's b a seen");
        outer.release().await
    });
}

#[test]
fn rule_12_a_scope_that_is_left_half_way_finalises_its_own() {
    test(0, async |cx| {
        let log = Log::default();
        let scope = cx.scope(async |cx| -> Result<()> {
            let _a = thing(cx, &log, "a");
            let child = log.clone();
            let _child = cx.spawn(async move |cx| {
                let _ours = thing(cx, &child, "child's");
                pending::<Result<()>>().await
            });
            let _b = thing(cx, &log, "b");
            pending().await
        });
        race(scope, turns(3)).await;
        assert_eq!(log.text(), "", "not inside of a drop");
        assert_eq!(cx.owned(), [], "and not for the task to care for");
        turns(3).await;
        assert_eq!(log.text(), "child's b a");
        Ok(())
    });
}

#[test]
fn rule_12_a_scope_left_half_way_is_finalised_before_the_tasks_end_is_seen() {
    test(0, async |cx| {
        let log = Log::default();
        let own = log.clone();
        let task = cx.spawn(async move |cx| {
            let scope = cx.scope(async |cx| -> Result<()> {
                let _fails = panicking(cx, "this");
                let _a = thing(cx, &own, "a");
                pending().await
            });
            assert!(poll_once(scope).await.is_none());
            Ok(())
        });
        let failure = task.await.expect_err("a panic is not lost");
        assert!(
            failure
                .to_string()
                .starts_with("finaliser of this, owned at ")
        );
        assert!(failure.to_string().ends_with("panicked: this panics"));
        assert_eq!(log.text(), "a");
        Ok(())
    });
}

#[test]
fn rule_12_a_scope_cancelled_with_its_task_leaves_its_own_to_the_task() {
    test(0, async |cx| {
        let log = Log::default();
        let own = log.clone();
        let task = cx.spawn(async move |cx| {
            let _local = own.on_drop("local");
            let _old = thing(cx, &own, "old");
            cx.scope(async |outer| {
                let _outer = thing(outer, &own, "outer");
                outer
                    .scope(async |inner| -> Result<()> {
                        let _inner = thing(inner, &own, "inner");
                        // Newer than those of the scopes, though it is the task's.
                        let _new = thing(cx, &own, "new");
                        let child = own.clone();
                        let _child = inner.spawn(async move |cx| {
                            let _ours = thing(cx, &child, "child's");
                            pending::<Result<()>>().await
                        });
                        let _local = own.on_drop("inner-local");
                        pending().await
                    })
                    .await
            })
            .await
        });
        turns(2).await;
        task.cancel().await?;
        assert_eq!(log.text(), "child's inner-local local new inner outer old");
        Ok(())
    });
}

// ---- what goes wrong in them ----

#[test]
fn rule_12_errors_and_panics_of_finalisers_are_suppressed_with_name_and_line() {
    test(1, async |cx| {
        let line = line!() + 2;
        let fails = async |cx: &Cx| {
            let _one = cx.own("the one", 1, |_| Err(Failure::msg("is stuck")));
            let _two = cx.own("the other", 2, |n| panic!("no {n}"));
            Err::<(), _>(Failure::msg("the reason"))
        };
        for there in [false, true] {
            let task = match there {
                false => cx.spawn(fails),
                true => cx.call(fails)?,
            };
            let failure = task.await.expect_err("fails");
            assert_eq!(failure.to_string(), "the reason");
            let [two, one] = &suppressed(&failure)[..] else {
                panic!("{failure:?}")
            };
            let file = "finalisers.rs";
            assert_finaliser(two, "the other", file, line + 1, "panicked: no 2");
            assert_finaliser(one, "the one", file, line, "is stuck");
            let two = &failure.suppressed()[0];
            assert!(matches!(two.reason(), Reason::Panicked(text) if text == "no 2"));
        }
        Ok(())
    });
}

#[test]
fn rule_12_a_finaliser_that_panics_keeps_none_from_running() {
    test(0, async |cx| {
        let (log, count) = (Log::default(), Arc::new(AtomicUsize::new(0)));
        let (own, counted) = (log.clone(), count.clone());
        let task = cx.spawn(async move |cx| -> Result<()> {
            let _first = thing(cx, &own, "first");
            let _panics = cx.own("it", counted, |counted| {
                counted.fetch_add(1, Ordering::SeqCst);
                panic!("so be it")
            });
            let _last = thing(cx, &own, "last");
            Err(Failure::msg("fails"))
        });
        let failure = task.await.expect_err("fails");
        assert_eq!(failure.suppressed().len(), 1);
        assert_eq!(log.text(), "last first");
        assert_eq!(count.load(Ordering::SeqCst), 1, "never twice");
        Ok(())
    });
}

#[test]
fn rule_12_a_finaliser_whose_panic_panics_when_it_is_dropped() {
    test(0, async |cx| {
        let log = Log::default();
        let own = log.clone();
        let task = cx.spawn(async move |cx| -> Result<()> {
            let _first = thing(cx, &own, "first");
            let _payload = cx.own("a payload", (), |()| {
                std::panic::panic_any(PanicsOnDrop("the payload"))
            });
            let _value = cx.own("a value", PanicsOnDrop("the value"), |value| {
                drop(value);
                Ok(())
            });
            let captured = SendPanics("what was captured");
            let _captured = cx.own("captured", (), move |()| {
                drop(captured);
                Ok(())
            });
            Err(Failure::msg("fails"))
        });
        let failure = task.await.expect_err("fails");
        let reasons: Vec<String> = failure
            .suppressed()
            .iter()
            .map(|failure| format!("{:?}", failure.reason()))
            .collect();
        assert_eq!(
            reasons,
            [
                r#"Panicked("what was captured")"#,
                r#"Panicked("the value")"#,
                r#"Panicked("a panic without a text")"#
            ]
        );
        assert_eq!(log.text(), "first");
        Ok(())
    });
}

struct SendPanics(&'static str);

impl Drop for SendPanics {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

#[test]
fn rule_12_of_a_cancelled_task_the_one_who_awaits_the_cancel_is_told() {
    test(1, async |cx| {
        for there in [false, true] {
            let running = Gate::default();
            let is_running = running.clone();
            let code = async move |cx: &Cx| -> Result<()> {
                let _fails = failing(cx, "own");
                let _child = cx.spawn(async move |cx| {
                    let _fails = failing(cx, "child's");
                    is_running.open();
                    pending::<Result<()>>().await
                });
                pending().await
            };
            let task = match there {
                false => cx.spawn(code),
                true => cx.call(code)?,
            };
            running.passed().await;
            let failure = task.cancel().await.expect_err("two went wrong");
            assert!(matches!(failure.reason(), Reason::Cancelled));
            let suppressed = suppressed(&failure);
            assert_eq!(suppressed.len(), 2, "{failure:?}");
            assert!(suppressed[0].starts_with("finaliser of child's, owned at "));
            assert!(suppressed[1].starts_with("finaliser of own, owned at "));
        }
        Ok(())
    });
}

#[test]
fn rule_12_when_nobody_awaits_the_cancel_the_parents_failure_has_it() {
    test(1, async |cx| {
        for there in [false, true] {
            let parent = cx.spawn(async move |cx| {
                let running = Gate::default();
                let is_running = running.clone();
                let code = async move |cx: &Cx| -> Result<()> {
                    let _fails = failing(cx, "child's");
                    is_running.open();
                    pending().await
                };
                let task = match there {
                    false => cx.spawn(code),
                    true => cx.call(code)?,
                };
                running.passed().await;
                drop(task.cancel());
                let _fails = failing(cx, "own");
                Err::<(), _>(Failure::msg("the parent's"))
            });
            let failure = parent.await.expect_err("fails");
            assert_eq!(failure.to_string(), "the parent's");
            let suppressed = suppressed(&failure);
            assert_eq!(suppressed.len(), 2, "{failure:?}");
            assert!(suppressed[0].starts_with("finaliser of child's, owned at "));
            assert!(suppressed[1].starts_with("finaliser of own, owned at "));
        }
        Ok(())
    });
}

#[test]
fn rule_12_of_the_main_task_run_tells() {
    let failure = failure_of(0, async |cx| {
        let _fails = failing(cx, "main's");
        Err(Failure::msg("fails"))
    });
    assert_eq!(failure.to_string(), "fails");
    assert!(suppressed(&failure)[0].starts_with("finaliser of main's, owned at "));
}

#[test]
fn a_failure_of_a_scopes_finaliser_is_the_scopes() {
    test(0, async |cx| {
        let scope = cx.scope(async |cx| {
            let _fails = failing(cx, "scope's");
            Err::<(), _>(Failure::msg("fails"))
        });
        let failure = scope.await.expect_err("fails");
        assert!(suppressed(&failure)[0].starts_with("finaliser of scope's, owned at "));
        Ok(())
    });
}

#[test]
fn what_an_error_of_a_finaliser_suppresses_is_told_too() {
    test(0, async |cx| {
        let inner = cx.spawn(async |cx| {
            let _fails = failing(cx, "deep");
            Err::<(), _>(Failure::msg("inner"))
        });
        let inner = inner.await.expect_err("fails");
        let outer = cx.spawn(async move |cx| {
            let _fails = cx.own("outer", inner, Err);
            Err::<(), _>(Failure::msg("outer"))
        });
        let failure = outer.await.expect_err("fails");
        let suppressed = suppressed(&failure);
        assert_eq!(suppressed.len(), 2, "a list without depth");
        assert!(
            suppressed[0].starts_with("finaliser of outer, ") && suppressed[0].ends_with(": inner")
        );
        assert!(suppressed[1].starts_with("finaliser of deep, owned at "));
        Ok(())
    });
}

// ---- finalisers that do odd things ----

/// Runs `finaliser` in each way in which a finaliser comes to run on this domain.
async fn in_every_way<T: 'static>(
    cx: &Cx,
    mut value: impl FnMut() -> T,
    finaliser: fn(T) -> Result<()>,
) -> Vec<Result<()>> {
    let mut results = vec![cx.own("released", value(), finaliser).release().await];
    for way in 0..4 {
        let value = value();
        let task = cx.spawn(async move |cx| {
            if way == 3 {
                let scope = cx.scope(async |cx| {
                    let _owned = cx.own("of a scope", value, finaliser);
                    Err::<(), _>(Failure::msg("as planned"))
                });
                return scope.await;
            }
            let owned = cx.own("owned", value, finaliser);
            match way {
                0 => drop(cx.spawn(async |_| pending::<Result<()>>().await)),
                1 => {}
                _ => {
                    let given = cx.give(owned).spawn(async |_, _owned| pending().await);
                    return given.await;
                }
            }
            yield_now().await;
            Err(Failure::msg("as planned"))
        });
        turns(2).await;
        results.push(match way {
            2 => task.cancel().await,
            _ => match task.await {
                Err(failure) if suppressed(&failure).is_empty() => Ok(()),
                Err(failure) => Err(failure),
                Ok(()) => panic!("it should have failed"),
            },
        });
    }
    results
}

#[track_caller]
fn assert_all_well(results: Vec<Result<()>>) {
    assert_eq!(results.len(), 5);
    for result in results {
        result.expect("the finaliser goes well");
    }
}

#[test]
fn rule_12_a_finaliser_may_wake_tasks() {
    test(1, async |cx| {
        // Both the task that waits for it, and one on another domain.
        let gates = || (Gate::default(), Gate::default());
        let mut all = Vec::new();
        let results = in_every_way(
            cx,
            || {
                all.push(gates());
                all[all.len() - 1].clone()
            },
            |(one, two)| {
                one.open();
                two.open();
                Ok(())
            },
        )
        .await;
        assert_all_well(results);
        assert_eq!(all.len(), 5);
        // And those that sleep are woken.
        for there in [false, true] {
            let gate = Gate::default();
            let passes = gate.clone();
            let waits = async move |_: &Cx| Ok(passes.passed().await);
            let sleeper = match there {
                false => cx.spawn(waits),
                true => cx.call(waits)?,
            };
            turns(5).await;
            let task = cx.spawn(async move |cx| {
                let _opens = cx.own("a gate", gate, |gate| {
                    gate.open();
                    Ok(())
                });
                Err::<(), _>(Failure::msg("fails"))
            });
            assert!(task.await.is_err());
            sleeper.await?;
        }
        let waker = own_waker().await;
        assert_all_well(in_every_way(cx, || waker.clone(), |waker| Ok(waker.wake())).await);
        Ok(())
    });
}

#[test]
fn rule_12_a_finaliser_may_drop_other_things_and_use_channels() {
    test(0, async |cx| {
        let (sender, receiver) = mpsc::channel();
        let drops = common::Drops::default();
        let results = in_every_way(
            cx,
            || (sender.clone(), drops.witness(), Rc::new(Cell::new(0))),
            |(sender, witness, shared)| {
                drop(witness);
                shared.set(1);
                Ok(sender.send("closed")?)
            },
        )
        .await;
        assert_all_well(results);
        assert_eq!((drops.count(), receiver.try_iter().count()), (5, 5));
        Ok(())
    });
}

#[test]
fn rule_12_a_finaliser_may_close_sockets_and_say_goodbye() {
    test(0, async |cx| {
        let mut listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (mut clients, mut servers) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            clients.push(TcpStream::connect(address).await?);
            servers.push(listener.accept().await?.0);
        }
        let results = in_every_way(
            cx,
            || servers.pop().expect("five"),
            |mut stream| {
                let sent = poll_by_hand(stream.write(b"goodbye"));
                assert!(matches!(sent, Some(Ok(7))), "there is room");
                drop(stream);
                Ok(())
            },
        )
        .await;
        assert_all_well(results);
        for mut client in clients {
            let mut buffer = [0; 16];
            assert_eq!(client.read(&mut buffer).await?, 7);
            assert_eq!(client.read(&mut buffer).await?, 0);
        }
        Ok(())
    });
}

#[test]
fn rule_12_a_finaliser_that_calls_run_is_told_that_this_is_none() {
    test(0, async |cx| {
        let results = in_every_way(cx, || (), |()| run(async |_| Ok(()))).await;
        for result in results {
            let failure = result.expect_err("run inside run");
            let text = format!("{failure:?}");
            assert!(text.contains("run was called inside run"), "{text}");
        }
        Ok(())
    });
}

#[test]
fn rule_12_a_finaliser_may_run_a_runtime_of_its_own_elsewhere() {
    test(0, async |cx| {
        let task = cx.spawn(async |cx| {
            let _other = cx.own("another run", (), |()| {
                let thread = std::thread::spawn(|| world::with(1).run(async |_| Ok(())));
                thread.join().expect("it does not panic")
            });
            Err::<(), _>(Failure::msg("fails"))
        });
        let failure = task.await.expect_err("fails");
        assert_eq!(suppressed(&failure), [""; 0]);
        Ok(())
    });
}

#[test]
fn rule_12_finalisers_spawn_nothing_and_their_domain_goes_on() {
    test(1, async |cx| {
        let log = Log::default();
        for n in 0..50 {
            let own = log.clone();
            let task = cx.call(async move |cx| {
                let _fails = failing(cx, "one");
                let _panics = panicking(cx, "two");
                let _three: Owned<'_, Thing> = thing(cx, &own, "x");
                Err::<(), _>(Failure::msg(n))
            })?;
            let failure = task.await.expect_err("fails");
            assert_eq!(failure.to_string(), n.to_string());
            assert_eq!(failure.suppressed().len(), 2);
        }
        assert_eq!(log.text().split(' ').count(), 50);
        Ok(())
    });
}

#[test]
fn rule_12_a_hundred_thousand_finalisers_need_no_depth() {
    test(0, async |cx| {
        let count = Rc::new(Cell::new(0));
        let counted = count.clone();
        let task = cx.spawn(async move |cx| {
            for n in 0..100_000 {
                // Each has to be the one after the last.
                drop(cx.own("one", (counted.clone(), n), |(counted, n)| {
                    assert_eq!(counted.get(), 99_999 - n);
                    Ok(counted.set(counted.get() + 1))
                }));
            }
            pending::<Result<()>>().await
        });
        yield_now().await;
        task.cancel().await?;
        assert_eq!(count.get(), 100_000);
        Ok(())
    });
}

#[test]
fn rule_12_a_deep_chain_of_owners_is_finalised_from_below() {
    async fn chain(cx: &Cx, counted: Rc<Cell<usize>>, depth: usize) -> Result<()> {
        let expected = (counted.clone(), depth);
        let _owned = cx.own("a link", expected, |(counted, depth)| {
            assert_eq!(counted.get(), depth);
            Ok(counted.set(depth + 1))
        });
        match depth {
            0 => pending().await,
            _ => {
                let next = async move |cx: &Cx| Box::pin(chain(cx, counted, depth - 1)).await;
                cx.spawn(next).await
            }
        }
    }
    test(0, async |cx| {
        let count = Rc::new(Cell::new(0));
        let counted = count.clone();
        let task = cx.spawn(async move |cx| chain(cx, counted, 20_000).await);
        turns(20_002).await;
        task.cancel().await?;
        assert_eq!(count.get(), 20_001);
        Ok(())
    });
}
