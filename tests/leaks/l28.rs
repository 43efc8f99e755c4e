//! L28: the answer to a write holds what was written over, or more.

use serde_json::json;

use crate::hostile::{JSON, bundle, condition};
use crate::stage::Stage;
use crate::upstream::{CANARY, Then, Upstream, answer, patient};

#[tokio::test]
async fn l28_the_answer_to_a_write_is_filtered_like_that_to_a_read() {
    let resource =
        json!({ "resourceType": "Patient", "id": "1", "name": [{ "family": "Lovelace" }], "gender": "other" });
    let created = json!({ "resourceType": "Patient", "gender": "other" }).to_string();
    let patch = json!([{ "op": "replace", "path": "/gender", "value": "other" }]).to_string();
    let outcome = json!({ "resourceType": "OperationOutcome", "issue": [
        { "severity": "information", "code": "informational", "diagnostics": CANARY, "details": { "text": CANARY } } ] });
    for (status, body) in [
        ("200 OK", patient()),
        ("201 Created", patient()),
        ("200 OK", condition().to_string()),
        ("200 OK", outcome.to_string()),
        ("200 OK", bundle("history", &[condition(), serde_json::from_str(&patient()).unwrap()]).to_string()),
        ("409 Conflict", patient()),
        ("412 Precondition Failed", outcome.to_string()),
    ] {
        // What is stored is read first, and is there.
        let upstream = Upstream::choosing(move |request| {
            let fields =
                format!("{JSON}etag: W/\"1\"\r\nlocation: http://other.example/fhir/Patient/1?identifier={CANARY}\r\n");
            let told = match request.starts_with("GET ") {
                true => answer("200 OK", &fields, patient()),
                false => answer(status, &fields, &body),
            };
            (told, Then::Close)
        })
        .await;
        let stage = Stage::before(upstream.address).await;
        for prefer in ["", "return=representation", "return=minimal", "return=OperationOutcome"] {
            let fields = if prefer.is_empty() { String::new() } else { format!("prefer: {prefer}\r\n") };
            for (line, body) in [
                ("POST /fhir/Patient", created.clone()),
                ("PUT /fhir/Patient/1", resource.to_string()),
                ("PATCH /fhir/Patient/1", patch.clone()),
                ("DELETE /fhir/Patient/1", String::new()),
            ] {
                let answered = stage.send("desk", line, &fields, &body).await;
                assert!(answered.status < 502 && answered.field("location").is_none(), "{line}: {}", answered.head);
            }
        }
        assert!(upstream.requests().iter().any(|asked| asked.starts_with("POST ")), "{status}");
        assert!(upstream.requests().iter().any(|asked| asked.starts_with("DELETE ")), "{status}");
        stage.end().await;
    }
}
