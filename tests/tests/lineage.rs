//! A chapter's files are those of the one before, except where its page says so.

use std::fs;
use std::path::Path;

use book_tests::{here, lineage};
use tempfile::TempDir;

#[test]
fn each_chapter_carries_over_what_it_does_not_announce() {
    let root = here!().root;
    println!(
        "{}",
        lineage::shared(&root).expect("the chapters can be read")
    );
    let faults = lineage::drift(&root);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn each_page_tells_what_its_chapter_changes() {
    let faults = lineage::untold(&here!().root);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn faults(root: &Path) -> Vec<String> {
    [lineage::drift(root), lineage::untold(root)].concat()
}

/// Two chapters that keep every word: `same.rs` is carried over, the others are announced and told.
fn true_book() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    write(
        root,
        "chapters/ch01-a/src/same.rs",
        "use ch01_a::x;\nlet same = 1;\n",
    );
    write(
        root,
        "chapters/ch02-b/src/same.rs",
        "use ch02_b::x;\nlet same = 1;\n",
    );
    write(root, "chapters/ch01-a/src/other.rs", "one\ntwo\n");
    write(root, "chapters/ch02-b/src/other.rs", "one\nthree\n");
    write(root, "chapters/ch01-a/src/old.rs", "");
    write(root, "chapters/ch02-b/src/fresh.rs", "");
    write(root, "chapters/ch01-a/README.md", "one");
    write(root, "chapters/ch02-b/README.md", "two");
    write(root, "tests/lineage.toml", TABLE);
    write(root, "src/ch02-b.md", PAGE);
    folder
}

const TABLE: &str = "[ch02-b]\nchanged = [\"src/other.rs\"]\nnew = [\"src/fresh.rs\"]\nremoved = [\"src/old.rs\"]\n";
const PAGE: &str = "# B\n\n## What changed\n\n{{#changes\nsrc/other.rs, src/fresh.rs: why\n}}\n";

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

/// The only thing that is wrong after `lie` is caught, and the message says all `parts`.
#[track_caller]
fn assert_caught(lie: impl FnOnce(&Path), parts: &[&str]) {
    let book = true_book();
    lie(book.path());
    let faults = faults(book.path());
    assert_eq!(faults.len(), 1, "{faults:#?}");
    for part in parts {
        assert!(faults[0].contains(part), "{part:?} is not in {}", faults[0]);
    }
}

#[test]
fn a_true_book_has_no_faults() {
    assert_eq!(faults(true_book().path()), Vec::<String>::new());
}

#[test]
fn a_drifted_file_is_caught() {
    assert_caught(
        |root| {
            write(
                root,
                "chapters/ch02-b/src/same.rs",
                "use ch02_b::x;\nlet same = 2;\n",
            )
        },
        &[
            "chapters/ch02-b/src/same.rs:2:",
            "chapters/ch01-a/src/same.rs",
            "same = 1",
            "same = 2",
            "`changed` of [ch02-b]",
        ],
    );
    assert_caught(
        |root| write(root, "chapters/ch02-b/src/same.rs", "use ch02_b::x;\n"),
        &["chapters/ch02-b/src/same.rs:2:", "(the end)"],
    );
}

#[test]
fn a_longer_name_may_break_lines_and_nothing_else() {
    let book = true_book();
    let path = "chapters/ch02-b/src/same.rs";
    let text = fs::read_to_string(book.path().join(path)).expect("it is there");
    let broken = text.replace("ch02_b::x", "ch02_b::{\n    x,\n}");
    write(book.path(), path, &broken);
    write(
        book.path(),
        "chapters/ch01-a/src/same.rs",
        &broken.replace("ch02_b::{\n    x,\n}", "ch01_a::{x}"),
    );
    assert_eq!(faults(book.path()), Vec::<String>::new());
    // Where the name is not, there is no reason.
    assert_caught(
        |root| {
            write(root, "chapters/ch01-a/src/plain.rs", "let same = 1;\n");
            write(root, "chapters/ch02-b/src/plain.rs", "let same =\n    1;\n");
        },
        &["chapters/ch02-b/src/plain.rs:1:", "let same = 1;"],
    );
}

#[test]
fn a_file_that_comes_or_goes_in_silence_is_caught() {
    assert_caught(
        |root| write(root, "chapters/ch02-b/tests/t.rs", ""),
        &["chapters/ch02-b/tests/t.rs:1:", "`new` of [ch02-b]"],
    );
    assert_caught(
        |root| fs::remove_file(root.join("chapters/ch02-b/src/same.rs")).expect("it is there"),
        &["chapters/ch01-a/src/same.rs:1:", "`removed` of [ch02-b]"],
    );
}

#[test]
fn a_stale_announcement_is_caught() {
    assert_caught(
        |root| write(root, "chapters/ch02-b/src/other.rs", "one\ntwo\n"),
        &["tests/lineage.toml:2:", "src/other.rs changed"],
    );
    assert_caught(
        |root| {
            write(
                root,
                "tests/lineage.toml",
                &format!("{TABLE}[ch03-c]\nnew = []\n"),
            )
        },
        &["tests/lineage.toml:5:", "[ch03-c]"],
    );
}

#[test]
fn a_page_that_does_not_tell_is_caught() {
    assert_caught(
        |root| write(root, "src/ch02-b.md", &PAGE.replace("changes", "news")),
        &["src/ch02-b.md:1:", "{{#changes FILE: why}}"],
    );
}
