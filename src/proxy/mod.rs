//! The one way through: what happens to a request, top to bottom.
//!
//! A caller is proven, an endpoint and a role are found, the policy and the guard decide, the audit trail is written, the
//! upstream is asked, and its response leaves through a `RedactedBody` or not at all. Nothing that an upstream
//! sent reaches a caller by any other way.

mod account;
mod addresses;
mod ask;
mod batch;
mod body;
mod capacity;
mod decide;
mod discovery;
mod endpoint;
mod export;
mod headers;
mod limits;
mod onward;
mod refusal;
mod request;
pub mod server;
mod trace;
mod whole;
mod write;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::ETAG;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use jiff::Timestamp;

use self::account::{Account, Opened};
use self::addresses::Links;
use self::body::{Beginning, RedactedBody, Told};
use self::decide::{Decided, decide};
use self::headers::Form;
use self::onward::Step;
use self::refusal::{Failure, Refusal};
use crate::audit::Journal;
use crate::fhir::Definitions;
use crate::guard::paging::Bound;
use crate::guard::{Guard, PageKey};
use crate::identity::{Identity, RoleMap};
use crate::metrics::Metrics;
use crate::model::{Connection, Role};
use crate::net::address::CanonicalPath;
use crate::net::upstream::UpstreamBody;
use crate::policy::{Policy, Reach};
use crate::redact::transform::Secret;

pub use self::body::{Answer, Ended};
pub use self::capacity::Capacity;
pub use self::endpoint::{Endpoint, Narrows, PathPattern, PatternError, Serves, Unseen};
pub use self::limits::Limits;
pub use self::trace::RequestIds;

/// One generation of configuration. A request ends under the one that it began with.
pub struct Gateway {
    /// Who sees what.
    pub policy: Arc<Policy>,
    /// The definitions of FHIR.
    pub definitions: Definitions,
    /// Who calls.
    pub identity: Arc<Identity>,
    /// Who may act as what.
    pub roles: RoleMap,
    /// The ways in. No two have the same path.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// The audit trail, the same in each generation.
    pub journal: Journal,
    /// The figures, the same in each generation.
    pub metrics: Arc<Metrics>,
    /// What the process can take on, the same in each generation.
    pub capacity: Arc<Capacity>,
    /// The secret behind pseudonyms and date shifts.
    pub secret: Option<Arc<Secret>>,
    /// The key of page links; with the same one they outlive a reload that leaves the policy as it was.
    pub page_key: PageKey,
    /// What a request may take.
    pub limits: Limits,
    /// Makes the ids of requests.
    pub ids: RequestIds,
    /// Tells when an answer ended.
    pub clock: fn() -> Timestamp,
}

/// How a request came.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The connection.
    pub connection: Connection,
    /// Whether the connection is encrypted.
    pub secure: bool,
}

/// Answers one request, which came at `now`.
pub async fn exchange<B: Body<Data = Bytes> + Send>(
    gateway: &Arc<Gateway>,
    arrival: &Arrival,
    request: Request<B>,
    now: Timestamp,
) -> Response<Answer> {
    let turn_away = |refusal| account::turn_away(gateway, request.uri(), &refusal);
    let Some(place) = gateway.capacity.place() else { return turn_away(Refusal::Busy) };
    let Some(trace) = gateway.ids.trace(request.headers()) else { return turn_away(Refusal::Randomness) };
    let mut account = Account {
        gateway: Arc::clone(gateway),
        trace,
        source: arrival.connection.peer.ip(),
        method: request.method().clone(),
        time: now,
        started: Instant::now(),
        endpoint: None,
        caller: None,
        role: None,
        purpose: None,
        interaction: None,
        operation: None,
        resource_type: None,
        resource_id: None,
        _place: place,
        settled: false,
    };
    if let Some((endpoint, document)) = discovery::answer(gateway, &request) {
        account.endpoint = Some(endpoint);
        let (head, body) = request.into_parts();
        let read = request::one_reading(&head, gateway.limits.target_bytes).and_then(|_| request::no_body(&body));
        return match read {
            Ok(()) => account.say(document),
            Err(refusal) => account.refuse(refusal).await,
        };
    }
    // Who calls, what for, and whether they may.
    let mut decided = match decide(gateway, arrival, request, &mut account).await {
        Ok(decided) => decided,
        Err(refusal) => return account.refuse(refusal).await,
    };
    // INVARIANT: nothing is asked of the upstream before it is recorded durably that it will be.
    let opened = match open(gateway, account).await {
        Ok(opened) => opened,
        Err((refusal, account)) => return account.refuse(refusal).await,
    };
    if let Some(requests) = decided.batch.take() {
        return batch::answer(gateway, arrival, requests, opened, now).await;
    }
    let response = match ask::ask(gateway, &decided, &opened).await {
        Ok(response) => response,
        Err(refusal) => return opened.refuse(&refusal),
    };
    pass_on(gateway, decided, opened, response).await
}

/// Records durably that a permitted request begins.
async fn open(gateway: &Gateway, account: Account) -> Result<Opened, (Refusal, Account)> {
    let Some(begin) = account.begin() else { return Err((Refusal::Role, account)) };
    match tokio::time::timeout(gateway.limits.audit_timeout, gateway.journal.begin(begin)).await {
        Ok(Ok(ticket)) => Ok(Opened { account, ticket }),
        Ok(Err(error)) => Err((Refusal::Audit(error), account)),
        Err(_) => Err((Refusal::AuditTimedOut, account)),
    }
}

