//! Sleepers: never too early, in the order of their times, and at no cost while nobody sleeps.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Either, Events, Interrupt, Result, Runtime, Signals, Sleep, SuspensionId, await_all, race,
    sleep, sleep_until, yield_now,
};
use common::{bounded, panic_of};
use std::future::pending;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};
use times::{HOUR, Log, assert_soon, lock, ms};
use world::{Gate, other, poll_once, test};

#[test]
fn a_sleep_is_never_too_short() {
    test(1, async |cx| {
        let task = cx.call(async |_| {
            for micros in [1, 10, 100, 999, 1000, 1001, 2500, 10_000] {
                let duration = Duration::from_micros(micros);
                let start = Instant::now();
                sleep(duration).await;
                assert!(start.elapsed() >= duration, "{:?}", start.elapsed());
            }
            Ok(())
        })?;
        for nanos in [1, 999, 1_000_001, 5_999_999] {
            let deadline = Instant::now() + Duration::from_nanos(nanos);
            sleep_until(deadline).await;
            assert!(Instant::now() >= deadline);
        }
        task.await
    });
}

#[test]
fn a_sleep_of_zero_and_one_until_the_past_are_over_at_once() {
    test(0, async |_| {
        let start = Instant::now();
        assert_eq!(poll_once(sleep(Duration::ZERO)).await, Some(()));
        assert_eq!(poll_once(sleep_until(start)).await, Some(()));
        if let Some(past) = start.checked_sub(ms(1)) {
            assert_eq!(poll_once(sleep_until(past)).await, Some(()));
        }
        assert_eq!(poll_once(sleep(HOUR)).await, None);
        Ok(())
    });
}

#[test]
fn rule_15_sleeps_of_zero_give_the_others_their_turns() {
    test(0, async |cx| {
        let log = Log::default();
        let noted = log.clone();
        let busy = cx.spawn(async |_| {
            for _ in 0..10_000 {
                sleep(Duration::ZERO).await;
            }
            Ok(())
        });
        let other = cx.spawn(async move |_| Ok(noted.note("other")));
        yield_now().await;
        assert!(!busy.is_over());
        other.await?;
        log.note("main");
        busy.await?;
        assert_eq!(log.text(), "other main");
        Ok(())
    });
}

#[test]
fn it_lasts_from_when_it_was_made() {
    test(0, async |_| {
        let (slept, longer) = (sleep(ms(10)), sleep(HOUR));
        thread::sleep(ms(20));
        assert_eq!(poll_once(slept).await, Some(()));
        assert_eq!(poll_once(longer).await, None);
        Ok(())
    });
}

#[test]
fn a_sleep_of_a_century_and_one_beyond_the_reach_of_the_clock_wait() {
    test(1, async |cx| {
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        for long in [century, century * 1000, Duration::MAX / 2, Duration::MAX] {
            // Alone, in a domain that sleeps in its events; and it is no stall.
            let task = cx.call(async move |_| Ok(sleep(long).await))?;
            let mut own = pin!(sleep(long));
            match race(&mut own, sleep(ms(20))).await {
                Either::First(()) => panic!("it was short"),
                Either::Second(()) => {}
            }
            assert!(!task.is_over());
            task.cancel().await?;
        }
        Ok(())
    });
}

#[test]
fn sleepers_sleep_side_by_side() {
    test(1, async |cx| {
        let start = Instant::now();
        let mut tasks = Vec::new();
        for number in 0..1000 {
            let nap = async |_: &Cx| Ok(sleep(ms(100)).await);
            tasks.push(match number % 2 {
                0 => cx.spawn(nap),
                _ => cx.call(nap)?,
            });
        }
        for result in await_all(&mut tasks).await {
            result?;
        }
        assert!(start.elapsed() >= ms(100));
        // One after another it would be a hundred seconds.
        assert_soon(start);
        Ok(())
    });
}

#[test]
fn those_who_sleep_longer_wake_later() {
    test(0, async |cx| {
        let log = Log::default();
        let start = Instant::now();
        let mut tasks = Vec::new();
        for number in [3, 1, 4, 1, 5, 9, 2, 6] {
            let log = log.clone();
            tasks.push(cx.spawn(async move |_| {
                sleep_until(start + ms(10 * number)).await;
                Ok(log.note(number))
            }));
        }
        for result in await_all(&mut tasks).await {
            result?;
        }
        assert_eq!(log.text(), "1 1 2 3 4 5 6 9");
        Ok(())
    });
}

// ---- many ----

