//! What the gateway says of itself: to everyone before there is a token, and to each role of what it may do.

use std::collections::BTreeSet;
use std::sync::Arc;

use fieldgate::demo::people::Population;
use fieldgate::demo::upstream::Running as Demo;
use fieldgate::fhir::Definitions;
use serde_json::{Value, json};

use crate::gateway::{Running, Setup};
use crate::tokens::{ISSUER, Issuer, get};
use crate::upstream::{CANARY, Then, Upstream, fhir};

const TARGET: &str = "/fhir/.well-known/smart-configuration";

async fn ask(gateway: &Running, method: &str, target: &str) -> crate::gateway::Reply {
    gateway.ask(&format!("{method} {target} HTTP/1.1\r\nhost: gw.example\r\n\r\n")).await
}

#[tokio::test]
async fn the_smart_configuration_is_the_gateways_own_and_for_everyone() {
    let (issuer, upstream) = (Issuer::new(), Upstream::answering(fhir(CANARY), Then::Close).await);
    let gateway = issuer.gateway(upstream.address).await;
    let reply = ask(&gateway, "GET", TARGET).await;
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("application/json")), "{}", reply.text());
    let told = reply.json();
    assert_eq!(told["issuer"], ISSUER);
    assert_eq!(told["jwks_uri"], Value::Null, "the keys are in a file");
    assert_eq!(
        told["capabilities"],
        json!(["permission-patient", "permission-user", "permission-v1", "permission-v2"])
    );
    // Some role of the endpoint sees everything; none may write.
    assert_eq!(told["scopes_supported"], json!(["patient/*.rs", "user/*.rs", "system/*.rs"]));
    assert_eq!(ask(&gateway, "HEAD", TARGET).await.status, 200);
    // A token is not looked at, and nothing else is public.
    assert_eq!(get(&gateway, "nonsense", TARGET).await.status, 200);
    for (method, target) in [
        ("GET", "/fhir/.well-known/openid-configuration"),
        ("GET", "/fhir/.well-known/smart-configuration/"),
        ("GET", "/fhir/Patient/.well-known/smart-configuration"),
        ("GET", "/plan/.well-known/smart-configuration"),
        ("POST", TARGET),
        ("GET", "/fhir/metadata"),
    ] {
        let reply = ask(&gateway, method, target).await;
        assert_eq!(reply.status, 401, "{method} {target}: {}", reply.text());
    }
    assert_eq!(upstream.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn scopes_are_supported_as_far_as_a_role_of_the_endpoint_sees() {
    let (issuer, upstream) = (Issuer::new(), Upstream::answering(fhir(CANARY), Then::Close).await);
    let gateway = Running::start(upstream.address, Setup { roles: vec!["desk"], ..issuer.setup("") }).await;
    let told = ask(&gateway, "GET", TARGET).await.json();
    let scopes: BTreeSet<&str> =
        told["scopes_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for seen in ["patient/Patient.rs", "user/Patient.rs", "system/Observation.rs"] {
        assert!(scopes.contains(seen), "{scopes:?}");
    }
    assert!(!scopes.iter().any(|scope| scope.contains("Condition") || scope.contains('*')), "{scopes:?}");
    // Who takes no tokens has no such configuration.
    let gateway = Running::before(upstream.address).await;
    assert_eq!(ask(&gateway, "GET", TARGET).await.status, 401);
}

#[tokio::test]
async fn the_capability_statement_tells_what_the_role_may_do() {
    let interaction = |code: &str| json!({ "code": code });
    let possible = ["read", "vread", "update", "delete", "history-instance", "search-type"].map(interaction);
    let resource = |name: &str| {
        json!({
            "type": name, "conditionalCreate": true, "versioning": "versioned", "operation": [{ "name": CANARY }],
            "interaction": possible,
            "searchParam": [{ "name": "_id", "type": "token" }],
        })
    };
    let all = ["Patient", "Condition", "Observation"];
    let resources = all.map(resource);
    let statement = json!({
        "resourceType": "CapabilityStatement", "status": "active", "kind": "instance",
        "rest": [{
            "mode": "server", "security": { "description": CANARY }, "interaction": [{ "code": "transaction" }],
            "operation": [{ "name": CANARY }], "resource": resources,
        }],
        "messaging": [{ "documentation": CANARY }],
    });
    let (issuer, upstream) = (Issuer::new(), Upstream::answering(fhir(statement.to_string()), Then::Close).await);
    let gateway = issuer.gateway(upstream.address).await;
    let told = |types: &[&str], codes: &[&str]| {
        let codes: Vec<Value> = codes.iter().map(|code| interaction(code)).collect();
        let resource = |name: &&str| {
            json!({
                "type": name, "interaction": codes, "versioning": "versioned",
                "searchParam": [{ "name": "_id", "type": "token" }],
            })
        };
        json!([{ "mode": "server", "resource": types.iter().map(resource).collect::<Vec<_>>() }])
    };
    for (role, types, codes) in [
        ("desk", &["Patient", "Observation"][..], &["read", "search-type"][..]),
        ("clinician", &all, &["read", "vread", "search-type"]),
        ("own", &all, &["read", "vread", "search-type"]),
    ] {
        let reply = get(&gateway, &issuer.token(role, &json!({})), "/fhir/metadata").await;
        assert_eq!(reply.json()["rest"], told(types, codes), "{role}");
        assert!(!reply.text().contains(CANARY), "{}", reply.text());
    }
}

#[tokio::test]
async fn the_capability_statement_tells_of_searches_what_may_be_asked_and_nothing_else() {
    let definitions = Definitions::r4();
    let types = ["Patient", "Observation", "Encounter"];
    let parameters = |name: &str| -> Vec<String> {
        let standard = definitions.search_parameters(name).map(|known| known.code.to_string());
        standard.chain(["own", "other"].map(String::from)).collect()
    };
    let inclusions: Vec<String> = types
        .iter()
        .flat_map(|of| definitions.search_parameters(of).map(move |known| format!("{of}:{}", known.code)))
        .collect();
    let resource = |of: &&str| {
        let parameters = parameters(of).into_iter().map(|name| json!({ "name": name, "type": "token" }));
        let mut resource = json!({ "searchParam": parameters.collect::<Vec<_>>() });
        resource["searchInclude"] = inclusions.clone().into();
        resource["searchRevInclude"] = inclusions.clone().into();
        // What it is of stands behind what it tells.
        resource["type"] = (*of).into();
        resource
    };
    let resources: Vec<Value> = types.iter().map(resource).collect();
    let statement = json!({ "resourceType": "CapabilityStatement", "rest": [{ "resource": resources }] });
    let upstream = Upstream::answering(fhir(statement.to_string()), Then::Close).await;
    let issuer = Issuer::new();
    let sees = "Patient: { \"*\": show, birthDate: hide }\n      Encounter: { \"*\": show }";
    let mut setup = issuer.setup("");
    setup.policy = setup.policy.replace("Patient: { name: show, gender: show, birthDate: year }", sees);
    for (of, path) in [("Patient", "gender"), ("Observation", "value")] {
        setup.declared.insert(definitions.resource(of).unwrap(), "own", [path.into()]);
    }
    let gateway = Running::start(upstream.address, setup).await;
    let whole = get(&gateway, &issuer.token("clinician", &json!({})), "/fhir/metadata").await.json();
    assert_eq!(whole, statement, "who sees everything may ask everything");

    let token = issuer.token("desk", &json!({}));
    let told = get(&gateway, &token, "/fhir/metadata").await.json();
    let (mut asked, mut refused) = (0, 0);
    for (of, told) in types.iter().zip(told["rest"][0]["resource"].as_array().unwrap()) {
        let names = |member: &str, name: fn(&Value) -> &Value| -> BTreeSet<String> {
            let told = told[member].as_array().into_iter().flatten();
            told.map(|value| name(value).as_str().unwrap().to_owned()).collect()
        };
        let parameters = parameters(of).into_iter().map(|name| (format!("{name}=1"), ("searchParam", name)));
        let there = inclusions.iter().map(|value| (format!("_include={value}"), ("searchInclude", value.clone())));
        let back = inclusions.iter().map(|value| (format!("_revinclude={value}"), ("searchRevInclude", value.clone())));
        let of_itself = |value: &str| value.starts_with(&format!("{of}:"));
        for (query, (member, value)) in parameters.chain(there.filter(|(_, (_, value))| of_itself(value))).chain(back) {
            let name: fn(&Value) -> &Value = if member == "searchParam" { |told| &told["name"] } else { |told| told };
            let before = upstream.requests().len();
            let reply = get(&gateway, &token, &format!("/fhir/{of}?{query}")).await;
            // An inclusion of nothing that is seen is asked for in vain.
            let upstreams = upstream.requests();
            let goes = reply.status == 200
                && upstreams[before..].iter().any(|sent| member == "searchParam" || sent.contains("include="));
            assert_eq!(names(member, name).contains(&value), goes, "{of} {query}: {}", reply.text());
            (asked, refused) = (asked + u32::from(goes), refused + u32::from(!goes));
        }
    }
    assert!(asked > 40 && refused > 40, "{asked} asked, {refused} refused");
}

#[tokio::test]
async fn what_the_capability_statement_tells_can_be_done() {
    let population = Arc::new(Population::generate(7, 4, "2026-11-22".parse().unwrap()));
    let demo = Demo::start(Arc::clone(&population)).await.unwrap();
    let issuer = Issuer::new();
    let gateway = issuer.gateway(demo.addr).await;
    for role in ["desk", "clinician"] {
        let token = issuer.token(role, &json!({}));
        let statement = get(&gateway, &token, "/fhir/metadata").await.json();
        let resources = statement["rest"][0]["resource"].as_array().unwrap();
        assert_eq!(resources.len() == 2, role == "desk", "{statement}");
        for resource in resources {
            let kind = resource["type"].as_str().unwrap();
            let Some(id) = population.of_type(kind).next().and_then(|known| known["id"].as_str()) else { continue };
            for code in resource["interaction"].as_array().unwrap() {
                let target = match code["code"].as_str().unwrap() {
                    "read" => format!("/fhir/{kind}/{id}"),
                    "vread" => format!("/fhir/{kind}/{id}/_history/1"),
                    "search-type" => format!("/fhir/{kind}"),
                    other => panic!("{other} of {kind}"),
                };
                let reply = get(&gateway, &token, &target).await;
                assert_eq!(reply.status, 200, "{role} {target}: {}", reply.text());
            }
        }
    }
    // What is stored as a resource stays as it is.
    let stored = r#"{"resourceType":"CapabilityStatement","id":"1","rest":[{"interaction":[{"code":"batch"}]}]}"#;
    let upstream = Upstream::answering(fhir(stored), Then::Close).await;
    let gateway = issuer.gateway(upstream.address).await;
    let token = issuer.token("clinician", &json!({}));
    assert_eq!(get(&gateway, &token, "/fhir/CapabilityStatement/1").await.text(), stored);
    // And nothing but a statement is told as one.
    let patient = format!(r#"{{"resourceType":"Patient","id":"1","name":[{{"family":"{CANARY}"}}]}}"#);
    let upstream = Upstream::answering(fhir(patient), Then::Close).await;
    let gateway = issuer.gateway(upstream.address).await;
    get(&gateway, &token, "/fhir/metadata").await.is_outcome(404, "not-found");
}
