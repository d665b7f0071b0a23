//! The directives that this book has beside mdBook's: what a chapter changed, and what a run did.

mod before;
mod changes;
mod diff;
mod recording;

use std::path::Path;

use crate::WholeFiles;

/// Where a directive stands.
pub(crate) struct Place<'a> {
    /// The root of the book.
    pub(crate) root: &'a Path,
    /// The page, relative to the root: `src/ch04-orphans.md`.
    pub(crate) page: &'a Path,
    /// Whether links to whole files lead anywhere.
    pub(crate) whole_files: WholeFiles,
}

impl Place<'_> {
    /// A link to an address of [`crate::files`], if it leads anywhere.
    fn link(&self, address: &str, words: &str) -> Option<String> {
        match self.whole_files {
            WholeFiles::Written => Some(format!("<a href=\"{}\">{words}</a>", escaped(address))),
            WholeFiles::Missing => None,
        }
    }
}

/// The HTML that stands for `{{#kind rest}}`; `None` when that is no directive of ours, `Err` says what is wrong with it.
///
/// It has no empty line, which would end it for Markdown, and no `{{#`, which mdBook would carry out.
pub(crate) fn html(place: &Place<'_>, kind: &str, rest: &str) -> Option<Result<String, String>> {
    match kind {
        "diff" => Some(diff::html(place, rest)),
        "changes" => Some(changes::html(place, rest)),
        "recording" => Some(recording::html(place, rest)),
        _ => None,
    }
}

/// The text as it may stand between tags and in the quotes of an attribute, and as mdBook leaves it alone.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace("{{", "&#123;&#123;")
}
