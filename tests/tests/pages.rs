//! Every code block of every page and README does what its page says.

use std::process::ExitCode;

use book_tests::{Suite, checks, files, here};

fn main() -> ExitCode {
    every_block_of_every_page()
}

fn every_block_of_every_page() -> ExitCode {
    let place = here!();
    let root = place.root.clone();
    let mut suite = match Suite::new(place) {
        Ok(suite) => suite,
        Err(error) => {
            eprintln!("the tests cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let lines = |problems: &[book::Problem]| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if lines.is_empty() {
            Ok(())
        } else {
            Err(lines.join("\n"))
        }
    };

    match files(&root) {
        Ok(files) => {
            let mut all: Vec<_> = files.iter().flat_map(|file| checks(&root, file)).collect();
            // Transcripts last: some measure, and no compiler should run beside them.
            all.sort_by_key(|check| check.kind() == "console");
            for check in all {
                suite.add_check(check);
            }
        }
        Err(problems) => suite.add("the list of pages can be read", move |_, _| {
            lines(&problems)
        }),
    }
    suite.add("includes, anchors and links lead somewhere", move |_, _| {
        lines(&book::check(&root))
    });
    suite.run()
}
