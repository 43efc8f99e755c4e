//! What an upstream can leave out of its answers by itself, in the words of search parameters: it saves its work, and changes
//! nothing about what is withheld.
//!
//! INVARIANT: what a narrowed answer lacks is what the view withholds whatever else is in it. Where that can't be said exactly
//! nothing is narrowed.

use std::collections::BTreeSet;

use crate::fhir::definitions::ParameterKind;
use crate::fhir::{Definitions, TypeId};
use crate::redact::condition::{Literal, Operand, Query, Segment, Selector, Test};
use crate::redact::plan::Action;

use super::RoleView;
use super::belonging::token;

/// Search parameters and their values, decoded.
pub(super) type Parameters = Vec<(Box<str>, Box<str>)>;

impl RoleView {
    /// The parameters that find of a type the resources that the role sees by its rows: one for each part of the rows that is
    /// exactly what a token parameter tests.
    pub fn narrowed_rows(&self, definitions: &Definitions, of: TypeId) -> Parameters {
        let Some(rows) = self.view.resources.get(&of).and_then(|seen| seen.rows.as_deref()) else { return Vec::new() };
        let mut found = Vec::new();
        for part in parts(rows) {
            let part = simple(part);
            let (mut texts, mut parameter) = (BTreeSet::new(), None);
            literals(&part, &mut texts);
            let pairs = texts.iter().flat_map(|system| texts.iter().map(move |code| format!("{system}|{code}")));
            let values: Vec<String> = texts.iter().map(|text| (*text).to_owned()).chain(pairs).collect();
            let resource = definitions.get(of).name;
            for known in definitions.search_parameters(resource).filter(|known| known.kind == ParameterKind::Token) {
                let code = known.code.as_str();
                let is_it =
                    |value: &&String| token(definitions, of, code, value).is_some_and(|test| simple(&test) == part);
                parameter =
                    parameter.or_else(|| values.iter().find(is_it).map(|value| (code.into(), value.as_str().into())));
            }
            found.extend(parameter);
        }
        found
    }

    /// The value of `_elements` that asks of a type for what the role's plan looks at; `None` where that can't be said: of an
    /// element with several types, of which servers have more than one name, and where rows look at anything anywhere.
    pub fn narrowed_elements(&self, definitions: &Definitions, of: TypeId) -> Option<String> {
        let known = definitions.get(of);
        // The first table is of resources that stand for themselves.
        let case = self.plan.tables().first()?.cases.get(known.name.as_bytes())?;
        let state = self.plan.state(case.state)?;
        if state.other.action != Action::Drop {
            return None;
        }
        let looked_at = state.members.iter().filter(|(_, edge)| edge.action != Action::Drop || edge.capture.is_some());
        let mut names: BTreeSet<String> = looked_at.map(|(name, _)| name.trim_start_matches('_').to_owned()).collect();
        if let Some(rows) = &case.rows {
            first_names(rows, &mut names)?;
        }
        for query in case.subject.iter().flatten() {
            names.insert(first_name(query)?.to_owned());
        }
        names.remove("resourceType");
        let is_one = |name: &String| known.member(name).is_some_and(|(element, _)| !element.choice);
        names.iter().all(is_one).then(|| names.into_iter().collect::<Vec<_>>().join(","))
    }
}

/// The tests that must all hold.
fn parts(test: &Test) -> Vec<&Test> {
    match test {
        Test::All(tests) => tests.iter().flat_map(parts).collect(),
        test => vec![test],
    }
}

/// The same test, with each list of one in place of its one, and those within its queries as well.
fn simple(test: &Test) -> Test {
    let list = |tests: &[Test], of: fn(Vec<Test>) -> Test| match tests {
        [one] => simple(one),
        tests => of(tests.iter().map(simple).collect()),
    };
    match test {
        Test::All(tests) => list(tests, Test::All),
        Test::Any(tests) => list(tests, Test::Any),
        Test::Exists(query) => {
            let mut query = query.clone();
            for segment in &mut query.segments {
                let (Segment::Child(selectors) | Segment::Descendant(selectors)) = segment;
                for selector in selectors {
                    if let Selector::Filter(test) = selector {
                        **test = simple(test);
                    }
                }
            }
            Test::Exists(query)
        }
        test => test.clone(),
    }
}

/// The strings that a test compares with.
fn literals<'t>(test: &'t Test, found: &mut BTreeSet<&'t str>) {
    match test {
        Test::All(tests) | Test::Any(tests) => tests.iter().for_each(|test| literals(test, found)),
        Test::Exists(query) => {
            for segment in &query.segments {
                let (Segment::Child(selectors) | Segment::Descendant(selectors)) = segment;
                for selector in selectors {
                    if let Selector::Filter(test) = selector {
                        literals(test, found);
                    }
                }
            }
        }
        Test::Compare(_, _, Operand::Literal(Literal::String(text))) => {
            found.insert(text);
        }
        _ => {}
    }
}

