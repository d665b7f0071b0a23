//! Clients of a server that runs: a line typed into the page goes out over TCP, what comes back goes to the page.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::checks::Refusal;
use super::runs::{Run, lock};
use super::stream::{Event, Page};
use super::token;

/// What a client is told to do.
pub(super) enum Say {
    Text(String),
    /// Nothing more will be said; the answers may still come.
    Finish,
}

/// The clients there are.
#[derive(Default)]
pub(super) struct Clients {
    known: Mutex<HashMap<String, mpsc::Sender<Say>>>,
}

impl Clients {
    /// Has a client say something.
    pub(super) fn say(&self, id: &str, what: Say) -> Result<(), Refusal> {
        let sender = lock(&self.known).get(id).cloned();
        let sender = sender.ok_or_else(no_such_client)?;
        sender.try_send(what).map_err(|_| {
            Refusal::busy("the server does not read what this client has said already")
        })
    }

    /// Hangs up for a client.
    pub(super) fn close(&self, id: &str) -> Result<(), Refusal> {
        // It notices that nobody can tell it anything any more.
        let known = lock(&self.known).remove(id);
        known.map(drop).ok_or_else(no_such_client)
    }

    /// Connects, and hands on to the run's page until the server, the reader or the run has had enough.
    ///
    /// One stream for a server and all its clients: a browser has six connections to us, over all its tabs.
    pub(super) async fn connect(
        self: Arc<Self>,
        run: Arc<Run>,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> Result<String, Refusal> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| Refusal::content(format!("the server cannot be reached: {error}")))?;
        let id = token::id().map_err(Refusal::broken)?;
        let (sender, receiver) = mpsc::channel(64);
        lock(&self.known).insert(id.clone(), sender);
        let client = id.clone();
        tokio::spawn(async move {
            let why = tokio::select! {
                text = talk(stream, receiver, &run.page, &client) => Some(text),
                // The page knows what became of all its clients then.
                () = run.stopped() => None,
            };
            lock(&self.known).remove(&client);
            drop(place);
            // Last, so that whoever hears of it finds its place free.
            if let Some(text) = why {
                run.page.send(Event::Gone { client, text }).await;
            }
        });
        Ok(id)
    }
}

fn no_such_client() -> Refusal {
    Refusal::content("there is no such client; it may have ended")
}

async fn talk(
    stream: TcpStream,
    mut say: mpsc::Receiver<Say>,
    page: &Page,
    client: &str,
) -> String {
    let (mut reader, mut writer) = stream.into_split();
    let write = async {
        while let Some(what) = say.recv().await {
            let done = match what {
                Say::Text(text) => writer.write_all(text.as_bytes()).await,
                Say::Finish => writer.shutdown().await,
            };
            // The reading side says what became of the connection.
            if done.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let read = async {
        let mut buffer = [0; 4096];
        let mut pending = Vec::new();
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) => return "the server closed the connection".to_owned(),
                Ok(n) => {
                    pending.extend_from_slice(&buffer[..n]);
                    let whole = super::supervise::whole(&pending);
                    let text = String::from_utf8_lossy(&pending[..whole]).into_owned();
                    pending.drain(..whole);
                    if !text.is_empty() {
                        let client = client.to_owned();
                        page.send(Event::Heard { client, text }).await;
                    }
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return "the server reset the connection".to_owned();
                }
                Err(error) => return format!("the connection broke: {error}"),
            }
        }
    };
    tokio::select! {
        text = read => text,
        () = write => "closed by you".to_owned(),
    }
}
