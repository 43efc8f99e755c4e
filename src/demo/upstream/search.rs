//! Searching the population: parameters, includes, sorting, and pages whose links hold the whole search.
//!
//! What is not understood is refused with a message that repeats it, as common servers do under strict handling.

mod criterion;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use self::criterion::{Criterion, values};
use super::answer::Answer;
use super::full_url;
use crate::demo::people::Population;

/// The resource types that are served.
pub(super) const TYPES: &[&str] = &[
    "AllergyIntolerance",
    "Appointment",
    "Claim",
    "Condition",
    "Coverage",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "ExplanationOfBenefit",
    "Immunization",
    "Location",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "Procedure",
];

/// How a parameter's value is compared (FHIR R4, 3.1.1.4).
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// A code, with its system or without.
    Token,
    /// A ContactPoint's value, of one system (`phone`, `email`) or of any where empty.
    Telecom(&'static str),
    /// Text that begins with the value.
    Text,
    /// A date, a period, or an instant, with prefixes.
    Date,
    /// A reference.
    Reference,
}

/// A search parameter of a type, or of all (`*`), and the elements it looks at.
pub(super) struct Parameter {
    pub(super) of: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) paths: &'static [&'static str],
}

macro_rules! parameters {
    ($($of:literal { $($name:literal: $kind:expr => [$($path:literal),+]),* $(,)? })*) => {
        /// Every search parameter that is understood.
        pub(super) const PARAMETERS: &[Parameter] =
            &[$($(Parameter { of: $of, name: $name, kind: $kind, paths: &[$($path),+] }),*),*];
    };
}

