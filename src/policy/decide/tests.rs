//! Tests: what a permit gives, and how far the request reaches that it is for.

use super::super::bounds;
use super::*;
use crate::fhir::interaction::Compartment;
use crate::model::{Actions, Level, Scope, Scopes};
use crate::redact::transform::Given;
use crate::redact::{Copied, Limits, Redactor};

fn policy(role: &str) -> Policy {
    let text = format!("{{ version: 1, fhir: R4, roles: {{ r: {{ purposes: [TREAT], {role} }} }} }}");
    Policy::parse("p", &text, &Definitions::r4()).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
}

fn of(kind: Kind, resource: &str) -> Interaction {
    Interaction {
        kind,
        resource_type: Some(resource.into()),
        id: None,
        version: None,
        operation: None,
        compartment: None,
        conditional: false,
    }
}

fn operation(name: &str, resource: Option<&str>) -> Interaction {
    let resource_type = resource.map(Into::into);
    Interaction { operation: Some(name.into()), resource_type, ..of(Kind::Operation, "") }
}

fn decide(policy: &Policy, bearer: Bearer<'_>, asked: &Interaction) -> Result<Permit, Denied> {
    policy.decide(&Definitions::r4(), &Role::new("r"), None, None, bearer, Asked::Fhir(asked))
}

/// Scopes of a user to read and find resources of a type, each with these parameters.
fn scopes(of: &str, each: &[&[(&str, &str)]]) -> Scopes {
    let scope = |parameters: &&[(&str, &str)]| Scope {
        level: Level::User,
        of: Some(of.into()),
        actions: Actions::READ.or(Actions::SEARCH),
        parameters: parameters.iter().map(|(code, value)| ((*code).into(), (*value).into())).collect(),
    };
    Scopes { granted: each.iter().map(scope).collect() }
}

