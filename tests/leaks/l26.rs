//! L26: a write of a filtered copy erases, or forges, what the copy does not hold.

use serde_json::{Value, json};

use crate::hostile::JSON;
use crate::stage::Stage;
use crate::upstream::{CANARY, answer, patient};

#[tokio::test]
async fn l26_what_was_filtered_is_in_what_is_stored_and_not_in_what_is_told() {
    let stage = Stage::new().await;
    stage.answers(answer("200 OK", &format!("{JSON}etag: W/\"1\"\r\n"), patient()));
    let mut copy = stage.get("desk", "/Patient/1").await.json();
    copy["gender"] = json!("other");
    let patch = json!([{ "op": "replace", "path": "/gender", "value": "other" }]).to_string();
    let mut expected: Value = serde_json::from_str(&patient()).unwrap();
    expected["gender"] = json!("other");
    for (line, body) in [("PUT /fhir/Patient/1", copy.to_string()), ("PATCH /fhir/Patient/1", patch)] {
        stage.all_heard();
        let answered = stage.send("desk", line, "prefer: return=representation\r\n", &body).await;
        assert_eq!(answered.status, 200, "{line}: {}", answered.text());
        let heard = stage.all_heard();
        let (head, sent) = heard.last().unwrap().split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("PUT /fhir/Patient/1 ") && head.contains("if-match: W/\"1\""), "{head}");
        assert_eq!(serde_json::from_str::<Value>(sent).unwrap(), expected, "{line}");
    }
    stage.end().await;
}

#[tokio::test]
async fn l26_what_is_not_seen_is_not_written_whether_the_guess_is_right_or_wrong() {
    let stage = Stage::new().await;
    stage.answers(answer("200 OK", &format!("{JSON}etag: W/\"1\"\r\n"), patient()));
    let copy = stage.get("desk", "/Patient/1").await.json();
    for (name, right, wrong) in [
        ("birthDate", json!("1980-12-10"), json!("1980-12-11")),
        ("identifier", json!([{ "value": "id-1" }]), json!([{ "value": "id-2" }])),
        ("address", json!([{ "line": [CANARY], "city": CANARY }]), json!([{ "city": "x" }])),
        ("text", json!({ "status": "generated", "div": format!("<div>{CANARY}</div>") }), json!({ "div": "x" })),
    ] {
        let mut answers = Vec::new();
        for value in [right, wrong] {
            let mut sent = copy.clone();
            sent[name] = value;
            stage.all_heard();
            let answered = stage.send("desk", "PUT /fhir/Patient/1", "", &sent.to_string()).await;
            assert_eq!(answered.status, 403, "{name}: {}", answered.text());
            assert!(stage.all_heard().iter().all(|asked| asked.starts_with("GET ")), "{name}");
            answers.push(answered.told());
        }
        assert_eq!(answers[0], answers[1], "{name}: a right guess is told from a wrong one");
    }
    stage.end().await;
}
