//! Blocks that show nothing but parts of a chapter's files.
//!
//! `{{#include ../chapters/ch02-scheduler/src/wake.rs:waker}}` is a function or two out of a module: it compiles only
//! where it stands, and there cargo compiles and tests it. What remains to be seen is that it does stand there, in a
//! file that belongs to a program.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::fence::Rust;
use book::files_below;

/// The files that a block of `page` shows parts of, if that is all it does and nothing more is asked for.
pub(crate) fn of(page: &Path, lines: Vec<&str>, fence: &Rust) -> Option<Vec<PathBuf>> {
    if *fence != Rust::default() {
        return None;
    }
    let mut files = Vec::new();
    for line in lines
        .into_iter()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let directive = line.strip_prefix("{{#")?.strip_suffix("}}")?;
        let (kind, what) = directive.split_once(char::is_whitespace)?;
        // A whole file is a program, and goes to the compiler like any other block.
        let (file, _part) = what.trim().split_once(':')?;
        let path = normal(&page.parent()?.join(file));
        // `rustdoc_include` brings the rest of the file as hidden lines, and so is a whole program, too.
        if kind != "include" || !path.starts_with("chapters") || path.extension()? != "rs" {
            return None;
        }
        files.push(path);
    }
    (!files.is_empty()).then_some(files)
}

/// Sees that each file is compiled with its chapter.
pub(crate) fn check(root: &Path, files: &[PathBuf]) -> Result<(), String> {
    for file in files {
        if !belongs_to_a_program(root, file) {
            return Err(format!(
                "{} is part of no program: nothing declares it as a module, so nobody compiles what is shown here",
                file.display()
            ));
        }
    }
    Ok(())
}

/// Is it the root of a library, program, example or test, or declared as a module by a file of its chapter?
fn belongs_to_a_program(root: &Path, file: &Path) -> bool {
    let parts: Vec<_> = file.iter().filter_map(|part| part.to_str()).collect();
    let ["chapters", chapter, below @ ..] = parts.as_slice() else {
        return false;
    };
    match below {
        ["src", "lib.rs" | "main.rs"] | ["src", "bin", _] | ["examples" | "tests", _] => {
            return true;
        }
        _ => {}
    }
    let folder = root.join("chapters").join(chapter);
    let module = match below {
        [.., name, "mod.rs"] => name,
        [.., name] => name.trim_end_matches(".rs"),
        [] => return false,
    };
    let declares = |path: &PathBuf| {
        fs::read_to_string(folder.join(path)).is_ok_and(|text| {
            text.lines().any(|line| {
                let line = line.trim();
                line.ends_with(&format!("mod {module};")) && !line.starts_with("//")
            })
        })
    };
    files_below(&folder).is_ok_and(|files| files.iter().any(declares))
}

/// Without `..` and `.`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::{check, of};
    use crate::fence::{Must, Rust};
    use std::fs;
    use std::path::{Path, PathBuf};

    fn shown(line: &str) -> Option<Vec<PathBuf>> {
        of(Path::new("src/ch01-a.md"), vec![line], &Rust::default())
    }

    #[test]
    fn only_parts_of_chapters_are_left_to_the_chapters() {
        let file = Some(vec![PathBuf::from("chapters/ch01-a/src/echo.rs")]);
        assert_eq!(
            shown("{{#include ../chapters/ch01-a/src/echo.rs:serve}}"),
            file
        );
        assert_eq!(
            shown("{{#include ../chapters/ch01-a/src/echo.rs:3:9}}"),
            file
        );
        assert_eq!(
            shown("{{#rustdoc_include ../chapters/ch01-a/src/echo.rs:serve}}"),
            None
        );
        assert_eq!(
            shown("{{#include ../chapters/ch01-a/examples/all.rs}}"),
            None
        );
        assert_eq!(shown("{{#include ../assets/a.rs:x}}"), None);
        assert_eq!(shown("let x = 1;"), None);
        let asks = Rust {
            must: Must::Compile,
            ..Rust::default()
        };
        let line = "{{#include ../chapters/ch01-a/src/echo.rs:serve}}";
        assert_eq!(of(Path::new("src/ch01-a.md"), vec![line], &asks), None);
    }

    #[test]
    fn a_file_that_nobody_compiles_is_caught() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let src = root.path().join("chapters/ch01-a/src");
        fs::create_dir_all(&src)?;
        fs::write(src.join("lib.rs"), "pub mod echo;\n// mod gone;\n")?;
        for file in ["echo.rs", "gone.rs"] {
            fs::write(src.join(file), "")?;
        }
        let checked =
            |file: &str| check(root.path(), &[Path::new("chapters/ch01-a/src").join(file)]);
        assert_eq!(checked("echo.rs"), Ok(()));
        assert_eq!(checked("lib.rs"), Ok(()));
        assert!(
            checked("gone.rs")
                .is_err_and(|message| message.contains("gone.rs is part of no program"))
        );
        Ok(())
    }
}
