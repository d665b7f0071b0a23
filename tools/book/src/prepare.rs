//! What is done to the text before mdBook sees it: this book's own directives, and marks for the page's scripts.

use std::path::Path;
use std::sync::LazyLock;

use mdbook_driver::book::{Book, BookItem};
use regex::Regex;

use crate::WholeFiles;
use crate::directive::{self, Place};
use crate::include::directives;

// A block that is nothing but parts of a chapter's file: it is run where it stands, not by itself.
static EXCERPT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?m)^(```+|~~~+)rust\n\{\{#include \.\./(chapters/[^}:\s]+\.rs:[\w-]+)\}\}\n(```+|~~~+)$",
    )
    .expect("a valid expression")
});

/// Prepares a book whose includes are not carried out yet.
///
/// # Errors
///
/// What [`check()`](crate::check()) would have found.
pub fn prepare(
    root: &Path,
    src: &Path,
    book: &mut Book,
    whole_files: WholeFiles,
) -> Result<(), String> {
    let mut result = Ok(());
    book.for_each_mut(|item| {
        if let BookItem::Chapter(chapter) = item
            && let Some(path) = &chapter.source_path
            && result.is_ok()
        {
            let page = &src.join(path);
            let place = Place {
                root,
                page,
                whole_files,
            };
            match text(&place, &chapter.content) {
                Ok(text) => chapter.content = text,
                Err(message) => result = Err(format!("{}: {message}", page.display())),
            }
        }
    });
    result
}

fn text(place: &Place<'_>, text: &str) -> Result<String, String> {
    let mut prepared = String::new();
    let mut copied_to = 0;
    for found in directives(text) {
        let Some(kind) = found.kind else { continue };
        if let Some(html) = directive::html(place, kind, found.rest) {
            prepared.push_str(&text[copied_to..found.range.start]);
            prepared.push_str(&html?);
            copied_to = found.range.end;
        }
    }
    prepared.push_str(&text[copied_to..]);
    // mdBook makes each word of the fence a class of the block.
    let marked = EXCERPT.replace_all(
        &prepared,
        "${1}rust,excerpt,${2}\n{{#include ../${2}}}\n${3}",
    );
    Ok(marked.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_names_its_file_and_anchor() {
        let place = Place {
            root: Path::new("."),
            page: Path::new("src/ch02-scheduler.md"),
            whole_files: WholeFiles::Missing,
        };
        let include = "{{#include ../chapters/ch02-scheduler/src/wake.rs:waker}}";
        assert_eq!(
            text(&place, &format!("A\n\n```rust\n{include}\n```\n")),
            Ok(format!(
                "A\n\n```rust,excerpt,chapters/ch02-scheduler/src/wake.rs:waker\n{include}\n```\n"
            ))
        );
        let whole = format!("```rust\n# fn main() {{}}\n{include}\n```\n");
        assert_eq!(text(&place, &whole), Ok(whole));
    }
}
