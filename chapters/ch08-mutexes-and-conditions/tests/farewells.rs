//! Rule 12: finalisers that may wait.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Failure, Owned, ResourceState, Result, Task, TcpListener, TcpStream, TimedOut, sleep,
    timeout, yield_now,
};
use common::bounded;
use std::future::{pending, poll_fn};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use times::{HOUR, Log, assert_soon, done, failing, ms, plain, poll_pinned, slow};
use world::{Gate, assert_panicked, assert_stalled, assert_still_has_children, failure_of};
use world::{other, suppressed, test};

/// Owns what ends only when the gate opens.
#[track_caller]
fn gated<'c>(cx: &'c Cx, log: &Log, name: &str, gate: &Gate) -> Owned<'c, String> {
    let (log, gate) = (log.clone(), gate.clone());
    cx.own_async(name.to_owned(), name.to_owned(), HOUR, async move |name| {
        log.note(format_args!("{name}<"));
        gate.passed().await;
        log.note(format_args!("{name}>"));
        Ok(())
    })
}

/// A child that owns something and never ends.
#[track_caller]
fn endless<'p>(cx: &'p Cx, log: &Log, name: &'static str) -> Task<'p, ()> {
    let log = log.clone();
    cx.spawn(async move |cx| {
        let _owned = slow(cx, &log, name, ms(5));
        pending().await
    })
}

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

// ---- whenever the task ends badly ----

#[test]
fn rule_12_it_runs_on_an_error_and_on_a_panic_before_the_task_is_over() {
    test(1, async |cx| {
        for way in 0..4 {
            let log = Log::default();
            let noted = log.clone();
            let task = async move |cx: &Cx| -> Result<()> {
                let _owned = slow(cx, &noted, "a", ms(5));
                let _local = noted.on_drop("local");
                yield_now().await;
                match way % 2 {
                    0 => Err(Failure::msg("an error")),
                    _ => panic!("a panic"),
                }
            };
            let task = match way / 2 {
                0 => cx.spawn(task),
                _ => cx.call(task)?,
            };
            let failure = task.await.expect_err("it ends badly");
            log.note("over");
            assert_eq!(log.text(), "local a< a> over");
            let text = ["an error", "panicked: a panic"][way % 2];
            assert_eq!(
                (failure.to_string(), suppressed(&failure)),
                (text.into(), vec![])
            );
        }
        Ok(())
    });
}

#[test]
fn rule_12_it_runs_when_the_task_is_cancelled() {
    test(1, async |cx| {
        for there in [false, true] {
            let (log, gate) = (Log::default(), Gate::default());
            let (noted, opened) = (log.clone(), gate.clone());
            let task = async move |cx: &Cx| -> Result<()> {
                let _owned = slow(cx, &noted, "a", ms(5));
                opened.open();
                pending().await
            };
            let task = match there {
                false => cx.spawn(task),
                true => cx.call(task)?,
            };
            gate.passed().await;
            task.cancel().await?;
            log.note("gone");
            assert_eq!(log.text(), "a< a> gone");
        }
        Ok(())
    });
}

#[test]
fn rule_12_what_was_given_is_finalised_if_the_task_is_cancelled_before_its_first_poll() {
    test(1, async |cx| {
        for there in [false, true] {
            let log = Log::default();
            let given = cx.give((slow(cx, &log, "a", ms(5)), plain(cx, &log, "b")));
            let task = match there {
                false => given.spawn(async |_, _| -> Result<()> { panic!("it starts") }),
                true => {
                    let task = given.call(async |_, _| pending::<Result<()>>().await)?;
                    assert_eq!(cx.owned(), []);
                    task
                }
            };
            task.cancel().await?;
            log.note("gone");
            assert_eq!(log.text(), "b a< a> gone");
        }
        Ok(())
    });
}

