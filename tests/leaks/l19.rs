//! L19: errors echo what was asked and what is stored.

use serde_json::json;

use crate::hostile::{JSON, errors};
use crate::stage::Stage;
use crate::upstream::{CANARY, answer};

#[tokio::test]
async fn l19_of_an_error_its_codes_pass_and_none_of_its_words() {
    let stage = Stage::new().await;
    for (what, raw) in errors() {
        stage.answers(raw);
        for target in ["/Patient/1", "/Patient?name=x"] {
            let answered = stage.get("desk", target).await;
            assert!(answered.status >= 400, "{what}: {}", answered.status);
            // A resource in an error's place is filtered as what it is.
            let told = answered.json()["resourceType"].clone();
            assert!(told == "OperationOutcome" || told == "Patient", "{what}: {}", answered.text());
        }
    }
    let codes = json!({ "resourceType": "OperationOutcome", "issue": [{
        "severity": "error", "code": "code-invalid", "expression": ["Patient.name[0].family"], "diagnostics": CANARY,
        "details": { "coding": [{ "system": "http://example.org", "code": "MSG_BAD", "display": CANARY }], "text": CANARY } }] });
    stage.answers(answer("422 Unprocessable Content", JSON, codes.to_string()));
    let answered = stage.get("desk", "/Patient/1").await;
    assert_eq!((answered.status, &answered.json()["issue"][0]["code"]), (422, &json!("code-invalid")));
    assert_eq!(
        answered.json()["issue"][0]["details"],
        json!({ "coding": [{ "system": "http://example.org", "code": "MSG_BAD" }] })
    );
    stage.end().await;
}

#[tokio::test]
async fn l19_a_path_in_an_outcome_tells_no_value_that_it_was_compared_with() {
    let stage = Stage::new().await;
    for expression in [
        format!("Patient.identifier.where(value = '{CANARY}')"),
        format!("Patient.name['{CANARY}']"),
        CANARY.to_owned(),
    ] {
        let outcome = json!({ "resourceType": "OperationOutcome", "issue": [
            { "severity": "error", "code": "duplicate", "expression": [expression] } ] });
        stage.answers(answer("409 Conflict", JSON, outcome.to_string()));
        stage.get("desk", "/Patient/1").await;
    }
    stage.end().await;
}

#[tokio::test]
async fn l19_the_status_in_an_entry_has_a_number_and_no_words_of_the_upstreams() {
    let stage = Stage::new().await;
    let response = json!({ "status": format!("404 no patient with {CANARY}") });
    let bundle = json!({ "resourceType": "Bundle", "type": "batch-response", "entry": [{ "response": response }] });
    stage.answers(crate::upstream::fhir(bundle.to_string()));
    stage.get("desk", "/Patient?name=x").await;
    stage.end().await;
}
