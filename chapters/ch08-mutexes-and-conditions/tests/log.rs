//! The log: whole lines, and nobody waits for its reader.

mod times;

use ch08_mutexes_and_conditions::Log;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use times::{assert_soon, lock, ms};

/// What was written, write by write.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Written>>);

#[derive(Default)]
struct Written {
    writes: Vec<String>,
    /// So many writes fail.
    failures: usize,
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = lock(&self.0);
        if written.failures > 0 {
            written.failures -= 1;
            return Err(ErrorKind::StorageFull.into());
        }
        written
            .writes
            .push(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two ends of a connection whose writer blocks when nobody reads.
fn pipe() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let writer = TcpStream::connect(listener.local_addr().expect("listens")).expect("connects");
    (writer, listener.accept().expect("a client").0)
}

/// How many lines are left out, if `line` says so.
fn left_out(line: &str) -> Option<usize> {
    let count = line
        .strip_prefix('(')?
        .strip_suffix(" lines of the log are left out here)")?;
    Some(count.parse().expect("a count"))
}

#[test]
fn all_lines_of_all_threads_are_whole_and_in_the_order_of_each() {
    let paper = Paper::default();
    let log = Arc::new(Log::to(paper.clone()).expect("a thread"));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let log = log.clone();
            // All fit into what may wait.
            thread::spawn(move || (0..1000).for_each(|n| log.line(format_args!("{thread} {n}"))))
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    drop(log);
    let mut next: BTreeMap<String, u32> = BTreeMap::new();
    for write in &lock(&paper.0).writes {
        let line = write.strip_suffix('\n').expect("a line for each write");
        let (thread, number) = line.split_once(' ').expect("is whole");
        let next = next.entry(thread.to_owned()).or_default();
        assert_eq!(number.parse(), Ok(*next));
        *next += 1;
    }
    assert_eq!(next.into_values().collect::<Vec<_>>(), [1000; 4]);
}

#[test]
fn a_reader_who_has_gone_is_no_matter() {
    let (writer, reader) = pipe();
    drop(reader);
    let log = Log::to(writer).expect("a thread");
    let start = Instant::now();
    for n in 0..20_000 {
        log.line(format_args!("line {n}"));
    }
    drop(log);
    assert_soon(start);
}

#[test]
fn a_reader_who_is_stuck_is_waited_for_for_a_second() {
    let (writer, reader) = pipe();
    let log = Log::to(writer).expect("a thread");
    let line = "x".repeat(10_000);
    let start = Instant::now();
    // More than all buffers hold.
    for _ in 0..10_000 {
        log.line(&line);
    }
    let begin = Instant::now();
    drop(log);
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_soon(start);
    drop(reader);
}

#[test]
fn one_who_was_too_slow_reads_how_much_is_left_out_and_where() {
    const LINES: usize = 20_000;
    let (writer, mut reader) = pipe();
    let log = Log::to(writer).expect("a thread");
    for n in 0..LINES {
        log.line(format_args!("{n} {}", "x".repeat(2000)));
    }
    // Somebody reads at last.
    let reads = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    thread::sleep(ms(20));
    log.line(format_args!("{LINES} the last one"));
    drop(log);
    let text = reads.join().expect("no panic").expect("is whole");
    let mut next = 0;
    for line in text.lines() {
        if let Some(count) = left_out(line) {
            next += count;
            continue;
        }
        let number = line.split(' ').next().expect("a number");
        assert_eq!(number.parse(), Ok(next), "{line}");
        next += 1;
    }
    assert_eq!(next, LINES + 1, "all are there, or counted");
}

#[test]
fn a_disk_that_was_full_for_a_while_is_written_to_again() {
    let paper = Paper::default();
    lock(&paper.0).failures = 3;
    let log = Log::to(paper.clone()).expect("a thread");
    for n in 0..3 {
        log.line(n);
    }
    while lock(&paper.0).failures > 0 {
        thread::sleep(ms(1));
    }
    log.line("again");
    drop(log);
    let text = lock(&paper.0).writes.concat();
    assert!(text.lines().any(|line| line == "again"), "{text}");
    // The last one that failed may be counted a moment later: then at the end.
    assert_eq!(
        text.lines().filter_map(left_out).sum::<usize>(),
        3,
        "{text}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_is_no_matter() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let log = Log::to(full.expect("is there")).expect("a thread");
    let start = Instant::now();
    for n in 0..10_000 {
        log.line(n);
    }
    drop(log);
    assert_soon(start);
}
