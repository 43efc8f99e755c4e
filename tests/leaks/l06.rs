//! L06: displays and texts copy names: of references always withheld, of other types by the rules of the role.

use serde_json::json;

use crate::canaries::{D, DEPTH, Plants, canaries, everywhere, plan_of, resources, seen};
use crate::stage::Stage;
use crate::upstream::CANARY;

/// Data types and parts of them that copy names.
const COPIES: [&str; 8] = [
    "Reference.identifier",
    "Coding.display",
    "CodeableConcept.text",
    "Annotation",
    "Identifier.assigner",
    "HumanName.text",
    "Address.text",
    "Attachment.title",
];

#[test]
fn l06_no_display_of_a_reference_comes_out_where_a_role_withholds_anything() {
    let mut planted = 0;
    for (of, name) in resources() {
        let mut plants = Plants::default();
        let resource = plants.resource(of, DEPTH);
        let plan = plan_of(&format!("sees: {{ {name}: show }}"));
        let displays = plants.within("Reference.display");
        for document in [resource.to_string(), everywhere(&resource).to_string()] {
            let out = canaries(&plants, &seen(&plan, &document));
            let told = out.intersection(&displays).next();
            assert_eq!(told, None, "{} comes out", told.map_or("", |canary| &plants.elements[*canary]));
        }
        planted += displays.len();
    }
    assert!(planted > 1_000, "{planted}");
}

#[test]
fn l06_a_rule_for_a_data_type_holds_wherever_a_value_of_it_stands() {
    for copy in COPIES {
        let (mut planted, mut shown) = (0, 0);
        for (of, name) in resources() {
            let mut plants = Plants::default();
            let document = plants.resource(of, 2).to_string();
            let out = seen(&plan_of(&format!("types: {{ {copy}: hide }}, sees: {{ {name}: show }}")), &document);
            let copies = plants.within(copy);
            let out = canaries(&plants, &out);
            let told = out.intersection(&copies).next();
            assert_eq!(told, None, "{copy} hidden, {} comes out", told.map_or("", |canary| &plants.elements[*canary]));
            planted += copies.len();
            // Without the rule it does.
            let out = seen(&plan_of(&format!("sees: {{ {name}: show }}")), &document);
            shown += canaries(&plants, &out).intersection(&copies).count();
        }
        assert!(planted > 50 && shown > 10, "{copy}: {planted}, {shown}");
    }
    assert!(COPIES.iter().all(|copy| D.type_named(copy.split('.').next().unwrap()).is_some()));
}

#[tokio::test]
async fn l06_the_name_of_whom_a_reference_leads_to_comes_out_of_no_place() {
    let stage = Stage::new().await;
    let reference = json!({ "reference": "Organization/1", "display": CANARY, "_display": { "id": CANARY } });
    for patient in [
        json!({ "resourceType": "Patient", "id": "1", "managingOrganization": reference }),
        json!({ "resourceType": "Patient", "id": "1", "managingOrganization": [reference] }),
        json!({ "resourceType": "Patient", "id": "1", "link": [{ "other": reference }], "generalPractitioner": [reference] }),
        json!({ "resourceType": "Patient", "id": "1", "contact": [{ "organization": reference }] }),
        json!({ "resourceType": "Patient", "id": "1", "contained": [
            { "resourceType": "Observation", "id": "o", "subject": reference, "performer": [reference] } ] }),
    ] {
        for answered in stage.patient(&patient).await {
            assert_eq!(answered.json()["id"], "1", "{patient}");
        }
    }
    stage.end().await;
}
