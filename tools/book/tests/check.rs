//! Every kind of fault is found, with the file and the line to mend it in; a clean book has none.

mod common;

use common::Fixture;

/// Makes one change to a clean book and expects exactly these problems.
#[track_caller]
fn finds(change: impl FnOnce(&Fixture), expected: &[&str]) {
    let book = Fixture::new();
    change(&book);
    assert_eq!(book.check(), expected);
}

#[test]
fn a_clean_book_has_no_problem() {
    finds(|_| {}, &[]);
}

#[test]
fn a_missing_include_file() {
    finds(
        |book| book.edit("src/one.md", "lib.rs:add", "gone.rs:add"),
        &[
            "src/one.md:10: no file chapters/first/src/gone.rs to include; correct the path, which starts from src/",
        ],
    );
}

#[test]
fn a_missing_anchor() {
    finds(
        |book| book.edit("src/one.md", "lib.rs:add", "lib.rs:sub"),
        &[
            "src/one.md:10: no anchor `sub` in chapters/first/src/lib.rs; write `// ANCHOR: sub` before and \
            `// ANCHOR_END: sub` after the lines to show",
        ],
    );
}

#[test]
fn a_duplicated_anchor() {
    finds(
        |book| {
            book.edit(
                "chapters/first/src/lib.rs",
                "    a + b",
                "    // ANCHOR: add\n    a + b",
            )
        },
        &[
            "src/one.md:10: anchor `add` stands twice in chapters/first/src/lib.rs, lines 2 and 4; \
           give each a name of its own",
        ],
    );
}

#[test]
fn an_anchor_closed_twice() {
    finds(
        |book| {
            book.edit(
                "chapters/first/src/lib.rs",
                "    a + b",
                "    // ANCHOR_END: add\n    a + b",
            )
        },
        &[
            "src/one.md:10: anchor `add` is closed twice in chapters/first/src/lib.rs, lines 4 and 7; \
           keep one `ANCHOR_END: add`",
        ],
    );
}

#[test]
fn an_unclosed_anchor() {
    finds(
        |book| book.edit("chapters/first/src/lib.rs", "// ANCHOR_END: add\n", ""),
        &[
            "src/one.md:10: anchor `add` of chapters/first/src/lib.rs, line 2, is never closed; \
           write `// ANCHOR_END: add` after the lines to show",
        ],
    );
}

#[test]
fn an_anchor_closed_before_it_opens() {
    finds(
        |book| {
            book.write(
                "chapters/first/src/lib.rs",
                "//!\n// ANCHOR_END: add\n// x\n// ANCHOR: add\n",
            )
        },
        &[
            "src/one.md:10: anchor `add` of chapters/first/src/lib.rs is closed in line 2, before it is opened in line 4; \
           swap them",
        ],
    );
}

#[test]
fn an_anchor_around_nothing() {
    finds(
        |book| {
            book.write(
                "chapters/first/src/lib.rs",
                "// 1\n// 2\n// ANCHOR: add\n\n// ANCHOR_END: add\n",
            )
        },
        &[
            "src/one.md:10: anchor `add` of chapters/first/src/lib.rs, line 3, holds no line to show; put some between its ends",
        ],
    );
}

#[test]
fn lines_out_of_range() {
    finds(
        |book| book.edit("src/two.md", "plain.rs:2:3", "plain.rs:2:40"),
        &[
            "src/two.md:19: lines 2 to 40 of chapters/first/src/plain.rs cannot be included: it has 3; \
           correct the numbers, or better, use an anchor",
        ],
    );
    finds(
        |book| book.edit("src/two.md", "plain.rs:2:3", "plain.rs:0"),
        &[
            "src/two.md:19: line 0 of chapters/first/src/plain.rs cannot be included: it has 3; \
           correct the numbers, or better, use an anchor",
        ],
    );
    finds(
        |book| book.edit("src/two.md", "plain.rs:2:3", "plain.rs:2:add"),
        &[
            "src/two.md:19: `2:add` is neither an anchor of chapters/first/src/plain.rs nor lines of it; \
           write `:name`, `:from:to`, `:from:` or `::to`",
        ],
    );
}

