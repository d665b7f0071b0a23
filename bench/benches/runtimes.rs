//! `cargo bench -p bench`: this runtime beside others. See `bench/README.md`.

use std::fs;
use std::process::ExitCode;

use bench::parts::PARTS;
use bench::plan::Plan;
use bench::results::Results;
use bench::{Result, cases::CASES, machine, page, report};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result {
    let part = env!("CARGO_BIN_EXE_bench-part").into();
    let plan = Plan::parse(part, std::env::args().skip(1))?;
    if plan.redraw {
        return page::draw();
    }
    let mut results = Results::default();
    results.machine = machine::describe();
    if plan.quick {
        results.note("this was a quick run (`--quick`), with fewer rounds and smaller numbers than a whole one");
    }
    for (what, it) in &results.machine {
        println!("{what}: {it}");
    }
    for (name, measure) in PARTS {
        let has_case = *name == "cases" && CASES.iter().any(|case| plan.wants(case.name));
        if plan.wants(name) || has_case {
            measure(&plan, &mut results)?;
            for table in report::tables(name, &results) {
                println!("\n{table}");
            }
        }
    }
    for note in &results.notes {
        println!("note: {note}");
    }
    if plan.page {
        fs::write(page::kept(), results.to_text())?;
        page::draw()?;
    }
    Ok(())
}
