//! `.well-known/smart-configuration`: what an app must know before it has a token (SMART App Launch 2.2, conformance).
//!
//! It is the gateway's own word, public as the standard wants it, and holds names of the configuration alone. What the
//! gateway doesn't know (the endpoints of an authorization server) it doesn't say.

use std::sync::Arc;

use http::{Method, Request};
use serde_json::json;

use super::Gateway;
use super::endpoint::Endpoint;
use crate::net::address::CanonicalPath;
use crate::policy::supported_scopes;

/// The path below a FHIR endpoint.
const PATH: [&str; 2] = [".well-known", "smart-configuration"];

/// The endpoint and the body of the answer, where this is what a request asks for, and there is an issuer whose tokens could count.
pub(super) fn answer(gateway: &Gateway, request: &Request<impl Sized>) -> Option<(Arc<Endpoint>, Vec<u8>)> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    let (endpoint, below) = gateway.endpoint(&CanonicalPath::parse(request.uri().path()).ok()?)?;
    let asked = below.segments() == PATH && !below.as_str().ends_with('/') && endpoint.serves.is_fhir();
    let document = asked.then(|| configuration(gateway, &endpoint)).flatten()?;
    Some((endpoint, document))
}

fn configuration(gateway: &Gateway, endpoint: &Endpoint) -> Option<Vec<u8>> {
    let mut issuers = gateway.identity.issuers();
    let (issuer, keys) = issuers.next()?;
    let roles = endpoint.roles.iter().filter_map(|role| gateway.policy.role(role));
    let mut document = json!({
        "capabilities": ["permission-patient", "permission-user", "permission-v1", "permission-v2"],
        "scopes_supported": supported_scopes(&gateway.definitions, roles),
    });
    // The standard has room for one; of several none is the one.
    if let (Some(members), None) = (document.as_object_mut(), issuers.next()) {
        members.insert("issuer".to_owned(), issuer.into());
        if let Some(keys) = keys {
            members.insert("jwks_uri".to_owned(), keys.as_str().into());
        }
    }
    Some(document.to_string().into_bytes())
}
