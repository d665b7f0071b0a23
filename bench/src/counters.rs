//! System calls and instructions, counted by `strace` and by valgrind's `callgrind`, where they are installed.
//!
//! Both slow a server down, so they have runs of their own. Each has two runs of different length: the
//! difference between them has nothing of the server's start and of accepting its clients.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::process::PATIENCE;
use crate::turn::{Clients, Server};

/// Who counts.
#[derive(Clone, Copy, Debug)]
pub enum Counter {
    /// System calls, by `strace`.
    Calls,
    /// Instructions outside the system, by `callgrind`.
    Instructions,
}

impl Counter {
    /// Is it installed?
    pub fn is_there(self) -> bool {
        let mut command = Command::new(self.program());
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// What to install.
    pub fn program(self) -> &'static str {
        match self {
            Counter::Calls => "strace",
            Counter::Instructions => "valgrind",
        }
    }

    /// How many a request takes on the server, with so many clients at once.
    ///
    /// # Errors
    ///
    /// When the server cannot be watched.
    pub fn per_request(self, server: &Server, clients: &Clients<'_>) -> Result<f64> {
        let (few, many) = match self {
            Counter::Calls => (1_000, 5_000),
            Counter::Instructions => (1_000, 11_000),
        };
        // The same number for each client.
        let [few, many] = [few, many].map(|n: u64| n.next_multiple_of(clients.connections));
        let counted = [few, many].map(|requests| self.count(server, clients, requests));
        let [base, all] = counted;
        Ok((all? - base?) / (many - few) as f64)
    }

    fn count(self, server: &Server, clients: &Clients<'_>, requests: u64) -> Result<f64> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("counted");
        let mut command = Command::new(self.program());
        match self {
            // With -D the server is our own child, and its number the one that we know.
            Counter::Calls => command.args(["-D", "-f", "-c", "-o"]).arg(&file),
            Counter::Instructions => {
                let mut out = std::ffi::OsString::from("--callgrind-out-file=");
                out.push(&file);
                command.args(["-q", "--tool=callgrind"]).arg(out)
            }
        };
        let server = server.start_under(&mut command)?;
        clients.requests(server.address()?, requests)?;
        server.terminate()?;
        self.read(&file)
    }

    /// The watcher of a process writes when that is gone.
    fn read(self, file: &Path) -> Result<f64> {
        let step = Duration::from_millis(5);
        for _ in 0..PATIENCE.as_millis() / step.as_millis() {
            let text = fs::read_to_string(file).unwrap_or_default();
            let counted = match self {
                Counter::Calls => calls(&text),
                Counter::Instructions => instructions(&text),
            };
            match counted {
                Some(counted) => return Ok(counted),
                None => thread::sleep(step),
            }
        }
        Err(format!("{} has counted nothing", self.program()).into())
    }
}

/// The last line of `strace -c`: `100.00    0.001234           1       989         3 total`.
fn calls(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.ends_with(" total"))?;
    // Without errors a column is empty. The calls stand before it.
    line.split_whitespace().nth(3)?.parse().ok()
}

/// A line of callgrind's file: `totals: 123456`, or `summary: 123456` in older ones.
fn instructions(text: &str) -> Option<f64> {
    let total = |line: &str| {
        let number = line
            .strip_prefix("totals:")
            .or(line.strip_prefix("summary:"))?;
        number.split_whitespace().next()?.parse().ok()
    };
    // In the file of several threads each part has one, and the last is that of all.
    text.lines().filter_map(total).next_back()
}

#[cfg(test)]
mod tests {
    use super::{calls, instructions};

    #[test]
    fn straces_table_has_a_last_line() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ------------------
 50.00    0.000010           1       500           read
 50.00    0.000010           1       489         3 epoll_wait
------ ----------- ----------- --------- --------- ------------------
100.00    0.000020           1       989         3 total
";
        assert_eq!(calls(text), Some(989.0));
        assert_eq!(
            calls("% time     seconds  usecs/call     calls    errors syscall\n"),
            None
        );
    }

    #[test]
    fn callgrinds_file_has_a_total() {
        assert_eq!(
            instructions("events: Ir\nsummary: 12345\n\ntotals: 12345\n"),
            Some(12345.0)
        );
        assert_eq!(instructions("events: Ir\nfn=(1) main\n16 4\n"), None);
    }
}
