//! Rule 12: who ends well and owns something has leaked it; and a proof that is out of reach is lost.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod owners;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Failure, Owned, ResourceState, Result, TcpListener, TcpStream, Violation, yield_now,
};
use common::bounded;
use owners::{Log, alone, failing, leak, names, open_descriptors, thing, turns};
use std::cell::RefCell;
use std::future::pending;
use std::io::{ErrorKind, Read};
use std::net;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use world::{Gate, failure_of, other, poll_once, suppressed, test, value_of};

/// Two ends of one connection: an owned one, and a plain one that blocks.
async fn pair(cx: &Cx) -> Result<(Owned<'_, TcpStream>, net::TcpStream)> {
    let mut listener = TcpListener::bind("127.0.0.1:0")?;
    let client = net::TcpStream::connect(listener.local_addr()?)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream.owned(cx), client))
}

/// A cycle that keeps `proof` out of reach.
fn lose<T>(proof: Owned<'_, T>) {
    struct Cycle<'c, T: 'static> {
        itself: RefCell<Option<Rc<Cycle<'c, T>>>>,
        _proof: Owned<'c, T>,
    }
    let cycle = Rc::new(Cycle {
        itself: RefCell::new(None),
        _proof: proof,
    });
    *cycle.itself.borrow_mut() = Some(cycle.clone());
}

// ---- leaks ----

#[test]
fn rule_12_ending_well_and_owning_something_is_a_leak() {
    for domains in 0..3 {
        let log = Log::default();
        let own = log.clone();
        let failure = failure_of(domains, async move |cx| {
            let _held = thing(cx, &own, "held");
            drop(thing(cx, &own, "dropped"));
            yield_now().await;
            Ok(())
        });
        let (task, scope, resources) = leak(&failure);
        assert_eq!(
            (task, scope, &*names(&resources)),
            (0, false, "held dropped")
        );
        // The proof is gone with the future.
        assert!(resources.iter().all(|r| r.state == ResourceState::Kept));
        assert_eq!(log.text(), "dropped held", "finalised all the same");
        assert_eq!(suppressed(&failure), [""; 0]);
    }
}

