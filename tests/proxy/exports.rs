//! Bulk export: led through the gateway from its begin to the last line of its files, and resumed (L22).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::gateway::{Reply, Running, key};
use crate::operations::before;
use crate::upstream::{CANARY, Upstream, answer};

/// The lines of a file: patients, one of whom is followed by what is no patient.
fn lines() -> String {
    let patient = |id: u32| {
        json!({ "resourceType": "Patient", "id": format!("p{id}"), "name": [{ "family": format!("Löwe{id}") }],
            "birthDate": "1980-12-10", "address": [{ "city": CANARY }] })
        .to_string()
    };
    let stray = json!({ "resourceType": "Condition", "id": CANARY, "code": { "text": CANARY } }).to_string();
    format!("{}\n\r\n{stray}\n{}\r\n{}", patient(1), patient(2), patient(3))
}

fn ndjson(body: &str) -> Vec<u8> {
    answer("200 OK", "content-type: application/fhir+ndjson\r\netag: \"v1\"\r\n", body)
}

/// An upstream whose export is complete when its state is asked for the second time.
async fn exporting() -> (Running, Upstream) {
    let asked = Arc::new(AtomicUsize::new(0));
    before(move |head, base| {
        let path = head.split(' ').nth(1).unwrap();
        if head.starts_with("DELETE") {
            return answer("202 Accepted", "", "");
        }
        match path.strip_prefix("/fhir/").unwrap().split('?').next().unwrap() {
            "$export" | "Group/g/$export" | "Patient/$export" => {
                answer("202 Accepted", &format!("content-location: {base}/jobs/{CANARY}\r\n"), "")
            }
            path if path.starts_with("jobs/") && asked.fetch_add(1, Ordering::SeqCst) == 0 => {
                let fields = format!("retry-after: 3\r\nx-progress: {CANARY}\r\n");
                answer("202 Accepted", &fields, "")
            }
            path if path.starts_with("jobs/") => {
                let file = |of: &str| json!({ "type": of, "url": format!("{base}/files/{CANARY}?of={of}"), "count": 3 });
                let manifest = json!({ "transactionTime": "2026-11-22T10:00:00Z", "request": CANARY, "extra": CANARY,
                    "requiresAccessToken": false, "output": [file("Patient"), file("Condition"), file("Coverage")],
                    "error": [file("OperationOutcome")], "deleted": [file("Bundle")] });
                answer("200 OK", "content-type: application/json\r\n", manifest.to_string())
            }
            _ if path.ends_with("of=OperationOutcome") => ndjson(&format!(
                r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"error","code":"exception","diagnostics":"{CANARY}"}}]}}"#
            )),
            _ => ndjson(&lines()),
        }
    })
    .await
}

fn own(address: &str) -> String {
    address.strip_prefix("http://gw.example").unwrap_or_else(|| panic!("{address} is not the gateway's")).to_owned()
}

/// The link to the state of an export that a caller begins.
async fn begun(gateway: &Running, caller: &str, target: &str) -> String {
    let reply = gateway.get(caller, target).await;
    assert_eq!((reply.status, reply.body.len()), (202, 0), "{}", reply.text());
    let line = reply.original.lines().find_map(|line| line.strip_prefix("content-location: ")).unwrap();
    own(line)
}

async fn manifest(gateway: &Running, caller: &str, target: &str) -> Value {
    let state = begun(gateway, caller, target).await;
    loop {
        let reply = gateway.get(caller, &state).await;
        assert!(!reply.head.contains(&CANARY.to_lowercase()), "{}", reply.head);
        match reply.status {
            202 => assert_eq!(reply.field("retry-after"), Some("3")),
            status => {
                assert_eq!((status, reply.field("content-type")), (200, Some("application/json")), "{}", reply.text());
                assert!(!reply.text().contains(CANARY), "{}", reply.text());
                return reply.json();
            }
        }
    }
}

fn files(manifest: &Value, list: &str) -> Vec<(String, String)> {
    let items = manifest[list].as_array().cloned().unwrap_or_default();
    items.iter().map(|file| (file["type"].as_str().unwrap().to_owned(), own(file["url"].as_str().unwrap()))).collect()
}

