//! Sockets: readiness, the end of a stream, errors, cancellation, fairness.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod family;
mod served;

use ch08_mutexes_and_conditions::{
    Cx, Failure, Reason, Result, TcpListener, TcpStream, Violation, descriptor_freed, run,
    yield_now,
};
use common::{bounded, panic_of};
use family::{failure_of, own_waker, test};
use served::{echo, serve};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

fn listener() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Two ends of one connection.
async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let (mut listener, address) = listener()?;
    let client = TcpStream::connect(address).await?;
    let (server, peer) = listener.accept().await?;
    assert_eq!(peer, client.local_addr()?);
    Ok((client, server))
}

async fn read_exact(stream: &mut TcpStream, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let count = stream.read(buffer).await?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[count..];
    }
    Ok(())
}

async fn read_to_end(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), [0; 1000]);
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(all),
            count => all.extend(&buffer[..count]),
        }
    }
}

fn assert_stalled(failure: &Failure) {
    let reason = failure.reason();
    let stalled = matches!(reason, Reason::Violation(Violation::Stalled { .. }));
    assert!(stalled, "{failure:?}");
}

#[test]
fn bytes_arrive_and_then_the_end() {
    test(async |_| {
        let (mut client, mut server) = pair().await?;
        client.write_all(b"hello").await?;
        let mut buffer = [0; 5];
        read_exact(&mut server, &mut buffer).await?;
        assert_eq!(&buffer, b"hello");
        client.write_all(b"bye").await?;
        drop(client);
        assert_eq!(read_to_end(&mut server).await?, b"bye");
        Ok(())
    });
}

#[test]
fn bytes_and_end_that_came_together_are_both_seen() {
    test(async |cx| {
        // Somebody waits for a socket, so events are looked at in passing.
        let (mut idle, _) = listener()?;
        let idle = cx.spawn(async move |_| Ok(idle.accept().await.map(drop)?));
        for _ in 0..50 {
            let (mut client, mut server) = pair().await?;
            client.write_all(b"hello").await?;
            client.shutdown(Shutdown::Write)?;
            // More polls than lie between two looks: the one event for both has come and gone when
            // the first read, which is short, finds the bytes.
            for _ in 0..200 {
                yield_now().await;
            }
            assert_eq!(read_to_end(&mut server).await?, b"hello");
        }
        idle.cancel().await
    });
}

#[test]
fn an_end_that_comes_after_a_short_read_is_seen() {
    test(async |cx| {
        let (mut client, mut server) = pair().await?;
        client.write_all(b"hello").await?;
        let mut buffer = [0; 100];
        assert_eq!(server.read(&mut buffer).await?, 5);
        let reader = cx.spawn(async move |_| Ok(server.read(&mut [0; 100]).await?));
        yield_now().await;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(reader.await?, 0);
        Ok(())
    });
}

#[test]
fn a_half_closed_stream_can_still_be_written_to() {
    test(async |cx| {
        let (mut client, mut server) = pair().await?;
        let server = cx.spawn(async move |_| Ok(echo(&mut server, Duration::MAX).await?));
        client.write_all(b"hello").await?;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(read_to_end(&mut client).await?, b"hello");
        server.await
    });
}

#[test]
fn a_writer_waits_for_a_slow_reader_and_loses_nothing() {
    test(async |cx| {
        const SIZE: usize = 8 << 20;
        let (mut client, mut server) = pair().await?;
        let sent: Vec<u8> = (0..SIZE).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let writer = cx.spawn(async move |_| {
            client.write_all(&sent).await?;
            Ok(client.shutdown(Shutdown::Write)?)
        });
        for _ in 0..100 {
            yield_now().await;
        }
        assert!(read_to_end(&mut server).await? == expected);
        writer.await
    });
}

#[test]
fn reading_into_nothing_and_writing_nothing_are_done_at_once() {
    test(async |_| {
        let (mut client, mut server) = pair().await?;
        assert_eq!(server.read(&mut []).await?, 0);
        assert_eq!(server.write(&[]).await?, 0);
        client.write_all(&[]).await?;
        client.write_all(b"x").await?;
        assert_eq!(server.read(&mut [0; 2]).await?, 1);
        Ok(())
    });
}

