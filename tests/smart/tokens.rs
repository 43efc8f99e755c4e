//! An issuer whose tokens the gateway takes, and how it is asked with them.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gateway::{POLICY, Reply, Running, Setup};

/// The identity provider.
pub(crate) const ISSUER: &str = "https://idp.example";

/// Signs tokens with a key that the gateway knows.
pub(crate) struct Issuer {
    key: EncodingKey,
    folder: TempDir,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let folder = tempfile::tempdir().unwrap();
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap()).unwrap();
        jwk["kid"] = "k".into();
        std::fs::write(folder.path().join("jwks.json"), json!({ "keys": [jwk] }).to_string()).unwrap();
        Self { key, folder }
    }

    /// A gateway that takes its tokens: the claim `role` says what their bearers act as. `more` is YAML of the issuer.
    pub(crate) fn setup(&self, more: &str) -> Setup {
        let file = self.folder.path().join("jwks.json");
        let identity = format!(
            "tokens:\n  - issuer: {ISSUER}\n    audience: fieldgate\n    keys: {{ file: {} }}\n    algorithms: [ES256]\n{more}",
            file.display()
        );
        let rules = ["desk", "billing", "clinician", "own"]
            .map(|role| format!("- {{ role: {role}, when: {{ issuer: {ISSUER}, claims: {{ role: {role} }} }} }}\n"));
        let rules = rules.concat() + "- { role: own, when: { api_key: both } }\n";
        let roles = vec!["own", "desk", "billing", "clinician"];
        Setup { identity, rules, roles, policy: [POLICY, OWN].concat(), ..Setup::default() }
    }

    /// A gateway before an upstream, as most tests need it.
    pub(crate) async fn gateway(&self, upstream: SocketAddr) -> Running {
        Running::start(upstream, self.setup("")).await
    }

    /// A token of a bearer who acts as this role, with these claims besides.
    pub(crate) fn token(&self, role: &str, more: &Value) -> String {
        let expiry = Timestamp::now() + SignedDuration::from_secs(300);
        let mut claims =
            json!({ "iss": ISSUER, "aud": "fieldgate", "sub": "app", "exp": expiry.as_second(), "role": role });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k" }).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = crypto::sign(signed.as_bytes(), &self.key, Algorithm::ES256).unwrap();
        format!("{signed}.{signature}")
    }
}

/// A role for patients themselves.
const OWN: &str = r#"
  own:
    about: A patient looks at what is theirs.
    owner: portal@hospital.example
    review_by: 2999-01-01
    purposes: [PATRQT]
    only: own-compartment
    sees: { "*": show }
    may: [read, vread, search]
"#;

/// GET with a token.
pub(crate) async fn get(gateway: &Running, token: &str, target: &str) -> Reply {
    gateway.ask(&format!("GET {target} HTTP/1.1\r\nhost: gw.example\r\nauthorization: Bearer {token}\r\n\r\n")).await
}

/// POST of a search's form, with a token.
pub(crate) async fn post(gateway: &Running, token: &str, target: &str, form: &str) -> Reply {
    let length = form.len();
    gateway
        .ask(&format!(
            "POST {target} HTTP/1.1\r\nhost: gw.example\r\nauthorization: Bearer {token}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{form}"
        ))
        .await
}
