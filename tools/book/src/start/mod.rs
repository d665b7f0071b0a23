//! `cargo book start`: a chapter's crate under a new name, as the start of something of one's own.

mod copy;
mod name;
mod readme;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::serve::say;
use copy::Names;

/// Copies the chapter `chapter` of the book at `root` to `target`, a folder still to be made.
///
/// The copy is made beside its place and put there when it is complete: whatever goes wrong on the way, the
/// place stays empty.
pub(crate) fn start(root: &Path, chapter: &str, target: &Path) -> Result<()> {
    let source = find(root, chapter)?;
    let target = std::path::absolute(target).context("the new folder is not a path")?;
    let name = name::of(&target)?;
    name::unlike_dependencies(&name, &source)?;
    let parent = refuse(root, &target)?;

    let workshop = tempfile::Builder::new()
        .prefix(".book-start-")
        .tempdir_in(&parent)
        .with_context(|| format!("cannot write to {}", parent.display()))?;
    let made = workshop.path().join("new");
    copy::crate_to(&source, &made, &Names::new(chapter, &name))?;
    fs::write(
        made.join("README.md"),
        readme::readme(chapter, &name, &made),
    )
    .context("cannot write README.md")?;
    fs::write(made.join(".gitignore"), "/target\n").context("cannot write .gitignore")?;
    // The licences ask to be kept, and the lock file names the versions that the book was tested with.
    for file in ["LICENSE-MIT", "LICENSE-APACHE", "Cargo.lock"] {
        if root.join(file).is_file() {
            fs::copy(root.join(file), made.join(file))
                .with_context(|| format!("cannot copy {file}"))?;
        }
    }
    fs::rename(&made, &target).with_context(|| format!("cannot make {}", target.display()))?;
    say(&format!(
        "made {} from {chapter}; now\n\n    cd {}\n    cargo test\n    cargo run",
        target.display(),
        target.display()
    ));
    Ok(())
}

/// The folder of a chapter.
fn find(root: &Path, chapter: &str) -> Result<PathBuf> {
    let folder = root.join("chapters");
    let mut chapters: Vec<String> = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    chapters.sort();
    if chapters.iter().any(|known| known == chapter) {
        return Ok(folder.join(chapter));
    }
    let Some(nearest) = nearest(&chapters, chapter) else {
        bail!("there is no chapter in {}", folder.display());
    };
    bail!(
        "no chapter `{chapter}`; did you mean `{nearest}`? The chapters are:\n  {}",
        chapters.join("\n  ")
    )
}

/// The chapter that `wanted` begins or stands in, else the one that is spelt most like it.
fn nearest<'a>(chapters: &'a [String], wanted: &str) -> Option<&'a str> {
    let holds = chapters
        .iter()
        .find(|known| !wanted.is_empty() && known.contains(wanted));
    holds
        .or_else(|| {
            chapters
                .iter()
                .min_by_key(|known| book::distance(known, wanted))
        })
        .map(String::as_str)
}

/// Refuses a target that exists or cannot work, and answers the folder to make it in.
fn refuse(root: &Path, target: &Path) -> Result<PathBuf> {
    let shown = target.display();
    if target.symlink_metadata().is_ok() {
        bail!("{shown} exists; choose a name that is free");
    }
    let parent = target
        .parent()
        .with_context(|| format!("{shown} is not in any folder"))?;
    let real = parent.canonicalize().with_context(|| {
        format!(
            "the folder {} cannot be used; make it first",
            parent.display()
        )
    })?;
    if !real.is_dir() {
        bail!("{} is not a folder; choose another place", parent.display());
    }
    let real_root = root
        .canonicalize()
        .with_context(|| format!("{} cannot be read", root.display()))?;
    if real.starts_with(&real_root) {
        bail!(
            "{shown} lies inside this repository, and cargo would refuse to build it there, because it is not a \
             member of the book's workspace; choose a place outside, such as {}",
            real_root
                .with_file_name(target.file_name().unwrap_or_default())
                .display()
        );
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_chapter() {
        let chapters = [
            "ch01-synchronous-server",
            "ch02-scheduler",
            "ch03-system-events",
        ]
        .map(String::from);
        for (wanted, nearest_one) in [
            ("ch02", "ch02-scheduler"),
            ("events", "ch03-system-events"),
            ("ch02-shceduler", "ch02-scheduler"),
            ("ch01_synchronous_server", "ch01-synchronous-server"),
        ] {
            assert_eq!(nearest(&chapters, wanted), Some(nearest_one));
        }
        assert_eq!(nearest(&[], "x"), None);
    }
}
