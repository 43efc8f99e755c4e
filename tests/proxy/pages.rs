//! Pages at places of the upstream's own: their links are sealed, and are the caller's alone (L08, L18).

use std::time::Duration;

use fieldgate::proxy::{Limits, Narrows};
use serde_json::json;

use crate::gateway::{Running, Setup};
use crate::upstream::{CANARY, Then, Upstream, fhir, patient};

async fn paged(limits: Limits) -> (Running, Upstream) {
    let upstream = Upstream::choosing(|head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let page = json!({ "resourceType": "Bundle", "type": "searchset",
            "link": [{ "relation": "next", "url": format!("http://{host}/fhir/pages/{CANARY}/2") }],
            "entry": [{ "fullUrl": format!("http://{host}/fhir/pages/{CANARY}"),
                "resource": serde_json::from_str::<serde_json::Value>(&patient()).unwrap() }] });
        (fhir(page.to_string()), Then::Close)
    })
    .await;
    let gateway = Running::start(upstream.address, Setup { limits, ..Setup::default() }).await;
    (gateway, upstream)
}

async fn next(gateway: &Running, target: &str) -> String {
    let reply = gateway.get("desk", target).await;
    assert!(!reply.text().contains(CANARY), "{}", reply.text());
    let bundle = reply.json();
    assert_eq!(bundle["entry"][0]["fullUrl"], json!(null), "only a page is led to");
    bundle["link"][0]["url"].as_str().unwrap().strip_prefix("http://gw.example").unwrap().to_owned()
}

#[tokio::test]
async fn l18_a_page_at_an_opaque_path_is_reached_by_a_sealed_link_of_the_callers_own() {
    let (gateway, upstream) = paged(Limits::default()).await;
    let link = next(&gateway, "/fhir/Patient?name=Ada").await;
    assert!(link.starts_with("/fhir/_fieldgate/"), "{link}");
    let further = next(&gateway, &link).await;
    assert_eq!(further, next(&gateway, &further).await, "the same place has the same link within a second");
    assert!(upstream.requests()[1].starts_with(&format!("GET /fhir/pages/{CANARY}/2 ")), "{:?}", upstream.requests());
    let asked = upstream.requests().len();
    for (caller, target) in [
        ("billing", link.clone()),
        ("clinician", link.clone()),
        ("desk", format!("{link}?name=x")),
        ("desk", link.replace("/_fieldgate/", "/_fieldgate/A")),
        ("desk", "/fhir/_fieldgate/AAAA".to_owned()),
    ] {
        gateway.get(caller, &target).await.is_outcome(403, "forbidden");
    }
    gateway.get("both", &link).await.is_outcome(403, "forbidden");
    assert_eq!(upstream.requests().len(), asked, "nothing was asked for them");
}

#[tokio::test]
async fn l18_a_page_link_ends_with_its_time() {
    let limits = Limits { link_lifetime: Duration::ZERO, ..Limits::default() };
    let (gateway, upstream) = paged(limits).await;
    let link = next(&gateway, "/fhir/Patient?name=Ada").await;
    // A link holds to the end of a second.
    let mut reply = gateway.get("desk", &link).await;
    for _ in 0..200 {
        if reply.status != 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        reply = gateway.get("desk", &link).await;
    }
    reply.is_outcome(403, "forbidden");
    assert!(reply.text().contains("has ended"), "{}", reply.text());
    assert!(!upstream.requests().is_empty());
}

#[tokio::test]
async fn what_an_upstream_can_leave_out_it_is_asked_to_and_no_link_tells_of_it() {
    let upstream = Upstream::choosing(|head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let target = head.split(' ').nth(1).unwrap();
        let and = if target.contains('?') { "&" } else { "?" };
        let next = format!("http://{host}{target}{and}_offset=2");
        let page = json!({ "resourceType": "Bundle", "type": "searchset",
            "link": [{ "relation": "next", "url": next }],
            "entry": [{ "resource": { "resourceType": "Observation", "status": "final", "code": { "text": "seen" } } },
                { "resource": { "resourceType": "Observation", "status": "preliminary", "code": { "text": CANARY } } }] });
        (fhir(page.to_string()), Then::Close)
    })
    .await;
    let narrows = vec![Narrows::Rows, Narrows::Elements];
    let gateway = Running::start(upstream.address, Setup { narrows, ..Setup::default() }).await;
    let reply = gateway.get("desk", "/fhir/Observation?code=x").await;
    assert!(reply.text().contains("seen") && !reply.text().contains(CANARY), "what is not left out is withheld");
    let link = reply.json()["link"][0]["url"].as_str().unwrap().to_owned();
    assert!(!link.contains("status") && !link.contains("_elements"), "{link}");
    let page = gateway.get("desk", link.strip_prefix("http://gw.example").unwrap()).await;
    assert_eq!(page.status, 200, "{}", page.text());
    gateway.get("desk", "/fhir/Observation/1").await;
    gateway.get("desk", "/fhir/Patient/1?_elements=name,birthDate").await;
    gateway.get("clinician", "/fhir/Observation?code=x").await;
    let asked: Vec<String> =
        upstream.requests().iter().map(|request| request.split(' ').nth(1).unwrap().replace("%2C", ",")).collect();
    let own = "status=final&_elements=code,contained,id,meta,performer,status,subject";
    assert_eq!(
        asked,
        [
            format!("/fhir/Observation?code=x&_count=1000&{own}"),
            format!("/fhir/Observation?code=x&_count=1000&_offset=2&{own}"),
            "/fhir/Observation/1?_elements=code,contained,id,meta,performer,status,subject".to_owned(),
            "/fhir/Patient/1?_elements=birthDate,contained,gender,id,link,meta,name".to_owned(),
            "/fhir/Observation?code=x".to_owned(),
        ]
    );
}
