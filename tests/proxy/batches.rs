//! Batches over real sockets: each request of one is decided alone and answered in its place.

use serde_json::{Value, json};

use crate::gateway::{POLICY, Reply, Running, Setup, key};
use crate::upstream::{CANARY, Then, Upstream, answer, fhir, patient};

async fn upstream() -> Upstream {
    let upstream = Upstream::choosing(|request| {
        let target = request.split(' ').nth(1).unwrap();
        let observation = |status: &str| {
            fhir(json!({"resourceType": "Observation", "id": "o", "status": status, "code": {"text": "x"}}).to_string())
        };
        let found = match target {
            "/fhir/Patient/1" => fhir(patient()),
            "/fhir/Observation/final" => observation("final"),
            "/fhir/Observation/other" => observation("preliminary"),
            "/fhir" | "/fhir/" => fhir(json!({"resourceType": "Bundle", "type": "transaction-response"}).to_string()),
            _ if target.starts_with("/fhir/Patient?") => {
                let entry = json!([{"resource": serde_json::from_str::<Value>(&patient()).unwrap()}]);
                fhir(json!({"resourceType": "Bundle", "type": "searchset", "entry": entry}).to_string())
            }
            _ => answer("404 Not Found", "content-type: application/fhir+json\r\n", CANARY),
        };
        (found, Then::Close)
    });
    upstream.await
}

async fn gateway(upstream: &Upstream) -> Running {
    let may = "    purposes: [HOPERAT, TREAT]\n    may: [read, search, batch, transaction]\n";
    let policy = POLICY.replacen("    purposes: [HOPERAT, TREAT]\n", may, 1);
    let policy = policy.replace("may: [read, vread, search]", "may: [read, vread, search, transaction]");
    Running::start(upstream.address, Setup { policy, ..Setup::default() }).await
}

async fn post(gateway: &Running, caller: &str, body: &Value) -> Reply {
    let (key, body) = (key(caller), body.to_string());
    let fields = "content-type: application/fhir+json\r\nif-match: W/\"1\"\r\n";
    let length = body.len();
    let head = format!("POST /fhir HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {key}\r\n{fields}");
    gateway.ask(&format!("{head}content-length: {length}\r\n\r\n{body}")).await
}

fn batch(requests: &[(&str, &str)]) -> Value {
    let entries = requests.iter().map(|(method, url)| json!({"request": {"method": method, "url": url}}));
    json!({"resourceType": "Bundle", "type": "batch", "entry": entries.collect::<Vec<_>>()})
}

#[tokio::test]
async fn l07_each_request_of_a_batch_is_decided_alone_and_answered_in_its_place() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream).await;
    let asked = [
        ("GET", "Patient/1", 200),
        ("GET", "/Patient?name=Ada", 200),
        ("GET", "Patient?birthdate=1980-12-10", 403),
        ("GET", "Observation/other", 404),
        ("GET", "http://gw.example/fhir/Observation/final", 200),
        ("GET", "Condition/1", 403),
        ("GET", "Patient/2", 404),
        ("PUT", "Patient/1", 403),
        ("GET", "http://elsewhere.example/fhir/Patient/1", 400),
        ("GET", "../plan/v1/members/1", 400),
        ("POST", "", 404),
        ("G T", "Patient/1", 400),
    ];
    let requests: Vec<(&str, &str)> = asked.iter().map(|(method, url, _)| (*method, *url)).collect();
    let reply = post(&gateway, "desk", &batch(&requests)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(!reply.text().contains(CANARY), "{}", reply.text());
    let answered = reply.json();
    assert_eq!((&answered["resourceType"], &answered["type"]), (&json!("Bundle"), &json!("batch-response")));
    let entries = answered["entry"].as_array().unwrap();
    assert_eq!(entries.len(), asked.len());
    for ((method, url, status), entry) in asked.iter().zip(entries) {
        let told = entry["response"]["status"].as_str().unwrap();
        assert!(told.starts_with(&status.to_string()), "{method} {url}: {entry}");
        assert_eq!(entry["resource"].is_object(), *status == 200, "{method} {url}: {entry}");
        // What is told of no endpoint of FHIR has a status alone.
        let outcome = &entry["response"]["outcome"];
        assert!(outcome.is_null() || outcome["resourceType"] == "OperationOutcome", "{method} {url}: {entry}");
        assert!(outcome.is_object() || !matches!(status, 403 | 404), "{method} {url}: {entry}");
    }
    assert_eq!(entries[0]["resource"], gateway.get("desk", "/fhir/Patient/1").await.json());
    assert_eq!(entries[1]["resource"]["entry"][0]["resource"]["birthDate"], "1980");
    assert_eq!(entries[2]["response"]["outcome"]["issue"][0]["expression"], json!(["Patient.birthDate"]));
    let asked_upstream = upstream.requests();
    assert!(asked_upstream.iter().all(|request| !request.contains("birthdate")), "{asked_upstream:?}");
    let trail = gateway.trail().await;
    assert!(trail.contains(r#""interaction":"batch""#), "{trail}");
    assert_eq!(trail.matches(r#""interaction":"read""#).count(), 6, "each has a record of its own: {trail}");
}

#[tokio::test]
async fn what_is_no_batch_is_refused_whole() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream).await;
    for (caller, body, status, code) in [
        ("billing", batch(&[("GET", "Patient/1")]), 403, "forbidden"),
        ("clinician", batch(&[("GET", "Patient/1")]), 403, "forbidden"),
        ("desk", json!({"resourceType": "Bundle", "type": "transaction"}), 403, "not-supported"),
        ("desk", json!({"resourceType": "Bundle", "type": "collection"}), 400, "structure"),
        ("desk", json!({"resourceType": "Patient"}), 400, "structure"),
        ("desk", json!([]), 400, "structure"),
        ("desk", batch(&[("GET", "Patient/1"); 101]), 413, "too-costly"),
    ] {
        post(&gateway, caller, &body).await.is_outcome(status, code);
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_transaction_holds_nothing_that_its_role_may_not_send_alone() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream).await;
    let transaction = |requests: &[(&str, &str)]| {
        let mut bundle = batch(requests);
        bundle["type"] = json!("transaction");
        bundle
    };
    for (requests, status, code) in [
        (&[("GET", "Patient/1"), ("DELETE", "Patient/1")][..], 403, "forbidden"),
        (&[("PUT", "Patient/1")], 403, "forbidden"),
        (&[("GET", "Patient/1/$meta")], 403, "not-supported"),
        (&[("GET", "../plan/v1/members/1")], 400, "structure"),
        (&[("POST", "")], 404, "not-supported"),
    ] {
        post(&gateway, "clinician", &transaction(requests)).await.is_outcome(status, code);
    }
    assert!(upstream.requests().is_empty());
    let whole = post(&gateway, "clinician", &transaction(&[("GET", "Patient/1")])).await;
    assert_eq!(whole.json()["type"], "transaction-response");
}
