//! Two programs measured side by side: in one run, by turns, so that whatever the machine does besides
//! happens to both.

mod cases;

pub use cases::CASES;

use std::fmt;
use std::time::Duration;

/// So many times each program has its turn. Odd, so that there is one in the middle.
pub const TURNS: usize = 21;

/// Something that two runtimes do.
pub struct Case {
    /// What it is.
    pub name: &'static str,
    /// How many operations one turn has.
    pub operations: u32,
    /// One turn with this runtime: how long the operations took.
    pub ours: fn(u32) -> Duration,
    /// One turn with the other one.
    pub theirs: fn(u32) -> Duration,
}

/// What a case has come to, per operation.
pub struct Comparison {
    name: &'static str,
    ours: Spread,
    theirs: Spread,
}

/// The quartiles of several measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// A quarter of the measurements are below.
    pub low: Duration,
    /// Half of them are.
    pub median: Duration,
    /// Three quarters are.
    pub high: Duration,
}

impl Spread {
    /// The quartiles of `times`, of which there is at least one.
    ///
    /// # Panics
    ///
    /// If there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let times = [30, 10, 50, 20, 40].map(Duration::from_nanos);
    /// let spread = bench::Spread::of(times.to_vec());
    /// assert_eq!(spread.low, Duration::from_nanos(20));
    /// assert_eq!(spread.median, Duration::from_nanos(30));
    /// assert_eq!(spread.high, Duration::from_nanos(40));
    /// ```
    pub fn of(mut times: Vec<Duration>) -> Spread {
        times.sort();
        let at = |quarters| times[(times.len() - 1) * quarters / 4];
        Spread {
            low: at(1),
            median: at(2),
            high: at(3),
        }
    }

    /// Per operation.
    fn over(self, operations: u32) -> Spread {
        Spread {
            low: self.low / operations,
            median: self.median / operations,
            high: self.high / operations,
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = |time: Duration| time.as_nanos();
        let (low, median, high) = (ns(self.low), ns(self.median), ns(self.high));
        f.pad(&format!("{median} ({low} to {high})"))
    }
}

impl Case {
    /// Measures both, by turns.
    pub fn compare(&self) -> Comparison {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // The first turn of each warms up caches and allocator, and does not count.
        for turn in 0..=TURNS {
            let times = [(self.ours)(self.operations), (self.theirs)(self.operations)];
            if turn > 0 {
                ours.push(times[0]);
                theirs.push(times[1]);
            }
        }
        Comparison {
            name: self.name,
            ours: Spread::of(ours).over(self.operations),
            theirs: Spread::of(theirs).over(self.operations),
        }
    }
}

/// The heading of a table of comparisons.
pub fn heading() -> String {
    format!(
        "{:<36} {:>26} {:>26} {:>6}",
        "ns per operation: median (quartiles)", "this runtime", "Tokio", "ratio"
    )
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { name, ours, theirs } = self;
        let ratio = ours.median.as_secs_f64() / theirs.median.as_secs_f64();
        write!(f, "{name:<36} {ours:>26} {theirs:>26} {ratio:>6.2}")
    }
}
