//! Rule 12: sockets that a task owns.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod owners;
mod world;

use ch08_mutexes_and_conditions::{Cx, Failure, Owned, ResourceState, Result, yield_now};
use ch08_mutexes_and_conditions::{TcpListener, TcpStream};
use owners::{leak, names, turns};
use socket2::SockRef;
use std::future::pending;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, Shutdown};
use std::sync::mpsc;
use std::time::Duration;
use world::{Gate, failure_of, other, poll_once, suppressed, test};

/// An owned end of a connection, and a plain one that blocks.
async fn pair(cx: &Cx) -> Result<(Owned<'_, TcpStream>, net::TcpStream)> {
    let mut listener = TcpListener::bind("127.0.0.1:0")?;
    let client = net::TcpStream::connect(listener.local_addr()?)?;
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (stream, _) = listener.accept().await?;
    Ok((stream.owned(cx), client))
}

async fn read(stream: &mut TcpStream) -> Result<String> {
    let mut buffer = [0; 64];
    let count = stream.read(&mut buffer).await?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

/// All that `peer` reads until the end of the stream.
fn rest(mut peer: net::TcpStream) -> io::Result<String> {
    let mut text = String::new();
    peer.read_to_string(&mut text)?;
    Ok(text)
}

/// Closes it so that the other end is told of a reset.
fn reset(peer: net::TcpStream) -> io::Result<()> {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO))
}

/// Waits until the system has told `stream`, of which nobody has read, of a reset.
async fn is_reset(stream: &TcpStream) {
    while stream.peer_addr().is_ok() {
        yield_now().await;
    }
}

// ---- who owns what, and its name ----

