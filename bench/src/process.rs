//! The processes of a measurement: servers, their clients, and whoever watches them.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// How long anything may take. Only what fails waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process that says in lines what it does. Dropping it kills it.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    name: String,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// If there is no such program.
    pub fn start(command: &mut Command) -> Result<Process> {
        let name = format!("{:?}", Words(command));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn();
        let mut child = child.map_err(|error| format!("{name}: {error}"))?;
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Process { child, lines, name })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says.
    ///
    /// # Errors
    ///
    /// If it ends before, or keeps silent for too long.
    pub fn line(&self) -> Result<String> {
        let line = self.lines.recv_timeout(PATIENCE);
        line.map_err(|error| format!("{}: no line from it: {error}", self.name).into())
    }

    /// The address that a server listens on, once it does.
    ///
    /// # Errors
    ///
    /// If it says something else.
    pub fn address(&self) -> Result<SocketAddr> {
        let line = self.line()?;
        let address = line.strip_prefix("listening on ");
        let address = address.and_then(|address| address.parse().ok());
        address.ok_or_else(|| format!("{}: no address in `{line}`", self.name).into())
    }

    /// Says something to it.
    ///
    /// # Errors
    ///
    /// If it does not listen any more.
    pub fn say(&mut self, line: impl fmt::Display) -> Result {
        let stdin: Option<&mut ChildStdin> = self.child.stdin.as_mut();
        let stdin = stdin.ok_or("a process without an input")?;
        Ok(writeln!(stdin, "{line}")?)
    }

    /// Asks it to end, and waits until it has. Unlike one that is killed, a program under callgrind writes its figures then.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub fn terminate(mut self) -> Result {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        kill_process(id.ok_or("a process without a number")?, Signal::TERM)?;
        let patience = PATIENCE.as_millis();
        for _ in 0..patience {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(format!("{}: it does not end", self.name).into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command as one would type it.
struct Words<'a>(&'a Command);

impl fmt::Debug for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.get_program().to_string_lossy())?;
        for arg in self.0.get_args() {
            write!(f, " {}", arg.to_string_lossy())?;
        }
        Ok(())
    }
}
