//! Rule 12: what a proof is good for, and the record behind it.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod owners;
mod world;

use ch08_mutexes_and_conditions::{Cx, Failure, Owned, Reason, ResourceState, Result, yield_now};
use common::Drops;
use owners::{Log, Thing, failing, leak, names, panicking, poll_by_hand, thing, turns};
use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use world::{OnDrop, assert_panicked, failure_of, poll_once, test};

// ---- the proof ----

#[test]
fn rule_12_a_proof_dereferences_to_the_value() {
    test(0, async |cx| {
        let mut text = cx.own("a text", String::from("one"), |text| {
            assert_eq!(text, "one and two");
            Ok(())
        });
        assert_eq!(text.len(), 3);
        text.push_str(" and two");
        assert_eq!(*text, "one and two");
        assert_eq!(text.name(), "a text");
        let debug = format!("{text:?}");
        assert_eq!(debug, r#"Owned { name: "a text", value: "one and two" }"#);
        text.release().await
    });
}

#[test]
fn rule_12_what_is_put_into_the_proof_is_what_the_finaliser_gets() {
    test(0, async |cx| {
        let log = Log::default();
        let mut first = thing(cx, &log, "first");
        let mut second = thing(cx, &log, "second");
        std::mem::swap(&mut *first, &mut *second);
        assert_eq!((first.name(), &*first.name), ("first", "second"));
        first.release().await?;
        second.release().await?;
        assert_eq!(log.text(), "second first");
        Ok(())
    });
}

#[test]
fn a_proof_outlives_the_helper_that_made_it() {
    async fn open<'c>(cx: &'c Cx, log: &Log) -> Owned<'c, Thing> {
        yield_now().await;
        thing(cx, log, "opened")
    }
    test(0, async |cx| {
        let log = Log::default();
        let (one, two) = (open(cx, &log).await, open(cx, &log).await);
        assert_eq!(names(&cx.owned()), "opened opened");
        for proof in [one, two] {
            proof.release().await?;
        }
        assert_eq!(log.text(), "opened opened");
        Ok(())
    });
}

#[test]
fn what_stays_on_its_domain_need_not_be_send() {
    test(0, async |cx| {
        let shared = Rc::new(Cell::new(0));
        let owned = cx.own("shared", shared.clone(), |shared| {
            shared.set(7);
            Ok(())
        });
        owned.release().await?;
        assert_eq!(shared.get(), 7);
        Ok(())
    });
}

// ---- disown ----

#[test]
fn rule_12_disown_gives_the_value_back_and_no_finaliser_runs() {
    test(0, async |cx| {
        let drops = Drops::default();
        let owned = cx.own("a witness", drops.witness(), |_| panic!("it runs"));
        let value = owned.disown();
        assert_eq!(cx.owned(), []);
        assert_eq!(drops.count(), 0);
        drop(value);
        assert_eq!(drops.count(), 1);
        Ok(())
    });
}

#[test]
fn rule_12_what_was_disowned_survives_a_bad_end() {
    test(0, async |cx| {
        let log = Log::default();
        let inner = log.clone();
        let task = cx.spawn(async move |cx| {
            let _kept = thing(cx, &inner, "kept");
            let value = thing(cx, &inner, "disowned").disown();
            Err::<(), _>(Failure::msg(value.name))
        });
        assert_eq!(task.await.expect_err("fails").to_string(), "disowned");
        assert_eq!(log.text(), "kept");
        Ok(())
    });
}

// ---- release ----

#[test]
fn rule_12_release_runs_the_finaliser_and_returns_its_result() {
    test(0, async |cx| {
        let log = Log::default();
        thing(cx, &log, "thing").release().await?;
        assert_eq!(log.text(), "thing");
        let failure = failing(cx, "this").release().await.expect_err("fails");
        assert_eq!(failure.to_string(), "this fails");
        assert!(matches!(failure.reason(), Reason::Error(_)));
        assert_eq!(cx.owned(), []);
        Ok(())
    });
}

#[test]
fn rule_12_release_of_what_panics_is_a_failure() {
    test(0, async |cx| {
        let failure = panicking(cx, "it").release().await.expect_err("panics");
        assert_panicked(&failure, "it panics");
        assert_eq!(cx.owned(), [], "it does not run again");
        Ok(())
    });
}

#[test]
fn rule_12_release_does_nothing_before_it_is_polled() {
    test(0, async |cx| {
        let log = Log::default();
        let release = thing(cx, &log, "thing").release();
        assert_eq!((log.text().as_str(), cx.owned().len()), ("", 1));
        drop(release);
        assert_eq!(log.text(), "");
        let again = cx.receive::<Thing>().expect("the task is the owner still");
        assert!(poll_once(again.release()).await.is_some(), "at once");
        assert_eq!(log.text(), "thing");
        Ok(())
    });
}