#[test]
fn rule_12_the_message_names_the_owner_what_it_owned_and_the_lines() {
    let line = line!() + 2;
    let failure = failure_of(0, async |cx| {
        let task = cx.spawn(async |cx| {
            let _log = cx.own("the log", 1, |_| Ok(()));
            let name = format!("connection {}", 7);
            std::mem::forget(cx.own(name, 2, |_| Ok(())));
            Ok(())
        });
        task.await
    });
    let text = failure.to_string();
    let place = |line: u32, column: u32| format!("leaks.rs:{line}:{column}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("task 1, spawned at "), "{text}");
    let end = format!("{}, has ended and still owns:", place(line, 23));
    assert!(lines[0].ends_with(&end), "{text}");
    assert!(lines[1].starts_with("  the log, owned at "), "{text}");
    let end = format!("{}, without a proof", place(line + 1, 27));
    assert!(lines[1].ends_with(&end), "{text}");
    assert!(lines[2].starts_with("  connection 7, owned at "), "{text}");
    let end = format!("{}, by a proof that is lost", place(line + 3, 33));
    assert!(lines[2].ends_with(&end), "{text}");
    let advice = "release, disown, give or transfer it; dropping a proof does none of these";
    assert_eq!(lines[3], advice);
}

#[test]
fn rule_12_a_scope_leaks_as_a_task_does() {
    let log = Log::default();
    let own = log.clone();
    let line = line!() + 3;
    let failure = failure_of(0, async move |cx| {
        let task = cx.spawn(async move |cx| {
            cx.scope(async |cx| Ok(drop(thing(cx, &own, "leaked"))))
                .await?;
            Ok(own.note("went on"))
        });
        task.await
    });
    let (task, scope, resources) = leak(&failure);
    assert_eq!((task, scope, &*names(&resources)), (1, true, "leaked"));
    let text = failure.to_string();
    assert!(text.starts_with("a scope of task 1, opened at "), "{text}");
    assert!(text.contains(&format!("leaks.rs:{line}:")), "{text}");
    assert_eq!(log.text(), "leaked", "nobody goes on");
}

#[test]
fn rule_12_no_ancestor_can_catch_it() {
    for domains in 0..3 {
        let log = Log::default();
        let own = log.clone();
        let failure = failure_of(domains, async move |cx| {
            let _main = thing(cx, &own, "main's");
            let there = async move |cx: &Cx| {
                let _above = thing(cx, &own, "above");
                let child = own.clone();
                let leaks = cx.spawn(async move |cx| Ok(drop(thing(cx, &child, "leaked"))));
                let _ = leaks.await;
                own.note("went on");
                Ok(())
            };
            let _ = match cx.domains().last() {
                None => cx.spawn(there).await,
                Some(domain) => cx.call_on(domain, there)?.await,
            };
            panic!("the main task went on")
        });
        assert_eq!(names(&leak(&failure).2), "leaked");
        assert_eq!(log.text(), "leaked above main's");
    }
}

#[test]
fn rule_12_no_ancestor_sees_the_end_of_who_has_leaked_while_its_cancelled_children_go() {
    // dom0 is busy: what the others do goes on without it.
    let log = Log::default();
    let own = log.clone();
    let failure = failure_of(2, async move |cx| {
        let (go, leaving) = (Gate::default(), Gate::default());
        let (goes, left) = (go.clone(), leaving.clone());
        let above = cx.call_on(other(cx, 0), async move |cx| {
            let (child, note) = (own.clone(), own.clone());
            let leaks = cx.spawn(async move |cx| {
                let _leaked = thing(cx, &child, "leaked");
                let slow =
                    cx.spawn(async |cx| cx.spawn(async |_| pending::<Result<()>>().await).await);
                yield_now().await;
                yield_now().await;
                drop(slow.cancel());
                Ok(())
            });
            let beside = cx.spawn(async move |_| {
                let _: () = turns(50).await;
                left.open();
                pending::<Result<()>>().await
            });
            go.passed().await;
            let _ = leaks.await;
            note.note("went on");
            beside.await
        })?;
        goes.open();
        leaving.block();
        above.await
    });
    assert_eq!(names(&leak(&failure).2), "leaked");
    assert_eq!(log.text(), "leaked");
}

#[test]
fn rule_12_on_another_domain_it_is_finalised_there() {
    let log = Log::default();
    let own = log.clone();
    let failure = failure_of(2, async move |cx| {
        let leaks = cx.call_on(other(cx, 1), async move |cx| {
            let _leaked = cx.own("leaked", own, |log| Ok(log.note(world::here())));
            Ok(())
        })?;
        leaks.await
    });
    let (_, scope, resources) = leak(&failure);
    assert_eq!((scope, &*names(&resources)), (false, "leaked"));
    assert_eq!(log.text(), "dom2");
}

#[test]
fn rule_12_it_is_told_before_the_forgotten_children() {
    for domains in 0..3 {
        for as_scope in [false, true] {
            let log = Log::default();
            let own = log.clone();
            let failure = failure_of(domains, async move |cx| {
                let both = async move |cx: &Cx| {
                    let child = own.clone();
                    let forgets = async move |cx: &Cx| {
                        let _leaked = thing(cx, &own, "leaked");
                        let _forgotten = cx.spawn(async move |cx| {
                            let _ours = thing(cx, &child, "child's");
                            pending::<Result<()>>().await
                        });
                        Ok(turns(2).await)
                    };
                    match as_scope {
                        true => cx.scope(forgets).await,
                        false => forgets(cx).await,
                    }
                };
                match cx.domains().last() {
                    None => both(cx).await,
                    Some(domain) => cx.call_on(domain, both)?.await,
                }
            });
            let (_, scope, resources) = leak(&failure);
            assert_eq!((scope, &*names(&resources)), (as_scope, "leaked"));
            let [children] = failure.suppressed() else {
                panic!("{failure:?}")
            };
            world::assert_still_has_children(children);
            assert_eq!(log.text(), "child's leaked");
        }
    }
}

#[test]
fn rule_12_a_finaliser_that_fails_after_a_leak_is_told_too() {
    for domains in 0..2 {
        let failure = failure_of(domains, async |cx| {
            let leaks = async |cx: &Cx| Ok(drop(failing(cx, "leaked")));
            match cx.domains().last() {
                None => cx.spawn(leaks).await,
                Some(domain) => cx.call_on(domain, leaks)?.await,
            }
        });
        leak(&failure);
        let [text] = &suppressed(&failure)[..] else {
            panic!("{failure:?}")
        };
        assert!(text.starts_with("finaliser of leaked, owned at "), "{text}");
        assert!(text.ends_with(": leaked fails"), "{text}");
    }
}

#[test]
fn rule_12_many_leaked_resources_are_listed_up_to_ten() {
    for (count, more) in [
        (10, None),
        (11, Some("  and 1 more")),
        (35, Some("  and 25 more")),
    ] {
        let failure = failure_of(0, async move |cx| {
            (0..count).for_each(|n| drop(cx.own(format!("thing {n}"), n, |_| Ok(()))));
            Ok(())
        });
        assert_eq!(leak(&failure).2.len(), count, "all of them can be had");
        let text = failure.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("  thing 0, ") && lines[10].starts_with("  thing 9, "));
        assert_eq!(lines.get(11).copied().filter(|_| more.is_some()), more);
        assert_eq!(lines.len(), 12 + usize::from(more.is_some()));
    }
}

