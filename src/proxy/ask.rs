//! What the upstream is asked, once it was decided: each message to it goes this way.

use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::Full;

use super::account::Opened;
use super::onward::Step;
use super::refusal::Refusal;
use super::request::FORM;
use super::{Decided, Gateway, headers, write};
use crate::net::address::CanonicalPath;
use crate::net::upstream::UpstreamBody;

/// Asks the upstream for what was admitted.
pub(super) async fn ask(
    gateway: &Gateway,
    decided: &Decided,
    opened: &Opened,
) -> Result<Response<UpstreamBody>, Refusal> {
    if let Some(place) = &decided.admission.seen_first
        && !write::sees(gateway, decided, opened, place).await?
    {
        return Err(Refusal::Absent);
    }
    let message = match (&decided.write, &decided.admission.form) {
        (Some(write), _) => return write::ask(gateway, decided, opened, write).await,
        (None, Some(form)) => Message {
            method: Method::POST,
            fields: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(FORM))]),
            body: Bytes::from(form.clone()),
            ..Message::default()
        },
        (None, None) => Message::of(decided.step),
    };
    send(gateway, decided, opened, message).await
}

/// A message to the upstream, besides what is said in each; a GET without anything.
#[derive(Default)]
pub(super) struct Message {
    /// Another place than the one that was admitted.
    pub(super) place: Option<CanonicalPath>,
    pub(super) method: Method,
    pub(super) fields: HeaderMap,
    pub(super) body: Bytes,
}

/// What asks the upstream to work on while nobody waits (RFC 7240), as an export is begun.
const PREFER: HeaderName = HeaderName::from_static("prefer");

impl Message {
    fn of(step: Step) -> Self {
        match step {
            Step::Begin => Self {
                fields: HeaderMap::from_iter([(PREFER, HeaderValue::from_static("respond-async"))]),
                ..Self::default()
            },
            Step::Cancel => Self { method: Method::DELETE, ..Self::default() },
            Step::Answer | Step::State | Step::File => Self::default(),
        }
    }
}

/// Sends a message to the upstream.
pub(super) async fn send(
    gateway: &Gateway,
    decided: &Decided,
    opened: &Opened,
    message: Message,
) -> Result<Response<UpstreamBody>, Refusal> {
    let Decided { endpoint, admission, headers, .. } = decided;
    let (path, query) = match &message.place {
        Some(place) => (place, None),
        None => (&admission.path, admission.query.as_deref()),
    };
    let target = endpoint.upstream.target(path, query).map_err(Refusal::Upstream)?;
    let mut request = Request::new(Full::new(message.body));
    *request.method_mut() = message.method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers.clone();
    request.headers_mut().remove(CONTENT_TYPE);
    request.headers_mut().extend(message.fields);
    headers::ask(request.headers_mut(), decided.form());
    opened.account.trace.write(request.headers_mut());
    let started = Instant::now();
    let response = endpoint.upstream.send(request).await;
    let status = response.as_ref().ok().map(|response| response.status().as_u16());
    gateway.metrics.upstream(&endpoint.name, status, started.elapsed());
    response.map_err(Refusal::Upstream)
}
