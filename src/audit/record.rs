//! What a record says. No field can hold an element's value, a token or a query: there is no free text but the caller's
//! own reason.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Proof, Purpose, Role};

/// The most characters of one text from outside, such as a reason, that a record keeps.
const TEXT: usize = 1024;
/// The most ids of one kind that a record keeps, and the longest of them in bytes (a FHIR id has 64).
const IDS: usize = 1000;
const ID_BYTES: usize = 256;

/// A permitted request, before any of its answer leaves.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
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
    fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Aborted => "aborted",
            Self::Refused { .. } => "refused",
            Self::FailedClosed { .. } => "failed-closed",
        }
    }

    fn why(self) -> Option<&'static str> {
        match self {
            Self::Complete | Self::Aborted => None,
            Self::Refused { reason } | Self::FailedClosed { reason } => Some(reason),
        }
    }
}

/// Resource type (or document name) → element → how often. Elements by their name, never a value.
pub type Elements = BTreeMap<String, BTreeMap<String, u64>>;

/// What left the gateway in one answer.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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

    fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.beyond == 0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A record's own fields; its line adds `seq` and `prev` before them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Body<'a> {
    Begin(Asked<'a>),
    End(Answered<'a>),
    Refusal(Asked<'a>),
    Recovered(Recovered<'a>),
}

impl Body<'_> {
    /// The JSON object of these fields.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

/// The fields of `begin` and `refusal`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Asked<'a> {
    pub(super) time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<Cow<'a, str>>,
    pub(super) request: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) caller: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) purpose: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) grant: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<Cow<'a, str>>,
    pub(super) source: IpAddr,
    pub(super) method: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) interaction: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resource_type: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resource_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<Cow<'a, str>>,
}

impl<'a> Asked<'a> {
    pub(super) fn permitted(begin: &'a Begin, node: Option<&'a str>) -> Self {
        Self {
            time: begin.time,
            node: node.map(Cow::Borrowed),
            request: text(&begin.request_id),
            trace: optional(&begin.trace_id),
            caller: Some(text(&begin.caller)),
            proof: Some(begin.proof.as_str().into()),
            role: Some(text(begin.role.as_str())),
            purpose: Some(begin.purpose.code().into()),
            reason: optional(&begin.reason),
            grant: optional(&begin.grant),
            endpoint: Some(text(&begin.endpoint)),
            source: begin.source,
            method: text(&begin.method),
            interaction: Some(text(&begin.interaction)),
            resource_type: optional(&begin.resource_type),
            resource_id: optional(&begin.resource_id),
            policy: Some(text(&begin.policy)),
            status: None,
            why: None,
        }
    }

    pub(super) fn refused(refusal: &'a Refusal, node: Option<&'a str>) -> Self {
        Self {
            time: refusal.time,
            node: node.map(Cow::Borrowed),
            request: text(&refusal.request_id),
            trace: optional(&refusal.trace_id),
            caller: optional(&refusal.caller),
            proof: refusal.proof.map(|proof| proof.as_str().into()),
            role: refusal.role.as_ref().map(|role| text(role.as_str())),
            purpose: refusal.purpose.map(|purpose| purpose.code().into()),
            reason: optional(&refusal.reason),
            grant: None,
            endpoint: optional(&refusal.endpoint),
            source: refusal.source,
            method: text(&refusal.method),
            interaction: optional(&refusal.interaction),
            resource_type: optional(&refusal.resource_type),
            resource_id: optional(&refusal.resource_id),
            policy: optional(&refusal.policy),
            status: Some(refusal.status),
            why: Some(refusal.why.into()),
        }
    }
}

/// The fields of `end`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answered<'a> {
    pub(super) time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<Cow<'a, str>>,
    /// The sequence number of the request's `begin`.
    pub(super) begin: u64,
    pub(super) request: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
    pub(super) outcome: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) resources: Cow<'a, BTreeMap<String, Ids>>,
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    pub(super) patients: Cow<'a, Ids>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) released: Cow<'a, Elements>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) withheld: Cow<'a, Elements>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) transformed: Cow<'a, Elements>,
}

impl<'a> Answered<'a> {
    pub(super) fn summed_up(begin: u64, request: &'a str, node: Option<&'a str>, summary: &'a Summary) -> Self {
        Self {
            time: summary.time,
            node: node.map(Cow::Borrowed),
            begin,
            request: text(request),
            status: Some(summary.status),
            bytes: Some(summary.bytes),
            outcome: summary.outcome.name().into(),
            why: summary.outcome.why().map(Cow::Borrowed),
            resources: Cow::Borrowed(&summary.resources),
            patients: Cow::Borrowed(&summary.patients),
            released: Cow::Borrowed(&summary.released),
            withheld: Cow::Borrowed(&summary.withheld),
            transformed: Cow::Borrowed(&summary.transformed),
        }
    }

    /// The end of a request of which nobody said how it ended: neither status nor bytes are known.
    pub(super) fn aborted(begin: u64, request: &'a str, node: Option<&'a str>, time: Timestamp) -> Self {
        Self {
            time,
            node: node.map(Cow::Borrowed),
            begin,
            request: text(request),
            status: None,
            bytes: None,
            outcome: Outcome::Aborted.name().into(),
            why: Some("no-summary".into()),
            resources: Cow::default(),
            patients: Cow::default(),
            released: Cow::default(),
            withheld: Cow::default(),
            transformed: Cow::default(),
        }
    }
}

/// The fields of `recovered`: a torn end of a file was set aside when the gateway started.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Recovered<'a> {
    pub(super) time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<Cow<'a, str>>,
    /// The name of the file that it was cut from.
    pub(super) file: Cow<'a, str>,
    /// The name of the file that it was put in.
    pub(super) torn: Cow<'a, str>,
    pub(super) bytes: u64,
    /// SHA-256 of what was set aside, in hex.
    pub(super) sha256: Cow<'a, str>,
}

fn text(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(TEXT) {
        Some((cut, _)) => text.get(..cut).unwrap_or_default().into(),
        None => text.into(),
    }
}

fn optional(text_of: &Option<String>) -> Option<Cow<'_, str>> {
    text_of.as_deref().map(text)
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

    #[test]
    fn a_text_from_outside_is_cut_between_characters() {
        assert_eq!(text(&"é".repeat(TEXT + 1)).chars().count(), TEXT);
        assert_eq!(text("as it is"), "as it is");
    }
}
