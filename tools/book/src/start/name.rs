//! Names that cargo and rustc take for a package.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Rust's keywords, those of the future included: none of them can name a crate.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "_",
];
/// Crates that come with the compiler.
const BUILT_IN: [&str; 5] = ["alloc", "core", "proc_macro", "std", "test"];
/// Folders that cargo makes beside a program of such a name.
const OF_CARGO: [&str; 4] = ["build", "deps", "examples", "incremental"];
/// File names that Windows keeps for itself.
const OF_WINDOWS: [&str; 22] = [
    "aux", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "con", "lpt1",
    "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "nul", "prn",
];

/// The package name that a target folder stands for: its last part.
pub(crate) fn of(target: &Path) -> Result<String> {
    let name = target
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    if let Some(fault) = fault(name) {
        bail!("`{name}` cannot be the package's name: {fault}");
    }
    Ok(name.to_owned())
}

/// What keeps a name from being a package's.
fn fault(name: &str) -> Option<String> {
    let first = match name.chars().next() {
        None => return Some("it is empty; end the path with a name, such as ../my-server".into()),
        Some(first) => first,
    };
    if let Some(letter) = name
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'))
    {
        return Some(format!(
            "it contains `{letter}`; use the letters a to z, digits, `-` and `_`"
        ));
    }
    if !first.is_ascii_alphabetic() {
        return Some(format!("it begins with `{first}`; begin with a letter"));
    }
    if name.contains(|c: char| c.is_ascii_uppercase()) {
        return Some(format!(
            "Rust writes crates in small letters; use `{}`",
            name.to_ascii_lowercase()
        ));
    }
    let other = format!("use another name, such as `my-{name}`");
    let as_crate = name.replace('-', "_");
    if KEYWORDS.contains(&as_crate.as_str()) {
        return Some(format!("it is a keyword of Rust; {other}"));
    }
    if BUILT_IN.contains(&as_crate.as_str()) {
        return Some(format!("a crate of that name comes with Rust; {other}"));
    }
    if OF_CARGO.contains(&name) {
        return Some(format!(
            "cargo keeps that name for a folder of its own; {other}"
        ));
    }
    if OF_WINDOWS.contains(&name) {
        return Some(format!("Windows keeps that name for itself; {other}"));
    }
    None
}

/// Refuses the name of something that the chapter depends on: the compiler could not tell the two apart.
pub(crate) fn unlike_dependencies(name: &str, source: &Path) -> Result<()> {
    let file = source.join("Cargo.toml");
    let manifest =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let same = |other: &str| other.replace('-', "_") == name.replace('-', "_");
    if dependencies(&manifest).any(same) {
        bail!(
            "`{name}` cannot be the package's name: the chapter depends on a crate of that name; use another"
        );
    }
    Ok(())
}

/// The names in the dependency tables of a manifest, read line by line: the chapters' manifests are that plain.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    manifest.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies");
            // `[dependencies.name]` names one by itself.
            return table.split_once("dependencies.").map(|(_, name)| name);
        }
        let (name, _) = line.split_once('=')?;
        (inside && !line.starts_with('#')).then(|| {
            name.trim()
                .split('.')
                .next()
                .unwrap_or("")
                .trim_matches('"')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names() {
        for name in [
            "my-server",
            "a",
            "echo2",
            "my_server",
            "tests",
            "server-test",
        ] {
            assert_eq!(fault(name), None, "{name}");
        }
    }

    #[test]
    fn bad_names_say_what_to_do() {
        for (name, says) in [
            ("", "it is empty; end the path with a name"),
            ("7up", "it begins with `7`; begin with a letter"),
            ("-a", "it begins with `-`; begin with a letter"),
            ("_a", "it begins with `_`; begin with a letter"),
            ("my server", "it contains ` `; use the letters"),
            ("sérveur", "it contains `é`; use the letters"),
            ("a.b", "it contains `.`; use the letters"),
            ("MyServer", "small letters; use `myserver`"),
            (
                "async",
                "it is a keyword of Rust; use another name, such as `my-async`",
            ),
            ("proc-macro", "comes with Rust"),
            (
                "test",
                "comes with Rust; use another name, such as `my-test`",
            ),
            ("deps", "cargo keeps that name"),
            ("nul", "Windows keeps that name"),
        ] {
            let fault = fault(name).unwrap_or_default();
            assert!(fault.contains(says), "{name}: {fault}");
        }
    }

    #[test]
    fn all_kinds_of_dependencies() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nmio = \"1\"\n\"quoted\" = \"1\"\n# not = 1\nsocket2.version = \"1\"\n\
            [dev-dependencies]\ntempfile = \"3\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n[dependencies.big]\nversion = \"1\"\n";
        let found: Vec<_> = dependencies(manifest).collect();
        assert_eq!(
            found,
            ["mio", "quoted", "socket2", "tempfile", "libc", "big"]
        );
    }
}
