//! The form of a record in the trail: one JSON object a line.
//!
//! Fields that say nothing are left out. Texts from outside are cut, so that no caller can make records long.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{Begin, Elements, Ids, Outcome, Refusal, Summary};

/// The most characters of one text from outside, such as a reason, that a record keeps.
const TEXT: usize = 1024;

/// A record's own fields; its line adds `seq` and `prev` before them.
#[derive(Serialize, Deserialize)]
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
#[derive(Clone, Serialize, Deserialize)]
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
#[derive(Serialize, Deserialize)]
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
#[derive(Serialize, Deserialize)]
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
    fn a_text_from_outside_is_cut_between_characters() {
        assert_eq!(text(&"é".repeat(TEXT + 1)).chars().count(), TEXT);
        assert_eq!(text("as it is"), "as it is");
    }
}
