//! `cargo book`: the book on a loopback address, rebuilt and reloaded as it changes.

mod guard;
mod open;
mod reload;
mod run;
mod server;
mod site;
mod watch;

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

use crate::export::places;
pub(crate) use run::supervise;
use run::{Runner, Token};
use site::{Rebuilt, Site};

/// How to serve.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 3000, value_name = "N")]
    port: u16,
    /// Opens the book in the browser
    #[arg(long)]
    open: bool,
}

/// Serves the book at `root` until Ctrl+C.
pub(crate) fn serve(root: &Path, options: &Options) -> Result<()> {
    // The port first: whoever has a server running already should not wait for a build to hear of it.
    let listener = listen(options.port)?;
    let port = listener
        .local_addr()
        .context("the address that was taken is unknown")?
        .port();
    let site = Arc::new(Site::new(root)?);
    // Watching begins before building, so that no change falls between the two.
    let watched = watch::watch(root);
    match site.rebuild() {
        Ok(Rebuilt { took, .. }) => say(&format!("built in {:.2} s", took.as_secs_f64())),
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            bail!(
                "the book is broken in {}, so there is nothing to serve",
                places(problems.len())
            );
        }
    }
    match watched {
        Ok(changes) => {
            let site = site.clone();
            thread::spawn(move || follow(&site, &changes));
        }
        Err(error) => {
            eprintln!(
                "changes cannot be watched ({error:#}); start `cargo book` again to see yours"
            );
        }
    }
    let token = Token::fresh()?;
    // Behind `#`, so no browser sends it anywhere by itself.
    let address = format!("http://127.0.0.1:{port}/#token={}", token.text());
    say("this is not a sandbox: what you run from a page runs as you, and may do what you may do");
    say(&format!("serving at {address} (Ctrl+C stops)"));
    if options.open {
        open::open(&address);
    }
    server::run(listener, port, site, Arc::new(Runner::new(root, token)))
}

fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "port {port} is in use, perhaps by another `cargo book`; stop that one, or choose another port: \
             cargo book --port {} (0 takes a free one)",
            port.checked_add(1).unwrap_or(0)
        ),
        std::io::ErrorKind::PermissionDenied => {
            anyhow!("port {port} is not yours to use; choose one from 1024 on: cargo book --port 3000")
        }
        _ => anyhow!("cannot listen on 127.0.0.1:{port}: {error}; choose another port with --port"),
    })
}

/// Rebuilds after each change, for as long as changes can come.
fn follow(site: &Site, changes: &watch::Changes) {
    while let Some(what) = changes.next() {
        match site.rebuild() {
            Ok(Rebuilt { took, changed }) => {
                let result = if changed {
                    "the open pages reload"
                } else {
                    "the pages stay the same"
                };
                say(&format!(
                    "{what} changed: built in {:.2} s, {result}",
                    took.as_secs_f64()
                ));
            }
            Err(problems) => {
                for problem in &problems {
                    eprintln!("{problem}");
                }
                eprintln!(
                    "{what} changed, and the book is broken in {}: the last good build is still being served",
                    places(problems.len())
                );
            }
        }
    }
}

/// Prints a line for the person at the terminal. That nobody reads it must not stop the server.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
