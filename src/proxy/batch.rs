//! A batch is its requests, one after another: each is proven, decided, recorded and filtered as if it had come alone, and
//! answered in its place (L07).
//!
//! A transaction is all or nothing, so it can't be taken apart. It passes for a role from which nothing is withheld.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;

use super::account::Opened;
use super::body::Answer;
use super::refusal::Refusal;
use super::whole;
use super::write::IF_NONE_EXIST;
use super::{Arrival, Gateway, exchange};
use crate::fhir::{InteractionError, OperationOutcome};
use crate::json::node::{Ambiguous, Document, Node};
use crate::json::string::escape_into;
use crate::net::address::CanonicalPath;

/// A request of a batch, which may be none that can be read.
pub(super) type Asked = Result<Request<Full<Bytes>>, Refusal>;

/// What a request of a batch does not share with it: what describes a body, a connection, a condition or a part.
const OWN: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "if-match",
    "if-modified-since",
    "if-none-exist",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "prefer",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a batch comes with: what each of its requests has too.
pub(super) struct Around<'a> {
    /// The header fields.
    pub(super) fields: &'a HeaderMap,
    /// The authority that it was sent to.
    pub(super) authority: &'a str,
    /// The path of the endpoint.
    pub(super) path: &'a CanonicalPath,
    /// Where the caller reaches the endpoint.
    pub(super) public: &'a str,
}

impl Around<'_> {
    /// The requests of a batch's Bundle, at most so many.
    pub(super) fn requests(&self, bundle: &[u8], most: usize) -> Result<Vec<Asked>, Refusal> {
        let document = Document::read(bundle).map_err(|_| NO_BUNDLE)?;
        let entries = match document.root().member("entry").map_err(ambiguous)? {
            Some(entries) => entries.children().map_err(ambiguous)?,
            None => Vec::new(),
        };
        if entries.len() > most {
            return Err(Refusal::BatchTooLong);
        }
        Ok(entries.into_iter().map(|entry| self.request(entry)).collect())
    }

    /// Looks at each request of a Bundle: its head, and its path below the endpoint.
    pub(super) fn each(
        &self,
        bundle: &[u8],
        most: usize,
        look: impl Fn(&Parts, &CanonicalPath) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        for request in self.requests(bundle, most)? {
            let (head, _) = request?.into_parts();
            let path = CanonicalPath::parse(head.uri.path()).map_err(Refusal::Path)?;
            look(&head, &path.strip_prefix(self.path).ok_or(Refusal::NoEndpoint)?)?;
        }
        Ok(())
    }

    fn request(&self, entry: Node<'_>) -> Asked {
        let asked = entry.member("request").map_err(ambiguous)?.ok_or(NO_BUNDLE)?;
        let method = text(asked, "method")?.and_then(|method| method.parse::<Method>().ok()).ok_or(NO_BUNDLE)?;
        let url = text(asked, "url")?.ok_or(NO_BUNDLE)?;
        let below = url.strip_prefix(self.public).unwrap_or(&url).trim_start_matches('/');
        // A batch in a batch names no type.
        if below.is_empty() {
            return Err(Refusal::Interaction(InteractionError::UnknownPath));
        }
        let resource = entry.member("resource").map_err(ambiguous)?;
        let body = resource.map_or(Bytes::new(), |resource| Bytes::copy_from_slice(resource.text()));
        let typed = !body.is_empty();
        let target = format!("{}/{below}", self.path.as_str().trim_end_matches('/'));
        let mut request = Request::builder().method(method).uri(target).body(Full::new(body)).map_err(|_| NO_BUNDLE)?;
        let fields = request.headers_mut();
        fields.clone_from(self.fields);
        for name in OWN {
            fields.remove(*name);
        }
        fields.insert(HOST, HeaderValue::from_str(self.authority).map_err(|_| Refusal::Header(HOST))?);
        if typed {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(OperationOutcome::MEDIA_TYPE));
        }
        for (member, name) in [("ifMatch", IF_MATCH), ("ifNoneMatch", IF_NONE_MATCH), ("ifNoneExist", IF_NONE_EXIST)] {
            if let Some(value) = text(asked, member)? {
                fields.insert(name.clone(), HeaderValue::from_str(&value).map_err(|_| Refusal::Header(name))?);
            }
        }
        Ok(request)
    }
}

