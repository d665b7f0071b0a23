//! `cargo book start`: what it makes builds and passes its tests on its own, and what it must not do.

mod common;
#[path = "common/server.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this"
)]
mod server;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::Fixture;
use server::book;
use tempfile::TempDir;

/// Longer than a cold build on a slow machine.
const LONGEST: Duration = Duration::from_secs(300);

/// A book with two chapters, and a place outside of it.
fn fixture() -> (Fixture, TempDir) {
    let fixture = Fixture::new();
    for chapter in ["ch01-quiet", "ch02-echo"] {
        let file = |path: &str| format!("chapters/{chapter}/{path}");
        let module = chapter.replace('-', "_");
        fixture.write(
            &file("Cargo.toml"),
            &format!("[package]\nname = \"{chapter}\"\nedition = \"2024\"\n\n[dependencies]\nmio = \"1\"\n"),
        );
        fixture.write(
            &file("src/lib.rs"),
            &format!("//! Use `{module}::run`.\npub fn run() {{}}\n"),
        );
        fixture.write(
            &file("src/main.rs"),
            &format!("fn main() {{ {module}::run() }}\n"),
        );
        fixture.write(
            &file("examples/loud.rs"),
            &format!("fn main() {{ {module}::run() }}\n"),
        );
        fixture.write(&file("README.md"), &format!("# {chapter}\n"));
        fixture.write(&file("target/debug/junk"), "");
        fixture.write(&file(".hidden"), "");
    }
    fixture.write("LICENSE-MIT", "MIT\n");
    fixture.write("LICENSE-APACHE", "Apache\n");
    (fixture, tempfile::tempdir().unwrap())
}

