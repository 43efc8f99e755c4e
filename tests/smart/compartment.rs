//! Callers who are held to one patient, on the way in and in each answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use fieldgate::demo::people::Population;
use fieldgate::demo::upstream::Running as Demo;
use fieldgate::fhir::Definitions;
use serde_json::{Value, json};

use crate::gateway::Running;
use crate::tokens::{Issuer, get, post};
use crate::upstream::{CANARY, Then, Upstream, fhir};

/// The two ways to hold a caller to a patient: by scopes, and by a role.
pub(crate) fn tokens(issuer: &Issuer, patient: &str) -> [String; 2] {
    [
        issuer.token("clinician", &json!({ "scope": "patient/*.rs", "patient": patient })),
        issuer.token("own", &json!({ "patient": patient })),
    ]
}

/// What each answer of a hostile upstream holds: much that is another's, some that is Ada's, some that is nobody's.
pub(crate) fn everybodys(base: &str) -> String {
    let of = |kind: &str, member: &str, reference: &str, value: &str| {
        let mut resource = json!({ "resourceType": kind, "id": value });
        resource[member] = json!({ "reference": reference, "display": CANARY });
        resource
    };
    let other =
        json!({ "resourceType": "Patient", "id": CANARY, "link": [{ "other": { "reference": "Patient/ada" } }] });
    let mut holds_other = of("Observation", "subject", "Patient/ada", "own-1");
    holds_other["contained"] =
        json!([other, { "resourceType": "Observation", "id": CANARY, "subject": { "reference": "Patient/eve" } }]);
    let mut appointment = json!({ "resourceType": "Appointment", "id": "own-2", "participant": [
        { "actor": { "reference": "Practitioner/d" } }, { "actor": { "reference": "Patient/ada" } },
    ] });
    appointment["status"] = "booked".into();
    let resources = [
        holds_other,
        of("Observation", "subject", &format!("{base}/Patient/ada"), "own-3"),
        of("Observation", "subject", "Patient/eve", CANARY),
        of("Observation", "subject", "http://elsewhere.example/fhir/Patient/ada", CANARY),
        of("Observation", "subject", "Patient/ada/../eve", CANARY),
        of("Observation", "focus", "Patient/ada", CANARY),
        json!({ "resourceType": "Observation", "id": CANARY }),
        json!({ "resourceType": "Observation", "id": CANARY, "subject": { "display": "Patient/ada" } }),
        json!({ "resourceType": "Observation", "id": CANARY, "subject": [{ "reference": "Patient/ada" }] }),
        appointment,
        json!({ "resourceType": "Appointment", "id": CANARY, "participant": [{ "actor": { "reference": "Patient/eve" } }] }),
        other,
        json!({ "resourceType": "Patient", "id": "ada", "name": [{ "family": "own-4" }] }),
        of("Device", "patient", "Patient/eve", CANARY),
        of("Device", "patient", "Patient/ada", "own-5"),
        json!({ "resourceType": "Binary", "id": CANARY, "data": CANARY }),
        json!({ "resourceType": "MessageHeader", "id": CANARY }),
        json!({ "resourceType": "Practitioner", "id": "nobodys-1" }),
        json!({ "resourceType": "Bundle", "type": "document", "entry": [{ "resource": of("Condition", "subject", "Patient/eve", CANARY) }, { "resource": of("Condition", "subject", "Patient/ada", "own-6") }] }),
    ];
    let entries: Vec<Value> = resources.iter().map(|resource| json!({ "resource": resource })).collect();
    json!({ "resourceType": "Bundle", "type": "searchset", "total": 77, "entry": entries }).to_string()
}