#[tokio::test]
async fn l22_an_export_is_led_through_the_gateway_and_each_line_of_its_files_is_filtered() {
    let (gateway, upstream) = exporting().await;
    let manifest = manifest(&gateway, "desk", "/fhir/$export?_type=Patient,Condition&_outputFormat=ndjson").await;
    assert!(
        upstream.requests()[0].starts_with("GET /fhir/$export?_type=Patient%2CCondition "),
        "{:?}",
        upstream.requests()
    );
    assert!(upstream.requests()[0].contains("prefer: respond-async\r\n"));
    assert_eq!(manifest["request"], "http://gw.example/fhir/$export?_type=Patient%2CCondition");
    assert_eq!((&manifest["requiresAccessToken"], &manifest["output"][0]["count"]), (&json!(true), &Value::Null));
    let output = files(&manifest, "output");
    assert_eq!(output.iter().map(|(of, _)| &**of).collect::<Vec<_>>(), ["Patient", "Condition"]);
    assert_eq!(manifest["deleted"], Value::Null);

    let file = gateway.get("desk", &output[0].1).await;
    assert_eq!((file.status, file.field("content-type")), (200, Some("application/fhir+ndjson")));
    assert!(!file.text().contains(CANARY), "{}", file.text());
    let seen: Vec<Value> = file.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = seen.iter().map(|resource| resource["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["p1", "p2", "p3"], "a file of patients holds patients");
    assert!(seen.iter().all(|patient| patient["birthDate"] == "1980"));
    assert!(file.text().ends_with("}\n"));
    let nothing = gateway.get("desk", &output[1].1).await;
    assert_eq!((nothing.status, nothing.text().lines().count()), (200, 1), "the stray Condition alone");

    let errors = gateway.get("desk", &files(&manifest, "error")[0].1).await;
    assert!(errors.text().contains("exception") && !errors.text().contains(CANARY), "{}", errors.text());
    for caller in ["billing", "clinician"] {
        gateway.get(caller, &output[0].1).await.is_outcome(403, "forbidden");
    }
    let trail = gateway.trail().await;
    assert!(trail.contains(r#""interaction":"operation $export""#) && trail.contains("p2"), "{trail}");
}

#[tokio::test]
async fn l22_who_sees_everything_gets_every_file_through_the_gateway_as_well() {
    let (gateway, _upstream) = exporting().await;
    let manifest = manifest(&gateway, "clinician", "/fhir/Patient/$export").await;
    let output = files(&manifest, "output");
    assert_eq!((output.len(), &manifest["output"][0]["count"]), (3, &json!(3)));
    assert_eq!(files(&manifest, "deleted").len(), 1);
    let file = gateway.get("clinician", &output[0].1).await;
    assert_eq!(file.text().lines().count(), 4, "the blank line is left out");
    assert!(file.text().contains(CANARY));
}

#[tokio::test]
async fn l22_an_export_is_ended_by_who_began_it() {
    let (gateway, upstream) = exporting().await;
    let state = begun(&gateway, "desk", "/fhir/Group/g/$export").await;
    let delete = async |caller: &str| {
        gateway.ask(&format!("DELETE {state} HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {}\r\n\r\n", key(caller))).await
    };
    delete("billing").await.is_outcome(403, "forbidden");
    assert_eq!(delete("desk").await.status, 202);
    assert!(upstream.requests()[1].starts_with(&format!("DELETE /fhir/jobs/{CANARY} ")), "{:?}", upstream.requests());
    let put = format!("PUT {state} HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {}\r\n\r\n", key("desk"));
    assert_eq!(gateway.ask(&put).await.status, 405);
}

/// GET of a range.
async fn part(gateway: &Running, file: &str, range: &str, more: &str) -> Reply {
    gateway.get_with("desk", file, &format!("range: {range}\r\n{more}")).await
}

#[tokio::test]
async fn l22_a_file_is_resumed_at_any_byte_of_what_the_caller_sees() {
    let (gateway, _upstream) = exporting().await;
    let manifest = manifest(&gateway, "desk", "/fhir/$export").await;
    let file = &files(&manifest, "output")[0].1;
    let whole = gateway.get("desk", file).await;
    let length = whole.body.len();
    assert_eq!(whole.field("accept-ranges"), Some("bytes"));
    let validator = whole.original.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    assert!(validator.starts_with('"') && !validator.contains("v1"), "{validator}");
    for first in [0, 1, length / 2, length - 1] {
        let rest = part(&gateway, file, &format!("bytes={first}-"), &format!("if-range: {validator}\r\n")).await;
        assert_eq!(rest.status, 206, "{}", rest.text());
        assert_eq!(rest.field("content-range"), Some(&*format!("bytes {first}-{}/{length}", length - 1)));
        assert!(rest.whole && rest.body == whole.body[first..], "from {first}");
    }
    let middle = part(&gateway, file, "bytes=10-19", "").await;
    assert_eq!((middle.status, &middle.body[..]), (206, &whole.body[10..20]));
    // Of another version the whole is answered, and so is what is no one range.
    for (range, more) in [("bytes=10-", "if-range: \"other\"\r\n"), ("bytes=0-1,4-5", ""), ("lines=1-", "")] {
        let reply = part(&gateway, file, range, more).await;
        assert_eq!((reply.status, reply.body.len()), (200, length), "{range} {more}");
    }
    let behind = part(&gateway, file, &format!("bytes={length}-"), "").await;
    assert_eq!((behind.status, behind.field("content-range")), (416, Some(&*format!("bytes */{length}"))));
}

#[tokio::test]
async fn l22_what_an_export_would_tell_besides_is_refused() {
    let (gateway, upstream) = exporting().await;
    for (caller, target, status) in [
        ("desk", "$export?_typeFilter=Patient%3Fbirthdate%3D1980", 403),
        ("desk", "$export?_typeFilter=Coverage%3Fstatus%3Dactive", 403),
        ("desk", "$export?_typeFilter=Patient%3Fgender%3Dmale,Patient%3Fname%3Dx", 400),
        ("desk", "$export?_type=Coverage", 403),
        ("desk", "Patient/$export?_type=Condition", 403),
        ("desk", "$export?includeAssociatedData=LatestProvenanceResources", 403),
        ("desk", "$export?_outputFormat=text/csv", 400),
        ("desk", "Patient/1/$export", 403),
        ("billing", "Group/g/$export", 403),
    ] {
        let reply = gateway.get(caller, &format!("/fhir/{target}")).await;
        assert_eq!(reply.status, status, "{caller} {target}: {}", reply.text());
    }
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
    let filter = "/fhir/$export?_typeFilter=Observation%3Fcode%3Dx%26status%3Dfinal&_since=2026-01-01T00:00:00Z";
    assert_eq!(gateway.get("desk", filter).await.status, 202);
}

#[tokio::test]
async fn l22_a_place_outside_of_the_upstreams_url_is_not_led_to() {
    let (gateway, _upstream) = before(|head, base| match () {
        () if head.starts_with("GET /fhir/$export") => {
            answer("202 Accepted", &format!("content-location: {base}/jobs/1\r\n"), "")
        }
        () if head.starts_with("GET /fhir/Patient/$export") => {
            answer("202 Accepted", "content-location: https://elsewhere.example/jobs/1\r\n", "")
        }
        () => {
            let file = json!({ "type": "Patient", "url": format!("https://files.example/{CANARY}?sig={CANARY}") });
            let manifest = json!({ "transactionTime": "2026-11-22T10:00:00Z", "output": [file] });
            answer("200 OK", "content-type: application/json\r\n", manifest.to_string())
        }
    })
    .await;
    gateway.get("desk", "/fhir/Patient/$export").await.is_outcome(502, "exception");
    let state = begun(&gateway, "desk", "/fhir/$export").await;
    let reply = gateway.get("desk", &state).await;
    reply.is_outcome(502, "exception");
    assert!(!reply.text().contains(CANARY));
}

#[tokio::test]
async fn l30_a_file_with_a_line_that_can_not_be_read_is_cut_off_and_one_that_changes_is_not_resumed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (gateway, _upstream) = before(move |head, base| match head.split(' ').nth(1).unwrap() {
        "/fhir/$export" => answer("202 Accepted", &format!("content-location: {base}/jobs/1\r\n"), ""),
        "/fhir/jobs/1" => {
            let file = |of: &str| json!({ "type": "Patient", "url": format!("{base}/files/{of}") });
            let manifest = json!({ "transactionTime": "2026-11-22T10:00:00Z", "output": [file("bad"), file("new")] });
            answer("200 OK", "content-type: application/json\r\n", manifest.to_string())
        }
        "/fhir/files/bad" => {
            let first = lines();
            ndjson(&format!(
                "{first}\n{{\"resourceType\":\"Patient\",\"id\":\"p4\",\"name\":[{{\"family\":\"x\"}}],{CANARY}"
            ))
        }
        _ => ndjson(&lines().repeat(1 + asked.fetch_add(1, Ordering::SeqCst)).replace("}{", "}\n{")),
    })
    .await;
    let manifest = manifest(&gateway, "desk", "/fhir/$export").await;
    let output = files(&manifest, "output");
    let bad = gateway.get("desk", &output[0].1).await;
    // What fails before its head has left has none.
    let failed = |reply: &Reply| !reply.whole || matches!(reply.status, 0 | 502);
    assert!(failed(&bad), "{}", bad.head);
    assert!(!String::from_utf8_lossy(&bad.body).contains(CANARY));
    let changed = part(&gateway, &output[1].1, "bytes=10-", "").await;
    assert!(failed(&changed), "{}", changed.head);
}
