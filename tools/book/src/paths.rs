//! Paths as text has them: relative, with forward slashes.

use std::path::{Component, Path, PathBuf};

/// The path with `/` between its parts, so that messages read the same on every system.
pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// Resolves `.` and `..` without asking the file system. `None` when the path climbs out at the top.
pub(crate) fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Component::Normal(name) => normal.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

/// The folder that relative paths in `file` start from.
pub(crate) fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_and_escapes_are_seen() {
        assert_eq!(
            normal(Path::new("src/../chapters/./a")),
            Some("chapters/a".into())
        );
        assert_eq!(normal(Path::new("src/../../a")), None);
        assert_eq!(normal(Path::new("/etc")), None);
    }
}
