//! The checks themselves are tested: each block of `fixtures/` that lies is caught, with its line, by the same
//! code that checks the book's pages; and those that tell the truth pass.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use book_tests::rust::Host;
use book_tests::{Check, Place, Suite, checks, expectation, here};

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
            // A lie that the fixture says nothing about is none that anybody looks at.
            let caught = expectation(&root.join(file), check.line());
            let unsaid = || vec!["what `<!-- caught: … -->` above the block says".to_owned()];
            suite.add_lie(check, caught.unwrap_or_else(unsaid));
        }
    }
    for check in checks(&root, Path::new("src/true.md")) {
        suite.add_check(check);
    }
    suite.add("a missing anchor and a dead link are caught", |place, _| {
        broken_book(place)
    });
    suite.add(
        "a transcript that cannot be run is skipped with a reason",
        skipped,
    );
    suite.add(
        "Ctrl+C ends what a page starts, though whoever tests ignores it",
        interrupted,
    );
    suite.add("nothing that a transcript starts survives it", |place, host| {
        // Each holds the shell's end of the pipe, and each is hard to end in its own way.
        let page = "```console\n$ exec 9>PIPE\n$ sleep 300 &\n$ (trap '' HUP INT TERM; sleep 300) &\n\
                    $ nohup sleep 300 >/dev/null 2>&1 & disown\n$ bash -c 'sleep 300 &'\n```\n";
        survivors(place, host, page).and_then(|result| result)
    });
    suite.add("nothing that a block starts survives it", |place, host| {
        let page = "```rust,timeout=1\nuse std::process::Command;\n\
                    let script = \"exec 9>PIPE; sleep 300 & (trap '' HUP INT TERM; sleep 300) & wait\";\n\
                    Command::new(\"sh\").arg(\"-c\").arg(script).status()?;\n# Ok::<(), std::io::Error>(())\n```\n";
        match survivors(place, host, page)? {
            Err(message) if message.contains("src/page.md:1: did not end within 1 s") => Ok(()),
            other => Err(format!("it was not caught, but: {other:?}")),
        }
    });
    suite.run()
}

/// The book of `fixtures/broken`: what mdBook lets pass, `book::check` does not.
fn broken_book(place: &Place) -> Result<(), String> {
    let root = place.root.join("tests/fixtures/broken");
    let problems: Vec<String> = book::check(&root).iter().map(ToString::to_string).collect();
    for (line, about) in [
        ("src/page.md:4: ", "no-such-anchor"),
        ("src/page.md:7: ", "no-such-page.md"),
    ] {
        if !problems
            .iter()
            .any(|problem| problem.starts_with(line) && problem.contains(about))
        {
            return Err(format!("{line}{about}: not among {problems:#?}"));
        }
    }
    Ok(())
}

/// As in the background of a script.
fn interrupted(place: &Place, _: &Host) -> Result<(), String> {
    let script = "trap '' INT; exec \"$0\" --session sh -c 'kill -INT $$; echo survived'";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(&place.stagehand)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() || !output.stdout.is_empty() {
        return Err(format!("it was not interrupted: {output:?}"));
    }
    Ok(())
}

fn skipped(place: &Place, host: &Host) -> Result<(), String> {
    let folder = page("```console,needs=no-such-program\n$ no-such-program\n```\n")?;
    match only_check(folder.path())?.run(place, host)? {
        Some(reason) if reason.contains("no-such-program") => Ok(()),
        other => Err(format!("skipped: {other:?}")),
    }
}

/// Runs the one block of a page, in which `PIPE` stands for a named pipe; what came of it, once nobody holds the
/// pipe any more. Somebody does as long as one process lives that inherited it.
fn survivors(place: &Place, host: &Host, text: &str) -> Result<Result<(), String>, String> {
    let folder = page("")?;
    let pipe = folder.path().join("pipe");
    let text = text.replace("PIPE", &pipe.display().to_string());
    fs::write(folder.path().join("src/page.md"), text).map_err(|error| error.to_string())?;
    let made = Command::new("mkfifo").arg(&pipe).status();
    if !made.as_ref().is_ok_and(|status| status.success()) {
        return Err(format!("no named pipe: {made:?}"));
    }
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        let read = fs::File::open(pipe).and_then(|mut pipe| pipe.read_to_end(&mut Vec::new()));
        // Nobody listens any more if the test is over.
        let _ = sender.send(read);
    });
    let result = only_check(folder.path())?.run(place, host).map(|_| ());
    match ended.recv_timeout(Duration::from_secs(2)) {
        Ok(Ok(_)) => Ok(result),
        other => Err(format!(
            "a process survived: {other:?}; the block: {result:?}"
        )),
    }
}

/// The check of the one block of a page.
fn only_check(root: &Path) -> Result<Check, String> {
    let mut checks = checks(root, Path::new("src/page.md"));
    match (checks.pop(), checks.len()) {
        (Some(check), 0) => Ok(check),
        (_, more) => Err(format!("one block was expected, not {more} more or none")),
    }
}

/// A book with one page.
fn page(text: &str) -> Result<tempfile::TempDir, String> {
    let make = || {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("src"))?;
        fs::write(folder.path().join("book.toml"), "")?;
        fs::write(folder.path().join("src/page.md"), text)?;
        Ok(folder)
    };
    make().map_err(|error: std::io::Error| error.to_string())
}
