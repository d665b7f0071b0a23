//! What is dropped where: a future and what it holds on its own domain, always.

mod common;
mod world;

use ch08_mutexes_and_conditions::{Cx, Failure, Result, Task, yield_now};
use std::future::pending;
use std::rc::Rc;
use world::{Gate, Noted, Notes, other, test};

/// Something that a future holds, that is not `Send`, and that tells where it is dropped.
struct Local {
    _noted: Noted,
    _not_send: Rc<()>,
}

impl Local {
    fn new(notes: &Notes) -> Local {
        Local {
            _noted: notes.on_drop("local"),
            _not_send: Rc::new(()),
        }
    }
}

/// Calls `f` on the second of three domains, and then `end` decides what becomes of it.
async fn dropped(
    cx: &Cx,
    f: impl AsyncFnOnce(&Cx, Local, Gate) -> Result<()> + Send + 'static,
    end: impl AsyncFnOnce(Task<'_, ()>, Gate) -> Result<()>,
) -> Result<String> {
    let (notes, gate) = (Notes::default(), Gate::default());
    let (noting, opened, captured) = (notes.clone(), gate.clone(), notes.on_drop("captured"));
    let task = cx.call_on(other(cx, 1), async move |cx| {
        let _captured = captured;
        f(cx, Local::new(&noting), opened).await
    })?;
    end(task, gate).await?;
    Ok(notes.text())
}

#[test]
fn of_a_task_that_ends_well() {
    test(3, async |cx| {
        let task = async |_: &Cx, _local, _| {
            let _: () = yield_now().await;
            Ok(())
        };
        let notes = dropped(cx, task, async |task, _| task.await).await?;
        assert_eq!(notes, "local@dom2 captured@dom2");
        Ok(())
    });
}

#[test]
fn of_a_task_that_fails_or_panics() {
    test(3, async |cx| {
        let fails = async |_: &Cx, _local, _| Err(Failure::msg("fails"));
        let panics = async |_: &Cx, _local, _| panic!("panics");
        let end = async |task: Task<'_, ()>, _| {
            task.await.expect_err("ends badly");
            Ok(())
        };
        assert_eq!(dropped(cx, fails, end).await?, "local@dom2 captured@dom2");
        assert_eq!(dropped(cx, panics, end).await?, "local@dom2 captured@dom2");
        Ok(())
    });
}

#[test]
fn of_a_task_that_is_cancelled() {
    test(3, async |cx| {
        let waits = async |_: &Cx, _local, gate: Gate| {
            gate.open();
            pending().await
        };
        let suspended = async |task: Task<'_, ()>, gate: Gate| {
            gate.passed().await;
            task.cancel().await
        };
        assert_eq!(
            dropped(cx, waits, suspended).await?,
            "local@dom2 captured@dom2"
        );
        for _ in 0..50 {
            // It may have started or not.
            let at_once = async |task: Task<'_, ()>, _| task.cancel().await;
            let notes = dropped(cx, waits, at_once).await?;
            assert!(
                matches!(notes.as_str(), "captured@dom2" | "local@dom2 captured@dom2"),
                "{notes}"
            );
        }
        Ok(())
    });
}

#[test]
fn of_a_task_whose_run_fails() {
    let notes = Notes::default();
    let noting = notes.clone();
    world::failure_of(3, async move |cx| {
        let gate = Gate::default();
        let opened = gate.clone();
        let _task = cx.call_on(other(cx, 1), async move |_| {
            let _local = Local::new(&noting);
            opened.open();
            pending::<Result<()>>().await
        })?;
        gate.passed().await;
        Err(Failure::msg("main"))
    });
    assert_eq!(notes.text(), "local@dom2");
}

#[test]
fn a_result_is_the_parents() {
    test(3, async |cx| {
        let notes = Notes::default();
        let value = notes.on_drop("value");
        let value = cx.call_on(other(cx, 1), async move |_| Ok(value))?.await?;
        assert_eq!(notes.text(), "");
        drop(value);
        assert_eq!(notes.text(), "value@dom0");
        Ok(())
    });
}
