//! Operations and histories: what they answer is filtered, and what they would tell besides is refused.

use fieldgate::proxy::Limits;
use serde_json::{Value, json};

use crate::gateway::{Running, Setup, key};
use crate::upstream::{CANARY, Then, Upstream, answer, fhir};

/// The desk sees whose an Observation is, and not whose a Condition is.
pub(crate) const POLICY: &str = r#"
version: 1
fhir: R4
roles:
  desk:
    about: Books visits.
    owner: desk@hospital.example
    review_by: 2999-01-01
    purposes: [HOPERAT]
    sees:
      Patient: { name: show, gender: show, birthDate: year }
      Observation: { "*": show, note: hide, component: hide }
      Condition: { code: show }
      Practitioner: { name: show }
      Group: { member: show }
    may: [read, search, history, $everything, $export, $lastn, $validate]
  billing:
    about: Bills for those who are alive.
    owner: billing@hospital.example
    review_by: 2999-01-01
    purposes: [HPAYMT]
    sees:
      Patient: { where: "@.active == true", identifier: show, birthDate: show }
      Observation: { where: "@.status == 'final'", code: show, subject: show, performer: show }
    may: [read, search, history, $everything, $export, $lastn, $meta]
  clinician:
    about: Treats patients.
    owner: care@hospital.example
    review_by: 2999-01-01
    purposes: [TREAT]
    sees: { "*": show }
    may: [read, search, history, $everything, $export, $lastn, $validate]
"#;

/// A gateway by that policy, before an upstream that answers by the head of a request and its own base.
pub(crate) async fn before(respond: impl Fn(&str, &str) -> Vec<u8> + Send + Sync + 'static) -> (Running, Upstream) {
    let upstream = Upstream::choosing(move |head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        (respond(head, &format!("http://{host}/fhir")), Then::Close)
    })
    .await;
    let setup = Setup { policy: POLICY.to_owned(), limits: Limits::default(), ..Setup::default() };
    (Running::start(upstream.address, setup).await, upstream)
}

