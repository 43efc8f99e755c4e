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
use http::header::{ETAG, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::account::{Account, Opened};
use self::addresses::Links;
use self::batch::Around;
use self::body::{Beginning, RedactedBody, Told};
use self::headers::Form;
use self::onward::Step;
use self::refusal::{Failure, Refusal};
use self::request::{Conditions, Wanted};
use self::write::Write;
use crate::audit::Journal;
use crate::fhir::interaction::Kind;
use crate::fhir::{Definitions, Interaction, Operation};
use crate::guard::paging::Bound;
use crate::guard::{self, Admission, Guard, PageKey};
use crate::identity::{Identity, RoleMap};
use crate::metrics::Metrics;
use crate::model::{Caller, Connection, Role};
use crate::net::address::CanonicalPath;
use crate::net::header::forwardable_request_headers;
use crate::net::upstream::UpstreamBody;
use crate::policy::{self, Bearer, Permit, Policy, Reach};
use crate::redact::transform::{Given, Secret};

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

/// What was decided of a request.
struct Decided {
    endpoint: Arc<Endpoint>,
    /// The caller's name.
    caller: String,
    /// The FHIR interaction; `None` for a document.
    interaction: Option<Interaction>,
    step: Step,
    /// The parameters that narrow the request on its way.
    narrowing: Vec<(Box<str>, Box<str>)>,
    /// When the request came.
    now: Timestamp,
    permit: Permit,
    admission: Admission,
    /// What of the caller's headers goes upstream.
    headers: HeaderMap,
    /// Where the caller reaches the endpoint, without a slash at the end.
    public: String,
    /// Whether an answer is a version of what is at its address.
    versioned: bool,
    /// Under which conditions it is to be answered.
    conditions: Conditions,
    /// What is written.
    write: Option<Write>,
    /// Whether what is written may be created where nothing is found to be updated.
    may_create: bool,
    /// The requests of a batch.
    batch: Option<Vec<batch::Asked>>,
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

/// Decides a request: identity, endpoint, role, standing, interaction, policy, guard.
async fn decide<B: Body<Data = Bytes>>(
    gateway: &Arc<Gateway>,
    arrival: &Arrival,
    request: Request<B>,
    account: &mut Account,
) -> Result<Decided, Refusal> {
    let (head, body) = request.into_parts();
    let found = CanonicalPath::parse(head.uri.path()).map(|path| gateway.endpoint(&path));
    if let Ok(Some((endpoint, _))) = &found {
        // So that even a stranger is told in the words of the API that it calls.
        account.endpoint = Some(Arc::clone(endpoint));
    }
    let authority = request::one_reading(&head, gateway.limits.target_bytes)?;

    let identified = gateway.identity.authenticate(&arrival.connection, &head.headers, account.time).await;
    let caller = account.caller.insert(identified.map_err(Refusal::Unauthenticated)?);

    let (endpoint, below) = found.map_err(Refusal::Path)?.ok_or(Refusal::NoEndpoint)?;
    let role = role(gateway, &endpoint, caller, &head.headers)?;
    account.role = Some(role.clone());
    let requested = request::purpose(&head.headers)?;
    // The standing is asked for before anything that costs more, and proves only that it was.
    let _standing = endpoint.scope.standing(account.source, &caller.name, account.time).map_err(Refusal::Standing)?;

    let link = match gateway.guard(&endpoint, &caller.name, &role, None, account.time) {
        Some(guard) if endpoint.serves.is_fhir() => onward::opened(&guard, &head, &below)?,
        _ => None,
    };
    let mut wanted = match &link {
        Some(link) => Wanted::of_link(&gateway.definitions, link)?,
        None => Wanted::of(&gateway.definitions, &endpoint.serves, &head, &below)?,
    };
    let step = Step::of(&wanted, link.as_ref(), &head.method);
    let reading = request::body(gateway, wanted.kind(), &head, body);
    let (mut body, mut reading) = (None, Some(reading));
    // A Bundle says itself whether it is a batch or a transaction; of who may do neither it is not read.
    if wanted.kind() == Kind::Batch
        && gateway.policy.role(&role).is_some_and(|role| role.may_bundle())
        && let Some(reading) = reading.take()
    {
        body = reading.await?;
        wanted.bundle(body.as_ref())?;
    }
    account.interaction = Some(wanted.kind().as_str());
    account.operation = wanted.fhir().and_then(|found| Operation::named(found.operation.as_deref()?));
    (account.resource_type, account.resource_id) = wanted.names();
    // Whoever fetches a file knows what it is of.
    if step != Step::File && !headers::accepts_json(&head.headers) {
        return Err(Refusal::NotAcceptable);
    }
    let allowed = caller.purposes.as_deref();
    let base = endpoint.upstream.base().as_str();
    let bearer = Bearer { scopes: caller.scopes.as_ref(), patient: caller.patient.as_deref(), base: Some(base) };
    let may = |wanted: &Wanted| {
        let decision = gateway.policy.decide(&gateway.definitions, &role, requested, allowed, bearer, wanted.asked());
        decision.map_err(|denied| match denied {
            // Another patient looks like one who is not there.
            policy::Denied::OtherPatient => Refusal::Absent,
            policy::Denied::NotSeen if endpoint.unseen == Unseen::NotFound => Refusal::Absent,
            denied => Refusal::Policy(denied),
        })
    };
    let permit = may(&wanted)?;
    account.purpose = Some(permit.purpose());
    let may_create = match wanted.creates().map(|create| may(&create).map(drop)) {
        // The upstream itself creates then.
        Some(Err(refusal)) if !permit.restricted() => return Err(refusal),
        may => may.is_some_and(|may| may.is_ok()),
    };

    if let Some(reading) = reading {
        body = reading.await?;
    }
    let public = public_url(&endpoint, &authority, arrival.secure);
    let bundle = body.as_ref().filter(|_| matches!(wanted.kind(), Kind::Batch | Kind::Transaction));
    let around = Around { fields: &head.headers, authority: &authority, path: endpoint.path.as_str(), public: &public };
    let most = gateway.limits.batch_entries;
    let mut batch = bundle.map(|bundle| around.requests(&bundle.bytes, most)).transpose()?;
    if wanted.kind() == Kind::Transaction {
        // It goes on whole, so each of its requests is looked at here: it must be one that the role may send alone.
        for request in batch.take().into_iter().flatten() {
            let (head, _) = request?.into_parts();
            let path = CanonicalPath::parse(head.uri.path()).map_err(Refusal::Path)?;
            let below = path.strip_prefix(&endpoint.path).ok_or(Refusal::NoEndpoint)?;
            may(&Wanted::of(&gateway.definitions, &endpoint.serves, &head, &below)?).map(drop)?;
        }
    }
    let reach = permit.reach().map(Arc::as_ref);
    let guard = gateway.guard(&endpoint, &caller.name, &role, reach, account.time).ok_or(Refusal::Role)?;
    let write = request::write(&wanted, &mut body);
    let conditions = Conditions::of(&wanted, &head)?;
    let asked = guard::Asked {
        interaction: wanted.fhir(),
        path: &below,
        query: head.uri.query(),
        form: body.as_ref().filter(|_| wanted.is_search()).map(|form| &*form.bytes),
        if_none_exist: conditions.if_none_exist.as_deref(),
    };
    let narrowing = match link {
        Some(_) => Vec::new(),
        None => narrowing(gateway, &endpoint, &permit, wanted.fhir()),
    };
    let admission = match link {
        Some(link) => guard.follow(link),
        None => guard.admit_within(reach, &narrowing, asked),
    };
    let admission = admission.map_err(Refusal::Guard)?;
    Ok(Decided {
        caller: caller.name.clone(),
        interaction: wanted.fhir().cloned(),
        step,
        narrowing,
        now: account.time,
        permit,
        admission,
        headers: forwardable_request_headers(&head.headers),
        public,
        batch,
        versioned: wanted.is_versioned(),
        conditions,
        write,
        may_create,
        endpoint,
    })
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

impl Decided {
    fn guard<'a>(&'a self, gateway: &'a Gateway) -> Option<Guard<'a>> {
        let reach = self.permit.reach().map(Arc::as_ref);
        gateway.guard(&self.endpoint, &self.caller, self.permit.role(), reach, self.now)
    }

    /// The form of the answer.
    fn form(&self) -> Form {
        match self.step {
            Step::File => Form::Lines,
            _ if self.endpoint.serves.is_fhir() => Form::Fhir,
            _ => Form::Document,
        }
    }

    /// What an answer to the caller is made with.
    fn given(&self, gateway: &Gateway, opened: &Opened, addresses: Option<Arc<Links>>) -> Given {
        Given {
            today: Some(opened.account.time.to_zoned(TimeZone::UTC).date()),
            secret: gateway.secret.clone(),
            addresses: addresses.map(|links| links as _),
            bounds: policy::bounds(self.permit.reach().map(Arc::as_ref), self.admission.holds.as_deref()),
        }
    }

    /// The validator that the caller is given of a version of the upstream's.
    fn validator(&self, gateway: &Gateway, version: &str) -> Option<HeaderValue> {
        let guard = self.guard(gateway)?;
        HeaderValue::from_str(&guard.validator(&self.admission.path, version)?).ok()
    }

    /// The same of a version of an export's file. What is let through of a file may depend on the day.
    fn file_validator(&self, gateway: &Gateway, version: &HeaderValue) -> Option<HeaderValue> {
        let version = version.to_str().ok()?;
        let today = self.now.to_zoned(TimeZone::UTC).date();
        HeaderValue::from_str(&self.guard(gateway)?.file_validator(&self.admission.path, version, today)?).ok()
    }

    /// Whether it was given this one, of what was admitted or of what is at another place.
    fn is_validator(&self, gateway: &Gateway, place: Option<&CanonicalPath>, version: &str, validator: &str) -> bool {
        let place = place.unwrap_or(&self.admission.path);
        self.guard(gateway).is_some_and(|guard| guard.is_validator(place, version, validator))
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

/// What the caller acts as: the role that it picks, or the endpoint's first that it may act in.
fn role(gateway: &Gateway, endpoint: &Endpoint, caller: &Caller, fields: &HeaderMap) -> Result<Role, Refusal> {
    let picked = headers::single(fields, headers::ROLE)?;
    let held = gateway.roles.roles_of(caller);
    let mut open = endpoint.roles.iter().filter(|role| held.contains(role));
    let role = match picked {
        Some(picked) => open.find(|role| role.as_str() == picked),
        None => open.next(),
    };
    role.cloned().ok_or(Refusal::Role)
}

/// The parameters that narrow a request on its way: to how far it reaches, and to what its role sees where the upstream can.
fn narrowing(
    gateway: &Gateway,
    endpoint: &Endpoint,
    permit: &Permit,
    asked: Option<&Interaction>,
) -> Vec<(Box<str>, Box<str>)> {
    let Some(asked) = asked else { return Vec::new() };
    let searches = asked.kind == Kind::SearchType;
    let mut narrowing = permit.reach().filter(|_| searches).map(|reach| reach.narrowing().to_vec()).unwrap_or_default();
    let of = asked.resource_type.as_deref().and_then(|of| gateway.definitions.resource(of));
    if let (Some(of), Some(role)) = (of, gateway.policy.role(permit.role())) {
        let role = if permit.reach().is_some() { role.bounded() } else { role };
        if searches && endpoint.narrows.contains(&Narrows::Rows) {
            narrowing.extend(role.narrowed_rows(&gateway.definitions, of));
        }
        if (searches || asked.kind == Kind::Read) && endpoint.narrows.contains(&Narrows::Elements) {
            let elements = role.narrowed_elements(&gateway.definitions, of);
            narrowing.extend(elements.map(|elements| ("_elements".into(), elements.into())));
        }
    }
    narrowing
}

/// Where a caller reaches an endpoint, without a slash at the end.
fn public_url(endpoint: &Endpoint, authority: &str, secure: bool) -> String {
    let url = match &endpoint.public_url {
        Some(url) => url.to_string(),
        None => format!("{}://{authority}{}", if secure { "https" } else { "http" }, endpoint.path.as_str()),
    };
    url.trim_end_matches('/').to_owned()
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
