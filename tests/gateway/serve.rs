//! `fieldgate serve`: its start, its reload, its drain, and what it says when it can do none of them.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use fieldgate::demo::keys::Keys;
use fieldgate::demo::people::{DEMO_SEED, Population};
use fieldgate::demo::upstream;
use http_body_util::BodyExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::folder::{Folder, POLICY, serve};
use crate::process::{self, Process};

fn nowhere() -> SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

async fn people() -> (upstream::Running, String) {
    let people = Population::generate(DEMO_SEED, 4, "2026-11-22".parse().unwrap());
    let normal = |patient: &&Value| {
        let labels = patient["meta"]["security"].as_array();
        labels.is_some_and(|labels| labels.iter().all(|label| label["code"] == "N"))
    };
    let id = people.of_type("Patient").find(normal).unwrap()["id"].as_str().unwrap().to_owned();
    (upstream::Running::start(Arc::new(people)).await.unwrap(), id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_what_is_right_and_keeps_the_old_where_anything_is_wrong() {
    let (api, id) = people().await;
    let folder = Folder::new(api.addr);
    let gateway = serve(&folder);
    let ask = folder.ask(gateway.address, "front-desk", &format!("Patient/{id}"));
    let before = ask.ask().await;
    assert_eq!(before.status, 200);
    assert_eq!(gateway.admin("/readyz").await.status, 200);

    folder.change("policy.yaml", "birthDate: year", "brithDate: year");
    gateway.process.signal("HUP");
    let told = gateway.process.line_with("not reloaded: the configuration has a mistake");
    assert!(told.contains("brithDate") && told.contains("birthDate?") && told.contains("policy.yaml:"), "{told}");
    gateway.process.line_with("what ran before runs on");
    let still = ask.ask().await;
    assert_eq!(still.body, before.body);
    assert_eq!(still.headers["fieldgate-policy"], before.headers["fieldgate-policy"]);
    assert!(gateway.admin("/metrics").await.body.contains("fieldgate_reload_failures_total 1"));

    folder.change("policy.yaml", "brithDate: year", "birthDate: hide");
    gateway.process.signal("HUP");
    gateway.process.line_with("\"reloaded\"");
    let after = ask.ask().await;
    assert_ne!(after.headers["fieldgate-policy"], before.headers["fieldgate-policy"]);
    let [before, after] = [&before, &after].map(|answer| serde_json::from_str::<Value>(&answer.body).unwrap());
    assert!(before.get("birthDate").is_some() && after.get("birthDate").is_none());

    // New keys for the listener, of another authority: who trusts the old one alone is no longer served.
    let other = Keys::generate(Timestamp::now().to_zoned(TimeZone::UTC).date()).unwrap();
    folder.write("keys/gateway.pem", other.gateway_certificate_pem());
    folder.write("keys/gateway.key", other.gateway_key_pem());
    folder.write("keys/ca.pem", other.authority_pem());
    gateway.process.signal("HUP");
    gateway.process.line_with("\"reloaded\"");
    assert_eq!(ask.ask().await.status, 200, "the new authority's certificate is shown");

    folder.change("gateway.yaml", "admin: { address: 127.0.0.1:0 }", "admin: { address: \"[::1]:0\" }");
    gateway.process.signal("HUP");
    assert!(gateway.process.line_with("can't change while the gateway runs").contains("admin"));
    gateway.process.signal("TERM");
    assert!(gateway.process.ended().0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_parameter_of_the_servers_own_is_known_by_what_the_gateway_file_says() {
    let (api, _) = people().await;
    let folder = Folder::new(api.addr);
    let declared = "search_parameters: { Patient: { called: [name], nhs-number: [identifier] } }";
    folder.change("gateway.yaml", "serves: fhir\n", &format!("serves: fhir\n    {declared}\n"));
    let gateway = serve(&folder);
    let ask = async |query: &str| folder.ask(gateway.address, "front-desk", &format!("Patient?{query}")).ask().await;
    // The upstream does not know it and says so: it was asked.
    assert_eq!(ask("called=Ada").await.status, 400);
    let refused = ask("nhs-number=1").await;
    assert!(refused.status == 403 && refused.body.contains("Patient.identifier"), "{}", refused.body);
    let undeclared = ask("ssn=1").await;
    assert!(undeclared.status == 403 && undeclared.body.contains("no search parameter ssn"), "{}", undeclared.body);
}

/// An API that answers every request with half a Patient, and with the rest once it is told to.
async fn slow() -> (SocketAddr, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (begun, has_begun) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let _ = stream.read(&mut head).await.unwrap();
        let first = b"{\"resourceType\":\"Patient\",\"id\":\"p1\",\"name\":[{\"family\":\"First\"}],";
        let last = b"\"gender\":\"female\"}";
        let length = first.len() + last.len();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(first).await.unwrap();
        begun.send(()).unwrap();
        may_go_on.await.unwrap();
        stream.write_all(last).await.unwrap();
        // The gateway closes when it has read what was announced.
        let _ = stream.read(&mut [0; 1]).await;
    });
    (address, has_begun, go_on)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_an_answer_under_way_end_and_closes_the_audit_trail() {
    let (api, has_begun, go_on) = slow().await;
    let folder = Folder::new(api);
    let gateway = serve(&folder);
    let ask = folder.ask(gateway.address, "clinician", "Patient/p1");
    let asked = tokio::spawn(async move {
        let body = ask.send().await.into_body();
        body.collect().await.map(|body| body.to_bytes())
    });
    has_begun.await.unwrap();
    gateway.process.signal("TERM");
    gateway.process.line_with("\"draining\"");
    let ready = gateway.admin("/readyz").await;
    assert_eq!((ready.status, ready.body.trim()), (503, "{\"ready\":false,\"not_ready\":[\"draining\"]}"));
    assert_eq!(gateway.admin("/livez").await.status, 200);
    go_on.send(()).unwrap();
    let body = asked.await.unwrap().expect("the answer ends whole");
    assert!(body.ends_with(b"\"gender\":\"female\"}"), "{}", String::from_utf8_lossy(&body));
    let (status, said) = gateway.process.ended();
    assert!(status.success() && said.contains("\"stopped\""), "{said}");
    let verified = process::run(&["audit", "verify", folder.path("audit").to_str().unwrap()]);
    let told = String::from_utf8(verified.stdout).unwrap();
    assert!(verified.status.success() && told.contains("0 requests began and have no end"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once_and_the_caller_can_tell() {
    let (api, has_begun, _go_on) = slow().await;
    let folder = Folder::new(api);
    let gateway = serve(&folder);
    let ask = folder.ask(gateway.address, "clinician", "Patient/p1");
    let asked = tokio::spawn(async move { ask.send().await.into_body().collect().await.map(drop) });
    has_begun.await.unwrap();
    gateway.process.signal("TERM");
    gateway.process.line_with("\"draining\"");
    gateway.process.signal("TERM");
    let (status, said) = gateway.process.ended();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("answers under way were cut off"), "{said}");
    assert!(asked.await.unwrap().is_err(), "an answer that was cut off does not look whole");
}

#[tokio::test]
async fn the_admin_listener_shows_three_pages_and_data_listeners_none_of_them() {
    let folder = Folder::new(nowhere());
    let gateway = serve(&folder);
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/", 404), ("/fhir/Patient/1", 404)] {
        assert_eq!(gateway.admin(path).await.status, status, "{path}");
    }
    let metrics = gateway.admin("/metrics").await;
    assert!(metrics.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    for path in ["livez", "readyz", "metrics"] {
        let mut ask = folder.ask(gateway.address, "clinician", "");
        ask.url = format!("https://{}/{path}", gateway.address);
        let answer = ask.ask().await;
        assert!(answer.status == 404 && !answer.body.contains("fieldgate_"), "{path}: {}", answer.status);
    }
}

#[test]
fn what_keeps_a_gateway_from_starting_is_said_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = Folder::new(nowhere());
    folder.change("gateway.yaml", "- address: 127.0.0.1:0", &format!("- address: {address}"));
    assert!(folder.refusal().contains(&format!("address {address} is in use: ")));

    let folder = Folder::new(nowhere());
    fs::remove_file(folder.path("keys/gateway.key")).unwrap();
    let said = folder.refusal();
    assert!(said.contains("gateway.yaml:11:14: tls: ") && said.contains("gateway.key: cannot be read"), "{said}");

    let folder = Folder::new(nowhere());
    fs::remove_file(folder.path("policy.yaml")).unwrap();
    assert!(folder.refusal().contains("policy.yaml:1:1: the policy cannot be read"));

    let folder = Folder::new(nowhere());
    folder.mode("secrets.yaml", 0o644);
    assert!(folder.refusal().contains("chmod 600"));

    let folder = Folder::new(nowhere());
    folder.change("gateway.yaml", "\nsecrets: {", "\n# secrets: {");
    assert!(folder.refusal().contains("the role researcher sees pseudonyms or moved dates"));

    let said = Process::start(&["serve", "--config", "nowhere/gateway.yaml"]).ended().1;
    assert!(said.contains("nowhere/gateway.yaml: cannot be read"), "{said}");
}

#[test]
fn all_mistakes_of_all_files_are_said_at_once_by_serve_and_by_check() {
    let folder = Folder::new(nowhere());
    folder.change("gateway.yaml", "roles: [billing-vendor]", "roles: [biling-vendor]");
    folder.change("gateway.yaml", "path: /vendors/acme", "path: /fhir");
    folder.change("policy.yaml", "birthDate: year", "brithDate: year");
    fs::remove_file(folder.path("keys/jwks.json")).unwrap();
    let said = folder.refusal();
    let checked = process::run(&["check", "--config", &folder.gateway()]);
    assert_eq!(checked.status.code(), Some(1));
    for told in [said, String::from_utf8(checked.stdout).unwrap()] {
        for part in ["the endpoint ehr has the same path", "brithDate", "jwks.json can't be read"] {
            assert!(told.contains(part), "{part} is not in\n{told}");
        }
    }
    folder.write("policy.yaml", POLICY);
    assert!(folder.refusal().contains("the policy has no role biling-vendor: did you mean billing-vendor?"));
}

#[test]
fn check_finds_the_example_clean_and_says_so_to_programs() {
    let folder = Folder::new(nowhere());
    let checked = process::run(&["check", "--config", &folder.gateway(), "--json"]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert!(checked.status.success() && report["clean"] == true, "{report:#}");
}

#[tokio::test]
async fn two_gateways_never_write_the_same_audit_trail() {
    let folder = Folder::new(nowhere());
    let _first = serve(&folder);
    assert!(folder.refusal().contains("in use by another gateway"));
}

#[test]
fn a_filter_of_the_log_that_is_none_is_refused() {
    let folder = Folder::new(nowhere());
    let mut command = process::command(&["serve", "--config", &folder.gateway()]);
    let (status, said) = Process::spawn(command.env("FIELDGATE_LOG", "fieldgate=loud")).ended();
    assert!(!status.success() && said.contains("FIELDGATE_LOG is not a filter"), "{said}");
}
