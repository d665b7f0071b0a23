//! Waits for child processes and for sockets in one run: events that are neither sockets nor time, added to those
//! that are. `cargo run --example children`

use ch07_sleepers::{
    Cx, Events, Failure, Interrupt, Result, Runtime, Signals, SuspensionId, System, TcpListener,
    TcpStream, await_all,
};
use std::io;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

// ANCHOR: processes
/// The system's events, and the ends of child processes.
struct Processes {
    system: System,
    /// Threads that wait for a process leave here whom to resume.
    ended: Arc<Mutex<Vec<SuspensionId>>>,
}

impl Events for Processes {
    fn select(
        &mut self,
        block: bool,
        cancelled: &[SuspensionId],
        signals: &mut Signals<'_>,
    ) -> io::Result<()> {
        // Whoever ends after this look interrupts, and the next look comes at once.
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let block = block && ended.is_empty();
        ended
            .drain(..)
            .for_each(|suspension| signals.push(suspension));
        drop(ended);
        self.system.select(block, cancelled, signals)
    }

    fn interrupt(&self) -> io::Result<Interrupt> {
        self.system.interrupt()
    }

    fn system(&self) -> Option<&System> {
        Some(&self.system)
    }
}
// ANCHOR_END: processes

// ANCHOR: status
/// Runs `command`, and waits for its end.
async fn status(cx: &Cx, mut command: Command) -> Result<ExitStatus> {
    let suspension = cx.suspend("the end of a process");
    let id = suspension.id();
    let mut child = command.spawn()?;
    let (ended, interrupt) = cx.with_events(|events: &mut Processes| {
        io::Result::Ok((events.ended.clone(), events.interrupt()?))
    })?;
    let waiting = thread::spawn(move || {
        let status = child.wait();
        ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(id);
        interrupt();
        status
    });
    suspension.await;
    let Ok(status) = waiting.join() else {
        return Err(Failure::msg("whoever waits for a process does not panic"));
    };
    Ok(status?)
}
// ANCHOR_END: status

// ANCHOR: main
fn main() -> Result<()> {
    let events = |_| {
        let (system, ended) = (System::new()?, Arc::default());
        Ok(Processes { system, ended })
    };
    let runtime = Runtime::builder().domains(1).events(events).build();
    runtime.run(async |cx| {
        let mut processes = Vec::new();
        for code in [0, 3] {
            let process = async move |cx: &Cx| {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("sleep 0.2; exit {code}")]);
                status(cx, command).await
            };
            processes.push(cx.call(process)?);
        }
        // Meanwhile, sockets work as ever.
        let mut listener = TcpListener::bind("127.0.0.1:0")?;
        let mut near = TcpStream::connect(listener.local_addr()?).await?;
        let (mut far, _) = listener.accept().await?;
        far.write_all(b"hello").await?;
        let mut buffer = [0; 16];
        let count = near.read(&mut buffer).await?;
        println!("{} bytes came by a socket", count);
        for status in await_all(&mut processes).await {
            println!("{}", status?);
        }
        Ok(())
    })
}
// ANCHOR_END: main
