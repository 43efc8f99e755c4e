//! What the upstream is asked, once it was decided: each message to it goes this way.

use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::Full;

use super::account::Opened;
use super::refusal::Refusal;
use super::request::FORM;
use super::{Decided, Gateway, headers, write};
use crate::net::upstream::UpstreamBody;

/// Asks the upstream for what was admitted.
pub(super) async fn ask(
    gateway: &Gateway,
    decided: &Decided,
    opened: &Opened,
) -> Result<Response<UpstreamBody>, Refusal> {
    let message = match (&decided.write, &decided.admission.form) {
        (Some(write), _) => return write::ask(gateway, decided, opened, write).await,
        (None, Some(form)) => Message {
            method: Method::POST,
            fields: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(FORM))]),
            body: Bytes::from(form.clone()),
        },
        (None, None) => Message::default(),
    };
    send(gateway, decided, opened, message).await
}

/// A message to the address that was admitted, besides what is said in each; a GET without anything.
#[derive(Default)]
pub(super) struct Message {
    pub(super) method: Method,
    pub(super) fields: HeaderMap,
    pub(super) body: Bytes,
}

/// Sends a message to the upstream.
pub(super) async fn send(
    gateway: &Gateway,
    decided: &Decided,
    opened: &Opened,
    message: Message,
) -> Result<Response<UpstreamBody>, Refusal> {
    let Decided { endpoint, admission, headers, .. } = decided;
    let target = endpoint.upstream.target(&admission.path, admission.query.as_deref()).map_err(Refusal::Upstream)?;
    let mut request = Request::new(Full::new(message.body));
    *request.method_mut() = message.method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers.clone();
    request.headers_mut().remove(CONTENT_TYPE);
    request.headers_mut().extend(message.fields);
    headers::ask(request.headers_mut(), endpoint.serves.is_fhir());
    opened.account.trace.write(request.headers_mut());
    let started = Instant::now();
    let response = endpoint.upstream.send(request).await;
    let status = response.as_ref().ok().map(|response| response.status().as_u16());
    gateway.metrics.upstream(&endpoint.name, status, started.elapsed());
    response.map_err(Refusal::Upstream)
}