parameters! {
    "*" {
        "_id": Kind::Token => ["id"],
        "_lastUpdated": Kind::Date => ["meta.lastUpdated"],
        "_security": Kind::Token => ["meta.security"],
    }
    "Patient" {
        "identifier": Kind::Token => ["identifier"],
        "name": Kind::Text => ["name.text", "name.family", "name.given"],
        "family": Kind::Text => ["name.family"],
        "given": Kind::Text => ["name.given"],
        "birthdate": Kind::Date => ["birthDate"],
        "death-date": Kind::Date => ["deceasedDateTime"],
        "gender": Kind::Token => ["gender"],
        "telecom": Kind::Telecom("") => ["telecom"],
        "phone": Kind::Telecom("phone") => ["telecom"],
        "email": Kind::Telecom("email") => ["telecom"],
        "address": Kind::Text => ["address.line", "address.city", "address.state", "address.postalCode"],
        "address-city": Kind::Text => ["address.city"],
        "address-state": Kind::Text => ["address.state"],
        "address-postalcode": Kind::Text => ["address.postalCode"],
        "active": Kind::Token => ["active"],
        "general-practitioner": Kind::Reference => ["generalPractitioner"],
        "organization": Kind::Reference => ["managingOrganization"],
    }
    "Practitioner" {
        "identifier": Kind::Token => ["identifier"],
        "name": Kind::Text => ["name.text", "name.family", "name.given"],
        "family": Kind::Text => ["name.family"],
        "given": Kind::Text => ["name.given"],
    }
    "Organization" {
        "name": Kind::Text => ["name"],
    }
    "Location" {
        "name": Kind::Text => ["name"],
        "organization": Kind::Reference => ["managingOrganization"],
    }
    "Encounter" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "status": Kind::Token => ["status"],
        "class": Kind::Token => ["class"],
        "type": Kind::Token => ["type"],
        "reason-code": Kind::Token => ["reasonCode"],
        "date": Kind::Date => ["period"],
        "participant": Kind::Reference => ["participant.individual"],
        "location": Kind::Reference => ["location.location"],
    }
    "Condition" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "encounter": Kind::Reference => ["encounter"],
        "code": Kind::Token => ["code"],
        "category": Kind::Token => ["category"],
        "clinical-status": Kind::Token => ["clinicalStatus"],
        "onset-date": Kind::Date => ["onsetDateTime", "onsetPeriod"],
        "recorded-date": Kind::Date => ["recordedDate"],
    }
    "Observation" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "encounter": Kind::Reference => ["encounter"],
        "performer": Kind::Reference => ["performer"],
        "code": Kind::Token => ["code"],
        "category": Kind::Token => ["category"],
        "status": Kind::Token => ["status"],
        "date": Kind::Date => ["effectiveDateTime"],
    }
    "DiagnosticReport" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "encounter": Kind::Reference => ["encounter"],
        "result": Kind::Reference => ["result"],
        "code": Kind::Token => ["code"],
        "category": Kind::Token => ["category"],
        "status": Kind::Token => ["status"],
        "date": Kind::Date => ["effectiveDateTime"],
    }
    "MedicationRequest" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "encounter": Kind::Reference => ["encounter"],
        "requester": Kind::Reference => ["requester"],
        "code": Kind::Token => ["medicationCodeableConcept"],
        "status": Kind::Token => ["status"],
        "intent": Kind::Token => ["intent"],
        "authoredon": Kind::Date => ["authoredOn"],
    }
    "AllergyIntolerance" {
        "patient": Kind::Reference => ["patient"],
        "code": Kind::Token => ["code"],
        "category": Kind::Token => ["category"],
        "criticality": Kind::Token => ["criticality"],
        "clinical-status": Kind::Token => ["clinicalStatus"],
        "date": Kind::Date => ["recordedDate"],
    }
    "Immunization" {
        "patient": Kind::Reference => ["patient"],
        "status": Kind::Token => ["status"],
        "vaccine-code": Kind::Token => ["vaccineCode"],
        "date": Kind::Date => ["occurrenceDateTime"],
    }
    "Procedure" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "code": Kind::Token => ["code"],
        "status": Kind::Token => ["status"],
        "date": Kind::Date => ["performedDateTime", "performedPeriod"],
    }
    "Appointment" {
        "patient": Kind::Reference => ["participant.actor"],
        "practitioner": Kind::Reference => ["participant.actor"],
        "actor": Kind::Reference => ["participant.actor"],
        "status": Kind::Token => ["status"],
        "reason-code": Kind::Token => ["reasonCode"],
        "date": Kind::Date => ["start"],
    }
    "Coverage" {
        "patient": Kind::Reference => ["beneficiary"],
        "beneficiary": Kind::Reference => ["beneficiary"],
        "payor": Kind::Reference => ["payor"],
        "status": Kind::Token => ["status"],
        "type": Kind::Token => ["type"],
    }
    "Claim" {
        "patient": Kind::Reference => ["patient"],
        "provider": Kind::Reference => ["provider"],
        "insurer": Kind::Reference => ["insurer"],
        "status": Kind::Token => ["status"],
        "use": Kind::Token => ["use"],
        "created": Kind::Date => ["created"],
    }
    "ExplanationOfBenefit" {
        "patient": Kind::Reference => ["patient"],
        "claim": Kind::Reference => ["claim"],
        "coverage": Kind::Reference => ["insurance.coverage"],
        "provider": Kind::Reference => ["provider"],
        "status": Kind::Token => ["status"],
        "created": Kind::Date => ["created"],
    }
    "DocumentReference" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "encounter": Kind::Reference => ["context.encounter"],
        "type": Kind::Token => ["type"],
        "category": Kind::Token => ["category"],
        "status": Kind::Token => ["status"],
        "date": Kind::Date => ["date"],
    }
}

/// The number of matches on a page where the search asks for none.
const PAGE: usize = 20;
/// The most matches on a page.
const LARGEST_PAGE: usize = 100;

/// Whether the type is served.
pub(super) fn knows(resource_type: &str) -> bool {
    TYPES.contains(&resource_type)
}

/// The parameter of a type by name.
fn parameter(resource_type: &str, name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|known| (known.of == "*" || known.of == resource_type) && known.name == name)
}

/// The first page of a search (or the page that `_offset` asks for).
pub(super) fn search(population: &Population, base: &str, of: &str, parameters: &[(String, String)]) -> Answer {
    match Search::parse(of, parameters) {
        Ok(search) => Answer::json(&search.bundle(population, base)),
        Err(Refused(message)) => Answer::outcome(StatusCode::BAD_REQUEST, "invalid", message),
    }
}

