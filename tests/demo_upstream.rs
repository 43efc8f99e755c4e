//! The sample upstream over real sockets: searches, pages, includes, validators, and errors that repeat what was asked.
#![cfg(feature = "demo")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use fieldgate::demo::people::{DEMO_PATIENTS, DEMO_SEED, Population};
use fieldgate::demo::upstream::Running;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jiff::civil::date;
use serde_json::Value;

struct Fixture {
    population: Arc<Population>,
    upstream: Running,
}

impl Fixture {
    async fn start() -> Self {
        let population = Arc::new(Population::generate(DEMO_SEED, DEMO_PATIENTS, date(2026, 11, 22)));
        let upstream = Running::start(Arc::clone(&population)).await.unwrap();
        Self { population, upstream }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (head, body) = client.request(request).await.unwrap().into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }

    async fn ask(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).unwrap()).await
    }

    /// The status and JSON of a FHIR path.
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.ask(Method::GET, &format!("{}/{path}", self.upstream.fhir_url()), &[]).await;
        (response.status(), serde_json::from_slice(response.body()).unwrap())
    }

    async fn found(&self, path: &str) -> Vec<Value> {
        let (status, bundle) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{bundle}");
        bundle["entry"].as_array().cloned().unwrap_or_default()
    }

    fn patient(&self, number: usize) -> &Value {
        self.population.of_type("Patient").nth(number).unwrap()
    }
}

fn id(resource: &Value) -> &str {
    resource["id"].as_str().unwrap()
}