#[tokio::test]
async fn no_answer_holds_what_is_another_patients() {
    let (issuer, address) = (Issuer::new(), Arc::new(std::sync::OnceLock::<String>::new()));
    let known = Arc::clone(&address);
    let upstream = Upstream::choosing(move |_| (fhir(everybodys(known.get().unwrap())), Then::Close)).await;
    address.set(format!("http://{}/fhir", upstream.address)).unwrap();
    let gateway = issuer.gateway(upstream.address).await;
    for token in tokens(&issuer, "ada") {
        for target in [
            "/fhir/Observation",
            "/fhir/Patient",
            "/fhir/Appointment?status=booked",
            "/fhir/Observation/1",
            "/fhir/Practitioner",
        ] {
            let reply = get(&gateway, &token, target).await;
            let text = reply.text();
            assert_eq!(reply.status, 200, "{text}");
            assert!(!text.contains(CANARY) && !text.contains("eve") && !text.contains("77"), "{target}: {text}");
            for seen in ["own-1", "own-2", "own-3", "own-4", "own-5", "own-6", "nobodys-1"] {
                assert!(text.contains(seen), "{target}: {seen} is not in {text}");
            }
        }
    }
    // A user who may see everybody's Patients by one scope is held to one by another.
    let mixed =
        issuer.token("clinician", &json!({ "scope": "patient/Observation.rs user/Practitioner.rs", "patient": "ada" }));
    let text = get(&gateway, &mixed, "/fhir/Observation").await.text().to_owned();
    assert!(text.contains("own-1") && text.contains("nobodys-1"), "{text}");
    assert!(!text.contains(CANARY) && !text.contains("own-4") && !text.contains("own-5"), "{text}");
}

