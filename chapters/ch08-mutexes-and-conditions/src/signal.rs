//! Signals of the system: what Ctrl+C, `kill` and a closed terminal say to the process.

use crate::event_loop::{Registered, Side};
use signal_hook::SigId;
use signal_hook::consts::FORBIDDEN;
use signal_hook::low_level::{pipe, signal_name, unregister};
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;

// ANCHOR: signal
/// Waits for a signal of the system, from now on: `signal(SIGTERM)?.recv().await`. The numbers are those of
/// the system, and stand in [`signals`](crate::signals).
///
/// From the first call on, the signal no longer does what it did before, such as to end the process; it stays so when each
/// [`Signal`] is dropped, and when the run is over. Each one hears of each signal: they may be on several domains.
///
/// # Errors
///
/// There is no such signal, it cannot be caught (SIGKILL, SIGSTOP and those of faults), there is no descriptor left, or this is
/// not inside of [`run`](crate::run).
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::signals::SIGUSR2;
/// use ch08_mutexes_and_conditions::{run, signal};
/// use signal_hook::low_level::raise;
///
/// run(async |_| {
///     let mut signal = signal(SIGUSR2)?;
///     raise(SIGUSR2)?; // as `kill -USR2` would
///     Ok(signal.recv().await?)
/// })?;
/// # ch08_mutexes_and_conditions::Result::Ok(())
/// ```
// ANCHOR: register
pub fn signal(number: i32) -> io::Result<Signal> {
    if FORBIDDEN.contains(&number) {
        let message = format!("signal {number} cannot be caught");
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    // The handler does what is allowed in one: it writes a byte.
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    let io = Registered::new(mio::net::UnixStream::from_std(reader), true)?;
    let id = pipe::register(number, writer)?;
    Ok(Signal { io, id, number })
}
// ANCHOR_END: register

/// A signal of the system to wait for. Made by [`signal`].
pub struct Signal {
    io: Registered<mio::net::UnixStream>,
    id: SigId,
    number: i32,
}

impl Signal {
    /// Waits for the signal. What came since the last time, or since this was made, counts as well; several that came are one.
    ///
    /// Dropped before it is ready, it has taken none.
    ///
    /// # Errors
    ///
    /// The run in which it was made has ended.
    // ANCHOR: recv
    pub async fn recv(&mut self) -> io::Result<()> {
        let mut bytes = [0; 64];
        let read = |mut socket: &mio::net::UnixStream| socket.read(&mut bytes);
        let mut count = self.io.operate(Side::Read, "a signal", read).await?;
        // All that came are one: also those beyond the first bytes.
        while count == bytes.len() {
            count = match (&*self.io.socket()?).read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                result => result?,
            };
        }
        self.io.used_up(Side::Read);
        Ok(())
    }
    // ANCHOR_END: recv
}

impl Drop for Signal {
    fn drop(&mut self) {
        unregister(self.id);
    }
}
// ANCHOR_END: signal

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut signal = f.debug_tuple("Signal");
        match signal_name(self.number) {
            Some(name) => signal.field(&format_args!("{name}")),
            None => signal.field(&self.number),
        };
        signal.finish()
    }
}