/// Notes its number when it is woken.
struct Notes(u32, Arc<Mutex<Vec<u32>>>);

impl Wake for Notes {
    fn wake(self: Arc<Self>) {
        lock(&self.1).push(self.0);
    }
}

struct Crowd {
    sleeps: Vec<Pin<Box<Sleep>>>,
    woken: Arc<Mutex<Vec<u32>>>,
    first: Instant,
}

/// So many sleepers; number n sleeps until `time(n)` after a moment at which all of them sleep.
fn crowd(count: u32, time: impl Fn(u32) -> Duration) -> Crowd {
    for lead in [3, 10, 30] {
        let first = Instant::now() + Duration::from_secs(lead);
        let woken = Arc::new(Mutex::new(Vec::with_capacity(count as usize)));
        let sleeps = (0..count).map(|number| {
            let mut sleep = Box::pin(sleep_until(first + time(number)));
            let waker = Waker::from(Arc::new(Notes(number, woken.clone())));
            let poll = sleep.as_mut().poll(&mut Context::from_waker(&waker));
            (sleep, poll.is_pending())
        });
        let (sleeps, pending): (Vec<_>, Vec<bool>) = sleeps.unzip();
        // On a slow machine the time may have come while some were still being put to bed.
        if pending.iter().all(|&pending| pending) && Instant::now() < first {
            return Crowd {
                sleeps,
                woken,
                first,
            };
        }
    }
    panic!("this machine is too slow");
}

impl Crowd {
    /// Waits until so many are awake.
    async fn woken(&self, count: usize) {
        while lock(&self.woken).len() < count {
            sleep(ms(1)).await;
        }
    }
}

/// As [`test`], with more patience: a crowd takes a while on a machine that has other things to do.
fn patient_test(f: impl AsyncFnOnce(&Cx) -> Result<()> + Send + 'static) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || sender.send(world::with(0).run(f)));
    let outcome = receiver.recv_timeout(Duration::from_secs(120));
    outcome.expect("it ends in time").expect("it ends well");
    assert!(thread.join().is_ok_and(|sent| sent.is_ok()));
}

/// The numbers in the order of their times, those of the same time in their own.
fn in_order(count: u32, time: impl Fn(u32) -> Duration) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..count).collect();
    numbers.sort_by_key(|&number| time(number));
    numbers
}

#[test]
fn a_million_pending_sleepers_fire_in_the_order_of_their_times_and_first_in_first_out() {
    const COUNT: u32 = 1_000_000;
    // Ten for each time.
    let time = |number: u32| Duration::from_micros(u64::from(number.wrapping_mul(7919) % 100_000));
    patient_test(async move |_| {
        let crowd = crowd(COUNT, time);
        // They are late, all of them: one look wakes all.
        thread::sleep((crowd.first + ms(100)).saturating_duration_since(Instant::now()));
        crowd.woken(COUNT as usize).await;
        assert!(*lock(&crowd.woken) == in_order(COUNT, time));
        assert_eq!(crowd.sleeps.len(), COUNT as usize);
        Ok(())
    });
}

#[test]
fn many_sleepers_who_fire_a_few_at_a_time_do_so_in_order_too() {
    const COUNT: u32 = 30_000;
    // Over two seconds, three for each time.
    let time =
        |number: u32| Duration::from_micros(200 * u64::from(number.wrapping_mul(7919) % 10_000));
    patient_test(async move |_| {
        let crowd = crowd(COUNT, time);
        crowd.woken(COUNT as usize).await;
        assert!(Instant::now() >= crowd.first + Duration::from_micros(200 * 9_999));
        assert!(*lock(&crowd.woken) == in_order(COUNT, time));
        Ok(())
    });
}

#[test]
fn nobody_of_a_crowd_is_woken_before_its_time() {
    const COUNT: u32 = 20_000;
    let time = |number: u32| Duration::from_micros(50 * u64::from(number % 10_000));
    patient_test(async move |_| {
        let crowd = crowd(COUNT, time);
        loop {
            // Whoever is awake now may be awake now.
            let woken = lock(&crowd.woken).clone();
            let now = Instant::now();
            assert!(
                woken
                    .iter()
                    .all(|&number| crowd.first + time(number) <= now)
            );
            if woken.len() == COUNT as usize {
                return Ok(());
            }
            sleep(ms(7)).await;
        }
    });
}

// ---- cancelled ----

