//! Element paths of FHIR as rules write them, checked against the element tables: `contact.name.family`, `value[x]`,
//! `valueQuantity`, `telecom[?@.system == 'phone'].value`.
//!
//! INVARIANT: a path that was taken names elements that exist, and its conditions ask for members that exist; a name
//! that silently matches nothing would leave data standing that somebody meant to hide.

use std::sync::Arc;

use super::condition::{Condition, condition};
use super::syntax::did_you_mean;
use crate::fhir::definitions::{Kind, Name};
use crate::fhir::{Definitions, Element, TypeId};

/// A step of a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// The element's name, a choice without its `[x]`.
    pub(super) name: Name,
    /// The one form of a choice that is meant; none where each is.
    pub(super) form: Option<TypeId>,
    /// What an item must fulfil.
    pub(super) condition: Option<Arc<Condition>>,
}

/// A path that leads somewhere.
#[derive(Debug, Clone)]
pub(super) struct ElementPath {
    /// At least one.
    pub(super) steps: Vec<Step>,
    /// The types of the element at its end; several for a choice without a form.
    pub(super) types: Vec<TypeId>,
    /// The name of the type that has the last element, and the name of that element: `Reference`, `display`.
    pub(super) last: (&'static str, &'static str),
}

/// Why a path is refused, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: Box<str>,
    pub(super) suggestion: Option<Box<str>>,
}

impl Problem {
    pub(super) fn new(message: impl Into<Box<str>>) -> Self {
        Self { message: message.into(), suggestion: None }
    }

    pub(super) fn with(message: impl Into<Box<str>>, suggestion: impl Into<Box<str>>) -> Self {
        Self { message: message.into(), suggestion: Some(suggestion.into()) }
    }
}

/// How an element that is described elsewhere relates to where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Described {
    /// Where it stands.
    Here,
    /// By an element around it: `Questionnaire.item.item`.
    Around,
    /// By an element elsewhere in the resource: `Observation.component.referenceRange`.
    Elsewhere,
}

/// Where an element of a type is described.
pub(super) fn described(definitions: &Definitions, owner: TypeId, element: &Element) -> Described {
    let target = element.types.first().map(|of| definitions.get(of.target));
    let owner = &definitions.get(owner).name;
    match target {
        Some(target) if target.kind == Kind::Backbone => {
            let own = target.name.strip_prefix(&**owner).and_then(|rest| rest.strip_prefix('.'));
            let around = owner.strip_prefix(target.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            match own {
                Some(name) if element.name == name => Described::Here,
                _ if around => Described::Around,
                _ => Described::Elsewhere,
            }
        }
        _ => Described::Here,
    }
}

/// Takes a path of elements below a type.
pub(super) fn element_path(definitions: &Definitions, base: TypeId, text: &str) -> Result<ElementPath, Vec<Problem>> {
    let pieces = split(text).map_err(|problem| vec![problem])?;
    let root = definitions.get(base).name;
    let mut problems = Vec::new();
    let mut steps = Vec::new();
    let mut parents = vec![base];
    let mut last = ("", "");
    let count = pieces.len();
    for (place, piece) in pieces.into_iter().enumerate() {
        let (owner, element, form) = match find(definitions, &parents, &piece, root) {
            Ok(found) => found,
            Err(problem) => {
                problems.push(problem);
                return Err(problems);
            }
        };
        check_described(definitions, owner, element, place + 1 == count, &mut problems);
        let types: Vec<_> = match form {
            Some(form) => vec![form],
            None => element.types.iter().map(|of| of.target).collect(),
        };
        let condition = piece.condition.and_then(|text| condition(definitions, &types, text, &mut problems));
        steps.push(Step { name: element.name, form, condition });
        last = (definitions.get(owner).name, element.name.as_str());
        parents = types;
    }
    if problems.is_empty() { Ok(ElementPath { steps, types: parents, last }) } else { Err(problems) }
}

struct Piece<'a> {
    name: &'a str,
    choice: bool,
    condition: Option<&'a str>,
}

