//! Opening the browser.

use std::process::{Command, Stdio};
use std::thread;

/// Asks the system to show `address`. When it cannot, the reader still has the address in the terminal.
pub(crate) fn open(address: &str) {
    let (program, arguments): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[address])
    } else if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler", address])
    } else {
        ("xdg-open", &[address])
    };
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        // Somebody has to wait for it, or it stays behind as a zombie.
        Ok(mut browser) => drop(thread::spawn(move || browser.wait())),
        Err(error) => {
            eprintln!("cannot open a browser with {program} ({error}); open {address} yourself")
        }
    }
}
