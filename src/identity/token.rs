//! Bearer tokens: JSON Web Tokens (RFC 7519, RFC 9068) that a configured issuer signed for this gateway.
//!
//! What a token says counts only after its signature, issuer, audience, time and binding are proven, all of them. Its
//! text and the values of its claims never reach an error or a log.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jws::Jws;
pub use super::jws::{Algorithm, verify_signature};
use super::key_source::KeySource;
use super::{claims, scope};
use crate::model::{Caller, CertificateIdentity, Proof, Scopes};

/// The most bytes that a token may have.
pub const TOKEN_LIMIT: usize = 16 * 1024;
/// The most clock skew that may be configured.
pub(super) const LEEWAY_LIMIT: SignedDuration = SignedDuration::from_secs(300);
/// The most bytes of a subject, which names the caller in every audit record.
const SUBJECT_LIMIT: usize = 1024;

/// One entry of the gateway file's `identity: tokens:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The exact `iss` of the tokens.
    pub issuer: String,
    /// The gateway's own name or names: a token must have one of them in its `aud`.
    pub audience: OneOrMore,
    /// Where the issuer's public keys are.
    pub keys: Keys,
    /// The algorithms that the issuer signs with.
    pub algorithms: Vec<Algorithm>,
    /// Whether tokens must be bound to a client certificate.
    #[serde(default)]
    pub bound: Bound,
    /// How far the issuer's clock may be off: 60 seconds unless said, 300 at most.
    #[serde(default = "default_leeway")]
    pub leeway: SignedDuration,
    /// The claim with the purposes that the token allows; a list of names is a path into nested claims.
    #[serde(default = "default_purpose_claim")]
    pub purpose_claim: OneOrMore,
    /// Whether tokens must carry SMART scopes for resources.
    #[serde(default)]
    pub scopes: Carried,
}

/// Where an issuer's key set (RFC 7517) is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// A file, beside the gateway file unless absolute.
    File(PathBuf),
    /// An `https` URL, or `http` on a loopback address.
    Url(String),
}

/// Whether tokens must be bound to the client certificate of the connection (RFC 8705 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Every token must be bound.
    Required,
    /// A token may be unbound; a bound one must fit the connection all the same.
    #[default]
    Optional,
}

/// Whether tokens must carry SMART scopes for resources (SMART App Launch 2.2, scopes-and-launch-context).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carried {
    /// A token without any may do nothing with resources.
    Required,
    /// A token without any may do all that its bearer's role may; where it carries some they bound it all the same.
    #[default]
    Optional,
}

/// One text or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One text.
    One(String),
    /// A list.
    More(Vec<String>),
}

impl OneOrMore {
    /// The texts.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

fn default_leeway() -> SignedDuration {
    SignedDuration::from_secs(60)
}

fn default_purpose_claim() -> OneOrMore {
    OneOrMore::One("purpose_of_use".to_owned())
}

/// Why a token is refused. Each text is fit for `error_description` of RFC 6750: no quotes, no value of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Over [`TOKEN_LIMIT`].
    #[error("the token is over the limit of 16 KiB")]
    TooLong,
    /// Not a compact JWS of JSON objects with unique names.
    #[error("the token isn't a well-formed signed JWT in compact form")]
    Malformed,
    /// A critical header, none of which is understood.
    #[error("the token has critical headers, which are not supported")]
    Critical,
    /// The header's `typ` is that of something else than an access token.
    #[error("the token is of another type than JWT or at+jwt")]
    Kind,
    /// Not one of the issuer's configured algorithms.
    #[error("the token is signed with an algorithm that is not accepted from its issuer")]
    Algorithm,
    /// Not a configured issuer.
    #[error("the token is not from an accepted issuer")]
    Issuer,
    /// The issuer has no such key.
    #[error("the token is signed with a key that its issuer does not publish")]
    UnknownKey,
    /// The named key is made for another algorithm.
    #[error("the token names a key that is not made for its algorithm")]
    KeyMismatch,
    /// Several keys could be meant.
    #[error("the token does not say which of the keys of its issuer it is signed with")]
    AmbiguousKey,
    /// The signature doesn't verify.
    #[error("the signature of the token is wrong")]
    Signature,
    /// A claim is missing or of the wrong form.
    #[error("the token lacks the claim {0}, or it has the wrong form")]
    Claim(&'static str),
    /// Made for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// After its `exp`.
    #[error("the token has expired")]
    Expired,
    /// Before its `nbf`.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Bound tokens are required and this is none.
    #[error("the token must be bound to a client certificate")]
    NotBound,
    /// Bound to another certificate than the connection's, or the connection has none.
    #[error("the token is bound to another client certificate than that of the connection")]
    BoundElsewhere,
    /// Bound by a method that can't be checked here.
    #[error("the token is bound in another way than by x5t#S256, which is not supported")]
    Confirmation,
}

/// What keeps a token from naming a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The token.
    Token(TokenError),
    /// The issuer's keys can't be had now.
    KeysUnavailable,
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

/// One issuer whose tokens count.
pub(super) struct Issuer {
    pub(super) name: String,
    pub(super) audience: Vec<String>,
    pub(super) keys: KeySource,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) bound: Bound,
    pub(super) leeway: SignedDuration,
    pub(super) purpose_claim: Vec<String>,
    pub(super) scopes: Carried,
}

