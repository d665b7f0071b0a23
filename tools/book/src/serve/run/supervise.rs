//! The supervisor: this program again, between the server and what it runs.
//!
//! A process of its own, because only a process can take in the orphans of another, and because it has to outlive
//! the server long enough to clean up behind it. It is started with a pipe from the server, and ends everything
//! when that closes.

use std::io::{self, BufRead, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::descendants;
use super::order::{End, Order, Report};

/// How long the last of the output may take to be handed on.
const DRAIN: Duration = Duration::from_secs(5);

/// What the supervisor waits for.
enum News {
    Ended,
    ServerGone,
    TooMuch,
}

/// Carries out the order on standard input, and reports on standard output.
///
/// # Errors
///
/// When there is no order. What goes wrong with a run is part of the report.
pub(crate) fn supervise() -> Result<()> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .context("no order came")?;
    let order: Order = serde_json::from_str(&line).context("this is not an order")?;
    let (news, to_hear) = channel();
    let gone = news.clone();
    thread::spawn(move || {
        // Nothing more is ever sent: what comes is the end.
        let _ = io::stdin().lock().read(&mut [0]);
        let _ = gone.send(News::ServerGone);
    });
    let (reports, to_write) = sync_channel::<Report>(16);
    let writer = thread::spawn(move || {
        let mut out = io::stdout().lock();
        for report in to_write {
            let Ok(line) = serde_json::to_string(&report) else {
                continue;
            };
            // Whoever does not read any more is gone, which the other pipe tells.
            let written = writeln!(out, "{line}").and_then(|()| out.flush());
            if written.is_err() || matches!(report, Report::End(_)) {
                return;
            }
        }
    });

    let mut server_gone = false;
    let end = match start(&order) {
        Ok(child) => match watch(&order, child, news, &to_hear, &reports) {
            Ok((end, gone)) => {
                server_gone = gone;
                end
            }
            Err(error) => End::Failed(format!("{error:#}")),
        },
        Err(error) => End::Failed(format!("{error:#}")),
    };
    if server_gone && let Some(folder) = &order.remove {
        // The server may have been quicker, if it is still there.
        let _ = std::fs::remove_dir_all(folder);
    }
    // A server that died reads nothing, and then there is nobody to tell.
    let _ = reports.send(Report::End(end));
    drop(reports);
    let _ = writer.join();
    Ok(())
}

fn start(order: &Order) -> Result<Child> {
    rustix::process::setsid().context("cannot start a session")?;
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .context("cannot become the one who takes in orphans")?;
    order.limits.impose().context("cannot limit the run")?;
    Command::new(&order.program)
        .args(&order.arguments)
        .env_clear()
        .envs(&order.environment)
        .current_dir(&order.place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", order.program.display()))
}

/// Waits for the first reason to end, ends all, and says how it ended and whether the server asked for it.
fn watch(
    order: &Order,
    mut child: Child,
    news: Sender<News>,
    to_hear: &std::sync::mpsc::Receiver<News>,
    reports: &SyncSender<Report>,
) -> Result<(End, bool)> {
    let deadline = Instant::now() + order.limits.time;
    let allowance = std::sync::Arc::new(std::sync::Mutex::new(order.limits.output));
    let mut readers = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        readers.push(relay(pipe, Report::Out, &allowance, &news, reports));
    }
    if let Some(pipe) = child.stderr.take() {
        readers.push(relay(pipe, Report::Err, &allowance, &news, reports));
    }
    let pid = rustix::process::Pid::from_child(&child);
    let ended = news.clone();
    thread::spawn(move || {
        // Without collecting it: until that is done below, its number is not given to another.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        let _ = ended.send(News::Ended);
    });
    drop(news);
    let left = deadline.saturating_duration_since(Instant::now());
    let why = match to_hear.recv_timeout(left) {
        Ok(News::Ended) => None,
        Ok(News::ServerGone) => Some(End::Stopped),
        Ok(News::TooMuch) => Some(End::Output),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Some(End::Time),
    };
    // As long as something of it is left, its place is taken.
    while descendants::end_all().is_err() {}
    let status = child.wait().context("cannot collect the program")?;
    descendants::collect();
    let server_gone = why == Some(End::Stopped);
    // All writers are gone, so the readers come to an end, if somebody takes what they still have. Where orphans cannot
    // be taken in, one may hold the pipe for as long as it likes.
    let deadline = Instant::now() + DRAIN;
    while !server_gone
        && readers.iter().any(|reader| !reader.is_finished())
        && Instant::now() < deadline
    {
        thread::sleep(Duration::from_millis(1));
    }
    // The last of a program's output may be what was too much.
    let too_much = why.is_none() && to_hear.try_iter().any(|news| matches!(news, News::TooMuch));
    let end = match why {
        Some(why) => why,
        None if too_much => End::Output,
        None => of(status),
    };
    Ok((end, server_gone))
}

fn of(status: ExitStatus) -> End {
    use std::os::unix::process::ExitStatusExt;
    match status.code() {
        Some(code) => End::Exit(code),
        None => End::Signal(status.signal().unwrap_or_default()),
    }
}

/// Hands on what a pipe brings, whole characters at a time, as far as the allowance goes.
fn relay(
    mut pipe: impl Read + Send + 'static,
    wrap: fn(String) -> Report,
    allowance: &std::sync::Arc<std::sync::Mutex<usize>>,
    news: &Sender<News>,
    reports: &SyncSender<Report>,
) -> thread::JoinHandle<()> {
    let (allowance, news, reports) = (allowance.clone(), news.clone(), reports.clone());
    thread::spawn(move || {
        let mut pending = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            let n = match pipe.read(&mut buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            let room = {
                let mut left = allowance
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                let room = n.min(*left);
                *left -= room;
                room
            };
            pending.extend_from_slice(&buffer[..room]);
            let whole = if n == 0 {
                pending.len()
            } else {
                whole(&pending)
            };
            if whole > 0 {
                let text = String::from_utf8_lossy(&pending[..whole]).into_owned();
                pending.drain(..whole);
                if reports.send(wrap(text)).is_err() {
                    return;
                }
            }
            if room < n {
                let _ = news.send(News::TooMuch);
                return;
            }
            if n == 0 {
                return;
            }
        }
    })
}

/// How many bytes there are before a character that has only begun.
pub(super) fn whole(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        // A broken character in the middle hides how the rest ends; three bytes more decide it.
        Err(_) => {
            let from = bytes.len().saturating_sub(3);
            (from..bytes.len())
                .find(|&at| {
                    bytes[at] >= 0xC0
                        && matches!(std::str::from_utf8(&bytes[at..]), Err(e) if e.error_len().is_none())
                })
                .unwrap_or(bytes.len())
        }
        Ok(_) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn a_character_is_not_cut() {
        let text = "aé€".as_bytes();
        assert_eq!(
            [1, 2, 3, 4, 5, 6].map(|n| whole(&text[..n])),
            [1, 1, 3, 3, 3, 6]
        );
        assert_eq!(whole(b"\xff\xe2\x82"), 1);
        assert_eq!(whole(b"\xff\xff"), 2);
    }
}