fn entry(base: &str, resource: Value) -> Value {
    let at = format!("{base}/{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
    json!({ "fullUrl": at, "resource": resource })
}

/// All that a server has of a patient, and more than it should have sent.
fn everything(base: &str) -> Value {
    let of_1 = json!({ "reference": "Patient/1" });
    json!({ "resourceType": "Bundle", "type": "searchset", "total": 6,
        "link": [
            { "relation": "self", "url": format!("{base}/Patient/1/$everything?_count=2&x={CANARY}") },
            { "relation": "next", "url": format!("{base}?_getpages={CANARY}&_getpagesoffset=6") },
        ],
        "entry": [
            entry(base, json!({ "resourceType": "Patient", "id": "1", "active": true, "birthDate": "1980-12-10",
                "name": [{ "family": "Lovelace" }], "address": [{ "city": CANARY }] })),
            entry(base, json!({ "resourceType": "Patient", "id": "2", "active": true, "name": [{ "family": CANARY }] })),
            entry(base, json!({ "resourceType": "Observation", "id": "o", "status": "final", "subject": of_1,
                "code": { "text": "pulse" }, "note": [{ "text": CANARY }] })),
            entry(base, json!({ "resourceType": "Condition", "id": "c", "subject": of_1, "code": { "text": CANARY } })),
            entry(base, json!({ "resourceType": "Practitioner", "id": "p", "name": [{ "family": CANARY }] })),
            entry(base, json!({ "resourceType": "Coverage", "id": CANARY })),
        ] })
}

fn types(bundle: &Value) -> Vec<&str> {
    let entries = bundle["entry"].as_array().unwrap();
    entries.iter().map(|entry| entry["resource"]["resourceType"].as_str().unwrap()).collect()
}

fn next(bundle: &Value) -> String {
    let links = bundle["link"].as_array().unwrap();
    let next = links.iter().find(|link| link["relation"] == "next").expect("it has no next page");
    next["url"].as_str().unwrap().strip_prefix("http://gw.example").unwrap().to_owned()
}

#[tokio::test]
async fn l17_everything_of_a_patient_holds_what_may_be_told_to_be_its() {
    let (gateway, upstream) = before(|_, base| fhir(everything(base).to_string())).await;
    let reply = gateway.get("desk", "/fhir/Patient/1/$everything").await;
    let bundle = reply.json();
    assert_eq!(types(&bundle), ["Patient", "Observation"], "{}", reply.text());
    assert_eq!(bundle["entry"][0]["resource"]["birthDate"], "1980");
    assert_eq!(bundle["entry"][0]["fullUrl"], "http://gw.example/fhir/Patient/1");
    assert_eq!(bundle["total"], Value::Null, "it would count what is withheld");
    assert!(!reply.text().contains(CANARY), "{}", reply.text());
    assert!(
        upstream.requests()[0].starts_with("GET /fhir/Patient/1/$everything?_count=1000 "),
        "{:?}",
        upstream.requests()
    );

    // Its next page is at the server's root, and is held to the same bounds.
    let page = gateway.get("desk", &next(&bundle)).await;
    assert_eq!(types(&page.json()), ["Patient", "Observation"]);
    assert!(!page.text().contains(CANARY), "{}", page.text());
    assert!(
        upstream.requests()[1].starts_with(&format!("GET /fhir?_getpages={CANARY}&_getpagesoffset=6 ")),
        "{:?}",
        upstream.requests()
    );
    gateway.get("clinician", &next(&bundle)).await.is_outcome(403, "forbidden");

    let all = gateway.get("clinician", "/fhir/Patient/1/$everything?start=2026-01-01&_count=2").await.json();
    assert_eq!((types(&all).len(), &all["total"]), (6, &json!(6)));
}

#[tokio::test]
async fn l17_types_that_are_named_are_held_to_what_may_be_told_of_them() {
    let (gateway, upstream) = before(|_, base| fhir(everything(base).to_string())).await;
    let named = gateway.get("desk", "/fhir/Patient/1/$everything?_type=Observation").await;
    assert_eq!(types(&named.json()), ["Observation"], "whatever the upstream answers");
    assert_eq!(upstream.requests().len(), 1);
    for (target, told) in [
        ("Patient/1/$everything?_type=Condition", "patient"),
        ("Patient/1/$everything?_type=Coverage", "Coverage"),
        ("Patient/1/$everything?start=2026-01-01", "start and end"),
        ("Patient/1/$everything?_getpages=1", "link"),
        ("Patient/1/$everything?birthdate=1980-12-10", "birthdate"),
        ("Encounter/1/$everything", ""),
    ] {
        let reply = gateway.get("desk", &format!("/fhir/{target}")).await;
        assert_eq!(reply.status, 403, "{target}: {}", reply.text());
        assert!(reply.text().contains(told), "{target}: {}", reply.text());
    }
    assert_eq!(upstream.requests().len(), 1, "{:?}", upstream.requests());
}

#[tokio::test]
async fn l09_everything_of_a_patient_who_is_withheld_looks_like_that_of_none() {
    let (gateway, upstream) = before(|head, base| {
        let gone = |id: &str| head.starts_with(&format!("GET /fhir/Patient/{id} "));
        match () {
            () if gone("0") => answer("404 Not Found", "content-type: application/fhir+json\r\n", "{}"),
            () if gone("3") => fhir(json!({ "resourceType": "Patient", "id": "3", "active": false }).to_string()),
            () if gone("1") => fhir(json!({ "resourceType": "Patient", "id": "1", "active": true }).to_string()),
            () => fhir(everything(base).to_string()),
        }
    })
    .await;
    let [absent, withheld] = [
        gateway.get("billing", "/fhir/Patient/0/$everything").await,
        gateway.get("billing", "/fhir/Patient/3/$everything").await,
    ];
    absent.is_outcome(404, "not-found");
    assert_eq!((withheld.status, &withheld.body), (404, &absent.body));
    assert_eq!(upstream.requests().len(), 2, "the operation was not asked for");
    let seen = gateway.get("billing", "/fhir/Patient/1/$everything").await.json();
    assert_eq!(types(&seen), ["Patient", "Observation"]);
}

#[tokio::test]
async fn l17_the_last_observations_are_told_where_no_other_could_be_later() {
    let found = |base: &str| {
        json!({ "resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [entry(base, json!({
            "resourceType": "Observation", "id": "o", "code": { "text": "pulse" }, "note": [{ "text": CANARY }] }))] })
    };
    let (gateway, upstream) = before(move |_, base| fhir(found(base).to_string())).await;
    let target = "/fhir/Observation/$lastn?subject=Patient/1&category=vital-signs&max=3";
    let reply = gateway.get("desk", target).await;
    assert_eq!(types(&reply.json()), ["Observation"]);
    assert!(!reply.text().contains(CANARY));
    assert!(upstream.requests()[0].contains("/Observation/$lastn?subject=Patient%2F1&category=vital-signs&max=3 "));
    // Of billing's rows the last may be one that is not the last.
    gateway.get("billing", target).await.is_outcome(403, "forbidden");
    gateway.get("desk", "/fhir/Observation/$lastn?component-code=x").await.is_outcome(403, "forbidden");
    gateway.get("desk", "/fhir/Observation/$lastn?max=few").await.is_outcome(400, "value");
    gateway.get("desk", "/fhir/Condition/$lastn").await.is_outcome(403, "not-supported");
    assert_eq!(upstream.requests().len(), 1, "{:?}", upstream.requests());
}

