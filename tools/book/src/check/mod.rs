//! Everything about the text that can be wrong without mdBook saying so.

mod balance;
pub(crate) mod fence;
mod html;
mod ids;
mod links;
mod reach;

use std::fs;
use std::path::{Path, PathBuf};

use mdbook_markdown::MarkdownOptions;

use crate::expand::{Expanded, expand};
use crate::include::{Text, directives, line_at};
use crate::{Page, Problem, config, summary};

/// Looks for what is wrong in the book at `root`; empty when nothing is.
///
/// - an included file, anchor or line that does not exist; an anchor that stands twice or is never closed, or
///   that the reader would see; an include from outside the repository; a directive that mdBook does not know;
/// - a link or an image that leads nowhere, a `#fragment` that no heading has, here or on the other page;
/// - a page that `SUMMARY.md` does not list, and an entry without its page;
/// - a code fence that is not closed, or that mdBook does not see as one; HTML that is not closed.
///
/// Besides the pages, `README.md` and `chapters/*/README.md` are read. Nothing outside the machine is asked:
/// of a web address only the spelling is looked at. Sorted by file and line.
pub fn check(root: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    let config = match config::load(root) {
        Ok(config) => config,
        Err(problem) => return vec![problem],
    };
    // Symbolic links in the way to the book itself are nobody's fault.
    let root = &root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let (pages, mut of_summary) = summary::read(root, &config);
    problems.append(&mut of_summary);
    reach::unlisted(root, &config, &pages, &mut problems);

    let options = config::markdown(&config);
    let mut texts = Vec::new();
    for page in &pages {
        let text = Text {
            root,
            page: &page.path,
            file: &page.path,
            text: &page.text,
            brought_in_by: None,
            depth: 0,
        };
        text.check(&mut problems);
        match Document::of_page(root, page, &options) {
            Ok(document) => texts.push(document),
            Err(problem) => problems.push(problem),
        }
    }
    for path in readmes(root) {
        match Document::of_readme(root, path, &options, &mut problems) {
            Ok(document) => texts.push(document),
            Err(problem) => problems.push(problem),
        }
    }
    for document in &texts {
        fence::check(&document.path, &document.expanded, &options, &mut problems);
        balance::check(&document.path, &document.expanded, &options, &mut problems);
    }
    links::Links {
        root,
        src: &config.book.src,
        documents: &texts,
        options: &options,
    }
    .check(&mut problems);
    problems.sort();
    problems.dedup();
    problems
}

/// A Markdown file, ready to be looked at.
struct Document {
    path: PathBuf,
    expanded: Expanded,
    /// The `id`s that a link can lead to.
    ids: Vec<String>,
    /// Whether it is a page of the book, and not a README.
    page: bool,
}

impl Document {
    fn of_page(root: &Path, page: &Page, options: &MarkdownOptions) -> Result<Self, Problem> {
        let expanded = expand(root, &page.path, &page.text).map_err(|error| {
            Problem::new(
                &page.path,
                1,
                format!("its includes cannot be carried out: {error:#}"),
            )
        })?;
        Ok(Self::new(page.path.clone(), expanded, true, options))
    }

    /// A README is shown by other programs than mdBook: it cannot include anything.
    fn of_readme(
        root: &Path,
        path: PathBuf,
        options: &MarkdownOptions,
        problems: &mut Vec<Problem>,
    ) -> Result<Self, Problem> {
        let text = fs::read_to_string(root.join(&path))
            .map_err(|error| Problem::new(&path, 1, format!("cannot be read: {error}")))?;
        for directive in directives(&text) {
            let message = "only pages of the book can include a file; write the text here";
            problems.push(Problem::new(
                &path,
                line_at(&text, directive.range.start),
                message,
            ));
        }
        Ok(Self::new(path, Expanded::plain(text), false, options))
    }

    fn new(path: PathBuf, expanded: Expanded, page: bool, options: &MarkdownOptions) -> Self {
        let ids = ids::ids(&expanded.text, options);
        Self {
            path,
            expanded,
            ids,
            page,
        }
    }
}

/// The READMEs of the repository and of its chapters, as far as they are there.
fn readmes(root: &Path) -> Vec<PathBuf> {
    let chapters = fs::read_dir(root.join("chapters"))
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<PathBuf> = chapters
        .map(|chapter| {
            Path::new("chapters")
                .join(chapter.file_name())
                .join("README.md")
        })
        .collect();
    found.push("README.md".into());
    found.retain(|path| root.join(path).is_file());
    found.sort();
    found
}
