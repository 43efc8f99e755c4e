//! `_filter`: each path that it tests is held to the rules of a parameter of the search.

use super::Rules;
use super::chain::Next;
use crate::fhir::TypeId;
use crate::fhir::filter::{Filter, Path};
use crate::guard::GuardError;

impl Rules<'_> {
    /// Whether the search may be filtered by this.
    pub(super) fn filter(&self, value: &str) -> Result<(), GuardError> {
        let filter = Filter::parse(value).map_err(GuardError::Filter)?;
        self.filtered(&self.scope.types, &filter).map_err(|error| match error {
            // What stands in a value is not repeated.
            GuardError::Unknown { .. } => {
                GuardError::Value { parameter: "_filter", takes: "search parameters of the types on the way" }
            }
            error => error,
        })
    }

    fn filtered(&self, types: &[TypeId], filter: &Filter) -> Result<(), GuardError> {
        filter.paths.iter().try_for_each(|path| self.path(types, path))
    }

    fn path(&self, types: &[TypeId], path: &Path) -> Result<(), GuardError> {
        match path {
            Path::Test(test) => self.test(types, test),
            Path::Through { chain, filter, then } => {
                let types = self.follow(types, chain, Next::Any)?;
                self.filtered(&types, filter)?;
                self.path(&types, then)
            }
        }
    }
}
