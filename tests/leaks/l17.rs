//! L17: operations answer with more than a type's own resources, under names of the caller's choosing.

use serde_json::json;

use crate::hostile::{bundle, condition};
use crate::stage::Stage;
use crate::upstream::{CANARY, fhir};

#[tokio::test]
async fn l17_no_operation_is_let_through_on_any_level_by_any_method() {
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
                    assert_eq!(answered.status, 403, "{caller} {target}: {}", answered.text());
                }
            }
        }
        let entry = json!([{ "request": { "method": "GET", "url": format!("Patient/1/${name}") } }]);
        let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entry });
        let answered = stage.send("desk", "POST /fhir", "", &batch.to_string()).await.json();
        assert_eq!(answered["entry"][0]["response"]["status"], "403 Forbidden", "{name}");
    }
    assert_eq!(stage.all_heard(), Vec::<String>::new());
    stage.end().await;
}
