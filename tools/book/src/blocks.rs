//! The code blocks of a page.

use std::fs;
use std::path::{Path, PathBuf};

use mdbook_markdown::{MarkdownOptions, new_cmark_parser};
use pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd};

use crate::check::fence;
use crate::expand::{Expanded, expand};
use crate::include::Text;
use crate::{Problem, config};

/// A fenced code block, as mdBook shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The file it stands in, relative to the root.
    pub file: PathBuf,
    /// The line of its opening fence in that file, counted from 1.
    pub line: usize,
    /// What follows the opening fence: `rust,should_panic`.
    pub info: String,
    /// Its content, includes carried out; hidden lines (`# …`) are still there.
    pub text: String,
}

/// All fenced code blocks of a Markdown file, also those inside lists, quotes and `<details>`.
///
/// `file` is relative to `root`. Includes are carried out by mdBook's own preprocessor.
///
/// # Errors
///
/// When the file cannot be read, when what a block includes does not exist, or when a fence is not closed:
/// then no block could be trusted to be what the reader sees.
pub fn blocks(root: &Path, file: &Path) -> Result<Vec<Block>, Vec<Problem>> {
    let options = config::load(root)
        .map(|config| config::markdown(&config))
        .map_err(|problem| vec![problem])?;
    let text = fs::read_to_string(root.join(file))
        .map_err(|error| vec![Problem::new(file, 1, format!("cannot be read: {error}"))])?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut problems = Vec::new();
    let real_root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    Text {
        root: &real_root,
        page: file,
        file,
        text,
        brought_in_by: None,
        depth: 0,
    }
    .check(&mut problems);
    let expanded = expand(root, file, text).map_err(|error| {
        vec![Problem::new(
            file,
            1,
            format!("its includes cannot be carried out: {error:#}"),
        )]
    })?;
    fence::check(file, &expanded, &options, &mut problems);
    if problems.is_empty() {
        Ok(fenced(file, &expanded, &options))
    } else {
        Err(problems)
    }
}

fn fenced(file: &Path, expanded: &Expanded, options: &MarkdownOptions) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (event, range) in new_cmark_parser(&expanded.text, options).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                inside = true;
                let line = expanded.line(range.start);
                blocks.push(Block {
                    file: file.to_path_buf(),
                    line,
                    info: info.to_string(),
                    text: String::new(),
                });
            }
            Event::End(TagEnd::CodeBlock) => inside = false,
            Event::Text(text) if inside => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(&text);
                }
            }
            _ => {}
        }
    }
    blocks
}
