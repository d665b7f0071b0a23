//! Blocks, excerpts and servers, run as a page runs them.

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

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use runs::{Stream, fixture, post, workspace};
use server::Server;

/// What a block printed on an output.
fn printed(lines: &[Value], is: &str) -> String {
    lines
        .iter()
        .filter(|line| line["is"] == is)
        .filter_map(|line| line["text"].as_str())
        .collect()
}

#[test]
fn a_block_runs_with_the_crates_it_may_use() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let lines = Stream::block(&server, "rust", "println!(\"{} é\", first::add(1, 2));").rest();
    assert_eq!(printed(&lines, "out"), "3 é\n");
    assert!(lines.iter().any(|line| line["is"] == "compiled"));
    let end = lines.last().expect("an end");
    assert_eq!(
        end,
        &json!({"is": "end", "how": "exit", "code": 0, "text": "ended well", "expected": true})
    );
}

#[test]
fn output_comes_in_order_and_as_it_is_printed() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let code = "for i in 0..100 { println!(\"{i}\"); }\n\
                loop { std::thread::park() }";
    let mut run = Stream::block(&server, "rust", code);
    let mut said = String::new();
    while !said.ends_with("99\n") {
        said.push_str(run.until("out")["text"].as_str().expect("a text"));
    }
    let wanted: String = (0..100).map(|i| format!("{i}\n")).collect();
    assert_eq!(said, wanted);
    assert_eq!(
        post(&server, "stop", &json!({"run": run.start["run"]})).status,
        204
    );
    let end = run.end();
    assert_eq!(
        (&end["how"], &end["expected"]),
        (&json!("stopped"), &Value::Null)
    );
    assert_eq!(
        post(&server, "stop", &json!({"run": run.start["run"]})).status,
        422
    );
}

#[test]
fn what_a_fence_promises() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let moved = "let a = String::new();\ndrop(a);\ndrop(a);";
    for (info, code, how, text, expected) in [
        (
            "rust,should_panic",
            "panic!(\"no\")",
            "exit",
            "ended by a panic, as it should",
            true,
        ),
        (
            "rust,should_panic",
            "",
            "exit",
            "ended well, but the page says that it panics",
            false,
        ),
        ("rust", "panic!(\"no\")", "exit", "ended by a panic", false),
        (
            "rust",
            "std::process::exit(3)",
            "exit",
            "ended with exit status 3",
            false,
        ),
        (
            "rust",
            "std::process::abort()",
            "signal",
            "was ended by signal 6",
            false,
        ),
        (
            "rust,no_run",
            "loop {}",
            "exit",
            "compiled; this block is not meant to be run",
            true,
        ),
        (
            "rust,compile_fail,E0382",
            moved,
            "compile",
            "did not compile, with E0382, as it should",
            true,
        ),
        (
            "rust,compile_fail,E0308",
            moved,
            "compile",
            "did not compile, but not with E0308 alone",
            false,
        ),
        (
            "rust,compile_fail,E0382",
            "",
            "exit",
            "compiled, but the page says that it does not",
            false,
        ),
        ("rust", moved, "compile", "did not compile", false),
    ] {
        let end = Stream::block(&server, info, code).end();
        assert_eq!(
            (&end["how"], &end["text"], &end["expected"]),
            (&json!(how), &json!(text), &json!(expected)),
            "{info} {code}"
        );
    }
    for info in ["rust,ignore", "text", "", "rust,timeout=11"] {
        let answer = post(
            &server,
            "run",
            &json!({"page": "one", "info": info, "code": ""}),
        );
        assert_eq!(answer.status, 422, "{info}");
    }
}

#[test]
fn messages_point_into_the_readers_lines() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let mut run = Stream::block(&server, "rust", "let a = 1;\n\nlet b: u8 = \"\";\n");
    let message = run.until("message");
    assert_eq!(
        (&message["level"], &message["line"]),
        (&json!("error"), &json!(3))
    );
    let text = message["text"].as_str().expect("a text");
    assert!(
        text.contains("block.rs:3:") && text.contains("\u{1b}["),
        "{text}"
    );
    assert_eq!(run.end()["how"], "compile");
}

