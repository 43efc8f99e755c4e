//! The one way through: what happens to a request, top to bottom.
//!
//! A caller is proven, an endpoint and a role are found, the policy and the guard decide, the audit trail is written, the
//! upstream is asked, and its response leaves through a [`RedactedBody`](body) or not at all. Nothing that an upstream
//! sent reaches a caller by any other way.

mod account;
mod addresses;
mod body;
mod capacity;
mod endpoint;
mod headers;
mod limits;
mod refusal;
pub mod server;
mod trace;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::account::{Account, Opened};
use self::addresses::Links;
use self::body::{Beginning, RedactedBody};
use self::refusal::{Failure, Refusal};
use crate::audit::Journal;
use crate::fhir::interaction::{Interaction, Kind};
use crate::fhir::{Definitions, InteractionError};
use crate::guard::paging::{self, Bound};
use crate::guard::{self, Admission, Guard, PageKey};
use crate::identity::{Identity, RoleMap};
use crate::metrics::Metrics;
use crate::model::{Caller, Connection, Purpose, Role};
use crate::net::address::CanonicalPath;
use crate::net::header::forwardable_request_headers;
use crate::net::upstream::UpstreamBody;
use crate::policy::{Asked, Permit, Policy};
use crate::redact::transform::{Given, Secret};

pub use self::body::{Answer, Ended};
pub use self::capacity::Capacity;
pub use self::endpoint::{Endpoint, PathPattern, PatternError, Serves};
pub use self::limits::Limits;
pub use self::trace::RequestIds;

/// One generation of configuration. A request ends under the one that it began with.
pub struct Gateway {
    /// Who sees what.
    pub policy: Arc<Policy>,
    /// The definitions of FHIR.
    pub definitions: Arc<Definitions>,
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
    caller: String,
    permit: Permit,
    admission: Admission,
    /// What of the caller's headers goes upstream.
    headers: HeaderMap,
    /// Where the caller reaches the endpoint, without a slash at the end.
    public: String,
    /// The resource type that is searched.
    searched: Option<Box<str>>,
}

/// Answers one request, which came at `now`.
pub async fn exchange(
    gateway: &Arc<Gateway>,
    arrival: &Arrival,
    request: Request<Incoming>,
    now: Timestamp,
) -> Response<Answer> {
    let Some(place) = gateway.capacity.place() else { return account::turn_away(gateway, &Refusal::Busy) };
    let Some(trace) = gateway.ids.trace(request.headers()) else {
        return account::turn_away(gateway, &Refusal::Randomness);
    };
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
        resource_type: None,
        resource_id: None,
        _place: place,
    };
    // Who calls, what for, and whether they may.
    let decided = match decide(gateway, arrival, request, &mut account).await {
        Ok(decided) => decided,
        Err(refusal) => return account.refuse(refusal).await,
    };
    // INVARIANT: nothing is asked of the upstream before it is recorded durably that it will be.
    let opened = match open(gateway, account).await {
        Ok(opened) => opened,
        Err((refusal, account)) => return account.refuse(refusal).await,
    };
    let response = match ask(gateway, &decided, &opened).await {
        Ok(response) => response,
        Err(refusal) => return opened.refuse(&refusal),
    };
    pass_on(gateway, decided, opened, response).await
}

