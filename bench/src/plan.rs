//! What is asked for on the command line: which parts, and how long they may take.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program `bench-part`, whose processes are the servers and their clients.
    pub part: PathBuf,
    /// Only what has one of these words in its name, if there are any.
    pub words: Vec<String>,
    /// With less of everything?
    pub quick: bool,
    /// Write the book's page of it?
    pub page: bool,
    /// Make that page of the figures that are there already?
    pub redraw: bool,
    /// How much of everything.
    pub pace: Pace,
}

/// How often and how long everything is measured.
#[derive(Clone, Debug)]
pub struct Pace {
    /// A case has so many turns with each runtime.
    pub turns: usize,
    /// The operations of a turn are divided by that.
    pub divisor: u32,
    /// A server has so many turns with each load.
    pub rounds: usize,
    /// And each takes so long.
    pub time: Duration,
    /// Clients at once.
    pub connections: &'static [u64],
    /// Bytes in their messages.
    pub sizes: &'static [usize],
    /// The numbers of idle tasks and connections, and of tasks and sleepers whose cost may grow.
    pub crowds: &'static [u64],
    /// The numbers of clients at once that requests are taken apart with.
    pub counted: &'static [u64],
}

impl Pace {
    /// A quarter of an hour.
    pub const FULL: Pace = Pace {
        turns: 11,
        divisor: 1,
        rounds: 7,
        time: Duration::from_millis(500),
        connections: &[1, 64, 1024, 8192],
        sizes: &[64, 16 * 1024],
        crowds: &[100, 1_000, 10_000, 100_000],
        counted: &[1, 64],
    };

    /// A minute or two.
    pub const QUICK: Pace = Pace {
        turns: 5,
        divisor: 10,
        rounds: 3,
        time: Duration::from_millis(150),
        connections: &[1, 64, 1024],
        sizes: &[64],
        crowds: &[100, 1_000, 10_000],
        counted: &[1, 64],
    };

    /// So that a test sees it all done.
    pub const TINY: Pace = Pace {
        turns: 1,
        divisor: 1000,
        rounds: 1,
        time: Duration::from_millis(8),
        connections: &[1, 3],
        sizes: &[64],
        crowds: &[10],
        counted: &[],
    };
}

impl Plan {
    /// Reads the arguments, the program's own name left out.
    ///
    /// # Errors
    ///
    /// For an option that there is not, and for a page of only a part.
    ///
    /// # Examples
    ///
    /// ```
    /// use bench::plan::Plan;
    ///
    /// let plan = |args: &[&str]| Plan::parse("bench-part".into(), args.iter().map(|arg| arg.to_string()));
    /// assert!(plan(&["echo"]).unwrap().wants("echo"));
    /// assert!(!plan(&["echo"]).unwrap().wants("memory"));
    /// assert!(plan(&["--quick"]).unwrap().wants("memory"));
    /// assert!(plan(&["--slow"]).is_err());
    /// ```
    pub fn parse(part: PathBuf, args: impl Iterator<Item = String>) -> Result<Plan> {
        let mut plan = Plan {
            part,
            words: Vec::new(),
            quick: false,
            page: false,
            redraw: false,
            pace: Pace::FULL,
        };
        for arg in args {
            match arg.as_str() {
                // Cargo adds it.
                "--bench" => {}
                "--quick" => {
                    plan.quick = true;
                    plan.pace = Pace::QUICK;
                }
                "--page" => plan.page = true,
                "--redraw" => plan.redraw = true,
                option if option.starts_with('-') => {
                    return Err(format!(
                        "unknown option `{option}`; there are --quick, --page, --redraw, and words \
                         that choose, such as echo, memory, yield"
                    )
                    .into());
                }
                word => plan.words.push(word.to_owned()),
            }
        }
        if plan.page && !plan.words.is_empty() {
            return Err("the page is made of a whole run: --page takes no words".into());
        }
        Ok(plan)
    }

    /// Is this to be measured?
    pub fn wants(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }
}
