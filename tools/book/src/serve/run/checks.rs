//! What a request must be before its body is believed. `Host` was looked at before this, by the guard of all routes.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::token::Token;

/// The header with the token. A form or an image of another site cannot send it.
const TOKEN: HeaderName = HeaderName::from_static("x-book-token");
/// The longest body: far more than any block.
const LONGEST: usize = 64 * 1024;
/// A body has to be there in this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    /// The request is in order, but what it asks for is not.
    pub(crate) fn content(why: impl Into<String>) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, why.into())
    }

    /// Too much at once.
    pub(crate) fn busy(why: impl Into<String>) -> Self {
        Self(StatusCode::TOO_MANY_REQUESTS, why.into())
    }

    /// The server itself cannot.
    pub(crate) fn broken(why: impl Into<String>) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, why.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let plain = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        (self.0, plain, format!("{}: {}\n", self.0.as_u16(), self.1)).into_response()
    }
}

/// Takes the body out of a request that may ask for a run.
pub(crate) async fn body<T: DeserializeOwned>(
    token: &Token,
    request: Request,
) -> Result<T, Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "this address takes POST only".to_owned(),
        ));
    }
    head(token, request.headers())?;
    let read = to_bytes(request.into_body(), LONGEST);
    let bytes = tokio::time::timeout(PATIENCE, read)
        .await
        .map_err(|_| {
            Refusal(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body did not come within {} s", PATIENCE.as_secs()),
            )
        })?
        .map_err(|_| too_large())?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::content(format!("the body is not what is asked for here: {error}"))
    })
}

fn head(token: &Token, headers: &HeaderMap) -> Result<(), Refusal> {
    let forbidden = |why: &str| Refusal(StatusCode::FORBIDDEN, why.to_owned());
    let origin = only(headers, &ORIGIN).ok_or_else(|| {
        forbidden("this request names no Origin, or several; only the book's own pages may ask")
    })?;
    let host = only(headers, &HOST).unwrap_or_default();
    if origin.strip_prefix(b"http://") != Some(host) {
        return Err(forbidden(
            "this request comes from another Origin; only the book's own pages may ask",
        ));
    }
    let given = only(headers, &TOKEN).ok_or_else(|| {
        forbidden("this request has no token; open the address that `cargo book` printed last")
    })?;
    if !token.is(given) {
        return Err(forbidden(
            "this is not the token of this server; open the address that `cargo book` printed last",
        ));
    }
    let kind = only(headers, &CONTENT_TYPE).unwrap_or_default();
    if !is_json(&kind.to_ascii_lowercase()) {
        return Err(Refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/json".to_owned(),
        ));
    }
    match only(headers, &CONTENT_LENGTH) {
        Some(length) => {
            let length = std::str::from_utf8(length)
                .ok()
                .and_then(|text| text.parse().ok());
            if length.is_none_or(|length: usize| length > LONGEST) {
                return Err(too_large());
            }
        }
        None if headers.contains_key(TRANSFER_ENCODING) => {}
        None => {
            return Err(Refusal(
                StatusCode::LENGTH_REQUIRED,
                "this request does not say how long its body is".to_owned(),
            ));
        }
    }
    Ok(())
}

/// The value of a header that stands there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

fn is_json(kind: &[u8]) -> bool {
    matches!(
        kind,
        b"application/json"
            | b"application/json; charset=utf-8"
            | b"application/json;charset=utf-8"
    )
}

fn too_large() -> Refusal {
    Refusal(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("a body may have {} KiB", LONGEST / 1024),
    )
}
