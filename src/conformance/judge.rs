//! Compares answers: whether a right and a wrong guess are told apart by anything but what varies by itself.
//!
//! Pure. What was asked is set aside in both, so that an echo is no difference; so are dates, ids of requests and links.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::client::Answer;
use super::request::encoded;

/// Header fields that differ between two answers to the same request.
const VOLATILE: [&str; 20] = [
    "age",
    "alt-svc",
    "cf-ray",
    "connection",
    "content-length",
    "date",
    "expires",
    "keep-alive",
    "nel",
    "report-to",
    "server-timing",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "x-amzn-trace-id",
    "x-correlation-id",
    "x-powered-by",
    "x-request-id",
    "x-runtime",
    "x-trace-id",
];

/// Header fields of which only that they are there is steady.
const THERE: [&str; 6] = ["content-location", "etag", "last-modified", "link", "location", "set-cookie"];

/// What is shorter than this is known by what stands around it.
const SURE: usize = 4;
const AROUND: [(&str, &str); 8] =
    [("/", ""), ("%2F", ""), ("=", ""), ("%3D", ""), ("\"", "\""), (" ", ""), ("'", "'"), ("|", "")];

/// What stands in place of what was asked.
const ASKED: &str = "¤";

/// How two answers differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Difference {
    Status,
    Header(String),
    Total,
    Entries,
    Order,
    Body,
}

impl Difference {
    pub(super) fn told(&self) -> String {
        match self {
            Self::Status => "status".to_owned(),
            Self::Header(name) => format!("header field {name}"),
            Self::Total => "total".to_owned(),
            Self::Entries => "entries".to_owned(),
            Self::Order => "order".to_owned(),
            Self::Body => "body".to_owned(),
        }
    }
}

/// An answer without what varies by itself, and without what was asked.
#[derive(Debug, PartialEq)]
pub(super) struct Shape {
    status: u16,
    headers: BTreeMap<String, String>,
    total: Option<Value>,
    /// The types and ids of a Bundle's entries, in order.
    pub(super) entries: Vec<String>,
    body: String,
}

impl Shape {
    /// `said` is what both requests say that are compared: a server that shows the right value to either has not told it
    /// from the wrong one.
    pub(super) fn of(answer: &Answer, said: &[String]) -> Self {
        let asked = Asked::of(said);
        let volatile = |name: &String| VOLATILE.contains(&name.as_str());
        let steady = answer.headers.iter().filter(|(name, _)| !volatile(name));
        let headers = steady.map(|(name, value)| match THERE.contains(&name.as_str()) {
            true => (name.clone(), String::new()),
            false => (name.clone(), asked.aside(&String::from_utf8_lossy(value))),
        });
        let (mut total, mut entries, mut body) = (None, Vec::new(), String::new());
        match answer.json() {
            Some(mut document) => {
                let is_bundle = document.get("resourceType").is_some_and(|name| name == "Bundle");
                if is_bundle {
                    total = document.get("total").cloned();
                    entries = names(&document).iter().map(|name| asked.aside(name)).collect();
                }
                steadied(&mut document, is_bundle);
                body = asked.aside(&document.to_string());
                if document.get("resourceType").is_none_or(|name| name == "OperationOutcome") {
                    body = without_ids(&body);
                }
            }
            None => body.push_str(&without_ids(&asked.aside(&String::from_utf8_lossy(&answer.body)))),
        }
        Self { status: answer.status, headers: headers.collect(), total, entries, body }
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn differences(&self, other: &Self) -> BTreeSet<Difference> {
        let mut found = BTreeSet::new();
        if self.status != other.status {
            found.insert(Difference::Status);
        }
        for name in self.headers.keys().chain(other.headers.keys()) {
            if self.headers.get(name) != other.headers.get(name) {
                found.insert(Difference::Header(name.clone()));
            }
        }
        if self.total != other.total {
            found.insert(Difference::Total);
        }
        let sorted = |entries: &[String]| {
            let mut entries = entries.to_vec();
            entries.sort_unstable();
            entries
        };
        if sorted(&self.entries) != sorted(&other.entries) {
            found.insert(Difference::Entries);
        } else if self.entries != other.entries {
            found.insert(Difference::Order);
        } else if self.body != other.body && self.total == other.total {
            found.insert(Difference::Body);
        }
        found
    }
}

/// The types and ids of a Bundle's entries, in order.
pub(super) fn names(bundle: &Value) -> Vec<String> {
    let entries = bundle.get("entry").and_then(Value::as_array).into_iter().flatten();
    let name = |entry: &Value| {
        let text = |name: &str| entry.get("resource")?.get(name)?.as_str();
        match (text("resourceType"), text("id")) {
            (Some(of), Some(id)) => format!("{of}/{id}"),
            (of, _) => format!("{}/", of.unwrap_or_default()),
        }
    };
    entries.map(name).collect()
}

/// Takes out of a document what is made anew for each answer.
fn steadied(document: &mut Value, is_bundle: bool) {
    let Some(members) = document.as_object_mut() else { return };
    if !is_bundle {
        return;
    }
    for name in ["id", "meta", "timestamp", "total"] {
        members.remove(name);
    }
    for link in members.get_mut("link").and_then(Value::as_array_mut).into_iter().flatten() {
        link.as_object_mut().and_then(|link| link.remove("url"));
    }
}

/// A text without what looks as if it were made for this answer: long runs of hexadecimal digits, and times.
fn without_ids(text: &str) -> String {
    const LONG: usize = 16;
    let mut out = String::with_capacity(text.len());
    for run in text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '_'))) {
        let is_id = run.len() >= LONG && run.bytes().filter(u8::is_ascii_digit).count() >= 4;
        out.push_str(if is_id { "…" } else { run });
    }
    out
}

