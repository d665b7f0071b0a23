//! This runtime beside Tokio: `cargo bench -p bench`, or `cargo bench -p bench -- call` for the cases
//! with `call` in their names.

use bench::{CASES, heading};

fn main() {
    // Cargo adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| {
        let mut words = wanted
            .iter()
            .filter(|word| !word.starts_with("--"))
            .peekable();
        words.peek().is_none() || words.any(|word| name.contains(word.as_str()))
    };
    println!("{}", heading());
    for case in CASES.iter().filter(|case| wanted(case.name)) {
        println!("{}", case.compare());
    }
}
