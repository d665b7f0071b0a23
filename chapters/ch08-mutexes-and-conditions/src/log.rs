//! The server's log: lines from all domains, none of them torn, and nobody waits for its reader.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// So many lines may wait for the reader of the log.
const LINES: usize = 4096;

/// So long a log that is dropped waits for its reader.
const PATIENCE: Duration = Duration::from_secs(1);

// ANCHOR: log
/// Lines for standard error, or another place. They are written by a thread of their own: a terminal that was stopped, or a
/// pipe that nobody reads, blocks whoever writes to it, and a domain must not be blocked.
///
/// If the reader cannot keep up, or the disk is full for a while, lines are left out, and the log says how many. If the reader
/// is gone, all are. Dropped, it waits until all lines are written, but no longer than a second: the reader may be stuck.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::Log;
///
/// # let path = std::env::temp_dir().join(format!("log-{}", std::process::id()));
/// let log = Log::to(std::fs::File::create(&path)?)?;
/// log.line(format_args!("{} bytes", 5));
/// drop(log);
/// assert_eq!(std::fs::read_to_string(&path)?, "5 bytes\n");
/// # std::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Log {
    /// `None` only while it is dropped.
    lines: Option<SyncSender<Line>>,
    left_out: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// A line, and how many before it are left out.
type Line = (usize, String);

impl Log {
    /// Begins a log on `output`.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn to(output: impl Write + Send + 'static) -> io::Result<Log> {
        let (lines, waiting) = mpsc::sync_channel(LINES);
        let left_out = Arc::new(AtomicUsize::new(0));
        let lost = left_out.clone();
        let thread = thread::Builder::new()
            .name(String::from("log"))
            .spawn(move || write_all(output, &waiting, &lost))?;
        Ok(Log {
            lines: Some(lines),
            left_out,
            thread,
        })
    }

    // ANCHOR: line
    /// Adds a line. It never waits.
    pub fn line(&self, line: impl Display) {
        let Some(lines) = &self.lines else { return };
        let lost = self.left_out.swap(0, Ordering::Relaxed);
        if lines.try_send((lost, format!("{line}\n"))).is_err() {
            self.left_out.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }
    // ANCHOR_END: line
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines = None;
        let start = Instant::now();
        while !self.thread.is_finished() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The life of the thread. It ends when the log is dropped, or nobody reads it any more.
fn write_all(mut output: impl Write, lines: &Receiver<Line>, left_out: &AtomicUsize) {
    let note = |lost| match lost {
        0 => String::new(),
        _ => format!("({lost} lines of the log are left out here)\n"),
    };
    for (lost, line) in lines {
        // Whole lines at once.
        match output.write_all((note(lost) + &line).as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return,
            Err(_) => {
                left_out.fetch_add(lost + 1, Ordering::Relaxed);
            }
        }
    }
    // If this fails, too, nothing is left to be done.
    let _ = output.write_all(note(left_out.load(Ordering::Relaxed)).as_bytes());
}
// ANCHOR_END: log
