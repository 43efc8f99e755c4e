//! What a request wants, read once and strictly: its framing, its interaction, its purpose, its form.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::endpoint::Serves;
use super::refusal::Refusal;
use super::{Limits, headers};
use crate::fhir::interaction::{Interaction, Kind};
use crate::fhir::{Definitions, InteractionError};
use crate::guard::{GuardError, paging};
use crate::model::Purpose;
use crate::net::address::CanonicalPath;
use crate::policy::Asked;

/// The media type of a search's form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

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

    pub(super) fn interaction(&self) -> &'static str {
        self.fhir().map_or(Kind::Read, |interaction| interaction.kind).as_str()
    }

    pub(super) fn searched(&self) -> Option<Box<str>> {
        self.fhir().filter(|interaction| interaction.kind == Kind::SearchType)?.resource_type.clone()
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

/// The interaction of a request, if it is one that is let through.
fn interaction(definitions: &Definitions, head: &Parts, below: &CanonicalPath) -> Result<Interaction, Refusal> {
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
        | Kind::Operation => Err(Refusal::Guard(GuardError::Interaction { interaction: found.kind.as_str() })),
    }
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

/// Refuses the body of a GET or HEAD, which some servers read and some do not.
pub(super) fn no_body(body: &Incoming) -> Result<(), Refusal> {
    if body.is_end_stream() { Ok(()) } else { Err(Refusal::Message("a GET or HEAD has no body")) }
}

/// The form of a POST `_search`, whole; `None` for a GET, which has no body.
pub(super) async fn form(limits: &Limits, head: &Parts, body: Incoming) -> Result<Option<Vec<u8>>, Refusal> {
    if head.method != Method::POST {
        return no_body(&body).map(|()| None);
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
    let whole = Limited::new(body, limits.form_bytes).collect();
    match tokio::time::timeout(limits.form_timeout, whole).await {
        Ok(Ok(whole)) => Ok(Some(whole.to_bytes().into())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::FormTooLarge),
        Ok(Err(_)) | Err(_) => Err(Refusal::FormIncomplete),
    }
}
