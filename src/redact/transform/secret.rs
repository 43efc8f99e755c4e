//! The secret behind pseudonyms and date shifts, and the keys derived from it.
//!
//! Each use has a key of its own, so that what one use shows tells nothing about another. The secret is never printed,
//! copied or compared, and its bytes are wiped when it is dropped.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A secret key of at least 32 bytes. It is never printed.
pub struct Secret(Zeroizing<Box<[u8]>>);

/// A secret has fewer than 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret has {0} bytes; use at least {least} random bytes", least = Secret::LEAST_BYTES)]
pub struct SecretTooShort(usize);

impl Secret {
    /// The fewest bytes of a secret: the output of HMAC-SHA256 (RFC 2104, section 3).
    pub const LEAST_BYTES: usize = 32;

    /// A secret of these bytes, which must have come from a random generator.
    ///
    /// # Errors
    /// Where there are fewer than [`Secret::LEAST_BYTES`].
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, SecretTooShort> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.len() < Self::LEAST_BYTES { Err(SecretTooShort(bytes.len())) } else { Ok(Self(bytes)) }
    }

    /// A key for a use of its own, the same wherever the secret is; `None` never happens.
    pub fn key_for(&self, used_for: &'static str) -> Option<[u8; 32]> {
        self.digest("key", used_for, "")
    }

    /// A keyed digest of `text` for one use, such as `shift`, within one domain: HMAC-SHA256 under a key that is itself
    /// the HMAC-SHA256 of `use:domain` under the secret. A use must not hold a colon.
    pub(super) fn digest(&self, used_for: &'static str, domain: &str, text: &str) -> Option<[u8; 32]> {
        let key = Zeroizing::new(authenticate(&self.0, &[used_for, ":", domain])?);
        authenticate(key.as_ref(), &[text])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// `None` never happens: HMAC takes keys of any length. It withholds where it did.
fn authenticate(key: &[u8], parts: &[&str]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part.as_bytes());
    }
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_below_32_bytes_is_refused() {
        assert_eq!(Secret::new([0; 31]).unwrap_err(), SecretTooShort(31));
        assert_eq!(SecretTooShort(31).to_string(), "a secret has 31 bytes; use at least 32 random bytes");
        assert!(Secret::new([0; 32]).is_ok());
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new([65; 32]).unwrap()), "Secret");
    }

    #[test]
    fn the_digest_is_hmac_sha256() {
        // RFC 4231, test case 2.
        let digest = authenticate(b"Jefe", &["what do ya want ", "for nothing?"]).unwrap();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn each_use_has_a_key_of_its_own() {
        let (one, other) = (Secret::new([1; 32]).unwrap(), Secret::new([2; 32]).unwrap());
        let key = one.key_for("page links").unwrap();
        assert_eq!(Some(key), Secret::new([1; 32]).unwrap().key_for("page links"), "the same at each gateway");
        assert_ne!(Some(key), other.key_for("page links"));
        assert_ne!(Some(key), one.key_for("another"));
        assert_ne!(Some(key), one.digest("pseudonym", "page links", ""));
    }
}
