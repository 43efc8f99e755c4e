//! The client: sends a request as it is, at a bounded rate, and reads the whole answer within bounds.
//!
//! It speaks to the target's own address and to no other, never follows a redirect, and keeps nothing of an answer that
//! somebody else could read.

use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tower_service::Service;
use url::{Host, Url};

use super::request::{From, Request};
use super::spec::{Credentials, Spec};
use crate::net::coding::{Caps, Decoder};
use crate::net::tls::{self, TlsError};
use crate::net::upstream::{Connector, Http2, is_base};

/// The most of one body that is read, in bytes; what is beyond isn't looked at.
const MOST_BYTES: usize = 16 << 20;
/// The most that a body may unfold to.
const MOST_DECODED: u64 = 64 << 20;
/// How often a server may ask to be asked again later, and for how long it is waited then.
const PATIENCE: u32 = 3;
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a connection is listened to after the last that came on it.
const QUIET: Duration = Duration::from_millis(300);
/// How many codings on top of each other are undone.
const LAYERS: usize = 3;

/// A server to be asked.
pub(super) struct Client {
    target: Url,
    base: String,
    caller: Pool<Connector, Full<Bytes>>,
    nobody: Pool<Connector, Full<Bytes>>,
    connector: Connector,
    headers: Vec<(HeaderName, HeaderValue)>,
    has_identity: bool,
    timeout: Duration,
    pause: Duration,
    next: Instant,
    /// How many requests were sent.
    pub(super) sent: usize,
}

/// What a server answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) trailers: Vec<(String, Vec<u8>)>,
    /// Decoded, as far as it could be.
    pub(super) body: Vec<u8>,
    /// How many bytes of it came.
    pub(super) length: usize,
}

