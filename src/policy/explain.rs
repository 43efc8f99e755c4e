//! Explains a view: what happens to an element, and the rule that decides it, by the walk that plans are compiled by.

use std::collections::HashSet;

use crate::fhir::definitions::Kind;
use crate::fhir::{Definitions, Element, TypeId, TypeRef};

use super::path::{Described, described};
use super::resolve::Because;
use super::treatment::Treatment;
use super::view::{Fork, Origin, Outcome, Place, RuleId, View};
use super::{Policy, RoleView};

/// What happens to one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The element, with its resource type: `Patient.birthDate`.
    pub element: String,
    /// What happens in which case; one case where no condition matters.
    pub cases: Vec<Case>,
}

/// What happens to an element in one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The conditions that hold, and those that don't, each as it was written.
    pub when: Vec<(String, bool)>,
    /// The treatment, as a policy file writes it.
    pub treatment: String,
    /// The rule that decides, as it was written; or what decides in its place.
    pub because: String,
    /// Where the rule stands: file, line, column. None for what is the gateway's own.
    pub at: Option<(String, u32, u32)>,
}

/// Why an element can't be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// There is no such element.
    #[error("unknown element {element}{}", suggestion.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Unknown {
        /// What was asked for.
        element: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
}

impl Policy {
    /// What happens to an element, named with its resource type: `Patient.birthDate`, `Observation.valueQuantity.unit`. Of
    /// a document, by its name, each rule.
    ///
    /// # Errors
    /// Where there is no such element.
    pub fn explain(
        &self,
        definitions: &Definitions,
        role: &RoleView,
        element: &str,
    ) -> Result<Vec<Explanation>, ExplainError> {
        if self.documents.contains_key(element) {
            return Ok(self.explain_document(role, element));
        }
        let (resource, path) = element.split_once('.').unwrap_or((element, ""));
        let Some(type_id) = definitions.resource(resource) else {
            let types = definitions.resource_types().map(|(_, of)| of.name);
            let near = crate::fhir::suggest(resource, types);
            let suggestion = near.map(|near| format!("did you mean {near}?"));
            return Err(ExplainError::Unknown { element: element.to_owned(), suggestion });
        };
        if path.is_empty() {
            return Ok(self.explain_type(definitions, role, type_id));
        }
        let steps: Vec<_> = path.split('.').collect();
        let Some(place) = role.view.place(type_id) else {
            check_known(definitions, type_id, element, path)?;
            return Ok(vec![not_seen(element, resource)]);
        };
        let mut explainer = Explainer { policy: self, role, definitions, found: Vec::new() };
        explainer.walk(resource, &place, &steps, &[]);
        if explainer.found.is_empty() {
            check_known(definitions, type_id, element, path)?;
        }
        Ok(explainer.found)
    }

    /// What happens to each element of the resource types that a role sees: their own elements, and those within that
    /// a rule speaks of.
    pub fn explain_all(&self, definitions: &Definitions, role: &RoleView) -> Vec<Explanation> {
        let seen = role.view.resources.keys();
        let resources = seen.flat_map(|type_id| self.explain_type(definitions, role, *type_id));
        resources.chain(role.documents.keys().flat_map(|name| self.explain_document(role, name))).collect()
    }

    fn explain_document(&self, role: &RoleView, name: &str) -> Vec<Explanation> {
        let Some(seen) = role.documents.get(name) else { return vec![not_seen(name, name)] };
        let rules = seen.rules.iter().map(|rule| {
            let at = Some((self.file.to_string(), rule.at.line, rule.at.column));
            let treatment = rule.treatment.to_string();
            let case = Case { when: Vec::new(), treatment, because: rule.text.to_string(), at };
            Explanation { element: format!("{name} {}", rule.text), cases: vec![case] }
        });
        rules.collect()
    }

    fn explain_type(&self, definitions: &Definitions, role: &RoleView, type_id: TypeId) -> Vec<Explanation> {
        let resource = &definitions.get(type_id).name;
        let Some(place) = role.view.place(type_id) else { return vec![not_seen(resource, resource)] };
        let mut explainer = Explainer { policy: self, role, definitions, found: Vec::new() };
        explainer.all(resource, &place, &[]);
        explainer.found
    }
}