#[test]
fn every_form_of_lines_is_known() {
    for part in ["", ":", "::", ":1", ":3", ":2:", "::3", ":2:2"] {
        finds(
            |book| book.edit("src/two.md", "plain.rs:2:3", &format!("plain.rs{part}")),
            &[],
        );
    }
}

#[test]
fn an_anchor_comment_that_the_reader_would_see() {
    for (part, line) in [("", 2), (":2:3", 2), (":6", 6)] {
        let fault = format!(
            "src/two.md:19: the reader would see the anchor comment in line {line} of chapters/first/src/lib.rs; \
            include by an anchor, which leaves such lines out"
        );
        finds(
            |book| book.edit("src/two.md", "plain.rs:2:3", &format!("lib.rs{part}")),
            &[&fault],
        );
    }
}

#[test]
fn an_include_from_outside_the_repository() {
    finds(
        |book| {
            book.edit(
                "src/one.md",
                "../chapters/first/src/lib.rs:add",
                "../../elsewhere.rs",
            )
        },
        &[
            "src/one.md:10: `../../elsewhere.rs` lies outside the repository; include only what a clone has",
        ],
    );
    finds(
        |book| {
            book.edit(
                "src/one.md",
                "../chapters/first/src/lib.rs:add",
                "/etc/hostname",
            )
        },
        &[
            "src/one.md:10: `/etc/hostname` is an absolute path; write it relative to the folder of this file",
        ],
    );
}

#[cfg(unix)]
#[test]
fn an_include_through_a_link_to_outside() {
    let outside = tempfile::NamedTempFile::new().unwrap();
    finds(
        |book| {
            std::os::unix::fs::symlink(outside.path(), book.path("chapters/first/out.rs")).unwrap();
            book.edit("src/one.md", "src/lib.rs:add", "out.rs");
        },
        &[
            "src/one.md:10: `../chapters/first/out.rs` lies outside the repository; include only what a clone has",
        ],
    );
}

#[test]
fn directives_that_mdbook_would_leave_standing() {
    finds(
        |book| book.edit("src/one.md", "{{#include ", "{{#inlcude "),
        &[
            "src/one.md:10: mdBook has no directive `{{#inlcude …}}`; write `include`, or `\\{{#` to show it as it stands",
        ],
    );
    finds(
        |book| book.edit("src/one.md", "lib.rs:add}}", "lib.rs:add"),
        &[
            "src/one.md:10: an unfinished directive; write `{{#include path:anchor}}` on one line, \
           or `\\{{#` to show it as it stands",
        ],
    );
    finds(
        |book| book.edit("src/one.md", "See", "Write `\\{{#include x.rs}}`. See"),
        &[],
    );
}

#[test]
fn a_missing_anchor_inside_an_included_text() {
    finds(
        |book| {
            book.write("src/part.txt", "before\n{{#include figure.svg:gone}}\n");
            book.edit("src/one.md", "See", "{{#include part.txt}}\nSee");
        },
        &[
            "src/one.md:5: in src/part.txt: no anchor `gone` in src/figure.svg; write `// ANCHOR: gone` before and \
           `// ANCHOR_END: gone` after the lines to show",
        ],
    );
}

#[test]
fn includes_in_a_circle() {
    let book = Fixture::new();
    book.write("src/part.txt", "{{#include part.txt}}\n");
    book.edit("src/one.md", "See", "{{#include part.txt}}\nSee");
    assert_eq!(
        book.check(),
        [
            "src/one.md:5: in src/part.txt: `part.txt` includes itself, or the includes are nested too deep; \
          break the circle"
        ]
    );
}

#[test]
fn an_include_in_a_readme() {
    finds(
        |book| {
            book.write(
                "README.md",
                "# The book\n\n{{#include src/one.md}}\n\n## A heading\n",
            )
        },
        &["README.md:3: only pages of the book can include a file; write the text here"],
    );
}