#[test]
fn rule_12_of_two_leaks_the_first_counts_and_the_second_is_suppressed() {
    let failure = failure_of(2, async |cx| {
        let (first, second) = (Gate::default(), Gate::default());
        let (ready, wait) = (first.clone(), second.clone());
        // Both end while dom0 is busy.
        let leak_on = |place: usize, opens: Gate, waits: Gate| {
            cx.call_on(other(cx, place), async move |cx| {
                drop(cx.own(format!("leak {place}"), 7, |_| Ok(())));
                opens.open();
                Ok(waits.block())
            })
        };
        let open = Gate::default();
        open.open();
        let _one = leak_on(0, ready, open)?;
        let _two = leak_on(1, second, first)?;
        wait.block();
        pending().await
    });
    leak(&failure);
    let told = suppressed(&failure);
    // The other one may be cancelled before it has ended.
    assert!(told.len() <= 1, "{failure:?}");
    assert!(told.iter().all(|text| text.contains("still owns")));
}

#[test]
fn rule_12_ending_badly_and_owning_something_is_no_leak() {
    test(1, async |cx| {
        let log = Log::default();
        for there in [false, true] {
            let own = log.clone();
            let fails = async move |cx: &Cx| {
                let _kept = thing(cx, &own, "kept");
                Err::<(), _>(Failure::msg("fails"))
            };
            let task = match there {
                false => cx.spawn(fails),
                true => cx.call(fails)?,
            };
            assert_eq!(task.await.expect_err("fails").to_string(), "fails");
        }
        assert_eq!(log.text(), "kept kept");
        Ok(())
    });
}

#[test]
fn rule_12_a_task_that_is_cancelled_by_a_violation_leaks_nothing() {
    let failure = failure_of(0, async |cx| {
        // All in one turn: the second and the third end in a task that is cancelled while it runs.
        let leaks =
            |name: &'static str| cx.scope(async move |cx| Ok(drop(cx.own(name, 7, |_| Ok(())))));
        let (first, second) = (leaks("first"), leaks("second"));
        ch08_mutexes_and_conditions::race(first, second).await;
        drop(cx.own("third", 7, |_| Ok(())));
        Ok(())
    });
    assert_eq!(names(&leak(&failure).2), "first");
    assert_eq!(suppressed(&failure), [""; 0]);
}

#[test]
fn rule_12_a_result_of_who_leaks_is_seen_by_nobody_and_dropped() {
    let log = Log::default();
    let own = log.clone();
    let failure = failure_of(0, async move |cx| {
        let _leaked = thing(cx, &own, "leaked");
        let task = cx.spawn(async move |cx| {
            drop(thing(cx, &own, "too"));
            Ok(own.on_drop("result"))
        });
        task.await.map(drop)
    });
    assert_eq!(names(&leak(&failure).2), "too");
    assert_eq!(log.text(), "result too leaked");
}

