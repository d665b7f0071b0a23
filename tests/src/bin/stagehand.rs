//! Stands between `skeptic` and the compiler, and beside every program a page starts; see `src/rust/mod.rs`.

fn main() -> std::process::ExitCode {
    book_tests::rust::stagehand()
}
