//! Everybody who should not be able to run anything, trying; and what runs, trying to stay.

mod common;
#[path = "common/runs.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this"
)]
mod runs;
#[path = "common/server.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this"
)]
mod server;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use common::Fixture;
use runs::{Stream, exchange, fixture, headers, post, request, soon};
use server::Server;

const PATHS: [&str; 5] = ["run", "stop", "serve", "connect", "say"];

/// Sends to every route what a page sends, with one thing changed.
#[track_caller]
fn refused(server: &Server, status: u16, says: &str, change: impl Fn(String) -> String) {
    for path in PATHS {
        let asked = change(request(
            server,
            path,
            &json!({"run": "x", "client": "x", "text": ""}),
        ));
        let answer = exchange(server, &asked);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
        assert!(!answer.head.contains("access-control"), "{}", answer.head);
    }
}

fn served() -> (Fixture, Server) {
    let fixture = Fixture::new();
    let server = Server::start(fixture.root());
    (fixture, server)
}

#[test]
fn what_a_page_sends_gets_past_the_checks() {
    let (_fixture, server) = served();
    for path in PATHS {
        let answer = post(
            &server,
            path,
            &json!({"run": "x", "client": "x", "text": ""}),
        );
        assert_eq!(answer.status, 422, "{path}: {}", answer.body);
        assert!(!answer.head.contains("access-control"), "{}", answer.head);
    }
}

#[test]
fn a_foreign_page_around_ours() {
    let (_fixture, server) = served();
    for path in ["/", "/one.html", "/no-such-page.html"] {
        let answer = server.get(path);
        let policy = answer.header("content-security-policy");
        assert_eq!(policy, Some("frame-ancestors 'none'"), "{path}");
    }
}

#[test]
fn a_foreign_host() {
    let (_fixture, server) = served();
    let own = format!("Host: {}\r\n", server.address);
    for host in ["evil.example", "127.0.0.1", "localhost:1"] {
        refused(&server, 403, "does not answer for", |text| {
            text.replace(&own, &format!("Host: {host}\r\n"))
        });
    }
}

#[test]
fn a_foreign_origin_or_none() {
    let (_fixture, server) = served();
    let own = format!("Origin: http://{}\r\n", server.address);
    let port = server.address.split(':').nth(1).expect("a port");
    for origin in [
        "http://evil.example".to_owned(),
        "null".to_owned(),
        String::new(),
        format!("https://{}", server.address),
        format!("http://{}.evil.example", server.address),
        format!("http://{}/", server.address),
        format!("http://localhost:{port}"),
        "http://127.0.0.1".to_owned(),
    ] {
        refused(&server, 403, "another Origin", |text| {
            text.replace(&own, &format!("Origin: {origin}\r\n"))
        });
    }
    refused(&server, 403, "no Origin", |text| text.replace(&own, ""));
    refused(&server, 403, "no Origin, or several", |text| {
        text.replace(&own, &format!("{own}{own}"))
    });
}

#[test]
fn a_wrong_token_or_none() {
    let (_fixture, server) = served();
    let own = format!("X-Book-Token: {}\r\n", server.token);
    let last = if server.token.ends_with('0') {
        "1"
    } else {
        "0"
    };
    let nearly = format!("{}{last}", &server.token[..63]);
    for token in [
        "0".repeat(64),
        nearly,
        server.token[..63].to_owned(),
        format!("{}0", server.token),
        server.token.to_uppercase() + "X",
        String::new(),
    ] {
        refused(&server, 403, "not the token", |text| {
            text.replace(&own, &format!("X-Book-Token: {token}\r\n"))
        });
    }
    refused(&server, 403, "no token", |text| text.replace(&own, ""));
    // Not in a place that other pages could fill either.
    refused(&server, 403, "no token", |text| {
        text.replace(&own, &format!("Cookie: {}\r\n", own.trim()))
    });
}

#[test]
fn each_start_has_its_own_token() {
    let (fixture, server) = served();
    let other = Server::start(fixture.root());
    assert_eq!(server.token.len(), 64);
    assert_ne!(server.token, other.token);
}

#[test]
fn other_methods() {
    let (_fixture, server) = served();
    for method in ["GET", "PUT", "OPTIONS", "DELETE"] {
        refused(&server, 405, "POST only", |text| {
            text.replacen("POST", method, 1)
        });
    }
}

