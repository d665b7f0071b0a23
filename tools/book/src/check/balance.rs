//! Raw HTML that is opened and closed at different places.
//!
//! mdBook closes such a tag where it thinks best: a box then ends too early, or takes in the rest of the page.

use std::path::Path;

use mdbook_markdown::{MarkdownOptions, new_cmark_parser};
use pulldown_cmark::{Event, Tag, TagEnd};

use super::html;
use crate::Problem;
use crate::expand::Expanded;

/// Elements that have no end.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];

/// Reports tags that are not closed within the paragraph, list or page they were opened in.
pub(super) fn check(
    file: &Path,
    expanded: &Expanded,
    options: &MarkdownOptions,
    problems: &mut Vec<Problem>,
) {
    let mut open = Vec::new();
    let mut report =
        |offset, message| problems.push(Problem::new(file, expanded.line(offset), message));
    for (event, range) in new_cmark_parser(&expanded.text, options).into_offset_iter() {
        match event {
            Event::Start(Tag::HtmlBlock) | Event::InlineHtml(_) => {
                for mut tag in html::tags_and_ends(&expanded.text[range.clone()]) {
                    tag.offset += range.start;
                    follow(tag, &mut open, &mut report);
                }
            }
            Event::End(TagEnd::HtmlBlock) => {}
            Event::Start(_) => open.push(Open::Markdown),
            Event::End(_) => leave(&mut open, &mut report),
            _ => {}
        }
    }
    while !open.is_empty() {
        leave(&mut open, &mut report);
    }
}

/// What we are in.
enum Open {
    Markdown,
    Html { name: String, offset: usize },
}

fn follow(tag: html::Tag, open: &mut Vec<Open>, report: &mut impl FnMut(usize, String)) {
    let html::Tag {
        offset,
        name,
        end,
        closed,
        ..
    } = tag;
    if !end {
        if !closed && !VOID.contains(&name.as_str()) {
            open.push(Open::Html { name, offset });
        }
        return;
    }
    match open.last() {
        Some(Open::Html { name: last, .. }) if *last == name => drop(open.pop()),
        Some(Open::Html { name: last, .. }) => {
            report(
                offset,
                format!(
                    "`</{name}>` stands where `</{last}>` has to come first; correct their order"
                ),
            );
        }
        _ => report(
            offset,
            format!(
                "`</{name}>` closes nothing that was opened in the same paragraph, list or page; take it out, or open it"
            ),
        ),
    }
}

/// Leaves a Markdown element, or the page: whatever HTML was opened in it must be closed.
fn leave(open: &mut Vec<Open>, report: &mut impl FnMut(usize, String)) {
    while let Some(Open::Html { name, offset }) = open.pop() {
        report(
            offset,
            format!(
                "`<{name}>` is not closed in the paragraph, list or page it was opened in; write `</{name}>` there"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let expanded = Expanded::plain(text.to_owned());
        check(
            Path::new("p.md"),
            &expanded,
            &MarkdownOptions::default(),
            &mut problems,
        );
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_balanced() {
        for text in [
            "<div class=\"predict\">\n\nText with `code<T>` and <kbd>x</kbd>,<br>and\n\n</div>\n",
            "<figure>\n<svg><rect width=\"1\"/><path d=\"M0 0\" /></svg>\n</figure>\n",
            "- <b>a</b>\n\n  <details>\n  <summary>x</summary>\n\n  text\n\n  </details>\n",
            "<script>\nif (a<b) document.write(\"<p>\");\n</script>\n",
            "> <div>\n>\n> x\n>\n> </div>\n",
        ] {
            assert_eq!(faults(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn what_is_not() {
        for (text, fault) in [
            (
                "# A\n\n<div>\n\ntext\n",
                "p.md:3: `<div>` is not closed in the paragraph, list or page it was opened in; write `</div>` there",
            ),
            (
                "a <b>b\n\nc\n",
                "p.md:1: `<b>` is not closed in the paragraph, list or page it was opened in; write `</b>` there",
            ),
            (
                "a\n\n</div>\n",
                "p.md:3: `</div>` closes nothing that was opened in the same paragraph, list or page; take it out, or open it",
            ),
            (
                "<i><b>x</i></b>\n",
                "p.md:1: `</i>` stands where `</b>` has to come first; correct their order",
            ),
        ] {
            assert_eq!(faults(text)[0], fault, "{text}");
        }
    }
}
