//! L02: `_birthDate` beside `birthDate`: an id, extensions, alone or in line with a list.

use fieldgate::fhir::definitions::Kind;
use serde_json::json;

use crate::canaries::{D, plan, resources, seen};
use crate::stage::Stage;
use crate::upstream::CANARY;

#[test]
fn l02_a_sibling_of_what_is_hidden_comes_out_neither_alone_nor_beside_it() {
    let mut hidden = 0;
    for (of, name) in resources() {
        for element in D.get(of).elements() {
            let forms: Vec<_> =
                element.types.iter().filter(|form| D.get(form.target).kind == Kind::Primitive).collect();
            if forms.is_empty() {
                continue;
            }
            hidden += 1;
            let plan = plan(&format!("{{ {name}: {{ \"*\": show, {}: hide }} }}", element.name));
            for form in forms {
                let (plain, sibling) = (form.json_name.to_string(), format!("_{}", form.json_name));
                let told = json!({ "id": CANARY, "extension": [{ "url": "x", "valueString": CANARY }] });
                for (value, beside) in [
                    (json!(null), told.clone()),
                    (json!(CANARY), told.clone()),
                    (json!([CANARY, null]), json!([null, told])),
                    (json!([CANARY]), told.clone()),
                    (json!(CANARY), json!([told])),
                    (json!(CANARY), json!(CANARY)),
                ] {
                    let mut members = vec![format!("\"{sibling}\":{beside}")];
                    members.extend((!value.is_null()).then(|| format!("\"{plain}\":{value}")));
                    for _ in 0..2 {
                        let document = format!("{{\"resourceType\":\"{name}\",{}}}", members.join(","));
                        let out = seen(&plan, &document);
                        assert!(!out.contains(CANARY), "{name}.{} hidden: {document} becomes {out}", element.name);
                        members.reverse();
                    }
                }
            }
        }
    }
    assert!(hidden > 1_000, "{hidden}");
}

#[tokio::test]
async fn l02_a_sibling_goes_with_what_is_hidden_or_transformed() {
    let stage = Stage::new().await;
    let exact = json!({ "extension": [
        { "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": CANARY },
    ] });
    for patient in [
        json!({ "resourceType": "Patient", "id": "1", "birthDate": "1980-12-10", "_birthDate": exact }),
        json!({ "resourceType": "Patient", "id": "1", "_birthDate": exact, "birthDate": "1980-12-10" }),
        json!({ "resourceType": "Patient", "id": "1", "_birthDate": exact }),
        json!({ "resourceType": "Patient", "id": "1", "_birthDate": [exact], "_active": exact, "_deceasedDateTime": exact }),
    ] {
        for answered in stage.patient(&patient).await {
            assert!(!answered.text().contains("birthTime"), "{}", answered.text());
        }
    }
    stage.end().await;
}
