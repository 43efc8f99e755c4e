//! L08: addresses: links of Bundles, full URLs, requests and responses in entries, headers.

use serde_json::json;

use crate::hostile::JSON;
use crate::stage::Stage;
use crate::upstream::{CANARY, answer, fhir};

#[tokio::test]
async fn l08_no_address_tells_what_was_searched_by_or_where_the_upstream_is() {
    let stage = Stage::new().await;
    let upstream = stage.upstream.address;
    let patient = json!({ "resourceType": "Patient", "id": "1", "gender": "other" });
    for (address, seen) in [
        (
            format!("http://{upstream}/fhir/Patient?name=x&identifier={CANARY}"),
            Some("http://gw.example/fhir/Patient?name=x"),
        ),
        (format!("http://{upstream}/fhir/Patient?birthdate=ge{CANARY}"), Some("http://gw.example/fhir/Patient")),
        (format!("Patient?_has:Condition:patient:code={CANARY}&gender=male"), Some("Patient?gender=male")),
        (format!("http://{upstream}/fhir/Patient?_sort=birthdate&x={CANARY}"), Some("http://gw.example/fhir/Patient")),
        (format!("http://{upstream}/fhir/Patient/1"), Some("http://gw.example/fhir/Patient/1")),
        (format!("http://{upstream}/fhir/Condition/{CANARY}"), None),
        (format!("http://{upstream}/fhir/Patient/1/$everything?x={CANARY}"), None),
        (format!("http://{upstream}/elsewhere/{CANARY}"), None),
        (format!("http://{CANARY}@{upstream}/fhir/Patient/1"), None),
        (format!("http://{upstream}/fhir/Patient/1#{CANARY}"), None),
        (format!("http://{CANARY}.example/fhir/Patient/1"), None),
        (format!("urn:uuid:{CANARY}"), None),
        (format!("mailto:{CANARY}@example.org"), None),
        (CANARY.to_owned(), None),
    ] {
        let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "link": [{ "relation": "self", "url": address }],
            "entry": [{ "fullUrl": address, "resource": patient, "request": { "method": "GET", "url": address },
                        "response": { "status": "200", "location": address } }] });
        stage.answers(fhir(bundle.to_string()));
        let told = stage.get("desk", "/Patient?name=x").await;
        assert!(!told.text().contains(&upstream.to_string()), "{address}: {}", told.text());
        let told = told.json();
        let entry = &told["entry"][0];
        assert_eq!(entry["resource"]["gender"], "other", "{told}");
        for place in
            [&told["link"][0]["url"], &entry["fullUrl"], &entry["request"]["url"], &entry["response"]["location"]]
        {
            assert_eq!(place.as_str(), seen, "{address}: {told}");
        }
        let fields = format!("{JSON}location: {address}\r\ncontent-location: {address}\r\n");
        stage.answers(answer("200 OK", &fields, patient.to_string()));
        let told = stage.get("desk", "/Patient/1").await;
        assert_eq!(
            (told.field("location").as_deref(), told.field("content-location").as_deref()),
            (seen, seen),
            "{address}"
        );
    }
    stage.end().await;
}
