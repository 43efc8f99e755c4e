//! Chains: `subject:Patient.name`, `_has:Observation:patient:code`, followed from type to type.
//!
//! A match by a chain says that a resource of another type is there, that it has that value, and that the reference
//! leads to it. So the reference must be shown, and every type on the way seen, with the element that is tested. And of
//! no type on the way may single resources be withheld: an Observation that is found by its patient's name tells the
//! name of that patient, whose own resource this role may not see. No answer would show which match is one of those.

use std::collections::BTreeSet;

use super::Rules;
use crate::fhir::TypeId;
use crate::fhir::search::{Link, Test};
use crate::guard::GuardError;

/// What comes behind a link.
#[derive(Clone, Copy)]
pub(super) enum Next<'a> {
    /// The parameter at the end.
    Parameter(&'a str),
    /// Another link.
    Link(&'a Link),
    /// Anything.
    Any,
}

impl Rules<'_> {
    /// Whether resources of these types may be found by what a parameter tests, at the end of its chain.
    pub(super) fn test(&self, types: &[TypeId], test: &Test) -> Result<(), GuardError> {
        if let Some((parameter, instead)) = NEVER.into_iter().find(|(never, _)| *never == &*test.code) {
            return Err(GuardError::Unsupported { parameter, instead });
        }
        let ends = self.follow(types, &test.chain, Next::Parameter(&test.code))?;
        ends.into_iter().try_for_each(|of| self.parameter_of(of, &test.code, test.modifier.as_ref()))
    }

    /// The types that a chain leads to from these.
    pub(super) fn follow(&self, types: &[TypeId], chain: &[Link], end: Next<'_>) -> Result<Vec<TypeId>, GuardError> {
        let mut types = types.to_vec();
        let mut rest = chain;
        while let Some((link, then)) = rest.split_first() {
            rest = then;
            types = self.step(&types, link, then.first().map_or(end, Next::Link))?;
        }
        Ok(types)
    }

    fn step(&self, types: &[TypeId], link: &Link, next: Next<'_>) -> Result<Vec<TypeId>, GuardError> {
        match link {
            Link::Forward { code, target } => self.forward(types, code, target.as_deref(), next),
            Link::Reverse { resource_type, code } => {
                let Some(source) = self.guard.definitions.resource(resource_type) else {
                    return Err(GuardError::Unknown { parameter: "_has".into(), of: "that type".into() });
                };
                self.passable(source, "_has")?;
                let targets = self.targets(&self.reference(source, code)?);
                if types.iter().all(|of| targets.contains(of)) {
                    Ok(vec![source])
                } else {
                    Err(GuardError::Unfollowed { parameter: code.clone() })
                }
            }
        }
    }

    fn forward(
        &self,
        types: &[TypeId],
        code: &str,
        target: Option<&str>,
        next: Next<'_>,
    ) -> Result<Vec<TypeId>, GuardError> {
        let mut found = BTreeSet::new();
        for of in types {
            let targets = self.targets(&self.reference(*of, code)?);
            match target {
                Some(name) => {
                    let target = self.guard.definitions.resource(name).filter(|target| targets.contains(target));
                    found.insert(target.ok_or_else(|| GuardError::Unfollowed { parameter: code.into() })?);
                }
                // A server looks at whatever the reference leads to that has the parameter.
                None => found.extend(targets.into_iter().filter(|target| self.has(*target, next))),
            }
        }
        if found.is_empty() {
            return Err(GuardError::Unfollowed { parameter: code.into() });
        }
        found.iter().try_for_each(|target| self.passable(*target, code))?;
        Ok(found.into_iter().collect())
    }

    /// Whether a type has what comes next.
    fn has(&self, of: TypeId, next: Next<'_>) -> bool {
        match next {
            Next::Any => true,
            Next::Parameter(code) => self.known(of, code).is_some(),
            Next::Link(Link::Forward { code, .. }) => self.known(of, code).is_some(),
            Next::Link(Link::Reverse { resource_type, code }) => {
                let source = self.guard.definitions.resource(resource_type);
                let known = source.and_then(|source| self.known(source, code));
                known.is_some_and(|known| self.targets(&known).contains(&of))
            }
        }
    }

    /// Whether a match may depend on resources of a type other than those that are found. `by`: the parameter.
    pub(super) fn passable(&self, of: TypeId, by: &str) -> Result<(), GuardError> {
        if !self.guard.view.sees(of) {
            return Err(GuardError::Unseen { parameter: by.into(), of: self.name(of).into() });
        }
        self.complete(of, by)
    }

    /// Whether all resources of a type that is seen are seen.
    pub(super) fn complete(&self, of: TypeId, by: &str) -> Result<(), GuardError> {
        if self.guard.view.has_rows(of) {
            return Err(GuardError::Rows { parameter: by.into(), of: self.name(of).into() });
        }
        Ok(())
    }
}

/// What no restricted role may search by, wherever it stands in a chain, and what to do instead.
const NEVER: [(&str, &str); 5] = [
    ("_text", "it looks through narratives, which repeat what is withheld; search by what this role sees"),
    ("_content", "it looks through whole resources, withheld elements too; search by what this role sees"),
    ("_query", "nobody knows what a named query tests; search by what this role sees"),
    ("_list", "it tests what a List holds, and of some Lists nobody knows; read the List and search by _id"),
    ("_filter", "it can't stand in a chain; write the chain within the filter"),
];
