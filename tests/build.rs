//! Tells the tests which compiler built them: blocks link with the same libraries, so they need the same one.
//! And prepares what the model checker cannot take as it is.

use std::fs;
use std::path::Path;

/// The chapter's files that loom checks. Its locks cannot be made by a `const fn`; but for that word, and the module
/// comment, which cannot be included, they are compiled as they are.
const CHECKED: [&str; 3] = ["trigger.rs", "mutex.rs", "condition.rs"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["RUSTC", "TARGET", "OUT_DIR"] {
        let value = std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
        println!("cargo::rustc-env=BOOK_TESTS_{name}={value}");
    }
    let out = std::env::var("OUT_DIR").unwrap_or_else(|_| panic!("cargo sets OUT_DIR"));
    for name in CHECKED {
        let path = format!("../chapters/ch08-mutexes-and-conditions/src/{name}");
        println!("cargo::rerun-if-changed={path}");
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let lines = source.lines().filter(|line| !line.starts_with("//!"));
        let text: Vec<String> = lines
            .map(|line| line.replace("const fn new", "fn new"))
            .collect();
        fs::write(Path::new(&out).join(name), text.join("\n"))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
