//! A trace can be read by whoever knows the format, and says what has happened.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Events, Failure, Interrupt, Result, Runtime, Signals, SuspensionId, System, Trace,
    await_first, sleep, timeout, yield_now,
};
use common::{PanicsOnDrop, bounded};
use serde_json::Value;
use std::collections::HashMap;
use std::future::{Future, pending, poll_fn};
use std::io::{self, Write};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use times::{HOUR, lock, ms};
use world::{Gate, assert_still_has_children, other, own_waker};

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(lock(&self.0).clone()).expect("it is text")
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a viewer makes of a trace.
#[derive(Debug)]
struct Seen {
    events: Vec<Value>,
    /// Track, name, and what is said of it.
    slices: Vec<Slice>,
    /// From which slice to which.
    arrows: Vec<(usize, usize)>,
    /// Names of the bars, and the tasks.
    lives: Vec<(String, u64)>,
}

#[derive(Clone, Debug)]
struct Slice {
    track: u64,
    name: String,
    from: f64,
    to: f64,
    args: String,
}

impl Seen {
    fn names(&self, track: u64) -> Vec<&str> {
        let slices = self.slices.iter().filter(|slice| slice.track == track);
        slices.map(|slice| slice.name.as_str()).collect()
    }

    /// The names of both ends of each arrow, with their tracks.
    fn arrows(&self) -> Vec<String> {
        let name = |index: usize| {
            let Slice { name, track, .. } = &self.slices[index];
            format!("{name}@{track}")
        };
        let mut arrows: Vec<String> = self
            .arrows
            .iter()
            .map(|&(from, to)| format!("{} > {}", name(from), name(to)))
            .collect();
        arrows.sort();
        arrows
    }

    fn with_phase(&self, phase: &str) -> Vec<&Value> {
        let events = self.events.iter();
        events.filter(|event| event["ph"] == phase).collect()
    }
}

