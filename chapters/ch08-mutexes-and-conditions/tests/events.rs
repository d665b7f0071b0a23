//! Rule 13: events of one's own.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{
    Builder, Cx, Domain, Events, Failure, Interrupt, Result, Runtime, Signals, Suspension,
    SuspensionId, System, TcpListener, TcpStream, await_all, sleep, timeout, yield_now,
};
use common::{bounded, panic_of};
use std::any::type_name;
use std::cell::Cell;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;
use times::{HOUR, Log, SOON, assert_soon, lock, ms};
use world::{Gate, assert_stalled, here, other, own_waker, poll_once};

/// What a test tells the events of a domain, from any thread, and hears of them.
#[derive(Clone, Default)]
struct Remote(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    interrupted: bool,
    signals: Vec<SuspensionId>,
    fate: Option<Fate>,
    /// How often `select` was called so.
    blocking: usize,
    looks: usize,
    cancelled: Vec<SuspensionId>,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Error,
    Panic,
}

impl Remote {
    /// Has the next `select` signal these. It is interrupted.
    fn signal(&self, ids: &[SuspensionId]) {
        lock(&self.0.0).signals.extend(ids);
        self.0.1.notify_all();
    }

    /// The next `select` comes to this.
    fn die(&self, fate: Fate) {
        lock(&self.0.0).fate = Some(fate);
        self.0.1.notify_all();
    }

    fn interrupt(&self) {
        lock(&self.0.0).interrupted = true;
        self.0.1.notify_all();
    }

    fn cancelled(&self) -> Vec<SuspensionId> {
        lock(&self.0.0).cancelled.clone()
    }

    /// How often it has blocked, and how often it has looked.
    fn calls(&self) -> (usize, usize) {
        let state = lock(&self.0.0);
        (state.blocking, state.looks)
    }
}

/// Events that a test makes.
struct Manual {
    remote: Remote,
    log: Log,
    domain: Domain,
    /// So that it belongs to one thread.
    _here: Rc<()>,
}

impl Manual {
    fn new(log: &Log, domain: Domain) -> Manual {
        log.note(format_args!("{domain} made on {}", here()));
        Manual {
            remote: Remote::default(),
            log: log.clone(),
            domain,
            _here: Rc::new(()),
        }
    }
}

impl Events for Manual {
    fn select(
        &mut self,
        block: bool,
        cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        let (state, changed) = &*self.remote.0;
        let mut state = lock(state);
        state.cancelled.extend(cancelled);
        state.looks += 1;
        if block {
            state.blocking += 1;
            let until = Instant::now() + SOON;
            while !state.interrupted && state.signals.is_empty() && state.fate.is_none() {
                assert!(Instant::now() < until, "nobody ends this select");
                state = changed
                    .wait_timeout(state, SOON)
                    .expect("nobody panics with it")
                    .0;
            }
        }
        state.interrupted = false;
        for id in state.signals.drain(..) {
            signals.push(id);
        }
        let fate = state.fate.take();
        drop(state);
        match fate {
            None => Ok(()),
            Some(Fate::Error) => Err(io::Error::other("no more events")),
            Some(Fate::Panic) => panic!("select panics"),
        }
    }

    fn interrupt(&self) -> io::Result<Interrupt> {
        let remote = self.remote.clone();
        Ok(Arc::new(move || remote.interrupt()))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.log
            .note(format_args!("{} finished on {}", self.domain, here()));
        Ok(())
    }
}

impl Drop for Manual {
    fn drop(&mut self) {
        self.log
            .note(format_args!("{} dropped on {}", self.domain, here()));
    }
}

fn builder(domains: usize, log: &Log) -> Builder {
    let log = log.clone();
    let events = move |domain| Ok(Manual::new(&log, domain));
    Runtime::builder().domains(domains).events(events)
}

/// Runs a test with [`Manual`] events, within a bound in time.
#[track_caller]
fn run<T: Send + 'static>(
    domains: usize,
    f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
) -> Result<T> {
    bounded(move || builder(domains, &Log::default()).build().run(f))
}

#[track_caller]
fn test(domains: usize, f: impl AsyncFnOnce(&Cx) -> Result<()> + Send + 'static) {
    run(domains, f).expect("it ends well");
}

fn remote(cx: &Cx) -> Remote {
    cx.with_events(|manual: &mut Manual| manual.remote.clone())
}

/// A child that waits for an event, and notes its name then.
fn waiting<'p>(
    cx: &'p Cx,
    log: &Log,
    name: &'static str,
    ids: &Ids,
) -> ch08_mutexes_and_conditions::Task<'p, ()> {
    let (log, ids) = (log.clone(), ids.clone());
    cx.spawn(async move |cx| {
        let suspension = cx.suspend("an event");
        ids.push(suspension.id());
        suspension.await;
        Ok(log.note(name))
    })
}

#[derive(Clone, Default)]
struct Ids(Arc<Mutex<Vec<SuspensionId>>>);

impl Ids {
    fn push(&self, id: SuspensionId) {
        lock(&self.0).push(id);
    }

