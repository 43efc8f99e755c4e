//! Bulk export (FHIR Bulk Data Access 2.0): its begin, its state, its manifest and its files, all led through the gateway
//! (L22).
//!
//! The upstream works and keeps the files; the gateway keeps nothing, since each link holds all that it stands for. Each
//! line of a file is filtered like a read. A file that broke off can be resumed by a range of what the caller sees, which
//! is the same each time.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_LOCATION, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use http::{Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::account::Opened;
use super::addresses::Links;
use super::body::{Answer, Beginning, Measured, Part, RedactedBody, Told};
use super::headers::{self, Form};
use super::onward::Step;
use super::refusal::{Failure, Refusal};
use super::{Decided, Gateway, ask, whole};
use crate::guard::sealed::Place;
use crate::json::node::Document;
use crate::net::upstream::UpstreamBody;

/// The resources that the file of a manifest's list may hold.
type Held = Option<Vec<Box<str>>>;

/// Answers a step of an export that the upstream has answered well.
pub(super) async fn answer(
    gateway: &Gateway,
    decided: &Decided,
    opened: Opened,
    links: &Links,
    response: Response<UpstreamBody>,
) -> Response<Answer> {
    let mut fields = HeaderMap::from_iter(headers::wait(response.headers()));
    match (decided.step, response.status()) {
        (Step::Begin, StatusCode::ACCEPTED) => {
            let address = response.headers().get(CONTENT_LOCATION).and_then(|address| address.to_str().ok());
            let link =
                address.and_then(|address| links.lead(Place::State, decided.admission.holds.as_deref(), address));
            match link.and_then(|link| HeaderValue::from_str(&link).ok()) {
                Some(link) => fields.insert(CONTENT_LOCATION, link),
                None => return opened.refuse(&Refusal::Response(Failure::Elsewhere)),
            };
            opened.without_body(StatusCode::ACCEPTED, fields)
        }
        (Step::Cancel, _) => opened.without_body(StatusCode::ACCEPTED, fields),
        (Step::State, StatusCode::ACCEPTED) => opened.without_body(StatusCode::ACCEPTED, fields),
        (Step::State, StatusCode::OK) => match manifest(gateway, decided, links, response).await {
            Ok(manifest) => opened.say(manifest),
            Err(refusal) => opened.refuse(&refusal),
        },
        // It answers as if nothing had been begun.
        _ => opened.refuse(&Refusal::Response(Failure::Status)),
    }
}

/// The manifest of an export that is complete, written anew: what the caller may fetch, by links of its own.
async fn manifest(
    gateway: &Gateway,
    decided: &Decided,
    links: &Links,
    response: Response<UpstreamBody>,
) -> Result<Bytes, Refusal> {
    let elsewhere = || Refusal::Response(Failure::Elsewhere);
    let whole = whole::of_upstream(gateway, response).await?.ok_or(Refusal::StoredTooLarge)?;
    let document = Document::read(&whole.bytes).map_err(|_| elsewhere())?;
    let root = document.root();
    let text = |name| root.member(name).map(|member| member.and_then(|member| member.as_str()));
    let time =
        text("transactionTime").map_err(|_| elsewhere())?.filter(|time| is_instant(time)).ok_or_else(elsewhere)?;
    let restricted = decided.permit.restricted();
    // What was deleted was there, seen or not.
    let lists: &[&str] = if restricted { &["output", "error"] } else { &["output", "error", "deleted"] };
    let mut written = Map::new();
    for name in lists {
        let items = root.member(name).and_then(|list| list.map_or(Ok(Vec::new()), |list| list.children()));
        let mut files = Vec::new();
        for item in items.map_err(|_| elsewhere())? {
            let member = |name| item.member(name).ok().flatten();
            let of = member("type").and_then(|of| of.as_str()).ok_or_else(elsewhere)?;
            let Some(holds) = held(decided, name, &of) else { continue };
            let address = member("url").and_then(|address| address.as_str()).ok_or_else(elsewhere)?;
            let url = links.lead(Place::File, holds.as_deref(), &address).ok_or_else(elsewhere)?;
            let mut file = json!({ "type": of, "url": url });
            // How many lines there are tells how many are withheld.
            let count = member("count").and_then(|count| std::str::from_utf8(count.text()).ok()?.parse::<u64>().ok());
            if let (Some(count), false, Some(file)) = (count, restricted, file.as_object_mut()) {
                file.insert("count".to_owned(), count.into());
            }
            files.push(file);
        }
        if *name != "deleted" || !files.is_empty() {
            written.insert((*name).to_owned(), Value::Array(files));
        }
    }
    let query = decided.admission.searched.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    let of = decided.interaction.as_ref().map(|interaction| interaction.path()).unwrap_or_default();
    let mut manifest = json!({
        "transactionTime": time,
        "request": format!("{}{of}{query}", decided.public),
        "requiresAccessToken": true,
    });
    if let Some(manifest) = manifest.as_object_mut() {
        manifest.extend(written);
    }
    Ok(manifest.to_string().into())
}

