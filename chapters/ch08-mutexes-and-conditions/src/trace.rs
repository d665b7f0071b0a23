//! A run as a file that a viewer can draw.
//!
//! The format is the JSON array of Google's [Trace Event Format], which [Perfetto] opens. Each domain is a track, each
//! poll a slice on it, each wake an arrow from the slice that did it to the poll that it led to, and each task a bar from its spawning to
//! its end.
//!
//! Each domain writes what happened to a buffer of its own, and that to the file when it is full, or when the domain is about to sleep.
//!
//! [Trace Event Format]: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
//! [Perfetto]: https://ui.perfetto.dev

use crate::domain::{Caller, Domain};
use crate::failure::{Failure, Result, without_panic};
use crate::record::{TaskId, What};
use crate::scheduler::drop_quietly;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::{self, Display, Write as _};
use std::fs::File;
use std::io::{self, Write};
use std::panic::Location;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

// ANCHOR: trace
/// Where a run is written to as it happens, for <https://ui.perfetto.dev>. Handed to [`Builder::trace`](crate::Builder::trace).
///
/// There is a track for each domain. On it is a slice for each poll, and for each cancelled task's end, named after the task. Arrows lead from the
/// slice in which a task was woken, spawned or called, to the one in which it had its turn then, on whatever domain. Each task's
/// life is a bar, named after the line that spawned it.
///
/// The file grows by some four hundred bytes a turn, and its end is written when the run is over. One that was cut short can be opened, too. What
/// is kept in memory does not grow with the length of the run, but with the number of tasks that are there.
///
/// Clones share it. It is for one run.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{Runtime, Trace, yield_now};
///
/// let path = std::env::temp_dir().join(format!("trace-{}.json", std::process::id()));
/// let trace = Trace::to_file(&path)?;
/// let runtime = Runtime::builder().domains(1).trace(&trace).build();
/// runtime.run(async |cx| {
///     yield_now().await;
///     cx.call(async |_| Ok(()))?.await
/// })?;
/// assert!(trace.take_error().is_none()); // nothing has gone wrong in writing it
/// let text = std::fs::read_to_string(&path)?;
/// assert!(text.contains(r#""args":{"suspended on":"its next turn"}"#), "{text}");
/// # std::fs::remove_file(path)?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Trace(Arc<Output>);

struct Output {
    sink: Mutex<Sink>,
    /// When the run began.
    start: OnceLock<Instant>,
    /// Whether there is any use in writing: until the run is over, or something goes wrong.
    open: AtomicBool,
    /// The number of the next arrow.
    next: AtomicU64,
    /// The arrows that are on their way from one domain to another.
    crossing: Mutex<HashMap<Caller, Arrow>>,
}

struct Sink {
    writer: Option<Box<dyn Write + Send>>,
    /// What went wrong, until somebody has asked.
    error: Option<io::Error>,
}

/// One end of an arrow, for which the other end is to come.
#[derive(Clone, Copy)]
struct Arrow {
    name: &'static str,
    number: u64,
}
// ANCHOR_END: trace

impl Trace {
    /// To a new file, or in the place of the one that is there.
    ///
    /// # Errors
    ///
    /// Those of the system: the file cannot be made.
    pub fn to_file(path: impl AsRef<Path>) -> io::Result<Trace> {
        Ok(Trace::new(File::create(path)?))
    }

    /// To `writer`. It is given some 64 KiB at once, by any domain, and that waits meanwhile; when the run is over it is flushed and dropped.
    /// It needs no buffer.
    pub fn new(writer: impl Write + Send + 'static) -> Trace {
        Trace(Arc::new(Output {
            sink: Mutex::new(Sink {
                writer: Some(Box::new(writer)),
                error: None,
            }),
            start: OnceLock::new(),
            open: AtomicBool::new(true),
            next: AtomicU64::new(1),
            crossing: Mutex::default(),
        }))
    }

    /// What went wrong in writing, if anything did: the disk is full, for instance. The trace ends there, and the run goes on. It
    /// is told once.
    pub fn take_error(&self) -> Option<io::Error> {
        lock(&self.0.sink).error.take()
    }

    /// The run begins. Dropped, what this gives ends the trace.
    pub(crate) fn begin(&self) -> Result<Tracing> {
        if self.0.start.set(Instant::now()).is_err() {
            return Err(Failure::msg(
                "this trace has had its run: each needs its own",
            ));
        }
        let program = std::env::args_os().next().unwrap_or_default();
        let program = Path::new(&program).file_name().unwrap_or_default();
        let mut text = String::from("[");
        let name = escaped(program.to_string_lossy());
        let process = process::id();
        // It writes to memory, which does not fail; so it is below.
        let _ = write!(
            text,
            r#"
{{"ph":"M","pid":{process},"name":"process_name","args":{{"name":"{name}"}}}}"#
        );
        self.write(text.as_bytes());
        Ok(Tracing(self.clone()))
    }

    fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Relaxed)
    }

    // ANCHOR: write
    fn write(&self, bytes: &[u8]) {
        self.with_writer(|writer| writer.write_all(bytes));
    }

    fn with_writer(&self, f: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) {
        let mut sink = lock(&self.0.sink);
        let Some(writer) = &mut sink.writer else {
            return;
        };
        // It may be anybody's code.
        let written = without_panic(|| Ok(f(&mut **writer)));
        let written = written.unwrap_or_else(|failure| Err(io::Error::other(failure.to_string())));
        if let Err(error) = written {
            self.0.open.store(false, Ordering::Relaxed);
            sink.error = Some(error);
            let writer = sink.writer.take();
            drop(sink);
            drop_quietly(writer);
        }
    }
    // ANCHOR_END: write
}

/// The trace of a run that has begun.
pub(crate) struct Tracing(Trace);

impl Drop for Tracing {
    fn drop(&mut self) {
        let Tracing(trace) = self;
        trace.0.open.store(false, Ordering::Relaxed);
        trace.with_writer(|writer| {
            writer.write_all(b"\n]\n")?;
            writer.flush()
        });
        let writer = lock(&trace.0.sink).writer.take();
        drop_quietly(writer);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").finish_non_exhaustive()
    }
}

// ANCHOR: tracer
/// What a domain writes its part of the trace with.
pub(crate) struct Tracer {
    trace: Trace,
    start: Instant,
    domain: Domain,
    /// Nothing is formatted into it but what is the runtime's own: so it is never borrowed twice.
    text: RefCell<String>,
    /// Whether its text is being written to the file.
    flushing: Cell<bool>,
    /// The slice that is open, and what it is to say when it ends.
    slice: RefCell<Option<String>>,
    /// The tasks whose code has not ended, and where they were spawned.
    living: RefCell<HashMap<TaskId, &'static Location<'static>>>,
    /// Arrows that lead to the next poll of a task.
    arrows: RefCell<HashMap<TaskId, Arrow>>,
    /// The arrow that has come from another domain with a message.
    arriving: Cell<Option<Arrow>>,
}

/// So much text is written to the file at once, as a rule.
const CHUNK: usize = 64 * 1024;
// ANCHOR_END: tracer

