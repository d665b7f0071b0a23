//! The pages of the book, in the order of `SUMMARY.md`.

use std::fs;
use std::path::{Path, PathBuf};

use mdbook_driver::config::Config;
use pulldown_cmark::{Event, Parser, Tag};

use crate::include::line_at;
use crate::paths::{normal, shown};
use crate::{Problem, config};

/// A page of the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its file, relative to the root: `src/ch02-scheduler.md`.
    pub path: PathBuf,
    /// Its text as it stands in the file, includes not expanded.
    pub text: String,
}

/// The pages of the book at `root`, in the order of `SUMMARY.md`.
///
/// # Errors
///
/// When `book.toml`, `SUMMARY.md` or a page that it lists is missing or cannot be read.
pub fn pages(root: &Path) -> Result<Vec<Page>, Vec<Problem>> {
    let config = config::load(root).map_err(|problem| vec![problem])?;
    let (pages, problems) = read(root, &config);
    if problems.is_empty() {
        Ok(pages)
    } else {
        Err(problems)
    }
}

/// The pages that can be read, and what is wrong with the others.
pub(crate) fn read(root: &Path, config: &Config) -> (Vec<Page>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut pages = Vec::new();
    for entry in entries(root, config).unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    }) {
        match entry.read(root, config) {
            Ok(page) => pages.push(page),
            Err(problem) => problems.push(problem),
        }
    }
    (pages, problems)
}

/// What `SUMMARY.md` says about one page.
struct Entry {
    /// The file, relative to the folder of the text.
    location: PathBuf,
    line: usize,
}

impl Entry {
    fn read(&self, root: &Path, config: &Config) -> Result<Page, Problem> {
        let summary = summary(config);
        let outside = || {
            let message = format!(
                "`{}` lies outside the book's text; move the page there",
                shown(&self.location)
            );
            Problem::new(&summary, self.line, message)
        };
        let path = config
            .book
            .src
            .join(normal(&self.location).ok_or_else(outside)?);
        let text = fs::read_to_string(root.join(&path)).map_err(|error| {
            let file = shown(&path);
            let message = match error.kind() {
                // mdBook would write an empty page in its place, and the reader would find that.
                std::io::ErrorKind::NotFound => {
                    format!("no page {file}; write it, or take this entry out")
                }
                _ => format!("page {file} cannot be read: {error}"),
            };
            Problem::new(&summary, self.line, message)
        })?;
        // mdBook does the same: a byte order mark would hide the first heading.
        let text = text
            .strip_prefix('\u{feff}')
            .map(str::to_owned)
            .unwrap_or(text);
        Ok(Page { path, text })
    }
}

/// The path of `SUMMARY.md`, relative to the root.
fn summary(config: &Config) -> PathBuf {
    config.book.src.join("SUMMARY.md")
}

fn entries(root: &Path, config: &Config) -> Result<Vec<Entry>, Problem> {
    let file = summary(config);
    let text = fs::read_to_string(root.join(&file)).map_err(|error| {
        Problem::new(
            &file,
            1,
            format!("cannot be read: {error}; it lists the pages of the book"),
        )
    })?;
    mdbook_summary::parse_summary(&text).map_err(|error| {
        let message = error
            .chain()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ");
        Problem::new(
            &file,
            line_of_duplicate(&text, &message),
            format!("{message}; correct the list of pages"),
        )
    })?;
    Ok(links(&text))
}

/// The links of a list of pages. One without a target announces a page still to be written.
fn links(text: &str) -> Vec<Entry> {
    Parser::new(text)
        .into_offset_iter()
        .filter_map(|(event, range)| match event {
            Event::Start(Tag::Link { dest_url, .. }) if !dest_url.is_empty() => {
                let location = PathBuf::from(dest_url.replace("%20", " "));
                Some(Entry {
                    location,
                    line: line_at(text, range.start),
                })
            }
            _ => None,
        })
        .collect()
}

/// mdBook names the file that is listed twice, but not the line.
fn line_of_duplicate(text: &str, message: &str) -> usize {
    let twice = |entry: &&Entry| message.contains(&format!("{:?}", entry.location));
    links(text)
        .iter()
        .filter(twice)
        .nth(1)
        .map_or(1, |entry| entry.line)
}
