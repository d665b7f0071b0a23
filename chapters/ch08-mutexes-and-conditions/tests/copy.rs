//! From one stream to another.

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{
    AsyncRead, AsyncWrite, Result, TcpListener, TcpStream, UnixStream, copy, timeout, yield_now,
};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use times::ms;
use world::{poll_once, test};

/// Gives what it has in pieces of `step`, then the end, or an error.
struct Source {
    left: usize,
    step: usize,
    fails: Option<ErrorKind>,
}

impl AsyncRead for Source {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        yield_now().await;
        let count = self.left.min(self.step).min(buffer.len());
        if let (0, Some(kind)) = (count, self.fails) {
            return Err(kind.into());
        }
        buffer[..count].fill(7);
        self.left -= count;
        Ok(count)
    }
}

/// Takes `step` at once, and no more than `room` in all.
#[derive(Default)]
struct Target {
    taken: usize,
    room: usize,
    step: usize,
    fails: Option<ErrorKind>,
}

impl AsyncWrite for Target {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        yield_now().await;
        let count = bytes.len().min(self.step).min(self.room - self.taken);
        if let (0, Some(kind)) = (count, self.fails) {
            return Err(kind.into());
        }
        assert!(bytes.iter().all(|&byte| byte == 7));
        self.taken += count;
        Ok(count)
    }
}

#[test]
fn all_is_copied_in_whatever_pieces() {
    test(0, async |_| {
        for (left, from, to) in [
            (0, 1, 1),
            (1, 1, 1),
            (100, 7, 3),
            (100_000, 99_999, 1000),
            (16 * 1024, 16 * 1024, 16 * 1024),
            (50_000, 1000, usize::MAX),
        ] {
            let (step, fails) = (from, None);
            let mut source = Source { left, step, fails };
            let mut target = Target {
                room: usize::MAX,
                step: to,
                ..Target::default()
            };
            assert_eq!(copy(&mut source, &mut target).await?, left as u64);
            assert_eq!((source.left, target.taken), (0, left));
        }
        Ok(())
    });
}

#[test]
fn an_error_of_either_side_is_the_error() {
    test(0, async |_| {
        let mut source = Source {
            left: 500,
            step: 100,
            fails: Some(ErrorKind::ConnectionReset),
        };
        let mut target = Target {
            room: usize::MAX,
            step: 10,
            ..Target::default()
        };
        let error = copy(&mut source, &mut target).await.expect_err("fails");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(target.taken, 500, "what came before has arrived");
        for (fails, expected) in [
            (Some(ErrorKind::BrokenPipe), ErrorKind::BrokenPipe),
            (None, ErrorKind::WriteZero),
        ] {
            let (left, step) = (500, 100);
            let mut source = Source {
                left,
                step,
                fails: None,
            };
            let mut target = Target {
                room: 250,
                step: 40,
                taken: 0,
                fails,
            };
            let error = copy(&mut source, &mut target).await.expect_err("fails");
            assert_eq!((error.kind(), target.taken), (expected, 250));
        }
        Ok(())
    });
}

async fn tcp() -> Result<(TcpStream, TcpStream)> {
    let mut listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    Ok((client, listener.accept().await?.0))
}

#[test]
fn from_one_kind_to_the_other_while_the_target_reads_slowly() {
    test(0, async |cx| {
        const SIZE: usize = 4 << 20;
        let (mut near, mut from) = tcp().await?;
        let (mut to, mut far) = UnixStream::pair()?;
        let sends = cx.spawn(async move |_| {
            near.write_all(&vec![7; SIZE]).await?;
            Ok(near.shutdown(Shutdown::Write)?)
        });
        let copies = cx.spawn(async move |_| {
            let count = copy(&mut from, &mut to).await?;
            to.shutdown(Shutdown::Write)?;
            Ok(count)
        });
        let mut total = 0;
        let mut buffer = vec![0; 5000];
        loop {
            match far.read(&mut buffer).await? {
                0 => break,
                count => total += count,
            }
            yield_now().await;
        }
        sends.await?;
        assert_eq!((copies.await?, total), (SIZE as u64, SIZE));
        Ok(())
    });
}

#[test]
fn one_that_is_cancelled_leaves_both_streams_usable() {
    test(0, async |_| {
        let (mut near, mut from) = tcp().await?;
        let (mut to, mut far) = tcp().await?;
        near.write_all(b"hello").await?;
        let copying = copy(&mut from, &mut to);
        assert!(timeout(ms(50), copying).await.is_err(), "there is no end");
        let mut buffer = [0; 16];
        assert_eq!(far.read(&mut buffer).await?, 5);
        // Nothing was on its way: the next byte is the next one.
        near.write_all(b"!").await?;
        assert_eq!(from.read(&mut buffer).await?, 1);
        to.write_all(b"?").await?;
        assert_eq!(far.read(&mut buffer).await?, 1);
        assert!(poll_once(far.read(&mut buffer)).await.is_none());
        Ok(())
    });
}

#[test]
fn a_target_that_is_gone_ends_it() {
    test(0, async |cx| {
        let (mut near, mut from) = tcp().await?;
        let (mut to, far) = tcp().await?;
        drop(far);
        let sends = cx.spawn(async move |_| -> Result<()> {
            loop {
                near.write_all(&[7; 1000]).await?;
            }
        });
        let error = copy(&mut from, &mut to).await.expect_err("is gone");
        let expected = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(expected.contains(&error.kind()), "{error}");
        sends.cancel().await
    });
}
