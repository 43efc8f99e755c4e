//! Who calls: proven by certificate, token or API key, or not at all.
//!
//! Only what proves itself counts: a verified client certificate, a token in `Authorization`, a key in `X-Api-Key`.
//! Headers that merely say who somebody is, and anything in a query, are never read. Two proofs of different kinds are
//! no proof. No error or log of this layer holds a token, a key or the value of a claim.

pub mod api_key;
mod certificate;
mod claims;
mod jwk;
mod jws;
mod key_source;
mod role;
mod scope;
pub mod token;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use url::{Host, Url};

use self::api_key::{ApiKeyError, ApiKeyFileError, ApiKeys};
use self::key_source::{FetchedKeys, KeySource};
use self::token::{Issuer, Refused, TokenError};
use crate::model::{Caller, Connection, Proof};

pub use self::certificate::{CertificateError, identity_of};
pub use self::jwk::{KEY_SET_LIMIT, KeySet, KeySetError, Unusable};
pub use self::key_source::{Fetch, FetchError};
pub use self::role::{CertificateCondition, ClaimCondition, Condition, RoleMap, RoleMapError, RoleRule};

/// The header that carries an API key.
pub const API_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// The gateway file's `identity:`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The issuers whose tokens count.
    #[serde(default)]
    pub tokens: Vec<token::Config>,
    /// The API keys that count.
    #[serde(default)]
    pub api_keys: Option<api_key::Config>,
}

/// What is wrong with the configuration of identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file can't be read.
    #[error("{} can't be read: check that it exists and that the gateway may read it", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file with keys isn't a key set.
    #[error("{} can't be used as the issuer's keys", path.display())]
    KeySet {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: KeySetError,
    },
    /// A file with keys has none that can be used.
    #[error("{} has no key that can be used{}", path.display(), skipped_text(skipped))]
    NoKey {
        /// The file.
        path: PathBuf,
        /// The keys it has, with the reason why each isn't used.
        skipped: Vec<(usize, Unusable)>,
    },
    /// A file with API keys has a mistake.
    #[error("{} can't be used as the API keys", path.display())]
    ApiKeys {
        /// The file.
        path: PathBuf,
        /// The mistake.
        source: ApiKeyFileError,
    },
    /// The entry of an issuer has a mistake.
    #[error("identity: tokens: issuer `{issuer}`: {problem}")]
    Issuer {
        /// The issuer.
        issuer: String,
        /// The mistake and what to do.
        problem: &'static str,
    },
}

fn skipped_text(skipped: &[(usize, Unusable)]) -> String {
    skipped.iter().map(|(at, why)| format!("; keys[{at}]: {why}")).collect()
}

/// Proves who calls.
pub struct Identity {
    issuers: Vec<Issuer>,
    api_keys: Option<ApiKeys>,
}

/// Nobody is proven: the answer is 401, or 503 where [`Reason::KeysUnavailable`].
#[derive(Debug, thiserror::Error)]
#[error("the caller isn't proven")]
pub struct Unauthenticated {
    /// Why.
    #[source]
    pub reason: Reason,
    /// The value of `WWW-Authenticate` (RFC 9110 section 11.6.1): what would be accepted. It holds no value of the request.
    pub challenge: HeaderValue,
}

/// Why nobody is proven. The text tells the caller what to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing that could prove anybody.
    #[error("the request says nothing that proves who sent it")]
    Missing,
    /// Several tokens or keys, or a token and a key.
    #[error("the request has more than one token or API key: send exactly one")]
    Ambiguous,
    /// An `Authorization` that isn't `Bearer` and a token.
    #[error("the Authorization header is not the word Bearer, a space and a token")]
    Malformed,
    /// The token.
    #[error(transparent)]
    Token(TokenError),
    /// The API key.
    #[error(transparent)]
    ApiKey(ApiKeyError),
    /// The issuer's keys can't be fetched, which isn't the caller's doing.
    #[error("the keys of the token's issuer are not available now: try again later")]
    KeysUnavailable,
}

