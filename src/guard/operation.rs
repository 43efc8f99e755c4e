//! Operations and histories: what they answer is filtered like a search, and what their parameters and their choice of
//! resources tell is held to the same rules (L10, L17, L22).
//!
//! What an operation picks tells of what it picks by: that a resource is a patient's, that it is the last of its kind. Where
//! the role does not see that, the operation is refused, or the types of which it would be told are left out.

use super::query::Parameter;
use super::search::{Fate, Rules, Scope, named_types, presentation};
use super::{Guard, GuardError, paging};
use crate::fhir::interaction::{Interaction, Kind};
use crate::fhir::search::{Control, ParameterName, Test};
use crate::fhir::{Operation, TypeId};
use crate::net::address::CanonicalPath;
use crate::policy::ENVELOPES;

/// An operation as it is called upstream.
pub(super) struct Called {
    pub(super) parameters: Vec<Parameter>,
    /// As in [`super::Admission::holds`].
    pub(super) holds: Option<Vec<Box<str>>>,
    /// As in [`super::Admission::seen_first`].
    pub(super) seen_first: Option<CanonicalPath>,
}

/// The media types by which a caller may ask for the files of an export, all of which are one.
const NDJSON: [&str; 3] = ["application/fhir+ndjson", "application/ndjson", "ndjson"];

