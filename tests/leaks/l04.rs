//! L04: resources that are contained in others.

use serde_json::json;

use crate::canaries::{DEPTH, Plants, canaries, everywhere, plan, resources, seen};
use crate::hostile::condition;
use crate::stage::Stage;
use crate::upstream::CANARY;

#[test]
fn l04_l07_a_type_that_is_not_seen_is_seen_nowhere() {
    let plan = plan("{ Basic: { code: show } }");
    for (of, name) in resources().filter(|(_, name)| *name != "Basic") {
        let mut plants = Plants::default();
        let resource = plants.resource(of, DEPTH);
        for document in [resource.to_string(), everywhere(&resource).to_string()] {
            let out = seen(&plan, &document);
            assert!(canaries(&plants, &out).is_empty(), "{}: {out}", name);
        }
        // In a resource that is seen.
        let holder =
            json!({ "resourceType": "Basic", "contained": [resource], "code": { "text": "shown" } }).to_string();
        let out = seen(&plan, &holder);
        assert!(canaries(&plants, &out).is_empty() && out.contains("shown"), "{}: {out}", name);
    }
}

#[tokio::test]
async fn l04_what_is_contained_is_seen_as_its_own_type_is() {
    let stage = Stage::new().await;
    let contained = json!([
        condition(),
        { "resourceType": "Patient", "id": "p", "gender": "other", "telecom": [{ "value": CANARY }], "text": { "div": CANARY } },
        { "resourceType": "Observation", "id": "o", "status": "final", "contained": [condition()] },
        { "id": "untyped", "gender": CANARY },
        CANARY,
        [condition()],
    ]);
    for contained in [contained.clone(), contained[0].clone(), json!({ "entry": contained }), json!([contained])] {
        let patient = json!({ "resourceType": "Patient", "id": "1", "gender": "male", "contained": contained });
        stage.answers(crate::upstream::fhir(patient.to_string()));
        let answered = stage.get("desk", "/Patient/1").await;
        assert_eq!((answered.status, &answered.json()["gender"]), (200, &json!("male")), "{}", answered.text());
    }
    stage.answers(crate::upstream::fhir(json!({ "resourceType": "Patient", "contained": contained }).to_string()));
    assert_eq!(
        stage.get("desk", "/Patient/1").await.json()["contained"][0]["gender"],
        "other",
        "a patient in it is seen"
    );
    stage.end().await;
}
