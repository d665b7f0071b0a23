//! The echo server and clients that do nothing, and its farewell.
#![allow(
    clippy::unit_arg,
    reason = "`Ok(…)` around what gives nothing is short and clear"
)]

mod common;
mod served;
mod times;
mod world;

use ch08_mutexes_and_conditions::{Cx, Result, Task, TcpListener, TcpStream, echo, sleep, timeout};
use served::serve;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, Shutdown, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};
use times::{HOUR, SOON, assert_soon, ms};
use world::test;

/// A server, and where it is.
fn server(cx: &Cx, idle: Duration) -> Result<(Task<'_, ()>, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = cx.spawn(async move |cx| serve(cx, listener.owned(cx), idle).await);
    Ok((server, address))
}

/// Two ends of one connection.
async fn pair() -> Result<(TcpStream, TcpStream)> {
    let mut listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    Ok((client, listener.accept().await?.0))
}

#[test]
fn a_client_that_is_silent_for_too_long_is_closed() {
    test(0, async |cx| {
        let (server, address) = server(cx, ms(100))?;
        let start = Instant::now();
        let mut client = TcpStream::connect(address).await?;
        client.write_all(b"hello").await?;
        let mut buffer = [0; 16];
        assert_eq!(client.read(&mut buffer).await?, 5);
        // And one that never says anything.
        let mut silent = TcpStream::connect(address).await?;
        assert_eq!(client.read(&mut buffer).await?, 0);
        assert!(start.elapsed() >= ms(100));
        assert_eq!(silent.read(&mut buffer).await?, 0);
        assert_soon(start);
        // The server has heard of them, or is told now.
        drop((client, silent));
        if let Err(failure) = server.cancel().await {
            let told = world::suppressed(&failure);
            let idle = |text: &String| text.ends_with(": idle for 100ms, closed");
            assert!(told.iter().all(idle), "{told:?}");
        }
        Ok(())
    });
}

#[test]
fn one_that_is_active_is_not() {
    test(0, async |cx| {
        const IDLE: Duration = Duration::from_secs(2);
        let (server, address) = server(cx, IDLE)?;
        let mut client = TcpStream::connect(address).await?;
        let start = Instant::now();
        while start.elapsed() < IDLE + IDLE / 4 {
            client.write_all(b"hello").await?;
            assert_eq!(client.read(&mut [0; 16]).await?, 5);
            sleep(ms(50)).await;
        }
        server.cancel().await
    });
}

#[test]
fn for_ever_is_for_ever() {
    test(0, async |_| {
        let (client, mut far) = pair().await?;
        let mut echoing = Box::pin(echo(&mut far, Duration::MAX));
        assert!(timeout(ms(50), &mut echoing).await.is_err());
        client.shutdown(Shutdown::Write)?;
        assert_eq!(echoing.await?, 0);
        Ok(())
    });
}

#[test]
fn the_failure_says_how_long_it_was_idle() {
    test(0, async |_| {
        let (_client, mut far) = pair().await?;
        let error = echo(&mut far, ms(50)).await.expect_err("nothing comes");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "idle for 50ms, closed");
        Ok(())
    });
}

#[test]
fn one_that_does_not_read_is_idle_too() {
    test(0, async |cx| {
        let (mut client, mut far) = pair().await?;
        let sends = cx.spawn(async move |_| -> Result<()> {
            loop {
                client.write_all(&[7; 1 << 16]).await?;
            }
        });
        let start = Instant::now();
        let error = echo(&mut far, ms(200)).await.expect_err("nobody reads");
        assert_eq!(error.to_string(), "idle for 200ms, closed");
        assert!(start.elapsed() >= ms(200));
        assert_soon(start);
        sends.cancel().await
    });
}

