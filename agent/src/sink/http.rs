//! The HTTP side: endpoints of the contract, answers in JSON, errors as `{ "error": "sentence" }`.
//!
//! The agent serves few clients and trusts none of them: a connection has a bounded head, a
//! bounded time to send it, and there is a bounded number of connections.

pub mod ask;
mod serve;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::{
        Path, Query as Parameters, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderValue, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tokio::net::TcpListener;

use self::ask::Desk;
pub use self::serve::serve;
use super::metrics;
use crate::{
    engine::status::{self, Hook},
    escape,
    policy::Finding,
    store::{Query, Store},
};

/// What the endpoints tell about; the loop writes, the endpoints read.
pub struct Shared {
    /// What is counted.
    pub metrics: metrics::Metrics,
    store: Mutex<Store>,
    /// Why the agent is not ready; `None` once it is.
    waiting: Mutex<Option<String>>,
    desk: Desk,
    agent: status::Agent,
    hooks: Mutex<Vec<Hook>>,
}

impl Shared {
    /// Not ready yet.
    #[must_use]
    pub fn new(metrics: metrics::Metrics, store: Store) -> Arc<Self> {
        let waiting = "the kernel hooks are not attached yet".to_owned();
        Arc::new(Self {
            metrics,
            store: Mutex::new(store),
            waiting: Mutex::new(Some(waiting)),
            desk: Desk::default(),
            agent: ask::agent(),
            hooks: Mutex::default(),
        })
    }

    /// The findings. Hold it briefly: whoever asks for findings waits.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hooks are attached and the ring is drained.
    pub fn set_ready(&self) {
        *self.waiting() = None;
    }

    /// The agent cannot do its main job, for the reason given: the rest of a sentence that
    /// begins with "sigblame is not ready:".
    pub fn set_not_ready(&self, reason: impl Into<String>) {
        *self.waiting() = Some(reason.into());
    }

    fn waiting(&self) -> MutexGuard<'_, Option<String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why nobody can be served.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address}: {}; {}", reason(cause), mend(cause))]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// Why. Not its source: the sentence has it already.
    pub cause: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no interface of this host has this address".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "choose a port from 1024 on with --web.listen-address",
        _ => "choose another with --web.listen-address",
    }
}

/// Opens the port, before anything else is begun, so that a second agent stops at once.
///
/// # Errors
///
/// Where the port cannot be had.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|cause| BindError { address, cause })
}

/// The endpoints.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(scrape))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/api/v1/findings", get(findings))
        .route("/api/v1/findings/{id}", get(finding))
        .route("/api/v1/status", get(ask::status))
        .route("/api/v1/workers", get(ask::workers))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

async fn page() -> Response {
    // Nothing of an application stands on this page; the policy says that nothing ever runs on it.
    let headers = [(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    )];
    (headers, Html(include_str!("http/index.html"))).into_response()
}

async fn scrape(State(shared): State<Arc<Shared>>) -> Response {
    match shared.metrics.encode() {
        Ok(text) => with_type(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Err(error) => fail(
            StatusCode::INTERNAL_SERVER_ERROR,
            &format!("failed to write the metrics: {error}"),
        ),
    }
}

async fn healthy() -> &'static str {
    "sigblame is healthy.\n"
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.waiting().as_deref() {
        None => "sigblame is ready.\n".into_response(),
        Some(reason) => fail(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("sigblame is not ready: {reason}"),
        ),
    }
}

#[derive(Serialize)]
struct FindingsBody<'a> {
    findings: &'a [Arc<Finding>],
    next_cursor: Option<String>,
}

async fn findings(
    State(shared): State<Arc<Shared>>,
    parameters: Result<Parameters<Vec<(String, String)>>, QueryRejection>,
) -> Response {
    let Ok(Parameters(pairs)) = parameters else {
        return fail(
            StatusCode::BAD_REQUEST,
            "failed to read the query: it is not a list of name=value",
        );
    };
    let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
    let query = match Query::parse(pairs) {
        Ok(query) => query,
        Err(error) => return fail(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let page = shared.store().list(&query);
    respond(&FindingsBody {
        findings: &page.findings,
        next_cursor: page.next_cursor.map(|cursor| cursor.to_string()),
    })
}

async fn finding(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let found = id.ok().and_then(|Path(id)| shared.store().get(&id));
    match found {
        Some(finding) => respond(&finding),
        None => fail(
            StatusCode::NOT_FOUND,
            "no finding has this id; it may be older than what is kept",
        ),
    }
}

async fn unknown(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(100).collect();
    fail(
        StatusCode::NOT_FOUND,
        &format!("nothing is served at {path:?}; / lists what is"),
    )
}

async fn wrong_method() -> Response {
    fail(
        StatusCode::METHOD_NOT_ALLOWED,
        "this address is for reading; use GET",
    )
}

fn respond<T: Serialize>(value: &T) -> Response {
    json(StatusCode::OK, value)
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
}

fn fail(status: StatusCode, sentence: &str) -> Response {
    json(status, &ErrorBody { error: sentence })
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match escape::json(value) {
        Ok(mut text) => {
            // curl's next prompt shall stand on its own line.
            text.push('\n');
            with_type(status, "application/json", text)
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn with_type(status: StatusCode, kind: &'static str, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (status, headers, text).into_response()
}

#[cfg(test)]
mod tests;