/// Runs `book start` with these arguments: whether it went well, and what it said.
fn start(folder: &Path, chapter: &str, target: &Path) -> (bool, String) {
    let output = book(folder)
        .arg("start")
        .arg(chapter)
        .arg(target)
        .output()
        .unwrap();
    let words = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(words).unwrap())
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Vec<String> {
    fn walk(base: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(base, &path, found);
            } else {
                found.push(
                    path.strip_prefix(base)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

#[test]
fn everything_has_the_new_name() {
    let (fixture, out) = fixture();
    let target = out.path().join("my-server");
    let (good, words) = start(fixture.root(), "ch02-echo", &target);
    assert!(
        good && words.contains("made ") && words.contains("cargo test"),
        "{words}"
    );
    assert_eq!(
        files(&target),
        [
            ".gitignore",
            "Cargo.toml",
            "LICENSE-APACHE",
            "LICENSE-MIT",
            "README.md",
            "examples/loud.rs",
            "src/lib.rs",
            "src/main.rs"
        ]
    );
    let read = |file: &str| fs::read_to_string(target.join(file)).unwrap();
    assert!(read("Cargo.toml").starts_with("[package]\nname = \"my-server\"\n"));
    assert_eq!(read("src/main.rs"), "fn main() { my_server::run() }\n");
    assert!(read("src/lib.rs").contains("`my_server::run`"));
    assert_eq!(read(".gitignore"), "/target\n");
    let readme = read("README.md");
    assert!(readme.starts_with("# my-server\n"), "{readme}");
    for part in [
        "`ch02-echo`",
        "$ cargo run\n",
        "$ cargo test\n",
        "$ cargo run --example loud\n",
        "LICENSE-MIT",
    ] {
        assert!(readme.contains(part), "`{part}` is missing:\n{readme}");
    }
    assert_eq!(
        fs::read_dir(out.path()).unwrap().count(),
        1,
        "the workshop is gone"
    );
}

#[test]
fn an_existing_target_is_refused() {
    let (fixture, out) = fixture();
    let target = out.path().join("mine");
    fs::create_dir(&target).unwrap();
    let (good, words) = start(fixture.root(), "ch02-echo", &target);
    assert!(
        !good && words.contains("mine exists; choose a name that is free"),
        "{words}"
    );
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    fs::write(out.path().join("file"), "x").unwrap();
    let (good, words) = start(fixture.root(), "ch02-echo", &out.path().join("file"));
    assert!(!good && words.contains("exists"), "{words}");
}

#[test]
fn a_target_inside_the_workspace_is_refused() {
    let (fixture, _out) = fixture();
    for inside in ["mine", "chapters/mine"] {
        let (good, words) = start(fixture.root(), "ch02-echo", Path::new(inside));
        assert!(
            !good && words.contains("lies inside this repository, and cargo would refuse"),
            "{words}"
        );
        let outside = fixture
            .root()
            .canonicalize()
            .unwrap()
            .with_file_name("mine");
        assert!(
            words.contains(&format!("such as {}", outside.display())),
            "{words}"
        );
        assert!(!fixture.path(inside).exists());
    }
}

#[test]
fn an_unknown_chapter_gets_a_suggestion() {
    let (fixture, out) = fixture();
    let target = out.path().join("mine");
    let (good, words) = start(fixture.root(), "ch02-ehco", &target);
    assert!(
        !good && words.contains("no chapter `ch02-ehco`; did you mean `ch02-echo`?"),
        "{words}"
    );
    assert!(words.contains("\n  ch01-quiet\n  ch02-echo"), "{words}");
    assert!(!target.exists());
}

#[test]
fn names_that_cargo_would_refuse() {
    let (fixture, out) = fixture();
    for (name, says) in [
        (
            "test",
            "`test` cannot be the package's name: a crate of that name comes with Rust",
        ),
        ("2fast", "it begins with `2`; begin with a letter"),
        ("sérveur", "it contains `é`"),
        (
            "match",
            "it is a keyword of Rust; use another name, such as `my-match`",
        ),
        ("mio", "the chapter depends on a crate of that name"),
        ("..", "it is empty; end the path with a name"),
    ] {
        let (good, words) = start(fixture.root(), "ch02-echo", &out.path().join(name));
        assert!(!good && words.contains(says), "{name}: {words}");
    }
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    let (good, words) = start(
        fixture.root(),
        "ch02-echo",
        &out.path().join("no/such/mine"),
    );
    assert!(
        !good && words.contains("cannot be used; make it first"),
        "{words}"
    );
}

#[test]
fn a_failure_half_way_leaves_nothing() {
    let (fixture, out) = fixture();
    // A name cannot be replaced in what is not text, and by then other files have been copied.
    fs::write(
        fixture.path("chapters/ch02-echo/src/broken.rs"),
        [0xff, 0xfe],
    )
    .unwrap();
    let (good, words) = start(fixture.root(), "ch02-echo", &out.path().join("mine"));
    assert!(
        !good && words.contains("cannot copy") && words.contains("broken.rs"),
        "{words}"
    );
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

/// The newest chapter with a program, under a new name, outside the workspace.
#[test]
fn what_it_makes_passes_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Some(chapter) = newest(&root) else { return };
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("my-server");
    let (good, words) = start(&root, &chapter, &target);
    assert!(good, "{words}");
    for file in [
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "Cargo.lock",
        ".gitignore",
        "README.md",
    ] {
        assert!(target.join(file).is_file(), "{file} is missing");
    }
    let old = chapter.replace('-', "_");
    for file in files(&target)
        .iter()
        .filter(|file| file.ends_with(".rs") || *file == "Cargo.toml")
    {
        let text = fs::read_to_string(target.join(file)).unwrap();
        assert!(
            !text.contains(&old) && !text.contains(&chapter),
            "{file} still has the old name"
        );
    }
    cargo_test(&target, out.path());
}

fn newest(root: &Path) -> Option<String> {
    let entries = fs::read_dir(root.join("chapters")).unwrap();
    let with_program = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("src/main.rs").is_file());
    let names = with_program.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    names.max()
}

/// Runs `cargo test` there, within bounds. The builds of all such runs share a folder, so that only the first is cold.
fn cargo_test(package: &Path, folder: &Path) {
    let log: PathBuf = folder.join("log");
    let output = File::create(&log).unwrap();
    let mut child = Command::new(env!("CARGO"))
        .args(["test", "--offline"])
        .current_dir(package)
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("starters"),
        )
        // Sixty test programs are linked for one run each.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0")
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + LONGEST;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => thread::sleep(Duration::from_millis(50)),
        }
    };
    let words = fs::read_to_string(&log).unwrap();
    assert!(
        status.is_some_and(|status| status.success()),
        "cargo test: {status:?}\n{words}"
    );
    assert!(words.contains("test result: ok"), "{words}");
}
