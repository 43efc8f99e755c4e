//! What the gateway takes on at the most, each with its default: the gateway file's `limits`.

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration;
use serde::Deserialize;

use crate::net::coding::Caps;
use crate::redact;

/// The limits of a gateway. Durations are written like `5s`, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections of all listeners; 4096. Further ones wait to be accepted.
    pub connections: usize,
    /// From a connection to the end of its TLS handshake; 10 s.
    #[serde(with = "duration")]
    pub handshake_timeout: Duration,
    /// From a connection, or the end of the answer before, to the end of a request's head; 30 s.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// The head of a request; 32 KiB.
    pub header_bytes: u32,
    /// Header fields of a request over HTTP/1.1; 100.
    pub headers: usize,
    /// The path and query of a request; 8 KiB.
    pub target_bytes: usize,
    /// Requests at once on one HTTP/2 connection; 100.
    pub streams: u32,
    /// Requests at once; 1024. Further ones are answered with 503.
    pub requests: usize,
    /// The body of a POST `_search`; 64 KiB.
    pub form_bytes: usize,
    /// From the head of a request to the end of its body; 10 s.
    #[serde(with = "duration")]
    pub form_timeout: Duration,
    /// The requests of a batch; 100.
    pub batch_entries: usize,
    /// What `_count` may ask for; 1000. More is lowered to it.
    pub count: u32,
    /// How long a page link holds, or a link to the state or a file of an export; 24 h.
    #[serde(with = "duration")]
    pub link_lifetime: Duration,
    /// The body of an upstream's response, decoded; 4 GiB.
    pub body_bytes: u64,
    /// How many bytes one encoded byte of a body may become; 200.
    pub expansion: u32,
    /// How deep arrays and objects may nest; 128.
    pub depth: usize,
    /// What may be held of one value until it is decided; 8 MiB. A larger value is withheld.
    pub value_bytes: usize,
    /// What may be held in all responses together; 256 MiB. A response that needs more is ended.
    pub held_bytes: usize,
    /// How long an answer waits for its audit record; 5 s.
    #[serde(with = "duration")]
    pub audit_timeout: Duration,
    /// How long answers under way may take to end when the gateway stops; 30 s.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            header_bytes: 32 << 10,
            headers: 100,
            target_bytes: 8 << 10,
            streams: 100,
            requests: 1024,
            form_bytes: 64 << 10,
            form_timeout: Duration::from_secs(10),
            batch_entries: 100,
            count: 1000,
            link_lifetime: Duration::from_secs(24 * 60 * 60),
            body_bytes: 4 << 30,
            expansion: 200,
            depth: 128,
            value_bytes: 8 << 20,
            held_bytes: 256 << 20,
            audit_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Limits {
    pub(super) fn caps(&self) -> Caps {
        Caps { max_decoded: self.body_bytes, max_ratio: self.expansion, ..Caps::default() }
    }

    pub(super) fn redaction(&self) -> redact::Limits {
        redact::Limits { depth: self.depth, hold: self.value_bytes, ..redact::Limits::default() }
    }
}