impl Guard<'_> {
    /// The call of an operation.
    pub(super) fn operation(
        &self,
        interaction: &Interaction,
        path: &CanonicalPath,
        parameters: Vec<Parameter>,
    ) -> Result<Called, GuardError> {
        let operation = interaction.operation.as_deref().and_then(Operation::named).ok_or(GuardError::Operation)?;
        let of = interaction.resource_type.as_deref().and_then(|of| self.definitions.resource(of));
        // What a parameter with a page's state asks for nobody has looked at.
        if parameters.iter().any(|(name, _)| name == paging::TAG || paging::is_state(name, self.page_parameters)) {
            return Err(GuardError::PageLink);
        }
        match operation {
            Operation::Everything => self.everything(of, interaction.id.as_deref(), parameters),
            Operation::Export => self.export(of, interaction.id.is_some(), parameters),
            Operation::Lastn => self.lastn(of, path, parameters),
            Operation::Validate => self.validate(of, interaction.id.is_some(), parameters),
        }
    }

    /// All of a patient. What its resources refer to outside of its compartment is not in it for a restricted role: that it
    /// is there would tell of resources that are withheld.
    fn everything(
        &self,
        of: Option<TypeId>,
        id: Option<&str>,
        parameters: Vec<Parameter>,
    ) -> Result<Called, GuardError> {
        if !self.view.restricted() {
            return unrestricted(parameters);
        }
        let here = GuardError::Unsupported { parameter: "$everything here", instead: OF_A_PATIENT };
        let patient = of.filter(|of| self.name(*of) == "Patient").ok_or(here)?;
        let mut picked = self.pick(parameters, |code, _| match code {
            "start" | "end" => Err(GuardError::Unsupported { parameter: "start and end", instead: SEARCH_BY_DATE }),
            code => Err(GuardError::Unknown { parameter: code.into(), of: "$everything".into() }),
        })?;
        // How many of a page are seen would tell how many are not, so pages are as large as they may be (L09).
        picked.kept.push(("_count".to_owned(), self.most_count.to_string()));
        let mut called = self.told(picked, |of| self.of_a_patient(of))?;
        // Another patient is there because one of the two links to the other.
        if let Some(id) = id
            && self.rules(patient, |rules| rules.of_a_patient(patient)).is_err()
        {
            let held = called.holds.iter_mut().flatten().filter(|of| &***of == "Patient");
            held.for_each(|of| *of = format!("Patient/{id}").into());
        }
        if self.view.has_rows(patient) {
            called.seen_first = id.and_then(|id| CanonicalPath::parse(&format!("/Patient/{id}")).ok());
        }
        Ok(called)
    }

    /// Whether it may be told that a resource is a patient's. That a patient is one is no secret.
    fn of_a_patient(&self, of: TypeId) -> Result<(), GuardError> {
        self.rules(of, |rules| match self.name(of) {
            "Patient" => rules.parameter_of(of, "_id", None),
            _ => rules.of_a_patient(of),
        })
    }

    fn export(&self, of: Option<TypeId>, named: bool, parameters: Vec<Parameter>) -> Result<Called, GuardError> {
        let (format, parameters): (Vec<_>, Vec<_>) =
            parameters.into_iter().partition(|(name, _)| name == "_outputFormat");
        if format.iter().any(|(_, value)| !NDJSON.contains(&&*value.replace(' ', "+"))) {
            return Err(GuardError::Value { parameter: "_outputFormat", takes: "application/fhir+ndjson" });
        }
        if !self.view.restricted() {
            return unrestricted(parameters);
        }
        let picked = self.pick(parameters, |code, value| match code {
            "_typeFilter" => self.type_filter(value),
            code => Err(GuardError::Unknown { parameter: code.into(), of: "$export".into() }),
        })?;
        match of.map(|of| (of, self.name(of))) {
            None => self.told(picked, |_| Ok(())),
            Some((_, "Patient")) if !named => self.told(picked, |of| self.of_a_patient(of)),
            Some((group, "Group")) if named => {
                self.rules(group, |rules| rules.parameter_of(group, "member", None))?;
                self.told(picked, |of| self.of_a_patient(of))
            }
            Some(_) => Err(GuardError::Unsupported { parameter: "$export here", instead: OF_ALL }),
        }
    }

    /// The last Observations of each code. Which are the last depends on those that are withheld.
    fn lastn(
        &self,
        of: Option<TypeId>,
        path: &CanonicalPath,
        parameters: Vec<Parameter>,
    ) -> Result<Called, GuardError> {
        let here = GuardError::Unsupported { parameter: "$lastn here", instead: OF_OBSERVATIONS };
        let of = of.filter(|of| self.name(*of) == "Observation").ok_or(here)?;
        let (most, parameters): (Vec<_>, Vec<_>) = parameters.into_iter().partition(|(name, _)| name == "max");
        if most.iter().any(|(_, value)| value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(GuardError::Value { parameter: "max", takes: "a whole number" });
        }
        if self.view.restricted() {
            if self.view.has_rows(of) {
                return Err(GuardError::Rows { parameter: "$lastn".into(), of: "Observation".into() });
            }
            ["code", "date"].iter().try_for_each(|code| self.rules(of, |rules| rules.parameter_of(of, code, None)))?;
        }
        let mut parameters = self.search(&Scope::of_type(of, None), path, parameters, false)?;
        parameters.extend(most);
        Ok(Called { parameters, holds: None, seen_first: None })
    }

    /// Whether what the caller sends is valid. Of what is stored an answer would tell.
    fn validate(&self, of: Option<TypeId>, stored: bool, parameters: Vec<Parameter>) -> Result<Called, GuardError> {
        if of.is_some() && !self.view.restricted() {
            return unrestricted(parameters);
        }
        if stored || of.is_none() {
            return Err(GuardError::Unsupported { parameter: "$validate here", instead: OF_A_TYPE });
        }
        let picked = self.pick(parameters, |code, _| match code {
            "profile" => Ok(()),
            // A server may then look whether there is another one like it.
            "mode" => Err(GuardError::Unsupported { parameter: "mode", instead: "leave it out" }),
            code => Err(GuardError::Unknown { parameter: code.into(), of: "$validate".into() }),
        })?;
        let holds = Some(ENVELOPES.map(Box::from).into());
        Ok(Called { parameters: picked.kept, holds, seen_first: None })
    }

    /// The history of a resource or of a type. Which versions there are tells of each change, and of resources that were
    /// there, seen or not.
    pub(super) fn history(
        &self,
        interaction: &Interaction,
        parameters: Vec<Parameter>,
    ) -> Result<Vec<Parameter>, GuardError> {
        let of = interaction.resource_type.as_deref().and_then(|of| self.definitions.resource(of));
        if self.view.restricted() {
            let of = of.filter(|_| interaction.kind != Kind::HistorySystem);
            let of = of.ok_or(GuardError::Unsupported { parameter: "a history of all types", instead: OF_A_TYPE })?;
            let name = self.name(of);
            if self.view.has_rows(of) {
                return Err(GuardError::Rows { parameter: "_history".into(), of: name.into() });
            }
            for element in ["id", "meta.versionId", "meta.lastUpdated"] {
                if !self.view.shows_all(self.definitions, of, element) {
                    let element = format!("{name}.{element}").into();
                    return Err(GuardError::Hidden { parameter: "_history".into(), element });
                }
            }
        }
        let mut kept = Vec::new();
        for (name, value) in parameters {
            match ParameterName::parse(&name).map_err(GuardError::Name)? {
                ParameterName::Control(Control::Count) => {
                    let scope = Scope::of_system(of.into_iter().collect());
                    kept.extend(match (Rules { guard: self, scope: &scope }).count(&value)? {
                        Fate::Replace(values) => values.into_iter().map(|value| (name.clone(), value)).collect(),
                        _ => vec![(name, value)],
                    });
                }
                ParameterName::Control(Control::Since | Control::At) => kept.push((name, value)),
                ParameterName::Control(control) if presentation(control, &value)?.is_some() => {}
                _ => return Err(GuardError::Unknown { parameter: name.into(), of: "a history".into() }),
            }
        }
        Ok(kept)
    }

    /// Parts the parameters of an operation of a restricted role. `other` decides those that are the operation's own.
    fn pick(
        &self,
        parameters: Vec<Parameter>,
        other: impl Fn(&str, &str) -> Result<(), GuardError>,
    ) -> Result<Picked, GuardError> {
        let mut picked = Picked { kept: Vec::new(), named: None, since: false };
        for (name, value) in parameters {
            match ParameterName::parse(&name).map_err(GuardError::Name)? {
                ParameterName::Control(control) if presentation(control, &value)?.is_some() => continue,
                // The whole is asked for, in pages that are as large as they may be.
                ParameterName::Control(Control::Elements | Control::Summary | Control::Count) => continue,
                ParameterName::Control(Control::Type) => {
                    picked.named.get_or_insert_default().extend(named_types(self, &value)?);
                }
                ParameterName::Control(Control::Since) => picked.since = true,
                ParameterName::Test(Test { chain, code, modifier: None }) if chain.is_empty() => other(&code, &value)?,
                _ => return Err(GuardError::Unknown { parameter: name.into(), of: "this operation".into() }),
            }
            picked.kept.push((name, value));
        }
        Ok(picked)
    }

    /// What is told of by an operation: of the types that the caller names each, or else of those that the role sees
    /// whatever may be told.
    fn told(&self, picked: Picked, may: impl Fn(TypeId) -> Result<(), GuardError>) -> Result<Called, GuardError> {
        let Picked { mut kept, named, since } = picked;
        let types: Vec<TypeId> = match named {
            Some(named) => {
                for of in &named {
                    if !self.view.sees(*of) {
                        return Err(GuardError::Unseen { parameter: "_type".into(), of: self.name(*of).into() });
                    }
                    may(*of)?;
                }
                named
            }
            None => {
                let seen = self.definitions.resource_types().map(|(of, _)| of).filter(|of| self.view.sees(*of));
                let told: Vec<TypeId> = seen.filter(|of| may(*of).is_ok()).collect();
                if self.takes_types {
                    let names: Vec<&str> = told.iter().map(|of| self.name(*of)).collect();
                    kept.push(("_type".to_owned(), names.join(",")));
                }
                told
            }
        };
        if since {
            types.iter().try_for_each(|of| self.rules(*of, |rules| rules.parameter_of(*of, "_lastUpdated", None)))?;
        }
        let names = types.iter().map(|of| self.name(*of)).chain(ENVELOPES);
        Ok(Called { parameters: kept, holds: Some(names.map(Box::from).collect()), seen_first: None })
    }

    /// A search in a parameter: `Observation?code=…`, held to the rules of that search.
    fn type_filter(&self, value: &str) -> Result<(), GuardError> {
        // A comma parts filters, or values within one; which of the two servers read in more than one way.
        let malformed = || GuardError::Value { parameter: "_typeFilter", takes: TYPE_FILTER };
        let (name, query) = value.split_once('?').filter(|_| !value.contains(',')).ok_or_else(malformed)?;
        let of = self.definitions.resource(name).ok_or_else(malformed)?;
        let scope = Scope::of_type(of, None);
        let rules = Rules { guard: self, scope: &scope };
        rules.may_look()?;
        for (name, value) in super::query::read(query.as_bytes())? {
            match ParameterName::parse(&name).map_err(GuardError::Name)? {
                ParameterName::Test(_) if !paging::is_state(&name, self.page_parameters) => {
                    rules.parameter(&name, &value)?;
                }
                _ => return Err(malformed()),
            }
        }
        Ok(())
    }

    fn rules<T>(&self, of: TypeId, ask: impl FnOnce(Rules<'_>) -> T) -> T {
        let scope = Scope::of_type(of, None);
        ask(Rules { guard: self, scope: &scope })
    }

    fn name(&self, of: TypeId) -> &'static str {
        self.definitions.get(of).name
    }
}

/// The parameters of an operation, as far as they go upstream.
struct Picked {
    kept: Vec<Parameter>,
    /// The types that they name.
    named: Option<Vec<TypeId>>,
    /// Whether they ask for what has changed since.
    since: bool,
}

/// Who sees everything may ask anything, in JSON.
fn unrestricted(parameters: Vec<Parameter>) -> Result<Called, GuardError> {
    let mut kept = Vec::new();
    for (name, value) in parameters {
        let shapes = match ParameterName::parse(&name) {
            Ok(ParameterName::Control(control)) => presentation(control, &value)?.is_some(),
            _ => false,
        };
        if !shapes {
            kept.push((name, value));
        }
    }
    Ok(Called { parameters: kept, holds: None, seen_first: None })
}

const OF_A_PATIENT: &str = "ask for that of a Patient";
const OF_OBSERVATIONS: &str = "ask for that of Observations";
const OF_ALL: &str = "ask for that of the system, of all patients or of a Group";
const OF_A_TYPE: &str = "ask for that of a resource type";
const SEARCH_BY_DATE: &str = "search each type by a date that the role sees";
const TYPE_FILTER: &str = "one search of a type, such as Observation?code=718-7, without commas; give it once for each";