/// What a request says, in the ways in which a server may repeat it.
struct Asked(Vec<String>);

impl Asked {
    fn of(all: &[String]) -> Self {
        let mut forms = Vec::new();
        for said in all {
            // A short id can stand anywhere by chance, so it is known by what stands around it.
            if said.len() < SURE {
                forms.extend(AROUND.map(|(before, after)| format!("{before}{said}{after}")));
                continue;
            }
            let quoted = Value::String(said.clone()).to_string();
            forms.extend([
                said.clone(),
                encoded(said),
                encoded(said).replace("%20", "+"),
                encoded(said).to_lowercase(),
                encoded(&encoded(said)),
                quoted.trim_matches('"').to_owned(),
                said.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;"),
                url::form_urlencoded::byte_serialize(said.as_bytes()).collect(),
                said.to_lowercase(),
                said.to_uppercase(),
            ]);
        }
        // The longest first: one may hold another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self(forms)
    }

    fn aside(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in self.0.iter().filter(|form| !form.is_empty() && *form != ASKED) {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), ASKED);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        Answer { status, headers, body: body.into(), length: body.len(), ..Answer::default() }
    }

    fn between(right: &Answer, wrong: &Answer) -> BTreeSet<Difference> {
        let said = ["1970-01-09".to_owned(), "1962-05-17".to_owned()];
        Shape::of(right, &said).differences(&Shape::of(wrong, &said))
    }

    #[test]
    fn an_echo_and_what_varies_by_itself_are_no_difference() {
        let of = |value: &str, date: &str, id: &str| {
            let body = format!(
                r#"{{"resourceType":"Bundle","id":"{id}","total":0,"link":[{{"relation":"self","url":"x?birthdate={value}"}}]}}"#
            );
            answer(200, &[("date", date), ("x-said", value)], &body)
        };
        assert!(between(&of("1970-01-09", "a", "1"), &of("1962-05-17", "b", "2")).is_empty());
    }

    #[test]
    fn the_right_value_in_both_answers_is_no_difference() {
        let of = |asked: &str| answer(403, &[], &format!(r#"{{"always":"1970-01-09","asked":"{asked}"}}"#));
        assert!(between(&of("1970-01-09"), &of("1962-05-17")).is_empty());
        assert!(!between(&of("1970-01-09"), &answer(403, &[], r#"{"asked":"1962-05-17"}"#)).is_empty());
    }

    #[test]
    fn status_header_total_entries_order_and_body_are_told_apart() {
        let entry = |id: &str| format!(r#"{{"resource":{{"resourceType":"Patient","id":"{id}"}}}}"#);
        let bundle = |total: u8, ids: &[&str]| {
            let entries = ids.iter().map(|id| entry(id)).collect::<Vec<_>>().join(",");
            answer(200, &[], &format!(r#"{{"resourceType":"Bundle","total":{total},"entry":[{entries}]}}"#))
        };
        for (right, wrong, difference) in [
            (answer(200, &[], "{}"), answer(404, &[], "{}"), Difference::Status),
            (answer(200, &[("x-a", "1")], "{}"), answer(200, &[], "{}"), Difference::Header("x-a".into())),
            (bundle(1, &["1"]), bundle(0, &["1"]), Difference::Total),
            (bundle(1, &["1"]), bundle(1, &[]), Difference::Entries),
            (bundle(1, &["1", "2"]), bundle(1, &["2", "1"]), Difference::Order),
            (answer(200, &[], r#"{"a":1}"#), answer(200, &[], r#"{"a":2}"#), Difference::Body),
        ] {
            assert_eq!(between(&right, &wrong).into_iter().collect::<Vec<_>>(), [difference]);
        }
    }

    #[test]
    fn ids_of_requests_in_an_outcome_are_set_aside() {
        let of = |id: &str| answer(500, &[], &format!(r#"{{"resourceType":"OperationOutcome","text":"{id} failed"}}"#));
        assert!(between(&of("0fe1a2b3c4d5e6f70011"), &of("ffe1a2b3c4d5e6f70012")).is_empty());
        assert!(!between(&of("found"), &of("absent")).is_empty());
    }
}
