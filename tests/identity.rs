//! Who calls, proven over real sockets with real keys and certificates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use fieldgate::identity::api_key::ApiKeyError;
use fieldgate::identity::token::TokenError;
use fieldgate::identity::{
    Config, Fetch, FetchError, Identity, Reason, RoleMap, RoleRule, Unauthenticated, identity_of,
};
use fieldgate::model::{Caller, Connection, Proof};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, crypto};
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, RsaKeySize, SanType};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const ISSUER: &str = "https://idp.example";
const API_KEY: &str = "canary-key-0123456789abcdef0123456789";

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// One key of an issuer, with its public half as it is published.
struct Signer {
    algorithm: jsonwebtoken::Algorithm,
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    fn ec(id: &str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self::new(id, jsonwebtoken::Algorithm::ES256, EncodingKey::from_ec_der(&pair.serialize_der()))
    }

    fn ed(id: &str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
        Self {
            algorithm: jsonwebtoken::Algorithm::EdDSA,
            key: EncodingKey::from_ed_der(&pair.serialize_der()),
            jwk: json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "use": "sig", "alg": "EdDSA" }),
        }
    }

    fn rsa(id: &str) -> Self {
        let pair = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        // The signer wants PKCS #1, which is what PKCS #8 wraps in 26 bytes.
        Self::new(id, jsonwebtoken::Algorithm::RS256, EncodingKey::from_rsa_der(&pair.serialize_der()[26..]))
    }

    fn new(id: &str, algorithm: jsonwebtoken::Algorithm, key: EncodingKey) -> Self {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
        jwk["kid"] = id.into();
        jwk["use"] = "sig".into();
        Self { algorithm, key, jwk }
    }

    fn header(&self) -> Value {
        json!({ "alg": format!("{:?}", self.algorithm), "typ": "at+jwt", "kid": self.jwk["kid"] })
    }

    fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header().to_string(), &claims.to_string())
    }

    fn token_with(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = crypto::sign(signed.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "fieldgate", "sub": "alice", "exp": after(300).as_second(),
        "groups": ["canary-claim", "front-desk"], "scope": "openid patient/read",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().shift_remove(name);
    claims
}

fn key_set(signers: &[&Signer]) -> String {
    json!({ "keys": signers.iter().map(|signer| signer.jwk.clone()).collect::<Vec<_>>() }).to_string()
}

/// The outgoing client of these tests: hyper's, over a real socket.
struct RealFetch;

impl Fetch for RealFetch {
    fn get<'a>(
        &'a self,
        url: &'a url::Url,
        limit: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + 'a>> {
        Box::pin(async move {
            let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
            let answer = client.get(url.as_str().parse().unwrap()).await;
            let answer = answer.map_err(|error| FetchError::Unreachable(Box::new(error)))?;
            if answer.status() != StatusCode::OK {
                return Err(FetchError::Status(answer.status().as_u16()));
            }
            let body = Limited::new(answer.into_body(), limit).collect().await;
            Ok(body.map_err(|_| FetchError::TooLarge(limit))?.to_bytes())
        })
    }
}

