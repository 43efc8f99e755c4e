//! Builds an OperationOutcome, the FHIR form of an answer that says what went wrong (R4 operationoutcome.html).
//!
//! What it says is given by its callers, who never put a value, a token or a patient's id in it.

use serde_json::{Value, json};

/// An OperationOutcome with one issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationOutcome {
    severity: Severity,
    code: IssueType,
    diagnostics: String,
    expression: Vec<String>,
}

/// How bad it is (R4 value set issue-severity).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The request failed and nothing more could be checked.
    Fatal,
    /// The request failed.
    Error,
    /// The request went through, though not quite as wished.
    Warning,
    /// Nothing failed.
    Information,
}

macro_rules! issue_types {
    ($($variant:ident $code:literal $meaning:literal,)*) => {
        /// What kind of issue it is (R4 value set issue-type).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum IssueType {
            $(#[doc = $meaning] $variant,)*
        }

        impl IssueType {
            /// Every issue type.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code of the value set.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }
        }
    };
}

issue_types! {
    Invalid "invalid" "The content breaks the standard or a profile.",
    Structure "structure" "The content can't be parsed.",
    Required "required" "An element is missing.",
    Value "value" "An element or header holds what it may not.",
    Invariant "invariant" "A rule of the content is broken.",
    Security "security" "An issue of who may do what.",
    Login "login" "The caller has to log in.",
    Unknown "unknown" "The caller could not be proven.",
    Expired "expired" "The session is over.",
    Forbidden "forbidden" "The caller may not do this.",
    Suppressed "suppressed" "Some information is or may be withheld.",
    Processing "processing" "Trying again the same way won't help.",
    NotSupported "not-supported" "The interaction, operation, resource or profile is not supported.",
    Duplicate "duplicate" "The record is there already.",
    MultipleMatches "multiple-matches" "Several records match where one should.",
    NotFound "not-found" "What was named isn't there.",
    Deleted "deleted" "What was named has been deleted.",
    TooLong "too-long" "The content is too long.",
    CodeInvalid "code-invalid" "A code isn't understood or not valid here.",
    Extension "extension" "An extension isn't acceptable.",
    TooCostly "too-costly" "The request would cost the server too much.",
    BusinessRule "business-rule" "A rule of the business forbids it.",
    Conflict "conflict" "Another change came between.",
    Transient "transient" "Trying again may help.",
    LockError "lock-error" "A record is locked.",
    NoStore "no-store" "The store is not to be reached.",
    Exception "exception" "An unexpected error inside.",
    Timeout "timeout" "It took too long inside.",
    Incomplete "incomplete" "Not every source answered in time.",
    Throttled "throttled" "The server is too busy, or the caller too eager.",
    Informational "informational" "Nothing to do with success or failure.",
}

impl Severity {
    /// The code of the value set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

impl OperationOutcome {
    /// The media type of [`Self::to_bytes`].
    pub const MEDIA_TYPE: &str = "application/fhir+json";

    /// An outcome with one issue; `diagnostics` tells a person what is wrong and what to change.
    pub fn new(severity: Severity, code: IssueType, diagnostics: impl Into<String>) -> Self {
        Self { severity, code, diagnostics: diagnostics.into(), expression: Vec::new() }
    }

    /// The same, naming an element that the issue is about: `Patient.birthDate`. Parameters and headers are named in the
    /// diagnostics; R4 has no expression for them.
    #[must_use]
    pub fn about(mut self, expression: impl Into<String>) -> Self {
        self.expression.push(expression.into());
        self
    }

    /// The resource as JSON in UTF-8.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut issue = json!({
            "severity": self.severity.as_str(),
            "code": self.code.as_str(),
            "diagnostics": self.diagnostics,
        });
        if let (Value::Object(members), false) = (&mut issue, self.expression.is_empty()) {
            members.insert("expression".to_owned(), json!(self.expression));
        }
        json!({ "resourceType": "OperationOutcome", "issue": [issue] }).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_the_resource_of_the_standard() {
        let outcome = OperationOutcome::new(Severity::Error, IssueType::Forbidden, "ask for less")
            .about("Patient.birthDate")
            .to_bytes();
        let expected = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"forbidden","diagnostics":"ask for less","expression":["Patient.birthDate"]}]}"#;
        assert_eq!(String::from_utf8(outcome).unwrap(), expected);
    }

    #[test]
    fn what_a_message_holds_cannot_break_out_of_its_string() {
        let hostile = "\"}],\"x\":\"\u{0}\n\\";
        let bytes = OperationOutcome::new(Severity::Fatal, IssueType::Exception, hostile).to_bytes();
        let read: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read["issue"][0]["diagnostics"], hostile);
        assert_eq!(read.as_object().unwrap().len(), 2);
        assert!(read["issue"][0].get("expression").is_none(), "FHIR has no empty arrays");
    }

    #[test]
    fn the_issue_types_are_those_of_the_value_set() {
        let codes: std::collections::BTreeSet<_> = IssueType::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), 31);
        assert_eq!(IssueType::ALL.len(), 31);
    }
}
