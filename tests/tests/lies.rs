//! The checks themselves are tested: each block of `fixtures/` that lies is caught, with its line, by the same
//! code that checks the book's pages; and those that tell the truth pass.

use std::path::Path;
use std::process::ExitCode;

use book_tests::{Suite, checks, expectation, here};

fn main() -> ExitCode {
    let place = here!();
    let root = place.root.join("tests/fixtures");
    let mut suite = match Suite::new(place) {
        Ok(suite) => suite,
        Err(error) => {
            eprintln!("the tests cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    for file in ["src/rust.md", "src/console.md"] {
        for check in checks(&root, Path::new(file)) {
            // A lie that nothing is said about must be caught with everything said that cannot be true.
            let caught = expectation(&root.join(file), check.line());
            let unsaid = || vec!["a `<!-- caught: … -->` above the block".to_owned()];
            suite.add_lie(check, caught.unwrap_or_else(unsaid));
        }
    }
    for check in checks(&root, Path::new("src/true.md")) {
        suite.add_check(check);
    }
    suite.run()
}