fn not_seen(element: &str, resource: &str) -> Explanation {
    let because = format!("nothing of {resource} is seen");
    let case = Case { when: Vec::new(), treatment: "hide".to_owned(), because, at: None };
    Explanation { element: element.to_owned(), cases: vec![case] }
}

/// What was probably meant by a path below a resource type that names no element, as a sentence.
pub fn meant(definitions: &Definitions, resource: TypeId, path: &str) -> Option<String> {
    let problems = super::path::element_path(definitions, resource, path).err()?;
    problems.into_iter().find_map(|problem| problem.suggestion).map(Into::into)
}

fn check_known(definitions: &Definitions, type_id: TypeId, element: &str, path: &str) -> Result<(), ExplainError> {
    if super::path::element_path(definitions, type_id, path).is_ok() {
        return Ok(());
    }
    Err(ExplainError::Unknown { element: element.to_owned(), suggestion: meant(definitions, type_id, path) })
}

struct Explainer<'a> {
    policy: &'a Policy,
    role: &'a RoleView,
    definitions: &'a Definitions,
    found: Vec<Explanation>,
}

impl Explainer<'_> {
    /// Follows a path; `when` are the conditions met on the way.
    fn walk(&mut self, name: &str, place: &Place, steps: &[&str], when: &[(String, bool)]) {
        let Some((step, rest)) = steps.split_first() else { return };
        let step = step.strip_suffix("[x]").unwrap_or(step);
        let definitions = self.definitions;
        for (element, form) in forms(definitions, place.type_id, step) {
            let name = format!("{name}.{}", form.json_name);
            let Ok(fork) = self.role.view.member(definitions, place, element, form) else { continue };
            for (outcome, when) in cases(&fork, when) {
                if rest.is_empty() {
                    self.note(&name, outcome, when);
                } else {
                    self.walk(&name, &outcome.inside, rest, &when);
                }
            }
        }
    }

    /// Every element of a place, and what is within those that rules look into.
    fn all(&mut self, name: &str, place: &Place, when: &[(String, bool)]) {
        let definitions = self.definitions;
        for element in definitions.get(place.type_id).elements() {
            if described(definitions, place.type_id, element) == Described::Around {
                continue;
            }
            for form in element.types.iter() {
                let name = format!("{name}.{}", form.json_name);
                let Ok(fork) = self.role.view.member(definitions, place, element, form) else { continue };
                // Looked into in each case or in none, so that the cases of what is within are all told.
                let view = &self.role.view;
                let within = fork.outcomes().iter().any(|outcome| view.has_treatments_within(&outcome.inside));
                for (outcome, when) in cases(&fork, when) {
                    self.note(&name, outcome, when.clone());
                    if within {
                        self.all(&name, &outcome.inside, &when);
                    }
                }
            }
        }
    }

    fn note(&mut self, name: &str, outcome: &Outcome, when: Vec<(String, bool)>) {
        let view = &self.role.view;
        let rule = |id: RuleId| view.rule(id).map_or_else(String::new, |rule| rule.text.to_string());
        let because = match outcome.ruling.because {
            Because::Rule(id) => rule(id),
            Because::Conflict(id) => format!("{}, which another rule contradicts", rule(id)),
            Because::TypeRule(id) => format!("types: {}", rule(id)),
            Because::Parent => match (outcome.ruling.treatment == Treatment::Show, name.split('.').count()) {
                (true, 2) => "\"*\"".to_owned(),
                (true, _) => "what it is part of".to_owned(),
                (false, _) => "no rule shows it".to_owned(),
            },
        };
        let mut origin = view.origin(outcome.ruling.because);
        if origin.is_none() && outcome.ruling.treatment == Treatment::Show {
            let resource = name.split('.').next().unwrap_or(name);
            let seen = self.definitions.resource(resource).and_then(|id| view.resources.get(&id));
            origin = seen.and_then(|seen| seen.shown_by).filter(|_| name.split('.').count() == 2);
        }
        let at = match origin {
            Some(Origin::Written(at)) => Some((self.policy.file.to_string(), at.line, at.column)),
            _ => None,
        };
        let built_in = origin == Some(Origin::BuiltIn);
        let because = if built_in { format!("{because} (of the gateway itself)") } else { because };
        let case = Case { when, treatment: outcome.ruling.treatment.to_string(), because, at };
        match self.found.iter_mut().find(|known| known.element == name) {
            Some(known) => known.cases.push(case),
            None => self.found.push(Explanation { element: name.to_owned(), cases: vec![case] }),
        }
    }
}

