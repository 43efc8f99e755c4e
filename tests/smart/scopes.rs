//! Scopes bound a role from above: what may be asked, and what an answer may hold.

use serde_json::{Value, json};

use crate::gateway::{Reply, Running};
use crate::tokens::{Issuer, get, post};
use crate::upstream::{CANARY, Then, Upstream, fhir};

/// What every clinician could see, and no bearer of a scope for Observations alone: whatever is asked for, the upstream
/// answers with all it has, in each place where a resource may stand.
fn everything() -> String {
    let patient = json!({ "resourceType": "Patient", "id": "p", "name": [{ "family": CANARY }] });
    let lab = |id: &str, code: &str, value: &str| {
        json!({
            "resourceType": "Observation", "id": id, "status": "final",
            "category": [{ "coding": [{ "system": "http://c", "code": code }] }],
            "subject": { "reference": "Patient/p", "display": CANARY }, "valueString": value,
            "text": { "status": "generated", "div": format!("<div>{CANARY}</div>") },
            "contained": [patient, { "resourceType": "Observation", "id": "part", "valueString": "part" }],
        })
    };
    let parameters = json!({ "resourceType": "Parameters", "parameter": [{ "name": "x", "resource": patient }] });
    let inner = json!({ "resourceType": "Bundle", "type": "collection", "entry": [{ "resource": patient }] });
    let entry = |resource: &Value, mode: &str| {
        let url = format!("http://upstream/fhir/{}/{CANARY}", resource["resourceType"].as_str().unwrap());
        json!({ "fullUrl": url, "resource": resource, "search": { "mode": mode } })
    };
    let bundle = json!({
        "resourceType": "Bundle", "type": "searchset", "total": 40,
        "entry": [
            entry(&lab("o1", "laboratory", "seen-1"), "match"), entry(&patient, "include"), entry(&parameters, "include"),
            entry(&inner, "include"), entry(&lab("o2", "vital-signs", "seen-2"), "match"),
            { "resource": { "resourceType": "Practitioner", "id": "d", "name": [{ "family": CANARY }] } },
            { "resource": { "id": "o3", "valueString": CANARY, "resourceType": "Condition" } },
        ],
    });
    bundle.to_string()
}

async fn asked(scope: &Value, role: &str, target: &str, body: String) -> (Reply, Vec<String>) {
    let (issuer, upstream) = (Issuer::new(), Upstream::answering(fhir(body), Then::Close).await);
    let gateway = issuer.gateway(upstream.address).await;
    let token = issuer.token(role, &json!({ "scope": scope }));
    let reply = get(&gateway, &token, target).await;
    (reply, upstream.requests())
}

#[tokio::test]
async fn a_token_without_scopes_for_resources_does_what_its_role_may() {
    for scope in
        [json!("openid fhirUser launch/patient offline_access"), json!("user/*.rs"), json!("system/*.cruds openid")]
    {
        let (reply, heard) = asked(&scope, "clinician", "/fhir/Observation?subject:Patient.name=x", everything()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.json()["total"] == 40 && reply.text().contains(CANARY), "{}", reply.text());
        assert!(heard[0].starts_with("GET /fhir/Observation?subject%3APatient.name=x HTTP/1.1"), "{}", heard[0]);
    }
}

