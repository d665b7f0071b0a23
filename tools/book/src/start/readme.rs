//! The README of a crate that was copied out.

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// A README for the package `name`, copied from `chapter` to the folder `made`.
pub(crate) fn readme(chapter: &str, name: &str, made: &Path) -> String {
    let mut text = format!(
        "# {name}\n\n\
        Started from `{chapter}`, a chapter of the book *No Task Left Behind*, and yours to change.\n\n"
    );
    text.push_str("```console\n");
    if made.join("src/main.rs").is_file() {
        text.push_str("$ cargo run\n");
    }
    text.push_str("$ cargo test\n```\n");
    let examples = examples(made);
    if !examples.is_empty() {
        text.push_str("\nThe examples:\n\n```console\n");
        for example in examples {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "$ cargo run --example {example}");
        }
        text.push_str("```\n");
    }
    text.push_str(
        "\n## Licence\n\n\
        The book's code, and so what this began with, is under the MIT or the Apache-2.0 licence, at your choice. Keep the\n\
        file of the one you choose, `LICENSE-MIT` or `LICENSE-APACHE`, with what remains of that code. What you add is yours.\n",
    );
    text
}

fn examples(made: &Path) -> Vec<String> {
    let entries = fs::read_dir(made.join("examples"))
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "rs")
                || path.join("main.rs").is_file()
        })
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}