#[test]
fn rule_12_it_runs_on_a_violation_elsewhere() {
    let log = Log::default();
    let noted = log.clone();
    let failure = failure_of(2, async move |cx| {
        let gates = [Gate::default(), Gate::default()];
        let mut tasks = Vec::new();
        for (domain, gate) in cx.domains().zip(&gates) {
            let (log, gate) = (noted.clone(), gate.clone());
            tasks.push(cx.call_on(domain, async move |cx| -> Result<()> {
                let _owned = slow(cx, &log, &cx.domain().to_string(), ms(10));
                gate.open();
                pending().await
            })?);
        }
        for gate in &gates {
            gate.passed().await;
        }
        let _own = slow(cx, &noted, "main", ms(1));
        cx.spawn(async |cx| Ok(drop(cx.spawn(async |_| Ok(())))))
            .await
    });
    assert_still_has_children(&failure);
    let mut notes = log.list();
    assert_eq!(notes.split_off(4), ["main<", "main>"]);
    notes.sort_unstable();
    assert_eq!(notes, ["dom1<", "dom1>", "dom2<", "dom2>"]);
}

#[test]
fn rule_12_the_main_task_has_its_finalisers_run_before_run_returns() {
    for domains in 0..2 {
        let log = Log::default();
        let noted = log.clone();
        let failure = failure_of(domains, async move |cx| {
            let _a = slow(cx, &noted, "a", ms(5));
            let _b = failing(cx, "b");
            Err(Failure::msg("main fails"))
        });
        assert_eq!(failure.to_string(), "main fails");
        let [text] = &suppressed(&failure)[..] else {
            panic!("{failure:?}")
        };
        assert!(text.starts_with("finaliser of b, owned at "), "{text}");
        assert!(
            text.contains("farewells.rs:") || text.contains("times/mod.rs:"),
            "{text}"
        );
        assert!(text.ends_with(": b fails"), "{text}");
        assert_eq!(log.text(), "a< a>");
    }
}

#[test]
fn rule_12_ending_well_with_it_is_a_leak_and_it_runs_all_the_same() {
    let log = Log::default();
    let noted = log.clone();
    let failure = failure_of(0, async move |cx| Ok(drop(slow(cx, &noted, "a", ms(5)))));
    let text = failure.to_string();
    assert!(
        text.contains("has ended and still owns:\n  a, owned at "),
        "{text}"
    );
    assert_eq!(log.text(), "a< a>");
}

// ---- shielded ----

#[test]
fn rule_12_it_is_shielded_from_the_cancelling_of_its_task_and_of_its_parents() {
    test(1, async |cx| {
        for there in [false, true] {
            let (log, gate, begun) = (Log::default(), Gate::default(), Gate::default());
            let (noted, held, opened) = (log.clone(), gate.clone(), begun.clone());
            let tree = async move |cx: &Cx| -> Result<()> {
                let middle = cx.spawn(async move |cx| {
                    let task = cx.spawn(async move |cx| -> Result<()> {
                        let _owned = gated(cx, &noted, "a", &held);
                        yield_now().await;
                        opened.open();
                        Err(Failure::msg("it ends"))
                    });
                    // Its finaliser runs by itself, when it is cancelled; by and by all are.
                    task.await
                });
                middle.await
            };
            let task = match there {
                false => cx.spawn(tree),
                true => cx.call(tree)?,
            };
            begun.passed().await;
            turns(5).await;
            let cancel = task.cancel();
            let mut cancel = Box::pin(cancel);
            assert!(timeout(ms(30), &mut cancel).await.is_err(), "it waits");
            assert!(!log.text().contains("a>"));
            gate.open();
            // The error was there before the cancelling.
            let failure = cancel.await.expect_err("it had failed");
            assert_eq!(suppressed(&failure), ["it ends"]);
            assert_eq!(log.text(), "a< a>");
        }
        Ok(())
    });
}

#[test]
fn rule_12_it_is_shielded_from_the_cancelling_of_the_whole_run() {
    let log = Log::default();
    let noted = log.clone();
    let failure = failure_of(1, async move |cx| {
        let begun = Gate::default();
        for domain in cx.domains() {
            let (log, opened) = (noted.clone(), begun.clone());
            let task = cx.call_on(domain, async move |cx| -> Result<()> {
                let own = log.clone();
                let child = cx.spawn(async move |cx| -> Result<()> {
                    let finaliser = async move |()| {
                        own.note("<");
                        opened.open();
                        sleep(ms(50)).await;
                        Ok(own.note(">"))
                    };
                    let _owned = cx.own_async("a", (), HOUR, finaliser);
                    pending().await
                });
                yield_now().await;
                child.cancel().await
            })?;
            drop(task);
        }
        begun.passed().await;
        // It waits when this forgets the task.
        Ok(())
    });
    assert_still_has_children(&failure);
    assert_eq!(log.text(), "< >");
}

