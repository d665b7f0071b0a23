//! Who may speak to this server: only pages that were opened under its own address.
//!
//! Listening on the loopback address keeps other machines out, but not other web sites: one can let its name
//! point to 127.0.0.1 and have the reader's browser ask. Such a request carries that name in `Host`.

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Lets a request through when it is meant for `port` of this machine, and refuses it otherwise.
pub(crate) async fn guard(State(port): State<u16>, request: Request, next: Next) -> Response {
    match meant_for(request.headers(), request.uri(), port) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let plain = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
            (StatusCode::FORBIDDEN, plain, format!("403: {refusal}\n")).into_response()
        }
    }
}

fn meant_for(headers: &HeaderMap, uri: &Uri, port: u16) -> Result<(), String> {
    let mut hosts = headers.get_all(HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or("an unreadable name"),
        (Some(_), Some(_)) => {
            return Err(format!(
                "this request names more than one Host. {}",
                open(port)
            ));
        }
        (None, _) => return Err(format!("this request names no Host. {}", open(port))),
    };
    // A request line may carry a whole address, and then that is the one that counts.
    for name in [
        Some(named),
        uri.authority().map(|authority| authority.as_str()),
    ]
    .into_iter()
    .flatten()
    {
        if !ours(name, port) {
            return Err(format!(
                "this server does not answer for `{name}`. {}",
                open(port)
            ));
        }
    }
    Ok(())
}

fn ours(host: &str, port: u16) -> bool {
    ["127.0.0.1", "localhost"].iter().any(|name| {
        // Browsers leave the port out when it is the usual one.
        host == format!("{name}:{port}") || (port == 80 && host == *name)
    })
}

fn open(port: u16) -> String {
    format!("Open http://127.0.0.1:{port}/ or http://localhost:{port}/ instead.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_and_this_port() {
        assert!(ours("127.0.0.1:3000", 3000));
        assert!(ours("localhost:3000", 3000));
        assert!(ours("localhost", 80));
        for foreign in [
            "localhost",
            "127.0.0.1",
            "127.0.0.1:3001",
            "evil.example:3000",
            "localhost:3000.evil.example",
            "[::1]:3000",
            "",
        ] {
            assert!(!ours(foreign, 3000), "{foreign}");
        }
    }
}