    fn get(&self) -> Vec<SuspensionId> {
        lock(&self.0).clone()
    }
}

// ---- select ----

#[test]
fn rule_13_select_may_block_only_when_nothing_else_can_run() {
    test(0, async |cx| {
        let remote = remote(cx);
        let suspension = cx.suspend("an event");
        // Somebody is always ready.
        for _ in 0..1000 {
            yield_now().await;
        }
        let (blocking, looks) = remote.calls();
        assert_eq!(blocking, 0, "something could run");
        assert!((2..500).contains(&looks), "it looked {looks} times");
        remote.signal(&[suspension.id()]);
        suspension.await;
        // Now nothing can run, until a thread says so.
        let suspension = cx.suspend("an event");
        let (id, distant, before) = (suspension.id(), remote.clone(), remote.calls().0);
        let thread = thread::spawn(move || {
            while distant.calls().0 == before {
                thread::yield_now();
            }
            distant.signal(&[id]);
        });
        suspension.await;
        thread.join().expect("no panic");
        assert_eq!(remote.calls().0, before + 1, "it has blocked once");
        Ok(())
    });
}

#[test]
fn rule_13_select_is_not_called_while_nobody_waits_for_an_event() {
    test(0, async |cx| {
        for _ in 0..1000 {
            yield_now().await;
        }
        assert_eq!(remote(cx).calls(), (0, 0));
        Ok(())
    });
}

#[test]
fn rule_13_a_busy_domain_looks_every_61_polls() {
    test(0, async |cx| {
        let (remote, suspension) = (remote(cx), cx.suspend("an event"));
        let id = suspension.id();
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        let busy = cx.spawn(async move |_| -> Result<()> {
            loop {
                counted.set(counted.get() + 1);
                yield_now().await;
            }
        });
        yield_now().await;
        remote.signal(&[id]);
        let before = polls.get();
        suspension.await;
        assert!(polls.get() - before <= 62, "{} polls", polls.get() - before);
        busy.cancel().await
    });
}

#[test]
fn rule_13_signals_resume_in_their_order() {
    test(0, async |cx| {
        let (log, ids) = (Log::default(), Ids::default());
        let mut tasks: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .map(|name| waiting(cx, &log, name, &ids))
            .collect();
        yield_now().await;
        let id = ids.get();
        remote(cx).signal(&[id[2], id[0], id[3], id[2], id[1]]);
        for result in await_all(&mut tasks).await {
            result?;
        }
        assert_eq!(log.text(), "c a d b");
        Ok(())
    });
}

#[test]
fn rule_13_a_signal_before_the_await_is_not_lost() {
    test(0, async |cx| {
        let (remote, suspension) = (remote(cx), cx.suspend("an event"));
        let other = cx.suspend("another event");
        remote.signal(&[suspension.id(), other.id()]);
        other.await;
        let looks = remote.calls().1;
        suspension.await;
        assert_eq!(remote.calls().1, looks, "it was ready");
        Ok(())
    });
}

#[test]
fn a_suspension_can_be_waited_for_by_any_waker() {
    test(0, async |cx| {
        let remote = remote(cx);
        let mut suspension = Box::pin(cx.suspend("an event"));
        // Polled by one waker, then by another: the last one counts.
        assert!(world::poll_once(&mut suspension).await.is_none());
        let id = suspension.id();
        let task = cx.spawn(async move |_| Ok(timeless(suspension).await));
        yield_now().await;
        remote.signal(&[id]);
        task.await
    });
}

/// Polls with a waker that is not the task's own.
async fn timeless(suspension: std::pin::Pin<Box<Suspension>>) {
    struct Passes(std::task::Waker);
    impl std::task::Wake for Passes {
        fn wake(self: Arc<Self>) {
            self.0.wake_by_ref();
        }
    }
    let waker = std::task::Waker::from(Arc::new(Passes(own_waker().await)));
    let mut suspension = pin!(suspension);
    std::future::poll_fn(|_| {
        let mut cx = std::task::Context::from_waker(&waker);
        suspension.as_mut().poll(&mut cx)
    })
    .await
}

#[test]
fn rule_13_a_signal_for_one_that_is_cancelled_or_resumed_already_is_harmless() {
    test(0, async |cx| {
        let remote = remote(cx);
        let resumed = cx.suspend("an event");
        let old = resumed.id();
        remote.signal(&[old, old]);
        resumed.await;
        let cancelled = cx.suspend("an event");
        let dropped = cancelled.id();
        drop(cancelled);
        // Both have left their places to these.
        let (mut one, mut two) = (cx.suspend("an event"), cx.suspend("an event"));
        let last = cx.suspend("an event");
        remote.signal(&[old, dropped, old, last.id()]);
        last.await;
        assert!(poll_once(&mut one).await.is_none());
        assert!(poll_once(&mut two).await.is_none());
        remote.signal(&[one.id(), two.id()]);
        one.await;
        two.await;
        Ok(())
    });
}

