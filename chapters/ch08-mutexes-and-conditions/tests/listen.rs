//! Several listeners on one address, and the echo server that uses them.

mod common;
mod served;
mod world;

use ch08_mutexes_and_conditions::{Event, Recording, Runtime, What, listen};
use common::bounded;
use served::serve_everywhere;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use world::Gate;
#[cfg(target_os = "linux")]
use world::test;

const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    let addresses = listeners.iter().map(TcpListener::local_addr);
    addresses
        .collect::<std::io::Result<_>>()
        .expect("they listen")
}

#[test]
fn all_listeners_share_one_address_and_port_0_becomes_a_real_one() {
    for count in [1, 2, 5] {
        let listeners = listen(&[ANY_PORT], count).expect("a port");
        let addresses = addresses(&listeners);
        assert_eq!(addresses.len(), count);
        assert_ne!(addresses[0].port(), 0);
        assert!(addresses.iter().all(|address| *address == addresses[0]));
    }
}

#[test]
fn a_port_in_use_is_an_error_although_listeners_share_it_among_themselves() {
    for count in [1, 3] {
        let first = listen(&[ANY_PORT], count).expect("a port");
        let address = addresses(&first)[0];
        for again in [1, 3] {
            let error = listen(&[address], again).expect_err("is in use");
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("cannot listen on {address}: ")),
                "{text}"
            );
            assert!(text.ends_with("is another server running? choose another with --listen"));
        }
        // Nor does somebody who shares with nobody get it.
        assert!(TcpListener::bind(address).is_err());
        drop(first);
        listen(&[address], count).expect("is free again");
    }
}

#[test]
fn a_port_that_a_plain_listener_has_is_in_use() {
    let plain = TcpListener::bind(ANY_PORT).expect("a port");
    let address = plain.local_addr().expect("listens");
    for count in [1, 2] {
        let error = listen(&[address], count).expect_err("is in use");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
}

#[test]
fn the_next_address_is_tried_when_one_cannot_be_had() {
    let taken = listen(&[ANY_PORT], 2).expect("a port");
    let address = addresses(&taken)[0];
    let listeners = listen(&[address, ANY_PORT], 2).expect("the second one is free");
    assert_ne!(addresses(&listeners)[0], address);
    let error = listen(&[address, address], 2).expect_err("is in use");
    assert!(
        error.to_string().contains(&format!("{address}, {address}")),
        "{error}"
    );
    assert_eq!(
        listen(&[], 2).expect_err("no address").kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn an_address_of_another_machine_cannot_be_had() {
    // From the block that is kept for documentation.
    let error = listen(&["192.0.2.1:0".parse().expect("an address")], 2).expect_err("not ours");
    let text = error.to_string();
    assert!(
        text.ends_with("choose an address of this machine with --listen"),
        "{text}"
    );
}

#[test]
fn an_address_of_version_6_can_be_shared_too() {
    match listen(&["[::1]:0".parse().expect("an address")], 3) {
        Ok(listeners) => assert!(addresses(&listeners)[2].is_ipv6()),
        // Some machines have none.
        Err(error) => assert_ne!(error.kind(), ErrorKind::AddrInUse),
    }
}

#[test]
fn listeners_do_not_block() {
    for listener in listen(&[ANY_PORT], 3).expect("a port") {
        let error = listener.accept().expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

/// So many clients, one after the other and all at once; each checks its echo.
fn clients(address: SocketAddr, count: usize) {
    let clients: Vec<TcpStream> = (0..count)
        .map(|_| TcpStream::connect(address).expect("connects"))
        .collect();
    for (n, mut client) in clients.into_iter().enumerate() {
        let text = format!("client {n} ").repeat(100);
        client.write_all(text.as_bytes()).expect("is open");
        client.shutdown(Shutdown::Write).expect("is open");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("is open");
        assert_eq!(answer, text);
    }
}

/// How many tasks each domain has started, the servers themselves included.
fn started(domains: usize, client_count: usize) -> BTreeMap<u32, usize> {
    let recording = Recording::new();
    let runtime = Runtime::builder()
        .domains(domains)
        .record(&recording)
        .build();
    let served = bounded(move || {
        runtime.run(async move |cx| {
            let listeners = listen(&[ANY_PORT], 1 + cx.domains().len())?;
            let address = listeners[0].local_addr()?;
            let server = cx.spawn(async |cx| serve_everywhere(cx, listeners, Duration::MAX).await);
            let done = Gate::default();
            let are_done = done.clone();
            let thread = thread::spawn(move || {
                let served = std::panic::catch_unwind(|| clients(address, client_count));
                are_done.open();
                served
            });
            done.passed().await;
            let served = thread.join().expect("no panic");
            server.cancel().await?;
            // Nobody listens any more, on any domain.
            assert!(TcpStream::connect(address).is_err());
            assert!(served.is_ok());
            Ok(())
        })
    });
    served.expect("ends well");
    let mut counts = BTreeMap::new();
    for Event { domain, what, .. } in recording.events() {
        if let What::Spawned { .. } = what {
            *counts.entry(domain).or_insert(0) += 1;
        }
    }
    counts
}

#[test]
fn the_server_uses_every_domain() {
    let counts = started(3, 120);
    // Two of dom0's are main and the task that starts the servers. Each server has a child that
    // accepts, a new one for each client.
    assert_eq!(counts.values().sum::<usize>(), 2 + 4 + 4 + 2 * 120);
    assert_eq!(counts.len(), 4);
    if cfg!(target_os = "linux") {
        // 30 clients each; the odds of less than 4 are one in a billion.
        assert!(counts.values().all(|&count| count > 8), "{counts:?}");
    }
}

#[test]
fn the_server_is_content_with_dom0_alone() {
    assert_eq!(started(0, 20), BTreeMap::from([(0, 3 + 1 + 2 * 20)]));
}

#[cfg(target_os = "linux")]
#[test]
fn all_servers_end_when_one_of_them_fails() {
    test(2, async |cx| {
        let mut listeners = listen(&[ANY_PORT], 3)?;
        let address = listeners[0].local_addr()?;
        // No socket at all: the system does not watch it.
        listeners[1] = std::os::fd::OwnedFd::from(std::fs::File::open("/dev/null")?).into();
        let server = cx.spawn(async |cx| serve_everywhere(cx, listeners, Duration::MAX).await);
        let failure = server.await.expect_err("fails");
        let error = failure.downcast_ref::<std::io::Error>();
        assert_eq!(
            error.map(std::io::Error::kind),
            Some(ErrorKind::PermissionDenied)
        );
        assert!(
            TcpStream::connect(address).is_err(),
            "the others have closed theirs"
        );
        Ok(())
    });
}