#[test]
fn rule_12_it_is_shielded_while_the_cancelling_comes_again_and_again() {
    test(0, async |cx| {
        let (log, gate) = (Log::default(), Gate::default());
        let (noted, held) = (log.clone(), gate.clone());
        let task = cx.spawn(async move |cx| -> Result<()> {
            let _a = plain(cx, &noted, "a");
            let _b = gated(cx, &noted, "b", &held);
            let _c = plain(cx, &noted, "c");
            Err(Failure::msg("it ends"))
        });
        turns(3).await;
        assert_eq!(log.text(), "c b<");
        assert!(!task.is_over(), "its end waits");
        let cancel = task.cancel();
        turns(3).await;
        assert_eq!(log.text(), "c b<");
        gate.open();
        assert_eq!(
            suppressed(&cancel.await.expect_err("it had failed")),
            ["it ends"]
        );
        assert_eq!(log.text(), "c b< b> a");
        Ok(())
    });
}

// ---- bounded ----

#[test]
fn rule_12_one_that_never_ends_is_dropped_at_its_limit_and_reported_by_name_and_line() {
    test(1, async |cx| {
        for there in [false, true] {
            let log = Log::default();
            let noted = log.clone();
            let own_line = Arc::new(AtomicUsize::new(0));
            let kept = own_line.clone();
            let task = async move |cx: &Cx| -> Result<()> {
                let value = noted.on_drop("value");
                let end = async |_value| pending().await;
                let (line, _owned) = (line!(), cx.own_async("a client", value, ms(30), end));
                kept.store(line as usize, Ordering::Relaxed);
                yield_now().await;
                Err(Failure::msg("it ends"))
            };
            let start = Instant::now();
            let failure = match there {
                false => cx.spawn(task).await,
                true => cx.call(task)?.await,
            };
            let failure = failure.expect_err("it ends badly");
            assert!(start.elapsed() >= ms(30));
            assert_soon(start);
            assert_eq!(log.text(), "value");
            assert_eq!(failure.to_string(), "it ends");
            let [late] = failure.suppressed() else {
                panic!("{failure:?}")
            };
            let line = own_line.load(Ordering::Relaxed);
            let at = format!("finaliser of a client, owned at {}:{line}:", file!());
            let text = late.to_string();
            assert!(text.starts_with(&at), "{text}");
            assert!(text.ends_with(": it took longer than 30ms"), "{text}");
            let late: &TimedOut = late.downcast_ref().expect("what it is");
            assert_eq!(late.limit(), ms(30));
        }
        Ok(())
    });
}

#[test]
fn rule_12_a_limit_of_zero_lets_it_run_until_it_has_to_wait() {
    test(0, async |cx| {
        let log = Log::default();
        for waits in [false, true] {
            let log = log.clone();
            let owned = cx.own_async("a", (), Duration::ZERO, async move |()| {
                log.note("runs");
                match waits {
                    true => pending().await,
                    false => Ok(()),
                }
            });
            let result = owned.release().await;
            assert_eq!(result.is_err(), waits);
        }
        assert_eq!(log.text(), "runs runs");
        let forever = cx.own_async("a", (), Duration::MAX, async |()| Ok(sleep(ms(1)).await));
        forever.release().await
    });
}

#[test]
fn a_finaliser_that_nobody_wakes_is_no_stall_but_ends_at_its_limit() {
    let start = Instant::now();
    let failure = failure_of(1, async |cx| {
        let task = cx.call(async |cx| -> Result<()> {
            let _owned = cx.own_async("a", (), ms(50), async |()| pending().await);
            Err(Failure::msg("it ends"))
        })?;
        let failure = task.await.expect_err("it ends badly");
        assert_eq!(failure.suppressed().len(), 1);
        pending().await
    });
    assert_stalled(&failure);
    assert!(start.elapsed() >= ms(50));
}

// ---- order ----

