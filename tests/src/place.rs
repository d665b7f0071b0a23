//! Where things are.

use std::path::{Path, PathBuf};

/// The folders and programs a run of the tests works with.
#[derive(Debug, Clone)]
pub struct Place {
    /// The root of the workspace.
    pub root: PathBuf,
    /// The target folder in use, also for the cargo commands that a page shows.
    pub target: PathBuf,
    /// The program that plays compiler and supervisor: `src/bin/stagehand.rs`.
    pub stagehand: PathBuf,
}

impl Place {
    /// Only cargo knows these when it compiles a test, so they come from [`here!`](crate::here).
    pub fn new(tmpdir: &str, stagehand: &str) -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self {
            root: manifest.parent().unwrap_or(manifest).to_path_buf(),
            // Cargo's folder for tests is `<target>/tmp`.
            target: Path::new(tmpdir).parent().unwrap_or(manifest).to_path_buf(),
            stagehand: PathBuf::from(stagehand),
        }
    }
}

/// The [`Place`] of the test that is being compiled.
#[macro_export]
macro_rules! here {
    () => {
        $crate::Place::new(env!("CARGO_TARGET_TMPDIR"), env!("CARGO_BIN_EXE_stagehand"))
    };
}
