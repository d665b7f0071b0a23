//! A browser without a window, and the pipes over which it takes orders.

use std::collections::HashMap;
use std::env;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Page, Result};
use crate::process::pid_of;

/// How long anything may take. Only a test that fails waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the program may be called. `CHROMIUM` in the environment comes first.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Where macOS keeps it.
const APPLICATIONS: [&str; 2] = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// The browser that is installed here, if there is one.
pub fn find() -> Option<PathBuf> {
    if let Some(named) = env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    in_path.or_else(|| {
        let mut applications = APPLICATIONS.iter().map(PathBuf::from);
        applications.find(|program| program.is_file())
    })
}

/// A running browser with a profile of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    orders: Mutex<Option<PipeWriter>>,
    inbox: Arc<Inbox>,
    next: AtomicU64,
    _profile: TempDir,
}

/// What the browser has said.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    answers: HashMap<u64, Value>,
    /// What happened in each tab, in order.
    events: HashMap<String, Vec<Value>>,
    gone: bool,
}

impl Browser {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When it does not start, or does not answer.
    pub fn start(program: &Path) -> Result<Browser> {
        let cannot = |error: io::Error| format!("{} cannot be started: {error}", program.display());
        let profile = tempfile::tempdir().map_err(cannot)?;
        let (its_orders, orders) = io::pipe().map_err(cannot)?;
        let (answers, its_answers) = io::pipe().map_err(cannot)?;
        let mut command = Command::new(program);
        command
            .args([
                "--headless",
                "--remote-debugging-pipe",
                // In a container it often runs as root, where it has no sandbox. It only sees our own pages.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                // A container's /dev/shm is small.
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-extensions",
                // A tab in the background must not be slower than the one in front.
                "--disable-background-timer-throttling",
                "--disable-backgrounding-occluded-windows",
                "--disable-renderer-backgrounding",
                // What a page asks of the world fails at once, and is seen by the test.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .fd_mappings(vec![
                FdMapping {
                    parent_fd: its_orders.into(),
                    child_fd: 3,
                },
                FdMapping {
                    parent_fd: its_answers.into(),
                    child_fd: 4,
                },
            ])
            .map_err(|error| error.to_string())?;
        let child = command.spawn().map_err(cannot)?;
        // It holds the browser's ends: only the browser shall.
        drop(command);
        let inbox = Arc::<Inbox>::default();
        let browser = Browser {
            child,
            orders: Mutex::new(Some(orders)),
            inbox: Arc::clone(&inbox),
            next: AtomicU64::new(1),
            _profile: profile,
        };
        thread::spawn(move || listen(answers, &inbox));
        browser.order(None, "Browser.getVersion", &json!({}))?;
        Ok(browser)
    }

    /// A new tab that shares nothing with any other.
    ///
    /// # Errors
    ///
    /// When the browser does not answer.
    pub fn page(self: &Arc<Self>) -> Result<Page> {
        Page::open(Arc::clone(self), None)
    }

    /// Gives an order, to a tab or to the browser as a whole, and waits for the answer.
    pub(super) fn order(&self, tab: Option<&str>, method: &str, what: &Value) -> Result<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({"id": id, "method": method, "params": what});
        if let Some(tab) = tab {
            message["sessionId"] = tab.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        {
            let mut orders = lock(&self.orders);
            let pipe = orders.as_mut().ok_or("the browser was told to end")?;
            pipe.write_all(&bytes)
                .map_err(|error| format!("{method}: the browser has gone: {error}"))?;
        }
        let answer = self.inbox.wait(PATIENCE, |state| state.answers.remove(&id));
        let answer = answer.ok_or_else(|| format!("{method}: the browser does not answer"))?;
        match answer.get("error") {
            Some(error) => Err(format!("{method}: {error}")),
            None => Ok(answer["result"].clone()),
        }
    }

    /// Waits until the events of a tab, from the given number on, are as wanted.
    pub(super) fn happens<T>(
        &self,
        tab: &str,
        mut wanted: impl FnMut(&[Value]) -> Option<T>,
    ) -> Option<T> {
        self.inbox.wait(PATIENCE, |state| {
            wanted(state.events.get(tab).map_or(&[][..], Vec::as_slice))
        })
    }

    /// What has happened in a tab so far.
    pub(super) fn events<T>(&self, tab: &str, read: impl FnOnce(&[Value]) -> T) -> T {
        let state = lock(&self.inbox.state);
        read(state.events.get(tab).map_or(&[][..], Vec::as_slice))
    }

    /// Forgets what has happened in a tab.
    pub(super) fn forget(&self, tab: &str) {
        lock(&self.inbox.state).events.remove(tab);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without its pipe it ends by itself, and tidily; the signal is for one that does not, and for its helpers.
        drop(lock(&self.orders).take());
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        if let Ok(group) = pid_of(&self.child) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Inbox {
    fn wait<T>(
        &self,
        patience: Duration,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.state);
        loop {
            if let Some(found) = ready(&mut state) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.gone {
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Takes in what the browser says, each message ended by a zero byte, until it has gone.
fn listen(answers: PipeReader, inbox: &Inbox) {
    let mut answers = BufReader::new(answers);
    let mut bytes = Vec::new();
    while let Ok(1..) = answers.read_until(0, &mut bytes) {
        let message = serde_json::from_slice::<Value>(bytes.strip_suffix(&[0]).unwrap_or(&bytes));
        bytes.clear();
        let Ok(message) = message else { continue };
        let mut state = lock(&inbox.state);
        if let Some(id) = message["id"].as_u64() {
            state.answers.insert(id, message);
        } else if let Some(tab) = message["sessionId"].as_str() {
            let events = state.events.entry(tab.to_owned()).or_default();
            events.push(message);
        }
        drop(state);
        inbox.changed.notify_all();
    }
    lock(&inbox.state).gone = true;
    inbox.changed.notify_all();
}

/// A test that panicked elsewhere is no reason to lose what was written down.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
