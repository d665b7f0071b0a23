//! What the server does when it gets a signal.

use crate::echo::Server;
use crate::signals::{SIGINT, SIGTERM, SIGUSR1};
use crate::{Cx, Either, Result, Signal, race, signal};
use signal_hook::flag::{register, register_conditional_shutdown};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

// ANCHOR: obey
/// The signals of the system that a server obeys.
#[derive(Debug)]
pub struct Orders {
    interrupt: Signal,
    terminate: Signal,
    look: Signal,
}

impl Orders {
    /// From now on they are kept for [`obey`](Orders::obey). A server calls this before it says that it listens: who
    /// has read that may stop it at once.
    ///
    /// # Errors
    ///
    /// Those of the system; also if this is not inside of [`run`](crate::run).
    // ANCHOR: hear
    pub fn hear() -> io::Result<Orders> {
        let orders = Orders {
            interrupt: signal(SIGINT)?,
            terminate: signal(SIGTERM)?,
            look: signal(SIGUSR1)?,
        };
        end_at_the_second(&[SIGINT, SIGTERM])?;
        Ok(orders)
    }
    // ANCHOR_END: hear

    /// Obeys them, for as long as `server` runs: Ctrl+C and SIGTERM stop it, and a second one ends the process at
    /// once; SIGUSR1 has all tasks printed.
    ///
    /// # Errors
    ///
    /// Those of [`Signal::recv`]; it does not return otherwise.
    // ANCHOR: loop
    pub async fn obey(mut self, cx: &Cx, server: &Server) -> Result<()> {
        loop {
            let stop = race(self.interrupt.recv(), self.terminate.recv());
            match race(stop, self.look.recv()).await {
                Either::First(Either::First(received) | Either::Second(received)) => {
                    received?;
                    if server.stop.signal() {
                        let grace = server.grace;
                        server.log.line(format_args!(
                            "stopping: no new clients, and {grace:?} for those that are here"
                        ));
                    }
                }
                Either::Second(received) => {
                    received?;
                    server.log.line(cx.tree().await.to_string().trim_end());
                }
            }
        }
    }
    // ANCHOR_END: loop
}
// ANCHOR_END: obey

// ANCHOR: insist
/// The second of these signals ends the process, with the status that a shell shows for it.
/// The handler itself does it: so it works even if a task blocks its thread, and the first one
/// was not heard.
fn end_at_the_second(signals: &[i32]) -> io::Result<()> {
    let came = Arc::new(AtomicBool::new(false));
    for &number in signals {
        // In this order: the first one finds that none came before.
        register_conditional_shutdown(number, 128 + number, came.clone())?;
        register(number, came.clone())?;
    }
    Ok(())
}
// ANCHOR_END: insist