// ---- lost proofs ----

#[test]
fn rule_12_a_proof_that_is_forgotten_or_in_a_cycle_is_reported_as_lost() {
    for cycle in [false, true] {
        let log = Log::default();
        let own = log.clone();
        let line = line!() + 2;
        let failure = failure_of(0, async move |cx| {
            let proof = thing(cx, &own, "the thing");
            match cycle {
                true => lose(proof),
                false => std::mem::forget(proof),
            }
            assert_eq!(
                cx.owned()[0].state,
                ResourceState::Held,
                "it could be there"
            );
            Ok(())
        });
        let (_, _, resources) = leak(&failure);
        assert_eq!(resources[0].state, ResourceState::Lost);
        let [text] = &suppressed(&failure)[..] else {
            panic!("{failure:?}")
        };
        assert!(text.starts_with("the thing, owned at "), "{text}");
        assert!(text.contains(&format!("leaks.rs:{line}:")), "{text}");
        let end = " is lost: its proof was forgotten, or is in a cycle";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(log.text(), "", "it cannot be finalised");
    }
}

#[test]
fn rule_12_a_lost_proof_is_told_at_a_bad_end_and_when_cancelled() {
    test(1, async |cx| {
        for there in [false, true] {
            for fails in [false, true] {
                let running = Gate::default();
                let is_running = running.clone();
                let loses = async move |cx: &Cx| {
                    lose(cx.own("in a cycle", 1, |_| Ok(())));
                    std::mem::forget(cx.own("forgotten", 2, |_| Ok(())));
                    is_running.open();
                    match fails {
                        true => Err::<(), _>(Failure::msg("fails")),
                        false => pending().await,
                    }
                };
                let task = match there {
                    false => cx.spawn(loses),
                    true => cx.call(loses)?,
                };
                running.passed().await;
                let failure = match fails {
                    true => task.await.expect_err("fails"),
                    false => task.cancel().await.expect_err("something is lost"),
                };
                let told = suppressed(&failure);
                assert_eq!(told.len(), 2, "{failure:?}");
                assert!(told[0].starts_with("forgotten, owned at "), "{told:?}");
                assert!(told[1].starts_with("in a cycle, owned at "), "{told:?}");
            }
        }
        Ok(())
    });
}

#[test]
fn rule_12_a_gift_or_a_release_that_is_forgotten_is_lost() {
    test(0, async |cx| {
        let task = cx.spawn(async |cx| {
            std::mem::forget(cx.give(cx.own("given", 1, |_| Ok(()))));
            std::mem::forget(cx.own("released", 2, |_| Ok(())).release());
            let both = (cx.own("one", 3, |_| Ok(())), cx.own("two", 4, |_| Ok(())));
            let given = cx.give(both).spawn(async |_, both| {
                let _: () = std::mem::forget(both);
                Err::<(), _>(Failure::msg("the child"))
            });
            let failure = given.await.expect_err("fails");
            assert_eq!(failure.suppressed().len(), 2, "those are the child's");
            Err::<(), _>(Failure::msg("fails"))
        });
        let failure = task.await.expect_err("fails");
        let told = suppressed(&failure);
        assert!(told[0].starts_with("released, owned at "), "{told:?}");
        assert!(told[1].starts_with("given, owned at "), "{told:?}");
        Ok(())
    });
}

