//! The tree shows all tasks as they are, on whatever domain.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Domain, Events, Failure, Interrupt, NodeKind, Result, Runtime, Signals, SuspensionId,
    TaskState, Tree, TreeNode, await_all, race, sleep, timeout, yield_now,
};
use common::bounded;
use std::future::{Future, pending};
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use times::{HOUR, assert_soon, ms};
use world::{Gate, assert_stalled, failure_of, other, test, with};

/// The drawing, without places in files and without what is owned.
fn outline(tree: &Tree) -> String {
    let strip = |line: &str| {
        let mut words = Vec::new();
        let mut skip = false;
        for word in line.split(' ') {
            if word == "at" {
                skip = true;
            } else if skip {
                skip = false;
                // What stands between two commas.
                if word.ends_with(',') {
                    words.push("…,".to_owned());
                } else if word.ends_with(':') {
                    words.push("…:".to_owned());
                } else {
                    words.push("…".to_owned());
                }
            } else {
                words.push(word.to_owned());
            }
        }
        words.join(" ")
    };
    let lines = tree.to_string();
    lines.lines().map(strip).collect::<Vec<_>>().join("\n")
}

fn line_of(node: &TreeNode) -> u32 {
    node.task.spawned_at.line()
}

/// Lets all others have so many turns.
async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// The tree, when it has become as it should be: what other domains do takes its time.
async fn tree_when(cx: &Cx, is_so: impl Fn(&Tree) -> bool) -> Tree {
    let start = Instant::now();
    loop {
        let tree = cx.tree().await;
        if is_so(&tree) {
            return tree;
        }
        assert!(
            start.elapsed() < ms(15_000),
            "this it has become:\n{tree:#}"
        );
        sleep(ms(1)).await;
    }
}

fn shows(tree: &Tree, text: &str) -> bool {
    outline(tree).contains(text)
}

#[test]
fn the_main_task_sees_itself_run() {
    test(0, async |cx| {
        let tree = cx.tree().await;
        assert_eq!(outline(&tree), "main on dom0, spawned …, is running");
        let [main] = tree.nodes() else {
            panic!("{tree}")
        };
        assert_eq!((main.depth, main.domain, main.age), (0, Domain::ZERO, None));
        assert_eq!(main.task.id, cx.id());
        assert!(!main.cancelled && main.owns.is_empty());
        assert!(tree.silent().is_empty());
        Ok(())
    });
}

#[test]
fn each_state_is_shown() {
    test(0, async |cx| {
        let gate = Gate::default();
        let closes = gate.clone();
        let asleep = cx.spawn(async |_| Ok(sleep(HOUR).await));
        let unknown = cx.spawn(async |_| pending::<Result<()>>().await);
        let well = cx.spawn(async |_| Ok(1));
        let badly = cx.spawn(async |_| Err::<(), _>(Failure::msg("no")));
        let ending = cx.spawn(async |cx| -> Result<()> {
            let slow = cx.own_async("slow", (), HOUR, async move |()| Ok(closes.passed().await));
            let given = cx.give(slow);
            let _child = given.spawn(async |_, _slow| pending::<Result<()>>().await);
            turns(2).await;
            Err(Failure::msg("early"))
        });
        turns(5).await;
        let ready = cx.spawn(async |_| Ok(2));
        let tree = cx.tree().await;
        assert_eq!(
            outline(&tree),
            "main on dom0, spawned …, is running\n\
             ├─ task 1 on dom0, spawned …, waits for a time\n\
             ├─ task 2 on dom0, spawned …, waits for something the runtime does not know\n\
             ├─ task 3 on dom0, spawned …, has succeeded\n\
             ├─ task 4 on dom0, spawned …, has failed\n\
             ├─ task 5 on dom0, spawned …, waits for its children to end\n\
             │  └─ task 6 on dom0, spawned …, cancelled, waits for its children to end\n\
             │     └─ finaliser of what was owned …, waits for a time\n\
             └─ task 7 on dom0, spawned …, is ready to run"
        );
        let kinds = tree.nodes().iter().map(|node| node.kind);
        assert_eq!(kinds.filter(|&kind| kind == NodeKind::Finaliser).count(), 1);
        gate.open();
        assert_eq!((well.await?, ready.await?), (1, 2));
        assert!(badly.await.is_err() && ending.await.is_err());
        asleep.cancel().await?;
        unknown.cancel().await
    });
}

