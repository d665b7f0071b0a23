//! Streams of both kinds: several pieces at once, both halves at once, and half-closing.

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{
    Either, Kind, Result, Stream, Tcp, TcpListener, TcpStream, Unix, UnixStream, race, timeout,
};
use std::future::pending;
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::pin;
use times::ms;
use world::{poll_once, test};

async fn tcp() -> Result<(Stream<Tcp>, Stream<Tcp>)> {
    let mut listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    Ok((client, listener.accept().await?.0))
}

fn unix() -> Result<(Stream<Unix>, Stream<Unix>)> {
    Ok(UnixStream::pair()?)
}

/// Bytes that differ from their neighbours.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 31 + n / 251) as u8).collect()
}

async fn read_exactly<K: Kind>(stream: &mut Stream<K>, count: usize) -> Result<Vec<u8>> {
    let mut all = vec![0; count];
    let mut have = 0;
    while have < count {
        match stream.read(&mut all[have..]).await? {
            0 => break,
            count => have += count,
        }
    }
    all.truncate(have);
    Ok(all)
}

/// Everything that both kinds have in common.
macro_rules! both {
    ($($name:ident => $check:ident;)*) => {
        mod over_tcp {
            $(#[test]
            fn $name() {
                super::test(0, async |_| {
                    let (one, other) = super::tcp().await?;
                    super::$check(one, other).await
                });
            })*
        }
        mod over_unix {
            $(#[test]
            fn $name() {
                super::test(0, async |_| {
                    let (one, other) = super::unix()?;
                    super::$check(one, other).await
                });
            })*
        }
    };
}

both! {
    pieces_are_sent_and_filled_in_their_order => pieces;
    empty_pieces_are_none => empty_pieces;
    more_pieces_than_the_system_takes => many_pieces;
    pieces_larger_than_all_buffers => large_pieces;
    both_halves_at_once_in_one_task => both_halves;
    a_half_that_was_dropped_while_it_waited_has_taken_nothing => dropped_halves;
    half_closing_leaves_the_other_direction => half_closed;
    no_more_wanted_is_an_error_for_the_writer => no_more_wanted;
    a_peer_that_is_gone => gone;
    ping_and_pong => ping_pong;
}

async fn pieces<K: Kind>(mut one: Stream<K>, mut other: Stream<K>) -> Result<()> {
    let texts = ["ab", "", "c", "defg"].map(str::as_bytes);
    assert_eq!(one.write_vectored(&texts.map(IoSlice::new)).await?, 7);
    let (mut a, mut b, mut c) = ([0; 3], [0; 0], [0; 8]);
    let mut room = [&mut a[..], &mut b[..], &mut c[..]].map(IoSliceMut::new);
    assert_eq!(other.read_vectored(&mut room).await?, 7);
    assert_eq!((&a, &c[..4]), (b"abc", &b"defg"[..]));
    // A short one: the next waits, and is resumed.
    let mut room = [IoSliceMut::new(&mut c)];
    assert!(poll_once(other.read_vectored(&mut room)).await.is_none());
    one.write_all(b"x").await?;
    assert_eq!(other.read_vectored(&mut room).await?, 1);
    Ok(())
}

async fn empty_pieces<K: Kind>(mut one: Stream<K>, mut other: Stream<K>) -> Result<()> {
    assert_eq!(one.write_vectored(&[]).await?, 0);
    assert_eq!(one.write_vectored(&[IoSlice::new(b"")]).await?, 0);
    // There is nothing to be read, and no room for it: it does not wait.
    assert_eq!(other.read_vectored(&mut []).await?, 0);
    let mut empty = [IoSliceMut::new(&mut []), IoSliceMut::new(&mut [])];
    assert_eq!(other.read_vectored(&mut empty).await?, 0);
    one.write_all(b"").await?;
    one.write_all(b"x").await?;
    assert_eq!(read_exactly(&mut other, 1).await?, b"x");
    Ok(())
}

