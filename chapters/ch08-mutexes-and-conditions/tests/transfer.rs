//! Rule 12: a child makes its parent the owner.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod owners;
mod world;

use ch08_mutexes_and_conditions::{Cx, Failure, Owned, Reason, Result, await_all, yield_now};
use common::{bounded, panic_of};
use owners::{Log, Thing, failing, leak, names, thing, turns};
use std::future::pending;
use world::{Gate, OnDrop, assert_panicked, failure_of, here, poll_once, seeded, suppressed, test};

#[track_caller]
fn placed<'c>(cx: &'c Cx, log: &Log, name: &str) -> Owned<'c, Thing> {
    cx.own(name.to_owned(), Thing::new(log, name), |thing| {
        thing.log.note(format_args!("{}@{}", thing.name, here()));
        Ok(())
    })
}

// ---- who gets it ----

#[test]
fn rule_12_transfer_makes_the_parent_the_owner_at_once() {
    test(0, async |cx| {
        let (log, transferred) = (Log::default(), Gate::default());
        let (inner, done) = (log.clone(), transferred.clone());
        let task = cx.spawn(async move |cx| {
            thing(cx, &inner, "thing").transfer();
            assert_eq!(cx.owned(), []);
            done.open();
            pending::<Result<()>>().await
        });
        transferred.passed().await;
        let received = cx.receive::<Thing>().expect("while the child goes on");
        assert_eq!(received.name(), "thing");
        task.cancel().await?;
        assert_eq!(log.text(), "", "it is no longer the child's");
        received.release().await
    });
}

#[test]
fn rule_12_transfer_from_an_orphan_is_to_the_parent_of_all() {
    test(1, async |cx| {
        let log = Log::default();
        let mut orphans = cx.orphans();
        let (here, there) = (log.clone(), log.clone());
        orphans.spawn(async move |cx| Ok(placed(cx, &here, "here").transfer()));
        orphans.next().await.expect("one")?;
        orphans.call(async move |cx| Ok(placed(cx, &there, "there").transfer_across()))?;
        orphans.next().await.expect("one")?;
        assert_eq!(names(&cx.owned()), "here there");
        while let Some(thing) = cx.receive::<Thing>() {
            thing.release().await?;
        }
        assert_eq!(log.text(), "here@dom0 there@dom0");
        Ok(())
    });
}

#[test]
fn rule_12_transfer_from_an_orphan_of_a_scope_is_to_the_scope() {
    test(1, async |cx| {
        let log = Log::default();
        cx.scope(async |inner| {
            let mut orphans = inner.orphans();
            let (here, there) = (log.clone(), log.clone());
            orphans.spawn(async move |cx| Ok(thing(cx, &here, "here").transfer()));
            orphans.next().await.expect("one")?;
            orphans.call(async move |cx| Ok(thing(cx, &there, "there").transfer_across()))?;
            orphans.next().await.expect("one")?;
            assert_eq!(cx.owned(), []);
            assert_eq!(names(&inner.owned()), "here there");
            while let Some(thing) = inner.receive::<Thing>() {
                thing.release().await?;
            }
            Ok(())
        })
        .await
    });
}

#[test]
fn rule_12_transfer_in_a_scope_is_to_what_is_around_it() {
    test(0, async |cx| {
        let log = Log::default();
        cx.scope(async |outer| {
            outer
                .scope(async |inner| {
                    thing(inner, &log, "one").transfer();
                    let _failed = thing(inner, &log, "two");
                    Err::<(), _>(Failure::msg("fails"))
                })
                .await
                .expect_err("fails");
            assert_eq!(log.text(), "two");
            assert_eq!((outer.owned().len(), cx.owned().len()), (1, 0));
            let one = outer.receive::<Thing>().expect("one");
            Ok(one.transfer())
        })
        .await?;
        assert_eq!(names(&cx.owned()), "one", "and on, to the main task");
        cx.receive::<Thing>().expect("one").release().await
    });
}

#[test]
fn rule_12_transfer_of_a_tasks_own_proof_in_a_scope_is_to_the_tasks_parent() {
    test(0, async |cx| {
        let log = Log::default();
        let inner = log.clone();
        let task = cx.spawn(async move |cx| {
            let own = thing(cx, &inner, "own");
            cx.scope(async move |_| Ok(own.transfer())).await
        });
        task.await?;
        cx.receive::<Thing>().expect("of the task").release().await
    });
}

