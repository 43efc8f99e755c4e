//! L30: answers in pieces, and answers that end too early.

use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::hostile::JSON;
use crate::stage::Stage;
use crate::upstream::{CANARY, Then, Upstream, answer, fhir, patient};

/// An upstream that takes the id for where it cuts: `cut-7` is the first seven bytes of a patient of their whole length,
/// `split-7` all of it in two chunks, `error-7` the first seven and no chunk of the coding.
async fn cutting() -> Upstream {
    let choose = |request: &str| {
        let id = request.split(' ').nth(1).unwrap().rsplit('/').next().unwrap();
        let Some((how, at)) = id.split_once('-') else { return (fhir(patient()), Then::Close) };
        let body = patient();
        let (first, rest) = body.split_at(at.parse().unwrap());
        let head = format!("HTTP/1.1 200 OK\r\n{JSON}connection: close\r\n");
        let raw = match how {
            "cut" => format!("{head}content-length: {}\r\n\r\n{first}", body.len()),
            "split" => {
                let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
                format!("{head}transfer-encoding: chunked\r\n\r\n{}{}0\r\n\r\n", chunk(first), chunk(rest))
            }
            _ => format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{CANARY}\r\n", first.len()),
        };
        (raw.into_bytes(), Then::Close)
    };
    Upstream::choosing(choose).await
}

#[tokio::test]
async fn l30_wherever_a_document_is_cut_no_byte_that_was_held_comes_out() {
    let stage = Arc::new(Stage::before(cutting().await.address).await);
    let whole = stage.get("desk", "/Patient/1").await.json();
    assert!(whole["name"][0]["family"] == "Lovelace", "{whole}");
    let length = patient().len();
    for how in ["cut", "split", "error"] {
        // A few at once, for each waits for the disk.
        for first in (1..length).step_by(40) {
            let mut answers = JoinSet::new();
            for at in first..length.min(first + 40) {
                let stage = Arc::clone(&stage);
                answers.spawn(async move { (at, stage.get("desk", &format!("/Patient/{how}-{at}")).await) });
            }
            for (at, answered) in answers.join_all().await {
                if how == "split" {
                    assert_eq!(answered.json(), whole, "{at}");
                } else {
                    assert!(!answered.whole || answered.status == 502, "{how} {at}: {}", answered.text());
                    assert!(serde_json::from_slice::<Value>(&answered.body).is_err() || answered.status == 502);
                }
            }
        }
    }
    Arc::into_inner(stage).unwrap().end().await;
}

#[tokio::test]
async fn l30_an_error_after_the_first_byte_ends_the_answer_and_nothing_is_flushed() {
    let stage = Stage::new().await;
    let names = format!(r#"{{"family":"{}"}},"#, "x".repeat(4000)).repeat(50);
    let begun =
        format!(r#"{{"resourceType":"Patient","name":[{names}{{"family":"x"}}],"address":[{{"city":"{CANARY}"}}],"#);
    for rest in [
        CANARY.to_owned(),
        format!(r#""_name":[{{"extension":[{{"valueString":"{CANARY}"#),
        format!(r#""contained":[{{"code":{{"text":"{CANARY}"}},"resourceType":"Condition"}}"#),
        format!(r#""gender":"\ud800{CANARY}"}}"#),
        format!(r#""birthDate":"1980","birthDate":"{CANARY}"}}{CANARY}"#),
    ] {
        stage.answers(fhir(format!("{begun}{rest}")));
        let answered = stage.get("desk", "/Patient/1").await;
        assert!(answered.status == 200 && !answered.whole && !answered.body.is_empty(), "{rest}: {}", answered.head);
    }
    let long =
        answer("200 OK", &format!("{JSON}content-encoding: gzip\r\n"), &crate::hostile::gzip(begun.as_bytes())[..100]);
    stage.answers(long);
    assert!(!stage.get("desk", "/Patient/1").await.whole || stage.get("desk", "/Patient/1").await.status == 502);
    stage.end().await;
}