#[tokio::test]
async fn a_read_answers_the_resource_with_its_validators() {
    let fixture = Fixture::start().await;
    let patient = fixture.patient(0);
    let url = format!("{}/Patient/{}", fixture.upstream.fhir_url(), id(patient));
    let response = fixture.ask(Method::GET, &url, &[]).await;
    assert_eq!(serde_json::from_slice::<Value>(response.body()).unwrap(), *patient);
    assert_eq!(response.headers()["etag"], "W/\"1\"");
    assert!(response.headers()["last-modified"].to_str().unwrap().ends_with(" GMT"));
    assert_eq!(response.headers()["content-length"], response.body().len().to_string());

    let again = fixture.ask(Method::GET, &url, &[("if-none-match", "W/\"1\"")]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let head = fixture.ask(Method::HEAD, &url, &[]).await;
    assert_eq!(head.headers()["content-length"], response.body().len().to_string());
    assert!(head.body().is_empty());
    let version = fixture.ask(Method::GET, &format!("{url}/_history/1"), &[]).await;
    assert_eq!(version.body(), response.body());
}

#[tokio::test]
async fn a_birthdate_search_honours_its_prefixes() {
    let fixture = Fixture::start().await;
    let born = fixture.patient(3)["birthDate"].as_str().unwrap().to_owned();
    for (prefix, holds) in [
        ("ge", (|date: &str, born: &str| date >= born) as fn(&str, &str) -> bool),
        ("le", |date, born| date <= born),
        ("gt", |date, born| date > born),
        ("lt", |date, born| date < born),
        ("ne", |date, born| date != born),
        ("", |date, born| date == born),
    ] {
        let expected: HashSet<&str> = fixture
            .population
            .of_type("Patient")
            .filter(|patient| holds(patient["birthDate"].as_str().unwrap(), &born))
            .map(id)
            .collect();
        let entries = fixture.found(&format!("Patient?birthdate={prefix}{born}&_count=100")).await;
        let found: HashSet<&str> = entries.iter().map(|entry| id(&entry["resource"])).collect();
        assert_eq!(found, expected, "{prefix}");
        assert!(!found.is_empty());
    }
    let year = born.get(..4).unwrap();
    assert!(!fixture.found(&format!("Patient?birthdate={year}")).await.is_empty());
}

#[tokio::test]
async fn following_next_links_meets_every_match_once() {
    let fixture = Fixture::start().await;
    let expected = fixture.population.of_type("Encounter").count();
    let mut seen = HashSet::new();
    let mut url = Some(format!("{}/Encounter?status=finished&_count=7", fixture.upstream.fhir_url()));
    for _ in 0..expected {
        let Some(next) = url else { break };
        let bundle: Value = serde_json::from_slice(fixture.ask(Method::GET, &next, &[]).await.body()).unwrap();
        assert_eq!(bundle["total"], expected);
        for entry in bundle["entry"].as_array().unwrap() {
            let full_url = entry["fullUrl"].as_str().unwrap();
            assert!(full_url.starts_with(&fixture.upstream.fhir_url()));
            assert!(seen.insert(full_url.to_owned()), "{full_url} came twice");
        }
        let link = bundle["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
        url = link.map(|link| link["url"].as_str().unwrap().to_owned());
        assert!(url.as_ref().is_none_or(|url| url.contains("?_getpages=")));
    }
    assert_eq!(seen.len(), expected);
}

#[tokio::test]
async fn patients_are_found_by_name_identifier_telephone_and_gender() {
    let fixture = Fixture::start().await;
    let patient = fixture.patient(2);
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let family = patient["name"][0]["family"].as_str().unwrap();
    let mrn = patient["identifier"][0]["value"].as_str().unwrap();
    let phone = patient["telecom"][0]["value"].as_str().unwrap();
    for query in [
        format!("name={}", encoded(&family.to_lowercase())),
        format!("family:exact={}", encoded(family)),
        format!("family:contains={}", encoded(&family.chars().skip(1).collect::<String>())),
        format!("identifier={}", encoded(&format!("https://harrowvalley.example/mrn|{mrn}"))),
        format!("identifier={mrn}"),
        format!("phone={}", phone.replace('-', "")),
        format!("_id={}", id(patient)),
        format!("gender={}", patient["gender"].as_str().unwrap()),
    ] {
        let entries = fixture.found(&format!("Patient?{query}&_count=100")).await;
        assert!(entries.iter().any(|entry| entry["resource"]["id"] == patient["id"]), "{query}");
        assert!(entries.len() < DEMO_PATIENTS, "{query} finds everybody");
    }
    assert!(fixture.found("Patient?identifier=no-such-number").await.is_empty());
}

#[tokio::test]
async fn a_search_brings_what_its_matches_refer_to_and_what_refers_to_them() {
    let fixture = Fixture::start().await;
    let patient = id(fixture.patient(1));
    let path = format!("Observation?patient={patient}&category=vital-signs&_include=Observation:subject&_count=5");
    let entries = fixture.found(&path).await;
    let modes: Vec<&str> = entries.iter().map(|entry| entry["search"]["mode"].as_str().unwrap()).collect();
    assert_eq!(modes, ["match", "match", "match", "match", "match", "include"]);
    assert_eq!(id(&entries[5]["resource"]), patient);
    assert!(entries[..5].iter().all(|entry| entry["resource"]["category"][0]["coding"][0]["code"] == "vital-signs"));

    let entries = fixture.found(&format!("Patient?_id={patient}&_revinclude=Condition:subject")).await;
    assert!(entries.len() > 1);
    assert!(entries[1..].iter().all(|entry| entry["resource"]["resourceType"] == "Condition"));
}

#[tokio::test]
async fn codes_dates_and_sorting_narrow_and_order_a_search() {
    let fixture = Fixture::start().await;
    let code = "http%3A%2F%2Floinc.org%7C85354-9";
    let entries = fixture.found(&format!("Observation?code={code}&date=ge2025-01-01&_sort=-date&_count=100")).await;
    let dates: Vec<&str> =
        entries.iter().map(|entry| entry["resource"]["effectiveDateTime"].as_str().unwrap()).collect();
    assert!(dates.len() > 10);
    assert!(dates.iter().all(|date| *date >= "2025-01-01"));
    assert!(dates.is_sorted_by(|a, b| a >= b));
    let counted = fixture.get(&format!("Observation?code={code}&_summary=count")).await.1;
    assert!(counted["total"].as_u64().unwrap() >= dates.len() as u64);
    assert!(counted.get("entry").is_none());
}

#[tokio::test]
async fn a_posted_search_finds_the_same() {
    let fixture = Fixture::start().await;
    let url = format!("{}/Patient/_search", fixture.upstream.fhir_url());
    let form = Full::from("gender=female&_count=100");
    let request = Request::post(url).header("content-type", "application/x-www-form-urlencoded").body(form).unwrap();
    let posted: Value = serde_json::from_slice(fixture.send(request).await.body()).unwrap();
    let got = fixture.get("Patient?gender=female&_count=100").await.1;
    assert_eq!(posted["entry"], got["entry"]);
    assert!(posted["total"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn errors_repeat_the_value_that_was_at_fault_as_real_servers_do() {
    let fixture = Fixture::start().await;
    for (path, status) in [
        ("Patient?birthdate=geCANARY-1", StatusCode::BAD_REQUEST),
        ("Patient?shoe-size=CANARY-1", StatusCode::BAD_REQUEST),
        ("Patient?_count=CANARY-1", StatusCode::BAD_REQUEST),
        ("Patient?_include=CANARY-1", StatusCode::BAD_REQUEST),
        ("Patient/CANARY-1", StatusCode::NOT_FOUND),
        ("CANARY-1", StatusCode::NOT_FOUND),
        ("?_getpages=CANARY-1", StatusCode::GONE),
        ("Patient?_format=CANARY-1", StatusCode::NOT_ACCEPTABLE),
    ] {
        let (found, outcome) = fixture.get(path).await;
        assert_eq!(found, status, "{path}");
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        assert!(outcome["issue"][0]["diagnostics"].as_str().unwrap().contains("CANARY-1"), "{outcome}");
    }
    let write = fixture.ask(Method::DELETE, &format!("{}/Patient/1", fixture.upstream.fhir_url()), &[]).await;
    assert_eq!(write.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(write.headers()["allow"], "GET, HEAD");
}

#[tokio::test]
async fn the_capability_statement_names_parameters_that_work() {
    let fixture = Fixture::start().await;
    let (_, statement) = fixture.get("metadata").await;
    assert_eq!(statement["fhirVersion"], "4.0.1");
    for resource in statement["rest"][0]["resource"].as_array().unwrap() {
        let of = resource["type"].as_str().unwrap();
        for parameter in resource["searchParam"].as_array().unwrap() {
            let path = format!("{of}?{}:missing=false", parameter["name"].as_str().unwrap());
            assert_eq!(fixture.get(&path).await.0, StatusCode::OK, "{path}");
        }
    }
}

#[tokio::test]
async fn a_body_is_compressed_for_whoever_takes_gzip_alone() {
    let fixture = Fixture::start().await;
    let url = format!("{}/Patient?_count=5", fixture.upstream.fhir_url());
    let plain = fixture.ask(Method::GET, &url, &[("accept-encoding", "br, gzip;q=0")]).await;
    assert!(!plain.headers().contains_key("content-encoding"));
    let zipped = fixture.ask(Method::GET, &url, &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(zipped.headers()["content-encoding"], "gzip");
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(zipped.body().as_ref()).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain.body().as_ref());
}

#[tokio::test]
async fn the_plan_answers_a_member_by_id_and_repeats_an_unknown_one() {
    let fixture = Fixture::start().await;
    let (id, member) = fixture.population.members().next().unwrap();
    let url = |id: &str| format!("{}/v1/members/{id}", fixture.upstream.api_url());
    let found = fixture.ask(Method::GET, &url(id), &[]).await;
    assert_eq!(found.headers()["content-type"], "application/json");
    assert_eq!(serde_json::from_slice::<Value>(found.body()).unwrap(), *member);
    let unknown = fixture.ask(Method::GET, &url("CANARY-1"), &[]).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(String::from_utf8_lossy(unknown.body()).contains("CANARY-1"));
}

#[tokio::test]
async fn stopping_ends_the_listener() {
    let fixture = Fixture::start().await;
    let addr = fixture.upstream.addr;
    fixture.upstream.stop().await.unwrap();
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}