#[test]
fn rule_12_a_finaliser_runs_once_though_the_task_ends_badly_afterwards() {
    test(0, async |cx| {
        let log = Log::default();
        let inner = log.clone();
        let task = cx.spawn(async move |cx| -> Result<()> {
            thing(cx, &inner, "released").release().await?;
            let _kept = thing(cx, &inner, "kept");
            failing(cx, "release").release().await
        });
        let failure = task.await.expect_err("fails");
        assert_eq!(failure.to_string(), "release fails");
        assert_eq!(failure.suppressed().len(), 0, "it is not run again");
        assert_eq!(log.text(), "released kept");
        Ok(())
    });
}

// ---- dropping a proof, and receiving ----

#[test]
fn rule_12_dropping_a_proof_only_puts_the_value_back() {
    test(0, async |cx| {
        let log = Log::default();
        let mut owned = thing(cx, &log, "thing");
        owned.name.push_str(", changed");
        drop(owned);
        assert_eq!(log.text(), "");
        turns(2).await;
        let list = cx.owned();
        assert_eq!((list.len(), list[0].state), (1, ResourceState::Kept));
        let again = cx.receive::<Thing>().expect("it is there");
        assert_eq!((again.name(), &*again.name), ("thing", "thing, changed"));
        assert!(cx.receive::<Thing>().is_none(), "it has a proof");
        again.release().await
    });
}

#[test]
fn rule_12_a_proof_that_is_dropped_is_still_a_leak() {
    let failure = failure_of(0, async |cx| {
        let _ = cx.own("dropped", (), |()| Ok(()));
        Ok(())
    });
    let (_, _, resources) = leak(&failure);
    assert_eq!(resources[0].state, ResourceState::Kept);
}

#[test]
fn rule_12_receive_gives_the_oldest_of_its_type_without_a_proof() {
    test(0, async |cx| {
        let number = |n: u8| cx.own(format!("number {n}"), n, |_| Ok(()));
        let (one, two, three) = (number(1), number(2), number(3));
        drop(cx.own("a text", String::new(), |_| Ok(())));
        assert!(cx.receive::<u8>().is_none(), "all have proofs");
        assert!(cx.receive::<u16>().is_none(), "there never was one");
        drop(three);
        drop(two);
        let two = cx.receive::<u8>().expect("has no proof");
        assert_eq!(*two, 2, "the oldest, though it was dropped last");
        drop(one);
        drop(two);
        let order: Vec<_> = std::iter::from_fn(|| cx.receive::<u8>()).collect();
        let order: Vec<u8> = order.into_iter().map(Owned::disown).collect();
        assert_eq!(order, [1, 2, 3], "its age does not change");
        assert_eq!(names(&cx.owned()), "a text");
        cx.receive::<String>().expect("is left").release().await
    });
}

#[test]
fn rule_12_receive_gives_nothing_of_others() {
    test(0, async |cx| {
        let log = Log::default();
        drop(thing(cx, &log, "of main"));
        let child =
            cx.spawn(async |cx| Ok(cx.receive::<Thing>().is_none() && cx.owned().is_empty()));
        assert!(child.await?, "a child is another owner");
        cx.scope(async |inner| {
            assert!(inner.receive::<Thing>().is_none(), "and so is a scope");
            drop(thing(inner, &log, "of the scope"));
            let of_main = cx.receive::<Thing>().expect("it is there");
            assert_eq!(of_main.name(), "of main");
            assert!(cx.receive::<Thing>().is_none());
            assert_eq!(names(&inner.owned()), "of the scope");
            of_main.release().await?;
            inner.receive::<Thing>().expect("its own").release().await
        })
        .await?;
        assert_eq!(log.text(), "of main of the scope");
        Ok(())
    });
}

#[test]
fn a_proof_outside_of_a_scope_is_used_inside() {
    test(0, async |cx| {
        let log = Log::default();
        let (released, dropped) = (thing(cx, &log, "released"), thing(cx, &log, "dropped"));
        let failed = cx
            .scope(async |_| {
                released.release().await?;
                drop(dropped);
                Err::<(), _>(Failure::msg("failed"))
            })
            .await;
        assert!(failed.is_err());
        assert_eq!(log.text(), "released", "the task owns the other one");
        cx.receive::<Thing>().expect("dropped").release().await
    });
}

// ---- the list ----

#[test]
fn rule_12_the_list_names_what_is_owned_with_its_line_the_oldest_first() {
    test(0, async |cx| {
        assert_eq!(cx.owned(), []);
        let line = line!() + 1;
        let first = cx.own("first", 1, |_| Ok(()));
        let second = cx.own(String::from("second"), "two", |_| Ok(()));
        drop(first);
        let list = cx.owned();
        assert_eq!(names(&list), "first second");
        let states: Vec<ResourceState> = list.iter().map(|resource| resource.state).collect();
        assert_eq!(states, [ResourceState::Kept, ResourceState::Held]);
        for (resource, line) in list.iter().zip([line, line + 1]) {
            assert!(resource.owned_at.file().ends_with("owned.rs"));
            assert_eq!(resource.owned_at.line(), line);
        }
        let text = list[0].to_string();
        assert!(text.starts_with("first, owned at ") && text.ends_with(", without a proof"));
        let text = list[1].to_string();
        assert!(text.ends_with(&format!(
            "owned.rs:{}:{}",
            line + 1,
            list[1].owned_at.column()
        )));
        second.release().await?;
        assert_eq!(names(&cx.owned()), "first");
        cx.receive::<i32>().expect("first").release().await
    });
}

