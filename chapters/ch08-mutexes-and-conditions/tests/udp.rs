//! Datagrams.

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{Adopt, UdpSocket, timeout};
use std::io::ErrorKind;
use std::net;
use times::ms;
use world::{poll_once, test};

fn pair() -> std::io::Result<(UdpSocket, UdpSocket)> {
    let (one, other) = (
        UdpSocket::bind("127.0.0.1:0")?,
        UdpSocket::bind("127.0.0.1:0")?,
    );
    one.connect(other.local_addr()?)?;
    other.connect(one.local_addr()?)?;
    Ok((one, other))
}

#[test]
fn each_is_one_whatever_its_length_and_an_empty_one_is_no_end() {
    test(0, async |_| {
        let (mut one, mut other) = pair()?;
        let mut buffer = [0; 2000];
        for length in [0, 1, 1472, 1500, 0, 2000, 0] {
            assert_eq!(one.send(&[7; 2000][..length]).await?, length);
        }
        for length in [0, 1, 1472, 1500, 0, 2000, 0] {
            assert_eq!(other.recv(&mut buffer).await?, length);
        }
        assert!(poll_once(other.recv(&mut buffer)).await.is_none());
        Ok(())
    });
}

#[test]
fn what_does_not_fit_is_lost_and_the_next_one_is_whole() {
    test(0, async |_| {
        let (mut one, mut other) = pair()?;
        for text in ["hello", "world", "again"] {
            one.send(text.as_bytes()).await?;
        }
        let mut buffer = [0; 3];
        assert_eq!(other.recv(&mut buffer).await?, 3);
        assert_eq!(&buffer, b"hel");
        assert_eq!(other.recv(&mut []).await?, 0, "all of it is lost");
        let (count, from) = other.recv_from(&mut buffer).await?;
        assert_eq!((count, from), (3, one.local_addr()?));
        assert_eq!(&buffer, b"aga");
        Ok(())
    });
}

#[test]
fn one_that_is_too_long_is_an_error_and_harms_no_other() {
    test(0, async |_| {
        let (mut one, mut other) = pair()?;
        // More than the protocol has a number for.
        assert!(one.send(&vec![0; 1 << 16]).await.is_err());
        let address = other.local_addr()?;
        assert!(one.send_to(&vec![0; 1 << 20], address).await.is_err());
        one.send(b"short").await?;
        assert_eq!(other.recv(&mut [0; 16]).await?, 5);
        Ok(())
    });
}

#[cfg(target_os = "linux")]
#[test]
fn one_that_nobody_takes_is_told_to_who_is_connected() {
    test(0, async |_| {
        let (mut one, other) = pair()?;
        let plain = other.detach()?;
        let address = plain.local_addr()?;
        drop(plain);
        one.send(b"is anybody there?").await?;
        let error = one.recv(&mut [0; 16]).await.expect_err("is refused");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // It was told once. The socket is as good as before.
        assert!(timeout(ms(10), one.recv(&mut [0; 16])).await.is_err());
        let mut again = UdpSocket::bind(address)?;
        one.send(b"hello").await?;
        assert_eq!(again.recv(&mut [0; 16]).await?, 5);
        Ok(())
    });
}

#[test]
fn who_is_connected_hears_nobody_else() {
    test(0, async |_| {
        let (mut one, mut other) = pair()?;
        let mut stranger = UdpSocket::bind("127.0.0.1:0")?;
        let address = other.local_addr()?;
        stranger.send_to(b"psst", address).await?;
        one.send(b"hello").await?;
        let (count, from) = other.recv_from(&mut [0; 16]).await?;
        assert_eq!((count, from), (5, one.local_addr()?));
        assert!(poll_once(other.recv(&mut [0; 16])).await.is_none());
        assert!(stranger.send(b"to whom?").await.is_err());
        Ok(())
    });
}

#[test]
fn a_recv_that_was_dropped_has_taken_none() {
    test(0, async |_| {
        let (mut one, mut other) = pair()?;
        assert!(poll_once(other.recv(&mut [0; 16])).await.is_none());
        one.send(b"hello").await?;
        assert!(timeout(ms(20), std::future::pending::<()>()).await.is_err());
        drop(other.recv(&mut [0; 16]));
        assert_eq!(other.recv(&mut [0; 16]).await?, 5);
        Ok(())
    });
}

#[test]
fn a_thousand_arrive_in_turns() {
    test(1, async |cx| {
        let (mut one, other) = pair()?;
        let plain = other.detach()?;
        let echo = cx.call(async move |_| {
            let mut other = plain.adopt()?;
            let mut buffer = [0; 16];
            for _ in 0..1000 {
                let count = other.recv(&mut buffer).await?;
                other.send(&buffer[..count]).await?;
            }
            Ok(())
        })?;
        for number in 0..1000_u32 {
            let bytes = number.to_be_bytes();
            one.send(&bytes).await?;
            let mut buffer = [0; 16];
            assert_eq!(one.recv(&mut buffer).await?, 4);
            assert_eq!(buffer[..4], bytes);
        }
        echo.await
    });
}

#[test]
fn one_that_is_owned_is_closed_with_its_task() {
    test(0, async |cx| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        let task = cx.spawn(async move |cx| {
            let mut socket = socket.owned(cx);
            socket.recv(&mut [0; 16]).await?;
            socket.release().await
        });
        ch08_mutexes_and_conditions::yield_now().await;
        assert!(net::UdpSocket::bind(address).is_err(), "is in use");
        task.cancel().await?;
        net::UdpSocket::bind(address)?;
        assert!(UdpSocket::bind(&[][..]).is_err(), "no address");
        Ok(())
    });
}
