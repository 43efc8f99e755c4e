//! The account of one request: what is known of it so far, for its audit records, its figures and its one line of log.
//!
//! The log holds names of the configuration, a status and a duration, and never a path, a query, an id or a value.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use jiff::Timestamp;
use tracing::{error, info};

use super::body::Answer;
use super::capacity::Place;
use super::endpoint::Endpoint;
use super::refusal::{Answered, Refusal};
use super::trace::Trace;
use super::{Gateway, headers};
use crate::audit::{self, Begin, Elements, Outcome, Summary, Ticket};
use crate::fhir::Operation;
use crate::metrics::{Direction, Request, Treated};
use crate::model::{Caller, Purpose, Role};
use crate::net::address::CanonicalPath;
use crate::redact::Tally;

/// What is known of a request.
pub(super) struct Account {
    /// The generation of configuration that the request began with, and ends under (L36).
    pub(super) gateway: Arc<Gateway>,
    pub(super) trace: Trace,
    pub(super) source: IpAddr,
    pub(super) method: Method,
    pub(super) time: Timestamp,
    pub(super) started: Instant,
    pub(super) endpoint: Option<Arc<Endpoint>>,
    pub(super) caller: Option<Caller>,
    pub(super) role: Option<Role>,
    pub(super) purpose: Option<Purpose>,
    pub(super) interaction: Option<&'static str>,
    pub(super) operation: Option<Operation>,
    pub(super) resource_type: Option<String>,
    pub(super) resource_id: Option<String>,
    pub(super) _place: Place,
    /// Whether the request was counted and logged.
    pub(super) settled: bool,
}

/// The account of a request whose beginning is in the audit trail.
pub(super) struct Opened {
    pub(super) account: Account,
    pub(super) ticket: Ticket,
}

impl Account {
    /// The audit record of a permitted request; `None` where anything is not decided.
    pub(super) fn begin(&self) -> Option<Begin> {
        let caller = self.caller.as_ref()?;
        Some(Begin {
            time: self.time,
            request_id: self.trace.request_id.clone(),
            trace_id: Some(self.trace.trace_id.clone()),
            caller: caller.name.clone(),
            proof: caller.proof,
            role: self.role.clone()?,
            purpose: self.purpose?,
            reason: None,
            grant: None,
            endpoint: self.endpoint.as_ref()?.name.to_string(),
            source: self.source,
            method: self.method.to_string(),
            interaction: self.named_interaction()?,
            resource_type: self.resource_type.clone(),
            resource_id: self.resource_id.clone(),
            policy: self.gateway.policy.generation().to_owned(),
        })
    }

    /// The interaction as the audit trail tells it: an operation with its name.
    fn named_interaction(&self) -> Option<String> {
        let interaction = self.interaction?;
        Some(match self.operation {
            Some(operation) => format!("{interaction} ${}", operation.as_str()),
            None => interaction.to_owned(),
        })
    }

    /// Ends a request that was refused before it was recorded. It is recorded as refused once somebody is proven to have
    /// sent it; what nobody has sent is counted alone, so that strangers cannot fill the trail.
    pub(super) async fn refuse(self, refusal: Refusal) -> Response<Answer> {
        if let Some(caller) = &self.caller {
            let record = audit::Refusal {
                time: self.time,
                request_id: self.trace.request_id.clone(),
                trace_id: Some(self.trace.trace_id.clone()),
                caller: Some(caller.name.clone()),
                proof: Some(caller.proof),
                role: self.role.clone(),
                purpose: self.purpose,
                reason: None,
                endpoint: self.endpoint.as_ref().map(|endpoint| endpoint.name.to_string()),
                source: self.source,
                method: self.method.to_string(),
                interaction: self.named_interaction(),
                resource_type: self.resource_type.clone(),
                resource_id: self.resource_id.clone(),
                policy: Some(self.gateway.policy.generation().to_owned()),
                status: refusal.status().as_u16(),
                why: refusal.reason(),
            };
            let timeout = self.gateway.limits.audit_timeout;
            if !matches!(tokio::time::timeout(timeout, self.gateway.journal.refuse(record)).await, Ok(Ok(()))) {
                error!(request = self.trace.request_id, "a refusal could not be recorded in the audit trail");
            }
        }
        self.gateway.metrics.refused(refusal.reason());
        self.answer(&refusal)
    }

    /// The answer to a refusal. Ends the account.
    fn answer(self, refusal: &Refusal) -> Response<Answer> {
        let is_fhir = self.endpoint.as_ref().is_some_and(|endpoint| endpoint.serves.is_fhir());
        let Answered { status, headers, body } = refusal.answer(is_fhir);
        let body = if self.method == Method::HEAD { Answer::nothing() } else { Answer::own(body) };
        let response = self.response(status, headers, body);
        self.settle(status, refusal.reason());
        response
    }

