//! `cargo book`, the real program, over real sockets.

mod common;
#[path = "common/server.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this"
)]
mod server;

use std::fs;
use std::net::TcpListener;

use common::Fixture;
use server::{Server, book};

#[test]
fn pages_and_their_files() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.root());
    let page = server.get("/one.html");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html"))
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.body.contains("<h2 id=\"a-heading\">"));
    assert!(
        page.body.contains("pub fn add(a: u32"),
        "includes are carried out"
    );
    assert!(!page.body.contains("ANCHOR"));
    assert!(page.body.contains("<meta charset=\"UTF-8\">"));
    assert_eq!(server.get("/").status, 200);
    assert_eq!(
        server.get("/figure.svg").header("content-type"),
        Some("image/svg+xml")
    );
    let script = server.get("/__book/reload.js");
    assert_eq!(
        (script.status, script.header("content-type")),
        (200, Some("text/javascript; charset=utf-8"))
    );
    let style = page
        .body
        .split("href=\"css/general")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    assert_eq!(
        server
            .get(&format!("/css/general{style}"))
            .header("content-type"),
        Some("text/css")
    );
}

#[test]
fn what_is_not_there() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.root());
    let missing = server.get("/nowhere.html");
    assert_eq!(missing.status, 404);
    assert!(
        missing.body.contains("Document not found"),
        "the reader gets a page"
    );
    for path in [
        "/../book.toml",
        "/%2e%2e/book.toml",
        "/..%2fbook.toml",
        "//etc/hostname",
        "/%2fetc/hostname",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}");
    }
    let post = server.ask(&format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n",
        server.address
    ));
    assert_eq!(post.status, 405);
}

#[test]
fn only_requests_for_this_address_are_answered() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.root());
    let (_, port) = server.address.split_once(':').unwrap();
    for path in [
        "/",
        "/one.html",
        "/nowhere",
        "/__book/reload.js",
        "/__book/events/0",
    ] {
        for foreign in [
            "evil.example",
            &format!("evil.example:{port}"),
            "127.0.0.1",
            "localhost:1",
            &format!("[::1]:{port}"),
            "",
        ] {
            let answer = server.ask(&format!("GET {path} HTTP/1.1\r\nHost: {foreign}\r\n"));
            assert_eq!(answer.status, 403, "{path} {foreign}");
            assert!(
                answer
                    .body
                    .contains(&format!("Open http://127.0.0.1:{port}/")),
                "{}",
                answer.body
            );
        }
        let without = server.ask(&format!("GET {path} HTTP/1.0\r\n"));
        assert_eq!(without.status, 403);
        assert!(without.body.contains("names no Host"), "{}", without.body);
        let own = &server.address;
        let twice = server.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n"
        ));
        assert_eq!(twice.status, 403, "{path}");
        let whole = server.ask(&format!(
            "GET http://evil.example{path} HTTP/1.1\r\nHost: {own}\r\n"
        ));
        assert_eq!(whole.status, 403, "{path}");
    }
    assert_eq!(
        server
            .ask(&format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\n"))
            .status,
        200
    );
}

#[test]
fn a_port_in_use() {
    let fixture = Fixture::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = book(fixture.root())
        .args(["--port", &port.to_string()])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(&format!("port {port} is in use")), "{words}");
    assert!(words.contains("cargo book --port "), "{words}");
}

#[test]
fn a_broken_book_is_not_served() {
    let fixture = Fixture::new();
    fixture.edit("src/one.md", ":add", ":gone");
    fixture.edit("src/two.md", "(#fig)", "(#figure)");
    let output = book(fixture.root()).args(["--port", "0"]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("src/one.md:10: no anchor `gone` in chapters/first/src/lib.rs; write"),
        "{words}"
    );
    assert!(words.contains("src/two.md:26: dead link"), "{words}");
    assert!(
        words.contains("the book is broken in 2 places, so there is nothing to serve"),
        "{words}"
    );
}

#[test]
fn a_changed_page_is_rebuilt_and_reloaded() {
    let fixture = Fixture::new();
    let mut server = Server::start(fixture.root());
    let open = server.open("/one.html");
    fixture.edit("src/one.md", "# One", "# One\n\nA new sentence.");
    open.reloads();
    assert!(server.get("/one.html").body.contains("A new sentence."));
    let line = server.line("src/one.md changed: built in ");
    assert!(line.ends_with(" s, the open pages reload"), "{line}");
}

