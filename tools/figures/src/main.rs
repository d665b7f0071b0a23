//! Records the book's figures anew: `cargo run -p figures`.

use anyhow::{Context as _, Result};
use std::fs;

fn main() -> Result<()> {
    for figure in figures::FIGURES {
        let path = figures::path(figure);
        let former = fs::read_to_string(&path).ok();
        let file = figures::record(figure, former.as_deref())?;
        let what = if former.as_ref() == Some(&file) {
            "as it was"
        } else {
            fs::write(&path, file).with_context(|| format!("cannot write {path:?}"))?;
            "written"
        };
        println!("{}: {what}", figure.name);
    }
    Ok(())
}
