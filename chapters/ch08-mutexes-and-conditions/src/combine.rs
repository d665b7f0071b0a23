//! Waiting for several children. The handles stay the caller's: a combinator that took them and was
//! itself dropped half-way would make forgotten children of them.

use crate::budget;
use crate::failure::{self, Failure, Result};
use crate::task::{Cancel, Task};
use std::future::poll_fn;
use std::task::{Poll, ready};

/// Waits until all `tasks` are over. Gives their results in the order of the tasks, and leaves the list empty.
///
/// Dropped before it is ready, it has taken nothing: the tasks are still in the list, with their
/// results.
// ANCHOR: await_all
pub async fn await_all<T: 'static>(tasks: &mut Vec<Task<'_, T>>) -> Vec<Result<T>> {
    let mut first = 0;
    poll_fn(|cx| {
        // All before `first` are over; the next one is the only one that has to wake us.
        while let Some(task) = tasks.get(first) {
            if !task.is_over() {
                task.scheduler()
                    .wait_for("the end of all of several tasks", None);
                task.wake_when_over(cx);
                return Poll::Pending;
            }
            first += 1;
        }
        budget::poll_spend(cx)
    })
    .await;
    tasks.drain(..).map(Task::take).collect()
}
// ANCHOR_END: await_all

// ANCHOR: await_one
/// Waits until one of `tasks` is over, and takes it from the list. Of several that are over it
/// takes one that has succeeded, if there is one; among equals it chooses at random.
///
/// It looks at every task when it is woken: for a handful of them. For many, use
/// [`Orphans`](crate::Orphans).
///
/// Dropped before it is ready, it has taken nothing.
///
/// # Errors
///
/// Those of the task; also if `tasks` is empty.
pub async fn await_one<T: 'static>(tasks: &mut Vec<Task<'_, T>>) -> Result<T> {
    let chosen = choose(tasks).await?;
    tasks.remove(chosen).take()
}

/// The place of the task to take.
async fn choose<T: 'static>(tasks: &[Task<'_, T>]) -> Result<usize> {
    let Some(any) = tasks.first() else {
        return Err(Failure::msg("there is no task to wait for"));
    };
    let chosen = poll_fn(|cx| {
        let with = |wanted| {
            let places = 0..tasks.len();
            places.filter(move |&place| tasks[place].succeeded() == Some(wanted))
        };
        let mut over: Vec<usize> = with(true).collect();
        if over.is_empty() {
            over = with(false).collect();
        }
        if over.is_empty() {
            any.scheduler()
                .wait_for("the end of one of several tasks", None);
            tasks.iter().for_each(|task| task.wake_when_over(cx));
            return Poll::Pending;
        }
        ready!(budget::poll_spend(cx));
        Poll::Ready(over[any.scheduler().random.below(over.len())])
    });
    Ok(chosen.await)
}
// ANCHOR_END: await_one

// ANCHOR: await_first
/// Waits until one of `tasks` is over, chosen as by [`await_one`], cancels the others and waits
/// until they are gone. Leaves the list empty.
///
/// Dropped before it is ready, it has either cancelled nothing, or all but one, which is then still in the list.
///
/// # Errors
///
/// Those of the task, with those of the others as suppressed; also if `tasks` is empty. If the task
/// has succeeded, the failures of the others do not count, but a panic of one does.
pub async fn await_first<T: 'static>(tasks: &mut Vec<Task<'_, T>>) -> Result<T> {
    let chosen = choose(tasks).await?;
    tasks.swap(0, chosen);
    let others: Vec<Cancel<'_>> = tasks.drain(1..).map(Task::cancel).collect();
    let mut first = 0;
    // As above: nothing is taken before everything can be, or dropping this would lose it.
    poll_fn(|cx| {
        while let Some(other) = others.get(first) {
            if !other.is_gone(cx) {
                return Poll::Pending;
            }
            first += 1;
        }
        Poll::Ready(())
    })
    .await;
    let failures = others.into_iter().filter_map(|other| other.take().err());
    let suppressed = failures.flat_map(Failure::into_suppressed).collect();
    let Some(task) = tasks.pop() else {
        unreachable!("the chosen one stays in the list")
    };
    failure::weigh(task.take(), suppressed)
}
// ANCHOR_END: await_first
