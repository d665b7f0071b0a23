//! Unix sockets, and the files they are found by.
#![cfg(unix)]

mod common;
mod times;
mod world;

use ch08_mutexes_and_conditions::{
    Adopt, Result, UnixListener, UnixStream, listen_on_file, timeout,
};
use common::bounded;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use times::ms;
use world::test;

/// A folder of its own, removed in the end. Its path is short: that of a socket may have a hundred bytes or so.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("unix-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("is there");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("a name").file_name();
        entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn stale(path: &Path) {
    drop(net::UnixListener::bind(path).expect("binds"));
    assert!(path.exists(), "it stays when its listener goes");
}

#[test]
fn the_file_is_there_as_long_as_its_guard() {
    let folder = Folder::new();
    let path = folder.path("s");
    let (listeners, file) = listen_on_file(&path, 3).expect("is free");
    assert_eq!(listeners.len(), 3);
    for listener in &listeners {
        let error = listener.accept().expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    drop(file);
    assert!(folder.names().is_empty());
    assert!(net::UnixStream::connect(&path).is_err());
    // Even while the listeners live, the next one may begin, and what was its is left to it.
    let (_next, file) = listen_on_file(&path, 1).expect("is free");
    drop(listeners);
    net::UnixStream::connect(&path).expect("the next one");
    drop(file);
}

#[test]
fn a_file_that_another_one_has_replaced_is_left_to_it() {
    let folder = Folder::new();
    let path = folder.path("s");
    let (_listeners, file) = listen_on_file(&path, 1).expect("is free");
    fs::remove_file(&path).expect("somebody removes it");
    let other = net::UnixListener::bind(&path).expect("and binds");
    drop(file);
    net::UnixStream::connect(&path).expect("the other one");
    drop(other);
    // One that is gone altogether is no matter either.
    let (_listeners, file) = listen_on_file(&path, 1).expect("is stale");
    fs::remove_file(&path).expect("somebody removes it");
    drop(file);
}

#[test]
fn a_file_that_was_left_behind_is_replaced() {
    let folder = Folder::new();
    let path = folder.path("s");
    stale(&path);
    let (_listeners, _file) = listen_on_file(&path, 2).expect("is stale");
    net::UnixStream::connect(&path).expect("is new");
    assert_eq!(folder.names(), ["s"]);
}

#[test]
fn one_that_is_in_use_is_not() {
    let folder = Folder::new();
    let path = folder.path("s");
    let (_listeners, _file) = listen_on_file(&path, 2).expect("is free");
    for count in [1, 2] {
        let error = listen_on_file(&path, count).expect_err("is in use");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let text = error.to_string();
        assert!(text.starts_with("cannot listen on unix:"), "{text}");
        assert!(text.ends_with("is another server running? choose another path"));
    }
    net::UnixStream::connect(&path).expect("is still there");
    assert_eq!(folder.names(), ["s"]);
}

/// One whose queue is full is in use, and asking does not wait for it.
#[cfg(target_os = "linux")]
#[test]
fn one_that_answers_nobody_is_in_use() {
    let folder = Folder::new();
    let path = folder.path("s");
    let socket =
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).expect("a socket");
    let address = socket2::SockAddr::unix(&path).expect("is short");
    socket.bind(&address).expect("is free");
    socket.listen(0).expect("listens");
    let _queue = net::UnixStream::connect(&path).expect("there is room for one");
    let error = bounded(move || listen_on_file(&path, 1).expect_err("is in use"));
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "precious").expect("writes");
    fs::create_dir(folder.path("folder")).expect("creates");
    stale(&folder.path("socket"));
    std::os::unix::fs::symlink(folder.path("socket"), folder.path("link")).expect("links");
    std::os::unix::fs::symlink(folder.path("nowhere"), folder.path("dangling")).expect("links");
    let _datagrams = net::UnixDatagram::bind(folder.path("datagrams")).expect("binds");
    let before = folder.names();
    for name in ["file", "folder", "link", "dangling", "datagrams"] {
        let error = listen_on_file(&folder.path(name), 1).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{name}");
    }
    assert_eq!(folder.names(), before);
    let text = fs::read_to_string(folder.path("file"));
    assert_eq!(text.expect("is there"), "precious");
}

#[test]
fn a_path_that_cannot_be_is_an_error_that_says_why() {
    let folder = Folder::new();
    let error = listen_on_file(&folder.path("no/s"), 1).expect_err("no folder");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().ends_with("its folder has to be there"));
    let long = folder.path(&"x".repeat(200));
    let error = listen_on_file(&long, 1).expect_err("is too long");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().ends_with("choose another path"));
    test(0, async move |_| {
        assert!(UnixListener::bind(&long).is_err());
        assert!(UnixStream::connect(&long).await.is_err());
        Ok(())
    });
    assert!(folder.names().is_empty());
}

