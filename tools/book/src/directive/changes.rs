//! `{{#changes …}}`: all files of a chapter, beside those of the chapter before.
//!
//! The list is made from the crates. What it is for, no program knows: each line of the directive, `src/net.rs: what became of it`, is a
//! note for a file or for several, separated by commas; and every file below `src/` that came or changed has one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::diff::Difference;
use super::{Place, before, escaped};
use crate::chapter::{Chapter, Source};

pub(super) fn html(place: &Place<'_>, rest: &str) -> Result<String, String> {
    let (old, new) = before::pair(place)?;
    let notes = notes(rest)?;
    let files: BTreeSet<&String> = old.files.keys().chain(new.files.keys()).collect();
    let mut rows: Vec<Row<'_>> = files
        .into_iter()
        .map(|file| Row::new(file, old.files.get(file), new.files.get(file)))
        .collect();
    for (file, note) in &notes {
        match rows.iter_mut().find(|row| row.file == *file) {
            Some(row) if row.what.is_some() => row.note = Some(note),
            Some(_) => return Err(format!("{file} is as before, and has a note; take it out")),
            None => {
                return Err(format!(
                    "{file} is neither in {} nor in {}, and has a note; correct its name",
                    old.name, new.name
                ));
            }
        }
    }
    let (source, others): (Vec<Row<'_>>, Vec<Row<'_>>) = rows
        .into_iter()
        .partition(|row| row.file.starts_with("src/") || row.file == "Cargo.toml");
    if let Some(row) = source.iter().find(|row| row.wants_a_note()) {
        return Err(format!(
            "{} is {}, and nothing says why; add a line `{}: …`",
            row.file,
            row.what.as_deref().unwrap_or_default(),
            row.file
        ));
    }
    Ok(list(&old, &source, &others))
}

/// A file, and what became of it.
struct Row<'a> {
    file: &'a str,
    /// `None`: nothing.
    what: Option<String>,
    gone: bool,
    note: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn new(file: &'a str, old: Option<&Source>, new: Option<&Source>) -> Self {
        let what = match (old, new) {
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => Some(Difference::new(old, new).count()),
            (None, Some(new)) => Some(match new.text.lines().count() {
                1 => "new, 1 line".into(),
                count => format!("new, {count} lines"),
            }),
            _ => Some("gone".into()),
        };
        Self {
            file,
            what,
            gone: new.is_none(),
            note: None,
        }
    }

    fn wants_a_note(&self) -> bool {
        self.what.is_some() && !self.gone && self.note.is_none() && self.file.starts_with("src/")
    }
}

/// The notes, by file.
fn notes(rest: &str) -> Result<BTreeMap<&str, &str>, String> {
    let mut notes = BTreeMap::new();
    for line in rest.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((files, note)) = line.split_once(": ") else {
            return Err(format!(
                "`{line}` is no note; write `src/net.rs: what became of it`"
            ));
        };
        for file in files.split(',').map(str::trim) {
            if notes.insert(file, note.trim()).is_some() {
                return Err(format!("{file} has two notes; keep one"));
            }
        }
    }
    Ok(notes)
}

fn list(old: &Chapter, source: &[Row<'_>], others: &[Row<'_>]) -> String {
    let mut html = format!(
        "<div class=\"table-wrapper\"><table class=\"changes\">\n<thead><tr><th>file</th><th>lines</th><th>since chapter {}</th></tr></thead>\n<tbody>\n",
        before::number(old)
    );
    let mut untouched = Vec::new();
    for row in source {
        let Some(what) = &row.what else {
            untouched.push(row.file);
            continue;
        };
        let _ = writeln!(
            html,
            "<tr><td><code>{}</code></td><td>{what}</td><td>{}</td></tr>",
            escaped(row.file),
            with_code(row.note.unwrap_or_default())
        );
    }
    html += "</tbody>\n</table></div>\n";
    folded(
        &mut html,
        "as before",
        untouched.iter().map(|file| (*file, "")),
    );
    let (changed, rest): (Vec<&Row<'_>>, Vec<&Row<'_>>) =
        others.iter().partition(|row| row.what.is_some());
    let of = |row: &&Row<'_>| -> String { row.what.clone().unwrap_or_default() };
    let whats: Vec<String> = changed.iter().map(of).collect();
    folded(
        &mut html,
        "of the programs and tests came, changed or went",
        changed
            .iter()
            .zip(&whats)
            .map(|(row, what)| (row.file, what.as_str())),
    );
    folded(
        &mut html,
        "of the programs and tests are as before",
        rest.iter().map(|row| (row.file, "")),
    );
    html.truncate(html.trim_end().len());
    html
}

/// A list that is of interest to few: how many, and folded away, which.
fn folded<'a>(html: &mut String, what: &str, files: impl Iterator<Item = (&'a str, &'a str)>) {
    let items: Vec<String> = files
        .map(|(file, about)| match about {
            "" => format!("<code>{}</code>", escaped(file)),
            about => format!("<code>{}</code> ({about})", escaped(file)),
        })
        .collect();
    if items.is_empty() {
        return;
    }
    let files = if items.len() == 1 { "file" } else { "files" };
    let _ = writeln!(
        html,
        "<details class=\"changes-rest\"><summary>{} {files} {what}</summary><p>{}</p></details>",
        items.len(),
        items.join(", ")
    );
}

/// What stands between backticks, as code.
fn with_code(note: &str) -> String {
    let mut html = String::new();
    for (index, part) in note.split('`').enumerate() {
        let part = escaped(part);
        if index % 2 == 1 {
            html += &format!("<code>{part}</code>");
        } else {
            html += &part;
        }
    }
    html
}