#[test]
fn dead_relative_links() {
    finds(
        |book| book.edit("src/one.md", "two.md#with-code", "three.md"),
        &[
            "src/one.md:5: dead link: `three.md` leads to src/three.md, which does not exist; correct it, or add the file",
        ],
    );
    finds(
        |book| book.edit("src/one.md", "two.md#with-code", "two.html"),
        &["src/one.md:5: `two.html` names the finished page; write its source, two.md"],
    );
    finds(
        |book| book.edit("src/one.md", "two.md#with-code", "/two.md"),
        &[
            "src/one.md:5: `/two.md` starts at the root of whatever site the page is on; write it relative to this file",
        ],
    );
    finds(
        |book| {
            book.edit(
                "src/one.md",
                "two.md#with-code",
                "../chapters/first/src/lib.rs",
            )
        },
        &[
            "src/one.md:5: `../chapters/first/src/lib.rs` leads to chapters/first/src/lib.rs, outside src/: the finished \
           book does not have it; name the file in the text instead, or put a copy into src/",
        ],
    );
    finds(
        |book| {
            book.edit(
                "src/two.md",
                "href=\"one.md#a-heading\"",
                "href=\"gone.md\"",
            )
        },
        &[
            "src/two.md:24: dead link: `gone.md` leads to src/gone.md, which does not exist; correct it, or add the file",
        ],
    );
    finds(
        |book| book.edit("src/one.md", "(#a-heading)", "()"),
        &["src/one.md:5: a link without a target; write where it leads, or take it out"],
    );
}

#[test]
fn dead_fragments() {
    finds(
        |book| book.edit("src/one.md", "(#a-heading)", "(#a-headin)"),
        &[
            "src/one.md:5: dead link: no heading on this page has the id `a-headin`; the nearest is `#a-heading`",
        ],
    );
    finds(
        |book| book.edit("src/one.md", "two.md#with-code", "two.md#without-code"),
        &[
            "src/one.md:5: dead link: no heading in src/two.md has the id `without-code`; the nearest is `#with-code`",
        ],
    );
}

#[test]
fn missing_images() {
    finds(
        |book| book.edit("src/one.md", "figure.svg", "gone.svg"),
        &[
            "src/one.md:7: dead image: `gone.svg` leads to src/gone.svg, which does not exist; correct it, or add the file",
        ],
    );
    finds(
        |book| {
            book.edit(
                "src/two.md",
                "Back to",
                "<img src=\"gone.png\" alt=\"\"> Back to",
            )
        },
        &[
            "src/two.md:26: dead image: `gone.png` leads to src/gone.png, which does not exist; correct it, or add the file",
        ],
    );
}

#[test]
fn misspelt_addresses() {
    finds(
        |book| book.edit("src/one.md", "mailto:a@b.example", "https://"),
        &["src/one.md:5: `https://` is not a web address; correct its spelling"],
    );
    finds(
        |book| book.edit("src/one.md", "mailto:a@b.example", "ftp://a.example"),
        &[
            "src/one.md:5: `ftp://a.example`: the book links only to http, https and mailto addresses",
        ],
    );
}

#[test]
fn dead_links_in_readmes() {
    finds(
        |book| book.edit("README.md", "chapters/)", "chapter/)"),
        &[
            "README.md:3: dead link: `chapter/` leads to chapter, which does not exist; correct it, or add the file",
        ],
    );
    finds(
        |book| book.edit("chapters/first/README.md", "#the-book", "#a-book"),
        &[
            "chapters/first/README.md:3: dead link: no heading in README.md has the id `a-book`; the nearest is `#the-book`",
        ],
    );
    finds(
        |book| book.edit("README.md", "src/one.md#a-heading", "../one.md"),
        &["README.md:3: `../one.md` leads out of the repository; link to what a clone has"],
    );
}

