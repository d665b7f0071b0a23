//! Sockets that go from one domain to another.

mod common;
mod served;
mod world;

use ch08_mutexes_and_conditions::{Adopt, Cx, Result, Runtime, TcpListener, TcpStream, yield_now};
use common::bounded;
use served::echo;
use std::io::{Read, Write};
use std::net;
use std::pin::pin;
use std::time::Duration;
use world::{Gate, other, poll_once, test, with};

/// Two ends of one connection: this runtime's, and a plain one that blocks.
async fn pair() -> Result<(TcpStream, net::TcpStream)> {
    let mut listener = TcpListener::bind("127.0.0.1:0")?;
    let client = net::TcpStream::connect(listener.local_addr()?)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, client))
}

async fn read(stream: &mut TcpStream) -> Result<String> {
    let mut buffer = [0; 64];
    let count = stream.read(&mut buffer).await?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

#[test]
fn a_stream_goes_to_another_domain_in_the_middle_of_a_conversation() {
    test(2, async |cx| {
        let (mut stream, mut client) = pair().await?;
        client.write_all(b"one")?;
        assert_eq!(read(&mut stream).await?, "one");
        stream.write_all(b"first").await?;
        // This is there already when it goes.
        client.write_all(b"two")?;
        let mut stream = stream.detach()?;
        for domain in cx.domains() {
            stream = cx
                .call_on(domain, async move |cx| {
                    let mut stream = cx.adopt(stream)?;
                    assert_eq!(read(&mut stream).await?, "two");
                    stream.write_all(b"second").await?;
                    Ok(stream.detach()?)
                })?
                .await?;
            client.write_all(b"two")?;
        }
        // And back again.
        let mut stream = cx.adopt(stream)?;
        assert_eq!(read(&mut stream).await?, "two");
        stream.write_all(b"third").await?;
        drop(stream);
        let mut answers = String::new();
        client.read_to_string(&mut answers)?;
        assert_eq!(answers, "firstsecondsecondthird");
        Ok(())
    });
}

#[test]
fn an_adopted_stream_waits_for_what_is_not_there_yet() {
    test(1, async |cx| {
        let (mut stream, mut client) = pair().await?;
        client.write_all(b"x")?;
        assert_eq!(read(&mut stream).await?, "x");
        let stream = stream.detach()?;
        let waiting = Gate::default();
        let is_waiting = waiting.clone();
        let task = cx.call(async move |cx| {
            let mut stream = cx.adopt(stream)?;
            is_waiting.open();
            read(&mut stream).await
        })?;
        waiting.passed().await;
        client.write_all(b"later")?;
        assert_eq!(task.await?, "later");
        Ok(())
    });
}

#[test]
fn a_stream_whose_other_end_has_gone_goes_too() {
    test(1, async |cx| {
        let (stream, client) = pair().await?;
        drop(client);
        let stream = stream.detach()?;
        let read = cx.call(async move |cx| read(&mut cx.adopt(stream)?).await)?;
        assert_eq!(read.await?, "");
        Ok(())
    });
}

#[test]
fn a_listener_goes_to_another_domain_with_the_clients_that_wait() {
    test(2, async |cx| {
        let mut listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let first = net::TcpStream::connect(address)?;
        let (stream, _) = listener.accept().await?;
        let second = net::TcpStream::connect(address)?;
        let plain = listener.detach()?;
        let task = cx.call(async move |cx| {
            let mut listener = cx.adopt(plain)?;
            let second = listener.accept().await?.1;
            let third = listener.accept().await?.1;
            Ok((second, third, listener.detach()?))
        })?;
        while !task.is_over() {
            // Comes while it waits there, or before.
            yield_now().await;
            if let Ok(third) = net::TcpStream::connect(address) {
                let (a, b, plain) = task.await?;
                assert_eq!((a, b), (second.local_addr()?, third.local_addr()?));
                assert_eq!(plain.local_addr()?, address);
                break;
            }
        }
        drop((first, stream));
        Ok(())
    });
}

#[test]
fn what_was_detached_leaves_room_for_others() {
    // A place in the event loop is used again; an event for the former socket does no harm.
    test(1, async |cx| {
        for _ in 0..50 {
            let (stream, mut client) = pair().await?;
            let plain = stream.detach()?;
            let (mut other_stream, mut other_client) = pair().await?;
            client.write_all(b"for the one that has gone")?;
            other_client.write_all(b"here")?;
            assert_eq!(read(&mut other_stream).await?, "here");
            let task = cx.call(async move |cx| read(&mut cx.adopt(plain)?).await)?;
            assert_eq!(task.await?, "for the one that has gone");
        }
        Ok(())
    });
}

#[test]
fn adopting_outside_of_a_run_is_an_error() {
    let listener = net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let stream = net::TcpStream::connect(listener.local_addr().expect("an address"));
    let error = stream
        .expect("connects")
        .adopt()
        .map(drop)
        .expect_err("no run");
    assert_eq!(error.to_string(), "a socket can only be made inside of run");
    assert!(listener.adopt().is_err());
}

#[test]
fn a_socket_that_blocks_is_adopted_as_one_that_does_not() {
    test(1, async |cx| {
        let plain = net::TcpListener::bind("127.0.0.1:0")?;
        let mut client = net::TcpStream::connect(plain.local_addr()?)?;
        let (stream, _) = plain.accept()?;
        let waiting = Gate::default();
        let is_waiting = waiting.clone();
        let server = cx.call(async |cx| {
            let mut stream = cx.adopt(stream)?;
            let server = cx.spawn(async move |_| Ok(echo(&mut stream, Duration::MAX).await?));
            // Has its turn when the other one waits for the client.
            let other = cx.spawn(async move |_| {
                is_waiting.open();
                Ok(())
            });
            other.await?;
            server.await
        })?;
        waiting.passed().await;
        client.write_all(b"hello")?;
        client.shutdown(net::Shutdown::Write)?;
        server.await?;
        let mut answer = String::new();
        client.read_to_string(&mut answer)?;
        assert_eq!(answer, "hello");
        Ok(())
    });
}

#[test]
fn rule_17_a_socket_that_leaves_the_run_is_harmless() {
    bounded(|| {
        let made = with(2).run(async |cx| {
            let (stream, client) = pair().await?;
            // The run has several domains, and they have used sockets as well.
            cx.call_on(other(cx, 0), async |_| pair().await.map(drop))?
                .await?;
            Ok((stream, client, TcpListener::bind("127.0.0.1:0")?))
        });
        let (mut stream, mut client, mut listener) = made.expect("ends well");
        client.write_all(b"hello").expect("is open");
        let again = with(1).run(async move |cx| {
            let error = listener
                .accept()
                .await
                .map(drop)
                .expect_err("its run has ended");
            assert_eq!(error.to_string(), "this socket's run has ended");
            // What needs no waiting goes on, and detached it is as good as new.
            let mut buffer = [0; 5];
            stream.read(&mut buffer).await?;
            let plain = stream.detach()?;
            client.write_all(b"again")?;
            let task = cx.call(async move |cx| read(&mut cx.adopt(plain)?).await)?;
            assert_eq!(task.await?, "again");
            Ok(())
        });
        again.expect("ends well");
    });
}

#[test]
fn streams_of_two_domains_talk_to_each_other() {
    async fn server(cx: &Cx, plain: net::TcpListener) -> Result<()> {
        let (mut stream, _) = cx.adopt(plain)?.accept().await?;
        Ok(echo(&mut stream, Duration::MAX).await?)
    }
    let runtime = Runtime::builder().domains(2).build();
    bounded(|| {
        runtime.run(async |cx| {
            let plain = TcpListener::bind("127.0.0.1:0")?.detach()?;
            let address = plain.local_addr()?;
            let server = cx.call_on(other(cx, 0), async move |cx| server(cx, plain).await)?;
            let client = cx.call_on(other(cx, 1), async move |_| {
                let mut stream = TcpStream::connect(address).await?;
                for round in 0..200 {
                    stream.write_all(format!("{round:03}").as_bytes()).await?;
                    assert_eq!(read(&mut stream).await?, format!("{round:03}"));
                }
                Ok(())
            })?;
            client.await?;
            server.await
        })
    })
    .expect("ends well");
}

/// A read stops short of urgent data: then it is no sign that nothing is left.
#[cfg(target_os = "linux")]
#[test]
fn what_comes_after_urgent_data_is_read() {
    test(0, async |_| {
        let mut listener = TcpListener::bind("127.0.0.1:0")?;
        let client = net::TcpStream::connect(listener.local_addr()?)?;
        client.set_nodelay(true)?;
        let (mut stream, _) = listener.accept().await?;
        let mut buffer = [0; 64];
        let client = socket2::Socket::from(client);
        client.send(b"hello")?;
        assert_eq!(stream.read(&mut buffer).await?, 5);
        let count = {
            // It finds nothing, and waits from now on for what the system has to say.
            let mut next = pin!(stream.read(&mut buffer));
            for _ in 0..200 {
                assert!(poll_once(next.as_mut()).await.is_none());
                yield_now().await;
            }
            client.send(b"abc")?;
            client.send_out_of_band(b"!")?;
            client.send(b"def")?;
            next.await?
        };
        let mut bytes = buffer[..count].to_vec();
        while bytes.len() < 6 {
            let count = stream.read(&mut buffer).await?;
            bytes.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(String::from_utf8_lossy(&bytes), "abcdef");
        Ok(())
    });
}

#[test]
fn an_operation_that_was_forgotten_hides_no_stall() {
    let run = bounded(|| {
        Runtime::builder().domains(0).build().run(async |_| {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let mut stream = TcpStream::connect(listener.local_addr()?).await?;
            let mut buffer = [0; 4];
            let mut read = Box::pin(stream.read(&mut buffer));
            assert!(poll_once(read.as_mut()).await.is_none());
            std::mem::forget(read);
            drop(stream);
            std::future::pending::<Result<()>>().await
        })
    });
    let failure = run.expect_err("it stalls");
    assert!(failure.to_string().starts_with("every task waits"));
}