    /// Answers with words of the gateway's own, which are for everyone. Ends the account.
    pub(super) fn say(self, body: Vec<u8>) -> Response<Answer> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = if self.method == Method::HEAD { Answer::nothing() } else { Answer::own(body.into()) };
        let response = self.response(StatusCode::OK, headers, body);
        self.settle(StatusCode::OK, "complete");
        response
    }

    /// A response with what every one says.
    pub(super) fn response(&self, status: StatusCode, headers: HeaderMap, body: Answer) -> Response<Answer> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        headers::seal(response.headers_mut(), self.gateway.policy.generation(), Some(&self.trace.request_id));
        response
    }

    /// Counts and logs the request, which has ended.
    fn settle(mut self, status: StatusCode, outcome: &str) {
        self.tell(status.as_u16(), outcome);
    }

    fn tell(&mut self, status: u16, outcome: &str) {
        self.settled = true;
        let endpoint = self.endpoint.as_ref().map_or("", |endpoint| &*endpoint.name);
        let role = self.role.as_ref().map_or("", Role::as_str);
        let interaction = self.interaction.unwrap_or("");
        let duration = self.started.elapsed();
        self.gateway.metrics.request(Request { endpoint, role, interaction, status, duration });
        let seconds = duration.as_secs_f64();
        info!(request = self.trace.request_id, endpoint, role, interaction, status, seconds, outcome, "request");
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if !self.settled {
            // The caller went away before there was an answer; no status was sent.
            self.tell(0, "abandoned");
        }
    }
}

/// What an answer has released when it ended.
pub(super) struct Released<'a> {
    pub(super) status: StatusCode,
    /// The bytes that were handed to the connection.
    pub(super) sent: u64,
    /// The encoded bytes that came from the upstream.
    pub(super) received: u64,
    pub(super) tally: &'a Tally,
}

impl Opened {
    /// Ends a request of whose answer nothing was passed on.
    pub(super) fn refuse(self, refusal: &Refusal) -> Response<Answer> {
        let (status, reason) = (refusal.status(), refusal.reason());
        let metrics = &self.account.gateway.metrics;
        let outcome = if let Refusal::Response(_) = refusal {
            metrics.failed_closed(reason);
            Outcome::FailedClosed { reason }
        } else {
            metrics.refused(reason);
            Outcome::Refused { reason }
        };
        self.ticket.complete(Summary::nothing((self.account.gateway.clock)(), status.as_u16(), outcome));
        self.account.answer(refusal)
    }

    /// Ends a request with JSON of the gateway's own words, made of what the upstream said.
    pub(super) fn say(self, body: Bytes) -> Response<Answer> {
        let mut summary = Summary::nothing((self.account.gateway.clock)(), StatusCode::OK.as_u16(), Outcome::Complete);
        summary.bytes = body.len() as u64;
        let fields = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let answer = self.account.response(StatusCode::OK, fields, Answer::own(body));
        self.ticket.complete(summary);
        self.account.settle(StatusCode::OK, "complete");
        answer
    }

    /// Ends a request with an answer that has a head alone.
    pub(super) fn without_body(self, status: StatusCode, mut headers: HeaderMap) -> Response<Answer> {
        headers.remove(CONTENT_TYPE);
        let answer = self.account.response(status, headers, Answer::nothing());
        self.head(status);
        answer
    }

    /// Ends a request whose answer has a head alone.
    pub(super) fn head(self, status: StatusCode) {
        let now = (self.account.gateway.clock)();
        self.ticket.complete(Summary::nothing(now, status.as_u16(), Outcome::Complete));
        self.account.settle(status, "complete");
    }

    /// Ends a request whose answer had a body, whole or not.
    pub(super) fn end(self, outcome: Outcome, released: &Released<'_>) {
        let Self { account, ticket } = self;
        let Released { status, sent, received, tally } = released;
        let role = account.role.as_ref().map_or("", Role::as_str);
        let metrics = &account.gateway.metrics;
        let mut summary = Summary::nothing((account.gateway.clock)(), status.as_u16(), outcome);
        summary.bytes = *sent;
        for (owner, element, count) in tally.elements() {
            let counted = [
                (Treated::Shown, count.released, &mut summary.released),
                (Treated::Hidden, count.withheld, &mut summary.withheld),
                (Treated::Transformed, count.transformed, &mut summary.transformed),
            ];
            for (treated, count, elements) in counted {
                metrics.elements(role, owner, treated, count);
                add(elements, owner, element, count);
            }
        }
        for (resource, ids) in tally.resources() {
            let known = summary.resources.entry(resource.to_owned()).or_default();
            ids.known.iter().for_each(|id| known.insert(id));
        }
        tally.patients.known.iter().for_each(|id| summary.patients.insert(id));
        if let Some(endpoint) = &account.endpoint {
            metrics.body_bytes(&endpoint.name, Direction::Sent, *sent);
            metrics.body_bytes(&endpoint.name, Direction::Received, *received);
        }
        let word = match outcome {
            Outcome::Complete => "complete",
            Outcome::Aborted => "aborted",
            Outcome::Refused { reason } => reason,
            Outcome::FailedClosed { reason } => {
                metrics.failed_closed(reason);
                reason
            }
        };
        ticket.complete(summary);
        account.settle(*status, word);
    }
}

fn add(elements: &mut Elements, owner: &str, element: &str, count: u64) {
    if count > 0 {
        let of_owner = elements.entry(owner.to_owned()).or_default();
        *of_owner.entry(element.to_owned()).or_default() += count;
    }
}

/// The answer to a request that came to nothing before there was an account of it.
pub(super) fn turn_away(gateway: &Gateway, target: &Uri, refusal: &Refusal) -> Response<Answer> {
    gateway.metrics.refused(refusal.reason());
    let endpoint = CanonicalPath::parse(target.path()).ok().and_then(|path| gateway.endpoint(&path));
    let Answered { status, headers, body } = refusal.answer(endpoint.is_some_and(|(found, _)| found.serves.is_fhir()));
    let mut response = Response::new(Answer::own(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    headers::seal(response.headers_mut(), gateway.policy.generation(), None);
    response
}
