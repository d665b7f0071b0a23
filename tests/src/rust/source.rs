//! From what stands on the page to what is compiled, and back to the page's lines.

/// Which line of the file each line of a block comes from.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    fence: usize,
    /// One entry per line of the block.
    from: Vec<usize>,
}

impl Lines {
    /// Aligns a block's text (includes carried out) with the file in which its fence stands at `fence`.
    pub(crate) fn new(file: &str, fence: usize, text: &str) -> Self {
        let lines: Vec<&str> = file.lines().collect();
        let opening = lines.get(fence - 1).copied().unwrap_or_default();
        let is_fence = opening.contains("```") || opening.contains("~~~");
        let mut from = Vec::new();
        let mut block = text.lines().peekable();
        let mut at = fence;
        while block.peek().is_some() {
            // The whole block may have been included: then its place is where that is said.
            let Some(line) = lines.get(at).filter(|_| is_fence) else {
                break;
            };
            at += 1;
            if line.contains("{{#") {
                // An include ends where the file goes on, or where the block does.
                let next = lines.get(at).map_or("", |line| line.trim());
                while let Some(shown) = block.peek()
                    && (next.starts_with("```") || next.starts_with("~~~") || shown.trim() != next)
                {
                    block.next();
                    from.push(at);
                }
            } else {
                block.next();
                from.push(at);
            }
        }
        Self { fence, from }
    }

    /// The line of the file that a line of the block, counted from 1, comes from.
    pub(crate) fn at(&self, line: usize) -> usize {
        match self.from.get(line.saturating_sub(1)) {
            Some(&line) => line,
            None => self.from.last().map_or(self.fence, |last| last + 1),
        }
    }
}

/// The lines between the fences as they stand in the file, includes not carried out.
pub(crate) fn raw(file: &str, fence: usize) -> Vec<&str> {
    let mut lines = file.lines().skip(fence - 1);
    let opening = lines.next().unwrap_or_default().trim_start();
    let marks = opening.len() - opening.trim_start_matches(['`', '~']).len();
    // What is no fence is an include that brings the whole block with it.
    let closing = &opening[..marks];
    lines
        .take_while(|line| marks > 0 && line.trim() != closing)
        .collect()
}

/// The program a block stands for. It has the block's lines, each where it was.
pub(super) fn program(text: &str, hidden: Option<&str>) -> String {
    let lines: Vec<String> = text.lines().map(|line| shown(line, hidden)).collect();
    if lines.iter().any(|line| is_main(line)) {
        return lines.join("\n") + "\n";
    }
    // As rustdoc does: `#![…]` stay outside, and a block that ends in `Ok(())` may use `?`.
    let start = lines.iter().take_while(|line| stays_outside(line)).count();
    let last = lines
        .iter()
        .map(|line| line.trim())
        .rfind(|line| !line.is_empty());
    let (open, close) = if last.is_some_and(|line| line.ends_with("(())")) {
        (
            "fn main() { fn block() -> Result<(), impl core::fmt::Debug> {",
            "} block().unwrap() }",
        )
    } else {
        ("fn main() {", "}")
    };
    let mut program = lines[..start].concat_lines();
    program.push_str("#[allow(unused)] ");
    program.push_str(open);
    program.push(' ');
    program.push_str(&lines[start..].concat_lines());
    program.push_str(close);
    program.push('\n');
    program
}

/// A line without the mark that hides it from the reader, as mdBook understands it.
fn shown(line: &str, hidden: Option<&str>) -> String {
    let content = line.trim_start();
    let indent = &line[..line.len() - content.len()];
    if let Some(rest) = hidden.and_then(|prefix| content.strip_prefix(prefix)) {
        return format!("{indent}{rest}");
    }
    match content.strip_prefix('#') {
        Some("") => String::new(),
        Some(rest) if rest.starts_with('#') => format!("{indent}{rest}"),
        Some(rest) if rest.starts_with(' ') => format!("{indent}{}", &rest[1..]),
        _ => line.to_owned(),
    }
}

fn is_main(line: &str) -> bool {
    let mut line = line.trim_start();
    for word in ["pub ", "async "] {
        line = line.strip_prefix(word).unwrap_or(line);
    }
    line.strip_prefix("fn main")
        .is_some_and(|rest| rest.trim_start().starts_with(['(', '<']))
}

fn stays_outside(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with("#![") || line.starts_with("//")
}

trait ConcatLines {
    fn concat_lines(&self) -> String;
}

impl ConcatLines for [String] {
    fn concat_lines(&self) -> String {
        self.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, program};

    #[test]
    fn a_program_keeps_the_lines_of_its_block() {
        assert_eq!(
            program("# use std::fs;\nfn main() {}\n", None),
            "use std::fs;\nfn main() {}\n"
        );
        let wrapped = program("#![allow(dead_code)]\nlet x = 1;\n#\n## no\n", None);
        let lines: Vec<&str> = wrapped.lines().collect();
        assert_eq!(lines[0], "#![allow(dead_code)]");
        assert!(lines[1].ends_with("fn main() { let x = 1;"), "{wrapped}");
        assert_eq!(lines[2..], ["", "# no", "}"]);
    }

    #[test]
    fn a_block_that_ends_well_may_use_the_question_mark() {
        let text = program(
            "let n: u8 = \"1\".parse()?;\nOk::<(), std::num::ParseIntError>(())\n",
            None,
        );
        assert!(text.contains("Result<(), impl core::fmt::Debug>"), "{text}");
    }

    #[test]
    fn lines_lead_back_to_the_file_around_an_include() {
        let file = "text\n```rust\na\n{{#include x.rs}}\nb\n```\n";
        let lines = Lines::new(file, 2, "a\nx\ny\nb\n");
        assert_eq!([1, 2, 3, 4].map(|line| lines.at(line)), [3, 4, 4, 5]);
        // Past the end, as for an error at the end of the file: the closing fence.
        assert_eq!(lines.at(5), 6);
    }
}
