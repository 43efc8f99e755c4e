//! One small document fetched by GET, such as an issuer's key set (RFC 7517).
//!
//! What it fetches is trusted, so it comes over TLS or from this very machine, whole, under a limit, from the address
//! that was configured: no redirect is followed.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use url::{Host, Url};

use super::BoxError;
use super::upstream::{Connector, Http2, find, humanized};

/// Fetches the JSON document at `url`, of at most `limit` bytes, within `timeout` from the first packet to the last.
pub async fn fetch(tls: &ClientConfig, url: &Url, limit: usize, timeout: Duration) -> Result<Bytes, FetchError> {
    if !is_trustworthy(url) {
        return Err(FetchError::Url);
    }
    let request = Request::get(url.as_str()).header(ACCEPT, "application/json");
    let request = request.body(Empty::<Bytes>::new()).map_err(|_| FetchError::Url)?;
    let connector = Connector::new(tls.clone(), Http2::Auto, timeout);
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    let whole = async {
        let response = client.request(request).await.map_err(|error| FetchError::Failed(error.into()))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        if response.headers().contains_key(CONTENT_ENCODING) {
            return Err(FetchError::Encoded);
        }
        let body = Limited::new(response.into_body(), limit).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| FetchError::of(error, limit))
    };
    tokio::time::timeout(timeout, whole).await.map_err(|_| FetchError::TimedOut(timeout))?
}

/// Why a document was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL could let others choose the document.
    #[error("the URL must be https, or http on a loopback address, without user and fragment")]
    Url,
    /// There is no connection, no TLS or no HTTP, or the document was cut off.
    #[error("the document cannot be fetched")]
    Failed(#[source] BoxError),
    /// Not there whole in time.
    #[error("the document was not there within {}", humanized(*.0))]
    TimedOut(Duration),
    /// A status other than 200; redirects are not followed.
    #[error("the server answered {0} and not 200 OK")]
    Status(StatusCode),
    /// A content coding, though none was asked for.
    #[error("the document has a content coding, though none was asked for")]
    Encoded,
    /// The document is larger than allowed.
    #[error("the document is larger than {0} bytes")]
    TooLarge(usize),
}

impl FetchError {
    fn of(error: BoxError, limit: usize) -> Self {
        if find::<LengthLimitError>(&*error).is_some() { Self::TooLarge(limit) } else { Self::Failed(error) }
    }
}

fn is_trustworthy(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let secure = url.scheme() == "https" || (url.scheme() == "http" && here);
    secure && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}
