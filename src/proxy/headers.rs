//! Header fields on both ways: what a caller may say with them, and what an answer says.
//!
//! An answer's are written by the gateway; nothing of an upstream's passes but what stands here. What describes the
//! upstream's own bytes (their length, digest, range, validator) is never among it (L23, L24).

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LOCATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, RETRY_AFTER, VARY,
};

use super::refusal::Refusal;
use crate::fhir::OperationOutcome;
use crate::net::coding;
use crate::redact::transform::Addresses;

/// What a caller who may act in several roles picks one with.
pub(super) const ROLE: HeaderName = HeaderName::from_static("fieldgate-role");
/// What a caller picks a purpose with.
pub(super) const PURPOSE: HeaderName = HeaderName::from_static("purpose-of-use");
/// The generation of the policy that decided an answer.
const POLICY: HeaderName = HeaderName::from_static("fieldgate-policy");

/// What an answer depends on besides its address.
const VARIES: &str = "accept, authorization, fieldgate-role, purpose-of-use, x-api-key";

/// The one value of a header.
///
/// # Errors
/// Where it stands more than once or holds no plain text: two servers would read two things.
pub(super) fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) if !text.trim().is_empty() => Ok(Some(text.trim())),
            _ => Err(Refusal::Header(name)),
        },
        (Some(_), Some(_)) => Err(Refusal::Header(name)),
    }
}

/// Whether a caller takes JSON (RFC 9110, section 12.5.1).
pub(super) fn accepts_json(headers: &HeaderMap) -> bool {
    if !headers.contains_key(ACCEPT) {
        return true;
    }
    // How closely a range names each of the two media types, and whether it takes it.
    let mut best = [(0, false); 2];
    for value in headers.get_all(ACCEPT) {
        let Ok(text) = value.to_str() else { return false };
        for range in text.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let refused = parts.any(|part| {
                let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
                weight.is_some_and(|weight| !weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
            });
            let closeness = match name.as_str() {
                "application/fhir+json" => [3, 0],
                "application/json" | "text/json" | "json" => [0, 3],
                "application/*" => [2, 2],
                "*/*" => [1, 1],
                _ => [0, 0],
            };
            for (best, closeness) in best.iter_mut().zip(closeness) {
                if closeness > best.0 {
                    *best = (closeness, !refused);
                }
            }
        }
    }
    best.iter().any(|(_, taken)| *taken)
}

/// The form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A FHIR resource.
    Fhir,
    /// A document of another API.
    Document,
    /// FHIR resources, one a line.
    Lines,
}

impl Form {
    /// Its media types, by which an upstream may call it.
    fn media_types(self) -> &'static [&'static str] {
        match self {
            Self::Fhir | Self::Document => &["application/fhir+json", "application/json"],
            Self::Lines => &["application/fhir+ndjson", "application/ndjson", "application/x-ndjson"],
        }
    }

    /// What is asked for.
    fn accepted(self) -> &'static str {
        match self {
            Self::Fhir => "application/fhir+json, application/json;q=0.9",
            Self::Document => "application/json",
            Self::Lines => "application/fhir+ndjson, application/ndjson;q=0.9",
        }
    }

    /// What an answer calls it.
    fn told(self) -> &'static str {
        match self {
            Self::Fhir => OperationOutcome::MEDIA_TYPE,
            Self::Document => "application/json",
            Self::Lines => "application/fhir+ndjson",
        }
    }
}

/// Writes what the gateway asks of an upstream.
pub(super) fn ask(headers: &mut HeaderMap, form: Form) {
    headers.insert(ACCEPT, HeaderValue::from_static(form.accepted()));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding::ACCEPT_ENCODING));
}

/// The media type of a body and its parameters, in lower case, where it is said once.
pub(super) fn media_type(headers: &HeaderMap) -> Option<(String, Vec<String>)> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let mut parts = value.to_str().ok()?.split(';').map(|part| part.trim().to_ascii_lowercase());
    Some((parts.next().unwrap_or_default(), parts.collect()))
}

