//! Tables of what was measured.

use crate::cases::CASES;
use crate::contestants::{LIMIT, OURS, TOKIO};
use crate::results::Results;
use crate::stats::{Spread, count, figure};
use crate::table::{Table, cell};

/// All tables of one part, or none if it was not run.
pub fn tables(part: &str, results: &Results) -> Vec<Table> {
    let all = match part {
        "cases" => vec![cases(results)],
        "growth" => growth(results),
        "echo" => results
            .measures("echo/")
            .iter()
            .filter_map(|measure| measure.strip_suffix("/throughput"))
            .flat_map(|size| echo(results, size))
            .collect(),
        "counts" => vec![counts(results)],
        "memory" => vec![
            grown(
                results,
                "memory/task",
                "Bytes for an idle task, by their number",
            ),
            grown(
                results,
                "memory/connection",
                "Bytes for an idle connection, by their number",
            ),
        ],
        "chapters" => chapters(results),
        _ => Vec::new(),
    };
    all.into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect()
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

/// Nanoseconds, ours first, and what the others need of them.
fn cases(results: &Results) -> Table {
    let columns = [
        "ns per operation: median (quartiles)",
        "this runtime",
        "Tokio",
        "smol",
        "ours ÷ Tokio",
    ];
    let mut table = Table::new("Tasks, calls and timers", &columns);
    for case in CASES {
        let measure = format!("case/{}", case.name);
        for n in results.ns(&measure) {
            let get = |beginning: &str| {
                let whos = results.whos(&measure);
                let who = whos.into_iter().find(|who| who.starts_with(beginning))?;
                results.get(&measure, who, n)
            };
            let shown = |who| cell(get(who), |spread| spread.show());
            let ratio = get(OURS)
                .zip(get(TOKIO))
                .map(|(ours, tokio)| ours.median / tokio.median);
            let name = format!("{} ({})", case.name, count(n));
            table.rows.push(vec![
                name,
                shown(OURS),
                shown(TOKIO),
                shown("smol"),
                cell(ratio, times),
            ]);
        }
    }
    table
}

fn growth(results: &Results) -> Vec<Table> {
    let tables = results.measures("growth/").into_iter().map(|name| {
        let title = format!("{name}: ns for each, by their number");
        grown(results, &format!("growth/{name}"), &title)
    });
    tables.collect()
}

/// A row for each of them, a column for each number.
fn grown(results: &Results, measure: &str, title: &str) -> Table {
    let ns = results.ns(measure);
    let columns: Vec<String> = ns.iter().map(|&n| count(n)).collect();
    let columns: Vec<&str> = std::iter::once("")
        .chain(columns.iter().map(String::as_str))
        .collect();
    let mut table = Table::new(title, &columns);
    for who in results.whos(measure) {
        let cells = ns
            .iter()
            .map(|&n| cell(results.get(measure, who, n), |spread| figure(spread.median)));
        table
            .rows
            .push(std::iter::once(who.to_owned()).chain(cells).collect());
    }
    table
}

fn echo(results: &Results, size: &str) -> Vec<Table> {
    let kind = format!("echo/{size}");
    let ns = results.ns(&format!("{kind}/throughput"));
    let clients = |n| {
        if n == 1 {
            "1 client".to_owned()
        } else {
            format!("{} clients", count(n))
        }
    };
    let bytes = size.parse().map_or(size.to_owned(), count);
    let tables = ns.into_iter().map(|n| {
        load(
            results,
            &kind,
            n,
            &format!("Echo, {}, {bytes} bytes", clients(n)),
        )
    });
    tables.collect()
}

/// A row for each server.
fn load(results: &Results, kind: &str, n: u64, title: &str) -> Table {
    let columns = [
        "",
        "messages a second",
        "of the loop’s",
        "p50 µs",
        "p99 µs",
        "busy %",
        "CPU µs per message",
        "of the loop’s",
        "system calls",
        "instructions",
    ];
    let mut table = Table::new(title, &columns);
    for who in results.whos(&format!("{kind}/throughput")) {
        let get = |measure: &str| results.get(&format!("{kind}/{measure}"), who, n);
        let ratio = |measure: &str| {
            cell(
                results.ratio(&format!("{kind}/{measure}"), who, LIMIT, n),
                times,
            )
        };
        let median = |measure: &str| cell(get(measure), |spread: Spread| figure(spread.median));
        if get("throughput").is_some() {
            table.rows.push(vec![
                who.to_owned(),
                cell(get("throughput"), |spread| spread.show()),
                ratio("throughput"),
                median("p50"),
                median("p99"),
                median("busy"),
                cell(get("cpu"), |spread| spread.show()),
                ratio("cpu"),
                median("calls"),
                median("instructions"),
            ]);
        }
    }
    table.tidy()
}

/// What one message takes, by the number of clients at once.
fn counts(results: &Results) -> Table {
    let ns = results
        .ns("echo/64/calls")
        .into_iter()
        .chain(results.ns("echo/64/instructions"));
    let mut ns: Vec<u64> = ns.collect();
    ns.sort_unstable();
    ns.dedup();
    let measures = [("calls", "system calls"), ("instructions", "instructions")];
    let heads = measures
        .iter()
        .flat_map(|(_, name)| ns.iter().map(move |&n| format!("{name}, {n} at once")));
    let heads: Vec<String> = heads.collect();
    let heads: Vec<&str> = std::iter::once("")
        .chain(heads.iter().map(String::as_str))
        .collect();
    let mut table = Table::new("What a message of 64 bytes takes on the server", &heads);
    let mut whos = results.whos("echo/64/calls");
    if whos.is_empty() {
        whos = results.whos("echo/64/instructions");
    }
    for who in whos {
        let mut row = vec![who.to_owned()];
        for (measure, _) in measures {
            for &n in &ns {
                let count = results.get(&format!("echo/64/{measure}"), who, n);
                row.push(cell(count, |spread| figure(spread.median)));
            }
        }
        table.rows.push(row);
    }
    table.tidy()
}

fn chapters(results: &Results) -> Vec<Table> {
    let ns = results.ns("chapter/throughput");
    let tables = ns.into_iter().map(|n| {
        let clients = if n == 1 {
            "one client".to_owned()
        } else {
            format!("{} clients", count(n))
        };
        load(
            results,
            "chapter",
            n,
            &format!("The chapters’ own servers, {clients}, 64 bytes"),
        )
    });
    tables.collect()
}
