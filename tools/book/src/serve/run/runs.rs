//! The runs there are, for those who want to stop or to speak to one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::checks::Refusal;
use super::limits::{CLIENTS, RUNS};
use super::stream::Page;
use super::token;

/// All of them.
pub(super) struct Runs {
    room: Arc<Semaphore>,
    known: Mutex<HashMap<String, Arc<Run>>>,
}

impl Default for Runs {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(RUNS)),
            known: Mutex::default(),
        }
    }
}

impl Runs {
    /// Begins one, if there is room.
    pub(super) fn begin(&self, page: Page) -> Result<Arc<Run>, Refusal> {
        let permit = self.room.clone().try_acquire_owned().map_err(|_| {
            Refusal::busy(format!(
                "{RUNS} blocks and servers run already; stop one of them"
            ))
        })?;
        let folder = tempfile::Builder::new()
            .prefix("book-run-")
            .tempdir()
            .map_err(|error| Refusal::broken(format!("no temporary folder for a run: {error}")))?;
        let work = folder.path().join("work");
        std::fs::create_dir(&work)
            .map_err(|error| Refusal::broken(format!("no temporary folder for a run: {error}")))?;
        let run = Arc::new(Run {
            id: token::id().map_err(Refusal::broken)?,
            page,
            folder,
            work,
            stop: watch::Sender::new(false),
            addresses: Mutex::default(),
            clients: Arc::new(Semaphore::new(CLIENTS)),
            _permit: permit,
        });
        lock(&self.known).insert(run.id.clone(), run.clone());
        Ok(run)
    }

    /// The run of a name, as long as it lasts.
    pub(super) fn find(&self, id: &str) -> Result<Arc<Run>, Refusal> {
        lock(&self.known)
            .get(id)
            .cloned()
            .ok_or_else(|| Refusal::content("there is no such run; it may have ended by itself"))
    }

    pub(super) fn end(&self, run: &Run) {
        lock(&self.known).remove(&run.id);
        // Its clients have nobody to speak to any more.
        run.stop();
    }
}

/// Something that runs. Its folder goes with it.
pub(super) struct Run {
    pub(super) id: String,
    /// Where it reports to.
    pub(super) page: Page,
    folder: TempDir,
    work: PathBuf,
    stop: watch::Sender<bool>,
    addresses: Mutex<Vec<SocketAddr>>,
    pub(super) clients: Arc<Semaphore>,
    _permit: OwnedSemaphorePermit,
}

impl Run {
    /// Its own temporary folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The part of it where its program starts: empty at first.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// Ends it soon.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until it is to end.
    pub(super) async fn stopped(&self) {
        // The sender is in `self`, so this cannot fail.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Notes that its program listens there.
    pub(super) fn listens(&self, address: SocketAddr) {
        lock(&self.addresses).push(address);
    }

    /// Where to connect to: all domains of a server share one address.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        lock(&self.addresses).first().copied()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
