//! Processes that end: when they should, and with everything they started.

use std::ffi::OsStr;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGINT, SIGQUIT};
use signal_hook::flag::register_conditional_default;

/// What a process wrote is kept up to here; one that prints for ever must not fill the memory.
const KEPT: usize = 1 << 20;

/// Removes what belongs to the tests, or would make a program print something else here than in a shell.
pub(crate) fn as_in_a_readers_shell(command: &mut Command) -> &mut Command {
    for name in [
        "RUSTC",
        "RUST_BACKTRACE",
        "RUST_LOG",
        "RUST_TEST_THREADS",
        "CARGO_CACHE_RUSTC_INFO",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
    ] {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        // Cargo describes the package under test by these; a nested cargo is about another one.
        if ["CARGO_PKG_", "CARGO_BIN_EXE_", "BOOK_TESTS_"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            command.env_remove(&*name);
        }
    }
    command
}

/// Kills every process of a session but the caller, and says how many there were beside its leader.
///
/// A session, not a process group: a shell with job control puts each job into a group of its own.
///
/// # Errors
///
/// When some are still there after two seconds.
pub(crate) fn end_session(leader: Pid) -> io::Result<usize> {
    let me = rustix::process::getpid();
    let mut left_behind = Vec::new();
    let start = Instant::now();
    loop {
        let mut members = members(leader)?;
        members.retain(|&pid| pid != me);
        if members.is_empty() {
            return Ok(left_behind.len());
        }
        if start.elapsed() > Duration::from_secs(2) {
            return Err(io::Error::other(format!(
                "these processes do not end: {members:?}"
            )));
        }
        for pid in members {
            // It may have ended by itself since; the next look will tell.
            let _ = kill_process(pid, Signal::KILL);
            if pid != leader && !left_behind.contains(&pid) {
                left_behind.push(pid);
            }
        }
        thread::yield_now();
    }
}

/// The processes of a session that run; those that ended and were not yet collected do not count.
#[cfg(target_os = "linux")]
fn members(leader: Pid) -> io::Result<Vec<Pid>> {
    let leader = leader.as_raw_nonzero().to_string();
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // `pid (name) state parent group session …`: the name may contain anything, also brackets.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let mut fields = stat
            .rsplit_once(") ")
            .map_or("", |(_, rest)| rest)
            .split(' ');
        let runs = fields
            .next()
            .is_some_and(|state| !matches!(state, "" | "Z" | "X"));
        if runs && fields.nth(2) == Some(&leader) {
            pids.extend(Pid::from_raw(pid));
        }
    }
    Ok(pids)
}

/// The processes of a session that run; those that ended and were not yet collected do not count.
#[cfg(not(target_os = "linux"))]
fn members(leader: Pid) -> io::Result<Vec<Pid>> {
    let output = Command::new("ps")
        .args(["-A", "-o", "pid=", "-o", "stat="])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let pids = text.lines().filter_map(|line| {
        let (pid, state) = line.trim().split_once(' ')?;
        if state.trim().starts_with('Z') {
            return None;
        }
        Pid::from_raw(pid.parse().ok()?)
    });
    let of_session = |pid: &Pid| rustix::process::getsid(Some(*pid)).is_ok_and(|sid| sid == leader);
    Ok(pids.filter(of_session).collect())
}

/// What comes out of some pipes, read as it comes by a thread for each.
pub(crate) struct Output {
    shared: Arc<(Mutex<Vec<Taken>>, Condvar)>,
}

#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    dropped: usize,
    ended: bool,
}

impl Output {
    pub(crate) fn of(pipes: Vec<PipeReader>) -> Self {
        let taken = pipes.iter().map(|_| Taken::default()).collect();
        let shared = Arc::new((Mutex::new(taken), Condvar::new()));
        for (which, pipe) in pipes.into_iter().enumerate() {
            take_in(pipe, which, Arc::clone(&shared));
        }
        Self { shared }
    }

