//! What callers get: by role, by status, by coding, by page, and what is never in it.

use std::io::Write;
use std::sync::Arc;

use fieldgate::demo::people::Population;
use fieldgate::demo::upstream::Running as Demo;
use serde_json::{Value, json};

use crate::gateway::{Running, Setup};
use crate::upstream::{CANARY, Then, Upstream, answer, fhir, patient};

async fn demo() -> Demo {
    let population = Population::generate(7, 30, "2026-11-22".parse().unwrap());
    Demo::start(Arc::new(population)).await.unwrap()
}

#[tokio::test]
async fn three_roles_get_three_answers_to_one_request() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    let answers = [
        gateway.get("desk", "/fhir/Patient/1").await.json(),
        gateway.get("billing", "/fhir/Patient/1").await.json(),
        gateway.get("clinician", "/fhir/Patient/1").await.json(),
    ];
    let [desk, billing, clinician] = &answers;
    assert_eq!((&desk["name"][0]["family"], &desk["birthDate"]), (&json!("Lovelace"), &json!("1980")));
    assert_eq!((&desk["identifier"], &desk["address"]), (&Value::Null, &Value::Null));
    assert_eq!((&billing["birthDate"], &billing["name"]), (&json!("1980-12-10"), &Value::Null));
    assert_eq!(billing["identifier"][0]["value"], "id-1");
    assert_eq!(*clinician, serde_json::from_str::<Value>(&patient()).unwrap(), "byte for byte");
    for told in [desk, billing] {
        assert!(!told.to_string().contains(CANARY), "{told}");
        assert_eq!(told["meta"]["security"][0]["code"], "REDACTED");
    }
    // A caller with several roles picks one; otherwise the endpoint's first counts.
    let picked = gateway.get_with("both", "/fhir/Patient/1", "fieldgate-role: clinician\r\n").await.json();
    assert_eq!(picked, *clinician);
    assert_eq!(gateway.get("both", "/fhir/Patient/1").await.json(), *desk);
}

#[tokio::test]
async fn every_filtered_answer_says_what_it_depends_on_and_nothing_of_the_upstreams_bytes() {
    let fields = format!(
        "content-type: application/fhir+json\r\netag: W/\"{CANARY}\"\r\nlast-modified: Sun, 22 Nov 2026 08:00:00 GMT\r\n\
         digest: sha-256={CANARY}\r\naccept-ranges: bytes\r\nset-cookie: s={CANARY}\r\nx-powered-by: {CANARY}\r\n\
         location: http://other.example/{CANARY}\r\nserver: {CANARY}\r\nx-request-id: {CANARY}\r\nlink: <{CANARY}>\r\n"
    );
    let upstream = Upstream::answering(answer("200 OK", &fields, patient()), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    for caller in ["desk", "clinician"] {
        let reply = gateway.get(caller, "/fhir/Patient/1").await;
        assert_eq!(reply.status, 200);
        let names: Vec<&str> =
            reply.head.lines().skip(1).filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
        let known = [
            "content-type",
            "etag",
            "cache-control",
            "vary",
            "fieldgate-policy",
            "x-request-id",
            "transfer-encoding",
            "date",
        ];
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
        assert_eq!(reply.field("cache-control"), Some("private, no-store"));
        assert_eq!(reply.field("fieldgate-policy").unwrap(), gateway.generation.load().policy.generation());
        assert!(reply.field("vary").unwrap().contains("fieldgate-role"));
        assert!(!reply.head.contains(&CANARY.to_ascii_lowercase()), "{}", reply.head);
    }
}

#[tokio::test]
async fn l32_the_upstream_gets_none_of_the_callers_own_words_about_itself() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    let fields = "x-role: clinician\r\nx-forwarded-for: 10.0.0.1\r\nx-forwarded-client-cert: By=x\r\n\
                  x-http-method-override: DELETE\r\ncookie: a=b\r\nrange: bytes=0-9\r\nif-none-match: W/\"1\"\r\n\
                  accept-encoding: gzip\r\nconnection: accept-language\r\naccept-language: de\r\nuser-agent: me\r\n\
                  traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let reply = gateway.get_with("desk", "/%66hir/Patient/1?_format=json", fields).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let heard = upstream.requests().remove(0);
    let mut lines = heard.lines();
    assert_eq!(lines.next(), Some("GET /fhir/Patient/1 HTTP/1.1"));
    let mut names: Vec<&str> = lines.filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "host", "traceparent", "x-request-id"]);
    assert!(heard.contains(&format!("host: {}", upstream.address)));
    assert!(heard.contains("traceparent: 00-0af7651916cd43dd8448eb211c80319c-"), "{heard}");
    assert!(heard.contains(reply.field("x-request-id").unwrap()));
}