/// What a file of one type may hold; `None` where the caller may not have it.
fn held(decided: &Decided, list: &str, of: &str) -> Option<Held> {
    let Some(holds) = &decided.admission.holds else { return Some(None) };
    match list {
        // What could not be exported is told of by its codes.
        "error" => Some(Some(vec!["OperationOutcome".into()])),
        _ => {
            let mut held = holds.iter().filter(|held| held.split('/').next() == Some(of)).peekable();
            held.peek()?;
            Some(Some(held.cloned().collect()))
        }
    }
}

/// Whether this is written as an instant is (R4 datatypes.html#instant).
fn is_instant(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b':' | b'.' | b'T' | b'Z');
    (10..=40).contains(&text.len()) && text.bytes().all(allowed)
}

/// Passes on a file, or the part of it that is asked for.
pub(super) async fn file(
    gateway: &Arc<Gateway>,
    mut decided: Decided,
    opened: Opened,
    links: Arc<Links>,
    response: Response<UpstreamBody>,
) -> Response<Answer> {
    let mut fields = headers::of_answer(response.headers(), Form::Lines, &*links);
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let version = response.headers().get(ETAG).cloned();
    let validator = version.as_ref().and_then(|version| decided.file_validator(gateway, version));
    fields.extend(validator.clone().map(|validator| (ETAG, validator)));
    let given = decided.given(gateway, &opened, Some(links));
    let told = Told { status: StatusCode::OK, form: Form::Lines };
    let wants_head = opened.account.method == Method::HEAD;
    let range = decided.conditions.range.take().filter(|range| !wants_head && range.is_of(validator.as_ref()));
    let permit = decided.permit;
    let body = match RedactedBody::begin(permit, opened, response, told, given.clone()).await {
        Beginning::Body(body) => body,
        // A file of which nothing is let through has no lines.
        Beginning::Nothing(opened) if range.is_none() => return opened.without_body(StatusCode::OK, fields),
        Beginning::Nothing(opened) => return unsatisfiable(opened, fields, 0),
        Beginning::Failed(failure, opened) => return opened.refuse(&Refusal::Response(failure)),
    };
    let Some(range) = range else { return body.answer(wants_head, fields) };
    // Where a part ends must be told before it is sent, so the whole is read once before.
    let Measured { length, permit, opened } = match body.measure().await {
        Ok(measured) => measured,
        Err(Beginning::Failed(failure, opened)) => return opened.refuse(&Refusal::Response(failure)),
        Err(Beginning::Nothing(opened)) => return unsatisfiable(opened, fields, 0),
        Err(Beginning::Body(body)) => return body.answer(true, fields),
    };
    let Some((first, last)) = range.within(length) else { return unsatisfiable(opened, fields, length) };
    decided.permit = permit;
    let response = match ask::ask(gateway, &decided, &opened).await {
        Ok(response) => response,
        Err(refusal) => return opened.refuse(&refusal),
    };
    if response.status() != StatusCode::OK || response.headers().get(ETAG) != version.as_ref() {
        return opened.refuse(&Refusal::Response(Failure::Changed));
    }
    if let Ok(told) = HeaderValue::from_str(&format!("bytes {first}-{last}/{length}")) {
        fields.insert(CONTENT_RANGE, told);
    }
    let told = Told { status: StatusCode::PARTIAL_CONTENT, form: Form::Lines };
    match RedactedBody::begin(decided.permit, opened, response, told, given).await {
        Beginning::Body(body) => {
            body.only(Part { before: first, left: last + 1 - first, after: length - last - 1 }).answer(false, fields)
        }
        Beginning::Nothing(opened) => opened.refuse(&Refusal::Response(Failure::Changed)),
        Beginning::Failed(failure, opened) => opened.refuse(&Refusal::Response(failure)),
    }
}