#[test]
fn what_a_task_waits_for_is_shown_with_its_name() {
    test(0, async |cx| {
        let child = cx.spawn(async move |cx| {
            turns(1).await;
            Ok(outline(&cx.tree().await))
        });
        let waits = cx.suspend("a bus");
        let other = cx.spawn(async move |_| Ok(waits.await));
        assert_eq!(
            child.await?,
            "main on dom0, spawned …, waits for the end of task 1\n\
             ├─ task 1 on dom0, spawned …, is running\n\
             └─ task 2 on dom0, spawned …, waits for a bus"
        );
        other.cancel().await
    });
}

#[test]
fn scopes_are_shown_and_groups_are_not() {
    test(0, async |cx| {
        let tree = cx
            .scope(async |cx| {
                let mut orphans = cx.orphans();
                orphans.spawn(async |_| pending::<Result<()>>().await);
                let named = cx.spawn(async |_| pending::<Result<()>>().await);
                orphans.spawn(async |cx| {
                    let mut orphans = cx.orphans();
                    orphans.spawn(async |_| pending::<Result<()>>().await);
                    Ok(while orphans.next().await.is_some() {})
                });
                turns(3).await;
                let tree = cx.tree().await;
                named.cancel().await?;
                for _ in 0..2 {
                    let orphan = orphans.take().expect("two were spawned");
                    orphan.cancel().await?;
                }
                Ok(tree)
            })
            .await?;
        assert_eq!(
            outline(&tree),
            "main on dom0, spawned …, is running\n\
             └─ scope, opened …\n   \
             ├─ task 1 on dom0, spawned …, waits for something the runtime does not know\n   \
             ├─ task 3 on dom0, spawned …, waits for an orphan\n   \
             │  └─ task 4 on dom0, spawned …, waits for something the runtime does not know\n   \
             └─ task 2 on dom0, spawned …, waits for something the runtime does not know"
        );
        let scope = &tree.nodes()[1];
        assert_eq!((scope.kind, scope.task.id), (NodeKind::Scope, cx.id()));
        assert_eq!(scope.task.state, TaskState::Running);
        Ok(())
    });
}

#[test]
fn lines_and_what_is_owned_are_shown() {
    test(0, async |cx| {
        let owned_at = line!() + 1;
        let name = cx.own("a name", String::from("Ada"), |_| Ok(()));
        let spawned_at = line!() + 1;
        let child = cx.spawn(async |cx| {
            let number = cx.own("a number", 7, |_| Ok(()));
            turns(3).await;
            number.release().await
        });
        turns(2).await;
        let tree = cx.tree().await;
        let [main, task] = tree.nodes() else {
            panic!("{tree}")
        };
        assert_eq!(line_of(task), spawned_at);
        assert_eq!(main.owns.len(), 1);
        assert_eq!(main.owns[0].owned_at.line(), owned_at);
        assert_eq!(task.owns[0].name, "a number");
        assert_eq!(
            outline(&tree),
            "main on dom0, spawned …, is running\n\
             │  owns a name, owned …\n\
             └─ task 1 on dom0, spawned …, waits for its next turn\n      \
             owns a number, owned …"
                .replace("waits for its next turn", "is ready to run")
        );
        child.await?;
        name.release().await
    });
}

#[test]
fn ages_are_known_if_they_were_asked_for() {
    bounded(|| {
        let runtime = Runtime::builder().domains(1).ages(true).build();
        runtime.run(async |cx| {
            let child = cx.call(async |cx| {
                let younger = cx.spawn(async |_| pending::<Result<()>>().await);
                sleep(ms(30)).await;
                let tree = cx.tree().await;
                younger.cancel().await?;
                Ok(tree)
            })?;
            let tree = child.await?;
            let ages: Vec<Duration> = tree.nodes().iter().filter_map(|node| node.age).collect();
            assert_eq!(ages.len(), 3, "{tree}");
            assert!(ages.iter().all(|&age| age >= ms(30)), "{tree}");
            assert!(ages[0] >= ages[1] && ages[1] >= ages[2], "{tree}");
            assert!(tree.to_string().contains("ms old, "), "{tree}");
            // The place is used again: its age begins anew.
            let next = cx.spawn(async |cx| Ok(cx.tree().await)).await?;
            let ages: Vec<Duration> = next.nodes().iter().filter_map(|node| node.age).collect();
            assert!(ages[0] >= ages[1] + ms(30), "{next}");
            Ok(())
        })
    })
    .expect("ends well");
}

