//! A server's program, and the process it is while a test needs it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;
use crate::client::Client;

/// How long anything may take that should take no time at all. Only a test that fails waits so long,
/// so it can be long enough for a machine that is busy with a dozen other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How to start a server.
#[derive(Clone)]
pub(crate) struct Program {
    path: PathBuf,
    variable: Option<(&'static str, String)>,
    /// A shell script that ends in `exec "$0" "$@"`, for what only a shell can prepare.
    shell: Option<String>,
    /// How many domains it is to start beside the first one, if it knows of such a thing.
    domains: Option<usize>,
    /// After how many seconds it is to close idle clients, if it is told.
    idle_timeout: Option<&'static str>,
    /// How long a client waits for this server.
    patience: Duration,
    /// What the servers that this program has been said on standard error.
    said: Arc<Mutex<Vec<String>>>,
}

impl Program {
    pub(crate) fn new(path: PathBuf) -> Program {
        Program {
            path,
            variable: None,
            shell: None,
            domains: None,
            idle_timeout: None,
            patience: PATIENCE,
            said: Arc::default(),
        }
    }

    pub(crate) fn variable(mut self, name: &'static str, value: &str) -> Program {
        self.variable = Some((name, value.to_owned()));
        self
    }

    pub(crate) fn patience(mut self, patience: Duration) -> Program {
        self.patience = patience;
        self
    }

    /// A program that knows of domains, started with so many beside the first one.
    pub(crate) fn with_domains(mut self, domains: usize) -> Program {
        self.domains = Some(domains);
        self
    }

    /// A program that closes clients which are idle for so many seconds.
    pub(crate) fn with_idle_timeout(mut self, seconds: &'static str) -> Program {
        self.idle_timeout = Some(seconds);
        self
    }

    /// The same program with one domain only.
    pub(crate) fn alone(&self) -> Program {
        let mut program = self.clone();
        program.domains = self.domains.map(|_| 0);
        program
    }

    /// The same program, started after `prepare` by a shell.
    pub(crate) fn after(&self, prepare: &str) -> Program {
        let mut program = self.clone();
        program.shell = Some(match &self.shell {
            Some(shell) => format!("{prepare}; {shell}"),
            None => format!("{prepare}; exec \"$0\" \"$@\""),
        });
        program
    }

    fn spawn(&self, args: &[&str]) -> Result<Process> {
        let mut command = match &self.shell {
            None => Command::new(&self.path),
            Some(script) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", script]).arg(&self.path);
                shell
            }
        };
        if let Some((name, value)) = &self.variable {
            command.env(name, value);
        }
        command.args(args).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn();
        let mut child = child.map_err(|error| format!("{}: {error}", self.path.display()))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("the server has no output".to_owned());
        };
        let (sender, lines) = mpsc::channel();
        let stdout = thread::spawn(move || {
            for line in BufReader::new(stdout)
                .lines()
                .map_while(std::io::Result::ok)
            {
                let _ = sender.send(line);
            }
        });
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = thread::spawn({
            let log = Arc::clone(&log);
            move || keep_the_last(stderr, &log)
        });
        Ok(Process {
            child,
            lines,
            log,
            readers: vec![stdout, stderr],
            said: Arc::clone(&self.said),
        })
    }

    /// Starts the server on a free port.
    pub(crate) fn start(&self) -> Result<Server> {
        self.start_on("127.0.0.1:0")
    }

    /// Starts the server on this address.
    pub(crate) fn start_on(&self, address: &str) -> Result<Server> {
        let domains = self.domains.map(|domains| domains.to_string());
        let mut args = vec!["--listen", address];
        if let Some(domains) = &domains {
            args.extend(["--domains", domains]);
        }
        if let Some(seconds) = self.idle_timeout {
            args.extend(["--idle-timeout", seconds]);
        }
        let process = self.spawn(&args)?;
        match process.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                let address = line.strip_prefix("listening on ");
                let address = address.and_then(|address| address.parse().ok());
                let wrong = || format!("it says `{line}`, and not `listening on ADDR`");
                Ok(Server {
                    address: address.ok_or_else(wrong)?,
                    process,
                    patience: self.patience,
                })
            }
            Err(mpsc::RecvTimeoutError::Timeout) => Err(format!(
                "it does not say `listening on ADDR` within {PATIENCE:?}"
            )),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err("it ends, and never says `listening on ADDR`".to_owned())
            }
        }
    }

    /// Runs the program, which should end by itself, and soon.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Ended> {
        let mut process = self.spawn(args)?;
        let status = process.ends(self.patience)?;
        process.join();
        let stdout: Vec<String> = process.lines.try_iter().collect();
        let stderr = lock(&process.log).clone();
        Ok(Ended {
            code: status.code(),
            stdout: stdout.join("\n"),
            stderr,
        })
    }

    /// What went wrong, and what the servers said meanwhile.
    pub(crate) fn explain(&self, wrong: &str) -> String {
        let mut text = wrong.to_owned();
        for said in lock(&self.said).iter().filter(|said| !said.is_empty()) {
            let _ = write!(text, "\n--- standard error of a server ---\n{said}");
        }
        text
    }
}

/// What is left of a program that has ended by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Keeps what was said last. All of it might be much: an error for each of many clients.
fn keep_the_last(mut stderr: impl Read, log: &Mutex<String>) {
    const ENOUGH: usize = 4096;
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        let mut log = lock(log);
        log.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if log.len() > 2 * ENOUGH {
            let start = log.len() - ENOUGH;
            let start = (start..log.len()).find(|&at| log.is_char_boundary(at));
            log.replace_range(..start.unwrap_or(0), "[..]");
        }
    }
}

/// A test that panicked elsewhere is no reason to lose what was written down.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child process; dropping it kills it.
struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Waits for its end.
    fn ends(&mut self, patience: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if start.elapsed() > patience => {
                    return Err(format!("it does not end within {patience:?}"));
                }
                // Nothing but a signal says that a child has ended: we look again and again.
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                Err(error) => return Err(format!("waiting for its end: {error}")),
            }
        }
    }

    /// Reads to the end what it has printed; it has ended, so there is an end.
    fn join(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join();
        lock(&self.said).push(lock(&self.log).clone());
    }
}

/// A server that listens. Dropping it kills it.
pub(crate) struct Server {
    address: SocketAddr,
    process: Process,
    patience: Duration,
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.child.id()
    }

    pub(crate) fn connect(&self, name: impl Into<String>) -> Result<Client> {
        let name = name.into();
        match TcpStream::connect_timeout(&self.address, PATIENCE) {
            Ok(stream) => Client::new(stream, name, self.patience),
            Err(error) => Err(format!("{name}: cannot connect: {error}")),
        }
    }

    fn signal(&self, signal: Signal) -> Result {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or("a process without a number")?;
        kill_process(id, signal).map_err(|error| format!("{signal:?}: {error}"))
    }

    /// Does `f` while the server stands still, so that it finds everything done when it goes on.
    pub(crate) fn stopped<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        self.signal(Signal::STOP)?;
        let result = f();
        self.signal(Signal::CONT)?;
        result
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(mut self) -> Result {
        self.signal(Signal::INT)?;
        self.process.ends(self.patience).map(|_| ())
    }
}
