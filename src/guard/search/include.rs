//! `_include` and `_revinclude`: what a search brings in beside its matches (L13).
//!
//! What is brought in goes through the view like everything else. But it also says that a match is there which refers to
//! it, or to which it refers. So the reference must be shown, and of the type that stands behind it no resource may be
//! withheld: the patient of a withheld Observation would come without it, and tell that it is there. Types that the role
//! does not see are not asked for: a value goes upstream once for each target that is seen, by its name.

use super::Rules;
use super::tested::Known;
use crate::fhir::TypeId;
use crate::fhir::definitions::ParameterKind;
use crate::guard::GuardError;

/// Which way an inclusion goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `_include`: what the found ones refer to.
    There,
    /// `_revinclude`: what refers to the found ones.
    Back,
}

/// The most inclusions that one value stands for.
const MOST: usize = 64;

/// What stands for any type, or for any parameter.
const ANY: &str = "*";

impl Rules<'_> {
    /// The values that go upstream for one: what the role sees of it.
    pub(super) fn include(&self, way: Way, iterate: bool, value: &str) -> Result<Vec<String>, GuardError> {
        let malformed = || GuardError::Value { parameter: way.name(), takes: FORM };
        let mut parts = value.splitn(4, ':');
        let (resource, code, target) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(ANY), None, None, None) => (ANY, ANY, None),
            (Some(resource), Some(code), target, None) => (resource, code, target),
            _ => return Err(malformed()),
        };
        let type_named = |name: &str| self.guard.definitions.resource(name).ok_or_else(malformed);
        let target = target.map(type_named).transpose()?;
        let sources = match resource {
            ANY => self.any_source(way, iterate),
            resource => {
                let source = type_named(resource)?;
                if !self.guard.view.sees(source) {
                    return Err(GuardError::Unseen { parameter: way.name().into(), of: resource.into() });
                }
                vec![source]
            }
        };
        let mut values = Vec::new();
        for source in sources {
            if code == ANY {
                for known in self.references(source) {
                    // Everything stands for everything that may be asked for.
                    if let Ok(own) = self.inclusions(way, iterate, source, &known, target) {
                        values.extend(own);
                    }
                }
            } else {
                let known = self.known(source, code).filter(Known::leads_on).ok_or_else(malformed)?;
                values.extend(self.inclusions(way, iterate, source, &known, target)?);
            }
            if values.len() > MOST {
                return Err(GuardError::Value { parameter: way.name(), takes: NARROWER });
            }
        }
        Ok(values)
    }

    /// The types that everything may be included from.
    fn any_source(&self, way: Way, iterate: bool) -> Vec<TypeId> {
        if way == Way::There && !iterate {
            return self.scope.types.clone();
        }
        let all = self.guard.definitions.resource_types().map(|(of, _)| of);
        all.filter(|of| self.guard.view.sees(*of)).collect()
    }

    /// The reference parameters that FHIR defines of a type.
    pub(super) fn references(&self, of: TypeId) -> impl Iterator<Item = Known<'_>> {
        let parameters = self.guard.definitions.search_parameters(self.name(of));
        parameters.filter(|known| known.kind == ParameterKind::Reference).map(move |known| self.standard(of, known))
    }

    /// The inclusions by one reference parameter of a type.
    fn inclusions(
        &self,
        way: Way,
        iterate: bool,
        source: TypeId,
        known: &Known<'_>,
        target: Option<TypeId>,
    ) -> Result<Vec<String>, GuardError> {
        self.shown(source, known)?;
        let all = self.targets(known);
        if target.is_some_and(|target| !all.contains(&target)) {
            return Err(GuardError::Value { parameter: way.name(), takes: FORM });
        }
        let mut targets = all.clone();
        targets.retain(|of| target.is_none_or(|target| target == *of) && self.guard.view.sees(*of));
        match way {
            Way::There => self.complete(source, way.name())?,
            Way::Back => {
                targets.retain(|of| iterate || self.scope.types.contains(of));
                targets.iter().try_for_each(|of| self.complete(*of, way.name()))?;
            }
        }
        let value = format!("{}:{}", self.name(source), known.code);
        if targets.len() == all.len() {
            return Ok(vec![value]);
        }
        Ok(targets.into_iter().map(|of| format!("{value}:{}", self.name(of))).collect())
    }
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::There => "_include",
            Self::Back => "_revinclude",
        }
    }
}

const FORM: &str = "TYPE:PARAMETER or TYPE:PARAMETER:TARGET, of a reference parameter and its targets, or *";
const NARROWER: &str = "fewer references at once: name the type, the parameter and the target";