/// A page that a link of an earlier page names: `?_getpages=…`.
pub(super) fn page(population: &Population, base: &str, parameters: &[(String, String)]) -> Answer {
    let token = parameters.iter().find(|(name, _)| name == "_getpages").map(|(_, token)| token.as_str());
    let Some(token) = token else {
        let message = "Name a resource type: the whole system cannot be searched".to_owned();
        return Answer::outcome(StatusCode::BAD_REQUEST, "not-supported", message);
    };
    let decoded = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let search = decoded.as_deref().and_then(|text| text.split_once('?')).filter(|(of, _)| knows(of));
    let Some((of, query)) = search else {
        let message = format!("Search ID \"{token}\" does not exist and may have expired");
        return Answer::outcome(StatusCode::GONE, "processing", message);
    };
    let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    self::search(population, base, of, &parameters)
}

/// Why a search is refused, with the value that was at fault.
struct Refused(String);

struct Search<'a> {
    of: &'a str,
    asked: &'a [(String, String)],
    criteria: Vec<Criterion>,
    /// The parameter to sort by, and whether descending.
    sort: Vec<(&'static Parameter, bool)>,
    /// `_include` parameters of the matches.
    include: Vec<&'static Parameter>,
    /// `_revinclude`: a type and its parameter.
    reverse: Vec<(&'a str, &'static Parameter)>,
    elements: Option<Vec<&'a str>>,
    count_only: bool,
    count: usize,
    offset: usize,
}

impl<'a> Search<'a> {
    fn parse(of: &'a str, asked: &'a [(String, String)]) -> Result<Self, Refused> {
        let mut search = Self {
            of,
            asked,
            criteria: Vec::new(),
            sort: Vec::new(),
            include: Vec::new(),
            reverse: Vec::new(),
            elements: None,
            count_only: false,
            count: PAGE,
            offset: 0,
        };
        let number = |name: &str, value: &str| {
            value.parse::<usize>().map_err(|_| Refused(format!("Invalid {name}: \"{value}\" is not a number")))
        };
        for (name, value) in asked {
            match name.as_str() {
                "_format" | "_pretty" | "_total" => {}
                "_count" => search.count = number(name, value)?.min(LARGEST_PAGE),
                "_offset" => search.offset = number(name, value)?,
                "_summary" => match value.as_str() {
                    "count" => search.count_only = true,
                    "false" => {}
                    other => return Err(Refused(format!("Unsupported _summary: \"{other}\""))),
                },
                "_elements" => search.elements = Some(value.split(',').collect()),
                "_sort" => search.sort = value.split(',').map(|by| sort_by(of, by)).collect::<Result<_, _>>()?,
                "_include" => search.include.push(include(of, value)?.1),
                "_revinclude" => search.reverse.push(include("", value)?),
                _ => search.criteria.push(Criterion::parse(of, name, value)?),
            }
        }
        Ok(search)
    }

    fn bundle(&self, population: &Population, base: &str) -> Value {
        let mut matches: Vec<&Value> = population
            .of_type(self.of)
            .filter(|one| self.criteria.iter().all(|criterion| criterion.matches(one)))
            .collect();
        // Sorted by the last key first: a stable sort keeps the order of the keys before.
        for (by, descending) in self.sort.iter().rev() {
            let key = |resource: &Value| sort_key(resource, by);
            matches.sort_by(|a, b| if *descending { key(b).cmp(&key(a)) } else { key(a).cmp(&key(b)) });
        }
        let total = matches.len();
        let mut link = vec![json!({ "relation": "self", "url": format!("{base}/{}?{}", self.of, self.query(None)) })];
        let mut entry = Vec::new();
        // A page of none would have no end.
        if !self.count_only && self.count > 0 {
            let page: Vec<&Value> = matches.into_iter().skip(self.offset).take(self.count).collect();
            let after = self.offset.saturating_add(page.len());
            if after < total && !page.is_empty() {
                link.push(json!({ "relation": "next", "url": self.page_link(base, after) }));
            }
            if self.offset > 0 {
                let before = self.offset.saturating_sub(self.count);
                link.push(json!({ "relation": "previous", "url": self.page_link(base, before) }));
            }
            let included = self.included(population, &page);
            let modes = std::iter::repeat_n("match", page.len()).chain(std::iter::repeat("include"));
            entry = page
                .into_iter()
                .chain(included)
                .zip(modes)
                .map(|(resource, mode)| {
                    json!({
                        "fullUrl": full_url(base, resource), "resource": self.narrowed(resource),
                        "search": { "mode": mode },
                    })
                })
                .collect();
        }
        let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": total, "link": link });
        // FHIR knows no empty array.
        if let Some(members) = bundle.as_object_mut().filter(|_| !entry.is_empty()) {
            members.insert("entry".into(), entry.into());
        }
        bundle
    }

