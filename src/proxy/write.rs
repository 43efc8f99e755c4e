//! A write on its way to the upstream: what is stored is read, what the role does not see of it put back, and the whole
//! sent under the version that was read, so that nobody's change in between is lost (L26).
//!
//! A role from which nothing is withheld writes as it would without the gateway.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH};
use http::{HeaderName, Method, Response, StatusCode};

use super::account::Opened;
use super::ask::{Message, send};
use super::refusal::{Failure, Refusal};
use super::whole::{self, Whole};
use super::{Decided, Gateway};
use crate::fhir::OperationOutcome;
use crate::fhir::interaction::Kind;
use crate::guard::write::{self, Sent};
use crate::json::node::{Document, Node};
use crate::net::address::CanonicalPath;
use crate::net::upstream::UpstreamBody;
use crate::redact::{Copied, RedactError, Redactor};

/// What a caller wants to write.
pub(super) struct Write {
    pub(super) kind: Kind,
    /// The resource type.
    pub(super) of: Box<str>,
    /// Whether search criteria stand for the id.
    pub(super) conditional: bool,
    /// The resource or the patch; nothing where it is deleted.
    pub(super) sent: Option<Whole>,
}

/// What is stored, and which version of it the upstream says that it is.
struct Stored {
    version: Option<HeaderValue>,
    body: Whole,
}

/// The media type of a JSON Patch (RFC 6902).
pub(super) const PATCH: &str = "application/json-patch+json";

/// The header field that makes a create conditional (R4 http.html#ccreate).
pub(super) const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

/// Writes.
pub(super) async fn ask(
    gateway: &Gateway,
    decided: &Decided,
    opened: &Opened,
    write: &Write,
) -> Result<Response<UpstreamBody>, Refusal> {
    let Write { kind, of, conditional, sent } = write;
    let mut sent = sent.as_ref().map(|whole| &whole.bytes).cloned().unwrap_or_default();
    let view = |resource: &[u8]| view(gateway, decided, opened, resource);
    let only_if = &decided.conditions.only_if;
    let (mut fields, mut content) = (HeaderMap::new(), OperationOutcome::MEDIA_TYPE);
    let restricted = decided.permit.restricted();
    let (mut kind, mut place, mut none_exist) = (*kind, None, decided.admission.if_none_exist.clone());
    if *conditional && restricted {
        match only_match(gateway, decided, opened, of).await? {
            Some(id) => {
                if kind == Kind::Update {
                    sent = write::named(&sent, &id).map_err(Refusal::Write)?.into();
                }
                place = Some(path(&[of, &id])?);
            }
            // Where nothing matches, an update creates (R4 http.html#cond-update).
            None if kind == Kind::Update && decided.may_create => {
                (kind, none_exist) = (Kind::Create, decided.admission.query.clone());
                place = Some(path(&[of])?);
            }
            None => return Err(Refusal::Absent),
        }
    }
    // What is sent to be validated is written nowhere.
    let creates = matches!(kind, Kind::Create | Kind::Transaction | Kind::Operation);
    let stored = if !creates && (restricted || only_if.is_some()) {
        let message = Message { place: place.clone(), ..Message::default() };
        let stored = stored(gateway, send(gateway, decided, opened, message).await?).await?;
        let version = stored.version.as_ref().ok_or(Refusal::Unversioned)?;
        let named = version.to_str().map_err(|_| Refusal::Unversioned)?;
        if only_if.as_ref().is_some_and(|validator| !decided.is_validator(gateway, place.as_ref(), named, validator)) {
            return Err(Refusal::Stale);
        }
        fields.insert(IF_MATCH, version.clone());
        Some(stored)
    } else {
        None
    };
    if let Some(criteria) = none_exist {
        fields.insert(IF_NONE_EXIST, HeaderValue::from_str(&criteria).map_err(|_| Refusal::Header(IF_NONE_EXIST))?);
    }
    let (method, body) = match (kind, stored.filter(|_| restricted)) {
        (Kind::Operation, _) => (Method::POST, checked(of, sent)?),
        (Kind::Create | Kind::Transaction, _) if restricted => {
            (Method::POST, write::created(&view, of, &sent).map_err(Refusal::Write)?.into())
        }
        // The guard lets a transaction through for a role that sees everything alone.
        (Kind::Create | Kind::Transaction, _) => (Method::POST, checked(of, sent)?),
        (Kind::Delete, None) => (Method::DELETE, sent),
        (Kind::Patch, None) => {
            content = PATCH;
            (Method::PATCH, sent)
        }
        (_, None) => (Method::PUT, checked(of, sent)?),
        (kind, Some(stored)) => {
            // What the role does not see is not there.
            if view(&stored.body.bytes).map_err(Failure::Redact).map_err(Refusal::Response)?.is_none() {
                return Err(Refusal::Absent);
            }
            let changed = |sent| write::updated(&view, of, &stored.body.bytes, sent).map_err(Refusal::Write);
            match kind {
                Kind::Delete => (Method::DELETE, sent),
                Kind::Patch => (Method::PUT, changed(Sent::Patch(&sent))?.into()),
                _ => (Method::PUT, changed(Sent::Resource(&sent))?.into()),
            }
        }
    };
    if !body.is_empty() {
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    }
    send(gateway, decided, opened, Message { place, method, fields, body }).await
}

