//! Responses of the sample upstream: resources with validators, OperationOutcomes, plain JSON.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, ETAG as ETAG_HEADER, LAST_MODIFIED, VARY};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The validator of every resource: the data never changes.
pub(super) const ETAG: &str = r#"W/"1""#;

const FHIR_JSON: &str = "application/fhir+json;charset=UTF-8";

/// A response that is not yet encoded.
pub(super) struct Answer {
    status: StatusCode,
    media_type: &'static str,
    body: Vec<u8>,
    last_modified: Option<String>,
    validator: bool,
}

impl Answer {
    /// A Bundle or a CapabilityStatement.
    pub(super) fn json(body: &Value) -> Self {
        Self {
            status: StatusCode::OK,
            media_type: FHIR_JSON,
            body: body.to_string().into_bytes(),
            last_modified: None,
            validator: false,
        }
    }

    /// A resource with its version and date.
    pub(super) fn resource(resource: &Value) -> Self {
        let updated = resource.pointer("/meta/lastUpdated").and_then(Value::as_str);
        let updated = updated.and_then(|updated| updated.parse::<Timestamp>().ok());
        let last_modified = updated.map(|updated| updated.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        Self { last_modified, validator: true, ..Self::json(resource) }
    }

    /// 304, the client's copy is still good.
    pub(super) fn not_modified() -> Self {
        let status = StatusCode::NOT_MODIFIED;
        Self { status, media_type: FHIR_JSON, body: Vec::new(), last_modified: None, validator: true }
    }

    /// An error as an OperationOutcome whose diagnostics say what was asked.
    pub(super) fn outcome(status: StatusCode, code: &str, diagnostics: String) -> Self {
        let issue = json!([{ "severity": "error", "code": code, "diagnostics": diagnostics }]);
        Self { status, ..Self::json(&json!({ "resourceType": "OperationOutcome", "issue": issue })) }
    }

    /// JSON that is not FHIR.
    pub(super) fn plain(body: &Value) -> Self {
        Self { media_type: "application/json", ..Self::json(body) }
    }

    /// An error of the plain API (RFC 9457).
    pub(super) fn problem(status: StatusCode, detail: String) -> Self {
        let body = json!({ "title": status.canonical_reason(), "status": status.as_u16(), "detail": detail });
        Self { status, media_type: "application/problem+json", ..Self::json(&body) }
    }

    /// The response; compressed where the client takes gzip. hyper sets Content-Length and drops the body for HEAD.
    pub(super) fn into_response(self, gzip: bool) -> Response<Full<Bytes>> {
        let zipped = if gzip && !self.body.is_empty() { zip(&self.body) } else { None };
        let encoded = zipped.is_some();
        let mut response = Response::new(Full::new(Bytes::from(zipped.unwrap_or(self.body))));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        if encoded {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if self.validator {
            headers.insert(ETAG_HEADER, HeaderValue::from_static(ETAG));
        }
        if let Some(date) = self.last_modified.and_then(|date| HeaderValue::try_from(date).ok()) {
            headers.insert(LAST_MODIFIED, date);
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

fn zip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}