impl Tracer {
    pub(crate) fn new(trace: &Trace, domain: Domain) -> Tracer {
        let tracer = Tracer {
            trace: trace.clone(),
            start: *trace.0.start.get_or_init(Instant::now),
            domain,
            text: RefCell::default(),
            flushing: Cell::new(false),
            slice: RefCell::default(),
            living: RefCell::default(),
            arrows: RefCell::default(),
            arriving: Cell::new(None),
        };
        tracer.line(r#""ph":"M","name":"thread_name""#, named(domain));
        let order = format_args!(r#","args":{{"sort_index":{}}}"#, domain.0);
        tracer.line(r#""ph":"M","name":"thread_sort_index""#, order);
        tracer
    }

    // ANCHOR: note
    pub(crate) fn note(&self, task: TaskId, what: What) {
        if !self.trace.is_open() {
            return;
        }
        match what {
            What::Spawned { by, at } => {
                self.flush_if_full();
                self.living.borrow_mut().insert(task, at);
                let by = escaped(by.map(|by| by.to_string()).unwrap_or_default());
                let args = format_args!(r#","args":{{"task":"{task}","spawned by":"{by}"}}"#);
                self.life("b", task, at, args);
                self.lead_to(task, "spawn");
            }
            What::Polled => {
                self.flush_if_full();
                self.enter(task, "poll");
            }
            What::Suspended { on } => {
                *self.slice.borrow_mut() = Some(format!(r#""suspended on":"{}""#, escaped(on)));
                self.leave();
            }
            What::Woken { .. } => self.lead_to(task, "wake"),
            What::Cancelled => {
                let name = format_args!(r#","s":"t","cat":"cancel","name":"{task} cancelled""#);
                self.line(r#""ph":"i""#, name);
            }
            What::Ended { well } => {
                let how = if well { "well" } else { "badly" };
                let args = format!(r#""ended":"{how}""#);
                if let Some(at) = self.living.borrow_mut().remove(&task) {
                    self.life("e", task, at, format_args!(r#","args":{{{args}}}"#));
                }
                self.arrows.borrow_mut().remove(&task);
                if let Some(end) = &mut *self.slice.borrow_mut() {
                    *end = args;
                }
            }
            // What it owns is no part of when it ran.
            What::Owned { .. } | What::Disowned { .. } | What::Finalised { .. } => {}
        }
    }
    // ANCHOR_END: note

    // ANCHOR: slice
    /// The turn of `task` begins.
    pub(crate) fn enter(&self, task: TaskId, kind: &str) {
        let at = self.living.borrow().get(&task).copied();
        let (of, at) = match at {
            Some(at) => ("", at.to_string()),
            // Its own code has ended: what is polled is a finaliser.
            None if kind == "poll" => ("finaliser of ", String::new()),
            None => ("", String::new()),
        };
        let at = escaped(at);
        let more =
            format_args!(r#","cat":"{kind}","name":"{of}{task}","args":{{"spawned at":"{at}"}}"#);
        self.line(r#""ph":"B""#, more);
        *self.slice.borrow_mut() = Some(String::new());
        if let Some(Arrow { name, number }) = self.arrows.borrow_mut().remove(&task) {
            let more = format_args!(r#","bp":"e","cat":"wake","name":"{name}","id":{number}"#);
            self.line(r#""ph":"f""#, more);
        }
    }

    /// The turn has ended.
    pub(crate) fn leave(&self) {
        if let Some(args) = self.slice.take() {
            self.line(r#""ph":"E""#, format_args!(r#","args":{{{args}}}"#));
        }
    }
    // ANCHOR_END: slice

    // ANCHOR: arrows
    /// The next poll of `task` is due to what happens now.
    fn lead_to(&self, task: TaskId, name: &'static str) {
        let arrow = self.arriving.take().or_else(|| self.leave_from_here(name));
        if let Some(arrow) = arrow {
            self.arrows.borrow_mut().insert(task, arrow);
        }
    }

    /// An arrow that begins in the slice that is open, if one is.
    fn leave_from_here(&self, name: &'static str) -> Option<Arrow> {
        self.slice.borrow().as_ref()?;
        let number = self.trace.0.next.fetch_add(1, Ordering::Relaxed);
        let more = format_args!(r#","cat":"wake","name":"{name}","id":{number}"#);
        self.line(r#""ph":"s""#, more);
        Some(Arrow { name, number })
    }

    /// A message about `place` is about to be sent to another domain. If there is one under way already, that has
    /// the arrow.
    pub(crate) fn depart(&self, place: Caller, name: &'static str) {
        let mut crossing = lock(&self.trace.0.crossing);
        if self.trace.is_open()
            && !crossing.contains_key(&place)
            && let Some(arrow) = self.leave_from_here(name)
        {
            crossing.insert(place, arrow);
        }
    }

    /// Such a message has come. The arrow is that of whoever is woken until [`arrived`](Tracer::arrived).
    pub(crate) fn arrive(&self, place: Caller) {
        self.arriving
            .set(lock(&self.trace.0.crossing).remove(&place));
    }

    pub(crate) fn arrived(&self) {
        self.arriving.set(None);
    }
    // ANCHOR_END: arrows

    /// The domain has come to its end.
    pub(crate) fn end(&self) {
        self.leave();
        // On a domain that has died, there are tasks that have never ended.
        for (task, at) in self.living.take() {
            self.life("e", task, at, format_args!(""));
        }
        self.flush();
    }

    /// The beginning or the end of the life of `task`. Those that were spawned on one line stand together.
    fn life(&self, phase: &str, task: TaskId, at: &Location<'_>, args: fmt::Arguments<'_>) {
        let (TaskId(id), at) = (task, escaped(at));
        let more = format_args!(r#","cat":"task","id":{id},"name":"spawned at {at}"{args}"#);
        self.line(format_args!(r#""ph":"{phase}""#), more);
    }

    // ANCHOR: line
    fn line(&self, head: impl Display, more: impl Display) {
        if !self.trace.is_open() {
            return;
        }
        let since = self.start.elapsed();
        let (micros, nanos) = (since.as_micros(), since.subsec_nanos() % 1000);
        // Viewers take a process or a thread with the number 0 for the idle one.
        let (process, thread) = (process::id(), self.domain.0 + 1);
        let _ = write!(
            self.text.borrow_mut(),
            ",\n{{{head},\"pid\":{process},\"tid\":{thread},\"ts\":{micros}.{nanos:03}{more}}}"
        );
    }
    // ANCHOR_END: line

    fn flush_if_full(&self) {
        if self.text.borrow().len() >= CHUNK {
            self.flush();
        }
    }

    // ANCHOR: flush
    /// Writes what there is to the file.
    pub(crate) fn flush(&self) {
        // The writer may be anybody's code, and wake tasks.
        if self.text.borrow().is_empty() || self.flushing.replace(true) {
            return;
        }
        let mut text = self.text.take();
        self.trace.write(text.as_bytes());
        self.flushing.set(false);
        // Its memory is used again.
        let mut meanwhile = self.text.borrow_mut();
        text.clear();
        text.push_str(&meanwhile);
        if text.capacity() <= 2 * CHUNK {
            *meanwhile = text;
        }
    }
    // ANCHOR_END: flush
}

fn named(domain: Domain) -> String {
    format!(r#","args":{{"name":"{domain}"}}"#)
}

// ANCHOR: escaped
/// `text` as it stands between the quotation marks of a JSON string.
fn escaped(text: impl Display) -> Escaped<impl Display> {
    Escaped(text)
}

struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'f, 'a>(&'f mut fmt::Formatter<'a>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|char| match char {
            '"' | '\\' => write!(self.0, "\\{char}"),
            '\0'..='\x1f' => write!(self.0, "\\u{:04x}", u32::from(char)),
            _ => self.0.write_char(char),
        })
    }
}
// ANCHOR_END: escaped
