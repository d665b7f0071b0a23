//! What a run takes from the system, and gives back: threads, descriptors, and the time of the processor. This program
//! counts those of the whole process, so its tests take turns.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Domain, Events, Failure, Interrupt, Result, Runtime, Signals, SuspensionId, System,
    TcpListener, TcpStream, yield_now,
};
use common::bounded;
use std::collections::BTreeMap;
use std::fs;
use std::future::pending;
use std::io;
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
        let mut taken = Vec::new();
        while let Ok(file) = fs::File::open("/dev/null") {
            taken.push(file);
            assert!(taken.len() <= limit);
        }
        // For a few domains, but not for all.
        taken.truncate(taken.len() - 10);
        let before = descriptors();
        let failure = with(20).run(async |_| Ok(())).expect_err("too many");
        let text = failure.to_string();
        assert!(text.contains(" gets no events: "), "{text}");
        assert_eq!((descriptors(), left()), (before, 0));
    });
}

/// How much the busiest domain, and this thread, have used in a while.
async fn used_in_a_while(cx: &ch08_mutexes_and_conditions::Cx) -> Result<(Duration, Duration)> {
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

#[test]
fn rule_11_sleepers_cost_nothing_while_they_sleep() {
    let _turn = take_turns();
    let used = bounded(|| {
        with(3).run(async |cx| {
            let mut sleeping = Vec::new();
            for domain in cx.domains() {
                // Many, and some of them for longer than there are clocks for.
                sleeping.push(cx.call_on(domain, async |cx| {
                    let mut tasks = Vec::new();
                    for hours in 1..100 {
                        let long = Duration::from_secs(3600 * hours);
                        tasks.push(cx.spawn(async move |_| {
                            ch08_mutexes_and_conditions::sleep(long).await;
                            Ok(())
                        }));
                    }
                    ch08_mutexes_and_conditions::sleep(Duration::MAX).await;
                    for task in tasks {
                        task.await?;
                    }
                    Ok(())
                })?);
            }
            let own = cx.spawn(async |_| {
                ch08_mutexes_and_conditions::sleep(Duration::from_secs(3600)).await;
                Ok(())
            });
            yield_now().await;
            let used = used_in_a_while(cx).await?;
            for task in sleeping {
                task.cancel().await?;
            }
            own.cancel().await?;
            Ok(used)
        })
    });
    let (domains, dom0) = used.expect("ends well");
    assert!(domains < Duration::from_millis(5), "{domains:?}");
    assert!(dom0 < Duration::from_millis(30), "{dom0:?}");
}

/// Sockets and time, until its end.
struct Mortal(System, Option<bool>);

impl Events for Mortal {
    fn select(
        &mut self,
        block: bool,
        cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        match self.1 {
            None => self.0.select(block, cancelled, signals),
            Some(false) => Err(io::Error::other("no more events")),
            Some(true) => panic!("select panics"),
        }
    }

    fn interrupt(&self) -> io::Result<Interrupt> {
        self.0.interrupt()
    }

    fn system(&self) -> Option<&System> {
        Some(&self.0)
    }
}

#[test]
fn rule_13_whatever_becomes_of_the_events_threads_and_descriptors_are_gone() {
    let _turn = take_turns();
    // They cannot be made on this domain.
    let no_events = || {
        for bad in 0..3 {
            for panics in [false, true] {
                let events = move |domain: Domain| match domain.number() == bad {
                    true if panics => panic!("no events"),
                    true => Err(io::Error::other("no events")),
                    false => Ok(Mortal(System::new()?, None)),
                };
                let runtime = Runtime::builder().domains(2).events(events).build();
                runtime.run(async |_| Ok(())).expect_err("no events");
            }
        }
    };
    // They fail on this domain, while there are sockets, sleepers, and finalisers that wait, everywhere.
    let no_more = || {
        for bad in 0..3 {
            for panics in [false, true] {
                let events = |_| Ok(Mortal(System::new()?, None));
                let runtime = Runtime::builder().domains(2).events(events).build();
                let run = runtime.run(async move |cx| {
                    async fn work(cx: &Cx, gate: Gate, dies: Option<bool>) -> Result<()> {
                        let mut listener = TcpListener::bind("127.0.0.1:0")?;
                        let stream = TcpStream::connect(listener.local_addr()?).await?;
                        let (far, _) = listener.accept().await?;
                        let hour = Duration::from_secs(3600);
                        let _far = far.owned(cx);
                        let _near = cx.own_async("near", stream, hour, async |_| Ok(()));
                        let _accepts = cx.spawn(async move |_| Ok(drop(listener.accept().await?)));
                        let _sleeps = cx.spawn(async move |_| {
                            Ok(ch08_mutexes_and_conditions::sleep(hour).await)
                        });
                        yield_now().await;
                        gate.open();
                        if dies.is_some() {
                            // One has begun, and will never end; nobody waits for it on a domain that dies.
                            let closing = cx.spawn(async move |cx| {
                                let _owned =
                                    cx.own_async("closing", (), hour, async |()| pending().await);
                                pending::<Result<()>>().await
                            });
                            yield_now().await;
                            drop(closing.cancel());
                            yield_now().await;
                            cx.with_events(|events: &mut Mortal| events.1 = dies);
                        }
                        pending().await
                    }
                    let mut gates = Vec::new();
                    let mut tasks = Vec::new();
                    for domain in cx.domains() {
                        let dies = (domain.number() == bad).then_some(panics);
                        let gate = Gate::default();
                        gates.push(gate.clone());
                        tasks.push(cx.call_on(domain, async move |cx| work(cx, gate, dies).await)?);
                    }
                    for gate in gates {
                        gate.passed().await;
                    }
                    let dies = (bad == 0).then_some(panics);
                    work(cx, Gate::default(), dies).await
                });
                let failure = run.expect_err("a domain has died");
                let text = failure.to_string();
                assert!(text.starts_with(&format!("dom{bad} has died: ")), "{text}");
            }
        }
    };
    bounded(no_events);
    let before = descriptors();
    bounded(no_events);
    assert_eq!((descriptors(), left()), (before, 0));
    bounded(no_more);
    let before = descriptors();
    bounded(no_more);
    assert_eq!((descriptors(), left()), (before, 0));
}
