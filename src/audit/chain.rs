//! The chain: each record's `prev` is the SHA-256 of the whole line before it, without its line feed, and `seq` counts up
//! by one. The first record of all has `seq` 1 and a `prev` of 64 zeros.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// A SHA-256 hash, in text as 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first record of all has for `prev`.
    pub(super) const NONE: Self = Self([0; 32]);

    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    pub(super) fn finish(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            write!(text, "{byte:02x}")?;
        }
        f.write_str(&text)
    }
}

/// A text that is not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 hash: write its 64 lower-case hex digits")]
pub struct NotAHash;

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NotAHash),
        };
        let mut hash = [0; 32];
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(NotAHash) };
        if pairs.len() != hash.len() {
            return Err(NotAHash);
        }
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The fields of a record that the chain is made of, and those that tell whether a request has ended.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) prev: Hash,
    pub(super) kind: Kind,
    pub(super) begin: Option<u64>,
}

/// What a record is of. A line of another kind is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Begin,
    End,
    Refusal,
    Recovered,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::End => "end",
            Self::Refusal => "refusal",
            Self::Recovered => "recovered",
        }
    }
}

impl Link {
    /// The link of a line; `None` where the line is not a record.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// Where a chain stands: what the next record must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) next: u64,
    /// `None` where the records before are not at hand.
    pub(super) head: Option<Hash>,
}

impl Chain {
    /// The chain before its first record.
    pub(super) const START: Self = Self { next: 1, head: Some(Hash::NONE) };

    /// Whether this link is the one that comes next.
    pub(super) fn continues_with(&self, link: &Link) -> bool {
        link.seq == self.next && self.linked_by(link)
    }

    /// Whether this link holds the hash of the record before.
    pub(super) fn linked_by(&self, link: &Link) -> bool {
        self.head.is_none_or(|head| head == link.prev)
    }

    /// Goes on over a line that continues the chain.
    pub(super) fn pass(&mut self, line: &[u8]) {
        self.next = self.next.saturating_add(1);
        self.head = Some(Hash::of(line));
    }

    /// Writes the line of a record's own fields, a JSON object, at the end of `lines`, and goes on over it.
    pub(super) fn write(&mut self, fields: &[u8], lines: &mut Vec<u8>) {
        // INVARIANT: whoever writes has read the records before, so that the head is known.
        let head = self.head.unwrap_or(Hash::NONE);
        let mut line = format!("{{\"seq\":{},\"prev\":\"{head}\",", self.next).into_bytes();
        line.extend_from_slice(fields.strip_prefix(b"{").unwrap_or(fields));
        self.pass(&line);
        lines.append(&mut line);
        lines.push(b'\n');
    }
}