#[tokio::test]
async fn l09_another_patient_is_like_one_who_is_not_there_and_is_not_asked_for() {
    let issuer = Issuer::new();
    let upstream = Upstream::choosing(|head| {
        let own = head.starts_with("GET /fhir/Patient/ada");
        let id = if own { "ada" } else { CANARY };
        (fhir(format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#)), Then::Close)
    })
    .await;
    let gateway = issuer.gateway(upstream.address).await;
    for token in tokens(&issuer, "ada") {
        for own in ["/fhir/Patient/ada", "/fhir/Patient/ada/_history/1"] {
            assert_eq!(get(&gateway, &token, own).await.json()["id"], "ada");
        }
        let before = upstream.requests().len();
        let absent = get(&gateway, &token, "/fhir/Patient/eve").await;
        absent.is_outcome(404, "not-found");
        get(&gateway, &token, "/fhir/Patient/eve/_history/1").await.is_outcome(404, "not-found");
        assert_eq!(upstream.requests().len(), before);
        // The same words as for what the upstream has and the caller may not see.
        let withheld = get(&gateway, &token, "/fhir/Condition/1").await;
        assert_eq!((withheld.status, withheld.text()), (404, absent.text()));
    }
}

#[tokio::test]
async fn a_search_is_narrowed_to_the_patient_on_its_way() {
    let issuer = Issuer::new();
    let upstream = Upstream::answering(fhir(r#"{"resourceType":"Bundle","type":"searchset"}"#), Then::Close).await;
    let gateway = issuer.gateway(upstream.address).await;
    for token in tokens(&issuer, "ada") {
        for (target, heard) in [
            ("/fhir/Observation", "GET /fhir/Observation?patient=Patient%2Fada HTTP"),
            ("/fhir/Patient?gender=female", "gender=female&_count=1000&_id=ada HTTP"),
            ("/fhir/Group", "GET /fhir/Group?member=Patient%2Fada HTTP"),
            ("/fhir/Coverage", "GET /fhir/Coverage?patient=Patient%2Fada HTTP"),
            ("/fhir/Device", "GET /fhir/Device?patient=Patient%2Fada HTTP"),
            ("/fhir/Practitioner", "GET /fhir/Practitioner HTTP"),
            ("/fhir/Observation?patient=eve", "patient=eve&_count=1000&patient=Patient%2Fada HTTP"),
        ] {
            assert_eq!(get(&gateway, &token, target).await.status, 200, "{target}");
            let last = upstream.requests().pop().unwrap();
            assert!(last.lines().next().unwrap().contains(heard), "{last}");
        }
        assert_eq!(post(&gateway, &token, "/fhir/Observation/_search", "code=x").await.status, 200);
        assert!(upstream.requests().pop().unwrap().ends_with("&patient=Patient%2Fada"));
        // Where nothing tells whose the resources are, and where the way leads through those of others.
        for target in [
            "/fhir/Binary",
            "/fhir/MessageHeader",
            "/fhir/Observation?subject:Patient.name=x",
            "/fhir/Patient?_has:Observation:patient:code=x",
        ] {
            let before = upstream.requests().len();
            assert_eq!(get(&gateway, &token, target).await.status, 403, "{target}");
            assert_eq!(upstream.requests().len(), before, "{target}");
        }
    }
}

#[tokio::test]
async fn a_caller_without_a_patient_sees_nothing() {
    let issuer = Issuer::new();
    let upstream = Upstream::answering(fhir(everybodys("")), Then::Close).await;
    let gateway = issuer.gateway(upstream.address).await;
    for claims in [
        json!({ "scope": "patient/*.rs" }),
        json!({ "scope": "patient/*.rs", "patient": "" }),
        json!({ "scope": "patient/*.rs", "patient": "Patient/ada" }),
        json!({ "scope": "patient/*.rs", "patient": "a&b=c" }),
        json!({ "scope": "patient/*.rs", "patient": ["ada"] }),
        json!({ "scope": "launch/patient", "patient": 7 }),
    ] {
        for role in ["clinician", "own"] {
            if role == "clinician" && claims["scope"] == "launch/patient" {
                continue;
            }
            let reply = get(&gateway, &issuer.token(role, &claims), "/fhir/Observation").await;
            reply.is_outcome(403, "forbidden");
            assert!(reply.text().contains("names none in the claim patient"), "{}", reply.text());
        }
    }
    // An API key names no patient either.
    gateway.get_with("both", "/fhir/Patient/ada", "fieldgate-role: own\r\n").await.is_outcome(403, "forbidden");
    assert_eq!(upstream.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn patients_find_all_that_is_theirs_on_a_real_server_and_nothing_else() {
    let population = Arc::new(Population::generate(7, 12, "2026-11-22".parse().unwrap()));
    let demo = Demo::start(Arc::clone(&population)).await.unwrap();
    let issuer = Issuer::new();
    let gateway = issuer.gateway(demo.addr).await;
    let definitions = Definitions::r4();
    let all: Vec<&Value> = population.resources().collect();
    let kinds: BTreeSet<&str> = all.iter().map(|resource| resource["resourceType"].as_str().unwrap()).collect();
    let patients: Vec<&str> =
        all.iter().filter(|r| r["resourceType"] == "Patient").map(|r| r["id"].as_str().unwrap()).collect();
    let mut found_any = 0;
    for patient in &patients[..3] {
        let own = format!("\"reference\":\"Patient/{patient}\"");
        for token in tokens(&issuer, patient) {
            for kind in kinds.iter().copied() {
                if definitions.patient_parameters(kind).is_none() {
                    continue;
                }
                let theirs = |resource: &&&Value| {
                    let is_patient = kind == "Patient" && resource["id"] == **patient;
                    resource["resourceType"] == kind && (is_patient || resource.to_string().contains(&own))
                };
                let expected: BTreeSet<&str> = all.iter().filter(theirs).map(|r| r["id"].as_str().unwrap()).collect();
                let bundle = everything(&gateway, &token, kind).await;
                let found: BTreeSet<&str> = bundle.iter().map(|resource| resource["id"].as_str().unwrap()).collect();
                assert_eq!(found, expected, "{kind} of {patient}");
                found_any += found.len();
            }
        }
    }
    assert!(found_any > 100, "{found_any}");
}

/// All matches of a type, page by page.
async fn everything(gateway: &Running, token: &str, kind: &str) -> Vec<Value> {
    let (mut found, mut next) = (Vec::new(), Some(format!("/fhir/{kind}?_count=5")));
    while let Some(target) = next.take() {
        let reply = get(gateway, token, &target).await;
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        let page = reply.json();
        found.extend(page["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"].clone()));
        let links = page["link"].as_array().cloned().unwrap_or_default();
        let link = links.iter().find(|link| link["relation"] == "next").and_then(|link| link["url"].as_str());
        next = link.map(|url| url.strip_prefix("http://gw.example").unwrap().to_owned());
    }
    found
}
