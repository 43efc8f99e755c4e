//! What a request wants, read once and strictly: its framing, its interaction, its purpose, its body.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HOST, IF_MATCH, IF_NONE_MATCH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use http_body::Body;

use super::endpoint::Serves;
use super::export::Range;
use super::refusal::Refusal;
use super::whole::{self, Broken, Whole};
use super::write::{IF_NONE_EXIST, PATCH, Write};
use super::{Gateway, batch, headers};
use crate::fhir::interaction::{Interaction, Kind};
use crate::fhir::{Definitions, InteractionError, Operation};
use crate::guard::sealed::Sealed;
use crate::guard::{GuardError, paging};
use crate::model::Purpose;
use crate::net::address::CanonicalPath;
use crate::policy::Asked;

/// The media type of a search's form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
/// The media types of a resource.
const RESOURCE: &[&str] = &["application/fhir+json", "application/json"];

/// What a request wants.
pub(super) enum Wanted {
    Fhir(Interaction),
    Document { name: Box<str>, id: Option<String> },
}

impl Wanted {
    pub(super) fn of(
        definitions: &Definitions,
        serves: &Serves,
        head: &Parts,
        below: &CanonicalPath,
    ) -> Result<Self, Refusal> {
        let patterns = match serves {
            Serves::Fhir => return interaction(definitions, head, below).map(Self::Fhir),
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

    /// What a link is of.
    pub(super) fn of_link(definitions: &Definitions, link: &Sealed) -> Result<Self, Refusal> {
        let found = Interaction::parse(definitions, &Method::GET, &link.of, None);
        found.map(Self::Fhir).map_err(Refusal::Interaction)
    }

    /// The create that a conditional update comes to where nothing matches.
    pub(super) fn creates(&self) -> Option<Self> {
        let update = self.fhir().filter(|found| found.conditional && found.kind == Kind::Update)?;
        Some(Self::Fhir(Interaction { kind: Kind::Create, conditional: false, ..update.clone() }))
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        match self {
            Self::Fhir(interaction) => Asked::Fhir(interaction),
            Self::Document { name, .. } => Asked::Document(name),
        }
    }

    pub(super) fn fhir(&self) -> Option<&Interaction> {
        match self {
            Self::Fhir(interaction) => Some(interaction),
            Self::Document { .. } => None,
        }
    }

    /// Reads of a batch's Bundle whether it is a transaction.
    pub(super) fn bundle(&mut self, bundle: Option<&Whole>) -> Result<(), Refusal> {
        let is_transaction = batch::is_transaction(bundle.map_or(&[], |bundle| &bundle.bytes))?;
        match self {
            Self::Fhir(interaction) if is_transaction => interaction.kind = Kind::Transaction,
            _ => {}
        }
        Ok(())
    }

    /// A document is read.
    pub(super) fn kind(&self) -> Kind {
        self.fhir().map_or(Kind::Read, |interaction| interaction.kind)
    }

    pub(super) fn is_search(&self) -> bool {
        matches!(self.kind(), Kind::SearchType | Kind::SearchSystem)
    }

    /// Whether an answer is a version of what is at the address.
    pub(super) fn is_versioned(&self) -> bool {
        let kinds = [Kind::Read, Kind::Vread, Kind::Update, Kind::Patch];
        self.fhir().is_some_and(|interaction| kinds.contains(&interaction.kind))
    }

    /// The resource type and the id that the request names.
    pub(super) fn names(&self) -> (Option<String>, Option<String>) {
        let owned = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        match self {
            Self::Fhir(interaction) => (owned(&interaction.resource_type), owned(&interaction.id)),
            Self::Document { name, id } => (Some(name.to_string()), id.clone()),
        }
    }
}

/// The interaction of a request, if it is one that is ever let through.
fn interaction(definitions: &Definitions, head: &Parts, below: &CanonicalPath) -> Result<Interaction, Refusal> {
    let slash = if below.as_str().ends_with('/') && !below.segments().is_empty() { "/" } else { "" };
    let path = format!("{}{slash}", below.segments().join("/"));
    let query = head.uri.query();
    // Some servers have the pages of every search at their root; the link to one of a type's says so.
    let page_of = query.and_then(paging::claimed_type).filter(|_| below.segments().is_empty());
    let page_of = page_of.filter(|claimed| definitions.resource(claimed).is_some());
    let path = page_of.unwrap_or(&path);
    let found = Interaction::parse(definitions, &head.method, path, query).map_err(Refusal::Interaction)?;
    let Some(operation) = &found.operation else { return Ok(found) };
    let allowed = Operation::named(operation).ok_or(Refusal::Guard(GuardError::Operation))?.methods();
    allows(allowed, &head.method)?;
    Ok(found)
}

/// Refuses a method that is none of those that are allowed, which are written as for the header `Allow`.
pub(super) fn allows(allowed: &'static str, method: &Method) -> Result<(), Refusal> {
    let is_allowed = allowed.split(", ").any(|allowed| method == allowed);
    is_allowed.then_some(()).ok_or(Refusal::Interaction(InteractionError::MethodNotAllowed { allowed }))
}

/// Refuses a message that two servers could read differently (L32). Answers the authority that it was sent to.
pub(super) fn one_reading(head: &Parts, most_target: usize) -> Result<String, Refusal> {
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

/// The purpose that the caller picks.
pub(super) fn purpose(fields: &HeaderMap) -> Result<Option<Purpose>, Refusal> {
    let code = headers::single(fields, headers::PURPOSE)?;
    code.map(|code| Purpose::from_code(code).ok_or(Refusal::Header(headers::PURPOSE))).transpose()
}

/// Refuses a body where there is none, which some servers read and some do not.
pub(super) fn no_body(body: &impl Body) -> Result<(), Refusal> {
    if body.is_end_stream() { Ok(()) } else { Err(Refusal::Message("a request by this method has no body")) }
}

/// The body of a request, whole; `None` where its kind has none.
pub(super) async fn body<B: Body<Data = Bytes>>(
    gateway: &Gateway,
    kind: Kind,
    head: &Parts,
    body: B,
) -> Result<Option<Whole>, Refusal> {
    let limits = &gateway.limits;
    let (media_types, limit): (&[&'static str], usize) = match kind {
        Kind::Create | Kind::Update | Kind::Batch => (RESOURCE, limits.value_bytes),
        Kind::Patch => (&[PATCH], limits.value_bytes),
        // The one operation that is called by POST is sent a resource.
        Kind::Operation if head.method == Method::POST => (RESOURCE, limits.value_bytes),
        _ if head.method == Method::POST => (&[FORM], limits.form_bytes),
        _ => return no_body(&body).map(|()| None),
    };
    if !is_of(&head.headers, media_types) {
        return Err(Refusal::MediaType(media_types.first().copied().unwrap_or_default()));
    }
    let whole = whole::read(body, None, limit, gateway.capacity.hold());
    match tokio::time::timeout(limits.form_timeout, whole).await {
        Ok(Ok(whole)) => Ok(Some(whole)),
        Ok(Err(Broken::TooLarge)) => Err(Refusal::BodyTooLarge),
        Ok(Err(Broken::Capacity)) => Err(Refusal::Busy),
        Ok(Err(Broken::Coding(_) | Broken::Source(_))) | Err(_) => Err(Refusal::BodyIncomplete),
    }
}

/// Whether a body is of one of these media types, in UTF-8, as it stands.
fn is_of(fields: &HeaderMap, media_types: &[&str]) -> bool {
    let Some((media_type, parameters)) = headers::media_type(fields) else { return false };
    let plain = |part: &String| match part.split_once('=') {
        Some(("charset", charset)) => charset.trim_matches('"') == "utf-8",
        Some(("fhirversion", version)) => version.trim_matches('"').starts_with("4.0"),
        _ => false,
    };
    media_types.contains(&&*media_type) && parameters.iter().all(plain) && !fields.contains_key(CONTENT_ENCODING)
}

/// What a caller wants to write, or to have looked at as if it were; `None` where it reads. Takes the body of a write.
pub(super) fn write(wanted: &Wanted, body: &mut Option<Whole>) -> Option<Write> {
    let Interaction { kind, resource_type, conditional, .. } = wanted.fhir()?;
    let of = match kind {
        Kind::Create | Kind::Update | Kind::Patch | Kind::Delete => resource_type.clone()?,
        Kind::Transaction => "Bundle".into(),
        Kind::Operation if body.is_some() => resource_type.clone()?,
        _ => return None,
    };
    Some(Write { kind: *kind, of, conditional: *conditional, sent: body.take() })
}

/// Under which conditions a request is to be answered (RFC 9110, section 13), in the caller's words. What has no meaning
/// for the interaction is not in it.
#[derive(Default)]
pub(super) struct Conditions {
    /// `If-Match` of a write: the version that the caller has read.
    pub(super) only_if: Option<Box<str>>,
    /// `If-None-Match` of a read: the versions that the caller has.
    pub(super) unless: Vec<Box<str>>,
    /// `If-None-Exist` of a create (R4 http.html#ccreate).
    pub(super) if_none_exist: Option<Box<str>>,
    /// `Range` of a file, and `If-Range`.
    pub(super) range: Option<Range>,
}

impl Conditions {
    pub(super) fn of(wanted: &Wanted, head: &Parts) -> Result<Self, Refusal> {
        let mut conditions = Self::default();
        match wanted.kind() {
            Kind::Create => {
                conditions.if_none_exist = headers::single(&head.headers, IF_NONE_EXIST)?.map(Box::from);
            }
            Kind::Update | Kind::Patch | Kind::Delete => {
                // A star asks for any version, and a write without a condition does so too.
                let version = headers::single(&head.headers, IF_MATCH)?.filter(|version| *version != "*");
                conditions.only_if = version.map(Box::from);
            }
            _ => {
                let told = head.headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
                conditions.range = Range::of(&head.headers);
                conditions.unless = told.flat_map(|list| list.split(',')).map(|tag| tag.trim().into()).collect();
            }
        }
        Ok(conditions)
    }
}