#[test]
fn rule_12_a_called_task_transfers_across() {
    test(2, async |cx| {
        let log = Log::default();
        for domain in cx.domains() {
            let inner = log.clone();
            let task = cx.call_on(domain, async move |cx| {
                let both = [placed(cx, &inner, "one"), placed(cx, &inner, "two")];
                for thing in both {
                    let _: () = thing.transfer_across();
                }
                assert_eq!(cx.owned(), []);
                Ok(())
            })?;
            task.await?;
            // What was sent first is there first, and before the task's end.
            assert_eq!(names(&cx.owned()), "one two");
            while let Some(thing) = cx.receive::<Thing>() {
                thing.release().await?;
            }
        }
        assert_eq!(log.text(), "one@dom0 two@dom0 one@dom0 two@dom0");
        Ok(())
    });
}

#[test]
fn rule_12_it_is_there_before_the_child_is_over() {
    test(1, async |cx| {
        let (log, sent, done) = (Log::default(), Gate::default(), Gate::default());
        let (inner, is_sent, wait) = (log.clone(), sent.clone(), done.clone());
        let task = cx.call(async move |cx| {
            thing(cx, &inner, "early").transfer_across();
            is_sent.open();
            let _: () = wait.passed().await;
            Ok(())
        })?;
        sent.passed().await;
        let early = loop {
            match cx.receive::<Thing>() {
                Some(early) => break early,
                None => yield_now().await,
            }
        };
        assert!(!task.is_over());
        done.open();
        task.await?;
        early.release().await
    });
}

#[test]
fn rule_12_transfer_across_is_transfer_on_the_same_domain() {
    test(0, async |cx| {
        let log = Log::default();
        let inner = log.clone();
        let child = cx.spawn(async move |cx| Ok(thing(cx, &inner, "child's").transfer_across()));
        child.await?;
        cx.scope(async |cx| Ok(thing(cx, &log, "scope's").transfer_across()))
            .await?;
        assert_eq!(names(&cx.owned()), "child's scope's");
        while let Some(thing) = cx.receive::<Thing>() {
            thing.release().await?;
        }
        Ok(())
    });
}

#[test]
fn rule_12_a_scope_of_a_called_task_transfers_to_that_task() {
    test(1, async |cx| {
        let log = Log::default();
        let inner = log.clone();
        let task = cx.call(async move |cx| {
            let _: () = cx
                .scope(async |cx| {
                    placed(cx, &inner, "one").transfer();
                    let _: () = placed(cx, &inner, "two").transfer_across();
                    Ok(())
                })
                .await?;
            assert_eq!(names(&cx.owned()), "one two");
            Err::<(), _>(Failure::msg("fails"))
        })?;
        assert!(task.await.is_err());
        assert_eq!(log.text(), "two@dom1 one@dom1");
        Ok(())
    });
}

#[test]
fn rule_12_a_resource_climbs_a_chain_of_parents() {
    async fn climb(cx: &Cx, log: Log, depth: usize) -> Result<()> {
        if depth == 0 {
            return Ok(thing(cx, &log, "climber").transfer_across());
        }
        let next = async move |cx: &Cx| Box::pin(climb(cx, log, depth - 1)).await;
        let task = match depth % 2 {
            0 if cx.domains().len() > 0 => cx.call(next)?,
            _ => cx.spawn(next),
        };
        task.await?;
        let climber = cx.receive::<Thing>().expect("from below");
        Ok(climber.transfer_across())
    }
    for domains in 0..3 {
        test(domains, async |cx| {
            let log = Log::default();
            let own = log.clone();
            cx.spawn(async move |cx| climb(cx, own, 20).await).await?;
            assert_eq!(log.text(), "");
            cx.receive::<Thing>().expect("at the top").release().await
        });
    }
}

// ---- whatever becomes of the child ----

#[test]
fn rule_12_an_erased_result_does_not_take_the_resource_with_it() {
    test(1, async |cx| {
        let log = Log::default();
        for there in [false, true] {
            let inner = log.clone();
            let open = async move |cx: &Cx| {
                thing(cx, &inner, "opened").transfer_across();
                Ok(inner.on_drop("result"))
            };
            let task = match there {
                false => cx.spawn(open),
                true => cx.call(open)?,
            };
            while !task.is_over() {
                yield_now().await;
            }
            // It beats the result, and not the transfer.
            task.cancel().await?;
            let opened = cx.receive::<Thing>().expect("not erased");
            opened.release().await?;
        }
        assert_eq!(log.text(), "result opened result opened");
        Ok(())
    });
}

