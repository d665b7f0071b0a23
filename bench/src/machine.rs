//! Where it was measured, and with what.

use std::fs;
use std::process::Command;

use crate::RUNTIME;
use crate::chapters::root;

/// Each thing by its name.
pub fn describe() -> Vec<(String, String)> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let mut machine = vec![
        (
            "processor".to_owned(),
            format!("{}, {cores} cores", processor()),
        ),
        ("system".to_owned(), said("uname", &["-srm"])),
        ("compiler".to_owned(), said("rustc", &["--version"])),
    ];
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default();
    let crates = [
        RUNTIME,
        "tokio",
        "smol",
        "async-executor",
        "async-io",
        "monoio",
        "mio",
    ];
    let versions = crates.iter().filter_map(|name| {
        // Other versions of it may be there for others: the last is the newest.
        let version = versions(&lock, name).last()?;
        Some(format!("{name} {version}"))
    });
    machine.push(("crates".to_owned(), versions.collect::<Vec<_>>().join(", ")));
    machine
}

/// Its model, as the system calls it.
fn processor() -> String {
    if let Ok(text) = fs::read_to_string("/proc/cpuinfo") {
        let model = text
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        if let Some(model) = model {
            return model.trim_start_matches([' ', '\t', ':']).to_owned();
        }
    }
    match said("sysctl", &["-n", "machdep.cpu.brand_string"]) {
        model if model.is_empty() => std::env::consts::ARCH.to_owned(),
        model => model,
    }
}

/// The first line that a program prints; nothing, if there is no such program.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let stdout = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&stdout).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

/// The versions of a package that `Cargo.lock` names.
fn versions<'a>(lock: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let name = format!("name = \"{name}\"");
    let mut lines = lock.lines();
    std::iter::from_fn(move || {
        lines.find(|line| *line == name)?;
        lines
            .next()?
            .strip_prefix("version = \"")?
            .strip_suffix('"')
    })
}

#[cfg(test)]
mod tests {
    use super::versions;

    #[test]
    fn the_lock_file_names_versions() {
        let lock = "[[package]]\nname = \"mio\"\nversion = \"0.8.11\"\n\n[[package]]\nname = \"mio\"\nversion = \"1.2.5\"\n";
        assert_eq!(
            versions(lock, "mio").collect::<Vec<_>>(),
            ["0.8.11", "1.2.5"]
        );
        assert_eq!(versions(lock, "tokio").next(), None);
    }
}