#[test]
fn rule_12_those_of_one_task_run_one_after_another_the_newest_first_mixed_with_plain_ones() {
    test(1, async |cx| {
        let log = Log::default();
        let noted = log.clone();
        let task = async move |cx: &Cx| -> Result<()> {
            let _a = slow(cx, &noted, "a", ms(10));
            let _b = plain(cx, &noted, "b");
            let _c = slow(cx, &noted, "c", ms(1));
            let _d = slow(cx, &noted, "d", Duration::ZERO);
            let _e = plain(cx, &noted, "e");
            yield_now().await;
            Err(Failure::msg("it ends"))
        };
        cx.spawn(task.clone()).await.expect_err("it ends badly");
        assert_eq!(log.text(), "e d< d> c< c> b a< a>");
        cx.call(task)?.await.expect_err("it ends badly");
        assert_eq!(log.text(), "e d< d> c< c> b a< a> e d< d> c< c> b a< a>");
        Ok(())
    });
}

#[test]
fn rule_12_those_of_siblings_run_side_by_side() {
    const COUNT: usize = 20;
    test(1, async |cx| {
        for there in [false, true] {
            // Each waits until all have begun: one after another they would never end.
            let begun = Arc::new(AtomicUsize::new(0));
            let family = async move |cx: &Cx| -> Result<()> {
                let tasks: Vec<_> = (0..COUNT)
                    .map(|_| {
                        let begun = begun.clone();
                        cx.spawn(async move |cx| -> Result<()> {
                            let finaliser = async move |()| {
                                begun.fetch_add(1, Ordering::Relaxed);
                                while begun.load(Ordering::Relaxed) < COUNT {
                                    yield_now().await;
                                }
                                Ok(())
                            };
                            let _owned = cx.own_async("a", (), HOUR, finaliser);
                            pending().await
                        })
                    })
                    .collect();
                turns(2).await;
                drop(tasks);
                Err(Failure::msg("it ends"))
            };
            let failure = match there {
                false => cx.spawn(family).await,
                true => cx.call(family)?.await,
            };
            let failure = failure.expect_err("it ends badly");
            assert_eq!(suppressed(&failure), Vec::<String>::new());
        }
        Ok(())
    });
}

#[test]
fn rule_12_those_of_the_children_are_over_before_those_of_the_parent_begin() {
    test(1, async |cx| {
        let log = Log::default();
        let noted = log.clone();
        let parent = cx.spawn(async move |cx| -> Result<()> {
            let _owned = slow(cx, &noted, "parent", ms(1));
            let inner = noted.clone();
            let _here = endless(cx, &noted, "here");
            let _there = cx.call(async move |cx| -> Result<()> {
                let _owned = slow(cx, &inner, "there", ms(20));
                pending().await
            })?;
            sleep(ms(20)).await;
            Err(Failure::msg("it ends"))
        });
        parent.await.expect_err("it ends badly");
        let begun = log.place("parent<");
        assert!(log.place("here>") < begun);
        // The call may have been cancelled before it owned anything.
        if log.text().contains("there<") {
            assert!(log.place("there>") < begun);
        }
        assert_eq!(log.list().last().map(String::as_str), Some("parent>"));
        Ok(())
    });
}

#[test]
fn rule_12_a_deep_chain_ends_without_recursion_and_from_the_bottom() {
    const DEPTH: usize = 1000;
    fn link(cx: &Cx, log: Log, depth: usize) -> Task<'_, ()> {
        cx.spawn(async move |cx| {
            let _owned = slow(cx, &log, &depth.to_string(), Duration::ZERO);
            match depth {
                0 => pending().await,
                _ => link(cx, log, depth - 1).await,
            }
        })
    }
    // A stack on which a thousand of anything would not fit.
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    let thread = thread.spawn(move || {
        let log = Log::default();
        let noted = log.clone();
        let outcome = world::with(0).run(async move |cx| {
            let chain = link(cx, noted, DEPTH - 1);
            turns(DEPTH + 2).await;
            chain.cancel().await
        });
        let _ = sender.send((outcome.is_ok(), log.list()));
    });
    let thread = thread.expect("a thread");
    let (ended_well, list) = receiver.recv_timeout(times::SOON).expect("it ends in time");
    thread.join().expect("no panic");
    assert!(ended_well);
    let wanted = (0..DEPTH).flat_map(|depth| [format!("{depth}<"), format!("{depth}>")]);
    assert_eq!(list, wanted.collect::<Vec<_>>());
}

