//! One turn of a server: its process, and that of its clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::contestants::Contestant;
use crate::cores::{self, Place};
use crate::load::Outcome;
use crate::plan::Plan;
use crate::process::Process;
use crate::usage;

/// An echo server that can be started.
#[derive(Clone, Debug)]
pub struct Server {
    /// What the tables call it.
    pub name: String,
    /// Its program.
    pub program: PathBuf,
    /// And its arguments.
    pub args: Vec<String>,
    /// On one thread?
    pub alone: bool,
    /// Does it say things about its clients that nobody wants to read here?
    pub logs: bool,
}

/// What a load came to, and the processor time that its server took for it.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// What the clients say.
    pub outcome: Outcome,
    /// What the system says, if it does.
    pub cpu: Option<Duration>,
}

/// The clients of a server.
#[derive(Clone, Copy, Debug)]
pub struct Clients<'a> {
    /// Where their program is, and how long they may take.
    pub plan: &'a Plan,
    /// So many at once.
    pub connections: u64,
    /// Bytes in a message.
    pub size: usize,
}

impl Turn {
    /// Messages that came back.
    pub fn requests(&self) -> f64 {
        self.outcome.requests as f64
    }

    /// How long it took.
    pub fn seconds(&self) -> f64 {
        self.outcome.time.as_secs_f64()
    }
}

impl Server {
    /// A contestant's, whose clients have a buffer of so many bytes.
    pub fn of(contestant: &Contestant, buffer: usize, plan: &Plan) -> Server {
        let args = ["serve", contestant.id, &buffer.to_string()];
        Server {
            name: contestant.name.to_owned(),
            program: plan.part.clone(),
            args: args.map(str::to_owned).to_vec(),
            alone: contestant.alone,
            logs: false,
        }
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// If it cannot be.
    pub fn start(&self) -> Result<Process> {
        self.run(Command::new(&self.program).args(&self.args))
    }

    /// Starts it under a program that takes this command line behind its own.
    ///
    /// # Errors
    ///
    /// If it cannot be.
    pub fn start_under(&self, watcher: &mut Command) -> Result<Process> {
        self.run(watcher.arg(&self.program).args(&self.args))
    }

    fn run(&self, command: &mut Command) -> Result<Process> {
        if self.logs {
            command.stderr(Stdio::null());
        }
        let place = if self.alone {
            Place::First
        } else {
            Place::Anywhere
        };
        cores::start(place, || Process::start(command))
    }
}

impl Clients<'_> {
    /// As long as the plan says.
    ///
    /// # Errors
    ///
    /// When the server does not do what it should.
    pub fn turn(&self, server: &Server) -> Result<Turn> {
        let process = server.start()?;
        let time = self.plan.pace.time.as_millis() as u64;
        let clients = self.start(process.address()?, server.alone, "milliseconds", time)?;
        // It says `begin` here, and there that it has ended.
        clients.line()?;
        let before = usage::cpu(process.id());
        let outcome = Outcome::parse(&clients.line()?)?;
        let after = usage::cpu(process.id());
        let cpu = after
            .zip(before)
            .and_then(|(after, before)| after.checked_sub(before));
        Ok(Turn { outcome, cpu })
    }

    /// So many messages, there and back.
    ///
    /// # Errors
    ///
    /// When one does not come back.
    pub fn requests(&self, server: SocketAddr, requests: u64) -> Result {
        let clients = self.start(server, true, "requests", requests)?;
        clients.line()?;
        Outcome::parse(&clients.line()?).map(drop)
    }

    /// A server on one thread leaves the other cores to its clients. Four of them are enough to keep it busy.
    fn start(&self, server: SocketAddr, alone: bool, unit: &str, count: u64) -> Result<Process> {
        let (place, threads) = if alone {
            (Place::Others, (cores::count() - 1).clamp(1, 4))
        } else {
            (Place::Anywhere, (cores::count() / 2).max(1))
        };
        let mut command = Command::new(&self.plan.part);
        command.args(["load", &server.to_string()]);
        command
            .args([self.connections, self.size as u64, threads].map(|number| number.to_string()));
        command.args([unit, &count.to_string()]);
        cores::start(place, || Process::start(&mut command))
    }
}
