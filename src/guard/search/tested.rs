//! What one search parameter of one type tests, with its modifier: each element of it must be shown as it is.

use super::Rules;
use crate::fhir::definitions::{Kind, Mapping, ParameterKind};
use crate::fhir::search::Modifier;
use crate::fhir::{SearchParameter, TypeId};
use crate::guard::GuardError;

/// A search parameter of a type whose elements are known.
pub(super) struct Known<'a> {
    pub(super) code: &'a str,
    /// The paths below the type of all elements that it tests.
    paths: Vec<&'a str>,
    /// What FHIR says of it; `None` for a server's own.
    standard: Option<&'static SearchParameter>,
}

impl<'a> Rules<'a> {
    /// The parameter of this code, as FHIR defines it or else as the endpoint declares it.
    pub(super) fn known(&self, of: TypeId, code: &str) -> Option<Known<'a>> {
        let resource = self.guard.definitions.get(of).name;
        if let Some(standard) = self.guard.definitions.search_parameter(resource, code) {
            return Some(self.standard(of, standard));
        }
        let (code, paths) = self.guard.declared.get(of, code)?;
        Some(Known { code, paths: paths.iter().map(|path| &**path).collect(), standard: None })
    }

    /// A parameter that FHIR defines. A server may find a composite by its parts, and some of those test more than it does.
    pub(super) fn standard(&self, of: TypeId, standard: &'static SearchParameter) -> Known<'a> {
        let part = |code| self.guard.definitions.search_parameter(self.name(of), code);
        let parts = standard.components.iter().filter_map(part).flat_map(|part| part.elements.iter());
        let paths = standard.elements.iter().chain(parts).collect();
        Known { code: standard.code.as_str(), paths, standard: Some(standard) }
    }

    /// Whether a type may be searched by a parameter, in the way that a modifier says.
    pub(in crate::guard) fn parameter_of(
        &self,
        of: TypeId,
        code: &str,
        modifier: Option<&Modifier>,
    ) -> Result<(), GuardError> {
        let Some(known) = self.known(of, code) else {
            return Err(GuardError::Unknown { parameter: code.into(), of: self.name(of).into() });
        };
        self.shown(of, &known)?;
        modifier.map_or(Ok(()), |modifier| self.modifier(of, &known, modifier))
    }

    /// A reference parameter of a type, which is shown; a chain or an inclusion goes on from there.
    pub(super) fn reference(&self, of: TypeId, code: &str) -> Result<Known<'a>, GuardError> {
        let Some(known) = self.known(of, code) else {
            return Err(GuardError::Unknown { parameter: code.into(), of: self.name(of).into() });
        };
        if !known.leads_on() {
            return Err(GuardError::Unfollowed { parameter: code.into() });
        }
        self.shown(of, &known)?;
        Ok(known)
    }

    /// The resource types that a reference parameter leads to.
    pub(super) fn targets(&self, known: &Known<'_>) -> Vec<TypeId> {
        let definitions = self.guard.definitions;
        let names: Vec<&str> = known.standard.map_or_else(Vec::new, |standard| standard.targets.iter().collect());
        if names.contains(&"Resource") {
            return definitions.resource_types().map(|(of, _)| of).collect();
        }
        names.into_iter().filter_map(|name| definitions.resource(name)).collect()
    }

    /// Whether every element that a parameter tests is shown as it is, for every item.
    pub(super) fn shown(&self, of: TypeId, known: &Known<'_>) -> Result<(), GuardError> {
        match known.standard.map(|standard| standard.mapping) {
            // A composite's elements are those of its parts, the special `near` measures from its own.
            None | Some(Mapping::Plain | Mapping::Composite | Mapping::Special) if !known.paths.is_empty() => {}
            _ => return Err(GuardError::Unfollowed { parameter: known.code.into() }),
        }
        known.paths.iter().try_for_each(|path| self.element(of, known.code, path))?;
        if known.paths.iter().any(|path| self.has_type(of, path, |known| known.kind == Kind::Resource)) {
            // What is tested is a resource within this one (`Bundle.entry.resource`), by its id.
            for within in self.targets(known) {
                self.passable(within, known.code)?;
                self.element(within, known.code, "id")?;
            }
        }
        Ok(())
    }

    fn element(&self, of: TypeId, code: &str, path: &str) -> Result<(), GuardError> {
        if self.guard.view.shows_all(self.guard.definitions, of, path) {
            return Ok(());
        }
        Err(GuardError::Hidden { parameter: code.into(), element: format!("{}.{path}", self.name(of)).into() })
    }

    /// Whether nothing but what is shown is tested by a modifier of a parameter whose own elements are shown.
    fn modifier(&self, of: TypeId, known: &Known<'_>, modifier: &Modifier) -> Result<(), GuardError> {
        let refers = self.refers(of, known);
        let refused = || GuardError::Modifier { parameter: known.code.into() };
        if known.kind() == Some(ParameterKind::Composite) && *modifier != Modifier::Missing {
            return Err(refused());
        }
        match modifier {
            // Each tests the very elements that the parameter tests without it.
            Modifier::Missing | Modifier::Exact | Modifier::Contains | Modifier::Not => Ok(()),
            // Codes against codes of the terminology, which tells nothing of a resource. A reference's hierarchy goes
            // through other resources (R4 search.html#recursive), and its sets are resources.
            Modifier::Above | Modifier::Below | Modifier::In | Modifier::NotIn if refers => Err(refused()),
            Modifier::Above | Modifier::Below | Modifier::In | Modifier::NotIn => Ok(()),
            // A parameter may test a part of what has the texts, such as the coding of a concept.
            Modifier::Text | Modifier::OfType => {
                known.paths.iter().try_for_each(|path| self.element(of, known.code, self.whole(of, path)))?;
                self.within_references(of, known, "display")
            }
            Modifier::Identifier if refers => self.within_references(of, known, "identifier"),
            Modifier::Type(target) if refers && self.guard.definitions.resource(target).is_some() => Ok(()),
            Modifier::Identifier | Modifier::Type(_) => Err(refused()),
        }
    }

    /// Whether an element within each Reference that a parameter tests is shown.
    fn within_references(&self, of: TypeId, known: &Known<'_>, element: &str) -> Result<(), GuardError> {
        let references = known.paths.iter().filter(|path| self.has_type(of, path, |known| known.name == "Reference"));
        references.into_iter().try_for_each(|path| self.element(of, known.code, &format!("{path}.{element}")))
    }

    /// The path of the whole value of a data type that a path leads to or into.
    fn whole<'p>(&self, of: TypeId, path: &'p str) -> &'p str {
        let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
        let starts = ends.filter_map(|end| path.get(..end));
        let is_value = |path: &&str| !self.has_type(of, path, |known| known.kind == Kind::Backbone);
        starts.into_iter().find(is_value).unwrap_or(path)
    }

    /// Whether a parameter's values are references, of which a server's own may be one as well.
    fn refers(&self, of: TypeId, known: &Known<'_>) -> bool {
        match known.kind() {
            Some(kind) => kind == ParameterKind::Reference,
            None => {
                let leads = |path: &&str| self.has_type(of, path, |of| matches!(of.name, "Reference" | "canonical"));
                known.paths.iter().any(leads)
            }
        }
    }

    fn has_type(&self, of: TypeId, path: &str, test: impl Fn(&crate::fhir::Type) -> bool) -> bool {
        let definitions = self.guard.definitions;
        let found = definitions.element_at(of, path);
        found.is_some_and(|found| found.types.iter().any(|known| test(definitions.get(known.target))))
    }
}

impl Known<'_> {
    fn kind(&self) -> Option<ParameterKind> {
        self.standard.map(|standard| standard.kind)
    }

    /// Whether a chain may go on from it. Nobody has said where a server's own leads.
    pub(super) fn leads_on(&self) -> bool {
        self.kind() == Some(ParameterKind::Reference)
    }
}