#[test]
fn the_tree_is_one_across_domains() {
    test(3, async |cx| {
        let (low, high) = (other(cx, 0), other(cx, 1));
        let task = cx.call_on(high, async move |cx| {
            let here = cx.spawn(async |_| pending::<Result<()>>().await);
            let there = cx.call_on(low, async |cx| {
                let _text = cx.own("a text", String::new(), |_| Ok(()));
                cx.scope(async |cx| cx.spawn(async |_| pending::<Result<()>>().await).await)
                    .await
            })?;
            there.await?;
            here.await
        })?;
        let is_there = |tree: &Tree| tree.nodes().len() == 6 && !shows(tree, "ready");
        let drawing = "main on dom0, spawned …, is running\n\
             └─ task T on dom2, spawned …, waits for the end of task T\n   \
             ├─ task T on dom2, spawned …, waits for something the runtime does not know\n   \
             └─ task T on dom1, spawned …, waits for the end of task T\n      \
             │  owns a text, owned …, without a proof\n      \
             └─ scope, opened …\n         \
             └─ task T on dom1, spawned …, waits for something the runtime does not know"
            .replace(", without a proof", "");
        let tree = tree_when(cx, is_there).await;
        assert_eq!(unnumbered(&outline(&tree)), drawing);
        // From any other domain it is the same.
        for domain in cx.domains() {
            let looks = cx.call_on(domain, async |cx| Ok(cx.tree().await))?;
            let tree = looks.await?;
            let text = unnumbered(&outline(&tree));
            assert!(
                text.contains(
                    &drawing[drawing.find('\n').unwrap()..]
                        .replace("└─ task T on dom2", "├─ task T on dom2")
                        .replace("\n   ", "\n│  ")
                ),
                "{text}"
            );
            assert!(
                text.contains(&format!("\n└─ task T on {domain}, spawned …, is running")),
                "{text}"
            );
        }
        task.cancel().await
    });
}

/// With `T` for the numbers of the tasks.
fn unnumbered(outline: &str) -> String {
    let words = outline.split_inclusive([' ', '\n']);
    let mut after_task = false;
    words
        .map(|word| {
            let number = std::mem::replace(&mut after_task, word == "task ");
            match number {
                true => word
                    .replace(|c: char| c.is_ascii_digit(), "")
                    .replacen("", "T", 1),
                false => word.to_owned(),
            }
        })
        .collect()
}

#[test]
fn a_call_that_has_not_arrived_is_shown() {
    test(1, async |cx| {
        let (begun, go_on) = (Gate::default(), Gate::default());
        let (begins, blocked) = (begun.clone(), go_on.clone());
        let busy = cx.call(async move |_| {
            begins.open();
            Ok(blocked.block())
        })?;
        begun.passed().await;
        let late = cx.call(async |_| Ok(()))?;
        let start = Instant::now();
        let tree = cx.tree().await;
        assert!(start.elapsed() >= Tree::PATIENCE);
        assert_eq!(tree.silent(), [other(cx, 0)]);
        assert_eq!(
            outline(&tree),
            "main on dom0, spawned …, is running\n\
             ├─ task 1 on dom1, spawned …, runs on dom1\n\
             └─ task 2 on dom1, spawned …, runs on dom1\n\
             dom1 has not answered for 1s: its thread is busy"
        );
        go_on.open();
        busy.await?;
        late.await?;
        assert!(cx.tree().await.silent().is_empty());
        Ok(())
    });
}

#[test]
fn when_dom0_is_busy_its_calls_are_shown_all_the_same() {
    test(2, async |cx| {
        let done = Gate::default();
        let (opens, (sender, receiver)) = (done.clone(), mpsc::channel());
        let begun = Gate::default();
        let begins = begun.clone();
        let calls = cx.call_on(other(cx, 1), async move |_| {
            begins.open();
            pending::<Result<()>>().await
        })?;
        begun.block();
        let looks = cx.call_on(other(cx, 0), async move |cx| {
            let tree = cx.tree().await;
            let _ = sender.send(tree.clone());
            Ok(opens.open())
        })?;
        // The thread of dom0 blocks meanwhile.
        let tree = receiver.recv()?;
        done.block();
        assert_eq!(tree.silent(), [Domain::ZERO]);
        let text = outline(&tree);
        assert!(
            text.starts_with("task 2 on dom1, spawned …, is running\n"),
            "{text}"
        );
        assert!(text.contains("\ntask 1 on dom2, "), "{text}");
        assert!(
            text.ends_with("dom0 has not answered for 1s: its thread is busy"),
            "{text}"
        );
        looks.await?;
        calls.cancel().await
    });
}

