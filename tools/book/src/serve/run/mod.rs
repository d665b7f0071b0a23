//! Running what stands on a page, on the reader's own machine, for that page and nobody else.
//!
//! This is not a sandbox. What runs here is the reader's own code, and may do what the reader may do. The limits keep
//! a mistake from costing more than a moment, and the checks keep everybody else out:
//!
//! ```text
//! page ── guard (Host) ── checks (Origin, token, type, size) ── a run ── supervisor ─┬─ cargo, rustc
//!                                                                                    └─ the program
//! ```

mod block;
mod checks;
mod clients;
mod compile;
mod console;
mod descendants;
mod environment;
mod excerpt;
mod limits;
mod order;
mod runs;
mod stream;
mod supervise;
mod supervised;
mod token;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::any;
use axum::{Json, Router};
use book::RustFence;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};

use checks::Refusal;
use clients::{Clients, Say};
use console::Program;
use excerpt::Excerpt;
use runs::{Run, Runs};
use stream::{Ending, Event, Page};

pub(crate) use supervise::supervise;
pub(crate) use token::Token;

/// What runs blocks for the pages of the book at `root`.
pub(crate) struct Runner {
    root: PathBuf,
    token: Token,
    runs: Runs,
    clients: Arc<Clients>,
    compiling: Semaphore,
}

impl Runner {
    pub(crate) fn new(root: &Path, token: Token) -> Self {
        Self {
            root: root.to_path_buf(),
            token,
            runs: Runs::default(),
            clients: Arc::default(),
            compiling: Semaphore::new(limits::COMPILATIONS),
        }
    }

    /// Where cargo puts what it builds.
    fn target(&self) -> PathBuf {
        let named = std::env::var_os("CARGO_TARGET_DIR");
        // A relative one starts where cargo is called, and that is the root.
        self.root.join(named.unwrap_or_else(|| "target".into()))
    }

    /// Waits for a place at the compiler.
    async fn turn(&self, run: &Run, page: &Page) -> Result<SemaphorePermit<'_>, Ending> {
        if let Ok(permit) = self.compiling.try_acquire() {
            return Ok(permit);
        }
        page.note("waiting for the compiler: others are being compiled")
            .await;
        tokio::select! {
            permit = self.compiling.acquire() => permit.map_err(|error| Ending::failed(error.to_string())),
            () = run.stopped() => Err(compile::stopped()),
        }
    }
}

/// The routes of the runner.
pub(crate) fn routes(runner: Arc<Runner>) -> Router {
    Router::new()
        .route("/__book/run", any(run))
        .route("/__book/stop", any(stop))
        .route("/__book/serve", any(serve))
        .route("/__book/connect", any(connect))
        .route("/__book/say", any(say))
        .with_state(runner)
}

#[derive(Deserialize)]
struct ToRun {
    page: String,
    info: String,
    code: String,
}

enum What {
    Block(RustFence, String),
    Excerpt(Excerpt, String),
    Server(Program),
}

async fn run(State(runner): State<Arc<Runner>>, request: Request) -> Result<Response, Refusal> {
    let asked: ToRun = checks::body(&runner.token, request).await?;
    is_page(&runner.root, &asked.page)?;
    let words: Vec<&str> = asked
        .info
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    let what = match words.as_slice() {
        ["rust", "excerpt", place] => {
            What::Excerpt(Excerpt::parse(&runner.root, place)?, asked.code)
        }
        ["rust", words @ ..] => {
            let fence = RustFence::parse(words)
                .map_err(|why| Refusal::content(format!("`{}`: {why}", asked.info)))?;
            What::Block(fence, asked.code)
        }
        _ => return Err(Refusal::content("only a Rust block can be run")),
    };
    begin(runner, what)
}

#[derive(Deserialize)]
struct ToServe {
    page: String,
    command: String,
}

async fn serve(State(runner): State<Arc<Runner>>, request: Request) -> Result<Response, Refusal> {
    let asked: ToServe = checks::body(&runner.token, request).await?;
    is_page(&runner.root, &asked.page)?;
    let program = Program::parse(&runner.root, &asked.command)?;
    begin(runner, What::Server(program))
}

fn begin(runner: Arc<Runner>, what: What) -> Result<Response, Refusal> {
    let (page, response) = stream::answer();
    let run = runner.runs.begin(page.clone())?;
    tokio::spawn(async move {
        // A page that is gone ends its run as Stop does, so what there is to clean up is cleaned up.
        let watcher = {
            let (page, run) = (page.clone(), run.clone());
            tokio::spawn(async move {
                page.gone().await;
                run.stop();
            })
        };
        page.send(Event::Start {
            run: run.id.clone(),
        })
        .await;
        let done = match &what {
            What::Block(fence, code) => block::run(&runner, &run, &page, fence, code).await,
            What::Excerpt(place, code) => excerpt::run(&runner, &run, &page, place, code).await,
            What::Server(program) => console::run(&runner, &run, &page, program).await,
        };
        let ending = done.unwrap_or_else(|ending| ending);
        watcher.abort();
        // It holds the run until it is gone.
        let _ = watcher.await;
        runner.runs.end(&run);
        // Its place is free, and its folder gone, before the page hears of the end: unless a client still holds it.
        drop(run);
        page.send(Event::End(ending)).await;
    });
    Ok(response)
}

#[derive(Deserialize)]
struct OfRun {
    run: String,
}

async fn stop(State(runner): State<Arc<Runner>>, request: Request) -> Result<StatusCode, Refusal> {
    let asked: OfRun = checks::body(&runner.token, request).await?;
    runner.runs.find(&asked.run)?.stop();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
struct Connected {
    client: String,
}

async fn connect(
    State(runner): State<Arc<Runner>>,
    request: Request,
) -> Result<Json<Connected>, Refusal> {
    let asked: OfRun = checks::body(&runner.token, request).await?;
    let run = runner.runs.find(&asked.run)?;
    let address = run
        .address()
        .filter(|_| !run.is_stopped())
        .ok_or_else(|| Refusal::content("this server does not listen yet"))?;
    let place =
        run.clients.clone().try_acquire_owned().map_err(|_| {
            Refusal::busy(format!("{} clients are connected already", limits::CLIENTS))
        })?;
    let client = runner.clients.clone().connect(run, address, place).await?;
    Ok(Json(Connected { client }))
}

#[derive(Deserialize)]
struct ToSay {
    client: String,
    text: Option<String>,
    #[serde(default)]
    finish: bool,
    #[serde(default)]
    close: bool,
}

async fn say(State(runner): State<Arc<Runner>>, request: Request) -> Result<StatusCode, Refusal> {
    let asked: ToSay = checks::body(&runner.token, request).await?;
    if asked.text.is_none() && !asked.finish && !asked.close {
        return Err(Refusal::content(
            "none of `text`, `finish` and `close` is there",
        ));
    }
    if let Some(text) = asked.text {
        runner.clients.say(&asked.client, Say::Text(text))?;
    }
    if asked.finish {
        runner.clients.say(&asked.client, Say::Finish)?;
    }
    if asked.close {
        runner.clients.close(&asked.client)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the name is that of a page: its text's, or of those that mdBook makes by itself.
fn is_page(root: &Path, name: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let known = ["index", "print"].contains(&name)
        || root.join("src").join(name).with_extension("md").is_file();
    if name.is_empty() || !name.chars().all(plain) || !known {
        return Err(Refusal::content(format!("the book has no page `{name}`")));
    }
    Ok(())
}
