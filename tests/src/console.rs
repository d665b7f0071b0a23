//! `console` blocks: typed into a shell as they stand, and what comes compared with what is shown.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};

use crate::Place;
use crate::fence;
use crate::ports::{self, Ports};
use crate::process::{Output, Waited, as_in_a_readers_shell, end_session, in_a_session, pid_of};
use crate::rust::Lines;
use crate::transcript::{compare_all, indented, side_by_side};

/// For a command that may have to compile first, and for any other.
const LIMIT_OF_CARGO: Duration = Duration::from_secs(120);
const LIMIT: Duration = Duration::from_secs(20);

/// How long what runs in the background may take to print what is shown below a later command.
const BACKGROUND: Duration = Duration::from_secs(5);

/// One transcript at a time: they start servers, on ports that are what they are, and measure them. Two at a time
/// were no faster, because each waits for cargo's lock.
static TURN: Mutex<()> = Mutex::new(());

/// Reads commands, each ended by a zero byte, and says after each how it ended.
///
/// Job control is on, so that jobs are what they are at a terminal: `kill %1` reaches all of a pipeline, and
/// Ctrl-C's signal is not ignored. A command finds nothing on its standard input, and `$?` is that of the one before.
///
/// What a command in the background writes goes a way of its own: programs that write to one terminal do so in
/// any order, and we want to know who wrote what. So each command begins with the descriptor that it writes to;
/// `CLOSED` stands for the ends of all those descriptors, which no program shall find open.
const SHELL: &str = r#"
exec 3<&0 0</dev/null
book_mark=$BOOK_MARK
unset BOOK_MARK
set -m
status_of_the_page() { return "$1"; }
book_status=0
while IFS= read -r -d '' -u 3 book_command; do
    book_way=${book_command%% *}
    status_of_the_page "$book_status"
    eval "${book_command#* }" 3<&- >&$book_way 2>&1 CLOSED
    book_status=$?
    printf '\036%s\036\n' "$book_mark"
done
"#;

/// The descriptor of the first background command in the shell, above those that a page may use.
const WAYS: usize = 20;

/// What holds the transcripts whose commands would run these very tests, or never end: a test, and its file.
const ELSEWHERE: &[(&str, &str)] = &[
    // cargo book
    ("pages_and_their_files", "tools/book/tests/serve.rs"),
    (
        "a_changed_page_is_rebuilt_and_reloaded",
        "tools/book/tests/serve.rs",
    ),
    // cargo book build
    ("this_book_can_be_built", "tools/book/tests/export.rs"),
    // cargo book start
    (
        "what_it_makes_passes_its_tests",
        "tools/book/tests/start.rs",
    ),
    // cargo bench
    ("the_cases_run", "bench/tests/cases.rs"),
    // cargo test: that is this very run.
    ("every_block_of_every_page", "tests/tests/pages.rs"),
];

/// A transcript on a page.
#[derive(Debug)]
pub(crate) struct Console {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) lines: Lines,
    pub(crate) fence: fence::Console,
    pub(crate) text: String,
}

/// A command, and the lines that are shown below it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    /// Of the block, counted from 1.
    line: usize,
    command: String,
    shown: Vec<String>,
}

impl Step {
    fn in_background(&self) -> bool {
        let command = self.command.trim_end();
        command.ends_with('&') && !command.ends_with("&&")
    }

    fn limit(&self, fence: &fence::Console) -> Duration {
        let usual = if self.command.contains("cargo") {
            LIMIT_OF_CARGO
        } else {
            LIMIT
        };
        fence.limit.unwrap_or(usual)
    }
}

/// Why a transcript was not run.
pub(crate) type Skipped = Option<String>;