/// The members of a resource that a test on it looks at; `None` where that can't be said.
fn first_names(test: &Test, found: &mut BTreeSet<String>) -> Option<()> {
    match test {
        Test::All(tests) | Test::Any(tests) => tests.iter().try_for_each(|test| first_names(test, found)),
        Test::Not(test) => first_names(test, found),
        Test::Exists(query) | Test::AllArrays(query) => {
            found.insert(first_name(query)?.to_owned());
            Some(())
        }
        Test::Compare(one, _, other) => [one, other].into_iter().try_for_each(|operand| operand_names(operand, found)),
    }
}

fn operand_names(operand: &Operand, found: &mut BTreeSet<String>) -> Option<()> {
    match operand {
        Operand::Literal(_) => {}
        Operand::Length(operand) => operand_names(operand, found)?,
        Operand::Query(query) | Operand::Count(query) | Operand::Value(query) => {
            found.insert(first_name(query)?.to_owned());
        }
    }
    Some(())
}

fn first_name(query: &Query) -> Option<&str> {
    match query.segments.first()? {
        Segment::Child(selectors) => match selectors.as_slice() {
            [Selector::Name(name)] => Some(name),
            _ => None,
        },
        Segment::Descendant(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;
    use crate::policy::Policy;

    fn narrowed(resource: &str, rules: &str, more: &str) -> (String, Option<String>) {
        let definitions = Definitions::r4();
        let text = format!(
            "version: 1\nfhir: R4\nroles:\n  desk:\n    about: x\n    owner: y\n    purposes: [TREAT]\n    sees:\n      \
             {resource}: {{ {rules} }}\n{more}"
        );
        let (policy, _) = Policy::parse("policy.yaml", &text, &definitions).unwrap();
        let (role, of) = (policy.role(&Role::new("desk")).unwrap(), definitions.resource(resource).unwrap());
        let rows = role.narrowed_rows(&definitions, of);
        let rows: Vec<String> = rows.into_iter().map(|(code, value)| format!("{code}={value}")).collect();
        (rows.join("&"), role.narrowed_elements(&definitions, of))
    }

    #[test]
    fn rows_that_are_exactly_what_token_parameters_test_are_told_as_those() {
        for (rows, expected) in [
            ("@.status == 'final'", "status=final"),
            ("@.category[?@.coding[?@.code == 'vital-signs']]", "category=vital-signs"),
            ("@.category[?@.coding[?@.system == 's' && @.code == 'c']]", "category=s|c"),
            ("@.status == 'final' && @.category[?@.coding[?@.code == 'x']]", "status=final&category=x"),
            ("@.status == 'final' && @.note", "status=final"),
            ("@.status != 'final'", ""),
            ("!(@.status == 'final')", ""),
            ("@.status == 'final' || @.note", ""),
            ("@.category[0].coding[?@.code == 'x']", ""),
            ("@.note[?@.text == 'x']", ""),
        ] {
            let rules = format!("where: \"{rows}\", code: show");
            assert_eq!(narrowed("Observation", &rules, "").0, expected, "{rows}");
        }
    }

    #[test]
    fn of_a_role_that_sees_everything_nothing_is_left_out() {
        let definitions = Definitions::r4();
        let of = definitions.resource("Slot").unwrap();
        for (sees, narrowed) in
            [("'*': show", false), ("Slot: show", true), ("'*': show, Slot: { comment: hide }", true)]
        {
            let text =
                format!("{{ version: 1, fhir: R4, roles: {{ r: {{ purposes: [TREAT], sees: {{ {sees} }} }} }} }}");
            let (policy, _) = Policy::parse("p", &text, &definitions).unwrap();
            let role = policy.role(&Role::new("r")).unwrap();
            assert_eq!(role.narrowed_elements(&definitions, of).is_some(), narrowed, "{sees}");
            assert_eq!(role.narrowed_rows(&definitions, of), Vec::new(), "{sees}");
        }
    }

    #[test]
    fn the_elements_are_those_that_the_plan_looks_at() {
        let elements = |resource: &str, rules: &str, more: &str| narrowed(resource, rules, more).1;
        let seen = |resource: &str, rules: &str| elements(resource, rules, "");
        assert_eq!(
            seen("Patient", "name: show, birthDate: year").unwrap(),
            "birthDate,contained,id,link,meta,name",
            "whose it is the audit trail is told"
        );
        assert_eq!(seen("Patient", "contact.name: show").unwrap(), "contact,contained,id,link,meta");
        let rows = seen("Encounter", "where: \"@.status == 'finished' && !@.type\", class: show").unwrap();
        assert_eq!(rows, "class,contained,id,meta,status,subject,type");
        let shifted = seen("Encounter", "period.start: { shift_days: 10 }").unwrap();
        assert!(shifted.contains("subject") && shifted.contains("period"), "{shifted}");
        assert_eq!(
            elements("Patient", "name: show", "    cleared: [N]\n"),
            seen("Patient", "name: show"),
            "labels are in meta"
        );
        // A server may name a choice in several ways, and a look at anything anywhere needs the whole.
        assert_eq!(seen("Observation", "code: show, value: show"), None);
        assert_eq!(seen("Patient", "\"*\": show"), None, "deceased[x] is one");
        assert_eq!(seen("Encounter", "where: \"@..coding[?@.code == 'x']\", class: show"), None);
    }
}
