//! The tags and attributes of raw HTML: just enough to find links and `id`s.

/// A tag.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// Where it stands in the text.
    pub(crate) offset: usize,
    /// Its name, in small letters.
    pub(crate) name: String,
    /// Names in small letters and values, entities decoded.
    pub(crate) attributes: Vec<(String, String)>,
    /// Whether it is `</…>`.
    pub(crate) end: bool,
    /// Whether it is `<…/>`.
    pub(crate) closed: bool,
}

/// The start tags of a piece of HTML. Comments are left out.
pub(crate) fn tags(html: &str) -> Vec<Tag> {
    let mut tags = tags_and_ends(html);
    tags.retain(|tag| !tag.end);
    tags
}

/// All tags of a piece of HTML.
pub(crate) fn tags_and_ends(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(next) = html[at..].find('<') {
        let offset = at + next;
        let rest = &html[offset + 1..];
        let end = rest.starts_with('/');
        if let Some(comment) = rest.strip_prefix("!--") {
            at = comment
                .find("-->")
                .map_or(html.len(), |end| offset + 4 + end + 3);
        } else if rest[usize::from(end)..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            let start = offset + 1 + usize::from(end);
            let (tag, length) = tag(&html[start..], offset, end);
            at = start + length;
            if !end && ["script", "style"].contains(&tag.name.as_str()) {
                // What stands in these is not HTML.
                let close = format!("</{}", tag.name);
                at = html[at..].find(&close).map_or(html.len(), |next| at + next);
            }
            tags.push(tag);
        } else {
            at = offset + 1;
        }
    }
    tags
}

/// The tag whose name `html` starts with, and how much of the text it takes.
fn tag(html: &str, offset: usize, end: bool) -> (Tag, usize) {
    let name_end = html
        .find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))
        .unwrap_or(html.len());
    let name = html[..name_end].to_ascii_lowercase();
    let mut tag = Tag {
        offset,
        name,
        attributes: Vec::new(),
        end,
        closed: false,
    };
    let mut at = name_end;
    loop {
        let blank = html[at..]
            .find(|c: char| !c.is_whitespace() && c != '/')
            .unwrap_or(html.len() - at);
        at += blank;
        if at >= html.len() || html[at..].starts_with('>') {
            tag.closed = html[..at].ends_with('/');
            return (tag, (at + 1).min(html.len()));
        }
        let end = html[at..]
            .find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/'))
            // An attribute's name is never empty, so the loop always moves on.
            .map_or(html.len(), |end| at + end.max(1));
        let name = html[at..end].to_ascii_lowercase();
        let value_at = html[end..]
            .trim_start()
            .strip_prefix('=')
            .map(str::trim_start);
        let (value, next) = match value_at {
            Some(value) => {
                let (text, length) = value_of(value);
                (text, html.len() - value.len() + length)
            }
            None => ("", end),
        };
        tag.attributes.push((name, decode(value)));
        at = next;
    }
}

/// A value with or without quotes, and how much of the text it takes.
fn value_of(text: &str) -> (&str, usize) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return match inner.find(quote) {
                Some(end) => (&inner[..end], end + 2),
                None => (inner, text.len()),
            };
        }
    }
    let end = text
        .find(|c: char| c.is_whitespace() || c == '>')
        .unwrap_or(text.len());
    (&text[..end], end)
}

fn decode(value: &str) -> String {
    value
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_with_and_without_quotes() {
        let found = tags(
            "<p>1 < 2</p><A HREF='a&amp;b' id = x hidden/><!-- <i id=no> --><img src=\"c>d.png\">",
        );
        let attributes: Vec<_> = found
            .iter()
            .map(|tag| (tag.name.as_str(), tag.attributes.clone()))
            .collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            attributes,
            [
                ("p", vec![]),
                (
                    "a",
                    vec![pair("href", "a&b"), pair("id", "x"), pair("hidden", "")]
                ),
                ("img", vec![pair("src", "c>d.png")]),
            ]
        );
    }

    #[test]
    fn broken_html_ends() {
        for html in [
            "<",
            "<a",
            "<a ",
            "<a href",
            "<a href=",
            "<a href=\"x",
            "<a =",
            "<!--",
            "<a <b>",
        ] {
            tags(html);
        }
    }
}
