//! `cargo book build`: the static site in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::serve::say;

/// Builds the book at `root` into `dest`.
///
/// The site is built beside its place and put there when it is complete, so that a broken page leaves an
/// earlier site as it was.
pub(crate) fn export(root: &Path, dest: Option<PathBuf>) -> Result<()> {
    let dest = match dest {
        Some(dest) => std::path::absolute(dest).context("--dest is not a path")?,
        None => root.join("book"),
    };
    refuse(root, &dest)?;
    let parent = dest
        .parent()
        .context("--dest is the root of the file system; name a folder in it")?;
    fs::create_dir_all(parent)
        .with_context(|| format!("cannot make the folder {}", parent.display()))?;
    let workshop = tempfile::Builder::new()
        .prefix(".book-")
        .tempdir_in(parent)
        .with_context(|| format!("cannot write to {}", parent.display()))?;
    let site = workshop.path().join("site");
    let took = match book::build(root, &site) {
        Ok(took) => took,
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            bail!(
                "the book is broken in {}; nothing was written",
                places(problems.len())
            );
        }
    };
    if dest.exists() {
        fs::rename(&dest, workshop.path().join("old"))
            .with_context(|| format!("cannot replace {}", dest.display()))?;
    }
    fs::rename(&site, &dest).with_context(|| format!("cannot write {}", dest.display()))?;
    say(&format!(
        "built in {:.2} s: {}",
        took.as_secs_f64(),
        dest.join("index.html").display()
    ));
    Ok(())
}

/// `1 place`, `2 places`.
pub(crate) fn places(count: usize) -> String {
    format!("{count} {}", if count == 1 { "place" } else { "places" })
}

/// What must not be replaced.
fn refuse(root: &Path, dest: &Path) -> Result<()> {
    let shown = dest.display();
    // What exists of a path may lead through links; what does not exist cannot.
    let real = dest
        .ancestors()
        .find_map(|path| path.canonicalize().ok().map(|real| (path, real)));
    let real = real.map(|(path, real)| {
        dest.strip_prefix(path)
            .map_or(real.clone(), |rest| real.join(rest))
    });
    let real_root = root
        .canonicalize()
        .with_context(|| format!("{} cannot be read", root.display()))?;
    let inside = ["src", "chapters", "assets"].iter().any(|part| {
        real.as_ref()
            .is_some_and(|real| real.starts_with(real_root.join(part)))
    });
    if inside {
        bail!("{shown} lies in the source of the book; choose another folder with --dest");
    }
    if dest.is_file() {
        bail!("{shown} is a file; choose a folder with --dest");
    }
    let Ok(mut entries) = fs::read_dir(dest) else {
        return Ok(());
    };
    if entries.next().is_some() && !book::looks_like_a_build(dest) {
        bail!(
            "{shown} is not empty and does not look like an earlier build, so it stays as it is; \
             empty it, or choose another folder with --dest"
        );
    }
    Ok(())
}
