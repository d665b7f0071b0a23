//! The tags and attributes of raw HTML: just enough to find links and `id`s.

/// A start tag.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// Where it stands in the text.
    pub(crate) offset: usize,
    /// Its name, in small letters.
    pub(crate) name: String,
    /// Names in small letters and values, entities decoded.
    pub(crate) attributes: Vec<(String, String)>,
}

/// The start tags of a piece of HTML. Comments are left out.
pub(crate) fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(next) = html[at..].find('<') {
        let offset = at + next;
        let rest = &html[offset..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            at = comment
                .find("-->")
                .map_or(html.len(), |end| offset + 4 + end + 3);
        } else if rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (tag, length) = tag(rest, offset);
            tags.push(tag);
            at = offset + length;
        } else {
            at = offset + 1;
        }
    }
    tags
}

/// The tag at the start of `html`, and its length.
fn tag(html: &str, offset: usize) -> (Tag, usize) {
    let name_end = html[1..]
        .find(|c: char| c.is_whitespace() || c == '>' || c == '/')
        .map_or(html.len(), |end| end + 1);
    let mut tag = Tag {
        offset,
        name: html[1..name_end].to_ascii_lowercase(),
        attributes: Vec::new(),
    };
    let mut at = name_end;
    loop {
        let blank = html[at..]
            .find(|c: char| !c.is_whitespace() && c != '/')
            .unwrap_or(html.len() - at);
        at += blank;
        if at >= html.len() || html[at..].starts_with('>') {
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
