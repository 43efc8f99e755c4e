//! What a search looks through: a type, a patient's part of a type, several types of the system, or all of it.
//!
//! A page link's tag names it, so that a page at the upstream's root is held to the rules of the search that it is of.

use crate::fhir::interaction::Compartment;
use crate::fhir::{Definitions, TypeId};

/// What a search looks through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::guard) struct Scope {
    /// The types, in the order of their ids; none stands for all that the upstream has.
    pub(in crate::guard) types: Vec<TypeId>,
    /// Whether it was asked of the whole system.
    system: bool,
    /// The type of the resource whose compartment the search stays in.
    pub(super) compartment: Option<Box<str>>,
}

/// What the name of a search of the system starts with; no type's does.
const SYSTEM: char = '*';

impl Scope {
    /// One type.
    pub(in crate::guard) fn of_type(of: TypeId, compartment: Option<&Compartment>) -> Self {
        let compartment = compartment.map(|compartment| compartment.resource_type.clone());
        Self { types: vec![of], system: false, compartment }
    }

    /// Several types, or all.
    pub(in crate::guard) fn of_system(mut types: Vec<TypeId>) -> Self {
        types.sort_unstable();
        types.dedup();
        Self { types, system: true, compartment: None }
    }

    /// The scope of this name. Nothing is proven by it.
    pub(in crate::guard) fn named(definitions: &Definitions, name: &str) -> Option<Self> {
        let Some(types) = name.strip_prefix(SYSTEM) else {
            return definitions.resource(name).map(|of| Self::of_type(of, None));
        };
        let types = types.split('_').filter(|name| !name.is_empty()).map(|name| definitions.resource(name));
        types.collect::<Option<_>>().map(Self::of_system)
    }

    /// Its name, the compartment aside: `Patient`, `*Observation_Patient`, `*`.
    pub(in crate::guard) fn name(&self, definitions: &Definitions) -> String {
        let names: Vec<&str> = self.types.iter().map(|of| definitions.get(*of).name).collect();
        let start = if self.system { String::from(SYSTEM) } else { String::new() };
        start + &names.join("_")
    }

    /// Whether it was asked of the whole system.
    pub(in crate::guard) fn is_system(&self) -> bool {
        self.system
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_scope() {
        let definitions = Definitions::r4();
        let of = |name| definitions.resource(name).unwrap();
        for (scope, name) in [
            (Scope::of_type(of("Patient"), None), "Patient"),
            (Scope::of_system(vec![of("Patient")]), "*Patient"),
            (Scope::of_system(vec![of("Patient"), of("Observation"), of("Patient")]), "*Observation_Patient"),
            (Scope::of_system(Vec::new()), "*"),
        ] {
            assert_eq!(scope.name(&definitions), name);
            assert_eq!(Scope::named(&definitions, name), Some(scope));
        }
        for other in ["", "patient", "Patient_Observation", "*patient", "Resource"] {
            assert_eq!(Scope::named(&definitions, other), None, "{other}");
        }
    }
}
