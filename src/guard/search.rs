//! Search parameters: a caller may ask about nothing that its role does not see (L10 to L15).
//!
//! A search answers "does this resource have that value" even where the value itself is withheld. So each element that a
//! parameter tests, or sorts by, must be shown as it is. What cannot be followed to its elements is refused, never let
//! through on trust. A role from which nothing is withheld may ask anything.

use super::GuardError;
use super::paging;
use super::query::Parameter;
use crate::fhir::Definitions;
use crate::fhir::definitions::{Mapping, SearchParameter};
use crate::fhir::search::{Control, Link, Modifier, ParameterName, Test};
use crate::policy::RoleView;

/// What happens to a parameter on its way to the upstream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes upstream as it is.
    Pass,
    /// It goes upstream with another value.
    Replace(String),
    /// It stays behind: the gateway sees to it, or the answer may lack what it asks for.
    Drop,
    /// It holds the state of a search between pages, which only a page link may.
    State,
}

/// The rules for the parameters of one search.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) view: &'a RoleView,
    pub(super) definitions: &'a Definitions,
    /// The resource type that is searched.
    pub(super) resource: &'a str,
    /// Names of page parameters besides the known ones.
    pub(super) page_parameters: &'a [Box<str>],
    /// The most matches that a page may be asked to hold.
    pub(super) most_count: u32,
}