/// An issuer's web server: the answer it gives and how often it was asked.
struct KeyServer {
    url: String,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<(StatusCode, String)>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl KeyServer {
    async fn start(keys: String) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(Mutex::new((StatusCode::OK, keys)));
        let (count, current) = (asked.clone(), answer.clone());
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (count, current) = (count.clone(), current.clone());
                let service = service_fn(move |_: Request<hyper::body::Incoming>| {
                    count.fetch_add(1, Ordering::SeqCst);
                    let (status, body) = current.lock().unwrap().clone();
                    async move {
                        Ok::<_, Infallible>(Response::builder().status(status).body(Full::<Bytes>::from(body)).unwrap())
                    }
                });
                tokio::spawn(async move {
                    let served = hyper::server::conn::http1::Builder::new();
                    let _ = served.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, asked, answer, serving }
    }

    fn answer(&self, status: StatusCode, body: String) {
        *self.answer.lock().unwrap() = (status, body);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn identity(&self) -> Identity {
        open(&format!(
            "tokens: [{{ issuer: '{ISSUER}', audience: fieldgate, keys: {{ url: '{}' }}, algorithms: [ES256] }}]",
            self.url
        ))
    }
}

fn open(config: &str) -> Identity {
    open_in(config, Path::new("/")).unwrap()
}

fn open_in(config: &str, base: &Path) -> Result<Identity, fieldgate::identity::IdentityError> {
    let config: Config = serde_saphyr::from_str(config).unwrap();
    Identity::open(&config, base, Arc::new(RealFetch))
}

/// A folder with `jwks.json` and `keys.yaml`, and an identity that reads them.
fn from_files(signers: &[&Signer], extra: &str) -> Identity {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("jwks.json"), key_set(signers)).unwrap();
    let hash: String = Sha256::digest(API_KEY).iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = format!("- name: acme\n  sha256: {hash}\n  until: 2026-06-30\n");
    std::fs::write(folder.path().join("keys.yaml"), keys).unwrap();
    let config = format!(
        "tokens:\n  - issuer: {ISSUER}\n    audience: [fieldgate, https://fieldgate.example]\n    keys: {{ file: jwks.json }}\n    \
         algorithms: [RS256, ES256, EdDSA]\n{extra}api_keys: {{ file: keys.yaml }}\n"
    );
    open_in(&config, folder.path()).unwrap()
}

fn connection(certificate: Option<&[u8]>) -> Connection {
    Connection {
        peer: "127.0.0.1:1".parse().unwrap(),
        certificate: certificate.map(|der| Arc::new(identity_of(der).unwrap())),
    }
}

fn certificate(uri: &str) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn thumbprint(der: &[u8]) -> Value {
    json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(Sha256::digest(der)) })
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

async fn bearer(identity: &Identity, token: &str, now: Timestamp) -> Result<Caller, Reason> {
    bearer_over(identity, token, None, now).await
}

async fn bearer_over(
    identity: &Identity,
    token: &str,
    certificate: Option<&[u8]>,
    now: Timestamp,
) -> Result<Caller, Reason> {
    let headers = headers(&[("authorization", &format!("Bearer {token}"))]);
    identity.authenticate(&connection(certificate), &headers, now).await.map_err(|refused| refused.reason)
}

async fn refused(identity: &Identity, fields: &[(&str, &str)]) -> Unauthenticated {
    identity.authenticate(&connection(None), &headers(fields), now()).await.unwrap_err()
}

