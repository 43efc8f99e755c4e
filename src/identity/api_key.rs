//! API keys: a random secret that a caller sends in `X-Api-Key`, of which the gateway holds the hash alone.
//!
//! A plain SHA-256 is enough, and a slow password hash would buy nothing: a key has at least 32 characters of
//! randomness, so nobody can try them all. What a caller sends never reaches an error or a log; what stands in the file
//! neither, because somebody may have written a key where its hash belongs.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_saphyr::Spanned;
use sha2::{Digest, Sha256};

/// The fewest bytes of a key.
const SHORTEST: usize = 32;
/// The most bytes of a key.
const LONGEST: usize = 512;

/// The gateway file's `identity: api_keys:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file with the keys' hashes, beside the gateway file unless absolute.
    pub file: PathBuf,
}

/// What is wrong in a file of keys. Lines and columns count from one; no value of the file is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyFileError {
    /// Not the YAML that is asked for.
    #[error(
        "line {line}, column {column}: the file is a YAML list of entries with `name` and `sha256`, and where wanted \
         `not_before` and `until` as dates (2027-06-30); nothing else, and nothing twice"
    )]
    Syntax {
        /// Where reading stopped.
        line: u64,
        /// Where in the line.
        column: u64,
    },
    /// A name that would be ambiguous in audit records.
    #[error("line {line}: a name has 1 to 64 letters, digits, `.`, `_` and `-`")]
    Name {
        /// The line of the name.
        line: u64,
    },
    /// Not a SHA-256 in hex.
    #[error(
        "line {line}: `sha256` is the hash of the key as 64 hex digits, never the key itself: printf %s \"$KEY\" | sha256sum"
    )]
    Hash {
        /// The line of the hash.
        line: u64,
    },
    /// Two entries have the same name.
    #[error("line {line}: the name stands in an earlier entry")]
    DuplicateName {
        /// The line of the second.
        line: u64,
    },
    /// Two entries have the same hash.
    #[error("line {line}: the hash stands in an earlier entry: make a key for each caller")]
    DuplicateHash {
        /// The line of the second.
        line: u64,
    },
    /// The key would never be valid.
    #[error("line {line}: `until` is before `not_before`")]
    Never {
        /// The line of the entry's name.
        line: u64,
    },
}

/// Why an API key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// No key of this gateway.
    #[error("the API key is not known")]
    Unknown,
    /// Before its first day.
    #[error("the API key is not valid yet")]
    NotYetValid,
    /// After its last day.
    #[error("the API key has expired")]
    Expired,
}

/// The keys, by their hashes.
#[derive(Debug, Default)]
pub(super) struct ApiKeys {
    by_hash: HashMap<[u8; 32], Key>,
}

#[derive(Debug)]
struct Key {
    name: String,
    /// The first instant of validity.
    from: Option<Timestamp>,
    /// The first instant after validity.
    end: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    sha256: Spanned<String>,
    not_before: Option<Date>,
    until: Option<Date>,
}

impl ApiKeys {
    /// Reads a file of keys.
    pub(super) fn parse(text: &[u8]) -> Result<Self, ApiKeyFileError> {
        let entries: Vec<Entry> = serde_saphyr::from_slice(text).map_err(|error| {
            let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
            ApiKeyFileError::Syntax { line, column }
        })?;
        let mut keys = Self::default();
        let mut names = HashSet::new();
        for entry in entries {
            let line = entry.name.referenced.line();
            let name = entry.name.value;
            if !is_name(&name) {
                return Err(ApiKeyFileError::Name { line });
            }
            if !names.insert(name.clone()) {
                return Err(ApiKeyFileError::DuplicateName { line });
            }
            if entry.not_before.zip(entry.until).is_some_and(|(first, last)| last < first) {
                return Err(ApiKeyFileError::Never { line });
            }
            let from = entry.not_before.map(start_of).transpose().map_err(|_| ApiKeyFileError::Never { line })?;
            let day_after = entry.until.map(|last| last.tomorrow().and_then(start_of));
            let end = day_after.transpose().map_err(|_| ApiKeyFileError::Never { line })?;
            let line = entry.sha256.referenced.line();
            let hash = super::sha256_of_hex(&entry.sha256.value).ok_or(ApiKeyFileError::Hash { line })?;
            if keys.by_hash.insert(hash, Key { name, from, end }).is_some() {
                return Err(ApiKeyFileError::DuplicateHash { line });
            }
        }
        Ok(keys)
    }

