//! The process that `skeptic` works in.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::order::REPORTS;
use crate::Place;

/// A process whose `RUSTC` is our stagehand, and a folder for its reports.
#[derive(Debug)]
pub struct Host {
    reports: PathBuf,
}

impl Host {
    /// Makes the running test that process: it starts itself anew, once, with another environment.
    ///
    /// `skeptic` looks for `RUSTC` in the environment of the process, which safe Rust cannot change.
    ///
    /// # Errors
    ///
    /// When the process cannot start anew.
    pub fn start(place: &Place) -> io::Result<Self> {
        let rustc = env::var_os("RUSTC");
        if let Some(reports) = env::var_os(REPORTS)
            && rustc.as_deref() == Some(place.stagehand.as_os_str())
        {
            silence_skeptic();
            return Ok(Self {
                reports: PathBuf::from(reports),
            });
        }
        fs::create_dir_all(place.target.join("tmp"))?;
        let reports = tempfile::Builder::new()
            .prefix("blocks-")
            .tempdir_in(place.target.join("tmp"))?
            .keep();
        let error = Command::new(env::current_exe()?)
            .args(env::args_os().skip(1))
            .env("RUSTC", &place.stagehand)
            .env(REPORTS, &reports)
            // `skeptic` asks `cargo metadata`, which must not write down our stagehand as the compiler it knows.
            .env("CARGO_CACHE_RUSTC_INFO", "0")
            .env("CARGO_NET_OFFLINE", "true")
            .exec();
        fs::remove_dir_all(reports)?;
        Err(error)
    }

    /// Where the stagehand leaves its reports.
    pub(crate) fn reports(&self) -> &Path {
        &self.reports
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What is left there is of no use to anybody.
        let _ = fs::remove_dir_all(&self.reports);
    }
}

/// `skeptic` panics when a command fails. We catch that and say what failed, so it need not be printed too.
fn silence_skeptic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let from_skeptic = info
            .location()
            .is_some_and(|place| Path::new(place.file()).components().any(is_skeptic));
        if !from_skeptic {
            usual(info);
        }
    }));
}

fn is_skeptic(component: std::path::Component<'_>) -> bool {
    let name: &OsStr = component.as_os_str();
    name.to_str()
        .is_some_and(|name| name.starts_with("skeptic-"))
}
