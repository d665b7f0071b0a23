//! Clients of a server that runs: a line typed into the page goes out over TCP, what comes back goes to the page.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::checks::Refusal;
use super::runs::{Run, lock};
use super::stream::{Ending, Event, Page};
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
        let sender =
            sender.ok_or_else(|| Refusal::content("there is no such client; it may have ended"))?;
        sender.try_send(what).map_err(|_| {
            Refusal::busy("the server does not read what this client has said already")
        })
    }

    /// Connects, and hands on until one of the three is gone: server, page or run.
    pub(super) async fn connect(self: Arc<Self>, run: Arc<Run>, address: SocketAddr, page: Page) {
        let (sender, receiver) = mpsc::channel(64);
        let ended = match token::id() {
            Ok(id) => {
                lock(&self.known).insert(id.clone(), sender);
                page.send(Event::Start {
                    run: None,
                    client: Some(id.clone()),
                })
                .await;
                let text = tokio::select! {
                    text = talk(address, receiver, &page) => text,
                    () = page.gone() => String::new(),
                    () = run.stopped() => "the server has ended".to_owned(),
                };
                lock(&self.known).remove(&id);
                text
            }
            Err(error) => error,
        };
        let ending = Ending {
            text: ended,
            ..Ending::default()
        };
        page.send(Event::End(ending)).await;
    }
}

async fn talk(address: SocketAddr, mut say: mpsc::Receiver<Say>, page: &Page) -> String {
    let stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) => return format!("the server cannot be reached: {error}"),
    };
    let (mut reader, mut writer) = stream.into_split();
    let write = async {
        while let Some(what) = say.recv().await {
            let done = match what {
                Say::Text(text) => writer.write_all(text.as_bytes()).await,
                Say::Finish => writer.shutdown().await,
            };
            // The reading side says what became of the connection.
            if done.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
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
                        page.send(Event::Out { text }).await;
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
        () = write => String::new(),
    }
}
