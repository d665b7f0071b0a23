//! Choices that must not follow a pattern, and can be repeated.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// Random enough to choose a task by, from a seed. SplitMix64, by Guy Steele, Doug Lea and Christine
/// Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(Cell::new(seed))
    }

    fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut z = self.0.get();
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0. The bias of `%` is of no consequence here.
    pub(crate) fn below(&self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Another one in each run of the program.
pub(crate) fn any_seed() -> u64 {
    RandomState::new().hash_one(())
}