/// Passes a response on as the permit's plan says. Its head is decided when the first byte of its body is let through,
/// so that a resource that is withheld as a whole looks like one that is not there (L09).
async fn pass_on(
    gateway: &Arc<Gateway>,
    decided: Decided,
    opened: Opened,
    response: Response<UpstreamBody>,
) -> Response<Answer> {
    let is_fhir = decided.endpoint.serves.is_fhir();
    let links = Arc::new(Links::new(gateway, &decided));
    match decided.step {
        Step::Begin | Step::State | Step::Cancel if response.status().is_success() => {
            return export::answer(gateway, &decided, opened, &links, response).await;
        }
        Step::File if response.status() == StatusCode::OK => {
            return export::file(gateway, decided, opened, links, response).await;
        }
        _ => {}
    }
    // An export's file that can't be had is told of in JSON.
    let form = if is_fhir { Form::Fhir } else { Form::Document };
    let mut fields = headers::of_answer(response.headers(), form, &*links);
    let writes = decided.write.is_some();
    let mut status = match Verdict::of(response.status(), decided.permit.restricted(), is_fhir) {
        // A write may be answered without a body.
        Verdict::Pass(status) if writes && status.is_success() && response.body().is_end_stream() => {
            Verdict::Empty(status)
        }
        verdict => verdict,
    };
    let version = response.headers().get(ETAG).and_then(|version| version.to_str().ok());
    if let (Some(version), Verdict::Pass(StatusCode::OK), true) = (version, &status, decided.versioned) {
        if decided.conditions.unless.iter().any(|known| decided.is_validator(gateway, None, version, known)) {
            status = Verdict::Empty(StatusCode::NOT_MODIFIED);
        }
        fields.extend(decided.validator(gateway, version).map(|validator| (ETAG, validator)));
    }
    let status = match status {
        Verdict::Pass(status) => status,
        Verdict::Empty(status) => return opened.without_body(status, fields),
        Verdict::Refuse(refusal) => return opened.refuse(&refusal),
    };
    let given = decided.given(gateway, &opened, Some(links));
    let wants_head = opened.account.method == Method::HEAD;
    match RedactedBody::begin(decided.permit, opened, response, Told { status, form }, given).await {
        Beginning::Body(body) => body.answer(wants_head, fields),
        // What an upstream says of an error is worth less than the error.
        Beginning::Nothing(opened) | Beginning::Failed(_, opened) if !status.is_success() => {
            opened.refuse(&Refusal::Refused(status))
        }
        // What was written was written, whatever of it is seen.
        Beginning::Nothing(opened) if writes => opened.without_body(status, fields),
        Beginning::Nothing(opened) => opened.refuse(&Refusal::Absent),
        Beginning::Failed(failure, opened) => opened.refuse(&Refusal::Response(failure)),
    }
}

/// What becomes of a response by its status.
enum Verdict {
    /// The body is passed on, redacted, with this status.
    Pass(StatusCode),
    /// There is no body.
    Empty(StatusCode),
    Refuse(Refusal),
}

impl Verdict {
    fn of(status: StatusCode, restricted: bool, is_fhir: bool) -> Self {
        let error = match status.as_u16() {
            200..=203 => return Self::Pass(status),
            204 => return Self::Empty(status),
            // The upstream does not take the gateway's own credentials, which is not the caller's doing.
            401 | 407 => return Self::Refuse(Refusal::Refused(StatusCode::BAD_GATEWAY)),
            // What is gone was there once; a role that may not see it is not told so.
            404 | 410 if restricted => return Self::Refuse(Refusal::Absent),
            400..=499 => status,
            500..=599 => StatusCode::BAD_GATEWAY,
            // No part was asked for, no condition made, and no redirect is followed.
            _ => return Self::Refuse(Refusal::Response(Failure::Status)),
        };
        // The plan of a document says nothing of what an error looks like.
        if restricted && !is_fhir { Self::Refuse(Refusal::Refused(error)) } else { Self::Pass(error) }
    }
}

impl Gateway {
    /// The endpoint of a path, the longest that matches, and the path below it.
    fn endpoint(&self, path: &CanonicalPath) -> Option<(Arc<Endpoint>, CanonicalPath)> {
        let matching =
            self.endpoints.iter().filter_map(|endpoint| Some((endpoint, path.strip_prefix(&endpoint.path)?)));
        let (endpoint, below) = matching.max_by_key(|(endpoint, _)| endpoint.path.segments().len())?;
        Some((Arc::clone(endpoint), below))
    }

    /// The guard of a caller's requests in a role; `None` where the policy has no such role.
    fn guard<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        caller: &'a str,
        role: &'a Role,
        reach: Option<&'a Reach>,
        now: Timestamp,
    ) -> Option<Guard<'a>> {
        let view = self.policy.role(role)?;
        Some(Guard {
            view: if reach.is_some() { view.bounded() } else { view },
            definitions: &self.definitions,
            page_key: &self.page_key,
            bound: Bound {
                endpoint: &endpoint.name,
                caller,
                role: role.as_str(),
                within: reach.map_or("", Reach::name),
                generation: self.policy.generation(),
            },
            now,
            link_lifetime: self.limits.link_lifetime,
            page_parameters: &endpoint.page_parameters,
            declared: &endpoint.search_parameters,
            takes_types: endpoint.narrows.contains(&Narrows::Types),
            most_count: self.limits.count,
        })
    }
}
