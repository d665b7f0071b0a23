//! Rule 12: resources are handed to children, on the same domain and on others.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod owners;
mod world;

use ch08_mutexes_and_conditions::{Cx, Domain, Failure, Owned, Result, await_all, yield_now};
use common::bounded;
use owners::{Log, Thing, failing, leak, names, thing, turns};
use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use world::{Gate, OnDrop, failure_of, here, other, seeded, suppressed, test};

/// A thing that notes also on which domain it is finalised.
#[track_caller]
fn placed<'c>(cx: &'c Cx, log: &Log, name: &str) -> Owned<'c, Thing> {
    cx.own(name.to_owned(), Thing::new(log, name), |thing| {
        thing.log.note(format_args!("{}@{}", thing.name, here()));
        Ok(())
    })
}

async fn never(_: &Cx, _kept: Owned<'_, Thing>) -> Result<()> {
    pending().await
}

// ---- who owns it ----

#[test]
fn rule_12_give_hands_a_resource_to_a_child() {
    test(0, async |cx| {
        let log = Log::default();
        let given = thing(cx, &log, "given");
        assert_eq!(names(&cx.owned()), "given");
        let task = cx.give(given).spawn(async |cx, given| {
            assert_eq!(names(&cx.owned()), "given");
            assert_eq!(given.name(), "given");
            given.release().await?;
            assert_eq!(cx.owned(), []);
            Ok(7)
        });
        assert_eq!(cx.owned(), [], "at once, before the child has a turn");
        assert_eq!(task.await?, 7);
        assert_eq!(log.text(), "given");
        Ok(())
    });
}

#[test]
fn rule_12_a_gift_crosses_with_its_finaliser() {
    test(2, async |cx| {
        let log = Log::default();
        for domain in cx.domains() {
            let task = cx
                .give(placed(cx, &log, "there"))
                .call_on(domain, async |cx, given| {
                    assert_eq!(names(&cx.owned()), "there");
                    let _: () = given.release().await?;
                    Ok(())
                })?;
            assert_eq!(cx.owned(), []);
            task.await?;
        }
        let given = placed(cx, &log, "anywhere");
        let task = cx.give(given).call(async |cx, given| {
            given.release().await?;
            Ok(cx.domain())
        })?;
        let chosen = task.await?;
        assert_eq!(
            log.text(),
            format!("there@dom1 there@dom2 anywhere@{chosen}")
        );
        Ok(())
    });
}

#[test]
fn rule_12_a_gift_to_an_orphan() {
    test(2, async |cx| {
        let log = Log::default();
        let mut orphans = cx.orphans();
        let release =
            async |cx: &Cx, given: Owned<'_, Thing>| given.release().await.map(|()| cx.domain());
        orphans
            .give(placed(cx, &log, "here"))
            .spawn(async move |cx, given| release(cx, given).await);
        assert_eq!(orphans.next().await.expect("one")?, Domain::ZERO);
        let there = other(cx, 1);
        let given = placed(cx, &log, "there");
        orphans
            .give(given)
            .call_on(there, async move |cx, given| release(cx, given).await)?;
        assert_eq!(orphans.len(), 1);
        assert_eq!(orphans.next().await.expect("one")?, there);
        let given = placed(cx, &log, "called");
        orphans
            .give(given)
            .call(async move |cx, given| release(cx, given).await)?;
        let chosen = orphans.next().await.expect("one")?;
        assert!(chosen != Domain::ZERO && orphans.is_empty());
        assert_eq!(log.text(), format!("here@dom0 there@dom2 called@{chosen}"));
        assert_eq!(cx.owned(), []);
        Ok(())
    });
}

