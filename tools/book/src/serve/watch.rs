//! Noticing that the text, the assets or a chapter changed.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// What the pages are made of, beside `book.toml`.
const FOLDERS: [&str; 3] = ["src", "assets", "chapters"];
/// One save of an editor is several events. They belong together when no more follow for this long.
const QUIET: Duration = Duration::from_millis(80);
/// A program that writes without end must not keep the others from being seen.
const PATIENCE: Duration = Duration::from_secs(1);

/// Changed files, as they come.
pub(crate) struct Changes {
    root: PathBuf,
    events: Receiver<notify::Result<notify::Event>>,
    watcher: Mutex<RecommendedWatcher>,
}

/// Begins to watch the book at `root`.
pub(crate) fn watch(root: &Path) -> Result<Changes> {
    let root = root
        .canonicalize()
        .with_context(|| format!("{} cannot be read", root.display()))?;
    let (sender, events) = channel();
    // The receiver is gone only at the end of the program.
    let mut watcher = notify::recommended_watcher(move |event| drop(sender.send(event)))?;
    // Editors replace a file by renaming another: the folder has to be watched, for `book.toml` too.
    watcher.watch(&root, RecursiveMode::NonRecursive)?;
    for folder in FOLDERS
        .map(|folder| root.join(folder))
        .iter()
        .filter(|folder| folder.is_dir())
    {
        watcher.watch(folder, RecursiveMode::Recursive)?;
    }
    let watcher = Mutex::new(watcher);
    Ok(Changes {
        root,
        events,
        watcher,
    })
}

impl Changes {
    /// Waits for a change and until it is over. Names what changed; `None` when nothing is watched any more.
    pub(crate) fn next(&self) -> Option<String> {
        let mut first = None;
        while first.is_none() {
            first = self.changed(self.events.recv().ok()?);
        }
        let deadline = Instant::now() + PATIENCE;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match self.events.recv_timeout(QUIET.min(left)) {
                // Only what concerns the book keeps it waiting.
                Ok(event) => drop(self.changed(event)),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        first
    }

    /// The file of the book that an event tells of.
    fn changed(&self, event: notify::Result<notify::Event>) -> Option<String> {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                eprintln!(
                    "a change may have been missed ({error}); save the file again if the page looks old"
                );
                return None;
            }
        };
        if event.need_rescan() {
            return Some("something".to_owned());
        }
        match event.kind {
            // Reading is not changing, and building reads everything.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
            EventKind::Access(_) => return None,
            _ => {}
        }
        let names: Vec<&Path> = event
            .paths
            .iter()
            .filter_map(|path| path.strip_prefix(&self.root).ok())
            .collect();
        for name in names
            .iter()
            .filter(|name| FOLDERS.iter().any(|folder| **name == Path::new(folder)))
        {
            self.watch_again(name);
        }
        let name = names.into_iter().find(|name| concerns(name))?;
        Some(name.to_string_lossy().replace('\\', "/"))
    }

    /// A folder that was replaced as a whole is another one, and the watch went with the old.
    fn watch_again(&self, folder: &Path) {
        let folder = self.root.join(folder);
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        // It may be gone, or never have been watched: both are as good as unwatched.
        let _ = watcher.unwatch(&folder);
        if folder.is_dir()
            && let Err(error) = watcher.watch(&folder, RecursiveMode::Recursive)
        {
            eprintln!(
                "{} cannot be watched any more ({error}); start `cargo book` again",
                folder.display()
            );
        }
    }
}

/// Whether a page can depend on this file: hidden files, backups and what cargo builds do not count.
fn concerns(name: &Path) -> bool {
    let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
    let Some((first, last)) = parts.first().zip(parts.last()) else {
        return false;
    };
    let watched = FOLDERS.contains(&first.as_ref()) || name == Path::new("book.toml");
    watched
        && !last.ends_with('~')
        && !parts
            .iter()
            .any(|part| part.starts_with('.') || part == "target")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pages_are_made_of() {
        for name in [
            "src/one.md",
            "assets/book.css",
            "chapters/ch01-a/src/lib.rs",
            "book.toml",
            "src",
        ] {
            assert!(concerns(Path::new(name)), "{name}");
        }
        for name in [
            "",
            "Cargo.toml",
            "target/debug/book",
            "book/index.html",
            "src/.one.md.swp",
            "src/one.md~",
            "chapters/ch01-a/target/debug/x",
        ] {
            assert!(!concerns(Path::new(name)), "{name}");
        }
    }
}
