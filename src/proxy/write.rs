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
use super::request::Conditions;
use super::whole::{self, Whole};
use super::{Decided, Gateway};
use crate::fhir::OperationOutcome;
use crate::fhir::interaction::Kind;
use crate::guard::write::{self, Sent};
use crate::net::address::CanonicalPath;
use crate::net::upstream::UpstreamBody;
use crate::redact::{Copied, RedactError, Redactor};

/// What a caller wants to write.
pub(super) struct Write {
    pub(super) kind: Kind,
    /// The resource type.
    pub(super) of: Box<str>,
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
    let Write { kind, of, sent } = write;
    let sent = sent.as_ref().map(|whole| &whole.bytes).cloned().unwrap_or_default();
    let view = |resource: &[u8]| view(gateway, decided, opened, resource);
    let Conditions { only_if, if_none_exist, .. } = &decided.conditions;
    let (mut fields, mut content) = (HeaderMap::new(), OperationOutcome::MEDIA_TYPE);
    let restricted = decided.permit.restricted();
    // What is sent to be validated is written nowhere.
    let creates = matches!(kind, Kind::Create | Kind::Transaction | Kind::Operation);
    let stored = if !creates && (restricted || only_if.is_some()) {
        let stored = stored(gateway, send(gateway, decided, opened, Message::default()).await?).await?;
        let version = stored.version.as_ref().ok_or(Refusal::Unversioned)?;
        let named = version.to_str().map_err(|_| Refusal::Unversioned)?;
        if only_if.as_ref().is_some_and(|validator| !decided.is_validator(gateway, named, validator)) {
            return Err(Refusal::Stale);
        }
        fields.insert(IF_MATCH, version.clone());
        Some(stored)
    } else {
        None
    };
    fields.extend(if_none_exist.clone().map(|criteria| (IF_NONE_EXIST, criteria)));
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
    send(gateway, decided, opened, Message { method, fields, body, ..Message::default() }).await
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
