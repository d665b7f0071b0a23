//! Places for clients.

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{Cx, Failure, Places, await_all, sleep, timeout, yield_now};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use times::{lock, ms};
use world::{Gate, test};

#[test]
fn no_more_than_there_are_on_all_domains_together() {
    test(2, async |cx| {
        const PLACES: usize = 3;
        let places = Places::new(PLACES);
        let now = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let highest = most.clone();
        let client = async move |cx: &Cx, n: usize| {
            for _ in 0..5 {
                let place = places.take(cx).await;
                let count = now.fetch_add(1, Ordering::SeqCst) + 1;
                highest.fetch_max(count, Ordering::SeqCst);
                match n % 3 {
                    0 => sleep(ms(1)).await,
                    _ => yield_now().await,
                }
                now.fetch_sub(1, Ordering::SeqCst);
                place.release().await?;
            }
            Ok(())
        };
        for ended in cx.parallel(0..40, client).await? {
            ended?;
        }
        assert_eq!(most.load(Ordering::SeqCst), PLACES, "as many as there are");
        Ok(())
    });
}

#[test]
fn one_comes_back_however_its_task_ends() {
    test(1, async |cx| {
        let places = Places::new(1);
        for round in 0..20 {
            let (how, there) = (round % 4, round % 8 >= 4);
            let own = places.clone();
            let taken = Gate::default();
            let is_taken = taken.clone();
            let task = async move |cx: &Cx| {
                let place = own.take(cx).await;
                is_taken.open();
                match how {
                    0 => place.release().await,
                    1 => Err(Failure::msg("fails")),
                    2 => panic!("panics"),
                    _ => pending().await,
                }
            };
            let task = match there {
                false => cx.spawn(task),
                true => cx.call(task)?,
            };
            taken.passed().await;
            match how {
                3 => task.cancel().await?,
                _ => assert_eq!(task.await.is_ok(), how == 0),
            }
            let place = timeout(ms(10_000), places.take(cx)).await;
            place.expect("it has come back").release().await?;
        }
        Ok(())
    });
}

#[test]
fn who_gives_up_waiting_takes_none_along() {
    test(2, async |cx| {
        let places = Places::new(2);
        for round in 0..30 {
            let (one, other) = (places.take(cx).await, places.take(cx).await);
            let mut waiting = Vec::new();
            for number in 0..10 {
                let places = places.clone();
                let task = async move |cx: &Cx| {
                    // Some give up at about the time at which places come back.
                    let patience = match number % 3 {
                        0 => ms(10_000),
                        n => ms(n) / 2,
                    };
                    match timeout(patience, places.take(cx)).await {
                        Ok(place) => {
                            yield_now().await;
                            place.release().await
                        }
                        Err(_) => Ok(()),
                    }
                };
                waiting.push(match (number + round) % 2 {
                    0 => cx.spawn(task),
                    _ => cx.call(task)?,
                });
            }
            sleep(ms(1)).await;
            one.release().await?;
            other.release().await?;
            for ended in await_all(&mut waiting).await {
                ended?;
            }
        }
        // None is lost, and none was made.
        let (one, other) = (places.take(cx).await, places.take(cx).await);
        assert!(timeout(ms(20), places.take(cx)).await.is_err());
        one.release().await?;
        other.release().await
    });
}

#[test]
fn they_are_taken_in_turn() {
    test(0, async |cx| {
        let places = Places::new(1);
        let first = places.take(cx).await;
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for number in 0..20 {
            let (places, order) = (places.clone(), order.clone());
            let queues = Gate::default();
            let is_queueing = queues.clone();
            waiting.push(cx.spawn(async move |cx| {
                is_queueing.open();
                let place = places.take(cx).await;
                lock(&order).push(number);
                place.release().await
            }));
            queues.passed().await;
        }
        first.release().await?;
        for ended in await_all(&mut waiting).await {
            ended?;
        }
        assert_eq!(*lock(&order), (0..20).collect::<Vec<_>>());
        Ok(())
    });
}
