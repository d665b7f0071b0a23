//! Reloading the open page: a script in each served page that listens for the next build.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};

use super::site::Site;

/// Where the script is. Nothing of mdBook's own begins with two underscores.
pub(crate) const SCRIPT: &str = "/__book/reload.js";
/// Where it listens, naming the build that its page is of.
pub(crate) const EVENTS: &str = "/__book/events/{build}";

/// Puts the script into a page. Only served pages have it, never the static site.
pub(crate) fn inject(page: &str, number: u64) -> String {
    let script = format!("<script src=\"{SCRIPT}\" data-build=\"{number}\"></script>\n");
    match page.rfind("</body>") {
        Some(end) => format!("{}{script}{}", &page[..end], &page[end..]),
        None => page.to_owned(),
    }
}

/// The script itself.
pub(crate) async fn script() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/javascript; charset=utf-8")],
        include_str!("reload.js"),
    )
}

/// Tells a page of build `seen` when there is another.
pub(crate) async fn events(
    State(site): State<Arc<Site>>,
    Path(seen): Path<u64>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // The page says which build it is of. So a build between its loading and its listening is not lost.
    let news = stream::unfold((site.number(), seen), |(mut number, seen)| async move {
        let next = *number.wait_for(|number| *number != seen).await.ok()?;
        let event = Event::default().event("reload").data(next.to_string());
        Some((Ok(event), (number, next)))
    });
    Sse::new(news).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}
