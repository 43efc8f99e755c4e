//! L36: reload, drain, overload, a full disk: whatever happens, an answer ends under what it began with, or not at all.

use std::time::Duration;

use fieldgate::proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::caller::{Caller, message};
use crate::gateway::{Running, Setup, gateway};
use crate::judge;
use crate::stage::{POLICY, Stage};
use crate::upstream::{CANARY, Then, Upstream, fhir, patient};

#[tokio::test]
async fn l36_a_policy_that_shows_more_says_nothing_of_an_answer_under_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, (go_on, may_go_on)) = (listener.local_addr().unwrap(), oneshot::channel::<()>());
    let body = patient();
    let (first, rest) = body.split_at(body.find("\"gender\"").unwrap());
    let (first, rest) = (first.to_owned(), rest.to_owned());
    let (begun, has_begun) = oneshot::channel();
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: {}\r\n\r\n",
            first.len() + rest.len()
        );
        stream.write_all(format!("{head}{first}").as_bytes()).await.unwrap();
        begun.send(()).unwrap();
        may_go_on.await.unwrap();
        stream.write_all(rest.as_bytes()).await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
    });
    judge::watch();
    let running = Running::start(address, Setup { policy: POLICY.to_owned(), ..Setup::default() }).await;
    let plain = running.plain;
    let asked =
        tokio::spawn(async move { Caller::to(plain).await.ask(message("desk", "GET /fhir/Patient/1", "", "")).await });
    has_begun.await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let wide = POLICY
        .replace("Patient: { name: show, gender: show, birthDate: year, managingOrganization: show }", "Patient: show");
    assert_ne!(wide, POLICY);
    let before = running.generation.load_full();
    running.generation.store(std::sync::Arc::new(gateway(
        address,
        Setup { policy: wide, ..Setup::default() },
        folder.path(),
    )));
    go_on.send(()).unwrap();
    let answered = asked.await.unwrap();
    judge::learns_nothing("an answer under way", &answered);
    assert_eq!(
        (answered.json()["birthDate"].as_str(), answered.field("fieldgate-policy").as_deref()),
        (Some("1980"), Some(before.policy.generation()))
    );
    upstream.abort();
}

#[tokio::test]
async fn l36_what_can_not_be_recorded_is_neither_asked_nor_answered() {
    let stage = Stage::new().await;
    stage.answers(fhir(patient()));
    assert_eq!(stage.get("desk", "/Patient/1").await.status, 200);
    stage.all_heard();
    stage.gateway.generation.load().journal.clone().close().await.unwrap();
    for caller in ["desk", "clinician"] {
        for (line, body) in [
            ("GET /fhir/Patient/1", ""),
            ("GET /fhir/Patient?name=x", ""),
            ("PUT /fhir/Patient/1", "{\"resourceType\":\"Patient\"}"),
        ] {
            let answered = stage.send(caller, line, "", body).await;
            assert_eq!(answered.status, 503, "{caller} {line}: {}", answered.text());
            judge::learns_nothing(line, &answered);
        }
    }
    assert_eq!(stage.all_heard(), Vec::<String>::new(), "nothing was asked of the upstream");
    judge::log_is_silent();
}

#[tokio::test]
async fn l36_over_any_limit_an_answer_ends_and_nothing_is_let_through_for_it() {
    judge::watch();
    let long = |secret: &str| {
        format!(
            r#"{{"identifier":[{{"value":"{CANARY}"}}],"name":[{{"family":"{}{secret}"}}],"resourceType":"Patient"}}"#,
            "x".repeat(200_000)
        )
    };
    let upstream = Upstream::choosing(move |_| (fhir(long(CANARY)), Then::Close)).await;
    for limits in [
        Limits { held_bytes: 100_000, ..Limits::default() },
        Limits { value_bytes: 100_000, ..Limits::default() },
        Limits { body_bytes: 100_000, ..Limits::default() },
        Limits { depth: 2, ..Limits::default() },
        Limits { requests: 0, ..Limits::default() },
    ] {
        let what = format!("{limits:?}");
        let limits = Limits { drain_timeout: Duration::from_millis(50), ..limits };
        let running =
            Running::start(upstream.address, Setup { policy: POLICY.to_owned(), limits, ..Setup::default() }).await;
        for line in ["GET /fhir/Patient/1", "GET /fhir/Patient?name=x", "HEAD /fhir/Patient/1"] {
            let message = message("desk", line, "connection: close\r\n", "");
            let answered = Caller::to(running.plain).await.ask_last(message).await;
            assert!(!answered.whole || answered.status >= 400, "{what} {line}: {}", answered.status);
            judge::learns_nothing(&what, &answered);
        }
        judge::left_no_trace(running).await;
    }
}