#[test]
fn rule_12_a_proof_that_a_scope_has_lost_is_the_scopes() {
    test(0, async |cx| {
        let scope = cx.scope(async |cx| {
            std::mem::forget(cx.own("forgotten", 1, |_| Ok(())));
            Err::<(), _>(Failure::msg("fails"))
        });
        let failure = scope.await.expect_err("fails");
        assert!(suppressed(&failure)[0].starts_with("forgotten, owned at "));
        // Left half-way, or cancelled with the task: the task tells it.
        for half_way in [false, true] {
            let task = cx.spawn(async move |cx| {
                let scope = cx.scope(async |cx| {
                    std::mem::forget(cx.own("forgotten", 1, |_| Ok(())));
                    pending::<Result<()>>().await
                });
                match half_way {
                    false => scope.await,
                    true => {
                        assert!(poll_once(scope).await.is_none());
                        Err(Failure::msg("fails"))
                    }
                }
            });
            yield_now().await;
            let failure = match half_way {
                true => task.await.expect_err("fails"),
                false => task.cancel().await.expect_err("lost"),
            };
            let told = suppressed(&failure);
            assert_eq!(told.len(), 1, "{failure:?}");
            assert!(told[0].starts_with("forgotten, owned at "), "{told:?}");
        }
        Ok(())
    });
}

// ---- lost sockets ----

/// Blocks until the other end has closed the connection.
fn assert_closed(mut peer: net::TcpStream) {
    let mut rest = Vec::new();
    match peer.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn rule_12_a_lost_socket_is_closed_all_the_same() {
    test(1, async |cx| {
        for way in 0..6 {
            let (connected, peer) = (Gate::default(), Arc::new(Mutex::new(None)));
            let (is_connected, there) = (connected.clone(), peer.clone());
            let loses = async move |cx: &Cx| {
                let (stream, client) = pair(cx).await?;
                let mut listener = cx.listen("127.0.0.1:0")?;
                let address = listener.local_addr()?;
                *there.lock().expect("not poisoned") = Some((client, address));
                // Lost in the middle of an operation, too.
                assert!(poll_once(listener.accept(cx)).await.is_none());
                match way % 2 {
                    0 => {
                        std::mem::forget(stream);
                        std::mem::forget(listener);
                    }
                    _ => {
                        lose(stream);
                        lose(listener);
                    }
                }
                is_connected.open();
                match way % 3 {
                    0 => Err(Failure::msg("fails")),
                    _ => pending::<Result<()>>().await,
                }
            };
            let task = match way / 3 {
                0 => cx.spawn(loses),
                _ => cx.call(loses)?,
            };
            connected.passed().await;
            let failure = match way % 3 {
                0 => task.await.expect_err("fails"),
                _ => task.cancel().await.expect_err("lost"),
            };
            let told = suppressed(&failure);
            assert_eq!(told.len(), 2, "{failure:?}");
            assert!(told[0].starts_with("listener 127.0.0.1:"), "{told:?}");
            assert!(told[1].starts_with("connection 127.0.0.1:"), "{told:?}");
            let peer = peer.lock().expect("not poisoned").take();
            let (client, address) = peer.expect("it was connected");
            assert_closed(client);
            assert!(
                net::TcpStream::connect(address).is_err(),
                "it does not listen"
            );
        }
        Ok(())
    });
}

#[test]
fn rule_12_a_socket_that_is_lost_with_the_future_of_an_operation() {
    test(0, async |cx| {
        let (connected, peer) = (Gate::default(), Rc::new(RefCell::new(None)));
        let (is_connected, there) = (connected.clone(), peer.clone());
        let task = cx.spawn(async move |cx| -> Result<()> {
            let (mut stream, client) = pair(cx).await?;
            *there.borrow_mut() = Some(client);
            let mut reading = Box::pin(async move {
                let mut buffer = [0; 8];
                stream.read(&mut buffer).await
            });
            assert!(poll_once(&mut reading).await.is_none());
            std::mem::forget(reading);
            is_connected.open();
            pending().await
        });
        connected.passed().await;
        let failure = task.cancel().await.expect_err("lost");
        assert_eq!(suppressed(&failure).len(), 1);
        assert_closed(peer.borrow_mut().take().expect("it was connected"));
        // The event loop is as good as before.
        let (mut stream, client) = pair(cx).await?;
        drop(client);
        assert_eq!(stream.read(&mut [0; 8]).await?, 0);
        stream.release().await
    });
}

#[test]
fn rule_12_a_lost_socket_that_was_given_or_received_is_closed_too() {
    test(0, async |cx| {
        let (stream, client) = pair(cx).await?;
        let given = cx.give(stream).spawn(async |_, stream| {
            std::mem::forget(stream);
            Err::<(), _>(Failure::msg("fails"))
        });
        assert_eq!(given.await.expect_err("fails").suppressed().len(), 1);
        assert_closed(client);

        let peer = Rc::new(RefCell::new(None));
        let there = peer.clone();
        let parent = cx.spawn(async move |cx| {
            let child = cx.spawn(async move |cx| {
                let (stream, client) = pair(cx).await?;
                *there.borrow_mut() = Some(client);
                Ok(stream.transfer())
            });
            child.await?;
            std::mem::forget(cx.receive::<TcpStream>().expect("from the child"));
            Err::<(), _>(Failure::msg("fails"))
        });
        assert_eq!(parent.await.expect_err("fails").suppressed().len(), 1);
        assert_closed(peer.borrow_mut().take().expect("it was connected"));
        Ok(())
    });
}

#[test]
fn rule_12_a_lost_socket_in_a_resource_of_ones_own_is_out_of_reach() {
    // What the record knows are sockets themselves.
    let failure = failure_of(0, async |cx| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        std::mem::forget(cx.own("mine", listener, |listener| Ok(listener.close()?)));
        Ok(())
    });
    assert_eq!(leak(&failure).2[0].state, ResourceState::Lost);
}