#[test]
fn rule_12_the_child_owns_it_and_leaks_it_if_it_does_nothing() {
    for domains in 0..2 {
        let failure = failure_of(domains, async |cx| {
            let given = cx.own("given", 7, |_| Ok(()));
            let task = match cx.domains().next() {
                None => cx.give(given).spawn(async |_, _given| Ok(())),
                Some(there) => cx.give(given).call_on(there, async |_, _given| Ok(()))?,
            };
            task.await
        });
        let (task, scope, resources) = leak(&failure);
        assert_eq!((task, scope, &*names(&resources)), (1, false, "given"));
        assert!(
            resources[0].owned_at.file().ends_with("give.rs"),
            "where it was owned first, not where it was given"
        );
    }
}

#[test]
fn rule_12_a_child_that_ends_badly_finalises_what_it_was_given() {
    test(1, async |cx| {
        let log = Log::default();
        let (here, there) = (placed(cx, &log, "given"), placed(cx, &log, "sent"));
        let fails = async |_: &Cx, _given: Owned<'_, Thing>| Err::<(), _>(Failure::msg("fails"));
        let task = cx
            .give(here)
            .spawn(async move |cx, given| fails(cx, given).await);
        assert!(task.await.is_err());
        let panics = cx
            .give(there)
            .call(async |_, _given| -> Result<()> { panic!("so be it") })?;
        assert!(panics.await.is_err());
        assert_eq!(log.text(), "given@dom0 sent@dom1");
        Ok(())
    });
}

// ---- tuples ----

#[test]
fn rule_12_tuples_of_two_three_and_four() {
    test(1, async |cx| {
        let number = |n: u32| cx.own(format!("number {n}"), n, |_| Ok(()));
        let text = cx.own("text", String::from("a"), |_| Ok(()));
        let two = cx.give((number(1), text)).spawn(async |cx, (a, b)| {
            assert_eq!(names(&cx.owned()), "number 1 text");
            Ok(format!("{} {}", a.disown(), b.disown()))
        });
        assert_eq!(two.await?, "1 a");
        let three = (number(1), number(2), number(3));
        let three = cx.give(three).call(async |cx, (a, b, c)| {
            assert_eq!(names(&cx.owned()), "number 1 number 2 number 3");
            Ok([a, b, c].map(Owned::disown))
        })?;
        assert_eq!(three.await?, [1, 2, 3]);
        let mut orphans = cx.orphans();
        let four = || (number(1), number(2), number(3), number(4));
        orphans.give(four()).spawn(async |_, (a, b, c, d)| {
            let _: () = yield_now().await;
            Ok([a, b, c, d].map(Owned::disown))
        });
        let four = orphans.give(four());
        four.call(async |_, (a, b, c, d)| Ok([d, c, b, a].map(Owned::disown)))?;
        let mut both = [
            orphans.next().await.expect("two")?,
            orphans.next().await.expect("two")?,
        ];
        both.sort_unstable();
        assert_eq!(both, [[1, 2, 3, 4], [4, 3, 2, 1]]);
        assert_eq!(cx.owned(), []);
        Ok(())
    });
}

#[test]
fn rule_12_what_was_given_together_is_finalised_the_last_first() {
    test(1, async |cx| {
        let log = Log::default();
        for there in [false, true] {
            let all = (
                thing(cx, &log, "a"),
                thing(cx, &log, "b"),
                thing(cx, &log, "c"),
            );
            let own = log.clone();
            let task = match there {
                false => cx.give(all).spawn(async move |cx, _all| {
                    let _own = thing(cx, &own, "own");
                    Err::<(), _>(Failure::msg("fails"))
                }),
                true => cx.give(all).call(async move |cx, _all| {
                    let _own = thing(cx, &own, "own");
                    Err::<(), _>(Failure::msg("fails"))
                })?,
            };
            assert!(task.await.is_err());
        }
        assert_eq!(log.text(), "own c b a own c b a");
        Ok(())
    });
}

