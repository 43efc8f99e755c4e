//! The client of one upstream: its connections, its time limits, its own credentials.
//!
//! It speaks to no other host and under no other path than its configuration names, never follows a redirect, and takes
//! no response whose framing has two readings.

mod body;
mod connect;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration;
use serde::Deserialize;
use url::Url;

use crate::net::BoxError;
use crate::net::address::{CanonicalPath, PathError};
use crate::net::tls::{self, TlsError};

pub use body::{UpstreamBody, UpstreamBodyError};
pub use connect::Http2;
pub(crate) use connect::{ConnectTimedOut, Connector, humanized};

/// A response whose head has not ended when this many bytes of it were read is refused.
const HEAD: usize = 64 * 1024;
/// What one HTTP/2 stream may hold unread.
const STREAM_WINDOW: u32 = 256 * 1024;
/// What one HTTP/2 connection may hold unread: 128 full streams, so that callers who read slowly do not stop the
/// others on their connection.
const CONNECTION_WINDOW: u32 = 128 * STREAM_WINDOW;
/// How often an HTTP/2 connection in use is asked whether it is still there.
const PING: Duration = Duration::from_secs(15);

/// `endpoints[].upstream`: where the API is and how it is spoken to. Paths are relative to the gateway file, durations
/// are written like `5s` or `1m 30s`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// http or https, with the path that every request goes below.
    pub url: Url,
    /// PEM: the authorities of the upstream's certificate, and no other; the system's where left out.
    pub ca: Option<PathBuf>,
    /// PEM: the certificate that fieldgate shows to the upstream. Needs `key`.
    pub certificate: Option<PathBuf>,
    /// PEM: that certificate's private key. Needs `certificate`.
    pub key: Option<PathBuf>,
    /// Fields that each request to the upstream carries, such as `authorization: { file: upstream.token }`.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderFile>,
    /// Which versions of HTTP are spoken.
    #[serde(default)]
    pub http2: Http2,
    /// From the first packet to the end of the TLS handshake; 5 s.
    #[serde(default = "five_seconds", with = "duration")]
    pub connect_timeout: Duration,
    /// From the request to the head of the response, the request's own body included; 30 s.
    #[serde(default = "thirty_seconds", with = "duration")]
    pub response_timeout: Duration,
    /// Between two pieces of the response's body; 30 s.
    #[serde(default = "thirty_seconds", with = "duration")]
    pub idle_timeout: Duration,
    /// Connections that are kept open without use; 64.
    #[serde(default = "sixty_four")]
    pub max_idle_connections: usize,
}

/// The value of a header field, in a file of its own so that a secret need not stand in the gateway file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderFile {
    /// The file; white space at its ends is left out.
    pub file: PathBuf,
}

/// One upstream, with its pool of connections. Cheap to share; not to be made for each request.
pub struct Upstream {
    client: Client<Connector, UnsyncBoxBody<Bytes, BoxError>>,
    base: Url,
    origin: Uri,
    root: CanonicalPath,
    headers: HeaderMap,
    response_timeout: Duration,
    idle_timeout: Duration,
}

impl Upstream {
    /// Reads the files that `config` names and makes the client. It connects when the first request does.
    pub fn open(config: &UpstreamConfig, base: &Path) -> Result<Self, UpstreamOpenError> {
        let (origin, root) = read_url(&config.url)?;
        for (setting, timeout) in [
            ("connect_timeout", config.connect_timeout),
            ("response_timeout", config.response_timeout),
            ("idle_timeout", config.idle_timeout),
        ] {
            if timeout.is_zero() {
                return Err(UpstreamOpenError::ZeroTimeout { setting });
            }
        }
        Ok(Self {
            client: client(config, client_tls(config, base)?),
            base: config.url.clone(),
            origin,
            root,
            headers: fixed_headers(&config.headers, base)?,
            response_timeout: config.response_timeout,
            idle_timeout: config.idle_timeout,
        })
    }

