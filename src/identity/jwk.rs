//! JSON Web Key sets (RFC 7517): which public keys can prove a token, and which one does.
//!
//! A key that can't be used safely is skipped when the set is read, so that what is in a [`KeySet`] is right: public,
//! strong, made for signatures, of a known kind. Symmetric keys and keys whose private half is published never get in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::claims::parse_object;
use super::jws::Algorithm;
use super::token::TokenError;

/// The most bytes that a key set may have.
pub const KEY_SET_LIMIT: usize = 1024 * 1024;

/// The public keys of one issuer.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Jwk>,
    skipped: Vec<(usize, Unusable)>,
}

/// Why bytes are no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Over [`KEY_SET_LIMIT`].
    #[error("the key set is over the limit of 1 MiB")]
    TooLarge,
    /// Not an object with an array `keys`.
    #[error("the key set isn't a JSON object with an array `keys` of objects (RFC 7517 section 5)")]
    Malformed,
}

/// Why a key of a set isn't used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A member is missing or of the wrong form.
    #[error("a member is missing or isn't of the form that RFC 7518 section 6 asks for")]
    Malformed,
    /// Neither RSA, P-256, P-384 nor Ed25519.
    #[error("its kind isn't RSA, EC with P-256 or P-384, or OKP with Ed25519")]
    Kind,
    /// `use`, `key_ops` or `alg` is for something else.
    #[error("its use, key_ops or alg is for something else than the signatures that tokens may have")]
    Purpose,
    /// The private half stands beside it.
    #[error("its private half is published, so it proves nothing: replace it")]
    Private,
    /// Too short or known to be breakable.
    #[error("it is weak: RSA needs 2048 to 8192 bits, an exponent over 65536, and not the primes of CVE-2017-15361")]
    Weak,
}

/// What a key is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// One public key that can prove a token.
pub(super) struct Jwk {
    id: Option<String>,
    kind: KeyKind,
    algorithm: Option<Algorithm>,
    decoding: DecodingKey,
}

impl std::fmt::Debug for Jwk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwk").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl KeySet {
    /// Reads a key set. Keys that can't be used are skipped, see [`KeySet::skipped`].
    ///
    /// # Errors
    /// Where the bytes aren't a key set at all.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > KEY_SET_LIMIT {
            return Err(KeySetError::TooLarge);
        }
        let document = parse_object(bytes).ok_or(KeySetError::Malformed)?;
        let listed = document.get("keys").and_then(Value::as_array).ok_or(KeySetError::Malformed)?;
        let mut set = Self { keys: Vec::new(), skipped: Vec::new() };
        for (at, key) in listed.iter().enumerate() {
            match Jwk::read(key.as_object().ok_or(KeySetError::Malformed)?) {
                Ok(key) => set.keys.push(key),
                Err(why) => set.skipped.push((at, why)),
            }
        }
        Ok(set)
    }

    /// Whether no key of the set can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that aren't used, by their position in the set, with the reason.
    pub fn skipped(&self) -> &[(usize, Unusable)] {
        &self.skipped
    }

    /// The one key that a token with this `kid` and `alg` can be signed with.
    pub(super) fn select(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Jwk, TokenError> {
        let named = || self.keys.iter().filter(|key| id.is_none() || key.id.as_deref() == id);
        let mut fitting = named().filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(TokenError::AmbiguousKey),
            (None, _) if id.is_some() && named().next().is_some() => Err(TokenError::KeyMismatch),
            (None, _) => Err(TokenError::UnknownKey),
        }
    }
}

impl Jwk {
    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.kind == algorithm.key_kind() && self.algorithm.is_none_or(|own| own == algorithm)
    }

    fn read(key: &Map<String, Value>) -> Result<Self, Unusable> {
        if ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|private| key.contains_key(*private)) {
            return Err(Unusable::Private);
        }
        if text(key, "use")?.is_some_and(|used| used != "sig") || !may_verify(key)? {
            return Err(Unusable::Purpose);
        }
        let algorithm = match text(key, "alg")? {
            Some(name) => Some(Algorithm::from_name(name).ok_or(Unusable::Purpose)?),
            None => None,
        };
        let (kind, decoding) = match (text(key, "kty")?.ok_or(Unusable::Malformed)?, text(key, "crv")?) {
            ("RSA", _) => (KeyKind::Rsa, rsa(key)?),
            ("EC", Some("P-256")) => (KeyKind::P256, ec(key, 32)?),
            ("EC", Some("P-384")) => (KeyKind::P384, ec(key, 48)?),
            ("OKP", Some("Ed25519")) => {
                let x = octets(key, "x")?;
                if x.len() != 32 {
                    return Err(Unusable::Malformed);
                }
                (KeyKind::Ed25519, DecodingKey::from_ed_der(&x))
            }
            _ => return Err(Unusable::Kind),
        };
        if algorithm.is_some_and(|algorithm| algorithm.key_kind() != kind) {
            return Err(Unusable::Purpose);
        }
        Ok(Self { id: text(key, "kid")?.map(str::to_owned), kind, algorithm, decoding })
    }
}

fn text<'a>(key: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Unusable> {
    key.get(name).map(|value| value.as_str().ok_or(Unusable::Malformed)).transpose()
}

/// Whether `key_ops`, where it stands, lists `verify`.
fn may_verify(key: &Map<String, Value>) -> Result<bool, Unusable> {
    match key.get("key_ops") {
        None => Ok(true),
        Some(Value::Array(operations)) => Ok(operations.iter().any(|operation| operation == "verify")),
        Some(_) => Err(Unusable::Malformed),
    }
}

fn octets(key: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Unusable> {
    let text = text(key, name)?.ok_or(Unusable::Malformed)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Unusable::Malformed)
}

fn ec(key: &Map<String, Value>, length: usize) -> Result<DecodingKey, Unusable> {
    let (x, y) = (octets(key, "x")?, octets(key, "y")?);
    if x.len() != length || y.len() != length {
        return Err(Unusable::Malformed);
    }
    // The uncompressed point of SEC 1 section 2.3.3; whether it lies on the curve is checked with each signature.
    Ok(DecodingKey::from_ec_der(&[&[4], x.as_slice(), &y].concat()))
}

fn rsa(key: &Map<String, Value>) -> Result<DecodingKey, Unusable> {
    let (n, e) = (octets(key, "n")?, octets(key, "e")?);
    let (n, e) = (without_leading_zeros(&n), without_leading_zeros(&e));
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    // FIPS 186-5 section 5.4 asks for an odd exponent over 2^16; the verifier takes none over 33 bits.
    let exponent = if e.len() <= 5 { e.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)) } else { 0 };
    let strong = (2048..=8192).contains(&bits) && exponent > 65_536 && exponent % 2 == 1 && !has_roca_primes(n);
    if strong { Ok(DecodingKey::from_rsa_raw_components(n, e)) } else { Err(Unusable::Weak) }
}

fn without_leading_zeros(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether a modulus has the fingerprint of CVE-2017-15361: its primes came from a generator that makes them
/// `k·M + 65537^a mod M`, so the modulus is a power of 65537 modulo every small prime, which one in 2^27 others is.
fn has_roca_primes(modulus: &[u8]) -> bool {
    // The primes under 170 modulo which 65537 doesn't generate every remainder, and which therefore tell.
    const PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    PRIMES.iter().all(|prime| {
        let remainder = modulus.iter().fold(0, |sum, byte| (sum << 8 | u32::from(*byte)) % prime);
        let mut power = 1;
        for _ in 0..*prime {
            if power == remainder {
                return true;
            }
            power = power * 65_537 % prime;
        }
        false
    })
}