#[test]
fn rule_12_a_proof_of_an_outer_scope_is_given_by_an_inner_one() {
    test(0, async |cx| {
        let log = Log::default();
        let given = thing(cx, &log, "given");
        let ended = cx.scope(async |inner| {
            let task = inner
                .give(given)
                .spawn(async |cx, given| never(cx, given).await);
            assert_eq!((inner.owned().len(), cx.owned().len()), (0, 0));
            yield_now().await;
            drop(task);
            Err::<(), _>(Failure::msg("fails"))
        });
        assert!(ended.await.is_err());
        assert_eq!(log.text(), "given", "by the child of the inner scope");
        Ok(())
    });
}

// ---- a gift that is not given ----

#[test]
fn rule_12_without_a_domain_the_task_still_owns_it() {
    test(0, async |cx| {
        let log = Log::default();
        let mut orphans = cx.orphans::<()>();
        for way in 0..4 {
            let both = (thing(cx, &log, "one"), thing(cx, &log, "two"));
            let refused = match way {
                0 => cx.give(both).call(async |_, _both| Ok(())).map(drop),
                1 => cx
                    .give(both)
                    .call_on(Domain::ZERO, async |_, _both| Ok(()))
                    .map(drop),
                2 => orphans.give(both).call(async |_, _both| Ok(())),
                _ => orphans
                    .give(both)
                    .call_on(Domain::ZERO, async |_, _both| Ok(())),
            };
            refused.expect_err("there is no other domain");
            assert_eq!(names(&cx.owned()), "one two");
            for name in ["one", "two"] {
                let back = cx.receive::<Thing>().expect("still here");
                assert_eq!(back.name(), name);
                back.release().await?;
            }
        }
        assert!(orphans.is_empty());
        assert_eq!(log.text(), "one two one two one two one two");
        Ok(())
    });
}

#[test]
fn rule_12_a_gift_that_nobody_gets_stays_with_the_task() {
    test(0, async |cx| {
        let log = Log::default();
        drop(cx.give(thing(cx, &log, "thing")));
        let mut orphans = cx.orphans::<()>();
        let again = cx.receive::<Thing>().expect("it stays");
        drop(orphans.give(again));
        assert_eq!(log.text(), "");
        cx.receive::<Thing>().expect("it stays").release().await
    });
}

// ---- cancelled before the first poll ----

#[test]
fn rule_12_a_child_cancelled_before_it_starts_finalises_its_gifts() {
    test(0, async |cx| {
        let log = Log::default();
        let both = (thing(cx, &log, "one"), thing(cx, &log, "two"));
        let (captured, polled) = (log.on_drop("captured"), log.clone());
        let task = cx.give(both).spawn(async move |_, _both| {
            let _captured = captured;
            let _: () = polled.note("polled");
            Ok(())
        });
        let cancel = task.cancel();
        assert_eq!(log.text(), "", "not inside of cancel");
        cancel.await?;
        assert_eq!(log.text(), "captured two one");
        Ok(())
    });
}

#[test]
fn rule_12_a_call_cancelled_before_it_arrives_finalises_its_gifts_there() {
    test(1, async |cx| {
        let (log, busy, go_on) = (Log::default(), Gate::default(), Gate::default());
        let (is_busy, blocked) = (busy.clone(), go_on.clone());
        let blocker = cx.call(async move |_| {
            is_busy.open();
            let _: () = blocked.block();
            Ok(())
        })?;
        busy.passed().await;
        // The call and its end arrive together.
        let both = (placed(cx, &log, "one"), placed(cx, &log, "two"));
        let polled = log.clone();
        let task = cx.give(both).call(async move |_, _both| {
            let _: () = polled.note("polled");
            Ok(())
        })?;
        let cancel = task.cancel();
        assert_eq!(log.text(), "");
        go_on.open();
        cancel.await?;
        blocker.await?;
        assert_eq!(log.text(), "two@dom1 one@dom1");
        Ok(())
    });
}

