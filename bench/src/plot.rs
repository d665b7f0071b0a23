//! Figures as SVG, drawn in the colour of the text, so that they can be read on any background. Series differ in
//! shape and in the label at their end, and only then in colour. Nothing is smaller than 12 pixels.

use std::fmt::Write as _;

use crate::stats::figure;

/// What a figure says to those who look, and to those who cannot.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// Unique on its page.
    pub id: &'a str,
    /// What it shows.
    pub title: &'a str,
    /// What is to be seen in it.
    pub description: &'a str,
}

/// Somebody's figures, at the numbers they were taken at.
#[derive(Clone, Debug)]
pub struct Series {
    /// Whose.
    pub name: String,
    /// The number of its shape and colour.
    pub style: usize,
    /// Where, and what.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const GRID: &str = "stroke=\"currentColor\" stroke-opacity=\"0.18\"";

/// Dark enough on white, light enough on black.
const COLOURS: &[&str] = &[
    "currentColor",
    "#d9480f",
    "#3b82c4",
    "#2f9e5b",
    "#9b5fd0",
    "#b8860b",
];

/// Lines over numbers that grow tenfold from step to step. The value begins at zero.
pub fn lines(words: Words<'_>, x_label: &str, y_label: &str, all: &[Series]) -> String {
    let (left, right, top, bottom) = (70.0, 560.0, 40.0, 320.0);
    let points = || all.iter().flat_map(|series| &series.points);
    let low = points()
        .map(|point| point.0)
        .fold(f64::MAX, f64::min)
        .log10();
    let high = points().map(|point| point.0).fold(1.0, f64::max).log10();
    let x =
        |n: f64| left + 15.0 + (n.log10() - low) / (high - low).max(1e-9) * (right - left - 30.0);
    let step = step(points().map(|point| point.1).fold(0.0, f64::max) / 5.0);
    let most = (points().map(|point| point.1).fold(0.0, f64::max) / step)
        .ceil()
        .max(1.0);
    let y = |value: f64| bottom - value / (most * step) * (bottom - top);

    let mut svg = open(words, 370.0);
    for at in 0..=most as u32 {
        let value = f64::from(at) * step;
        let (y, shown) = (y(value), figure(value).trim_end_matches(".00").to_owned());
        let _ = writeln!(svg, "<path d=\"M{left} {y:.1}H{right}\" {GRID}/>");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{shown}</text>",
            left - 8.0,
            y + 4.0
        );
    }
    let mut ns: Vec<f64> = points().map(|point| point.0).collect();
    ns.sort_by(f64::total_cmp);
    ns.dedup();
    let mut last = 0.0;
    for n in ns {
        // Two that are close share a label.
        if x(n) - last > 50.0 {
            last = x(n);
            let _ = writeln!(
                svg,
                "<text x=\"{last:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 20.0,
                figure(n).trim_end_matches(".00").trim_end_matches(".0")
            );
        }
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{x_label}</text>",
        (left + right) / 2.0,
        bottom + 42.0
    );
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"22\">{y_label}</text>");
    let mut labels: Vec<(f64, usize)> = Vec::new();
    for (number, series) in all.iter().enumerate() {
        let colour = colour(series.style);
        let at: Vec<_> = series
            .points
            .iter()
            .map(|&(n, value)| (x(n), y(value)))
            .collect();
        let path: Vec<String> = at.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"/>",
            path.join("L")
        );
        for &(x, y) in &at {
            svg += &mark(series.style, x, y);
        }
        if let Some(&(_, y)) = at.last() {
            labels.push((y, number));
        }
    }
    // Labels stand beside the end of their lines, as far as there is room for all.
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = top - 10.0;
    let room = |rest: usize| bottom + 10.0 - 18.0 * rest as f64;
    let count = labels.len();
    for (at, (y, number)) in labels.into_iter().enumerate() {
        let y = y.min(room(count - 1 - at)).max(free);
        free = y + 18.0;
        svg += &mark(all[number].style, right + 14.0, y);
        let name = escape(&all[number].name);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\">{name}</text>",
            right + 26.0,
            y + 4.0
        );
    }
    svg + "</svg>\n"
}

