//! The tables of FHIR R4 as the program uses them, written out by `data/build.py`: nothing is read when it starts.
//!
//! They are arrays of small numbers. A type is its place among the types, a base above what it is the base of; an element
//! stands in the row of its type, after those of the bases; a name is its place in the text of all names. Since hardly
//! anything in them is an address, the loader has next to nothing to correct in them, and their pages are those of the
//! file: what isn't asked for costs nothing.

use super::{
    Category, Element, Forms, Kind, Mapping, Name, ParameterKind, SearchParameter, Type, TypeId, TypeRef, Words,
};

include!("../../../data/r4/tables.rs");

/// Some of the entries of a table, one after another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    first: u16,
    count: u16,
}

impl Range {
    pub(super) const EMPTY: Self = Self { first: 0, count: 0 };

    pub(super) fn of<T>(self, table: &'static [T]) -> &'static [T] {
        // INVARIANT: a range is written with the entries that it is of.
        let first = usize::from(self.first);
        table.get(first..first + usize::from(self.count)).unwrap_or_default()
    }
}

/// The type of this name.
pub(super) fn type_named(name: &str) -> Option<TypeId> {
    let name_of = |id: &TypeId| TYPES.get(usize::from(id.0)).map_or("", |of| of.name);
    let place = BY_NAME.binary_search_by(|id| name_of(id).cmp(name)).ok()?;
    BY_NAME.get(place).copied()
}

// What a row of each table says.

#[expect(clippy::too_many_arguments, reason = "the columns of a table")]
const fn of(
    name: &'static str,
    kind: Kind,
    base: Option<u16>,
    is_abstract: bool,
    category: Option<Category>,
    elements: (u16, u16),
    parameters: (u16, u16),
    compartment: u32,
    patient_elements: u32,
) -> Type {
    let base = match base {
        Some(base) => Some(TypeId(base)),
        None => None,
    };
    let elements = Range { first: elements.0, count: elements.1 };
    let parameters = Range { first: parameters.0, count: parameters.1 };
    let (compartment, patient_elements) = (Words(Name(compartment)), Words(Name(patient_elements)));
    Type { name, kind, base, is_abstract, category, elements, parameters, compartment, patient_elements }
}

const fn id(place: u16) -> TypeId {
    TypeId(place)
}

/// `flags`: x a choice, n a list, s of the summary, m a modifier, r required.
const fn el(name: u32, first: u16, count: u16, flags: &str) -> Element {
    let forms = Forms(Range { first, count });
    let mut element =
        Element { name: Name(name), choice: false, many: false, min: 0, summary: false, modifier: false, types: forms };
    let mut rest = flags.as_bytes();
    while let [flag, after @ ..] = rest {
        match flag {
            b'x' => element.choice = true,
            b'n' => element.many = true,
            b's' => element.summary = true,
            b'm' => element.modifier = true,
            _ => element.min = 1,
        }
        rest = after;
    }
    element
}

const fn to(target: u16, profiles: u32, json_name: u32) -> TypeRef {
    TypeRef { target: TypeId(target), profiles: Words(Name(profiles)), json_name: Name(json_name) }
}

const fn search(
    code: u32,
    kind: ParameterKind,
    mapping: Mapping,
    elements: u32,
    targets: u32,
    components: u32,
) -> SearchParameter {
    let [elements, targets, components] = [Words(Name(elements)), Words(Name(targets)), Words(Name(components))];
    SearchParameter { code: Name(code), kind, mapping, elements, targets, components }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_place_and_range_lies_within_its_table() {
        let named = |name: Name| NAMES.get(name.range()).is_some();
        let within = |range: Range, len: usize| usize::from(range.first) + usize::from(range.count) <= len;
        for (place, of) in TYPES.iter().enumerate() {
            assert!(of.base.is_none_or(|base| usize::from(base.0) < place), "{}: a base stands above", of.name);
            assert!(within(of.elements, ELEMENTS.len()) && within(of.parameters, PARAMETERS.len()), "{}", of.name);
            assert!(named(of.compartment.0) && named(of.patient_elements.0), "{}", of.name);
            assert_eq!(type_named(of.name), Some(TypeId(u16::try_from(place).unwrap())));
        }
        for element in &ELEMENTS {
            assert!(named(element.name) && !element.name.is_empty() && within(element.types.0, FORMS.len()));
            assert!(element.types.len() == 1 || element.choice && element.types.len() > 1, "{}", element.name);
        }
        for form in &FORMS {
            assert!(usize::from(form.target.0) < TYPES.len() && named(form.profiles.0) && named(form.json_name));
        }
    }

    #[test]
    fn the_same_name_has_the_same_place() {
        let mut places = HashMap::new();
        let names = ELEMENTS.iter().map(|element| element.name).chain(FORMS.iter().map(|form| form.json_name));
        for name in names.chain(PARAMETERS.iter().map(|parameter| parameter.code)) {
            assert_eq!(*places.entry(name.as_str()).or_insert(name), name);
        }
        assert!(places.len() > 1000);
    }

    #[test]
    fn a_search_parameter_without_elements_is_never_taken_for_one_that_is_understood() {
        // A guard that asks whether all of its elements are shown would otherwise let it pass.
        for parameter in &PARAMETERS {
            assert_eq!(parameter.elements.is_empty(), parameter.is_unmapped(), "{}", parameter.code);
        }
    }
}
