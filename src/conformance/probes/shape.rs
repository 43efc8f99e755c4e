//! L20, L21, L23, L24, L25: other formats, attachments, validators, parts, lengths, digests and content codings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::Timestamp;
use sha2::{Digest, Sha256, Sha512};

use super::super::client::Answer;
use super::super::request::{Filling, Request};
use super::super::suite::Suite;
use super::{guesses, seen};

/// Media types other than the usual, with what they are called in `_format`.
const FORMATS: [&str; 12] = [
    "application/fhir+xml",
    "application/xml",
    "text/xml",
    "text/turtle",
    "application/x-turtle",
    "application/fhir+ndjson",
    "application/json-patch+json",
    "text/html",
    "text/plain",
    "text/csv",
    "application/json",
    "*/*",
];

pub(super) async fn l20(suite: &mut Suite<'_>) {
    for resource in seen(suite).collect::<Vec<_>>() {
        let (of, with) = (resource.name, Filling::id(resource));
        for place in [format!("/{of}/{{id}}"), format!("/{of}?_id={{id}}")] {
            for format in FORMATS {
                suite.canary(20, &Request::get(&place, &with).header("accept", format, &with)).await;
                let joint = if place.contains('?') { '&' } else { '?' };
                let query = format.replace('+', "%2B");
                suite.canary(20, &Request::get(&format!("{place}{joint}_format={query}"), &with)).await;
            }
            for (name, value) in [
                ("accept", "application/fhir+json; charset=utf-16"),
                ("accept", "application/fhir+json; charset=utf-7"),
                ("accept-charset", "utf-16"),
                ("accept-charset", "ibm500"),
                ("accept", "application/fhir+xml, application/fhir+json;q=0.5"),
                ("accept", "application/fhir+json;fhirVersion=3.0"),
            ] {
                suite.canary(20, &Request::get(&place, &with).header(name, value, &with)).await;
            }
        }
        for format in ["xml", "ttl", "html", "html/json", "ndjson", "json", "csv"] {
            suite.canary(20, &Request::get(&format!("/{of}/{{id}}?_format={format}&_pretty=true"), &with)).await;
        }
    }
}

pub(super) async fn l21(suite: &mut Suite<'_>) {
    for resource in seen(suite).collect::<Vec<_>>() {
        let (of, with) = (resource.name, Filling::id(resource));
        for accept in
            ["*/*", "application/octet-stream", "application/pdf", "image/*", "text/plain", "application/fhir+json"]
        {
            suite.canary(21, &Request::get(&format!("/{of}/{{id}}"), &with).header("accept", accept, &with)).await;
        }
    }
    let named = suite.spec.resources.iter().any(|resource| resource.name == "Binary");
    if !named {
        suite.skip(21, "the spec names no Binary: what is encoded within other resources is looked at");
    }
}

pub(super) async fn l23(suite: &mut Suite<'_>) {
    for resource in seen(suite).collect::<Vec<_>>() {
        let (of, with) = (resource.name, Filling::id(resource));
        let read = Request::get(&format!("/{of}/{{id}}"), &with);
        let Some(answer) = suite.canary(23, &read).await else { continue };
        for (name, field) in [("if-none-match", "etag"), ("if-match", "etag"), ("if-modified-since", "last-modified")] {
            let Some(value) = answer.header(field) else { continue };
            let conditional = read.clone().secret_header(name, value, &format!("the {field}"));
            suite.canary(23, &conditional).await;
            suite
                .canary(
                    23,
                    &Request {
                        method: Method::HEAD,
                        ..conditional.told(format!("HEAD /{of}/{{id}} ({name}: the {field})"))
                    },
                )
                .await;
        }
        for (name, value) in [
            ("if-none-match", "*"),
            ("if-none-match", "W/\"1\""),
            ("if-match", "\"zzz\""),
            ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            suite.canary(23, &read.clone().header(name, value, &with)).await;
        }
    }
    for guess in guesses(suite, 23) {
        let field = |with: &Filling<'_>, value: &str| {
            let date: Timestamp = value.parse().ok()?;
            let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let read = Request::get(&format!("/{}/{{id}}", guess.resource.name), with);
            Some(read.secret_header("if-modified-since", &date, &format!("{{{}}}", guess.withheld.element)))
        };
        let [right, wrong] = &guess.fillings;
        let values =
            (field(right, &guess.withheld.value), guess.withheld.wrong.as_ref().and_then(|value| field(wrong, value)));
        if let ("meta.lastUpdated", (Some(right), Some(wrong))) = (&*guess.withheld.path, values) {
            suite.oracle(23, [right, wrong]).await;
        }
    }
}