    /// Waits until `ready` says something about what was read so far, the first pipe ends, or the time is over.
    pub(crate) fn wait<T>(
        &self,
        deadline: Instant,
        mut ready: impl FnMut(&[String]) -> Option<T>,
    ) -> Waited<T> {
        let mut state = lock(&self.shared.0);
        loop {
            if let Some(found) = ready(&texts(&state)) {
                return Waited::Ready(found);
            }
            if state[0].ended {
                return Waited::Ended;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Waited::TimeOver;
            }
            state = self
                .shared
                .1
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// What was read so far.
    pub(crate) fn so_far(&self) -> Vec<String> {
        texts(&lock(&self.shared.0))
    }

    /// Everything, after all who could write were ended.
    ///
    /// # Errors
    ///
    /// When somebody still holds the other end of one: a process that left its session.
    pub(crate) fn rest(self) -> io::Result<Vec<String>> {
        let (state, _) = self
            .shared
            .1
            .wait_timeout_while(lock(&self.shared.0), Duration::from_secs(2), |state| {
                state.iter().any(|taken| !taken.ended)
            })
            .unwrap_or_else(PoisonError::into_inner);
        if state.iter().any(|taken| !taken.ended) {
            return Err(io::Error::other(
                "a process it started went into a session of its own and is still running",
            ));
        }
        let mut texts = texts(&state);
        for (text, taken) in texts.iter_mut().zip(state.iter()) {
            if taken.dropped > 0 {
                text.push_str(&format!("\n(and {} bytes more)\n", taken.dropped));
            }
        }
        Ok(texts)
    }
}

fn take_in(mut pipe: PipeReader, which: usize, shared: Arc<(Mutex<Vec<Taken>>, Condvar)>) {
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        loop {
            let n = match pipe.read(&mut buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            let taken = &mut lock(&shared.0)[which];
            let room = n.min(KEPT.saturating_sub(taken.bytes.len()));
            taken.bytes.extend_from_slice(&buffer[..room]);
            taken.dropped += n - room;
            taken.ended = n == 0;
            shared.1.notify_all();
            if n == 0 {
                return;
            }
        }
    });
}

fn texts(state: &[Taken]) -> Vec<String> {
    state
        .iter()
        .map(|taken| String::from_utf8_lossy(&taken.bytes).into_owned())
        .collect()
}

pub(crate) enum Waited<T> {
    Ready(T),
    Ended,
    TimeOver,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Exited(i32),
    Killed(i32),
    TimeOver,
}

/// A process that is gone, and everything it started with it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) end: End,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// How many processes it had started and left running.
    pub(crate) left_behind: usize,
}

/// Has whatever is started from now on end at Ctrl+C, as this process itself does.
///
/// Who runs in the background of a script ignores it, and so does all that it starts. What has a handler, even one that does
/// what is usual, is in order again in another program.
///
/// # Errors
///
/// When the system does not allow it.
pub(crate) fn heed_interrupts() -> io::Result<()> {
    static HEEDED: LazyLock<io::Result<()>> = LazyLock::new(|| {
        for signal in [SIGINT, SIGQUIT] {
            register_conditional_default(signal, Arc::new(AtomicBool::new(true)))?;
        }
        Ok(())
    });
    match &*HEEDED {
        Ok(()) => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

/// A command that will run in a session of its own, so that [`end_session`] finds all it starts.
pub(crate) fn in_a_session(stagehand: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(stagehand);
    command.arg("--session").arg(program).stdin(Stdio::null());
    command
}

/// Runs a command made by [`in_a_session`] for at most `limit`.
///
/// # Errors
///
/// When it cannot be started, or something it started cannot be ended.
pub(crate) fn finish(mut command: Command, limit: Duration) -> io::Result<Finished> {
    let ((stdout, out), (stderr, err)) = (io::pipe()?, io::pipe()?);
    command.stdout(out).stderr(err);
    let mut child = command.spawn()?;
    // It holds the ends to write to: only the processes shall.
    drop(command);
    let output = Output::of(vec![stdout, stderr]);
    let leader = pid_of(&child)?;

    // Until it is collected below, its number cannot become another process's.
    let (ended, wait) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(leader), options) {}
        // Nobody listens any more once the time is over.
        let _ = ended.send(());
    });
    let in_time = wait.recv_timeout(limit).is_ok();
    let left_behind = end_session(leader);
    child.kill()?;
    let status = child.wait()?;
    // The process has ended, so the thread has too.
    let _ = waiter.join();

    let left_behind = left_behind?;
    let mut texts = output.rest()?.into_iter();
    let (stdout, stderr) = (
        texts.next().unwrap_or_default(),
        texts.next().unwrap_or_default(),
    );
    Ok(Finished {
        end: match status.code() {
            _ if !in_time => End::TimeOver,
            Some(code) => End::Exited(code),
            None => End::Killed(status.signal().unwrap_or_default()),
        },
        stdout,
        stderr,
        left_behind,
    })
}

/// The number of a child as the system calls want it.
pub(crate) fn pid_of(child: &Child) -> io::Result<Pid> {
    Pid::from_raw(child.id().cast_signed())
        .ok_or_else(|| io::Error::other("a child without a number"))
}