/// Splits a path at its dots, which may stand in conditions and quotes too.
fn split(text: &str) -> Result<Vec<Piece<'_>>, Problem> {
    let malformed = || Problem::with(format!("{text} is no element path"), "write it like contact.name.family");
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, mut after) = rest.split_at_checked(end).ok_or_else(malformed)?;
        if name.is_empty() {
            return Err(malformed());
        }
        let mut piece = Piece { name, choice: false, condition: None };
        while after.starts_with('[') {
            let close = closing_bracket(after).ok_or_else(malformed)?;
            let (bracket, remaining) = after.split_at_checked(close + 1).ok_or_else(malformed)?;
            let inner = bracket.get(1..close).ok_or_else(malformed)?;
            match inner.trim_start().strip_prefix('?') {
                Some(_) if piece.condition.is_some() => {
                    return Err(Problem::with(format!("{name} has two conditions"), "join them by &&"));
                }
                Some(condition) => piece.condition = Some(condition.trim()),
                None if inner == "x" && piece.condition.is_none() => piece.choice = true,
                None => {
                    return Err(Problem::with(
                        format!("[{inner}] can't stand in an element path"),
                        format!("a rule for {name} holds for each item; a condition is written [?@.… == …]"),
                    ));
                }
            }
            after = remaining;
        }
        pieces.push(piece);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(pieces),
            None => return Err(malformed()),
        }
    }
}

/// Where the bracket that opens the text closes, quotes and brackets within it aside.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None => match c {
                '\'' | '"' => quote = Some(c),
                '[' => depth += 1,
                ']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            },
        }
    }
    None
}

/// The element that a piece names below one of several types, with the form that it picks.
fn find<'d>(
    definitions: &'d Definitions,
    parents: &[TypeId],
    piece: &Piece<'_>,
    root: &str,
) -> Result<(TypeId, &'d Element, Option<TypeId>), Problem> {
    let name = piece.name;
    for parent in parents {
        let of = definitions.get(*parent);
        if let Some(element) = of.element(name) {
            if piece.choice && !element.choice {
                return Err(Problem::with(format!("{name} has one type"), format!("write {name} without [x]")));
            }
            return Ok((*parent, element, None));
        }
        if let Some((element, form)) = of.member(name).filter(|_| !piece.choice) {
            return Ok((*parent, element, Some(form.target)));
        }
    }
    let Some(parent) = parents.first().map(|parent| definitions.get(*parent)) else {
        return Err(Problem::new(format!("nothing has the element {name}")));
    };
    if parent.is_abstract && parent.kind == Kind::Resource {
        return Err(Problem::with(
            format!("{name} is an element of a resource within {root}, which is seen as its own type is"),
            "write a rule for its own type",
        ));
    }
    if let Some(covered) = name.strip_prefix('_') {
        return Err(Problem::with(format!("{name} is no element"), format!("a rule for {covered} covers {name}")));
    }
    let names = || {
        let several = parents.iter().map(|parent| definitions.get(*parent));
        several.flat_map(|of| of.elements()).flat_map(|element| {
            std::iter::once(element.name.as_str()).chain(element.types.iter().map(|of| of.json_name.as_str()))
        })
    };
    let suggestion = crate::fhir::suggest(name, names()).map(|near| format!("did you mean {near}?").into());
    let suggestion = suggestion.or_else(|| did_you_mean(name, parent.elements().iter().map(|each| &*each.name)));
    Err(Problem { message: format!("unknown element {}.{name}", parent.name).into(), suggestion })
}