#[test]
fn two_at_once() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let code = "println!(\"up\"); loop { std::thread::park() }";
    let mut one = Stream::block(&server, "rust", code);
    let mut two = Stream::block(&server, "rust", code);
    one.says("up");
    two.says("up");
    assert_eq!(
        post(&server, "stop", &json!({"run": two.start["run"]})).status,
        204
    );
    assert_eq!(two.end()["how"], "stopped");
    assert_eq!(
        post(&server, "stop", &json!({"run": one.start["run"]})).status,
        204
    );
    assert_eq!(one.end()["how"], "stopped");
}

#[test]
fn an_edited_part_of_a_chapter_meets_its_tests() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let original = fs::read_to_string(fixture.path("chapters/first/src/lib.rs")).expect("a file");
    let info = "rust,excerpt,chapters/first/src/lib.rs:add";
    let right = "pub fn add(a: u32, b: u32) -> u32 {\n    b + a\n}";
    let mut run = Stream::block(&server, info, right);
    let note = run.until("note");
    assert_eq!(note["text"], "running the tests of first with your lib.rs");
    let end = run.end();
    assert_eq!(
        (&end["text"], &end["expected"]),
        (&json!("the chapter's tests pass"), &Value::Null)
    );
    let wrong = Stream::block(&server, info, &right.replace('+', "*")).rest();
    assert_eq!(
        wrong.last().expect("an end")["text"],
        "the chapter's tests fail"
    );
    assert!(
        printed(&wrong, "out").contains("adds ... FAILED"),
        "{wrong:#?}"
    );
    let mut broken = Stream::block(&server, info, &right.replace("b + a", "b + \"\""));
    assert_eq!(broken.until("message")["line"], 2);
    assert_eq!(broken.end()["how"], "compile");
    let again = fs::read_to_string(fixture.path("chapters/first/src/lib.rs")).expect("a file");
    assert_eq!(again, original);
}

#[test]
fn an_edited_part_of_an_example_is_run() {
    let fixture = fixture();
    let server = Server::start(fixture.root());
    let info = "rust,excerpt,chapters/first/examples/hello.rs:say";
    for word in ["one", "two"] {
        let lines = Stream::block(&server, info, &format!("println!(\"{word}\");")).rest();
        assert_eq!(printed(&lines, "out"), format!("{word}\n"), "{lines:#?}");
        assert_eq!(lines.last().expect("an end")["text"], "ended well");
    }
}

/// Starts a chapter's server.
fn started(server: &Server, chapter: &str) -> Stream {
    started_by(server, chapter, &format!("cargo run -q -p {chapter} --"))
}

/// Starts one by a command of its own.
fn started_by(server: &Server, chapter: &str, command: &str) -> Stream {
    let command = format!("{command} --listen 127.0.0.1:7010 &");
    let mut run = Stream::open(
        server,
        "serve",
        &json!({"page": chapter, "command": command}),
    );
    let address = run.until("listening");
    let address = address["address"].as_str().expect("an address");
    assert!(
        address.starts_with("127.0.0.1:") && !address.ends_with(":7010"),
        "{address}"
    );
    run
}

/// Connects a client, and tells its name.
#[track_caller]
fn client(server: &Server, run: &Stream) -> String {
    let answer = post(server, "connect", &json!({"run": run.start["run"]}));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
    answer["client"].as_str().expect("a name").to_owned()
}

#[track_caller]
fn say(server: &Server, client: &str, what: &Value) {
    let mut body = what.clone();
    body["client"] = client.into();
    assert_eq!(post(server, "say", &body).status, 204);
}

/// Waits until this client, and no other, has heard a text.
#[track_caller]
fn heard(run: &mut Stream, client: &str, text: &str) {
    let mut heard = String::new();
    while heard != text {
        let line = run.until("heard");
        assert_eq!(line["client"], client, "{line}");
        heard.push_str(line["text"].as_str().expect("a text"));
        assert!(text.starts_with(&heard), "{heard}");
    }
}

#[track_caller]
fn gone(run: &mut Stream, client: &str, why: &str) {
    let line = run.until("gone");
    assert_eq!(line["client"], client, "{line}");
    assert_eq!(line["text"], why, "{line}");
}

#[track_caller]
fn stop(server: &Server, mut run: Stream) {
    let stopped = post(server, "stop", &json!({"run": run.start["run"]}));
    assert_eq!(stopped.status, 204);
    assert_eq!(run.end()["how"], "stopped");
}