#[test]
fn many_finalisers_at_once_leave_the_others_their_turns() {
    test(0, async |cx| {
        let log = Log::default();
        let tasks: Vec<_> = (0..200).map(|_| endless(cx, &log, "a")).collect();
        turns(2).await;
        let cancels: Vec<_> = tasks.into_iter().map(Task::cancel).collect();
        let start = Instant::now();
        let mut ticks = 0;
        while log.list().len() < 400 {
            turns(1).await;
            ticks += 1;
        }
        assert!(ticks > 1);
        assert_soon(start);
        for cancel in cancels {
            cancel.await?;
        }
        Ok(())
    });
}

// ---- release ----

#[test]
fn rule_12_release_waits_for_it_and_returns_its_error() {
    test(0, async |cx| {
        let log = Log::default();
        slow(cx, &log, "a", ms(5)).release().await?;
        assert_eq!(log.text(), "a< a>");
        let failure = failing(cx, "b").release().await.expect_err("it fails");
        assert_eq!(failure.to_string(), "b fails");
        let late = cx.own_async("c", (), ms(10), async |()| pending().await);
        let failure = late.release().await.expect_err("it is late");
        assert!(failure.downcast_ref::<TimedOut>().is_some(), "{failure:?}");
        assert_eq!(cx.owned(), []);
        Ok(())
    });
}

#[test]
fn release_that_is_not_polled_leaves_the_task_the_owner() {
    test(0, async |cx| {
        let log = Log::default();
        drop(slow(cx, &log, "a", ms(5)).release());
        assert_eq!(cx.owned()[0].state, ResourceState::Kept);
        let back: Owned<'_, String> = cx.receive().expect("it is there");
        assert_eq!(log.text(), "");
        back.release().await?;
        assert_eq!(log.text(), "a< a>");
        Ok(())
    });
}

#[test]
fn rule_12_a_release_that_is_dropped_half_way_is_finished_at_the_end_of_the_task() {
    test(1, async |cx| {
        for way in 0..6 {
            let (log, gate, waiting) = (Log::default(), Gate::default(), Gate::default());
            let (noted, held, opened) = (log.clone(), gate.clone(), waiting.clone());
            let task = async move |cx: &Cx| -> Result<()> {
                let _older = plain(cx, &noted, "older");
                let owned = gated(cx, &noted, "a", &held);
                let mut release = Box::pin(owned.release());
                assert!(poll_pinned(&mut release).await.is_none());
                drop(release);
                let [_, info] = &cx.owned()[..] else {
                    panic!("{:?}", cx.owned())
                };
                assert_eq!((&*info.name, info.state), ("a", ResourceState::Closing));
                assert!(info.to_string().ends_with(", about to be closed"), "{info}");
                // It is nothing that could be had again.
                let kept: Option<Owned<'_, String>> = cx.receive();
                assert!(kept.is_none(), "the other one has a proof");
                _older.disown();
                opened.open();
                match way % 3 {
                    // It is no leak.
                    0 => Ok(()),
                    1 => Err(Failure::msg("it ends")),
                    _ => pending().await,
                }
            };
            let task = match way / 3 {
                0 => cx.spawn(task),
                _ => cx.call(task)?,
            };
            waiting.passed().await;
            turns(3).await;
            assert!(!task.is_over(), "its end waits for the finaliser");
            assert_eq!(log.text(), "a<");
            if way % 3 == 2 {
                let mut cancel = Box::pin(task.cancel());
                assert!(poll_pinned(&mut cancel).await.is_none());
                gate.open();
                cancel.await?;
            } else {
                gate.open();
                assert_eq!(task.await.is_ok(), way % 3 == 0);
            }
            assert_eq!(log.text(), "a< a>");
        }
        Ok(())
    });
}

