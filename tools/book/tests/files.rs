//! The pages of whole files, and that every link of a finished book leads somewhere.

mod common;
#[path = "common/server.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this"
)]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;

use common::Fixture;
use regex::Regex;
use server::{Server, book};

const TRICKY: &str =
    "//! a < b && c > d\nconst A: &str = \"</script></code><!-- {{#include x}}\";\n\nfn a() {}\n";

/// Two chapters, with a page for each that has one before it, and a page that is about no chapter.
fn two_chapters() -> Fixture {
    let fixture = Fixture::new();
    fixture.write("chapters/ch01-one/src/lib.rs", "//! One.\n");
    fixture.write("chapters/ch01-one/src/gone.rs", "// gone\n");
    fixture.write("chapters/ch02-two/src/lib.rs", TRICKY);
    fixture.write("chapters/ch02-two/Cargo.toml", "[package]\n");
    fixture.write("chapters/ch02-two/tests/deep/came.rs", "// a test\n");
    fixture.edit(
        "src/SUMMARY.md",
        "- [Two](two.md)",
        "- [Two](two.md)\n- [A](ch01-one.md)\n- [B & C](ch02-two.md)",
    );
    fixture.write("src/ch01-one.md", "# A\n");
    fixture.write(
        "src/ch02-two.md",
        "# B\n\n{{#changes\nsrc/lib.rs: why\n}}\n\n{{#diff src/lib.rs}}\n",
    );
    fixture
}

#[track_caller]
fn built(fixture: &Fixture) -> PathBuf {
    let site = fixture.path("site");
    book::build(fixture.root(), &site).expect("a good book");
    site
}

#[track_caller]
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of a site, by its path in it.
fn files(site: &Path) -> BTreeSet<PathBuf> {
    let files = book::files_below(site).expect("the site can be read");
    files.into_iter().collect()
}

