//! How a server stops: within its process, and by signals from outside.
#![cfg(unix)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Log, Places, Result, Server, Task, TcpListener, TcpStream, Trigger, sleep, timeout,
    yield_now,
};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{self, Shutdown, SocketAddr};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use times::{HOUR, assert_soon, ms};
use world::test;

// ---- within the process ----

fn server(grace: Duration, places: usize) -> io::Result<Arc<Server>> {
    Ok(Arc::new(Server {
        idle: HOUR,
        grace,
        places: Places::new(places),
        stop: Trigger::new(),
        log: Log::to(io::sink())?,
    }))
}

/// A task that serves, and where.
fn serve<'c>(cx: &'c Cx, server: &Arc<Server>) -> Result<(Task<'c, ()>, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = server.clone();
    let task = cx.spawn(async move |cx| server.serve(cx, listener.owned(cx)).await);
    Ok((task, address))
}

async fn round_trip(client: &mut TcpStream) -> Result<()> {
    client.write_all(b"hello").await?;
    assert_eq!(client.read(&mut [0; 16]).await?, 5);
    Ok(())
}

#[test]
fn before_the_first_client_and_before_it_has_begun() {
    test(0, async |cx| {
        for begun in [false, true] {
            let server = server(HOUR, 1)?;
            let (task, _) = serve(cx, &server)?;
            if begun {
                sleep(ms(5)).await;
            }
            assert!(server.stop.signal());
            assert!(!server.stop.signal(), "once");
            task.await?;
        }
        Ok(())
    });
}

#[test]
fn those_who_are_served_finish() {
    test(0, async |cx| {
        let server = server(HOUR, usize::MAX)?;
        let (mut task, address) = serve(cx, &server)?;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = TcpStream::connect(address).await?;
            round_trip(&mut client).await?;
            clients.push(client);
        }
        server.stop.signal();
        yield_now().await;
        yield_now().await;
        for mut client in clients {
            assert!(timeout(Duration::ZERO, &mut task).await.is_err());
            round_trip(&mut client).await?;
            client.shutdown(Shutdown::Write)?;
            assert_eq!(client.read(&mut [0; 16]).await?, 0);
        }
        task.await
    });
}

#[test]
fn those_who_are_left_are_closed_when_the_time_is_over() {
    test(0, async |cx| {
        let server = server(ms(100), usize::MAX)?;
        let (task, address) = serve(cx, &server)?;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = TcpStream::connect(address).await?;
            round_trip(&mut client).await?;
            clients.push(client);
        }
        let start = Instant::now();
        server.stop.signal();
        for mut client in clients {
            assert_eq!(client.read(&mut [0; 16]).await?, 0, "a good end");
        }
        task.await?;
        assert!(start.elapsed() >= ms(100));
        assert_soon(start);
        Ok(())
    });
}

#[test]
fn whoever_is_being_answered_gets_every_byte() {
    test(0, async |cx| {
        const SIZE: usize = 4 << 20;
        let server = server(HOUR, usize::MAX)?;
        let (task, address) = serve(cx, &server)?;
        let mut client = TcpStream::connect(address).await?;
        client.write_all(&[7; 1000]).await?;
        let client = client.detach()?;
        client.set_nonblocking(false)?;
        let reader = client.try_clone()?;
        let writes = thread::spawn(move || {
            (&client).write_all(&vec![7; SIZE - 1000])?;
            client.shutdown(Shutdown::Write)
        });
        // Both sides are full by then.
        sleep(ms(50)).await;
        server.stop.signal();
        let reads = thread::spawn(move || {
            let mut all = Vec::new();
            (&reader).read_to_end(&mut all).map(|_| all.len())
        });
        task.await?;
        writes.join().expect("no panic")?;
        assert_eq!(reads.join().expect("no panic")?, SIZE);
        Ok(())
    });
}

#[test]
fn while_clients_wait_for_a_place() {
    test(0, async |cx| {
        let server = server(HOUR, 1)?;
        let (task, address) = serve(cx, &server)?;
        let mut served = TcpStream::connect(address).await?;
        round_trip(&mut served).await?;
        let mut waits = TcpStream::connect(address).await?;
        let mut queues = TcpStream::connect(address).await?;
        assert!(timeout(ms(20), waits.read(&mut [0; 1])).await.is_err());
        server.stop.signal();
        // They are sent away, and wait for nobody.
        for client in [&mut waits, &mut queues] {
            assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0);
        }
        round_trip(&mut served).await?;
        served.close()?;
        task.await
    });
}