#[test]
fn a_timeout_around_release_bounds_the_wait_and_not_the_finaliser() {
    test(0, async |cx| {
        let log = Log::default();
        let noted = log.clone();
        let task = cx.spawn(async move |cx| {
            let owned = slow(cx, &noted, "a", ms(100));
            timeout(ms(10), owned.release())
                .await
                .expect_err("it takes longer");
            Ok(noted.note("left"))
        });
        task.await?;
        assert_eq!(log.text(), "a< left a>");
        Ok(())
    });
}

#[test]
fn the_limit_counts_from_the_begin_of_a_release_that_was_dropped() {
    test(0, async |cx| {
        let task = cx.spawn(async move |cx| -> Result<()> {
            let owned = cx.own_async("a", (), ms(100), async |()| pending().await);
            assert!(timeout(ms(10), owned.release()).await.is_err());
            sleep(ms(100)).await;
            Err(Failure::msg("it ends"))
        });
        let failure = task.await.expect_err("it ends badly");
        let [text] = &suppressed(&failure)[..] else {
            panic!("{failure:?}")
        };
        assert!(text.ends_with(": it took longer than 100ms"), "{text}");
        Ok(())
    });
}

// ---- panics ----

#[test]
fn a_panic_in_it_is_a_failure_and_the_next_one_runs() {
    test(1, async |cx| {
        for way in 0..3 {
            let log = Log::default();
            let noted = log.clone();
            let task = async move |cx: &Cx| -> Result<()> {
                let _first = plain(cx, &noted, "first");
                let _bad = bad(cx, way);
                let _last = plain(cx, &noted, "last");
                Err(Failure::msg("it ends"))
            };
            for there in [false, true] {
                let task = task.clone();
                let failure = match there {
                    false => cx.spawn(task).await,
                    true => cx.call(task)?.await,
                };
                let failure = failure.expect_err("it ends badly");
                let [text] = &suppressed(&failure)[..] else {
                    panic!("{failure:?}")
                };
                assert!(
                    text.starts_with("finaliser of bad, owned at "),
                    "{way}: {text}"
                );
                assert!(text.ends_with(": panicked: bad"), "{text}");
            }
            assert_eq!(log.text(), "last first last first");
        }
        Ok(())
    });
}

/// Owns what panics: before its first wait, after it, or before there is anything that could wait.
#[track_caller]
fn bad(cx: &Cx, way: usize) -> Owned<'_, ()> {
    match way {
        0 => cx.own_async("bad", (), HOUR, async |()| panic!("bad")),
        1 => cx.own_async("bad", (), HOUR, async |()| {
            sleep(ms(1)).await;
            panic!("bad")
        }),
        _ => cx.own_async("bad", (), HOUR, |()| {
            if HOUR > Duration::ZERO {
                panic!("bad");
            }
            async { done() }
        }),
    }
}

#[test]
fn a_panic_in_it_is_what_release_returns() {
    test(0, async |cx| {
        for way in 0..3 {
            let failure = bad(cx, way).release().await.expect_err("it panics");
            assert_panicked(&failure, "bad");
        }
        Ok(())
    });
}

#[test]
fn a_panic_in_the_destructor_of_what_it_leaves_is_told() {
    test(0, async |cx| {
        let task = cx.spawn(async |cx| -> Result<()> {
            let value = world::OnDrop(|| panic!("dropped"));
            let _owned = cx.own_async("a", value, ms(5), async |_value| pending().await);
            Err(Failure::msg("it ends"))
        });
        let failure = task.await.expect_err("it ends badly");
        let told = suppressed(&failure).join(" ");
        assert!(told.contains("panicked: dropped"), "{told}");
        Ok(())
    });
}

// ---- what it may do ----

