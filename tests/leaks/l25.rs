//! L25: content codings, in which nothing can be hidden until they are undone.

use std::io::Write;

use serde_json::json;

use crate::hostile::{JSON, gzip, messages};
use crate::stage::Stage;
use crate::upstream::{CANARY, answer, patient};

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    answer("200 OK", &format!("{JSON}content-encoding: {coding}\r\n"), body)
}

#[tokio::test]
async fn l25_what_is_coded_is_filtered_and_leaves_in_no_coding() {
    let stage = Stage::new().await;
    let plain = patient();
    let mut brotli = Vec::new();
    brotli::CompressorWriter::new(&mut brotli, 4096, 5, 22).write_all(plain.as_bytes()).unwrap();
    let members = [gzip(&plain.as_bytes()[..100]), gzip(&plain.as_bytes()[100..])].concat();
    for raw in [
        coded("gzip", &gzip(plain.as_bytes())),
        coded("x-gzip", &gzip(plain.as_bytes())),
        coded("gzip", &members),
        coded("br", &brotli),
        coded("zstd", &zstd::encode_all(plain.as_bytes(), 3).unwrap()),
        coded("identity", plain.as_bytes()),
    ] {
        stage.answers(raw);
        let answered = stage.ask("desk", "GET /fhir/Patient/1", "accept-encoding: gzip, br, zstd\r\n", "").await;
        // What is not known is refused.
        assert!(answered.status == 502 || answered.json()["birthDate"] == "1980", "{}", answered.text());
    }
    stage.answers(coded("gzip", &gzip(plain.as_bytes())));
    assert_eq!(stage.get("desk", "/Patient/1").await.json()["birthDate"], json!("1980"));
    stage.end().await;
}

#[tokio::test]
async fn l25_what_can_not_be_undone_with_certainty_does_not_leave() {
    let stage = Stage::new().await;
    for (what, raw) in messages() {
        if what.contains("coding") || what.contains("bomb") {
            stage.answers(raw);
            let answered = stage.get("desk", "/Patient/1").await;
            assert!(answered.status == 502 || !answered.whole, "{what}: {}", answered.status);
        }
    }
    for body in [gzip(&gzip(patient().as_bytes())), [gzip(patient().as_bytes()), CANARY.as_bytes().to_vec()].concat()] {
        stage.answers(coded("gzip", &body));
        let answered = stage.get("desk", "/Patient/1").await;
        assert!(answered.status == 502 || !answered.whole, "{}", answered.text());
    }
    stage.end().await;
}
