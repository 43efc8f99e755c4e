//! What is recorded of a request. No field is meant for an element's value, a token or a query: there is no free text but
//! the caller's own reason.
//!
//! These types have no `Debug`: they hold ids, which belong in the trail and in no log.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Proof, Purpose, Role};

/// The most ids of one kind that a record keeps, and the longest of them in bytes (a FHIR id has 64).
const IDS: usize = 1000;
const ID_BYTES: usize = 256;

/// A permitted request, before any of its answer leaves.
#[derive(Clone)]
pub struct Begin {
    /// When the request came.
    pub time: Timestamp,
    /// The id that the gateway gave the request.
    pub request_id: String,
    /// The trace that it belongs to (W3C Trace Context).
    pub trace_id: Option<String>,
    /// The caller's stable name.
    pub caller: String,
    /// How the caller was proven.
    pub proof: Proof,
    /// What the caller acts as.
    pub role: Role,
    /// What for.
    pub purpose: Purpose,
    /// The caller's own words for it, where asked for (break-glass). Cut at 1024 characters.
    pub reason: Option<String>,
    /// The grant, or the ticket that stands for it, that allows more than the role does.
    pub grant: Option<String>,
    /// The endpoint's name.
    pub endpoint: String,
    /// Where the connection comes from.
    pub source: IpAddr,
    /// The HTTP method.
    pub method: String,
    /// The FHIR interaction, or the document's operation.
    pub interaction: String,
    /// The resource type that the request names.
    pub resource_type: Option<String>,
    /// The resource id that the request names.
    pub resource_id: Option<String>,
    /// The generation of the policy that decided.
    pub policy: String,
}

/// A refused request, with what is known of it.
#[derive(Clone)]
pub struct Refusal {
    /// When the request came.
    pub time: Timestamp,
    /// The id that the gateway gave the request.
    pub request_id: String,
    /// The trace that it belongs to (W3C Trace Context).
    pub trace_id: Option<String>,
    /// The caller's stable name, where proven.
    pub caller: Option<String>,
    /// How the caller was proven.
    pub proof: Option<Proof>,
    /// The role that it was refused as.
    pub role: Option<Role>,
    /// What for.
    pub purpose: Option<Purpose>,
    /// The caller's own words for it. Cut at 1024 characters.
    pub reason: Option<String>,
    /// The endpoint's name, where the path leads to one.
    pub endpoint: Option<String>,
    /// Where the connection comes from.
    pub source: IpAddr,
    /// The HTTP method.
    pub method: String,
    /// The interaction, where the request is one.
    pub interaction: Option<String>,
    /// The resource type that the request names.
    pub resource_type: Option<String>,
    /// The resource id that the request names.
    pub resource_id: Option<String>,
    /// The generation of the policy that decided, where it came to that.
    pub policy: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// The name of the reason, as in `fieldgate_refused_total`.
    pub why: &'static str,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its last byte was handed to the connection.
    Complete,
    /// The caller went away, or the gateway stopped, before the end.
    Aborted,
    /// Nothing of the upstream's answer was passed on, such as when the upstream failed.
    Refused {
        /// The name of the reason.
        reason: &'static str,
    },
    /// The gateway ended it, because it could not be filtered with certainty.
    FailedClosed {
        /// The name of the reason, as in `fieldgate_failed_closed_total`.
        reason: &'static str,
    },
}

impl Outcome {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Aborted => "aborted",
            Self::Refused { .. } => "refused",
            Self::FailedClosed { .. } => "failed-closed",
        }
    }

    pub(super) fn why(self) -> Option<&'static str> {
        match self {
            Self::Complete | Self::Aborted => None,
            Self::Refused { reason } | Self::FailedClosed { reason } => Some(reason),
        }
    }
}

/// Resource type (or document name) → element → how often. Elements by their name, never a value.
pub type Elements = BTreeMap<String, BTreeMap<String, u64>>;

/// What left the gateway in one answer.
#[derive(Clone)]
pub struct Summary {
    /// When the answer ended.
    pub time: Timestamp,
    /// The status that the caller got.
    pub status: u16,
    /// The bytes of the body that were handed to the connection.
    pub bytes: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The ids of the resources that were released, by type.
    pub resources: BTreeMap<String, Ids>,
    /// The ids of the patients whose data was released.
    pub patients: Ids,
    /// The elements that were shown as they are.
    pub released: Elements,
    /// The elements that were left out.
    pub withheld: Elements,
    /// The elements that were shown in another form.
    pub transformed: Elements,
}

impl Summary {
    /// A summary of an answer that released nothing.
    pub fn nothing(time: Timestamp, status: u16, outcome: Outcome) -> Self {
        Self {
            time,
            status,
            bytes: 0,
            outcome,
            resources: BTreeMap::new(),
            patients: Ids::default(),
            released: Elements::new(),
            withheld: Elements::new(),
            transformed: Elements::new(),
        }
    }
}

/// A set of ids that stays small: the first thousand, and a count of those beyond.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    ids: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    beyond: u64,
}

impl Ids {
    /// Adds an id. Beyond the first thousand different ones, and for one of over 256 bytes, only the count grows.
    pub fn insert(&mut self, id: &str) {
        if self.ids.contains(id) {
            return;
        }
        if self.ids.len() < IDS && id.len() <= ID_BYTES {
            self.ids.insert(id.to_owned());
        } else {
            self.beyond = self.beyond.saturating_add(1);
        }
    }

    /// Whether this id is among those kept.
    pub fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// How many mentions of ids were not kept: at least one where the list is not the whole.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.beyond == 0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_bounded_and_say_so() {
        let mut ids = Ids::default();
        for number in 0..IDS + 5 {
            ids.insert(&number.to_string());
        }
        ids.insert("0");
        assert_eq!((ids.ids.len(), ids.beyond()), (IDS, 5));
        let mut long = Ids::default();
        long.insert(&"x".repeat(ID_BYTES + 1));
        assert_eq!((long.ids.len(), long.beyond()), (0, 1));
    }
}
