//! L22: bulk export: its start, its state, its files.

use crate::hostile::condition;
use crate::stage::Stage;
use crate::upstream::{CANARY, answer, fhir, patient};

#[tokio::test]
async fn l22_no_export_is_begun_by_who_may_not_and_the_upstream_is_asked_for_none() {
    let stage = Stage::new().await;
    let fields = "prefer: respond-async\r\naccept: application/fhir+json\r\n";
    for line in [
        "GET /fhir/$export",
        "POST /fhir/$export",
        "GET /fhir/Patient/$export",
        "GET /fhir/Group/1/$export?_type=Patient",
    ] {
        let body = if line.starts_with("POST") { "{}" } else { "" };
        assert!(matches!(stage.send("desk", line, fields, body).await.status, 403 | 405), "{line}");
    }
    assert_eq!(stage.all_heard(), Vec::<String>::new());
    stage.end().await;
}

#[tokio::test]
async fn l22_neither_a_manifest_nor_a_file_of_lines_is_passed_on() {
    let stage = Stage::new().await;
    let url = format!("http://{}/fhir/export/{CANARY}.ndjson", stage.upstream.address);
    let manifest = serde_json::json!({ "transactionTime": "2026-11-22T08:00:00Z", "request": url, "requiresAccessToken": true,
        "output": [{ "type": "Patient", "url": url }], "error": [{ "url": url }] });
    let later = format!("content-location: {url}\r\nx-progress: {CANARY}\r\n");
    for raw in [
        answer("202 Accepted", &later, ""),
        answer("202 Accepted", &format!("{later}content-type: application/json\r\n"), manifest.to_string()),
        answer("200 OK", "content-type: application/json\r\n", manifest.to_string()),
        // A file of one line is a document all the same.
        answer("200 OK", "content-type: application/fhir+ndjson\r\n", format!("{}\n", patient())),
        answer("200 OK", "content-type: application/fhir+ndjson\r\n", format!("{}\n{}\n", condition(), patient())),
        answer("200 OK", "content-type: application/fhir+json\r\n", format!("{}\n{}\n", patient(), condition())),
    ] {
        stage.answers(raw);
        for target in ["/Patient/1", "/Patient?name=x"] {
            let answered = stage.get("desk", target).await;
            assert_eq!(answered.field("content-location"), None);
            assert!(answered.status >= 400 || !answered.whole, "{}", answered.text());
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn l22_an_answer_for_later_is_not_asked_for() {
    let stage = Stage::new().await;
    stage.answers(fhir(patient()));
    for target in ["/Patient?name=x", "/Patient/1"] {
        let fields = "prefer: respond-async\r\n";
        assert_eq!(stage.ask("desk", &format!("GET /fhir{target}"), fields, "").await.status, 200);
        let asked = stage.all_heard().concat();
        assert!(!asked.contains("respond-async"), "{asked}");
    }
    stage.end().await;
}
