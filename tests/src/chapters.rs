//! The chapter crates and their files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The names of all chapters, in order.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn chapters(root: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("chapters"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// All files below a folder, relative to it, in order. What cargo makes there is left out.
pub(crate) fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                if path != Path::new("target") {
                    folders.push(path);
                }
            } else if path != Path::new("Cargo.lock") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
