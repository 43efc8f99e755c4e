//! Tests: what is said of an element, alone and among all.

use super::*;
use crate::model::Role;

const POLICY: &str = r#"version: 1
fhir: R4
roles:
  r:
    purposes: [TREAT]
    sees:
      Patient:
        "*": show
        name.given: hide
        telecom: show
        "telecom[?@.system == 'phone'].value": { truncate: 3 }
        "telecom[?@.use == 'old'].value": { truncate: 4 }
      Observation:
        code: show
      Organization: show
"#;

fn policy(text: &str) -> Policy {
    Policy::parse("p", text, &Definitions::r4()).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
}

fn cases(policy: &Policy, element: &str) -> Vec<Case> {
    let found = policy.explain(&Definitions::r4(), policy.role(&Role::new("r")).unwrap(), element).unwrap();
    let [found] = found.as_slice() else { panic!("{element}: {found:?}") };
    assert_eq!(found.element, element);
    found.cases.clone()
}

#[test]
fn what_decides_is_named_as_it_was_written_with_its_place_or_as_what_stands_in_for_a_rule() {
    let policy = policy(POLICY);
    for (element, treatment, because, at) in [
        ("Patient.gender", "show", "\"*\"", Some((8, 9))),
        ("Patient.name", "show", "\"*\"", Some((8, 9))),
        ("Patient.name.family", "show", "what it is part of", None),
        ("Patient.name.given", "hide", "name.given", Some((9, 9))),
        ("Patient.text", "hide", "types: Narrative (of the gateway itself)", None),
        ("Patient.name.extension", "hide", "types: Extension (of the gateway itself)", None),
        ("Observation.code", "show", "code", Some((14, 9))),
        ("Observation.code.text", "show", "what it is part of", None),
        ("Observation.status", "hide", "no rule shows it", None),
        ("Observation.code.extension", "hide", "types: Extension (of the gateway itself)", None),
        ("Observation.id", "show", "id (of the gateway itself)", None),
        ("Organization.name", "show", "\"*\"", Some((15, 21))),
        ("CapabilityStatement.rest", "show", "\"*\" (of the gateway itself)", None),
        ("Bundle.type", "show", "type (of the gateway itself)", None),
        ("Practitioner.name", "hide", "nothing of Practitioner is seen", None),
    ] {
        let at = at.map(|(line, column)| ("p".to_owned(), line, column));
        let (treatment, because) = (treatment.to_owned(), because.to_owned());
        assert_eq!(cases(&policy, element), [Case { when: Vec::new(), treatment, because, at }], "{element}");
    }
}

#[test]
fn each_combination_of_conditions_is_a_case_of_its_own() {
    let policy = policy(POLICY);
    let told: Vec<_> = cases(&policy, "Patient.telecom.value")
        .into_iter()
        .map(|case| {
            let when: Vec<_> = case.when.iter().map(|(text, holds)| (text.as_str(), *holds)).collect();
            assert!(matches!(when.as_slice(), [("@.system == 'phone'", _), ("@.use == 'old'", _)]), "{when:?}");
            (when[0].1, when[1].1, case.treatment, case.because)
        })
        .collect();
    let contradicted = "telecom[?@.use == 'old'].value, which another rule contradicts";
    let expected = [
        (false, false, "show", "what it is part of"),
        (true, false, "{ truncate: 3 }", "telecom[?@.system == 'phone'].value"),
        (false, true, "{ truncate: 4 }", "telecom[?@.use == 'old'].value"),
        (true, true, "hide", contradicted),
    ];
    assert_eq!(told, expected.map(|(one, other, of, because)| (one, other, of.to_owned(), because.to_owned())));
}

#[test]
fn the_whole_matrix_says_of_each_element_what_is_said_of_it_alone() {
    let definitions = Definitions::r4();
    let mut compared = 0;
    for text in [POLICY, include_str!("../../../config/policy.yaml")] {
        let policy = policy(text);
        for (name, role) in policy.roles().filter(|(_, role)| role.restricted()) {
            let all = policy.explain_all(&definitions, role);
            for told in all.iter().filter(|told| !told.element.contains('$')) {
                let alone = policy.explain(&definitions, role, &told.element).unwrap();
                assert_eq!(alone, std::slice::from_ref(told), "{name}");
                compared += 1;
            }
        }
    }
    assert!(compared > 500, "{compared}");
}

#[test]
fn an_element_that_contains_itself_is_shown_whole_where_each_depth_is() {
    let definitions = Definitions::r4();
    let whole = |rules: &str, path: &str| {
        let text = format!(
            "{{ version: 1, fhir: R4, roles: {{ r: {{ purposes: [TREAT], sees: {{ Questionnaire: {{ {rules} }} }} }} }} }}"
        );
        let policy = policy(&text);
        let of = definitions.resource("Questionnaire").unwrap();
        policy.role(&Role::new("r")).unwrap().shows_all(&definitions, of, path)
    };
    assert!(whole("item: show", "item") && whole("item: show", "item.item"));
    assert!(!whole("item: show, item.prefix: hide", "item") && !whole("item: show, item.prefix: hide", "item.item"));
    assert!(!whole("item.text: show", "item") && whole("item.text: show", "item.item.text"));
}
