//! What a run takes from the system, and gives back: threads, descriptors, and the time of the processor. This program
//! counts those of the whole process, so its tests take turns.
#![cfg(target_os = "linux")]

mod common;
mod world;

use ch06_ownership::{Failure, Result, Runtime, TcpListener, yield_now};
use common::bounded;
use std::collections::BTreeMap;
use std::fs;
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use world::{Gate, seeded, with};

static TURN: Mutex<()> = Mutex::new(());

fn take_turns() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The domains' threads that there are, by name, and how long each has used a processor.
fn domains() -> BTreeMap<String, Duration> {
    let mut domains = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task")
        .expect("Linux has it")
        .flatten()
    {
        // A thread may end while it is looked at.
        let Ok(name) = fs::read_to_string(task.path().join("comm")) else {
            continue;
        };
        let Ok(used) = fs::read_to_string(task.path().join("schedstat")) else {
            continue;
        };
        let used = used
            .split(' ')
            .next()
            .and_then(|nanoseconds| nanoseconds.parse().ok());
        if name.starts_with("dom") {
            let used = Duration::from_nanos(used.expect("a number"));
            domains.insert(name.trim().to_owned(), used);
        }
    }
    domains
}

/// How many of these threads are left. One that was joined may be listed for a moment.
fn left() -> usize {
    let patience = Instant::now() + Duration::from_secs(20);
    while !domains().is_empty() && Instant::now() < patience {
        thread::yield_now();
    }
    domains().len()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux has it").count()
}

#[test]
fn as_many_threads_as_domains_and_none_afterwards() {
    let _turn = take_turns();
    for count in [0, 1, 3, 8] {
        let names = bounded(move || with(count).run(async |_| Ok(domains())));
        // A thread gives itself its name, perhaps not yet.
        assert!(names.expect("ends well").len() <= count);
        let names = bounded(move || {
            with(count).run(async |cx| {
                for domain in cx.domains() {
                    cx.call_on(domain, async |_| Ok(()))?.await?;
                }
                Ok(domains())
            })
        });
        let names: Vec<String> = names.expect("ends well").into_keys().collect();
        let wanted: Vec<String> = (1..=count).map(|number| format!("dom{number}")).collect();
        assert_eq!(names, wanted);
        assert_eq!(left(), 0, "all are joined");
    }
}

#[test]
fn however_a_run_ends_its_threads_and_descriptors_are_gone() {
    let _turn = take_turns();
    let work = || {
        for seed in 0..20 {
            for way in 0..4 {
                let run = seeded(3, seed).run(async move |cx| {
                    let gate = Gate::default();
                    let opened = gate.clone();
                    let task = cx.call(async move |cx| {
                        let mut listener = TcpListener::bind("127.0.0.1:0")?;
                        let deeper = cx.call(async move |_| -> Result<()> {
                            let _listener = TcpListener::bind("127.0.0.1:0")?;
                            opened.open();
                            pending().await
                        })?;
                        listener.accept().await?;
                        deeper.await
                    })?;
                    gate.passed().await;
                    match way {
                        0 => task.cancel().await,
                        1 => Err(Failure::msg("main fails")),
                        2 => panic!("main panics"),
                        // Forgotten.
                        _ => Ok(()),
                    }
                });
                assert_eq!(run.is_ok(), way == 0);
            }
        }
    };
    bounded(work);
    let before = descriptors();
    bounded(work);
    assert_eq!((descriptors(), left()), (before, 0));
}

#[test]
fn a_run_that_gets_no_descriptors_says_so_and_keeps_none() {
    let _turn = take_turns();
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux has it");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let limit = files.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    // Some systems have so many that the test would take long.
    let Some(limit) = limit.filter(|&limit| limit <= 100_000) else {
        return;
    };
    bounded(move || {
        let before = descriptors();
        let failure = with(limit)
            .run(async |_| Ok(()))
            .expect_err("too many domains");
        let text = failure.to_string();
        assert!(
            text.starts_with("the system gives no event queue: "),
            "{text}"
        );
        assert_eq!((descriptors(), left()), (before, 0));
    });
}

/// How much the busiest domain, and this thread, have used in a while.
async fn used_in_a_while(cx: &ch06_ownership::Cx) -> Result<(Duration, Duration)> {
    let own = || {
        let used = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
        let used = used
            .split(' ')
            .next()
            .and_then(|nanoseconds| nanoseconds.parse().ok());
        Duration::from_nanos(used.expect("a number"))
    };
    for domain in cx.domains() {
        cx.call_on(domain, async |_| Ok(()))?.await?;
    }
    let (before, own_before) = (domains(), own());
    let gate = Gate::default();
    let opened = gate.clone();
    let clock = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        opened.open();
    });
    gate.passed().await;
    clock.join().expect("no panic");
    let own_used = own() - own_before;
    let used = domains()
        .into_iter()
        .map(|(name, used)| used - before[&name]);
    Ok((used.max().expect("there are domains"), own_used))
}

#[test]
fn rule_11_a_domain_with_nothing_to_do_sleeps_and_dom0_too() {
    let _turn = take_turns();
    let used = bounded(|| {
        with(3).run(async |cx| {
            let idle = used_in_a_while(cx).await?;
            // Now each has something to wait for: a socket, a child, another domain, nothing at all.
            let mut waiting = Vec::new();
            for domain in cx.domains() {
                waiting.push(cx.call_on(domain, async |cx| {
                    let mut listener = TcpListener::bind("127.0.0.1:0")?;
                    let child = cx.call(async |_| pending::<Result<()>>().await)?;
                    let accepts = cx.spawn(async move |_| {
                        let _: () = drop(listener.accept().await?);
                        Ok(())
                    });
                    child.await?;
                    accepts.await
                })?);
            }
            for _ in 0..10 {
                yield_now().await;
            }
            let waits = used_in_a_while(cx).await?;
            for task in waiting {
                task.cancel().await?;
            }
            Ok([idle, waits])
        })
    });
    for (domains, dom0) in used.expect("ends well") {
        // Of 300 ms, for taking note that nothing happens.
        assert!(domains < Duration::from_millis(5), "{domains:?}");
        assert!(dom0 < Duration::from_millis(30), "{dom0:?}");
    }
}

#[test]
fn rule_11_dom0_sleeps_while_it_waits_for_a_domain_that_works() {
    let _turn = take_turns();
    let used = bounded(|| {
        Runtime::builder().domains(1).build().run(async |cx| {
            let own = || fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
            let number = |text: String| text.split(' ').next().and_then(|n| n.parse::<u64>().ok());
            let before = number(own());
            cx.call(async |_| {
                thread::sleep(Duration::from_millis(300));
                Ok(())
            })?
            .await?;
            Ok(number(own())
                .zip(before)
                .map(|(after, before)| after - before))
        })
    });
    let used = Duration::from_nanos(used.expect("ends well").expect("a number"));
    assert!(used < Duration::from_millis(5), "{used:?}");
}
