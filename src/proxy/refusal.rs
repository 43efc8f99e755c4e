//! Every error and its answer: the one place that knows statuses.
//!
//! An answer says what to change. It never holds a value, a token, an id, or anything that an upstream wrote.

use std::error::Error;
use std::fmt::Write as _;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;

use crate::access::Denied;
use crate::audit::JournalError;
use crate::fhir::outcome::{IssueType, Severity};
use crate::fhir::{InteractionError, OperationOutcome};
use crate::guard::write::WriteError;
use crate::guard::{GuardError, QueryError};
use crate::identity::{Reason, Unauthenticated};
use crate::net::address::PathError;
use crate::net::coding::CodingError;
use crate::net::upstream::{UpstreamBodyError, UpstreamError};
use crate::policy;
use crate::redact::RedactError;

/// Why a request is not answered with what it asks for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The gateway has more requests than it takes on.
    #[error("the gateway is busy: try again in a second")]
    Busy,
    /// The request has more than one reading, or one that nobody needs.
    #[error("the request can't be taken as it was sent: {0}")]
    Message(&'static str),
    /// The version of HTTP has no way to tell a body that was cut off.
    #[error("this version of HTTP is not spoken here: use HTTP/1.1 or HTTP/2")]
    Version,
    /// A body whose length is not told beforehand.
    #[error("send the body with a Content-Length and without Transfer-Encoding")]
    Length,
    /// The path and query are longer than the limit.
    #[error("the path and query are too long: search with POST and _search")]
    Target,
    /// The path has more than one reading.
    #[error("the path can't be used")]
    Path(#[source] PathError),
    /// Nobody is proven.
    #[error("the caller isn't proven")]
    Unauthenticated(Unauthenticated),
    /// No endpoint is at the path, or it has no such document.
    #[error("nothing is served at this path")]
    NoEndpoint,
    /// A header stands more than once or has no meaning.
    #[error("the header {0} must stand once, with a value that it can have")]
    Header(HeaderName),
    /// The caller may act in no role here, or not in the one that it asks for.
    #[error("the caller may not act here in this role: name one of its roles with the header Fieldgate-Role")]
    Role,
    /// The caller is not in good standing.
    #[error(transparent)]
    Standing(Denied),
    /// The request is no interaction.
    #[error(transparent)]
    Interaction(InteractionError),
    /// The method is none that documents are read with.
    #[error("documents are read with GET or HEAD")]
    Method,
    /// The caller takes no JSON.
    #[error("only JSON is served: leave the header Accept out or name application/fhir+json in it")]
    NotAcceptable,
    /// The policy says no.
    #[error(transparent)]
    Policy(policy::Denied),
    /// The guard says no.
    #[error(transparent)]
    Guard(GuardError),
    /// A body of another media type.
    #[error("the body must be of the type {0}, in UTF-8 and without a content coding")]
    MediaType(&'static str),
    /// A body over the limit.
    #[error("the body is too large: search in steps, or ask the operator about limits.value_bytes")]
    BodyTooLarge,
    /// A body that did not come in time, or not whole.
    #[error("the body did not come whole and in time: send it again")]
    BodyIncomplete,
    /// The guard says no to a write.
    #[error(transparent)]
    Write(WriteError),
    /// What is stored is no longer what the caller has read.
    #[error("the resource has changed since it was read, or was read otherwise: read it again")]
    Stale,
    /// The criteria of a conditional write find more than one resource (R4 http.html#cond-update).
    #[error("the criteria find more than one resource: write by the id")]
    ManyMatch,
    /// The upstream doesn't tell which version it stores.
    #[error("the upstream tells no version (ETag) of what it stores, so what this role does not see could be lost")]
    Unversioned,
    /// A batch of more requests than the limit.
    #[error("the batch has too many entries: send it in parts, or ask the operator about limits.batch_entries")]
    BatchTooLong,
    /// The answer to a request of a batch can't be held, or was cut off.
    #[error("the answer is too large for a batch or was cut off: send this request by itself")]
    BatchAnswer,
    /// What is stored is over the limit.
    #[error("what is stored is too large to be changed by this role: see limits.value_bytes")]
    StoredTooLarge,
    /// The audit record could not be written.
    #[error("the request can't be recorded now, so it can't be answered: try again later")]
    Audit(#[source] JournalError),
    /// The audit record was not written in time.
    #[error("the request was not recorded in time, so it can't be answered: try again later")]
    AuditTimedOut,
    /// The upstream did not answer.
    #[error("the upstream can't be asked")]
    Upstream(#[source] UpstreamError),
    /// The upstream's response can't be filtered with certainty.
    #[error("the upstream's response can't be passed on")]
    Response(#[source] Failure),
    /// The upstream answered with an error whose text is not passed on.
    #[error("the upstream answered with an error, whose text is not passed on")]
    Refused(StatusCode),
    /// The resource is not there, or not for this role: both look the same (L09).
    #[error("there is no such resource, or this role does not see it")]
    Absent,
    /// No randomness.
    #[error("the gateway can't work now: try again later")]
    Randomness,
}

/// Why an upstream's response can't be passed on, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A redirect, a part of a whole, or another status that was not asked for.
    #[error("the upstream answered with a status that makes no sense here")]
    Status,
    /// Not JSON in UTF-8 by its own words.
    #[error("the upstream's response does not say that it is JSON in UTF-8")]
    MediaType,
    /// The content coding.
    #[error(transparent)]
    Coding(#[from] CodingError),
    /// The JSON.
    #[error(transparent)]
    Redact(#[from] RedactError),
    /// The body did not come whole.
    #[error(transparent)]
    Body(#[from] UpstreamBodyError),
    /// What a conditional write would find can't be read of it.
    #[error("what the criteria find can't be told from the upstream's response")]
    Matches,
    /// It is not what it was when it was read before.
    #[error("the upstream's response has changed while it was read")]
    Changed,
    /// It leads to a place that is not below the upstream's URL, or is not what leads on from an export.
    #[error("the upstream's response leads to no place below its URL")]
    Elsewhere,
    /// All responses together hold too much.
    #[error("the gateway holds too much at this moment")]
    Capacity,
}

impl Failure {
    /// The name of the reason in `fieldgate_failed_closed_total` and in audit records.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Status => "upstream-status",
            Self::MediaType => "media-type",
            Self::Coding(CodingError::Unknown | CodingError::Stacked) => "content-coding",
            Self::Coding(CodingError::TooLarge { .. }) => "body-size",
            Self::Coding(CodingError::Bomb { .. }) => "expansion",
            Self::Coding(
                CodingError::Truncated
                | CodingError::Trailing
                | CodingError::Gzip(_)
                | CodingError::Brotli
                | CodingError::Zstd(_),
            ) => "content-damaged",
            Self::Redact(_) => "json",
            Self::Body(UpstreamBodyError::TimedOut(_)) => "upstream-stalled",
            Self::Body(UpstreamBodyError::CutOff(_) | UpstreamBodyError::Failed) => "upstream-cut-off",
            Self::Matches => "json",
            Self::Changed => "upstream-changed",
            Self::Elsewhere => "upstream-elsewhere",
            Self::Capacity => "held-bytes",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Body(UpstreamBodyError::TimedOut(_)) => StatusCode::GATEWAY_TIMEOUT,
            Self::Capacity => StatusCode::SERVICE_UNAVAILABLE,
            Self::Status
            | Self::MediaType
            | Self::Coding(_)
            | Self::Redact(_)
            | Self::Body(_)
            | Self::Matches
            | Self::Changed
            | Self::Elsewhere => StatusCode::BAD_GATEWAY,
        }
    }
}

/// The answer to a refusal.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Refusal {
    /// The status, the kind of issue, and the name of the reason in `fieldgate_refused_total` and in audit records.
    fn kind(&self) -> (StatusCode, IssueType, &'static str) {
        use IssueType as Issue;
        match self {
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, Issue::Throttled, "busy"),
            Self::Message(_) => (StatusCode::BAD_REQUEST, Issue::Structure, "message"),
            Self::Version => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, Issue::NotSupported, "version"),
            Self::Length => (StatusCode::LENGTH_REQUIRED, Issue::Structure, "length"),
            Self::Target => (StatusCode::URI_TOO_LONG, Issue::TooLong, "target"),
            Self::Path(_) => (StatusCode::BAD_REQUEST, Issue::Structure, "path"),
            Self::Unauthenticated(Unauthenticated { reason, .. }) => match reason {
                Reason::Missing => (StatusCode::UNAUTHORIZED, Issue::Login, "no-credentials"),
                Reason::KeysUnavailable => (StatusCode::SERVICE_UNAVAILABLE, Issue::Transient, "keys-unavailable"),
                // The reasons may grow; each of them is a caller who is not proven.
                _ => (StatusCode::UNAUTHORIZED, Issue::Unknown, "credentials"),
            },
            Self::NoEndpoint => (StatusCode::NOT_FOUND, Issue::NotFound, "no-endpoint"),
            Self::Header(_) => (StatusCode::BAD_REQUEST, Issue::Value, "header"),
            Self::Role => (StatusCode::FORBIDDEN, Issue::Forbidden, "role"),
            Self::Standing(denied) => match denied {
                Denied::Ended { .. } => (StatusCode::FORBIDDEN, Issue::Forbidden, "ended"),
                Denied::Address => (StatusCode::FORBIDDEN, Issue::Forbidden, "address"),
                Denied::Hours { .. } => (StatusCode::FORBIDDEN, Issue::Forbidden, "hours"),
                Denied::Rate { .. } => (StatusCode::TOO_MANY_REQUESTS, Issue::Throttled, "rate"),
            },
            Self::Interaction(error) => match error {
                InteractionError::UnknownPath | InteractionError::UnknownType { .. } => {
                    (StatusCode::NOT_FOUND, Issue::NotSupported, "no-interaction")
                }
                InteractionError::InvalidId { .. } => (StatusCode::BAD_REQUEST, Issue::Value, "no-interaction"),
                InteractionError::MissingCriteria => (StatusCode::BAD_REQUEST, Issue::Required, "no-interaction"),
                InteractionError::MethodNotAllowed { .. } => {
                    (StatusCode::METHOD_NOT_ALLOWED, Issue::NotSupported, "method")
                }
            },
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, Issue::NotSupported, "method"),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, Issue::NotSupported, "not-acceptable"),
            Self::Policy(denied) => {
                let reason = match denied {
                    policy::Denied::UnknownRole => "role",
                    policy::Denied::Purpose | policy::Denied::TokenPurpose => "purpose",
                    policy::Denied::Interaction => "interaction",
                    policy::Denied::NotSeen => "not-seen",
                    policy::Denied::Scope | policy::Denied::Granular => "scope",
                    policy::Denied::NoPatient => "no-patient",
                    policy::Denied::OtherPatient => "absent",
                    policy::Denied::Unsearched => "compartment",
                };
                (StatusCode::FORBIDDEN, Issue::Forbidden, reason)
            }
            Self::Guard(error) => match error {
                GuardError::Query(QueryError::TooMany) => (StatusCode::UNPROCESSABLE_ENTITY, Issue::TooCostly, "query"),
                GuardError::Query(_) | GuardError::Name(_) | GuardError::Filter(_) => {
                    (StatusCode::BAD_REQUEST, Issue::Structure, "query")
                }
                GuardError::Format => (StatusCode::NOT_ACCEPTABLE, Issue::NotSupported, "not-acceptable"),
                GuardError::Value { .. } => (StatusCode::BAD_REQUEST, Issue::Value, "query"),
                GuardError::Unknown { .. } => (StatusCode::FORBIDDEN, Issue::NotSupported, "search-unknown"),
                GuardError::Hidden { .. } | GuardError::Unseen { .. } | GuardError::Rows { .. } => {
                    (StatusCode::FORBIDDEN, Issue::Forbidden, "search-hidden")
                }
                GuardError::Modifier { .. } | GuardError::Unfollowed { .. } | GuardError::Unsupported { .. } => {
                    (StatusCode::FORBIDDEN, Issue::NotSupported, "search-unsupported")
                }
                GuardError::PageLink => (StatusCode::FORBIDDEN, Issue::Forbidden, "page-link"),
                GuardError::Operation => (StatusCode::FORBIDDEN, Issue::NotSupported, "operation"),
            },
            Self::MediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Issue::Structure, "body"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Issue::TooLong, "body"),
            Self::BodyIncomplete => (StatusCode::REQUEST_TIMEOUT, Issue::Timeout, "body"),
            Self::Write(error) => match error {
                WriteError::Syntax(_) | WriteError::Sent(_) | WriteError::Ambiguous(_) | WriteError::Type { .. } => {
                    (StatusCode::BAD_REQUEST, Issue::Structure, "body")
                }
                WriteError::Hidden { .. } | WriteError::Lost { .. } | WriteError::Marked | WriteError::Unseen => {
                    (StatusCode::FORBIDDEN, Issue::Forbidden, "write-hidden")
                }
                WriteError::Items { .. } | WriteError::Patch(_) => {
                    (StatusCode::UNPROCESSABLE_ENTITY, Issue::BusinessRule, "write-unmatched")
                }
                WriteError::Stored(_) | WriteError::View(_) => (StatusCode::BAD_GATEWAY, Issue::Exception, "json"),
            },
            Self::Stale => (StatusCode::PRECONDITION_FAILED, Issue::Conflict, "stale"),
            Self::ManyMatch => (StatusCode::PRECONDITION_FAILED, Issue::MultipleMatches, "many-match"),
            Self::Unversioned => (StatusCode::BAD_GATEWAY, Issue::Exception, "unversioned"),
            Self::BatchTooLong => (StatusCode::PAYLOAD_TOO_LARGE, Issue::TooCostly, "batch"),
            Self::BatchAnswer => (StatusCode::BAD_GATEWAY, Issue::TooLong, "batch"),
            Self::StoredTooLarge => (StatusCode::UNPROCESSABLE_ENTITY, Issue::TooLong, "body-size"),
            Self::Audit(_) | Self::AuditTimedOut => (StatusCode::SERVICE_UNAVAILABLE, Issue::NoStore, "audit"),
            Self::Upstream(error) => match error {
                UpstreamError::ConnectTimedOut(_) | UpstreamError::ResponseTimedOut(_) => {
                    (StatusCode::GATEWAY_TIMEOUT, Issue::Timeout, "upstream-timeout")
                }
                UpstreamError::Target
                | UpstreamError::Unreachable(_)
                | UpstreamError::Tls(_)
                | UpstreamError::RequestBody(_)
                | UpstreamError::BadResponse(_)
                | UpstreamError::Framing => (StatusCode::BAD_GATEWAY, Issue::Transient, "upstream"),
            },
            Self::Response(failure) => (failure.status(), Issue::Exception, failure.reason()),
            Self::Refused(status) => (*status, Issue::Processing, "upstream-status"),
            Self::Absent => (StatusCode::NOT_FOUND, Issue::NotFound, "absent"),
            Self::Randomness => (StatusCode::SERVICE_UNAVAILABLE, Issue::Transient, "randomness"),
        }
    }

    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        self.kind().0
    }

    /// The name of the reason.
    pub(super) fn reason(&self) -> &'static str {
        self.kind().2
    }

    /// The answer: an OperationOutcome where FHIR is spoken, a problem (RFC 9457) elsewhere.
    pub(super) fn answer(&self, is_fhir: bool) -> Answered {
        let (status, issue, _) = self.kind();
        let (media_type, body) = if is_fhir {
            let mut outcome = OperationOutcome::new(Severity::Error, issue, self.text());
            let element = match self {
                Self::Guard(GuardError::Hidden { element, .. }) => Some(element),
                Self::Write(
                    WriteError::Hidden { element } | WriteError::Lost { element } | WriteError::Items { element },
                ) => Some(element),
                _ => None,
            };
            if let Some(element) = element {
                outcome = outcome.about(element.to_string());
            }
            (OperationOutcome::MEDIA_TYPE, outcome.to_bytes())
        } else {
            let title = status.canonical_reason().unwrap_or("Error");
            let problem = json!({ "title": title, "status": status.as_u16(), "detail": self.text() });
            ("application/problem+json", problem.to_string().into_bytes())
        };
        let mut headers = self.headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        Answered { status, headers, body: body.into() }
    }

    /// What the caller is told: the refusal and, where it is about the caller's own request, what is behind it.
    fn text(&self) -> String {
        let mut text = self.to_string();
        let told: Option<&(dyn Error + 'static)> = match self {
            Self::Path(error) => Some(error),
            Self::Unauthenticated(unauthenticated) => Some(&unauthenticated.reason),
            Self::Guard(error) => error.source(),
            // One level: these name what happened, and neither an address nor a byte of what was sent.
            Self::Upstream(error) => Some(error),
            Self::Response(failure) => Some(failure),
            _ => None,
        };
        if let Some(told) = told {
            let _ = write!(text, ": {told}");
        }
        text
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::Unauthenticated(Unauthenticated { reason: Reason::KeysUnavailable, .. }) | Self::Busy => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Unauthenticated(Unauthenticated { challenge, .. }) => {
                headers.insert(WWW_AUTHENTICATE, challenge.clone());
            }
            Self::Policy(policy::Denied::Scope | policy::Denied::Granular) => {
                // RFC 6750 section 3.1.
                let challenge = HeaderValue::from_static("Bearer realm=\"fieldgate\", error=\"insufficient_scope\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            Self::Standing(Denied::Rate { retry_after }) => {
                let seconds = retry_after.as_millis().div_ceil(1000).max(1);
                if let Ok(value) = HeaderValue::try_from(seconds.to_string()) {
                    headers.insert(RETRY_AFTER, value);
                }
            }
            Self::Interaction(InteractionError::MethodNotAllowed { allowed }) => {
                headers.insert(ALLOW, HeaderValue::from_static(allowed));
            }
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            _ => {}
        }
        headers
    }
}
