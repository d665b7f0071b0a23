//! Tells the tests which compiler built them: blocks link with the same libraries, so they need the same one.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["RUSTC", "TARGET", "OUT_DIR"] {
        let value = std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
        println!("cargo::rustc-env=BOOK_TESTS_{name}={value}");
    }
}
