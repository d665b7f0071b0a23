//! Lazy values: made once, by whoever needs them first, whatever becomes of those who tried.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{Cx, Either, Failure, Lazy, Reason, Recursive, Result};
use ch08_mutexes_and_conditions::{race, sleep, timeout, yield_now};
use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use times::ms;
use world::{Gate, failure_of, other, poll_once, test};

/// A value that counts how often it was begun to be made.
fn counted(tries: &Arc<AtomicUsize>) -> Arc<Lazy<usize>> {
    let tries = tries.clone();
    Arc::new(Lazy::new(async move |_| {
        let number = tries.fetch_add(1, SeqCst);
        yield_now().await;
        Ok(number)
    }))
}

#[test]
fn rule_14_it_is_made_once_on_all_domains() {
    test(3, async |cx| {
        let tries = Arc::default();
        let lazy = counted(&tries);
        assert_eq!(
            (lazy.get(), format!("{lazy:?}")),
            (None, "Lazy(<not made>)".into())
        );
        let shared = lazy.clone();
        let forced = cx.parallel([(); 20], async move |cx, ()| Ok(*shared.force(cx).await?));
        for value in forced.await? {
            assert_eq!(value?, 0);
        }
        assert_eq!(tries.load(SeqCst), 1);
        Ok(assert_eq!(
            (lazy.get(), format!("{lazy:?}")),
            (Some(&0), "Lazy(0)".into())
        ))
    });
}

#[test]
fn nobody_makes_it_before_it_is_needed() {
    test(0, async |cx| {
        let tries = Arc::default();
        let lazy = counted(&tries);
        drop(lazy.force(cx)); // and is not awaited
        yield_now().await;
        Ok(assert_eq!(tries.load(SeqCst), 0))
    });
}

#[test]
fn who_tried_has_the_failure_and_the_next_one_tries_again() {
    test(0, async |cx| {
        let tries = Arc::new(AtomicUsize::new(0));
        let counting = tries.clone();
        let lazy = Lazy::new(async move |_| match counting.fetch_add(1, SeqCst) {
            0 => Err(Failure::msg("not yet")),
            1 => panic!("nor now"),
            number => Ok(number),
        });
        let failure = lazy.force(cx).await.expect_err("the first one fails");
        assert_eq!(failure.to_string(), "not yet");
        let failure = lazy.force(cx).await.expect_err("the second one panics");
        assert!(matches!(failure.reason(), Reason::Panicked(_)));
        assert_eq!(*lazy.force(cx).await?, 2);
        assert_eq!(*lazy.force(cx).await?, 2);
        Ok(())
    });
}

#[test]
fn rule_14_if_who_makes_it_is_cancelled_one_who_waits_makes_it() {
    test(1, async |cx| {
        let (tries, begun) = (Arc::new(AtomicUsize::new(0)), Gate::default());
        let (counting, begins) = (tries.clone(), begun.clone());
        let lazy = Arc::new(Lazy::new(async move |_| {
            if counting.fetch_add(1, SeqCst) == 0 {
                begins.open();
                pending::<()>().await;
            }
            Ok("made")
        }));
        let shared = lazy.clone();
        let first = cx.call(async move |cx| Ok(*shared.force(cx).await?))?;
        begun.passed().await;
        let shared = lazy.clone();
        let second = cx.spawn(async move |cx| Ok(*shared.force(cx).await?));
        yield_now().await;
        first.cancel().await?;
        assert_eq!(timeout(ms(5000), second).await??, "made");
        Ok(assert_eq!(tries.load(SeqCst), 2))
    });
}

type Knot = OnceLock<Lazy<u32>>;

#[test]
fn rule_14_forcing_it_from_inside_itself_is_an_error() {
    static KNOT: Knot = OnceLock::new();
    test(0, async |cx| {
        let lazy = KNOT.get_or_init(|| {
            Lazy::new(async |cx| {
                yield_now().await;
                match KNOT.get() {
                    Some(lazy) => Ok(lazy.force(cx).await? + 1),
                    None => Ok(0),
                }
            })
        });
        let failure = lazy.force(cx).await.expect_err("it needs itself");
        assert!(failure.downcast_ref::<Recursive>().is_some(), "{failure}");
        // Nor is it stuck.
        assert!(lazy.force(cx).await.is_err());
        Ok(assert_eq!(lazy.get(), None))
    });
}

