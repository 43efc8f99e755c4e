//! Connections to the upstream: TCP, then TLS where the URL says https, both within one time limit.
//!
//! It never falls back from TLS to plain text, nor from HTTP/2 to HTTP/1.1 where HTTP/2 was asked for.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::net::BoxError;

/// Which versions of HTTP the upstream is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Http2 {
    /// What the upstream picks by ALPN; HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/2 alone, without asking (RFC 9113, section 3.3).
    PriorKnowledge,
    /// HTTP/1.1 alone.
    Never,
}

/// The connection was not there in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {}", humanized(*.0))]
pub(crate) struct ConnectTimedOut(Duration);

#[derive(Clone)]
pub(crate) struct Connector {
    https: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(tls: ClientConfig, http2: Http2, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        let schemes = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let https = match http2 {
            Http2::Auto => schemes.enable_all_versions().wrap_connector(tcp),
            Http2::PriorKnowledge => schemes.enable_http2().wrap_connector(tcp),
            Http2::Never => schemes.enable_http1().wrap_connector(tcp),
        };
        Self { https, timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, upstream: Uri) -> Self::Future {
        let (connecting, limit) = (self.https.call(upstream), self.timeout);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(ConnectTimedOut(limit).into()),
            }
        })
    }
}

pub(crate) fn humanized(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
