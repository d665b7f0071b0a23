//! mdBook's highlighter, without the forty languages that no page of this book has.
//!
//! They are more than a hundred kilobytes, which each reader would load.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use regex::Regex;

/// What it calls the languages of blocks and whole files. Markdown may have HTML in it.
const SPOKEN: [&str; 7] = [
    "diff",
    "ini",
    "markdown",
    "plaintext",
    "rust",
    "shell",
    "xml",
];

// Each language is one call, and the last thing in the file is the last of them.
static LANGUAGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"hljs\.registerLanguage\("([^"]+)""#).expect("a valid expression")
});

/// Shortens the highlighter of the site in `dest`.
pub(crate) fn shorten(dest: &Path) -> Result<()> {
    for file in fs::read_dir(dest).with_context(|| format!("cannot read {}", dest.display()))? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("highlight") && name.ends_with(".js") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            fs::write(&path, shortened(&text))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

fn shortened(script: &str) -> String {
    let found = LANGUAGE.captures_iter(script);
    let starts: Vec<(usize, &str)> = found
        .filter_map(|call| Some((call.get(0)?.start(), call.get(1)?.as_str())))
        .collect();
    let Some(&(first, _)) = starts.first() else {
        return script.to_owned();
    };
    let mut short = script[..first].to_owned();
    let ends = starts.iter().skip(1).map(|&(start, _)| start);
    for (&(start, language), end) in starts.iter().zip(ends.chain([script.len()])) {
        if SPOKEN.contains(&language) {
            short += &script[start..end];
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn only_languages_of_the_book_stay() {
        let script = r#"var hljs={};hljs.registerLanguage("cobol",f());hljs.registerLanguage("rust",g());hljs.registerLanguage("perl",h());"#;
        assert_eq!(
            shortened(script),
            r#"var hljs={};hljs.registerLanguage("rust",g());"#
        );
        assert_eq!(shortened("something else"), "something else");
    }
}
