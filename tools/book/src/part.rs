//! The part of a file that an include shows: all of it, some lines, or what stands between anchors.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::paths::shown;

// mdBook's own expressions for the two ends of an anchor.
static ANCHOR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"ANCHOR:\s*([\w_-]+)").expect("a valid expression"));
static ANCHOR_END: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"ANCHOR_END:\s*([\w_-]+)").expect("a valid expression"));

/// The part of a file that a directive shows.
pub(crate) enum Part<'d> {
    /// From a line to a line, both counted from 1 and both shown.
    Lines(Option<usize>, Option<usize>),
    /// What stands between `ANCHOR: name` and `ANCHOR_END: name`.
    Anchor(&'d str),
}

impl<'d> Part<'d> {
    /// Reads what follows the path: `name`, `from:to`, `from:` or `:to`.
    pub(crate) fn parse(part: &'d str, file: &Path) -> Result<Self, String> {
        let (first, rest) = match part.split_once(':') {
            Some((first, rest)) => (first, Some(rest)),
            None => (part, None),
        };
        let number = |text: &str| text.parse::<usize>().ok();
        match (first, rest) {
            ("", None | Some("")) => Ok(Part::Lines(None, None)),
            (name, None) if number(name).is_none() => Ok(Part::Anchor(name)),
            (start, None) => Ok(Part::Lines(number(start), number(start))),
            (start, Some(end))
                if (start.is_empty() || number(start).is_some())
                    && (end.is_empty() || number(end).is_some()) =>
            {
                Ok(Part::Lines(number(start), number(end)))
            }
            _ => Err(format!(
                "`{part}` is neither an anchor of {} nor lines of it; write `:name`, `:from:to`, `:from:` or `::to`",
                shown(file)
            )),
        }
    }

    /// Takes this part out of `text`, the content of `file`, or says why the reader would miss it.
    pub(crate) fn of(&self, text: &str, file: &Path) -> Result<String, String> {
        match *self {
            Part::Lines(from, to) => lines(text, from, to, file),
            Part::Anchor(name) => anchored(text, name, file),
        }
    }
}

fn lines(
    text: &str,
    from: Option<usize>,
    to: Option<usize>,
    file: &Path,
) -> Result<String, String> {
    let count = text.lines().count();
    let (first, last) = (from.unwrap_or(1), to.unwrap_or(count));
    let bounded = from.is_some() || to.is_some();
    if bounded && (first < 1 || last < first || last > count) {
        let wanted = if first == last {
            format!("line {first}")
        } else {
            format!("lines {first} to {last}")
        };
        return Err(format!(
            "{wanted} of {} cannot be included: it has {count}; correct the numbers, or better, use an anchor",
            shown(file)
        ));
    }
    let skipped = first.saturating_sub(1);
    let shown_lines: Vec<&str> = text
        .lines()
        .skip(skipped)
        .take((last + 1).saturating_sub(first))
        .collect();
    if let Some(index) = shown_lines.iter().position(|line| is_anchor(line)) {
        return Err(format!(
            "the reader would see the anchor comment in line {} of {}; include by an anchor, which leaves such lines out",
            skipped + index + 1,
            shown(file)
        ));
    }
    Ok(shown_lines.join("\n"))
}

/// Whether a line begins or ends an anchor.
fn is_anchor(line: &str) -> bool {
    ANCHOR.is_match(line) || ANCHOR_END.is_match(line)
}

fn anchored(text: &str, name: &str, file: &Path) -> Result<String, String> {
    let file = shown(file);
    let starts = lines_naming(text, &ANCHOR, name);
    let ends = lines_naming(text, &ANCHOR_END, name);
    match (starts.as_slice(), ends.as_slice()) {
        ([], _) => Err(format!(
            "no anchor `{name}` in {file}; write `// ANCHOR: {name}` before and `// ANCHOR_END: {name}` after the lines to show"
        )),
        ([first, second, ..], _) => Err(format!(
            "anchor `{name}` stands twice in {file}, lines {first} and {second}; give each a name of its own"
        )),
        (_, [first, second, ..]) => Err(format!(
            "anchor `{name}` is closed twice in {file}, lines {first} and {second}; keep one `ANCHOR_END: {name}`"
        )),
        ([start], []) => Err(format!(
            "anchor `{name}` of {file}, line {start}, is never closed; write `// ANCHOR_END: {name}` after the lines to show"
        )),
        ([start], [end]) if end < start => Err(format!(
            "anchor `{name}` of {file} is closed in line {end}, before it is opened in line {start}; swap them"
        )),
        ([start], [end]) => {
            let inside: Vec<&str> = text
                .lines()
                .skip(*start)
                .take(end - start - 1)
                .filter(|line| !is_anchor(line))
                .collect();
            if inside.iter().all(|line| line.trim().is_empty()) {
                return Err(format!(
                    "anchor `{name}` of {file}, line {start}, holds no line to show; put some between its ends"
                ));
            }
            Ok(inside.join("\n"))
        }
    }
}

/// The `text` of a file with `code` in place of what the anchor `name` holds, and the number of its first line.
///
/// # Errors
///
/// When there is no such anchor, or it is not whole.
pub fn with_anchor_replaced(
    text: &str,
    file: &Path,
    name: &str,
    code: &str,
) -> Result<(String, usize), String> {
    anchored(text, name, file)?;
    let (Some(&start), Some(&end)) = (
        lines_naming(text, &ANCHOR, name).first(),
        lines_naming(text, &ANCHOR_END, name).first(),
    ) else {
        return Err(format!("no anchor `{name}` in {}", shown(file)));
    };
    let lines: Vec<&str> = text.lines().collect();
    let whole: Vec<&str> = lines[..start]
        .iter()
        .copied()
        .chain(code.lines())
        .chain(lines[end - 1..].iter().copied())
        .collect();
    Ok((whole.join("\n") + "\n", start + 1))
}

/// The lines, counted from 1, where `expression` finds `name`.
fn lines_naming(text: &str, expression: &Regex, name: &str) -> Vec<usize> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| {
            expression
                .captures(line)
                .is_some_and(|found| found.get(1).is_some_and(|anchor| anchor.as_str() == name))
        })
        .map(|(index, _)| index + 1)
        .collect()
}