/// The caller that a token proves, of the issuer that it is from.
pub(super) async fn caller(
    issuers: &[Issuer],
    token: &str,
    certificate: Option<Arc<CertificateIdentity>>,
    now: Timestamp,
) -> Result<Caller, Refused> {
    if token.len() > TOKEN_LIMIT {
        return Err(TokenError::TooLong.into());
    }
    let jws = Jws::parse(token)?;
    let named = jws.unproven_issuer().ok_or(TokenError::Issuer)?;
    let issuer = issuers.iter().find(|issuer| issuer.name == named).ok_or(TokenError::Issuer)?;

    let payload = issuer.verified(&jws, now).await?;
    if !is_access_token(jws.kind.as_deref()) {
        return Err(TokenError::Kind.into());
    }
    let claims = claims::parse_object(&payload).ok_or(TokenError::Malformed)?;
    issuer.check(&claims, now)?;
    let proof = issuer.binding(&claims, certificate.as_deref())?;
    Ok(Caller {
        name: format!("{}|{}", issuer.name, subject(&claims)?),
        proof,
        issuer: Some(issuer.name.clone()),
        purposes: claims::purposes(&claims, &issuer.purpose_claim),
        scopes: issuer.scopes_of(&claims),
        patient: claims.get("patient").and_then(Value::as_str).map(Box::from),
        claims,
        certificate,
        api_key: None,
    })
}

impl Issuer {
    /// The payload, signed by a key that the issuer publishes, if need be by now.
    async fn verified(&self, jws: &Jws<'_>, now: Timestamp) -> Result<Vec<u8>, Refused> {
        // Before any key is fetched: what is refused anyway must not make work.
        if !self.algorithms.contains(&jws.algorithm) {
            return Err(TokenError::Algorithm.into());
        }
        let keys = self.keys.current(now).await.map_err(|_| Refused::KeysUnavailable)?;
        match jws.verify(&keys, &self.algorithms) {
            Err(TokenError::UnknownKey) => match self.keys.newer(&keys, now).await {
                Some(newer) => Ok(jws.verify(&newer, &self.algorithms)?),
                None => Err(TokenError::UnknownKey.into()),
            },
            verified => Ok(verified?),
        }
    }

    /// Issuer, audience and time (RFC 7519 section 4.1).
    fn check(&self, claims: &Map<String, Value>, now: Timestamp) -> Result<(), TokenError> {
        if claims.get("iss").and_then(Value::as_str) != Some(&self.name) {
            return Err(TokenError::Issuer);
        }
        let ours = |name: &Value| name.as_str().is_some_and(|name| self.audience.iter().any(|own| own == name));
        match claims.get("aud") {
            Some(name @ Value::String(_)) if ours(name) => {}
            Some(Value::Array(names)) if names.iter().all(Value::is_string) && names.iter().any(ours) => {}
            Some(Value::String(_)) => return Err(TokenError::Audience),
            Some(Value::Array(names)) if names.iter().all(Value::is_string) => return Err(TokenError::Audience),
            _ => return Err(TokenError::Claim("aud")),
        }
        let now = now.as_second();
        let expiry = numeric_date(claims, "exp")?.ok_or(TokenError::Claim("exp"))?;
        if now >= expiry.saturating_add(self.leeway.as_secs()) {
            return Err(TokenError::Expired);
        }
        match numeric_date(claims, "nbf")? {
            Some(start) if now < start.saturating_sub(self.leeway.as_secs()) => Err(TokenError::NotYetValid),
            _ => Ok(()),
        }
    }

    fn scopes_of(&self, claims: &Map<String, Value>) -> Option<Scopes> {
        let carried = scope::of(claims);
        if self.scopes == Carried::Required { Some(carried.unwrap_or_default()) } else { carried }
    }

    /// How the token proves its bearer: by itself, or by the certificate that it is bound to (RFC 8705 section 3.1).
    fn binding(
        &self,
        claims: &Map<String, Value>,
        certificate: Option<&CertificateIdentity>,
    ) -> Result<Proof, TokenError> {
        let confirmation = match claims.get("cnf") {
            None if self.bound == Bound::Required => return Err(TokenError::NotBound),
            None => return Ok(Proof::Token),
            Some(Value::Object(confirmation)) => confirmation,
            Some(_) => return Err(TokenError::Claim("cnf")),
        };
        // Every method that is stated must hold, so one that can't be checked refuses the token.
        let (Some(thumbprint), 1) = (confirmation.get("x5t#S256"), confirmation.len()) else {
            return Err(TokenError::Confirmation);
        };
        let thumbprint = thumbprint.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let thumbprint = thumbprint.ok_or(TokenError::Claim("cnf"))?;
        match certificate {
            Some(certificate) if certificate.fingerprint.as_slice() == thumbprint => Ok(Proof::BoundToken),
            _ => Err(TokenError::BoundElsewhere),
        }
    }
}

/// Whether a `typ` is that of an access token, or says nothing (RFC 9068 section 4; RFC 8725 section 3.11 on why).
fn is_access_token(kind: Option<&str>) -> bool {
    let Some(kind) = kind else { return true };
    ["jwt", "at+jwt", "application/jwt", "application/at+jwt"].iter().any(|known| known.eq_ignore_ascii_case(kind))
}

fn subject(claims: &Map<String, Value>) -> Result<&str, TokenError> {
    let subject = claims.get("sub").and_then(Value::as_str).ok_or(TokenError::Claim("sub"))?;
    let fit = !subject.is_empty() && subject.len() <= SUBJECT_LIMIT && !subject.contains(char::is_control);
    if fit { Ok(subject) } else { Err(TokenError::Claim("sub")) }
}

/// A time in whole seconds of the Unix epoch; a fraction is cut off.
fn numeric_date(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let whole = value.as_i64();
    let cut = || value.as_f64().filter(|seconds| seconds.abs() < 1e15).map(|seconds| seconds.floor() as i64);
    whole.or_else(cut).map(Some).ok_or(TokenError::Claim(name))
}