impl Console {
    /// Runs it in `root`.
    pub(crate) fn check(&self, place: &Place) -> Result<Skipped, String> {
        if let Some(name) = &self.fence.elsewhere {
            return self.elsewhere(place, name).map(|()| None);
        }
        let mut steps = steps(&self.text).map_err(|line| {
            self.fault(
                line,
                "this is no output of a command: begin the command with `$ `",
            )
        })?;
        for what in self.fence.needs.iter().map(String::as_str).chain(["bash"]) {
            if !is_there(what) {
                return Ok(Some(format!("needs {what}")));
            }
        }
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let ports = Ports::of(&self.text);
        for old in ports.chosen {
            let new = ports::free().ok_or_else(|| self.fault(0, "there is no free port"))?;
            for step in &mut steps {
                step.command = ports::replace(&step.command, old, new);
                for line in &mut step.shown {
                    *line = ports::replace(line, old, new);
                }
            }
        }
        for port in ports.fixed {
            if !ports::becomes_free(port) {
                return Err(self.fault(0, &format!(
                    "this transcript needs port {port}, on which another program listens: end that; or let \
                     the page's command name a port from 7000 to 7099, for which the tests then put a free one"
                )));
            }
        }
        let mut shell = Shell::start(place, &steps)
            .map_err(|error| self.fault(0, &format!("no shell: {error}")))?;
        let result = self.play(&mut shell, &steps);
        let ended = shell
            .end()
            .map_err(|error| self.fault(0, &format!("its processes did not end: {error}")));
        result.and(ended).map(|()| None)
    }

    fn play(&self, shell: &mut Shell, steps: &[Step]) -> Result<(), String> {
        let mut background = false;
        for step in steps {
            let limit = step.limit(&self.fence);
            background |= step.in_background();
            let settle = if step.in_background() {
                limit
            } else if background {
                BACKGROUND
            } else {
                Duration::ZERO
            };
            let shown: Vec<&str> = step
                .shown
                .iter()
                .map(String::as_str)
                .filter(|line| !is_notice(line))
                .collect();
            let Err(unlike) = shell.run(step, limit, settle, &shown) else {
                continue;
            };
            let command = step.command.lines().next().unwrap_or_default();
            let first = |at: usize| {
                // Notices are shown and not compared: find the line again that was.
                let mut compared = (0..step.shown.len()).filter(|&n| !is_notice(&step.shown[n]));
                let lines_of_command = step.command.lines().count();
                step.line + lines_of_command + compared.nth(at).unwrap_or(step.shown.len())
            };
            let (line, what) = match unlike.why {
                Why::Different(at) if step.in_background() => (
                    first(at),
                    format!(
                        "did not print within {} s what the page shows",
                        limit.as_secs()
                    ),
                ),
                Why::Different(at) => (first(at), "does not print what the page shows".to_owned()),
                Why::NoEnd => (
                    step.line,
                    format!("did not end within {} s", limit.as_secs()),
                ),
                Why::NoShell => (step.line, "cannot be run: the shell is gone".to_owned()),
            };
            let mut came = unlike.came.iter().filter(|text| !text.is_empty());
            let mut all = side_by_side(&shown, came.next().map_or("", String::as_str));
            for more in came {
                all.push_str(&format!("  and from another:\n{}", indented(more)));
            }
            return Err(self.fault(line, &format!("`{command}` {what}\n{all}")));
        }
        Ok(())
    }

    fn elsewhere(&self, place: &Place, name: &str) -> Result<(), String> {
        let Some((test, file)) = ELSEWHERE.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = ELSEWHERE.iter().map(|(known, _)| *known).collect();
            return Err(self.fault(0, &format!(
                "`elsewhere={name}` names no test of the table in tests/src/console.rs, which has {known:?}"
            )));
        };
        if is_in(&place.root.join(file), test) {
            Ok(())
        } else {
            Err(self.fault(0, &format!(
                "`elsewhere={name}`: the test `{test}` is not in {file} any more; mend the table in \
                 tests/src/console.rs"
            )))
        }
    }

    /// A message about a line of the block, counted from 1; 0 is its fence.
    fn fault(&self, line: usize, message: &str) -> String {
        let line = if line == 0 {
            self.line
        } else {
            self.lines.at(line)
        };
        format!("{}:{line}: {message}", self.file)
    }
}

/// Does the file have this test?
fn is_in(file: &Path, test: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|code| code.contains(&format!("fn {test}(")))
}

/// Takes a transcript apart; `Err` is a line that belongs to no command.
fn steps(text: &str) -> Result<Vec<Step>, usize> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                line: index + 1,
                command: command.to_owned(),
                shown: Vec::new(),
            });
            continue;
        }
        let Some(step) = steps.last_mut() else {
            return Err(index + 1);
        };
        match line.strip_prefix("> ") {
            Some(more) if step.shown.is_empty() => {
                step.command.push('\n');
                step.command.push_str(more);
            }
            _ => step.shown.push(line.to_owned()),
        }
    }
    if steps.is_empty() { Err(1) } else { Ok(steps) }
}

