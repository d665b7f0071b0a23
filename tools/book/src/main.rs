//! `cargo book`: serve the book, build it, or take a chapter out of it.

mod export;
mod preprocess;
mod serve;
mod start;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Reads and verifies the book *No Task Left Behind*.
///
/// Without a command, builds the book and serves it at http://127.0.0.1:3000. The page in the browser
/// reloads when its text or a chapter that it shows changes.
#[derive(Parser)]
#[command(
    name = "cargo book",
    bin_name = "cargo book",
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
        cargo book --open\n  \
        cargo book build --dest site\n  \
        cargo book start ch03-system-events ../my-server\n\n\
        `cargo test` holds everything that the book says to its word."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Options,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the static site.
    Build {
        /// The folder to write to; an earlier build there is replaced [default: book/ beside book.toml]
        #[arg(long, value_name = "DIR")]
        dest: Option<PathBuf>,
    },
    /// Copies a chapter's crate out, as the start of something of your own.
    Start {
        /// The chapter, such as ch03-system-events
        chapter: String,
        /// The folder to make, outside this repository; its last part becomes the package's name
        target: PathBuf,
    },
    /// What mdBook calls for this book's own directives
    #[command(hide = true)]
    Preprocess {
        /// `supports`, and a renderer
        about: Vec<String>,
    },
    /// What the server starts to run something in a page
    #[command(hide = true)]
    Supervise,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // It is told all it needs, and is not to look around.
    let done = if let Some(Command::Supervise) = arguments.command {
        serve::supervise()
    } else {
        book::root().and_then(|root| carry_out(&root, arguments))
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(root: &Path, arguments: Arguments) -> Result<()> {
    match arguments.command {
        None => serve::serve(root, &arguments.serve),
        Some(Command::Build { dest }) => export::export(root, dest),
        // Every renderer may have them: they are HTML, which Markdown is allowed to have.
        Some(Command::Preprocess { about }) if !about.is_empty() => Ok(()),
        Some(Command::Supervise) => serve::supervise(),
        Some(Command::Preprocess { .. }) => preprocess::preprocess(),
        Some(Command::Start { chapter, target }) => start::start(root, &chapter, &target),
    }
}
