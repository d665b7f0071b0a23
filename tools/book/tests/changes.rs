//! `{{#changes …}}` and `{{#diff …}}`: what a chapter changed, made from the crates.

mod common;

use std::fs;

use common::Fixture;

/// Two chapters: one file that is the same but for the name of the crate, one that changed, one that came, one that went.
fn with(page: &str) -> Fixture {
    let fixture = Fixture::new();
    let same = |name: &str| format!("//! ```\n//! {name}::go();\n//! ```\n");
    fixture.write("chapters/ch01-one/src/same.rs", &same("ch01_one"));
    fixture.write("chapters/ch02-two/src/same.rs", &same("ch02_two"));
    let many: Vec<String> = (1..=40)
        .map(|n| match n {
            // An empty line would end the HTML for Markdown, also where it is folded away.
            10 => "    line(10);\n\n    // *ten*".into(),
            _ => format!("    line({n});"),
        })
        .collect();
    let old = format!("fn all() {{\n{}\n}}\n", many.join("\n"));
    let new = old
        .replace("line(20);", "line(20) < \"&\";")
        .replace("    line(2);\n", "");
    fixture.write("chapters/ch01-one/src/changed.rs", &old);
    fixture.write("chapters/ch02-two/src/changed.rs", &new);
    fixture.write("chapters/ch01-one/src/gone.rs", "// gone\n");
    fixture.write("chapters/ch02-two/src/came.rs", "// one\n\n// two\n");
    fixture.write("chapters/ch02-two/tests/came.rs", "// a test\n");
    fixture.write("chapters/ch01-one/README.md", "# One\n");
    fixture.edit(
        "src/SUMMARY.md",
        "- [Two](two.md)",
        "- [Two](two.md)\n- [A](ch01-one.md)\n- [B](ch02-two.md)",
    );
    fixture.write("src/ch01-one.md", "# A\n");
    fixture.write("src/ch02-two.md", &format!("# B\n\n{page}\n"));
    fixture
}

const NOTES: &str = "{{#changes\nsrc/changed.rs, src/came.rs: says `a < b`\n}}";

#[track_caller]
fn built(page: &str) -> String {
    let fixture = with(page);
    assert_eq!(fixture.check(), Vec::<String>::new());
    let site = fixture.path("site");
    book::build(fixture.root(), &site).expect("a good book");
    let page = fs::read_to_string(site.join("ch02-two.html")).expect("the page");
    // mdBook begins new lines where it likes.
    page.replace('\n', "")
}

#[test]
fn every_file_is_in_the_list() {
    let page = built(NOTES);
    let row = |file: &str| {
        let start = page
            .find(&format!("<code>{file}</code></a></td>"))
            .expect(file);
        page[start..]
            .split("</tr>")
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(row("src/changed.rs").contains("<td>+1 −2</td>"), "{page}");
    assert!(
        row("src/changed.rs").contains("says <code>a &lt; b</code>"),
        "{page}"
    );
    assert!(
        row("src/came.rs").contains("<td>new, 3 lines</td>"),
        "{page}"
    );
    assert!(row("src/gone.rs").contains("<td>gone</td>"), "{page}");
    assert!(page.contains("since chapter 1"), "{page}");
    let folded: Vec<&str> = page.split("<summary>").skip(1).collect();
    assert!(
        folded[0].starts_with("1 file as before</summary><p><code>src/same.rs</code></p>"),
        "{page}"
    );
    assert!(
        folded[1].contains("<code>tests/came.rs</code></a> (new, 1 line)"),
        "{page}"
    );
    assert!(!page.contains("README"), "{page}");
}

#[test]
fn a_difference_shows_what_came_and_went() {
    let page = built("{{#diff src/changed.rs}}");
    assert!(page.contains("since chapter 1, +1 −2"), "{page}");
    assert!(
        page.contains("<del><span class=\"diff-spoken\">removed: </span><code "),
        "{page}"
    );
    // The numbers are those of the new file, in which a line is missing before.
    assert!(
        page.contains("<ins data-n=\"22\"><span class=\"diff-spoken\">added: </span><code "),
        "{page}"
    );
    assert!(
        page.contains("line(20) &lt; &quot;&amp;&quot;;")
            || page.contains("line(20) &lt; \"&amp;\";"),
        "{page}"
    );
    let fold = |n: usize, rest: &str| format!("<summary>{n} lines as before{rest}");
    assert!(
        page.contains(&fold(
            13,
            ", up to a part of <code>fn all()</code></summary>"
        )),
        "{page}"
    );
    assert!(page.contains(&fold(18, "")), "{page}");
    assert!(page.contains("// *ten*"), "{page}");
    // Folded or not, every line is there, once.
    for n in (1..=40).filter(|n| *n != 20) {
        assert_eq!(page.matches(&format!("line({n});")).count(), 1, "line {n}");
    }
    assert!(page.contains("data-n=\"21\""), "{page}");
    assert!(!page.contains("data-n=\"10\""), "{page}");
}

#[test]
fn a_long_difference_begins_folded() {
    let fixture = with("{{#diff src/changed.rs}}");
    let long: String = (0..81).map(|n| format!("// {n}\n")).collect();
    for (text, open) in [
        (&long, "<details class=\"diff\">"),
        (&long[..300].to_owned(), "<details class=\"diff\" open"),
    ] {
        fixture.write("chapters/ch02-two/src/changed.rs", text);
        fixture.write("chapters/ch01-one/src/changed.rs", "");
        book::build(fixture.root(), &fixture.path("site")).expect("a good book");
        let page = fs::read_to_string(fixture.path("site/ch02-two.html")).expect("the page");
        assert!(page.contains(open), "{page}");
    }
}

#[test]
fn what_is_not_so_is_refused() {
    for (page, message) in [
        (
            "{{#changes src/changed.rs: why}}",
            "src/came.rs is new, 3 lines, and nothing says why",
        ),
        (
            "{{#changes src/came.rs: why}}",
            "src/changed.rs is +1 −2, and nothing says why",
        ),
        (
            "{{#changes src/same.rs: why}}",
            "src/same.rs is as before, and has a note",
        ),
        (
            "{{#changes src/never.rs: why}}",
            "src/never.rs is neither in ch01-one nor in ch02-two",
        ),
        ("{{#changes src/came.rs}}", "`src/came.rs` is no note"),
        (
            "{{#changes src/came.rs: a\nsrc/came.rs: b}}",
            "src/came.rs has two notes",
        ),
        (
            "{{#diff src/same.rs}}",
            "src/same.rs is the same in ch01-one and ch02-two",
        ),
        (
            "{{#diff src/came.rs}}",
            "src/came.rs is not in both ch01-one and ch02-two",
        ),
    ] {
        let problems = with(page).check();
        assert_eq!(problems.len(), 1, "{page}: {problems:?}");
        assert!(
            problems[0].starts_with("src/ch02-two.md:3: "),
            "{problems:?}"
        );
        assert!(problems[0].contains(message), "{problems:?}");
    }
}

#[test]
fn only_a_chapter_with_one_before_it_has_changes() {
    let fixture = with(NOTES);
    fixture.write("src/ch01-one.md", "# A\n\n{{#diff src/changed.rs}}\n");
    let problems = fixture.check();
    assert!(
        problems[0].contains("chapters/ has no `ch01-one` with one before it"),
        "{problems:?}"
    );
}
