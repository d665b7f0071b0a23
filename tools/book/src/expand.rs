//! A page as mdBook sees it, its includes carried out, with the way back to the lines of the source.

use std::path::Path;

use anyhow::{Context, Result};
use mdbook_driver::book::{Book, BookItem, Chapter};
use mdbook_driver::builtin_preprocessors::LinkPreprocessor;
use mdbook_driver::config::Config;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use crate::include::{directives, line_at};
use crate::paths::folder;

/// A text with its includes carried out.
pub(crate) struct Expanded {
    /// What Markdown is made of.
    pub(crate) text: String,
    pieces: Vec<Piece>,
}

/// A stretch of the expanded text: copied from the source, or put in the place of one directive.
struct Piece {
    start: usize,
    line: usize,
    copied: bool,
}

impl Expanded {
    /// A text in which nothing is to be carried out.
    pub(crate) fn plain(text: String) -> Self {
        Self {
            text,
            pieces: vec![Piece {
                start: 0,
                line: 1,
                copied: true,
            }],
        }
    }

    /// The line of the source, counted from 1, that an offset of the expanded text comes from.
    pub(crate) fn line(&self, offset: usize) -> usize {
        let index = self
            .pieces
            .partition_point(|piece| piece.start <= offset)
            .saturating_sub(1);
        match self.pieces.get(index) {
            Some(piece) if piece.copied => {
                piece.line + line_at(&self.text[piece.start..], offset - piece.start) - 1
            }
            Some(piece) => piece.line,
            None => 1,
        }
    }
}

/// Carries out the includes of `text`, the content of `file` (relative to `root`).
///
/// mdBook's own preprocessor does the work, given each directive by itself: so the result is what mdBook
/// makes, and yet we know which piece came from where.
pub(crate) fn expand(root: &Path, file: &Path, text: &str) -> Result<Expanded> {
    let found = directives(text);
    let name = file.file_name().context("a page needs a file name")?;
    let chapters = found.iter().map(|directive| {
        BookItem::Chapter(Chapter::new(
            "",
            text[directive.range.clone()].to_owned(),
            name,
            Vec::new(),
        ))
    });

    let mut config = Config::default();
    config.book.src = folder(file).to_path_buf();
    let context = PreprocessorContext::new(root.to_path_buf(), config, "html".to_owned());
    let book = LinkPreprocessor::new().run(&context, Book::new_with_items(chapters.collect()))?;

    let mut expanded = Expanded {
        text: String::new(),
        pieces: Vec::new(),
    };
    let mut copied_to = 0;
    for (directive, item) in found.iter().zip(&book.items) {
        expanded.copy(text, copied_to, directive.range.start);
        if let BookItem::Chapter(chapter) = item {
            let (start, line) = (expanded.text.len(), line_at(text, directive.range.start));
            expanded.pieces.push(Piece {
                start,
                line,
                copied: false,
            });
            expanded.text.push_str(&chapter.content);
        }
        copied_to = directive.range.end;
    }
    expanded.copy(text, copied_to, text.len());
    Ok(expanded)
}

impl Expanded {
    fn copy(&mut self, source: &str, from: usize, to: usize) {
        self.pieces.push(Piece {
            start: self.text.len(),
            line: line_at(source, from),
            copied: true,
        });
        self.text.push_str(&source[from..to]);
    }
}