#[test]
fn rule_12_the_line_is_the_first_owners_wherever_it_goes() {
    test(0, async |cx| {
        let line = line!() + 1;
        let owned = cx.own("traveller", 1, |_| Ok(()));
        let child = cx.give(owned).spawn(async |cx, owned| {
            assert_eq!(cx.owned()[0].name, "traveller");
            assert_eq!(owned.name(), "traveller");
            owned.transfer();
            Ok(())
        });
        child.await?;
        assert_eq!(cx.owned()[0].owned_at.line(), line);
        cx.receive::<i32>().expect("back").release().await
    });
}

#[test]
fn many_resources_are_owned_at_once_and_end_in_any_order() {
    const MANY: usize = 100_000;
    test(0, async |cx| {
        let log = Rc::new(Cell::new(0));
        let child = log.clone();
        let task = cx.spawn(async move |cx| {
            let mut proofs = Vec::new();
            for n in 0..MANY {
                let finaliser = |counted: Rc<Cell<usize>>| {
                    counted.set(counted.get() + 1);
                    Ok(())
                };
                proofs.push(cx.own("one of many", child.clone(), finaliser));
                if n % 3 == 0 {
                    proofs.swap_remove(n / 2 % proofs.len()).release().await?;
                }
            }
            assert_eq!(cx.owned().len(), proofs.len());
            Err::<(), _>(Failure::msg("enough"))
        });
        assert_eq!(task.await.expect_err("fails").to_string(), "enough");
        assert_eq!(log.get(), MANY, "each once");
        Ok(())
    });
}

// ---- in destructors, while the task is being cancelled ----

/// What a task that is cancelled does with its proof in a destructor, and what comes of it.
fn cancelled_with(
    name: &'static str,
    destructor: fn(&Cx, &Log, Option<Owned<'_, Thing>>),
) -> (String, String) {
    world::value_of(0, async move |cx| {
        let log = Log::default();
        let inner = log.clone();
        let task = cx.spawn(async move |cx| -> Result<()> {
            let mut owned = Some(thing(cx, &inner, name));
            let _last = OnDrop(|| destructor(cx, &inner, owned.take()));
            pending().await
        });
        yield_now().await;
        let cancelled = task.cancel().await;
        Ok((log.text(), format!("{cancelled:?}")))
    })
}

#[test]
fn rule_12_a_proof_dropped_while_its_task_is_cancelled_is_put_back() {
    let done = cancelled_with("thing", |cx, log, owned| {
        drop(owned);
        log.note(cx.owned().len());
        drop(cx.receive::<Thing>());
    });
    assert_eq!(done, ("1 thing".into(), "Ok(())".into()));
}

#[test]
fn rule_12_a_destructor_can_release_and_disown() {
    let done = cancelled_with("thing", |cx, log, owned| {
        let released = owned.and_then(|owned| poll_by_hand(owned.release()));
        assert!(released.is_some_and(|released| released.is_ok()));
        log.note(cx.owned().len());
    });
    assert_eq!(done, ("thing 0".into(), "Ok(())".into()));
    let done = cancelled_with("thing", |_, log, owned| {
        let thing = owned.map(Owned::disown);
        log.note(format_args!("had {}", thing.expect("given").name));
    });
    assert_eq!(done, ("had thing".into(), "Ok(())".into()));
}

#[test]
fn rule_12_what_a_destructor_owns_is_finalised_too() {
    let done = cancelled_with("older", |cx, log, _| {
        std::mem::forget(cx.own("forgotten", 7, |_| Ok(())));
        drop(thing(cx, log, "newest"));
    });
    assert_eq!(done.0, "newest older");
    assert!(done.1.contains("forgotten, owned at "), "{}", done.1);
    assert!(done.1.contains(" is lost"), "{}", done.1);
}

#[test]
fn rule_12_what_the_scope_of_a_cancelled_task_owned_is_there_in_its_destructors() {
    test(0, async |cx| {
        let log = Log::default();
        let inner = log.clone();
        let task = cx.spawn(async move |cx| -> Result<()> {
            cx.scope(async |cx| {
                let older = thing(cx, &inner, "older");
                let mut owned = Some(thing(cx, &inner, "thing"));
                let _older = older;
                let _last = OnDrop(|| {
                    // The scope's own record is gone: the task has it.
                    inner.note(format_args!("[{}]", names(&cx.owned())));
                    let released = owned.take().map(|owned| poll_by_hand(owned.release()));
                    assert!(matches!(released, Some(Some(Ok(())))));
                    drop(thing(cx, &inner, "newest"));
                    inner.note(format_args!("[{}]", names(&cx.owned())));
                    let newest = cx.receive::<Thing>().expect("without a proof");
                    inner.note(format_args!("received-{}", newest.disown().name));
                });
                pending().await
            })
            .await
        });
        yield_now().await;
        task.cancel().await?;
        assert_eq!(
            log.text(),
            "[older thing] thing [older newest] received-newest older"
        );
        Ok(())
    });
}