#[tokio::test]
async fn l24_a_head_answers_as_the_get_without_a_body_and_without_its_length() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    let key = crate::gateway::key("desk");
    let message = |path: &str| format!("HEAD {path} HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {key}\r\n\r\n");
    let reply = gateway.ask(&message("/fhir/Patient/1")).await;
    assert_eq!((reply.status, reply.field("content-length")), (200, None), "{}", reply.head);
    assert_eq!(reply.field("content-type"), Some("application/fhir+json"));
    let refused = gateway.ask(&message("/fhir/Condition/1")).await;
    assert_eq!((refused.status, refused.field("content-length")), (403, None), "{}", refused.head);
}

#[tokio::test]
async fn l25_each_content_coding_is_undone_before_anything_is_decided() {
    let plain = patient();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(plain.as_bytes()).unwrap();
    let mut brotli = Vec::new();
    brotli::CompressorWriter::new(&mut brotli, 4096, 5, 22).write_all(plain.as_bytes()).unwrap();
    let zstd = zstd::encode_all(plain.as_bytes(), 3).unwrap();
    for (coding, body) in [("gzip", gzip.finish().unwrap()), ("br", brotli), ("zstd", zstd)] {
        let fields = format!("content-type: application/fhir+json\r\ncontent-encoding: {coding}\r\n");
        let upstream = Upstream::answering(answer("200 OK", &fields, body), Then::Close).await;
        let gateway = Running::before(upstream.address).await;
        let reply = gateway.get("desk", "/fhir/Patient/1").await;
        assert_eq!(reply.json()["birthDate"], "1980", "{coding}");
        assert_eq!(reply.field("content-encoding"), None);
        assert!(!reply.text().contains(CANARY));
    }
}

