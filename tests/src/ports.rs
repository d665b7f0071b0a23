//! The ports that a transcript mentions.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What pages use: 7007 is where the chapters' servers listen unless told otherwise.
const ON_PAGES: std::ops::RangeInclusive<u16> = 7000..=7099;

/// Below where systems take the ports of outgoing connections from.
const FREE: std::ops::Range<u16> = 20_000..30_000;

static HANDED_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// The ports of one block.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ports {
    /// First named by a command: a free port takes their place everywhere in the block.
    pub(crate) chosen: Vec<u16>,
    /// First named by a program, which has them from elsewhere; so they are what they are.
    pub(crate) fixed: Vec<u16>,
}

impl Ports {
    pub(crate) fn of(text: &str) -> Self {
        let mut ports = Self::default();
        for port in ON_PAGES {
            let first = text.lines().find(|line| {
                words(line).any(|(before, word)| is_port(word, port) && after_address(before))
            });
            match first {
                Some(line) if line.starts_with("$ ") || line.starts_with("> ") => {
                    ports.chosen.push(port)
                }
                Some(_) => ports.fixed.push(port),
                None => {}
            }
        }
        ports
    }
}

/// Splits a line into runs of digits, with what stands before each.
fn words(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + line[at..].find(|c: char| c.is_ascii_digit())?;
        let rest = &line[start..];
        at = start
            + rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
        Some((&line[..start], &line[start..at]))
    })
}

fn is_port(word: &str, port: u16) -> bool {
    word.parse() == Ok(port) && word.len() == 4
}

/// `127.0.0.1:` or `127.0.0.1 ` as `nc` has it; 7000 messages are no port.
fn after_address(before: &str) -> bool {
    before.ends_with([':', ' '])
        && ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .any(|host| before[..before.len() - 1].ends_with(host))
}

/// Puts `new` wherever the port `old` stands.
pub(crate) fn replace(line: &str, old: u16, new: u16) -> String {
    let mut result = String::new();
    let mut done = 0;
    for (before, word) in words(line) {
        if is_port(word, old) {
            result.push_str(&line[done..before.len()]);
            result.push_str(&new.to_string());
            done = before.len() + word.len();
        }
    }
    result.push_str(&line[done..]);
    result
}

/// A port that nobody uses, and that is handed out only once.
pub(crate) fn free() -> Option<u16> {
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    // Two runs of the tests at the same time begin at different places.
    let length = FREE.end - FREE.start;
    let offset = u16::try_from(std::process::id() * 7 % u32::from(length)).unwrap_or_default();
    let port = (0..length)
        .map(|n| FREE.start + (offset + n) % length)
        .find(|&port| !handed_out.contains(&port) && is_free(port))?;
    handed_out.insert(port);
    Some(port)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Waits until nobody listens on a port: what was killed a moment ago may take one.
pub(crate) fn becomes_free(port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        if is_free(port) {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::{Ports, replace};

    #[test]
    fn only_a_named_port_may_be_another() {
        let named = "$ cargo run -- --listen 127.0.0.1:7008 &\nlistening on 127.0.0.1:7008\n$ nc 127.0.0.1 7008\n";
        assert_eq!(
            Ports::of(named),
            Ports {
                chosen: vec![7008],
                fixed: vec![]
            }
        );
        let unnamed = "$ cargo run &\nlistening on 127.0.0.1:7007\n$ nc 127.0.0.1 7007\n";
        assert_eq!(
            Ports::of(unnamed),
            Ports {
                chosen: vec![],
                fixed: vec![7007]
            }
        );
        // A client in the background does not choose where the server listens.
        let client = format!("{unnamed}$ nc 127.0.0.1 7007 &\n");
        assert_eq!(
            Ports::of(&client),
            Ports {
                chosen: vec![],
                fixed: vec![7007]
            }
        );
        let refused = "$ nc -v 127.0.0.1 7008\nrefused by 127.0.0.1:7008\n";
        assert_eq!(
            Ports::of(refused),
            Ports {
                chosen: vec![7008],
                fixed: vec![]
            }
        );
        assert_eq!(
            Ports::of("$ cargo run\n7007 messages in 7000 ms\n"),
            Ports::default()
        );
    }

    #[test]
    fn a_port_is_replaced_where_it_stands_alone() {
        assert_eq!(
            replace("on 127.0.0.1:7008, 70081, 7008", 7008, 20001),
            "on 127.0.0.1:20001, 70081, 20001"
        );
    }
}
