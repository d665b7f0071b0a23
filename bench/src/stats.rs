//! Medians and quartiles, and how figures are written.

/// The quartiles of several measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// A quarter of the measurements are below.
    pub low: f64,
    /// Half of them are.
    pub median: f64,
    /// Three quarters are.
    pub high: f64,
}

impl Spread {
    /// The quartiles of `values`, if there are any.
    ///
    /// # Examples
    ///
    /// ```
    /// let spread = bench::stats::Spread::of(vec![30.0, 10.0, 50.0, 20.0, 40.0]).unwrap();
    /// assert_eq!((spread.low, spread.median, spread.high), (20.0, 30.0, 40.0));
    /// assert_eq!(bench::stats::Spread::of(vec![]), None);
    /// ```
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |quarters: usize| {
            // Between two of them, if need be.
            let (at, rest) = (last * quarters / 4, last * quarters % 4);
            let step = values.get(at + 1).unwrap_or(&values[at]) - values[at];
            values[at] + step * rest as f64 / 4.0
        };
        Some(Spread {
            low: at(1),
            median: at(2),
            high: at(3),
        })
    }

    /// As the tables show it: the median, and the quartiles if there is something between them.
    pub fn show(&self) -> String {
        let [low, median, high] = [self.low, self.median, self.high].map(figure);
        if low == high {
            median
        } else {
            format!("{median} ({low} to {high})")
        }
    }
}

/// Three digits or more, and thousands apart.
///
/// # Examples
///
/// ```
/// let shown = [0.1234, 12.34, 123.4, 1234567.0].map(bench::stats::figure);
/// assert_eq!(shown, ["0.12", "12.3", "123", "1,234,567"]);
/// ```
pub fn figure(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        count(value.round() as u64)
    }
}

/// A whole number, with its thousands apart.
///
/// # Examples
///
/// ```
/// assert_eq!([8, 100_000].map(bench::stats::count), ["8", "100,000"]);
/// ```
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
