//! Links and images that lead nowhere.

use std::path::{Path, PathBuf};

use axum::http::Uri;
use mdbook_markdown::{MarkdownOptions, new_cmark_parser};
use percent_encoding::percent_decode_str;
use pulldown_cmark::{Event, LinkType, Tag};

use super::{Document, html, ids};
use crate::Problem;
use crate::paths::{folder, normal, shown};

/// The documents of a repository, and where their links may lead.
pub(crate) struct Links<'a> {
    pub(crate) root: &'a Path,
    /// The folder of the book's text.
    pub(crate) src: &'a Path,
    pub(crate) documents: &'a [Document],
    pub(crate) options: &'a MarkdownOptions,
}

/// A link as it stands in a document.
struct Link {
    target: String,
    offset: usize,
    image: bool,
}

impl Links<'_> {
    pub(crate) fn check(&self, problems: &mut Vec<Problem>) {
        for document in self.documents {
            for link in links(&document.expanded.text, self.options) {
                if let Err(message) = self.follow(document, &link) {
                    let line = document.expanded.line(link.offset);
                    problems.push(Problem::new(&document.path, line, message));
                }
            }
        }
    }

    fn follow(&self, from: &Document, link: &Link) -> Result<(), String> {
        let target = link.target.trim();
        if let Some(scheme) = scheme(target) {
            return address(scheme, target);
        }
        let (path, fragment) = match target.split_once('#') {
            Some((path, fragment)) => (path, Some(fragment)),
            None => (target, None),
        };
        let path = path.split('?').next().unwrap_or("");
        if path.is_empty() {
            return match fragment {
                // `#` alone is the top of the page.
                Some("") => Ok(()),
                Some(fragment) => has(fragment, from, "on this page"),
                None => Err("a link without a target; write where it leads, or take it out".into()),
            };
        }
        let decoded = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| format!("`{target}` is not UTF-8"))?;
        if decoded.starts_with('/') {
            return Err(format!(
                "`{target}` starts at the root of whatever site the page is on; write it relative to this file"
            ));
        }
        let file = normal(&folder(&from.path).join(&*decoded)).ok_or_else(|| {
            format!("`{target}` leads out of the repository; link to what a clone has")
        })?;
        if from.page {
            self.page_link(&file, fragment, link)
        } else {
            self.readme_link(&file, fragment, link)
        }
    }

    /// In the book, only its own pages and the other files beside them exist.
    fn page_link(&self, file: &Path, fragment: Option<&str>, link: &Link) -> Result<(), String> {
        let (target, name) = (&link.target, shown(file));
        if !file.starts_with(self.src) {
            return Err(format!(
                "`{target}` leads to {name}, outside {}/: the finished book does not have it; name the file in the text \
                 instead, or put a copy into {}/",
                shown(self.src),
                shown(self.src)
            ));
        }
        let page = self
            .documents
            .iter()
            .find(|document| document.page && document.path == file);
        if let Some(page) = page {
            return fragment.map_or(Ok(()), |fragment| {
                has(fragment, page, &format!("in {name}"))
            });
        }
        let whole = self.root.join(file);
        let as_page = file.with_extension("md");
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("md") if whole.is_file() => Err(format!(
                "`{target}` leads to {name}, which SUMMARY.md does not list: list it, or link elsewhere"
            )),
            Some("html")
                if self
                    .documents
                    .iter()
                    .any(|document| document.path == as_page) =>
            {
                Err(format!(
                    "`{target}` names the finished page; write its source, {}",
                    last_name(&as_page)
                ))
            }
            _ => self.there(&name, &whole, link, false),
        }
    }

    /// A README is read where the repository is: every file and folder of it can be linked to.
    fn readme_link(&self, file: &Path, fragment: Option<&str>, link: &Link) -> Result<(), String> {
        let (name, whole) = (shown(file), self.root.join(file));
        self.there(&name, &whole, link, true)?;
        let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) else {
            return Ok(());
        };
        if let Some(known) = self.documents.iter().find(|document| document.path == file) {
            return has(fragment, known, &format!("in {name}"));
        }
        if file.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(&whole)
                .map_err(|error| format!("{name} cannot be read: {error}"))?;
            return find(
                fragment,
                &ids::ids(&text, self.options),
                &format!("in {name}"),
            );
        }
        Ok(())
    }

    fn there(&self, name: &str, whole: &Path, link: &Link, folders: bool) -> Result<(), String> {
        if whole.is_file() || (folders && !link.image && whole.is_dir()) {
            return Ok(());
        }
        let (kind, target) = (if link.image { "image" } else { "link" }, &link.target);
        if whole.is_dir() {
            return Err(format!(
                "dead {kind}: `{target}` leads to the folder {name}; name a file in it"
            ));
        }
        Err(format!(
            "dead {kind}: `{target}` leads to {name}, which does not exist; correct it, or add the file"
        ))
    }
}

