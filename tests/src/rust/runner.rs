//! The stagehand as supervisor of a block's program.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use super::order::{Order, Report, reports};
use crate::fence::Must;
use crate::process::{as_in_a_readers_shell, finish, heed_interrupts, in_a_session};

/// What `skeptic` keeps and runs in the place of a program: two lines of shell, the order, the program.
pub(super) fn script(order: &Order, program: &[u8]) -> io::Result<Vec<u8>> {
    // `skeptic` passes its environment on, and in it our own path as `RUSTC`.
    let head = format!(
        "#!/bin/sh\nexec \"$RUSTC\" --run-block \"$0\"\n{}\n",
        serde_json::to_string(order)?
    );
    Ok([head.as_bytes(), program].concat())
}

/// Runs the program inside a script, for as long as its order allows, and reports.
pub(super) fn run(arguments: &[OsString]) -> io::Result<ExitCode> {
    let Some(path) = arguments.first() else {
        return Err(io::Error::other("--run-block needs a file"));
    };
    let script = fs::read(path)?;
    let mut parts = script.splitn(4, |&byte| byte == b'\n').skip(2);
    let (Some(order), Some(program)) = (parts.next(), parts.next()) else {
        return Err(io::Error::other("a script without an order"));
    };
    let order: Order = serde_json::from_slice(order)?;
    if let Must::Compile | Must::NotCompile(_) = order.must {
        return Ok(ExitCode::SUCCESS);
    }

    let copy = reports()?.join(format!("{}.program", order.id));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(&copy)?;
    io::Write::write_all(&mut file, program)?;
    drop(file);

    let mut command = in_a_session(&std::env::current_exe()?, &copy);
    as_in_a_readers_shell(&mut command);
    let finished = finish(command, Duration::from_millis(order.limit_ms));
    fs::remove_file(copy)?;
    Report::Ran.leave(&order.id, &finished?)?;
    Ok(ExitCode::SUCCESS)
}

/// Becomes the given command, in a session of its own.
pub(super) fn start_session(arguments: &[OsString]) -> io::Result<ExitCode> {
    let Some((program, arguments)) = arguments.split_first() else {
        return Err(io::Error::other("--session needs a command"));
    };
    rustix::process::setsid()?;
    heed_interrupts()?;
    let error = Command::new(program).args(arguments).exec();
    Err(io::Error::new(
        error.kind(),
        format!("{}: {error}", program.display()),
    ))
}
