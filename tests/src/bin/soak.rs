//! Puts a chapter's server under mixed load, and tells whether anything of it stays behind; see `src/soak/mod.rs`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use book_tests::servers::{Program, Result, allow_descriptors, chapters};
use book_tests::soak::{Options, run};

const HELP: &str = "\
Usage: cargo run --release -p book-tests --bin soak -- [OPTIONS]

  --minutes N     how long the load lasts, 60 by default
  --seconds N     the same; below 30 it is a small load that shows that this program works
  --chapter chNN  whose server, the last chapter's by default
  --seed N        what the clients do follows from it; by default it is a new one
  -h, --help      print this and end

The exit code is 1 if anything that was promised does not hold.";

fn main() -> ExitCode {
    let asked = match Asked::from(std::env::args().skip(1)) {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{wrong}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match soak(&asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::FAILURE
        }
    }
}

struct Asked {
    time: Duration,
    /// How the chapter's name begins; all of them begin with nothing.
    chapter: String,
    seed: u64,
}

impl Asked {
    /// Nothing if help is asked for.
    fn from(mut args: impl Iterator<Item = String>) -> Result<Option<Asked>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut asked = Asked {
            time: Duration::from_secs(60 * 60),
            chapter: String::new(),
            seed: now.map_or(0, |time| time.as_secs() % 1_000_000),
        };
        while let Some(arg) = args.next() {
            if matches!(arg.as_str(), "-h" | "--help") {
                return Ok(None);
            }
            let value = args.next();
            let number = || {
                let number = value.as_deref().and_then(|value| value.parse::<u32>().ok());
                number
                    .filter(|&number| number > 0 || arg == "--seed")
                    .ok_or_else(|| format!("{arg} needs a number"))
            };
            match arg.as_str() {
                "--minutes" => asked.time = Duration::from_secs(60) * number()?,
                "--seconds" => asked.time = Duration::from_secs(1) * number()?,
                "--seed" => asked.seed = u64::from(number()?),
                "--chapter" => asked.chapter = value.ok_or("--chapter needs a name")?,
                _ => return Err(format!("unknown argument `{arg}`")),
            }
        }
        Ok(Some(asked))
    }
}

fn soak(asked: &Asked) -> Result {
    let options = Options::new(asked.time, asked.seed);
    allow_descriptors(options.descriptors())?;
    let mut chapters = chapters()?.into_iter().rev();
    let chapter = chapters.find(|chapter| chapter.name.starts_with(&asked.chapter));
    let chapter = chapter.ok_or_else(|| format!("no chapter `{}`", asked.chapter))?;
    println!("{}", chapter.name);
    // As many domains on every machine.
    let program = Program::new(chapter.server()?).with_domains(2);
    run(&program, &options, |line| println!("{line}"))
}
