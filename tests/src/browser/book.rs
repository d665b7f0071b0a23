//! A running `cargo book`.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use super::{PATIENCE, Result};
use crate::process::as_in_a_readers_shell;
use crate::servers::built;

/// `cargo book` on a free port, serving the real book. Dropping it ends it.
#[derive(Debug)]
pub struct Book {
    child: Child,
    address: String,
    _temporary: TempDir,
}

impl Book {
    /// Builds the program, and starts it at `root`.
    ///
    /// # Errors
    ///
    /// When it cannot be built, or does not say where it serves.
    pub fn start(root: &Path) -> Result<Book> {
        let program = built("book")?;
        let cannot = |error| format!("{}: {error}", program.display());
        let temporary = tempfile::tempdir().map_err(cannot)?;
        let mut command = Command::new(&program);
        let mut child = as_in_a_readers_shell(&mut command)
            .current_dir(root)
            .args(["--port", "0"])
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        let (sender, lines) = mpsc::channel();
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            follow(out, sender.clone());
            follow(err, sender);
        }
        let mut book = Book {
            child,
            address: String::new(),
            _temporary: temporary,
        };
        book.address = announced(&lines)?;
        Ok(book)
    }

    /// The address it prints, as it prints it, with all that a reader would open.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address of one of its files, without what belongs to the reader.
    pub fn url(&self, file: &str) -> String {
        let origin = self.address.split('#').next().unwrap_or_default();
        format!("{}/{file}", origin.trim_end_matches('/'))
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until it says where it serves.
fn announced(lines: &mpsc::Receiver<String>) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut passed = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => match line.find("http://127.0.0.1:") {
                Some(at) => {
                    let address = line[at..].split_whitespace().next();
                    return Ok(address.unwrap_or_default().to_owned());
                }
                None => passed.push(line),
            },
            Err(_) => {
                return Err(format!(
                    "`cargo book` does not say where it serves: {passed:#?}"
                ));
            }
        }
    }
}

fn follow(output: impl Read + Send + 'static, sender: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output)
            .lines()
            .map_while(std::io::Result::ok)
        {
            // It is read on when nobody listens any more, too: the pipe must not fill.
            let _ = sender.send(line);
        }
    });
}
