//! L09: how many there are, and whether something is there at all.

use serde_json::{Value, json};

use crate::hostile::{JSON, bundle, condition};
use crate::stage::Stage;
use crate::upstream::{CANARY, answer, fhir};

/// A visit that the desk does not see.
fn withheld() -> Value {
    json!({ "resourceType": "Encounter", "id": "1", "status": "planned", "subject": { "display": CANARY } })
}

#[tokio::test]
async fn l09_what_is_withheld_looks_like_what_is_not_there() {
    let stage = Stage::new().await;
    stage.answers(answer("404 Not Found", JSON, condition().to_string()));
    let absent = stage.get("desk", "/Encounter/1").await;
    assert_eq!(absent.status, 404);
    for there in [
        fhir(withheld().to_string()),
        fhir(condition().to_string()),
        answer("410 Gone", JSON, withheld().to_string()),
        answer(
            "200 OK",
            &format!("{JSON}etag: W/\"{CANARY}\"\r\nlocation: /fhir/Encounter/1\r\n"),
            withheld().to_string(),
        ),
    ] {
        stage.answers(there);
        for line in ["GET /fhir/Encounter/1", "GET /fhir/Encounter/1/_history/1"] {
            let answered = stage.ask("desk", line, "", "").await;
            assert_eq!(answered.told(), absent.told(), "{line}");
        }
        // A change of what is not seen is one of what is not there.
        let visit = json!({ "resourceType": "Encounter", "id": "1", "status": "finished" }).to_string();
        for (line, body) in [("PUT /fhir/Encounter/1", visit.as_str()), ("DELETE /fhir/Encounter/1", "")] {
            let answered = stage.send("desk", line, "", body).await;
            assert!(matches!(answered.status, 404 | 502), "{line}: {}", answered.text());
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn l09_a_list_tells_neither_how_many_are_withheld_nor_how_well_they_match() {
    let stage = Stage::new().await;
    let mut none = bundle("searchset", &[]);
    none["total"] = json!(0);
    let mut some = bundle("searchset", &[withheld(), condition(), withheld()]);
    some["total"] = json!(3);
    for entry in some["entry"].as_array_mut().unwrap() {
        entry["fullUrl"] = json!(format!("http://{}/fhir/Encounter/1", stage.upstream.address));
        entry["search"] = json!({ "mode": "match", "score": 0.7 });
    }
    none.as_object_mut().unwrap().shift_remove("entry");
    for target in ["/Encounter?patient=1", "/Encounter", "/Patient?name=x", "/?_type=Patient,Encounter"] {
        stage.answers(fhir(none.to_string()));
        let empty = stage.get("desk", target).await;
        stage.answers(fhir(some.to_string()));
        let full = stage.get("desk", target).await;
        assert_eq!((full.status, full.told()), (200, empty.told()), "{target}");
    }
    let mut seen = bundle("searchset", &[json!({ "resourceType": "Patient", "id": "1", "gender": "other" })]);
    seen["entry"][0]["search"] = json!({ "mode": "match", "score": 0.7 });
    stage.answers(fhir(seen.to_string()));
    let told = stage.get("desk", "/Patient?name=x").await.json();
    assert_eq!(told["entry"][0]["search"], json!({ "mode": "match" }), "a score tells of what was searched");
    stage.end().await;
}
