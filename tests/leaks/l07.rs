//! L07: Bundles in Bundles, Parameters, the answers to a batch.

use serde_json::json;

use crate::hostile::{bundle, condition};
use crate::stage::Stage;
use crate::upstream::{CANARY, fhir, patient};

#[tokio::test]
async fn l07_what_is_in_a_bundle_is_filtered_at_every_depth() {
    let stage = Stage::new().await;
    let patient: serde_json::Value = serde_json::from_str(&patient()).unwrap();
    let mut nested = bundle("searchset", &[patient.clone(), condition()]);
    for kind in ["history", "batch-response", "collection", "document", "message", "transaction-response", "batch"] {
        let parameters = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "a", "resource": nested, "valueString": CANARY },
            { "name": "b", "part": [{ "name": "c", "resource": condition() }] },
        ] });
        nested = bundle(kind, &[condition(), parameters, patient.clone()]);
        stage.answers(fhir(nested.to_string()));
        for target in ["/Patient?name=x", "/Patient/1", "/?_type=Patient"] {
            let seen = stage.get("desk", target).await;
            assert_eq!(seen.status, 200, "{kind} {target}: {}", seen.text());
            assert!(seen.text().contains("Lovelace") && !seen.text().contains("Condition"), "{}", seen.text());
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn l07_each_answer_of_a_batch_is_filtered_in_its_place() {
    let stage = Stage::new().await;
    let answers = bundle("searchset", &[condition(), serde_json::from_str(&patient()).unwrap()]);
    stage.answers(fhir(answers.to_string()));
    let urls = ["Patient/1", "Patient?name=x", "Condition/c", "Patient?birthdate=1", "Observation/1", "?_type=Patient"];
    let entries: Vec<_> = urls.iter().map(|url| json!({ "request": { "method": "GET", "url": url } })).collect();
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries }).to_string();
    let answered = stage.send("desk", "POST /fhir", "", &batch).await.json();
    let statuses: Vec<&str> = (0..urls.len())
        .map(|place| answered["entry"][place]["response"]["status"].as_str().unwrap().split(' ').next().unwrap())
        .collect();
    assert_eq!(statuses, ["200", "200", "403", "403", "200", "200"]);
    assert!(stage.all_heard().iter().all(|asked| !asked.contains("Condition") && !asked.contains("birthdate")));
    stage.end().await;
}
