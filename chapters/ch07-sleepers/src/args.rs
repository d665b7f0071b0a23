//! The command line of an echo server, read by hand: three options do not earn a dependency.

use std::env;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

/// What `--help` prints. The name is the one in `Cargo.toml`, whatever that is.
const HELP: &str = concat!(
    "Usage: ",
    env!("CARGO_PKG_NAME"),
    " [--listen ADDR] [--domains N] [--idle-timeout SECONDS]\n\n",
    "  --listen ADDR  the address to listen on, as HOST:PORT (default 127.0.0.1:7007);\n",
    "                 port 0 lets the system choose a free one\n",
    "  --domains N    how many threads take part beside the first, 0 to 1000 (default: one\n",
    "                 for each further core)\n",
    "  --idle-timeout SECONDS\n",
    "                 how long a client may neither send nor take anything, such as 0.5 or 300\n",
    "                 (the default); 0 is for ever\n",
    "  -h, --help     print this and end",
);

/// What the user asked for.
// ANCHOR: args
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Where to listen. A host name may stand for several addresses: the first that can be had
    /// is the one to take.
    pub listen: Vec<SocketAddr>,
    /// How many domains to start beside dom0; `None` leaves it to the runtime.
    pub domains: Option<usize>,
    /// How long a client may be idle; [`Duration::MAX`] is for ever.
    pub idle_timeout: Duration,
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
        let mut listen = "127.0.0.1:7007".to_owned();
        let mut domains = None;
        let mut idle_timeout = Duration::from_secs(300);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-h" | "--help" => return Err(ArgsError::Help),
                "--listen" => listen = args.next().ok_or_else(|| wrong("--listen needs ADDR"))?,
                "--domains" => {
                    let number = args.next().and_then(|arg| arg.parse().ok());
                    let allowed = number.filter(|number| (0..=1000).contains(number));
                    domains = Some(
                        allowed.ok_or_else(|| wrong("--domains needs a number from 0 to 1000"))?,
                    );
                }
                "--idle-timeout" => {
                    let seconds = args.next().and_then(|arg| arg.parse().ok());
                    let given = seconds.and_then(|secs| Duration::try_from_secs_f64(secs).ok());
                    idle_timeout = match given {
                        Some(Duration::ZERO) => Duration::MAX,
                        Some(given) => given,
                        None => return Err(wrong("--idle-timeout needs a number of seconds")),
                    };
                }
                _ => return Err(wrong(&format!("unknown argument `{arg}`"))),
            }
        }
        match listen.to_socket_addrs() {
            Ok(addresses) => Ok(Args {
                listen: addresses.collect(),
                domains,
                idle_timeout,
            }),
            Err(error) => Err(wrong(&format!("no address for `{listen}`: {error}"))),
        }
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

fn wrong(what: &str) -> ArgsError {
    ArgsError::Wrong(format!(
        "{what}; allowed are --listen HOST:PORT, such as 127.0.0.1:7007, [::1]:0 or \
         localhost:7007, --domains N, --idle-timeout SECONDS, and --help"
    ))
}
