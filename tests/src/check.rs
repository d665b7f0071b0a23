//! From a Markdown file to the checks of its blocks.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use book::{Block, Problem};

use crate::Place;
use crate::console::{Console, Skipped};
use crate::fence::{Fence, parse};
use crate::parts;
use crate::rust::{Host, Lines, RustBlock, raw};

/// One block of a page, and what is to be found out about it.
#[derive(Debug)]
pub struct Check {
    file: String,
    line: usize,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Rust(RustBlock),
    Console(Console),
    /// Nothing but parts of chapters' files, which are compiled and tested where they stand.
    Parts(Vec<PathBuf>),
    /// It cannot be tested as it stands.
    Wrong(String),
}

impl Check {
    /// Where the block begins: `src/ch02-scheduler.md:120`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// The file it stands in.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line of its fence.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self.work {
            Work::Rust(_) => "rust",
            Work::Console(_) => "console",
            Work::Parts(_) => "parts",
            Work::Wrong(_) => "wrong",
        }
    }

    /// Finds out whether the block keeps its promise; `Some` says why that could not be tried here.
    ///
    /// # Errors
    ///
    /// A message that begins with the file and the line of what is wrong.
    pub fn run(&self, place: &Place, host: &Host) -> Result<Skipped, String> {
        match &self.work {
            Work::Rust(block) => block.check(host).map(|()| None),
            Work::Console(console) => console.check(place),
            Work::Parts(files) => parts::check(&place.root, files)
                .map(|()| None)
                .map_err(|message| format!("{}: {message}", self.name())),
            Work::Wrong(message) => Err(format!("{}: {message}", self.name())),
        }
    }
}

/// All files whose blocks are tested: the pages, the README, and the chapters' own.
///
/// # Errors
///
/// When the list of pages, or a folder, cannot be read.
pub fn files(root: &Path) -> Result<Vec<PathBuf>, Vec<Problem>> {
    let mut files: Vec<PathBuf> = book::pages(root)?
        .into_iter()
        .map(|page| page.path)
        .collect();
    let mut readmes = vec![PathBuf::from("README.md")];
    if let Ok(chapters) = fs::read_dir(root.join("chapters")) {
        readmes.extend(chapters.flatten().map(|entry| {
            Path::new("chapters")
                .join(entry.file_name())
                .join("README.md")
        }));
    }
    readmes.sort();
    files.extend(readmes.into_iter().filter(|path| root.join(path).is_file()));
    Ok(files)
}

/// The checks of all blocks in a file, in its order. What is wrong with the file itself is one that fails.
pub fn checks(root: &Path, file: &Path) -> Vec<Check> {
    let shown = file.to_string_lossy().replace('\\', "/");
    let wrong = |line, message: &str| Check {
        file: shown.clone(),
        line,
        work: Work::Wrong(message.to_owned()),
    };
    let (blocks, text) = match (
        book::blocks(root, file),
        fs::read_to_string(root.join(file)),
    ) {
        (Ok(blocks), Ok(text)) => (blocks, text),
        (Err(problems), _) => {
            return problems.iter().map(|p| wrong(p.line, &p.message)).collect();
        }
        (_, Err(error)) => return vec![wrong(1, &format!("cannot be read: {error}"))],
    };

    let mut checks: Vec<Check> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    // Whether the block before could be followed by its output.
    let mut after_rust = false;
    for Block {
        line,
        info,
        text: code,
        ..
    } in blocks
    {
        let lines = Lines::new(&text, line, &code);
        let fence = parse(&info);
        let was_rust = std::mem::replace(&mut after_rust, matches!(fence, Ok(Fence::Rust(_))));
        let work = match fence {
            Err(message) => Work::Wrong(message),
            Ok(Fence::Other) => continue,
            Ok(Fence::Rust(_) | Fence::Console(_)) if code.trim().is_empty() => {
                Work::Wrong("the block is empty".to_owned())
            }
            Ok(Fence::Rust(fence)) => match parts::of(file, raw(&text, line), &fence) {
                Some(files) => Work::Parts(files),
                None => {
                    let nth = seen.entry(code.clone()).or_default();
                    *nth += 1;
                    Work::Rust(RustBlock {
                        file: shown.clone(),
                        line,
                        lines,
                        fence,
                        text: code,
                        output: None,
                        nth: *nth,
                    })
                }
            },
            Ok(Fence::Console(fence)) => Work::Console(Console {
                file: shown.clone(),
                line,
                lines,
                fence,
                text: code,
            }),
            Ok(Fence::Output) => match checks.last_mut() {
                Some(Check {
                    work: Work::Rust(block),
                    ..
                }) if was_rust => {
                    block.output = Some((lines, code));
                    continue;
                }
                _ => Work::Wrong(
                    "`text,output` must follow the Rust block that prints it".to_owned(),
                ),
            },
        };
        checks.push(Check {
            file: shown.clone(),
            line,
            work,
        });
    }
    checks
}