#[tokio::test]
async fn a_resource_that_is_sent_to_be_validated_is_answered_by_codes() {
    let outcome = json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "error", "code": "required",
        "diagnostics": CANARY, "expression": ["Patient.name"] }] });
    let (gateway, upstream) = before(move |_, _| fhir(outcome.to_string())).await;
    let post = async |caller: &str, target: &str, body: &str| {
        let (key, length) = (key(caller), body.len());
        let head = format!("POST {target} HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {key}\r\n");
        gateway
            .ask(&format!("{head}content-type: application/fhir+json\r\ncontent-length: {length}\r\n\r\n{body}"))
            .await
    };
    let patient = r#"{"resourceType":"Patient","gender":"female"}"#;
    let reply = post("desk", "/fhir/Patient/$validate?profile=http://hl7.org/x", patient).await;
    let issue = &reply.json()["issue"][0];
    assert_eq!((&issue["code"], &issue["expression"][0]), (&json!("required"), &json!("Patient.name")));
    assert!(!reply.text().contains(CANARY));
    let heard = upstream.requests();
    assert!(heard[0].starts_with("POST /fhir/Patient/$validate?profile="), "{}", heard[0]);
    assert!(heard[0].ends_with(patient));
    assert_eq!(post("clinician", "/fhir/Patient/1/$validate?mode=update", patient).await.status, 200);
    for (target, body, status) in [
        ("/fhir/Patient/$validate?mode=create", patient, 403),
        ("/fhir/Patient/1/$validate", patient, 403),
        ("/fhir/$validate", patient, 403),
        ("/fhir/Patient/$validate", r#"{"resourceType":"Observation"}"#, 400),
        ("/fhir/Patient/$validate", r#"{"resourceType":"Patient","gender":"male","gender":"female"}"#, 400),
        ("/fhir/Patient/$everything", "{}", 405),
    ] {
        assert_eq!(post("desk", target, body).await.status, status, "{target} {body}");
    }
    assert_eq!(gateway.get("desk", "/fhir/Patient/1/$validate").await.status, 405);
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn l17_operations_whose_answers_are_not_known_are_refused_whoever_may_call_them() {
    let (gateway, upstream) = before(|_, _| fhir("{}")).await;
    for caller in ["desk", "billing", "clinician"] {
        for target in ["$meta", "$graphql?query=x", "$match", "$expunge", "Patient/$match", "Patient/1/$graphql"] {
            let reply = gateway.get(caller, &format!("/fhir/{target}")).await;
            reply.is_outcome(403, "not-supported");
            assert!(reply.text().contains("$everything"), "it says which are let through");
        }
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn l07_a_history_is_filtered_where_each_of_its_versions_is_seen() {
    let history = |base: &str| {
        let version = |number: &str| {
            json!({ "resourceType": "Patient", "id": "1", "meta": { "versionId": number }, "birthDate": "1980-12-10",
                "address": [{ "city": CANARY }], "name": [{ "family": number }] })
        };
        let at = format!("{base}/Patient/1");
        json!({ "resourceType": "Bundle", "type": "history", "total": 3, "entry": [
            { "fullUrl": at, "request": { "method": "DELETE", "url": "Patient/1" },
                "response": { "status": format!("204 {CANARY}"), "etag": format!("W/\"{CANARY}\"") } },
            { "fullUrl": at, "resource": version("2"), "request": { "method": "PUT", "url": "Patient/1" } },
            { "fullUrl": at, "resource": version("1"), "request": { "method": "POST", "url": "Patient" } },
        ], "link": [{ "relation": "next", "url": format!("{base}/Patient/1/_history?page=2") }] })
    };
    let (gateway, upstream) = before(move |_, base| fhir(history(base).to_string())).await;
    let reply = gateway.get("desk", "/fhir/Patient/1/_history?_since=2026-01-01T00:00:00Z&_count=5000").await;
    let bundle = reply.json();
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 3, "{}", reply.text());
    assert_eq!(bundle["entry"][0]["request"]["method"], "DELETE");
    assert_eq!(bundle["entry"][0]["response"], json!({ "status": "204" }), "codes pass, words and tags don't");
    assert_eq!(bundle["entry"][1]["resource"]["birthDate"], "1980");
    assert!(!reply.text().contains(CANARY));
    assert_eq!(gateway.get("desk", &next(&bundle)).await.status, 200);
    let heard = upstream.requests();
    assert!(heard[0].contains("/Patient/1/_history?_since=2026-01-01T00%3A00%3A00Z&_count=1000 "), "{}", heard[0]);
    assert!(heard[1].contains("/Patient/1/_history?page=2 "), "{}", heard[1]);
    // Which versions there are of what may be withheld is no business of billing's.
    gateway.get("billing", "/fhir/Patient/1/_history").await.is_outcome(403, "forbidden");
    gateway.get("desk", "/fhir/_history").await.is_outcome(403, "not-supported");
    gateway.get("desk", "/fhir/Patient/_history?name=x").await.is_outcome(403, "not-supported");
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn l10_a_resource_is_not_asked_for_by_an_id_that_the_role_does_not_see() {
    let (gateway, upstream) = before(|_, _| fhir(r#"{"resourceType":"Patient","id":"1"}"#)).await;
    let policy =
        POLICY.replace("Patient: { name: show,", "Patient: { id: { pseudonym: { domain: study } }, name: show,");
    let policy = policy.replace("[read, search, history,", "[read, vread, search, history, update, patch, delete,");
    let blind = Running::start(upstream.address, Setup { policy, ..Setup::default() }).await;
    for target in
        ["Patient/1", "Patient/1/_history/1", "Patient/1/_history", "Patient/1/$everything", "Patient/1/Observation"]
    {
        let reply = blind.get("desk", &format!("/fhir/{target}")).await;
        reply.is_outcome(403, "forbidden");
        assert!(reply.text().contains("Patient.id"), "{target}: {}", reply.text());
    }
    assert!(upstream.requests().is_empty(), "whether it is there is told to nobody");
    assert_eq!(gateway.get("desk", "/fhir/Patient/1").await.status, 200);
    assert_eq!(blind.get("clinician", "/fhir/Patient/1").await.status, 200);
}
