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
    compare_all(shown, &[came])
}

/// The same for what several programs wrote at the same time: each one's lines are in order, but who comes first
/// between them is not determined.
///
/// # Errors
///
/// As [`compare`].
pub(crate) fn compare_all(shown: &[&str], came: &[&str]) -> Result<(), usize> {
    let came: Vec<Vec<&str>> = came
        .iter()
        .map(|text| text.lines().map(str::trim_end).collect())
        .collect();
    // How many lines of each the lines shown so far may have used up.
    let mut reached = BTreeSet::from([vec![0; came.len()]]);
    for (index, line) in shown.iter().enumerate() {
        let takes_any = line.trim() == ANY_LINES;
        let mut next = BTreeSet::new();
        let mut from: Vec<Vec<usize>> = reached.into_iter().collect();
        while let Some(used) = from.pop() {
            for (which, lines) in came.iter().enumerate() {
                let text = lines.get(used[which]);
                if text.is_some_and(|text| takes_any || line_matches(line.trim_end(), text)) {
                    let mut used = used.clone();
                    used[which] += 1;
                    if takes_any && !next.contains(&used) {
                        from.push(used);
                    } else {
                        next.insert(used);
                    }
                }
            }
            if takes_any {
                next.insert(used);
            }
        }
        if next.is_empty() {
            return Err(index);
        }
        reached = next;
    }
    if reached.contains(&came.iter().map(Vec::len).collect::<Vec<_>>()) {
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
    use super::{compare, compare_all};

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
    fn programs_may_write_in_any_order_but_each_in_its_own() {
        let came = ["hello\n", "is here\nhas gone\n", ""];
        for shown in [
            ["is here", "hello", "has gone"],
            ["is here", "has gone", "hello"],
        ] {
            assert_eq!(compare_all(&shown, &came), Ok(()));
        }
        assert_eq!(
            compare_all(&["has gone", "is here", "hello"], &came),
            Err(0)
        );
        assert_eq!(compare_all(&["is here", "hello"], &came), Err(2));
        assert_eq!(compare_all(&["...", "has gone"], &came), Ok(()));
        let came = ["0\n", "stopping\nclient\n", "little star\n"];
        for shown in [
            ["stopping", "little star", "client", "0"],
            ["stopping", "client", "little star", "0"],
            ["...", "client", "...", "..."],
        ] {
            assert_eq!(compare_all(&shown, &came), Ok(()));
        }
        assert_eq!(
            compare_all(&["client", "...", "stopping", "0"], &came),
            Err(0)
        );
    }
}