#[test]
fn rule_13_a_suspension_belongs_to_one_domain() {
    test(2, async |cx| {
        let (foreign, gate) = (Ids::default(), Gate::default());
        let (ids, opened) = (foreign.clone(), gate.clone());
        let task = cx.call_on(other(cx, 0), async move |cx| {
            let mut suspensions: Vec<_> = (0..10).map(|_| cx.suspend("an event")).collect();
            suspensions.iter().for_each(|one| ids.push(one.id()));
            opened.open();
            for suspension in &mut suspensions {
                suspension.await;
            }
            Ok(remote(cx).cancelled())
        })?;
        gate.passed().await;
        // Here their ids mean nothing, though this domain has suspensions in the same places.
        let mut own: Vec<_> = (0..10).map(|_| cx.suspend("an event")).collect();
        remote(cx).signal(&foreign.get());
        let last = cx.suspend("an event");
        remote(cx).signal(&[last.id()]);
        last.await;
        for suspension in &mut own {
            assert!(poll_once(suspension).await.is_none());
        }
        assert!(!task.is_over());
        let here: Vec<_> = own.iter().map(Suspension::id).collect();
        assert!(here.iter().all(|id| !foreign.get().contains(id)));
        let there = cx.call_on(other(cx, 0), async move |cx| {
            Ok(remote(cx).signal(&foreign.get()))
        })?;
        there.await?;
        assert_eq!(task.await?, [], "all were signalled");
        Ok(())
    });
}

#[test]
fn rule_13_ids_of_an_earlier_run_do_no_harm() {
    let old = run(0, async |cx| {
        Ok((0..10)
            .map(|_| cx.suspend("an event").id())
            .collect::<Vec<_>>())
    });
    let old = old.expect("ends well");
    test(0, async move |cx| {
        let mut own: Vec<_> = (0..10).map(|_| cx.suspend("an event")).collect();
        let last = cx.suspend("an event");
        remote(cx).signal(&old);
        remote(cx).signal(&[last.id()]);
        last.await;
        for suspension in &mut own {
            assert!(poll_once(suspension).await.is_none());
        }
        Ok(())
    });
}

#[test]
fn is_awaited_tells_who_still_waits() {
    struct Asks {
        asked: Option<[SuspensionId; 3]>,
        answers: Vec<bool>,
    }
    impl Events for Asks {
        fn select(
            &mut self,
            _: bool,
            _: &[SuspensionId],
            signals: &mut Signals<'_>,
        ) -> io::Result<()> {
            if let Some(asked) = self.asked {
                self.answers
                    .extend(asked.iter().map(|&id| signals.is_awaited(id)));
                signals.push(asked[0]);
            }
            Ok(())
        }

        fn interrupt(&self) -> io::Result<Interrupt> {
            Ok(Arc::new(|| {}))
        }
    }
    let earlier = run(0, async |cx| Ok(cx.suspend("an event").id())).expect("ends well");
    let events = |_| {
        Ok(Asks {
            asked: None,
            answers: Vec::new(),
        })
    };
    bounded(move || {
        let runtime = Runtime::builder().domains(0).events(events).build();
        runtime.run(async move |cx| {
            let (waits, dropped) = (cx.suspend("an event"), cx.suspend("an event").id());
            let asked = Some([waits.id(), dropped, earlier]);
            cx.with_events(|asks: &mut Asks| asks.asked = asked);
            waits.await;
            let again = cx.suspend("nothing");
            yield_now().await;
            drop(again);
            while cx.with_events(|asks: &mut Asks| asks.answers.len()) < 6 {
                let _pending = cx.suspend("nothing");
                yield_now().await;
            }
            cx.with_events(|asks: &mut Asks| {
                assert_eq!(asks.answers[..6], [true, false, false, false, false, false]);
            });
            Ok(())
        })
    })
    .expect("ends well");
}

// ---- cancelled suspensions ----

#[test]
fn rule_13_cancelled_suspensions_are_handed_over_exactly_once_and_signalled_ones_never() {
    let remotes: Arc<Mutex<Option<Remote>>> = Arc::default();
    let kept = remotes.clone();
    let (cancelled, signalled) = run(0, async move |cx| {
        let remote = remote(cx);
        *lock(&kept) = Some(remote.clone());
        let (mut cancelled, mut signalled) = (Vec::new(), Vec::new());
        for round in 0..200 {
            let suspensions: Vec<_> = (0..5).map(|_| cx.suspend("an event")).collect();
            for (number, suspension) in suspensions.into_iter().enumerate() {
                let id = suspension.id();
                match (round + number) % 5 {
                    // Never polled.
                    0 => cancelled.push(id),
                    1 => {
                        let mut suspension = suspension;
                        assert!(poll_once(&mut suspension).await.is_none());
                        cancelled.push(id);
                    }
                    // In a task that is cancelled.
                    2 => {
                        let task = cx.spawn(async move |_| Ok(suspension.await));
                        if round % 2 == 0 {
                            yield_now().await;
                        }
                        task.cancel().await?;
                        cancelled.push(id);
                    }
                    3 => {
                        remote.signal(&[id]);
                        suspension.await;
                        signalled.push(id);
                    }
                    // Signalled, but not awaited.
                    _ => {
                        let last = cx.suspend("an event");
                        remote.signal(&[id, last.id()]);
                        last.await;
                        drop(suspension);
                        signalled.push(id);
                    }
                }
            }
        }
        Ok((cancelled, signalled))
    })
    .expect("ends well");
    // Those of the last moment, too.
    let remote = lock(&remotes).take().expect("was kept");
    let mut told = remote.cancelled();
    told.sort_unstable();
    let mut wanted = cancelled;
    wanted.sort_unstable();
    assert_eq!(told, wanted);
    assert!(signalled.iter().all(|id| !told.contains(id)));
}

