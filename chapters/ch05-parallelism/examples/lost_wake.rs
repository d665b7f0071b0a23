//! A wake that gets lost: two threads, a letter, and a flag that says that a notice is under way.
//! `cargo run --release --example lost_wake`

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

/// Aligned, so that no two of them share a line of the cache.
#[repr(align(128))]
#[derive(Default)]
struct Flag(AtomicBool);

#[derive(Default)]
struct Shared {
    written: Flag,
    notified: Flag,
    /// The round that may begin, and the round that the writer has done.
    begun: AtomicUsize,
    done: AtomicUsize,
    over: AtomicBool,
}

impl Shared {
    // ANCHOR: protocol
    /// Writes the letter and wakes the reader. Says whether it sent a notice: if one is under way, it need not.
    fn write_and_wake(&self) -> bool {
        self.written.0.store(true, Relaxed);
        !self.notified.0.swap(true, AcqRel)
    }

    /// The notice that was under way has come. Says whether the letter is there.
    fn acknowledge_and_look(&self, with_swap: bool) -> bool {
        if with_swap {
            self.notified.0.swap(false, AcqRel);
        } else {
            self.notified.0.store(false, Release);
        }
        self.written.0.load(Relaxed)
    }
    // ANCHOR_END: protocol

    fn write(&self) -> Vec<bool> {
        let mut sent = Vec::new();
        while wait(|| self.begun.load(Acquire) > sent.len() || self.over.load(Acquire))
            && self.begun.load(Acquire) > sent.len()
        {
            sent.push(self.write_and_wake());
            self.done.store(sent.len(), Release);
        }
        sent
    }

    fn read(&self, with_swap: bool, until: Instant) -> Vec<bool> {
        let mut seen = Vec::new();
        while Instant::now() < until {
            // Each round begins with a notice under way, and no letter.
            self.written.0.store(false, Relaxed);
            self.notified.0.store(true, Relaxed);
            let round = seen.len() + 1;
            self.begun.store(round, Release);
            for _ in 0..round % 64 {
                std::hint::spin_loop();
            }
            seen.push(self.acknowledge_and_look(with_swap));
            wait(|| self.done.load(Acquire) == round);
        }
        self.over.store(true, Release);
        seen
    }
}

/// Both threads are needed at the same moment, so they do not sleep.
fn wait(condition: impl Fn() -> bool) -> bool {
    for turn in 1.. {
        if condition() {
            break;
        }
        match turn % 1000 {
            0 => thread::yield_now(),
            _ => std::hint::spin_loop(),
        }
    }
    true
}

// ANCHOR: lost
/// In how many rounds the letter was not seen, and no notice sent that would have had the reader look again.
fn lost_wakes(with_swap: bool, time: Duration) -> (usize, usize) {
    let shared = Shared::default();
    let until = Instant::now() + time;
    thread::scope(|scope| {
        let writer = scope.spawn(|| shared.write());
        let seen = shared.read(with_swap, until);
        let sent = writer.join().expect("it only writes");
        let both = seen.iter().zip(&sent);
        let lost = both.filter(|(seen, sent)| !**seen && !**sent);
        (lost.count(), seen.len())
    })
}
// ANCHOR_END: lost

fn main() {
    for (how, with_swap) in [("store", false), ("swap", true)] {
        let (lost, rounds) = lost_wakes(with_swap, Duration::from_secs(2));
        println!("cleared by a {how}: {lost} of {rounds} wakes lost");
    }
}