/// Whether a response says once that its body is of this form, in UTF-8.
pub(super) fn says(headers: &HeaderMap, form: Form) -> bool {
    let Some((media_type, parameters)) = media_type(headers) else { return false };
    form.media_types().contains(&&*media_type)
        && parameters.iter().all(|part| match part.split_once('=') {
            Some(("charset", charset)) => matches!(charset.trim_matches('"'), "utf-8" | "utf8"),
            _ => true,
        })
}

/// The header fields of an answer whose body came from an upstream with these.
pub(super) fn of_answer(received: &HeaderMap, form: Form, addresses: &dyn Addresses) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.told()));
    for name in [LOCATION, CONTENT_LOCATION] {
        let address = received.get(&name).and_then(|value| value.to_str().ok());
        let rewritten = address.and_then(|address| addresses.rewrite(address));
        if let Some(value) = rewritten.and_then(|address| HeaderValue::from_str(&address).ok()) {
            headers.insert(name, value);
        }
    }
    headers.extend(wait(received));
    headers
}

/// How many seconds an upstream asks to be left alone, as the header field that says so.
pub(super) fn wait(received: &HeaderMap) -> Option<(HeaderName, HeaderValue)> {
    let seconds = |value: &&HeaderValue| value.len() <= 6 && value.as_bytes().iter().all(u8::is_ascii_digit);
    received.get(RETRY_AFTER).filter(seconds).map(|wait| (RETRY_AFTER, wait.clone()))
}

/// Writes what every answer says.
pub(super) fn seal(headers: &mut HeaderMap, generation: &str, request_id: Option<&str>) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(VARY, HeaderValue::from_static(VARIES));
    for (name, text) in [(POLICY, Some(generation)), (super::trace::REQUEST_ID, request_id)] {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn l20_a_caller_who_takes_no_json_is_told_so() {
        for taken in [
            &["*/*"][..],
            &["application/json"],
            &["application/fhir+json; fhirVersion=4.0"],
            &["text/html, application/*;q=0.1"],
            &["application/xml", "application/json;q=0.5"],
            &["application/fhir+xml;q=0.9, */*;q=0.1"],
            &[],
        ] {
            assert!(accepts_json(&with(ACCEPT, taken)), "{taken:?}");
        }
        for refused in [
            &["application/fhir+xml"][..],
            &["text/html"],
            &["application/json;q=0"],
            &["*/*;q=0.000"],
            &["application/json;q=0, application/fhir+json;q=0.0, */*"],
            &[""],
        ] {
            assert!(!accepts_json(&with(ACCEPT, refused)), "{refused:?}");
        }
    }

    #[test]
    fn l20_a_body_is_json_only_where_it_says_so_once_and_in_utf_8() {
        for json in ["application/json", "application/fhir+json;charset=UTF-8", "Application/JSON; charset=\"utf-8\""] {
            assert!(says(&with(CONTENT_TYPE, &[json]), Form::Fhir), "{json}");
            assert!(!says(&with(CONTENT_TYPE, &[json]), Form::Lines), "{json}");
        }
        assert!(says(&with(CONTENT_TYPE, &["application/fhir+ndjson"]), Form::Lines));
        for other in
            ["text/html", "application/fhir+xml", "application/json; charset=utf-16", "application/jsonx", "", "json"]
        {
            assert!(!says(&with(CONTENT_TYPE, &[other]), Form::Fhir), "{other}");
            assert!(!says(&with(CONTENT_TYPE, &[other]), Form::Lines), "{other}");
        }
        assert!(!says(&with(CONTENT_TYPE, &["application/json", "application/json"]), Form::Fhir));
        assert!(!says(&HeaderMap::new(), Form::Fhir));
    }

    #[test]
    fn a_header_that_stands_twice_has_no_reading() {
        assert!(single(&with(ROLE, &["a", "b"]), ROLE).is_err());
        assert!(single(&with(ROLE, &[" "]), ROLE).is_err());
        assert_eq!(single(&with(ROLE, &[" a "]), ROLE).ok().flatten(), Some("a"));
        assert_eq!(single(&HeaderMap::new(), ROLE).ok().flatten(), None);
    }
}
