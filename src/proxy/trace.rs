//! The id of a request and the trace that it belongs to (W3C Trace Context, level 1).
//!
//! The request's id is the gateway's own, never the caller's, so that no caller can make two requests look like one.

use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::crypto::SecureRandom;

/// The header of a request's id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Makes the ids of requests and traces.
#[derive(Clone, Copy)]
pub struct RequestIds(&'static dyn SecureRandom);

impl RequestIds {
    /// From the random generator of the cryptography that TLS uses.
    pub fn new() -> Self {
        Self(rustls::crypto::aws_lc_rs::default_provider().secure_random)
    }

    /// The trace of a request with these headers; `None` where there is no randomness, and so no request.
    pub(super) fn trace(self, headers: &HeaderMap) -> Option<Trace> {
        let (mut request, mut span) = ([0; 16], [0; 8]);
        self.0.fill(&mut request).ok()?;
        self.0.fill(&mut span).ok()?;
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = match (parents.next(), parents.next()) {
            (Some(parent), None) => parent.to_str().ok().and_then(read),
            _ => None,
        };
        let request_id = hex(&request);
        let foreign = parent.is_none();
        let (trace_id, flags) = parent.unwrap_or_else(|| (request_id.clone(), "00".to_owned()));
        Some(Trace { request_id, trace_id, span_id: hex(&span), flags, foreign })
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a request stands.
pub(super) struct Trace {
    /// The id that the gateway gave the request.
    pub(super) request_id: String,
    /// The id of its trace: the caller's, or the request's own.
    pub(super) trace_id: String,
    span_id: String,
    flags: String,
    /// Whether the trace begins here, so that a state of another one must not go along.
    foreign: bool,
}

impl Trace {
    /// Writes the headers of a request to an upstream.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let Self { request_id, trace_id, span_id, flags, foreign } = self;
        for (name, text) in
            [(REQUEST_ID, request_id.clone()), (TRACEPARENT, format!("00-{trace_id}-{span_id}-{flags}"))]
        {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
        if *foreign {
            headers.remove(TRACESTATE);
        }
    }
}

/// The trace's id and the flags of a `traceparent` of version 00, or of a later one read as it.
fn read(parent: &str) -> Option<(String, String)> {
    let mut parts = parent.split('-');
    let [version, trace, span, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let hexadecimal = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let named = |part: &str| part.bytes().any(|byte| byte != b'0');
    let whole = parts.next().is_none() || version != "00";
    let valid = hexadecimal(version, 2) && version != "ff" && hexadecimal(trace, 32) && hexadecimal(span, 16);
    (valid && whole && hexadecimal(flags, 2) && named(trace) && named(span))
        .then(|| (trace.to_owned(), flags.to_owned()))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_and_the_request_has_an_id_of_its_own() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(parent));
        headers.insert(REQUEST_ID, HeaderValue::from_static("chosen"));
        let trace = RequestIds::new().trace(&headers).unwrap();
        assert_eq!(trace.trace_id, "0af7651916cd43dd8448eb211c80319c");
        trace.write(&mut headers);
        let written = headers[TRACEPARENT].to_str().unwrap();
        assert!(written.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && written.ends_with("-01"));
        assert_ne!(written, parent, "the span is the gateway's");
        assert_eq!(headers[REQUEST_ID].to_str().unwrap(), trace.request_id);
        assert_eq!(trace.request_id.len(), 32);
    }

    #[test]
    fn a_trace_that_makes_no_sense_begins_anew() {
        for parent in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_str(parent).unwrap());
            headers.insert(TRACESTATE, HeaderValue::from_static("vendor=1"));
            let trace = RequestIds::new().trace(&headers).unwrap();
            assert_eq!(trace.trace_id, trace.request_id, "{parent}");
            trace.write(&mut headers);
            assert!(!headers.contains_key(TRACESTATE));
        }
    }
}