/// How often somebody takes what somebody else does, who is at 1: a row for each thing, half of it as far from 1 as twice.
pub fn ratios(
    words: Words<'_>,
    base: &str,
    names: &[(&str, usize)],
    rows: &[(String, Vec<Option<f64>>)],
) -> String {
    let (left, right, top) = (270.0, 690.0, 62.0);
    let bottom = top + 30.0 * rows.len() as f64;
    let all = || {
        rows.iter()
            .flat_map(|(_, values)| values.iter().flatten())
            .copied()
    };
    let low = all().fold(0.5, f64::min).log2().floor();
    let high = all().fold(2.0, f64::max).log2().ceil();
    let x = |ratio: f64| left + (ratio.log2() - low) / (high - low) * (right - left);

    let mut svg = open(words, bottom + 44.0);
    for power in low as i32..=high as i32 {
        let ratio = 2_f64.powi(power);
        let shown = if power < 0 {
            format!("1/{}", 1_u32 << -power)
        } else {
            format!("{ratio}")
        };
        let x = x(ratio);
        let line = if power == 0 {
            "stroke=\"currentColor\" stroke-width=\"1.5\""
        } else {
            GRID
        };
        let _ = writeln!(svg, "<path d=\"M{x:.1} {}V{bottom}\" {line}/>", top - 12.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{shown}</text>",
            bottom + 20.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{base}</text>",
        x(1.0),
        top - 18.0
    );
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{}\">← less time</text><text x=\"{right}\" y=\"{}\" text-anchor=\"end\">more time →</text>",
        bottom + 40.0,
        bottom + 40.0
    );
    for (number, (name, style)) in names.iter().enumerate() {
        let x = 16.0 + 130.0 * number as f64;
        svg += &mark(*style, x, 18.0);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"22\">{}</text>",
            x + 12.0,
            escape(name)
        );
    }
    for ((name, values), y) in rows
        .iter()
        .zip((0..).map(|row| top + 15.0 + 30.0 * f64::from(row)))
    {
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 12.0,
            y + 4.0,
            escape(name)
        );
        for ((_, style), value) in names.iter().zip(values) {
            if let Some(ratio) = value {
                svg += &mark(*style, x(*ratio), y);
            }
        }
    }
    svg + "</svg>\n"
}

/// A bar for each, from zero on, with its value at the end.
pub fn bars(words: Words<'_>, label: &str, rows: &[(String, f64)]) -> String {
    let (left, right, top) = (230.0, 640.0, 40.0);
    let bottom = top + 28.0 * rows.len() as f64;
    let most = rows.iter().map(|row| row.1).fold(1e-9, f64::max);
    let mut svg = open(words, bottom + 10.0);
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"22\">{label}</text>");
    for ((name, value), y) in rows
        .iter()
        .zip((0..).map(|row| top + 28.0 * f64::from(row)))
    {
        let width = value / most * (right - left);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            left - 10.0,
            y + 15.0,
            escape(name)
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{y}\" width=\"{width:.1}\" height=\"20\" fill-opacity=\"0.3\" stroke=\"currentColor\"/>"
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\">{}</text>",
            left + width + 8.0,
            y + 15.0,
            figure(*value)
        );
    }
    svg + "</svg>\n"
}

fn open(words: Words<'_>, height: f64) -> String {
    let Words {
        id,
        title,
        description,
    } = words;
    let (title, description) = (escape(title), escape(description));
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"currentColor\" stroke=\"none\">\n\
         <title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-desc\">{description}</desc>\n"
    )
}

fn colour(number: usize) -> &'static str {
    COLOURS[number % COLOURS.len()]
}

/// A circle, a square, a triangle, a diamond, a cross, a ring.
fn mark(number: usize, x: f64, y: f64) -> String {
    let colour = colour(number);
    let fill = format!("fill=\"{colour}\"");
    let stroke = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"");
    let (path, how) = match number % COLOURS.len() {
        0 => ("m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", fill),
        1 => ("m-4.5 -4.5h9v9h-9z", fill),
        2 => ("m0 -5.5l5.5 9.5h-11z", fill),
        3 => ("m0 -6l5 6l-5 6l-5 -6z", fill),
        4 => ("m-4.5 -4.5l9 9m0 -9l-9 9", stroke),
        _ => ("m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", stroke),
    };
    format!("<path d=\"M{x:.1} {y:.1}{path}\" {how}/>\n")
}

/// A round number that is not below `least`.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    // The last one is large enough.
    steps
        .into_iter()
        .find(|step| *step >= least * 0.999)
        .unwrap_or(least)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::{Series, Words, bars, lines, ratios, step};

    const WORDS: Words<'_> = Words {
        id: "results-test",
        title: "Less is <more>",
        description: "a & b",
    };

    #[test]
    fn steps_are_round() {
        assert_eq!([0.9, 1.7, 230.0].map(step), [1.0, 2.0, 250.0]);
    }

    #[test]
    fn every_figure_says_what_it_shows() {
        let series = |name: &str, value| Series {
            name: name.to_owned(),
            style: 1,
            points: vec![(1.0, value), (1000.0, value * 2.0)],
        };
        let all = [
            lines(
                WORDS,
                "clients",
                "µs",
                &[series("a", 1.0), series("b", 1.0)],
            ),
            ratios(
                WORDS,
                "Tokio",
                &[("ours", 1)],
                &[("yield".to_owned(), vec![Some(0.2)])],
            ),
            bars(WORDS, "instructions", &[("ch01".to_owned(), 120.0)]),
        ];
        for svg in all {
            assert!(svg.contains("Less is &lt;more></title>"), "{svg}");
            assert!(svg.contains("a &amp; b</desc>"), "{svg}");
            // A page's HTML goes on after an empty line, which would end it.
            assert!(
                !svg.contains("\n\n") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
        }
    }
}