#[test]
fn a_form() {
    let (_fixture, server) = served();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin1",
        "application/jsonp",
        "text/plain; application/json",
    ] {
        refused(&server, 415, "application/json", |text| {
            text.replace("application/json", kind)
        });
    }
}

#[test]
fn a_huge_body() {
    let (_fixture, server) = served();
    for path in PATHS {
        let head = format!(
            "POST /__book/{path} HTTP/1.1\r\n{}Connection: close\r\n",
            headers(&server)
        );
        let told = exchange(&server, &format!("{head}Content-Length: 65537\r\n\r\n"));
        assert_eq!(told.status, 413, "{}", told.body);
        let silent = exchange(&server, &format!("{head}\r\n"));
        assert_eq!(silent.status, 411, "{}", silent.body);
        // No end in sight, and no length.
        let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
        let endless = format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{}",
            chunk.repeat(5)
        );
        assert_eq!(exchange(&server, &endless).status, 413);
    }
}

#[test]
fn a_slow_body() {
    let (_fixture, server) = served();
    let started = Instant::now();
    let answer = exchange(
        &server,
        &format!(
            "POST /__book/run HTTP/1.1\r\n{}Content-Length: 100\r\nConnection: close\r\n\r\n{{",
            headers(&server)
        ),
    );
    assert_eq!(answer.status, 408, "{}", answer.body);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_web_socket_of_another_site() {
    let (_fixture, server) = served();
    for path in ["__book/run", "__book/connect", "__book/events/0", ""] {
        let answer = server.ask(&format!(
            "GET /{path} HTTP/1.1\r\nHost: {}\r\nOrigin: http://evil.example\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            if path.starts_with("__book/events") { "evil.example" } else { &server.address },
        ));
        assert_ne!(answer.status, 101, "{path}");
        assert!(!answer.head.contains("sec-websocket-accept"), "{path}");
    }
}

#[test]
fn paths_that_lead_elsewhere() {
    let fixture = fixture();
    let secret = fixture.path("secret.rs");
    let text = "// ANCHOR: a\nfn f() {}\n// ANCHOR_END: a\n";
    fixture.write("secret.rs", text);
    #[cfg(unix)]
    std::os::unix::fs::symlink(&secret, fixture.path("chapters/first/src/link.rs"))
        .expect("a link can be made");
    let server = Server::start(fixture.root());
    for page in [
        "../one",
        "..",
        "",
        "one/../one",
        "/etc/passwd",
        "one.md",
        "none",
    ] {
        let answer = post(
            &server,
            "run",
            &json!({"page": page, "info": "rust", "code": ""}),
        );
        assert_eq!(answer.status, 422, "{page}");
        assert!(answer.body.contains("has no page"), "{}", answer.body);
    }
    for place in [
        "secret.rs:a",
        "chapters/../secret.rs:a",
        "chapters/first/../../secret.rs:a",
        "chapters/first/src/link.rs:a",
        "chapters//first/src/lib.rs:add",
        "./chapters/first/src/lib.rs:add",
        "chapters/first/src/lib.rs:none",
        "chapters/first/src/lib.rs",
        "chapters/first/src/none.rs:add",
        "chapters/first/Cargo.toml:add",
        "chapters/../chapters/first/src/lib.rs:add",
        "/etc/passwd:root",
    ] {
        let info = format!("rust,excerpt,{place}");
        let answer = post(
            &server,
            "run",
            &json!({"page": "one", "info": info, "code": "x"}),
        );
        assert_eq!(answer.status, 422, "{place}");
    }
    assert_eq!(fs::read_to_string(secret).expect("it is there"), text);
}

#[test]
fn commands_that_are_no_chapters_server() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let mark = fixture.path("mark");
    let touch = format!("touch {}", mark.display());
    for command in [
        touch.clone(),
        format!("cargo run -p first; {touch}"),
        format!("cargo run -p first -- $({touch})"),
        format!("cargo run -p first -- `{touch}`"),
        "cargo run -p first -- | cat".to_owned(),
        "cargo run -p first -- > mark".to_owned(),
        "cargo run -p first -- $HOME".to_owned(),
        "cargo run -p first -- 'a b'".to_owned(),
        "cargo run -p playground".to_owned(),
        "cargo run -p ../tools/playground".to_owned(),
        "cargo run -p first --example ../src/lib".to_owned(),
        "cargo run -p first --example none".to_owned(),
        "cargo run -p first --example -- --listen 127.0.0.1:0".to_owned(),
        "cargo run --manifest-path x -p first".to_owned(),
        "cargo run --config build.rustc=x -p first".to_owned(),
        "cargo run".to_owned(),
        "cargo test -p first".to_owned(),
        "cargo run -p first --example hello -- --listen 0.0.0.0:7007".to_owned(),
        "cargo run -p first --example hello -- --listen unix:x".to_owned(),
        String::new(),
    ] {
        let answer = post(
            &server,
            "serve",
            &json!({"page": "one", "command": command}),
        );
        assert_eq!(answer.status, 422, "{command}: {}", answer.body);
    }
    assert!(!mark.exists());
}