#[test]
fn a_cancelled_sleeper_is_gone_at_once_and_wakes_nobody() {
    test(1, async |cx| {
        for there in [false, true] {
            let log = Log::default();
            let noted = log.clone();
            let gone = log.on_drop("gone");
            let nap = async move |_: &Cx| {
                let _gone = gone;
                sleep(ms(200)).await;
                Ok(noted.note("woken"))
            };
            let task = match there {
                false => cx.spawn(nap),
                true => cx.call(nap)?,
            };
            yield_now().await;
            let start = Instant::now();
            task.cancel().await?;
            let in_time = start.elapsed() < ms(100);
            sleep(ms(300)).await;
            // On a machine that stood still meanwhile it may have slept enough.
            assert!(log.text() == "gone" || !in_time, "{}", log.text());
        }
        Ok(())
    });
}

#[test]
fn those_who_stay_are_woken_whatever_is_cancelled_around_them() {
    test(0, async |_| {
        let mut seed = 7_u32;
        for count in [1_u32, 10, 100, 1000] {
            let start = Instant::now();
            let woken: Arc<Mutex<Vec<u32>>> = Arc::default();
            let mut sleeps = Vec::new();
            for number in 0..count {
                let mut sleep = Box::pin(sleep_until(start + ms(20 + u64::from(number % 17))));
                let waker = Waker::from(Arc::new(Notes(number, woken.clone())));
                let poll = sleep.as_mut().poll(&mut Context::from_waker(&waker));
                sleeps.push((number, sleep, poll.is_pending()));
            }
            // Two of three go, one after another, while the domain looks at its events.
            for turn in 0.. {
                if sleeps.len() <= count as usize / 3 {
                    break;
                }
                seed = seed.wrapping_mul(747_796_405).wrapping_add(1);
                let place = seed as usize % sleeps.len();
                drop(sleeps.swap_remove(place));
                if turn % 10 == 0 {
                    yield_now().await;
                }
            }
            sleep(ms(60)).await;
            let woken = lock(&woken).clone();
            for (number, sleep, pending) in &mut sleeps {
                let late = Instant::now() > start + ms(20);
                assert!(
                    late && (!*pending || woken.contains(number)),
                    "{number} of {count}"
                );
                sleep.await;
            }
        }
        Ok(())
    });
}

// ---- where it is awaited ----

#[test]
fn a_sleep_outside_of_run_is_refused() {
    let mut cx = Context::from_waker(Waker::noop());
    for until in [
        sleep(HOUR),
        sleep(Duration::MAX),
        sleep_until(Instant::now() + HOUR),
    ] {
        let mut sleep = pin!(until);
        let text = panic_of(|| sleep.as_mut().poll(&mut cx).is_ready());
        assert_eq!(text, "sleep was awaited outside of run");
    }
}

/// Events without a clock.
struct NoClock;

impl Events for NoClock {
    fn select(&mut self, _: bool, _: &[SuspensionId], _: &mut Signals<'_>) -> io::Result<()> {
        Ok(())
    }

    fn interrupt(&self) -> io::Result<Interrupt> {
        Ok(Arc::new(|| {}))
    }
}

#[test]
fn a_sleep_in_a_run_whose_events_have_no_clock_is_refused() {
    bounded(|| {
        let runtime = Runtime::builder()
            .domains(1)
            .events(|_| Ok(NoClock))
            .build();
        runtime.run(async |cx| {
            // What takes no time needs no clock.
            sleep(Duration::ZERO).await;
            for task in [
                cx.spawn(async |_| Ok(sleep(ms(10)).await)),
                cx.call(async |_| Ok(sleep(Duration::MAX).await))?,
            ] {
                let failure = task.await.expect_err("no clock");
                let text = "panicked: sleep was awaited in a run whose events have no clock";
                assert_eq!(failure.to_string(), text);
            }
            Ok(())
        })
    })
    .expect("ends well");
}

#[test]
fn a_sleep_that_was_made_elsewhere_is_slept_where_it_is_awaited() {
    // Before the first poll it belongs to nobody.
    let outside = bounded(|| {
        let made = (sleep(ms(5)), Instant::now());
        world::with(1).run(async move |cx| {
            let (until, start) = made;
            until.await;
            assert!(start.elapsed() >= ms(4));
            let deadline = Instant::now() + ms(20);
            let there = cx.call(async move |_| {
                sleep_until(deadline).await;
                Ok(Instant::now())
            })?;
            sleep_until(deadline).await;
            assert!(there.await? >= deadline && Instant::now() >= deadline);
            Ok(())
        })
    });
    outcome(outside);
}

