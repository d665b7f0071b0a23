//! The command line of an echo server, read by hand: a few options do not earn a dependency.

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What `--help` prints. The name is the one in `Cargo.toml`, whatever that is.
const HELP: &str = concat!(
    "Usage: ",
    env!("CARGO_PKG_NAME"),
    " [OPTIONS]\n\n",
    "  --listen ADDR  where to listen: HOST:PORT (default 127.0.0.1:7007; port 0 lets the\n",
    "                 system choose a free one), or unix:PATH; may be given several times\n",
    "  --domains N    how many threads take part beside the first, 0 to 1000 (default: one\n",
    "                 for each further core)\n",
    "  --idle-timeout SECONDS\n",
    "                 how long a client may neither send nor take anything, such as 0.5 or 300\n",
    "                 (the default); 0 is for ever\n",
    "  --grace SECONDS\n",
    "                 how long clients may go on when the server is told to stop, 5 by default\n",
    "  --max-clients N\n",
    "                 how many are served at once; the others wait (default: any number)\n",
    "  --trace FILE   write what every task does into FILE, for https://ui.perfetto.dev\n",
    "  -h, --help     print this and end\n\n",
    "Ctrl+C and SIGTERM stop the server gracefully; a second one stops it at once.\n",
    "SIGUSR1 prints all its tasks.",
);

/// What the user asked for.
// ANCHOR: args
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Where to listen, at least one.
    pub listen: Vec<Address>,
    /// How many domains to start beside dom0; `None` leaves it to the runtime.
    pub domains: Option<usize>,
    /// How long a client may be idle; [`Duration::MAX`] is for ever.
    pub idle_timeout: Duration,
    /// How long clients may go on when the server is to stop.
    pub grace: Duration,
    /// How many clients are served at once.
    pub max_clients: usize,
    /// Where the trace goes, if one is wanted.
    pub trace: Option<PathBuf>,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host name may stand for several addresses: the first that can be had is the one to take.
    Tcp(Vec<SocketAddr>),
    /// The path of a Unix socket.
    Unix(PathBuf),
}
// ANCHOR_END: args

/// Why there are no [`Args`] to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgsError {
    /// The user asked for help.
    Help,
    /// The command line is wrong: the text says what is, and what is allowed.
    Wrong(String),
}

impl Args {
    /// Reads the arguments, the program's own name left out.
    ///
    /// # Errors
    ///
    /// [`ArgsError::Help`] if help is asked for; [`ArgsError::Wrong`] for an unknown option, an
    /// option without its value, and an address that is none or whose host cannot be found.
    // ANCHOR: parse
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Args, ArgsError> {
        let mut args = args;
        let mut parsed = Args {
            listen: Vec::new(),
            domains: None,
            idle_timeout: Duration::from_secs(300),
            grace: Duration::from_secs(5),
            max_clients: usize::MAX,
            trace: None,
        };
        while let Some(arg) = args.next() {
            let mut value = |what: &str| {
                let needs = || wrong(format_args!("{arg} needs {what}"));
                args.next().ok_or_else(needs)
            };
            match arg.as_str() {
                "-h" | "--help" => return Err(ArgsError::Help),
                "--listen" => parsed.listen.push(address(&value("ADDR")?)?),
                "--domains" => {
                    let what = "a number from 0 to 1000";
                    let number = number(&arg, &value(what)?, what, 0..=1000)?;
                    parsed.domains = Some(number);
                }
                "--idle-timeout" => {
                    parsed.idle_timeout = match seconds(&arg, &value(SECONDS)?)? {
                        Duration::ZERO => Duration::MAX,
                        given => given,
                    };
                }
                "--grace" => parsed.grace = seconds(&arg, &value(SECONDS)?)?,
                "--max-clients" => {
                    let what = "a number, 1 or more";
                    parsed.max_clients = number(&arg, &value(what)?, what, 1..=usize::MAX)?;
                }
                "--trace" => parsed.trace = Some(value("FILE")?.into()),
                _ => return Err(wrong(format_args!("unknown argument `{arg}`"))),
            }
        }
        if parsed.listen.is_empty() {
            parsed.listen.push(address("127.0.0.1:7007")?);
        }
        Ok(parsed)
    }
    // ANCHOR_END: parse

    /// Reads the arguments of this process. When there is nothing to go on with, what the user
    /// has to know is already printed.
    ///
    /// # Errors
    ///
    /// The code to end with: success after `--help`, 2 for a wrong command line.
    pub fn from_env() -> Result<Args, ExitCode> {
        // `env::args` would panic on an argument that is not Unicode.
        let args = env::args_os().map(|arg| arg.to_string_lossy().into_owned());
        // `writeln!` and not `println!`: a reader who has gone is no reason to panic.
        Args::parse(args.skip(1)).map_err(|error| match error {
            ArgsError::Help => {
                let _ = writeln!(io::stdout(), "{HELP}");
                ExitCode::SUCCESS
            }
            ArgsError::Wrong(message) => {
                let _ = writeln!(io::stderr(), "{message}");
                ExitCode::from(2)
            }
        })
    }
}

const SECONDS: &str = "a number of seconds";

fn seconds(arg: &str, value: &str) -> Result<Duration, ArgsError> {
    let seconds = value.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| wrong(format_args!("{arg} needs {SECONDS}")))
}

fn number(
    arg: &str,
    value: &str,
    what: &str,
    allowed: std::ops::RangeInclusive<usize>,
) -> Result<usize, ArgsError> {
    let number = value.parse().ok();
    number
        .filter(|number| allowed.contains(number))
        .ok_or_else(|| wrong(format_args!("{arg} needs {what}")))
}

fn address(text: &str) -> Result<Address, ArgsError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => Err(wrong(format_args!("no path in `{text}`"))),
            path if cfg!(unix) => Ok(Address::Unix(path.into())),
            _ => Err(wrong(format_args!("no Unix sockets here for `{text}`"))),
        };
    }
    match text.to_socket_addrs() {
        Ok(addresses) => Ok(Address::Tcp(addresses.collect())),
        Err(error) => Err(wrong(format_args!("no address for `{text}`: {error}"))),
    }
}

fn wrong(what: fmt::Arguments<'_>) -> ArgsError {
    ArgsError::Wrong(format!(
        "{what}; allowed are --listen HOST:PORT, such as 127.0.0.1:7007, [::1]:0 or \
         localhost:7007, or --listen unix:PATH, --domains N, --idle-timeout SECONDS, \
         --grace SECONDS, --max-clients N, --trace FILE, and --help"
    ))
}