/// What may happen to an element, each with the conditions met on the way to it and its own.
fn cases<'a>(fork: &'a Fork, met: &'a [(String, bool)]) -> impl Iterator<Item = (&'a Outcome, Vec<(String, bool)>)> {
    fork.outcomes().iter().enumerate().map(move |(index, outcome)| {
        let conditions = fork.conditions().iter().enumerate();
        let own = conditions.map(|(bit, condition)| (condition.text.to_string(), index >> bit & 1 == 1));
        (outcome, met.iter().cloned().chain(own).collect())
    })
}

/// The element that a step names with each form that is meant; several for a choice named without one.
fn forms<'d>(
    definitions: &'d Definitions,
    type_id: TypeId,
    step: &str,
) -> impl Iterator<Item = (&'d Element, &'d TypeRef)> {
    let elements = definitions.get(type_id).elements().iter();
    let all = elements.flat_map(|element| element.types.iter().map(move |form| (element, form)));
    let step = step.to_owned();
    all.filter(move |(element, form)| *element.name == *step || *form.json_name == *step)
}

/// The places and outcomes that a path leads to.
fn outcomes(view: &View, definitions: &Definitions, place: &Place, path: &str) -> Vec<(Place, Outcome, &'static str)> {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let mut found = Vec::new();
    for (element, form) in forms(definitions, place.type_id, step) {
        let Ok(fork) = view.member(definitions, place, element, form) else { continue };
        for outcome in fork.outcomes() {
            match rest {
                Some(rest) => found.extend(outcomes(view, definitions, &outcome.inside, rest)),
                None => found.push((place.clone(), outcome.clone(), element.name.as_str())),
            }
        }
    }
    found
}

/// The strictest treatment that an element may have.
pub(super) fn strictest(view: &View, definitions: &Definitions, resource: TypeId, path: &str) -> Treatment {
    let Some(place) = view.place(resource) else { return Treatment::Hide };
    let found = outcomes(view, definitions, &place, path).into_iter();
    let treatments = found.map(|(_, outcome, _)| outcome.ruling.treatment);
    treatments.max_by_key(Treatment::strictness).unwrap_or(Treatment::Hide)
}

/// Whether an element is shown with all in it that a search could test.
pub(super) fn shows_all(view: &View, definitions: &Definitions, resource: TypeId, path: &str) -> bool {
    let Some(place) = view.place(resource) else { return false };
    let found = outcomes(view, definitions, &place, path);
    let mut seen = HashSet::new();
    !found.is_empty() && found.iter().all(|(_, outcome, _)| all_shown(view, definitions, outcome, &mut seen))
}

fn all_shown(view: &View, definitions: &Definitions, outcome: &Outcome, seen: &mut HashSet<Place>) -> bool {
    if outcome.ruling.treatment != Treatment::Show {
        return false;
    }
    let of = definitions.get(outcome.inside.type_id);
    if of.kind == Kind::Primitive || of.kind == Kind::Resource || !seen.insert(outcome.inside.clone()) {
        return true;
    }
    let tested = of.elements().iter().filter(|element| match &*of.name {
        "Reference" => element.name == "reference",
        _ => !matches!(&*element.name, "id" | "extension" | "modifierExtension"),
    });
    tested.flat_map(|element| element.types.iter().map(move |form| (element, form))).all(|(element, form)| {
        let fork = view.member(definitions, &outcome.inside, element, form);
        fork.is_ok_and(|fork| fork.outcomes().iter().all(|outcome| all_shown(view, definitions, outcome, seen)))
    })
}

#[cfg(test)]
mod tests;
