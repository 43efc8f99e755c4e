//! L32 and L33: messages with two readings, paths that lead elsewhere, and claims to be somebody else.
//!
//! A message of which two servers read two requests can put another caller's connection out of step, so it goes to this
//! machine alone unless the spec allows it.

use http::Method;

use super::super::request::{Filling, From, Request, encoded};
use super::super::spec::{Allowed, Resource};
use super::super::suite::Suite;
use super::seen;

/// Paths by which another reading may come to the resource; the first part is the type, the second the id.
const PATHS: [&str; 25] = [
    "//{of}/{id}",
    "/./{of}/{id}",
    "/{of}//{id}",
    "/{of}/{id}/",
    "/{of}/{id}/.",
    "/{of}/./{id}",
    "/metadata/../{of}/{id}",
    "/Basic/../{of}/{id}",
    "/%2e/{of}/{id}",
    "/metadata/%2e%2e/{of}/{id}",
    "/metadata/..%2f{of}/{id}",
    "/{of}%2f{id}",
    "/{of}%252f{id}",
    "/{of}/{id}%2f",
    "/{of}/{id};x=y",
    "/{of};x=y/{id}",
    "/{of}/{id}%00",
    "/{of}/{id}%3f",
    "/{of}/{id}%23",
    "/{of}/{id}.json",
    "/{of}/{id}%20",
    "/{of}\\{id}",
    "/metadata/..;/{of}/{id}",
    "/{of}/{id}?",
    "/{of}/{id}??x=y",
];

/// Header fields by which some servers take another path or method.
const OVERRIDES: [(&str, &str); 8] = [
    ("x-original-url", "{path}/{of}/{id}"),
    ("x-rewrite-url", "{path}/{of}/{id}"),
    ("x-forwarded-path", "{path}/{of}/{id}"),
    ("x-forwarded-prefix", "{path}/{of}/{id}"),
    ("x-http-method-override", "GET"),
    ("x-http-method", "GET"),
    ("x-method-override", "GET"),
    ("x-forwarded-host", "localhost"),
];

pub(super) async fn l32(suite: &mut Suite<'_>) {
    let smuggles = suite.client.is_on_this_machine() || suite.spec.allows(Allowed::Smuggling);
    if !smuggles {
        suite.skip(32, "messages with two readings could disturb others there: allow: [smuggling] tries them");
    }
    for resource in seen(suite).collect::<Vec<_>>() {
        let (of, with) = (resource.name, Filling::id(resource));
        for path in PATHS {
            suite.canary(32, &Request::get(&path.replace("{of}", of), &with)).await;
        }
        // The first letter encoded, and the type in another letter case.
        let first = of.bytes().next().unwrap_or_default();
        let rest = of.get(1..).unwrap_or_default();
        for name in [format!("%{first:02x}{rest}"), of.to_lowercase(), of.to_uppercase()] {
            suite.canary(32, &Request::get(&format!("/{name}/{{id}}"), &with)).await;
        }
        let (path, _) = suite.client.place();
        for (name, value) in OVERRIDES {
            let value = value.replace("{path}", &path).replace("{of}", of);
            for target in ["/metadata".to_owned(), format!("/{of}/{{id}}")] {
                let method = if name.contains("method") { Method::HEAD } else { Method::GET };
                suite.canary(32, &Request::new(method, &target, &with).header(name, &value, &with)).await;
            }
        }
        by_hand(suite, resource, smuggles).await;
    }
}

/// Messages that no library writes.
async fn by_hand(suite: &mut Suite<'_>, resource: &Resource, smuggles: bool) {
    let (path, host) = suite.client.place();
    let target = format!("{path}/{}/{}", resource.name, resource.id);
    let own = suite.client.fields();
    let start = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{own}Accept: application/fhir+json\r\n");
    // One request of two readings at most: none of these can put a connection out of step.
    let mut messages = vec![
        ("Connection: Authorization", format!("{start}Connection: close, Authorization\r\n\r\n")),
        ("Connection: Accept", format!("{start}Connection: close, Accept, X-Forwarded-For\r\n\r\n")),
        (
            "Upgrade: h2c",
            format!(
                "{start}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
            ),
        ),
        ("Host twice", format!("{start}Host: localhost\r\nConnection: close\r\n\r\n")),
        (
            "an absolute target",
            format!("GET http://localhost{target} HTTP/1.1\r\nHost: {host}\r\n{own}Connection: close\r\n\r\n"),
        ),
        ("HTTP/1.0", format!("GET {target} HTTP/1.0\r\n{own}\r\n")),
        ("a fragment", format!("GET {target}#x HTTP/1.1\r\nHost: {host}\r\n{own}Connection: close\r\n\r\n")),
        ("two spaces", format!("GET  {target} HTTP/1.1\r\nHost: {host}\r\n{own}Connection: close\r\n\r\n")),
        ("a lower-case method", format!("get {target} HTTP/1.1\r\nHost: {host}\r\n{own}Connection: close\r\n\r\n")),
        (
            "Expect: 100-continue",
            format!("{start}Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"),
        ),
    ];
    if smuggles {
        let inner = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{own}X-Ignore: x");
        let body = format!("0\r\n\r\n{inner}\r\n\r\n");
        let both = |lengths: &str| format!("{start}{lengths}\r\n\r\n{body}");
        let length = body.len();
        messages.extend([
            (
                "Content-Length and Transfer-Encoding",
                both(&format!("Content-Length: {length}\r\nTransfer-Encoding: chunked")),
            ),
            ("Transfer-Encoding and Content-Length", both("Transfer-Encoding: chunked\r\nContent-Length: 5")),
            ("Transfer-Encoding: xchunked", both(&format!("Content-Length: {length}\r\nTransfer-Encoding: xchunked"))),
            ("Transfer-Encoding twice", both("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity")),
            (
                "Transfer-Encoding before a space",
                both(&format!("Content-Length: {length}\r\nTransfer-Encoding : chunked")),
            ),
            (
                "Transfer-Encoding after a tab",
                both(&format!("Content-Length: {length}\r\nTransfer-Encoding:\tchunked")),
            ),
            (
                "a folded Transfer-Encoding",
                both(&format!("Content-Length: {length}\r\nTransfer-Encoding:\r\n chunked")),
            ),
            ("two lengths", both(&format!("Content-Length: 0\r\nContent-Length: {length}"))),
            ("a list of lengths", both(&format!("Content-Length: 0, {length}"))),
            ("a signed length", both(&format!("Content-Length: +{length}"))),
            ("line feeds alone", format!("{start}X-Ignore: x\n\n{inner}\r\n\r\n")),
            (
                "a carriage return alone",
                format!("{start}X-Ignore: x\rTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n{body}"),
            ),
            ("a space before a field", format!("{start} X-Ignore: x\r\nContent-Length: {length}\r\n\r\n{body}")),
            ("a body of a GET", format!("{start}Content-Length: {}\r\n\r\n{inner}\r\n\r\n", inner.len() + 4)),
        ]);
    }
    for (what, message) in messages {
        let told = format!("GET /{}/{{id}} ({what})", resource.name);
        suite.raw(32, &message, &Request::get("", &Filling::id(resource)).told(told)).await;
    }
}

