//! Pages that exist and that no reader can reach.

use std::fs;
use std::path::{Path, PathBuf};

use mdbook_driver::config::Config;

use crate::paths::shown;
use crate::{Page, Problem};

/// Reports the Markdown files in the folder of the text that `SUMMARY.md` does not list.
pub(crate) fn unlisted(root: &Path, config: &Config, pages: &[Page], problems: &mut Vec<Problem>) {
    let src = &config.book.src;
    for file in markdown_files(root, src) {
        // mdBook makes the page for addresses that do not exist from a file of this name.
        let special = file == src.join("SUMMARY.md") || file == src.join("404.md");
        if !special && !pages.iter().any(|page| page.path == file) {
            let name = shown(file.strip_prefix(src).unwrap_or(&file));
            let message = format!(
                "no reader can reach this page; add `- [Its title]({name})` to {}, or delete it",
                shown(&src.join("SUMMARY.md"))
            );
            problems.push(Problem::new(file, 1, message));
        }
    }
}

fn markdown_files(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder))
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = folder.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(markdown_files(root, &path)),
            _ if path.extension().is_some_and(|extension| extension == "md") => found.push(path),
            _ => {}
        }
    }
    found
}
