//! The operators' own listener: the page of metrics, and whether the gateway lives and is ready.
//!
//! It stands apart from the data listeners, serves nothing of an upstream, takes no body and knows three paths. What it
//! shows holds no caller, no path and no id, since it asks nobody who they are.

mod readiness;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::audit::Journal;
use crate::metrics::{self, Metrics};

pub use readiness::{Readiness, Unready};

/// Connections at once; further ones wait.
const CONNECTIONS: usize = 64;
/// From a connection to the end of a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a connection is kept.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
/// The head of a request, in bytes; hyper takes no less.
const HEAD: usize = 8192;
/// How long the listener rests after it could not accept, as where the process has no file descriptor left.
const REST: Duration = Duration::from_millis(100);

/// What the admin listener shows.
pub struct Admin {
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// Whether the gateway is ready.
    pub readiness: Arc<Readiness>,
    /// The audit trail, whose own figures are taken when they are asked for.
    pub journal: Journal,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
}

/// Serves until it is dropped; each connection ends with it. What fails is one connection, never all.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) -> Infallible {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, place) = match accept(&listener, &places).await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the admin listener could not accept a connection");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let admin = Arc::clone(&admin);
        let service = service_fn(move |request| {
            let response = admin.respond(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move {
            // A client that breaks off is its own affair.
            drop(tokio::time::timeout(CONNECTION_TIMEOUT, connection).await);
            drop(place);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

impl Admin {
    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let known: fn(&Self) -> Response<Full<Bytes>> = match request.uri().path() {
            "/metrics" => Self::metrics,
            "/livez" => |_| text(StatusCode::OK, "live\n"),
            "/readyz" => Self::readyz,
            _ => return text(StatusCode::NOT_FOUND, "here are /metrics, /livez and /readyz\n"),
        };
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return known(self);
        }
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        refused
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        self.metrics.audit(self.journal.records_written(), self.journal.lag((self.clock)()));
        match self.metrics.render() {
            Ok(page) => answer(StatusCode::OK, metrics::MEDIA_TYPE, page),
            Err(error) => {
                tracing::error!(%error, "the page of metrics cannot be made");
                text(StatusCode::INTERNAL_SERVER_ERROR, "the page of metrics cannot be made\n")
            }
        }
    }

    fn readyz(&self) -> Response<Full<Bytes>> {
        let unready: Vec<&str> =
            self.readiness.unready(self.journal.lag((self.clock)())).into_iter().map(Unready::as_str).collect();
        let status = if unready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = json!({ "ready": unready.is_empty(), "not_ready": unready });
        answer(status, "application/json", format!("{body}\n"))
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", body)
}

fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