#[test]
fn rule_12_no_descriptor_of_a_lost_socket_stays_open() {
    alone("rule_12_no_descriptor_of_a_lost_socket_stays_open", || {
        let Some(before) = open_descriptors() else {
            return;
        };
        for domains in 0..2 {
            let failure = bounded(move || {
                world::with(domains).run(async move |cx| {
                    let during = open_descriptors();
                    let loses = async |cx: &Cx| {
                        for n in 0..20 {
                            let (stream, _client) = pair(cx).await?;
                            let listener = cx.listen("127.0.0.1:0")?;
                            match n % 2 {
                                0 => std::mem::forget((stream, listener)),
                                _ => lose({
                                    lose(stream);
                                    listener
                                }),
                            }
                        }
                        Err::<(), _>(Failure::msg("fails"))
                    };
                    let task = match cx.domains().next() {
                        None => cx.spawn(loses),
                        Some(domain) => cx.call_on(domain, loses)?,
                    };
                    let failure = task.await.expect_err("fails");
                    assert_eq!(failure.suppressed().len(), 40);
                    assert_eq!(open_descriptors(), during, "before the run ends");
                    Err::<(), _>(failure)
                })
            });
            let failure = failure.expect_err("as planned");
            assert_eq!(failure.suppressed().len(), 40, "{failure:?}");
            assert_eq!(open_descriptors(), Some(before), "after the run");
        }
    });
}

#[test]
fn rule_12_no_descriptor_of_a_leaked_socket_stays_open() {
    alone(
        "rule_12_no_descriptor_of_a_leaked_socket_stays_open",
        || {
            let Some(before) = open_descriptors() else {
                return;
            };
            for domains in 0..3 {
                let failure = failure_of(domains, async |cx| {
                    let leaks = async |cx: &Cx| {
                        let (_stream, _client) = pair(cx).await?;
                        let _listener = cx.listen("127.0.0.1:0")?;
                        Ok(())
                    };
                    match cx.domains().last() {
                        None => cx.spawn(leaks).await,
                        Some(domain) => cx.call_on(domain, leaks)?.await,
                    }
                });
                assert_eq!(leak(&failure).2.len(), 2);
                assert_eq!(open_descriptors(), Some(before));
            }
        },
    );
}

#[test]
fn a_leak_is_cloned_and_shown_like_any_violation() {
    let failure = failure_of(0, async |cx| Ok(drop(cx.own("leaked", 7, |_| Ok(())))));
    let ch08_mutexes_and_conditions::Reason::Violation(violation) = failure.reason() else {
        panic!("{failure:?}")
    };
    let again: Violation = violation.clone();
    assert_eq!(again.to_string(), failure.to_string());
    let value: u8 = value_of(0, async |cx| Ok(cx.own("fine", 7, |_| Ok(())).disown()));
    assert_eq!(value, 7);
}
