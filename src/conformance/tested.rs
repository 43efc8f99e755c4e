//! Which search parameters test a withheld element, and which references lead from where to where, from the FHIR tables.
//!
//! Pure. A parameter tests an element where the path of one is the beginning of the other's.

use super::spec::{Resource, Withheld};
use crate::fhir::definitions::{Mapping, ParameterKind};
use crate::fhir::{Definitions, SearchParameter, TypeId};

/// The names of a path's elements, whatever forms of choices it names.
pub(super) fn plain(definitions: &Definitions, of: TypeId, path: &str) -> Option<Vec<&'static str>> {
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| Some(definitions.element_at(of, path.get(..end)?)?.element.name.as_str())).collect()
}

/// The parameters of a type that test an element.
pub(super) fn by(definitions: &Definitions, of: TypeId, path: &str) -> Vec<&'static SearchParameter> {
    let name = definitions.get(of).name;
    let wanted = plain(definitions, of, path).unwrap_or_default();
    let meets = |tested: &str| {
        let tested = plain(definitions, of, tested).unwrap_or_default();
        !tested.is_empty() && (tested.starts_with(&wanted) || wanted.starts_with(&tested))
    };
    let parameters = definitions.search_parameters(name).filter(|known| !known.is_unmapped());
    parameters.filter(|known| known.elements.iter().any(meets)).collect()
}

/// What a search by a composite parameter asks for: the value in its place, and for the other parts values that are known,
/// which are told apart from it.
pub(super) fn composite(
    definitions: &Definitions,
    resource: &Resource,
    withheld: &Withheld,
    parameter: &SearchParameter,
) -> Option<(String, Vec<String>)> {
    if parameter.mapping != Mapping::Composite {
        return None;
    }
    let known = resource.shown.iter().map(|(path, value)| (&**path, &**value));
    let known: Vec<_> = known.chain(resource.withheld.iter().map(|other| (&*other.path, &*other.value))).collect();
    let (mut parts, mut others, mut holds) = (Vec::new(), Vec::new(), false);
    for code in parameter.components.iter() {
        let tests = |path: &str| by(definitions, resource.of, path).iter().any(|known| known.code == code);
        if !holds && tests(&withheld.path) {
            holds = true;
            parts.push("{value}".to_owned());
        } else {
            let (_, value) = known.iter().find(|(path, _)| tests(path))?;
            parts.push(super::request::encoded(&super::request::search_text(value)));
            others.push((*value).to_owned());
        }
    }
    holds.then(|| (parts.join("$"), others))
}

/// A type with a reference parameter that leads to another.
pub(super) type Source = (&'static str, &'static str);

/// For each type that refers to this one a parameter that says so, `patient` and `subject` first.
pub(super) fn sources(definitions: &Definitions, to: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for (_, source) in definitions.resource_types() {
        let leads = |known: &&SearchParameter| {
            known.kind == ParameterKind::Reference && known.targets.iter().any(|target| target == to)
        };
        let rank = |known: &&SearchParameter| match known.code.as_str() {
            "patient" => 0,
            "subject" => 1,
            _ => 2,
        };
        let best = definitions.search_parameters(source.name).filter(leads).min_by_key(rank);
        found.extend(best.map(|known| (source.name, known.code.as_str())));
    }
    found
}

/// The reference parameters of a type, each with one of the types that it leads to.
pub(super) fn references(definitions: &Definitions, of: &str) -> Vec<(&'static str, &'static str)> {
    let parameters = definitions.search_parameters(of).filter(|known| known.kind == ParameterKind::Reference);
    let one = |known: &'static SearchParameter| {
        let patient = known.targets.iter().find(|target| matches!(*target, "Patient" | "Resource"));
        Some((known.code.as_str(), patient.map(|_| "Patient").or_else(|| known.targets.iter().next())?))
    };
    parameters.filter_map(one).collect()
}