#[test]
fn several_look_at_once_and_some_look_away() {
    test(3, async |cx| {
        let mut looking = Vec::new();
        for _ in 0..10 {
            for domain in cx.domains() {
                looking.push(cx.call_on(domain, async |cx| look_often(cx).await)?);
            }
            looking.push(cx.spawn(async |cx| look_often(cx).await));
        }
        let given_up = cx.spawn(async |cx| Ok(drop(cx.tree().await)));
        turns(1).await;
        given_up.cancel().await?;
        for looked in await_all(&mut looking).await {
            looked?;
        }
        Ok(())
    });
}

async fn look_often(cx: &Cx) -> Result<()> {
    for _ in 0..20 {
        // Polled once, and dropped if it waits then.
        drop(race(cx.tree(), turns(1)).await);
        let tree = cx.tree().await;
        assert_sound(&tree);
        let own = |node: &TreeNode| node.task.id == cx.id();
        let own = tree.nodes().iter().find(|&node| own(node));
        let state = own.expect("it is there itself").task.state;
        assert_eq!(state, TaskState::Running);
    }
    Ok(())
}

#[test]
fn one_that_is_never_polled_asks_nobody() {
    test(1, async |cx| Ok(drop(cx.tree())));
}

#[test]
fn tasks_end_and_begin_while_others_look() {
    for seed in 0..20 {
        bounded(move || {
            world::seeded(3, seed).run(async |cx| {
                let busy = cx.spawn(async |cx| {
                    for round in 0..30 {
                        let squares = cx.parallel(0..20, async |cx, n: u32| {
                            let child = cx.spawn(async move |_| Ok(turns(n as usize % 3).await));
                            child.await?;
                            Ok(n)
                        });
                        let count = squares.await?.len();
                        assert_eq!(count, 20, "in round {round}");
                    }
                    Ok(())
                });
                while !busy.is_over() {
                    let tree = cx.tree().await;
                    assert_sound(&tree);
                    let _ = format!("{tree}{tree:#}");
                }
                busy.await
            })
        })
        .expect("ends well");
    }
}

/// Each is at most one level below the one before, and no task stands there twice.
fn assert_sound(tree: &Tree) {
    let mut numbers = std::collections::HashSet::new();
    let mut deepest = 0;
    for node in tree.nodes() {
        assert!(node.depth <= deepest, "{tree:#}");
        deepest = node.depth + 1;
        if node.kind == NodeKind::Task {
            assert!(numbers.insert(node.task.id), "{tree:#}");
        }
    }
}

#[test]
fn a_run_that_stalls_after_a_look_is_found_out() {
    for domains in [0, 1, 3] {
        let failure = failure_of(domains, async |cx| {
            for domain in cx.domains() {
                cx.call_on(domain, async |cx| Ok(drop(cx.tree().await)))?
                    .await?;
            }
            drop(cx.tree().await);
            pending().await
        });
        assert_stalled(&failure);
    }
}

#[test]
fn a_run_that_fails_while_one_looks_ends() {
    let start = Instant::now();
    let failure = failure_of(2, async |cx| {
        let gate = Gate::default();
        let begun = gate.clone();
        let looks = cx.call(async move |cx| -> Result<()> {
            begun.open();
            loop {
                drop(cx.tree().await);
            }
        })?;
        gate.passed().await;
        drop(looks);
        Ok(())
    });
    world::assert_still_has_children(&failure);
    assert_soon(start);
}

/// Sleeps and is woken, and knows nothing else; on dom1, it fails when it is told to.
struct Bare(Arc<(Mutex<bool>, Condvar)>, Option<Arc<Mutex<bool>>>);

impl Bare {
    fn new(fails: Option<Arc<Mutex<bool>>>) -> Bare {
        Bare(Arc::default(), fails)
    }
}