/// Why there is no answer to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The connection was refused, closed or broken: nothing was told.
    Closed,
    /// Nothing came in time.
    TimedOut,
    /// The request can't be written so that this client sends it.
    Unsendable,
    /// The server asked to be left alone (429), again and again.
    Busy,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The target is no address of an API.
    #[error(
        "the target must be http or https with a host and a path, without user, query and fragment: https://gateway.example/fhir"
    )]
    Url,
    /// A certificate, key or authority can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Client {
    pub(super) fn new(
        target: &Url,
        spec: &Spec,
        credentials: Credentials,
        rate: f64,
        timeout: Duration,
    ) -> Result<Self, TargetError> {
        if !is_base(target) {
            return Err(TargetError::Url);
        }
        let identity = spec.identity.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        let connector = |identity: Option<(&Path, &Path)>| -> Result<Connector, TargetError> {
            let tls = match target.scheme() {
                "http" => tls::trusting_nobody()?,
                _ => tls::client_config(spec.ca.as_deref(), identity, spec.base())?,
            };
            Ok(Connector::new(tls, Http2::Never, timeout))
        };
        let pool = |connector: Connector| Pool::builder(TokioExecutor::new()).build(connector);
        let known = connector(identity)?;
        Ok(Self {
            base: target.as_str().trim_end_matches('/').to_owned(),
            target: target.clone(),
            caller: pool(known.clone()),
            nobody: pool(connector(None)?),
            connector: known,
            headers: credentials.headers,
            has_identity: identity.is_some(),
            timeout,
            pause: Duration::from_secs_f64(1.0 / rate.max(0.01)),
            next: Instant::now(),
            sent: 0,
        })
    }

    /// Whether the spec says anything by which a caller could be known.
    pub(super) fn has_credentials(&self) -> bool {
        self.has_identity || !self.headers.is_empty()
    }

    /// The token that the caller bears.
    pub(super) fn bearer(&self) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(name, _)| *name == AUTHORIZATION)?;
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    }

    pub(super) fn is_on_this_machine(&self) -> bool {
        match self.target.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }

    /// What of an address follows the target's, where it is below the target.
    pub(super) fn below(&self, address: &str) -> Option<String> {
        let address = self.target.join(address).ok()?;
        if address.origin() != self.target.origin() {
            return None;
        }
        let rest = address.as_str().strip_prefix(&self.base)?;
        (rest.is_empty() || rest.starts_with(['/', '?'])).then(|| rest.to_owned())
    }

    /// The target's path, and what names its host.
    pub(super) fn place(&self) -> (String, String) {
        let host = self.target.host_str().unwrap_or_default();
        let port = self.target.port().map(|port| format!(":{port}")).unwrap_or_default();
        (self.target.path().trim_end_matches('/').to_owned(), format!("{host}{port}"))
    }

    /// The caller's own header fields, for a request that is written by hand.
    pub(super) fn fields(&self) -> String {
        let lines = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
        lines.collect()
    }

    /// Sends a request, and again where the server says that it is asked too often.
    pub(super) async fn send(&mut self, request: &Request) -> Result<Answer, NoAnswer> {
        for _ in 0..PATIENCE {
            self.wait().await;
            let answer = tokio::time::timeout(self.timeout, self.exchange(request));
            let answer = answer.await.map_err(|_| NoAnswer::TimedOut)??;
            if answer.status != 429 {
                return Ok(answer);
            }
            let seconds = answer.header(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok()).unwrap_or(1);
            tokio::time::sleep(Duration::from_secs(seconds).min(LONGEST_WAIT)).await;
        }
        Err(NoAnswer::Busy)
    }

    async fn wait(&mut self) {
        tokio::time::sleep_until(self.next).await;
        self.next = Instant::now() + self.pause;
        self.sent += 1;
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, NoAnswer> {
        let address = format!("{}{}", self.base, request.target);
        let mut built = http::Request::builder().method(request.method.clone()).uri(address);
        for (name, value) in &request.headers {
            built = built.header(name, value);
        }
        match &request.from {
            From::Caller => {
                for (name, value) in &self.headers {
                    // What a request says itself stands in place of what the spec says.
                    if !request.headers.iter().any(|(known, _)| known == name.as_str()) {
                        built = built.header(name, value);
                    }
                }
            }
            From::Bearer(token) => built = built.header(AUTHORIZATION, format!("Bearer {token}")),
            From::Nobody => {}
        }
        let body = Full::new(Bytes::from(request.body.clone().unwrap_or_default()));
        let built = built.body(body).map_err(|_| NoAnswer::Unsendable)?;
        let pool = if request.from == From::Caller { &self.caller } else { &self.nobody };
        let response = pool.request(built).await.map_err(|_| NoAnswer::Closed)?;
        Ok(Answer::read(response).await)
    }

    /// Sends these bytes on a connection of their own, and reads what comes until the server has nothing more to say.
    pub(super) async fn send_raw(&mut self, message: &str) -> Result<Answer, NoAnswer> {
        self.wait().await;
        let whole = async {
            let address = self.target.as_str().parse().map_err(|_| NoAnswer::Unsendable)?;
            let stream = self.connector.clone().call(address).await.map_err(|_| NoAnswer::Closed)?;
            let mut stream = TokioIo::new(stream);
            stream.write_all(message.as_bytes()).await.map_err(|_| NoAnswer::Closed)?;
            stream.flush().await.map_err(|_| NoAnswer::Closed)?;
            let (mut read, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
            while read.len() < MOST_BYTES {
                // The first response may take its time; what follows it is there with it or soon after.
                let patience = if read.is_empty() { self.timeout } else { QUIET };
                match tokio::time::timeout(patience, stream.read(&mut piece)).await {
                    Ok(Ok(count)) if count > 0 => read.extend_from_slice(piece.get(..count).unwrap_or_default()),
                    _ => break,
                }
            }
            if read.is_empty() { Err(NoAnswer::Closed) } else { Ok(read) }
        };
        let read = tokio::time::timeout(self.timeout * 2, whole).await.map_err(|_| NoAnswer::TimedOut)??;
        let text = String::from_utf8_lossy(read.get(..16).unwrap_or(&read)).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Ok(Answer { status, length: read.len(), body: read, ..Answer::default() })
    }
}

impl Answer {
    async fn read(response: http::Response<Incoming>) -> Self {
        let (head, mut incoming) = response.into_parts();
        let reason = head.extensions.get::<ReasonPhrase>().map(|reason| reason.as_bytes().to_vec()).unwrap_or_default();
        let (mut raw, mut trailers) = (BytesMut::new(), Vec::new());
        // What came before an error or a bound was sent all the same.
        while let Some(Ok(frame)) = incoming.frame().await {
            match frame.into_data() {
                Ok(data) => raw.extend_from_slice(&data),
                Err(frame) => trailers = frame.trailers_ref().map(listed).unwrap_or_default(),
            }
            if raw.len() > MOST_BYTES {
                break;
            }
        }
        Self {
            status: head.status.as_u16(),
            reason: String::from_utf8_lossy(&reason).into_owned(),
            headers: listed(&head.headers),
            trailers,
            length: raw.len(),
            body: decoded(&head.headers, raw.freeze()),
        }
    }

    /// The one value of a header field.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        std::str::from_utf8(value).ok()
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

fn listed(fields: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// The body with its codings undone, those too that nobody has named. What can't be decoded stays as it came.
fn decoded(headers: &HeaderMap, mut body: Bytes) -> Vec<u8> {
    let named = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<String> =
        named.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect();
    for name in named.iter().rev() {
        if let Some(inner) = undone(name, &body) {
            body = inner;
        }
    }
    for _ in 0..LAYERS {
        let name = match body.get(..4) {
            Some([0x1f, 0x8b, ..]) => "gzip",
            Some([0x28, 0xb5, 0x2f, 0xfd]) => "zstd",
            _ => break,
        };
        let Some(inner) = undone(name, &body) else { break };
        body = inner;
    }
    body.to_vec()
}

fn undone(name: &str, body: &Bytes) -> Option<Bytes> {
    if name == "deflate" {
        let mut out = Vec::new();
        let zlib = flate2::read::ZlibDecoder::new(&body[..]).take(MOST_DECODED).read_to_end(&mut out);
        if zlib.is_err() && out.is_empty() {
            // Some servers leave the wrapping out (RFC 9110, section 8.4.1.2).
            let _: io::Result<usize> =
                flate2::read::DeflateDecoder::new(&body[..]).take(MOST_DECODED).read_to_end(&mut out);
        }
        return (!out.is_empty()).then(|| out.into());
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_str(name).ok()?);
    let caps = Caps { max_decoded: MOST_DECODED, max_ratio: u32::MAX, ..Caps::default() };
    let mut decoder = Decoder::new(&headers, caps).ok()?;
    let (mut input, mut out) = (body.clone(), BytesMut::new());
    // What was decoded before an error is looked at as well.
    while let Ok(Some(piece)) = decoder.decode(&mut input) {
        out.extend_from_slice(&piece);
    }
    (!out.is_empty()).then(|| out.freeze())
}