/// A program of its own, so that what it reports can be read.
#[test]
fn the_server_says_so_and_names_the_client() {
    use std::process::{Command, Stdio};
    let mut server = Command::new(env!("CARGO_BIN_EXE_ch08-mutexes-and-conditions"))
        .args(["--listen", "127.0.0.1:0", "--domains", "1"])
        .args(["--idle-timeout", "0.1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut talk = || -> io::Result<String> {
        let mut line = Vec::new();
        let stdout = server.stdout.as_mut().expect("is piped");
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            stdout.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let address = line.trim().rsplit(' ').next().unwrap_or_default();
        let mut client = net::TcpStream::connect(address)?;
        client.set_read_timeout(Some(SOON))?;
        assert_eq!(client.read(&mut [0; 16])?, 0);
        Ok(client.local_addr()?.to_string())
    };
    let client = talk();
    // What it reports comes when the farewell is over, a second later at most, if the client is gone or not.
    thread::sleep(Duration::from_secs(2));
    server.kill().expect("it is there");
    let output = server.wait_with_output().expect("it has ended");
    let report = String::from_utf8_lossy(&output.stderr);
    let expected = format!(
        "client {}: idle for 100ms, closed",
        client.expect("is closed")
    );
    assert!(report.contains(&expected), "{report}");
}

// ---- the farewell ----

#[test]
fn the_last_bytes_arrive_although_the_client_is_still_sending() {
    test(0, async |cx| {
        // It is idle because it does not read; then the connection is closed with bytes of its own unread.
        let (server, address) = server(cx, ms(200))?;
        let client = thread::spawn(move || -> io::Result<(usize, usize)> {
            let mut client = net::TcpStream::connect(address)?;
            client.set_read_timeout(Some(SOON))?;
            client.write_all(b"hello")?;
            let mut echoed = [0; 5];
            client.read_exact(&mut echoed)?;
            // The server gives up, and shuts down its half. What comes then is read by nobody else.
            assert_eq!(client.peek(&mut [0])?, 0);
            let mut sent = 0;
            for _ in 0..5 {
                client.write_all(&[7; 1000])?;
                sent += 1000;
                thread::sleep(ms(5));
            }
            // No reset: the end, in good order.
            let mut rest = Vec::new();
            client.read_to_end(&mut rest)?;
            Ok((sent, rest.len()))
        });
        while !client.is_finished() {
            sleep(ms(5)).await;
        }
        let (sent, rest) = client.join().expect("no panic")?;
        assert_eq!((sent, rest), (5000, 0));
        // The server has heard of it, or is told now.
        if let Err(failure) = server.cancel().await {
            let told = world::suppressed(&failure);
            let idle = |text: &String| text.ends_with(": idle for 200ms, closed");
            assert!(told.iter().all(idle), "{told:?}");
        }
        Ok(())
    });
}

#[test]
fn a_server_that_is_cancelled_says_goodbye_to_its_clients() {
    test(0, async |cx| {
        let (server, address) = server(cx, HOUR)?;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = TcpStream::connect(address).await?;
            client.write_all(b"hello").await?;
            assert_eq!(client.read(&mut [0; 16]).await?, 5);
            clients.push(client);
        }
        let start = Instant::now();
        let cancel = server.cancel();
        for mut client in clients {
            // The end, while the server still listens to what comes.
            assert_eq!(client.read(&mut [0; 16]).await?, 0);
            client.write_all(b"late").await?;
        }
        cancel.await?;
        // Side by side: a client that stays costs a second at most, all together.
        assert_soon(start);
        Ok(())
    });
}

#[test]
fn a_client_that_stays_is_given_up_after_a_second() {
    test(0, async |cx| {
        let (server, address) = server(cx, HOUR)?;
        let mut client = TcpStream::connect(address).await?;
        client.write_all(b"hello").await?;
        assert_eq!(client.read(&mut [0; 16]).await?, 5);
        let start = Instant::now();
        let ended = server.cancel().await;
        assert!(start.elapsed() >= ms(1000));
        assert_soon(start);
        // It says that it could not wait for the client's goodbye, or keeps quiet about it; never does it hang.
        drop((ended, client));
        Ok(())
    });
}
