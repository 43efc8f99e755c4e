//! What every role sees of envelopes without a rule: the resource types that carry others, or say how a request went.
//!
//! The rules are data in the policy's own syntax, read by the same code as any other. What they don't say is withheld
//! from a restricted role, and a role's own rules may only narrow them.

/// The envelopes and their rules.
pub(super) const RULES: &str = r#"
Bundle:
  type: show
  timestamp: show
  total: show
  link.relation: show
  link.url: show
  entry.fullUrl: show
  entry.resource: show
  entry.search.mode: show
  entry.request.method: show
  entry.request.url: show
  entry.response.status: show
  entry.response.location: show
  entry.response.etag: show
  entry.response.lastModified: show
  entry.response.outcome: show
Parameters:
  parameter.name: show
  parameter.resource: show
OperationOutcome:
  issue.severity: show
  issue.code: show
  # A coding's display is the upstream's own words.
  issue.details.coding: show
  issue.details.coding.display: hide
  issue.expression: show
CapabilityStatement:
  "*": show
"#;

/// The envelopes.
pub(super) const TYPES: [&str; 4] = ["Bundle", "Parameters", "OperationOutcome", "CapabilityStatement"];

/// Tells how many resources there are, and so how many are withheld.
pub(super) const TOTAL: &str = "total";

/// Repeat the id of a resource.
pub(super) const REPEAT_THE_ID: [&str; 3] = ["entry.fullUrl", "entry.request.url", "entry.response.location"];
