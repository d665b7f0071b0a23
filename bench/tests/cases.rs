//! The benchmarks do what they are to measure. How long they take is not for a test to judge.

use bench::cases::{CASES, GROWING};
use bench::contestants::{ALL, OURS};
use bench::page;
use bench::parts::PARTS;
use bench::plan::{Pace, Plan};
use bench::results::Results;

#[test]
fn the_cases_run() {
    for case in CASES {
        for (who, turn) in case.turns {
            assert!(!turn(100).is_zero(), "{}, {who}", case.name);
        }
    }
    assert!(
        GROWING
            .iter()
            .all(|name| CASES.iter().any(|case| case.name == *name))
    );
}

/// A part of a run in small. The chapters' servers are left out: they would have to be built for use.
fn run(part: &str) -> Results {
    let program = env!("CARGO_BIN_EXE_bench-part").into();
    let mut plan = Plan::parse(program, std::iter::empty()).expect("no arguments are right");
    plan.pace = Pace::TINY;
    let mut results = Results::default();
    let (_, measure) = PARTS
        .iter()
        .find(|(name, _)| *name == part)
        .expect("there is such a part");
    measure(&plan, &mut results).expect("it can be measured");
    assert_eq!(results.notes, Vec::<String>::new());
    results
}

#[test]
fn every_server_echoes() {
    let results = run("echo");
    for contestant in ALL {
        for clients in [1, 3] {
            let throughput = results.get("echo/64/throughput", contestant.name, clients);
            assert!(
                throughput.is_some_and(|spread| spread.median > 0.0),
                "{}",
                contestant.name
            );
        }
    }
}

#[test]
fn the_memory_of_what_is_idle_can_be_told() {
    let results = run("memory");
    assert!(results.get("memory/connection", OURS, 10).is_some());
    assert!(results.get("memory/task", OURS, 10).is_some());
}

#[test]
fn growth_has_a_figure_for_each_number() {
    let results = run("growth");
    for name in GROWING {
        assert_eq!(results.ns(&format!("growth/{name}")), Pace::TINY.crowds);
    }
}

#[test]
fn the_page_is_of_the_figures_that_are_kept() {
    let kept = std::fs::read_to_string(page::kept()).expect("bench/results.tsv is there");
    let kept = Results::from_text(&kept).expect("it was written by a run");
    for (path, made) in page::files(&kept) {
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        let message = "is not of these figures: `cargo bench -p bench -- --redraw` makes it anew";
        assert!(there == made, "{} {message}", path.display());
    }
}
