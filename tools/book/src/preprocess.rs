//! `cargo book preprocess`: what a plain `mdbook build` or `mdbook serve` calls.

use std::io;

use anyhow::{Context, Result, anyhow};
use mdbook_preprocessor::parse_input;

/// Answers mdBook on standard output.
pub(crate) fn preprocess() -> Result<()> {
    let (context, mut book) = parse_input(io::stdin().lock())?;
    book::prepare(&context.root, &context.config.book.src, &mut book)
        .map_err(|error| anyhow!(error))?;
    serde_json::to_writer(io::stdout().lock(), &book).context("mdBook does not listen")
}