pub(super) async fn l24(suite: &mut Suite<'_>) {
    for resource in seen(suite).collect::<Vec<_>>() {
        let with = Filling::id(resource);
        for place in ["/{id}", "?_id={id}"] {
            let template = format!("/{}{place}", resource.name);
            let whole = Request::get(&template, &with);
            let Some(shown) = suite.canary(24, &whole).await.filter(Answer::is_success) else { continue };
            let head = Request::new(Method::HEAD, &template, &with);
            if let Some(answer) = suite.canary(24, &head).await {
                let length = answer.header("content-length").and_then(|length| length.parse().ok());
                let differs = answer.is_success() && length.is_some_and(|length: usize| length != shown.length);
                suite.judged(24, &head, differs.then_some("the length is not that of what a GET shows"));
            }
            for range in ["bytes=0-99", "bytes=-100", "bytes=0-", "bytes=0-9,20-29", "bytes=99999999-"] {
                let part = whole.clone().header("range", range, &with);
                let Some(answer) = suite.canary(24, &part).await else { continue };
                let of = answer.header("content-range").and_then(|range| range.rsplit_once('/')?.1.parse().ok());
                let differs = of.is_some_and(|of: usize| of != shown.length);
                suite.judged(
                    24,
                    &part,
                    differs.then_some("the length in Content-Range is not that of what a GET shows"),
                );
            }
            for (name, value) in [
                ("want-digest", "sha-256, sha-512"),
                ("want-repr-digest", "sha-256=5, sha-512=5"),
                ("want-content-digest", "sha-256=5, sha-512=5"),
                ("te", "trailers"),
            ] {
                let request = whole.clone().header(name, value, &with);
                if let Some(answer) = suite.canary(24, &request).await {
                    let leak = foreign_digest(&answer).then_some("a digest is not that of what is shown");
                    suite.judged(24, &request, leak);
                }
            }
        }
    }
}

/// Whether a digest in the header or the trailer is of something else than the body.
fn foreign_digest(answer: &Answer) -> bool {
    let fields = answer.headers.iter().chain(&answer.trailers);
    let digests = fields.filter(|(name, _)| matches!(name.as_str(), "digest" | "repr-digest" | "content-digest"));
    let own = [STANDARD.encode(Sha256::digest(&answer.body)), STANDARD.encode(Sha512::digest(&answer.body))];
    let mut texts = digests.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    texts.any(|text| text.to_lowercase().contains("sha-") && !own.iter().any(|own| text.contains(own)))
}

pub(super) async fn l25(suite: &mut Suite<'_>) {
    for resource in seen(suite).collect::<Vec<_>>() {
        let with = Filling::id(resource);
        for place in ["/{id}", "?_id={id}"] {
            for coding in [
                "gzip",
                "br",
                "zstd",
                "deflate",
                "x-gzip",
                "compress",
                "gzip, br",
                "*",
                "identity;q=0",
                "identity;q=0, *;q=0",
                "zzz",
                "gzip;q=1.0, gzip;q=0",
            ] {
                let request = Request::get(&format!("/{}{place}", resource.name), &with);
                suite.canary(25, &request.header("accept-encoding", coding, &with)).await;
            }
        }
        // An error is encoded by other code than an answer is.
        let absent = Request::get(&format!("/{}/{{id}}/zzz", resource.name), &with);
        suite.canary(25, &absent.header("accept-encoding", "gzip", &with)).await;
    }
}