/// Answers to a range that begins behind the end (RFC 9110, section 15.5.17).
fn unsatisfiable(opened: Opened, mut fields: HeaderMap, length: u64) -> Response<Answer> {
    fields.extend(HeaderValue::from_str(&format!("bytes */{length}")).ok().map(|told| (CONTENT_RANGE, told)));
    opened.without_body(StatusCode::RANGE_NOT_SATISFIABLE, fields)
}

/// A range of bytes that a caller asks for (RFC 9110, section 14.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    first: u64,
    /// `None` for the end.
    last: Option<u64>,
    /// The version that the caller has the rest of.
    version: Option<HeaderValue>,
}

impl Range {
    /// The one range that is asked for. Others than of the form `bytes=5-` and `bytes=5-9` are answered with the whole, as
    /// the standard allows.
    pub(super) fn of(fields: &HeaderMap) -> Option<Self> {
        let mut asked = fields.get_all(RANGE).iter();
        let (Some(range), None) = (asked.next(), asked.next()) else { return None };
        let (first, last) = range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let first: u64 = number(first)?;
        let last = if last.is_empty() { None } else { Some(number(last).filter(|last| *last >= first)?) };
        Some(Self { first, last, version: fields.get(IF_RANGE).cloned() })
    }

    /// Whether it is of the version that this validator stands for.
    fn is_of(&self, validator: Option<&HeaderValue>) -> bool {
        self.version.as_ref().is_none_or(|version| validator == Some(version))
    }

    /// Its first and its last byte in a whole of this length.
    fn within(&self, length: u64) -> Option<(u64, u64)> {
        let end = length.checked_sub(1)?;
        (self.first <= end).then(|| (self.first, self.last.unwrap_or(end).min(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Option<Range> {
        Range::of(&HeaderMap::from_iter([(RANGE, HeaderValue::from_str(text).unwrap())]))
    }

    #[test]
    fn a_range_of_bytes_is_read_as_the_standard_says() {
        for (text, length, expected) in [
            ("bytes=0-", 10, Some((0, 9))),
            ("bytes=5-", 10, Some((5, 9))),
            ("bytes=5-7", 10, Some((5, 7))),
            ("bytes=5-99", 10, Some((5, 9))),
            ("bytes=9-9", 10, Some((9, 9))),
            ("bytes=10-", 10, None),
            ("bytes=0-", 0, None),
        ] {
            assert_eq!(range(text).unwrap().within(length), expected, "{text} of {length}");
        }
        for other in ["bytes=-5", "bytes=7-5", "bytes=0-1,3-4", "lines=0-", "bytes=", "bytes=+1-", "bytes=a-"] {
            assert_eq!(range(other), None, "{other}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_none() {
        let validator = HeaderValue::from_static("\"a\"");
        let asked = Range { first: 0, last: None, version: Some(validator.clone()) };
        assert!(asked.is_of(Some(&validator)));
        assert!(!asked.is_of(Some(&HeaderValue::from_static("\"b\""))) && !asked.is_of(None));
        assert!(range("bytes=0-").unwrap().is_of(None));
    }

    #[test]
    fn only_what_looks_like_an_instant_is_told_as_one() {
        assert!(is_instant("2026-11-22T10:00:00.123+01:00"));
        assert!(!is_instant("2026-11-22T10:00:00Z Ada") && !is_instant(""));
    }
}