fn last_name(path: &Path) -> String {
    path.file_name()
        .map(PathBuf::from)
        .map(|name| shown(&name))
        .unwrap_or_default()
}

fn has(fragment: &str, document: &Document, place: &str) -> Result<(), String> {
    find(fragment, &document.ids, place)
}

fn find(fragment: &str, ids: &[String], place: &str) -> Result<(), String> {
    let decoded = percent_decode_str(fragment).decode_utf8_lossy();
    if decoded.is_empty() || ids.iter().any(|id| *id == decoded) {
        return Ok(());
    }
    let near = ids
        .iter()
        .min_by_key(|id| crate::distance::distance(id, &decoded));
    let hint = near
        .map(|id| format!("; the nearest is `#{id}`"))
        .unwrap_or_default();
    Err(format!(
        "dead link: no heading {place} has the id `{decoded}`{hint}"
    ))
}

/// The scheme of an address, if it has one: `https` of `https://…`.
fn scheme(target: &str) -> Option<&str> {
    let (scheme, _) = target.split_once(':')?;
    let mut letters = scheme.chars();
    let named = letters.next()?.is_ascii_alphabetic()
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'));
    named.then_some(scheme)
}

/// The spelling of an address elsewhere. Whether it answers is not asked: the tests need no network.
fn address(scheme: &str, target: &str) -> Result<(), String> {
    match scheme {
        "mailto" if target.contains('@') => Ok(()),
        "http" | "https" => match target.split('#').next().unwrap_or("").parse::<Uri>() {
            Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(()),
            Ok(_) => Err(format!(
                "`{target}` has no host; write {scheme}://host/path"
            )),
            Err(_) => Err(format!(
                "`{target}` is not a web address; correct its spelling"
            )),
        },
        _ => Err(format!(
            "`{target}`: the book links only to http, https and mailto addresses"
        )),
    }
}

fn links(markdown: &str, options: &MarkdownOptions) -> Vec<Link> {
    let mut links = Vec::new();
    for (event, range) in new_cmark_parser(markdown, options).into_offset_iter() {
        match event {
            Event::Start(Tag::Link {
                link_type: LinkType::Email,
                ..
            }) => {}
            Event::Start(Tag::Link { dest_url, .. }) => {
                links.push(Link {
                    target: dest_url.to_string(),
                    offset: range.start,
                    image: false,
                });
            }
            Event::Start(Tag::Image { dest_url, .. }) => {
                links.push(Link {
                    target: dest_url.to_string(),
                    offset: range.start,
                    image: true,
                });
            }
            Event::Start(Tag::HtmlBlock) | Event::InlineHtml(_) => {
                of_html(&markdown[range.clone()], range.start, &mut links);
            }
            _ => {}
        }
    }
    links
}

fn of_html(html: &str, start: usize, links: &mut Vec<Link>) {
    for tag in html::tags(html) {
        for (name, value) in tag.attributes {
            if matches!(name.as_str(), "href" | "xlink:href" | "src") {
                links.push(Link {
                    target: value,
                    offset: start + tag.offset,
                    image: name == "src",
                });
            }
        }
    }
}