#[test]
fn a_changed_chapter_is_rebuilt_and_reloaded() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.root());
    let open = server.open("/one.html");
    fixture.edit("chapters/first/src/lib.rs", "a + b", "b + a");
    open.reloads();
    assert!(server.get("/one.html").body.contains("b + a"));
}

#[test]
fn a_file_saved_by_renaming() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.root());
    for round in 1..=2 {
        let open = server.open("/one.html");
        let text = fs::read_to_string(fixture.path("src/one.md")).unwrap();
        fixture.write("src/.one.md.tmp", &format!("{text}\nSaved {round}.\n"));
        fs::rename(fixture.path("src/.one.md.tmp"), fixture.path("src/one.md")).unwrap();
        open.reloads();
        assert!(
            server
                .get("/one.html")
                .body
                .contains(&format!("Saved {round}."))
        );
    }
    // The configuration lies in the root, which is watched in another way.
    let open = server.open("/one.html");
    fixture.write(
        "new.toml",
        "[book]\ntitle = \"Renamed\"\n\n[build]\ncreate-missing = false\n",
    );
    fs::rename(fixture.path("new.toml"), fixture.path("book.toml")).unwrap();
    open.reloads();
    assert!(
        server
            .get("/one.html")
            .body
            .contains("<title>One - Renamed</title>")
    );
}

#[test]
fn a_folder_that_is_replaced_is_still_watched() {
    let fixture = Fixture::new();
    let mut server = Server::start(fixture.root());
    fs::rename(fixture.path("src"), fixture.path("old")).unwrap();
    server.line("the last good build is still being served");
    let open = server.open("/one.html");
    fs::create_dir(fixture.path("src")).unwrap();
    for file in ["SUMMARY.md", "two.md", "figure.svg", "one.md"] {
        fs::copy(
            fixture.path("old").join(file),
            fixture.path("src").join(file),
        )
        .unwrap();
    }
    fixture.edit("src/one.md", "# One", "# One\n\nIn a new folder.");
    open.reloads();
    assert!(server.get("/one.html").body.contains("In a new folder."));
}

#[test]
fn a_broken_page_leaves_the_last_good_one() {
    let fixture = Fixture::new();
    let mut server = Server::start(fixture.root());
    let open = server.open("/one.html");
    let text = fs::read_to_string(fixture.path("src/one.md")).unwrap();
    fixture.write(
        "src/one.md",
        &text.replace(":add", ":gone").replace("# One", "# Broken"),
    );
    server.line(
        "src/one.md:10: no anchor `gone` in chapters/first/src/lib.rs; write `// ANCHOR: gone`",
    );
    server.line("src/one.md changed, and the book is broken in 1 place: the last good build is still being served");
    let page = server.get("/one.html");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("pub fn add(a: u32") && !page.body.contains("Broken"));
    fixture.write("src/one.md", &text.replace("# One", "# Mended"));
    open.reloads();
    assert!(server.get("/one.html").body.contains("Mended"));
}

#[test]
fn a_change_that_shows_nowhere_reloads_nothing() {
    let fixture = Fixture::new();
    let mut server = Server::start(fixture.root());
    fixture.write("chapters/first/notes.txt", "nothing that a page shows\n");
    let line = server.line("chapters/first/notes.txt changed: ");
    assert!(line.ends_with("the pages stay the same"), "{line}");
}

#[test]
fn a_page_of_another_build_reloads_at_once() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.root());
    server.listen("1").reloads();
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_well_and_leaves_nothing() {
    let fixture = Fixture::new();
    let mut server = Server::start(fixture.root());
    let _open = server.open("/one.html");
    assert!(server.interrupt().success());
    assert_eq!(
        fs::read_dir(server.temporary.path()).unwrap().count(),
        0,
        "the built pages are gone"
    );
    assert_eq!(
        fs::read_dir(fixture.root()).unwrap().count(),
        4,
        "and nothing came into the book"
    );
}

#[test]
fn it_serves_from_a_subfolder_too() {
    let fixture = Fixture::new();
    let server = Server::start(&fixture.path("chapters/first/src"));
    assert!(server.get("/one.html").body.contains("Fixture"));
}