#[test]
fn rule_12_a_child_that_fails_after_it_has_transferred() {
    test(1, async |cx| {
        let log = Log::default();
        for there in [false, true] {
            let inner = log.clone();
            let fails = async move |cx: &Cx| {
                let _own = thing(cx, &inner, "own");
                thing(cx, &inner, "transferred").transfer_across();
                Err::<(), _>(Failure::msg("fails"))
            };
            let task = match there {
                false => cx.spawn(fails),
                true => cx.call(fails)?,
            };
            assert!(task.await.is_err());
            let received = cx.receive::<Thing>().expect("transferred");
            received.release().await?;
        }
        assert_eq!(log.text(), "own transferred own transferred");
        Ok(())
    });
}

#[test]
fn rule_12_what_nobody_receives_is_leaked_by_the_parent() {
    let failure = failure_of(0, async |cx| {
        let task = cx.spawn(async |cx| {
            let child = cx.spawn(async |cx| Ok(cx.own("left", 7, |_| Ok(())).transfer()));
            child.await
        });
        task.await
    });
    let (task, scope, resources) = leak(&failure);
    assert_eq!((task, scope, &*names(&resources)), (1, false, "left"));
    assert!(failure.to_string().contains("left, owned at"));
    assert!(failure.to_string().contains(", without a proof"));
}

#[test]
fn rule_12_what_was_transferred_to_a_parent_that_ends_badly_is_the_newest() {
    test(1, async |cx| {
        let log = Log::default();
        for there in [false, true] {
            let inner = log.clone();
            let parent = cx.spawn(async move |cx| {
                let _older = thing(cx, &inner, "older");
                let child = inner.clone();
                let transfers =
                    async move |cx: &Cx| Ok(thing(cx, &child, "newest").transfer_across());
                let task = match there {
                    false => cx.spawn(transfers),
                    true => cx.call(transfers)?,
                };
                task.await?;
                Err::<(), _>(Failure::msg("fails"))
            });
            assert!(parent.await.is_err());
        }
        assert_eq!(log.text(), "newest older newest older");
        Ok(())
    });
}

// ---- while everything ends ----

/// A child that transfers in a destructor.
async fn transfers_at_the_end(cx: &Cx, log: Log) -> Result<()> {
    let mut last = Some(thing(cx, &log, "saved"));
    let _last = OnDrop(|| last.take().into_iter().for_each(Owned::transfer_across));
    pending().await
}

#[test]
fn rule_12_transfer_in_a_destructor_while_being_cancelled() {
    test(1, async |cx| {
        let log = Log::default();
        for there in [false, true] {
            let (inner, running) = (log.clone(), Gate::default());
            let is_running = running.clone();
            let child = async move |cx: &Cx| {
                is_running.open();
                transfers_at_the_end(cx, inner).await
            };
            let task = match there {
                false => cx.spawn(child),
                true => cx.call(child)?,
            };
            running.passed().await;
            task.cancel().await?;
            assert_eq!(log.text(), "");
            let saved = cx.receive::<Thing>().expect("the parent has it");
            let _ = saved.disown();
        }
        Ok(())
    });
}

#[test]
fn rule_12_transfer_to_a_parent_that_is_cancelled_as_well() {
    test(1, async |cx| {
        for (there, as_orphan) in [(false, false), (true, false), (false, true), (true, true)] {
            let (log, running) = (Log::default(), Gate::default());
            let (own, is_running) = (log.clone(), running.clone());
            let parent = cx.spawn(async move |cx| {
                let _local = own.on_drop("local");
                let _older = thing(cx, &own, "older");
                let child = own.clone();
                let child = async move |cx: &Cx| {
                    is_running.open();
                    transfers_at_the_end(cx, child).await
                };
                if as_orphan {
                    let mut orphans = cx.orphans();
                    match there {
                        false => orphans.spawn(child),
                        true => orphans.call(child)?,
                    }
                    return orphans.next().await.expect("one");
                }
                match there {
                    false => cx.spawn(child).await,
                    true => cx.call(child)?.await,
                }
            });
            running.passed().await;
            parent.cancel().await?;
            // The parent's: its own end finalises it, after its locals are gone.
            let text = log.text();
            assert_eq!(text, "local saved older", "{there} {as_orphan}");
        }
        Ok(())
    });
}

