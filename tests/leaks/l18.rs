//! L18: links to pages lead past the checks of the first one.

use serde_json::json;

use crate::stage::{POLICY, Stage};
use crate::upstream::{CANARY, fhir};

/// The upstream's answers to a search: a page, and a link to the next.
fn page(stage: &Stage, next: &str) -> Vec<u8> {
    let link = json!([{ "relation": "next", "url": format!("http://{}/fhir{next}", stage.upstream.address) }]);
    let entry = json!([{ "resource": { "resourceType": "Patient", "id": "1", "identifier": [{ "value": CANARY }] } }]);
    fhir(json!({ "resourceType": "Bundle", "type": "searchset", "link": link, "entry": entry }).to_string())
}

#[tokio::test]
async fn l18_a_page_is_for_the_caller_the_role_and_the_policy_that_it_was_shown_to() {
    let stage = Stage::new().await;
    stage.answers(page(&stage, "?_getpages=abc&_getpagesoffset=20"));
    let first = stage.get("desk", "/Patient?name=x").await.json();
    let link = first["link"][0]["url"].as_str().unwrap().strip_prefix("http://gw.example/fhir").unwrap().to_owned();
    assert_eq!(stage.get("desk", &link).await.status, 200);
    stage.all_heard();
    for (caller, link) in [
        ("billing", link.clone()),
        ("both", link.clone()),
        ("desk", link.replace("=abc", "=abd")),
        ("desk", link.replace("offset=20", "offset=40")),
        ("desk", link.replace("_getpages=abc&", "")),
        ("desk", format!("{link}&birthdate={CANARY}")),
        ("desk", format!("{link}&name={CANARY}")),
        ("desk", link.replace("_fieldgate=Patient.", "_fieldgate=Observation.")),
        ("desk", link.replace("_fieldgate=Patient.", "_fieldgate=Condition.")),
        ("desk", link.split("&_fieldgate").next().unwrap().to_owned()),
        ("desk", format!("/Patient{link}")),
    ] {
        let answered = stage.get(caller, &link).await;
        assert!(matches!(answered.status, 400 | 403), "{caller} {link}: {}", answered.text());
    }
    assert_eq!(stage.all_heard(), Vec::<String>::new());
    let _folder = stage.reload(&POLICY.replace("gender: show, ", ""));
    assert_eq!(stage.get("desk", &link).await.status, 403, "under another policy it is no page of anything");
    assert_eq!(stage.all_heard(), Vec::<String>::new());
    stage.end().await;
}

#[tokio::test]
async fn l18_no_page_is_handed_out_of_a_search_that_was_not_asked_for() {
    let stage = Stage::new().await;
    for next in [
        format!("/Patient?_getpages=abc&birthdate={CANARY}"),
        format!("/Condition?_getpages=abc&code={CANARY}"),
        "/Observation?_getpages=abc".to_owned(),
        "/Patient/1/Condition?_getpages=abc".to_owned(),
        format!("/$everything?_getpages=abc&x={CANARY}"),
    ] {
        stage.answers(page(&stage, &next));
        let answered = stage.get("desk", "/Patient?name=x").await;
        assert!(!answered.text().contains("_getpages"), "{next}: {}", answered.text());
    }
    stage.end().await;
}