#[test]
fn a_page_that_nobody_lists() {
    finds(
        |book| book.write("src/deep/three.md", "# Three\n"),
        &[
            "src/deep/three.md:1: no reader can reach this page; add `- [Its title](deep/three.md)` to src/SUMMARY.md, \
           or delete it",
        ],
    );
}

#[test]
fn a_link_to_a_page_that_nobody_lists() {
    let book = Fixture::new();
    book.write("src/three.md", "# Three\n");
    book.edit("src/one.md", "two.md#with-code", "three.md");
    assert_eq!(
        book.check()[0],
        "src/one.md:5: `three.md` leads to src/three.md, which SUMMARY.md does not list: list it, or link elsewhere"
    );
}

#[test]
fn an_entry_without_its_page() {
    let book = Fixture::new();
    book.edit("src/SUMMARY.md", "[To be written]()", "[Three](three.md)");
    assert_eq!(
        book.check(),
        ["src/SUMMARY.md:6: no page src/three.md; write it, or take this entry out"]
    );
    assert!(
        !book.path("src/three.md").exists(),
        "nothing may create the page"
    );
}

#[test]
fn an_entry_that_stands_twice() {
    finds(
        |book| book.edit("src/SUMMARY.md", "[To be written]()", "[Again](two.md)"),
        &[
            "src/SUMMARY.md:6: Duplicate file in SUMMARY.md: \"two.md\"; correct the list of pages",
            "src/one.md:1: no reader can reach this page; add `- [Its title](one.md)` to src/SUMMARY.md, or delete it",
            "src/two.md:1: no reader can reach this page; add `- [Its title](two.md)` to src/SUMMARY.md, or delete it",
        ],
    );
}

#[test]
fn unclosed_fences() {
    finds(
        |book| book.edit("src/one.md", "lib.rs:add}}\n```", "lib.rs:add}}\n"),
        &[
            "src/one.md:9: a code block is opened here and never closed; write the same fence after its last line",
        ],
    );
    finds(
        |book| book.edit("src/two.md", "> $ quoted\n> ```", "> $ quoted"),
        &[
            "src/two.md:11: a code block is opened here and never closed; write the same fence after its last line",
        ],
    );
    finds(
        |book| book.write("chapters/first/README.md", "# First\n\n~~~~\n~~~\n"),
        &[
            "chapters/first/README.md:3: a code block is opened here and never closed; write the same fence after its last line",
        ],
    );
}

#[test]
fn a_fence_that_html_swallows() {
    finds(
        |book| book.edit("src/two.md", "</summary>\n\n```rust", "</summary>\n```rust"),
        &[
            "src/two.md:17: this fence is plain text, because it stands inside HTML; leave an empty line before it",
        ],
    );
}

#[test]
fn html_that_is_not_closed() {
    finds(
        |book| book.edit("src/two.md", "</details>", ""),
        &[
            "src/two.md:15: `<details>` is not closed in the paragraph, list or page it was opened in; write `</details>` there",
        ],
    );
    finds(
        |book| book.edit("src/two.md", "</details>", "</details></div>"),
        &[
            "src/two.md:22: `</div>` closes nothing that was opened in the same paragraph, list or page; take it out, or open it",
        ],
    );
}

#[test]
fn a_broken_configuration() {
    let book = Fixture::new();
    book.write("book.toml", "[book]\ntitle = \"x\"\nauthor = \"x\"\n");
    let problems = book::check(book.root());
    assert_eq!(problems.len(), 1);
    assert_eq!(
        (problems[0].file.to_str(), problems[0].line),
        (Some("book.toml"), 3),
        "{}",
        problems[0]
    );
}

#[test]
fn a_book_without_a_summary() {
    let book = Fixture::new();
    std::fs::remove_file(book.path("src/SUMMARY.md")).unwrap();
    let problems = book.check();
    assert!(
        problems[0].starts_with("src/SUMMARY.md:1: cannot be read: "),
        "{problems:?}"
    );
}