/// The id of the one resource that the criteria of a conditional write find; `None` where they find none. The guard has seen
/// to it that the role may search by them, and that no match is withheld from it.
async fn only_match(
    gateway: &Gateway,
    decided: &Decided,
    opened: &Opened,
    of: &str,
) -> Result<Option<String>, Refusal> {
    let response = send(gateway, decided, opened, Message::default()).await?;
    if response.status() != StatusCode::OK {
        return Err(Refusal::Response(Failure::Status));
    }
    let whole = whole::of_upstream(gateway, response).await?.ok_or(Refusal::StoredTooLarge)?;
    let unread = |_| Refusal::Response(Failure::Matches);
    let document = Document::read(&whole.bytes).map_err(|_| Refusal::Response(Failure::Matches))?;
    let list = |name| document.root().member(name)?.map_or(Ok(Vec::new()), Node::children);
    let text = |of: Node<'_>, name| Ok(of.member(name)?.and_then(Node::as_str).map(String::from));
    if text(document.root(), "resourceType").map_err(unread)?.as_deref() != Some("Bundle") {
        return Err(Refusal::Response(Failure::Matches));
    }
    let mut found = Vec::new();
    for entry in list("entry").map_err(unread)? {
        let Some(resource) = entry.member("resource").map_err(unread)? else { continue };
        if text(resource, "resourceType").map_err(unread)?.is_some_and(|said| said == of) {
            found.push(text(resource, "id").map_err(unread)?.ok_or(Refusal::Response(Failure::Matches))?);
        }
    }
    let links = list("link").map_err(unread)?;
    let more =
        links.into_iter().any(|link| text(link, "relation").is_ok_and(|relation| relation.as_deref() == Some("next")));
    match found.as_slice() {
        [] if !more => Ok(None),
        [id] if !more => Ok(Some(id.clone())),
        _ => Err(Refusal::ManyMatch),
    }
}

/// The path of these segments, which the upstream has named.
fn path(segments: &[&str]) -> Result<CanonicalPath, Refusal> {
    let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
    let is_one = |path: &CanonicalPath| path.segments().len() == segments.len();
    CanonicalPath::parse(&path).ok().filter(is_one).ok_or(Refusal::Response(Failure::Matches))
}

/// Whether the role sees anything of what is stored at a place besides the one that was admitted.
pub(super) async fn sees(
    gateway: &Gateway,
    decided: &Decided,
    opened: &Opened,
    place: &CanonicalPath,
) -> Result<bool, Refusal> {
    let message = Message { place: Some(place.clone()), ..Message::default() };
    let stored = stored(gateway, send(gateway, decided, opened, message).await?).await?;
    let shown = view(gateway, decided, opened, &stored.body.bytes);
    Ok(shown.map_err(Failure::Redact).map_err(Refusal::Response)?.is_some())
}

/// The role's view of a whole resource.
fn view(
    gateway: &Gateway,
    decided: &Decided,
    opened: &Opened,
    resource: &[u8],
) -> Result<Option<Vec<u8>>, RedactError> {
    // A resource on its own holds no address that is rewritten but one that a write can't hold either.
    let given = decided.given(gateway, opened, None);
    let mut redactor = Redactor::new(decided.permit.plan().clone(), given, gateway.limits.redaction());
    let mut out = Vec::new();
    redactor.write(resource, &mut Copied { piece: resource, out: &mut out })?;
    let shown = redactor.finish(&mut Copied { piece: &[], out: &mut out })?;
    Ok(shown.then_some(out))
}

/// A resource of somebody who sees everything: one reading, and the type that the address says.
fn checked(of: &str, sent: Bytes) -> Result<Bytes, Refusal> {
    write::check(of, &sent).map_err(Refusal::Write)?;
    Ok(sent)
}

/// Reads what is stored from the upstream's response.
async fn stored(gateway: &Gateway, response: Response<UpstreamBody>) -> Result<Stored, Refusal> {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Refusal::Absent),
        status if status.is_client_error() => return Err(Refusal::Refused(StatusCode::BAD_GATEWAY)),
        _ => return Err(Refusal::Response(Failure::Status)),
    }
    let version = response.headers().get(ETAG).cloned();
    let body = whole::of_upstream(gateway, response).await?.ok_or(Refusal::StoredTooLarge)?;
    Ok(Stored { version, body })
}
