//! Which of a caller's header fields go upstream: an allow-list, so that a field nobody thought of stays behind.
//!
//! It never passes a field that proves or claims an identity, names an address, changes the method, makes a request
//! conditional or chooses a representation; what the upstream needs of those the gateway writes itself.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Lists, which may be spread over several fields.
const LISTS: &[&str] = &["accept-language", "prefer", "tracestate"];

/// The preferences (RFC 7240) that pass: how much is answered, and how strictly a search is read. One to answer later would
/// begin what nobody follows.
const PREFERENCES: [&str; 2] = ["return=", "handling="];

/// Fields with one value. Two of them have two readings, so neither passes.
const SINGLE: &[&str] = &["content-type", "traceparent", "x-request-id"];

/// The fields of `received` that may go upstream.
///
/// A field that `Connection` names belongs to the caller's own hop (RFC 9110, section 7.6.1) and stays behind.
pub fn forwardable_request_headers(received: &HeaderMap) -> HeaderMap {
    let mut forwarded = HeaderMap::new();
    for name in LISTS.iter().chain(SINGLE).filter(|name| !is_hop_by_hop(received, name)) {
        let values = received.get_all(*name);
        if SINGLE.contains(name) && values.iter().count() > 1 {
            continue;
        }
        let passes = |value: &HeaderValue| *name != "prefer" || is_preference(value);
        for value in values.iter().filter(|value| passes(value)) {
            forwarded.append(HeaderName::from_static(name), value.clone());
        }
    }
    forwarded
}

/// Whether a field holds such preferences alone.
fn is_preference(value: &HeaderValue) -> bool {
    let passes = |text: &str| PREFERENCES.iter().any(|known| text.trim().to_ascii_lowercase().starts_with(known));
    value.to_str().is_ok_and(|list| list.split(',').all(passes))
}

fn is_hop_by_hop(received: &HeaderMap, name: &str) -> bool {
    received
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn l32_only_listed_fields_go_upstream() {
        let received = headers(&[
            ("accept-language", "de"),
            ("accept-language", "en"),
            ("content-type", "application/fhir+json"),
            ("prefer", "return=minimal"),
            ("authorization", "Bearer canary"),
            ("cookie", "canary"),
            ("forwarded", "for=canary"),
            ("x-forwarded-for", "canary"),
            ("x-forwarded-client-cert", "canary"),
            ("x-http-method-override", "DELETE"),
            ("x-role", "canary"),
            ("if-none-exist", "canary"),
            ("if-none-match", "canary"),
            ("range", "bytes=0-1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("host", "canary"),
        ]);
        let passed = headers(&[
            ("accept-language", "de"),
            ("accept-language", "en"),
            ("content-type", "application/fhir+json"),
            ("prefer", "return=minimal"),
        ]);
        assert_eq!(forwardable_request_headers(&received), passed);
    }

    #[test]
    fn l32_a_field_named_by_connection_stays_behind() {
        let received = headers(&[("connection", "keep-alive,  Content-Type"), ("content-type", "text/html")]);
        assert_eq!(forwardable_request_headers(&received), HeaderMap::new());
    }

    #[test]
    fn l32_a_single_field_sent_twice_has_two_readings_and_stays_behind() {
        let received = headers(&[("content-type", "application/json"), ("content-type", "text/html")]);
        assert_eq!(forwardable_request_headers(&received), HeaderMap::new());
    }
}