#[tokio::test]
async fn a_request_is_made_only_where_a_scope_allows_its_interaction_on_its_type() {
    let cases = [
        ("user/Observation.rs", "/fhir/Observation/1", true),
        ("user/Observation.rs", "/fhir/Observation", true),
        ("user/Observation.r", "/fhir/Observation/1", true),
        ("user/Observation.r", "/fhir/Observation/1/_history/2", true),
        ("user/Observation.r", "/fhir/Observation", false),
        ("user/Observation.s", "/fhir/Observation", true),
        ("user/Observation.s", "/fhir/Observation/1", false),
        ("user/Observation.cud", "/fhir/Observation/1", false),
        ("user/Observation.read", "/fhir/Observation/1", true),
        ("user/Observation.write", "/fhir/Observation/1", false),
        ("user/Observation.*", "/fhir/Observation", true),
        ("user/Observation.rs", "/fhir/Patient/1", false),
        ("user/Observation.rs user/Patient.r", "/fhir/Patient/1", true),
        ("system/*.rs", "/fhir/Patient/1", true),
        ("patient/Observation.rs", "/fhir/Observation", false),
        ("user/Obs.rs", "/fhir/Observation", false),
        ("user/observation.rs", "/fhir/Observation", false),
        ("user/Observation.sr", "/fhir/Observation", false),
        ("User/Observation.rs", "/fhir/Observation", false),
        ("user/*.rs?", "/fhir/Observation", false),
        ("user/Observation.x openid", "/fhir/metadata", true),
    ];
    let issuer = Issuer::new();
    let upstream = Upstream::answering(fhir(r#"{"resourceType":"Observation","id":"1"}"#), Then::Close).await;
    let gateway = issuer.gateway(upstream.address).await;
    for (scope, target, allowed) in cases {
        let before = upstream.requests().len();
        let reply = get(&gateway, &issuer.token("clinician", &json!({ "scope": scope })), target).await;
        assert_eq!(upstream.requests().len() - before, usize::from(allowed), "{scope} {target} {}", reply.text());
        if !allowed {
            reply.is_outcome(403, "forbidden");
            assert!(!reply.text().contains("Obs."), "no value of the token is told: {}", reply.text());
        }
    }
    // A scope adds nothing to a role.
    let token = issuer.token("desk", &json!({ "scope": "user/*.cruds" }));
    get(&gateway, &token, "/fhir/Condition/1").await.is_outcome(403, "forbidden");
    let refused =
        get(&gateway, &issuer.token("clinician", &json!({ "scope": ["user/Patient.rs", 7] })), "/fhir/Patient/1").await;
    assert!(refused.field("www-authenticate").unwrap().contains("insufficient_scope"), "{}", refused.head);
    // Scopes are for resources, and no document is one.
    for (claims, status) in [(json!({}), 200), (json!({ "scope": "system/*.cruds" }), 403)] {
        let document = get(&gateway, &issuer.token("billing", &claims), "/plan/v1/members/1").await;
        assert_eq!(document.status, status, "{}", document.text());
    }
}

#[tokio::test]
async fn no_answer_holds_a_resource_of_a_type_that_no_scope_allows() {
    let (reply, _) = asked(&json!("user/Observation.rs launch"), "clinician", "/fhir/Observation", everything()).await;
    let (bundle, text) = (reply.json(), reply.text());
    assert!(!text.contains(CANARY) && !text.contains("Practitioner") && !text.contains("Condition"), "{text}");
    assert_eq!(bundle["total"], Value::Null, "it would count what is withheld");
    let entries = bundle["entry"].as_array().unwrap();
    let types: Vec<&Value> = entries.iter().map(|entry| &entry["resource"]["resourceType"]).collect();
    assert_eq!(types, ["Observation", "Parameters", "Bundle", "Observation"], "{text}");
    assert!(text.contains("seen-1") && text.contains("seen-2"), "{text}");
    let part = &entries[0]["resource"]["contained"];
    assert_eq!(*part, json!([{ "resourceType": "Observation", "id": "part", "valueString": "part" }]));
    assert_eq!(entries[1]["resource"], json!({ "resourceType": "Parameters" }));
    assert_eq!(entries[2]["resource"], json!({ "resourceType": "Bundle", "type": "collection" }));
    // A read that is answered with another type is answered with nothing.
    let patient = format!(r#"{{"resourceType":"Patient","id":"p","name":[{{"family":"{CANARY}"}}]}}"#);
    let (reply, heard) = asked(&json!("user/Observation.rs"), "clinician", "/fhir/Observation/p", patient).await;
    reply.is_outcome(404, "not-found");
    assert_eq!(heard.len(), 1);
    assert!(!reply.text().contains(CANARY));
    // What tells what the upstream can do tells of nobody.
    let (reply, _) = asked(&json!("user/Observation.rs"), "clinician", "/fhir/metadata", everything()).await;
    assert!(!reply.text().contains(CANARY) && reply.status == 404, "{}", reply.text());
}

#[tokio::test]
async fn l11_nothing_is_asked_by_way_of_resources_that_no_scope_allows() {
    let (issuer, upstream) = (Issuer::new(), Upstream::answering(fhir(everything()), Then::Close).await);
    let gateway = issuer.gateway(upstream.address).await;
    let token = issuer.token("clinician", &json!({ "scope": "user/Observation.rs" }));
    for query in [
        "subject:Patient.birthdate=1980",
        "patient.name=x",
        "_has:Provenance:target:agent=x",
        "_filter=code%20eq%20x",
        "_text=x",
        "_content=x",
        "_query=x",
        "_list=x",
        "_summary=count",
        "_count=0",
    ] {
        let reply = get(&gateway, &token, &format!("/fhir/Observation?{query}")).await;
        assert_eq!(reply.status, 403, "{query}: {}", reply.text());
        let reply = post(&gateway, &token, "/fhir/Observation/_search", query).await;
        assert_eq!(reply.status, 403, "{query}: {}", reply.text());
    }
    assert_eq!(upstream.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_granular_scope_narrows_the_search_and_holds_each_answer() {
    let scope = json!("user/Observation.rs?category=http://c|laboratory user/Patient.rs");
    let (reply, heard) = asked(&scope, "clinician", "/fhir/Observation?status=final", everything()).await;
    let text = reply.text();
    assert!(heard[0].starts_with("GET /fhir/Observation?status=final&"), "{}", heard[0]);
    assert!(heard[0].contains("&category=http%3A%2F%2Fc%7Claboratory"), "{}", heard[0]);
    assert!(text.contains("seen-1") && !text.contains("seen-2") && !text.contains("\"part\""), "{text}");
    // What is included is of a type that another scope allows.
    assert!(text.contains(r#""resourceType":"Patient""#));

    let one = |code: &str| {
        format!(
            r#"{{"resourceType":"Observation","id":"1","category":[{{"coding":[{{"system":"http://c","code":"{code}"}}]}}],"valueString":"{CANARY}"}}"#
        )
    };
    let (seen, _) = asked(&scope, "clinician", "/fhir/Observation/1", one("laboratory")).await;
    assert!(seen.status == 200 && seen.text().contains(CANARY));
    let (withheld, _) = asked(&scope, "clinician", "/fhir/Observation/1", one("vital-signs")).await;
    withheld.is_outcome(404, "not-found");
    assert!(!withheld.text().contains(CANARY));

    // Several are several ways in, and the letters of each are its own.
    let scope = json!(
        "user/Observation.rs?category=laboratory user/Observation.s?category=exam user/Observation.r?category=vital-signs"
    );
    let (reply, heard) = asked(&scope, "clinician", "/fhir/Observation", everything()).await;
    assert!(heard[0].starts_with("GET /fhir/Observation?category=laboratory%2Cexam HTTP"), "{}", heard[0]);
    assert!(reply.text().contains("seen-1") && !reply.text().contains("seen-2"), "{}", reply.text());
    let (reply, _) = asked(&scope, "clinician", "/fhir/Observation/1", one("vital-signs")).await;
    assert_eq!(reply.status, 200);
    let (reply, _) = asked(&scope, "clinician", "/fhir/Observation/1", one("exam")).await;
    reply.is_outcome(404, "not-found");
}

#[tokio::test]
async fn a_granular_scope_that_can_not_be_checked_allows_nothing() {
    for condition in [
        "date=ge2020",
        "code-value-quantity=x",
        "category:in=http://v",
        "subject=Patient/1",
        "nothing=x",
        "value-string=x",
    ] {
        let scope = json!(format!("user/Observation.rs?{condition}"));
        let (reply, heard) = asked(&scope, "clinician", "/fhir/Observation", everything()).await;
        reply.is_outcome(403, "forbidden");
        assert!(reply.text().contains("granular"), "{}", reply.text());
        assert_eq!(heard, Vec::<String>::new(), "{condition}");
        // Nor as one of several conditions, nor for what is included.
        let scope = json!(format!("user/Patient.rs user/Observation.rs?status=final&{condition}"));
        let (reply, _) = asked(&scope, "clinician", "/fhir/Patient", everything()).await;
        assert!(!reply.text().contains("seen-"), "{}", reply.text());
    }
}

#[tokio::test]
async fn an_issuer_may_be_held_to_scopes() {
    let (issuer, upstream) = (Issuer::new(), Upstream::answering(fhir(everything()), Then::Close).await);
    let gateway = Running::start(upstream.address, issuer.setup("    scopes: required")).await;
    for claims in [json!({}), json!({ "scope": "openid launch/patient" }), json!({ "scope": 7 })] {
        get(&gateway, &issuer.token("clinician", &claims), "/fhir/Observation").await.is_outcome(403, "forbidden");
    }
    assert_eq!(upstream.requests(), Vec::<String>::new());
    let token = issuer.token("clinician", &json!({ "scope": "user/Observation.s" }));
    assert_eq!(get(&gateway, &token, "/fhir/Observation").await.status, 200);
}

#[tokio::test]
async fn l18_a_page_link_is_of_the_scopes_that_it_was_given_for() {
    let (issuer, address) = (Issuer::new(), std::sync::Arc::new(std::sync::OnceLock::<String>::new()));
    let known = std::sync::Arc::clone(&address);
    let upstream = Upstream::choosing(move |_| {
        let base = known.get().unwrap();
        let next = format!("http://{base}/fhir/Observation?category=laboratory&_getpages=2&status=final");
        (fhir(format!(r#"{{"resourceType":"Bundle","link":[{{"relation":"next","url":"{next}"}}]}}"#)), Then::Close)
    })
    .await;
    address.set(upstream.address.to_string()).unwrap();
    let gateway = issuer.gateway(upstream.address).await;
    let granular = json!({ "scope": "user/Observation.rs?category=laboratory" });
    let first = get(&gateway, &issuer.token("clinician", &granular), "/fhir/Observation?status=final").await.json();
    let next = first["link"][0]["url"].as_str().unwrap().strip_prefix("http://gw.example").unwrap().to_owned();
    assert!(!next.contains("category"), "what narrows a search is not the caller's: {next}");
    // Another token of the same reach goes on, with the search narrowed as before.
    let reply = get(&gateway, &issuer.token("clinician", &granular), &next).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(upstream.requests()[1].contains("category=laboratory"), "{}", upstream.requests()[1]);
    for other in [json!({}), json!({ "scope": "user/Observation.rs?category=exam" }), json!({ "scope": "user/*.rs" })] {
        get(&gateway, &issuer.token("clinician", &other), &next).await.is_outcome(403, "forbidden");
    }
}