#[track_caller]
fn outcome(outcome: Result<()>) {
    outcome.expect("ends well");
}

// ---- other domains ----

#[test]
fn rule_13_a_domain_in_a_long_sleep_is_woken_called_and_cancelled_at_once() {
    test(2, async |cx| {
        let start = Instant::now();
        for _ in 0..20 {
            let gate = Gate::default();
            let opened = gate.clone();
            let sleeper = cx.call_on(other(cx, 0), async |_| Ok(sleep(HOUR).await))?;
            // Woken: a task there waits for this gate.
            let woken = cx.call_on(other(cx, 0), async move |_| {
                match race(gate.passed(), sleep(HOUR)).await {
                    Either::First(()) => Ok(()),
                    Either::Second(()) => panic!("an hour has passed"),
                }
            })?;
            // Called, from here and from a third domain.
            cx.call_on(other(cx, 0), async |_| Ok(()))?.await?;
            let called = cx.call_on(other(cx, 1), async |cx| {
                let mut others = cx.domains();
                let domain = others.next().expect("there are two");
                cx.call_on(domain, async |_| Ok(7))?.await
            })?;
            assert_eq!(called.await?, 7);
            opened.open();
            woken.await?;
            assert!(!sleeper.is_over());
            sleeper.cancel().await?;
        }
        assert_soon(start);
        Ok(())
    });
}

#[test]
fn dom0_in_a_long_sleep_is_woken_by_the_end_of_a_call() {
    test(1, async |cx| {
        let start = Instant::now();
        let long = cx.spawn(async |_| Ok(sleep(HOUR).await));
        for _ in 0..20 {
            cx.call(async |_| Ok(sleep(ms(1)).await))?.await?;
        }
        long.cancel().await?;
        assert_soon(start);
        Ok(())
    });
}

#[test]
fn a_run_that_fails_ends_all_sleeps() {
    let start = Instant::now();
    let failure = world::failure_of(2, async |cx| {
        let gate = Gate::default();
        for domain in cx.domains() {
            let opened = gate.clone();
            let task = cx.call_on(domain, async move |cx| {
                let child = cx.spawn(async |_| Ok(sleep(HOUR).await));
                opened.open();
                child.await
            })?;
            drop(task);
        }
        gate.passed().await;
        // Its children are forgotten.
        Ok(())
    });
    world::assert_still_has_children(&failure);
    assert_soon(start);
}

#[test]
fn what_nobody_will_ever_wake_is_a_stall_once_the_sleepers_have_gone() {
    let start = Instant::now();
    let failure = world::failure_of(1, async |cx| {
        let napping = cx.call(async |_| Ok(sleep(ms(50)).await))?;
        sleep(ms(20)).await;
        napping.await?;
        drop(sleep(HOUR));
        assert_eq!(poll_once(sleep(HOUR)).await, None);
        pending::<Result<()>>().await
    });
    world::assert_stalled(&failure);
    assert!(start.elapsed() >= ms(50));
    assert_soon(start);
}

#[test]
fn a_busy_domain_wakes_its_sleepers_all_the_same() {
    test(0, async |cx| {
        let busy = cx.spawn(async |_| -> Result<()> {
            loop {
                yield_now().await;
            }
        });
        let start = Instant::now();
        sleep(ms(10)).await;
        assert!(start.elapsed() >= ms(10));
        assert_soon(start);
        busy.cancel().await
    });
}

#[test]
fn a_sleep_can_be_polled_by_one_task_and_then_by_another() {
    test(0, async |cx| {
        let mut sleeping = Box::pin(sleep(ms(20)));
        let start = Instant::now();
        assert!(poll_once(&mut sleeping).await.is_none());
        let task = cx.spawn(async move |_| Ok(sleeping.await));
        task.await?;
        assert!(start.elapsed() >= ms(19));
        // Polled often, it is still one sleeper.
        let mut sleeping = pin!(sleep(ms(20)));
        while poll_once(&mut sleeping).await.is_none() {
            yield_now().await;
        }
        Ok(())
    });
}

#[test]
fn the_record_says_that_it_waits_for_a_time() {
    let recording = ch08_mutexes_and_conditions::Recording::new();
    let recorded = recording.clone();
    bounded(move || {
        let runtime = Runtime::builder().domains(0).record(&recorded).build();
        runtime.run(async |_| Ok(sleep(ms(1)).await))
    })
    .expect("ends well");
    assert!(
        recording.to_string().contains("waits for a time"),
        "{recording}"
    );
}
