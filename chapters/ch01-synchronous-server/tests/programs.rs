//! The programs as a reader starts them: the server and the examples.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn server() -> Command {
    Command::new(env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME"))))
}

/// An example, built if need be. Cargo has become the example by the time it runs.
fn example(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    command.args(["run", "--quiet", "--offline", "--manifest-path", manifest]);
    command.args(["--example", name, "--"]);
    command
}

/// Killed when the test is over, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running program and what it prints, line by line.
struct Running {
    child: Killed,
    stdout: mpsc::Receiver<String>,
}

/// Lines as they come, for a reader who does not want to wait without an end.
fn lines(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Killed(piped.spawn().unwrap());
        let stdout = lines(child.0.stdout.take().unwrap());
        Running { child, stdout }
    }

    fn line(&self) -> String {
        let line = self.stdout.recv_timeout(PATIENCE);
        line.expect("the program should print a line")
    }

    fn address(&self) -> String {
        let line = self.line();
        let address = line.strip_prefix("listening on ");
        address.unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    /// The line after the last: there is none, because the program has ended.
    fn ends(mut self) {
        assert_eq!(
            self.stdout.recv_timeout(PATIENCE),
            Err(mpsc::RecvTimeoutError::Disconnected)
        );
        assert!(self.child.0.wait().unwrap().success());
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn round_trip(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, text.as_bytes());
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn the_server_says_where_it_listens_and_echoes() {
    let server = Running::start(server().args(["--listen", "127.0.0.1:0"]));
    round_trip(&mut connect(&server.address()), "hello\n");
}

#[test]
fn the_server_does_not_need_anybody_to_read_its_errors() {
    let (_, stderr) = std::io::pipe().unwrap(); // the reading end is dropped at once
    let server = Running::start(server().args(["--listen", "127.0.0.1:0"]).stderr(stderr));
    let address = server.address();
    complain(&address);
    round_trip(&mut connect(&address), "still there?");
}

#[test]
fn the_server_does_not_need_anybody_to_read_its_output() {
    // It cannot tell us its port, so we choose one: below those that the system gives out by
    // itself, and the next if somebody else has it.
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    for port in first..first + 100 {
        let address = format!("127.0.0.1:{port}");
        let (_, stdout) = std::io::pipe().unwrap();
        let child = server().args(["--listen", &address]).stdout(stdout).spawn();
        let mut child = Killed(child.unwrap());
        let start = Instant::now();
        let stream = loop {
            assert!(start.elapsed() < PATIENCE, "nobody listens on {address}");
            match (child.0.try_wait().unwrap(), TcpStream::connect(&address)) {
                (Some(status), _) => {
                    assert_eq!(
                        status.code(),
                        Some(1),
                        "it should live, or find the port in use"
                    );
                    break None;
                }
                (None, Ok(stream)) => break Some(stream),
                (None, Err(_)) => thread::yield_now(),
            }
        };
        drop(stream);
        round_trip(&mut connect(&address), "still there?");
        if child.0.try_wait().unwrap().is_none() {
            return;
        }
    }
    panic!("a hundred ports are all in use");
}

/// Makes the server report something: closing with an unread answer sends a reset.
fn complain(address: &str) {
    let mut rude = connect(address);
    rude.write_all(b"never read").unwrap();
    rude.peek(&mut [0]).unwrap();
}

#[test]
fn a_port_in_use_is_said_with_an_exit_code() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(server().args(["--listen", &address]));
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let message = format!("cannot listen on {address}: address already in use; is another");
    assert!(text(&output.stderr).starts_with(&message), "{output:?}");
}

/// With room for its own four descriptors and no more, no client can ever be accepted. The server says
/// so, and waits a little before it tries again, or it would burn a core.
#[test]
#[cfg(unix)]
fn without_descriptors_the_server_pauses_between_its_tries() {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -n 4; exec \"$0\" \"$@\""])
        .arg(server().get_program());
    shell
        .args(["--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped());
    let mut server = Running::start(&mut shell);
    let errors = lines(server.child.0.stderr.take().unwrap());
    // Before the client comes, and so before the first try.
    let start = Instant::now();
    let _client = connect(&server.address());
    for _ in 0..4 {
        let line = errors.recv_timeout(PATIENCE).unwrap();
        assert_eq!(line, "cannot accept a client: too many open files");
    }
    assert!(
        start.elapsed() >= Duration::from_millis(300),
        "no pause: {:?}",
        start.elapsed()
    );
}

#[test]
fn help_and_mistakes() {
    let output = run(server().arg("--help"));
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("--listen ADDR"));

    let output = run(server().arg("--lisen"));
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(text(&output.stderr).starts_with("unknown argument `--lisen`; allowed are"));
}

#[test]
fn one_client_ends_with_its_client() {
    let program = Running::start(example("one_client").arg("127.0.0.1:0"));
    let mut client = connect(&program.address());
    let name = client.local_addr().unwrap();
    assert_eq!(program.line(), format!("{name} is here"));
    round_trip(&mut client, "hello\n");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(program.line(), format!("{name} has gone"));
    program.ends();
}

#[test]
fn thread_per_client_serves_two_at_once() {
    let program = Running::start(example("thread_per_client").args(["--listen", "127.0.0.1:0"]));
    let address = program.address();
    let mut first = connect(&address);
    round_trip(&mut first, "one");
    let mut second = connect(&address);
    round_trip(&mut second, "two");
    round_trip(&mut first, "three");
}

#[test]
fn the_client_shows_each_line_when_it_comes() {
    let server = Running::start(server().args(["--listen", "127.0.0.1:0"]));
    let mut client = Running::start(example("client").args([&server.address(), "--wait", "60"]));
    let mut keyboard = client.child.0.stdin.take().unwrap();
    for line in ["hello", "are you there?"] {
        keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
        assert_eq!(client.line(), line);
    }
    drop(keyboard);
    client.ends();
}

#[test]
fn the_client_gives_up_when_asked_to() {
    // Nobody accepts here: the system makes the connection, and no byte ever comes.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let output = run(example("client").args([&address, "--wait", "0.2"]));
    assert_eq!(output.status.code(), Some(1));
    let message = format!("no answer from {address} within 0.2 s\n");
    assert_eq!(text(&output.stderr), message);

    for wrong in [
        &["--wait"][..],
        &["--wait", "0"],
        &["--wait", "x"],
        &["-x"],
        &["a", "b"],
    ] {
        let output = run(example("client").args(wrong));
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
