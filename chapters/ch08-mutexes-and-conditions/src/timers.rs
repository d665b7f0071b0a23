//! Who sleeps until when.

use crate::events::Signals;
use crate::suspension::SuspensionId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

// ANCHOR: timers
/// The sleepers of one domain: a heap, the next one to be woken on top.
///
/// One that is cancelled stays in the heap until it comes to the top, or until half of the heap may be such: then all of
/// them go at once. So cancelling costs next to nothing, and the heap is never twice as large as it has to be.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Sleeper>>,
    /// How many were inserted: of two with the same time, the first one is woken first.
    inserted: u64,
    /// How many suspensions were cancelled since the heap was last cleaned. Some may have been no sleepers.
    cancelled: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sleeper {
    time: Instant,
    number: u64,
    suspension: SuspensionId,
}
// ANCHOR_END: timers

impl Timers {
    pub(crate) fn insert(&mut self, time: Instant, suspension: SuspensionId) {
        self.inserted += 1;
        let number = self.inserted;
        self.heap.push(Reverse(Sleeper {
            time,
            number,
            suspension,
        }));
    }

    // ANCHOR: forget
    pub(crate) fn forget(&mut self, cancelled: &[SuspensionId], signals: &Signals<'_>) {
        self.cancelled += cancelled.len();
        if self.cancelled > 64 && self.cancelled > self.heap.len() / 2 {
            self.heap
                .retain(|Reverse(sleeper)| signals.is_awaited(sleeper.suspension));
            self.cancelled = 0;
        }
    }
    // ANCHOR_END: forget

    /// When the next one is to be woken.
    pub(crate) fn next(&mut self, signals: &Signals<'_>) -> Option<Instant> {
        loop {
            let Reverse(sleeper) = self.heap.peek()?;
            if signals.is_awaited(sleeper.suspension) {
                return Some(sleeper.time);
            }
            self.heap.pop();
        }
    }

    // ANCHOR: fire
    /// Signals all whose time has come, in the order of their times.
    pub(crate) fn fire(&mut self, now: Instant, signals: &mut Signals<'_>) {
        let mut few = 64 + self.heap.len() / 64;
        while let Some(Reverse(sleeper)) = self.heap.peek()
            && sleeper.time <= now
        {
            if few == 0 {
                return self.fire_many(now, signals);
            }
            few -= 1;
            signals.push(sleeper.suspension);
            self.heap.pop();
        }
    }

    /// Taking many from a heap jumps about in memory for each; sorting them does not.
    fn fire_many(&mut self, now: Instant, signals: &mut Signals<'_>) {
        let all = std::mem::take(&mut self.heap).into_vec();
        let is_due = |Reverse(sleeper): &Reverse<Sleeper>| sleeper.time <= now;
        let (mut due, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_due);
        due.sort_unstable_by(|a, b| b.cmp(a));
        due.iter()
            .for_each(|Reverse(sleeper)| signals.push(sleeper.suspension));
        self.heap = others.into();
    }
    // ANCHOR_END: fire
}