#[test]
fn rule_13_what_is_cancelled_at_the_end_of_the_run_is_handed_over_before_finish() {
    struct Last(Log);
    impl Events for Last {
        fn select(
            &mut self,
            _: bool,
            cancelled: &[SuspensionId],
            _: &mut Signals<'_>,
        ) -> io::Result<()> {
            Ok(self.0.note(format_args!("cancelled:{}", cancelled.len())))
        }

        fn interrupt(&self) -> io::Result<Interrupt> {
            Ok(Arc::new(|| {}))
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(self.0.note("finish"))
        }
    }
    let log = Log::default();
    let noted = log.clone();
    bounded(move || {
        let events = move |_| Ok(Last(noted.clone()));
        let runtime = Runtime::builder().domains(0).events(events).build();
        runtime.run(async |cx| {
            let _three = [(); 3].map(|()| cx.suspend("an event"));
            Ok(())
        })
    })
    .expect("ends well");
    assert_eq!(log.text(), "cancelled:3 finish");
}

// ---- one for each domain ----

#[test]
fn rule_13_each_domain_has_events_of_its_own_made_on_its_thread_and_finished_there() {
    let log = Log::default();
    let noted = log.clone();
    let outcome = bounded(move || {
        let task = noted.clone();
        builder(2, &noted).build().run(async move |cx| {
            for domain in cx.domains() {
                let log = task.clone();
                cx.call_on(domain, async move |cx| {
                    let _noted = log.on_drop(format_args!("task of {}", cx.domain()));
                    let own = cx.with_events(|manual: &mut Manual| manual.domain);
                    assert_eq!(own, cx.domain());
                    Ok(())
                })?
                .await?;
            }
            let _noted = task.on_drop("main");
            Ok(())
        })
    });
    outcome.expect("ends well");
    for (domain, thread) in [("dom0", "dom0"), ("dom1", "dom1"), ("dom2", "dom2")] {
        let count = |what: &str| log.list().iter().filter(|note| *note == what).count();
        let [made, finished, dropped] =
            ["made", "finished", "dropped"].map(|what| format!("{domain} {what} on {thread}"));
        assert_eq!([count(&made), count(&finished), count(&dropped)], [1, 1, 1]);
        assert!(log.place(&made) < log.place(&finished));
        assert!(log.place(&finished) < log.place(&dropped));
        let task = match domain {
            "dom0" => "main".to_owned(),
            _ => format!("task of {domain}"),
        };
        assert!(log.place(&task) < log.place(&finished), "{}", log.text());
    }
}

#[test]
fn rule_13_finish_comes_after_the_last_task_however_that_ends() {
    for way in 0..3 {
        let log = Log::default();
        let noted = log.clone();
        let outcome = bounded(move || {
            let task = noted.clone();
            builder(1, &noted).build().run(async move |cx| {
                let _noted = task.on_drop("main");
                let gate = Gate::default();
                let opened = gate.clone();
                let there = task.clone();
                let call = cx.call(async move |cx| {
                    let _noted = there.on_drop("call");
                    opened.open();
                    Ok(cx.suspend("an event").await)
                })?;
                gate.passed().await;
                match way {
                    0 => call.cancel().await,
                    1 => Err(Failure::msg("main fails")),
                    // Forgotten.
                    _ => Ok(()),
                }
            })
        });
        assert_eq!(outcome.is_ok(), way == 0);
        assert!(log.place("call") < log.place("dom1 finished on dom1"));
        assert!(log.place("main") < log.place("dom0 finished on dom0"));
    }
}

/// As [`Manual`], but the end of it goes wrong on one domain.
struct BadEnd(Manual, Option<Fate>);

impl Events for BadEnd {
    fn select(
        &mut self,
        block: bool,
        cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        self.0.select(block, cancelled, signals)
    }

    fn interrupt(&self) -> io::Result<Interrupt> {
        self.0.interrupt()
    }

    fn finish(&mut self) -> io::Result<()> {
        match self.1 {
            None => self.0.finish(),
            Some(Fate::Error) => Err(io::Error::other("finish fails")),
            Some(Fate::Panic) => panic!("finish panics"),
        }
    }
}

