//! The static site.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use mdbook_driver::MDBook;

use crate::{Problem, WholeFiles, check, config, files, highlighter, prepare};

/// Checks the book at `root` and builds it into the folder `dest`, whose content is replaced.
///
/// Says how long that took.
///
/// # Errors
///
/// What [`check()`] finds, and then nothing is written; or what mdBook could not do.
pub fn build(root: &Path, dest: &Path) -> Result<Duration, Vec<Problem>> {
    let started = Instant::now();
    // mdBook panics on some malformed HTML, and a server must outlive that.
    let built = catch_unwind(AssertUnwindSafe(|| {
        let problems = check(root);
        if !problems.is_empty() {
            return Err(problems);
        }
        render(root, dest).map_err(|error| vec![Problem::new("book.toml", 1, format!("{error:#}"))])
    }));
    built.unwrap_or_else(|_| {
        let message = "mdBook gave up on this book, for the reason above; undo the last change and try it in smaller steps";
        Err(vec![Problem::new("book.toml", 1, message)])
    })?;
    Ok(started.elapsed())
}

/// Builds without checking.
pub(crate) fn render(root: &Path, dest: &Path) -> Result<()> {
    let dest = std::path::absolute(dest).context("not a folder to build into")?;
    let mut config = config::load(root).map_err(|problem| anyhow!("{problem}"))?;
    config.update_from_env()?;
    // What the table in book.toml has a plain mdBook call us for, we do ourselves.
    config.set("preprocessor.book.renderers", Vec::<String>::new())?;
    let mut book = MDBook::load_with_config(root, config).context("the book cannot be loaded")?;
    prepare(
        root,
        &book.config.book.src,
        &mut book.book,
        WholeFiles::Written,
    )
    .map_err(|error| anyhow!(error))?;
    book.config.build.build_dir.clone_from(&dest);
    book.build().context("the book cannot be built")?;
    files::write(root, &dest, &book.book).context("the pages of whole files cannot be made")?;
    highlighter::shorten(&dest).context("the highlighter cannot be shortened")
}

/// Whether a folder holds what an earlier build wrote, so that its content may be replaced.
pub fn looks_like_a_build(folder: &Path) -> bool {
    ["index.html", "toc.html", ".nojekyll"]
        .iter()
        .all(|name| folder.join(name).is_file())
}