#[test]
fn rule_12_a_call_cancelled_at_any_moment_finalises_its_gift_once() {
    for seed in 0..150 {
        let log = Log::default();
        let inner = log.clone();
        let ended = bounded(move || {
            seeded(2, seed).run(async move |cx| {
                let given = thing(cx, &inner, "given");
                let task = cx
                    .give(given)
                    .call(async |cx, given| never(cx, given).await)?;
                turns(seed as usize % 4).await;
                task.cancel().await
            })
        });
        ended.expect("ends well");
        assert_eq!(log.text(), "given", "seed {seed}");
    }
}

#[test]
fn rule_12_orphans_cancelled_before_they_start_finalise_their_gifts() {
    test(1, async |cx| {
        let log = Log::default();
        let own = log.clone();
        let parent = cx.spawn(async move |cx| {
            let mut orphans = cx.orphans();
            orphans
                .give(thing(cx, &own, "here"))
                .spawn(async |cx, given| never(cx, given).await);
            orphans
                .give(thing(cx, &own, "there"))
                .call(async |cx, given| never(cx, given).await)?;
            Err::<(), _>(Failure::msg("fails"))
        });
        assert!(parent.await.is_err());
        let text = log.text();
        assert!(text == "here there" || text == "there here", "{text}");
        Ok(())
    });
}

#[test]
fn a_failing_finaliser_of_a_gift_is_told_to_the_giver() {
    test(1, async |cx| {
        let own_line = line!() + 1;
        let given = || failing(cx, "given");
        for there in [false, true] {
            let task = match there {
                false => cx
                    .give(given())
                    .spawn(async |_, _g| pending::<Result<()>>().await),
                true => cx
                    .give(given())
                    .call(async |_, _g| pending::<Result<()>>().await)?,
            };
            let failure = task.cancel().await.expect_err("it says what went wrong");
            let [text] = &suppressed(&failure)[..] else {
                panic!("{failure:?}")
            };
            owners::assert_finaliser(text, "given", "give.rs", own_line, "given fails");
        }
        Ok(())
    });
}

// ---- the child of a dying task ----

#[test]
fn rule_12_a_gift_to_a_child_of_a_dying_task_is_finalised() {
    test(1, async |cx| {
        for way in 0..4 {
            let log = Log::default();
            let inner = log.clone();
            let task = cx.spawn(async move |cx| -> Result<()> {
                let _older = placed(cx, &inner, "older");
                let _last = OnDrop(|| {
                    let given = placed(cx, &inner, "given");
                    let mut orphans = cx.orphans();
                    match way {
                        0 => drop(
                            cx.give(given)
                                .spawn(async |cx, given| never(cx, given).await),
                        ),
                        1 => {
                            let called = cx.give(given).call(async |cx, g| never(cx, g).await);
                            drop(called.expect("there is another domain"));
                        }
                        2 => orphans
                            .give(given)
                            .spawn(async |cx, given| never(cx, given).await),
                        _ => orphans
                            .give(given)
                            .call(async |cx, g| never(cx, g).await)
                            .expect("there is another domain"),
                    }
                    inner.note(format_args!("gave,{}", cx.owned().len()));
                });
                pending().await
            });
            yield_now().await;
            task.cancel().await?;
            // The child is born cancelled, and gone before its parent's finalisers run.
            assert_eq!(log.text(), "gave,1 given@dom0 older@dom0", "{way}");
        }
        Ok(())
    });
}

#[test]
fn rule_12_a_gift_to_a_child_of_a_task_that_returns_an_error() {
    test(0, async |cx| {
        let log = Log::default();
        let inner = log.clone();
        let task = cx.spawn(async move |cx| {
            let _older = thing(cx, &inner, "older");
            let given = thing(cx, &inner, "given");
            drop(
                cx.give(given)
                    .spawn(async |cx, given| never(cx, given).await),
            );
            Err::<(), _>(Failure::msg("fails"))
        });
        assert!(task.await.is_err());
        assert_eq!(log.text(), "given older", "the child's before the parent's");
        Ok(())
    });
}

// ---- chains ----