/// The system takes the first ones. That the others are left does not mean that there is no room.
async fn many_pieces<K: Kind>(mut one: Stream<K>, mut other: Stream<K>) -> Result<()> {
    let sent = bytes(3000);
    let pieces: Vec<IoSlice<'_>> = sent.chunks(1).map(IoSlice::new).collect();
    let mut left = &pieces[..];
    while !left.is_empty() {
        let count = one.write_vectored(left).await?;
        assert!(count > 0);
        left = &left[count..];
    }
    let mut read = vec![0; 3000];
    let mut have = 0;
    while have < 3000 {
        let mut room: Vec<IoSliceMut<'_>> =
            read[have..].chunks_mut(1).map(IoSliceMut::new).collect();
        have += other.read_vectored(&mut room).await?;
    }
    assert_eq!(read, sent);
    Ok(())
}

async fn large_pieces<K: Kind>(mut one: Stream<K>, mut other: Stream<K>) -> Result<()> {
    let sent = bytes(3 << 20);
    let (left, right) = sent.split_at(1 << 20);
    let write = async {
        let mut done = 0;
        while done < sent.len() {
            let parts = match done < left.len() {
                true => [IoSlice::new(&left[done..]), IoSlice::new(right)],
                false => [IoSlice::new(&right[done - left.len()..]), IoSlice::new(&[])],
            };
            done += one.write_vectored(&parts).await?;
        }
        one.shutdown(Shutdown::Write)?;
        pending::<Result<()>>().await
    };
    let read = read_exactly(&mut other, sent.len() + 1);
    match race(write, read).await {
        Either::First(failed) => failed,
        Either::Second(read) => {
            assert!(read? == sent);
            Ok(())
        }
    }
}

async fn both_halves<K: Kind>(mut one: Stream<K>, mut other: Stream<K>) -> Result<()> {
    const SIZE: usize = 2 << 20;
    async fn talk<K: Kind>(stream: &mut Stream<K>) -> Result<()> {
        let sent = bytes(SIZE);
        let (mut from, mut to) = stream.split();
        let mut write = pin!(async {
            to.write_all(&sent).await?;
            to.shutdown()?;
            Result::Ok(())
        });
        let mut read = pin!(async {
            let mut all = Vec::<u8>::new();
            let mut buffer = vec![0; 10_000];
            loop {
                match from.read(&mut buffer).await? {
                    0 => return Result::Ok(all),
                    count => all.extend(&buffer[..count]),
                }
            }
        });
        let read = match race(&mut write, &mut read).await {
            Either::First(written) => {
                written?;
                read.await
            }
            Either::Second(read) => {
                write.await?;
                read
            }
        };
        assert!(read? == bytes(SIZE));
        Ok(())
    }
    // All four at once, in one task: whoever only wrote, or only read, would wait for ever.
    let (mut here, mut there) = (pin!(talk(&mut one)), pin!(talk(&mut other)));
    match race(&mut here, &mut there).await {
        Either::First(Ok(())) => there.await,
        Either::Second(Ok(())) => here.await,
        Either::First(failed) | Either::Second(failed) => failed,
    }
}

async fn dropped_halves<K: Kind>(mut one: Stream<K>, mut other: Stream<K>) -> Result<()> {
    {
        let (mut from, mut to) = one.split();
        assert!(poll_once(from.read(&mut [0; 8])).await.is_none());
        // The other half is as good as before, and so is this one.
        to.write_all(b"hello").await?;
    }
    assert_eq!(read_exactly(&mut other, 5).await?, b"hello");
    other.write_all(b"world").await?;
    // Even if a half was forgotten while it waited.
    let (mut from, _) = one.split();
    let mut room = [0; 8];
    let waits = Box::pin(async move { from.read(&mut room).await.map(|count| count + 3) });
    std::mem::forget(waits);
    assert_eq!(read_exactly(&mut one, 5).await?, b"world");
    Ok(())
}

