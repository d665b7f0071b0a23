//! Is what came what the page shows?

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
    let came: Vec<&str> = came.lines().map(str::trim_end).collect();
    // `reached[j]`: the lines shown so far match the first `j` that came.
    let mut reached = vec![false; came.len() + 1];
    reached[0] = true;
    for (index, line) in shown.iter().enumerate() {
        let mut next = vec![false; came.len() + 1];
        if line.trim() == ANY_LINES {
            let mut any = false;
            for (slot, before) in next.iter_mut().zip(&reached) {
                any |= before;
                *slot = any;
            }
        } else {
            for (j, text) in came.iter().enumerate() {
                next[j + 1] = reached[j] && line_matches(line.trim_end(), text);
            }
        }
        if !next.contains(&true) {
            return Err(index);
        }
        reached = next;
    }
    if reached[came.len()] {
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
    let indent = |lines: &mut dyn Iterator<Item = &str>| {
        let text: String = lines.map(|line| format!("    {line}\n")).collect();
        if text.is_empty() {
            "    (nothing)\n".to_owned()
        } else {
            text
        }
    };
    format!(
        "  the page shows:\n{}  what came:\n{}",
        indent(&mut shown.iter().copied()),
        indent(&mut came.lines())
    )
}

#[cfg(test)]
mod tests {
    use super::compare;

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
}
