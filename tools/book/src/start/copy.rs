//! Copying a crate while giving it another name.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The old and the new name of a package.
pub(crate) struct Names {
    /// As packages are written, and as crates are.
    pairs: [(String, String); 2],
}

impl Names {
    pub(crate) fn new(old: &str, new: &str) -> Self {
        let as_crate = |name: &str| name.replace('-', "_");
        Self {
            pairs: [
                (old.to_owned(), new.to_owned()),
                (as_crate(old), as_crate(new)),
            ],
        }
    }

    /// Puts the new name wherever the old one stands as a whole word.
    pub(crate) fn replace(&self, text: &str) -> String {
        self.pairs.iter().fold(text.to_owned(), |text, (old, new)| {
            replace_word(&text, old, new)
        })
    }
}

fn replace_word(text: &str, old: &str, new: &str) -> String {
    let part_of_a_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let mut replaced = String::with_capacity(text.len());
    let mut copied_to = 0;
    for (at, _) in text.match_indices(old) {
        let end = at + old.len();
        // `env!("CARGO_BIN_EXE_name")` is where a name comes right after another word, and means the same.
        let before = text[..at]
            .strip_suffix("CARGO_BIN_EXE_")
            .unwrap_or(&text[..at]);
        let joined = before.ends_with(part_of_a_name) || text[end..].starts_with(part_of_a_name);
        if !joined {
            replaced.push_str(&text[copied_to..at]);
            replaced.push_str(new);
            copied_to = end;
        }
    }
    replaced.push_str(&text[copied_to..]);
    replaced
}

/// Copies the crate in `source` to the new folder `target`. What cargo or an editor left there stays behind.
pub(crate) fn crate_to(source: &Path, target: &Path, names: &Names) -> Result<()> {
    fs::create_dir(target).with_context(|| format!("cannot make {}", target.display()))?;
    for entry in
        fs::read_dir(source).with_context(|| format!("cannot read {}", source.display()))?
    {
        let entry = entry.with_context(|| format!("cannot read {}", source.display()))?;
        let (path, name) = (entry.path(), entry.file_name());
        let shown = name.to_string_lossy();
        if shown.starts_with('.')
            || shown.ends_with('~')
            || ["target", "Cargo.lock"].contains(&shown.as_ref())
        {
            continue;
        }
        if path.is_dir() {
            crate_to(&path, &target.join(&name), names)?;
        } else {
            file_to(&path, &target.join(&name), names)?;
        }
    }
    Ok(())
}

fn file_to(source: &Path, target: &Path, names: &Names) -> Result<()> {
    let context = || format!("cannot copy {}", source.display());
    let named = source
        .extension()
        .is_some_and(|extension| extension == "rs" || extension == "toml");
    if named {
        let text = fs::read_to_string(source).with_context(context)?;
        fs::write(target, names.replace(&text)).with_context(context)
    } else {
        fs::copy(source, target).map(drop).with_context(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_are_replaced_and_parts_are_not() {
        let names = Names::new("ch03-system-events", "my-server");
        let old = "use ch03_system_events::run; // ch03-system-events\nenv!(\"CARGO_BIN_EXE_ch03-system-events\")\n\
            ch03_system_events2, xch03-system-events, ch03";
        let new = "use my_server::run; // my-server\nenv!(\"CARGO_BIN_EXE_my-server\")\n\
            ch03_system_events2, xch03-system-events, ch03";
        assert_eq!(names.replace(old), new);
    }
}
