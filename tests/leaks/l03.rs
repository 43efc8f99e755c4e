//! L03: a choice has a name for each of its types, and all of them are the one element.

use serde_json::json;

use crate::canaries::{D, Plants, canaries, is_below, paths, plan, resources, seen};
use crate::stage::Stage;
use crate::upstream::CANARY;

#[test]
fn l03_a_rule_for_a_choice_hides_every_form_of_it() {
    let mut hidden = 0;
    for (of, name) in resources() {
        let mut plants = Plants::default();
        let document = plants.resource(of, 1).to_string();
        let mut elements = Vec::new();
        paths(of, "", &mut elements);
        let is_choice = |path: &String| D.element_at(of, path).unwrap().element.choice;
        for path in elements.into_iter().filter(is_choice) {
            for rule in [path.clone(), format!("{path}[x]")] {
                let out = seen(&plan(&format!("{{ {name}: {{ \"*\": show, \"{rule}\": hide }} }}")), &document);
                for canary in canaries(&plants, &out) {
                    let place = &plants.elements[canary];
                    assert!(!is_below(place, &format!("{name}.{path}")), "{name}.{rule} hidden, and {place} comes out");
                }
                hidden += 1;
            }
        }
    }
    assert!(hidden > 300, "{hidden}");
}

#[tokio::test]
async fn l03_no_form_of_a_choice_comes_out_that_the_role_does_not_see() {
    let stage = Stage::new().await;
    for (name, value) in [
        ("deceasedBoolean", json!(CANARY)),
        ("deceasedDateTime", json!(CANARY)),
        ("_deceasedDateTime", json!({ "extension": [{ "valueString": CANARY }] })),
        // Forms that the element does not have, and its name without one.
        ("deceasedString", json!(CANARY)),
        ("deceasedPeriod", json!({ "start": CANARY })),
        ("deceased", json!(CANARY)),
        ("deceased[x]", json!(CANARY)),
        ("deceaseddatetime", json!(CANARY)),
    ] {
        let mut patient = json!({ "resourceType": "Patient", "id": "1", "gender": "other" });
        patient[name] = value;
        stage.answers(crate::upstream::fhir(patient.to_string()));
        assert_eq!(stage.get("desk", "/Patient/1").await.json()["gender"], "other", "{name}");
        // The biller sees the element, and no more of it than the standard knows.
        if !["deceasedBoolean", "deceasedDateTime"].contains(&name) {
            stage.get("billing", "/Patient/1").await;
        }
    }
    let alive = json!({ "resourceType": "Patient", "id": "1", "deceasedBoolean": false });
    let [_, seen] = stage.patient(&alive).await;
    assert_eq!(seen.json()["deceasedBoolean"], false);
    stage.end().await;
}