    /// The configured URL.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The target of a request for `path` below the configured URL; `query` is sent as it is, without its `?`.
    pub fn target(&self, path: &CanonicalPath, query: Option<&str>) -> Result<Uri, UpstreamError> {
        let path = self.root.join(path);
        let target = match query {
            Some(query) => format!("{}?{query}", path.as_str()),
            None => path.as_str().to_owned(),
        };
        let mut parts = self.origin.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| UpstreamError::Target)?);
        Uri::from_parts(parts).map_err(|_| UpstreamError::Target)
    }

    /// Sends one request and waits for the head of its response. The target must be one that [`target`](Self::target)
    /// could have made. `Host` is the upstream's own; fields of one hop are the caller's to leave out.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<UpstreamBody>, UpstreamError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request = self.prepare(request)?;
        let response = tokio::time::timeout(self.response_timeout, self.client.request(request))
            .await
            .map_err(|_| UpstreamError::ResponseTimedOut(self.response_timeout))?
            .map_err(|error| UpstreamError::of(error.into()))?;
        check_framing(&response)?;
        Ok(response.map(|incoming| UpstreamBody::new(incoming, self.idle_timeout)))
    }

    fn prepare<B>(&self, request: Request<B>) -> Result<Request<UnsyncBoxBody<Bytes, BoxError>>, UpstreamError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::CONNECT || !self.has(&parts.uri) {
            return Err(UpstreamError::Target);
        }
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        parts.headers.remove(HOST);
        for (name, value) in &self.headers {
            parts.headers.insert(name, value.clone());
        }
        let body = body.map_err(|source| BoxError::from(RequestBodyFailed(source.into()))).boxed_unsync();
        Ok(Request::from_parts(parts, body))
    }

    fn has(&self, target: &Uri) -> bool {
        target.scheme() == self.origin.scheme()
            && target.authority() == self.origin.authority()
            && CanonicalPath::parse(target.path())
                .is_ok_and(|path| path.as_str() == target.path() && path.strip_prefix(&self.root).is_some())
    }
}

