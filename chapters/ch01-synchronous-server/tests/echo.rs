//! The server's library, driven over real sockets. Every wait has an end: a server that stops
//! answering makes a test fail, not hang.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use ch01_synchronous_server::{echo, listen, reason, serve};

const PATIENCE: Duration = Duration::from_secs(10);

/// A server of its own for each test. Its thread ends with the process, since `serve` never does.
fn server() -> SocketAddr {
    let listener = listen(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(&listener));
    address
}

fn client(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn round_trip(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, text.as_bytes());
}

#[test]
fn what_is_sent_comes_back_and_then_the_end() {
    let mut client = client(server());
    round_trip(&mut client, "hello\n");
    round_trip(&mut client, "again\n");
    client.write_all(b"and goodbye").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "and goodbye");
}

#[test]
fn a_megabyte_comes_back_unchanged() {
    let client = client(server());
    let sent: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_le_bytes).collect();
    let mut received = Vec::new();
    thread::scope(|scope| {
        // Reading only after writing would block both sides once the system's buffers are full.
        scope.spawn(|| {
            (&client).write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        });
        (&client).read_to_end(&mut received).unwrap();
    });
    assert!(sent == received, "the bytes differ");
}

#[test]
fn the_second_client_waits_until_the_first_leaves() {
    let server = server();
    let mut first = client(server);
    round_trip(&mut first, "I am being served");

    let mut second = client(server);
    second.write_all(b"and I?").unwrap();
    let short = Duration::from_millis(200);
    second.set_read_timeout(Some(short)).unwrap();
    let mut answer = [0; 6];
    let error = second
        .read(&mut answer)
        .expect_err("nobody is free to answer");
    let kinds = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
    assert!(kinds.contains(&error.kind()), "{error}");

    drop(first);
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    second.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"and I?");
}

#[test]
fn a_client_that_resets_ends_itself_only() {
    let server = server();
    for _ in 0..10 {
        let mut rude = client(server);
        round_trip(&mut rude, "here I am");
        // Closing with an unread answer makes the system send a reset instead of a goodbye.
        rude.write_all(&[b'x'; 1024]).unwrap();
        rude.peek(&mut [0]).unwrap();
        drop(rude);
        round_trip(&mut client(server), "still there?");
    }
}

#[test]
fn clients_that_leave_early_end_themselves_only() {
    let server = server();
    let mut first = client(server);
    round_trip(&mut first, "I keep the server busy");
    for _ in 0..10 {
        drop(client(server)); // gone before it is accepted, without a word,
        client(server).write_all(b"gone").unwrap(); // or with one
    }
    drop(first);
    round_trip(&mut client(server), "still there?");
}

#[test]
fn a_port_in_use_is_said_in_full() {
    let address = server();
    let error = listen(&[address]).expect_err("the port is in use");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {address}: address already in use; \
             is another server running? choose another with --listen"
        )
    );
}

/// A stream whose every first try is interrupted by a signal, and which takes one byte at a time.
struct Fussy<'a> {
    input: &'a [u8],
    output: Vec<u8>,
    calls: usize,
}

impl Fussy<'_> {
    fn interrupt(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.calls % 2 {
            1 => Err(ErrorKind::Interrupted.into()),
            _ => Ok(()),
        }
    }
}

impl Read for Fussy<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt()?;
        self.input.read(buffer)
    }
}

impl Write for Fussy<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.interrupt()?;
        self.output.write(&buffer[..1])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn interruptions_and_short_writes_lose_nothing() {
    let mut stream = Fussy {
        input: b"every byte",
        output: Vec::new(),
        calls: 0,
    };
    echo(&mut stream).unwrap();
    assert_eq!(stream.output, b"every byte");
}

#[test]
fn a_failing_stream_is_an_error_for_the_caller() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            Ok(buffer.len())
        }
    }
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = echo(Broken).expect_err("nothing can be written");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(reason(&error), "broken pipe");
}
