//! L35: a slip of the pen in the policy must not match nothing in silence.

use fieldgate::policy::Policy;

use crate::canaries::{D, paths, resources};
use crate::gateway::Running;
use crate::judge;
use crate::stage::{POLICY, Stage};
use crate::upstream::{fhir, patient};

fn is_taken(policy: &str) -> bool {
    Policy::parse("policy.yaml", policy, &D).is_ok()
}

#[test]
fn l35_no_name_of_an_element_is_taken_with_a_letter_that_is_wrong() {
    let role = |name: &str, path: &str| {
        format!(
            "version: 1\nfhir: R4\nroles:\n  r: {{ about: x, owner: x@x, review_by: 2999-01-01, purposes: [TREAT], \
             sees: {{ {name}: {{ \"*\": show, {path}: hide }} }} }}\n"
        )
    };
    let mut slips = 0;
    for (of, name) in resources() {
        let mut elements = Vec::new();
        paths(of, "", &mut elements);
        for path in elements {
            let mut swapped: Vec<char> = path.chars().collect();
            let end = swapped.len() - 1;
            swapped.swap(end - 1, end);
            let wrong = [
                format!("{path}x"),
                swapped.into_iter().collect(),
                path.to_uppercase(),
                format!("_{path}"),
                format!("{path}.x"),
            ];
            for wrong in wrong {
                if D.element_at(of, &wrong).is_none() {
                    let told = Policy::parse("policy.yaml", &role(name, &wrong), &D);
                    assert!(told.is_err(), "{name}.{wrong} is taken");
                    slips += 1;
                }
            }
        }
    }
    assert!(slips > 25_000, "{slips}");
}

#[test]
fn l35_no_other_word_of_a_policy_is_taken_with_a_letter_that_is_wrong() {
    assert!(is_taken(POLICY));
    for (right, wrong) in [
        ("birthDate: year", "birthDate: yaer"),
        ("birthDate: year", "birthDate: Year"),
        ("birthDate: year", "birthdate: year"),
        ("birthDate: year", "birthDate: year\n      birthDate: show"),
        ("gender: show,", "gender: show, gender: hide,"),
        ("Patient: { name", "patient: { name"),
        ("Patient: { name", "Patients: { name"),
        ("where: \"@.status", "were: \"@.status"),
        ("@.status == 'finished'", "@.state == 'finished'"),
        ("@.status == 'finished'", "@.status = 'finished'"),
        ("@.status == 'finished'", "$.status == 'finished'"),
        ("purposes: [HOPERAT]", "purposes: [HOPERATE]"),
        ("purposes: [HOPERAT]", "purpose: [HOPERAT]"),
        ("may: [read, vread, search, create", "may: [raed, vread, search, create"),
        ("sees: { Patient: show", "see: { Patient: show"),
        ("sees: { \"*\": show }", "sees: { \"**\": show }"),
        ("version: 1", "version: 2"),
        ("fhir: R4", "fhir: R5"),
        ("roles:", "role:"),
        ("member-record: { \"$.id\": show }", "member-recrod: { \"$.id\": show }"),
    ] {
        assert!(POLICY.contains(right), "{right}");
        assert!(!is_taken(&POLICY.replacen(right, wrong, 1)), "{wrong} is taken");
    }
}

#[tokio::test]
async fn l35_what_is_right_stays_in_force_where_what_follows_is_wrong() {
    let stage = Stage::new().await;
    stage.answers(fhir(patient()));
    let before = stage.get("desk", "/Patient/1").await;
    let wrong = POLICY.replace("birthDate: year", "birthDate: show, identifer: hide");
    assert!(!is_taken(&wrong));
    let Running { generation, .. } = &stage.gateway;
    assert_eq!(generation.load().policy.generation(), before.field("fieldgate-policy").unwrap());
    let after = stage.get("desk", "/Patient/1").await;
    assert_eq!(after.told(), before.told());
    judge::learns_nothing("afterwards", &after);
    stage.end().await;
}