/// What a shell or cargo says about itself, and not every time: a job's start and end, a compilation.
fn is_notice(line: &str) -> bool {
    const CARGO: [&str; 13] = [
        "Adding",
        "Blocking",
        "Building",
        "Checking",
        "Compiling",
        "Downloaded",
        "Downloading",
        "Finished",
        "Fresh",
        "Locking",
        "Running",
        "Scraping",
        "Updating",
    ];
    const JOB: [&str; 6] = [
        "Done",
        "Exit",
        "Hangup",
        "Interrupt",
        "Killed",
        "Terminated",
    ];
    // Cargo sets its word right, in 12 columns.
    let word = line.trim_start().split(' ').next().unwrap_or_default();
    if CARGO.contains(&word) && line.find(word).is_some_and(|at| at + word.len() == 12) {
        return true;
    }
    let Some((number, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    let rest = rest.trim_start_matches(['+', '-']).trim();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_state = JOB.contains(&rest.split([' ', ':']).next().unwrap_or_default());
    is_number(number) && (is_number(rest) || rest == "[..]" || is_state)
}

/// What came, without notices and without the shell's own line numbers, which are not the reader's.
fn tidy(text: &str) -> String {
    text.lines()
        .map(|line| line.trim_end_matches('\r'))
        .filter(|line| !is_notice(line))
        .map(|line| {
            let rest = line
                .strip_prefix("bash: line ")
                .and_then(|rest| rest.split_once(": "));
            match rest {
                Some((_, rest)) => format!("bash: {rest}\n"),
                None => format!("{line}\n"),
            }
        })
        .collect()
}

/// The text without the mark at the end of a command, which may stand right after the command's last word.
fn without(text: &str, mark: &str) -> String {
    match text.split_once(mark) {
        Some((before, after)) if before.is_empty() || before.ends_with('\n') => {
            format!("{before}{after}")
        }
        Some((before, after)) => format!("{before}\n{after}"),
        None => text.to_owned(),
    }
}

fn is_there(what: &str) -> bool {
    match what {
        "linux" => cfg!(target_os = "linux"),
        "macos" => cfg!(target_os = "macos"),
        program => std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        }),
    }
}

/// A shell that runs one block.
struct Shell {
    child: Child,
    commands: Option<io::PipeWriter>,
    output: Output,
    mark: String,
    /// How much was compared of what the shell wrote, and each command in the background.
    compared: Vec<usize>,
    /// How many commands were sent into the background.
    in_background: usize,
}

struct Unlike {
    why: Why,
    /// From the command, and from each in the background.
    came: Vec<String>,
}

enum Why {
    /// From the line with this index on.
    Different(usize),
    NoEnd,
    NoShell,
}

impl Shell {
    fn start(place: &Place, steps: &[Step]) -> io::Result<Self> {
        let mark: String = (0..2)
            .map(|_| format!("{:016x}", RandomState::new().build_hasher().finish()))
            .collect();
        let ways = WAYS..WAYS + steps.iter().filter(|step| step.in_background()).count();
        let closed: Vec<String> = ways.clone().map(|way| format!("{way}>&-")).collect();
        let script = SHELL.replace("CLOSED", &closed.join(" "));
        let mut command = in_a_session(&place.stagehand, "bash");
        as_in_a_readers_shell(&mut command);
        command
            .args(["--noprofile", "--norc", "-c", &script, "bash"])
            .current_dir(&place.root)
            .env("BOOK_MARK", &mark)
            .env("CARGO_TARGET_DIR", &place.target)
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_NET_OFFLINE", "true")
            .env("LC_ALL", "C");
        let (reader, commands) = io::pipe()?;
        command.stdin(Stdio::from(OwnedFd::from(reader)));
        let (output, writer) = io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut pipes = vec![output];
        let mut mappings = Vec::new();
        for way in ways {
            let (output, writer) = io::pipe()?;
            pipes.push(output);
            mappings.push(FdMapping {
                parent_fd: OwnedFd::from(writer),
                child_fd: i32::try_from(way).map_err(io::Error::other)?,
            });
        }
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        let child = command.spawn()?;
        Ok(Self {
            child,
            commands: Some(commands),
            mark,
            compared: vec![0; pipes.len()],
            in_background: 0,
            output: Output::of(pipes),
        })
    }

