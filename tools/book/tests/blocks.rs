//! Code blocks come out as mdBook shows them, with the line they stand in.

mod common;

use std::path::Path;

use common::Fixture;

#[test]
fn pages_come_in_the_order_of_the_summary() {
    let book = Fixture::new();
    let pages = book::pages(book.root()).unwrap();
    let paths: Vec<_> = pages
        .iter()
        .map(|page| page.path.to_str().unwrap())
        .collect();
    assert_eq!(paths, ["src/one.md", "src/two.md"]);
    assert!(
        pages[0].text.contains("{{#include"),
        "includes stay as they are"
    );
}

#[test]
fn includes_are_carried_out_without_the_anchors() {
    let book = Fixture::new();
    let blocks = book::blocks(book.root(), Path::new("src/one.md")).unwrap();
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].file, Path::new("src/one.md"));
    assert_eq!((blocks[0].line, blocks[0].info.as_str()), (9, "rust"));
    assert_eq!(
        blocks[0].text,
        "pub fn add(a: u32, b: u32) -> u32 {\n    a + b\n}\n"
    );
}

#[test]
fn blocks_in_lists_quotes_and_details() {
    let book = Fixture::new();
    // Lines that an include adds must not move what follows.
    book.edit(
        "src/two.md",
        "- a list",
        "{{#include figure.svg}}\n\n- a list",
    );
    let blocks = book::blocks(book.root(), Path::new("src/two.md")).unwrap();
    let found: Vec<_> = blocks
        .iter()
        .map(|block| (block.line, block.info.as_str(), block.text.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (9, "rust", "let nested = 1;\n"),
            (13, "console", "$ quoted\n"),
            (20, "rust", "//! anchors.\npub fn f() {}\n"),
        ]
    );
}

#[test]
fn a_rustdoc_include_hides_the_rest() {
    let book = Fixture::new();
    book.edit("src/one.md", "{{#include", "{{#rustdoc_include");
    let blocks = book::blocks(book.root(), Path::new("src/one.md")).unwrap();
    assert_eq!(
        blocks[0].text,
        "# //! A library.\npub fn add(a: u32, b: u32) -> u32 {\n    a + b\n}\n"
    );
}

#[test]
fn a_block_that_cannot_be_trusted_is_an_error() {
    let book = Fixture::new();
    book.edit("src/one.md", ":add", ":gone");
    let problems = book::blocks(book.root(), Path::new("src/one.md")).unwrap_err();
    assert_eq!((problems.len(), problems[0].line), (1, 10));
    let missing = book::blocks(book.root(), Path::new("src/none.md")).unwrap_err();
    assert!(
        missing[0]
            .to_string()
            .starts_with("src/none.md:1: cannot be read: ")
    );
}

#[test]
fn the_blocks_of_a_readme() {
    let book = Fixture::new();
    book.write(
        "README.md",
        "# The book\n\n```console\n$ cargo book\n```\n\n    indented, so not fenced\n",
    );
    let blocks = book::blocks(book.root(), Path::new("README.md")).unwrap();
    assert_eq!(blocks.len(), 1);
    assert_eq!(
        (blocks[0].line, blocks[0].text.as_str()),
        (3, "$ cargo book\n")
    );
}