#[test]
fn the_token_is_in_no_file() {
    fn look(folder: &Path, token: &str) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                look(&path, token);
            } else {
                let content = fs::read(&path).expect("a file");
                let found = content
                    .windows(token.len())
                    .any(|part| part == token.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
    let (fixture, server) = served();
    look(fixture.root(), &server.token);
    let built = server.temporary.path();
    assert!(fs::read_dir(built).expect("a folder").count() > 0);
    look(built, &server.token);
    for path in [
        "/",
        "/one.html",
        "/print.html",
        "/__book/reload.js",
        "/none",
    ] {
        let answer = server.get(path);
        assert!(!answer.body.contains(&server.token) && !answer.head.contains(&server.token));
    }
}

/// A program that leaves processes behind in three ways; each writes its number into a file first.
fn leaves_orphans(marks: &Path) -> String {
    format!(
        "use std::process::Command;\n\
         let own = \"echo $$ > {marks}/a; exec sleep 600\";\n\
         Command::new(\"sh\").args([\"-c\", own]).spawn().unwrap();\n\
         let orphan = \"(echo $BASHPID; sh -c 'echo $$ > {marks}/b; exec sleep 600') & exit\";\n\
         Command::new(\"sh\").args([\"-c\", orphan]).status().unwrap();\n\
         let escaped = \"setsid sh -c 'setsid sh -c \\\"echo \\\\$\\\\$ > {marks}/c; exec sleep 600\\\" &' &\";\n\
         Command::new(\"sh\").args([\"-c\", escaped]).status().unwrap();\n\
         let there = |name: &&str| std::fs::read_to_string(format!(\"{marks}/{{name}}\")).is_ok_and(|text| text.ends_with('\\n'));\n\
         while ![\"a\", \"b\", \"c\"].iter().all(there) {{ std::thread::yield_now(); }}\n\
         println!(\"all there\");\n",
        marks = marks.display()
    )
}

/// Waits until none of the processes named in the files runs.
#[cfg(target_os = "linux")]
#[track_caller]
fn all_gone(marks: &Path) {
    for name in ["a", "b", "c"] {
        let pid = fs::read_to_string(marks.join(name)).expect("it was started");
        let stat = format!("/proc/{}/stat", pid.trim());
        soon(&format!("the end of process {name}"), || {
            fs::read_to_string(&stat)
                .ok()
                .and_then(|stat| {
                    stat.rsplit_once(") ")
                        .map(|(_, rest)| rest.starts_with(['Z', 'X']))
                })
                .unwrap_or(true)
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn orphans_after_a_normal_end() {
    let (fixture, marks) = (fixture(), tempfile::tempdir().expect("a folder"));
    let server = Server::start(fixture.root());
    let mut run = Stream::block(&server, "rust", &leaves_orphans(marks.path()));
    let end = run.end();
    assert_eq!(end["text"], "ended well", "{end}");
    all_gone(marks.path());
}

#[cfg(target_os = "linux")]
#[test]
fn orphans_after_stop() {
    let (fixture, marks) = (fixture(), tempfile::tempdir().expect("a folder"));
    let server = Server::start(fixture.root());
    let code = leaves_orphans(marks.path()) + "loop { std::thread::park() }";
    let mut run = Stream::block(&server, "rust", &code);
    run.says("all there");
    assert_eq!(
        post(&server, "stop", &json!({"run": run.start["run"]})).status,
        204
    );
    assert_eq!(run.end()["how"], "stopped");
    all_gone(marks.path());
}

#[cfg(target_os = "linux")]
#[test]
fn orphans_after_the_page_is_closed() {
    let (fixture, marks) = (fixture(), tempfile::tempdir().expect("a folder"));
    let server = Server::start(fixture.root());
    let code = leaves_orphans(marks.path()) + "loop { std::thread::park() }";
    let mut run = Stream::block(&server, "rust", &code);
    run.says("all there");
    drop(run);
    all_gone(marks.path());
    no_folders(&server);
}

#[cfg(target_os = "linux")]
#[test]
fn orphans_after_the_server_is_killed() {
    let (fixture, marks) = (fixture(), tempfile::tempdir().expect("a folder"));
    let mut server = Server::start(fixture.root());
    let code = leaves_orphans(marks.path()) + "loop { std::thread::park() }";
    let mut run = Stream::block(&server, "rust", &code);
    run.says("all there");
    server.kill();
    all_gone(marks.path());
    no_folders(&server);
}

/// Waits until no run has a folder any more.
#[track_caller]
fn no_folders(server: &Server) {
    soon("the end of the run's folder", || {
        fs::read_dir(server.temporary.path())
            .expect("a folder")
            .flatten()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with("book-run-"))
    });
}

#[test]
fn an_endless_loop() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let end = Stream::block(&server, "rust,timeout=1", "loop {}").end();
    assert_eq!(
        (&end["how"], &end["expected"]),
        (&json!("time"), &json!(false))
    );
    no_folders(&server);
}

#[test]
fn endless_output() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let code = "loop { println!(\"{}\", \"x\".repeat(1000)); }";
    let mut run = Stream::block(&server, "rust", code);
    let lines = run.rest();
    let size: usize = lines
        .iter()
        .filter_map(|line| Some(line["text"].as_str()?.len()))
        .sum();
    let end = lines.last().expect("an end");
    assert_eq!(end["how"], "output", "{end}");
    assert!((256 * 1024..300 * 1024).contains(&size), "{size}");
}

#[test]
fn a_fork_bomb_of_a_modest_size() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let code = "for _ in 0..200 { std::process::Command::new(\"sleep\").arg(\"600\").spawn().unwrap(); }\n\
                println!(\"done\");";
    let end = Stream::block(&server, "rust", code).end();
    assert_eq!(end["text"], "ended well", "{end}");
}

#[test]
fn files_and_descriptors_are_limited() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let code = "use std::io::Write;\n\
        let many: Vec<_> = (0..2000).map_while(|_| std::fs::File::open(\"/dev/null\").ok()).collect();\n\
        println!(\"{} files\", many.len() < 1100);\ndrop(many);\n\
        let mut file = std::fs::File::create(\"big\").unwrap();\n\
        for _ in 0..100 { file.write_all(&[0; 1 << 20]).unwrap(); }\n";
    let mut run = Stream::block(&server, "rust", code);
    assert_eq!(run.until("out")["text"], "true files\n");
    assert_eq!(run.end()["how"], "signal");
    no_folders(&server);
}

#[test]
fn the_environment_is_clean() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let code = "for (name, _) in std::env::vars() { println!(\"{name}\"); }";
    let lines = Stream::block(&server, "rust", code).rest();
    let names: String = lines
        .iter()
        .filter(|line| line["is"] == "out")
        .filter_map(|line| line["text"].as_str())
        .collect();
    let allowed = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ"];
    for name in names.lines() {
        assert!(allowed.contains(&name), "{name}");
    }
    assert!(names.contains("PATH"));
}

#[test]
fn too_much_at_once() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let code = "println!(\"up\"); loop { std::thread::park() }";
    let mut running: Vec<Stream> = (0..4)
        .map(|_| Stream::block(&server, "rust", code))
        .collect();
    let fifth = json!({"page": "one", "info": "rust", "code": ""});
    let answer = post(&server, "run", &fifth);
    assert_eq!(answer.status, 429, "{}", answer.body);
    // A page that is closed gives its place back.
    running.pop();
    soon("a free place", || {
        let mut stream = server.connect();
        stream
            .write_all(request(&server, "run", &fifth).as_bytes())
            .expect("a request can be sent");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("an answer in time");
        status.ends_with(b"200")
    });
}
