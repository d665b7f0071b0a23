//! Handles where programs keep them.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod family;
mod served;

use ch08_mutexes_and_conditions::{
    Cx, Either, Failure, Orphans, Result, Task, TcpListener, TcpStream, await_all, race, run,
    yield_now,
};
use common::bounded;
use family::{Log, assert_violation, endless, failure_of, noted, test, turns};
use served::serve;
use std::collections::{BTreeMap, HashMap};
use std::net::Shutdown;
use std::pin::Pin;
use std::time::Duration;

#[test]
fn handles_in_a_map() {
    test(async |cx| {
        let mut tasks: HashMap<&str, Task<'_, usize>> = HashMap::new();
        for name in ["one", "three", "seven"] {
            tasks.insert(name, cx.spawn(async move |_| Ok(name.len())));
        }
        let three = tasks.remove("three").expect("it is there").await?;
        assert_eq!(three, 5);
        // One is replaced by another, which hands back the one before.
        let former = tasks.insert("one", cx.spawn(async |_| Ok(1)));
        former.expect("it is there").cancel().await?;
        let mut lengths = BTreeMap::new();
        for (name, task) in tasks {
            lengths.insert(name, task.await?);
        }
        assert_eq!(lengths, [("one", 1), ("seven", 5)].into());
        Ok(())
    });
}

/// A helper that spawns, and returns the handle.
fn start(cx: &Cx, value: u32) -> Task<'_, u32> {
    cx.spawn(async move |_| {
        yield_now().await;
        Ok(value)
    })
}

#[test]
fn a_handle_returned_by_a_helper() {
    test(async |cx| {
        let (one, two) = (start(cx, 1), start(cx, 2));
        assert_eq!(two.await? + one.await?, 3);
        Ok(())
    });
}

/// A part of a program, with a task of its own.
struct Service<'p> {
    ticker: Task<'p, ()>,
    workers: Orphans<'p, u32>,
}

impl<'p> Service<'p> {
    fn new(cx: &'p Cx, log: &Log) -> Service<'p> {
        Service {
            ticker: noted(cx, log, "ticker"),
            workers: cx.orphans(),
        }
    }

    fn work(&mut self, value: u32) {
        self.workers.spawn(async move |_| Ok(value * value));
    }

    async fn stop(mut self) -> Result<u32> {
        let mut sum = 0;
        while let Some(value) = self.workers.next().await {
            sum += value?;
        }
        self.ticker.cancel().await?;
        Ok(sum)
    }
}

#[test]
fn handles_in_a_struct() {
    test(async |cx| {
        let log = Log::default();
        let mut service = Service::new(cx, &log);
        (1..=3).for_each(|n| service.work(n));
        assert_eq!(service.stop().await?, 14);
        assert_eq!(log.text(), "ticker");
        Ok(())
    });
    // Dropped and not stopped, it has forgotten its tasks.
    let failure = failure_of(async |cx| {
        drop(Service::new(cx, &Log::default()));
        Ok(())
    });
    assert_violation(&failure);
}

#[test]
fn handles_of_different_types_in_one_list() {
    test(async |cx| {
        type Boxed<'a> = Pin<Box<dyn Future<Output = Result<String>> + 'a>>;
        let number = start(cx, 7);
        let text = cx.spawn(async |_| Ok("text"));
        let list: Vec<Boxed<'_>> = vec![
            Box::pin(async { Ok(number.await?.to_string()) }),
            Box::pin(async { Ok(text.await?.to_owned()) }),
        ];
        let mut joined = String::new();
        for future in list {
            joined += &future.await?;
        }
        assert_eq!(joined, "7text");
        Ok(())
    });
}

#[test]
fn a_handle_in_an_option_and_in_a_loop() {
    // The current attempt, replaced again and again.
    test(async |cx| {
        let mut current: Option<Task<'_, u32>> = None;
        for value in 0..5 {
            if let Some(former) = current.replace(start(cx, value)) {
                former.cancel().await?;
            }
        }
        let last = current.take().expect("the last attempt");
        assert_eq!(last.await?, 4);
        Ok(())
    });
}

#[test]
fn a_task_raced_against_another_future() {
    test(async |cx| {
        let mut slow = cx.spawn(async |_| Ok(turns(50).await));
        match race(&mut slow, turns(3)).await {
            Either::First(_) => panic!("it is slow"),
            Either::Second(()) => slow.cancel().await?,
        }
        let mut fast = start(cx, 1);
        match race(&mut fast, turns(50)).await {
            Either::First(value) => assert_eq!(value?, 1),
            Either::Second(()) => panic!("it is fast"),
        }
        Ok(())
    });
}

