//! The static site.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mdbook_driver::MDBook;

/// A finished build.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// How long it took, the checks included.
    pub took: Duration,
}

/// Builds the book at `root` into the folder `dest`, whose content is replaced.
///
/// Call [`check`](crate::check) first: mdBook does not complain about a missing include.
///
/// # Errors
///
/// When mdBook cannot load or render the book, or cannot write to `dest`.
pub fn build(root: &Path, dest: &Path) -> Result<Build> {
    let started = Instant::now();
    let mut book = MDBook::load(root).context("the book cannot be loaded")?;
    book.config.build.create_missing = false;
    book.config.build.build_dir =
        std::path::absolute(dest).context("not a folder to build into")?;
    book.build()
        .with_context(|| format!("the book cannot be built into {}", dest.display()))?;
    Ok(Build {
        took: started.elapsed(),
    })
}

/// Whether a folder holds what an earlier build wrote, so that its content may be replaced.
pub fn looks_like_a_build(folder: &Path) -> bool {
    ["index.html", "toc.html", ".nojekyll"]
        .iter()
        .all(|name| folder.join(name).is_file())
}
