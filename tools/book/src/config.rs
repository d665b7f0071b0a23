//! The book's `book.toml`.

use std::fs;
use std::path::Path;

use mdbook_driver::config::Config;
use mdbook_markdown::MarkdownOptions;

use crate::Problem;

/// Reads `book.toml`.
pub(crate) fn load(root: &Path) -> Result<Config, Problem> {
    let text = fs::read_to_string(root.join("book.toml")).map_err(|error| {
        Problem::new(
            "book.toml",
            1,
            format!("cannot be read: {error}; put the file back"),
        )
    })?;
    text.parse::<Config>().map_err(|error| {
        let message = error
            .chain()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ");
        Problem::new(
            "book.toml",
            line_in(&message),
            format!("is not a valid configuration: {}", message.trim()),
        )
    })
}

/// How mdBook is told to read Markdown.
pub(crate) fn markdown(config: &Config) -> MarkdownOptions {
    let html = config.html_config().unwrap_or_default();
    let mut options = MarkdownOptions::default();
    options.smart_punctuation = html.smart_punctuation;
    options.definition_lists = html.definition_lists;
    options.admonitions = html.admonitions;
    options
}

/// The line that a message of the TOML parser speaks of.
fn line_in(message: &str) -> usize {
    let digits = message.split_once("at line ").map_or("", |(_, rest)| rest);
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(1)
}
