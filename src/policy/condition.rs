//! Conditions on elements and on whole resources, held to the element tables.
//!
//! INVARIANT: a condition that was taken asks for members that exist, in a way in which they can be found. One that could
//! never hold would leave data standing that somebody meant to hide, or hide what somebody meant to show.

use std::sync::Arc;

use crate::fhir::definitions::Kind;
use crate::fhir::{Definitions, TypeId};
use crate::redact::condition::{Comparison, Literal, Operand, Query, Segment, Selector, Test};

use super::jsonpath;
use super::path::Problem;
use super::syntax::did_you_mean;

/// A condition on an element, and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) text: Box<str>,
    pub(super) test: Test,
}

/// Takes a filter on a whole resource.
pub(super) fn rows(definitions: &Definitions, resource: TypeId, text: &str) -> Result<Test, Vec<Problem>> {
    let mut problems = Vec::new();
    match condition(definitions, &[resource], text, &mut problems) {
        Some(condition) => Ok(condition.test.clone()),
        None => Err(problems),
    }
}

/// Takes a filter on an element of one of these types.
pub(super) fn condition(
    definitions: &Definitions,
    types: &[TypeId],
    text: &str,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Condition>> {
    let test = match jsonpath::filter(text) {
        Ok(test) => test,
        Err(refused) => {
            problems.push(Problem::new(format!("the condition {text} {refused}")));
            return None;
        }
    };
    if types.iter().any(|id| definitions.get(*id).kind == Kind::Primitive) {
        problems.push(Problem::with(
            format!("the condition {text} is on a primitive"),
            "write it on the element around it",
        ));
        return None;
    }
    let before = problems.len();
    let mut checker = Checker { definitions, text, problems };
    checker.test(&test, &Values { types: types.to_vec(), array: false });
    (problems.len() == before).then(|| Arc::new(Condition { text: text.into(), test }))
}

/// The step to the members of this name.
pub(super) fn name(name: &str) -> Segment {
    Segment::Child(vec![Selector::Name(name.into())])
}

/// The test that what stands there is this text.
pub(super) fn equals(segments: Vec<Segment>, text: &str) -> Test {
    let literal = Operand::Literal(Literal::String(text.into()));
    Test::Compare(Operand::Query(Query { segments }), Comparison::Equal, literal)
}

/// What a part of a query may select.
#[derive(Clone)]
struct Values {
    types: Vec<TypeId>,
    array: bool,
}

/// Holds the names of a condition to the element tables, as far as they can be known.
struct Checker<'a> {
    definitions: &'a Definitions,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    fn test(&mut self, test: &Test, at: &Values) {
        match test {
            Test::All(parts) | Test::Any(parts) => parts.iter().for_each(|part| self.test(part, at)),
            Test::Not(part) => self.test(part, at),
            Test::Exists(query) | Test::AllArrays(query) => {
                self.query(query, at);
            }
            Test::Compare(left, _, right) => {
                let scalar = |side: &Operand| matches!(side, Operand::Literal(_));
                self.operand(left, at, scalar(right));
                self.operand(right, at, scalar(left));
            }
        }
    }

    fn operand(&mut self, operand: &Operand, at: &Values, with_literal: bool) {
        match operand {
            Operand::Literal(_) => {}
            Operand::Length(inner) => self.operand(inner, at, false),
            Operand::Count(query) => {
                self.query(query, at);
            }
            Operand::Query(query) | Operand::Value(query) => {
                if let Some(found) = self.query(query, at)
                    && with_literal
                    && !query.segments.is_empty()
                {
                    self.comparable(&found);
                }
            }
        }
    }

    /// An object or array equals no literal: such a comparison would never change its mind.
    fn comparable(&mut self, found: &Values) {
        let text = self.text;
        let primitive = |id: &TypeId| self.definitions.get(*id).kind == Kind::Primitive;
        if found.array {
            self.problems.push(Problem::with(
                format!("the condition {text} compares a list with one value"),
                "ask for an item of it: […[?@ == …]]",
            ));
        } else if let Some(object) = found.types.first().filter(|_| !found.types.iter().any(primitive)) {
            let name = &self.definitions.get(*object).name;
            self.problems.push(Problem::with(
                format!("the condition {text} compares a {name} with one value"),
                format!("ask for an element of {name}"),
            ));
        }
    }

    /// What a query selects, where that can be known.
    fn query(&mut self, query: &Query, at: &Values) -> Option<Values> {
        let mut found = at.clone();
        for segment in &query.segments {
            // Below a descendant segment anything may stand.
            let Segment::Child(selectors) = segment else { return None };
            let each: Vec<_> = selectors.iter().map(|selector| self.selector(selector, &found)).collect();
            let each = each.into_iter().collect::<Option<Vec<_>>>()?;
            let array = each.iter().any(|values| values.array);
            found = Values { types: each.into_iter().flat_map(|values| values.types).collect(), array };
        }
        Some(found)
    }

    fn selector(&mut self, selector: &Selector, at: &Values) -> Option<Values> {
        match selector {
            Selector::Name(name) => self.member(name, at),
            Selector::Filter(test) => {
                let inside = self.item(at, "[?…]")?;
                self.test(test, &inside);
                Some(inside)
            }
            Selector::Index(_) | Selector::Slice { .. } => self.item(at, "an index"),
            Selector::Wildcard if at.array => self.item(at, "[*]"),
            Selector::Wildcard => None,
        }
    }

    fn item(&mut self, at: &Values, what: &str) -> Option<Values> {
        if !at.array {
            let name = at.types.first().map_or("", |id| self.definitions.get(*id).name);
            self.problems.push(Problem::with(
                format!("the condition {} has {what} on a {name}, which is no list", self.text),
                "name its element instead",
            ));
            return None;
        }
        Some(Values { types: at.types.clone(), array: false })
    }

    fn member(&mut self, name: &str, at: &Values) -> Option<Values> {
        let text = self.text;
        if at.array {
            self.problems.push(Problem::with(
                format!("the condition {text} asks a list for its member {name}, which no list has"),
                format!("write […[?@.{name} …]] or […[*].{name}]"),
            ));
            return None;
        }
        let types = at.types.iter().map(|id| self.definitions.get(*id));
        if types.clone().any(|of| of.kind == Kind::Resource && (of.is_abstract || name == "resourceType")) {
            return None;
        }
        let (plain, sibling) = name.strip_prefix('_').map_or((name, false), |plain| (plain, true));
        for of in types.clone().filter(|of| of.kind != Kind::Primitive) {
            if let Some((element, form)) = of.member(plain)
                && (!sibling || self.definitions.get(form.target).kind == Kind::Primitive)
            {
                // The members of a sibling are the elements of the primitive's type; they are not followed further.
                return (!sibling).then(|| Values { types: vec![form.target], array: element.many });
            }
        }
        let choice = types.clone().find_map(|of| of.element(name)).and_then(|element| element.types.first());
        if let Some(form) = choice {
            self.problems.push(Problem::with(
                format!("the condition {text} asks for {name}, which no JSON member is called"),
                format!("name the form that is meant, such as {}", form.json_name),
            ));
            return None;
        }
        let owner = types.clone().next().map_or("", |of| of.name);
        let names = types.flat_map(|of| of.elements()).flat_map(|each| each.types.iter().map(|of| &*of.json_name));
        let suggestion = did_you_mean(name, names);
        let message = format!("the condition {text} asks for the unknown element {owner}.{name}").into();
        self.problems.push(Problem { message, suggestion });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(resource: &str, text: &str) -> Result<Test, String> {
        let definitions = Definitions::r4();
        rows(&definitions, definitions.resource(resource).unwrap(), text).map_err(|problems| {
            let each = problems.iter().map(|problem| &*problem.message);
            each.collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn what_may_stand_anywhere_is_asked_for_as_it_is_written() {
        for (resource, text) in [
            ("Patient", "@.resourceType == 'Patient'"),
            ("Patient", "@.contained[?@.resourceType == 'Group' && @.anything]"),
            ("Parameters", "@.parameter[?@.resource.anything == 1]"),
            ("Patient", "@._birthDate"),
            ("Patient", "@._birthDate.extension"),
            ("Patient", "@.maritalStatus.coding[*].code"),
            // Of an object each member.
            ("Patient", "@.maritalStatus[*]"),
            ("Patient", "@..anything"),
        ] {
            assert!(taken(resource, text).is_ok(), "{text}: {:?}", taken(resource, text));
        }
    }

    #[test]
    fn a_member_that_no_such_object_has_is_refused() {
        for (text, says) in [
            ("@._name", "unknown element Patient._name"),
            ("@.name[?@.resourceType == 'HumanName']", "unknown element HumanName.resourceType"),
            ("@.maritalStatus.coding[*].cod", "unknown element Coding.cod"),
            ("@.maritalStatus[0]", "an index on a CodeableConcept, which is no list"),
            ("@.name[0].famly", "unknown element HumanName.famly"),
        ] {
            let refused = taken("Patient", text).unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }
}
