//! Ends that are hard on the runtime: limits of what never waits, proofs that are lost half-way, destructors on a domain
//! that dies.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;

use ch08_mutexes_and_conditions::{
    Cx, Either, Events, Failure, Interrupt, Result, Runtime, Signals, SuspensionId, System,
    TcpListener, TcpStream, race, sleep, timeout, yield_now,
};
use common::{PanicsOnDrop, bounded};
use std::future::pending;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use times::{Log, ms, poll_pinned};

fn alone<T: Send + 'static>(f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static) -> Result<T> {
    bounded(|| Runtime::builder().domains(0).build().run(f))
}

/// Always ready, and uses up the budget of each turn.
async fn busy() {
    loop {
        sleep(Duration::ZERO).await;
    }
}

// ---- limits of what never waits ----

#[test]
fn a_timeout_ends_what_is_always_ready() {
    let run = alone(async |_| {
        assert!(timeout(ms(20), busy()).await.is_err());
        assert!(timeout(Duration::ZERO, busy()).await.is_err());
        Ok(())
    });
    run.expect("ends well");
}

#[test]
fn rule_12_a_finaliser_that_is_always_ready_ends_at_its_limit() {
    let run = alone(async |cx| {
        let door = cx.own_async("the door", (), ms(20), async |()| Ok(busy().await));
        let failure = door.release().await.expect_err("it never closes");
        assert_eq!(failure.to_string(), "it took longer than 20ms");
        Ok(())
    });
    run.expect("ends well");
}

#[test]
fn a_timeout_ends_reading_from_a_client_that_floods() {
    let run = alone(async |_| {
        let mut listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        let client = thread::spawn(move || -> io::Result<()> {
            let mut client = std::net::TcpStream::connect(address)?;
            while !ends.load(Ordering::Relaxed) {
                client.write_all(&[0; 1 << 16])?;
            }
            Ok(())
        });
        let (mut stream, _) = listener.accept().await?;
        let flooded = timeout(ms(100), async {
            let mut buffer = [0; 64];
            while stream.read(&mut buffer).await? > 0 {}
            io::Result::Ok(())
        });
        assert!(flooded.await.is_err());
        over.store(true, Ordering::Relaxed);
        drop(stream);
        // It may have been reset.
        let _ = client.join();
        Ok(())
    });
    run.expect("ends well");
}

#[test]
fn a_race_has_both_of_its_futures_go_on_if_one_uses_up_each_turn() {
    let run = alone(async |cx| {
        let mut task = cx.spawn(async |_| Ok(7));
        match race(busy(), &mut task).await {
            Either::First(()) => Err(Failure::msg("it is always busy")),
            Either::Second(result) => result,
        }
    });
    assert_eq!(run.expect("ends well"), 7);
}

// ---- lost half-way ----

#[test]
fn rule_12_a_release_that_is_forgotten_half_way_is_lost_by_name() {
    let run = alone(async |cx| -> Result<()> {
        let door = cx.own_async("the door", (), ms(10_000), async |()| pending().await);
        let mut release = Box::pin(door.release());
        assert!(poll_pinned(&mut release).await.is_none());
        std::mem::forget(release);
        Err(Failure::msg("ends badly"))
    });
    let failure = run.expect_err("as planned");
    let told = failure.suppressed()[0].to_string();
    assert!(told.starts_with("the door, owned at "), "{told}");
    assert!(told.contains(" is lost: "), "{told}");
}

#[test]
fn rule_12_a_release_half_way_keeps_its_place_among_the_finalisers() {
    let log = Log::default();
    let noted = log.clone();
    let run = alone(async move |cx| -> Result<()> {
        let (old, new) = (noted.clone(), noted);
        let old = cx.own_async("old", (), ms(10_000), async move |()| {
            yield_now().await;
            Ok(old.note("old"))
        });
        let _new = cx.own("new", (), move |()| Ok(new.note("new")));
        let mut release = Box::pin(old.release());
        assert!(poll_pinned(&mut release).await.is_none());
        assert_eq!(cx.owned().len(), 2);
        drop(release);
        Err(Failure::msg("ends badly"))
    });
    run.expect_err("as planned");
    assert_eq!(log.text(), "new old");
}

