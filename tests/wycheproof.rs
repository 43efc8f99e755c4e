//! The hostile and valid JWS and JWK vectors of Project Wycheproof, against the function that production verifies with.
//!
//! The vectors aren't part of the package: they are looked for beside it, or in the folder `FIELDGATE_CORPORA`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

mod support;

use fieldgate::identity::KeySet;
use fieldgate::identity::token::{Algorithm, verify_signature};
use serde_json::{Value, json};

/// Every algorithm that can be configured.
const ALGORITHMS: [Algorithm; 10] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::Ed25519,
];

fn vectors(name: &str) -> Option<Value> {
    let folder = support::corpus("wycheproof-jose/testvectors_v1")?;
    Some(serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap())
}

/// The key set that a verifier of the group has. Symmetric groups have no public half, so the key itself is handed over:
/// the hostile case of an issuer that publishes it.
fn key_set(group: &Value) -> KeySet {
    let key = group.get("public").unwrap_or(&group["private"]);
    let set = if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) };
    KeySet::parse(set.to_string().as_bytes()).unwrap()
}

/// Why a valid vector is refused on purpose; `None` where it must be accepted.
///
/// - HMAC: whoever can verify can sign, so it is never accepted.
/// - `figure 20` of RFC 7520 as Wycheproof has it: a PS384 signature by a key whose `alg` says PS256.
/// - ES512 with P-521, which the verifier hasn't got.
fn refused_on_purpose(group: &Value, test: &Value) -> Option<&'static str> {
    let key = group.get("public").unwrap_or(&group["private"]);
    let key = key.get("keys").map_or(key, |keys| &keys[0]);
    match (key["kty"].as_str(), key["crv"].as_str()) {
        (Some("oct"), _) => Some("HMAC"),
        (_, Some("P-521")) => Some("ES512"),
        _ if test["comment"] == "Figure20" && key["alg"] == "PS256" => Some("PS384 with a key for PS256"),
        _ => None,
    }
}

/// Runs a file; gives how many valid vectors were accepted, valid ones refused on purpose, and invalid ones refused.
fn run(name: &str) -> Option<(usize, usize, usize)> {
    let file = vectors(name)?;
    let (mut accepted, mut on_purpose, mut refused) = (0, 0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        let keys = key_set(group);
        for test in group["tests"].as_array().unwrap() {
            let jws = test["jws"].as_str().unwrap();
            let outcome = verify_signature(jws, &keys, &ALGORITHMS);
            let which = format!("{name} {} {}: {outcome:?}", test["tcId"], test["comment"]);
            match (test["result"].as_str().unwrap(), refused_on_purpose(group, test)) {
                ("valid", None) => {
                    assert!(outcome.is_ok(), "{which}");
                    accepted += 1;
                }
                ("valid", Some(_)) => {
                    assert!(outcome.is_err(), "{which}");
                    on_purpose += 1;
                }
                _ => {
                    assert!(outcome.is_err(), "{which}");
                    refused += 1;
                }
            }
        }
    }
    println!("{name}: {accepted} valid accepted, {on_purpose} valid refused on purpose, {refused} invalid refused");
    assert_eq!(accepted + on_purpose + refused, usize::try_from(file["numberOfTests"].as_u64().unwrap()).unwrap());
    Some((accepted, on_purpose, refused))
}

#[test]
fn hostile_signatures_are_refused_and_valid_ones_accepted() {
    if let Some((accepted, ..)) = run("json_web_signature_test.json") {
        assert!(accepted > 0);
    }
}

#[test]
fn hostile_keys_are_refused_and_valid_ones_accepted() {
    if let Some((accepted, ..)) = run("json_web_key_test.json") {
        assert!(accepted > 0);
    }
}

#[test]
fn a_key_with_the_primes_of_cve_2017_15361_is_weak() {
    let Some(file) = vectors("json_web_key_test.json") else { return };
    let groups = file["testGroups"].as_array().unwrap();
    let group = groups.iter().find(|group| group["comment"] == "jws_rsa_roca_key").unwrap();
    let keys = key_set(group);
    assert_eq!(keys.skipped().len(), 1);
    assert_eq!(keys.skipped()[0].1, fieldgate::identity::Unusable::Weak);
}
