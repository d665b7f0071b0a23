//! The server's end of a supervisor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::limits::Limits;
use super::order::{End, Order, Report};
use super::runs::Run;

/// A program and its arguments.
pub(super) struct Task<'t> {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) place: &'t Path,
    pub(super) limits: Limits,
}

/// A supervisor at work.
pub(super) struct Supervised<'r> {
    run: &'r Run,
    child: Child,
    /// Closing it ends everything.
    order: Option<ChildStdin>,
    reports: Lines<BufReader<ChildStdout>>,
}

impl<'r> Supervised<'r> {
    /// Has a task run.
    ///
    /// # Errors
    ///
    /// When the supervisor cannot be started.
    pub(super) async fn start(run: &'r Run, task: Task<'_>) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("the supervisor cannot be started: {error}");
        // On Linux, this very program, even if another was built in its place since.
        let me = match cfg!(target_os = "linux") {
            true => "/proc/self/exe".into(),
            false => std::env::current_exe().map_err(cannot)?,
        };
        let mut child = Command::new(me)
            .arg("supervise")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(cannot)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the supervisor cannot be spoken to".to_owned());
        };
        let order = Order {
            program: task.program,
            arguments: task.arguments,
            environment: task.environment,
            place: task.place.to_path_buf(),
            remove: Some(run.folder().to_path_buf()),
            limits: task.limits,
        };
        let mut line = serde_json::to_vec(&order).map_err(|error| error.to_string())?;
        line.push(b'\n');
        stdin.write_all(&line).await.map_err(cannot)?;
        Ok(Self {
            run,
            child,
            order: Some(stdin),
            reports: BufReader::new(stdout).lines(),
        })
    }

    /// The next report, its end at last. When the run is stopped, so is this.
    pub(super) async fn next(&mut self) -> Report {
        loop {
            let line = tokio::select! {
                line = self.reports.next_line() => line,
                () = self.run.stopped(), if self.order.is_some() => {
                    self.order = None;
                    continue;
                }
            };
            let report = match line {
                Ok(Some(line)) => match serde_json::from_str(&line) {
                    Ok(report) => report,
                    Err(error) => Report::End(End::Failed(format!("a broken report: {error}"))),
                },
                Ok(None) | Err(_) => Report::End(End::Failed(
                    "the supervisor was ended by somebody else".to_owned(),
                )),
            };
            if let Report::End(_) = report {
                self.order = None;
                // It ends by itself now; nothing of it shall stay behind.
                let _ = self.child.wait().await;
            }
            return report;
        }
    }
}