/// Whether a Bundle is a transaction, and not a batch.
pub(super) fn is_transaction(bundle: &[u8]) -> Result<bool, Refusal> {
    let document = Document::read(bundle).map_err(|_| NO_BUNDLE)?;
    let root = document.root();
    let (resource, kind) = (text(root, "resourceType")?, text(root, "type")?);
    match (resource.as_deref(), kind.as_deref()) {
        (Some("Bundle"), Some("batch")) => Ok(false),
        (Some("Bundle"), Some("transaction")) => Ok(true),
        _ => Err(NO_BUNDLE),
    }
}

const NO_BUNDLE: Refusal = Refusal::Message(
    "a batch or a transaction is a Bundle that says so in its type, each entry with a method and a url in its request",
);

fn ambiguous(_: Ambiguous) -> Refusal {
    NO_BUNDLE
}

fn text(node: Node<'_>, name: &str) -> Result<Option<String>, Refusal> {
    let member = node.member(name).map_err(ambiguous)?;
    Ok(member.and_then(Node::as_str).map(std::borrow::Cow::into_owned))
}

/// Asks for what a batch asks for, and answers with what became of each.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    arrival: &Arrival,
    requests: Vec<Asked>,
    opened: Opened,
    now: Timestamp,
) -> Response<Answer> {
    let mut out = br#"{"resourceType":"Bundle","type":"batch-response","entry":["#.to_vec();
    let mut held = gateway.capacity.hold();
    let most = gateway.limits.value_bytes;
    for (place, request) in requests.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let answered = match request {
            Ok(request) => {
                let (head, body) = alone(gateway, arrival, request, now).await.into_parts();
                match whole::read(body, None, most.saturating_sub(out.len()), gateway.capacity.hold()).await {
                    Ok(whole) => (head.status, head.headers, whole.bytes),
                    Err(_) => told(&Refusal::BatchAnswer),
                }
            }
            Err(refusal) => told(&refusal),
        };
        write(&mut out, answered);
        held.settle(out.len());
    }
    out.extend_from_slice(b"]}");
    let fields = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(OperationOutcome::MEDIA_TYPE))]);
    let response = opened.account.response(StatusCode::OK, fields, Answer::own(out.into()));
    opened.head(StatusCode::OK);
    response
}

/// The exchange of one request, of a type of its own, since this one is a part of another exchange.
fn alone<'a>(
    gateway: &'a Arc<Gateway>,
    arrival: &'a Arrival,
    request: Request<Full<Bytes>>,
    now: Timestamp,
) -> Pin<Box<dyn Future<Output = Response<Answer>> + Send + 'a>> {
    Box::pin(exchange(gateway, arrival, request, now))
}

fn told(refusal: &Refusal) -> (StatusCode, HeaderMap, Bytes) {
    let answered = refusal.answer(true);
    (answered.status, answered.headers, answered.body)
}

/// Writes an entry of the answer.
fn write(out: &mut Vec<u8>, (status, fields, body): (StatusCode, HeaderMap, Bytes)) {
    out.extend_from_slice(br#"{"response":{"status":"#);
    escape_into(out, &format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()));
    for (name, field) in [("location", LOCATION), ("etag", ETAG)] {
        if let Some(value) = fields.get(field).and_then(|value| value.to_str().ok()) {
            out.extend_from_slice(format!(r#","{name}":"#).as_bytes());
            escape_into(out, value);
        }
    }
    // What leads to no FHIR endpoint is not told of in FHIR's words.
    let is_fhir = fields.get(CONTENT_TYPE).is_some_and(|said| said == OperationOutcome::MEDIA_TYPE);
    let body = if is_fhir { body } else { Bytes::new() };
    if !status.is_success() && !body.is_empty() {
        out.extend_from_slice(br#","outcome":"#);
        out.extend_from_slice(&body);
    }
    out.push(b'}');
    if status.is_success() && !body.is_empty() {
        out.extend_from_slice(br#","resource":"#);
        out.extend_from_slice(&body);
    }
    out.push(b'}');
}
