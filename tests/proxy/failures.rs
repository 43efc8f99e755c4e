//! Upstreams that fail, lie or flood: nothing unfiltered leaves, and the caller can always tell.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fieldgate::proxy::Limits;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::gateway::{Reply, Running, Setup, key};
use crate::http2::{connect, request};
use crate::upstream::{CANARY, Then, Upstream, answer, fhir, patient};

async fn reply_to(raw: impl Into<Vec<u8>>, then: Then, setup: Setup) -> (Reply, Running) {
    let upstream = Upstream::answering(raw, then).await;
    let gateway = Running::start(upstream.address, setup).await;
    (gateway.get("desk", "/fhir/Patient/1").await, gateway)
}

fn with(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", fields, body)
}

#[tokio::test]
async fn l20_l25_l29_what_cannot_be_read_with_certainty_is_not_passed_on() {
    let json = "content-type: application/fhir+json\r\n";
    let bomb = zstd::encode_all(vec![b' '; 4 << 20].as_slice(), 3).unwrap();
    let twice = patient().replacen('{', r#"{"resourceType":"Patient","#, 1);
    for (what, raw, reason) in [
        ("XML", with("content-type: application/fhir+xml\r\n", format!("<Patient>{CANARY}</Patient>")), "media-type"),
        ("HTML", with("content-type: text/html\r\n", format!("<p>{CANARY}</p>")), "media-type"),
        ("no media type", with("", patient()), "media-type"),
        ("UTF-16", with("content-type: application/json; charset=utf-16\r\n", patient()), "media-type"),
        ("two media types", with(&json.repeat(2), patient()), "media-type"),
        ("not JSON", with(json, CANARY), "json"),
        ("nothing", with(json, ""), "json"),
        ("a mark in front", with(json, format!("\u{feff}{}", patient())), "json"),
        ("two documents", with(json, format!("{CANARY}{}", patient())), "json"),
        ("two minds", with(json, twice), "json"),
        ("unknown coding", with(&format!("{json}content-encoding: compress\r\n"), patient()), "content-coding"),
        ("stacked codings", with(&format!("{json}content-encoding: gzip, br\r\n"), patient()), "content-coding"),
        ("a false coding", with(&format!("{json}content-encoding: gzip\r\n"), patient()), "content-damaged"),
        ("a bomb", with(&format!("{json}content-encoding: zstd\r\n"), bomb), "expansion"),
        ("a redirect", answer("302 Found", "location: http://other.example/\r\n", ""), "upstream-status"),
        ("a part", answer("206 Partial Content", json, patient()), "upstream-status"),
        ("a condition", answer("304 Not Modified", json, ""), "upstream-status"),
    ] {
        let (reply, gateway) = reply_to(raw, Then::Close, Setup::default()).await;
        assert_eq!(reply.status, 502, "{what}: {}", reply.text());
        reply.is_outcome(502, "exception");
        assert!(!reply.text().contains(CANARY), "{what}: {}", reply.text());
        let counted = format!("fieldgate_failed_closed_total{{reason=\"{reason}\"}} 1");
        assert!(gateway.metrics().contains(&counted), "{what}: {}", gateway.metrics());
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_or_does_not_answer_is_told_apart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    Running::before(nobody).await.get("desk", "/fhir/Patient/1").await.is_outcome(502, "transient");

    let setup = || Setup { upstream: "response_timeout: 100ms\nidle_timeout: 100ms\n".to_owned(), ..Setup::default() };
    let (reply, _gateway) = reply_to("", Then::Hold, setup()).await;
    reply.is_outcome(504, "timeout");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: 999\r\n\r\n";
    let (reply, gateway) = reply_to(head, Then::Hold, setup()).await;
    reply.is_outcome(504, "exception");
    assert!(gateway.metrics().contains(r#"fieldgate_failed_closed_total{reason="upstream-stalled"} 1"#));
    for raw in ["not HTTP", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}", ""] {
        let (reply, _gateway) = reply_to(raw, Then::Close, setup()).await;
        reply.is_outcome(502, "transient");
    }
}

#[tokio::test]
async fn l30_an_answer_that_is_cut_off_before_anything_was_let_through_is_an_error() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: 999\r\n\r\n";
    let (reply, _gateway) = reply_to(format!("{head}{{\"text\":\"{CANARY}"), Then::Close, Setup::default()).await;
    reply.is_outcome(502, "exception");
}

/// The start of an answer of which a lot is let through, without its end.
fn half() -> String {
    let names = format!(r#"{{"family":"{}"}},"#, "x".repeat(4000)).repeat(100);
    format!(r#"{{"resourceType":"Patient","id":"1","address":[{{"city":"{CANARY}"}}],"name":[{names}"#)
}

#[tokio::test]
async fn l30_an_answer_that_fails_after_its_first_byte_ends_without_its_last_chunk() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: 999999\r\n\r\n";
    let cut_off = format!("{head}{}", half()).into_bytes();
    let damaged = fhir(format!("{} {CANARY}", half()));
    for (raw, reason) in [(cut_off, "upstream-cut-off"), (damaged, "json")] {
        let (reply, gateway) = reply_to(raw, Then::Close, Setup::default()).await;
        assert_eq!(reply.status, 200);
        assert!(!reply.whole && !reply.body.is_empty(), "{} bytes", reply.body.len());
        assert!(!reply.text().contains(CANARY));
        assert!(gateway.metrics().contains(&format!("fieldgate_failed_closed_total{{reason=\"{reason}\"}} 1")));
        let trail = gateway.trail().await;
        assert!(trail.contains(r#""outcome":"failed-closed""#), "{trail}");
    }
}

#[tokio::test]
async fn l30_over_http2_a_failed_answer_is_reset_and_the_connection_lives_on() {
    let upstream = Upstream::choosing(|head| match head.contains("/Patient/bad ") {
        true => (fhir(format!("{} {CANARY}", half())), Then::Close),
        false => (fhir(patient()), Then::Close),
    })
    .await;
    let gateway = Running::before(upstream.address).await;
    let mut sender = connect(&gateway, false).await;
    let bad = sender.send_request(request("desk", "/fhir/Patient/bad")).await.unwrap();
    assert_eq!(bad.status(), 200);
    let mut body = bad.into_body();
    let error = loop {
        match body.frame().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    assert!(error.is_some(), "a reset, not an end");
    let good = sender.send_request(request("desk", "/fhir/Patient/1")).await.unwrap();
    let body = good.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"{") && !String::from_utf8_lossy(&body).contains(CANARY));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_at_once_each_get_their_own_view() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let gateway = Arc::new(Running::before(upstream.address).await);
    let sender = connect(&gateway, false).await;
    let tasks = (0..90).map(|number| {
        let caller = ["desk", "billing", "clinician"][number % 3];
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let response = sender.send_request(request(caller, "/fhir/Patient/1")).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let seen: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(seen.to_string().contains(CANARY), caller == "clinician");
            assert_eq!(seen["gender"].is_string(), caller != "billing");
            assert_eq!(seen["identifier"].is_array(), caller != "desk");
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert!(gateway.metrics().contains("fieldgate_http_requests_in_flight 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_does_not_make_the_gateway_take_more_than_it_passes_on() {
    const BODY: usize = 96 << 20;
    // What the sockets on the way may hold, with room to spare.
    const BETWEEN: usize = 24 << 20;
    let item = format!(r#"{{"family":"{}"}},"#, "x".repeat(8000));
    let names = item.repeat(BODY / item.len());
    let body = format!(r#"{{"resourceType":"Patient","id":"1","name":[{names}{{"family":"end"}}]}}"#);
    let upstream = Upstream::answering(fhir(body), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut stream = socket.connect(gateway.plain).await.unwrap();
    let message = format!("GET /fhir/Patient/1 HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {}\r\n\r\n", key("desk"));
    stream.write_all(message.as_bytes()).await.unwrap();
    let (mut read, mut most, mut buffer) = (0, 0, vec![0; 64 * 1024]);
    while read < BODY / 2 {
        let count = stream.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0);
        read += count;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        most = most.max(upstream.written.load(Ordering::SeqCst).saturating_sub(read));
    }
    assert!(most < BETWEEN, "{most} bytes were taken and not passed on");
    drop(stream);
    // The caller went away: the answer ends as aborted, and the gateway gives everything back.
    let generation = gateway.generation.load_full();
    let trail = gateway.trail().await;
    assert!(trail.contains(r#""outcome":"aborted""#), "{trail}");
    assert_eq!(generation.capacity.held(), 0);
}

#[tokio::test]
async fn a_response_that_would_hold_too_much_is_ended() {
    // The patient's type comes last, so that all of it is held.
    let body = format!(r#"{{"name":[{{"family":"{}"}}],"resourceType":"Patient"}}"#, "x".repeat(1 << 20));
    let setup = Setup { limits: Limits { held_bytes: 100_000, ..Limits::default() }, ..Setup::default() };
    let (reply, gateway) = reply_to(fhir(body), Then::Close, setup).await;
    reply.is_outcome(503, "exception");
    assert!(gateway.metrics().contains(r#"fieldgate_failed_closed_total{reason="held-bytes"} 1"#));
    assert_eq!(gateway.generation.load().capacity.held(), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_ended() {
    let limits = || Limits { body_bytes: 100_000, ..Limits::default() };
    let setup = || Setup { limits: limits(), ..Setup::default() };
    let long = format!(r#"{{"resourceType":"Patient","name":[{{"family":"{}"}}]}}"#, "x".repeat(200_000));
    let (reply, _gateway) = reply_to(fhir(long), Then::Close, setup()).await;
    assert!(!reply.whole || reply.status == 502, "{}", reply.status);
    let deep = "[".repeat(200);
    let body = format!(r#"{{"resourceType":"Patient","x":{deep}"#);
    let (reply, _gateway) = reply_to(fhir(body), Then::Close, setup()).await;
    assert!(!reply.whole || reply.status == 502, "{}", reply.status);
}

#[tokio::test]
async fn l36_what_cannot_be_recorded_is_not_asked_for() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    gateway.generation.load().journal.clone().close().await.unwrap();
    gateway.get("desk", "/fhir/Patient/1").await.is_outcome(503, "no-store");
    assert!(upstream.requests().is_empty(), "nothing was asked of the upstream");
}
