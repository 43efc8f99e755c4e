//! What a CapabilityStatement tells a role of searches: what it may ask about a type, by the rules that its searches are held to.

use super::include::Way;
use super::{Rules, Scope};
use crate::fhir::TypeId;
use crate::fhir::interaction::Kind;
use crate::fhir::search::Test;
use crate::guard::{Guard, GuardError};
use crate::policy::{May, Searchable};
use crate::redact::plan::Plan;

/// The parameters that are of no type, and that a role may use from which something is withheld.
const OF_ANY: [&str; 11] = [
    "_count",
    "_elements",
    "_filter",
    "_format",
    "_has",
    "_include",
    "_pretty",
    "_revinclude",
    "_sort",
    "_summary",
    "_total",
];

impl Guard<'_> {
    /// The plan for what `metadata` answers.
    ///
    /// # Errors
    /// Where the policy's own rules for a CapabilityStatement leave no room for it.
    pub fn capabilities(&self) -> Result<Plan, GuardError> {
        let (view, definitions) = (self.view, self.definitions);
        let plan = if !view.may().contains(&May::Interaction(Kind::SearchType)) {
            view.capabilities(definitions, |_| Some(Searchable::default()))
        } else if view.restricted() {
            let references = self.references();
            view.capabilities(definitions, |of| Some(self.searchable(of, &references)))
        } else {
            view.capabilities(definitions, |_| None)
        };
        plan.ok_or(NO_ROOM)
    }

    /// What the role may ask about a type that it sees.
    fn searchable(&self, of: TypeId, references: &[Reference]) -> Searchable {
        let scope = Scope::of_type(of, None);
        let rules = Rules { guard: self, scope: &scope };
        let asks = |code: &&str| {
            let test = Test { chain: Vec::new(), code: (*code).into(), modifier: None };
            rules.test(&scope.types, &test).is_ok()
        };
        let brings = |way: Way, reference: &&Reference| {
            rules.include(way, false, &reference.value).is_ok_and(|values| !values.is_empty())
        };
        let values = |references: Vec<&Reference>| references.into_iter().map(|known| known.value.clone()).collect();
        let standard =
            self.definitions.search_parameters(self.definitions.get(of).name).map(|known| known.code.as_str());
        let (own, others) = (references.iter().filter(|known| known.of == of), references.iter());
        let others = others.filter(|known| known.targets.contains(&of));
        Searchable {
            parameters: standard.chain(self.declared.codes(of)).filter(asks).chain(OF_ANY).map(Into::into).collect(),
            includes: values(own.filter(|known| brings(Way::There, known)).collect()),
            reverse_includes: values(others.filter(|known| brings(Way::Back, known)).collect()),
        }
    }

    /// The references by which something may be included.
    fn references(&self) -> Vec<Reference> {
        let rules = Rules { guard: self, scope: &Scope::of_system(Vec::new()) };
        let seen = self.definitions.resource_types().filter(|(of, _)| self.view.sees(*of));
        let references = seen.flat_map(|(of, known)| {
            let rules = &rules;
            rules.references(of).filter(move |reference| rules.shown(of, reference).is_ok()).map(move |reference| {
                Reference {
                    of,
                    value: format!("{}:{}", known.name, reference.code).into(),
                    targets: rules.targets(&reference),
                }
            })
        });
        references.collect()
    }
}

/// A reference parameter that is shown.
struct Reference {
    of: TypeId,
    /// `Observation:subject`.
    value: Box<str>,
    targets: Vec<TypeId>,
}

const NO_ROOM: GuardError = GuardError::Unsupported {
    parameter: "metadata",
    instead: "the policy's rules for CapabilityStatement leave no room for what it would tell",
};
