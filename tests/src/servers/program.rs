//! A server's program, and the process it is while a test needs it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Result;
use super::client::{Address, Client};
use crate::process::heed_interrupts;

/// How long anything may take that should take no time at all. Only a test that fails waits so long,
/// so it can be long enough for a machine that is busy with a dozen other things.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    variable: Option<(&'static str, String)>,
    /// A shell script that ends in `exec "$0" "$@"`, for what only a shell can prepare.
    shell: Option<String>,
    /// How many domains it is to start beside the first one, if it knows of such a thing.
    domains: Option<usize>,
    /// What else it is told.
    options: Vec<String>,
    /// Who reads what it says on standard error.
    reader: Reader,
    /// How long a client waits for this server.
    patience: Duration,
    /// What the servers that this program has been said on standard error.
    said: Arc<Mutex<Vec<String>>>,
}

/// Who reads what a server says on standard error.
#[derive(Debug, Clone, Copy)]
pub enum Reader {
    /// This program.
    Present,
    /// Somebody who has gone.
    Gone,
    /// Somebody who does not read, and there is no room left.
    Stuck,
}

impl Program {
    /// This file, to be started as it is.
    pub fn new(path: PathBuf) -> Program {
        Program {
            path,
            variable: None,
            shell: None,
            domains: None,
            options: Vec::new(),
            reader: Reader::Present,
            patience: PATIENCE,
            said: Arc::default(),
        }
    }

    /// With a variable in its environment.
    pub fn variable(mut self, name: &'static str, value: &str) -> Program {
        self.variable = Some((name, value.to_owned()));
        self
    }

    /// A program whose clients wait so long for an answer.
    pub fn patience(mut self, patience: Duration) -> Program {
        self.patience = patience;
        self
    }

    /// A program that knows of domains, started with so many beside the first one.
    pub fn with_domains(mut self, domains: usize) -> Program {
        self.domains = Some(domains);
        self
    }

    /// The same program, told more.
    pub fn with(&self, options: &[&str]) -> Program {
        let mut program = self.clone();
        let more = options.iter().map(|&option| option.to_owned());
        program.options.extend(more);
        program
    }

    /// The same program, with another one who reads what it says.
    pub fn read_by(&self, reader: Reader) -> Program {
        let mut program = self.clone();
        program.reader = reader;
        program
    }

    /// The same program with one domain only.
    pub fn alone(&self) -> Program {
        let mut program = self.clone();
        program.domains = self.domains.map(|_| 0);
        program
    }

    /// The same program, started after `prepare` by a shell.
    pub fn after(&self, prepare: &str) -> Program {
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
        command.stdout(Stdio::piped());
        let mut unread = None;
        match self.reader {
            Reader::Present => drop(command.stderr(Stdio::piped())),
            Reader::Gone | Reader::Stuck => {
                let (reader, writer) = pipe_without_room().map_err(|error| error.to_string())?;
                command.stderr(OwnedFd::from(writer));
                unread = matches!(self.reader, Reader::Stuck).then_some(reader);
            }
        }
        let child = heed_interrupts().and_then(|()| command.spawn());
        let mut child = child.map_err(|error| format!("{}: {error}", self.path.display()))?;
        let Some(stdout) = child.stdout.take() else {
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
        let log = Arc::<Mutex<Log>>::default();
        let mut readers = vec![stdout];
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            readers.push(thread::spawn(move || keep_the_last(stderr, &log)));
        }
        Ok(Process {
            child,
            lines: Mutex::new(lines),
            log,
            readers,
            _unread: unread,
            said: Arc::clone(&self.said),
        })
    }

    /// Starts the server on a free port.
    pub fn start(&self) -> Result<Server> {
        self.start_on("127.0.0.1:0")
    }

