//! The decision on a request, before anything is asked of the upstream: who calls, what it wants, whether it may, and what of
//! it is admitted.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{HeaderMap, Request};
use http_body::Body;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::account::{Account, Opened};
use super::addresses::Links;
use super::batch::{self, Around};
use super::endpoint::{Endpoint, Narrows, Unseen};
use super::headers::{self, Form};
use super::onward::{self, Step};
use super::refusal::Refusal;
use super::request::{self, Conditions, Wanted};
use super::write::Write;
use super::{Arrival, Gateway};
use crate::fhir::interaction::Kind;
use crate::fhir::{Interaction, Operation};
use crate::guard::{self, Admission, Guard};
use crate::model::{Caller, Role};
use crate::net::address::CanonicalPath;
use crate::net::header::forwardable_request_headers;
use crate::policy::{self, Bearer, Permit};
use crate::redact::transform::Given;

/// What was decided of a request.
pub(super) struct Decided {
    pub(super) endpoint: Arc<Endpoint>,
    /// The caller's name.
    pub(super) caller: String,
    /// The FHIR interaction; `None` for a document.
    pub(super) interaction: Option<Interaction>,
    pub(super) step: Step,
    /// The parameters that narrow the request on its way.
    pub(super) narrowing: Vec<(Box<str>, Box<str>)>,
    /// When the request came.
    pub(super) now: Timestamp,
    pub(super) permit: Permit,
    pub(super) admission: Admission,
    /// What of the caller's headers goes upstream.
    pub(super) headers: HeaderMap,
    /// Where the caller reaches the endpoint, without a slash at the end.
    pub(super) public: String,
    /// Whether an answer is a version of what is at its address.
    pub(super) versioned: bool,
    /// Under which conditions it is to be answered.
    pub(super) conditions: Conditions,
    /// What is written.
    pub(super) write: Option<Write>,
    /// Whether what is written may be created where nothing is found to be updated.
    pub(super) may_create: bool,
    /// The requests of a batch.
    pub(super) batch: Option<Vec<batch::Asked>>,
}

/// Decides a request: identity, endpoint, role, standing, interaction, policy, guard.
pub(super) async fn decide<B: Body<Data = Bytes>>(
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
    let around = Around { fields: &head.headers, authority: &authority, path: &endpoint.path, public: &public };
    let bundle = body.as_ref().map_or(&[][..], |bundle| &bundle.bytes);
    let batch = match wanted.kind() {
        Kind::Batch => Some(around.requests(bundle, gateway.limits.batch_entries)?),
        // It goes on whole, so each of its requests is looked at here: it must be one that the role may send alone.
        Kind::Transaction => {
            around.each(bundle, gateway.limits.batch_entries, |head, below| {
                let wanted = Wanted::of(&gateway.definitions, &endpoint.serves, head, below)?;
                wanted.creates().map_or(Ok(()), |create| may(&create).map(drop))?;
                may(&wanted).map(drop)
            })?;
            None
        }
        _ => None,
    };
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
    let narrowing = narrowing(gateway, &endpoint, &permit, wanted.fhir());
    let admission = match link {
        Some(link) => guard.follow(link),
        None => guard.admit_within(reach, &narrowing, asked),
    };
    let admission = admission.map_err(Refusal::Guard)?;
    let capabilities = (wanted.kind() == Kind::Capabilities).then(|| guard.capabilities());
    let permit = match capabilities.transpose().map_err(Refusal::Guard)? {
        Some(plan) => permit.through(plan),
        None => permit,
    };
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

impl Decided {
    pub(super) fn guard<'a>(&'a self, gateway: &'a Gateway) -> Option<Guard<'a>> {
        let reach = self.permit.reach().map(Arc::as_ref);
        gateway.guard(&self.endpoint, &self.caller, self.permit.role(), reach, self.now)
    }

    /// The form of the answer.
    pub(super) fn form(&self) -> Form {
        match self.step {
            Step::File => Form::Lines,
            _ if self.endpoint.serves.is_fhir() => Form::Fhir,
            _ => Form::Document,
        }
    }

    /// What an answer to the caller is made with.
    pub(super) fn given(&self, gateway: &Gateway, opened: &Opened, addresses: Option<Arc<Links>>) -> Given {
        Given {
            today: Some(opened.account.time.to_zoned(TimeZone::UTC).date()),
            secret: gateway.secret.clone(),
            addresses: addresses.map(|links| links as _),
            bounds: policy::bounds(self.permit.reach().map(Arc::as_ref), self.admission.holds.as_deref()),
        }
    }

    /// The validator that the caller is given of a version of the upstream's.
    pub(super) fn validator(&self, gateway: &Gateway, version: &str) -> Option<HeaderValue> {
        let guard = self.guard(gateway)?;
        HeaderValue::from_str(&guard.validator(&self.admission.path, version)?).ok()
    }

    /// The same of a version of an export's file. What is let through of a file may depend on the day.
    pub(super) fn file_validator(&self, gateway: &Gateway, version: &HeaderValue) -> Option<HeaderValue> {
        let version = version.to_str().ok()?;
        let today = self.now.to_zoned(TimeZone::UTC).date();
        HeaderValue::from_str(&self.guard(gateway)?.file_validator(&self.admission.path, version, today)?).ok()
    }

    /// Whether it was given this one, of what was admitted or of what is at another place.
    pub(super) fn is_validator(
        &self,
        gateway: &Gateway,
        place: Option<&CanonicalPath>,
        version: &str,
        validator: &str,
    ) -> bool {
        let place = place.unwrap_or(&self.admission.path);
        self.guard(gateway).is_some_and(|guard| guard.is_validator(place, version, validator))
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
