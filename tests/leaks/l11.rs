//! L11: chains, reverse chains, `_filter`, and searches that nobody can follow to elements.

use crate::stage::Stage;

#[tokio::test]
async fn l11_a_chain_that_ends_at_what_is_withheld_is_refused() {
    let stage = Stage::new().await;
    for (target, word) in [
        ("/Observation?subject:Patient.birthdate={}", "Patient.birthDate"),
        ("/Observation?patient.birthdate=ge{}", "Patient.birthDate"),
        ("/Observation?patient.nhs-number={}", "Patient.identifier"),
        ("/Observation?patient.organization.address-city={}", "Organization.address"),
        ("/Patient?_has:Observation:patient:combo-value-quantity={}", "Observation.component.value"),
        ("/Organization?_has:Patient:organization:birthdate={}", "Patient.birthDate"),
        ("/Patient?_has:Observation:patient:_has:AuditEvent:entity:agent={}", "AuditEvent"),
        // The way is withheld.
        ("/Patient?general-practitioner:Practitioner.name={}", "Patient.generalPractitioner"),
        ("/Patient?_has:Observation:performer:code={}", "Observation.performer"),
        // A type on the way is not seen.
        ("/Patient?_has:Condition:patient:code={}", "Condition, of which this role sees nothing"),
        ("/Observation?subject.identifier={}", "Device, of which this role sees nothing"),
        // What is found would tell of visits that are withheld.
        ("/Observation?encounter.status={}", "Encounter, of which this role sees some"),
        ("/Patient?_has:Encounter:patient:status={}", "Encounter, of which this role sees some"),
    ] {
        stage.refuses(target, &[word]).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn l11_a_filter_is_read_and_each_of_its_paths_is_held_to_the_rule() {
    let stage = Stage::new().await;
    for (target, word) in [
        ("/Patient?_filter=birthdate+eq+{}", "Patient.birthDate"),
        ("/Patient?_filter=name+eq+x+or+not(gender+eq+male+and+identifier+eq+{})", "Patient.identifier"),
        ("/Observation?_filter=patient.birthdate+ge+{}", "Patient.birthDate"),
        ("/Observation?_filter=patient[birthdate+eq+{}].name+eq+x", "Patient.birthDate"),
        ("/Patient?_filter=_has:Condition:patient:code+eq+{}", "Condition"),
        ("/Patient?_filter=name+eq+%22{}", "character 21"),
        ("/Patient?_filter=name+eq+%22\\%22+or+birthdate+eq+{}%22", "character 10"),
        ("/Patient?_filter={}", "character"),
    ] {
        stage.refuses(target, &[word]).await;
    }
    let target = "/Observation?_filter=code eq 1 and (subject:Patient.name co \"Ada\" or status eq final)";
    assert_eq!(stage.sends(&target.replace(' ', "+").replace('"', "%22")).await, target);
    stage.end().await;
}

#[tokio::test]
async fn l11_what_nobody_can_follow_is_refused_with_the_reason() {
    let stage = Stage::new().await;
    for code in ["_text", "_content", "_query", "_list"] {
        stage.refuses(&format!("/Patient?{code}={{}}"), &[code]).await;
        stage.refuses(&format!("/Observation?patient.{code}={{}}"), &[code]).await;
        stage.refuses(&format!("/?_type=Patient&{code}={{}}"), &[code]).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn l11_a_system_and_a_compartment_are_searched_by_what_is_shown_of_each_type() {
    let stage = Stage::new().await;
    for (target, word) in [
        ("/?_id={}", "_type"),
        ("/?_type=Patient,Condition&_id={}", "Condition"),
        ("/?_type=Patient&birthdate={}", "Patient.birthDate"),
        ("/?_type=Observation,Encounter&patient.birthdate={}", "Patient.birthDate"),
        ("/Patient/{}/Observation", "Observation.performer"),
        ("/Patient/{}/*", "all types"),
        ("/Encounter/{}/Observation", "compartment"),
    ] {
        stage.refuses(target, &[word]).await;
    }
    assert_eq!(stage.sends("/?_type=Patient,Observation&_id=1").await, "/?_type=Patient,Observation&_id=1");
    // Who visited is known by the visit: whether another page follows would tell of visits that are withheld.
    assert_eq!(stage.sends("/Patient/1/Encounter?_count=1").await, "/Patient/1/Encounter?_count=1000");
    stage.end().await;
}

#[tokio::test]
async fn l11_a_chain_through_what_is_shown_goes_on() {
    let stage = Stage::new().await;
    for target in [
        "/Observation?subject:Patient.name=Ada&patient.gender=female",
        "/Patient?_has:Observation:patient:code=1&organization.name=x",
        "/Encounter?patient.name=Ada&_count=1000",
    ] {
        assert_eq!(stage.sends(target).await, target);
    }
    // From a role that nothing is withheld from nothing is.
    let all = "/Patient?_has:Condition:patient:code=1&_filter=birthdate eq 2001";
    assert_eq!(stage.get("clinician", &all.replace(' ', "+")).await.status, 200);
    assert_eq!(stage.heard(), all);
    stage.end().await;
}