#[test]
fn the_first_chapters_second_client_waits_for_the_first() {
    let server = Server::start(&workspace());
    let mut run = started(&server, "ch01-synchronous-server");
    let one = client(&server, &run);
    say(&server, &one, &json!({"text": "one\n"}));
    heard(&mut run, &one, "one\n");
    let two = client(&server, &run);
    say(&server, &two, &json!({"text": "two\n"}));
    // The first still has the server to itself.
    say(&server, &one, &json!({"text": "again\n"}));
    heard(&mut run, &one, "again\n");
    say(&server, &one, &json!({"finish": true}));
    // Which of the two comes first on the page is not determined.
    let mut news: Vec<(Value, Value, Value)> = (0..2)
        .map(|_| {
            let line = run.one_of(&["gone", "heard"]);
            (
                line["is"].clone(),
                line["client"].clone(),
                line["text"].clone(),
            )
        })
        .collect();
    news.sort_by_key(|(is, ..)| is.to_string());
    assert_eq!(
        news,
        [
            (
                json!("gone"),
                json!(one),
                json!("the server closed the connection")
            ),
            (json!("heard"), json!(two), json!("two\n")),
        ]
    );
    stop(&server, run);
    let late = post(&server, "say", &json!({"client": two, "text": "?"}));
    assert_eq!(late.status, 422, "{}", late.body);
}

#[test]
fn the_third_chapters_clients_do_not_wait() {
    let server = Server::start(&workspace());
    let mut run = started(&server, "ch03-system-events");
    let (one, two) = (client(&server, &run), client(&server, &run));
    say(&server, &two, &json!({"text": "two\n"}));
    heard(&mut run, &two, "two\n");
    say(&server, &one, &json!({"text": "one\n"}));
    heard(&mut run, &one, "one\n");
    let more: Vec<String> = (0..6).map(|_| client(&server, &run)).collect();
    let ninth = post(&server, "connect", &json!({"run": run.start["run"]}));
    assert_eq!(ninth.status, 429, "{}", ninth.body);
    // One that hangs up makes room.
    say(&server, &more[0], &json!({"close": true}));
    gone(&mut run, &more[0], "closed by you");
    client(&server, &run);
    stop(&server, run);
}

/// Waits until a client has said something, and closes the connection without reading it.
const RUDE: &str = r#"
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        stream?.peek(&mut [0])?;
    }
    Ok(())
}
"#;

// Elsewhere, a system may close such a connection in good order.
#[cfg(target_os = "linux")]
#[test]
fn a_reset_is_told_from_an_end() {
    let fixture = fixture();
    fixture.write("chapters/first/examples/rude.rs", RUDE);
    let server = Server::start(fixture.root());
    let mut run = started_by(&server, "one", "cargo run -q -p first --example rude --");
    let one = client(&server, &run);
    say(&server, &one, &json!({"text": "hello\n"}));
    gone(&mut run, &one, "the server reset the connection");
    // It is gone for those who still talk to it, and the server is there for others.
    let late = post(&server, "say", &json!({"client": one, "text": "?"}));
    assert_eq!(late.status, 422, "{}", late.body);
    let two = client(&server, &run);
    say(&server, &two, &json!({"text": "hello\n"}));
    gone(&mut run, &two, "the server reset the connection");
    stop(&server, run);
}

#[test]
fn a_block_of_the_book_itself() {
    let server = Server::start(&workspace());
    let code = "use ch04_orphans::run;\nlet n: u8 = run(async |_| Ok(7))?;\nprintln!(\"{n}\");\nOk::<(), ch04_orphans::Failure>(())";
    let lines = Stream::open(
        &server,
        "run",
        &json!({"page": "ch04-orphans", "info": "rust", "code": code}),
    )
    .rest();
    assert_eq!(printed(&lines, "out"), "7\n", "{lines:#?}");
}

/// The two lists of what a block may use, here and where the tests compile it, must not drift apart.
#[test]
fn the_playground_has_what_the_tests_have() {
    let read = |path: &str| -> toml::Table {
        let text = fs::read_to_string(workspace().join(path)).expect("a manifest");
        toml::from_str(&text).expect("TOML")
    };
    let list = |manifest: &toml::Table, table: &str| -> BTreeMap<String, String> {
        let table = manifest[table].as_table().expect("a table");
        let plain = |value: &toml::Value| value.to_string().replace("../../", "../");
        table
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect()
    };
    let mut tests = list(&read("tests/Cargo.toml"), "dev-dependencies");
    // The model checker's, and no page's.
    tests.remove("loom");
    let playground = list(&read("tools/playground/Cargo.toml"), "dependencies");
    assert_eq!(playground, tests);
}