    /// Runs one command, and compares what comes with what is shown, for up to `settle` after its end.
    fn run(
        &mut self,
        step: &Step,
        limit: Duration,
        settle: Duration,
        shown: &[&str],
    ) -> Result<(), Unlike> {
        let from = self.compared.clone();
        let mark = format!("\x1e{}\x1e\n", self.mark);
        let way = if step.in_background() {
            self.in_background += 1;
            WAYS + self.in_background - 1
        } else {
            1
        };
        let sent = self
            .commands
            .as_mut()
            .map(|commands| commands.write_all(format!("{way} {}\0", step.command).as_bytes()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(Unlike {
                why: Why::NoShell,
                came: Vec::new(),
            });
        }
        let since = |texts: &[String]| -> Vec<String> {
            let new = texts.iter().zip(&from).map(|(text, &from)| &text[from..]);
            new.map(|text| tidy(&without(text, &mark))).collect()
        };

        let ended = self.output.wait(Instant::now() + limit, |texts| {
            texts[0][from[0]..].contains(&mark).then_some(())
        });
        if let Waited::TimeOver = ended {
            let came = since(&self.output.so_far());
            return Err(Unlike {
                why: Why::NoEnd,
                came,
            });
        }
        let mut unlike = Unlike {
            why: Why::NoEnd,
            came: Vec::new(),
        };
        let matched = self.output.wait(Instant::now() + settle, |texts| {
            let came = since(texts);
            let each: Vec<&str> = came.iter().map(String::as_str).collect();
            let at = match compare_all(shown, &each) {
                // A line that is only half there may go on otherwise than the page says.
                Ok(())
                    if texts
                        .iter()
                        .all(|text| text.is_empty() || text.ends_with('\n')) =>
                {
                    return Some(texts.iter().map(String::len).collect());
                }
                Ok(()) => shown.len(),
                Err(at) => at,
            };
            unlike = Unlike {
                why: Why::Different(at),
                came,
            };
            None
        });
        match matched {
            Waited::Ready(compared) => {
                self.compared = compared;
                Ok(())
            }
            Waited::Ended | Waited::TimeOver => Err(unlike),
        }
    }

    /// Ends the shell and everything it started.
    fn end(mut self) -> io::Result<()> {
        drop(self.commands.take());
        let leader = pid_of(&self.child)?;
        let ended = end_session(leader);
        self.child.kill()?;
        self.child.wait()?;
        ended?;
        self.output.rest()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ELSEWHERE, Step, is_in, is_notice, steps, tidy};
    use std::path::Path;

    #[test]
    fn what_holds_a_transcript_elsewhere_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (test, file) in ELSEWHERE {
            assert!(is_in(&root.join(file), test), "no test {test} in {file}");
        }
    }

    #[test]
    fn a_command_may_go_on_and_its_output_may_begin_like_that() {
        let step = |line, command: &str, shown: &[&str]| Step {
            line,
            command: command.to_owned(),
            shown: shown.iter().map(|line| (*line).to_owned()).collect(),
        };
        assert_eq!(
            steps("$ for n in 1\n> do echo $n; done\n1\n> 2\n$ true\n"),
            Ok(vec![
                step(1, "for n in 1\ndo echo $n; done", &["1", "> 2"]),
                step(5, "true", &[])
            ])
        );
        assert_eq!(steps("true\n"), Err(1));
        assert_eq!(steps(""), Err(1));
    }

    #[test]
    fn only_what_comes_and_goes_is_left_out() {
        for line in [
            "   Compiling ch01 v0.1.0 (/home/me)",
            "    Finished `dev` profile [unoptimized] in 0.01s",
            "     Running `target/debug/x`",
            "[1] 4711",
            "[1] [..]",
            "[2]+  Done                    sleep 1",
            "[1]-  Exit 3                  false",
            "[1]+  Terminated              x",
        ] {
            assert!(is_notice(line), "{line}");
        }
        for line in [
            "Running",
            "  Finished",
            "running 3 tests",
            "[1]+  Running                 sleep 1 &",
            "[1, 2]",
            "[info] Done",
            "     Blocked it is",
        ] {
            assert!(!is_notice(line), "{line}");
        }
        assert_eq!(
            tidy("bash: line 7: nope: command not found\r\n"),
            "bash: nope: command not found\n"
        );
    }
}