    /// The name of the key that a caller sent.
    pub(super) fn name_of(&self, key: &[u8], now: Timestamp) -> Result<&str, ApiKeyError> {
        if !(SHORTEST..=LONGEST).contains(&key.len()) {
            return Err(ApiKeyError::Unknown);
        }
        let hash: [u8; 32] = Sha256::digest(key).into();
        let known = self.by_hash.get(&hash).ok_or(ApiKeyError::Unknown)?;
        if known.from.is_some_and(|from| now < from) {
            return Err(ApiKeyError::NotYetValid);
        }
        if known.end.is_some_and(|end| now >= end) {
            return Err(ApiKeyError::Expired);
        }
        Ok(&known.name)
    }

    /// Whether a key has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_hash.values().any(|key| key.name == name)
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The day's first instant, UTC.
fn start_of(day: Date) -> Result<Timestamp, jiff::Error> {
    Ok(day.to_zoned(TimeZone::UTC)?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn hash() -> String {
        Sha256::digest(KEY).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn a_key_is_known_by_its_hash_on_each_of_its_days() {
        let text = format!("- {{ name: acme, sha256: {}, not_before: 2026-01-01, until: 2026-06-30 }}\n", hash());
        let keys = ApiKeys::parse(text.as_bytes()).unwrap();
        assert!(keys.has("acme") && !keys.has("other"));
        assert_eq!(keys.name_of(KEY, at("2025-12-31T23:59:59Z")), Err(ApiKeyError::NotYetValid));
        assert_eq!(keys.name_of(KEY, at("2026-01-01T00:00:00Z")), Ok("acme"));
        assert_eq!(keys.name_of(KEY, at("2026-06-30T23:59:59Z")), Ok("acme"));
        assert_eq!(keys.name_of(KEY, at("2026-07-01T00:00:00Z")), Err(ApiKeyError::Expired));
    }

    #[test]
    fn what_is_not_a_known_key_is_refused() {
        let keys =
            ApiKeys::parse(format!("- {{ name: acme, sha256: {} }}\n", hash().to_uppercase()).as_bytes()).unwrap();
        let now = at("2026-01-01T00:00:00Z");
        assert_eq!(keys.name_of(KEY, now), Ok("acme"));
        for key in [&b""[..], b"0123456789abcdef0123456789abcdeF", hash().as_bytes(), &[b'a'; 600]] {
            assert_eq!(keys.name_of(key, now), Err(ApiKeyError::Unknown));
        }
    }

    #[test]
    fn a_key_too_short_to_be_random_is_refused_even_if_its_hash_is_listed() {
        let short: String = Sha256::digest(b"secret").iter().map(|byte| format!("{byte:02x}")).collect();
        let keys = ApiKeys::parse(format!("- {{ name: acme, sha256: {short} }}\n").as_bytes()).unwrap();
        assert_eq!(keys.name_of(b"secret", at("2026-01-01T00:00:00Z")), Err(ApiKeyError::Unknown));
    }

    #[test]
    fn mistakes_in_the_file_are_named_with_their_line() {
        let (hash, other) = (hash(), "0".repeat(64));
        let refused = |text: String| ApiKeys::parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            refused(format!("- name: a\n  sha256: {hash}\n- name: a\n  sha256: {other}\n")),
            ApiKeyFileError::DuplicateName { line: 3 }
        );
        assert_eq!(
            refused(format!("- name: a\n  sha256: {hash}\n- name: b\n  sha256: {hash}\n")),
            ApiKeyFileError::DuplicateHash { line: 4 }
        );
        assert_eq!(refused(format!("- name: a b\n  sha256: {hash}\n")), ApiKeyFileError::Name { line: 1 });
        assert_eq!(refused("- name: a\n  sha256: 0123\n".to_owned()), ApiKeyFileError::Hash { line: 2 });
        let never = format!("- name: a\n  sha256: {hash}\n  not_before: 2026-02-01\n  until: 2026-01-01\n");
        assert_eq!(refused(never), ApiKeyFileError::Never { line: 1 });
        for text in [
            format!("- name: a\n  sha256: {hash}\n  expires: 2026-01-01\n"),
            format!("- name: a\n  sha256: {hash}\n  until: soon\n"),
            format!("- name: a\n  sha256: {hash}\n  name: b\n"),
            "- name: a\n".to_owned(),
            "name: a".to_owned(),
            "- [".to_owned(),
        ] {
            assert!(matches!(refused(text.clone()), ApiKeyFileError::Syntax { .. }), "{text}");
        }
    }

    #[test]
    fn a_key_written_where_its_hash_belongs_does_not_show_in_the_message() {
        let key = "canary-0123456789abcdef0123456789abcdef";
        for text in [
            format!("- name: a\n  sha256: {key}\n"),
            format!("- name: a\n  {key}: x\n"),
            format!("- name: a\n  sha256: [{key}]\n"),
            format!("- name: a\n  sha256: x\n  until: {key}\n"),
            format!("{key}\n"),
        ] {
            let error = ApiKeys::parse(text.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }
}