#[test]
fn rule_13_an_error_or_a_panic_in_finish_is_the_failure_of_the_run() {
    for bad in 0..3 {
        for (fate, what) in [
            (Fate::Error, "finish fails"),
            (Fate::Panic, "panicked: finish panics"),
        ] {
            let log = Log::default();
            let noted = log.clone();
            let outcome = bounded(move || {
                let events = move |domain: Domain| {
                    let fate = (domain.number() == bad).then_some(fate);
                    Ok(BadEnd(Manual::new(&noted, domain), fate))
                };
                let runtime = Runtime::builder().domains(2).events(events).build();
                runtime.run(async |_| Ok(7))
            });
            let failure = outcome.expect_err("finish is bad");
            let expected = format!("the events of dom{bad} have ended badly: {what}");
            assert_eq!(failure.to_string(), expected);
            // The others have finished all the same.
            for domain in (0..3).filter(|&domain| domain != bad) {
                log.place(&format!("dom{domain} finished on dom{domain}"));
            }
            log.place(&format!("dom{bad} dropped on dom{bad}"));
        }
    }
}

// ---- interrupt ----

#[test]
fn rule_13_interrupt_ends_a_select_that_blocks() {
    test(1, async |cx| {
        for _ in 0..20 {
            // Another domain sleeps in its events, and is called and cancelled all the same.
            let task = cx.call(async |cx| Ok(cx.suspend("an event").await))?;
            let start = Instant::now();
            cx.call(async |_| Ok(()))?.await?;
            task.cancel().await?;
            assert!(start.elapsed() < SOON / 2);
        }
        // And a thread wakes this one.
        for _ in 0..20 {
            let waker = own_waker().await;
            let woken = Arc::new(AtomicBool::new(false));
            let (flag, remote) = (woken.clone(), remote(cx));
            let before = remote.calls().0;
            let _suspension = cx.suspend("an event");
            let thread = thread::spawn(move || {
                while remote.calls().0 == before {
                    thread::yield_now();
                }
                flag.store(true, Ordering::Relaxed);
                waker.wake();
            });
            std::future::poll_fn(|_| match woken.load(Ordering::Relaxed) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            })
            .await;
            thread.join().expect("no panic");
        }
        Ok(())
    });
}

#[test]
fn rule_13_an_interrupt_that_comes_before_the_select_is_not_lost() {
    let start = Instant::now();
    for _ in 0..200 {
        test(1, async |cx| {
            let task = cx.call(async |cx| Ok(cx.suspend("an event").await))?;
            // The cancelling comes when the other domain is about to block, or blocks.
            task.cancel().await
        });
    }
    assert_soon(start);
}

#[test]
fn interrupt_is_asked_for_once_before_the_first_task() {
    struct Counts(Arc<AtomicUsize>);
    impl Events for Counts {
        fn select(&mut self, _: bool, _: &[SuspensionId], _: &mut Signals<'_>) -> io::Result<()> {
            Ok(())
        }

        fn interrupt(&self) -> io::Result<Interrupt> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Arc::new(|| {}))
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    bounded(move || {
        let events = move |_| Ok(Counts(counted.clone()));
        let runtime = Runtime::builder().domains(2).events(events).build();
        runtime.run(async move |_| {
            assert_eq!(count.load(Ordering::Relaxed), 3);
            yield_now().await;
            assert_eq!(count.load(Ordering::Relaxed), 3);
            Ok(())
        })
    })
    .expect("ends well");
}

// ---- what goes wrong before the run ----

#[test]
fn rule_13_where_the_events_cannot_be_made_the_run_does_not_begin() {
    for bad in 0..3 {
        for (way, what) in [
            (0, "no events today"),
            (1, "panicked: no events at all"),
            (2, "no interrupt"),
        ] {
            struct NoInterrupt(Manual);
            impl Events for NoInterrupt {
                fn select(
                    &mut self,
                    block: bool,
                    cancelled: &[SuspensionId],
                    signals: &mut Signals<'_>,
                ) -> io::Result<()> {
                    self.0.select(block, cancelled, signals)
                }

                fn interrupt(&self) -> io::Result<Interrupt> {
                    match self.0.remote.calls().1 {
                        0 => self.0.interrupt(),
                        _ => Err(io::Error::other("no interrupt")),
                    }
                }
            }
            let log = Log::default();
            let noted = log.clone();
            let outcome = bounded(move || {
                let events = move |domain: Domain| {
                    let manual = Manual::new(&noted, domain);
                    match way {
                        _ if domain.number() != bad => {}
                        0 => return Err(io::Error::other("no events today")),
                        1 => panic!("no events at all"),
                        _ => lock(&manual.remote.0.0).looks = 1,
                    }
                    Ok(NoInterrupt(manual))
                };
                let runtime = Runtime::builder().domains(2).events(events).build();
                runtime.run(async |_| -> Result<()> { panic!("it has begun") })
            });
            let failure = outcome.expect_err("no events");
            let text = failure.to_string();
            match way {
                1 => assert_eq!(text, what),
                _ => assert_eq!(text, format!("dom{bad} gets no events: {what}")),
            }
            // Those that were made are gone, each on its own thread.
            for domain in 0..=bad {
                log.place(&format!("dom{domain} dropped on dom{domain}"));
            }
        }
    }
}

