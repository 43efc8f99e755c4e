//! Compact JSON Web Signatures (RFC 7515) with the algorithms of RFC 7518, RFC 8037 and RFC 9864 that have a public key.
//!
//! The algorithm is never taken on the token's word alone: it must be one that the issuer is configured for, and the
//! key must be made for it. `none` and HMAC aren't representable, and keys inside or linked from a header (`jwk`,
//! `jku`, `x5c`, `x5u`) are never looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::claims::parse_object;
use super::jwk::{KeyKind, KeySet};
use super::token::TokenError;

/// A signature algorithm with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA with P-256 and SHA-256.
    ES256,
    /// ECDSA with P-384 and SHA-384.
    ES384,
    /// EdDSA; the curve is Ed25519.
    EdDSA,
    /// Ed25519 by its own name (RFC 9864).
    Ed25519,
}

impl Algorithm {
    /// The algorithm with this name in the IANA registry of JOSE, if it is one that tokens may use.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "EdDSA" => Self::EdDSA,
            "Ed25519" => Self::Ed25519,
            _ => return None,
        })
    }

    /// The kind of key that the algorithm needs.
    pub(super) fn key_kind(self) -> KeyKind {
        match self {
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => KeyKind::Rsa,
            Self::ES256 => KeyKind::P256,
            Self::ES384 => KeyKind::P384,
            Self::EdDSA | Self::Ed25519 => KeyKind::Ed25519,
        }
    }

    fn primitive(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::RS256 => jsonwebtoken::Algorithm::RS256,
            Self::RS384 => jsonwebtoken::Algorithm::RS384,
            Self::RS512 => jsonwebtoken::Algorithm::RS512,
            Self::PS256 => jsonwebtoken::Algorithm::PS256,
            Self::PS384 => jsonwebtoken::Algorithm::PS384,
            Self::PS512 => jsonwebtoken::Algorithm::PS512,
            Self::ES256 => jsonwebtoken::Algorithm::ES256,
            Self::ES384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDSA | Self::Ed25519 => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// Verifies a compact JWS and gives its payload.
///
/// The signature must be of one of `algorithms`, by the one key of `keys` that the header names and that is made for it.
///
/// # Errors
/// Whatever keeps the signature from being proven; never a value of the token.
pub fn verify_signature(compact: &str, keys: &KeySet, algorithms: &[Algorithm]) -> Result<Vec<u8>, TokenError> {
    Jws::parse(compact)?.verify(keys, algorithms)
}

/// A JWS whose form is right and whose signature nobody has looked at.
pub(super) struct Jws<'a> {
    /// What the signature covers: header and payload as they were sent.
    signed: &'a str,
    signature: &'a str,
    payload: Vec<u8>,
    /// What the header says the signature is.
    pub(super) algorithm: Algorithm,
    key_id: Option<String>,
    /// The media type of the whole token (`typ`).
    pub(super) kind: Option<String>,
}

impl<'a> Jws<'a> {
    /// Takes a compact JWS apart.
    pub(super) fn parse(compact: &'a str) -> Result<Self, TokenError> {
        let (signed, signature) = compact.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        // A fourth part leaves a dot in `payload`, which isn't base64url.
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Malformed)?;
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Malformed)?;
        let header = parse_object(&header).ok_or(TokenError::Malformed)?;

        // No extension is understood, so every critical one must be refused (RFC 7515 section 4.1.11).
        if header.contains_key("crit") {
            return Err(TokenError::Critical);
        }
        let text = |name| match header.get(name) {
            None => Ok(None),
            Some(serde_json::Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(TokenError::Malformed),
        };
        let algorithm = text("alg")?.ok_or(TokenError::Malformed)?;
        Ok(Self {
            signed,
            signature,
            payload,
            algorithm: Algorithm::from_name(algorithm).ok_or(TokenError::Algorithm)?,
            key_id: text("kid")?.map(str::to_owned),
            kind: text("typ")?.map(str::to_owned),
        })
    }

    /// The issuer that the payload names, which picks whose keys to verify with and proves nothing.
    pub(super) fn unproven_issuer(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Issuer {
            iss: String,
        }
        serde_json::from_slice::<Issuer>(&self.payload).ok().map(|issuer| issuer.iss)
    }

    /// The payload, proven to be signed.
    pub(super) fn verify(&self, keys: &KeySet, algorithms: &[Algorithm]) -> Result<Vec<u8>, TokenError> {
        if !algorithms.contains(&self.algorithm) {
            return Err(TokenError::Algorithm);
        }
        let key = keys.select(self.key_id.as_deref(), self.algorithm)?;
        let proven = jsonwebtoken::crypto::verify(
            self.signature,
            self.signed.as_bytes(),
            key.decoding(),
            self.algorithm.primitive(),
        );
        match proven {
            Ok(true) => Ok(self.payload.clone()),
            Ok(false) | Err(_) => Err(TokenError::Signature),
        }
    }
}
