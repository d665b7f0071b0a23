//! What a chapter carries over from the one before, and what it says that it changes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use book::{Chapter, Source, chapters};

/// Where the changes are announced.
const TABLE: &str = "tests/lineage.toml";

/// What a chapter announces.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Announced {
    #[serde(default)]
    changed: Vec<String>,
    #[serde(default)]
    new: Vec<String>,
    #[serde(default)]
    removed: Vec<String>,
}

/// What is not carried over although nobody says so, and what is announced and not true; empty when nothing is.
pub fn drift(root: &Path) -> Vec<String> {
    or_fault(compare(root))
}

/// Chapters that change something, and whose pages do not have the list of it; empty when there are none.
///
/// The list itself is made from the crates, so it is true and whole.
pub fn untold(root: &Path) -> Vec<String> {
    or_fault(read(root).map(|(_, table)| {
        match table {
            Err(error) => vec![format!("{TABLE}:1: {error}")],
            Ok(table) => table
                .keys()
                .filter_map(|chapter| untold_by(root, chapter))
                .collect(),
        }
    }))
}

type Table = BTreeMap<String, Announced>;

fn read(root: &Path) -> io::Result<(String, Result<Table, toml::de::Error>)> {
    let text = fs::read_to_string(root.join(TABLE))?;
    let table = toml::from_str(&text);
    Ok((text, table))
}

fn or_fault(faults: io::Result<Vec<String>>) -> Vec<String> {
    faults.unwrap_or_else(|error| {
        vec![format!(
            "{TABLE}:1: it, or a chapter, cannot be read: {error}"
        )]
    })
}

fn compare(root: &Path) -> io::Result<Vec<String>> {
    let (text, table) = read(root)?;
    let mut table = match table {
        Ok(table) => table,
        Err(error) => return Ok(vec![format!("{TABLE}:1: {error}")]),
    };
    let names = chapters(root)?;
    let mut faults = Vec::new();
    for pair in names.windows(2) {
        let (before, after) = (
            Chapter::read(root, &pair[0])?,
            Chapter::read(root, &pair[1])?,
        );
        let announced = table.remove(&after.name).unwrap_or_default();
        faults.extend(unannounced(&before, &after, &announced));
        faults.extend(untrue(&before, &after, &announced, &text));
    }
    for name in table.keys() {
        let line = line_of(&text, name, None);
        faults.push(format!(
            "{TABLE}:{line}: [{name}] is no chapter with one before it: take it out"
        ));
    }
    Ok(faults)
}

/// Differences that are not announced.
fn unannounced(before: &Chapter, after: &Chapter, announced: &Announced) -> Vec<String> {
    let mut faults = Vec::new();
    let (old, new) = (&before.name, &after.name);
    let then = |list: &str, file: &str| {
        format!(
            "add {file:?} to `{list}` of [{new}] in {TABLE}, and tell the reader under \"What changed\" in src/{new}.md"
        )
    };
    for (file, text) in &after.files {
        let here = format!("chapters/{new}/{file}");
        match before.files.get(file) {
            None if !announced.new.contains(file) => faults.push(format!(
                "{here}:1: is not in chapters/{old}: if that is meant, {}",
                then("new", file)
            )),
            Some(earlier) if earlier != text && !announced.changed.contains(file) => {
                let (line, was, is) = first_difference(&earlier.neutral, &text.neutral);
                faults.push(format!(
                    "{here}:{line}: is not as in chapters/{old}/{file}\n    there: {was}\n    here:  {is}\n  \
                     Carry the same text through both chapters; or, if the page tells the reader to change it, {}",
                    then("changed", file)
                ));
            }
            _ => {}
        }
    }
    for file in before.files.keys() {
        if !after.files.contains_key(file) && !announced.removed.contains(file) {
            faults.push(format!(
                "chapters/{old}/{file}:1: is gone in chapters/{new}: if that is meant, {}",
                then("removed", file)
            ));
        }
    }
    faults
}

/// Announcements that are not true any more.
fn untrue(before: &Chapter, after: &Chapter, announced: &Announced, table: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |files: &[String],
                     holds: &dyn Fn(Option<&Source>, Option<&Source>) -> bool,
                     what: &str| {
        for file in files {
            if !holds(before.files.get(file), after.files.get(file)) {
                let line = line_of(table, &after.name, Some(file));
                faults.push(format!(
                    "{TABLE}:{line}: [{}] says that {file} {what} since {}, and that is not so: take it out",
                    after.name, before.name
                ));
            }
        }
    };
    check(
        &announced.changed,
        &|old, new| old.is_some() && new.is_some() && old != new,
        "changed",
    );
    check(
        &announced.new,
        &|old, new| old.is_none() && new.is_some(),
        "is new",
    );
    check(
        &announced.removed,
        &|old, new| old.is_some() && new.is_none(),
        "was removed",
    );
    faults
}

fn untold_by(root: &Path, chapter: &str) -> Option<String> {
    let page = format!("src/{chapter}.md");
    // A page that is not there is missed elsewhere.
    let text = fs::read_to_string(root.join(&page)).ok()?;
    let listed = text.contains("{{#changes ") || text.contains("{{#changes\n");
    (!listed).then(|| {
        format!(
            "{page}:1: does not list what the chapter changes; write `{{{{#changes FILE: why}}}}`"
        )
    })
}

/// The first line that differs, with what it was and what it is.
fn first_difference<'a>(old: &'a str, new: &'a str) -> (usize, &'a str, &'a str) {
    let (mut old, mut new) = (old.lines(), new.lines());
    let mut line = 1;
    loop {
        match (old.next(), new.next()) {
            (Some(was), Some(is)) if was == is => line += 1,
            (None, None) => return (line, "(the same line, ended differently)", ""),
            (was, is) => return (line, was.unwrap_or("(the end)"), is.unwrap_or("(the end)")),
        }
    }
}

/// The line of the table where a chapter, or a file of it, is named.
fn line_of(table: &str, chapter: &str, file: Option<&str>) -> usize {
    let lines: Vec<&str> = table.lines().collect();
    let section = lines
        .iter()
        .position(|line| line.trim() == format!("[{chapter}]"))
        .unwrap_or_default();
    let named = file.and_then(|file| {
        lines[section..]
            .iter()
            .position(|line| line.contains(&format!("\"{file}\"")))
    });
    section + named.unwrap_or_default() + 1
}

/// Which chapters share each file: those joined by `=` have it in common, letter by letter.
///
/// # Errors
///
/// When a chapter cannot be read.
pub fn shared(root: &Path) -> io::Result<String> {
    let names = chapters(root)?;
    let read: Vec<Chapter> = names
        .iter()
        .map(|name| Chapter::read(root, name))
        .collect::<io::Result<_>>()?;
    let mut files: Vec<&String> = read
        .iter()
        .flat_map(|chapter| chapter.files.keys())
        .collect();
    files.sort();
    files.dedup();
    let mut table = String::new();
    for file in files {
        table.push_str(&format!("{file:<32}"));
        let mut before: Option<&Source> = None;
        for chapter in &read {
            let text = chapter.files.get(file);
            let number = chapter.name.split('-').next().unwrap_or_default();
            if let Some(text) = text {
                let joint = if before == Some(text) { " = " } else { "   " };
                table.push_str(&format!("{joint}{number}"));
            }
            before = text;
        }
        table.push('\n');
    }
    Ok(table)
}
