//! `{{#changes …}}`: all files of a chapter, beside those of the chapter before.
//!
//! The list is made from the crates. What it is for, no program knows: each line of the directive, `src/net.rs: what became of it`, is a
//! note for a file or for several, separated by commas; and every file below `src/` that came or changed has one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::diff::Difference;
use super::{Place, before, escaped};
use crate::chapter::Chapter;
use crate::files;

pub(super) fn html(place: &Place<'_>, rest: &str) -> Result<String, String> {
    let (old, new) = before::pair(place)?;
    let notes = notes(rest)?;
    let files: BTreeSet<&String> = old.files.keys().chain(new.files.keys()).collect();
    let mut rows: Vec<Row<'_>> = files
        .into_iter()
        .map(|file| Row::new(place, file, &old, &new))
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
    let mut html = list(&old, &source, &others);
    if let Some(link) = place.link(&files::list_address(&new.name), "All files of this chapter") {
        let _ = write!(html, "\n<p>{link}</p>");
    }
    Ok(html)
}

/// A file, and what became of it.
struct Row<'a> {
    file: &'a str,
    /// The same as HTML.
    name: String,
    /// `None`: nothing.
    what: Option<String>,
    gone: bool,
    note: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn new(place: &Place<'_>, file: &'a str, old: &Chapter, new: &Chapter) -> Self {
        let (then, now) = (old.files.get(file), new.files.get(file));
        let what = match (then, now) {
            (Some(then), Some(now)) if then == now => None,
            (Some(then), Some(now)) => Some(Difference::new(then, now).count()),
            (None, Some(new)) => Some(match new.text.lines().count() {
                1 => "new, 1 line".into(),
                count => format!("new, {count} lines"),
            }),
            _ => Some("gone".into()),
        };
        let name = format!("<code>{}</code>", escaped(file));
        // Of what did not change, a name is enough: pages have a limit to their weight.
        let has_it = if now.is_some() { new } else { old };
        let link = what
            .as_ref()
            .and_then(|_| place.link(&files::address(&has_it.name, file), &name));
        Self {
            file,
            name: link.unwrap_or(name),
            what,
            gone: now.is_none(),
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
            untouched.push(row);
            continue;
        };
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{what}</td><td>{}</td></tr>",
            row.name,
            with_code(row.note.unwrap_or_default())
        );
    }
    html += "</tbody>\n</table></div>\n";
    folded(&mut html, "as before", &untouched);
    let (changed, rest): (Vec<&Row<'_>>, Vec<&Row<'_>>) =
        others.iter().partition(|row| row.what.is_some());
    let came = "of the programs and tests came, changed or went";
    folded(&mut html, came, &changed);
    folded(&mut html, "of the programs and tests are as before", &rest);
    html.truncate(html.trim_end().len());
    html
}

/// A list that is of interest to few: how many, and folded away, which.
fn folded(html: &mut String, what: &str, rows: &[&Row<'_>]) {
    if rows.is_empty() {
        return;
    }
    let items: Vec<String> = rows
        .iter()
        .map(|row| match &row.what {
            None => row.name.clone(),
            Some(what) => format!("{} ({what})", row.name),
        })
        .collect();
    let files = if rows.len() == 1 { "file" } else { "files" };
    let _ = writeln!(
        html,
        "<details class=\"changes-rest\"><summary>{} {files} {what}</summary><p>{}</p></details>",
        rows.len(),
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
