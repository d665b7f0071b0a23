//! Sockets: readiness, the end of a stream, errors, cancellation, fairness.

mod common;

use ch03_system_events::{
    Promise, TcpListener, TcpStream, descriptor_freed, echo, run, serve, spawn, yield_now,
};
use common::{bounded, panic_of};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::{Pin, pin};
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

/// Runs a test that may fail with an error, within a bound in time.
fn test<F: Future<Output = io::Result<()>> + 'static>(body: impl FnOnce() -> F + Send + 'static) {
    bounded(|| run(body())).expect("no error");
}

#[test]
fn bytes_arrive_and_then_the_end() {
    test(|| async {
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
    test(|| async {
        // Somebody waits for a socket, so events are looked at in passing.
        let (mut idle, _) = listener()?;
        drop(spawn(async move { idle.accept().await.map(drop) }));
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
        Ok(())
    });
}

#[test]
fn an_end_that_comes_after_a_short_read_is_seen() {
    test(|| async {
        let (mut client, mut server) = pair().await?;
        client.write_all(b"hello").await?;
        let mut buffer = [0; 100];
        assert_eq!(server.read(&mut buffer).await?, 5);
        let reader = spawn(async move { server.read(&mut [0; 100]).await });
        yield_now().await;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(reader.await?, 0);
        Ok(())
    });
}

#[test]
fn a_half_closed_stream_can_still_be_written_to() {
    test(|| async {
        let (mut client, server) = pair().await?;
        let server = spawn(echo(server));
        client.write_all(b"hello").await?;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(read_to_end(&mut client).await?, b"hello");
        server.await
    });
}

#[test]
fn a_writer_waits_for_a_slow_reader_and_loses_nothing() {
    test(|| async {
        const SIZE: usize = 8 << 20;
        let (mut client, mut server) = pair().await?;
        let sent: Vec<u8> = (0..SIZE).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let writer = spawn(async move {
            client.write_all(&sent).await?;
            client.shutdown(Shutdown::Write)
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
    test(|| async {
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
    test(|| async {
        let (mut client, server) = pair().await?;
        let server = spawn(echo(server));
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
    test(|| async {
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
    test(|| async {
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
    test(|| async {
        let (listener, address) = listener()?;
        drop(spawn(serve(listener)));
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
        Ok(())
    });
}

#[test]
fn a_reset_while_it_waits_wakes_the_reader() {
    test(|| async {
        let (mut client, mut server) = pair().await?;
        let reader = spawn(async move {
            client.write_all(b"unread").await?;
            client.read(&mut [0; 10]).await
        });
        yield_now().await;
        // Wait until the bytes are there, then close without reading all of them.
        server.read(&mut [0; 1]).await?;
        drop(server);
        let error = reader.await.expect_err("the connection was reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn a_read_that_is_dropped_takes_nothing() {
    test(|| async {
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
    test(|| async {
        for _ in 0..100 {
            let (mut client, server) = pair().await?;
            // The event is on its way when the socket goes and another takes its place.
            client.write_all(b"for nobody").await?;
            drop(server);
            let (mut next, mut server) = pair().await?;
            let reader = spawn(async move {
                let mut buffer = [0; 10];
                let count = server.read(&mut buffer).await?;
                io::Result::Ok(buffer[..count].to_vec())
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
    test(|| async {
        let (mut listener, _) = listener()?;
        drop(spawn(async move { listener.accept().await.map(drop) }));
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
        Ok(())
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
        run(async move {
            let (mut listener, address) = listener()?;
            sender.send(address).expect("the client waits for it");
            let (stream, _) = listener.accept().await?;
            echo(stream).await
        })
        .expect("no error");
        let answer = client.join().expect("the client does not panic");
        assert_eq!(answer.expect("no error"), "over to you");
    });
}

#[test]
fn a_socket_nobody_waits_for_is_no_reason_to_wait() {
    let text = bounded(|| {
        panic_of(|| {
            run(async {
                let _listener = listener();
                std::future::pending::<()>().await;
            })
        })
    });
    assert!(text.contains("nobody is left to wake one"), "{text}");
}

#[test]
fn a_wait_that_was_given_up_is_no_reason_to_wait() {
    let text = bounded(|| {
        panic_of(|| {
            run(async {
                let (mut listener, _) = listener().expect("a free port");
                let once = |accept: Pin<&mut dyn Future<Output = _>>, cx: &mut Context<'_>| {
                    assert!(accept.poll(cx).is_pending());
                    Poll::Ready(())
                };
                {
                    let mut accept = pin!(listener.accept());
                    poll_fn(|cx| once(accept.as_mut(), cx)).await;
                }
                std::future::pending::<()>().await;
            })
        })
    });
    assert!(text.contains("nobody is left to wake one"), "{text}");
}

#[test]
fn events_are_looked_at_while_tasks_are_ready() {
    test(|| async {
        drop(spawn(async {
            loop {
                yield_now().await;
            }
        }));
        let (mut client, server) = pair().await?;
        drop(spawn(echo(server)));
        client.write_all(b"hello").await?;
        let mut buffer = [0; 5];
        read_exact(&mut client, &mut buffer).await?;
        assert_eq!(&buffer, b"hello");
        Ok(())
    });
}

#[test]
fn reading_into_nothing_gives_the_others_their_turns() {
    test(|| async {
        let (_client, mut server) = pair().await?;
        let (_, turns) = turns_beside(async move {
            for _ in 0..10_000 {
                let _ = server.read(&mut []).await;
                let _ = server.write_all(&[]).await;
            }
        })
        .await;
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
                run(async { LATE.set(Some(listener().expect("a free port").0)) });
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
            run(poll_fn(|cx| Poll::Ready(cx.waker().clone()))).wake();
        }
        let after = open();
        assert!(after < before + 1900, "{before} before, {after} after");
    });
}

#[test]
fn a_socket_that_leaves_its_run_is_harmless() {
    bounded(|| {
        let (mut client, server) = run(pair()).expect("no error");
        let address = client.local_addr().expect("still open");
        assert_eq!(server.peer_addr().expect("still open"), address);
        // There is nothing to read, and nobody would ever wake the reader.
        let error = run(async move { client.read(&mut [0; 1]).await });
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
    test(|| async {
        let (_listener, address) = listener()?;
        let error = TcpListener::bind(address).expect_err("taken");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        Ok(())
    });
}

/// Counts the turns of a task that runs beside `body`.
async fn turns_beside<T: 'static>(body: impl Future<Output = T> + 'static) -> (T, usize) {
    let turns = Rc::new(Cell::new(0));
    let count = turns.clone();
    let beside: Promise<()> = spawn(async move {
        loop {
            yield_now().await;
            count.set(count.get() + 1);
        }
    });
    let value = spawn(body).await;
    drop(beside);
    (value, turns.get())
}

#[test]
fn a_stream_that_is_always_ready_gives_the_others_their_turns() {
    test(|| async {
        let (mut client, mut server) = pair().await?;
        let sent = vec![1; 64 << 10];
        client.write_all(&sent).await?;
        let (result, turns) = turns_beside(async move {
            for _ in 0..10_000 {
                read_exact(&mut server, &mut [0; 1]).await?;
            }
            io::Result::Ok(())
        })
        .await;
        result?;
        // 10,000 reads that never wait: at 128 in a turn, 78 turns.
        assert!(turns >= 70, "{turns} turns");
        Ok(())
    });
}

#[test]
fn promises_that_are_all_kept_give_the_others_their_turns() {
    let (sum, turns) = bounded(|| {
        run(async {
            let kept: Vec<Promise<u32>> = (0..10_000).map(|_| spawn(async { 1 })).collect();
            yield_now().await;
            turns_beside(async move {
                let mut sum = 0;
                for promise in kept {
                    sum += promise.await;
                }
                sum
            })
            .await
        })
    });
    assert_eq!(sum, 10_000);
    assert!(turns >= 70, "{turns} turns");
}

/// All connect before the first is accepted. Not many more would fit into the system's queue (128), and
/// the system may reset some of those that do not.
#[test]
fn a_hundred_clients_at_once_in_one_thread() {
    test(|| async {
        let (listener, address) = listener()?;
        drop(spawn(serve(listener)));
        let clients: Vec<_> = (0..100_u64)
            .map(|number| {
                spawn(async move {
                    let mut stream = TcpStream::connect(address).await?;
                    for round in 0..20 {
                        let sent = (number * 1000 + round).to_le_bytes();
                        stream.write_all(&sent).await?;
                        let mut answer = [0; 8];
                        read_exact(&mut stream, &mut answer).await?;
                        assert_eq!(answer, sent);
                    }
                    io::Result::Ok(())
                })
            })
            .collect();
        for client in clients {
            client.await?;
        }
        Ok(())
    });
}

#[test]
fn a_descriptor_freed_here_is_noticed_at_once() {
    test(|| async {
        let (client, server) = pair().await?;
        let noticed = Rc::new(Cell::new(false));
        let flag = noticed.clone();
        drop(spawn(async move {
            descriptor_freed().await;
            flag.set(true);
        }));
        yield_now().await;
        assert!(!noticed.get());
        drop(client);
        yield_now().await;
        assert!(noticed.get());
        drop(server);
        Ok(())
    });
}

#[test]
fn a_descriptor_freed_elsewhere_is_tried_for_after_a_while() {
    test(|| async {
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
        run(async move {
            let (mut listener, address) = listener().expect("a free port");
            sender.send(address).expect("the clients wait for it");
            let mut served = Vec::new();
            for _ in 0..200 {
                let (stream, _) = listener.accept().await.expect("a client");
                served.push(spawn(echo(stream)));
            }
            for client in served {
                client.await.expect("the client closes in good order");
            }
        });
        clients.join().expect("all clients got their answers");
    });
}

#[test]
fn looking_at_many_promises_that_are_not_kept_costs_nothing() {
    let polls = bounded(|| {
        run(async {
            // More than a budget, and the last one is the only one to be kept.
            let mut promises: Vec<Promise<()>> = (0..299).map(|_| spawn(pending())).collect();
            promises.push(spawn(yield_now()));
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                let kept = |promise: &mut Promise<()>| Pin::new(promise).poll(cx).is_ready();
                match promises.iter_mut().any(kept) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
            polls
        })
    });
    assert_eq!(polls, 2);
}