/// Why an upstream's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamOpenError {
    /// The URL has parts that an upstream's must not have, or lacks some.
    #[error("upstream.url must be http or https with a host and a path, without user, query and fragment")]
    Url,
    /// The URL's path has more than one reading.
    #[error("upstream.url has a path that cannot be used")]
    Path(#[source] PathError),
    /// A certificate without a key, or a key without a certificate.
    #[error("upstream.certificate and upstream.key go together: give both or none")]
    HalfIdentity,
    /// A time limit of nothing.
    #[error("upstream.{setting} must be longer than 0 s")]
    ZeroTimeout {
        /// The setting.
        setting: &'static str,
    },
    /// A field that cannot be fixed, since it belongs to the connection or is no field name.
    #[error("upstream.headers cannot set {name}")]
    HeaderName {
        /// The field's name as the gateway file writes it.
        name: String,
    },
    /// A file whose text cannot be a field's value.
    #[error("{}: must hold one line of visible characters", path.display())]
    HeaderValue {
        /// The file.
        path: PathBuf,
    },
    /// A file of a field's value cannot be read.
    #[error("{}: cannot be read", path.display())]
    HeaderFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The TLS files cannot be used.
    #[error("the TLS files of the upstream cannot be used")]
    Tls(#[from] TlsError),
}

/// Why there is no response. Nothing of the request went to anyone but the upstream.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The request is not for this upstream, or its target has more than one reading.
    #[error("the request's target is not below the upstream's URL")]
    Target,
    /// No connection: the name, the address or the port does not answer.
    #[error("the upstream cannot be reached")]
    Unreachable(#[source] BoxError),
    /// TLS with the upstream failed: one side does not trust the other.
    #[error("TLS with the upstream failed")]
    Tls(#[source] BoxError),
    /// No connection in time.
    #[error("the upstream cannot be reached in time")]
    ConnectTimedOut(#[source] BoxError),
    /// No head of a response in time.
    #[error("the upstream did not answer within {}", humanized(*.0))]
    ResponseTimedOut(Duration),
    /// The body of the request failed while it was sent: the fault is on the caller's side.
    #[error("the request's body was cut off")]
    RequestBody(#[source] BoxError),
    /// The connection broke, or what came is not HTTP.
    #[error("the upstream broke off or did not answer in HTTP")]
    BadResponse(#[source] BoxError),
    /// The response can be read in two ways.
    #[error("the upstream's response has ambiguous framing")]
    Framing,
}

impl UpstreamError {
    fn of(error: BoxError) -> Self {
        let unconnected = error.downcast_ref().is_some_and(hyper_util::client::legacy::Error::is_connect);
        // One of several addresses that does not answer runs out of its own share of the time.
        let no_answer = || find(&*error).is_some_and(|io: &io::Error| io.kind() == io::ErrorKind::TimedOut);
        if find::<RequestBodyFailed>(&*error).is_some() {
            Self::RequestBody(error)
        } else if find::<ConnectTimedOut>(&*error).is_some() || (unconnected && no_answer()) {
            Self::ConnectTimedOut(error)
        } else if find::<rustls::Error>(&*error).is_some() {
            Self::Tls(error)
        } else if unconnected {
            Self::Unreachable(error)
        } else {
            Self::BadResponse(error)
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the request's body failed")]
struct RequestBodyFailed(#[source] BoxError);

/// The first error of type `E` in the chain. An I/O error hides what it wraps from `source`, so it is asked itself.
pub(crate) fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// Whether an address is one to stand before paths: http or https with a host, without user, query and fragment.
pub fn is_base(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

fn read_url(url: &Url) -> Result<(Uri, CanonicalPath), UpstreamOpenError> {
    if !is_base(url) {
        return Err(UpstreamOpenError::Url);
    }
    let origin = url.as_str().parse().map_err(|_| UpstreamOpenError::Url)?;
    let root = CanonicalPath::parse(url.path()).map_err(UpstreamOpenError::Path)?;
    Ok((origin, root))
}

fn client_tls(config: &UpstreamConfig, base: &Path) -> Result<rustls::ClientConfig, UpstreamOpenError> {
    let identity = match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => Some((certificate.as_path(), key.as_path())),
        (None, None) => None,
        _ => return Err(UpstreamOpenError::HalfIdentity),
    };
    if config.url.scheme() == "http" && config.ca.is_none() && identity.is_none() {
        return Ok(tls::trusting_nobody()?);
    }
    Ok(tls::client_config(config.ca.as_deref(), identity, base)?)
}

fn client(config: &UpstreamConfig, tls: rustls::ClientConfig) -> Client<Connector, UnsyncBoxBody<Bytes, BoxError>> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(config.max_idle_connections)
        .http1_max_buf_size(HEAD)
        .http2_only(config.http2 == Http2::PriorKnowledge)
        .http2_max_header_list_size(HEAD as u32)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        .build(Connector::new(tls, config.http2, config.connect_timeout))
}

fn fixed_headers(files: &BTreeMap<String, HeaderFile>, base: &Path) -> Result<HeaderMap, UpstreamOpenError> {
    const OF_THE_CONNECTION: [HeaderName; 7] =
        [CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    let mut headers = HeaderMap::new();
    for (written, HeaderFile { file }) in files {
        let name = HeaderName::try_from(written.as_str()).ok().filter(|name| !OF_THE_CONNECTION.contains(name));
        let name = name.ok_or_else(|| UpstreamOpenError::HeaderName { name: written.clone() })?;
        let path = base.join(file);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| UpstreamOpenError::HeaderFile { path: path.clone(), source })?;
        let value = HeaderValue::try_from(text.trim()).ok().filter(|value| !value.is_empty());
        let mut value = value.ok_or(UpstreamOpenError::HeaderValue { path })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// RFC 9112, section 6.3: a response with both fields, or a coding other than chunked, may be read in two ways; one
/// that switches protocols has no end.
fn check_framing<B>(response: &Response<B>) -> Result<(), UpstreamError> {
    let mut codings = response.headers().get_all(TRANSFER_ENCODING).iter();
    let clear = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => {
            coding.as_bytes().eq_ignore_ascii_case(b"chunked") && !response.headers().contains_key(CONTENT_LENGTH)
        }
        (Some(_), Some(_)) => false,
    };
    if clear && response.status() != StatusCode::SWITCHING_PROTOCOLS { Ok(()) } else { Err(UpstreamError::Framing) }
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

fn sixty_four() -> usize {
    64
}
