//! Operations within scopes and for callers who are held to one patient.

use serde_json::{Value, json};

use crate::compartment::{everybodys, tokens};
use crate::gateway::{Running, Setup};
use crate::tokens::{Issuer, get};
use crate::upstream::{CANARY, Then, Upstream, answer, fhir};

/// A gateway whose clinicians and patients may call operations, before an upstream that answers each with all it has.
async fn before(issuer: &Issuer) -> (Running, Upstream) {
    let upstream = Upstream::choosing(|head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let base = format!("http://{host}/fhir");
        let patient = |id: &str| fhir(json!({ "resourceType": "Patient", "id": id }).to_string());
        let answer = match head.split(' ').nth(1).unwrap().split('?').next().unwrap() {
            "/fhir/$export" | "/fhir/Patient/$export" => {
                answer("202 Accepted", &format!("content-location: {base}/jobs/1\r\n"), "")
            }
            "/fhir/jobs/1" => {
                let file = |of: &str| json!({ "type": of, "url": format!("{base}/files/{of}"), "count": 77 });
                let files = ["Patient", "Observation", "Appointment"].map(file);
                let manifest = json!({ "transactionTime": "2026-11-22T10:00:00Z", "output": files });
                answer("200 OK", "content-type: application/json\r\n", manifest.to_string())
            }
            path if path.starts_with("/fhir/files/") => {
                let all: Value = serde_json::from_str(&everybodys(&base)).unwrap();
                let resources = all["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].to_string());
                let lines: Vec<String> = resources.collect();
                answer("200 OK", "content-type: application/fhir+ndjson\r\n", lines.join("\n"))
            }
            "/fhir/Patient/ada" => patient("ada"),
            "/fhir/Patient/eve" => patient("eve"),
            _ => fhir(everybodys(&base)),
        };
        (answer, Then::Close)
    })
    .await;
    let setup = issuer.setup("");
    let policy =
        setup.policy.replace("may: [read, vread, search]", "may: [read, $everything, $export, $lastn, history]");
    (Running::start(upstream.address, Setup { policy, ..setup }).await, upstream)
}

fn own(address: &Value) -> String {
    address.as_str().unwrap().strip_prefix("http://gw.example").unwrap().to_owned()
}

/// The links to the files of an export, and the types that the manifest says.
async fn exported(gateway: &Running, token: &str, target: &str) -> Vec<(String, String)> {
    let reply = get(gateway, token, target).await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    let state = reply.original.lines().find_map(|line| line.strip_prefix("content-location: ")).unwrap().to_owned();
    let manifest = get(gateway, token, &own(&json!(state))).await.json();
    let files = manifest["output"].as_array().unwrap();
    assert!(files.iter().all(|file| file["count"].is_null()), "{manifest}");
    files.iter().map(|file| (file["type"].as_str().unwrap().to_owned(), own(&file["url"]))).collect()
}

#[tokio::test]
async fn everything_of_a_patient_is_that_of_the_callers_own_alone() {
    let issuer = Issuer::new();
    let (gateway, upstream) = before(&issuer).await;
    for token in tokens(&issuer, "ada") {
        let reply = get(&gateway, &token, "/fhir/Patient/ada/$everything").await;
        let text = reply.text();
        assert_eq!(reply.status, 200, "{text}");
        assert!(!text.contains(CANARY) && !text.contains("eve") && !text.contains("77"), "{text}");
        assert!(["own-1", "own-2", "own-3", "own-4", "own-6"].iter().all(|seen| text.contains(seen)), "{text}");
        // What is of no patient's compartment is in it by a reference, which may be one of what is withheld.
        assert!(!text.contains("nobodys-1"), "{text}");
        let asked = upstream.requests().len();
        get(&gateway, &token, "/fhir/Patient/eve/$everything").await.is_outcome(404, "not-found");
        get(&gateway, &token, "/fhir/Observation/$lastn?max=1").await.is_outcome(403, "forbidden");
        get(&gateway, &token, "/fhir/Patient/ada/_history").await.is_outcome(403, "forbidden");
        assert_eq!(upstream.requests().len(), asked);
    }
    let other = issuer.token("clinician", &json!({ "scope": "user/Observation.rs" }));
    let refused = get(&gateway, &other, "/fhir/Patient/ada/$everything").await;
    refused.is_outcome(403, "forbidden");
    assert!(refused.head.contains("insufficient_scope"), "{}", refused.head);
}

#[tokio::test]
async fn l22_an_export_holds_what_the_scopes_allow_type_by_type() {
    let issuer = Issuer::new();
    let (gateway, _upstream) = before(&issuer).await;
    let labs = issuer.token("clinician", &json!({ "scope": "system/Observation.rs system/Appointment.r" }));
    let files = exported(&gateway, &labs, "/fhir/$export").await;
    // The manifest names what the role may have; a file holds what the scopes allow as well.
    for (of, file) in &files {
        let reply = get(&gateway, &labs, file).await;
        let types: Vec<String> = reply
            .text()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["resourceType"].as_str().unwrap().to_owned())
            .collect();
        assert!(types.iter().all(|told| told == of), "{of}: {types:?}");
        assert_eq!(types.is_empty(), of == "Patient", "{of}: {types:?}");
    }
    // With other scopes the same links lead nowhere.
    let wider = issuer.token("clinician", &json!({ "scope": "system/*.rs" }));
    get(&gateway, &wider, &files[0].1).await.is_outcome(403, "forbidden");

    for token in tokens(&issuer, "ada") {
        for (_, file) in exported(&gateway, &token, "/fhir/Patient/$export").await {
            let reply = get(&gateway, &token, &file).await;
            assert!(!reply.text().contains(CANARY) && !reply.text().contains("eve"), "{}", reply.text());
            assert!(reply.text().contains("own-"), "{}", reply.text());
        }
    }
    let none = issuer.token("clinician", &json!({ "scope": "system/Practitioner.c" }));
    get(&gateway, &none, "/fhir/$export").await.is_outcome(403, "forbidden");
}
