//! What a run has come to: figures, each with its measure, whom it is of, and the number it was taken at.

use std::fmt::Write as _;

use crate::Result;
use crate::stats::Spread;

/// Everything that one run wrote down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// Where and with what it was measured.
    pub machine: Vec<(String, String)>,
    /// What a reader has to know: a program that is missing, a limit that was met.
    pub notes: Vec<String>,
    figures: Vec<Figure>,
}

#[derive(Clone, Debug, PartialEq)]
struct Figure {
    measure: String,
    who: String,
    n: u64,
    spread: Spread,
}

impl Results {
    /// Writes down what `who` has come to in `measure`, at `n` of whatever there were; nothing if nothing was measured.
    pub fn add(&mut self, measure: &str, who: &str, n: u64, values: Vec<f64>) {
        if let Some(spread) = Spread::of(values) {
            self.figures.push(Figure {
                measure: measure.to_owned(),
                who: who.to_owned(),
                n,
                spread,
            });
        }
    }

    /// Writes down, once, what a reader has to know.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What `who` came to.
    pub fn get(&self, measure: &str, who: &str, n: u64) -> Option<Spread> {
        let mut figures = self.figures.iter();
        figures
            .find(|figure| figure.measure == measure && figure.who == who && figure.n == n)
            .map(|figure| figure.spread)
    }

    /// How often `who` takes what `base` takes.
    pub fn ratio(&self, measure: &str, who: &str, base: &str, n: u64) -> Option<f64> {
        Some(self.get(measure, who, n)?.median / self.get(measure, base, n)?.median)
    }

    /// Whoever was measured there, in order of appearance.
    pub fn whos<'a>(&'a self, measure: &str) -> Vec<&'a str> {
        in_order(self.of(measure).map(|figure| figure.who.as_str()))
    }

    /// The numbers at which it was measured, in order.
    pub fn ns(&self, measure: &str) -> Vec<u64> {
        let mut ns = in_order(self.of(measure).map(|figure| figure.n));
        ns.sort_unstable();
        ns
    }

    /// The measures that begin so, in order of appearance, without their beginning.
    pub fn measures<'a>(&'a self, beginning: &str) -> Vec<&'a str> {
        let all = self.figures.iter();
        in_order(all.filter_map(|figure| figure.measure.strip_prefix(beginning)))
    }

    fn of<'a, 'm>(&'a self, measure: &'m str) -> impl Iterator<Item = &'a Figure> + use<'a, 'm> {
        self.figures
            .iter()
            .filter(move |figure| figure.measure == measure)
    }

    /// A line for each thing, its parts separated by tabs.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for (key, value) in &self.machine {
            let _ = writeln!(text, "machine\t{key}\t{value}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "note\t{note}");
        }
        for Figure {
            measure,
            who,
            n,
            spread,
        } in &self.figures
        {
            let Spread { low, median, high } = spread;
            let _ = writeln!(
                text,
                "figure\t{measure}\t{who}\t{n}\t{low:.3}\t{median:.3}\t{high:.3}"
            );
        }
        text
    }

    /// Reads what [`to_text`](Results::to_text) has written.
    ///
    /// # Errors
    ///
    /// For a line that it would not write.
    pub fn from_text(text: &str) -> Result<Results> {
        let mut results = Results::default();
        for line in text.lines() {
            match *line.split('\t').collect::<Vec<_>>() {
                ["machine", key, value] => results.machine.push((key.into(), value.into())),
                ["note", note] => results.note(note),
                ["figure", measure, who, n, low, median, high] => results.figures.push(Figure {
                    measure: measure.to_owned(),
                    who: who.to_owned(),
                    n: n.parse()?,
                    spread: Spread {
                        low: low.parse()?,
                        median: median.parse()?,
                        high: high.parse()?,
                    },
                }),
                _ => return Err(format!("no line of results: `{line}`").into()),
            }
        }
        Ok(results)
    }
}

fn in_order<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::Results;

    #[test]
    fn what_is_written_can_be_read() {
        let mut results = Results::default();
        results
            .machine
            .push(("processor".to_owned(), "a fast one".to_owned()));
        results.note("no strace");
        results.note("no strace");
        results.add("echo/64/p50", "Tokio", 8, vec![1.5, 2.5, 3.5]);
        results.add("echo/64/p50", "smol", 1, vec![3.0]);
        results.add("echo/64/p50", "nobody", 1, vec![]);
        let text = results.to_text();
        assert_eq!(Results::from_text(&text).expect("its own text"), results);
        assert_eq!(results.notes.len(), 1);
        assert_eq!(results.whos("echo/64/p50"), ["Tokio", "smol"]);
        assert_eq!(results.ns("echo/64/p50"), [1, 8]);
        assert_eq!(results.measures("echo/64/"), ["p50"]);
        assert!(Results::from_text("figure\tx").is_err());
    }
}
