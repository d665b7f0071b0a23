//! From the lines of a block to a whole program.

/// The lines of a block without the marks that hide some of them from the reader: `# `, and `hidden`.
pub fn unhidden(text: &str, hidden: Option<&str>) -> String {
    text.lines()
        .map(|line| shown(line, hidden) + "\n")
        .collect()
}

/// The program that a block stands for. It has the block's lines, each where it was.
pub fn program(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
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

impl ConcatLines for [&str] {
    fn concat_lines(&self) -> String {
        self.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{program, unhidden};

    #[test]
    fn a_program_keeps_the_lines_of_its_block() {
        assert_eq!(
            program(&unhidden("# use std::fs;\nfn main() {}\n", None)),
            "use std::fs;\nfn main() {}\n"
        );
        let wrapped = program(&unhidden(
            "#![allow(dead_code)]\nlet x = 1;\n#\n## no\n",
            None,
        ));
        let lines: Vec<&str> = wrapped.lines().collect();
        assert_eq!(lines[0], "#![allow(dead_code)]");
        assert!(lines[1].ends_with("fn main() { let x = 1;"), "{wrapped}");
        assert_eq!(lines[2..], ["", "# no", "}"]);
    }

    #[test]
    fn a_block_that_ends_well_may_use_the_question_mark() {
        let text = program("let n: u8 = \"1\".parse()?;\nOk::<(), std::num::ParseIntError>(())\n");
        assert!(text.contains("Result<(), impl core::fmt::Debug>"), "{text}");
    }
}