/// One who asks while another thread is in the middle of making it waits.
#[test]
fn forcing_it_from_elsewhere_is_no_recursion() {
    test(2, async |cx| {
        let (begun, goes_on) = (Gate::default(), Gate::default());
        let (begins, waits) = (begun.clone(), goes_on.clone());
        let lazy = Arc::new(Lazy::new(async move |_| {
            begins.open();
            waits.block();
            Ok(7)
        }));
        let shared = lazy.clone();
        let first = cx.call_on(other(cx, 0), async move |cx| Ok(*shared.force(cx).await?))?;
        begun.passed().await;
        let shared = lazy.clone();
        let second = cx.call_on(other(cx, 1), async move |cx| {
            let mut forcing = pin!(shared.force(cx));
            assert!(poll_once(forcing.as_mut()).await.is_none());
            goes_on.open();
            Ok(*forcing.await?)
        })?;
        assert_eq!((first.await?, second.await?), (7, 7));
        Ok(())
    });
}

#[test]
fn the_same_task_may_force_it_twice_at_once() {
    test(0, async |cx| {
        let tries = Arc::default();
        let lazy = counted(&tries);
        let both = async {
            let (one, other) = (lazy.force(cx), lazy.force(cx));
            match race(Box::pin(one), Box::pin(other)).await {
                Either::First(value) | Either::Second(value) => value,
            }
        };
        assert_eq!(*both.await?, 0);
        Ok(assert_eq!(tries.load(SeqCst), 1))
    });
}

#[test]
fn one_may_need_another() {
    test(0, async |cx| {
        let inner = Arc::new(Lazy::new(async |_: &Cx| Ok(20)));
        let used = inner.clone();
        let outer = Lazy::new(async move |cx| Ok(used.force(cx).await? + 1));
        Ok(assert_eq!(
            (*outer.force(cx).await?, inner.get()),
            (21, Some(&20))
        ))
    });
}

#[test]
fn its_children_are_those_of_a_scope() {
    test(0, async |cx| {
        let lazy = Lazy::new(async |cx| {
            let child = cx.spawn(async |_| {
                sleep(ms(1)).await;
                Ok(5)
            });
            child.await
        });
        Ok(assert_eq!(*lazy.force(cx).await?, 5))
    });
    let told = failure_of(0, async |cx| {
        let lazy = Lazy::new(async |cx| Ok(drop(cx.spawn(async |_| Ok(())))));
        lazy.force(cx).await?;
        Ok(())
    });
    let text = told.to_string();
    assert!(text.starts_with("a scope of main, opened at"), "{text}");
    assert!(text.contains("tests/lazy.rs"), "{text}");
}

/// Also not while the children of the one who failed are still ending.
#[test]
fn nobody_tries_before_the_last_attempt_is_over() {
    test(0, async |cx| {
        let running = Arc::new(AtomicUsize::new(0));
        let shared = running.clone();
        let lazy = Arc::new(Lazy::new(async move |cx: &Cx| {
            assert_eq!(shared.fetch_add(1, SeqCst), 0, "another attempt goes on");
            let ends = shared.clone();
            let finaliser = async move |()| {
                sleep(ms(5)).await;
                ends.fetch_sub(1, SeqCst);
                Ok(())
            };
            let child = cx.spawn(async move |cx| -> Result<()> {
                let _held = cx.own_async("an attempt", (), ms(5000), finaliser);
                pending().await
            });
            yield_now().await;
            drop(child);
            Err::<(), _>(Failure::msg("not this time"))
        }));
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let lazy = lazy.clone();
            tasks.push(cx.spawn(async move |cx| Ok(lazy.force(cx).await.map(drop).is_err())));
        }
        for task in tasks {
            assert!(task.await?);
        }
        Ok(assert_eq!(running.load(SeqCst), 0))
    });
}