#[test]
fn rule_12_a_socket_that_was_swapped_out_of_a_lost_proof_is_closed_and_says_so() {
    let run = alone(async |cx| {
        let mut listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let mut plain = TcpStream::connect(address).await?;
        let scope = cx.scope(async |cx| -> Result<()> {
            let mut proof = cx.connect(address).await?;
            std::mem::swap(&mut *proof, &mut plain);
            std::mem::forget(proof);
            Err(Failure::msg("ends badly"))
        });
        assert!(scope.await.is_err());
        let _ = listener.accept().await?;
        let error = plain.write_all(b"x").await.expect_err("it was closed");
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
        assert!(plain.peer_addr().is_err() && plain.detach().is_err());
        Ok(())
    });
    run.expect("ends well");
}

// ---- a domain that dies ----

/// The system's events on one domain; they fail when they are told to, and may panic when they are dropped.
struct Fragile {
    system: System,
    fails: Option<Arc<AtomicBool>>,
    panics: bool,
}

impl Events for Fragile {
    fn select(
        &mut self,
        block: bool,
        cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        match &self.fails {
            Some(fails) if fails.load(Ordering::Relaxed) => Err(io::Error::other("no more events")),
            _ => self.system.select(block, cancelled, signals),
        }
    }

    fn interrupt(&self) -> io::Result<Interrupt> {
        self.system.interrupt()
    }

    fn system(&self) -> Option<&System> {
        Some(&self.system)
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!self.panics, "the events break");
    }
}

/// Domain `number` has fragile events.
fn fragile(number: usize, fails: &Arc<AtomicBool>, panics: bool) -> Runtime {
    let fails = fails.clone();
    let builder = Runtime::builder().domains(1).events(move |domain| {
        let here = domain.number() == number;
        Ok(Fragile {
            system: System::new()?,
            fails: here.then(|| fails.clone()),
            panics: here && panics,
        })
    });
    builder.build()
}

#[test]
fn events_that_panic_when_they_are_dropped_are_the_runs_failure() {
    for number in [0, 1] {
        let run = bounded(move || fragile(number, &Arc::default(), true).run(async |_| Ok(())));
        let text = run.expect_err("they break").to_string();
        let wanted =
            format!("the events of dom{number} have ended badly: panicked: the events break");
        assert_eq!(text, wanted);
    }
}

#[test]
fn a_result_that_panics_when_it_is_dropped_hides_no_failure() {
    let run = bounded(|| {
        let run = fragile(1, &Arc::default(), true).run(async |_| Ok(PanicsOnDrop("the result")));
        run.map(std::mem::forget)
    });
    let text = run.expect_err("the events break").to_string();
    assert!(text.starts_with("the events of dom1 "), "{text}");
}

#[test]
fn rule_12_the_finalisers_of_a_domain_that_dies_run_too_the_newest_first() {
    let log = Log::default();
    let noted = log.clone();
    let run = bounded(move || {
        let fails = Arc::new(AtomicBool::new(false));
        let runtime = fragile(0, &fails, false);
        runtime.run(async move |cx| {
            let held: Vec<_> = (0..3)
                .map(|n| {
                    let noted = noted.clone();
                    cx.own("a thing", n, move |n| Ok(noted.note(n)))
                })
                .collect();
            fails.store(true, Ordering::Relaxed);
            cx.suspend("no end").await;
            Ok(drop(held))
        })
    });
    run.expect_err("dom0 has died");
    assert_eq!(log.text(), "2 1 0");
}

/// Uses its context when it is dropped.
struct Last<'c>(&'c Cx, usize);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        let Last(cx, way) = *self;
        match way {
            0 => assert_eq!(cx.own("late", 7, |_| Ok(())).disown(), 7),
            1 => drop(cx.own("late", 7, |_| Ok(()))),
            2 => drop(cx.orphans::<()>()),
            _ => drop(cx.spawn(async |_| Ok(()))),
        }
    }
}

#[test]
fn a_destructor_may_use_its_context_on_a_domain_that_dies() {
    for number in [0, 1] {
        for way in 0..4 {
            let run = bounded(move || {
                let fails = Arc::new(AtomicBool::new(false));
                let runtime = fragile(number, &fails, false);
                runtime.run(async move |cx| {
                    let task = async move |cx: &Cx| -> Result<()> {
                        let (_one, _two) = (Last(cx, way), Last(cx, way));
                        fails.store(true, Ordering::Relaxed);
                        Ok(cx.suspend("no end").await)
                    };
                    match number {
                        0 => cx.spawn(task).await,
                        _ => cx.call(task)?.await,
                    }
                })
            });
            let text = run.expect_err("a domain has died").to_string();
            assert_eq!(text, format!("dom{number} has died: no more events"));
        }
    }
}
