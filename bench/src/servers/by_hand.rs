//! No runtime: a loop around epoll or kqueue, by way of `mio`, which adds next to nothing to it. It is
//! what the others are measured against.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::{ANY, announce};

const LISTENER: Token = Token(usize::MAX);

struct Client {
    stream: TcpStream,
    /// What the system has not taken yet.
    unsent: Vec<u8>,
}

pub(crate) fn serve(buffer: usize) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(ANY)?;
    let registry = poll.registry().try_clone()?;
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    announce(listener.local_addr()?)?;
    let mut clients = Slab::new();
    // Whatever is read is sent, or kept with its client: one buffer is enough for all.
    let mut buffer = vec![0; buffer];
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Some((mut stream, _)) = ready(listener.accept())? {
                    stream.set_nodelay(true)?;
                    let entry = clients.vacant_entry();
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    registry.register(&mut stream, Token(entry.key()), interest)?;
                    let unsent = Vec::new();
                    entry.insert(Client { stream, unsent });
                }
                continue;
            }
            let Token(key) = event.token();
            if let Some(client) = clients.get_mut(key) {
                // Closed, or failed: for us, the same.
                if !echo(client, &mut buffer).unwrap_or(false) {
                    clients.remove(key);
                }
            }
        }
    }
}

/// Does what can be done for a client now. False: it has no more to send.
fn echo(client: &mut Client, buffer: &mut [u8]) -> io::Result<bool> {
    loop {
        while !client.unsent.is_empty() {
            match ready(client.stream.write(&client.unsent))? {
                Some(count) => drop(client.unsent.drain(..count)),
                None => return Ok(true),
            }
        }
        let count = match ready(client.stream.read(buffer))? {
            Some(0) => return Ok(false),
            Some(count) => count,
            None => return Ok(true),
        };
        let sent = ready(client.stream.write(&buffer[..count]))?.unwrap_or(0);
        client.unsent.extend_from_slice(&buffer[sent..count]);
        // A short read: the socket is empty, and the system will say when it no longer is.
        if count < buffer.len() && client.unsent.is_empty() {
            return Ok(true);
        }
    }
}

/// Nothing, if that would block.
fn ready<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        other => other.map(Some),
    }
}