impl Identity {
    /// Reads the key files, which stand beside the gateway file in `base` unless their paths are absolute, and checks the
    /// configuration. Keys at URLs are fetched with the first token.
    ///
    /// # Errors
    /// The first mistake, with the file or the issuer that it is in.
    pub fn open(config: &Config, base: &Path, fetch: Arc<dyn Fetch>) -> Result<Self, IdentityError> {
        let mut issuers = Vec::<Issuer>::new();
        for entry in &config.tokens {
            let issuer = issuer(entry, base, &fetch)?;
            if issuers.iter().any(|other| other.name == issuer.name) {
                let problem = "it stands twice: list all audiences, algorithms and keys in one entry";
                return Err(IdentityError::Issuer { issuer: issuer.name, problem });
            }
            issuers.push(issuer);
        }
        let api_keys = match &config.api_keys {
            Some(api_keys) => {
                let path = base.join(&api_keys.file);
                let text = read(&path)?;
                Some(ApiKeys::parse(&text).map_err(|source| IdentityError::ApiKeys { path, source })?)
            }
            None => None,
        };
        Ok(Self { issuers, api_keys })
    }

    /// The caller that the connection and these headers prove.
    ///
    /// A token or a key names the caller, with the connection's certificate attached; the certificate alone does where
    /// neither is sent. A credential that is refused is never passed over for another.
    ///
    /// # Errors
    /// Where nobody is proven, with the challenge to answer with.
    pub async fn authenticate(
        &self,
        connection: &Connection,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Caller, Unauthenticated> {
        match self.caller(connection, headers, now).await {
            Ok(caller) => Ok(caller),
            Err(reason) => Err(Unauthenticated { reason, challenge: self.challenge(reason) }),
        }
    }

    /// Whether tokens of this issuer count.
    pub fn knows_issuer(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|known| known.name == issuer)
    }

    /// The issuers whose tokens count, in the order of the gateway file, and where they publish their keys: told where
    /// that is below their own name, which they are known by to everyone.
    pub fn issuers(&self) -> impl Iterator<Item = (&str, Option<&Url>)> {
        self.issuers.iter().map(|issuer| {
            let own = Url::parse(&issuer.name).ok();
            let public = |keys: &&Url| keys.scheme() == "https" && own.is_some_and(|own| own.origin() == keys.origin());
            (issuer.name.as_str(), issuer.keys.url().filter(public))
        })
    }

    /// Whether an API key has this name.
    pub fn knows_api_key(&self, name: &str) -> bool {
        self.api_keys.as_ref().is_some_and(|keys| keys.has(name))
    }

