//! A running `cargo book`, spoken to over a real socket. It ends with the test, however that ends.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take. Far more than it needs: only a fault makes a test wait this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server for one test.
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    seen: VecDeque<String>,
    /// `127.0.0.1:PORT`
    pub address: String,
    /// What it printed for its pages alone.
    pub token: String,
    /// Where it keeps its temporary files: a server that is killed cannot clean up.
    pub temporary: TempDir,
}

/// `book`, to be run in a folder.
pub fn book(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_book"));
    command
        .current_dir(folder)
        .env_remove("CARGO_MANIFEST_DIR")
        .stdin(Stdio::null());
    command
}

impl Server {
    /// Serves the book in a folder, on a free port.
    pub fn start(folder: &Path) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let mut command = book(folder);
        // Packages of two fixtures have one name, and would get into each other's way.
        let whole = folder.canonicalize().expect("a folder");
        if !Path::new(env!("CARGO_MANIFEST_DIR")).starts_with(whole) {
            command.env("CARGO_TARGET_DIR", folder.join("target"));
        }
        let mut child = command
            .args(["--port", "0"])
            .env("TMPDIR", temporary.path())
            .env("TMP", temporary.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let (sender, lines) = channel();
        follow(child.stdout.take().expect("a pipe"), sender.clone());
        follow(child.stderr.take().expect("a pipe"), sender);
        let mut server = Server {
            child,
            lines,
            seen: VecDeque::new(),
            address: String::new(),
            token: String::new(),
            temporary,
        };
        let line = server.line("serving at http://");
        let start = line.find("127.0.0.1:").expect("a loopback address");
        server.address = line[start..]
            .split('/')
            .next()
            .expect("an address")
            .to_owned();
        server.token = line
            .split("/#token=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .expect("a token in the address")
            .to_owned();
        server
    }

    /// Waits for a line with this text, on either output.
    #[track_caller]
    pub fn line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            let line = match self.seen.pop_front() {
                Some(line) => Ok(line),
                None => self
                    .lines
                    .recv_timeout(deadline.saturating_duration_since(Instant::now())),
            };
            match line {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => passed.push(line),
                Err(error) => panic!("no line with `{text}` ({error}); there were: {passed:#?}"),
            }
        }
    }

    /// Asks for a path as a browser would.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n",
            self.address
        ))
    }

    /// Sends a request, whose head lacks only its end.
    #[track_caller]
    pub fn ask(&self, head: &str) -> Answer {
        let mut stream = self.connect();
        stream
            .write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())
            .expect("a request can be sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer in time");
        Answer::parse(&String::from_utf8_lossy(&answer))
    }

    /// A connection to it, with a time limit on what is read.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the server accepts");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time limit");
        stream
    }

    /// Opens a page as a browser does: with its script listening.
    #[track_caller]
    pub fn open(&self, path: &str) -> OpenPage {
        let page = self.get(path);
        assert_eq!(page.status, 200, "{path}");
        let build = page
            .body
            .split("data-build=\"")
            .nth(1)
            .expect("the reload script")
            .split('"')
            .next();
        self.listen(build.expect("a build number"))
    }

    /// Listens for another build than this one.
    #[track_caller]
    pub fn listen(&self, build: &str) -> OpenPage {
        let mut stream = self.connect();
        let head = format!(
            "GET /__book/events/{build} HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.address
        );
        stream
            .write_all(head.as_bytes())
            .expect("a request can be sent");
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next().expect("an answer").expect("an answer in time");
        assert_eq!(status, "HTTP/1.1 200 OK");
        OpenPage { lines }
    }

    /// Ends it with no chance to clean up.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.wait();
    }

    /// Presses Ctrl+C and waits for the end.
    #[cfg(unix)]
    pub fn interrupt(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .expect("kill can be run");
        assert!(sent.success());
        self.wait()
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the program can be asked") {
                return status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(output: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
}

/// A page with its script listening.
pub struct OpenPage {
    lines: std::io::Lines<BufReader<TcpStream>>,
}

impl OpenPage {
    /// Waits until the page is told to reload.
    #[track_caller]
    pub fn reloads(mut self) {
        let told = self
            .lines
            .any(|line| line.expect("the reload event arrives in time") == "event: reload");
        assert!(told, "the server closed the channel without a reload");
    }
}

/// What a server answered.
pub struct Answer {
    pub status: u16,
    /// In small letters.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Reads a whole answer.
    pub fn parse(text: &str) -> Self {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("not an answer: {text:?}"));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        Answer {
            status,
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}