#[test]
fn a_server_that_spawns_itself() {
    async fn server(cx: &Cx, depth: u32) -> Result<u32> {
        if depth == 0 {
            return Ok(1);
        }
        let left = cx.spawn(async move |cx| Box::pin(server(cx, depth - 1)).await);
        let right = cx.spawn(async move |cx| Box::pin(server(cx, depth - 1)).await);
        Ok(left.await? + right.await? + 1)
    }
    test(async |cx| {
        assert_eq!(server(cx, 10).await?, 2047);
        Ok(())
    });
}

#[test]
fn an_async_fn_is_as_good_as_a_closure() {
    async fn answer(_: &Cx) -> Result<u32> {
        Ok(42)
    }
    assert_eq!(bounded(|| run(answer)).expect("ends well"), 42);
    test(async |cx| {
        assert_eq!(cx.spawn(answer).await?, 42);
        assert_eq!(cx.scope(answer).await?, 42);
        let mut orphans = cx.orphans();
        orphans.spawn(answer);
        assert_eq!(orphans.next().await.expect("one is left")?, 42);
        Ok(())
    });
}

/// Spawns, then fails if `text` is no number.
async fn parse_beside(cx: &Cx, log: &Log, text: &str) -> Result<u32> {
    let beside = noted(cx, log, "beside");
    yield_now().await;
    let number = text.parse()?;
    beside.cancel().await?;
    Ok(number)
}

#[test]
fn a_helper_that_fails_after_spawning_passes_its_failure_on() {
    // Without a scope: the caller fails with it, which cancels what the helper spawned.
    let failure = failure_of(async |cx| parse_beside(cx, &Log::default(), "x").await);
    assert!(failure.downcast_ref::<std::num::ParseIntError>().is_some());
    // A caller that catches it is left with a child that it does not know.
    let failure = failure_of(async |cx| {
        let _ = parse_beside(cx, &Log::default(), "x").await;
        Ok(())
    });
    assert_violation(&failure);
}

#[test]
fn a_helper_that_fails_after_spawning_can_be_caught_around_a_scope() {
    test(async |cx| {
        let log = Log::default();
        let mut numbers = Vec::new();
        for text in ["1", "x", "3"] {
            match cx
                .scope(async |cx| parse_beside(cx, &log, text).await)
                .await
            {
                Ok(number) => numbers.push(number),
                Err(failure) => log.note(failure.to_string().replace(' ', "_")),
            }
        }
        assert_eq!(numbers, [1, 3]);
        let text = "beside beside invalid_digit_found_in_string beside";
        assert_eq!(log.text(), text);
        Ok(())
    });
}

#[test]
fn a_helper_that_takes_the_list_of_its_caller() {
    async fn sum(tasks: &mut Vec<Task<'_, u32>>) -> Result<u32> {
        await_all(tasks).await.into_iter().sum()
    }
    test(async |cx| {
        let mut tasks: Vec<_> = (0..10).map(|n| start(cx, n)).collect();
        assert_eq!(sum(&mut tasks).await?, 45);
        Ok(())
    });
}

#[test]
fn a_task_per_item_with_all_that_it_needs() {
    // Captured by value, or shared.
    test(async |cx| {
        let shared = std::rc::Rc::new(std::cell::Cell::new(0));
        let tasks = ["a", "b", "c"].map(|name| {
            let shared = shared.clone();
            cx.spawn(async move |_| {
                shared.set(shared.get() + 1);
                Ok(name)
            })
        });
        let mut names = String::new();
        for task in tasks {
            names += task.await?;
        }
        assert_eq!((names.as_str(), shared.get()), ("abc", 3));
        Ok(())
    });
}

#[test]
fn a_server_inside_of_a_program() {
    test(async |cx| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = cx.spawn(async |cx| serve(cx, listener.owned(cx), Duration::MAX).await);
        let mut clients: Vec<_> = (0..20_u8)
            .map(|n| {
                cx.spawn(async move |_| {
                    let mut stream = TcpStream::connect(address).await?;
                    stream.write_all(&[n; 100]).await?;
                    stream.shutdown(Shutdown::Write)?;
                    let (mut all, mut buffer) = (Vec::<u8>::new(), [0; 64]);
                    loop {
                        match stream.read(&mut buffer).await? {
                            0 => break,
                            count => all.extend(&buffer[..count]),
                        }
                    }
                    match all == [n; 100] {
                        true => Ok(()),
                        false => Err(Failure::msg("another answer")),
                    }
                })
            })
            .collect();
        for result in await_all(&mut clients).await {
            result?;
        }
        server.cancel().await
    });
}

#[test]
fn an_endless_task_beside_a_finite_one() {
    test(async |cx| {
        let background = endless(cx);
        let result = cx.scope(async |cx| start(cx, 1).await).await;
        background.cancel().await?;
        assert_eq!(result?, 1);
        Ok(())
    });
}
