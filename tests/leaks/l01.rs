//! L01: a narrative repeats the fields.

use serde_json::{Value, json};

use crate::canaries::{DEPTH, NARRATIVE, Plants, canaries, everywhere, plan, resources, seen};
use crate::stage::Stage;
use crate::upstream::CANARY;

#[test]
fn l01_no_narrative_of_any_type_comes_out_where_a_role_withholds_anything() {
    let mut planted = 0;
    for (of, name) in resources() {
        let mut plants = Plants::default();
        let resource = plants.resource(of, DEPTH);
        planted += plants.elements.values().filter(|place| place.contains(NARRATIVE)).count();
        // What is withheld is of another type altogether.
        let plan = plan(&format!("{{ {name}: show }}"));
        for document in [resource.to_string(), everywhere(&resource).to_string()] {
            for canary in canaries(&plants, &seen(&plan, &document)) {
                let place = &plants.elements[canary];
                assert!(!place.contains(NARRATIVE), "the narrative {place} comes out");
            }
        }
    }
    assert!(planted > 500, "{planted}");
}

#[tokio::test]
async fn l01_a_narrative_comes_out_in_no_form_and_from_no_depth() {
    let stage = Stage::new().await;
    let narrative = json!({ "status": "generated", "div": format!("<div>{CANARY}</div>"), "id": CANARY });
    let with = |name: &str, value: Value| {
        let mut patient = json!({ "resourceType": "Patient", "id": "1", "gender": "other" });
        patient[name] = value;
        patient
    };
    let told = with("text", narrative.clone());
    for patient in [
        told.clone(),
        with("text", json!(CANARY)),
        with("text", json!([narrative])),
        with("_text", json!({ "extension": [{ "valueString": CANARY }] })),
        with("Text", narrative.clone()),
        with("contained", json!([told, { "resourceType": "Observation", "status": "final", "text": narrative }])),
        with("link", json!([{ "other": { "text": narrative }, "text": narrative }])),
    ] {
        for answered in stage.patient(&patient).await {
            assert_eq!(answered.json()["gender"], "other", "{patient}");
        }
    }
    stage.end().await;
}
