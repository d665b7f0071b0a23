//! The answer to a request for a run: what happens, a line each, as it happens.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc;

/// A line of the answer.
#[derive(Debug, Serialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub(super) enum Event {
    Start {
        run: String,
    },
    /// What is being done now.
    Note {
        text: String,
    },
    /// The compiler's.
    Message {
        level: String,
        line: Option<usize>,
        text: String,
    },
    Compiled {
        ms: u128,
    },
    Out {
        text: String,
    },
    Err {
        text: String,
    },
    Listening {
        address: String,
    },
    /// What came back to a client of the server that runs.
    Heard {
        client: String,
        text: String,
    },
    /// A client has ended.
    Gone {
        client: String,
        text: String,
    },
    End(Ending),
}

/// The last line.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ending {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) how: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<i32>,
    pub(super) text: String,
    pub(super) expected: Option<bool>,
}

impl Ending {
    pub(super) fn new(how: &'static str, text: impl Into<String>) -> Self {
        Self {
            how: Some(how),
            text: text.into(),
            ..Self::default()
        }
    }

    /// The runner itself could not.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self::new("failed", text)
    }

    pub(super) fn expected(mut self, expected: bool) -> Self {
        self.expected = Some(expected);
        self
    }
}

/// Where the lines go. Few are kept: who produces waits for who reads.
#[derive(Clone)]
pub(super) struct Page(mpsc::Sender<Event>);

impl Page {
    /// Sends a line. That the page is gone is noticed elsewhere.
    pub(super) async fn send(&self, event: Event) {
        let _ = self.0.send(event).await;
    }

    pub(super) async fn note(&self, text: impl Into<String>) {
        self.send(Event::Note { text: text.into() }).await;
    }

    /// Waits until the page is gone.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }
}

/// A page to send to, and the answer that carries it there.
pub(super) fn answer() -> (Page, Response) {
    let (sender, receiver) = mpsc::channel(16);
    let lines = stream::unfold(receiver, |mut receiver| async move {
        let event: Event = receiver.recv().await?;
        // Strings and numbers only: this cannot fail.
        let mut line = serde_json::to_string(&event).unwrap_or_default();
        line.push('\n');
        Some((Ok::<_, Infallible>(line), receiver))
    });
    let response = (
        [(CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    );
    (Page(sender), response.into_response())
}
