//! What the server says to whoever started it. Nobody listening must never take it down, so
//! nothing here panics when the terminal or the pipe behind a stream is gone, as `println!` does.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints `listening on ADDRESS` to standard output, at once: a program that started the server
/// waits for this line, and may have asked for port 0.
// ANCHOR: announce
pub fn announce(address: impl Display) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
}
// ANCHOR_END: announce

/// Prints a line to standard error.
// ANCHOR: report
pub fn report(message: impl Display) {
    // One write for the whole line, so that lines of several threads do not mix.
    let _ = io::stderr().write_all(format!("{message}\n").as_bytes());
}
// ANCHOR_END: report

/// The words of an error, fit for the middle of a sentence and the same on every system:
/// `connection reset by peer` for what Rust shows as `Connection reset by peer (os error 104)`.
// ANCHOR: reason
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = words.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text,
    }
}
// ANCHOR_END: reason