// ---- what goes wrong in select ----

/// Has the events of `domain` die in the end, and asserts that the run ends with that, and that `body` has left nothing.
#[track_caller]
fn dies(
    domain: usize,
    fate: Fate,
    body: impl AsyncFnOnce(&Cx, Remote) -> Result<()> + Send + 'static,
) {
    let outcome = run(3, async move |cx| {
        let gate = Arc::new(Mutex::new(None));
        if domain == 0 {
            let remote = remote(cx);
            return body(cx, remote).await;
        }
        let kept = gate.clone();
        cx.call_on(other(cx, domain - 1), async move |cx| {
            *lock(&kept) = Some(remote(cx));
            Ok(())
        })?
        .await?;
        let remote = lock(&gate).take().expect("it was left there");
        body(cx, remote).await
    });
    let failure = outcome.expect_err("a domain has died");
    let what = match fate {
        Fate::Error => "no more events",
        Fate::Panic => "panicked: select panics",
    };
    let expected = format!("dom{domain} has died: {what}");
    assert_eq!(failure.to_string(), expected, "{failure:?}");
}

#[test]
fn rule_13_if_select_fails_or_panics_the_run_ends_with_that() {
    for domain in 0..4 {
        for fate in [Fate::Error, Fate::Panic] {
            dies(domain, fate, async move |cx, remote| {
                let _suspension = cx.suspend("an event");
                remote.die(fate);
                pending().await
            });
        }
    }
}

#[test]
fn rule_13_nothing_hangs_if_select_fails_with_tasks_and_calls_on_all_domains() {
    for domain in 0..4 {
        for fate in [Fate::Error, Fate::Panic] {
            let log = Log::default();
            let noted = log.clone();
            let begun = Arc::new(AtomicUsize::new(0));
            dies(domain, fate, async move |cx, remote| {
                /// A call to each other domain, so deep, that each own something.
                async fn spread(
                    cx: &Cx,
                    depth: usize,
                    log: &Log,
                    begun: &Arc<AtomicUsize>,
                ) -> Result<()> {
                    let _dropped = log.on_drop("dropped");
                    let _owned = times::plain(cx, log, "finalised");
                    begun.fetch_add(1, Ordering::Relaxed);
                    let mut tasks = Vec::new();
                    for domain in cx.domains().filter(|_| depth > 0) {
                        let (log, begun) = (log.clone(), begun.clone());
                        tasks.push(cx.call_on(domain, async move |cx| {
                            Box::pin(spread(cx, depth - 1, &log, &begun)).await
                        })?);
                    }
                    let suspension = cx.suspend("an event");
                    let waits = cx.spawn(async |cx| Ok(cx.suspend("an event").await));
                    suspension.await;
                    for result in await_all(&mut tasks).await {
                        result?;
                    }
                    waits.await
                }
                let (log, counted) = (noted, begun.clone());
                let spreading = cx.spawn(async move |cx| spread(cx, 2, &log, &counted).await);
                // 1 here, 3 there, and 2 on the others for each of these.
                while begun.load(Ordering::Relaxed) < 10 {
                    yield_now().await;
                }
                remote.die(fate);
                spreading.await
            });
            let count = |what: &str| log.list().iter().filter(|note| *note == what).count();
            assert_eq!((count("dropped"), count("finalised")), (10, 10));
        }
    }
}

#[test]
fn what_is_dropped_with_a_dead_domain_may_be_in_any_state() {
    // Scopes in scopes, children that are being cancelled, orphans, timeouts: all have destructors that look at the
    // tasks, some of which are gone already.
    for seed in 0..40_u64 {
        for domain in [0, 1] {
            dies(domain, Fate::Error, async move |cx, remote| {
                async fn nested(cx: &Cx, log: Log, turns: u64) -> Result<()> {
                    for _ in 0..turns {
                        yield_now().await;
                    }
                    let _owned = times::plain(cx, &log, "outer");
                    cx.scope(async |cx| {
                        let _owned = times::plain(cx, &log, "scope");
                        let (one, two) = (forever(cx), forever(cx));
                        cx.scope(async |cx| {
                            let _noted = log.on_drop("inner");
                            let _owned = times::plain(cx, &log, "inner scope");
                            let mut orphans = cx.orphans();
                            orphans.spawn(async |_| pending::<Result<()>>().await);
                            let three = forever(cx);
                            let _cancel = forever(cx).cancel();
                            orphans.next().await;
                            three.await
                        })
                        .await?;
                        one.await?;
                        two.await
                    })
                    .await
                }
                fn forever(cx: &Cx) -> ch08_mutexes_and_conditions::Task<'_, ()> {
                    cx.spawn(async |cx| Ok(cx.suspend("an event").await))
                }
                let log = Log::default();
                let noted = log.clone();
                let tree = async move |cx: &Cx| {
                    let mut short: Vec<_> = (0..seed % 7).map(|_| forever(cx)).collect();
                    let mut trees = Vec::new();
                    for turns in 0..5 {
                        let log = noted.clone();
                        trees.push(cx.spawn(async move |cx| nested(cx, log, turns).await));
                        yield_now().await;
                        if let Some(task) = short.pop() {
                            task.cancel().await?;
                        }
                    }
                    for _ in 0..seed % 11 {
                        yield_now().await;
                    }
                    remote.die(Fate::Error);
                    let _: () = pending().await;
                    for result in await_all(&mut trees).await {
                        result?;
                    }
                    Ok(())
                };
                match domain {
                    0 => cx.spawn(tree).await?,
                    _ => cx.call_on(other(cx, 0), tree)?.await?,
                }
                Ok(())
            });
        }
    }
}