#[test]
fn it_may_wake_itself_and_use_sockets() {
    test(1, async |cx| {
        for there in [false, true] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            let task = async move |cx: &Cx| -> Result<()> {
                let stream = TcpStream::connect(address).await?;
                let finaliser = async |mut stream: TcpStream| {
                    let mut polls = 0;
                    poll_fn(|cx| {
                        polls += 1;
                        cx.waker().wake_by_ref();
                        match polls {
                            100 => Poll::Ready(()),
                            _ => Poll::Pending,
                        }
                    })
                    .await;
                    stream.write_all(b"farewell").await?;
                    // The answer comes later.
                    let mut buffer = [0; 16];
                    let count = stream.read(&mut buffer).await?;
                    assert_eq!(&buffer[..count], b"bye");
                    Ok(stream.close()?)
                };
                let _owned = cx.own_async("a client", stream, HOUR, finaliser);
                Err(Failure::msg("it ends"))
            };
            let task = match there {
                false => cx.spawn(task),
                true => cx.call(task)?,
            };
            let mut listener: TcpListener = cx.adopt(listener)?;
            let (mut far, _) = listener.accept().await?;
            let mut buffer = [0; 16];
            let count = far.read(&mut buffer).await?;
            assert_eq!(&buffer[..count], b"farewell");
            assert!(!task.is_over());
            sleep(ms(5)).await;
            far.write_all(b"bye").await?;
            assert_eq!(far.read(&mut buffer).await?, 0);
            let failure = task.await.expect_err("it ends badly");
            assert_eq!(suppressed(&failure), Vec::<String>::new());
        }
        Ok(())
    });
}

// ---- scopes ----

#[test]
fn rule_12_a_scope_has_finalisers_that_wait() {
    test(0, async |cx| {
        let log = Log::default();
        for panics in [false, true] {
            let failed: Result<()> = cx
                .scope(async |cx| {
                    let _a = slow(cx, &log, "a", ms(5));
                    let _b = plain(cx, &log, "b");
                    let child = endless(cx, &log, "child");
                    turns(2).await;
                    drop(child);
                    match panics {
                        true => panic!("it panics"),
                        false => Err(Failure::msg("it ends")),
                    }
                })
                .await;
            log.note("over");
            failed.expect_err("it ends badly");
        }
        let once = "child< child> b a< a> over";
        assert_eq!(log.text(), format!("{once} {once}"));
        // And the task goes on.
        assert_eq!(cx.owned(), []);
        Ok(())
    });
}

#[test]
fn a_scope_that_is_dropped_half_way_has_its_finalisers_run() {
    test(0, async |cx| {
        let log = Log::default();
        let noted = log.clone();
        let task = cx.spawn(async move |cx| {
            let mut scope = Box::pin(cx.scope(async |cx| -> Result<()> {
                let _a = slow(cx, &noted, "a", ms(20));
                let _child = endless(cx, &noted, "child");
                pending().await
            }));
            assert!(poll_pinned(&mut scope).await.is_none());
            turns(2).await;
            drop(scope);
            Ok(noted.note("left"))
        });
        task.await?;
        assert_eq!(log.text(), "left child< child> a< a>");
        Ok(())
    });
}

#[test]
fn a_task_that_is_cancelled_in_a_scope_has_the_finalisers_of_both_run() {
    test(1, async |cx| {
        let log = Log::default();
        for there in [false, true] {
            let (gate, noted) = (Gate::default(), log.clone());
            let opened = gate.clone();
            let task = async move |cx: &Cx| -> Result<()> {
                let _a = slow(cx, &noted, "a", ms(5));
                cx.scope(async |cx| {
                    let _b = slow(cx, &noted, "b", ms(5));
                    let _c = plain(cx, &noted, "c");
                    let mut release = Box::pin(slow(cx, &noted, "d", ms(5)).release());
                    assert!(poll_pinned(&mut release).await.is_none());
                    opened.open();
                    pending().await
                })
                .await
            };
            let task = match there {
                false => cx.spawn(task),
                true => cx.call(task)?,
            };
            gate.passed().await;
            task.cancel().await?;
            log.note("|");
        }
        let once = "d< d> c b< b> a< a> |";
        assert_eq!(log.text(), format!("{once} {once}"));
        Ok(())
    });
}

// ---- from hand to hand ----

