//! What the line above a Rust block asks for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A Rust block, and what is to be done with it.
#[derive(Debug, PartialEq, Eq)]
pub struct RustFence {
    /// The edition that it is compiled as.
    pub edition: String,
    /// What it promises.
    pub must: Must,
    /// How long it may run.
    pub limit: Duration,
    /// What hidden lines begin with, beside `# `.
    pub hidden: Option<String>,
}

impl Default for RustFence {
    fn default() -> Self {
        Self {
            edition: "2024".to_owned(),
            must: Must::RunWell,
            limit: RUN_LIMIT,
            hidden: None,
        }
    }
}

/// What a Rust block promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Must {
    /// Compile, run, and end well.
    RunWell,
    /// Compile, and end by a panic.
    Panic,
    /// Compile.
    Compile,
    /// Fail to compile, with this error code or, without one, with errors that have none.
    NotCompile(Option<String>),
}

/// The longest that a Rust block may run.
pub const RUN_LIMIT: Duration = Duration::from_secs(10);

impl RustFence {
    /// Reads the words after `rust`.
    ///
    /// # Errors
    ///
    /// What is wrong with them, and what to write instead.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let mut fence = Self::default();
        let mut code = None;
        let mut promises = 0;
        for word in words {
            match *word {
                "editable" | "runnable" | "noplayground" | "noplaypen" | "mdbook-runnable" => {}
                "no_run" => (fence.must, promises) = (Must::Compile, promises + 1),
                "should_panic" => (fence.must, promises) = (Must::Panic, promises + 1),
                "compile_fail" => (fence.must, promises) = (Must::NotCompile(None), promises + 1),
                "edition2015" | "edition2018" | "edition2021" | "edition2024" => {
                    word["edition".len()..].clone_into(&mut fence.edition);
                }
                "ignore" => {
                    return Err("`ignore` is not allowed: a block that is not tested may be wrong; use `no_run`, \
                                `compile_fail,E…`, or `text` if it is not Rust".to_owned());
                }
                _ if is_error_code(word) && code.is_none() => code = Some((*word).to_owned()),
                _ => match word.split_once('=') {
                    Some(("hidelines", prefix)) => fence.hidden = Some(prefix.to_owned()),
                    Some(("timeout", value)) => {
                        let limit = seconds(value)?;
                        if limit > RUN_LIMIT {
                            return Err(format!(
                                "a block may run for {} s at most",
                                RUN_LIMIT.as_secs()
                            ));
                        }
                        fence.limit = limit;
                    }
                    _ => return Err(unknown(word)),
                },
            }
        }
        if promises > 1 {
            return Err("only one of `no_run`, `should_panic`, `compile_fail` can hold".to_owned());
        }
        match (&mut fence.must, code) {
            (_, None) => {}
            (Must::NotCompile(expected), code) => *expected = code,
            (_, Some(code)) => return Err(format!("`{code}` stands without `compile_fail`")),
        }
        Ok(fence)
    }
}

/// The seconds of a `timeout=`.
///
/// # Errors
///
/// When they are not whole ones from 1 to 600.
pub fn seconds(value: &str) -> Result<Duration, String> {
    match value.parse() {
        Ok(seconds @ 1..=600) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!(
            "`timeout={value}`: write whole seconds from 1 to 600"
        )),
    }
}

/// The message for a word that is none of a fence's.
pub fn unknown(word: &str) -> String {
    format!("the attribute `{word}` is unknown; tests/README.md lists those there are")
}

fn is_error_code(word: &str) -> bool {
    word.strip_prefix('E')
        .is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))
}