/// Reads a trace of a run that has ended, as Perfetto does: all events in the order of their times, those of the same time in the
/// order in which they were written.
#[track_caller]
fn read(text: &str) -> Seen {
    let mut events: Vec<Value> = serde_json::from_str(text).expect("it is JSON");
    let time = |event: &Value| event["ts"].as_f64().unwrap_or(0.0);
    let number = |event: &Value, key: &str| event[key].as_u64().expect("a number");
    let string = |event: &Value, key: &str| event[key].as_str().expect("a string").to_owned();
    // On each track, time goes forward in the file, too.
    let mut last = HashMap::new();
    for event in events.iter().filter(|event| !event["ts"].is_null()) {
        let last = last.entry(number(event, "tid")).or_insert(0.0);
        assert!(time(event) >= *last, "{event}");
        *last = time(event);
    }
    events.sort_by(|a, b| time(a).total_cmp(&time(b)));
    let mut seen = Seen {
        events: Vec::new(),
        slices: Vec::new(),
        arrows: Vec::new(),
        lives: Vec::new(),
    };
    let mut open: HashMap<u64, usize> = HashMap::new();
    let mut flows: HashMap<u64, (String, usize)> = HashMap::new();
    let mut alive: HashMap<u64, String> = HashMap::new();
    let mut tasks = std::collections::HashSet::new();
    for event in &events {
        let phase = string(event, "ph");
        assert!(event["pid"].is_u64(), "{event}");
        if phase == "M" {
            continue;
        }
        let track = number(event, "tid");
        assert_ne!(track, 0);
        match phase.as_str() {
            "B" => {
                let slice = Slice {
                    track,
                    name: string(event, "name"),
                    from: time(event),
                    to: f64::NAN,
                    args: event["args"].to_string(),
                };
                let former = open.insert(track, seen.slices.len());
                assert_eq!(former, None, "slices do not overlap: {event}");
                seen.slices.push(slice);
            }
            "E" => {
                let index = open.remove(&track).expect("a slice that has begun");
                let slice = &mut seen.slices[index];
                slice.to = time(event);
                slice.args += &event["args"].to_string();
                assert!(slice.from <= slice.to);
            }
            "s" => {
                let slice = *open.get(&track).expect("an arrow begins in a slice");
                let name = string(event, "name") + &string(event, "cat");
                let former = flows.insert(number(event, "id"), (name, slice));
                assert!(former.is_none(), "an arrow begins once: {event}");
            }
            "f" => {
                assert_eq!(event["bp"], "e");
                let slice = *open.get(&track).expect("an arrow ends in a slice");
                let flow = flows.remove(&number(event, "id"));
                let (name, from) = flow.expect("an arrow has a beginning, and one end");
                assert_eq!(name, string(event, "name") + &string(event, "cat"));
                seen.arrows.push((from, slice));
            }
            "b" => {
                let id = number(event, "id");
                assert!(tasks.insert(id), "a task lives once: {event}");
                assert_eq!(event["cat"], "task");
                alive.insert(id, string(event, "name"));
                seen.lives.push((string(event, "name"), id));
            }
            "e" => {
                let name = alive.remove(&number(event, "id"));
                assert_eq!(name.expect("it is alive"), string(event, "name"));
            }
            "i" => assert_eq!(event["s"], "t"),
            other => panic!("{other} is not known"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(alive.is_empty(), "{alive:?}");
    seen.events = events;
    seen
}

/// The outcome of `f` on so many domains beside dom0, and what is seen of it.
#[track_caller]
fn traced<T: Send + 'static>(
    domains: usize,
    f: impl AsyncFnOnce(&Cx) -> Result<T> + Send + 'static,
) -> (Result<T>, Seen) {
    let memory = Memory::default();
    let trace = Trace::new(memory.clone());
    let runtime = Runtime::builder().domains(domains).seed(1).trace(&trace);
    let outcome = bounded(move || runtime.build().run(f));
    assert!(trace.take_error().is_none());
    (outcome, read(&memory.text()))
}

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

#[test]
fn polls_are_slices_with_what_came_of_them() {
    let line = line!() + 2;
    let (outcome, seen) = traced(0, async |cx| {
        let child = cx.spawn(async |_| Ok(yield_now().await));
        child.await
    });
    outcome.expect("ends well");
    assert_eq!(seen.names(1), ["main", "task 1", "task 1", "main"]);
    let args: Vec<&str> = seen
        .slices
        .iter()
        .map(|slice| slice.args.as_str())
        .collect();
    assert!(
        args[0].ends_with(r#"{"suspended on":"the end of task 1"}"#),
        "{args:?}"
    );
    assert!(args[1].contains(&format!("trace.rs:{line}:")), "{args:?}");
    assert!(
        args[1].ends_with(r#"{"suspended on":"its next turn"}"#),
        "{args:?}"
    );
    assert!(args[2].ends_with(r#"{"ended":"well"}"#), "{args:?}");
    let arrows = [
        "main@1 > task 1@1",
        "task 1@1 > main@1",
        "task 1@1 > task 1@1",
    ];
    assert_eq!(seen.arrows(), arrows);
    assert_eq!(seen.lives.len(), 2);
    assert!(seen.lives[1].0.contains(&format!("trace.rs:{line}:")));
}

#[test]
fn each_domain_is_a_track_with_its_name() {
    let (outcome, seen) = traced(2, async |cx| {
        for domain in cx.domains() {
            cx.call_on(domain, async |_| Ok(()))?.await?;
        }
        Ok(())
    });
    outcome.expect("ends well");
    let mut names: Vec<(u64, String)> = Vec::new();
    for event in seen.with_phase("M") {
        if event["name"] == "thread_name" {
            let name = event["args"]["name"].as_str().expect("a name");
            names.push((event["tid"].as_u64().expect("a track"), name.to_owned()));
        }
    }
    names.sort();
    let expected = [(1, "dom0"), (2, "dom1"), (3, "dom2")];
    assert_eq!(
        names,
        expected.map(|(track, name)| (track, name.to_owned()))
    );
    assert_eq!(seen.names(2).len(), 1);
    assert_eq!(seen.names(3).len(), 1);
}

#[test]
fn arrows_cross_to_another_domain_and_back() {
    let (outcome, seen) = traced(1, async |cx| cx.call(async |_| Ok(()))?.await);
    outcome.expect("ends well");
    assert_eq!(seen.arrows(), ["main@1 > task 1@2", "task 1@2 > main@1"]);
}

#[test]
fn a_wake_of_another_domain_is_an_arrow() {
    let (outcome, seen) = traced(2, async |cx| {
        let (gate, begun) = (Gate::default(), Gate::default());
        let (waits, begins) = (gate.clone(), begun.clone());
        let waiter = cx.call_on(other(cx, 0), async move |_| {
            let mut passed = pin!(waits.passed());
            poll_fn(|cx| {
                let polled = passed.as_mut().poll(cx);
                // From now on it can be woken.
                begins.open();
                polled
            })
            .await;
            Ok(())
        })?;
        begun.passed().await;
        let waker = cx.call_on(other(cx, 1), async move |_| Ok(gate.open()))?;
        waker.await?;
        waiter.await
    });
    outcome.expect("ends well");
    let arrows = seen.arrows();
    // The one that was woken is the first one on its domain, the one that woke it the first on the other.
    assert!(
        arrows.contains(&"task 2@3 > task 1@2".to_owned()),
        "{arrows:?}"
    );
}

#[test]
fn a_wake_by_a_thread_that_is_no_domain_is_no_arrow() {
    let (outcome, seen) = traced(0, async |_| {
        let waker: Waker = own_waker().await;
        let mut thread = Some(thread::spawn(move || waker.wake()));
        poll_fn(|_| match thread.take() {
            Some(_) => Poll::Pending,
            None => Poll::Ready(()),
        })
        .await;
        Ok(())
    });
    outcome.expect("ends well");
    assert_eq!(seen.names(1), ["main", "main"]);
    assert_eq!(seen.arrows().len(), 0);
}

#[test]
fn cancelling_is_an_instant_and_ends_a_life() {
    let (outcome, seen) = traced(1, async |cx| {
        let here = cx.spawn(async |cx| {
            let gate = Gate::default();
            let opens = gate.clone();
            let child = cx.spawn(async move |_| {
                let _opens = world::OnDrop(move || opens.open());
                pending::<Result<()>>().await
            });
            gate.passed().await;
            child.await
        });
        let there = cx.call(async |_| pending::<Result<()>>().await)?;
        turns(3).await;
        here.cancel().await?;
        there.cancel().await
    });
    outcome.expect("ends well");
    let instants = seen.with_phase("i");
    let mut names: Vec<&str> = instants
        .iter()
        .filter_map(|event| event["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["task 1 cancelled", "task 2 cancelled", "task 3 cancelled"]
    );
    assert_eq!(seen.lives.len(), 4);
    let closed = seen
        .slices
        .iter()
        .filter(|slice| slice.args.contains(r#""ended":"badly""#));
    assert_eq!(closed.count(), 3, "{:#?}", seen.slices);
}

#[test]
fn the_finaliser_that_waits_is_named_as_such() {
    let (outcome, seen) = traced(0, async |cx| {
        let task = cx.spawn(async |cx| -> Result<()> {
            let _slow = cx.own_async("slow", (), HOUR, async |()| Ok(sleep(ms(1)).await));
            Err(Failure::msg("early"))
        });
        Ok(assert!(task.await.is_err()))
    });
    outcome.expect("ends well");
    let names = seen.names(1);
    let count = |name| names.iter().filter(|&&other| other == name).count();
    assert_eq!(count("finaliser of task 1"), 2, "{names:?}");
    assert_eq!(count("task 1"), 1, "{names:?}");
}

/// Some of everything.
async fn busy(cx: &Cx, depth: usize) -> Result<()> {
    for round in 0..3 {
        let mut orphans = cx.orphans();
        orphans.spawn(async |_| Ok(turns(2).await));
        orphans.call(async |_| Ok(turns(1).await))?;
        let panics = cx.call(async |_| -> Result<()> { panic!("as it should") })?;
        let fails = cx.spawn(async move |cx| {
            let _owned = cx.own_async("slow", (), HOUR, async |()| Ok(sleep(ms(1)).await));
            let _child = cx.call(async |_| pending::<Result<()>>().await)?;
            turns(round).await;
            Err::<(), _>(Failure::msg("as it should"))
        });
        let late = cx.call(async |_| Ok(sleep(HOUR).await))?;
        assert!(late.timeout(ms(1)).await.is_err());
        assert!(panics.await.is_err() && fails.await.is_err());
        let mut racers = Vec::new();
        for n in 0..4 {
            racers.push(cx.call(async move |_| Ok(turns(n).await))?);
        }
        await_first(&mut racers).await?;
        cx.scope(async |cx| {
            let dropped = cx.spawn(async |_| pending::<Result<()>>().await);
            let left = timeout(
                ms(1),
                cx.scope(async |cx| cx.spawn(async |_| pending::<Result<()>>().await).await),
            );
            assert!(left.await.is_err());
            dropped.cancel().await
        })
        .await?;
        if depth > 0 {
            cx.call(async move |cx| Box::pin(busy(cx, depth - 1)).await)?
                .await?;
        }
        while let Some(result) = orphans.next().await {
            result?;
        }
    }
    Ok(())
}

#[test]
fn whatever_happens_the_trace_is_sound() {
    let (outcome, seen) = traced(3, async |cx| busy(cx, 2).await);
    outcome.expect("ends well");
    assert!(seen.slices.len() > 300);
    assert!(seen.arrows.len() > 100);
}

#[test]
fn after_a_violation_everything_has_an_end() {
    for turn in 0..20 {
        let (outcome, _) = traced(2, async move |cx| {
            let _busy = cx.call(async |cx| busy(cx, 1).await)?;
            turns(turn).await;
            Ok(())
        });
        assert_still_has_children(&outcome.expect_err("forgotten"));
    }
}

#[test]
fn after_panics_everything_has_an_end() {
    let (outcome, _) = traced(1, async |cx| -> Result<()> {
        let _child = cx.call(async |_| {
            let _panics = PanicsOnDrop("late");
            pending::<Result<()>>().await
        })?;
        turns(3).await;
        panic!("early");
    });
    outcome.expect_err("panicked");
}

/// A system that fails on dom1 when it is told to.
struct Fragile(System, Option<Arc<Mutex<bool>>>);

impl Events for Fragile {
    fn select(
        &mut self,
        block: bool,
        cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        match &self.1 {
            Some(fails) if *lock(fails) => Err(io::Error::other("worn out")),
            _ => self.0.select(block, cancelled, signals),
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
fn when_a_domain_dies_everything_has_an_end() {
    for turn in 0..20 {
        let memory = Memory::default();
        let trace = Trace::new(memory.clone());
        let fails = Arc::new(Mutex::new(false));
        let told = fails.clone();
        let runtime = Runtime::builder()
            .domains(2)
            .trace(&trace)
            .events(move |domain| {
                let fails = (domain.number() == 1).then(|| fails.clone());
                Ok(Fragile(System::new()?, fails))
            });
        let outcome = bounded(move || {
            runtime.build().run(async move |cx| {
                let doomed = cx.call_on(other(cx, 0), async |cx| busy(cx, 2).await)?;
                turns(turn).await;
                *lock(&told) = true;
                doomed.await
            })
        });
        outcome.expect_err("a domain has died");
        assert!(!read(&memory.text()).slices.is_empty());
    }
}

#[test]
fn a_domain_that_cannot_begin_leaves_a_trace_that_can_be_read() {
    for fails in [0, 1] {
        let memory = Memory::default();
        let trace = Trace::new(memory.clone());
        let runtime =
            Runtime::builder()
                .domains(1)
                .trace(&trace)
                .events(move |domain| match domain.number() == fails {
                    true => Err(io::Error::other("none left")),
                    false => System::new(),
                });
        let outcome = bounded(move || runtime.build().run(async |_| Ok(())));
        outcome.expect_err("no events");
        assert!(read(&memory.text()).slices.is_empty());
    }
}

#[test]
fn whatever_a_task_waits_for_is_escaped() {
    let what = "\"quotes\", \\, \n, \t, \u{1} and ü";
    let (outcome, seen) = traced(0, async move |cx| {
        let waits = cx.suspend(what);
        let child = cx.spawn(async move |_| Ok(waits.await));
        turns(1).await;
        child.cancel().await
    });
    outcome.expect("ends well");
    let waits = |event: &Value| event["args"]["suspended on"] == what;
    assert_eq!(seen.events.iter().filter(|event| waits(event)).count(), 1);
}

#[test]
fn a_trace_that_is_cut_short_is_an_array_without_its_end() {
    let memory = Memory::default();
    let trace = Trace::new(memory.clone());
    let runtime = Runtime::builder().domains(1).trace(&trace);
    let outcome = bounded(move || runtime.build().run(async |cx| busy(cx, 0).await));
    outcome.expect("ends well");
    let text = memory.text();
    for cut in (text.len() / 2..text.len()).step_by(97) {
        let Some(text) = text.get(..cut) else {
            continue;
        };
        // A viewer drops the line that is not complete.
        let (lines, _) = text.rsplit_once(",\n").expect("there are lines");
        let events: Vec<Value> = serde_json::from_str(&format!("{lines}]")).expect("it is JSON");
        assert!(events.len() > 10);
    }
}

#[test]
fn what_has_happened_is_in_the_file_when_the_domain_sleeps() {
    let memory = Memory::default();
    let trace = Trace::new(memory.clone());
    let runtime = Runtime::builder().domains(0).trace(&trace);
    bounded(move || {
        runtime.build().run(async move |_| {
            let _: () = sleep(ms(1)).await;
            let text = memory.text();
            assert!(text.contains(r#"{"suspended on":"a time"}"#), "{text}");
            Ok(())
        })
    })
    .expect("ends well");
}

/// Takes so many bytes, and no more.
struct Full(usize, Arc<Mutex<usize>>);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        *lock(&self.1) += 1;
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        match taken {
            0 => Err(io::ErrorKind::StorageFull.into()),
            taken => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_trace_and_not_the_run() {
    for room in [0, 1, 1000, 100_000] {
        let writes = Arc::new(Mutex::new(0));
        let trace = Trace::new(Full(room, writes.clone()));
        let runtime = Runtime::builder().domains(2).trace(&trace);
        let outcome = bounded(move || runtime.build().run(async |cx| busy(cx, 2).await));
        outcome.expect("ends well");
        let error = trace.take_error().expect("the disk is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(trace.take_error().is_none(), "it is told once");
        assert!(Arc::strong_count(&writes) == 1, "the writer is gone");
    }
}

/// Panics, and so does its destructor.
struct Panics;

impl Write for Panics {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        panic!("in write");
    }

    fn flush(&mut self) -> io::Result<()> {
        panic!("in flush");
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

#[test]
fn a_writer_that_panics_ends_the_trace_and_not_the_run() {
    let trace = Trace::new(Panics);
    let runtime = Runtime::builder().domains(1).trace(&trace);
    let outcome = bounded(move || runtime.build().run(async |cx| busy(cx, 0).await));
    outcome.expect("ends well");
    let error = trace.take_error().expect("it has panicked");
    assert_eq!(error.to_string(), "panicked: in write");
}

#[test]
fn a_file_that_cannot_be_made_is_an_error() {
    let nowhere = std::env::temp_dir()
        .join("no-such-folder")
        .join("trace.json");
    let error = Trace::to_file(nowhere).expect_err("there is no such folder");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_trace_is_for_one_run() {
    let memory = Memory::default();
    let trace = Trace::new(memory.clone());
    let runtime = Runtime::builder().domains(0).trace(&trace).build();
    runtime.clone().run(async |_| Ok(())).expect("ends well");
    let again = runtime.run(async |_| Ok(())).expect_err("it was used");
    let expected = "this trace has had its run: each needs its own";
    assert_eq!(again.to_string(), expected);
    assert_eq!(read(&memory.text()).names(1), ["main"]);
}

/// Wakes a task whenever it is written to.
struct Wakes(Arc<Mutex<Option<Waker>>>, Memory);

impl Write for Wakes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(waker) = lock(&self.0).take() {
            waker.wake();
        }
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

#[test]
fn a_writer_may_wake_tasks() {
    let (place, memory) = (Arc::default(), Memory::default());
    let trace = Trace::new(Wakes(Arc::clone(&place), memory.clone()));
    let runtime = Runtime::builder().domains(1).trace(&trace);
    bounded(move || {
        runtime.build().run(async move |cx| {
            let waits = cx.spawn(async move |_| {
                for _ in 0..100 {
                    let waker = own_waker().await;
                    *lock(&place) = Some(waker);
                    // Woken by the text about this, which is written when all sleep.
                    let mut pending = true;
                    poll_fn(|_| match std::mem::take(&mut pending) {
                        true => Poll::Pending,
                        false => Poll::Ready(()),
                    })
                    .await;
                }
                Ok(())
            });
            waits.await
        })
    })
    .expect("ends well");
    assert!(trace.take_error().is_none());
    assert!(read(&memory.text()).slices.len() > 100);
}

/// Remembers the largest of all writes.
struct Largest(Arc<Mutex<usize>>);

impl Write for Largest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut largest = lock(&self.0);
        *largest = bytes.len().max(*largest);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_long_run_is_written_in_pieces() {
    let largest = Arc::new(Mutex::new(0));
    let trace = Trace::new(Largest(largest.clone()));
    let runtime = Runtime::builder().domains(0).trace(&trace);
    bounded(move || {
        runtime.build().run(async |cx| {
            turns(20_000).await;
            for _ in 0..2_000 {
                cx.spawn(async |_| Ok(())).await?;
            }
            // In one turn, too.
            let many: Vec<_> = (0..2_000).map(|_| cx.spawn(async |_| Ok(()))).collect();
            for task in many {
                task.await?;
            }
            Ok(())
        })
    })
    .expect("ends well");
    let largest = *lock(&largest);
    assert!((60_000..70_000).contains(&largest), "{largest}");
}