impl Events for Bare {
    fn select(
        &mut self,
        block: bool,
        _cancelled: &[SuspensionId],
        _signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        if self.1.as_ref().is_some_and(|fails| *times::lock(fails)) {
            return Err(io::Error::other("worn out"));
        }
        let (interrupted, changed) = &*self.0;
        let mut interrupted = times::lock(interrupted);
        while block && !*interrupted {
            interrupted = changed
                .wait(interrupted)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *interrupted = false;
        Ok(())
    }

    fn interrupt(&self) -> io::Result<Interrupt> {
        let shared = self.0.clone();
        Ok(Arc::new(move || {
            *times::lock(&shared.0) = true;
            shared.1.notify_all();
        }))
    }
}

#[test]
fn without_a_clock_a_busy_domain_is_waited_for() {
    bounded(|| {
        let runtime = Runtime::builder()
            .domains(1)
            .events(|_| Ok(Bare::new(None)));
        runtime.build().run(async |cx| {
            let (begun, blocked) = (Gate::default(), Duration::from_millis(1300));
            let begins = begun.clone();
            let busy = cx.call(async move |_| {
                begins.open();
                Ok(thread::sleep(blocked))
            })?;
            begun.passed().await;
            let start = Instant::now();
            let tree = cx.tree().await;
            assert!(start.elapsed() >= Tree::PATIENCE);
            assert!(tree.silent().is_empty(), "{tree}");
            busy.await
        })
    })
    .expect("ends well");
}

#[test]
fn a_domain_that_has_died_is_left_out() {
    for _ in 0..30 {
        let fails = Arc::new(Mutex::new(false));
        let failure = bounded(move || {
            let told = fails.clone();
            let runtime = Runtime::builder()
                .domains(2)
                .events(move |domain| Ok(Bare::new((domain.number() == 1).then(|| fails.clone()))));
            runtime.build().run(async move |cx| {
                let doomed = cx.call_on(other(cx, 0), async |_| pending::<Result<()>>().await)?;
                // It sees the end coming, and may see the tree until it is cancelled itself.
                *times::lock(&told) = true;
                let start = Instant::now();
                while start.elapsed() < times::SOON {
                    let tree = cx.tree().await;
                    assert_sound(&tree);
                    yield_now().await;
                }
                doomed.await
            })
        });
        let failure = failure.expect_err("a domain has died");
        assert!(
            failure.to_string().starts_with("dom1 has died"),
            "{failure}"
        );
    }
}

/// A chain of `count` tasks, each the child of the one before; the last one looks.
fn chain(cx: &Cx, count: usize) -> ch08_mutexes_and_conditions::Task<'_, Tree> {
    cx.spawn(async move |cx| match count {
        1 => Ok(cx.tree().await),
        _ => chain(cx, count - 1).await,
    })
}

#[test]
fn a_long_chain_is_built_printed_and_dropped() {
    const LENGTH: usize = 100_000;
    // Its stack would be too small for any depth.
    let thread = thread::Builder::new().stack_size(256 * 1024);
    let thread = thread.spawn(|| {
        with(0).run(async |cx| {
            let tree = chain(cx, LENGTH).await?;
            assert_eq!(tree.nodes().len(), LENGTH + 1);
            assert_eq!(tree.nodes()[LENGTH].depth, LENGTH);
            let text = tree.to_string();
            assert_eq!(text.lines().count(), 66);
            let last = text.lines().last().expect("just counted");
            let expected =
                "… and 99,936 more below: 99,935 wait for the end of another task, 1 is running";
            assert!(last.ends_with(expected), "{last}");
            let all = format!("{tree:#}");
            assert_eq!(all.lines().count(), LENGTH + 1);
            assert!(all.contains(" (level 100000) task 100000 on dom0, "));
            Ok(())
        })
    });
    let ended = thread.expect("there is a thread").join();
    ended.expect("no panic").expect("ends well");
}