async fn half_closed<K: Kind>(mut one: Stream<K>, mut other: Stream<K>) -> Result<()> {
    one.write_all(b"that was all").await?;
    one.split().1.shutdown()?;
    let error = one.write_all(b"and more").await.expect_err("is shut");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(read_exactly(&mut other, 100).await?, b"that was all");
    assert_eq!(other.read(&mut [0; 8]).await?, 0, "the end stays");
    other.write_all(b"I see").await?;
    other.shutdown(Shutdown::Write)?;
    assert_eq!(read_exactly(&mut one, 100).await?, b"I see");
    one.close()?;
    Ok(other.close()?)
}

async fn no_more_wanted<K: Kind>(mut one: Stream<K>, mut other: Stream<K>) -> Result<()> {
    drop(other.shutdown(Shutdown::Read));
    assert_eq!(other.read(&mut [0; 8]).await?, 0);
    drop(other);
    // The first one may still find room; then it is told.
    let writes = async {
        loop {
            if let Err(error) = one.write_all(&[7; 1000]).await {
                return error;
            }
            ch08_mutexes_and_conditions::sleep(ms(1)).await;
        }
    };
    let error = timeout(ms(10_000), writes).await.expect("is told");
    let told = matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    );
    assert!(told, "{error}");
    Ok(())
}

async fn gone<K: Kind>(mut one: Stream<K>, other: Stream<K>) -> Result<()> {
    // Both wait, one to read and one to write; both are told.
    let reads = async {
        let (mut from, mut to) = one.split();
        let mut buffer = [0; 8];
        let mut read = pin!(from.read(&mut buffer));
        let mut write = pin!(async {
            loop {
                if let Err(error) = to.write(&[7; 1 << 16]).await {
                    return error;
                }
            }
        });
        assert!(poll_once(&mut read).await.is_none());
        drop(other);
        let told = write.as_mut().await;
        let _ = read.await;
        told
    };
    let told = timeout(ms(10_000), reads).await.expect("it is told");
    let expected = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    assert!(expected.contains(&told.kind()), "{told}");
    Ok(())
}

async fn ping_pong<K: Kind>(mut one: Stream<K>, mut other: Stream<K>) -> Result<()> {
    for number in 0..2000_u32 {
        one.write_all(&number.to_be_bytes()).await?;
        assert_eq!(read_exactly(&mut other, 4).await?, number.to_be_bytes());
        other.write_all(&number.to_le_bytes()).await?;
        assert_eq!(read_exactly(&mut one, 4).await?, number.to_le_bytes());
    }
    Ok(())
}

/// A read stops short behind a descriptor that was sent along: that is no sign that nothing is left.
#[cfg(target_os = "linux")]
#[test]
fn what_comes_after_a_descriptor_is_read() {
    use socket2::{MsgHdr, SockRef};
    use std::os::fd::AsRawFd;

    /// What `sendmsg` takes for one descriptor: a header, the descriptor, and nothing up to a multiple of eight.
    fn one_descriptor(number: i32) -> Vec<u8> {
        const SOL_SOCKET: i32 = 1;
        const SCM_RIGHTS: i32 = 1;
        let word = size_of::<usize>();
        let length = word + 8 + 4;
        let mut control = length.to_ne_bytes().to_vec();
        for part in [SOL_SOCKET, SCM_RIGHTS, number] {
            control.extend(part.to_ne_bytes());
        }
        control.resize(length.next_multiple_of(word), 0);
        control
    }

    test(0, async |_| {
        let (plain, other) = std::os::unix::net::UnixStream::pair()?;
        let mut other = ch08_mutexes_and_conditions::Adopt::adopt(other)?;
        for _ in 0..10 {
            let control = one_descriptor(plain.as_raw_fd());
            let text = [IoSlice::new(b"first")];
            let message = MsgHdr::new().with_buffers(&text).with_control(&control);
            SockRef::from(&plain).sendmsg(&message, 0)?;
            SockRef::from(&plain).send(b"second")?;
            let read = read_exactly::<Unix>(&mut other, 11);
            let read = timeout(ms(10_000), read).await.expect("all is there");
            assert_eq!(read?, b"firstsecond");
        }
        Ok(())
    });
}