#[test]
fn rule_12_transfer_to_a_parent_that_has_returned_an_error() {
    test(1, async |cx| {
        for there in [false, true] {
            let (log, running) = (Log::default(), Gate::default());
            let (own, is_running) = (log.clone(), running.clone());
            let parent = cx.spawn(async move |cx| {
                let _local = own.on_drop("local");
                let _older = thing(cx, &own, "older");
                let (child, started) = (own.clone(), is_running.clone());
                let child = async move |cx: &Cx| {
                    started.open();
                    transfers_at_the_end(cx, child).await
                };
                let _task = match there {
                    false => cx.spawn(child),
                    true => cx.call(child)?,
                };
                is_running.passed().await;
                Err::<(), _>(Failure::msg("fails"))
            });
            assert_eq!(parent.await.expect_err("fails").to_string(), "fails");
            assert_eq!(log.text(), "local saved older");
        }
        Ok(())
    });
}

#[test]
fn rule_12_transfer_to_a_parent_that_has_ended_well_is_finalised_by_it() {
    test(1, async |cx| {
        for there in [false, true] {
            let (log, running) = (Log::default(), Gate::default());
            let (own, is_running) = (log.clone(), running.clone());
            let parent = cx.spawn(async move |cx| {
                let (child, started) = (own.clone(), is_running.clone());
                let child = async move |cx: &Cx| {
                    started.open();
                    transfers_at_the_end(cx, child).await
                };
                let task = match there {
                    false => cx.spawn(child),
                    true => cx.call(child)?,
                };
                is_running.passed().await;
                drop(task.cancel());
                Ok(())
            });
            parent.await?;
            assert_eq!(log.text(), "saved", "before the end is seen");
            assert_eq!(cx.owned(), []);
        }
        Ok(())
    });
}

#[test]
fn rule_12_transfer_out_of_a_scope_that_is_left_half_way() {
    test(0, async |cx| {
        let log = Log::default();
        let scope = cx.scope(async |cx| -> Result<()> {
            let _stays = thing(cx, &log, "stays");
            let mut last = Some(thing(cx, &log, "saved"));
            let _last = OnDrop(|| last.take().into_iter().for_each(Owned::transfer));
            pending().await
        });
        assert!(poll_once(scope).await.is_none());
        let saved = cx
            .receive::<Thing>()
            .expect("transferred at the last moment");
        turns(2).await;
        assert_eq!(log.text(), "stays");
        saved.release().await
    });
}

#[test]
fn rule_12_transfer_out_of_a_scope_that_is_cancelled_with_its_task_stays_in_the_task() {
    test(0, async |cx| {
        let log = Log::default();
        let inner = log.clone();
        let task = cx.spawn(async move |cx| {
            cx.scope(async |cx| -> Result<()> {
                let mut last = Some(thing(cx, &inner, "saved"));
                let _last = OnDrop(|| last.take().into_iter().for_each(Owned::transfer));
                pending().await
            })
            .await
        });
        yield_now().await;
        task.cancel().await?;
        assert_eq!(
            names(&cx.owned()),
            "",
            "what is around the scope is the task"
        );
        assert_eq!(log.text(), "saved");
        Ok(())
    });
}

#[test]
fn rule_12_transfer_and_the_run_ends_by_a_violation_elsewhere() {
    for domains in 0..3 {
        let log = Log::default();
        let inner = log.clone();
        let failure = failure_of(domains, async move |cx| {
            let running = Gate::default();
            let is_running = running.clone();
            let child = async move |cx: &Cx| {
                is_running.open();
                transfers_at_the_end(cx, inner).await
            };
            let _saves = match cx.domains().next() {
                None => cx.spawn(child),
                Some(domain) => cx.call_on(domain, child)?,
            };
            running.passed().await;
            let leaks = async |cx: &Cx| Ok(drop(cx.own("leaked", 7, |_| Ok(()))));
            match cx.domains().last() {
                None => cx.spawn(leaks).await,
                Some(domain) => cx.call_on(domain, leaks)?.await,
            }
        });
        assert_eq!(names(&leak(&failure).2), "leaked");
        assert_eq!(log.text(), "saved", "by the main task, once");
    }
}

// ---- nowhere to go ----

#[test]
fn rule_12_the_main_task_cannot_transfer() {
    test(0, async |cx| {
        let log = Log::default();
        for across in [false, true] {
            let owned = thing(cx, &log, "kept");
            let text = panic_of(|| match across {
                false => owned.transfer(),
                true => owned.transfer_across(),
            });
            assert_eq!(text, "the main task has no parent to transfer to");
            let kept = cx.receive::<Thing>().expect("the task still owns it");
            kept.release().await?;
        }
        assert_eq!(log.text(), "kept kept");
        Ok(())
    });
}

