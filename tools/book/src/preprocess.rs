//! `cargo book preprocess`: what a plain `mdbook build` or `mdbook serve` calls.

use std::io;

use anyhow::{Context, Result, anyhow};
use mdbook_preprocessor::parse_input;

/// Answers mdBook on standard output.
pub(crate) fn preprocess() -> Result<()> {
    let (context, mut book) = parse_input(io::stdin().lock())?;
    // Whoever calls this goes on alone, and nobody is there to write more pages at the end.
    let files = book::WholeFiles::Missing;
    book::prepare(&context.root, &context.config.book.src, &mut book, files)
        .map_err(|error| anyhow!(error))?;
    serde_json::to_writer(io::stdout().lock(), &book).context("mdBook does not listen")
}