impl Rules<'_> {
    /// What happens to a parameter of the search, decoded.
    pub(super) fn parameter(&self, name: &str, value: &str) -> Result<Fate, GuardError> {
        if paging::is_state(name, self.page_parameters) {
            return Ok(Fate::State);
        }
        match ParameterName::parse(name) {
            Ok(ParameterName::Control(control)) => self.control(control, value),
            Ok(ParameterName::Test(_)) | Err(_) if !self.view.restricted() => Ok(Fate::Pass),
            Ok(ParameterName::Test(test)) => self.test(&test).map(|()| Fate::Pass),
            Err(error) => Err(GuardError::Name(error)),
        }
    }

    fn control(&self, control: Control, value: &str) -> Result<Fate, GuardError> {
        if let Some(fate) = presentation(control, value)? {
            return Ok(fate);
        }
        if control == Control::Count {
            return self.count(value);
        }
        if !self.view.restricted() {
            return Ok(Fate::Pass);
        }
        match control {
            Control::Sort => self.sort(value).map(|()| Fate::Pass),
            Control::Elements => elements(value).map(|()| Fate::Drop),
            Control::Summary => self.summary(value),
            Control::Total => match value {
                "none" | "estimate" | "accurate" => Ok(Fate::Pass),
                _ => Err(GuardError::Value { parameter: "_total", takes: "none, estimate or accurate" }),
            },
            Control::Include { .. } => Err(GuardError::Unsupported { parameter: "_include", instead: SEARCH_ITSELF }),
            Control::RevInclude { .. } => {
                Err(GuardError::Unsupported { parameter: "_revinclude", instead: SEARCH_ITSELF })
            }
            Control::Contained => Err(GuardError::Unsupported { parameter: "_contained", instead: LEAVE_OUT }),
            Control::ContainedType => Err(GuardError::Unsupported { parameter: "_containedType", instead: LEAVE_OUT }),
            Control::Type => Err(GuardError::Unsupported { parameter: "_type", instead: "search each type by itself" }),
            Control::Since => Err(GuardError::Unsupported { parameter: "_since", instead: "use _lastUpdated" }),
            Control::At => Err(GuardError::Unsupported { parameter: "_at", instead: LEAVE_OUT }),
            Control::Count | Control::Format | Control::Pretty => Ok(Fate::Drop),
        }
    }

    /// Asks for the largest page where a short one would answer for rows that are withheld: whether another page follows a
    /// search by patient and code says that there is a match, seen or not (L09).
    pub(super) fn widen(&self, admitted: &mut Vec<Parameter>) {
        let tests = |(name, _): &Parameter| matches!(ParameterName::parse(name), Ok(ParameterName::Test(_)));
        if !self.counts() && admitted.iter().any(tests) {
            admitted.retain(|(name, _)| name != "_count");
            admitted.push(("_count".to_owned(), self.most_count.to_string()));
        }
    }

    /// Whether the number of matches may be told: it would tell of rows that are withheld (L09).
    fn counts(&self) -> bool {
        let type_id = self.definitions.resource(self.resource);
        !self.view.restricted() || type_id.is_some_and(|id| !self.view.has_rows(id))
    }

    /// A page of none is a count.
    fn count(&self, value: &str) -> Result<Fate, GuardError> {
        let wanted = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse::<u64>().ok()).flatten();
        match wanted {
            None => Err(GuardError::Value { parameter: "_count", takes: "a whole number" }),
            Some(0) if !self.counts() => Err(COUNT_IS_WITHHELD),
            Some(number) if number > u64::from(self.most_count) => Ok(Fate::Replace(self.most_count.to_string())),
            Some(_) => Ok(Fate::Pass),
        }
    }

    /// A summary may lack what the view's rows, labels and conditions look at, so the whole resource is asked for; a
    /// server need not summarise (R4 search.html#summary).
    fn summary(&self, value: &str) -> Result<Fate, GuardError> {
        match value {
            "true" | "text" | "data" | "false" => Ok(Fate::Drop),
            "count" if self.counts() => Ok(Fate::Pass),
            "count" => Err(COUNT_IS_WITHHELD),
            _ => Err(GuardError::Value { parameter: "_summary", takes: "true, text, data, count or false" }),
        }
    }

    /// The order of what is found tells of what it is sorted by (L12).
    fn sort(&self, value: &str) -> Result<(), GuardError> {
        value.split(',').try_for_each(|key| {
            let code = key.strip_prefix('-').unwrap_or(key);
            match ParameterName::parse(code) {
                Ok(ParameterName::Test(Test { chain, code, modifier: None })) if chain.is_empty() => self.code(&code),
                _ => {
                    Err(GuardError::Value { parameter: "_sort", takes: "search parameters, each with or without a -" })
                }
            }
        })
    }

    fn test(&self, test: &Test) -> Result<(), GuardError> {
        match test.chain.first() {
            None => {}
            Some(Link::Forward { .. }) => {
                return Err(GuardError::Unsupported { parameter: "a chained parameter", instead: SEARCH_ITSELF });
            }
            Some(Link::Reverse { .. }) => {
                return Err(GuardError::Unsupported { parameter: "_has", instead: SEARCH_ITSELF });
            }
        }
        match &test.modifier {
            // Each of them tests the very elements that the parameter tests without it.
            None | Some(Modifier::Exact | Modifier::Contains | Modifier::Missing | Modifier::Not) => {}
            Some(_) => return Err(GuardError::Modifier { parameter: test.code.clone() }),
        }
        self.code(&test.code)
    }

    fn code(&self, code: &str) -> Result<(), GuardError> {
        let Some(parameter) = self.definitions.search_parameter(self.resource, code) else {
            return Err(GuardError::Unknown { parameter: code.into(), of: self.resource.into() });
        };
        match parameter.mapping {
            Mapping::Plain if !parameter.elements.is_empty() => self.plain(parameter),
            Mapping::Plain | Mapping::Composite | Mapping::Special | Mapping::Opaque | Mapping::Unknown => {
                Err(GuardError::Unfollowed { parameter: code.into() })
            }
        }
    }

    fn plain(&self, parameter: &SearchParameter) -> Result<(), GuardError> {
        let type_id = self.definitions.resource(self.resource);
        let shown = |path: &str| type_id.is_some_and(|id| self.view.shows_all(self.definitions, id, path));
        match parameter.elements.iter().find(|path| !shown(path)) {
            Some(path) => Err(GuardError::Hidden {
                parameter: parameter.code.into(),
                element: format!("{}.{path}", self.resource).into(),
            }),
            None => Ok(()),
        }
    }
}

const SEARCH_ITSELF: &str = "search the other type by itself";
const LEAVE_OUT: &str = "leave it out";
const COUNT_IS_WITHHELD: GuardError =
    GuardError::Unsupported { parameter: "a count of matches", instead: "ask for the matches" };

/// The fate of a parameter that only says how an answer is written; `None` for the others.
pub(super) fn presentation(control: Control, value: &str) -> Result<Option<Fate>, GuardError> {
    match control {
        Control::Format if is_json(value) => Ok(Some(Fate::Drop)),
        Control::Format => Err(GuardError::Format),
        Control::Pretty => Ok(Some(Fate::Drop)),
        _ => Ok(None),
    }
}

fn is_json(format: &str) -> bool {
    let media_type = format.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // A `+` that was not percent-encoded reads as a space.
    matches!(media_type.replace(' ', "+").as_str(), "json" | "application/json" | "application/fhir+json" | "text/json")
}

/// The elements that a caller wants: less than its view has, so that nothing is lost by the whole view.
fn elements(value: &str) -> Result<(), GuardError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b',' | b'[' | b']');
    if !value.is_empty() && value.bytes().all(allowed) {
        Ok(())
    } else {
        Err(GuardError::Value { parameter: "_elements", takes: "names of elements joined by commas" })
    }
}
