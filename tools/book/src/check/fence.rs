//! Code fences that do not do what their writer meant.

use std::path::Path;

use mdbook_markdown::{MarkdownOptions, new_cmark_parser};
use pulldown_cmark::{CodeBlockKind, Event, Tag};

use crate::Problem;
use crate::expand::Expanded;

/// Reports fences that are never closed, and fences that Markdown does not see because they stand in HTML.
pub(crate) fn check(
    file: &Path,
    expanded: &Expanded,
    options: &MarkdownOptions,
    problems: &mut Vec<Problem>,
) {
    // Of the two fences of a swallowed block, the first is the one to mend.
    let mut swallowed = false;
    for (event, range) in new_cmark_parser(&expanded.text, options).into_offset_iter() {
        let message = match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_)))
                if !closed(&expanded.text[range.clone()]) =>
            {
                "a code block is opened here and never closed; write the same fence after its last line"
            }
            Event::Start(Tag::HtmlBlock) => {
                swallowed = false;
                continue;
            }
            Event::Html(html) if !swallowed && fence(html.trim_start()).is_some() => {
                swallowed = true;
                "this fence is plain text, because it stands inside HTML; leave an empty line before it"
            }
            _ => continue,
        };
        problems.push(Problem::new(file, expanded.line(range.start), message));
    }
}

/// Whether a block, from its opening fence on, ends with a closing one.
fn closed(block: &str) -> bool {
    let Some((mark, length)) = fence(block) else {
        return true;
    };
    let mut lines = block.lines();
    lines.next();
    // Inside a quote or a list the last line still has the container's own marks before it.
    let last = lines
        .next_back()
        .unwrap_or("")
        .trim_start_matches(|c: char| c == '>' || c.is_whitespace())
        .trim_end();
    last.chars().count() >= length && last.chars().all(|c| c == mark)
}

/// The character of a fence and how often it stands there.
fn fence(line: &str) -> Option<(char, usize)> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    (length >= 3).then_some((mark, length))
}
