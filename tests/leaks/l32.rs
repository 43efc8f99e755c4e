//! L32: messages and paths that servers read differently, on both sides of the gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::caller::{Caller, message};
use crate::gateway::key;
use crate::judge;
use crate::stage::Stage;
use crate::upstream::{CANARY, Then, Upstream, fhir, patient};

/// An upstream that keeps Conditions by their paths, and reads paths as the laxest server would.
async fn lax() -> Upstream {
    Upstream::choosing(|request| {
        let path = request.split(' ').nth(1).unwrap().to_ascii_lowercase();
        let body = if path.contains("condition") || path.contains("..") || path.contains(';') || path.contains('%') {
            json!({ "resourceType": "Patient", "id": CANARY, "name": [{ "family": CANARY }] }).to_string()
        } else {
            patient()
        };
        (fhir(body), Then::Close)
    })
    .await
}

#[tokio::test]
async fn l32_no_trick_of_paths_or_fields_reaches_what_the_role_does_not_see() {
    let upstream = lax().await;
    let stage = Stage::before(upstream.address).await;
    for target in [
        "/fhir/Patient/../Condition/c",
        "/fhir/Patient/%2e%2e/Condition/c",
        "/fhir/Patient/..%2fCondition/c",
        "/fhir/Patient/1/../../Condition/c",
        "/fhir//Condition/c",
        "/fhir/./Condition/c",
        "/fhir/Patient;/../Condition/c",
        "/fhir/Patient/1;x=/Condition",
        "/fhir/Patient%2f..%2fCondition/c",
        "/fhir/Patient/1%00/Condition",
        "/fhir/%43ondition/c",
        "/fhir/condition/c",
        "/fhir/Patient/1%3f_include=Condition",
        "/fhir/Patient/1%23/Condition",
        "/fhir/Patient\\..\\Condition/c",
        "/fhir/Patient/%252e%252e/Condition/c",
        "/fhir/Patient/1/Condition",
        "http://gw.example/fhir/Condition/c",
        "http://other.example/fhir/Condition/c",
        "/FHIR/Condition/c",
        "/fhir/Patient/1/_history/../../../Condition/c",
        // Where an id may be anything, the path alone stands between.
        "/plan/v1/members/..",
        "/plan/v1/members/%2e%2e",
        "/plan/v1/members/..%2f..%2fadmin",
        "/plan/v1/members/1;x=y",
        "/plan/v1/members/1%2f..%2f2",
        "/plan/v1/members/%252e%252e",
    ] {
        let answered = stage.ask("desk", &format!("GET {target}"), "", "").await;
        assert!(answered.status >= 400, "{target}: {}", answered.text());
    }
    for fields in [
        "x-http-method-override: DELETE\r\n",
        "x-original-url: /fhir/Condition/c\r\n",
        "x-rewrite-url: /fhir/Condition/c\r\n",
        "x-forwarded-prefix: /fhir/Condition\r\n",
        "x-forwarded-host: other.example\r\n",
        "forwarded: host=other.example\r\n",
        "connection: x-api-key\r\n",
        "connection: host, authorization\r\n",
        "upgrade: h2c\r\nhttp2-settings: AAAA\r\n",
    ] {
        let answered = stage.ask("desk", "GET /fhir/Patient/1", fields, "").await;
        assert!(matches!(answered.status, 200 | 400), "{fields}: {}", answered.text());
    }
    for asked in upstream.requests() {
        let lower = asked.to_ascii_lowercase();
        assert!(asked.starts_with("GET /fhir/Patient/1 HTTP/1.1\r\n"), "{asked}");
        for word in ["condition", "other.example", "override", "forwarded", "x-original", "x-rewrite", "upgrade"] {
            assert!(!lower.contains(word), "{word} is in {asked}");
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn l32_what_is_behind_a_message_is_none_of_another_caller() {
    let upstream = lax().await;
    let stage = Stage::before(upstream.address).await;
    let smuggled =
        format!("GET /fhir/Condition/c HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {}\r\n\r\n", key("clinician"));
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    for fields in [
        format!("{form}content-length: 6\r\ncontent-length: {}\r\n", smuggled.len()),
        format!("{form}content-length: 6\r\ntransfer-encoding: chunked\r\n"),
        format!("{form}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n"),
        format!("{form}transfer-encoding : chunked\r\n"),
        format!("{form}content-length: +6\r\n"),
        format!("{form}content-length: 0x6\r\n"),
    ] {
        let head = format!("POST /fhir/Patient/_search HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {}\r\n", key("desk"));
        let answered =
            Caller::to(stage.gateway.plain).await.ask_last(format!("{head}{fields}\r\nname=x{smuggled}")).await;
        assert_ne!(answered.status, 200, "{fields}");
        judge::learns_nothing(&fields, &answered);
    }
    // A body that one server reads and another does not is none, whatever it holds.
    for fields in [format!("{form}transfer-encoding: chunked\r\n"), format!("{form}transfer-encoding: Chunked\r\n")] {
        let body = "6\r\nname=x\r\n0\r\n\r\n";
        let head = format!("POST /fhir/Patient/_search HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {}\r\n", key("desk"));
        let answered = Caller::to(stage.gateway.plain).await.ask_last(format!("{head}{fields}\r\n{body}")).await;
        assert_eq!(answered.status, 411, "{fields}: {}", answered.text());
    }
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
    stage.end().await;
}

#[tokio::test]
async fn l32_what_an_upstream_says_too_much_is_no_answer_to_the_next_request() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let upstream = Upstream::choosing(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        // Both would be shown.
        let told =
            |name: &str| json!({ "resourceType": "Patient", "id": "1", "name": [{ "family": name }] }).to_string();
        let kept = |body: String| {
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        ([kept(told("x")), kept(told(CANARY))].concat().into_bytes(), Then::Hold)
    })
    .await;
    let stage = Stage::before(upstream.address).await;
    let mut caller = Caller::to(stage.gateway.plain).await;
    for turn in 1..=20 {
        let answered = caller.ask(message("desk", "GET /fhir/Patient/1", "", "")).await;
        judge::learns_nothing("the next answer", &answered);
        assert_eq!(answered.json()["name"][0]["family"], "x", "{turn}");
        assert_eq!(asked.load(Ordering::SeqCst), turn, "each is asked of the upstream");
    }
    stage.end().await;
}
