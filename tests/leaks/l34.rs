//! L34: the size of what is withheld. What stays visible of time is said in the threat model.

use serde_json::json;

use crate::hostile::JSON;
use crate::stage::Stage;
use crate::upstream::{CANARY, answer, fhir};

#[tokio::test]
async fn l34_an_answer_is_the_same_however_much_is_withheld_of_it() {
    let stage = Stage::new().await;
    let mut told = Vec::new();
    for withheld in [0, 1, 100, 10_000] {
        let mut patient = json!({ "resourceType": "Patient", "id": "1", "gender": "other", "birthDate": "1980-12-10" });
        if withheld > 0 {
            let text = format!("{CANARY}{}", "x".repeat(withheld));
            patient["identifier"] = json!(vec![json!({ "value": text }); withheld.min(20)]);
            patient["text"] = json!({ "status": "generated", "div": text });
            patient["_birthDate"] = json!({ "extension": [{ "url": "x", "valueString": text }] });
            patient["contained"] = json!([{ "resourceType": "Condition", "code": { "text": text } }]);
        }
        let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": 1,
            "entry": [{ "resource": patient }, { "resource": { "resourceType": "Condition", "code": { "text": "x".repeat(withheld) } } }] });
        let mut answers = Vec::new();
        for (line, body) in [
            ("GET /fhir/Patient/1", patient.to_string()),
            ("HEAD /fhir/Patient/1", patient.to_string()),
            ("GET /fhir/Patient?name=x", bundle.to_string()),
        ] {
            stage.answers(answer("200 OK", &format!("{JSON}etag: W/\"1\"\r\n"), body));
            answers.push(stage.ask("desk", line, "", "").await.told());
        }
        told.push(answers);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    stage.end().await;
}

#[tokio::test]
async fn l34_how_often_something_is_withheld_from_a_list_shows_nowhere() {
    let stage = Stage::new().await;
    let seen = json!({ "resourceType": "Patient", "id": "1", "gender": "other",
        "name": [{ "family": "x", "extension": [{ "url": "x", "valueString": CANARY }] }] });
    let mut told = Vec::new();
    for times in [1, 2, 50] {
        let mut patient = seen.clone();
        patient["address"] = json!(vec![json!({ "city": CANARY, "_city": { "id": CANARY } }); times]);
        patient["name"][0]["extension"] = json!(vec![patient["name"][0]["extension"][0].clone(); times]);
        stage.answers(fhir(patient.to_string()));
        told.push(stage.get("desk", "/Patient/1").await.told());
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    stage.end().await;
}
