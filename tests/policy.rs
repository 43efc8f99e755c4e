//! The policy language as its users meet it: what a file may say, what it is told where it is wrong, and what it means.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

use std::sync::{Arc, LazyLock};

use fieldgate::fhir::Definitions;
use fieldgate::fhir::interaction::{Interaction, Kind};
use fieldgate::model::{Purpose, Role};
use fieldgate::policy::{Asked, Bearer, Checked, Denied, Mistakes, Policy, Treatment};
use fieldgate::redact::transform::Given;
use fieldgate::redact::{Copied, Limits, Redactor};

const SHIPPED: &str = include_str!("../config/policy.yaml");

fn definitions() -> &'static Definitions {
    static R4: LazyLock<Definitions> = LazyLock::new(Definitions::r4);
    &R4
}

fn parse(text: &str) -> Result<Policy, Mistakes> {
    Policy::parse("policy.yaml", text, definitions()).map(|(policy, _)| policy)
}

/// A policy of one role with these lines, each a key of the role.
fn role(lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("version: 1\nfhir: R4\ndocuments:\n  member-record: {{}}\nroles:\n  r:\n    purposes: [TREAT]\n{indented}")
}

fn mistakes(text: &str) -> Vec<String> {
    parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused(lines: &str, says: &str) {
    let found = mistakes(&role(lines)).join("\n");
    assert!(found.contains(says), "{lines}\n{found}");
}

#[track_caller]
fn treated(lines: &str, expected: &[(&str, &str)]) {
    let definitions = definitions();
    let policy = parse(&role(lines)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let view = policy.role(&Role::new("r")).unwrap();
    for (element, treatment) in expected {
        let (resource, path) = element.split_once('.').unwrap();
        let found = view.treatment(definitions, definitions.resource(resource).unwrap(), path).to_string();
        assert_eq!(found, *treatment, "{element} of\n{lines}");
    }
}

#[test]
fn the_shipped_policy_is_clean_but_for_the_clinician_who_sees_everything() {
    let (policy, warnings) =
        Policy::parse("policy.yaml", SHIPPED, definitions()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].ends_with("the role clinician sees everything"), "{warnings:?}");
    assert!(policy.roles().count() >= 5);
    assert!(policy.roles().all(|(_, role)| !role.about().is_empty()));
    assert!(policy.role(&Role::new("billing-vendor")).unwrap().document("member-record").is_some());
}

#[test]
fn a_policy_with_ten_mistakes_shows_ten_in_the_order_of_the_file() {
    let text = r#"version: 2
fhir: R4
colour: blue
roles:
  desk:
    purposes: [TREAT, HEAL]
    sees:
      Patient:
        brithDate: show
        name: year
        "telecom[?@.sytem == 'phone']": hide
        text: show
      Pateint: { name: show }
    types: { Narative: hide }
    cleared: [N, X]
    may: [read, serach]
"#;
    let found = mistakes(text);
    assert_eq!(found.len(), 11, "{found:#?}");
    for (mistake, line_and_text) in found.iter().zip([
        ("policy.yaml:1:10: ", "version is 1"),
        ("policy.yaml:3:1: ", "unknown key colour of a policy file"),
        ("policy.yaml:6:23: ", "unknown purpose HEAL"),
        ("policy.yaml:9:9: ", "unknown element Patient.brithDate: did you mean birthDate?"),
        ("policy.yaml:10:15: ", "year is for date, dateTime and instant, and name is a HumanName"),
        ("policy.yaml:11:9: ", "unknown element ContactPoint.sytem: did you mean system?"),
        ("policy.yaml:12:15: ", "write show!"),
        ("policy.yaml:13:7: ", "unknown resource type Pateint: did you mean Patient?"),
        ("policy.yaml:14:14: ", "unknown data type Narative: did you mean Narrative?"),
        ("policy.yaml:15:18: ", "unknown confidentiality or sensitivity code X"),
        ("policy.yaml:16:17: ", "unknown interaction serach: did you mean search?"),
    ]) {
        assert!(mistake.starts_with(line_and_text.0) && mistake.contains(line_and_text.1), "{mistake}");
    }
}

#[test]
fn an_element_is_hidden_where_nothing_shows_it() {
    treated(
        "sees: { Patient: { name.family: show } }",
        &[
            ("Patient.name.family", "show"),
            ("Patient.name.given", "hide"),
            ("Patient.name", "hide"),
            ("Patient.birthDate", "hide"),
            ("Practitioner.name", "hide"),
        ],
    );
}

#[test]
fn the_rule_for_the_element_comes_before_its_type_and_its_type_before_its_parent() {
    treated(
        "sees: { Patient: { '*': show, contact.name: show, birthDate: year } }\ntypes: { HumanName: hide, date: month }",
        &[
            ("Patient.contact.name", "show"),
            ("Patient.contact.name.family", "show"),
            ("Patient.name", "hide"),
            ("Patient.name.family", "hide"),
            ("Patient.birthDate", "year"),
            ("Patient.gender", "show"),
        ],
    );
    treated("sees: { Person: { '*': show } }\ntypes: { date: month }", &[("Person.birthDate", "month")]);
}

#[test]
fn a_type_rule_never_shows_what_is_not_shown() {
    treated(
        "sees: { Patient: { gender: show } }\ntypes: { HumanName: show, date: year, Extension: show }",
        &[("Patient.name", "hide"), ("Patient.birthDate", "hide"), ("Patient.extension", "hide")],
    );
}

#[test]
fn the_longest_type_rule_wins() {
    treated(
        "sees: { Patient: { identifier: show } }\ntypes: { Identifier.assigner.identifier: show, Reference.identifier: hide }",
        &[("Patient.identifier.assigner.identifier", "show"), ("Patient.identifier.assigner.reference", "show")],
    );
    treated(
        "sees: { Observation: { '*': show } }\ntypes: { Quantity: hide, Quantity.unit: show }",
        &[("Observation.valueQuantity", "hide"), ("Observation.valueQuantity.unit", "hide")],
    );
}

#[test]
fn of_type_rules_that_are_as_long_that_of_the_more_specific_type_wins() {
    for types in ["Quantity.value: hide, Age.value: show", "Age.value: show, Quantity.value: hide"] {
        treated(
            &format!("sees: {{ Condition: {{ '*': show }}, Observation: {{ '*': show }} }}\ntypes: {{ {types} }}"),
            &[("Condition.onsetAge.value", "show"), ("Observation.valueQuantity.value", "hide")],
        );
    }
    treated(
        "sees: { Patient: { '*': show } }\ntypes: { Extension: show, Extension.valueString: hide }",
        &[("Patient.extension.valueString", "hide"), ("Patient.extension.valueCode", "show")],
    );
}

#[test]
fn a_condition_on_the_way_to_what_stands_elsewhere_too_is_taken_for_the_worse() {
    for (rules, answer) in [
        ("'*': show, \"term.offer[?@.text == 'a'].answer\": hide", "hide"),
        ("'*': show, term.offer.answer: hide", "hide"),
        ("term.asset.type: show, \"term.offer[?@.text == 'a'].answer\": show", "hide"),
        ("'*': show, term.offer.type: hide", "show"),
    ] {
        let sees = format!("sees: {{ Contract: {{ {rules} }} }}");
        treated(&sees, &[("Contract.term.asset.answer.valueString", answer)]);
    }
}

#[test]
fn what_repeats_is_withheld_by_every_role_that_withholds_anything() {
    let repeats = [
        ("Patient.text", "hide"),
        ("Patient.extension", "hide"),
        ("Patient.name.extension", "hide"),
        ("Patient.generalPractitioner.display", "hide"),
        ("Patient.generalPractitioner.reference", "show"),
        ("Patient.birthDate.extension", "hide"),
    ];
    treated("sees: { '*': show, Practitioner: { birthDate: hide } }", &repeats);
    treated("sees: { Patient: { '*': show } }", &repeats);
    treated("sees: { '*': show }\ncleared: [N]", &repeats);
    treated("sees: { '*': show, Observation: { where: \"@.status == 'final'\" } }", &repeats);
    treated(
        "sees: { '*': show }",
        &[("Patient.text", "show"), ("Patient.extension", "show"), ("Patient.generalPractitioner.display", "show")],
    );
}

#[test]
fn what_repeats_is_shown_by_insisting_alone() {
    treated(
        "sees: { Patient: { '*': show } }\ntypes: { Narrative: show!, Reference.display: show!, Extension: show }",
        &[("Patient.text", "show"), ("Patient.managingOrganization.display", "show"), ("Patient.extension", "show")],
    );
    refused("sees: { Patient: { text: show } }", "write show!");
    refused("sees: { Patient: { text.div: show } }", "write show!");
    refused("sees: { Patient: { managingOrganization.display: show } }", "write show!");
    refused("sees: { Patient: { name: show } }\ntypes: { Narrative: show }", "write show!");
    refused("sees: { Patient: { name: show! } }", "write show");
}

#[test]
fn an_extension_picked_by_its_url_is_shown_with_what_is_nested_in_it() {
    treated(
        "sees: { Patient: { name: show, \"extension[?@.url == 'http://x']\": show } }",
        &[("Patient.extension", "hide"), ("Patient.name.extension", "hide")],
    );
    let definitions = definitions();
    let text = role("sees: { Patient: { name: show, \"extension[?@.url == 'http://x']\": show } }");
    let policy = parse(&text).unwrap();
    let view = policy.role(&Role::new("r")).unwrap();
    let found = policy.explain(definitions, view, "Patient.extension.extension.valueHumanName").unwrap();
    let shown: Vec<_> = found[0].cases.iter().map(|case| (case.when[0].1, &*case.treatment)).collect();
    assert_eq!(shown, [(false, "hide"), (true, "show")]);
    let found = policy.explain(definitions, view, "Patient.extension.valueHumanName.extension").unwrap();
    assert!(found[0].cases.iter().all(|case| case.treatment == "hide"));
}

#[test]
fn of_conditional_rules_that_match_the_strictest_wins_and_what_matches_none_falls_through() {
    let definitions = definitions();
    let policy = parse(&role(concat!(
        "sees:\n",
        "  Patient:\n",
        "    telecom: show\n",
        "    \"telecom[?@.system == 'phone'].value\": { mask: { keep_last: 4 } }\n",
        "    \"telecom[?@.use == 'old']\": hide\n",
    )))
    .unwrap();
    let view = policy.role(&Role::new("r")).unwrap();
    let found = policy.explain(definitions, view, "Patient.telecom.value").unwrap();
    let cases: Vec<_> = found[0]
        .cases
        .iter()
        .map(|case| {
            (
                case.when.iter().map(|(_, holds)| *holds).collect::<Vec<_>>(),
                case.treatment.split(':').next().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(
        cases,
        [
            (vec![false, false], "show".to_owned()),
            (vec![true, false], "{ mask".to_owned()),
            (vec![false, true], "hide".to_owned()),
            // An old phone number is hidden with its item, but its value has a rule of its own.
            (vec![true, true], "{ mask".to_owned()),
        ]
    );
}

#[test]
fn two_different_transforms_that_meet_hide() {
    treated(
        "sees: { Patient: { \"contact[?@.gender == 'male'].period.start\": year, \"contact[?@.telecom].period.start\": month } }",
        &[("Patient.contact.period.start", "hide")],
    );
}

#[test]
fn a_rule_covers_every_form_of_a_choice_and_a_form_is_more_specific() {
    treated(
        "sees: { Observation: { 'value[x]': show, valueString: hide } }",
        &[
            ("Observation.valueQuantity", "show"),
            ("Observation.valueBoolean", "show"),
            ("Observation.valueString", "hide"),
            ("Observation.value", "hide"),
        ],
    );
    refused("sees: { Observation: { value: show, 'value[x]': hide } }", "a second rule for value[x]");
    refused("sees: { Patient: { deceased: year } }", "write a rule for the one form that is meant");
    refused("sees: { Patient: { deceasedBoolean: absent } }", "write a rule for deceased");
}

#[test]
fn a_rule_for_an_element_that_contains_itself_holds_at_every_depth() {
    treated(
        "sees: { Questionnaire: { item.text: show } }",
        &[
            ("Questionnaire.item.text", "show"),
            ("Questionnaire.item.item.text", "show"),
            ("Questionnaire.item.item.item.text", "show"),
            ("Questionnaire.item.item.prefix", "hide"),
        ],
    );
    treated(
        "sees: { QuestionnaireResponse: { item: show, \"item[?@.linkId == '5']\": hide } }",
        &[("QuestionnaireResponse.item.item", "hide"), ("QuestionnaireResponse.item.item.item", "hide")],
    );
    refused("sees: { Questionnaire: { item.item.text: show } }", "write item");
}

#[test]
fn an_element_described_elsewhere_is_narrowed_by_rules_there_and_not_shown_by_them() {
    treated(
        "sees: { Observation: { referenceRange: show } }",
        &[("Observation.referenceRange.low", "show"), ("Observation.component.referenceRange", "hide")],
    );
    treated(
        "sees: { Observation: { component: show, referenceRange.text: hide } }",
        &[("Observation.component.referenceRange.low", "show"), ("Observation.component.referenceRange.text", "hide")],
    );
    treated(
        "sees: { Observation: { component: show, referenceRange: hide } }",
        &[("Observation.component.referenceRange", "hide")],
    );
}

#[test]
fn id_and_meta_stay_unless_a_rule_names_them() {
    treated(
        "sees: { Patient: { gender: show } }",
        &[
            ("Patient.id", "show"),
            ("Patient.meta.security", "show"),
            ("Patient.meta.source", "hide"),
            ("Patient.meta", "hide"),
        ],
    );
    treated(
        "sees: { Patient: { gender: show, id: hide, meta.tag: hide } }",
        &[("Patient.id", "hide"), ("Patient.meta.tag", "hide"), ("Patient.meta.versionId", "show")],
    );
    treated("sees: { Patient: { gender: show, meta: hide } }", &[("Patient.meta.versionId", "hide")]);
}

#[test]
fn an_envelope_is_seen_without_a_rule_and_may_only_be_narrowed() {
    let envelope = [
        ("Bundle.link.url", "show"),
        ("Bundle.entry.fullUrl", "show"),
        ("Bundle.entry.search.mode", "show"),
        ("Bundle.entry.search.score", "hide"),
        ("Bundle.entry.link", "hide"),
        ("Bundle.identifier", "hide"),
        ("Bundle.total", "hide"),
        ("OperationOutcome.issue.code", "show"),
        ("OperationOutcome.issue.diagnostics", "hide"),
        ("OperationOutcome.issue.details.text", "hide"),
        ("OperationOutcome.issue.details.coding.code", "show"),
        ("OperationOutcome.issue.details.coding.display", "hide"),
        ("Parameters.parameter.part.name", "show"),
        ("Parameters.parameter.valueString", "hide"),
        ("CapabilityStatement.rest", "show"),
    ];
    treated("sees: { Patient: { gender: show } }", &envelope);
    treated("sees: { Patient: { gender: show }, Bundle: { timestamp: hide } }", &[("Bundle.timestamp", "hide")]);
    // What is hidden of an envelope takes with it what is seen in it.
    let within = [("Bundle.entry.resource", "hide"), ("Bundle.entry.search.mode", "hide"), ("Bundle.link.url", "show")];
    treated("sees: { Patient: { gender: show }, Bundle: { entry: hide } }", &within);
    refused("sees: { Patient: { gender: show }, Bundle: { identifier: show } }", "a role may only narrow it");
}

#[test]
fn what_tells_a_hidden_id_or_a_withheld_row_is_hidden_too() {
    treated(
        "sees: { Patient: { gender: show, id: { pseudonym: { domain: d } } } }",
        &[
            ("Bundle.entry.fullUrl", "hide"),
            ("Bundle.entry.request.url", "hide"),
            ("Bundle.entry.response.location", "hide"),
            ("Bundle.entry.response.status", "{ truncate: 3 }"),
            ("Bundle.entry.response.lastModified", "show"),
            ("Bundle.entry.response.etag", "hide"),
        ],
    );
    for rule in ["meta: hide", "meta.lastUpdated: hide", "meta.lastUpdated: year"] {
        treated(
            &format!("sees: {{ Patient: {{ gender: show, {rule} }} }}"),
            &[("Bundle.entry.response.lastModified", "hide"), ("Bundle.entry.fullUrl", "show")],
        );
    }
    treated("sees: { '*': show, Patient: { birthDate: hide } }", &[("Bundle.total", "show")]);
    treated("sees: { '*': show, Patient: { where: \"@.active == true\" } }", &[("Bundle.total", "hide")]);
    treated("sees: { '*': show, Patient: hide }", &[("Bundle.total", "hide"), ("Patient.name", "hide")]);
}

#[test]
fn rules_beside_everything_must_say_what_they_mean() {
    refused("sees: { '*': show, Patient: { name: show, birthDate: hide } }", "write \"*\": hide in Patient");
    treated(
        "sees: { '*': show, Patient: { '*': hide, name: show } }",
        &[("Patient.name", "show"), ("Patient.birthDate", "hide"), ("Practitioner.name", "show")],
    );
    treated("sees: { '*': show, Patient: { name: hide, name.family: show } }", &[("Patient.name.family", "show")]);
}

#[test]
fn a_transform_is_for_the_types_that_it_can_take() {
    for (rule, says) in [
        ("Patient: { gender: year }", "year is for date, dateTime and instant, and gender is a code"),
        ("Patient: { deceasedDateTime: birth_year }", "birth_year is for date"),
        ("Patient: { name: { mask: {} } }", "mask is for strings"),
        ("Patient: { name: absent }", "absent is for primitives"),
        ("Patient: { birthDate: { round: 1 } }", "round is for numbers"),
        ("Patient: { name: { pseudonym: { domain: d } } }", "pseudonym is for strings, ids and references"),
        ("Patient: { contact: { replace: x } }", "replace is for strings"),
        ("Practitioner: { birthDate: { shift_days: 9 } }", "a Practitioner has none"),
        ("Patient: { birthDate: year, 'birthDate.extension': show }", "takes away what"),
    ] {
        refused(&format!("sees: {{ {rule} }}"), says);
    }
}

#[test]
fn a_role_includes_views_and_its_own_rule_replaces_theirs() {
    let text = |views: &str, own: &str| {
        format!(
            "version: 1\nfhir: R4\nviews:\n{views}roles:\n  r: {{ purposes: [TREAT], include: [a, b], sees: {{ Patient: {{ {own} }} }} }}\n"
        )
    };
    let agree = "  a: { Patient: { name: show, birthDate: show } }\n  b: { Patient: { name: show, gender: show } }\n";
    let definitions = definitions();
    let policy = parse(&text(agree, "birthDate: year")).unwrap();
    let view = policy.role(&Role::new("r")).unwrap();
    let patient = definitions.resource("Patient").unwrap();
    assert_eq!(view.treatment(definitions, patient, "birthDate"), Treatment::Year);
    assert_eq!(view.treatment(definitions, patient, "gender"), Treatment::Show);

    let disagree = "  a: { Patient: { birthDate: show } }\n  b: { Patient: { birthDate: year } }\n";
    let found = mistakes(&text(disagree, "name: show")).join("\n");
    assert!(found.contains("the view b disagrees with another that is included on birthDate"), "{found}");
    let unknown = mistakes(&text("  a: { Patient: { name: show } }\n", "name: show")).join("\n");
    assert!(unknown.contains("unknown view b"), "{unknown}");
}

#[test]
fn a_condition_that_can_never_match_is_a_mistake() {
    refused("sees: { Observation: { '*': show, where: \"@.category.coding.code != 'x'\" } }", "asks a list");
    refused("sees: { Observation: { '*': show, where: \"@.stauts == 'final'\" } }", "did you mean status?");
    refused(
        "sees: { Observation: { '*': show, where: \"match(@.status, 'f.*')\" } }",
        "match(), which is not supported",
    );
    refused("sees: { Observation: { '*': show, where: \"@.status == $.status\" } }", "from the root ($)");
}

#[test]
fn more_conditions_than_can_be_told_apart_are_a_mistake() {
    let rules: String = (0..9).map(|n| format!("\"telecom[?@.rank == {n}]\": show, ")).collect();
    refused(&format!("sees: {{ Patient: {{ {rules} name: show }} }}"), "9 conditions meet at one element");
    // With all others, and before any view is compiled for its plan.
    let text = role(&format!("sees: {{ Patient: {{ {rules} brithDate: show }} }}"));
    let all = Checked::parse("policy.yaml", &text, definitions()).unwrap_err();
    let says = ["9 conditions meet at one element", "did you mean birthDate?"];
    assert!(all.iter().zip(says).all(|(found, says)| found.to_string().contains(says)), "{all}");
    assert_eq!(all.iter().count(), says.len(), "{all}");
}

#[test]
fn a_search_may_test_what_is_shown_whole() {
    let definitions = definitions();
    let policy = parse(&role(
        "sees: { Patient: { name: show, name.given: hide, birthDate: year, gender: show, managingOrganization: show, telecom: show, \"telecom[?@.use == 'old']\": hide } }",
    ))
    .unwrap();
    let view = policy.role(&Role::new("r")).unwrap();
    let patient = definitions.resource("Patient").unwrap();
    for (path, shown) in [
        ("gender", true),
        ("managingOrganization", true),
        ("name.family", true),
        ("name", false),
        ("birthDate", false),
        ("telecom", false),
        ("address", false),
        ("nonsense", false),
    ] {
        assert_eq!(view.shows_all(definitions, patient, path), shown, "{path}");
    }
}

#[test]
fn what_a_role_that_sees_everything_was_shown_is_counted_by_element() {
    let policy = parse(SHIPPED).unwrap();
    let plan = policy.role(&Role::new("clinician")).unwrap().plan();
    let mut redactor = Redactor::new(Arc::clone(plan), Given::default(), Limits::default());
    let document = br#"{"resourceType":"Patient","id":"p","name":[{"family":"F"}],"birthDate":"1970-01-01"}"#;
    let mut out = Vec::new();
    redactor.write(document, &mut Copied { piece: document, out: &mut out }).unwrap();
    redactor.finish(&mut Copied { piece: &[], out: &mut out }).unwrap();
    let tally = redactor.into_tally();
    let released: Vec<_> = tally.elements().map(|(owner, element, count)| (owner, element, count.released)).collect();
    for element in ["name", "birthDate"] {
        assert!(released.contains(&("Patient", element, 1)), "{element}: {released:?}");
    }
    assert_eq!(out, document);
}

#[test]
fn a_decision_is_no_unless_everything_is_allowed_by_name() {
    let definitions = definitions();
    let policy = parse(SHIPPED).unwrap();
    let of = |kind: Kind, resource: &str| Interaction {
        kind,
        resource_type: Some(resource.into()),
        id: None,
        version: None,
        operation: None,
        compartment: None,
        conditional: false,
    };
    let purpose = |code: &str| Purpose::from_code(code);
    let decide = |role: &str, requested, allowed: Option<&[Purpose]>, asked: &Interaction| {
        let role = Role::new(role);
        policy
            .decide(definitions, &role, requested, allowed, Bearer::default(), Asked::Fhir(asked))
            .map(|permit| permit.purpose().code())
    };
    let read = of(Kind::Read, "Patient");
    assert_eq!(decide("front-desk", None, None, &read), Ok("HOPERAT"));
    assert_eq!(decide("front-desk", purpose("TREAT"), None, &read), Ok("TREAT"));
    let treat = [purpose("TREAT").unwrap()];
    assert_eq!(decide("front-desk", None, Some(&treat), &read), Ok("TREAT"));
    assert_eq!(decide("front-desk", purpose("HOPERAT"), Some(&treat), &read), Err(Denied::TokenPurpose));
    assert_eq!(decide("front-desk", purpose("HMARKT"), None, &read), Err(Denied::Purpose));
    assert_eq!(decide("front-desk", None, Some(&[]), &read), Err(Denied::TokenPurpose));
    assert_eq!(decide("nobody", None, None, &read), Err(Denied::UnknownRole));
    assert_eq!(decide("front-desk", None, None, &of(Kind::Read, "Condition")), Err(Denied::NotSeen));
    assert_eq!(decide("front-desk", None, None, &of(Kind::Read, "Bundle")), Err(Denied::NotSeen));
    assert_eq!(decide("front-desk", None, None, &of(Kind::Vread, "Patient")), Err(Denied::Interaction));
    assert_eq!(decide("front-desk", None, None, &of(Kind::Update, "Patient")), Err(Denied::Interaction));
    assert_eq!(decide("clinician", None, None, &of(Kind::HistoryInstance, "Patient")), Ok("TREAT"));
    let capabilities = Interaction { resource_type: None, ..of(Kind::Capabilities, "") };
    assert_eq!(decide("researcher", None, None, &capabilities), Ok("HRESCH"));
    let document = |role: &str| {
        let role = Role::new(role);
        policy.decide(definitions, &role, None, None, Bearer::default(), Asked::Document("member-record")).map(|_| ())
    };
    assert_eq!(document("billing-vendor"), Ok(()));
    assert_eq!(document("front-desk"), Err(Denied::NotSeen));
}

#[test]
fn a_role_may_be_for_its_callers_own_compartment_alone() {
    let told = mistakes(&role("sees: { Patient: show }\nonly: own-compartmnet"));
    assert_eq!(told, ["policy.yaml:9:11: unknown bound own-compartmnet of a role: did you mean own-compartment?"]);
    refused("sees: { Patient: show }\nonyl: own-compartment", "unknown key onyl of a role: did you mean only?");
    refused("sees: { Patient: show }\nonly: [own-compartment]", "policy.yaml:9:11: ");
    refused(
        "sees: { member-record: { '$.id': show } }\nonly: own-compartment",
        "policy.yaml:9:11: the role r sees documents, in which nothing says whose they are: write them in a role without only",
    );
    let text = role("sees: { Patient: show, Binary: show }\nonly: own-compartment");
    let (policy, warnings) = Policy::parse("policy.yaml", &text, definitions()).unwrap();
    let expected = "policy.yaml:8:28: nothing of Binary is seen: nothing in it says whose it is: leave it out";
    assert!(warnings.iter().any(|warning| warning.to_string() == expected), "{warnings:?}");
    assert!(policy.role(&Role::new("r")).unwrap().own_compartment());
    // It withholds something of everyone, so that it is restricted whatever it sees.
    let own = role("sees: { '*': show }\nonly: own-compartment");
    let policy = parse(&own).unwrap();
    let view = policy.role(&Role::new("r")).unwrap();
    assert!(view.restricted());
    assert_eq!(view.treatment(definitions(), definitions().resource("Patient").unwrap(), "text"), Treatment::Hide);
}

#[test]
fn a_bounded_request_is_answered_as_by_a_restricted_role() {
    for lines in [
        "sees: { '*': show }",
        "sees: { '*': show }\ncleared: [N]",
        "sees: { Observation: show }",
        "sees: { '*': show, Patient: { birthDate: hide } }",
    ] {
        let policy = parse(&role(lines)).unwrap();
        let view = policy.role(&Role::new("r")).unwrap().bounded();
        let hides = |resource: &str, path: &str| {
            view.treatment(definitions(), definitions().resource(resource).unwrap(), path) == Treatment::Hide
        };
        assert!(view.restricted() && view.has_rows(definitions().resource("Observation").unwrap()), "{lines}");
        assert!(hides("Bundle", "total") && hides("Observation", "text") && hides("Observation", "subject.display"));
        assert!(!hides("Observation", "code"), "{lines}");
    }
}

#[test]
fn an_explanation_names_the_rule_with_its_file_and_line() {
    let definitions = definitions();
    let policy = parse(SHIPPED).unwrap();
    let view = policy.role(&Role::new("front-desk")).unwrap();
    let found = policy.explain(definitions, view, "Patient.birthDate").unwrap();
    let (file, line, _) = found[0].cases[0].at.clone().unwrap();
    assert_eq!((&*found[0].cases[0].treatment, &*file), ("year", "policy.yaml"));
    assert!(SHIPPED.lines().nth(line as usize - 1).unwrap().trim().starts_with("birthDate: year"));
    assert!(policy.explain(definitions, view, "Patient.brithDate").unwrap_err().to_string().contains("birthDate?"));
    assert!(policy.explain(definitions, view, "Pateint.name").unwrap_err().to_string().contains("Patient?"));
    let all = policy.explain_all(definitions, view);
    let vendor = policy.role(&Role::new("billing-vendor")).unwrap();
    let record = policy.explain(definitions, vendor, "member-record").unwrap();
    let ssn = record.iter().find(|each| each.element == "member-record $.ssn").unwrap();
    assert!(ssn.cases[0].treatment.contains("mask") && ssn.cases[0].at.is_some());
    assert_eq!(policy.explain(definitions, view, "member-record").unwrap()[0].cases[0].treatment, "hide");
    assert!(all.iter().any(|each| each.element == "Appointment.comment" && each.cases[0].treatment == "hide"));
}

#[test]
fn a_policy_is_known_by_its_text_and_a_review_that_was_due_is_told() {
    let (one, other) = (parse(SHIPPED).unwrap(), parse(&format!("{SHIPPED}\n")).unwrap());
    assert_eq!(one.generation().len(), 16);
    assert_ne!(one.generation(), other.generation());
    let day = |text: &str| text.parse().unwrap();
    assert!(one.overdue(day("2026-06-01")).is_empty());
    assert!(one.overdue(day("2026-12-31")).is_empty(), "the day itself is in time");
    let due = one.overdue(day("2027-01-01"));
    assert_eq!(due.len(), 1);
    assert!(due[0].to_string().contains("the review of the role billing-vendor was due on 2026-12-31"));
}

#[test]
fn a_document_is_ruled_by_queries_that_a_stream_can_answer() {
    parse(&role("sees: { member-record: { '$.id': show, \"$.claims[?@.status == 'open'].amount\": { round: 10 } } }"))
        .unwrap();
    refused("sees: { member-record: { '$.a[-1]': show } }", "counts from the end");
    refused("sees: { member-record: { id: show } }", "starts with $");
    refused("sees: { member-record: { '$.id': absent } }", "absent is for FHIR resources");
    refused("sees: { membre-record: { '$.id': show } }", "did you mean member-record?");
}

#[test]
fn what_is_left_out_or_named_twice_is_a_mistake() {
    assert!(mistakes("version: 1\nfhir: R4\n").join("\n").contains("the policy has no role"));
    assert!(
        mistakes("version: 1\nfhir: R4\nroles: { r: { sees: { Patient: show } } }").join("\n").contains("no purposes")
    );
    refused("sees: { Patient: { name: show } }\nsees: { Patient: { name: show } }", "a second time");
    refused("may: [read]", "the role r sees nothing");
    refused("sees: { Patient: { name: show } }\nmay: [$graphql]", "$graphql can't be filtered");
    refused(
        "sees: { Patient: { name: show } }\nbreak_glass: { view_of: docter, for: 30m, notify: x }",
        "unknown role docter",
    );
    refused("sees: { Patient: { name: show } }\nreview_by: soon", "a day is written");
}

#[test]
fn a_role_as_the_manual_shows_it_is_taken() {
    let text = r#"
version: 1
fhir: R4
views:
  demographics:
    Patient: { name: show, gender: show, birthDate: show, telecom: show }
documents:
  member-record: { about: "GET /api/v1/members/{id}" }
roles:
  front-desk:
    about: Books visits. Needs who, when and where; never why.
    owner: patient-access@hospital.example
    review_by: 2027-03-31
    purposes: [HOPERAT, TREAT]
    include: [demographics]
    sees:
      Patient:
        birthDate: year
        "telecom[?@.system == 'phone'].value": { mask: { keep_last: 4 } }
      Appointment: { "*": show, comment: hide, description: hide }
      Observation:
        where: "@.category[?@.coding[?@.code == 'vital-signs']]"
        code: show
        valueQuantity: show
      member-record: { "$.id": show, "$.plan": show, "$.claims[*].status": show }
    types: { Narrative: hide, Reference.display: hide }
    may: [read, search]
    cleared: [N, L, M]
    break_glass: { view_of: clinician, for: 30m, notify: privacy-office }
  clinician:
    about: Treats patients.
    purposes: [TREAT]
    sees: { "*": show }
"#;
    let definitions = definitions();
    let (policy, warnings) = Policy::parse("p", text, definitions).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(warnings.len(), 2, "no owner, sees everything: {warnings:?}");
    let desk = policy.role(&Role::new("front-desk")).unwrap();
    assert!(desk.restricted() && !policy.role(&Role::new("clinician")).unwrap().restricted());
    assert!(desk.has_rows(definitions.resource("Observation").unwrap()));
    assert_eq!(desk.break_glass().unwrap().lasts.as_secs(), 1800);
    assert_eq!(desk.cleared().unwrap().len(), 3);
}

#[test]
fn a_policy_that_is_hostile_or_broken_is_refused_and_never_panics() {
    for text in [
        "",
        "[]",
        "version: 1",
        "roles: &a { r: *a }",
        "{ version: 1, fhir: R4, roles: { r: { purposes: [TREAT], sees: { Patient: { ? [a] : show } } } } }",
        "{ version: 1, fhir: R4, roles: { r: { purposes: [TREAT], sees: { Patient: { \"a[?((((((\": show } } } } }",
        "{ version: 1, fhir: R4, roles: { r: { purposes: [TREAT], sees: { Patient: { \"n\u{e4}me[\": show } } } } }",
        "{ version: 1, fhir: R4, roles: [r] }",
        "{ version: 1, fhir: R4, roles: { r: show } }",
        "\u{0}",
    ] {
        assert!(parse(text).is_err(), "{text:?}");
    }
    let deep = format!("{{ version: 1, roles: {}{} }}", "[".repeat(100), "]".repeat(100));
    assert!(parse(&deep).is_err());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(100))]
    #[test]
    fn no_text_as_path_or_condition_or_query_makes_the_reader_panic(text in r#"[a-z@$?.'"\[\]()*:,=&|! 0-9\\ä]{0,40}"#) {
        let quoted = serde_json::to_string(&text).unwrap();
        let _ = parse(&role(&format!("sees: {{ Patient: {{ {quoted}: show }}, member-record: {{ {quoted}: show }} }}")));
        let condition = serde_json::to_string(&format!("name[?{text}].family")).unwrap();
        let _ = parse(&role(&format!("sees: {{ Patient: {{ {condition}: show }} }}")));
    }
}
