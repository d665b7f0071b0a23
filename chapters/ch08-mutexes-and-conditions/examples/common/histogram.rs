//! How long things took: a histogram whose memory does not grow with what it has seen.

use std::fmt;
use std::time::Duration;

/// Each power of two is cut into so many buckets: what is read from the histogram is too large by 1/32 at most.
const PARTS: u64 = 32;

/// The width of the longest bar.
const WIDTH: f64 = 40.0;

/// Durations, counted in buckets.
// ANCHOR: histogram
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    /// Bucket by bucket, up to the last one that is needed.
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

impl Histogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let bucket = bucket(nanos(duration));
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.longest = self.longest.max(duration);
    }

    /// Adds what another one has seen.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// What `percent` of all were not slower than; 100 gives the longest.
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        let wanted = (self.total as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return Duration::from_nanos(last_of(bucket)).min(self.longest);
            }
        }
        self.longest
    }
}
// ANCHOR_END: histogram

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Small numbers have a bucket each. Of a larger one, its highest bits count: the power of two, and the part of it.
fn bucket(nanos: u64) -> usize {
    let octave = nanos.max(PARTS).ilog2() - PARTS.ilog2();
    (u64::from(octave) * PARTS + (nanos >> octave)) as usize
}

/// The largest number in a bucket.
fn last_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let octave = (bucket / PARTS).saturating_sub(1);
    let first = (bucket - octave * PARTS) << octave;
    first + ((1 << octave) - 1)
}

impl fmt::Display for Histogram {
    /// The percentiles, and a row for each power of two of a microsecond. The bars grow with the logarithm of the
    /// count: one in a million can still be seen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percentiles = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("max", 100.0)];
        let percentiles =
            percentiles.map(|(name, percent)| format!("{name} {:.1?}", self.percentile(percent)));
        writeln!(f, "{}", percentiles.join("  "))?;
        let mut rows: Vec<u64> = Vec::new();
        for (bucket, &count) in self.counts.iter().enumerate() {
            // Row 0 ends at a microsecond, row 1 at two.
            let micros = last_of(bucket) / 1000;
            let row = micros.checked_ilog2().map_or(0, |log| log as usize + 1);
            if rows.len() <= row {
                rows.resize(row + 1, 0);
            }
            rows[row] += count;
        }
        let most = rows.iter().max().map_or(0.0, |&most| length(most));
        let first = rows.iter().position(|&count| count > 0);
        for (row, &count) in rows.iter().enumerate().skip(first.unwrap_or(rows.len())) {
            let end = Duration::from_micros(1 << row);
            let bar = "█".repeat((length(count) / most * WIDTH).round() as usize);
            let row = format!("up to {:>5} {count:>9} {bar}", format!("{end:.0?}"));
            writeln!(f, "{}", row.trim_end())?;
        }
        Ok(())
    }
}

/// How long a bar is, in some unit.
fn length(count: u64) -> f64 {
    (count as f64).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_a_bucket_that_ends_at_most_a_32nd_above_it() {
        let numbers = (0..20_000).chain((14..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power + 1, power + power / 3]
        }));
        for number in numbers.chain([u64::MAX]) {
            let last = last_of(bucket(number));
            assert!(last >= number, "{number}: {last}");
            assert!(last - number <= number / PARTS, "{number}: {last}");
        }
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for bucket_number in 0..1000 {
            let last = last_of(bucket_number);
            assert_eq!(bucket(last), bucket_number);
            assert_eq!(bucket(last + 1), bucket_number + 1);
        }
    }

    #[test]
    fn percentiles_are_those_of_all_that_was_recorded() {
        let mut all = Histogram::default();
        for half in [1..=500, 501..=1000] {
            let mut part = Histogram::default();
            for micros in half {
                part.record(Duration::from_micros(micros));
            }
            all.merge(&part);
        }
        assert_eq!(all.total(), 1000);
        for (percent, micros) in [(50.0, 500), (90.0, 900), (99.0, 990), (0.0, 1)] {
            let (exact, read) = (Duration::from_micros(micros), all.percentile(percent));
            assert!(
                exact <= read && read <= exact + exact / 32,
                "{percent}: {read:?}"
            );
        }
        assert_eq!(all.percentile(100.0), Duration::from_millis(1));
    }

    #[test]
    fn nothing_recorded_is_nothing_drawn() {
        let text = Histogram::default().to_string();
        assert_eq!(
            text.trim_end(),
            "p50 0.0ns  p90 0.0ns  p99 0.0ns  max 0.0ns"
        );
    }

    #[test]
    fn the_bars_are_logarithmic_and_rows_between_are_drawn_empty() {
        let mut histogram = Histogram::default();
        for _ in 0..1000 {
            histogram.record(Duration::from_micros(3));
        }
        histogram.record(Duration::from_micros(12));
        let text = histogram.to_string();
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                format!("up to   4µs      1000 {}", "█".repeat(40)),
                "up to   8µs         0".to_owned(),
                format!("up to  16µs         1 {}", "█".repeat(4)),
            ]
        );
    }

    #[test]
    fn what_takes_for_ever_has_a_place() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        assert_eq!(histogram.total(), 1);
        assert!(histogram.to_string().lines().count() > 1);
    }
}
