//! A chapter, copied out of the workspace, is a project of its own.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use crate::Place;
use crate::process::{End, as_in_a_readers_shell, finish, in_a_session};
use book::{chapters, files_below};

/// For one command of cargo, a first compilation on a slow machine included, and the wait for those of the other chapters: they
/// share a folder, in which one compiles at a time.
const LIMIT: Duration = Duration::from_secs(1200);

/// What is wrong with a chapter as a project of its own, as far as its files tell; empty when nothing is.
pub fn faults(root: &Path, chapter: &str) -> Vec<String> {
    let folder = Path::new("chapters").join(chapter);
    let file = folder.join("Cargo.toml").display().to_string();
    let text = match fs::read_to_string(root.join(&file)) {
        Ok(text) => text,
        Err(error) => return vec![format!("{file}:1: cannot be read: {error}")],
    };
    let lib = folder.join("src/lib.rs").display().to_string();
    let crate_text = fs::read_to_string(root.join(&lib)).unwrap_or_default();
    let mut faults = faults_of(chapter, &file, &text, &crate_text);

    if !root.join(format!("src/{chapter}.md")).is_file() {
        faults.push(format!(
            "{file}:1: its page src/{chapter}.md does not exist: page and chapter share a name"
        ));
    }
    let externs = fs::read_to_string(root.join("tests/Cargo.toml")).unwrap_or_default();
    if !externs.contains(&format!("\n{chapter} = ")) {
        faults.push(format!(
            "tests/Cargo.toml:1: add {chapter} to `[dev-dependencies]`: blocks see only the crates that stand there"
        ));
    }
    faults.extend(examples_elsewhere(root, chapter));
    faults
}

/// Examples that another chapter has, too. Cargo builds those of all packages into one folder, and the last one wins.
fn examples_elsewhere(root: &Path, chapter: &str) -> Vec<String> {
    let examples = |chapter: &str| {
        let entries = fs::read_dir(root.join("chapters").join(chapter).join("examples"));
        let names = entries.into_iter().flatten().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".rs")).collect()
    };
    let own: BTreeSet<String> = examples(chapter);
    let others = chapters(root).unwrap_or_default();
    let others = others.iter().filter(|other| *other != chapter);
    let shared = others.flat_map(|other| {
        let theirs = examples(other);
        let both: Vec<String> = own.intersection(&theirs).cloned().collect();
        both.into_iter().map(move |name| (other, name))
    });
    shared
        .map(|(other, name)| {
            format!(
                "chapters/{chapter}/examples/{name}:1: {other} has an example of this name, and both are built into one \
                 file; rename one, or run the other's"
            )
        })
        .collect()
}

fn faults_of(chapter: &str, file: &str, text: &str, crate_text: &str) -> Vec<String> {
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return vec![format!("{file}:1: {error}")],
    };
    let package = table
        .get("package")
        .and_then(Value::as_table)
        .cloned()
        .unwrap_or_default();
    let said = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default();
    let line_of = |what: &str| {
        text.lines()
            .position(|line| line.contains(what))
            .map_or(1, |n| n + 1)
    };
    let mut faults = Vec::new();
    if said("name") != chapter {
        let line = line_of("name");
        faults.push(format!(
            "{file}:{line}: the package is called {:?}, its folder {chapter:?}",
            said("name")
        ));
    }
    for (key, value) in [("edition", "2024"), ("rust-version", "1.88")] {
        if said(key) != value {
            faults.push(format!(
                "{file}:{}: `{key}` must be {value:?} here too",
                line_of(key)
            ));
        }
    }
    let lints = table.get("lints").and_then(|lints| lints.get("rust"));
    let forbidden = lints
        .and_then(|rust| rust.get("unsafe_code"))
        .and_then(|level| level.as_str().or_else(|| level.get("level")?.as_str()));
    if forbidden != Some("forbid") && !crate_text.contains("#![forbid(unsafe_code)]") {
        faults.push(format!(
            "{file}:1: `unsafe_code` is not forbidden, neither in `[lints.rust]` nor in the crate"
        ));
    }
    leans_outside(&Value::Table(table), &mut |key| {
        let line = line_of(key);
        faults.push(format!(
            "{file}:{line}: `{key}` leads out of the chapter, which must work where it is copied to"
        ));
    });
    faults
}

/// Calls `found` for each `workspace` and each `path` of a dependency.
fn leans_outside(value: &Value, found: &mut dyn FnMut(&str)) {
    let Value::Table(table) = value else {
        return;
    };
    for (key, value) in table {
        match (key.as_str(), value) {
            // A target's own file lies inside: `[[bin]]` and the like are arrays, and not looked into.
            ("lib", _) => {}
            ("workspace" | "path", Value::Boolean(true) | Value::String(_) | Value::Table(_)) => {
                found(key)
            }
            _ => leans_outside(value, found),
        }
    }
}

