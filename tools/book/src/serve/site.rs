//! The builds that are served: the last good one, and the next while it is made.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use book::Problem;
use tempfile::TempDir;
use tokio::sync::watch;

use super::reload;

/// The book as it is served.
pub(crate) struct Site {
    root: PathBuf,
    /// The build that is served; `None` before the first.
    current: RwLock<Option<Served>>,
    /// Held while building: builds come one after the other.
    workshop: Mutex<Workshop>,
    /// The number of the current build, for those who wait for the next.
    number: watch::Sender<u64>,
}

/// Where builds are made.
struct Workshop {
    /// Every build gets a folder of its own in here, so that none is seen half finished.
    folder: TempDir,
    /// The number of the last build.
    last: u64,
}

struct Served {
    folder: PathBuf,
    fingerprint: u64,
}

/// A build that went well.
pub(crate) struct Rebuilt {
    pub(crate) took: Duration,
    /// Whether there is anything new to see.
    pub(crate) changed: bool,
}

impl Site {
    /// A site with nothing in it yet.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("book-")
            .tempdir()
            .context("cannot make a temporary folder for the built pages")?;
        // Numbers must not come twice: a page left open since yesterday's server has to see that it is old.
        let first = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis() as u64;
        Ok(Self {
            root: root.to_path_buf(),
            current: RwLock::new(None),
            workshop: Mutex::new(Workshop {
                folder,
                last: first,
            }),
            number: watch::Sender::new(first),
        })
    }

    /// The folder to serve from.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(|served| served.folder.clone())
    }

    /// Tells of each new build by its number.
    pub(crate) fn number(&self) -> watch::Receiver<u64> {
        self.number.subscribe()
    }

    /// Removes everything that was built. No build begins after this one's end; one that runs is waited for.
    pub(crate) fn close(&self) {
        let workshop = self.workshop.lock().unwrap_or_else(PoisonError::into_inner);
        discard(workshop.folder.path());
        // The program is about to end, and nobody shall build in the meantime.
        std::mem::forget(workshop);
    }

    /// Builds afresh and serves that, unless something is wrong: then what was served stays.
    pub(crate) fn rebuild(&self) -> Result<Rebuilt, Vec<Problem>> {
        let mut workshop = self.workshop.lock().unwrap_or_else(PoisonError::into_inner);
        workshop.last += 1;
        let number = workshop.last;
        let folder = workshop.folder.path().join(number.to_string());
        let built = book::build(&self.root, &folder).and_then(|took| {
            let fingerprint = prepare(&folder, number).map_err(|error| {
                let message = format!("the built pages cannot be prepared for serving: {error:#}");
                vec![Problem {
                    file: "book.toml".into(),
                    line: 1,
                    message,
                }]
            })?;
            Ok((took, fingerprint))
        });
        let old = match built {
            Ok((took, fingerprint)) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                if current
                    .as_ref()
                    .is_some_and(|served| served.fingerprint == fingerprint)
                {
                    drop(current);
                    discard(&folder);
                    return Ok(Rebuilt {
                        took,
                        changed: false,
                    });
                }
                (
                    current.replace(Served {
                        folder,
                        fingerprint,
                    }),
                    took,
                )
            }
            Err(problems) => {
                discard(&folder);
                return Err(problems);
            }
        };
        self.number.send_replace(number);
        let (old, took) = old;
        if let Some(old) = old {
            discard(&old.folder);
        }
        Ok(Rebuilt {
            took,
            changed: true,
        })
    }
}

/// What cannot be deleted now goes with the workshop.
fn discard(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}

/// Puts the reload script into each page and takes a fingerprint of everything before that.
fn prepare(folder: &Path, number: u64) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for (path, content) in files(folder, folder)? {
        (&path, &content).hash(&mut hasher);
        if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            let page = String::from_utf8(content)
                .with_context(|| format!("{} is not UTF-8", path.display()))?;
            fs::write(folder.join(&path), reload::inject(&page, number))?;
        }
    }
    Ok(hasher.finish())
}

fn files(base: &Path, folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            found.append(&mut files(base, &path)?);
        } else {
            let content =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            found.insert(path.strip_prefix(base)?.to_path_buf(), content);
        }
    }
    Ok(found)
}
