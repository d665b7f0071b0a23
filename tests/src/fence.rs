//! What the line above a code block asks for.

use std::time::Duration;

pub(crate) use book::{Must, RustFence as Rust};
use book::{seconds, unknown};

/// What a block is, and what is to be done with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    Rust(Rust),
    Console(Console),
    /// What the Rust block before it prints.
    Output,
    /// Not a program: a picture, a file, another language.
    Other,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Console {
    /// Programs that must be installed, or a system that this must be.
    pub(crate) needs: Vec<String>,
    /// The longest that one command may take.
    pub(crate) limit: Option<Duration>,
    /// The test that covers it instead.
    pub(crate) elsewhere: Option<String>,
}

/// Reads the info string of a fence: `rust,should_panic`.
///
/// # Errors
///
/// What is wrong with it, and what to write instead.
pub(crate) fn parse(info: &str) -> Result<Fence, String> {
    let mut words = info
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty());
    let language = words.next().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    match language {
        "rust" => Rust::parse(&words).map(Fence::Rust),
        "console" => console(&words).map(Fence::Console),
        "text" if words.contains(&"output") => Ok(Fence::Output),
        "sh" | "shell" | "bash" | "zsh" | "shell-session" | "shellsession" | "terminal" => {
            Err(format!(
                "`{language}` blocks are not checked; write `console`, a `$ ` before each command, and what it prints"
            ))
        }
        "" => Err(
            "the fence says no language; write `rust`, `console`, or `text` for what is neither"
                .to_owned(),
        ),
        "rs" | "Rust" | "ignore" | "no_run" | "should_panic" | "compile_fail" | "editable" => {
            Err(format!(
                "begin the fence with `rust` instead of `{language}`, or the block is not tested"
            ))
        }
        _ => Ok(Fence::Other),
    }
}

fn console(words: &[&str]) -> Result<Console, String> {
    let mut fence = Console {
        needs: Vec::new(),
        limit: None,
        elsewhere: None,
    };
    for word in words {
        match word.split_once('=') {
            Some(("needs", what)) => fence.needs.push(what.to_owned()),
            Some(("timeout", value)) => fence.limit = Some(seconds(value)?),
            Some(("elsewhere", test)) => fence.elsewhere = Some(test.to_owned()),
            _ if *word == "ignore" => {
                return Err("`ignore` is not allowed: a transcript is run, or names the test that covers it \
                            (`elsewhere=…`)".to_owned());
            }
            _ => return Err(unknown(word)),
        }
    }
    Ok(fence)
}

#[cfg(test)]
mod tests {
    use super::{Fence, Must, parse};

    fn must(info: &str) -> Must {
        match parse(info) {
            Ok(Fence::Rust(rust)) => rust.must,
            other => panic!("{info}: {other:?}"),
        }
    }

    #[test]
    fn attributes_say_what_a_rust_block_promises() {
        assert_eq!(must("rust"), Must::RunWell);
        let limit = std::time::Duration::from_secs(10);
        assert!(matches!(parse("rust"), Ok(Fence::Rust(rust)) if rust.limit == limit));
        assert_eq!(must("rust,editable"), Must::RunWell);
        assert_eq!(must("rust, no_run"), Must::Compile);
        assert_eq!(must("rust,should_panic"), Must::Panic);
        assert_eq!(must("rust,compile_fail"), Must::NotCompile(None));
        assert_eq!(
            must("rust,compile_fail,E0521"),
            Must::NotCompile(Some("E0521".to_owned()))
        );
    }

    #[test]
    fn what_would_go_untested_is_refused() {
        for info in [
            "",
            "rs",
            "ignore",
            "rust,ignore",
            "rust,norun",
            "rust,E0521",
            "rust,no_run,should_panic",
            "rust,timeout=11",
            "sh",
            "bash",
            "console,ignore",
            "console,timeout=0",
            "console,need=nc",
        ] {
            assert!(parse(info).is_err(), "{info}");
        }
        assert_eq!(parse("text"), Ok(Fence::Other));
        assert_eq!(parse("text,output"), Ok(Fence::Output));
        assert_eq!(parse("toml"), Ok(Fence::Other));
    }
}