fn token_error(outcome: Result<Caller, Reason>) -> TokenError {
    match outcome {
        Err(Reason::Token(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_names_its_caller() {
    let (rsa, ec, ed) = (Signer::rsa("r"), Signer::ec("e"), Signer::ed("d"));
    let identity = from_files(&[&rsa, &ec, &ed], "");
    for signer in [&rsa, &ec, &ed] {
        let caller = bearer(&identity, &signer.token(&with("purpose_of_use", json!(["TREAT"]))), now()).await.unwrap();
        assert_eq!(caller.name, "https://idp.example|alice");
        assert_eq!(caller.proof, Proof::Token);
        assert_eq!(caller.issuer.as_deref(), Some(ISSUER));
        assert_eq!(caller.claims["groups"][1], "front-desk");
        assert_eq!(caller.purposes.unwrap()[0].code(), "TREAT");
    }
    let lower = format!("bearer  {}", ec.token(&claims()));
    assert!(identity.authenticate(&connection(None), &headers(&[("authorization", &lower)]), now()).await.is_ok());
}

#[tokio::test]
async fn claims_that_do_not_prove_the_token_are_refused() {
    let signer = Signer::ec("e");
    let identity = from_files(&[&signer], "");
    let far = after(1000).as_second();
    for (claims, error) in [
        (without("exp"), TokenError::Claim("exp")),
        (with("exp", json!("2030")), TokenError::Claim("exp")),
        (with("exp", json!(null)), TokenError::Claim("exp")),
        (with("exp", json!(1e300)), TokenError::Claim("exp")),
        (with("exp", json!(i64::MIN)), TokenError::Expired),
        (with("exp", json!(after(-60).as_second())), TokenError::Expired),
        (with("nbf", json!(after(61).as_second())), TokenError::NotYetValid),
        (with("nbf", json!(far as f64 + 0.5)), TokenError::NotYetValid),
        (with("nbf", json!([])), TokenError::Claim("nbf")),
        (without("aud"), TokenError::Claim("aud")),
        (with("aud", json!("Fieldgate")), TokenError::Audience),
        (with("aud", json!([])), TokenError::Audience),
        (with("aud", json!(["other"])), TokenError::Audience),
        (with("aud", json!(["fieldgate", 7])), TokenError::Claim("aud")),
        (without("iss"), TokenError::Issuer),
        (with("iss", json!("https://idp.example/")), TokenError::Issuer),
        (with("iss", json!(["https://idp.example"])), TokenError::Issuer),
        (without("sub"), TokenError::Claim("sub")),
        (with("sub", json!("")), TokenError::Claim("sub")),
        (with("sub", json!("a\nb")), TokenError::Claim("sub")),
        (with("sub", json!(7)), TokenError::Claim("sub")),
    ] {
        assert_eq!(token_error(bearer(&identity, &signer.token(&claims), now()).await), error, "{claims}");
    }
    for claims in [
        with("exp", json!(after(-59).as_second())),
        with("nbf", json!(after(60).as_second())),
        with("exp", json!(after(300).as_second() as f64 + 0.25)),
        with("aud", json!(["other", "https://fieldgate.example"])),
    ] {
        assert!(bearer(&identity, &signer.token(&claims), now()).await.is_ok(), "{claims}");
    }
}

#[tokio::test]
async fn l33_alg_none_and_key_confusion_are_refused() {
    let (rsa, ec) = (Signer::rsa("r"), Signer::ec("e"));
    let identity = from_files(&[&rsa, &ec], "");
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let body = part(claims().to_string());
    for none in ["none", "None", "NONE", ""] {
        let header = part(json!({ "alg": none, "kid": "e" }).to_string());
        for signature in ["", "AAAA"] {
            let outcome = bearer(&identity, &format!("{header}.{body}.{signature}"), now()).await;
            assert_eq!(token_error(outcome), TokenError::Algorithm);
        }
    }
    // HMAC with what an attacker knows: the public key, in each form that a library might take as the secret.
    for (id, signer) in [("r", &rsa), ("e", &ec)] {
        let raw = signer.jwk["n"].as_str().or(signer.jwk["x"].as_str()).unwrap();
        let decoded = URL_SAFE_NO_PAD.decode(raw).unwrap();
        for secret in [raw.as_bytes(), &decoded, signer.jwk.to_string().as_bytes(), b""] {
            let key = EncodingKey::from_secret(secret);
            let signed = format!("{}.{body}", part(json!({ "alg": "HS256", "kid": id }).to_string()));
            let mac = crypto::sign(signed.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
            let outcome = bearer(&identity, &format!("{signed}.{mac}"), now()).await;
            assert_eq!(token_error(outcome), TokenError::Algorithm);
        }
    }
    let header = |id: &str, alg: &str| json!({ "alg": alg, "kid": id }).to_string();
    let outcome = bearer(&identity, &ec.token_with(&header("r", "ES256"), &claims().to_string()), now()).await;
    assert_eq!(token_error(outcome), TokenError::KeyMismatch);
    let outcome = bearer(&identity, &rsa.token_with(&header("r", "PS256"), &claims().to_string()), now()).await;
    assert_eq!(token_error(outcome), TokenError::Algorithm);
    let outcome = bearer(&identity, &Signer::ec("e").token(&claims()), now()).await;
    assert_eq!(token_error(outcome), TokenError::Signature);
    let outcome = bearer(&identity, &Signer::ec("other").token(&claims()), now()).await;
    assert_eq!(token_error(outcome), TokenError::UnknownKey);
}

#[tokio::test]
async fn keys_that_the_token_brings_along_are_not_looked_at() {
    let (own, attacker) = (Signer::ec("e"), Signer::ec("e"));
    let identity = from_files(&[&own], "");
    for (name, value) in [
        ("jwk", attacker.jwk.clone()),
        ("jku", json!("http://127.0.0.1:9/jwks")),
        ("x5u", json!("http://127.0.0.1:9/chain")),
        ("x5c", json!(["AAAA"])),
    ] {
        let mut header = own.header();
        header[name] = value;
        let forged = attacker.token_with(&header.to_string(), &claims().to_string());
        assert_eq!(token_error(bearer(&identity, &forged, now()).await), TokenError::Signature);
        let genuine = own.token_with(&header.to_string(), &claims().to_string());
        assert!(bearer(&identity, &genuine, now()).await.is_ok());
    }
}

#[tokio::test]
async fn a_token_of_doubtful_form_is_refused() {
    let signer = Signer::ec("e");
    let identity = from_files(&[&signer], "");
    let (header, body) = (signer.header().to_string(), claims().to_string());
    let critical = r#"{"alg":"ES256","kid":"e","crit":["b64"],"b64":false}"#;
    assert_eq!(token_error(bearer(&identity, &signer.token_with(critical, &body), now()).await), TokenError::Critical);
    for kind in ["dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE"] {
        let header = json!({ "alg": "ES256", "kid": "e", "typ": kind }).to_string();
        assert_eq!(token_error(bearer(&identity, &signer.token_with(&header, &body), now()).await), TokenError::Kind);
    }
    let twice_in_header = r#"{"alg":"ES256","kid":"e","kid":"e"}"#;
    let twice_in_claims = body.replacen('{', r#"{"groups":["admins"],"#, 1);
    let good = signer.token(&claims());
    for token in [
        signer.token_with(twice_in_header, &body),
        signer.token_with(&header, &twice_in_claims),
        signer.token_with("[]", &body),
        signer.token_with(r#"{"kid":"e"}"#, &body),
        signer.token_with(r#"{"alg":"ES256","kid":7}"#, &body),
        format!("{good}.x"),
        format!(".{good}"),
        good.replace('.', ""),
    ] {
        assert_eq!(token_error(bearer(&identity, &token, now()).await), TokenError::Malformed, "{token}");
    }
    assert_eq!(token_error(bearer(&identity, &format!("{good}="), now()).await), TokenError::Signature);
    let long = signer.token(&with("pad", json!("x".repeat(16 * 1024))));
    assert_eq!(token_error(bearer(&identity, &long, now()).await), TokenError::TooLong);
}

#[tokio::test]
async fn without_a_key_id_exactly_one_key_must_fit() {
    let (one, two) = (Signer::ec("1"), Signer::ec("2"));
    let token = one.token_with(r#"{"alg":"ES256"}"#, &claims().to_string());
    assert!(bearer(&from_files(&[&one, &Signer::ed("d")], ""), &token, now()).await.is_ok());
    assert_eq!(token_error(bearer(&from_files(&[&one, &two], ""), &token, now()).await), TokenError::AmbiguousKey);
    let same_id = Signer::ec("1");
    let outcome = bearer(&from_files(&[&one, &same_id], ""), &one.token(&claims()), now()).await;
    assert_eq!(token_error(outcome), TokenError::AmbiguousKey);
}

#[tokio::test]
async fn a_published_private_key_proves_nothing() {
    let mut leaked = Signer::ec("e");
    leaked.jwk["d"] = "AAAA".into();
    let identity = from_files(&[&leaked, &Signer::ec("other")], "");
    assert_eq!(token_error(bearer(&identity, &leaked.token(&claims()), now()).await), TokenError::UnknownKey);
}

#[tokio::test]
async fn a_bound_token_counts_with_its_certificate_alone() {
    let signer = Signer::ec("e");
    let (own, other) = (certificate("spiffe://acme.example/a"), certificate("spiffe://acme.example/a"));
    let bound = signer.token(&with("cnf", thumbprint(&own)));
    let (optional, required) = (from_files(&[&signer], ""), from_files(&[&signer], "    bound: required\n"));
    for identity in [&optional, &required] {
        let caller = bearer_over(identity, &bound, Some(&own), now()).await.unwrap();
        assert_eq!((caller.proof, caller.name.as_str()), (Proof::BoundToken, "https://idp.example|alice"));
        assert_eq!(caller.certificate.unwrap().san_uri, ["spiffe://acme.example/a"]);
        for presented in [None, Some(other.as_slice())] {
            let outcome = bearer_over(identity, &bound, presented, now()).await;
            assert_eq!(token_error(outcome), TokenError::BoundElsewhere);
        }
        let mut both = thumbprint(&own);
        both["jkt"] = "AAAA".into();
        for confirmation in [json!({ "jkt": "AAAA" }), json!({}), both] {
            let token = signer.token(&with("cnf", confirmation));
            assert_eq!(token_error(bearer_over(identity, &token, Some(&own), now()).await), TokenError::Confirmation);
        }
        for confirmation in [json!(null), json!("x"), json!({ "x5t#S256": 7 }), json!({ "x5t#S256": "?" })] {
            let token = signer.token(&with("cnf", confirmation));
            assert_eq!(token_error(bearer_over(identity, &token, Some(&own), now()).await), TokenError::Claim("cnf"));
        }
    }
    let unbound = signer.token(&claims());
    assert_eq!(bearer_over(&optional, &unbound, Some(&own), now()).await.unwrap().proof, Proof::Token);
    assert_eq!(token_error(bearer_over(&required, &unbound, Some(&own), now()).await), TokenError::NotBound);
}

#[tokio::test]
async fn a_certificate_or_an_api_key_alone_names_the_caller() {
    let identity = from_files(&[&Signer::ec("e")], "");
    let der = certificate("spiffe://acme.example/billing");
    let caller = identity.authenticate(&connection(Some(&der)), &HeaderMap::new(), now()).await.unwrap();
    assert_eq!((caller.name.as_str(), caller.proof), ("spiffe://acme.example/billing", Proof::Certificate));

    let sent = headers(&[("x-api-key", API_KEY)]);
    let caller = identity.authenticate(&connection(Some(&der)), &sent, now()).await.unwrap();
    assert_eq!((caller.name.as_str(), caller.proof), ("api-key|acme", Proof::ApiKey));
    assert!(caller.certificate.is_some());
    let late = "2026-07-01T00:00:00Z".parse().unwrap();
    let expired = identity.authenticate(&connection(Some(&der)), &sent, late).await.unwrap_err();
    assert_eq!(expired.reason, Reason::ApiKey(ApiKeyError::Expired));
}

#[tokio::test]
async fn l33_what_merely_says_who_somebody_is_proves_nothing() {
    let signer = Signer::ec("e");
    let identity = from_files(&[&signer], "");
    let xfcc = "By=spiffe://a;Hash=00;URI=spiffe://acme.example/billing";
    let said = [("x-role", "clinician"), ("x-forwarded-client-cert", xfcc), ("proxy-authorization", "Bearer x")];
    let missing = refused(&identity, &said).await;
    assert_eq!(missing.reason, Reason::Missing);
    assert_eq!(missing.challenge, r#"Bearer realm="fieldgate", ApiKey realm="fieldgate", header="X-Api-Key""#);

    let token = format!("Bearer {}", signer.token(&claims()));
    for both in [
        [("authorization", token.as_str()), ("x-api-key", API_KEY)],
        [("authorization", &token), ("authorization", &token)],
        [("x-api-key", API_KEY), ("x-api-key", API_KEY)],
    ] {
        assert_eq!(refused(&identity, &both).await.reason, Reason::Ambiguous);
    }
    for other in ["Basic YTpi", "Bearer", "Bearer ", "Bearer a b", "Bearer a,Bearer b", "", "DPoP x"] {
        assert_eq!(refused(&identity, &[("authorization", other)]).await.reason, Reason::Malformed);
    }
}

#[tokio::test]
async fn a_refused_credential_is_not_passed_over_for_the_certificate() {
    let identity = open("{}");
    let der = certificate("spiffe://acme.example/billing");
    assert!(identity.authenticate(&connection(Some(&der)), &HeaderMap::new(), now()).await.is_ok());
    for field in [("authorization", "Bearer x.y.z"), ("x-api-key", API_KEY), ("authorization", "Basic YTpi")] {
        let refused = identity.authenticate(&connection(Some(&der)), &headers(&[field]), now()).await.unwrap_err();
        assert_eq!(refused.challenge, r#"Certificate realm="fieldgate""#);
    }
}

#[tokio::test]
async fn l31_a_refusal_holds_no_value_of_the_request() {
    let signer = Signer::ec("e");
    let identity = from_files(&[&signer], "");
    let expired = signer.token(&json!({ "iss": ISSUER, "aud": "fieldgate", "sub": "canary-sub", "exp": 1 }));
    let foreign = signer.token(&with("iss", json!("canary-issuer")));
    for fields in [
        [("authorization", format!("Bearer {expired}"))],
        [("authorization", format!("Bearer {foreign}"))],
        [("authorization", "Bearer canary".to_owned())],
        [("authorization", "canary".to_owned())],
        [("x-api-key", API_KEY.replace("key", "yek"))],
    ] {
        let refused = refused(&identity, &[(fields[0].0, &fields[0].1)]).await;
        let challenge = refused.challenge.to_str().unwrap();
        let shown = format!("{refused} {refused:?} {} {challenge}", refused.source().unwrap());
        assert!(!shown.contains("canary") && !shown.contains(expired.split('.').next().unwrap()), "{shown}");
    }
    let refused = refused(&identity, &[("authorization", &format!("Bearer {expired}"))]).await;
    assert_eq!(
        refused.challenge,
        "Bearer realm=\"fieldgate\", error=\"invalid_token\", error_description=\"the token has expired\", \
         ApiKey realm=\"fieldgate\", header=\"X-Api-Key\""
    );
}

#[tokio::test]
async fn an_unknown_key_id_fetches_the_keys_at_once_and_then_rests() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let server = KeyServer::start(key_set(&[&old])).await;
    let identity = server.identity();
    assert_eq!(server.asked(), 0);
    bearer(&identity, &old.token(&claims()), now()).await.unwrap();
    bearer(&identity, &old.token(&claims()), after(1)).await.unwrap();
    assert_eq!(server.asked(), 1);

    server.answer(StatusCode::OK, key_set(&[&old, &new]));
    bearer(&identity, &new.token(&claims()), after(2)).await.unwrap();
    assert_eq!(server.asked(), 2);

    let stranger = Signer::ec("stranger");
    for second in 2..32 {
        let outcome = bearer(&identity, &stranger.token(&claims()), after(second)).await;
        assert_eq!(token_error(outcome), TokenError::UnknownKey);
    }
    assert_eq!(server.asked(), 2);
    server.answer(StatusCode::OK, key_set(&[&stranger]));
    bearer(&identity, &stranger.token(&claims()), after(32)).await.unwrap();
    assert_eq!(token_error(bearer(&identity, &old.token(&claims()), after(33)).await), TokenError::UnknownKey);
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn many_requests_at_once_make_one_fetch() {
    let signer = Arc::new(Signer::ec("e"));
    let server = KeyServer::start(key_set(&[&signer])).await;
    let identity = Arc::new(server.identity());
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let (identity, token) = (identity.clone(), signer.token(&claims()));
            tokio::spawn(async move { bearer(&identity, &token, now()).await.is_ok() })
        })
        .collect();
    for request in requests {
        assert!(request.await.unwrap());
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn old_keys_are_fetched_anew_and_outlive_a_failure_for_a_day() {
    let signer = Signer::ec("e");
    let server = KeyServer::start(key_set(&[&signer])).await;
    let identity = server.identity();
    let long_lived = signer.token(&with("exp", json!(after(1_000_000).as_second())));
    bearer(&identity, &long_lived, now()).await.unwrap();
    bearer(&identity, &long_lived, after(599)).await.unwrap();
    assert_eq!(server.asked(), 1);

    server.answer(StatusCode::INTERNAL_SERVER_ERROR, String::new());
    bearer(&identity, &long_lived, after(600)).await.unwrap();
    bearer(&identity, &long_lived, after(629)).await.unwrap();
    assert_eq!(server.asked(), 2);
    server.answer(StatusCode::OK, "<html>".to_owned());
    bearer(&identity, &long_lived, after(24 * 3600 - 1)).await.unwrap();
    let outcome = bearer(&identity, &long_lived, after(24 * 3600 + 100)).await;
    assert_eq!(outcome.unwrap_err(), Reason::KeysUnavailable);

    // A set without keys is an answer: the issuer takes everything back.
    server.answer(StatusCode::OK, r#"{"keys":[]}"#.to_owned());
    let outcome = bearer(&identity, &long_lived, after(24 * 3600 + 200)).await;
    assert_eq!(token_error(outcome), TokenError::UnknownKey);
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_keep_old_keys_fresh() {
    let signer = Signer::ec("e");
    let server = KeyServer::start(key_set(&[&signer])).await;
    let identity = server.identity();
    bearer(&identity, &signer.token(&claims()), now()).await.unwrap();
    bearer(&identity, &signer.token(&claims()), after(-3600)).await.unwrap();
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_key_set_over_the_limit_is_not_read() {
    let signer = Signer::ec("e");
    let server = KeyServer::start(format!("{}{}", key_set(&[&signer]), " ".repeat(1024 * 1024))).await;
    let outcome = bearer(&server.identity(), &signer.token(&claims()), now()).await;
    assert_eq!(outcome.unwrap_err(), Reason::KeysUnavailable);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_end_the_fetch() {
    let signer = Signer::ec("e");
    let server = KeyServer::start(key_set(&[&signer])).await;
    let identity = server.identity();
    let token = signer.token(&claims());
    {
        let mut request = std::pin::pin!(bearer(&identity, &token, now()));
        let once = std::future::poll_fn(|context| std::task::Poll::Ready(request.as_mut().poll(context)));
        assert!(once.await.is_pending());
    }
    bearer(&identity, &token, after(1)).await.unwrap();
    assert_eq!(server.asked(), 1);
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty.json"), r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"s"}]}"#).unwrap();
    std::fs::write(folder.path().join("jwks.json"), key_set(&[&Signer::ec("e")])).unwrap();
    std::fs::write(folder.path().join("bad.yaml"), "- { name: a, sha256: b }\n").unwrap();
    let entry = |rest: &str| format!("tokens: [{{ issuer: i, audience: a, algorithms: [ES256], {rest} }}]");
    let twice = "{ issuer: i, audience: a, algorithms: [ES256], keys: { file: jwks.json } }";
    for (config, said) in [
        (entry("keys: { file: missing.json }"), "missing.json can't be read"),
        (entry("keys: { file: empty.json }"), "no key that can be used; keys[0]: its kind"),
        (entry("keys: { file: bad.yaml }"), "can't be used as the issuer's keys"),
        (entry("keys: { url: 'http://idp.example/jwks' }"), "must be https"),
        (entry("keys: { url: 'http://localhost/jwks' }"), "must be https"),
        (entry("keys: { url: 'https://u:p@idp.example/jwks' }"), "must be https"),
        (entry("keys: { url: jwks }"), "isn't a URL"),
        (entry("keys: { file: jwks.json }, leeway: 301s"), "between 0s and 300s"),
        (entry("keys: { file: jwks.json }, purpose_claim: []"), "purpose_claim"),
        (format!("tokens: [{twice}, {twice}]"), "stands twice"),
        ("tokens: [{ issuer: 'a|b', audience: a, algorithms: [ES256], keys: { file: x } }]".to_owned(), "without `|`"),
        ("tokens: [{ issuer: a, audience: [], algorithms: [ES256], keys: { file: x } }]".to_owned(), "`audience`"),
        ("tokens: [{ issuer: a, audience: a, algorithms: [], keys: { file: x } }]".to_owned(), "`algorithms`"),
        ("api_keys: { file: none.yaml }".to_owned(), "none.yaml can't be read"),
        ("api_keys: { file: bad.yaml }".to_owned(), "bad.yaml can't be used as the API keys"),
    ] {
        let error = open_in(&config, folder.path()).err().unwrap_or_else(|| panic!("accepted: {config}"));
        assert!(error.to_string().contains(said), "{error}");
    }
    for config in [
        entry("keys: { file: jwks.json }").replace("ES256", "HS256"),
        entry("keys: { file: jwks.json }").replace("ES256", "none"),
        entry("keys: { file: jwks.json }, audiences: x"),
        entry("keys: { file: jwks.json, url: 'https://x' }"),
        "token: []".to_owned(),
    ] {
        assert!(serde_saphyr::from_str::<Config>(&config).is_err(), "{config}");
    }
    assert!(open_in(&entry("keys: { file: jwks.json }, leeway: 5m, bound: required"), folder.path()).is_ok());
}

fn rules(text: &str) -> Vec<RoleRule> {
    serde_saphyr::from_str(text).unwrap()
}

#[tokio::test]
async fn roles_follow_the_order_of_the_rules_and_need_all_that_is_stated() {
    let signer = Signer::ec("e");
    let identity = from_files(&[&signer], "");
    let der = certificate("spiffe://acme.example/billing");
    let digest: String = Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
    let map = RoleMap::new(
        &rules(&format!(
            "
- {{ role: any-token, when: {{ issuer: {ISSUER} }} }}
- {{ role: front-desk, when: {{ issuer: {ISSUER}, claims: {{ groups: [nurses, front-desk] }} }} }}
- {{ role: any-token, when: {{ issuer: {ISSUER}, claims: {{ scope: patient/read }} }} }}
- {{ role: realm, when: {{ issuer: {ISSUER}, claims: {{ realm_access: {{ roles: clerk }}, active: true }} }} }}
- {{ role: never, when: {{ issuer: {ISSUER}, claims: {{ groups: front-desk, sub: bob }} }} }}
- {{ role: partial, when: {{ issuer: {ISSUER}, claims: {{ groups: front }} }} }}
- {{ role: over-vendor, when: {{ issuer: {ISSUER}, certificate: {{ san_uri: 'spiffe://acme.example/billing' }} }} }}
- {{ role: vendor, when: {{ certificate: {{ san_uri: 'spiffe://acme.example/billing', fingerprint: '{digest}' }} }} }}
- {{ role: other-vendor, when: {{ certificate: {{ san_uri: 'spiffe://acme.example/billing', san_dns: acme.example }} }} }}
- {{ role: machine, when: {{ api_key: acme }} }}
"
        )),
        &identity,
    )
    .unwrap();
    assert_eq!(map.roles().count(), 10);
    let roles = |caller: &Caller| map.roles_of(caller).iter().map(ToString::to_string).collect::<Vec<_>>();

    let plain = signer.token(&claims());
    assert_eq!(roles(&bearer(&identity, &plain, now()).await.unwrap()), ["any-token", "front-desk"]);
    let mut nested = with("realm_access", json!({ "roles": ["clerk"] }));
    nested["active"] = true.into();
    let caller = bearer(&identity, &signer.token(&nested), now()).await.unwrap();
    assert_eq!(roles(&caller), ["any-token", "front-desk", "realm"]);

    // A token over the vendor's connection is the token's caller, never the vendor.
    let caller = bearer_over(&identity, &plain, Some(&der), now()).await.unwrap();
    assert_eq!(roles(&caller), ["any-token", "front-desk", "over-vendor"]);
    let caller = identity.authenticate(&connection(Some(&der)), &HeaderMap::new(), now()).await.unwrap();
    assert_eq!(roles(&caller), ["vendor"]);
    let sent = headers(&[("x-api-key", API_KEY)]);
    let caller = identity.authenticate(&connection(Some(&der)), &sent, now()).await.unwrap();
    assert_eq!(roles(&caller), ["machine"]);
}

#[test]
fn a_rule_that_cannot_mean_what_it_says_is_an_error() {
    let identity = from_files(&[&Signer::ec("e")], "");
    for (when, said) in [
        ("{}".to_owned(), "must name what proves"),
        ("{ claims: { groups: a } }".to_owned(), "needs `issuer`"),
        (format!("{{ issuer: {ISSUER}, api_key: acme }}"), "never matches"),
        ("{ issuer: 'https://idp.exmaple' }".to_owned(), "isn't one of identity"),
        ("{ api_key: acne }".to_owned(), "isn't the name of a key"),
        (format!("{{ issuer: {ISSUER}, claims: {{ groups: [] }} }}"), "states no value"),
        ("{ certificate: {} }".to_owned(), "must state"),
        ("{ certificate: { fingerprint: abc } }".to_owned(), "64 hex digits"),
    ] {
        let error = RoleMap::new(&rules(&format!("- {{ role: r, when: {when} }}")), &identity).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    for wrong in
        ["- { role: r, when: { isuer: x } }", "- { role: r }", "- { role: r, when: { certificate: { dns: x } } }"]
    {
        assert!(serde_saphyr::from_str::<Vec<RoleRule>>(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn garbage_in_authorization_is_refused(
        garbage in prop::collection::vec(prop_oneof![Just(b'.'), Just(b' '), 0x20u8..=0x7e, 0x80u8..=0xff], 0..300),
        scheme in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let value = if scheme { [b"Bearer ", garbage.as_slice()].concat() } else { garbage };
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_bytes(&value).unwrap());
        let identity = open(&format!(
            "tokens: [{{ issuer: '{ISSUER}', audience: fieldgate, keys: {{ url: 'http://127.0.0.1:9/' }}, algorithms: [ES256] }}]"
        ));
        let outcome = runtime.block_on(identity.authenticate(&connection(None), &headers, now()));
        prop_assert!(matches!(outcome.unwrap_err().reason, Reason::Malformed | Reason::Token(_)));
    }

    #[test]
    fn a_token_with_any_one_byte_changed_is_refused(at in any::<prop::sample::Index>(), with in 0x21u8..=0x7e) {
        static TOKEN: std::sync::OnceLock<(Identity, String)> = std::sync::OnceLock::new();
        let (identity, token) = TOKEN.get_or_init(|| {
            let signer = Signer::ed("d");
            (from_files(&[&signer], ""), signer.token(&claims()))
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bytes = token.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != with);
        bytes[at] = with;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert!(runtime.block_on(bearer(identity, &changed, now())).is_err());
        prop_assert!(runtime.block_on(bearer(identity, token, now())).is_ok());
    }
}
