//! L23: validators and addresses in header fields are made of what is withheld, or prove it.

use serde_json::json;

use crate::hostile::JSON;
use crate::stage::{POLICY, Stage};
use crate::upstream::{CANARY, answer, fhir, patient};

fn version(tag: &str) -> Vec<u8> {
    answer("200 OK", &format!("{JSON}etag: {tag}\r\nlast-modified: Sun, 22 Nov 2026 08:00:00 GMT\r\n"), patient())
}

#[tokio::test]
async fn l23_a_validator_is_the_callers_own_and_the_upstreams_proves_nothing() {
    let stage = Stage::new().await;
    let theirs = format!("W/\"{CANARY}\"");
    stage.answers(version(&theirs));
    let first = stage.get("desk", "/Patient/1").await;
    let own = first.field("etag").unwrap();
    assert_eq!(first.field("last-modified"), None);
    let again = stage.ask("desk", "GET /fhir/Patient/1", &format!("if-none-match: {own}\r\n"), "").await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    // Who guesses the upstream's is told nothing: the tag may be a digest of what is withheld.
    for guess in [theirs.clone(), format!("\"{CANARY}\""), format!("*, {theirs}"), "*".to_owned()] {
        let fields = format!("if-none-match: {guess}\r\n");
        let answered = stage.ask("desk", "GET /fhir/Patient/1", &fields, "").await;
        assert_eq!((answered.status, answered.told()), (200, first.told()), "{guess}");
        let copy = json!({ "resourceType": "Patient", "id": "1", "gender": "male" }).to_string();
        if guess != "*" {
            let fields = format!("if-match: {guess}\r\n");
            let answered = stage.send("desk", "PUT /fhir/Patient/1", &fields, &copy).await;
            assert_eq!(answered.status, 412, "{guess}: {}", answered.text());
        }
    }
    // What another caller, role or policy was given is another version.
    let other = stage.gateway.get_with("billing", "/fhir/Patient/1", &format!("if-none-match: {own}\r\n")).await;
    assert_eq!(other.status, 200);
    let _folder = stage.reload(&POLICY.replace("gender: show, ", ""));
    let changed = stage.ask("desk", "GET /fhir/Patient/1", &format!("if-none-match: {own}\r\n"), "").await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.field("etag").unwrap(), own);
    stage.end().await;
}

#[tokio::test]
async fn l23_a_validator_in_an_entry_is_not_the_upstreams() {
    let stage = Stage::new().await;
    let response = json!({ "status": "200", "etag": format!("W/\"{CANARY}\"") });
    let resource = json!({ "resourceType": "Patient", "id": "1", "gender": "other" });
    let bundle = json!({ "resourceType": "Bundle", "type": "history", "entry": [{ "resource": resource, "response": response }] });
    stage.answers(fhir(bundle.to_string()));
    stage.get("desk", "/Patient?name=x").await;
    stage.end().await;
}
