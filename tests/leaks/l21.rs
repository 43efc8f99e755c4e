//! L21: what stands in files: Binary, attachments, DocumentReference, Media.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::gateway::Setup;
use crate::hostile::{JSON, bundle, condition};
use crate::stage::{POLICY, Stage};
use crate::upstream::{CANARY, answer, fhir};

/// A desk that sees attachments but for what is in them.
const FILES: &str = r#"
      Patient: { name: show, gender: show, photo: show }
      DocumentReference: show
      Media: show
      Communication: show
    types: { Attachment.data: hide, Attachment.url: hide, Attachment.title: hide }
"#;

async fn files() -> Stage {
    let begin = POLICY.find("      Patient: { name").unwrap();
    let end = POLICY.find("  billing:").unwrap();
    let policy = [&POLICY[..begin], FILES.trim_start_matches('\n'), &POLICY[end..]].concat();
    Stage::with(Setup { policy, ..Setup::default() }).await
}

#[tokio::test]
async fn l21_a_file_is_asked_for_by_nobody_who_does_not_see_its_type() {
    let stage = files().await;
    for line in ["GET /fhir/Binary/1", "HEAD /fhir/Binary/1", "GET /fhir/Binary/1/_history/1", "GET /fhir/Binary?_id=1"]
    {
        for accept in ["", "accept: application/fhir+json\r\n", "accept: image/png\r\n", "accept: */*\r\n"] {
            let answered = stage.ask("desk", line, accept, "").await;
            assert!(matches!(answered.status, 403 | 406), "{line} {accept}: {}", answered.text());
        }
    }
    assert_eq!(stage.all_heard(), Vec::<String>::new());
    stage.end().await;
}

#[tokio::test]
async fn l21_a_file_in_its_own_media_type_is_passed_on_to_nobody() {
    let stage = files().await;
    for media_type in
        ["image/png", "application/pdf", "text/plain", "application/octet-stream", "application/fhir+xml", ""]
    {
        let field = if media_type.is_empty() { String::new() } else { format!("content-type: {media_type}\r\n") };
        // What happens to be JSON is none by its own word.
        for body in [CANARY.to_owned(), condition().to_string()] {
            stage.answers(answer("200 OK", &field, body));
            for (caller, target) in
                [("clinician", "/Binary/1"), ("billing", "/Patient/1"), ("desk", "/DocumentReference/1")]
            {
                let answered = stage.get(caller, target).await;
                assert_eq!(answered.status, 502, "{caller} {target} {media_type}");
                crate::judge::learns_nothing(media_type, &answered);
            }
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn l21_what_is_in_an_attachment_goes_by_the_rule_for_its_type_wherever_it_stands() {
    let stage = files().await;
    let data = STANDARD.encode(format!("a letter about {CANARY}"));
    let file = json!({ "contentType": "text/plain", "data": data, "_data": { "id": CANARY }, "title": CANARY,
        "url": format!("http://{}/fhir/Binary/{CANARY}", stage.upstream.address) });
    let binary = json!({ "resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": data });
    for resource in [
        json!({ "resourceType": "Patient", "id": "1", "photo": [file] }),
        json!({ "resourceType": "Patient", "id": "1", "photo": file, "gender": "other" }),
        json!({ "resourceType": "DocumentReference", "id": "1", "status": "current", "content": [{ "attachment": file }] }),
        json!({ "resourceType": "Media", "id": "1", "status": "completed", "content": file }),
        json!({ "resourceType": "Communication", "id": "1", "status": "completed", "payload": [{ "contentAttachment": file }] }),
        json!({ "resourceType": "Media", "id": "1", "status": "completed", "contained": [binary] }),
    ] {
        let name = resource["resourceType"].as_str().unwrap();
        stage.answers(fhir(resource.to_string()));
        let answered = stage.get("desk", &format!("/{name}/1")).await;
        assert_eq!((answered.status, &answered.json()["id"]), (200, &json!("1")), "{}", answered.text());
        stage.answers(answer("200 OK", JSON, bundle("searchset", &[resource.clone(), binary.clone()]).to_string()));
        assert_eq!(stage.get("desk", &format!("/{name}?_id=1")).await.status, 200);
    }
    stage.end().await;
}