/// Decides a request: identity, endpoint, role, standing, interaction, policy, guard.
async fn decide(
    gateway: &Arc<Gateway>,
    arrival: &Arrival,
    request: Request<Incoming>,
    account: &mut Account,
) -> Result<Decided, Refusal> {
    let (head, body) = request.into_parts();
    let found = CanonicalPath::parse(head.uri.path()).map(|path| gateway.endpoint(&path));
    if let Ok(Some((endpoint, _))) = &found {
        // So that even a stranger is told in the words of the API that it calls.
        account.endpoint = Some(Arc::clone(endpoint));
    }
    let authority = one_reading(&head, gateway.limits.target_bytes)?;

    let identified = gateway.identity.authenticate(&arrival.connection, &head.headers, account.time).await;
    let caller = account.caller.insert(identified.map_err(Refusal::Unauthenticated)?);

    let (endpoint, below) = found.map_err(Refusal::Path)?.ok_or(Refusal::NoEndpoint)?;
    let role = role(gateway, &endpoint, caller, &head.headers)?;
    account.role = Some(role.clone());
    let requested = purpose(&head.headers)?;
    // The standing is asked for before anything that costs more, and proves only that it was.
    let _standing = endpoint.scope.standing(account.source, &caller.name, account.time).map_err(Refusal::Standing)?;

    let wanted = Wanted::of(gateway, &endpoint, &head, &below)?;
    account.interaction = Some(wanted.interaction());
    (account.resource_type, account.resource_id) = wanted.names();
    if !headers::accepts_json(&head.headers) {
        return Err(Refusal::NotAcceptable);
    }
    let allowed = caller.purposes.as_deref();
    let decision = gateway.policy.decide(&gateway.definitions, &role, requested, allowed, wanted.asked());
    let permit = decision.map_err(Refusal::Policy)?;
    account.purpose = Some(permit.purpose());

    let form = form(gateway, &head, body).await?;
    let guard = gateway.guard(&endpoint, &caller.name, &role).ok_or(Refusal::Role)?;
    let asked =
        guard::Asked { interaction: wanted.fhir(), path: &below, query: head.uri.query(), form: form.as_deref() };
    let admission = guard.admit(asked).map_err(Refusal::Guard)?;
    Ok(Decided {
        caller: caller.name.clone(),
        permit,
        admission,
        headers: forwardable_request_headers(&head.headers),
        public: public_url(&endpoint, &authority, arrival.secure),
        searched: wanted.searched(),
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

/// Asks the upstream for what was admitted.
async fn ask(gateway: &Gateway, decided: &Decided, opened: &Opened) -> Result<Response<UpstreamBody>, Refusal> {
    let Decided { endpoint, admission, headers, .. } = decided;
    let target = endpoint.upstream.target(&admission.path, admission.query.as_deref()).map_err(Refusal::Upstream)?;
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = target;
    *request.headers_mut() = headers.clone();
    request.headers_mut().remove(CONTENT_TYPE);
    if let Some(form) = &admission.form {
        *request.method_mut() = Method::POST;
        *request.body_mut() = Full::new(Bytes::from(form.clone()));
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    }
    headers::ask(request.headers_mut(), endpoint.serves.is_fhir());
    opened.account.trace.write(request.headers_mut());
    let started = Instant::now();
    let response = endpoint.upstream.send(request).await;
    let status = response.as_ref().ok().map(|response| response.status().as_u16());
    gateway.metrics.upstream(&endpoint.name, status, started.elapsed());
    response.map_err(Refusal::Upstream)
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
    let status = match Verdict::of(response.status(), decided.permit.restricted(), is_fhir) {
        Verdict::Pass(status) => status,
        Verdict::Empty(status) => {
            let answer = opened.account.response(status, HeaderMap::new(), Answer::nothing());
            opened.head(status);
            return answer;
        }
        Verdict::Refuse(refusal) => return opened.refuse(&refusal),
    };
    let links = Arc::new(Links::new(gateway, &decided));
    let given = Given {
        today: Some(opened.account.time.to_zoned(TimeZone::UTC).date()),
        secret: gateway.secret.clone(),
        addresses: Some(Arc::clone(&links) as _),
    };
    let fields = headers::of_answer(response.headers(), is_fhir, &*links);
    let wants_head = opened.account.method == Method::HEAD;
    match RedactedBody::begin(decided.permit, opened, response, status, given).await {
        Beginning::Body(body) if wants_head => {
            let answer = body.head(fields);
            body.end_with_head();
            answer
        }
        Beginning::Body(body) => body.respond(fields),
        // What an upstream says of an error is worth less than the error.
        Beginning::Nothing(opened) | Beginning::Failed(_, opened) if !status.is_success() => {
            opened.refuse(&Refusal::Refused(status))
        }
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

const FORM: &str = "application/x-www-form-urlencoded";

/// What a request wants.
enum Wanted {
    Fhir(Interaction),
    Document { name: Box<str>, id: Option<String> },
}

impl Wanted {
    fn of(
        gateway: &Gateway,
        endpoint: &Endpoint,
        head: &http::request::Parts,
        below: &CanonicalPath,
    ) -> Result<Self, Refusal> {
        let patterns = match &endpoint.serves {
            Serves::Fhir => return interaction(&gateway.definitions, head, below).map(Self::Fhir),
            Serves::Documents(patterns) => patterns,
        };
        let found = patterns.iter().find_map(|(pattern, name)| Some((pattern.matches(below)?, name)));
        let (places, name) = found.ok_or(Refusal::NoEndpoint)?;
        if head.method != Method::GET && head.method != Method::HEAD {
            return Err(Refusal::Method);
        }
        let id = (!places.is_empty()).then(|| places.join("/"));
        Ok(Self::Document { name: name.clone(), id })
    }

    fn asked(&self) -> Asked<'_> {
        match self {
            Self::Fhir(interaction) => Asked::Fhir(interaction),
            Self::Document { name, .. } => Asked::Document(name),
        }
    }

    fn fhir(&self) -> Option<&Interaction> {
        match self {
            Self::Fhir(interaction) => Some(interaction),
            Self::Document { .. } => None,
        }
    }

    fn interaction(&self) -> &'static str {
        self.fhir().map_or(Kind::Read, |interaction| interaction.kind).as_str()
    }

    fn searched(&self) -> Option<Box<str>> {
        self.fhir().filter(|interaction| interaction.kind == Kind::SearchType)?.resource_type.clone()
    }

    /// The resource type and the id that the request names.
    fn names(&self) -> (Option<String>, Option<String>) {
        let owned = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        match self {
            Self::Fhir(interaction) => (owned(&interaction.resource_type), owned(&interaction.id)),
            Self::Document { name, id } => (Some(name.to_string()), id.clone()),
        }
    }
}

/// The interaction of a request, if it is one that is let through.
fn interaction(
    definitions: &Definitions,
    head: &http::request::Parts,
    below: &CanonicalPath,
) -> Result<Interaction, Refusal> {
    let slash = if below.as_str().ends_with('/') && !below.segments().is_empty() { "/" } else { "" };
    let path = format!("{}{slash}", below.segments().join("/"));
    let query = head.uri.query();
    // Some servers have the pages of every search at their root; a page link says what it is a page of.
    let page_of = query.and_then(paging::claimed_type).filter(|_| below.segments().is_empty());
    let page_of = page_of.filter(|claimed| definitions.resource(claimed).is_some());
    let path = page_of.unwrap_or(&path);
    let found = Interaction::parse(definitions, &head.method, path, query).map_err(Refusal::Interaction)?;
    match found.kind {
        Kind::SearchType if found.compartment.is_none() => Ok(found),
        Kind::Read | Kind::Vread | Kind::Capabilities => Ok(found),
        Kind::Create | Kind::Update | Kind::Patch | Kind::Delete | Kind::Batch | Kind::Transaction => {
            Err(Refusal::Interaction(InteractionError::MethodNotAllowed { allowed: "GET, HEAD" }))
        }
        Kind::SearchType
        | Kind::SearchSystem
        | Kind::HistoryInstance
        | Kind::HistoryType
        | Kind::HistorySystem
        | Kind::Operation => Err(Refusal::Guard(guard::GuardError::Interaction { interaction: found.kind.as_str() })),
    }
}

/// Refuses a message that two servers could read differently (L32). Answers the authority that it was sent to.
fn one_reading(head: &http::request::Parts, most_target: usize) -> Result<String, Refusal> {
    let fields = &head.headers;
    match head.version {
        Version::HTTP_11 | Version::HTTP_2 => {}
        // HTTP/1.0 ends a body by closing the connection, whether it was whole or not.
        _ => return Err(Refusal::Version),
    }
    if fields.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::Length);
    }
    if fields.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(Refusal::Message("it has more than one Content-Length"));
    }
    if fields.get_all(HOST).iter().count() > 1 {
        return Err(Refusal::Message("it has more than one Host"));
    }
    if head.uri.path_and_query().is_some_and(|target| target.as_str().len() > most_target) {
        return Err(Refusal::Target);
    }
    let host = fields.get(HOST).and_then(|host| host.to_str().ok());
    let authority = match (head.uri.authority(), host) {
        (Some(authority), None) => authority.as_str(),
        (Some(authority), Some(host)) if authority.as_str().eq_ignore_ascii_case(host) => host,
        (Some(_), Some(_)) => return Err(Refusal::Message("its target and its Host differ")),
        (None, Some(host)) => host,
        (None, None) => return Err(Refusal::Message("it has no Host")),
    };
    match authority.parse::<http::uri::Authority>() {
        Ok(valid) if !valid.as_str().contains('@') => Ok(valid.to_string()),
        _ => Err(Refusal::Message("its Host is no host")),
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

/// The purpose that the caller picks.
fn purpose(fields: &HeaderMap) -> Result<Option<Purpose>, Refusal> {
    let code = headers::single(fields, headers::PURPOSE)?;
    code.map(|code| Purpose::from_code(code).ok_or(Refusal::Header(headers::PURPOSE))).transpose()
}

/// The form of a POST `_search`, whole; `None` for a GET, which has no body.
async fn form(gateway: &Gateway, head: &http::request::Parts, body: Incoming) -> Result<Option<Vec<u8>>, Refusal> {
    if head.method != Method::POST {
        // Some servers read a body here and some do not.
        return if body.is_end_stream() { Ok(None) } else { Err(Refusal::Message("a GET or HEAD has no body")) };
    }
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let media_type = match (types.next(), types.next()) {
        (Some(media_type), None) => media_type.to_str().unwrap_or_default(),
        _ => return Err(Refusal::Form),
    };
    let mut parts = media_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let is_form = parts.next().is_some_and(|name| name == FORM);
    if !is_form || !parts.all(|part| matches!(&*part, "charset=utf-8" | "charset=\"utf-8\"")) {
        return Err(Refusal::Form);
    }
    let whole = Limited::new(body, gateway.limits.form_bytes).collect();
    match tokio::time::timeout(gateway.limits.form_timeout, whole).await {
        Ok(Ok(whole)) => Ok(Some(whole.to_bytes().into())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::FormTooLarge),
        Ok(Err(_)) | Err(_) => Err(Refusal::FormIncomplete),
    }
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
    fn guard<'a>(&'a self, endpoint: &'a Endpoint, caller: &'a str, role: &'a Role) -> Option<Guard<'a>> {
        Some(Guard {
            view: self.policy.role(role)?,
            definitions: &self.definitions,
            page_key: &self.page_key,
            bound: Bound {
                endpoint: &endpoint.name,
                caller,
                role: role.as_str(),
                generation: self.policy.generation(),
            },
            page_parameters: &endpoint.page_parameters,
            most_count: self.limits.count,
        })
    }
}
