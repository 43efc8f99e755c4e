//! Conditional writes: search criteria in place of an id, which tell by the answer whether they find something (L16).

use super::query::{self, Parameter};
use super::search::{Fate, Rules, Scope};
use super::{Guard, GuardError};
use crate::fhir::Interaction;
use crate::fhir::search::ParameterName;

impl Guard<'_> {
    /// The criteria of a conditional write. Whether they find something tells what a search by them would, so they are held to
    /// the same rules, and must find nothing that is withheld (L16).
    pub(super) fn criteria(
        &self,
        interaction: &Interaction,
        parameters: Vec<Parameter>,
    ) -> Result<Vec<Parameter>, GuardError> {
        if !self.view.restricted() {
            return Ok(parameters);
        }
        let of = interaction.resource_type.as_deref().unwrap_or_default();
        let scope = self.definitions.resource(of).map(|of| Scope::of_type(of, None));
        let scope = scope.ok_or(GuardError::Unsupported { parameter: "a conditional write", instead: WRITE_BY_ID })?;
        let rules = Rules { guard: self, scope: &scope };
        rules.may_look()?;
        if scope.types.iter().any(|of| self.view.has_rows(*of)) {
            return Err(GuardError::Rows { parameter: "a conditional write".into(), of: of.into() });
        }
        let mut kept = Vec::new();
        for (name, value) in parameters {
            let tests = matches!(ParameterName::parse(&name), Ok(ParameterName::Test(_)));
            match rules.parameter(&name, &value)? {
                Fate::Pass if tests => kept.push((name, value)),
                Fate::Drop => {}
                _ => return Err(GuardError::Unknown { parameter: name.into(), of: "a conditional write".into() }),
            }
        }
        // Without any it would be one to everything.
        if kept.is_empty() {
            return Err(GuardError::Unsupported {
                parameter: "a conditional write without criteria",
                instead: WRITE_BY_ID,
            });
        }
        Ok(kept)
    }

    /// The same of `If-None-Exist`.
    pub(super) fn none_exist(&self, interaction: &Interaction, criteria: &str) -> Result<String, GuardError> {
        if !self.view.restricted() {
            return Ok(criteria.to_owned());
        }
        let parameters = query::read(criteria.trim_start_matches('?').as_bytes())?;
        Ok(query::write(&self.criteria(interaction, parameters)?).unwrap_or_default())
    }
}

const WRITE_BY_ID: &str = "search first, and write by the id";