/// Of two servers that find the same stale file, one gets it, and can be reached from then on.
#[test]
fn only_one_of_two_gets_a_file_that_was_left_behind() {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    for _ in 0..10 {
        let folder = Folder::new();
        let path = folder.path("s");
        stale(&path);
        let start = || {
            let mut server = Command::new(env!("CARGO_BIN_EXE_ch08-mutexes-and-conditions"));
            server
                .arg("--listen")
                .arg(format!("unix:{}", path.display()));
            server.args(["--domains", "0"]);
            server.stdout(Stdio::piped()).stderr(Stdio::null());
            server.spawn().expect("starts")
        };
        let mut servers = [start(), start()];
        // It says where it listens, or ends without a word.
        let listens = |server: &mut Child| {
            let stdout = server.stdout.take().expect("is piped");
            BufReader::new(stdout).lines().next().is_some()
        };
        let listening = servers.each_mut().map(listens);
        let reached = net::UnixStream::connect(&path).is_ok();
        for server in &mut servers {
            server.kill().expect("is ours");
            server.wait().expect("is ours");
        }
        assert_ne!(listening, [true, true], "both have it");
        assert_eq!(listening != [false, false], reached);
    }
}

#[test]
fn nobody_listens() {
    let folder = Folder::new();
    let (none, left) = (folder.path("none"), folder.path("left"));
    stale(&left);
    test(0, async move |_| {
        let error = UnixStream::connect(none).await.expect_err("no file");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = UnixStream::connect(left).await.expect_err("no listener");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        Ok(())
    });
}

#[test]
fn listeners_of_several_domains_share_one_queue() {
    let folder = Folder::new();
    let path = folder.path("s");
    test(2, async move |cx| {
        let (listeners, _file) = listen_on_file(&path, 2)?;
        let mut servers = Vec::new();
        for (domain, plain) in cx.domains().zip(listeners) {
            servers.push(cx.call_on(domain, async move |_| -> Result<()> {
                let mut listener = plain.adopt()?;
                loop {
                    let (mut stream, address) = listener.accept().await?;
                    assert!(address.is_unnamed());
                    let mut buffer = [0; 16];
                    let count = stream.read(&mut buffer).await?;
                    stream.write_all(&buffer[..count]).await?;
                }
            })?);
        }
        for round in 0..20 {
            let mut clients = Vec::new();
            for number in 0..10 {
                let mut client = UnixStream::connect(&path).await?;
                client
                    .write_all(format!("{round} {number}").as_bytes())
                    .await?;
                clients.push(client);
            }
            for (number, mut client) in clients.into_iter().enumerate() {
                let mut buffer = [0; 16];
                let count = timeout(ms(10_000), client.read(&mut buffer)).await;
                let answer = &buffer[..count.expect("nobody is forgotten")?];
                assert_eq!(answer, format!("{round} {number}").as_bytes());
            }
        }
        for server in servers {
            server.cancel().await?;
        }
        Ok(())
    });
}

#[test]
fn sockets_go_to_other_domains_and_tasks_own_them() {
    let folder = Folder::new();
    let path = folder.path("s");
    test(1, async move |cx| {
        let mut listener = UnixListener::bind(&path)?.owned(cx);
        let plain = net::UnixStream::connect(&path)?;
        let (stream, _) = listener.accept(cx).await?;
        let there = stream.detach()?;
        let task = cx.give(there).call(async |cx, plain| {
            let mut stream = cx.adopt(plain)?;
            stream.write_all(b"from there").await?;
            let mut buffer = [0; 16];
            stream.read(&mut buffer).await?;
            stream.release().await
        })?;
        let answer = thread::spawn(move || -> std::io::Result<String> {
            let mut plain = plain;
            let mut buffer = [0; 10];
            plain.read_exact(&mut buffer)?;
            plain.write_all(b"ok")?;
            let mut rest = String::new();
            plain.read_to_string(&mut rest)?;
            Ok(String::from_utf8_lossy(&buffer).into_owned() + &rest)
        });
        task.await?;
        assert_eq!(answer.join().expect("no panic")?, "from there");
        let names: Vec<_> = cx
            .owned()
            .into_iter()
            .map(|info| info.to_string())
            .collect();
        let named = format!("listener unix:{}", path.display());
        assert!(names.iter().any(|name| name.contains(&named)), "{names:?}");
        listener.release().await
    });
}

/// One that is closed with bytes unread resets its other end, as TCP does.
#[cfg(target_os = "linux")]
#[test]
fn a_peer_that_has_not_read_all_resets() {
    test(0, async |_| {
        let (mut one, other) = UnixStream::pair()?;
        one.write_all(b"never mind").await?;
        drop(other);
        let error = one.read(&mut [0; 8]).await.expect_err("is reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let (mut one, mut other) = UnixStream::pair()?;
        one.write_all(b"never mind").await?;
        other.read(&mut [0; 5]).await?;
        drop(other);
        let ended: std::io::Result<()> = one.close();
        let error = ended.expect_err("nothing has told so yet");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}
