//! L05: extensions, on resources, in values, in one another, and those that change the meaning of what they stand in.

use serde_json::{Value, json};

use crate::canaries::{DEPTH, Plants, canaries, everywhere, plan, resources, seen};
use crate::stage::Stage;
use crate::upstream::CANARY;

#[test]
fn l05_no_extension_of_any_type_comes_out_where_a_role_withholds_anything() {
    let mut planted = 0;
    for (of, name) in resources() {
        let mut plants = Plants::default();
        let resource = plants.resource(of, DEPTH);
        let is_extension =
            |place: &str| place.split('.').any(|step| step.to_lowercase().trim_end_matches('~').ends_with("extension"));
        planted += plants.elements.values().filter(|place| is_extension(place)).count();
        let plan = plan(&format!("{{ {name}: show }}"));
        for document in [resource.to_string(), everywhere(&resource).to_string()] {
            for canary in canaries(&plants, &seen(&plan, &document)) {
                let place = &plants.elements[canary];
                assert!(!is_extension(place), "{place} comes out");
            }
        }
    }
    assert!(planted > 10_000, "{planted}");
}

#[tokio::test]
async fn l05_an_extension_that_no_rule_names_comes_out_of_no_place() {
    let stage = Stage::new().await;
    let extension = json!([
        { "url": "http://example.org/race", "valueString": CANARY },
        { "url": "http://example.org/nested", "extension": [{ "url": "x", "valueHumanName": { "family": CANARY } }] },
        { "url": format!("http://example.org/{CANARY}"), "valueReference": { "display": CANARY } },
        { "valueFoo": CANARY, CANARY: CANARY },
    ]);
    let with = |path: &[&str], name: &str| {
        let mut patient =
            json!({ "resourceType": "Patient", "id": "1", "gender": "other", "name": [{ "family": "x" }] });
        let place = path.iter().fold(&mut patient, |value, step| match step.parse::<usize>() {
            Ok(index) => &mut value[index],
            Err(_) => &mut value[step],
        });
        place[name] = extension.clone();
        patient
    };
    for (path, name) in [
        (&[][..], "extension"),
        (&[], "modifierExtension"),
        (&["_gender"], "extension"),
        (&["meta"], "extension"),
        (&["name", "0"], "extension"),
        (&["name", "0"], "modifierExtension"),
        (&["name", "0", "_family"], "extension"),
        (&["name", "0", "period"], "extension"),
        (&["name", "0", "period", "_start"], "extension"),
    ] {
        let mut patient = with(path, name);
        for answered in stage.patient(&patient).await {
            assert_eq!(answered.json()["gender"], "other", "{path:?} {name}");
        }
        // One that stands for itself, where a list belongs.
        let pointer: String = path.iter().chain([&name]).map(|step| format!("/{step}")).collect();
        *patient.pointer_mut(&pointer).unwrap() = Value::clone(&extension[0]);
        stage.patient(&patient).await;
    }
    stage.end().await;
}