    /// Starts the server on this address.
    pub fn start_on(&self, address: &str) -> Result<Server> {
        let mut args = vec!["--listen".to_owned(), address.to_owned()];
        if let Some(count) = self.domains {
            args.extend(["--domains".to_owned(), count.to_string()]);
        }
        args.extend(self.options.iter().cloned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let process = self.spawn(&args)?;
        let first = process.announced(PATIENCE)?;
        let Address::Tcp(address) = first else {
            return Err(format!(
                "it listens on {first:?} first, and not on {address}"
            ));
        };
        let mut addresses = vec![first];
        for _ in self.options.iter().filter(|option| *option == "--listen") {
            addresses.push(process.announced(self.patience)?);
        }
        Ok(Server {
            address,
            addresses,
            process,
            patience: self.patience,
        })
    }

    /// Runs the program, which should end by itself, and soon.
    pub fn run(&self, args: &[&str]) -> Result<Ended> {
        let mut process = self.spawn(args)?;
        let status = process.ends(self.patience)?;
        process.join();
        let stdout: Vec<String> = lock(&process.lines).try_iter().collect();
        let stderr = lock(&process.log).text.clone();
        Ok(Ended {
            code: status.code(),
            stdout: stdout.join("\n"),
            stderr,
        })
    }

    /// What went wrong, and what the servers said meanwhile.
    pub fn explain(&self, wrong: &str) -> String {
        let mut text = wrong.to_owned();
        for said in lock(&self.said).iter().filter(|said| !said.is_empty()) {
            let _ = write!(text, "\n--- standard error of a server ---\n{said}");
        }
        text
    }
}

/// What is left of a program that has ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// The exit code, if no signal has ended it.
    pub code: Option<i32>,
    /// What it said.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// What a process says on standard error.
#[derive(Debug, Default)]
struct Log {
    /// What it said last.
    text: String,
    /// How many lines it said in all.
    lines: usize,
}

/// Two ends of a pipe that is full.
fn pipe_without_room() -> std::io::Result<(UnixStream, UnixStream)> {
    let (reader, writer) = UnixStream::pair()?;
    writer.set_nonblocking(true)?;
    while (&writer).write(&[b'.'; 1024]).is_ok() {}
    while (&writer).write(b".").is_ok() {}
    writer.set_nonblocking(false)?;
    Ok((reader, writer))
}

/// Keeps what was said last. All of it might be much: lines for each of many clients.
fn keep_the_last(mut stderr: impl Read, log: &Mutex<Log>) {
    const ENOUGH: usize = 1 << 18;
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        let mut log = lock(log);
        log.lines += buffer[..count].iter().filter(|&&b| b == b'\n').count();
        let text = &mut log.text;
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if text.len() > 2 * ENOUGH {
            let start = text.len() - ENOUGH;
            let start = (start..text.len()).find(|&at| text.is_char_boundary(at));
            text.replace_range(..start.unwrap_or(0), "[..]");
        }
    }
}

/// A test that panicked elsewhere is no reason to lose what was written down.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child process; dropping it kills it.
#[derive(Debug)]
struct Process {
    child: Child,
    /// Behind a lock only so that several threads may connect to the server.
    lines: Mutex<mpsc::Receiver<String>>,
    log: Arc<Mutex<Log>>,
    readers: Vec<JoinHandle<()>>,
    /// Where it writes, if nobody reads that.
    _unread: Option<UnixStream>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// The next address on which it says that it listens.
    fn announced(&self, patience: Duration) -> Result<Address> {
        match lock(&self.lines).recv_timeout(patience) {
            Ok(line) => match line.strip_prefix("listening on ") {
                Some(address) => Address::parse(address),
                None => Err(format!("it says `{line}`, and not `listening on ADDR`")),
            },
            Err(mpsc::RecvTimeoutError::Timeout) => Err(format!(
                "it does not say `listening on ADDR` within {patience:?}"
            )),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err("it ends, and never says `listening on ADDR`".to_owned())
            }
        }
    }

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
        lock(&self.said).push(lock(&self.log).text.clone());
    }
}

/// A server that listens. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    addresses: Vec<Address>,
    process: Process,
    patience: Duration,
}

impl Server {
    /// Where it listens on the internet.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All places where it listens.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// A client whose complaints begin with `name`.
    pub fn connect(&self, name: impl Into<String>) -> Result<Client> {
        self.connect_to(&Address::Tcp(self.address), name)
    }

    /// A client on one of its [addresses](Server::addresses).
    pub fn connect_to(&self, address: &Address, name: impl Into<String>) -> Result<Client> {
        Client::connect(address, name.into(), self.patience)
    }

    /// How many lines it has said on standard error so far.
    pub fn lines(&self) -> usize {
        lock(&self.process.log).lines
    }

    /// Waits until what it has said on standard error is as wanted.
    pub fn says(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result {
        let start = Instant::now();
        while !wanted(&lock(&self.process.log).text) {
            if start.elapsed() > self.patience {
                return Err(format!("it does not say {what} within {:?}", self.patience));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// What it has said on standard error.
    pub fn said(&self) -> String {
        lock(&self.process.log).text.clone()
    }

    /// Waits until it takes no more clients.
    pub fn refuses(&self) -> Result {
        let start = Instant::now();
        while TcpStream::connect_timeout(&self.address, PATIENCE).is_ok() {
            if start.elapsed() > self.patience {
                return Err("it still takes clients".to_owned());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits for its end. Gives its exit code; there is none if a signal has ended it.
    pub fn ends(&mut self) -> Result<Option<i32>> {
        self.process.ends(self.patience).map(|status| status.code())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or("a process without a number")?;
        kill_process(id, signal).map_err(|error| format!("{signal:?}: {error}"))
    }

    /// Does `f` while the server stands still, so that it finds everything done when it goes on.
    pub fn stopped<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        self.signal(Signal::STOP)?;
        let result = f();
        self.signal(Signal::CONT)?;
        result
    }

    /// What Ctrl-C does; it should end the server.
    pub fn interrupt(mut self) -> Result<ExitStatus> {
        self.signal(Signal::INT)?;
        self.process.ends(self.patience)
    }
}