#[test]
fn what_is_dropped_with_a_dead_domain_may_have_children_in_several_scopes() {
    // A destructor that panics is survived, two of them in one future are not: then the process is aborted.
    for domain in [0, 1] {
        let log = Log::default();
        let noted = log.clone();
        dies(domain, Fate::Error, async move |cx, remote| {
            let forever = async |cx: &Cx| Ok(cx.suspend("an event").await);
            let tree = async move |cx: &Cx| {
                // The scopes get the places of these; the task and its children stand further behind.
                let short = [(); 3].map(|()| cx.spawn(async |_| Ok(())));
                let task = cx.spawn(async move |cx| {
                    let _owned = times::plain(cx, &noted, "outer");
                    yield_now().await;
                    yield_now().await;
                    cx.scope(async |cx| {
                        let _owned = times::plain(cx, &noted, "middle");
                        let one = cx.spawn(forever);
                        cx.scope(async |cx| {
                            let _owned = times::plain(cx, &noted, "inner");
                            let (two, three) = (cx.spawn(forever), cx.spawn(forever));
                            let _cancel = three.cancel();
                            two.await
                        })
                        .await?;
                        one.await
                    })
                    .await
                });
                for task in short {
                    task.await?;
                }
                for _ in 0..5 {
                    yield_now().await;
                }
                remote.die(Fate::Error);
                task.await
            };
            match domain {
                0 => cx.spawn(tree).await,
                _ => cx.call_on(other(cx, 0), tree)?.await,
            }
        });
        let mut finalised = log.list();
        finalised.sort_unstable();
        assert_eq!(finalised, ["inner", "middle", "outer"]);
    }
}

#[test]
fn rule_13_the_tasks_of_a_domain_whose_events_fail_count_as_failed() {
    let log = Log::default();
    let noted = log.clone();
    dies(2, Fate::Error, async move |cx, remote| {
        let task = cx.call_on(other(cx, 1), async |cx| Ok(cx.suspend("an event").await))?;
        remote.die(Fate::Error);
        match task.await {
            Ok(()) => noted.note("ok"),
            Err(failure) => noted.note(failure),
        }
        Ok(())
    });
    // Its caller may hear of it, or be cancelled before.
    let text = log.text();
    let heard = text == "dom2 has died, and the task with it";
    assert!(heard || text.is_empty(), "{text}");
}

// ---- with_events ----

#[test]
fn with_events_of_another_type_says_so() {
    test(0, async |cx| {
        let text = panic_of(|| cx.with_events(|_: &mut System| ()));
        let expected = format!("the events of this run are no {}", type_name::<System>());
        assert_eq!(text, expected);
        // They are there as before.
        cx.with_events(|_: &mut Manual| ());
        // And after a panic inside.
        let text = panic_of(|| cx.with_events(|_: &mut Manual| panic!("inside")));
        assert_eq!(text, "inside");
        cx.with_events(|_: &mut Manual| ());
        panic_of(|| cx.with_events(|_: &mut Manual| cx.with_events(|_: &mut Manual| ())));
        Ok(())
    });
    bounded(|| {
        world::with(0).run(async |cx| {
            let text = panic_of(|| cx.with_events(|_: &mut Manual| ()));
            assert!(text.ends_with("events::Manual"), "{text}");
            Ok(cx.with_events(|_: &mut System| ()))
        })
    })
    .expect("ends well");
}

// ---- events that add to the system's ----

/// Threads leave here whom to resume; all else is the system's.
struct Composed {
    system: System,
    ended: Arc<Mutex<Vec<SuspensionId>>>,
}

impl Events for Composed {
    fn select(
        &mut self,
        block: bool,
        cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        let ended = std::mem::take(&mut *lock(&self.ended));
        for &id in &ended {
            signals.push(id);
        }
        self.system
            .select(block && ended.is_empty(), cancelled, signals)
    }

    fn interrupt(&self) -> io::Result<Interrupt> {
        self.system.interrupt()
    }

    fn system(&self) -> Option<&System> {
        Some(&self.system)
    }
}