#[test]
fn rule_12_a_main_task_that_panics_so_finalises() {
    let log = Log::default();
    let inner = log.clone();
    let failure = failure_of(0, async move |cx| Ok(thing(cx, &inner, "kept").transfer()));
    assert_panicked(&failure, "the main task has no parent to transfer to");
    assert_eq!(log.text(), "kept");
}

#[test]
fn rule_12_a_called_task_needs_transfer_across() {
    test(1, async |cx| {
        let log = Log::default();
        let inner = log.clone();
        let task = cx.call(async move |cx| {
            let owned = thing(cx, &inner, "kept");
            let text = panic_of(|| owned.transfer());
            assert_eq!(text, "the parent is on another domain; use transfer_across");
            let kept = cx.receive::<Thing>().expect("the task still owns it");
            let _: () = kept.release().await?;
            thing(cx, &inner, "again").transfer();
            Ok(())
        })?;
        let failure = task.await.expect_err("panics");
        assert_panicked(
            &failure,
            "the parent is on another domain; use transfer_across",
        );
        assert_eq!(log.text(), "kept again");
        assert_eq!(cx.owned(), []);
        Ok(())
    });
}

// ---- what goes wrong with what was transferred ----

#[test]
fn rule_12_a_failing_finaliser_of_what_was_transferred_is_the_parents() {
    test(1, async |cx| {
        let parent = cx.call(async |cx| {
            let child = cx.spawn(async |cx| Ok(failing(cx, "transferred").transfer()));
            child.await?;
            let grandchild = cx.spawn(async |cx| Ok(failing(cx, "second").transfer()));
            grandchild.await?;
            Err::<(), _>(Failure::msg("fails"))
        })?;
        let failure = parent.await.expect_err("fails");
        assert!(matches!(failure.reason(), Reason::Error(_)));
        let suppressed = suppressed(&failure);
        assert_eq!(suppressed.len(), 2, "{failure:?}");
        assert!(suppressed[0].starts_with("finaliser of second, owned at "));
        assert!(suppressed[1].starts_with("finaliser of transferred, owned at "));
        Ok(())
    });
}

#[test]
fn many_transfer_at_once_and_none_is_lost() {
    for seed in 0..20 {
        let ended = bounded(move || {
            seeded(3, seed).run(async move |cx| {
                let log = Log::default();
                let mut tasks = Vec::new();
                for n in 0..60 {
                    let inner = log.clone();
                    let child = async move |cx: &Cx| {
                        turns(n % 5).await;
                        Ok(thing(cx, &inner, "one").transfer_across())
                    };
                    tasks.push(match n % 3 {
                        0 => cx.spawn(child),
                        _ => cx.call(child)?,
                    });
                }
                // Some are cancelled at whatever moment: transferred or finalised.
                for n in [50, 40, 30, 20, 10] {
                    tasks.swap_remove(n).cancel().await?;
                }
                for ended in await_all(&mut tasks).await {
                    ended?;
                }
                let mut received = 0;
                while let Some(thing) = cx.receive::<Thing>() {
                    received += 1;
                    thing.release().await?;
                }
                assert!((55..=60).contains(&received), "{received}");
                Ok((received, log.text().split_whitespace().count()))
            })
        });
        let (received, closed) = ended.expect("ends well");
        // One that was cancelled before it started has owned nothing.
        assert!(closed >= received && closed <= 60, "{received} {closed}");
    }
}

#[test]
fn rule_12_what_a_parent_gets_after_a_good_end_and_cannot_close_is_its_failure() {
    test(1, async |cx| {
        for there in [false, true] {
            let parent = cx.spawn(async move |cx| -> Result<()> {
                let running = Gate::default();
                let is_running = running.clone();
                let child = async move |cx: &Cx| -> Result<()> {
                    let stuck = |_| Err(Failure::msg("it is stuck"));
                    let mut last = Some(cx.own("the last", 7, stuck));
                    let _last = OnDrop(|| last.take().into_iter().for_each(Owned::transfer_across));
                    is_running.open();
                    pending().await
                };
                let task = match there {
                    false => cx.spawn(child),
                    true => cx.call(child)?,
                };
                running.passed().await;
                drop(task.cancel());
                Ok(())
            });
            let text = parent
                .await
                .expect_err("it owned it in the end")
                .to_string();
            assert!(
                text.starts_with("finaliser of the last, owned at "),
                "{text}"
            );
            assert!(text.ends_with(": it is stuck"), "{text}");
        }
        Ok(())
    });
}
