//! The figures show what the runtimes do.

use figures::{FIGURES, Figure, path, record};
use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Each program runs so often: one that comes out differently now and then is no figure.
const TIMES: usize = 20;

/// Far more than a run takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn figures_show_what_the_runtimes_do() {
    for figure in FIGURES {
        let file = path(figure);
        let shown = fs::read_to_string(&file).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; `cargo run -p figures` makes it",
                file.display()
            )
        });
        for time in 1..=TIMES {
            let recorded = within(PATIENCE, figure, shown.clone());
            if let Some((line, (then, now))) = difference(&shown, &recorded) {
                panic!(
                    "run {time} of {} is not what its figure shows\n{}:{line}: {then}\nnow: {now}\n`cargo run -p figures` records it anew",
                    figure.name,
                    file.display(),
                );
            }
        }
    }
}

#[test]
fn there_is_no_file_without_a_figure() {
    let names: Vec<_> = FIGURES.iter().map(path).collect();
    let folder = names[0].parent().expect("it is in a folder");
    for file in fs::read_dir(folder).expect("the folder is there") {
        let file = file.expect("it can be read").path();
        let known = names
            .iter()
            .any(|name| name.file_name() == file.file_name());
        assert!(known, "{} belongs to no figure", file.display());
    }
}

fn within(patience: Duration, figure: &'static Figure, shown: String) -> String {
    let (send, recorded) = mpsc::channel();
    let run = thread::spawn(move || {
        // Whoever has stopped waiting does not hear it.
        let _ = send.send(record(figure, Some(&shown)));
    });
    match recorded.recv_timeout(patience) {
        Ok(recorded) => recorded.unwrap_or_else(|error| panic!("{}: {error:#}", figure.name)),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            panic!("{} has not ended after {patience:?}", figure.name)
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => match run.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("it has sent nothing, and did not panic"),
        },
    }
}

/// The first line that differs, from 1.
fn difference<'a>(then: &'a str, now: &'a str) -> Option<(usize, (&'a str, &'a str))> {
    if then == now {
        return None;
    }
    let lines = then.lines().zip(now.lines()).enumerate();
    let differs = lines
        .map(|(line, both)| (line + 1, both))
        .find(|(_, (then, now))| then != now);
    Some(differs.unwrap_or((then.lines().count(), ("(its end)", "(more, or less)"))))
}
