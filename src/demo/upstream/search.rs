//! Searching the population: parameters, includes, sorting, and pages whose links hold the whole search.
//!
//! What is not understood is refused with a message that repeats it, as common servers do under strict handling.

mod criterion;
mod parameters;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use self::criterion::{Criterion, values};
use self::parameters::parameter;
pub(super) use self::parameters::{Kind, PARAMETERS, Parameter, TYPES, knows};
use super::answer::Answer;
use super::full_url;
use crate::demo::people::Population;

/// The number of matches on a page where the search asks for none.
const PAGE: usize = 20;
/// The most matches on a page.
const LARGEST_PAGE: usize = 100;

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
    /// `_include` of the matches.
    include: Vec<Inclusion<'a>>,
    /// `_revinclude` of the matches.
    reverse: Vec<Inclusion<'a>>,
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
                "_include" => search.include.push(Inclusion::parse(of, value)?),
                "_revinclude" => search.reverse.push(Inclusion::parse("", value)?),
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
            if !found.iter().any(there) && !page.iter().any(there) {
                found.push(resource);
            }
        };
        for inclusion in &self.include {
            for reference in page.iter().flat_map(|one| values(one, inclusion.by.paths)) {
                let target = reference.get("reference").and_then(Value::as_str).and_then(|text| text.split_once('/'));
                let target = target.filter(|(of, _)| inclusion.leads_to(of));
                if let Some(resource) = target.and_then(|(of, id)| population.get(of, id)) {
                    add(resource);
                }
            }
        }
        for Inclusion { from, by, .. } in self.reverse.iter().filter(|inclusion| inclusion.leads_to(self.of)) {
            let names: Vec<String> = page.iter().map(|one| full_url("", one).trim_start_matches('/').into()).collect();
            let refers = |reference: &&Value| {
                reference.get("reference").and_then(Value::as_str).is_some_and(|text| names.iter().any(|n| n == text))
            };
            population.of_type(from).filter(|one| values(one, by.paths).iter().any(refers)).for_each(&mut add);
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

/// `Type:parameter` or `Type:parameter:Target`.
struct Inclusion<'a> {
    /// The type whose references are followed.
    from: &'a str,
    by: &'static Parameter,
    /// The only type that they are followed to.
    target: Option<&'a str>,
}

impl<'a> Inclusion<'a> {
    /// Its type must be `of` where that is not empty.
    fn parse(of: &str, value: &'a str) -> Result<Self, Refused> {
        let refused = || Refused(format!("Invalid _include parameter value: \"{value}\""));
        let (from, rest) = value.split_once(':').ok_or_else(refused)?;
        let (name, target) = rest.split_once(':').map_or((rest, None), |(name, target)| (name, Some(target)));
        let by = parameter(from, name).filter(|found| found.kind == Kind::Reference).ok_or_else(refused)?;
        let known = knows(from) && (of.is_empty() || of == from) && target.is_none_or(knows);
        if known { Ok(Self { from, by, target }) } else { Err(refused()) }
    }

    fn leads_to(&self, of: &str) -> bool {
        self.target.is_none_or(|target| target == of)
    }
}