#[test]
fn rule_13_events_that_hand_on_to_a_system_have_sockets_and_time() {
    bounded(|| {
        let events = |_| {
            let (system, ended) = (System::new()?, Arc::default());
            Ok(Composed { system, ended })
        };
        let runtime = Runtime::builder().domains(2).events(events).build();
        runtime.run(async |cx| {
            let mut tasks = Vec::new();
            for domain in cx.domains() {
                tasks.push(cx.call_on(domain, async |cx| {
                    let start = Instant::now();
                    let mut listener = TcpListener::bind("127.0.0.1:0")?;
                    let mut near = TcpStream::connect(listener.local_addr()?).await?;
                    let (mut far, _) = listener.accept().await?;
                    let reads = cx.spawn(async move |_| Ok(far.read(&mut [0; 9]).await?));
                    sleep(ms(10)).await;
                    assert!(!reads.is_over() && start.elapsed() >= ms(10));
                    near.write_all(b"hello").await?;
                    assert_eq!(reads.await?, 5);
                    // Its own events.
                    let suspension = cx.suspend("a thread");
                    let id = suspension.id();
                    let (ended, interrupt) = cx.with_events(|events: &mut Composed| {
                        io::Result::Ok((events.ended.clone(), events.interrupt()?))
                    })?;
                    let thread = thread::spawn(move || {
                        thread::sleep(ms(20));
                        lock(&ended).push(id);
                        interrupt();
                    });
                    suspension.await;
                    thread.join().expect("no panic");
                    let owned =
                        cx.own_async("a farewell", (), HOUR, async |()| Ok(sleep(ms(1)).await));
                    owned.release().await?;
                    assert!(timeout(ms(1), pending::<()>()).await.is_err());
                    Ok(())
                })?);
            }
            for result in await_all(&mut tasks).await {
                result?;
            }
            Ok(())
        })
    })
    .expect("ends well");
}

#[test]
fn rule_13_without_a_system_there_are_no_sockets_and_no_time() {
    test(1, async |cx| {
        for there in [false, true] {
            let tries = async |cx: &Cx| -> Result<()> {
                let no_sockets = "the events of this run have no sockets";
                let error = TcpListener::bind("127.0.0.1:0").expect_err("no sockets");
                assert_eq!(error.to_string(), no_sockets);
                let plain = std::net::TcpListener::bind("127.0.0.1:0")?;
                let error = TcpStream::connect(plain.local_addr()?).await;
                assert_eq!(error.expect_err("no sockets").to_string(), no_sockets);
                let error = cx.adopt(plain).expect_err("no sockets");
                assert_eq!(error.to_string(), no_sockets);
                let own = || cx.own_async("a farewell", (), HOUR, async |()| Ok(()));
                let text = panic_of(|| own().disown());
                assert_eq!(text, "the events of this run have no clock");
                assert_eq!(cx.owned(), []);
                // What does not wait works.
                cx.own("a thing", (), |()| Ok(())).release().await
            };
            match there {
                false => cx.spawn(tries).await?,
                true => cx.call(tries)?.await?,
            }
        }
        Ok(())
    });
}

// ---- stall ----

#[test]
fn rule_13_a_stall_is_reported_when_nothing_is_pending() {
    for domains in 0..3 {
        let failure = run(domains, async |cx| {
            // Those that are over are no hope.
            let suspension = cx.suspend("an event");
            remote(cx).signal(&[suspension.id()]);
            suspension.await;
            drop(cx.suspend("an event"));
            for domain in cx.domains() {
                let call = cx.call_on(domain, async |cx| Ok(drop(cx.suspend("an event"))))?;
                call.await?;
            }
            pending::<Result<()>>().await
        });
        assert_stalled(&failure.expect_err("nothing is left"));
    }
}

#[test]
fn rule_13_a_stall_is_not_reported_while_a_suspension_is_pending() {
    for domains in 0..3 {
        test(domains, async |cx| {
            // On the last domain; all the others have nothing.
            let task = async |cx: &Cx| {
                let (remote, suspension) = (remote(cx), cx.suspend("an event"));
                let id = suspension.id();
                thread::spawn(move || {
                    thread::sleep(ms(100));
                    remote.signal(&[id]);
                });
                Ok(suspension.await)
            };
            match cx.domains().last() {
                Some(domain) => cx.call_on(domain, task)?.await,
                None => cx.spawn(task).await,
            }
        });
    }
}

#[test]
fn what_a_task_waits_for_is_in_the_report() {
    let failure = run(0, async |cx| {
        drop(cx.spawn(async |cx| Ok(cx.suspend("the end of a process").await)));
        Ok(yield_now().await)
    });
    let text = failure.expect_err("a child is forgotten").to_string();
    assert!(text.contains("waits for the end of a process"), "{text}");
}

#[test]
fn a_hundred_thousand_suspensions_use_their_places_again() {
    test(0, async |cx| {
        let remote = remote(cx);
        for _ in 0..1000 {
            let suspensions: Vec<_> = (0..100).map(|_| cx.suspend("an event")).collect();
            drop(suspensions);
        }
        yield_now().await;
        let last = cx.suspend("an event");
        remote.signal(&[last.id()]);
        // The debug text names the place.
        let text = format!("{:?}", last.id());
        let place = text
            .split("index: ")
            .nth(1)
            .and_then(|rest| rest.split(',').next());
        let place: usize = place.expect("an index").parse()?;
        assert!(place <= 100, "{text}");
        last.await;
        Ok(())
    });
}
