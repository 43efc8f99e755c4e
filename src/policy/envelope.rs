//! What every role sees of envelopes without a rule: the resource types that carry others, or say how a request went.
//!
//! What these rules don't say is withheld from a restricted role, and a role's own rules may only narrow them.

use super::treatment::Treatment;

/// What is seen of an envelope.
pub(super) struct Envelope {
    /// Its resource type.
    pub(super) name: &'static str,
    /// Whether what has no rule is shown.
    pub(super) shown: bool,
    /// The elements that are shown.
    pub(super) show: &'static [&'static str],
    /// The elements that are hidden within them.
    pub(super) hide: &'static [&'static str],
}

/// The envelopes and their rules.
pub(super) const ENVELOPES: [Envelope; 4] = [
    Envelope {
        name: "Bundle",
        shown: false,
        show: &[
            "type",
            "timestamp",
            TOTAL,
            "link.relation",
            "link.url",
            "entry.fullUrl",
            "entry.resource",
            "entry.search.mode",
            "entry.request.method",
            "entry.request.url",
            "entry.response.status",
            "entry.response.location",
            "entry.response.lastModified",
            "entry.response.outcome",
        ],
        // What the upstream calls a version may be made of what is withheld (L23).
        hide: &["entry.response.etag"],
    },
    Envelope { name: "CapabilityStatement", shown: true, show: &[], hide: &[] },
    Envelope {
        name: "OperationOutcome",
        shown: false,
        show: &["issue.severity", "issue.code", "issue.details.coding", "issue.expression"],
        // The upstream's own words.
        hide: &["issue.details.coding.display"],
    },
    Envelope { name: "Parameters", shown: false, show: &["parameter.name", "parameter.resource"], hide: &[] },
];

/// Tells how many resources there are, and so how many are withheld.
pub(super) const TOTAL: &str = "total";

/// Repeat the id of a resource.
pub(super) const REPEAT_THE_ID: [&str; 3] = ["entry.fullUrl", "entry.request.url", "entry.response.location"];

/// Repeats when a resource was changed.
pub(super) const REPEATS_THE_TIME: &str = "entry.response.lastModified";

/// Begins with the status of a response, a code of three digits; what follows is the upstream's own words.
pub(super) const STATUS: (&str, Treatment) = ("entry.response.status", Treatment::Truncate(3));

/// Whether a resource type is an envelope.
pub(super) fn is_envelope(name: &str) -> bool {
    ENVELOPES.iter().any(|envelope| envelope.name == name)
}
