//! `cargo book build` writes the site, and nothing else is lost by it.

mod common;
#[path = "common/server.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this"
)]
mod server;

use std::fs;
use std::path::Path;

use common::Fixture;
use server::book;

/// Runs `book build` with these arguments: whether it went well, and what it said.
fn build(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = book(folder).arg("build").args(arguments).output().unwrap();
    let words = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(words).unwrap())
}

#[test]
fn the_site_is_static_and_can_be_built_again() {
    let fixture = Fixture::new();
    let (good, words) = build(fixture.root(), &[]);
    assert!(good && words.starts_with("built in "), "{words}");
    let page = fs::read_to_string(fixture.path("book/one.html")).unwrap();
    assert!(
        page.contains("pub fn add(a: u32") && !page.contains("__book"),
        "nothing of the server is in it"
    );
    assert!(book::looks_like_a_build(&fixture.path("book")));

    fs::write(fixture.path("book/stale.html"), "").unwrap();
    assert!(build(fixture.root(), &[]).0);
    assert!(
        !fixture.path("book/stale.html").exists(),
        "an earlier build is replaced as a whole"
    );
    let names: Vec<_> = fs::read_dir(fixture.root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 5, "the workshop is gone: {names:?}");
}

#[test]
fn to_another_folder_from_a_subfolder() {
    let fixture = Fixture::new();
    let out = tempfile::tempdir().unwrap();
    let dest = out.path().join("a/b");
    let (good, words) = build(&fixture.path("src"), &["--dest", dest.to_str().unwrap()]);
    assert!(good, "{words}");
    assert!(dest.join("two.html").is_file());
    assert!(!fixture.path("book").exists());
    let (good, words) = build(&fixture.path("chapters"), &["--dest", "../relative"]);
    assert!(
        good && fixture.path("relative/index.html").is_file(),
        "{words}"
    );
}

#[test]
fn a_folder_with_something_else_is_left_alone() {
    let fixture = Fixture::new();
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("letter.txt"), "dear").unwrap();
    let (good, words) = build(fixture.root(), &["--dest", out.path().to_str().unwrap()]);
    assert!(
        !good && words.contains("is not empty and does not look like an earlier build"),
        "{words}"
    );
    assert_eq!(
        fs::read_to_string(out.path().join("letter.txt")).unwrap(),
        "dear"
    );
    let file = out.path().join("letter.txt");
    let (good, words) = build(fixture.root(), &["--dest", file.to_str().unwrap()]);
    assert!(
        !good && words.contains("is a file; choose a folder"),
        "{words}"
    );
    for inside in ["src", "src/site", "chapters/site"] {
        let (good, words) = build(fixture.root(), &["--dest", inside]);
        assert!(
            !good && words.contains("lies in the source of the book"),
            "{inside}: {words}"
        );
    }
    let (good, words) = build(fixture.root(), &["--dest", "."]);
    assert!(!good && words.contains("is not empty"), "{words}");
    assert!(fixture.path("src/one.md").exists());
}

#[test]
fn a_broken_book_leaves_the_earlier_site() {
    let fixture = Fixture::new();
    assert!(build(fixture.root(), &[]).0);
    fixture.edit("src/one.md", ":add", ":gone");
    let (good, words) = build(fixture.root(), &[]);
    assert!(
        !good && words.contains("src/one.md:10: no anchor `gone`"),
        "{words}"
    );
    assert!(
        words.contains("broken in 1 place; nothing was written"),
        "{words}"
    );
    assert!(fixture.path("book/one.html").is_file());
}

#[test]
fn the_help_lists_the_commands() {
    let fixture = Fixture::new();
    let output = book(fixture.root()).arg("--help").output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    for part in [
        "cargo book build",
        "cargo book start ch03-system-events",
        "--port",
        "--open",
        "http://127.0.0.1:3000",
    ] {
        assert!(words.contains(part), "`{part}` is missing:\n{words}");
    }
}

/// The book itself is sound. The other tests use fixtures, this one is about the real pages.
#[test]
fn this_book_can_be_built() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let problems = book::check(&root);
    assert!(
        problems.is_empty(),
        "{}",
        problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect::<String>()
    );
    let out = tempfile::tempdir().unwrap();
    let dest = out.path().join("site");
    let (good, words) = build(&root, &["--dest", dest.to_str().unwrap()]);
    assert!(good, "{words}");
}
