//! The book's page of a run: `page.md`, with tables in place of lines such as `@targets@`, and its figures.

use std::fs;
use std::path::PathBuf;

use crate::Result;
use crate::cases::{CASES, GROWING};
use crate::chapters::root;
use crate::contestants::{ALL, LIMIT, OURS, TOKIO};
use crate::plot::{self, Series, Words};
use crate::report;
use crate::results::Results;
use crate::stats::{count, figure};
use crate::table::{Table, cell};

/// Where the figures of the page's run are kept.
pub fn kept() -> PathBuf {
    root().join("bench/results.tsv")
}

/// Every file of the page, and what is in it.
pub fn files(results: &Results) -> Vec<(PathBuf, String)> {
    let src = root().join("src");
    let figures = figures(results)
        .into_iter()
        .map(|(name, svg)| (src.join("figures").join(format!("results-{name}.svg")), svg));
    std::iter::once((src.join("results.md"), page(results)))
        .chain(figures)
        .collect()
}

/// Writes them, of the figures that are kept: those of the run itself have more digits, and would round otherwise.
///
/// # Errors
///
/// When the figures cannot be read, or a file cannot be written.
pub fn draw() -> Result {
    let results = Results::from_text(&fs::read_to_string(kept())?)?;
    for (path, text) in files(&results) {
        fs::write(path, text)?;
    }
    Ok(())
}

fn page(results: &Results) -> String {
    let mut page = String::new();
    for line in include_str!("page.md").lines() {
        match line
            .strip_prefix('@')
            .and_then(|line| line.strip_suffix('@'))
        {
            Some(what) => page += &filled(what, results),
            None => page += line,
        }
        page.push('\n');
    }
    page
}

fn filled(what: &str, results: &Results) -> String {
    let text = match what {
        "machine" => machine(results),
        "aims" => aims(results).to_markdown(),
        "notes" => notes(results),
        part => report::tables(part, results)
            .iter()
            .map(shown)
            .collect::<Vec<_>>()
            .join("\n"),
    };
    text.trim_end().to_owned()
}

/// Its title, and the table.
fn shown(table: &Table) -> String {
    format!("{}:\n\n{}", table.title, table.to_markdown())
}

fn machine(results: &Results) -> String {
    results
        .machine
        .iter()
        .map(|(what, it)| format!("- {what}: {it}\n"))
        .collect()
}

fn notes(results: &Results) -> String {
    if results.notes.is_empty() {
        return "Nothing was left out, and nothing failed.".to_owned();
    }
    results
        .notes
        .iter()
        .map(|note| format!("- {note}\n"))
        .collect()
}

/// An aim: what it is about, what was measured, and what that should be.
struct Aim {
    what: String,
    measured: Option<f64>,
    limit: f64,
    /// Is the limit the most there should be, or the least?
    most: bool,
}

fn aims(results: &Results) -> Table {
    let case = |name: &str| {
        let measure = format!("case/{name}");
        let n = *results.ns(&measure).first()?;
        let tokio = results
            .whos(&measure)
            .into_iter()
            .find(|who| who.starts_with(TOKIO))?;
        results.ratio(&measure, OURS, tokio, n)
    };
    let most = |what: &str, measured, limit| Aim {
        what: what.to_owned(),
        measured,
        limit,
        most: true,
    };
    let least = |what: &str, measured, limit| Aim {
        what: what.to_owned(),
        measured,
        limit,
        most: false,
    };
    let instructions = results
        .get("echo/64/instructions", OURS, 64)
        .map(|spread| spread.median);
    let connections = results.ns("memory/connection").into_iter().next_back();
    let memory = connections.and_then(|n| results.ratio("memory/connection", OURS, TOKIO, n));
    let aims = [
        most(
            "spawn and await: time, of Tokio’s",
            case(CASES[0].name),
            0.5,
        ),
        most("yield: time, of Tokio’s", case(CASES[1].name), 0.25),
        most(
            "many tasks spawned, then awaited: time, of Tokio’s",
            case(CASES[2].name),
            1.0,
        ),
        most(
            "a call to a sleeping domain and back: time, of Tokio’s",
            case("call a sleeping domain, and back"),
            1.0,
        ),
        least(
            "echo: messages a second, of Tokio’s, the mean of all loads that keep both busy",
            mean(results, TOKIO),
            1.0,
        ),
        least(
            "echo: messages a second, of the loop’s, the mean of all loads that keep both busy",
            mean(results, LIMIT),
            0.95,
        ),
        most("echo: instructions for a message", instructions, 400.0),
        most("an idle connection: memory, of Tokio’s", memory, 1.0),
    ];
    let mut table = Table::new(
        "Aims",
        &["the aim", "at most, or at least", "measured", "reached"],
    );
    for Aim {
        what,
        measured,
        limit,
        most,
    } in aims
    {
        let reached = match measured {
            None => "not measured",
            Some(measured) if most && measured <= limit => "yes",
            Some(measured) if !most && measured >= limit => "yes",
            Some(_) => "no",
        };
        table.rows.push(vec![
            what,
            format!("{} {}", if most { "≤" } else { "≥" }, figure(limit)),
            cell(measured, figure),
            reached.to_owned(),
        ]);
    }
    table
}

/// In per cent: a server that has more time to spare does not set the pace, and its throughput says nothing of it.
const BUSY: f64 = 80.0;

