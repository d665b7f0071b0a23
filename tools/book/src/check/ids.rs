//! The `id`s of a page, made as mdBook makes them. A test holds this against mdBook's own output.

use std::collections::{HashMap, HashSet};

use mdbook_markdown::{MarkdownOptions, new_cmark_parser};
use pulldown_cmark::{Event, Tag, TagEnd};

use super::html;

/// Everything on the page that a `#fragment` can lead to.
pub(crate) fn ids(markdown: &str, options: &MarkdownOptions) -> Vec<String> {
    let mut ids = Ids::default();
    for (event, range) in new_cmark_parser(markdown, options).into_offset_iter() {
        match &event {
            Event::Start(Tag::HtmlBlock) | Event::InlineHtml(_) => ids.of_html(&markdown[range]),
            _ => ids.event(event),
        }
    }
    ids.found
}

#[derive(Default)]
struct Ids {
    found: Vec<String>,
    /// The ids made from headings so far: only among these does mdBook count up.
    made: HashSet<String>,
    /// The text of the heading that we are in.
    heading: Option<String>,
    /// The id that the heading was given by `{#id}`.
    given: Option<String>,
    /// How many images we are in: their text is not the heading's.
    images: usize,
    /// The number and the count of uses of each footnote.
    footnotes: HashMap<String, (usize, usize)>,
}

impl Ids {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(Tag::Heading { id, .. }) => {
                self.heading = Some(String::new());
                self.given = id.map(|id| id.to_string());
            }
            Event::Start(Tag::DefinitionListTitle) => self.heading = Some(String::new()),
            Event::End(TagEnd::Heading(_) | TagEnd::DefinitionListTitle) => self.end_of_heading(),
            Event::Start(Tag::Image { .. }) => self.images += 1,
            Event::End(TagEnd::Image) => self.images = self.images.saturating_sub(1),
            Event::Start(Tag::FootnoteDefinition(name)) => {
                self.found.push(format!("footnote-{name}"))
            }
            Event::FootnoteReference(name) => {
                let next = self.footnotes.len() + 1;
                let (number, uses) = self.footnotes.entry(name.to_string()).or_insert((next, 0));
                *uses += 1;
                self.found.push(format!("fr-{name}-{uses}"));
                let number = number.to_string();
                self.text(&number);
            }
            Event::Text(text) | Event::Code(text) => self.text(&text),
            Event::SoftBreak => self.text("\n"),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let (Some(heading), 0) = (&mut self.heading, self.images) {
            heading.push_str(text);
        }
    }

    fn end_of_heading(&mut self) {
        let Some(text) = self.heading.take() else {
            return;
        };
        let id = self
            .given
            .take()
            .unwrap_or_else(|| self.unique(&from_text(&text)));
        self.found.push(id);
    }

    fn unique(&mut self, id: &str) -> String {
        let mut candidate = id.to_owned();
        let mut count = 0;
        while !self.made.insert(candidate.clone()) {
            count += 1;
            candidate = format!("{id}-{count}");
        }
        candidate
    }

    fn of_html(&mut self, html: &str) {
        for tag in html::tags(html) {
            let ids = tag.attributes.into_iter().filter(|(name, _)| {
                // `name` is how an anchor was written long ago, and it still works.
                name == "id" || (name == "name" && tag.name == "a")
            });
            self.found.extend(ids.map(|(_, value)| value));
        }
    }
}

fn from_text(text: &str) -> String {
    text.trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
            c if c.is_whitespace() => Some('-'),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PAGE: &str = r#"# Title & `code`, *emphasis* — "quotes"...

## Same
## Same
## Same-1
## Given {#mine .class}
## Same

Setext
heading
-------

### Ünïcode 中文 1.2 _under_score
### Image ![alt text](x.png) and [link](one.md) and <b id="bold">html</b>
### Footnote[^a]

term
: definition

<h2 id="raw">Raw</h2>
<h2>No id</h2>
<a name="old"></a>

Text[^a][^b].

[^a]: A note
[^b]: Another
"#;

    /// The point of this file is to say what mdBook says, so mdBook is asked.
    #[test]
    fn the_same_as_mdbook() {
        let book = tempfile::tempdir().unwrap();
        fs::create_dir(book.path().join("src")).unwrap();
        fs::write(book.path().join("book.toml"), "").unwrap();
        fs::write(book.path().join("src/SUMMARY.md"), "[One](one.md)\n").unwrap();
        fs::write(book.path().join("src/one.md"), PAGE).unwrap();
        let site = book.path().join("site");
        crate::build::render(book.path(), &site).unwrap();
        let built = fs::read_to_string(site.join("one.html")).unwrap();
        let start = built.find("<main>").unwrap();
        let end = built.find("</main>").unwrap();
        let mut theirs = Ids::default();
        theirs.of_html(&built[start..end]);
        theirs.found.sort();
        let mut ours = ids(PAGE, &MarkdownOptions::default());
        ours.sort();
        assert_eq!(ours, theirs.found);
        assert!(ours.contains(&"same-1-1".to_owned()), "{ours:?}");
    }
}