/// Copies a chapter, the folder `chapters/<chapter>` of `root`, to a folder outside the workspace and tests it there.
///
/// # Errors
///
/// What cargo said.
pub fn test_copy(place: &Place, root: &Path, chapter: &str) -> Result<(), String> {
    let source = root.join("chapters").join(chapter);
    let copy = folder_for(root).join(chapter);
    let failed = |what: &str, error: io::Error| format!("chapters/{chapter}: {what}: {error}");
    fs::create_dir_all(&copy).map_err(|error| failed("no folder for the copy", error))?;
    let lock =
        fs::File::create(copy.with_extension("lock")).map_err(|error| failed("no lock", error))?;
    // Another run of the tests may be at it; that one comes to an end.
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|error| failed("no lock", error.into()))?;
    mirror(&source, &copy).map_err(|error| failed("cannot be copied", error))?;
    // The versions that were tested here, not the newest; cargo drops what the chapter does not use.
    fs::copy(place.root.join("Cargo.lock"), copy.join("Cargo.lock"))
        .map_err(|error| failed("no Cargo.lock", error))?;

    for arguments in [
        ["test", "--offline"].as_slice(),
        &["build", "--offline", "--examples"],
    ] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = in_a_session(&place.stagehand, cargo);
        as_in_a_readers_shell(&mut command)
            .args(arguments)
            .current_dir(&copy)
            .env("CARGO_TERM_COLOR", "never")
            // As in the workspace: full debug information doubles the time and the space.
            .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
            .env("CARGO_INCREMENTAL", "0")
            // One folder for all chapters: what they depend on is compiled once.
            .env("CARGO_TARGET_DIR", place.target.join("copied-out"));
        let finished = finish(command, LIMIT).map_err(|error| failed("cargo", error))?;
        let what = match finished.end {
            End::Exited(0) => continue,
            End::TimeOver => format!("did not end within {} s", LIMIT.as_secs()),
            End::Exited(status) => format!("ended with status {status}"),
            End::Killed(signal) => format!("was killed by signal {signal}"),
        };
        return Err(format!(
            "chapters/{chapter}: copied out to {}, `cargo {}` {what}\n{}\n{}",
            copy.display(),
            arguments.join(" "),
            finished.stderr,
            finished.stdout
        ));
    }
    Ok(())
}

/// Always the same for a workspace, so that a second run finds what the first compiled.
fn folder_for(root: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    std::env::temp_dir().join(format!("no-task-left-behind-{:016x}", hasher.finish()))
}

/// Makes `copy` have the files of `source` and no others, and touches only those that differ.
fn mirror(source: &Path, copy: &Path) -> io::Result<()> {
    let files: BTreeSet<PathBuf> = files_below(source)?.into_iter().collect();
    for file in files_below(copy)? {
        if !files.contains(&file) {
            fs::remove_file(copy.join(file))?;
        }
    }
    for file in files {
        let bytes = fs::read(source.join(&file))?;
        let to = copy.join(&file);
        if fs::read(&to).is_ok_and(|old| old == bytes) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(to, bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{examples_elsewhere, faults_of, mirror};
    use std::fs;

    const GOOD: &str = "[package]\nname = \"ch01-a\"\nedition = \"2024\"\nrust-version = \"1.88\"\n\
                        [lints.rust]\nunsafe_code = \"forbid\"\n[lib]\npath = \"src/lib.rs\"\n[dependencies]\nmio = \"1\"\n";

    #[track_caller]
    fn assert_caught(text: &str, expected: &str) {
        let faults = faults_of("ch01-a", "chapters/ch01-a/Cargo.toml", text, "");
        assert!(
            faults.iter().any(|fault| fault.contains(expected)),
            "{faults:?}"
        );
    }

    #[test]
    fn a_chapter_that_stands_alone_has_no_faults() {
        assert_eq!(
            faults_of("ch01-a", "Cargo.toml", GOOD, ""),
            Vec::<String>::new()
        );
    }

    #[test]
    fn two_examples_of_one_name_are_caught() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        for (chapter, example) in [
            ("ch01-a", "same.rs"),
            ("ch02-b", "same.rs"),
            ("ch02-b", "other.rs"),
        ] {
            let folder = root.path().join("chapters").join(chapter);
            fs::create_dir_all(folder.join("examples"))?;
            fs::write(folder.join("Cargo.toml"), "")?;
            fs::write(folder.join("examples").join(example), "")?;
        }
        let faults = examples_elsewhere(root.path(), "ch02-b");
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            faults[0].starts_with("chapters/ch02-b/examples/same.rs:1: ch01-a has"),
            "{faults:?}"
        );
        Ok(())
    }

    #[test]
    fn a_chapter_that_leans_on_the_workspace_is_caught() {
        assert_caught(
            &GOOD.replace("ch01-a", "ch01-b"),
            "Cargo.toml:2: the package is called \"ch01-b\"",
        );
        assert_caught(
            &GOOD.replace("\"2024\"", "\"2021\""),
            "Cargo.toml:3: `edition`",
        );
        assert_caught(
            &GOOD.replace("rust-version = \"1.88\"\n", ""),
            "`rust-version`",
        );
        assert_caught(
            &GOOD.replace("\"forbid\"", "\"deny\""),
            "`unsafe_code` is not forbidden",
        );
        assert_caught(
            &format!("{GOOD}x = {{ path = \"../x\" }}\n"),
            "`path` leads out",
        );
        assert_caught(
            &format!("{GOOD}x.workspace = true\n"),
            "Cargo.toml:11: `workspace` leads out",
        );
        assert_caught(
            &GOOD.replace("rust-version = \"1.88\"", "rust-version.workspace = true"),
            "`workspace` leads out",
        );
    }

    #[test]
    fn a_copy_loses_what_the_chapter_lost_and_keeps_the_rest_untouched() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (source, copy) = (folder.path().join("a"), folder.path().join("b"));
        for (path, text) in [
            ("a/src/x.rs", "new"),
            ("a/y", "same"),
            ("b/y", "same"),
            ("b/old/z", "gone"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("it is in a folder"))?;
            fs::write(path, text)?;
        }
        let before = fs::metadata(copy.join("y"))?.modified()?;
        mirror(&source, &copy)?;
        assert_eq!(fs::read_to_string(copy.join("src/x.rs"))?, "new");
        assert!(!copy.join("old/z").exists());
        assert_eq!(fs::metadata(copy.join("y"))?.modified()?, before);
        Ok(())
    }
}
