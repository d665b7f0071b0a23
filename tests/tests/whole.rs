//! `src/whole.md` names every message, every violation and every public name of the last chapter's runtime.

use std::fs;
use std::path::Path;

use book_tests::here;

/// What stands before the text of a message.
const BEFORE_A_MESSAGE: [&str; 11] = [
    "msg(",
    "panic!(",
    "assert!(",
    "::other(",
    ".expect(",
    ".context(",
    "wrong(format_args!(",
    "report(format_args!(",
    "line(format_args!(",
    "line = format_args!(",
    "message = format!(",
];

#[test]
fn the_page_for_the_whole_names_all_there_is() {
    let root = here!().root;
    let page = fs::read_to_string(root.join("src/whole.md")).expect("the page can be read");
    let all = all(&root.join("chapters/ch08-mutexes-and-conditions/src"));
    let missing: Vec<_> = all
        .iter()
        .filter(|(_, text)| !page.contains(text))
        .collect();
    assert!(missing.is_empty(), "not on src/whole.md: {missing:#?}");
    // One of each kind, lest a change to how they are written hides them.
    for known in [
        "this socket's run has ended",
        "an interval of zero has no ticks",
        "has ended and still owns:",
        "StillHasChildren",
        "`await_first`",
        "`signals`",
        "`table.rs`",
    ] {
        assert!(all.iter().any(|(_, text)| text == known), "{known}");
    }
}

/// Texts that the page has to have, and the files they are from.
fn all(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let source = fs::read_to_string(&path).expect("a source file");
        let code = code(&source);
        let mut found = messages(&code, &BEFORE_A_MESSAGE);
        if code.contains("impl Error for") {
            found.extend(messages(&code, &["write_str(", "write!("]));
        }
        if ["violation.rs", "failure.rs"].contains(&name.as_str()) {
            found.extend(code.lines().filter_map(variant).map(str::to_owned));
        }
        if name == "lib.rs" {
            found.extend(public_names(&code));
        }
        all.extend(found.into_iter().map(|text| (name.clone(), text)));
        all.push((name.clone(), format!("`{name}`")));
    }
    all
}

/// Without comments and tests.
fn code(source: &str) -> String {
    let code = source
        .split("#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Of each message, the longest piece that is always the same.
fn messages(code: &str, before: &[&str]) -> Vec<String> {
    let after = before.iter().flat_map(|before| code.split(before).skip(1));
    let literals = after.filter_map(|after| {
        let statement = after.split(';').next()?;
        let text = statement.split('"').nth(1)?.replace("\\n", "{}");
        let pieces = text.split(['{', '}']).step_by(2);
        let pieces = pieces.map(|piece| piece.trim_matches([' ', ',', '`']));
        pieces.max_by_key(|piece| piece.len()).map(str::to_owned)
    });
    literals.collect()
}

fn variant(line: &str) -> Option<&str> {
    let name = line.strip_prefix("    ")?;
    let end = name.find([' ', '(', ','])?;
    name.starts_with(char::is_uppercase).then_some(&name[..end])
}

fn public_names(code: &str) -> Vec<String> {
    let uses = code.split("pub use ").skip(1);
    let paths = uses.filter_map(|rest| rest.split(';').next());
    let names = paths.flat_map(|path| {
        match path.split_once('{') {
            Some((_, names)) => names.trim_end_matches('}'),
            None => path.rsplit([':', ' ']).next().unwrap_or_default(),
        }
        .split(',')
    });
    names.map(|name| format!("`{}`", name.trim())).collect()
}