/// Links and sources that lead to no file of the site, or to no place in one.
fn dead(site: &Path) -> Vec<String> {
    let leads = Regex::new(r#"<(?:a|link|script|img|iframe) [^>]*?(?:href|src)="([^"]*)""#)
        .expect("a valid expression");
    let id = Regex::new(r#" id="?([^" >]+)"#).expect("a valid expression");
    let there = files(site);
    let is_page = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "html");
    let pages: BTreeMap<&PathBuf, String> = there
        .iter()
        .filter(is_page)
        .map(|path| (path, read(&site.join(path))))
        .collect();
    let ids: BTreeMap<&PathBuf, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, text)| {
            let ids = id
                .captures_iter(text)
                .map(|found| found.get(1).map_or("", |id| id.as_str()));
            (*path, ids.collect())
        })
        .collect();
    let mut dead = Vec::new();
    let mut seen = 0;
    for (page, text) in &pages {
        let folder = page.parent().unwrap_or(Path::new(""));
        for found in leads.captures_iter(text) {
            let link = &found[1];
            if link.contains(':') {
                continue;
            }
            seen += 1;
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => Some((*page).clone()),
                _ => resolved(folder, path),
            };
            let alive = target.is_some_and(|target| {
                there.contains(&target)
                    && (fragment.is_empty()
                        || ids.get(&target).is_some_and(|ids| ids.contains(fragment)))
            });
            if !alive {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(seen > 0, "there are links");
    dead.sort();
    dead.dedup();
    dead
}

fn resolved(folder: &Path, link: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in folder.join(link).components() {
        match part {
            Component::ParentDir if !path.pop() => return None,
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    Some(path)
}

#[test]
fn every_file_of_a_chapter_has_a_page_and_others_have_none() {
    let fixture = two_chapters();
    let site = built(&fixture);
    let below: Vec<_> = files(&site.join("files")).into_iter().collect();
    let names: Vec<_> = below.iter().map(|path| path.to_string_lossy()).collect();
    assert_eq!(
        names,
        [
            "ch01-one/index.html",
            "ch01-one/src/gone.rs.html",
            "ch01-one/src/lib.rs.html",
            "ch02-two/Cargo.toml.html",
            "ch02-two/index.html",
            "ch02-two/src/lib.rs.html",
            "ch02-two/tests/deep/came.rs.html",
        ]
    );
    let page = read(&site.join("files/ch02-two/tests/deep/came.rs.html"));
    for part in [
        "<title>tests/deep/came.rs of ch02-two - Fixture</title>",
        "<h1>tests/deep/came.rs</h1>",
        "<a href=\"../../../../ch02-two.html\">B &amp; C</a>",
        "<a href=\"../../../../files/ch02-two/index.html\">",
        "<code class=\"language-rs\"><a id=\"L1\"></a>// a test\n</code>",
        "const path_to_root = \"../../../../\";",
        "window.path_to_searchindex_js = \"../../../../searchindex",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert!(!page.contains("<base "), "{page}");
    assert!(
        read(&site.join("files/ch02-two/Cargo.toml.html")).contains("class=\"language-toml\""),
        "the highlighter is told what it is"
    );
    // Neither the table of contents nor the search knows of them.
    for path in files(&site) {
        let name = path.to_string_lossy();
        if name.starts_with("toc") || name.starts_with("searchindex") {
            assert!(
                !read(&site.join(&path)).contains("files/ch02-two"),
                "{name}"
            );
        }
    }
}

#[test]
fn a_files_text_is_text() {
    let fixture = two_chapters();
    let page = read(&built(&fixture).join("files/ch02-two/src/lib.rs.html"));
    let start = page.find("<pre class=\"whole-file\">").expect("the file");
    let end = start + page[start..].find("</pre>").expect("its end");
    let inside = &page[start..end];
    let line = |n: usize, text: &str| format!("<a id=\"L{n}\"></a>{text}\n");
    for (n, text) in [
        (1, "//! a &lt; b &amp;&amp; c &gt; d"),
        (
            2,
            "const A: &amp;str = &quot;&lt;/script&gt;&lt;/code&gt;&lt;!-- &#123;&#123;#include x}}&quot;;",
        ),
        (3, ""),
        (4, "fn a() {}"),
    ] {
        assert!(inside.contains(&line(n, text)), "line {n} of {inside}");
    }
    assert!(!inside.contains("L5"), "{inside}");
    assert!(!inside.contains("</script"), "{inside}");
}

#[test]
fn what_changed_leads_to_the_files() {
    let fixture = two_chapters();
    let page = read(&built(&fixture).join("ch02-two.html"));
    for link in [
        "<a href=\"files/ch02-two/src/lib.rs.html\"><code>src/lib.rs</code></a>",
        "<a href=\"files/ch02-two/src/lib.rs.html\">The whole file</a>",
        // What is gone was there before.
        "<a href=\"files/ch01-one/src/gone.rs.html\"><code>src/gone.rs</code></a>",
        "<a href=\"files/ch02-two/tests/deep/came.rs.html\">",
        "<a href=\"files/ch02-two/index.html\">All files of this chapter</a>",
    ] {
        assert!(page.contains(link), "no {link} in {page}");
    }
}

#[test]
fn no_link_is_dead() {
    let fixture = two_chapters();
    let site = built(&fixture);
    assert_eq!(dead(&site), Vec::<String>::new());
    // And this would have been seen.
    fs::remove_file(site.join("files/ch02-two/Cargo.toml.html")).expect("it was there");
    let page = site.join("ch02-two.html");
    fs::write(&page, read(&page).replace("href=\"#b\"", "href=\"#z\"")).expect("it can be written");
    let dead = dead(&site);
    assert!(dead.contains(&"ch02-two.html: #z".to_owned()), "{dead:?}");
    assert!(
        dead.contains(
            &"files/ch02-two/index.html: ../../files/ch02-two/Cargo.toml.html".to_owned()
        ),
        "{dead:?}"
    );
}

#[test]
fn no_link_of_the_book_itself_is_dead() {
    let root = book::root().expect("the book is around its tool");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = folder.path().join("site");
    book::build(&root, &site).expect("a good book");
    assert!(files(&site).len() > 100, "there are pages of files");
    assert_eq!(dead(&site), Vec::<String>::new());
}

#[test]
fn a_plain_mdbook_gets_no_links_to_what_it_does_not_write() {
    let fixture = two_chapters();
    let text = read(&fixture.path("src/ch02-two.md"));
    // What mdBook says to a preprocessor: where it is, and the book.
    let told = serde_json::json!([
        {
            "root": fixture.root(),
            "config": {"book": {"title": "Fixture", "src": "src", "authors": [], "language": "en"}},
            "renderer": "html",
            "mdbook_version": "0.5.0",
        },
        {"items": [{"Chapter": {
            "name": "B", "content": text, "number": null, "sub_items": [], "parent_names": [],
            "path": "ch02-two.md", "source_path": "ch02-two.md",
        }}]},
    ]);
    let mut mdbook = book(fixture.root())
        .arg("preprocess")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = mdbook.stdin.take().expect("its input");
    input
        .write_all(told.to_string().as_bytes())
        .expect("it reads");
    drop(input);
    let output = mdbook.wait_with_output().expect("it ends");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(
        said.contains("<td><code>src/lib.rs</code></td>") && said.contains("<ins data-n="),
        "{said}{errors}"
    );
    assert!(!said.contains("<a "), "{said}");
}

#[test]
fn a_served_page_reloads_with_its_file() {
    let fixture = two_chapters();
    let server = Server::start(fixture.root());
    let address = "/files/ch02-two/tests/deep/came.rs.html";
    let open = server.open(address);
    fixture.write("chapters/ch02-two/tests/deep/came.rs", "// another test\n");
    open.reloads();
    assert!(server.get(address).body.contains("// another test"));
}

#[test]
fn without_a_frame_the_build_says_so() {
    let fixture = two_chapters();
    fixture.edit(
        "book.toml",
        "[build]",
        "[output.html]\ninput-404 = \"\"\n\n[build]",
    );
    let problems = book::build(fixture.root(), &fixture.path("site")).expect_err("no frame");
    assert!(
        problems[0]
            .to_string()
            .contains("leave `input-404` out of book.toml"),
        "{problems:?}"
    );
}