/// Header fields by which some servers believe who calls.
const CLAIMS: [(&str, &str); 26] = [
    ("x-role", "admin"),
    ("x-roles", "admin,clinician"),
    ("x-user", "admin"),
    ("x-user-id", "admin"),
    ("x-user-role", "admin"),
    ("x-user-roles", "admin"),
    ("x-remote-user", "admin"),
    ("remote-user", "admin"),
    ("x-forwarded-user", "admin"),
    ("x-forwarded-preferred-username", "admin"),
    ("x-forwarded-groups", "admin"),
    ("x-forwarded-email", "admin@localhost"),
    ("x-auth-request-user", "admin"),
    ("x-auth-request-groups", "admin"),
    ("x-authenticated-user", "admin"),
    ("x-authenticated-userid", "admin"),
    ("x-consumer-username", "admin"),
    ("x-consumer-groups", "admin"),
    ("x-credential-identifier", "admin"),
    ("x-webauth-user", "admin"),
    ("x-scopes", "system/*.*"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-real-ip", "127.0.0.1"),
    ("forwarded", "for=127.0.0.1;proto=https;by=127.0.0.1"),
    ("x-forwarded-client-cert", "By=spiffe://localhost/gateway;URI=spiffe://localhost/admin"),
    ("x-ssl-client-verify", "SUCCESS"),
];

pub(super) async fn l33(suite: &mut Suite<'_>) {
    let known = suite.client.has_credentials();
    if !known {
        suite.skip(33, "the spec has no credentials, so nobody could be told from the caller");
    }
    for resource in seen(suite).collect::<Vec<_>>() {
        let with = Filling::id(resource);
        let read = || Request::get(&format!("/{}/{{id}}", resource.name), &with);
        for (name, value) in CLAIMS {
            suite.canary(33, &read().header(name, value, &with)).await;
            if known && !resource.shown.is_empty() {
                let nobody = read().header(name, value, &with).from(From::Nobody, "without credentials");
                suite.stranger(33, &nobody).await;
            }
        }
        if !known || resource.shown.is_empty() {
            continue;
        }
        suite.stranger(33, &read().from(From::Nobody, "without credentials")).await;
        let Some(token) = suite.client.bearer() else {
            suite.skip(33, "the caller bears no token, so none can be weakened");
            continue;
        };
        for (what, weak) in weakened(&token) {
            suite.stranger(33, &read().from(From::Bearer(weak), what)).await;
        }
        if !suite.spec.allows(Allowed::TokenInQuery) {
            suite.skip(33, "a token in the query ends in logs: allow: [token-in-query] tries it");
            continue;
        }
        for name in ["access_token", "token", "authorization"] {
            let mut request = read().from(From::Nobody, "without credentials");
            request.told = format!("GET /{}/{{id}}?{name}={{token}} (without credentials)", resource.name);
            request.target = format!("{}?{name}={}", request.target, encoded(&token));
            suite.stranger(33, &request).await;
        }
    }
}

/// Tokens that nobody has signed, made of one that somebody has (RFC 8725, sections 2 and 3).
fn weakened(token: &str) -> Vec<(&'static str, String)> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return vec![("a token of another name", "zzz".to_owned())];
    };
    let unsigned = |algorithm: &str| {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#));
        format!("{header}.{claims}.")
    };
    let turned: String = signature.chars().rev().collect();
    vec![
        ("a token with alg none", unsigned("none")),
        ("a token with alg NoNe", unsigned("NoNe")),
        ("a token with alg HS256 and no signature", unsigned("HS256")),
        ("a token without its signature", format!("{header}.{claims}.")),
        ("a token with another signature", format!("{header}.{claims}.{turned}")),
        ("a token with a signature of nothing", format!("{header}.{claims}.{}", "A".repeat(signature.len()))),
    ]
}
