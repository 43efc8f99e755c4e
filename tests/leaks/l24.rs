//! L24: lengths, parts, trailers and digests tell of what is withheld.

use http_body_util::BodyExt;
use serde_json::json;

use crate::hostile::JSON;
use crate::http2::{connect, request};
use crate::judge;
use crate::stage::Stage;
use crate::upstream::{CANARY, answer, fhir, patient};

/// A patient of whom the desk sees the gender, and of whom this much is withheld.
fn withholding(bytes: usize) -> String {
    json!({ "resourceType": "Patient", "id": "1", "gender": "other", "photo": [{ "data": "x".repeat(bytes) }] })
        .to_string()
}

#[tokio::test]
async fn l24_a_head_tells_no_length_and_a_part_is_never_asked_for() {
    let stage = Stage::new().await;
    let mut heads = Vec::new();
    for bytes in [0, 10, 100_000] {
        stage.answers(fhir(withholding(bytes)));
        for range in ["", "range: bytes=0-9\r\n", "range: bytes=-5\r\nif-range: \"x\"\r\n"] {
            let head = stage.ask("desk", "HEAD /fhir/Patient/1", range, "").await;
            assert_eq!((head.status, head.body.len(), head.after.len()), (200, 0, 0));
            heads.push(head.told());
            let whole = stage.ask("desk", "GET /fhir/Patient/1", range, "").await;
            assert_eq!((whole.status, &whole.json()["gender"]), (200, &json!("other")), "a part is not answered");
        }
    }
    heads.dedup();
    assert!(heads.len() == 1 && !heads[0].contains("content-length"), "{heads:?}");
    let asked = stage.all_heard().concat().to_ascii_lowercase();
    assert!(!asked.contains("range:") && !asked.contains("head /"), "{asked}");
    stage.end().await;
}

#[tokio::test]
async fn l24_nothing_comes_behind_a_body() {
    let stage = Stage::new().await;
    let trailed = |fields: &str| {
        let body = patient();
        let head = format!(
            "HTTP/1.1 200 OK\r\n{JSON}trailer: x-secret\r\ntransfer-encoding: chunked\r\nconnection: close\r\n"
        );
        format!("{head}{fields}\r\n{:x}\r\n{body}\r\n0\r\nx-secret: {CANARY}\r\ndigest: {CANARY}\r\n\r\n", body.len())
    };
    for fields in ["", "digest: sha-256=x\r\n", "content-md5: x\r\naccept-ranges: bytes\r\n"] {
        stage.answers(trailed(fields));
        for caller in ["desk", "clinician"] {
            let answered = stage.ask(caller, "GET /fhir/Patient/1", "te: trailers\r\n", "").await;
            assert_eq!((answered.status, answered.after.len()), (200, 0), "{caller}");
            assert_eq!(answered.field("trailer"), None);
            assert_eq!(answered.field("digest"), None);
        }
        // HTTP/2 has trailers of its own.
        let mut sender = connect(&stage.gateway, false).await;
        let response = sender.send_request(request("desk", "/fhir/Patient/1")).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        assert_eq!(body.trailers(), None);
        assert!(!judge::tells(CANARY, format!("{head:?}").as_bytes()) && !judge::tells(CANARY, &body.to_bytes()));
    }
    stage.answers(answer("206 Partial Content", &format!("{JSON}content-range: bytes 0-9/100\r\n"), patient()));
    assert_eq!(stage.get("desk", "/Patient/1").await.status, 502);
    stage.end().await;
}
