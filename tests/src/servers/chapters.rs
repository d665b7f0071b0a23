//! The chapters, found in their folder, and their servers, built when first asked for.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::Result;

/// A chapter and its server.
#[derive(Debug)]
pub struct Chapter {
    /// `ch03-system-events`: the name of the folder, of the package and of its program.
    pub name: String,
    server: OnceLock<Result<PathBuf>>,
}

/// All chapters, in the order of the book.
pub fn all() -> Result<Vec<Chapter>> {
    let folder = root().join("chapters");
    let unreadable = |error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.as_bytes() {
            [b'.', ..] => {}
            [b'c', b'h', b'0'..=b'9', b'0'..=b'9', b'-', _, ..] => names.push(name),
            _ => {
                return Err(format!(
                    "chapters/{name}: a chapter is named like ch03-system-events"
                ));
            }
        }
    }
    if names.is_empty() {
        return Err(format!("{}: no chapters", folder.display()));
    }
    names.sort();
    let chapter = |name| Chapter {
        name,
        server: OnceLock::new(),
    };
    Ok(names.into_iter().map(chapter).collect())
}

impl Chapter {
    /// The server's program, up to date.
    pub fn server(&self) -> Result<PathBuf> {
        self.server.get_or_init(|| built(&self.name)).clone()
    }
}

fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("this crate is a folder of the workspace")
}

/// Cargo tells a test where the programs of its own package are, but not those of others. So we ask
/// Cargo to build them where this program was built, the same way, and to say where they are.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let this = env::current_exe().map_err(|error| format!("where is this program: {error}"))?;
    // target/PROFILE/soak, or target/PROFILE/deps/servers-0123456789abcdef
    let folder = this.parent();
    let profile = folder.filter(|folder| !folder.ends_with("deps"));
    let profile = profile.or_else(|| folder.and_then(Path::parent));
    let (Some(profile), Some(target)) = (profile, profile.and_then(Path::parent)) else {
        return Err(format!("{}: not where Cargo puts programs", this.display()));
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(root())
        .args(["build", "--offline", "--quiet"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    cargo
        .args(["--package", name, "--bin", name])
        .arg("--target-dir")
        .arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} has no program that can be built:\n{said}"));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == *name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| format!("{name}: cargo built its program and does not say where"))
}
