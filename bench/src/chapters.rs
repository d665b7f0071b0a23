//! The chapters' own servers: whatever stands in `chapters/`.

use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::turn::Server;

/// All of them, in the order of the book, built if they are not.
///
/// # Errors
///
/// When one cannot be built.
pub fn all() -> Result<Vec<Server>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("chapters"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("ch") {
            names.push(name);
        }
    }
    names.sort();
    names.into_iter().map(server).collect()
}

/// The folder of the book.
pub fn root() -> &'static Path {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    bench
        .parent()
        .expect("this crate is a folder of the workspace")
}

/// On one thread and any port.
fn server(name: String) -> Result<Server> {
    let program = build(&name)?;
    let mut args = vec!["--listen", "127.0.0.1:0"];
    let help = Command::new(&program).arg("--help").output()?;
    if String::from_utf8_lossy(&help.stdout).contains("--domains") {
        args.extend(["--domains", "0"]);
    }
    Ok(Server {
        name,
        program,
        args: args.into_iter().map(str::to_owned).collect(),
        alone: true,
        logs: true,
    })
}

/// Does it serve a client while another one keeps silent?
///
/// # Errors
///
/// When it cannot be started.
pub fn serves_many(server: &Server) -> Result<bool> {
    let server = server.start()?;
    let address = server.address()?;
    let silent = TcpStream::connect(address)?;
    let second = answers(address);
    drop(silent);
    second
}

/// Does what a client says come back to it soon?
fn answers(address: SocketAddr) -> Result<bool> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(Duration::from_millis(500)))?;
    client.write_all(b"?")?;
    match client.read_exact(&mut [0]) {
        Ok(()) => Ok(true),
        // Which one of the two depends on the system.
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Cargo builds it, where it put this program, and says where it is.
fn build(name: &str) -> Result<PathBuf> {
    let this = env::current_exe()?;
    // target/PROFILE/deps/runtimes-0123456789abcdef
    let target = this
        .ancestors()
        .nth(3)
        .ok_or("not where Cargo puts benchmarks")?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(root())
        .args(["build", "--release", "--quiet"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    cargo
        .args(["--package", name, "--bin", name, "--target-dir"])
        .arg(target);
    let output = cargo.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} cannot be built:\n{said}").into());
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == *name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| format!("{name}: Cargo does not say where its server is").into())
}
