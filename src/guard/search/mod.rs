//! Search parameters: a caller may ask about nothing that its role does not see (L10 to L15).
//!
//! A search answers "does this resource have that value" even where the value itself is withheld. So each element that a
//! parameter tests, or sorts by, must be shown as it is, for each type on the way to it. What cannot be followed to its
//! elements is refused, never let through on trust. A role from which nothing is withheld may ask anything.

mod chain;
mod declared;
mod filter;
mod include;
mod scope;
mod tested;
mod told;

pub use self::declared::Declared;

pub(super) use self::scope::Scope;

use self::include::Way;
use super::paging;
use super::query::Parameter;
use super::{Guard, GuardError};
use crate::fhir::TypeId;
use crate::fhir::search::{Control, ParameterName, Test};

/// What happens to a parameter on its way to the upstream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes upstream as it is.
    Pass,
    /// It goes upstream with other values, once for each; with none it stays behind.
    Replace(Vec<String>),
    /// It stays behind: the gateway sees to it, or the answer may lack what it asks for.
    Drop,
    /// It holds the state of a search between pages, which only a page link may.
    State,
}

/// The rules for the parameters of one search.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) guard: &'a Guard<'a>,
    /// What is searched.
    pub(super) scope: &'a Scope,
}

impl Rules<'_> {
    /// What happens to a parameter of the search, decoded.
    pub(super) fn parameter(&self, name: &str, value: &str) -> Result<Fate, GuardError> {
        if paging::is_state(name, self.guard.page_parameters) {
            return Ok(Fate::State);
        }
        match ParameterName::parse(name) {
            Ok(ParameterName::Control(control)) => self.control(control, value),
            Ok(ParameterName::Test(_)) | Err(_) if !self.restricted() => Ok(Fate::Pass),
            Ok(ParameterName::Test(Test { chain, code, modifier: None }))
                if chain.is_empty() && *code == *"_filter" =>
            {
                self.filter(value).map(|()| Fate::Pass)
            }
            Ok(ParameterName::Test(test)) => self.test(&self.scope.types, &test).map(|()| Fate::Pass),
            Err(error) => Err(GuardError::Name(error)),
        }
    }

    /// Whether the role may look through what is searched at all; a compartment tests the references that lead to it.
    pub(super) fn may_look(&self) -> Result<(), GuardError> {
        if !self.restricted() {
            return Ok(());
        }
        if self.scope.types.is_empty() {
            return Err(GuardError::Unsupported { parameter: "a search of all types", instead: NAME_TYPES });
        }
        for of in &self.scope.types {
            if !self.guard.view.sees(*of) {
                let parameter = if self.scope.is_system() { "_type" } else { "the search" };
                return Err(GuardError::Unseen { parameter: parameter.into(), of: self.name(*of).into() });
            }
        }
        match self.scope.compartment.as_deref() {
            None => Ok(()),
            Some(patient @ "Patient") => {
                // A server may answer in another way for a patient who is not there than for one without matches.
                self.guard.definitions.resource(patient).map_or(Ok(()), |of| self.complete(of, "this compartment"))?;
                self.scope.types.iter().try_for_each(|of| self.of_a_patient(*of))
            }
            Some(_) => Err(GuardError::Unsupported { parameter: "this compartment", instead: BY_PARAMETERS }),
        }
    }

    /// Whether it may be told that a resource of a type is a patient's: each reference that says so must be shown.
    pub(super) fn of_a_patient(&self, of: TypeId) -> Result<(), GuardError> {
        let name = self.name(of);
        let Some(codes) = self.guard.definitions.patient_parameters(name) else {
            return Err(GuardError::Unsupported { parameter: "this compartment", instead: BY_PARAMETERS });
        };
        // A Patient is in its own compartment by its id besides.
        let own = (name == "Patient").then_some("_id");
        codes.iter().chain(own).try_for_each(|code| self.parameter_of(of, code, None))
    }

    fn restricted(&self) -> bool {
        self.guard.view.restricted()
    }

    fn name(&self, of: TypeId) -> &'static str {
        self.guard.definitions.get(of).name
    }

    fn control(&self, control: Control, value: &str) -> Result<Fate, GuardError> {
        if let Some(fate) = presentation(control, value)? {
            return Ok(fate);
        }
        if control == Control::Count {
            return self.count(value);
        }
        if !self.restricted() {
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
            Control::Include { iterate } => self.include(Way::There, iterate, value).map(Fate::Replace),
            Control::RevInclude { iterate } => self.include(Way::Back, iterate, value).map(Fate::Replace),
            Control::Contained => Err(GuardError::Unsupported { parameter: "_contained", instead: LEAVE_OUT }),
            Control::ContainedType => Err(GuardError::Unsupported { parameter: "_containedType", instead: LEAVE_OUT }),
            Control::Type => self.types(value),
            Control::Since => Err(GuardError::Unsupported { parameter: "_since", instead: "use _lastUpdated" }),
            Control::At => Err(GuardError::Unsupported { parameter: "_at", instead: LEAVE_OUT }),
            Control::Count | Control::Format | Control::Pretty => Ok(Fate::Drop),
        }
    }

    /// The types of a search of the system are those that are searched; in another a server may read them or not.
    fn types(&self, value: &str) -> Result<Fate, GuardError> {
        if named_types(self.guard, value)?.iter().all(|of| self.scope.types.contains(of)) {
            return Ok(Fate::Pass);
        }
        Err(GuardError::Unsupported { parameter: "_type", instead: "search each type by itself" })
    }

    /// Asks for the largest page where a short one would answer for rows that are withheld: whether another page follows a
    /// search by patient and code says that there is a match, seen or not (L09). A compartment is such a parameter, too.
    pub(super) fn widen(&self, admitted: &mut Vec<Parameter>) {
        let tests = |(name, _): &Parameter| matches!(ParameterName::parse(name), Ok(ParameterName::Test(_)));
        if !self.counts() && (self.scope.compartment.is_some() || admitted.iter().any(tests)) {
            admitted.retain(|(name, _)| name != "_count");
            admitted.push(("_count".to_owned(), self.guard.most_count.to_string()));
        }
    }

    /// Whether the number of matches may be told: it would tell of rows that are withheld (L09).
    fn counts(&self) -> bool {
        !self.restricted() || !self.scope.types.iter().any(|of| self.guard.view.has_rows(*of))
    }

    /// A page of none is a count.
    pub(super) fn count(&self, value: &str) -> Result<Fate, GuardError> {
        let wanted = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse::<u64>().ok()).flatten();
        match wanted {
            None => Err(GuardError::Value { parameter: "_count", takes: "a whole number" }),
            Some(0) if !self.counts() => Err(COUNT_IS_WITHHELD),
            Some(number) if number > u64::from(self.guard.most_count) => {
                Ok(Fate::Replace(vec![self.guard.most_count.to_string()]))
            }
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
        let malformed = GuardError::Value { parameter: "_sort", takes: SORT };
        value.split(',').try_for_each(|key| match ParameterName::parse(key.strip_prefix('-').unwrap_or(key)) {
            Ok(ParameterName::Test(test)) if test.chain.is_empty() && test.modifier.is_none() => {
                self.test(&self.scope.types, &test).map_err(|error| match error {
                    // What stands in a value is not repeated.
                    GuardError::Unknown { .. } => malformed.clone(),
                    error => error,
                })
            }
            _ => Err(malformed.clone()),
        })
    }
}

/// The types that a `_type` names.
pub(super) fn named_types(guard: &Guard<'_>, value: &str) -> Result<Vec<TypeId>, GuardError> {
    let unknown = || GuardError::Value { parameter: "_type", takes: "resource types of FHIR R4, joined by commas" };
    value.split(',').map(|name| guard.definitions.resource(name).ok_or_else(unknown)).collect()
}

const SORT: &str = "search parameters of the type that is searched, each with or without a -";
const NAME_TYPES: &str = "name them: _type=Patient,Observation";
const BY_PARAMETERS: &str = "search the type by its own parameters";
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
