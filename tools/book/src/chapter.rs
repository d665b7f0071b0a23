//! The chapters' crates, and what one carries over from the one before.

use std::collections::BTreeMap;
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
///
/// # Errors
///
/// When a folder cannot be read.
pub fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
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

/// What stands for the name of a chapter's library, in all of them.
const LIBRARY: &str = "chNN_name";

/// A file of a chapter.
///
/// Two are equal if they are so letter by letter, the chapter's own name apart. But names of libraries are not all as long, and the
/// longer one breaks lines elsewhere: in a file that has the name in it, line breaks do not count, nor what rustfmt does with them.
#[derive(Debug)]
pub struct Source {
    /// Its text.
    pub text: String,
    /// The same with a common name for the chapter.
    pub neutral: String,
}

impl PartialEq for Source {
    fn eq(&self, other: &Source) -> bool {
        let named = |source: &Source| source.neutral.contains(LIBRARY);
        self.neutral == other.neutral
            || named(self) && named(other) && self.on_one_line() == other.on_one_line()
    }
}

impl Source {
    /// Without white space, and without the commas that rustfmt adds at the end of a list of several lines.
    fn on_one_line(&self) -> String {
        let mut text: String = self.neutral.split_whitespace().collect();
        for closing in [")", "]", "}"] {
            text = text.replace(&format!(",{closing}"), closing);
        }
        text
    }
}

/// The files of a chapter. Its README is its own affair: no chapter shares it.
#[derive(Debug)]
pub struct Chapter {
    /// Such as `ch03-system-events`.
    pub name: String,
    /// By their path in the chapter, such as `src/net.rs`.
    pub files: BTreeMap<String, Source>,
}

impl Chapter {
    /// Reads all files of one.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn read(root: &Path, name: &str) -> io::Result<Self> {
        let folder = root.join("chapters").join(name);
        let mut files = BTreeMap::new();
        for path in files_below(&folder)? {
            let bytes = fs::read(folder.join(&path))?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // A chapter's own name is the one thing that must differ.
            let neutral = text
                .replace(name, "chNN-name")
                .replace(&name.replace('-', "_"), LIBRARY);
            files.insert(
                path.to_string_lossy().replace('\\', "/"),
                Source { text, neutral },
            );
        }
        files.remove("README.md");
        Ok(Self {
            name: name.to_owned(),
            files,
        })
    }
}