#[tokio::test]
async fn l09_a_resource_that_is_withheld_as_a_whole_looks_like_one_that_is_not_there() {
    let upstream = Upstream::choosing(|head| {
        let preliminary = format!(r#"{{"resourceType":"Observation","id":"1","status":"preliminary","x":"{CANARY}"}}"#);
        let outcome = format!(
            r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"error","code":"not-found","diagnostics":"{CANARY}"}}]}}"#
        );
        let fields = "content-type: application/fhir+json\r\n";
        let body = match head.split(' ').nth(1).unwrap() {
            "/fhir/Observation/withheld" => fhir(preliminary),
            "/fhir/Observation/gone" => answer("410 Gone", fields, outcome),
            _ => answer("404 Not Found", fields, outcome),
        };
        (body, Then::Close)
    })
    .await;
    let gateway = Running::before(upstream.address).await;
    let absent = gateway.get("desk", "/fhir/Observation/absent").await;
    absent.is_outcome(404, "not-found");
    for other in ["withheld", "gone"] {
        let reply = gateway.get("desk", &format!("/fhir/Observation/{other}")).await;
        assert_eq!((reply.status, reply.text()), (404, absent.text()), "{other}");
        let without_ids = |reply: &crate::gateway::Reply| {
            let lines =
                reply.head.lines().filter(|line| !line.starts_with("x-request-id") && !line.starts_with("date"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(without_ids(&reply), without_ids(&absent));
    }
    assert_eq!(gateway.get("clinician", "/fhir/Observation/gone").await.status, 410);
}

#[tokio::test]
async fn l19_an_upstreams_error_passes_its_codes_and_none_of_its_words() {
    let outcome = format!(
        r#"{{"resourceType":"OperationOutcome","text":{{"div":"{CANARY}"}},"issue":[{{"severity":"error","code":"invalid","diagnostics":"{CANARY}","details":{{"text":"{CANARY}"}}}}]}}"#
    );
    for (upstreams, gateways) in [("400 Bad Request", 400), ("422 Unprocessable Content", 422), ("500 Oops", 502)] {
        for (media_type, body) in [
            ("application/fhir+json", outcome.clone()),
            ("application/json", format!(r#"{{"error":"{CANARY}"}}"#)),
            ("text/html", format!("<h1>{CANARY}</h1>")),
            ("application/fhir+json", format!("{CANARY} is not JSON")),
        ] {
            let fields = format!("content-type: {media_type}\r\n");
            let upstream = Upstream::answering(answer(upstreams, &fields, body), Then::Close).await;
            let gateway = Running::before(upstream.address).await;
            let reply = gateway.get("desk", "/fhir/Patient/1").await;
            assert_eq!(reply.status, gateways);
            assert_eq!(reply.json()["resourceType"], "OperationOutcome", "{}", reply.text());
            assert!(!reply.text().contains(CANARY), "{}", reply.text());
        }
    }
}

#[tokio::test]
async fn a_search_is_followed_page_by_page_to_its_end() {
    let demo = demo().await;
    let gateway = Running::before(demo.addr).await;
    let (mut next, mut ids) = (Some("/fhir/Patient?_count=7".to_owned()), Vec::new());
    while let Some(target) = next.take() {
        let page = gateway.get("desk", &target).await.json();
        assert_eq!(page["resourceType"], "Bundle", "{page}");
        for entry in page["entry"].as_array().unwrap() {
            let id = entry["resource"]["id"].as_str().unwrap().to_owned();
            assert_eq!(entry["fullUrl"], format!("http://gw.example/fhir/Patient/{id}"));
            ids.push(id);
        }
        let links = page["link"].as_array().unwrap();
        let link = links.iter().find(|link| link["relation"] == "next").and_then(|link| link["url"].as_str());
        next = link.map(|url| url.strip_prefix("http://gw.example").unwrap().to_owned());
        assert!(!page.to_string().contains(&demo.addr.to_string()), "{page}");
        assert!(ids.len() <= 30);
        if let Some(link) = &next {
            // L18: it is the caller's own.
            gateway.get("billing", link).await.is_outcome(403, "forbidden");
            gateway.get("desk", &link.replace("_getpages=", "_getpages=x")).await.is_outcome(403, "forbidden");
        }
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 30);
}

#[tokio::test]
async fn a_search_by_post_stays_a_post_and_is_held_to_the_same_rules() {
    let upstream = Upstream::answering(fhir(r#"{"resourceType":"Bundle","type":"searchset"}"#), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    let post = |form: &str| {
        let (key, length) = (crate::gateway::key("desk"), form.len());
        format!(
            "POST /fhir/Patient/_search?gender=female HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {key}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{form}"
        )
    };
    assert_eq!(gateway.ask(&post("name=Ada")).await.status, 200);
    let heard = upstream.requests().remove(0);
    assert!(heard.starts_with("POST /fhir/Patient/_search HTTP/1.1\r\n"), "{heard}");
    assert!(heard.ends_with("\r\n\r\ngender=female&name=Ada"), "{heard}");
    let refused = gateway.ask(&post("birthdate=2001-01-01")).await;
    refused.is_outcome(403, "forbidden");
    assert!(refused.text().contains("Patient.birthDate") && !refused.text().contains("2001"), "{}", refused.text());
    assert_eq!(upstream.requests().len(), 1, "the refused one was not asked");
}

#[tokio::test]
async fn a_document_is_seen_by_the_role_that_it_is_for() {
    let demo = demo().await;
    let population = Population::generate(7, 30, "2026-11-22".parse().unwrap());
    let (id, record) = population.members().next().unwrap();
    let gateway = Running::before(demo.addr).await;
    let reply = gateway.get("billing", &format!("/plan/v1/members/{id}")).await;
    assert_eq!(reply.field("content-type"), Some("application/json"));
    let seen = reply.json();
    assert_eq!(seen["id"], record["id"]);
    assert!(seen.as_object().unwrap().keys().all(|name| name == "id" || name == "plan"), "{seen}");
    for (caller, target, status) in [
        ("desk", format!("/plan/v1/members/{id}"), 403),
        ("billing", "/plan/v1/members/none".to_owned(), 404),
        ("billing", "/plan/v1/members".to_owned(), 404),
        ("billing", format!("/plan/v1/members/{id}?expand=claims"), 403),
    ] {
        let reply = gateway.get(caller, &target).await;
        assert_eq!(reply.status, status, "{target}");
        assert_eq!(reply.field("content-type"), Some("application/problem+json"));
        let problem = reply.json();
        assert_eq!(problem["status"], status);
        assert!(!problem["detail"].as_str().unwrap().contains("none"), "{problem}");
    }
}

#[tokio::test]
async fn the_audit_trail_and_the_metrics_tell_what_was_released_and_never_a_value() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    assert_eq!(gateway.get("desk", "/fhir/Patient/1").await.status, 200);
    gateway.get("desk", "/fhir/Patient?birthdate=1980-12-10").await.is_outcome(403, "forbidden");
    assert_eq!(gateway.get("stranger", "/fhir/Patient/1").await.status, 401);
    let metrics = gateway.metrics();
    for line in [
        r#"fieldgate_http_request_duration_seconds_count{endpoint="ehr",interaction="read",role="desk",status="200"} 1"#,
        r#"fieldgate_elements_total{resource="Patient",role="desk",treatment="transform"} 1"#,
        r#"fieldgate_refused_total{reason="search-hidden"} 1"#,
        r#"fieldgate_refused_total{reason="credentials"} 1"#,
        "fieldgate_http_requests_in_flight 0",
        "fieldgate_held_bytes 0",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} is not in\n{metrics}");
    }
    let trail = gateway.trail().await;
    let records: Vec<Value> = trail.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let kinds: Vec<&str> = records.iter().filter_map(|record| record["kind"].as_str()).collect();
    assert_eq!(kinds, ["begin", "end", "refusal"], "strangers are not in the trail");
    assert_eq!((&records[0]["interaction"], &records[0]["resource_id"]), (&json!("read"), &json!("1")));
    assert_eq!(records[1]["outcome"], "complete");
    assert_eq!(records[1]["released"]["Patient"]["gender"], 1, "{}", records[1]);
    assert_eq!(records[1]["transformed"]["Patient"]["birthDate"], 1);
    assert_eq!((&records[2]["status"], &records[2]["why"]), (&json!(403), &json!("search-hidden")));
    for text in [&trail, &metrics] {
        assert!(!text.contains(CANARY) && !text.contains("1980") && !text.contains("Lovelace"), "{text}");
    }
}

#[tokio::test]
async fn l36_an_answer_ends_under_the_policy_that_it_began_with() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    let before = gateway.get("desk", "/fhir/Patient/1").await;
    assert_eq!(before.json()["gender"], "female");
    let other = tempfile::tempdir().unwrap();
    let policy = crate::gateway::POLICY.replace("gender: show, ", "");
    let next = crate::gateway::gateway(upstream.address, Setup { policy, ..Setup::default() }, other.path());
    gateway.generation.store(Arc::new(next));
    let after = gateway.get("desk", "/fhir/Patient/1").await;
    assert_eq!(after.json()["gender"], Value::Null);
    assert_ne!(before.field("fieldgate-policy"), after.field("fieldgate-policy"));
}
