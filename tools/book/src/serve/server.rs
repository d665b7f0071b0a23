//! The HTTP side: routes, files, and the end on Ctrl+C.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::services::{ServeDir, ServeFile};

use super::run::{self, Runner};
use super::site::Site;
use super::{guard, reload};

/// Answers requests until Ctrl+C.
pub(crate) fn run(
    listener: TcpListener,
    port: u16,
    site: Arc<Site>,
    runner: Arc<Runner>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the server's threads")?;
    let done = runtime.block_on(async {
        listener.set_nonblocking(true).context("cannot prepare the socket")?;
        let listener = tokio::net::TcpListener::from_std(listener).context("cannot prepare the socket")?;
        tokio::select! {
            served = axum::serve(listener, routes(port, site.clone(), runner)) => served.context("the server failed"),
            stopped = stop() => stopped,
        }
    });
    // Open pages listen for as long as they are open; nobody waits for them.
    runtime.shutdown_background();
    site.close();
    done
}

/// Everything the server answers. The guard is the outermost layer: no route escapes it.
fn routes(port: u16, site: Arc<Site>, runner: Arc<Runner>) -> Router {
    Router::new()
        .route(reload::SCRIPT, get(reload::script))
        .route(reload::EVENTS, get(reload::events))
        .fallback(file)
        .with_state(site)
        .merge(run::routes(runner))
        .layer(middleware::from_fn(fresh))
        .layer(middleware::from_fn_with_state(port, guard::guard))
}

/// A file of the current build.
async fn file(State(site): State<Arc<Site>>, mut request: Request) -> Response {
    let Some(folder) = site.folder() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    // Two builds can fall into the same second, and then a browser would be told that nothing is new.
    for condition in [IF_MODIFIED_SINCE, IF_NONE_MATCH] {
        request.headers_mut().remove(condition);
    }
    let not_found = ServeFile::new(folder.join("404.html"));
    match ServeDir::new(folder)
        .not_found_service(not_found)
        .try_call(request)
        .await
    {
        Ok(response) => response.into_response(),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("cannot read this file: {error}\n"),
        )
            .into_response(),
    }
}

/// Nothing is kept by the browser: what it shows is what was built last.
async fn fresh(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Another site's page must not have one of ours inside, and lead the reader's clicks to a Run button.
    response.headers_mut().insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("frame-ancestors 'none'"),
    );
    response
}

/// Waits for Ctrl+C, or for the polite request of another program to end.
async fn stop() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for Ctrl+C"),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c()
        .await
        .context("cannot listen for Ctrl+C")
}