#[test]
fn rule_12_listen_connect_and_accept_make_the_task_the_owner() {
    test(0, async |cx| {
        let mut listener = cx.listen("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let mut client = cx.connect(address).await?;
        let (mut server, from) = listener.accept(cx).await?;
        let client_address = client.local_addr()?;
        assert_eq!(from, client_address);
        assert_eq!(listener.name(), format!("listener {address}"));
        assert_eq!(client.name(), format!("connection {address}"));
        assert_eq!(server.name(), format!("connection {client_address}"));
        assert_eq!(
            names(&cx.owned()),
            format!("listener {address} connection {address} connection {client_address}")
        );
        client.write_all(b"hello").await?;
        assert_eq!(read(&mut server).await?, "hello");
        server.release().await?;
        assert_eq!(read(&mut client).await?, "");
        client.release().await?;
        listener.release().await?;
        assert!(net::TcpStream::connect(address).is_err());
        assert_eq!(cx.owned(), []);
        Ok(())
    });
}

#[test]
fn rule_12_the_line_is_that_of_the_caller() {
    test(0, async |cx| {
        let line = line!() + 1;
        let mut listener = cx.listen("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let client = cx.connect(address);
        let client = client.await?;
        let accepting = listener.accept(cx);
        let (server, _) = accepting.await?;
        let plain = TcpStream::connect(address).await?;
        let plain = plain.owned(cx);
        let second = TcpListener::bind("127.0.0.1:0")?.owned(cx);
        let lines: Vec<u32> = cx.owned().iter().map(|r| r.owned_at.line()).collect();
        assert_eq!(lines, [line, line + 2, line + 4, line + 7, line + 8]);
        for resource in cx.owned() {
            assert!(resource.owned_at.file().ends_with("owned_sockets.rs"));
        }
        for stream in [client, server, plain] {
            stream.release().await?;
        }
        for listener in [listener, second] {
            listener.release().await?;
        }
        Ok(())
    });
}

#[test]
fn rule_12_errors_of_listen_and_connect_own_nothing() {
    test(0, async |cx| {
        let taken = cx.listen("127.0.0.1:0")?;
        let address = taken.local_addr()?;
        let error = cx.listen(address).map(drop).expect_err("it is taken");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert_eq!(cx.owned().len(), 1);
        taken.release().await?;
        let refused = cx
            .connect(address)
            .await
            .map(drop)
            .expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(cx.owned(), []);
        Ok(())
    });
}

#[test]
fn rule_12_connect_and_accept_that_are_dropped_own_nothing() {
    test(0, async |cx| {
        let mut listener = cx.listen("127.0.0.1:0")?;
        assert!(poll_once(listener.accept(cx)).await.is_none());
        drop(cx.connect(listener.local_addr()?));
        assert_eq!(cx.owned().len(), 1);
        // And the listener is as good as before.
        let mut client = net::TcpStream::connect(listener.local_addr()?)?;
        let (mut stream, _) = listener.accept(cx).await?;
        client.write_all(b"x")?;
        assert_eq!(read(&mut stream).await?, "x");
        stream.release().await?;
        listener.release().await
    });
}

#[test]
fn rule_12_a_scope_may_own_what_a_listener_of_the_task_accepts() {
    test(0, async |cx| {
        let mut listener = cx.listen("127.0.0.1:0")?;
        let client = net::TcpStream::connect(listener.local_addr()?)?;
        let scope = cx.scope(async |cx| {
            let (_stream, _) = listener.accept(cx).await?;
            assert_eq!(cx.owned().len(), 1);
            Err::<(), _>(Failure::msg("fails"))
        });
        assert!(scope.await.is_err());
        assert_eq!(rest(client)?, "");
        listener.release().await
    });
}

// ---- ends ----

#[test]
fn rule_12_the_peer_of_a_client_that_is_cancelled_sees_the_end() {
    test(1, async |cx| {
        for there in [false, true] {
            let waiting = Gate::default();
            let is_waiting = waiting.clone();
            let serve = async move |_: &Cx, mut stream: Owned<'_, TcpStream>| -> Result<()> {
                stream.write_all(b"welcome").await?;
                is_waiting.open();
                read(&mut stream).await?;
                pending().await
            };
            let (stream, client) = pair(cx).await?;
            let task = match there {
                false => cx
                    .give(stream)
                    .spawn(async move |cx, stream| serve(cx, stream).await),
                true => {
                    let plain = stream.detach()?;
                    cx.give(plain)
                        .call(async move |cx, plain| serve(cx, cx.adopt(plain)?).await)?
                }
            };
            waiting.passed().await;
            task.cancel().await?;
            assert_eq!(rest(client)?, "welcome", "what was written before arrives");
        }
        Ok(())
    });
}

#[test]
fn rule_12_the_peer_of_a_client_that_fails_sees_the_end_before_the_failure_is_seen() {
    test(0, async |cx| {
        let (stream, client) = pair(cx).await?;
        client.set_nonblocking(true)?;
        let task = cx
            .give(stream)
            .spawn(async |_, _stream| Err::<(), _>(Failure::msg("fails")));
        assert!(task.await.is_err());
        // It is there at once, not some day.
        let mut client = client;
        assert_eq!(client.read(&mut [0; 8])?, 0);
        Ok(())
    });
}

#[test]
fn rule_12_a_leaked_connection_is_named_and_closed() {
    let (name, named) = mpsc::channel();
    let (client, clients) = mpsc::channel();
    let failure = failure_of(0, async move |cx| {
        let (stream, peer) = pair(cx).await?;
        let _ = name.send(stream.name().to_owned());
        peer.set_nonblocking(true)?;
        // The newest is finalised first: the connection is open still.
        drop(cx.own("the other end", peer, move |mut peer| {
            let error = peer.read(&mut [0; 8]).expect_err("nothing is there yet");
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            Ok(client.send(peer)?)
        }));
        drop(stream);
        Ok(())
    });
    let (_, _, resources) = leak(&failure);
    let name = named.recv().expect("sent");
    assert_eq!(names(&resources), format!("{name} the other end"));
    assert!(resources.iter().all(|r| r.state == ResourceState::Kept));
    assert_eq!(suppressed(&failure), [""; 0]);
    let mut peer = clients.recv().expect("finalised");
    assert_eq!(peer.read(&mut [0; 8]).expect("it is closed"), 0);
}

#[test]
fn rule_12_release_of_a_connection_reports_a_reset() {
    test(0, async |cx| {
        let (stream, client) = pair(cx).await?;
        reset(client)?;
        is_reset(&stream).await;
        let failure = stream.release().await.expect_err("it was reset");
        let error = failure.downcast_ref::<io::Error>().expect("of the system");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(cx.owned(), []);
        Ok(())
    });
}

#[test]
fn rule_12_a_reset_at_a_bad_end_is_suppressed() {
    test(0, async |cx| {
        let (stream, client) = pair(cx).await?;
        reset(client)?;
        is_reset(&stream).await;
        let task = cx
            .give(stream)
            .spawn(async |_, _stream| Err::<(), _>(Failure::msg("the reason")));
        let failure = task.await.expect_err("fails");
        assert_eq!(failure.to_string(), "the reason");
        let told = suppressed(&failure);
        assert_eq!(told.len(), 1, "{failure:?}");
        assert!(told[0].starts_with("finaliser of connection 127.0.0.1:"));
        assert!(told[0].contains(", owned at ") && told[0].contains("owned_sockets.rs:"));
        Ok(())
    });
}

#[test]
fn rule_12_a_reset_that_was_read_is_not_told_twice() {
    test(0, async |cx| {
        let (mut stream, client) = pair(cx).await?;
        reset(client)?;
        let failure = read(&mut stream).await.expect_err("it was reset");
        let error = failure.downcast_ref::<io::Error>().expect("of the system");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        stream.release().await
    });
}

#[test]
fn rule_12_closing_what_the_other_end_has_closed_or_shut_down_is_no_error() {
    test(0, async |cx| {
        let (mut stream, client) = pair(cx).await?;
        drop(client);
        assert_eq!(read(&mut stream).await?, "");
        stream.release().await?;
        let (stream, client) = pair(cx).await?;
        stream.shutdown(Shutdown::Both)?;
        stream.release().await?;
        assert_eq!(rest(client)?, "");
        let (mut stream, client) = pair(cx).await?;
        stream.write_all(b"on its way").await?;
        stream.release().await?;
        assert_eq!(rest(client)?, "on its way");
        // Not owned, the same.
        let (stream, client) = pair(cx).await?;
        stream.disown().close()?;
        assert_eq!(rest(client)?, "");
        let listener = cx.listen("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        listener.disown().close()?;
        assert!(net::TcpStream::connect(address).is_err());
        Ok(())
    });
}

#[test]
fn rule_12_a_disowned_connection_outlives_its_task() {
    test(0, async |cx| {
        let mut listener = cx.listen("127.0.0.1:0")?;
        let client = net::TcpStream::connect(listener.local_addr()?)?;
        let task = cx
            .give(listener)
            .spawn(async |cx, mut listener: Owned<'_, TcpListener>| {
                let (stream, _) = listener.accept(cx).await?;
                listener.release().await?;
                Ok(stream.disown())
            });
        let mut stream = task.await?;
        turns(2).await;
        stream.write_all(b"still here").await?;
        drop(stream);
        assert_eq!(rest(client)?, "still here");
        listener = cx.listen("127.0.0.1:0")?;
        listener.release().await
    });
}

// ---- across domains ----

#[test]
fn rule_12_detach_and_adopt_keep_the_name_and_the_line() {
    test(2, async |cx| {
        let line = line!() + 1;
        let mut listener = cx.listen("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let mut client = net::TcpStream::connect(address)?;
        let (stream, from) = listener.accept(cx).await?;
        let both = (listener.detach()?, stream.detach()?);
        let check = move |cx: &Cx| {
            let list = cx.owned();
            let named = format!("listener {address} connection {from}");
            assert_eq!(names(&list), named);
            let lines: Vec<u32> = list.iter().map(|r| r.owned_at.line()).collect();
            assert_eq!(lines, [line, line + 3]);
        };
        check(cx);
        let task = cx
            .give(both)
            .call_on(other(cx, 1), async move |cx, (listener, stream)| {
                check(cx);
                let (mut listener, mut stream) = (cx.adopt(listener)?, cx.adopt(stream)?);
                check(cx);
                assert_eq!(stream.name(), format!("connection {from}"));
                assert_eq!(read(&mut stream).await?, "hello");
                let second = listener.accept(cx).await?.0;
                let _: () = second.release().await?;
                // And back, under the same names.
                listener.detach()?.transfer_across();
                let _: () = stream.detach()?.transfer_across();
                Ok(())
            })?;
        assert_eq!(cx.owned(), []);
        client.write_all(b"hello")?;
        assert_eq!(rest(net::TcpStream::connect(address)?)?, "");
        task.await?;
        check(cx);
        let listener = cx.receive::<net::TcpListener>().expect("back");
        let stream = cx.receive::<net::TcpStream>().expect("back");
        let mut stream = cx.adopt(stream)?;
        client.write_all(b"again")?;
        assert_eq!(read(&mut stream).await?, "again");
        stream.release().await?;
        assert_eq!(rest(client)?, "");
        listener.release().await?;
        assert!(net::TcpStream::connect(address).is_err());
        Ok(())
    });
}

#[test]
fn rule_12_a_detached_connection_is_closed_by_its_owner_wherever_it_is() {
    test(1, async |cx| {
        for cancel in [false, true] {
            let (stream, client) = pair(cx).await?;
            let running = Gate::default();
            let is_running = running.clone();
            let plain = stream.detach()?;
            let task = cx.give(plain).call(async move |_, _plain| {
                is_running.open();
                match cancel {
                    true => pending::<Result<()>>().await,
                    false => Err(Failure::msg("fails")),
                }
            })?;
            running.passed().await;
            match cancel {
                true => task.cancel().await?,
                false => assert!(task.await.is_err()),
            }
            assert_eq!(rest(client)?, "");
        }
        Ok(())
    });
}

#[test]
fn rule_12_a_detached_connection_reports_a_reset_too() {
    test(0, async |cx| {
        let (stream, client) = pair(cx).await?;
        let plain = stream.detach()?;
        reset(client)?;
        while plain.peer_addr().is_ok() {
            yield_now().await;
        }
        let failure = plain.release().await.expect_err("it was reset");
        let error = failure.downcast_ref::<io::Error>().expect("of the system");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        // Without a reset there is nothing to report.
        let (stream, client) = pair(cx).await?;
        stream.detach()?.release().await?;
        assert_eq!(rest(client)?, "");
        Ok(())
    });
}

#[test]
fn rule_12_a_hundred_clients_are_closed_by_the_end_of_their_server() {
    for how in 0..3 {
        test(1, async move |cx| {
            let mut listener = cx.listen("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            let running = Gate::default();
            let is_running = running.clone();
            let server = async move |cx: &Cx, plain: Owned<'_, net::TcpListener>| -> Result<()> {
                listener_of(cx, plain, is_running, how).await
            };
            let plain = listener.detach()?;
            let task = cx
                .give(plain)
                .call(async move |cx, plain| server(cx, plain).await)?;
            let mut clients = Vec::new();
            for _ in 0..100 {
                clients.push(net::TcpStream::connect(address)?);
            }
            running.passed().await;
            match how {
                0 => task.cancel().await?,
                _ => assert!(task.await.is_err()),
            }
            for client in clients {
                client.set_read_timeout(Some(Duration::from_secs(10)))?;
                assert_eq!(rest(client)?, "");
            }
            assert!(net::TcpStream::connect(address).is_err());
            listener = cx.listen("127.0.0.1:0")?;
            listener.release().await
        });
    }
}

/// A server of a hundred clients: it owns a third of them, its children a third, and a scope in it the others.
async fn listener_of(
    cx: &Cx,
    plain: Owned<'_, net::TcpListener>,
    running: Gate,
    how: usize,
) -> Result<()> {
    let mut listener = cx.adopt(plain)?;
    let mut orphans = cx.orphans();
    let mut owned = Vec::new();
    let scope = cx.scope(async |inner| {
        let mut scoped = Vec::new();
        for n in 0..100 {
            match n % 3 {
                0 => owned.push(listener.accept(cx).await?.0),
                1 => {
                    let (stream, _) = listener.accept(cx).await?;
                    orphans.give(stream).spawn(async |_, mut stream| {
                        let _ = read(&mut stream).await?;
                        pending::<Result<()>>().await
                    });
                }
                _ => scoped.push(listener.accept(inner).await?.0),
            }
        }
        yield_now().await;
        running.open();
        match how {
            0 => pending().await,
            1 => Err(Failure::msg("fails")),
            _ => panic!("so be it"),
        }
    });
    scope.await
}