#[test]
fn two_directions_wait_independently() {
    test(async |cx| {
        let (mut client, mut server) = pair().await?;
        let server = cx.spawn(async move |_| Ok(echo(&mut server, Duration::MAX).await?));
        // More than fits into the buffers of both ends, so that each waits for the other.
        let sent = vec![7; 4 << 20];
        let (mut written, mut got) = (0, 0);
        let mut buffer = vec![0; 1 << 16];
        while got < sent.len() {
            if written < sent.len() {
                let end = sent.len().min(written + (1 << 16));
                client.write_all(&sent[written..end]).await?;
                written = end;
            }
            got += client.read(&mut buffer).await?;
        }
        drop(client);
        server.await
    });
}

#[test]
fn nobody_listens() {
    test(async |_| {
        let (listener, address) = listener()?;
        drop(listener);
        let error = TcpStream::connect(address)
            .await
            .expect_err("nobody listens");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        Ok(())
    });
}

#[test]
fn the_next_address_is_tried() {
    test(async |_| {
        let (closed, nobody) = listener()?;
        drop(closed);
        let (_listener, address) = listener()?;
        TcpStream::connect(&[nobody, address][..]).await?;
        let error = TcpStream::connect(&[][..]).await.expect_err("no address");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn a_reset_is_an_error_of_that_stream_only() {
    test(async |cx| {
        let (listener, address) = listener()?;
        let server = cx.spawn(async |cx| serve(cx, listener.owned(cx), Duration::MAX).await);
        let mut polite = TcpStream::connect(address).await?;
        for _ in 0..20 {
            // Closed with bytes unread: the system answers with a reset.
            let mut rude = TcpStream::connect(address).await?;
            rude.write_all(&[1; 1000]).await?;
            rude.read(&mut [0; 1]).await?;
            drop(rude);
            polite.write_all(b"still").await?;
            let mut answer = [0; 5];
            read_exact(&mut polite, &mut answer).await?;
            assert_eq!(&answer, b"still");
        }
        server.cancel().await
    });
}

#[test]
fn a_reset_while_it_waits_wakes_the_reader() {
    test(async |cx| {
        let (mut client, mut server) = pair().await?;
        let reader = cx.spawn(async move |_| {
            client.write_all(b"unread").await?;
            Ok(client.read(&mut [0; 10]).await?)
        });
        yield_now().await;
        // Wait until the bytes are there, then close without reading all of them.
        server.read(&mut [0; 1]).await?;
        drop(server);
        let failure = reader.await.expect_err("the connection was reset");
        let error: &io::Error = failure.downcast_ref().expect("what read returned");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn a_read_that_is_dropped_takes_nothing() {
    test(async |_| {
        let (mut client, mut server) = pair().await?;
        let mut buffer = [0; 10];
        {
            let mut read = pin!(server.read(&mut buffer));
            let polled = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await;
            assert!(polled);
        }
        client.write_all(b"later").await?;
        let mut buffer = [0; 5];
        read_exact(&mut server, &mut buffer).await?;
        assert_eq!(&buffer, b"later");
        Ok(())
    });
}

#[test]
fn a_place_is_used_again_without_mixing_up_the_sockets() {
    test(async |cx| {
        for _ in 0..100 {
            let (mut client, server) = pair().await?;
            // The event is on its way when the socket goes and another takes its place.
            client.write_all(b"for nobody").await?;
            drop(server);
            let (mut next, mut server) = pair().await?;
            let reader = cx.spawn(async move |_| {
                let mut buffer = [0; 10];
                let count = server.read(&mut buffer).await?;
                Ok(buffer[..count].to_vec())
            });
            yield_now().await;
            next.write_all(b"for me").await?;
            assert_eq!(reader.await?, b"for me");
        }
        Ok(())
    });
}

#[test]
fn a_wake_from_another_thread_ends_the_sleep_of_the_event_loop() {
    test(async |cx| {
        let (mut listener, _) = listener()?;
        let accepting = cx.spawn(async move |_| Ok(listener.accept().await.map(drop)?));
        for _ in 0..200 {
            let mut asked = false;
            poll_fn(move |cx| {
                if std::mem::replace(&mut asked, true) {
                    return Poll::Ready(());
                }
                let waker = cx.waker().clone();
                thread::spawn(move || waker.wake());
                Poll::Pending
            })
            .await;
        }
        accepting.cancel().await
    });
}

#[test]
fn the_thread_sleeps_until_a_client_comes() {
    bounded(|| {
        let (sender, receiver) = mpsc::channel();
        let client = thread::spawn(move || -> io::Result<String> {
            let address: SocketAddr = receiver.recv().expect("the server sends its address");
            let mut stream = std::net::TcpStream::connect(address)?;
            stream.write_all(b"over to you")?;
            stream.shutdown(Shutdown::Write)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        run(async move |_| {
            let (mut listener, address) = listener()?;
            sender.send(address).expect("the client waits for it");
            let (mut stream, _) = listener.accept().await?;
            Ok(echo(&mut stream, Duration::MAX).await?)
        })
        .expect("no error");
        let answer = client.join().expect("the client does not panic");
        assert_eq!(answer.expect("no error"), "over to you");
    });
}

#[test]
fn a_socket_nobody_waits_for_is_no_reason_to_wait() {
    assert_stalled(&failure_of(async |_| {
        let _listener = listener()?;
        pending::<Result<()>>().await
    }));
}

#[test]
fn a_wait_that_was_given_up_is_no_reason_to_wait() {
    assert_stalled(&failure_of(async |_| {
        let (mut listener, _) = listener()?;
        assert!(family::poll_once(listener.accept()).await.is_none());
        pending::<Result<()>>().await
    }));
}

#[test]
fn a_wait_that_was_cancelled_is_no_reason_to_wait() {
    assert_stalled(&failure_of(async |cx| {
        let (mut listener, _) = listener()?;
        let reading = cx.spawn(async move |_| Ok(listener.accept().await.map(drop)?));
        yield_now().await;
        reading.cancel().await?;
        let shortage = cx.spawn(async |_| Ok(descriptor_freed().await));
        yield_now().await;
        shortage.cancel().await?;
        pending::<Result<()>>().await
    }));
}

#[test]
fn rule_5_a_task_that_waits_for_a_socket_is_cancelled_and_the_socket_is_closed() {
    test(async |cx| {
        for polled in [true, false] {
            let (mut client, mut server) = pair().await?;
            let echo = cx.spawn(async move |cx| {
                // The wait is a grandchild's.
                let child = cx.spawn(async move |_| Ok(server.read(&mut [0; 10]).await?));
                child.await
            });
            if polled {
                family::turns(3).await;
            }
            echo.cancel().await?;
            assert_eq!(read_to_end(&mut client).await?, b"");
        }
        Ok(())
    });
}

#[test]
#[expect(clippy::await_holding_refcell_ref, reason = "one task at a time")]
fn rule_5_what_was_there_to_read_for_a_cancelled_task_stays_for_the_next_one() {
    test(async |cx| {
        let (mut client, server) = pair().await?;
        let server = Rc::new(RefCell::new(server));
        for round in 0..20_u8 {
            let stream = server.clone();
            let reader = cx.spawn(async move |_| {
                let mut byte = [0];
                stream.borrow_mut().read(&mut byte).await?;
                Ok(byte[0])
            });
            yield_now().await;
            client.write_all(&[round]).await?;
            // The event may be there already, and the task be woken: it is cancelled all the same.
            if round % 2 == 0 {
                family::turns(100).await;
            }
            let over = reader.is_over();
            reader.cancel().await?;
            if !over {
                let mut byte = [0];
                server.borrow_mut().read(&mut byte).await?;
                assert_eq!(byte, [round]);
            }
        }
        Ok(())
    });
}

#[test]
fn events_are_looked_at_while_tasks_are_ready() {
    test(async |cx| {
        let busy = cx.spawn(async |_| -> Result<()> {
            loop {
                yield_now().await;
            }
        });
        let (mut client, mut server) = pair().await?;
        let server = cx.spawn(async move |_| Ok(echo(&mut server, Duration::MAX).await?));
        client.write_all(b"hello").await?;
        let mut buffer = [0; 5];
        read_exact(&mut client, &mut buffer).await?;
        assert_eq!(&buffer, b"hello");
        drop(client);
        server.await?;
        busy.cancel().await
    });
}

#[test]
fn reading_into_nothing_gives_the_others_their_turns() {
    test(async |cx| {
        let (_client, mut server) = pair().await?;
        let turns = turns_beside(cx, async move |_| {
            for _ in 0..10_000 {
                server.read(&mut []).await?;
                server.write_all(&[]).await?;
            }
            Ok(())
        });
        let turns = turns.await?;
        assert!(turns >= 140, "{turns} turns");
        Ok(())
    });
}

#[test]
fn a_socket_may_outlive_even_the_thread_locals() {
    thread_local! {
        static LATE: RefCell<Option<TcpListener>> = const { RefCell::new(None) };
    }
    bounded(|| {
        // Whichever of the two thread-locals, this one and the runtime's, is destroyed first.
        for early in [true, false] {
            let thread = thread::spawn(move || {
                if early {
                    LATE.set(None);
                }
                let outcome = run(async |_| Ok(LATE.set(Some(listener()?.0))));
                outcome.expect("a free port");
            });
            thread.join().expect("the thread ends well");
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_waker_used_after_its_run_keeps_nothing_open() {
    // In a process of its own the count would be exact; other tests open and close sockets, too.
    let open = || {
        std::fs::read_dir("/proc/self/fd")
            .expect("Linux has it")
            .count()
    };
    bounded(move || {
        let before = open();
        for _ in 0..2000 {
            run(async |_| Ok(own_waker().await))
                .expect("ends well")
                .wake();
        }
        let after = open();
        assert!(after < before + 1900, "{before} before, {after} after");
    });
}

#[test]
fn a_socket_that_leaves_its_run_is_harmless() {
    bounded(|| {
        let (mut client, server) = run(async |_| Ok(pair().await?)).expect("no error");
        let address = client.local_addr().expect("still open");
        assert_eq!(server.peer_addr().expect("still open"), address);
        // There is nothing to read, and nobody would ever wake the reader.
        let error = run(async move |_| Ok(client.read(&mut [0; 1]).await?));
        let text = error.expect_err("it would wait for ever").to_string();
        assert_eq!(text, "this socket's run has ended");
    });
}

#[test]
fn sockets_are_made_inside_of_run_only() {
    let error = TcpListener::bind("127.0.0.1:0").expect_err("not inside of run");
    assert_eq!(error.to_string(), "a socket can only be made inside of run");
}

#[test]
fn an_address_that_is_taken() {
    test(async |_| {
        let (_listener, address) = listener()?;
        let error = TcpListener::bind(address).expect_err("taken");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        Ok(())
    });
}

/// Counts the turns of a task that runs beside `body`.
async fn turns_beside(
    cx: &Cx,
    body: impl AsyncFnOnce(&Cx) -> Result<()> + 'static,
) -> Result<usize> {
    let turns = Rc::new(Cell::new(0));
    let count = turns.clone();
    let beside = cx.spawn(async move |_| -> Result<()> {
        loop {
            yield_now().await;
            count.set(count.get() + 1);
        }
    });
    cx.spawn(body).await?;
    beside.cancel().await?;
    Ok(turns.get())
}

#[test]
fn a_stream_that_is_always_ready_gives_the_others_their_turns() {
    test(async |cx| {
        let (mut client, mut server) = pair().await?;
        let sent = vec![1; 64 << 10];
        client.write_all(&sent).await?;
        let turns = turns_beside(cx, async move |_| {
            for _ in 0..10_000 {
                read_exact(&mut server, &mut [0; 1]).await?;
            }
            Ok(())
        });
        let turns = turns.await?;
        // 10,000 reads that never wait: at 128 in a turn, 78 turns.
        assert!(turns >= 70, "{turns} turns");
        Ok(())
    });
}

/// All connect before the first is accepted. Not many more would fit into the system's queue (128), and
/// the system may reset some of those that do not.
#[test]
fn a_hundred_clients_at_once_in_one_thread() {
    test(async |cx| {
        let (listener, address) = listener()?;
        let server = cx.spawn(async |cx| serve(cx, listener.owned(cx), Duration::MAX).await);
        let clients: Vec<_> = (0..100_u64)
            .map(|number| {
                cx.spawn(async move |_| {
                    let mut stream = TcpStream::connect(address).await?;
                    for round in 0..20 {
                        let sent = (number * 1000 + round).to_le_bytes();
                        stream.write_all(&sent).await?;
                        let mut answer = [0; 8];
                        read_exact(&mut stream, &mut answer).await?;
                        assert_eq!(answer, sent);
                    }
                    Ok(())
                })
            })
            .collect();
        for client in clients {
            client.await?;
        }
        server.cancel().await
    });
}

#[test]
fn a_descriptor_freed_here_is_noticed_at_once() {
    test(async |cx| {
        let (client, server) = pair().await?;
        let noticed = Rc::new(Cell::new(false));
        let flag = noticed.clone();
        let waiting = cx.spawn(async move |_| {
            descriptor_freed().await;
            flag.set(true);
            Ok(())
        });
        yield_now().await;
        assert!(!noticed.get());
        drop(client);
        yield_now().await;
        assert!(noticed.get());
        drop(server);
        waiting.await
    });
}

#[test]
fn a_descriptor_freed_elsewhere_is_tried_for_after_a_while() {
    test(async |_| {
        let start = Instant::now();
        // Beside something else that wakes the task: it does not end the wait.
        let (mut freed, mut other) = (pin!(descriptor_freed()), pin!(yield_now()));
        let mut yielded = false;
        poll_fn(|cx| {
            yielded = yielded || other.as_mut().poll(cx).is_ready();
            freed.as_mut().poll(cx)
        })
        .await;
        assert!(yielded && start.elapsed() >= Duration::from_millis(100));
        Ok(())
    });
}

#[test]
fn waiting_for_a_descriptor_outside_of_run_is_refused() {
    let mut waiting = pin!(descriptor_freed());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let text = panic_of(|| waiting.as_mut().poll(&mut cx).is_ready());
    assert_eq!(text, "descriptor_freed was awaited outside of run");
}

#[test]
fn clients_that_connect_from_threads_while_the_server_works() {
    bounded(|| {
        let (sender, receiver) = mpsc::channel::<SocketAddr>();
        let clients = thread::spawn(move || {
            let address = receiver.recv().expect("the server sends its address");
            let clients: Vec<_> = (0..8_u8)
                .map(|number| {
                    thread::spawn(move || {
                        for _ in 0..25 {
                            let mut stream =
                                std::net::TcpStream::connect(address).expect("connects");
                            stream
                                .set_read_timeout(Some(Duration::from_secs(10)))
                                .expect("allowed");
                            stream
                                .write_all(&[number; 100])
                                .expect("room for 100 bytes");
                            let mut answer = [0; 100];
                            stream.read_exact(&mut answer).expect("an answer");
                            assert_eq!(answer, [number; 100]);
                        }
                    })
                })
                .collect();
            for client in clients {
                client.join().expect("the client got its answers");
            }
        });
        let outcome = run(async move |cx| {
            let (mut listener, address) = listener()?;
            sender.send(address).expect("the clients wait for it");
            let mut served = cx.orphans();
            for _ in 0..200 {
                let (mut stream, _) = listener.accept().await?;
                served.spawn(async move |_| Ok(echo(&mut stream, Duration::MAX).await?));
            }
            while let Some(client) = served.next().await {
                client.expect("the client closes in good order");
            }
            Ok(())
        });
        outcome.expect("no error");
        clients.join().expect("all clients got their answers");
    });
}