fn through(permit: &Permit, document: &str) -> String {
    let mut out = Vec::new();
    let mut redactor = Redactor::new(Arc::clone(permit.plan()), Given::default(), Limits::default());
    redactor.write(document.as_bytes(), &mut Copied { piece: document.as_bytes(), out: &mut out }).unwrap();
    redactor.finish(&mut Copied { piece: &[], out: &mut out }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_an_operation_answers_a_restricted_role_is_not_counted_and_what_a_search_finds_is() {
    let bundle = r#"{"resourceType":"Bundle","type":"searchset","total":7}"#;
    let bound = scopes("Patient", &[&[]]);
    for (role, everything, search) in [
        ("sees: { '*': show, Patient: { birthDate: hide } }, may: [search, $everything]", false, true),
        ("sees: { '*': show }, may: [search, $everything]", true, true),
        ("sees: { Patient: show }, may: [search, $everything]", false, false),
    ] {
        let policy = policy(role);
        let counts = |bearer, asked: &Interaction| {
            let permit = decide(&policy, bearer, asked).unwrap();
            through(&permit, bundle).contains("\"total\":7")
        };
        assert_eq!(counts(Bearer::default(), &operation("everything", Some("Patient"))), everything, "{role}");
        assert_eq!(counts(Bearer::default(), &of(Kind::SearchType, "Patient")), search, "{role}");
        // Nor is what scopes bound, whatever the role counts.
        let bearer = Bearer { scopes: Some(&bound), ..Bearer::default() };
        assert!(!counts(bearer, &of(Kind::SearchType, "Patient")), "{role}");
    }
}

#[test]
fn whoever_is_held_to_a_patient_asks_for_that_patient_and_stays_in_its_compartment() {
    let policy = policy("sees: { Patient: show, Observation: show, Practitioner: show }, only: own-compartment");
    let bearer = Bearer { patient: Some("ada"), ..Bearer::default() };
    let read = |resource: &str, id: &str| Interaction { id: Some(id.into()), ..of(Kind::Read, resource) };
    let within = |resource: &str, id: &str| {
        let compartment = Some(Compartment { resource_type: resource.into(), id: id.into() });
        Interaction { compartment, ..of(Kind::SearchType, "Observation") }
    };
    for (asked, decided) in [
        (read("Patient", "ada"), Ok(())),
        (read("Patient", "eve"), Err(Denied::OtherPatient)),
        (read("Observation", "eve"), Ok(())),
        (within("Patient", "ada"), Ok(())),
        (within("Patient", "eve"), Err(Denied::OtherPatient)),
        (within("Practitioner", "eve"), Ok(())),
    ] {
        assert_eq!(decide(&policy, bearer, &asked).map(|_| ()), decided, "{asked:?}");
    }
}

#[test]
fn a_search_is_narrowed_to_the_values_that_its_scopes_ask_of_one_parameter() {
    let policy = policy("sees: { Observation: show }");
    let [a, b, last] = [("category", "a"), ("category", "b"), ("status", "final")];
    for (granted, narrowed) in [
        (&[&[a][..]][..], &[("category", "a")][..]),
        (&[&[a, last]], &[a, last]),
        (&[&[a], &[b]], &[("category", "a,b")]),
        (&[&[a], &[last]], &[]),
        (&[&[a], &[]], &[]),
        (&[&[], &[a]], &[]),
        (&[&[a, last], &[a]], &[]),
        (&[&[a], &[b], &[last]], &[]),
    ] {
        let scopes = scopes("Observation", granted);
        let bearer = Bearer { scopes: Some(&scopes), ..Bearer::default() };
        let permit = decide(&policy, bearer, &of(Kind::SearchType, "Observation")).unwrap();
        let told: Vec<_> =
            permit.reach().unwrap().narrowing().iter().map(|(code, value)| (&**code, &**value)).collect();
        assert_eq!(told, narrowed, "{granted:?}");
    }
}

#[test]
fn an_export_holds_what_scopes_and_role_both_show_and_is_denied_where_that_is_nothing() {
    let policy = policy("sees: { Patient: show, Bundle: { timestamp: hide } }, may: [$export]");
    let export = operation("export", None);
    let bearer = |scopes| Bearer { scopes: Some(scopes), ..Bearer::default() };
    let mut both = scopes("Patient", &[&[]]);
    both.granted.extend(scopes("Observation", &[&[]]).granted);
    let permit = decide(&policy, bearer(&both), &export).unwrap();
    let bounds = bounds(permit.reach().map(|reach| &**reach), None).unwrap();
    for (resource, allowed) in [("Patient", true), ("Bundle", true), ("Observation", false), ("Encounter", false)] {
        assert_eq!(bounds.allows(resource), allowed, "{resource}");
    }
    let unseen = scopes("Observation", &[&[]]);
    assert_eq!(decide(&policy, bearer(&unseen), &export).map(|_| ()), Err(Denied::Scope));
}

#[test]
fn bundles_are_sent_by_roles_that_may_send_some_kind_of_them() {
    for (may, bundles) in [
        ("[read, search, create, update]", false),
        ("[batch]", true),
        ("[read, transaction]", true),
        ("[batch, transaction]", true),
        ("[]", false),
    ] {
        let policy = policy(&format!("sees: {{ Patient: show }}, may: {may}"));
        assert_eq!(policy.role(&Role::new("r")).unwrap().may_bundle(), bundles, "{may}");
    }
}

#[test]
fn what_a_role_may_is_what_was_written_or_to_read_and_search() {
    let read_and_search = [Kind::Read, Kind::SearchType, Kind::SearchSystem].map(May::Interaction);
    let versions = [Kind::Vread, Kind::HistoryInstance, Kind::HistoryType, Kind::HistorySystem].map(May::Interaction);
    for (may, expected) in [
        ("", &read_and_search[..]),
        (", may: [read, search]", &read_and_search),
        (", may: [vread, history]", &versions),
        (", may: [$everything]", &[May::Operation("everything".into())]),
        (", may: []", &[]),
    ] {
        let policy = policy(&format!("sees: {{ Patient: show }}{may}"));
        assert_eq!(policy.role(&Role::new("r")).unwrap().may(), expected, "{may}");
    }
}