/// Hands `given` down `depth` times, by turns here and there; the last one ends as `last` says.
fn down(
    cx: &Cx,
    given: Owned<'_, Thing>,
    depth: usize,
    last: fn(Owned<'_, Thing>) -> Result<()>,
) -> impl Future<Output = Result<()>> {
    let next = async move |cx: &Cx, given: Owned<'_, Thing>| -> Result<()> {
        let result = Box::pin(down(cx, given, depth.wrapping_sub(1), last)).await;
        // All but the last have given it away.
        assert_eq!(cx.owned().len(), usize::from(depth == 1 && result.is_err()));
        result
    };
    async move {
        if depth == 0 {
            assert_eq!(names(&cx.owned()), "given");
            return last(given);
        }
        if depth % 2 == 1 && cx.domains().len() > 0 {
            let task = cx
                .give(given)
                .call(async move |cx, given| next(cx, given).await)?;
            return task.await;
        }
        let task = cx
            .give(given)
            .spawn(async move |cx, given| next(cx, given).await);
        task.await
    }
}

#[test]
fn rule_12_a_chain_of_gifts_is_finalised_once_by_the_last() {
    for domains in 0..3 {
        test(domains, async |cx| {
            let log = Log::default();
            let given = thing(cx, &log, "given");
            let failed = down(cx, given, 20, |_| Err(Failure::msg("the last fails"))).await;
            assert_eq!(failed.expect_err("fails").to_string(), "the last fails");
            assert_eq!(log.text(), "given");
            let given = thing(cx, &log, "disowned");
            let given_again = cx.own("given", given.disown(), Thing::close);
            down(cx, given_again, 20, |given| Ok(drop(given.disown()))).await?;
            assert_eq!(log.text(), "given");
            Ok(())
        });
    }
}

#[test]
fn a_gift_goes_back_and_forth() {
    test(1, async |cx| {
        let log = Log::default();
        let mut given = placed(cx, &log, "ball");
        for round in 0..100 {
            let task = match round % 2 {
                0 => cx.give(given).spawn(async |_, given| Ok(given.transfer())),
                _ => cx
                    .give(given)
                    .call(async |_, given| Ok(given.transfer_across()))?,
            };
            task.await?;
            given = cx.receive().expect("back again");
        }
        assert_eq!(log.text(), "");
        given.release().await?;
        assert_eq!(log.text(), "ball@dom0");
        Ok(())
    });
}

#[test]
fn many_gifts_to_many_children_at_once() {
    test(2, async |cx| {
        let log = Log::default();
        let mut tasks = Vec::new();
        for n in 0..300 {
            let given = cx.own(format!("gift {n}"), Thing::new(&log, n), Thing::close);
            let child = async |cx: &Cx, given: Owned<'_, Thing>| {
                let number: usize = given.name.parse()?;
                turns(number % 3).await;
                assert_eq!(cx.owned().len(), 1);
                given.release().await?;
                Ok(number)
            };
            tasks.push(match n % 2 {
                0 => cx.give(given).spawn(async move |cx, g| child(cx, g).await),
                _ => cx.give(given).call(async move |cx, g| child(cx, g).await)?,
            });
        }
        assert_eq!(cx.owned(), []);
        let numbers = await_all(&mut tasks).await;
        for (n, number) in numbers.into_iter().enumerate() {
            assert_eq!(number?, n, "each has got its own");
        }
        assert_eq!(log.text().split(' ').count(), 300);
        Ok(())
    });
}

#[test]
fn what_stays_on_its_domain_is_given_though_it_is_not_send() {
    test(0, async |cx| {
        let shared = Rc::new(Cell::new(0));
        let owned = cx.own("shared", shared.clone(), |shared| {
            shared.set(shared.get() + 1);
            Ok(())
        });
        let task = cx.give(owned).spawn(async |_, owned| {
            owned.set(6);
            owned.release().await
        });
        task.await?;
        assert_eq!(shared.get(), 7);
        Ok(())
    });
}
