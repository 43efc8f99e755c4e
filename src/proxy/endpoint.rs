//! An endpoint: a path of the gateway with its upstream, its roles and its limits.

use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use crate::access::Scope;
use crate::guard::Declared;
use crate::model::Role;
use crate::net::address::{CanonicalPath, PathError};
use crate::net::upstream::Upstream;

/// A path of the gateway and what lies behind it.
pub struct Endpoint {
    /// Its name in metrics and audit records.
    pub name: Box<str>,
    /// The path that its requests go below. Of several that match, the longest takes the request.
    pub path: CanonicalPath,
    /// What it protects.
    pub upstream: Arc<Upstream>,
    /// What the upstream serves.
    pub serves: Serves,
    /// The roles that may use it, the preferred first.
    pub roles: Vec<Role>,
    /// Until when, from where, at which hours and how often it may be used.
    pub scope: Scope,
    /// Where callers reach [`Endpoint::path`]; left out, where the request says that it was sent to.
    pub public_url: Option<Url>,
    /// Names of parameters in which the upstream keeps the state of a search between its pages, besides those of common
    /// servers.
    pub page_parameters: Vec<Box<str>>,
    /// Search parameters of the upstream's own, with what they test.
    pub search_parameters: Declared,
    /// What the upstream can leave out by itself.
    pub narrows: Vec<Narrows>,
    /// How it answers who asks for what its role sees nothing of.
    pub unseen: Unseen,
}

/// What an upstream can leave out of its answers by itself, where it is asked to: it saves its work, and changes nothing about
/// what is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Narrows {
    /// The resources that a role's rows withhold, where a search parameter of FHIR tests exactly what they do.
    Rows,
    /// The elements that a role does not see: it takes `_elements` (R4 search.html#elements) in searches and reads.
    Elements,
    /// The types that a role does not see: it takes `_type` in `$everything` and `$export`.
    Types,
}

/// What a caller is told who asks for a resource type or document of which its role sees nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unseen {
    /// That its role does not see it: 403.
    #[default]
    Forbidden,
    /// What is told of a resource that is not there: 404.
    NotFound,
}

/// What an upstream serves.
#[derive(Debug, Clone)]
pub enum Serves {
    /// FHIR R4 over REST.
    Fhir,
    /// JSON documents: the paths and the names that the policy file has for what they answer. The first that matches
    /// counts.
    Documents(Vec<(PathPattern, Box<str>)>),
}

/// A path with places for one segment each: `/v1/members/{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Any,
}

/// Why a pattern of a path can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A segment that is neither a name nor a place.
    #[error("a segment is either a name or one place in braces, such as {{id}}")]
    Place,
    /// The path itself.
    #[error("the path can't be used")]
    Path(#[source] PathError),
}

impl PathPattern {
    /// Reads a pattern as the gateway file writes it.
    ///
    /// # Errors
    /// Where a segment is neither a name nor a place, or the path has more than one reading.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut segments = Vec::new();
        for segment in text.strip_prefix('/').ok_or(PatternError::Path(PathError::Relative))?.split('/') {
            let place = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            segments.push(match place {
                Some(name)
                    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
                {
                    Segment::Any
                }
                _ if segment.contains(['{', '}']) => return Err(PatternError::Place),
                _ => {
                    let path = CanonicalPath::parse(&format!("/{segment}")).map_err(PatternError::Path)?;
                    Segment::Literal(path.segments().first().cloned().ok_or(PatternError::Place)?)
                }
            });
        }
        Ok(Self { segments })
    }

    /// What stands at the places of the path, where it matches.
    pub(super) fn matches<'a>(&self, path: &'a CanonicalPath) -> Option<Vec<&'a str>> {
        // A slash at the end is another path, of which nobody has said what it answers.
        if path.segments().len() != self.segments.len() || path.as_str().ends_with('/') {
            return None;
        }
        let mut places = Vec::new();
        for (segment, expected) in path.segments().iter().zip(&self.segments) {
            match expected {
                Segment::Literal(name) if name == segment => {}
                Segment::Literal(_) => return None,
                Segment::Any => places.push(&**segment),
            }
        }
        Some(places)
    }
}

impl Serves {
    /// Whether it is FHIR, so that answers are FHIR as well.
    pub(super) fn is_fhir(&self) -> bool {
        matches!(self, Self::Fhir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_segments() {
        let pattern = PathPattern::parse("/v1/members/{id}").unwrap();
        let matched = |path: &str| {
            let path = CanonicalPath::parse(path).unwrap();
            pattern.matches(&path).map(|places| places.join(","))
        };
        assert_eq!(matched("/v1/members/7").as_deref(), Some("7"));
        assert_eq!(matched("/v1/%6dembers/7").as_deref(), Some("7"));
        for other in ["/v1/members", "/v1/members/7/claims", "/v2/members/7", "/v1/members/7/", "/"] {
            assert_eq!(matched(other), None, "{other}");
        }
    }

    #[test]
    fn a_pattern_with_a_mistake_is_an_error() {
        assert_eq!(PathPattern::parse("/a/{id"), Err(PatternError::Place));
        assert_eq!(PathPattern::parse("/a/x{id}"), Err(PatternError::Place));
        assert_eq!(PathPattern::parse("/a/{}"), Err(PatternError::Place));
        assert_eq!(PathPattern::parse("a"), Err(PatternError::Path(PathError::Relative)));
        assert_eq!(PathPattern::parse("/a/../b"), Err(PatternError::Path(PathError::DotSegment)));
    }
}
