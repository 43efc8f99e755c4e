//! L31: what the gateway tells those who run it: its log, its figures, its audit trail, its last words.

#[cfg(all(unix, feature = "demo"))]
use crate::client::page;
#[cfg(all(unix, feature = "demo"))]
use crate::folder::Folder;
use crate::gateway::{Running, Setup};
use crate::hostile::errors;
use crate::judge::{self, log_lines};
#[cfg(all(unix, feature = "demo"))]
use crate::process::{Process, all_files, command};
use crate::stage::Stage;
use crate::upstream::{CANARY, Then, Upstream, fhir, patient};

/// An id that stands in the audit trail and nowhere else.
const ID: &str = "ID-CANARY-9b1";

#[tokio::test]
async fn l31_the_log_the_figures_and_the_trail_hold_no_value_whatever_happens() {
    let stage = Stage::new().await;
    let before = log_lines();
    stage.answers(fhir(patient()));
    for target in [
        format!("/Patient?identifier={CANARY}"),
        format!("/Patient?name={CANARY}"),
        format!("/Patient?{CANARY}=x"),
        format!("/{CANARY}/1"),
        format!("/Patient/1/{CANARY}"),
        format!("/Patient/1/${CANARY}"),
        format!("/Patient/1?_format={CANARY}"),
        format!("/Patient?_filter={CANARY}"),
        format!("/Patient/%00{CANARY}"),
    ] {
        // A refusal may say which name it does not know, to whom sent it.
        stage.gateway.get("desk", &format!("/fhir{target}")).await;
    }
    let fields =
        ["authorization", "cookie", "x-forwarded-for", "fieldgate-role", "purpose-of-use", "traceparent", "user-agent"];
    for name in fields {
        stage.gateway.get_with("desk", "/fhir/Patient/1", &format!("{name}: {CANARY}\r\n")).await;
    }
    stage.gateway.ask(&format!("GET /fhir/Patient/1 HTTP/1.1\r\nhost: {CANARY}\r\nx-api-key: {CANARY}\r\n\r\n")).await;
    stage.gateway.ask(&format!("{CANARY} /fhir/Patient/1 HTTP/1.1\r\nhost: a\r\nx-api-key: {CANARY}\r\n\r\n")).await;
    for (_, raw) in errors() {
        stage.answers(raw);
        stage.get("desk", "/Patient/1").await;
    }
    assert!(log_lines() > before + 50, "the log is watched");
    stage.end().await;
}

#[tokio::test]
async fn l31_an_id_is_in_the_audit_trail_alone() {
    judge::watch();
    let upstream =
        Upstream::answering(fhir(patient().replace("\"id\":\"1\"", &format!("\"id\":\"{ID}\""))), Then::Close).await;
    let gateway = Running::start(upstream.address, Setup::default()).await;
    assert_eq!(gateway.get("desk", &format!("/fhir/Patient/{ID}")).await.status, 200);
    assert!(!judge::tells(ID, gateway.metrics().as_bytes()));
    judge::log_is_silent();
    assert!(judge::tells(ID, gateway.trail().await.as_bytes()));
}

#[cfg(all(unix, feature = "demo"))]
#[tokio::test(flavor = "multi_thread")]
async fn l31_a_process_that_logs_all_it_can_says_no_value_no_token_and_no_id() {
    let patient = patient().replace("\"id\":\"1\"", &format!("\"id\":\"{ID}\""));
    let upstream = Upstream::answering(fhir(patient), Then::Close).await;
    let folder = Folder::new(upstream.address);
    let mut serve = command(&["serve", "--config", &folder.gateway()]);
    let process =
        Process::spawn(serve.env("FIELDGATE_LOG", "trace").env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full"));
    let ready: serde_json::Value = serde_json::from_str(&process.line_with("\"ready\"")).unwrap();
    let address = ready["addresses"].as_str().unwrap().trim_matches(['[', ']']).parse().unwrap();
    let ask = async |path: String| folder.ask(address, "front-desk", &path).ask().await.status;
    assert_eq!(ask(format!("Patient/{ID}")).await, 200);
    for refused in [
        format!("Patient?identifier={CANARY}"),
        format!("Patient/{ID}/$everything?x={CANARY}"),
        format!("Condition/{ID}?_format={CANARY}"),
        format!("Patient/{CANARY}/{CANARY}"),
    ] {
        assert!(ask(refused.clone()).await >= 400, "{refused}");
    }
    upstream.heard.lock().unwrap().clear();
    let metrics = page(&format!("http://{}/metrics", ready["admin"].as_str().unwrap())).await.body;
    process.signal("TERM");
    let (status, said) = process.ended();
    assert!(status.success() && said.lines().count() > 5, "{said}");
    let token = std::fs::read_to_string(folder.path("front-desk")).unwrap();
    let token = token.trim_end().rsplit('.').next().unwrap().to_owned();
    for secret in [CANARY, ID, &token, "Lovelace", "1980-12-10"] {
        assert!(!judge::tells(secret, said.as_bytes()), "{secret} is said: {said}");
        assert!(!judge::tells(secret, metrics.as_bytes()), "{secret} is in the figures: {metrics}");
    }
    let trail = all_files(&folder.path("audit"));
    for secret in [CANARY, &token, "Lovelace", "1980-12-10"] {
        assert!(!judge::tells(secret, trail.as_bytes()), "{secret} is in the audit trail: {trail}");
    }
    assert!(trail.contains(ID));
}
