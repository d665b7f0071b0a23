//! Signals of the system. Each test has a number of its own: all tests of this program are one process.
#![cfg(unix)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::signals::{
    SIGALRM, SIGHUP, SIGIO, SIGKILL, SIGPROF, SIGSEGV, SIGSTOP, SIGTERM, SIGURG, SIGUSR1, SIGUSR2,
    SIGVTALRM, SIGWINCH,
};
use ch08_mutexes_and_conditions::{Runtime, TcpListener, TcpStream, signal, sleep, timeout};
use common::bounded;
use signal_hook::low_level::raise;
use std::process::Command;
use std::thread;
use times::ms;
use world::{Gate, poll_once, test, with};

#[test]
fn one_that_came_before_counts_and_several_are_one() {
    test(0, async |_| {
        let mut signal = signal(SIGUSR1)?;
        raise(SIGUSR1)?;
        signal.recv().await?;
        for _ in 0..500 {
            raise(SIGUSR1)?;
        }
        signal.recv().await?;
        assert!(
            timeout(ms(30), signal.recv()).await.is_err(),
            "one too many"
        );
        raise(SIGUSR1)?;
        Ok(signal.recv().await?)
    });
}

#[test]
fn any_number_of_signals_up_to_the_room_for_them_are_one() {
    test(0, async |_| {
        let mut signal = signal(SIGWINCH)?;
        // Around the number of bytes that are taken at once.
        for count in [1, 2, 63, 64, 65, 127, 128, 129, 1000] {
            for _ in 0..count {
                raise(SIGWINCH)?;
            }
            signal.recv().await?;
            assert!(poll_once(signal.recv()).await.is_none(), "{count}");
        }
        Ok(())
    });
}

#[test]
fn it_ends_a_sleep_whichever_thread_it_hits() {
    test(1, async |cx| {
        let mut signal = signal(SIGUSR2)?;
        for _ in 0..20 {
            let thread = thread::spawn(|| {
                thread::sleep(ms(2)); // so that the domain sleeps
                raise(SIGUSR2)
            });
            signal.recv().await?;
            thread.join().expect("no panic")?;
        }
        let there = cx.call(async |_| Ok(raise(SIGUSR2)?))?;
        signal.recv().await?;
        there.await
    });
}

#[test]
fn everybody_hears_of_each_on_every_domain() {
    test(2, async |cx| {
        let mut tasks = Vec::new();
        let mut gates = Vec::new();
        for domain in cx.domains() {
            let (ready, heard) = (Gate::default(), Gate::default());
            gates.push((ready.clone(), heard.clone()));
            tasks.push(cx.call_on(domain, async move |_| {
                let mut one = signal(SIGHUP)?;
                let mut other = signal(SIGHUP)?;
                ready.open();
                one.recv().await?;
                other.recv().await?;
                heard.open();
                one.recv().await?;
                Ok(other.recv().await?)
            })?);
        }
        let mut here = signal(SIGHUP)?;
        for (ready, _) in &gates {
            ready.passed().await;
        }
        raise(SIGHUP)?;
        here.recv().await?;
        for (_, heard) in &gates {
            heard.passed().await;
        }
        raise(SIGHUP)?;
        here.recv().await?;
        for task in tasks {
            task.await?;
        }
        Ok(())
    });
}

#[test]
fn one_that_was_dropped_hears_nothing_and_harms_nobody() {
    test(0, async |_| {
        drop(signal(SIGALRM)?);
        // It would have ended the process.
        raise(SIGALRM)?;
        let mut signal = signal(SIGALRM)?;
        assert!(poll_once(signal.recv()).await.is_none(), "that was before");
        raise(SIGALRM)?;
        Ok(signal.recv().await?)
    });
}

#[test]
fn no_descriptor_is_left_of_those_that_were_dropped() {
    // Far more than a process may have as a rule.
    test(0, async |_| {
        for _ in 0..3000 {
            drop(signal(SIGVTALRM)?);
        }
        Ok(())
    });
}

#[test]
fn what_cannot_be_caught_is_an_error() {
    test(0, async |_| {
        for number in [SIGKILL, SIGSTOP, SIGSEGV, 0, -1, 1000, i32::MAX, i32::MIN] {
            assert!(signal(number).is_err(), "{number}");
        }
        Ok(())
    });
    assert!(signal(SIGTERM).is_err(), "outside of run");
}

#[test]
fn a_recv_that_was_dropped_has_taken_none() {
    test(0, async |_| {
        let mut signal = signal(SIGPROF)?;
        assert!(poll_once(signal.recv()).await.is_none());
        assert!(timeout(ms(5), signal.recv()).await.is_err());
        raise(SIGPROF)?;
        assert!(format!("{signal:?}").contains("SIGPROF"));
        Ok(signal.recv().await?)
    });
}

#[test]
fn one_of_a_run_that_has_ended_is_an_error_and_does_not_hang() {
    bounded(|| {
        let runtime = || Runtime::builder().domains(0).build();
        let mut signal = runtime()
            .run(async |_| Ok(signal(SIGIO)?))
            .expect("a signal");
        raise(SIGIO).expect("is there");
        let ended = runtime().run(async move |_| {
            // The first may find what has come; nothing tells of the next.
            let _ = signal.recv().await;
            Ok(signal.recv().await?)
        });
        assert!(
            ended
                .expect_err("nobody looks")
                .to_string()
                .contains("has ended")
        );
        raise(SIGIO).expect("is there");
    });
}

/// Whatever thread is in a system call when a signal comes, its call begins anew.
#[test]
fn nobody_else_is_disturbed() {
    let served = bounded(|| {
        with(1).run(async |cx| {
            let mut signal = signal(SIGURG)?;
            let mut listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            let talk = cx.call(async move |_| {
                let mut stream = TcpStream::connect(address).await?;
                for _ in 0..100 {
                    stream.write_all(b"ping").await?;
                    sleep(ms(1)).await;
                    stream.read(&mut [0; 4]).await?;
                }
                Ok(())
            })?;
            let hear = cx.spawn(async move |_| -> ch08_mutexes_and_conditions::Result<()> {
                loop {
                    signal.recv().await?;
                }
            });
            let done = Gate::default();
            let is_done = done.clone();
            let disturbs = thread::spawn(move || {
                let process = std::process::id().to_string();
                while !is_done.is_open() {
                    let sent = Command::new("kill").args(["-URG", &process]).status();
                    assert!(sent.is_ok_and(|status| status.success()));
                }
            });
            let (mut stream, _) = listener.accept().await?;
            let mut buffer = [0; 4];
            while stream.read(&mut buffer).await? > 0 {
                stream.write_all(b"pong").await?;
            }
            done.open();
            disturbs.join().expect("no panic");
            hear.cancel().await?;
            talk.await
        })
    });
    served.expect("ends well");
}