#[test]
fn many_that_are_alike_are_counted() {
    test(0, async |cx| {
        let spawned = line!() + 3;
        let mut clients = Vec::new();
        for _ in 0..10_000 {
            clients.push(cx.spawn(async |_| pending::<Result<()>>().await));
        }
        let listener = cx.spawn(async |_| Ok(sleep(HOUR).await));
        turns(1).await;
        let late = cx.spawn(async |_| pending::<Result<()>>().await);
        let tree = cx.tree().await;
        let text = tree.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 10 + 2 + 1, "{text}");
        assert!(lines[10].starts_with("├─ task 10 on dom0"), "{text}");
        assert!(lines[11].ends_with(", waits for a time"), "{text}");
        assert!(lines[12].ends_with(", is ready to run"), "{text}");
        let rest = lines[13];
        assert!(
            rest.starts_with("└─ … and 9,990 more spawned at "),
            "{rest}"
        );
        assert!(rest.contains(&format!("tree.rs:{spawned}:")), "{rest}");
        let states = ": 9,990 wait for something the runtime does not know";
        assert!(rest.ends_with(states), "{rest}");
        assert_eq!(format!("{tree:#}").lines().count(), 10_003);
        late.cancel().await?;
        listener.cancel().await?;
        Ok(for client in clients {
            client.cancel().await?;
        })
    });
}

#[test]
fn the_states_of_those_that_are_only_counted_are_told() {
    test(0, async |cx| {
        let mut tasks = Vec::new();
        for n in 0..100 {
            tasks.push(cx.spawn(async move |cx| match n {
                0..40 => Ok(()),
                40..60 => Err(Failure::msg("no")),
                60 => Ok(sleep(HOUR).await),
                61..63 => cx.spawn(async |_| pending::<Result<()>>().await).await,
                _ => pending().await,
            }));
        }
        turns(2).await;
        let tree = cx.tree().await;
        let text = tree.to_string();
        let rest = text.lines().last().expect("there are lines");
        let states = ": 37 wait for something the runtime does not know, 30 have succeeded, \
                      20 have failed, 2 wait for the end of another task, 1 waits for a time; \
                      2 below them";
        assert!(rest.ends_with(states), "{text}");
        for task in tasks {
            drop(task.cancel().await);
        }
        Ok(())
    });
}

#[test]
fn eleven_that_are_alike_are_drawn() {
    test(0, async |cx| {
        let mut tasks = Vec::new();
        for count in 1..=12 {
            tasks.push(cx.spawn(async |_| pending::<Result<()>>().await));
            let drawn = cx.tree().await.to_string().lines().count();
            assert_eq!(drawn, 1 + count.min(11));
        }
        Ok(for task in tasks {
            task.cancel().await?;
        })
    });
}

#[test]
fn a_name_of_several_lines_does_not_tear_the_drawing() {
    test(0, async |cx| {
        let owned = cx.own("two\nlines", (), |_| Ok(()));
        let tree = cx.tree().await;
        assert_eq!(tree.to_string().lines().count(), 2, "{tree}");
        owned.release().await
    });
}

#[test]
fn a_cancelled_look_leaves_nothing_behind() {
    test(1, async |cx| {
        let (begun, go_on) = (Gate::default(), Gate::default());
        let (begins, blocked) = (begun.clone(), go_on.clone());
        let busy = cx.call(async move |_| {
            begins.open();
            Ok(blocked.block())
        })?;
        begun.passed().await;
        let waker = Arc::new(Counted);
        let counted = std::task::Waker::from(waker.clone());
        let mut look = Box::pin(cx.tree());
        let mut context = std::task::Context::from_waker(&counted);
        assert!(look.as_mut().poll(&mut context).is_pending());
        drop(look);
        drop(counted);
        assert_eq!(Arc::strong_count(&waker), 1, "nobody is to be woken");
        go_on.open();
        busy.await
    });
}

struct Counted;

impl std::task::Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn looking_again_and_again_gives_way() {
    test(0, async |cx| {
        let looks = cx.spawn(async |cx| -> Result<()> {
            loop {
                drop(cx.tree().await);
            }
        });
        let limit = timeout(times::SOON, turns(3)).await;
        limit.expect("others have their turns");
        looks.cancel().await
    });
}

#[test]
fn of_a_wait_with_a_limit_what_it_is_for_is_shown() {
    test(0, async |cx| {
        let waits = cx.suspend("a bus");
        let child = cx.spawn(async move |_| Ok(timeout(HOUR, waits).await?));
        turns(1).await;
        let tree = cx.tree().await;
        assert!(
            shows(&tree, "task 1 on dom0, spawned …, waits for a bus"),
            "{tree}"
        );
        child.cancel().await
    });
}
