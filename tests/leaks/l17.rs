//! L17: operations answer with more than a type's own resources, under names of the caller's choosing.

use serde_json::json;

use crate::hostile::{bundle, condition};
use crate::stage::Stage;
use crate::upstream::{CANARY, fhir};

#[tokio::test]
async fn l17_no_operation_is_let_through_that_the_role_may_not_call_on_any_level_by_any_method() {
    let stage = Stage::new().await;
    stage.answers(fhir(bundle("searchset", &[condition()]).to_string()));
    let parameters = json!({ "resourceType": "Parameters", "parameter": [{ "name": "x", "valueString": CANARY }] });
    for name in ["everything", "graphql", "match", "export", "meta", "validate", "lastn", "diff", "expunge", "unknown"]
    {
        for level in ["", "/Patient", "/Patient/1", "/Observation", "/Condition"] {
            for caller in ["desk", "billing"] {
                let target = format!("/fhir{level}/${name}");
                let get = stage
                    .ask(caller, &format!("GET {target}?query={{Patient(id:1){{x:birthDate}}}}&a={CANARY}"), "", "")
                    .await;
                let head = stage.ask(caller, &format!("HEAD {target}"), "", "").await;
                let post = stage.send(caller, &format!("POST {target}"), "", &parameters.to_string()).await;
                for answered in [&get, &head, &post] {
                    // Of some it is the method that is refused first.
                    assert!(matches!(answered.status, 403 | 405), "{caller} {target}: {}", answered.text());
                }
            }
        }
        let entry = json!([{ "request": { "method": "GET", "url": format!("Patient/1/${name}") } }]);
        let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entry });
        let answered = stage.send("desk", "POST /fhir", "", &batch.to_string()).await.json();
        let told = answered["entry"][0]["response"]["status"].as_str().unwrap();
        assert!(told.starts_with("403") || told.starts_with("405"), "{name}: {told}");
    }
    assert_eq!(stage.all_heard(), Vec::<String>::new());
    stage.end().await;
}
