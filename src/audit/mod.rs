//! The audit trail: who asked for what, when, why and by which way, and what of it left the gateway.
//!
//! [`Journal`] writes it, [`verify`] checks it, [`patient`] reads it for one patient. A request makes two records: one that
//! is durable before the first byte of a body leaves, and one when the answer has ended. Every record holds the hash of
//! the record before it. Patients' and resources' ids are in the trail on purpose; the value of a clinical element, a
//! token or a query value must never be. Where a record cannot be written, the request must not be answered.

mod chain;
mod entry;
mod journal;
mod log;
mod record;
mod report;
mod trail;
mod verify;

pub use chain::Hash;
pub use journal::{Journal, JournalError, Ticket};
pub use log::LogError;
pub use record::{Begin, Elements, Ids, Outcome, Refusal, Summary};
pub use report::{Event, PatientReport, patient};
pub use trail::TrailError;
pub use verify::{Bad, Noted, Report, Wrong, verify};

use std::num::NonZeroU64;
use std::path::PathBuf;

use serde::Deserialize;

/// Where the trail is kept: the `audit` part of the gateway file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory, from the gateway file's folder on. Made with mode 0700 if it is not there.
    pub directory: PathBuf,
    /// A file that has reached this size is left for a new one. 64 MiB when left out.
    #[serde(default = "Config::rotate_bytes")]
    pub rotate_bytes: NonZeroU64,
    /// The name of this gateway in its records, where several run.
    #[serde(default)]
    pub node: Option<String>,
}

impl Config {
    fn rotate_bytes() -> NonZeroU64 {
        const { NonZeroU64::new(64 * 1024 * 1024).expect("not zero") }
    }
}
