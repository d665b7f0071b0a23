//! `{{#diff src/net.rs}}`: how a file differs from that of the chapter before.

use std::fmt::Write;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::{Place, before, escaped};
use crate::chapter::Source;
use crate::files;

/// How many lines are shown around a change.
const AROUND: usize = 3;
/// With more lines that are not as before, a difference begins folded.
const LONG: usize = 80;

pub(super) fn html(place: &Place<'_>, rest: &str) -> Result<String, String> {
    let file = rest.trim();
    let (old, new) = before::pair(place)?;
    let number = before::number(&old);
    let (Some(then), Some(now)) = (old.files.get(file), new.files.get(file)) else {
        return Err(format!(
            "{file} is not in both {} and {}; name a file of both, such as `src/lib.rs`",
            old.name, new.name
        ));
    };
    if then == now {
        return Err(format!(
            "{file} is the same in {} and {}; take this out",
            old.name, new.name
        ));
    }
    let difference = Difference::new(then, now);
    let open = if difference.added + difference.removed > LONG {
        ""
    } else {
        " open"
    };
    let whole = place.link(&files::address(&new.name, file), "The whole file");
    let mut html = format!(
        "<details class=\"diff\"{open}>\n<summary><code>{}</code> since chapter {number}, {}</summary>\n\
         {}<div class=\"diff-lines hljs\" role=\"group\" aria-label=\"what changed in {}\" tabindex=\"0\">\n",
        escaped(file),
        difference.count(),
        whole.map_or(String::new(), |link| format!("<p>{link}</p>\n")),
        escaped(file)
    );
    difference.rows(&mut html, files::language(file));
    html += "</div>\n</details>";
    Ok(html)
}

/// Two texts, line by line.
pub(super) struct Difference<'a> {
    old: Vec<&'a str>,
    new: Vec<&'a str>,
    ops: Vec<DiffOp>,
    added: usize,
    removed: usize,
}

impl<'a> Difference<'a> {
    pub(super) fn new(then: &'a Source, now: &'a Source) -> Self {
        let lines = |text: &'a str| -> Vec<&'a str> { text.lines().collect() };
        // The chapter's own name is no difference.
        let (old, new) = (lines(&then.neutral), lines(&now.neutral));
        let ops = capture_diff_slices(Algorithm::Patience, &old, &new);
        let sum = |count: &dyn Fn(&DiffOp) -> usize| -> usize {
            let changes = ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. }));
            changes.map(count).sum()
        };
        let added = sum(&|op| op.new_range().len());
        let removed = sum(&|op| op.old_range().len());
        Self {
            old: lines(&then.text),
            new: lines(&now.text),
            ops,
            added,
            removed,
        }
    }

    /// Lines that came and lines that went.
    pub(super) fn count(&self) -> String {
        format!("+{} −{}", self.added, self.removed)
    }

    fn rows(&self, html: &mut String, language: &str) {
        for (index, op) in self.ops.iter().enumerate() {
            let (old, new) = (op.old_range(), op.new_range());
            if let DiffOp::Equal { .. } = op {
                // A fold that hides next to nothing is in the way.
                let head = if index == 0 { 0 } else { AROUND };
                let tail = if index + 1 == self.ops.len() {
                    0
                } else {
                    AROUND
                };
                let folded = if new.len() > head + tail + 2 {
                    new.start + head..new.end - tail
                } else {
                    new.end..new.end
                };
                for n in new.start..folded.start {
                    same(html, language, n + 1, self.new[n]);
                }
                if !folded.is_empty() {
                    self.fold(html, language, folded.clone());
                }
                for n in folded.end..new.end {
                    same(html, language, n + 1, self.new[n]);
                }
                continue;
            }
            for (at, n) in old.enumerate() {
                change(html, language, Change::Removed, at == 0, None, self.old[n]);
            }
            for (at, n) in new.enumerate() {
                change(
                    html,
                    language,
                    Change::Added,
                    at == 0,
                    Some(n + 1),
                    self.new[n],
                );
            }
        }
    }

    fn fold(&self, html: &mut String, language: &str, lines: std::ops::Range<usize>) {
        let _ = writeln!(
            html,
            "<details class=\"diff-fold\"><summary>{} lines as before{}</summary>",
            lines.len(),
            self.item_after(lines.end)
        );
        // One block for all: line by line, files would outweigh their pages. For Markdown, a line without anything ends the HTML.
        let text: Vec<String> = self.new[lines]
            .iter()
            .map(|line| match line.trim() {
                "" => "&#32;".into(),
                _ => escaped(line),
            })
            .collect();
        let _ = writeln!(
            html,
            "<div><code class=\"language-{language}\">{}</code></div></details>",
            text.join("\n")
        );
    }

    /// The item that the lines after a fold belong to, as its first line says it.
    fn item_after(&self, end: usize) -> String {
        let item = self.new[..end].iter().rev().find(|line| {
            let first = line
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ");
            [
                "fn ",
                "async fn ",
                "impl",
                "struct ",
                "enum ",
                "trait ",
                "mod ",
            ]
            .iter()
            .any(|word| first.starts_with(word))
        });
        // After a line that closes an item, nobody is inside of it.
        let outside = self.new[..end]
            .iter()
            .rev()
            .find(|line| !line.trim().is_empty());
        match item {
            Some(item) if outside.is_some_and(|line| *line != "}") => format!(
                ", up to a part of <code>{}</code>",
                escaped(item.trim_end_matches('{').trim_end())
            ),
            _ => String::new(),
        }
    }
}

#[derive(Clone, Copy)]
enum Change {
    Removed,
    Added,
}

// A page has hundreds of these lines, and a limit to its weight: so no element and no attribute more than needed.

/// A line as before, with its number in the new file.
fn same(html: &mut String, language: &str, number: usize, line: &str) {
    let _ = writeln!(
        html,
        "<div data-n=\"{number}\"><code class=\"language-{language}\">{}</code></div>",
        escaped(line)
    );
}

/// A line that came or went; the first of several says so in words.
fn change(
    html: &mut String,
    language: &str,
    change: Change,
    first: bool,
    number: Option<usize>,
    line: &str,
) {
    let (tag, word) = match change {
        Change::Removed => ("del", "removed: "),
        Change::Added => ("ins", "added: "),
    };
    let number = number.map_or(String::new(), |number| format!(" data-n=\"{number}\""));
    let spoken = if first {
        format!("<span class=\"diff-spoken\">{word}</span>")
    } else {
        String::new()
    };
    let _ = writeln!(
        html,
        "<{tag}{number}>{spoken}<code class=\"language-{language}\">{}</code></{tag}>",
        escaped(line)
    );
}
