//! The `{{#include …}}` directives of a page: where they are, and whether what they name exists.
//!
//! mdBook leaves a directive it cannot carry out in the text, or shows nothing at all, and calls the build a
//! success. So the files, anchors and lines are looked up here.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::directive::{self, Place};
use crate::part::Part;
use crate::paths::{folder, normal, shown};
use crate::{Problem, WholeFiles};

/// As deep as mdBook itself goes.
const DEEPEST: usize = 10;

// mdBook's own expression: whatever it matches, mdBook acts upon, and nothing else.
static DIRECTIVE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\\\{\{#.*\}\}|\{\{\s*#([a-zA-Z0-9_]+)\s+([^}]+)\}\}").expect("a valid expression")
});
static OPENING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{\s*#").expect("a valid expression"));

/// A directive in a text.
pub(crate) struct Directive<'t> {
    /// Where it stands.
    pub(crate) range: Range<usize>,
    /// `include`, `title`, …; `None` when it is escaped with a backslash.
    pub(crate) kind: Option<&'t str>,
    /// What follows the kind.
    pub(crate) rest: &'t str,
}

/// All directives of a text, in order.
pub(crate) fn directives(text: &str) -> Vec<Directive<'_>> {
    DIRECTIVE
        .captures_iter(text)
        .filter_map(|found| {
            Some(Directive {
                range: found.get(0)?.range(),
                kind: found.get(1).map(|kind| kind.as_str()),
                rest: found.get(2).map_or("", |rest| rest.as_str()),
            })
        })
        .collect()
}

/// A text whose directives are looked at, and how to report about it.
pub(crate) struct Text<'a> {
    /// The root of the book, without symbolic links.
    pub(crate) root: &'a Path,
    /// The page to report about.
    pub(crate) page: &'a Path,
    /// The file the text is from, relative to the root: the page, or what it includes.
    pub(crate) file: &'a Path,
    /// The text of that file, or the part of it that is shown.
    pub(crate) text: &'a str,
    /// The line of the page that brought this text in, unless the text is the page.
    pub(crate) brought_in_by: Option<usize>,
    /// How many includes led here.
    pub(crate) depth: usize,
}

impl Text<'_> {
    /// Reports every directive that mdBook would not carry out.
    pub(crate) fn check(&self, problems: &mut Vec<Problem>) {
        let directives = directives(self.text);
        let place = Place {
            root: self.root,
            page: self.page,
            whole_files: WholeFiles::Missing,
        };
        for directive in &directives {
            let line = self.line(directive.range.start);
            let mut report = |message: String| {
                problems.push(Problem::new(self.page, line, self.inside(message)))
            };
            match directive.kind {
                None | Some("title") => {}
                Some(kind @ ("include" | "rustdoc_include" | "playground" | "playpen")) => {
                    match self.included(kind, directive.rest) {
                        Ok(None) => {}
                        Ok(Some((file, text))) => Text {
                            file: &file,
                            text: &text,
                            brought_in_by: Some(line),
                            depth: self.depth + 1,
                            ..*self
                        }
                        .check(problems),
                        Err(message) => report(message),
                    }
                }
                Some(other) => match directive::html(&place, other, directive.rest) {
                    Some(Ok(_)) => {}
                    Some(Err(message)) => report(message),
                    None => report(format!(
                        "mdBook has no directive `{{{{#{other} …}}}}`; write `include`, or `\\{{{{#` to show it as it stands"
                    )),
                },
            }
        }
        self.unfinished(&directives, problems);
    }

    /// What looks like a directive and is none: `{{#include x.rs` without its end, or without a path.
    fn unfinished(&self, directives: &[Directive<'_>], problems: &mut Vec<Problem>) {
        for found in OPENING.find_iter(self.text) {
            if !directives
                .iter()
                .any(|directive| directive.range.contains(&found.start()))
            {
                let message = "an unfinished directive; write `{{#include path:anchor}}` on one line, \
                               or `\\{{#` to show it as it stands";
                problems.push(Problem::new(
                    self.page,
                    self.line(found.start()),
                    self.inside(message.into()),
                ));
            }
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.brought_in_by
            .unwrap_or_else(|| line_at(self.text, offset))
    }

    /// Names the included file when the fault is there and not in the page.
    fn inside(&self, message: String) -> String {
        match self.brought_in_by {
            Some(_) => format!("in {}: {message}", shown(self.file)),
            None => message,
        }
    }

    /// The file that a directive names and the text it takes from it; `None` when that has no directives.
    fn included(&self, kind: &str, rest: &str) -> Result<Option<(PathBuf, String)>, String> {
        let argument = rest.split_whitespace().next().unwrap_or("");
        // A playground takes the whole argument as a path, an include splits it at the first colon.
        let (path, part) = match argument.split_once(':') {
            Some((path, part)) if kind.ends_with("include") => (path, part),
            _ => (argument, ""),
        };
        if self.depth >= DEEPEST {
            return Err(format!(
                "`{path}` includes itself, or the includes are nested too deep; break the circle"
            ));
        }
        let (file, text) = self.read(path)?;
        let shown = Part::parse(part, &file)?.of(&text, &file)?;
        Ok(OPENING.is_match(&shown).then_some((file, shown)))
    }

    fn read(&self, path: &str) -> Result<(PathBuf, String), String> {
        if Path::new(path).is_absolute() {
            return Err(format!(
                "`{path}` is an absolute path; write it relative to the folder of this file"
            ));
        }
        let outside =
            || format!("`{path}` lies outside the repository; include only what a clone has");
        let file = normal(&folder(self.file).join(path)).ok_or_else(outside)?;
        let name = shown(&file);
        let missing = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => format!(
                "no file {name} to include; correct the path, which starts from {}/",
                shown(folder(self.file))
            ),
            _ => format!("cannot include {name}: {error}"),
        };
        let real = self.root.join(&file).canonicalize().map_err(missing)?;
        if !real.starts_with(self.root) {
            return Err(outside());
        }
        if real.is_dir() {
            return Err(format!("{name} is a folder; include one of its files"));
        }
        let text = fs::read_to_string(real).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                format!("{name} is not UTF-8 text, so it cannot be included")
            }
            _ => format!("cannot include {name}: {error}"),
        })?;
        Ok((file, text))
    }
}

/// The line of an offset, counted from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    1 + text
        .as_bytes()
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
}