/// Our throughput beside somebody's, over all loads that kept both busy: the geometric mean, as it is one of ratios.
fn mean(results: &Results, base: &str) -> Option<f64> {
    let measures = results.measures("echo/");
    let throughputs = measures
        .iter()
        .filter(|measure| measure.ends_with("/throughput"));
    let ratios: Vec<f64> = throughputs
        .flat_map(|measure| {
            let measure = format!("echo/{measure}");
            let busy = measure.replace("/throughput", "/busy");
            let is_busy = |who, n| {
                results
                    .get(&busy, who, n)
                    .is_some_and(|busy| busy.median >= BUSY)
            };
            let ratio = |n| {
                let both = is_busy(OURS, n) && is_busy(base, n);
                results.ratio(&measure, OURS, base, n).filter(|_| both)
            };
            results
                .ns(&measure)
                .into_iter()
                .filter_map(ratio)
                .collect::<Vec<_>>()
        })
        .collect();
    let logarithms: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    (!ratios.is_empty()).then(|| (logarithms / ratios.len() as f64).exp())
}

fn figures(results: &Results) -> Vec<(&'static str, String)> {
    let words = |id, title, description| Words {
        id,
        title,
        description,
    };
    let alone = |measure: &str| -> Vec<Series> {
        let all = series(results, measure).into_iter();
        all.filter(|series| !series.name.ends_with("all cores"))
            .collect()
    };
    vec![
        (
            "echo",
            plot::lines(
                words(
                    "results-echo",
                    "Processor time of the server for a message of 64 bytes, by the number of clients",
                    &said(&alone("echo/64/cpu"), "µs"),
                ),
                "clients at once",
                "µs of the server’s core for a message",
                &alone("echo/64/cpu"),
            ),
        ),
        ("cases", cases(results)),
        (
            "memory",
            plot::lines(
                words(
                    "results-memory",
                    "Memory for an idle connection, by the number of connections",
                    &said(&alone("memory/connection"), "bytes"),
                ),
                "idle connections",
                "bytes for each",
                &alone("memory/connection"),
            ),
        ),
        ("growth", growth(results)),
        ("chapters", chapters(results)),
    ]
}

fn series(results: &Results, measure: &str) -> Vec<Series> {
    let of = |who: &str| {
        let at = |n| Some((n as f64, results.get(measure, who, n)?.median));
        results.ns(measure).into_iter().filter_map(at).collect()
    };
    let whos = results.whos(measure).into_iter();
    whos.map(|who| Series {
        name: who.to_owned(),
        style: style(who),
        points: of(who),
    })
    .collect()
}

/// The same in all figures.
fn style(name: &str) -> usize {
    ALL.iter()
        .position(|contestant| contestant.name == name)
        .unwrap_or(ALL.len())
}

/// The ends of all lines in words.
fn said(all: &[Series], unit: &str) -> String {
    let of = |series: &Series| {
        let (first, last) = (series.points.first()?, series.points.last()?);
        let (name, from, to) = (&series.name, figure(first.1), figure(last.1));
        Some(format!(
            "{name}: {from} {unit} at {}, {to} at {}.",
            count(first.0 as u64),
            count(last.0 as u64)
        ))
    };
    all.iter().filter_map(of).collect::<Vec<_>>().join(" ")
}

fn cases(results: &Results) -> String {
    let mut rows = Vec::new();
    for case in CASES {
        let measure = format!("case/{}", case.name);
        let ratio = |who: &str| {
            let whos = results.whos(&measure);
            let find = |beginning: &str| whos.iter().find(|who| who.starts_with(beginning));
            let n = *results.ns(&measure).first()?;
            results.ratio(&measure, find(who)?, find(TOKIO)?, n)
        };
        rows.push((case.name.to_owned(), vec![ratio(OURS), ratio("smol")]));
    }
    let of = |(name, values): &(String, Vec<Option<f64>>)| {
        let ours = values.first().copied().flatten()?;
        Some(format!("{name}: {}.", figure(ours)))
    };
    let said: Vec<String> = rows.iter().filter_map(of).collect();
    let description = format!("This runtime takes, of Tokio’s time: {}", said.join(" "));
    let words = Words {
        id: "results-cases",
        title: "Time for tasks, calls and timers, as a multiple of Tokio’s",
        description: &description,
    };
    plot::ratios(
        words,
        "Tokio = 1",
        &[OURS, "smol"].map(|name| (name, style(name))),
        &rows,
    )
}

fn growth(results: &Results) -> String {
    let all = series(results, &format!("growth/{}", GROWING[0]));
    let description = said(&all, "ns");
    let words = Words {
        id: "results-growth",
        title: "Time to spawn a task and await it later, by the number of tasks at once",
        description: &description,
    };
    plot::lines(words, "tasks at once", "ns for each", &all)
}

/// Instructions, which noise does not touch; where they cannot be counted, processor time.
fn chapters(results: &Results) -> String {
    let (measure, label) = match results.whos("chapter/instructions").as_slice() {
        [] => ("chapter/cpu", "µs of the server’s core for a message"),
        _ => ("chapter/instructions", "instructions for a message"),
    };
    // With the fewest clients: then those that have but one are there, too.
    let n = results.ns(measure).into_iter().next().unwrap_or_default();
    let row = |who: &str| Some((who.to_owned(), results.get(measure, who, n)?.median));
    let rows: Vec<_> = results.whos(measure).into_iter().filter_map(row).collect();
    let said: Vec<String> = rows
        .iter()
        .map(|(who, value)| format!("{who}: {}.", figure(*value)))
        .collect();
    let description = said.join(" ");
    let words = Words {
        id: "results-chapters",
        title: "What a message takes in each chapter’s own server",
        description: &description,
    };
    plot::bars(words, label, &rows)
}