    /// The query as asked, at another offset where one is given.
    fn query(&self, offset: Option<usize>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.asked.iter().filter(|(name, _)| offset.is_none() || name != "_offset"));
        if let Some(offset) = offset {
            query.append_pair("_offset", &offset.to_string());
        }
        query.finish()
    }

    /// A link that names the page opaquely: nobody is meant to read or build one.
    fn page_link(&self, base: &str, offset: usize) -> String {
        let token = URL_SAFE_NO_PAD.encode(format!("{}?{}", self.of, self.query(Some(offset))));
        format!("{base}?_getpages={token}")
    }

    /// What the page's matches refer to and what refers to them, as asked, each once.
    fn included<'p>(&self, population: &'p Population, page: &[&'p Value]) -> Vec<&'p Value> {
        let mut found: Vec<&Value> = Vec::new();
        let mut add = |resource: &'p Value| {
            let there = |known: &&Value| std::ptr::eq(*known, resource);
            if !found.iter().any(|known| there(&known)) && !page.iter().any(|known| there(&known)) {
                found.push(resource);
            }
        };
        for parameter in &self.include {
            for reference in page.iter().flat_map(|one| values(one, parameter.paths)) {
                let target = reference.get("reference").and_then(Value::as_str).and_then(|text| text.split_once('/'));
                if let Some(resource) = target.and_then(|(of, id)| population.get(of, id)) {
                    add(resource);
                }
            }
        }
        for (of, parameter) in &self.reverse {
            let names: Vec<String> = page.iter().map(|one| full_url("", one).trim_start_matches('/').into()).collect();
            let refers = |reference: &&Value| {
                reference.get("reference").and_then(Value::as_str).is_some_and(|text| names.iter().any(|n| n == text))
            };
            population.of_type(of).filter(|one| values(one, parameter.paths).iter().any(refers)).for_each(&mut add);
        }
        found
    }

    /// The resource with the asked elements alone, marked as SUBSETTED (FHIR R4, 3.1.1.5.9).
    fn narrowed(&self, resource: &Value) -> Value {
        let (Some(elements), Some(members)) = (&self.elements, resource.as_object()) else { return resource.clone() };
        let keep = |name: &str| {
            ["resourceType", "id", "meta"].contains(&name) || elements.contains(&name.trim_start_matches('_'))
        };
        let mut kept: serde_json::Map<String, Value> =
            members.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
        let tag = json!([{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED",
        }]);
        if let Some(meta) = kept.get_mut("meta").and_then(Value::as_object_mut) {
            meta.insert("tag".into(), tag);
        }
        Value::Object(kept)
    }
}

fn sort_by(of: &str, by: &str) -> Result<(&'static Parameter, bool), Refused> {
    let (name, descending) = by.strip_prefix('-').map_or((by, false), |name| (name, true));
    let found = parameter(of, name).filter(|found| found.kind != Kind::Reference);
    found
        .map(|found| (found, descending))
        .ok_or_else(|| Refused(format!("Unknown _sort parameter \"{name}\" for {of}")))
}

/// What a resource is sorted by: its first value as text.
fn sort_key(resource: &Value, by: &Parameter) -> String {
    let first = values(resource, by.paths).into_iter().next();
    let text = first
        .map(|value| ["/start", "/coding/0/code", "/value"].iter().find_map(|at| value.pointer(at)).unwrap_or(value));
    text.map(|text| text.as_str().map_or_else(|| text.to_string(), str::to_lowercase)).unwrap_or_default()
}

/// The type and parameter of `Type:parameter`, which must be of `of` where that is not empty.
fn include<'a>(of: &str, value: &'a str) -> Result<(&'a str, &'static Parameter), Refused> {
    let refused = || Refused(format!("Invalid _include parameter value: \"{value}\""));
    let (source, name) = value.split_once(':').ok_or_else(refused)?;
    let found = parameter(source, name).filter(|found| found.kind == Kind::Reference).ok_or_else(refused)?;
    if knows(source) && (of.is_empty() || of == source) { Ok((source, found)) } else { Err(refused()) }
}
