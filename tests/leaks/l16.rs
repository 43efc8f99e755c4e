//! L16: a write that is done only where something matches tells by its status whether it does.

use serde_json::json;

use crate::hostile::JSON;
use crate::stage::Stage;
use crate::upstream::{CANARY, answer, patient};

#[tokio::test]
async fn l16_a_conditional_write_by_what_is_withheld_is_refused_before_anything_is_asked() {
    let stage = Stage::new().await;
    let resource = json!({ "resourceType": "Patient", "gender": "other" }).to_string();
    let patch = json!([{ "op": "add", "path": "/gender", "value": "other" }]).to_string();
    for status in ["200 OK", "201 Created", "412 Precondition Failed", "404 Not Found"] {
        stage.answers(answer(status, &format!("{JSON}etag: W/\"1\"\r\n"), patient()));
        for (line, fields, body) in [
            (format!("PUT /fhir/Patient?identifier={CANARY}"), String::new(), resource.as_str()),
            (format!("PUT /fhir/Patient?name:missing=true&identifier={CANARY}"), String::new(), &resource),
            (format!("PATCH /fhir/Patient?birthdate={CANARY}"), String::new(), &patch),
            (format!("DELETE /fhir/Patient?birthdate={CANARY}"), String::new(), ""),
            ("POST /fhir/Patient".to_owned(), format!("if-none-exist: identifier={CANARY}\r\n"), &resource),
            ("POST /fhir/Patient".to_owned(), format!("if-none-exist: Patient?birthdate={CANARY}\r\n"), &resource),
            (format!("PUT /fhir/Patient/1?identifier={CANARY}"), String::new(), &resource),
            (format!("DELETE /fhir/Patient/1?identifier={CANARY}"), String::new(), ""),
        ] {
            let answered = stage.send("desk", &line, &fields, body).await;
            assert!(matches!(answered.status, 400 | 403), "{line}: {}", answered.text());
            let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": [{
                "request": { "method": line.split(' ').next(), "url": line.split("/fhir/").nth(1),
                             "ifNoneExist": fields.trim().strip_prefix("if-none-exist: ") },
                "resource": if body.is_empty() || line.starts_with("PATCH") { json!(null) } else { serde_json::from_str(body).unwrap() },
            }] });
            let answered = stage.send("desk", "POST /fhir", "", &batch.to_string()).await.json();
            let told = answered["entry"][0]["response"]["status"].as_str().unwrap();
            assert!(told.starts_with('4'), "{line} in a batch: {told}");
            assert_eq!(stage.all_heard(), Vec::<String>::new(), "{line}");
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn l16_the_conditions_of_a_read_never_reach_the_upstream() {
    let stage = Stage::new().await;
    stage.answers(answer("200 OK", &format!("{JSON}etag: W/\"1\"\r\n"), patient()));
    let fields = format!(
        "if-none-match: W/\"{CANARY}\"\r\nif-modified-since: Sun, 22 Nov 2026 08:00:00 GMT\r\n\
         if-unmodified-since: Sun, 22 Nov 2026 08:00:00 GMT\r\nif-range: \"{CANARY}\"\r\nif-none-exist: identifier={CANARY}\r\n"
    );
    assert_eq!(stage.ask("desk", "GET /fhir/Patient/1", &fields, "").await.status, 200);
    let [asked] = &stage.all_heard()[..] else { panic!("one request") };
    assert!(!asked.to_ascii_lowercase().contains("\nif-") && !asked.contains(CANARY), "{asked}");
    stage.end().await;
}
