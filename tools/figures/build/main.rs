//! Makes copies of the chapters' examples that tell which line they are at.

mod instrument;

use anyhow::{Context as _, Result};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The programs of the figures: the chapter, and the example's name.
const PROGRAMS: &[(&str, &str)] = &[("ch04-orphans", "cancel_tree")];

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    println!("cargo::rerun-if-changed=build");
    let mut modules = String::new();
    for (chapter, name) in PROGRAMS {
        let from = root.join("chapters").join(chapter).join("examples");
        let to = out.join(chapter);
        fs::create_dir_all(&to)?;
        let source = from.join(name).with_extension("rs");
        println!("cargo::rerun-if-changed={}", source.display());
        let text = fs::read_to_string(&source)
            .with_context(|| format!("cannot read {}", source.display()))?;
        let marked = instrument::instrument(&text)
            .with_context(|| format!("cannot parse {}", source.display()))?;
        let copy = to.join(name).with_extension("rs");
        fs::write(&copy, marked)?;
        // Not every line is at home in a library: `main` has nobody who calls it here.
        writeln!(
            modules,
            "#[allow(dead_code, missing_docs, clippy::all)]\n#[path = {copy:?}]\npub(crate) mod {name};"
        )?;
        copy_common(&from, &to)?;
    }
    fs::write(out.join("programs.rs"), modules)?;
    Ok(())
}

/// What the examples of a chapter have in common is taken over as it is.
fn copy_common(from: &Path, to: &Path) -> Result<()> {
    let common = from.join("common");
    if !common.is_dir() {
        return Ok(());
    }
    println!("cargo::rerun-if-changed={}", common.display());
    fs::create_dir_all(to.join("common"))?;
    for file in fs::read_dir(&common)? {
        let file = file?;
        fs::copy(file.path(), to.join("common").join(file.file_name()))?;
    }
    Ok(())
}