    async fn caller(&self, connection: &Connection, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Reason> {
        let certificate = connection.certificate.clone();
        match Credential::of(headers)? {
            Some(Credential::Token(token)) => {
                token::caller(&self.issuers, token, certificate, now).await.map_err(|refused| match refused {
                    Refused::Token(error) => Reason::Token(error),
                    Refused::KeysUnavailable => Reason::KeysUnavailable,
                })
            }
            Some(Credential::ApiKey(key)) => {
                let keys = self.api_keys.as_ref().ok_or(Reason::ApiKey(ApiKeyError::Unknown))?;
                let name = keys.name_of(key, now).map_err(Reason::ApiKey)?;
                Ok(Caller {
                    name: format!("api-key|{name}"),
                    proof: Proof::ApiKey,
                    issuer: None,
                    claims: serde_json::Map::new(),
                    certificate,
                    api_key: Some(name.to_owned()),
                    purposes: None,
                    scopes: None,
                    patient: None,
                })
            }
            None => {
                let identity = certificate.ok_or(Reason::Missing)?;
                let name = certificate::name_of(&identity).to_owned();
                if name.is_empty() {
                    return Err(Reason::Missing);
                }
                Ok(Caller {
                    name,
                    proof: Proof::Certificate,
                    issuer: None,
                    claims: serde_json::Map::new(),
                    certificate: Some(identity),
                    api_key: None,
                    purposes: None,
                    scopes: None,
                    patient: None,
                })
            }
        }
    }

    /// The schemes that would be accepted. Those of API keys and certificates have no registered name, but RFC 9110
    /// section 15.5.2 asks for a challenge in every 401.
    fn challenge(&self, reason: Reason) -> HeaderValue {
        let mut challenges = Vec::new();
        if !self.issuers.is_empty() {
            let bearer = r#"Bearer realm="fieldgate""#;
            challenges.push(match reason {
                Reason::Ambiguous | Reason::Malformed => {
                    format!(r#"{bearer}, error="invalid_request", error_description="{reason}""#)
                }
                Reason::Token(_) => format!(r#"{bearer}, error="invalid_token", error_description="{reason}""#),
                Reason::Missing | Reason::ApiKey(_) | Reason::KeysUnavailable => bearer.to_owned(),
            });
        }
        if self.api_keys.is_some() {
            challenges.push(r#"ApiKey realm="fieldgate", header="X-Api-Key""#.to_owned());
        }
        if challenges.is_empty() {
            challenges.push(r#"Certificate realm="fieldgate""#.to_owned());
        }
        HeaderValue::from_str(&challenges.join(", ")).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

/// What a request proves its sender with.
enum Credential<'a> {
    Token(&'a str),
    ApiKey(&'a [u8]),
}

impl<'a> Credential<'a> {
    /// The one credential of a request.
    fn of(headers: &'a HeaderMap) -> Result<Option<Self>, Reason> {
        let mut authorizations = headers.get_all(AUTHORIZATION).iter();
        let mut keys = headers.get_all(API_KEY_HEADER).iter();
        let sent = (authorizations.next(), authorizations.next(), keys.next(), keys.next());
        match sent {
            (None, _, None, _) => Ok(None),
            (Some(authorization), None, None, _) => Ok(Some(Self::Token(bearer(authorization)?))),
            (None, _, Some(key), None) => Ok(Some(Self::ApiKey(key.as_bytes()))),
            _ => Err(Reason::Ambiguous),
        }
    }
}

/// The token of `Bearer TOKEN` (RFC 6750 section 2.1); the scheme's case doesn't matter (RFC 9110 section 11.1).
fn bearer(authorization: &HeaderValue) -> Result<&str, Reason> {
    let text = authorization.to_str().map_err(|_| Reason::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(Reason::Malformed)?;
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains([' ', '\t', ',']) {
        return Err(Reason::Malformed);
    }
    Ok(token)
}

/// One issuer, checked, with its keys where they are in a file.
fn issuer(config: &token::Config, base: &Path, fetch: &Arc<dyn Fetch>) -> Result<Issuer, IdentityError> {
    let wrong = |problem| Err(IdentityError::Issuer { issuer: config.issuer.clone(), problem });
    let audience = config.audience.as_slice();
    let purpose_claim = config.purpose_claim.as_slice();
    if config.issuer.is_empty() || config.issuer.contains('|') || config.issuer.contains(char::is_control) {
        return wrong("`issuer` is the exact `iss` of its tokens, without `|` and control characters");
    }
    if audience.is_empty() || audience.iter().any(String::is_empty) {
        return wrong("`audience` is the name that its tokens have for this gateway, and can't be empty");
    }
    if config.algorithms.is_empty() {
        return wrong("`algorithms` lists what it signs with, such as [RS256]");
    }
    if config.leeway.is_negative() || config.leeway > token::LEEWAY_LIMIT {
        return wrong("`leeway` is between 0s and 300s: set the clocks right instead");
    }
    if config.leeway.subsec_nanos() != 0 {
        return wrong("`leeway` is in whole seconds");
    }
    if purpose_claim.is_empty() || purpose_claim.iter().any(String::is_empty) {
        return wrong("`purpose_claim` is the name of a claim, or the names on the way to it, and can't be empty");
    }
    let keys = match &config.keys {
        token::Keys::File(file) => {
            let path = base.join(file);
            let bytes = read(&path)?;
            match KeySet::parse(&bytes) {
                Ok(keys) if keys.is_empty() => {
                    return Err(IdentityError::NoKey { path, skipped: keys.skipped().to_vec() });
                }
                Ok(keys) => KeySource::File(Arc::new(keys)),
                Err(source) => return Err(IdentityError::KeySet { path, source }),
            }
        }
        token::Keys::Url(url) => match Url::parse(url) {
            Ok(url) if is_trustworthy(&url) => KeySource::Url(Arc::new(FetchedKeys::new(url, fetch.clone()))),
            Ok(_) => {
                return wrong("`keys: url` must be https without user or password; http is for loopback addresses");
            }
            Err(_) => return wrong("`keys: url` isn't a URL"),
        },
    };
    Ok(Issuer {
        name: config.issuer.clone(),
        audience: audience.to_vec(),
        keys,
        algorithms: config.algorithms.clone(),
        bound: config.bound,
        leeway: SignedDuration::from_secs(config.leeway.as_secs()),
        purpose_claim: purpose_claim.to_vec(),
        scopes: config.scopes,
    })
}

/// Whether what comes from a URL is what its owner sent. The name `localhost` isn't an address, but what the resolver says.
fn is_trustworthy(url: &Url) -> bool {
    let plain = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    let secure = url.scheme() == "https" || (url.scheme() == "http" && plain);
    secure && url.has_host() && url.username().is_empty() && url.password().is_none()
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(path).map_err(|source| IdentityError::File { path: path.to_owned(), source })
}

/// The 32 bytes of a SHA-256 in hex, of either case.
fn sha256_of_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |c: &u8| char::from(*c).to_digit(16);
        *byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    }
    Some(bytes)
}