/// An element that is described elsewhere is named there, so that one rule can't be written in two ways.
fn check_described(
    definitions: &Definitions,
    owner: TypeId,
    element: &Element,
    is_last: bool,
    problems: &mut Vec<Problem>,
) {
    let how = described(definitions, owner, element);
    if how == Described::Here || (how == Described::Elsewhere && is_last) {
        return;
    }
    let Some(target) = element.types.first().map(|of| &definitions.get(of.target).name) else { return };
    let there = target.split_once('.').map_or(&**target, |(_, path)| path);
    let owner = &definitions.get(owner).name;
    problems.push(Problem::with(
        format!("{owner}.{} is described by {there}, and so a rule for {there} holds there too", element.name),
        format!("write {there}"),
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(resource: &str, path: &str) -> Result<ElementPath, String> {
        let definitions = Definitions::r4();
        let base = definitions.type_named(resource).unwrap();
        element_path(&definitions, base, path).map_err(|problems| {
            let each = problems
                .iter()
                .map(|each| format!("{}: {}", each.message, each.suggestion.as_deref().unwrap_or_default()));
            each.collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn paths_choices_forms_and_conditions_are_taken() {
        for (resource, path, steps) in [
            ("Patient", "contact.name.family", 3),
            ("Patient", "deceased[x]", 1),
            ("Patient", "deceasedDateTime", 1),
            ("Patient", "telecom[?@.system == 'phone, fax' && @.use != ']'].value", 2),
            ("Patient", "birthDate.extension[?@.url == 'http://x/y.z'].valueDateTime", 3),
            ("Observation", "component.valueQuantity.unit", 3),
            ("Questionnaire", "item.text", 2),
            ("Observation", "component.referenceRange", 2),
            ("Observation", "value.unit", 2),
            ("Patient", r"telecom[?@.value == 'it\'s ]'].use", 2),
            ("Patient", r#"telecom[?@.value == "\\"].use"#, 2),
            ("ValueSet", "compose.exclude", 2),
        ] {
            assert_eq!(below(resource, path).map(|taken| taken.steps.len()), Ok(steps), "{resource}.{path}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_is_refused_with_a_suggestion() {
        for (resource, path, says) in [
            ("Patient", "brithDate", "unknown element Patient.brithDate: did you mean birthDate?"),
            ("Patient", "name.famly", "unknown element HumanName.famly: did you mean family?"),
            ("Patient", "_birthDate", "a rule for birthDate covers _birthDate"),
            ("Patient", "name[0]", "a rule for name holds for each item"),
            ("Patient", "name[x]", "write name without [x]"),
            ("Patient", "contained.name", "an element of a resource within Patient"),
            ("Patient", "contained.name", "write a rule for its own type"),
            ("ValueSet", "compose.exclude.system", "write compose.include"),
            ("Patient", "name;family", "is no element path"),
            ("Patient", "name family", "is no element path"),
            ("Patient", "name]", "is no element path"),
            ("Patient", "name[?@.use]use", "is no element path"),
            ("Patient", "name..family", "is no element path"),
            ("Patient", "telecom[?@.a == 1", "is no element path"),
            ("Questionnaire", "item.item.text", "write item"),
            ("Observation", "component.referenceRange.low", "write referenceRange"),
            ("Observation", "valueQantity", "did you mean valueQuantity?"),
        ] {
            let refused = below(resource, path).unwrap_err();
            assert!(refused.contains(says), "{path}: {refused}");
        }
    }

    #[test]
    fn a_condition_that_could_never_hold_is_refused() {
        for (path, says) in [
            ("telecom[?@.sytem == 'phone']", "unknown element ContactPoint.sytem: did you mean system?"),
            ("name[?@.given == 'A']", "compares a list"),
            ("maritalStatus[?@.coding.code == 'M']", "asks a list for its member code"),
            ("identifier[?@.type == 'SS']", "compares a CodeableConcept"),
            ("contact[?@.name[?@.family == 'X']]", "which is no list"),
            ("extension[?@.value == 1]", "name the form that is meant"),
            ("name.given[?@ == 'A']", "is on a primitive"),
            ("telecom[?match(@.value, '1.*')]", "match(), which is not supported"),
            ("telecom[?@.use == 'home'][?@.rank == 1]", "join them by &&"),
        ] {
            let refused = below("Patient", path).unwrap_err();
            assert!(refused.contains(says), "{path}: {refused}");
        }
    }
}
