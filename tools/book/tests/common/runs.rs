//! A page's side of the runner, by hand.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::Fixture;
use crate::server::{Answer, Server};

/// The first run builds all chapters.
const BUILDING: Duration = Duration::from_secs(600);

/// The book itself.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A book with a playground that has no crates, so that a run is quick, and with a chapter that is a package.
pub fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"chapters/first\", \"tools/playground\"]\n",
    );
    let package = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{rest}")
    };
    fixture.write(
        "tools/playground/Cargo.toml",
        &package(
            "playground",
            "\n[dependencies]\nfirst = { path = \"../../chapters/first\" }\n",
        ),
    );
    fixture.write("tools/playground/src/lib.rs", "");
    fixture.write("chapters/first/Cargo.toml", &package("first", ""));
    fixture.write(
        "chapters/first/tests/adds.rs",
        "#[test]\nfn adds() {\n    assert_eq!(first::add(1, 2), 3);\n}\n",
    );
    fixture.write(
        "chapters/first/examples/hello.rs",
        "fn main() {\n    // ANCHOR: say\n    println!(\"hello\");\n    // ANCHOR_END: say\n}\n",
    );
    fixture
}

/// The headers of a page of this server.
pub fn headers(server: &Server) -> String {
    format!(
        "Host: {0}\r\nOrigin: http://{0}\r\nX-Book-Token: {1}\r\nContent-Type: application/json\r\n",
        server.address, server.token
    )
}

/// Sends a request and reads all of the answer.
#[track_caller]
pub fn exchange(server: &Server, request: &str) -> Answer {
    let mut stream = server.connect();
    stream
        .write_all(request.as_bytes())
        .expect("a request can be sent");
    let mut answer = Vec::new();
    // A refused body may end in a reset, after the answer.
    let _ = stream.read_to_end(&mut answer);
    Answer::parse(&String::from_utf8_lossy(&answer))
}

/// A `POST` as a page sends it.
pub fn request(server: &Server, path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST /__book/{path} HTTP/1.1\r\n{}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        headers(server),
        body.len()
    )
}

/// Posts something that is answered at once.
#[track_caller]
pub fn post(server: &Server, path: &str, body: &Value) -> Answer {
    exchange(server, &request(server, path, body))
}

/// A stream of lines from the server; dropping it closes the page.
pub struct Stream {
    reader: BufReader<TcpStream>,
    seen: VecDeque<Value>,
    /// The first line.
    pub start: Value,
}

impl Stream {
    /// Posts and reads up to the first line.
    #[track_caller]
    pub fn open(server: &Server, path: &str, body: &Value) -> Self {
        let mut stream = server.connect();
        stream
            .set_read_timeout(Some(BUILDING))
            .expect("a time limit");
        stream
            .write_all(request(server, path, body).as_bytes())
            .expect("a request can be sent");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let n = reader.read_line(&mut head).expect("an answer in time");
            assert!(n > 0, "no whole head: {head}");
        }
        if !head.starts_with("HTTP/1.1 200") {
            let mut rest = String::new();
            let _ = reader.read_to_string(&mut rest);
            panic!("{head}{rest}");
        }
        assert!(head.contains("application/x-ndjson"), "{head}");
        let mut stream = Self {
            reader,
            seen: VecDeque::new(),
            start: Value::Null,
        };
        stream.start = stream.next().expect("a first line");
        assert_eq!(stream.start["is"], "start");
        stream
    }

    /// Runs a block.
    #[track_caller]
    pub fn block(server: &Server, info: &str, code: &str) -> Self {
        let page = "one";
        let body = json!({"page": page, "info": info, "code": code});
        Self::open(server, "run", &body)
    }

    /// The next line; none when the stream has ended.
    #[track_caller]
    pub fn next(&mut self) -> Option<Value> {
        let deadline = Instant::now() + BUILDING;
        loop {
            if let Some(value) = self.seen.pop_front() {
                return Some(value);
            }
            assert!(Instant::now() < deadline, "no line in time");
            // Chunks: a length, and then one line or more.
            let mut length = String::new();
            self.reader.read_line(&mut length).expect("a line in time");
            let length = usize::from_str_radix(length.trim(), 16)
                .ok()
                .filter(|n| *n > 0)?;
            let mut chunk = vec![0; length + 2];
            self.reader.read_exact(&mut chunk).expect("a whole chunk");
            for line in String::from_utf8(chunk).expect("UTF-8").lines() {
                if !line.is_empty() {
                    self.seen
                        .push_back(serde_json::from_str(line).expect("JSON"));
                }
            }
        }
    }

    /// The first line of a kind, which must come.
    #[track_caller]
    pub fn until(&mut self, is: &str) -> Value {
        self.one_of(&[is])
    }

    /// The first line of one of these kinds, which must come.
    #[track_caller]
    pub fn one_of(&mut self, kinds: &[&str]) -> Value {
        let mut passed = Vec::new();
        while let Some(value) = self.next() {
            if kinds.iter().any(|is| value["is"] == *is) {
                return value;
            }
            passed.push(value);
        }
        panic!("none of {kinds:?} among {passed:#?}");
    }

    /// Reads output until it has this text.
    #[track_caller]
    pub fn says(&mut self, text: &str) {
        let mut said = String::new();
        while !said.contains(text) {
            said.push_str(self.until("out")["text"].as_str().expect("a text"));
        }
    }

    /// All that is left.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The last line.
    #[track_caller]
    pub fn end(&mut self) -> Value {
        self.until("end")
    }
}

/// Waits until something is so.
#[track_caller]
pub fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}
