//! Is what came what the page shows?

use std::collections::BTreeSet;

/// Stands for anything inside a line.
const ANYTHING: &str = "[..]";
/// Stands, alone on a line, for any number of lines.
const ANY_LINES: &str = "...";

/// Compares what came with what the page shows, trailing blanks apart.
///
/// # Errors
///
/// The index of the first line on the page that finds no match; `shown.len()` when more came than is shown.
pub(crate) fn compare(shown: &[&str], came: &str) -> Result<(), usize> {
    compare_both(shown, [came, ""])
}

/// The same for what two programs wrote at the same time: each one's lines are in order, but who comes first
/// between them is not determined.
///
/// # Errors
///
/// As [`compare`].
pub(crate) fn compare_both(shown: &[&str], came: [&str; 2]) -> Result<(), usize> {
    let came = came.map(|text| text.lines().map(str::trim_end).collect::<Vec<_>>());
    // How many lines of each the lines shown so far may have used up.
    let mut reached = BTreeSet::from([(0, 0)]);
    for (index, line) in shown.iter().enumerate() {
        let mut next = BTreeSet::new();
        if line.trim() == ANY_LINES {
            for &(first, second) in &reached {
                next.extend(
                    (first..=came[0].len())
                        .flat_map(|a| (second..=came[1].len()).map(move |b| (a, b))),
                );
            }
        } else {
            let matches =
                |text: Option<&&str>| text.is_some_and(|text| line_matches(line.trim_end(), text));
            for &(first, second) in &reached {
                if matches(came[0].get(first)) {
                    next.insert((first + 1, second));
                }
                if matches(came[1].get(second)) {
                    next.insert((first, second + 1));
                }
            }
        }
        if next.is_empty() {
            return Err(index);
        }
        reached = next;
    }
    if reached.contains(&(came[0].len(), came[1].len())) {
        Ok(())
    } else {
        Err(shown.len())
    }
}

fn line_matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once(ANYTHING) else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split(ANYTHING).collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

/// Both sides, one above the other, for a message.
pub(crate) fn side_by_side(shown: &[&str], came: &str) -> String {
    let shown = indented(&shown.join("\n"));
    format!("  the page shows:\n{shown}  what came:\n{}", indented(came))
}

/// A text inside a message.
pub(crate) fn indented(text: &str) -> String {
    if text.is_empty() {
        return "    (nothing)\n".to_owned();
    }
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{compare, compare_both};

    #[test]
    fn equal_lines_match_and_others_name_the_first_that_differs() {
        assert_eq!(compare(&["a", "b"], "a\nb  \n"), Ok(()));
        assert_eq!(compare(&["a", "b"], "a\nc\n"), Err(1));
        assert_eq!(compare(&["a", "b"], "a\n"), Err(1));
        assert_eq!(compare(&["a"], "a\nb\n"), Err(1));
        assert_eq!(compare(&[], ""), Ok(()));
        assert_eq!(compare(&[], "a\n"), Err(0));
    }

    #[test]
    fn a_hole_takes_anything_inside_a_line_only() {
        assert_eq!(
            compare(&["took [..] ms, [..]!"], "took 12 ms, then 3!\n"),
            Ok(())
        );
        assert_eq!(compare(&["took [..] ms"], "took \n12 ms\n"), Err(0));
        // The two ends may not share letters.
        assert_eq!(compare(&["aba[..]ba"], "aba\n"), Err(0));
        assert_eq!(compare(&["[..]"], "\n"), Ok(()));
    }

    #[test]
    fn dots_take_any_number_of_lines() {
        assert_eq!(compare(&["a", "...", "z"], "a\nz\n"), Ok(()));
        assert_eq!(compare(&["a", "...", "z"], "a\nz\nb\nz\n"), Ok(()));
        assert_eq!(compare(&["a", "...", "z"], "a\nb\n"), Err(2));
        assert_eq!(compare(&["..."], ""), Ok(()));
    }
    #[test]
    fn two_programs_may_write_in_any_order_but_each_in_its_own() {
        let came = ["hello\n", "is here\nhas gone\n"];
        for shown in [
            ["is here", "hello", "has gone"],
            ["is here", "has gone", "hello"],
        ] {
            assert_eq!(compare_both(&shown, came), Ok(()));
        }
        assert_eq!(
            compare_both(&["has gone", "is here", "hello"], came),
            Err(0)
        );
        assert_eq!(compare_both(&["is here", "hello"], came), Err(2));
        assert_eq!(compare_both(&["...", "has gone"], came), Ok(()));
    }
}
