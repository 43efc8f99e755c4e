//! Search parameters of a server's own, with the elements that the gateway file says they test.

use std::collections::BTreeMap;

use crate::fhir::TypeId;

/// The search parameters that an endpoint declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared(BTreeMap<TypeId, BTreeMap<Box<str>, Elements>>);

/// Paths below a type, at least one.
type Elements = Box<[Box<str>]>;

impl Declared {
    /// Takes a parameter of a type in, with the paths below the type of every element that it tests. One without
    /// elements stays unknown.
    pub fn insert(&mut self, of: TypeId, code: &str, elements: impl IntoIterator<Item = Box<str>>) {
        let elements: Elements = elements.into_iter().collect();
        if !elements.is_empty() {
            self.0.entry(of).or_default().insert(code.into(), elements);
        }
    }

    /// The codes of a type's parameters.
    pub(super) fn codes(&self, of: TypeId) -> impl Iterator<Item = &str> {
        self.0.get(&of).into_iter().flat_map(|known| known.keys().map(|code| &**code))
    }

    /// A parameter's code and the elements that it tests.
    pub(super) fn get(&self, of: TypeId, code: &str) -> Option<(&str, &[Box<str>])> {
        self.0.get(&of)?.get_key_value(code).map(|(code, elements)| (&**code, &**elements))
    }
}
