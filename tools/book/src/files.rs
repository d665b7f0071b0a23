//! A page for each file of the chapters' crates, for readers to whom a difference shows too little.
//!
//! mdBook knows nothing of these pages: nobody would be served by a table of contents, a search index and a printed book with hundreds of
//! files in them. They are written into the finished site, in the frame that mdBook made for a page of no chapter.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use mdbook_driver::book::{Book, BookItem};
use regex::{Captures, Regex};

use crate::chapter::Chapter;
use crate::directive::escaped;

/// Whether the chapters' files have pages of their own, for links to lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeFiles {
    /// They are written after the build, as `cargo book` does.
    Written,
    /// A plain mdBook builds, which ends without them.
    Missing,
}

/// Where the page of a file is, seen from the book's pages.
pub(crate) fn address(chapter: &str, file: &str) -> String {
    format!("files/{chapter}/{file}.html")
}

/// Where the list of a chapter's files is.
pub(crate) fn list_address(chapter: &str) -> String {
    format!("files/{chapter}/index.html")
}

/// What the highlighter calls the language of a file. `rs` it knows for Rust, and nobody takes it for a block to run.
pub(crate) fn language(file: &str) -> &'static str {
    match file.rsplit_once('.') {
        Some((_, "rs")) => "rs",
        Some((_, "toml")) => "toml",
        _ => "plaintext",
    }
}

/// Writes them into the finished `site`, for each page of the book that has a crate.
pub(crate) fn write(root: &Path, site: &Path, book: &Book) -> Result<()> {
    let mut frame = Frame::of(site)?;
    for item in book.iter() {
        let BookItem::Chapter(page) = item else {
            continue;
        };
        let Some(path) = &page.path else { continue };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if !root.join("chapters").join(&*name).is_dir() {
            continue;
        }
        let chapter = Chapter::read(root, &name)
            .with_context(|| format!("chapters/{name} cannot be read"))?;
        let page = Link {
            address: path.with_extension("html").to_string_lossy().into_owned(),
            words: escaped(&page.name),
        };
        let all = Link {
            address: list_address(&name),
            words: "All files of this chapter".into(),
        };
        frame.put(site, &all.address, &name, |up| list(&chapter, &page, up))?;
        for (file, source) in &chapter.files {
            let title = format!("{file} of {name}");
            frame.put(site, &address(&name, file), &title, |up| {
                format!(
                    "<h1>{}</h1>\n<p>The whole file, as it is at the end of the chapter {}. {}</p>\n{}",
                    escaped(file),
                    page.html(up),
                    all.html(up),
                    numbered(&source.text, language(file))
                )
            })?;
        }
    }
    Ok(())
}

/// A file's text, each line of it with an anchor.
fn numbered(text: &str, language: &str) -> String {
    let mut html = format!("<pre class=\"whole-file\"><code class=\"language-{language}\">");
    for (index, line) in escaped(text).lines().enumerate() {
        // No link to itself: the keyboard and a voice would stop at each, and the longest file would weigh too much.
        let _ = writeln!(html, "<a id=\"L{}\"></a>{line}", index + 1);
    }
    html + "</code></pre>\n"
}

/// The names of all files of a chapter.
fn list(chapter: &Chapter, page: &Link, up: &str) -> String {
    let mut html = format!(
        "<h1>{}</h1>\n<p>All files of the crate, as they are at the end of the chapter {}.</p>\n<ul>\n",
        escaped(&chapter.name),
        page.html(up)
    );
    for file in chapter.files.keys() {
        let link = Link {
            address: address(&chapter.name, file),
            words: format!("<code>{}</code>", escaped(file)),
        };
        let _ = writeln!(html, "<li>{}</li>", link.html(up));
    }
    html + "</ul>\n"
}

struct Link {
    /// From the top of the site.
    address: String,
    /// HTML.
    words: String,
}

impl Link {
    /// On a page from which `up` leads to the top of the site.
    fn html(&self, up: &str) -> String {
        let Link { address, words } = self;
        format!("<a href=\"{up}{}\">{words}</a>", escaped(address))
    }
}

/// What mdBook has around the content of a page.
struct Frame {
    /// What comes before the content, and what after, of a page at the top of the site.
    top: (String, String),
    /// Of pages in folders, by the way to the top.
    below: BTreeMap<String, (String, String)>,
}

// Where a page leads elsewhere in the site, to its style sheets first of all: what has no scheme, and begins neither with `/` nor with `#`.
static ELSEWHERE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"( href=| src=|path_to_root = |path_to_searchindex_js = )"([^/#":][^":]*|)""#)
        .expect("a valid expression")
});

const TITLE: &str = "<title>Page not found";

impl Frame {
    /// That of the page which says that there is none: no other one comes before or after it.
    fn of(site: &Path) -> Result<Self> {
        let path = site.join("404.html");
        let page = fs::read_to_string(&path).with_context(|| {
            format!(
                "{} cannot be read, whose frame they have; leave `input-404` out of book.toml",
                path.display()
            )
        })?;
        // It is shown at any address; the others know theirs.
        let page = Regex::new(r"<base [^>]*>\s*")?.replace(&page, "");
        let parts = || {
            let (before, rest) = page.split_once("<main>")?;
            let (_, after) = rest.split_once("</main>")?;
            before.contains(TITLE).then_some((before, after))
        };
        let (before, after) = parts().with_context(|| {
            format!(
                "{} is not as mdBook 0.5 makes it, and they have its frame; adapt tools/book/src/files.rs",
                path.display()
            )
        })?;
        Ok(Self {
            top: (before.to_owned(), after.to_owned()),
            below: BTreeMap::new(),
        })
    }

    /// Writes a page, whose content is told the way to the top of the site.
    fn put(
        &mut self,
        site: &Path,
        address: &str,
        title: &str,
        content: impl FnOnce(&str) -> String,
    ) -> Result<()> {
        let up = "../".repeat(address.matches('/').count());
        let (before, after) = self.below.entry(up.clone()).or_insert_with(|| {
            let further = |found: &Captures<'_>| format!("{}\"{up}{}\"", &found[1], &found[2]);
            let further = |part: &str| ELSEWHERE.replace_all(part, further).into_owned();
            (further(&self.top.0), further(&self.top.1))
        });
        let before = before.replacen(TITLE, &format!("<title>{}", escaped(title)), 1);
        let content = content(&up);
        let page = format!("{before}<main>\n{content}</main>{after}");
        let path = site.join(address);
        let folder = path.parent().unwrap_or(site);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, page))
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}