/// A client may be handed over at the very moment of the stop: it is served or sent away, and belongs to
/// somebody either way.
#[test]
fn while_clients_come() {
    test(1, async |cx| {
        for round in 0..300_u64 {
            let server = server(ms(1), 3)?;
            let (task, address) = serve(cx, &server)?;
            let comes = cx.call(async move |_| {
                for _ in 0..6 {
                    // Refused, reset or answered: whatever comes.
                    let Ok(mut client) = TcpStream::connect(address).await else {
                        break;
                    };
                    let _ = client.write_all(b"hello").await;
                }
                Ok(())
            })?;
            for _ in 0..round % 30 {
                yield_now().await;
            }
            if round % 3 == 0 {
                sleep(Duration::from_micros(round * 3)).await;
            }
            server.stop.signal();
            task.await?;
            comes.await?;
        }
        Ok(())
    });
}

// ---- by signals ----

/// The server in a process of its own.
struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    fn start(args: &[&str]) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ch08-mutexes-and-conditions"))
            .args(["--domains", "1"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let stdout = BufReader::new(child.stdout.take().expect("is piped"));
        Process { child, stdout }
    }

    /// What it says next that it listens on.
    fn address(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("is text");
        let address = line.strip_prefix("listening on ").expect(&line);
        address.trim_end().to_owned()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{name}");
    }

    /// The code with which it ends.
    fn code(mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("is ours") {
                return status.code();
            }
            assert_soon(start);
            thread::sleep(ms(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client(address: &str) -> net::TcpStream {
    let mut client = net::TcpStream::connect(address).expect("connects");
    client
        .set_read_timeout(Some(times::SOON))
        .expect("a socket");
    client.write_all(b"hello").expect("is open");
    client.read_exact(&mut [0; 5]).expect("is answered");
    client
}

/// Who has read that it listens may stop it at once.
#[test]
fn a_signal_as_soon_as_it_listens() {
    for signal in ["-INT", "-TERM"].repeat(5) {
        let mut server = Process::start(&["--listen", "127.0.0.1:0"]);
        server.address();
        server.signal(signal);
        assert_eq!(server.code(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in [
        ("-INT", "-INT", 130),
        ("-TERM", "-INT", 130),
        ("-INT", "-TERM", 143),
    ] {
        let mut server = Process::start(&["--listen", "127.0.0.1:0", "--grace", "3600"]);
        let address = server.address();
        let mut client = client(&address);
        server.signal(first);
        // The first one was heard when nobody is let in any more.
        let start = Instant::now();
        while net::TcpStream::connect(&address).is_ok() {
            assert_soon(start);
            thread::sleep(ms(2));
        }
        client.write_all(b"hello").expect("is open");
        client.read_exact(&mut [0; 5]).expect("is still served");
        server.signal(second);
        assert_eq!(server.code(), Some(code), "{first} {second}");
    }
}

/// A signal that asks for the tree neither stops it nor counts as the first of two.
#[test]
fn looking_is_not_stopping() {
    let mut server = Process::start(&["--listen", "127.0.0.1:0"]);
    let address = server.address();
    let mut client = client(&address);
    for _ in 0..10 {
        server.signal("-USR1");
        client.write_all(b"hello").expect("is open");
        client.read_exact(&mut [0; 5]).expect("is served");
    }
    drop(client);
    server.signal("-INT");
    assert_eq!(server.code(), Some(0));
}

#[test]
fn the_file_of_a_unix_socket_goes_at_once_and_the_next_server_keeps_its_own() {
    let path = std::env::temp_dir().join(format!("stop-{}", std::process::id()));
    let listen = format!("unix:{}", path.display());
    let start = || {
        let mut server = Process::start(&["--listen", &listen, "--grace", "3600"]);
        assert_eq!(server.address(), listen);
        server
    };
    let first = start();
    let mut client = std::os::unix::net::UnixStream::connect(&path).expect("connects");
    let mut round_trip = || {
        client.write_all(b"hello").expect("is open");
        client.read_exact(&mut [0; 5]).expect("is answered");
    };
    round_trip();
    first.signal("-INT");
    let begin = Instant::now();
    while path.exists() {
        assert_soon(begin);
        thread::sleep(ms(2));
    }
    // The client is still served, and the next server begins.
    let second = start();
    round_trip();
    drop(client);
    assert_eq!(first.code(), Some(0));
    assert!(path.exists(), "is the second one's");
    second.signal("-TERM");
    assert_eq!(second.code(), Some(0));
    assert!(!path.exists());
}