#[test]
fn rule_12_it_goes_with_the_resource_to_a_child_and_to_the_parent_and_to_another_domain() {
    test(2, async |cx| {
        let log = Log::default();
        // To a child, which dies with it.
        let owned = slow(cx, &log, "a", ms(5));
        let child = cx
            .give(owned)
            .spawn(async |_, _owned| Err::<(), _>(Failure::msg("it ends")));
        child.await.expect_err("it ends badly");
        assert_eq!(log.text(), "a< a>");
        // There and back.
        for domain in cx.domains() {
            let log = Log::default();
            let there = cx
                .give(slow(cx, &log, "b", ms(5)))
                .call_on(domain, async |_, owned| Ok(owned.transfer_across()))?;
            there.await?;
            let owned: Owned<'_, String> = cx.receive().expect("it came back");
            assert_eq!((owned.name(), &*log.text()), ("b", ""));
            owned.release().await?;
            assert_eq!(log.text(), "b< b>");
        }
        // To another domain, which has to finalise it.
        let log = Log::default();
        let there = cx
            .give(slow(cx, &log, "c", ms(5)))
            .call(async |_, _owned| Err::<(), _>(Failure::msg("it ends")))?;
        there.await.expect_err("it ends badly");
        assert_eq!(log.text(), "c< c>");
        // What is transferred to a parent that ends badly.
        let log = Log::default();
        let noted = log.clone();
        let parent = cx.spawn(async move |cx| -> Result<()> {
            let child = cx.spawn(async move |cx| Ok(slow(cx, &noted, "d", ms(5)).transfer()));
            child.await?;
            Err(Failure::msg("it ends"))
        });
        parent.await.expect_err("it ends badly");
        assert_eq!(log.text(), "d< d>");
        Ok(())
    });
}

#[test]
fn orphans_have_finalisers_that_wait() {
    test(0, async |cx| {
        let log = Log::default();
        let mut orphans = cx.orphans();
        for name in ["a", "b"] {
            let owned = slow(cx, &log, name, ms(5));
            orphans
                .give(owned)
                .spawn(async move |_, _owned| Err::<(), _>(Failure::msg(name)));
        }
        let mut failed = Vec::new();
        while let Some(result) = orphans.next().await {
            failed.push(result.expect_err("it ends badly").to_string());
            let count = log.list().iter().filter(|note| note.ends_with('>')).count();
            assert!(
                count >= failed.len(),
                "an orphan is over after its finaliser"
            );
        }
        failed.sort_unstable();
        assert_eq!(failed, ["a", "b"]);
        Ok(())
    });
}

#[test]
fn the_end_of_a_domain_waits_for_it() {
    let log = Log::default();
    let noted = log.clone();
    let outcome: Result<()> = bounded(move || {
        world::with(1).run(async move |cx| {
            let gate = Gate::default();
            let opened = gate.clone();
            let task = cx.call_on(other(cx, 0), async move |cx| -> Result<()> {
                let _owned = slow(cx, &noted, "a", ms(50));
                opened.open();
                pending().await
            })?;
            gate.passed().await;
            // Nobody awaits the end of the cancelling.
            drop(task.cancel());
            Ok(())
        })
    });
    outcome.expect("ends well");
    assert_eq!(log.text(), "a< a>");
}

#[test]
fn an_error_of_io_in_it_stays_what_it_is() {
    test(0, async |cx| {
        let task = cx.spawn(async |cx| -> Result<()> {
            let _owned = cx.own_async("a", (), HOUR, async |()| {
                sleep(ms(1)).await;
                Err(io::Error::new(io::ErrorKind::StorageFull, "full").into())
            });
            Err(Failure::msg("it ends"))
        });
        let failure = task.await.expect_err("it ends badly");
        let error: Option<&io::Error> = failure.suppressed()[0].downcast_ref();
        assert_eq!(error.map(io::Error::kind), Some(io::ErrorKind::StorageFull));
        Ok(())
    });
}

#[test]
fn rule_12_an_error_after_a_release_that_was_dropped_half_way_is_not_lost() {
    test(0, async |cx| {
        let task = cx.spawn(async |cx| {
            let stuck = async |()| -> Result<()> {
                yield_now().await;
                Err(Failure::msg("it is stuck"))
            };
            let door = cx.own_async("the door", (), ms(10_000), stuck);
            let mut release = Box::pin(door.release());
            assert!(poll_pinned(&mut release).await.is_none());
            Ok("ends well")
        });
        let text = task.await.expect_err("but the door is open").to_string();
        assert!(
            text.starts_with("finaliser of the door, owned at "),
            "{text}"
        );
        assert!(text.ends_with(": it is stuck"), "{text}");
        Ok(())
    });
}
