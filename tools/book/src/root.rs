//! Where the book is.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Finds the root of the book: the nearest folder with a `book.toml`, from the current folder upwards.
///
/// The current folder comes first because `cargo book` keeps it, whatever subfolder it was called from, and
/// because a clone that was moved, or a second one, must serve itself and not the place it was compiled in.
/// Outside of any book, the workspace that this program was run or compiled from is used.
///
/// # Errors
///
/// When there is no `book.toml` in any of these places, or the current folder cannot be read.
pub fn root() -> Result<PathBuf> {
    let here =
        env::current_dir().context("cannot tell the current folder; change to the book's")?;
    let run_from = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let compiled_in = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for start in [Some(here.clone()), run_from, Some(compiled_in)]
        .into_iter()
        .flatten()
    {
        if let Some(root) = above(&start) {
            return Ok(root);
        }
    }
    bail!(
        "no book.toml in {} or any folder above it; run this inside the book's repository",
        here.display()
    )
}

fn above(start: &Path) -> Option<PathBuf> {
    start
        .ancestors()
        .find(|folder| folder.join("book.toml").is_file())
        .map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_book_toml_wins() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        std::fs::create_dir_all(inner.join("src/deep")).unwrap();
        std::fs::write(outer.path().join("book.toml"), "").unwrap();
        std::fs::write(inner.join("book.toml"), "").unwrap();
        assert_eq!(above(&inner.join("src/deep")), Some(inner.clone()));
        assert_eq!(above(&inner), Some(inner));
        assert_eq!(above(outer.path()), Some(outer.path().to_path_buf()));
    }
}
