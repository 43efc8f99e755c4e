//! Writes over real sockets: what reaches the store, what is refused before it, and what a version is worth.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::gateway::{POLICY, Reply, Running, Setup, key};
use crate::upstream::{CANARY, Then, Upstream, answer, patient};

/// An upstream that stores one Patient, `Patient/1`, in versions, and takes a write only of the version that is stored.
async fn store() -> (Upstream, Arc<Mutex<(u32, Value)>>) {
    let stored = Arc::new(Mutex::new((1, serde_json::from_str::<Value>(&patient()).unwrap())));
    let inner = Arc::clone(&stored);
    let upstream = Upstream::choosing(move |request| {
        let mut stored = inner.lock().unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let line: Vec<&str> = head.lines().next().unwrap().split(' ').collect();
        let version = format!("W/\"{}\"", stored.0);
        let stale = field("if-match").is_some_and(|tag| tag != version);
        let mut status = "200 OK";
        match (line[0], line[1]) {
            ("GET", "/fhir/Patient/1") => {}
            ("PUT" | "DELETE", "/fhir/Patient/1") if stale => {
                return (answer("412 Precondition Failed", "", ""), Then::Close);
            }
            ("PUT", "/fhir/Patient/1") => *stored = (stored.0 + 1, serde_json::from_str(body).unwrap()),
            ("POST", "/fhir/Patient") => {
                status = "201 Created";
                *stored = (1, serde_json::from_str(body).unwrap());
            }
            ("DELETE", "/fhir/Patient/1") => {
                *stored = (stored.0 + 1, Value::Null);
                return (answer("204 No Content", "", ""), Then::Close);
            }
            ("GET", search) if search.starts_with("/fhir/Patient?") => {
                let found = match search {
                    search if search.contains("nobody") => 0,
                    search if search.contains("many") => 2,
                    _ => 1,
                };
                let entry = json!({ "resource": stored.1, "search": { "mode": "match" } });
                let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "entry": vec![entry; found] });
                let fields = "content-type: application/fhir+json\r\n";
                return (answer("200 OK", fields, bundle.to_string()), Then::Close);
            }
            _ => return (answer("404 Not Found", "", ""), Then::Close),
        }
        let location = format!("http://{}/fhir/Patient/1", field("host").unwrap());
        let fields =
            format!("content-type: application/fhir+json\r\netag: W/\"{}\"\r\nlocation: {location}\r\n", stored.0);
        let body = if line[0] != "GET" && field("prefer") == Some("return=minimal") {
            String::new()
        } else {
            stored.1.to_string()
        };
        (answer(status, &fields, body), Then::Close)
    });
    (upstream.await, stored)
}

/// A gateway whose desk may write.
async fn gateway(upstream: &Upstream) -> Running {
    let may = "    purposes: [HOPERAT, TREAT]\n    may: [read, search, create, update, patch, delete]\n";
    let policy = POLICY.replacen("    purposes: [HOPERAT, TREAT]\n", may, 1);
    let policy =
        policy.replace("may: [read, vread, search]", "may: [read, vread, search, create, update, patch, delete]");
    Running::start(upstream.address, Setup { policy, ..Setup::default() }).await
}

async fn send(gateway: &Running, caller: &str, line: &str, fields: &str, body: &str) -> Reply {
    let (key, length) = (key(caller), body.len());
    let media_type = if line.starts_with("PATCH") { "application/json-patch+json" } else { "application/fhir+json" };
    let typed = if body.is_empty() { String::new() } else { format!("content-type: {media_type}\r\n") };
    let head = format!("{line} HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {key}\r\n{typed}{fields}");
    gateway.ask(&format!("{head}content-length: {length}\r\n\r\n{body}")).await
}

/// The methods by which an upstream was asked.
fn methods(upstream: &Upstream) -> Vec<String> {
    upstream.requests().iter().map(|request| request.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn l26_an_update_of_a_filtered_copy_keeps_all_that_was_filtered() {
    let (upstream, stored) = store().await;
    let gateway = gateway(&upstream).await;
    let before = stored.lock().unwrap().1.clone();
    let mut copy = gateway.get("desk", "/fhir/Patient/1").await.json();
    assert!(!copy.to_string().contains(CANARY));
    copy["name"][0]["family"] = json!("King");
    copy["gender"] = json!("other");
    let reply = send(&gateway, "desk", "PUT /fhir/Patient/1", "", &copy.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(!reply.text().contains(CANARY), "an answer to a write is filtered too (L28)");
    assert_eq!(reply.field("location"), Some("http://gw.example/fhir/patient/1"));
    let mut expected = before;
    expected["name"][0]["family"] = json!("King");
    expected["gender"] = json!("other");
    assert_eq!(stored.lock().unwrap().1, expected);
    assert_eq!(methods(&upstream), ["GET", "GET", "PUT"]);
    assert!(upstream.requests()[2].contains("if-match: W/\"1\""));

    // By a patch as well, of an upstream that knows none.
    let patch = json!([{"op": "replace", "path": "/name/0/family", "value": "Lovelace"}]).to_string();
    let reply = send(&gateway, "desk", "PATCH /fhir/Patient/1", "prefer: return=minimal\r\n", &patch).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0), "{}", reply.text());
    expected["name"][0]["family"] = json!("Lovelace");
    assert_eq!(stored.lock().unwrap().1, expected);
}

#[tokio::test]
async fn l26_a_write_of_what_is_not_seen_never_reaches_the_upstream() {
    let (upstream, stored) = store().await;
    let gateway = gateway(&upstream).await;
    let before = stored.lock().unwrap().clone();
    let copy = gateway.get("desk", "/fhir/Patient/1").await.json();
    let with = |name: &str, value: Value| {
        let mut sent = copy.clone();
        sent[name] = value;
        sent.to_string()
    };
    let patch = |operation: Value| json!([operation]).to_string();
    for (line, fields, body, status, code) in [
        ("PUT /fhir/Patient/1", "", with("identifier", json!([{"value": "mine"}])), 403, "forbidden"),
        ("PUT /fhir/Patient/1", "", with("birthDate", json!("1999")), 403, "forbidden"),
        ("PUT /fhir/Patient/1", "", with("resourceType", json!("Observation")), 400, "structure"),
        ("PUT /fhir/Patient/1", "", copy.to_string().replacen('{', "{\"gender\":\"male\",", 1), 400, "structure"),
        ("PUT /fhir/Patient/1", "", "{".to_owned(), 400, "structure"),
        ("PUT /fhir/Patient/1", "if-match: W/\"1\"\r\n", copy.to_string(), 412, "conflict"),
        ("PUT /fhir/Patient/1", "content-encoding: gzip\r\n", copy.to_string(), 415, "structure"),
        ("PUT /fhir/Patient/2", "", copy.to_string(), 404, "not-found"),
        ("PUT /fhir/Patient?identifier=id-1", "", copy.to_string(), 403, "forbidden"),
        ("PUT /fhir/Patient/1?identifier=id-1", "", copy.to_string(), 403, "not-supported"),
        ("DELETE /fhir/Patient?identifier=id-1", "", String::new(), 403, "forbidden"),
        ("DELETE /fhir/Patient/2", "", String::new(), 404, "not-found"),
        ("POST /fhir/Patient", "", copy.to_string(), 403, "forbidden"),
        ("POST /fhir/Patient", "if-none-exist: identifier=id-1\r\n", with("meta", json!({})), 403, "forbidden"),
        (
            "POST /fhir/Patient",
            "",
            json!({"resourceType": "Patient", "address": [{"city": "Here"}]}).to_string(),
            403,
            "forbidden",
        ),
        (
            "PATCH /fhir/Patient/1",
            "",
            patch(json!({"op": "test", "path": "/identifier/0/value", "value": "id-1"})),
            422,
            "business-rule",
        ),
        (
            "PATCH /fhir/Patient/1",
            "",
            patch(json!({"op": "copy", "from": "/identifier/0/value", "path": "/name/0/text"})),
            422,
            "business-rule",
        ),
        (
            "PATCH /fhir/Patient/1",
            "",
            patch(json!({"op": "add", "path": "/photo", "value": [{"title": "x"}]})),
            403,
            "forbidden",
        ),
    ] {
        let reply = send(&gateway, "desk", line, fields, &body).await;
        reply.is_outcome(status, code);
        assert!(!reply.text().contains(CANARY) && !reply.text().contains("id-1"), "{line}: {}", reply.text());
    }
    // A role that may not write, and a type that a role does not see.
    send(&gateway, "billing", "PUT /fhir/Patient/1", "", &copy.to_string()).await.is_outcome(403, "forbidden");
    send(&gateway, "desk", "POST /fhir/Condition", "", "{\"resourceType\":\"Condition\"}")
        .await
        .is_outcome(403, "forbidden");
    assert_eq!(*stored.lock().unwrap(), before);
    assert!(methods(&upstream).iter().all(|method| method == "GET"), "{:?}", methods(&upstream));
}

#[tokio::test]
async fn a_role_creates_what_it_sees_and_deletes_what_is_there() {
    let (upstream, stored) = store().await;
    let gateway = gateway(&upstream).await;
    let new = json!({"resourceType": "Patient", "id": "1", "name": [{"family": "New"}], "gender": "other"});
    let reply = send(&gateway, "desk", "POST /fhir/Patient", "", &new.to_string()).await;
    assert_eq!((reply.status, &reply.json()["gender"]), (201, &json!("other")));
    assert_eq!(stored.lock().unwrap().1, new);
    let reply = send(&gateway, "desk", "DELETE /fhir/Patient/1", "", "").await;
    assert_eq!(reply.status, 204);
    assert_eq!(stored.lock().unwrap().1, Value::Null);
    let trail = gateway.trail().await;
    assert!(trail.contains(r#""interaction":"create""#) && trail.contains(r#""interaction":"delete""#), "{trail}");
}

#[tokio::test]
async fn l26_a_change_in_between_is_never_overwritten() {
    let (upstream, stored) = store().await;
    let gateway = gateway(&upstream).await;
    let read = gateway.get("desk", "/fhir/Patient/1").await;
    let (copy, tag) = (read.json().to_string(), original(&read, "etag"));
    stored.lock().unwrap().0 = 2;
    let condition = format!("if-match: {tag}\r\n");
    send(&gateway, "desk", "PUT /fhir/Patient/1", &condition, &copy).await.is_outcome(412, "conflict");
    // Somebody else's validator of the very same version is none of this caller's.
    let other = gateway.get("clinician", "/fhir/Patient/1").await;
    let condition = format!("if-match: {}\r\n", original(&other, "etag"));
    send(&gateway, "desk", "PUT /fhir/Patient/1", &condition, &copy).await.is_outcome(412, "conflict");
    let read = gateway.get("desk", "/fhir/Patient/1").await;
    let condition = format!("if-match: {}\r\n", original(&read, "etag"));
    assert_eq!(send(&gateway, "desk", "PUT /fhir/Patient/1", &condition, &copy).await.status, 200);
    assert_eq!(stored.lock().unwrap().0, 3);
}

#[tokio::test]
async fn l23_a_version_that_the_caller_has_is_not_sent_again_and_no_other_is_told_of() {
    let (upstream, _) = store().await;
    let gateway = gateway(&upstream).await;
    let read = gateway.get("desk", "/fhir/Patient/1").await;
    let tag = original(&read, "etag");
    assert!(!tag.is_empty() && tag != "W/\"1\"", "{tag}");
    let condition = format!("if-none-match: \"x\", {tag}\r\n");
    let again = gateway.get_with("desk", "/fhir/Patient/1", &condition).await;
    assert_eq!((again.status, again.body.len(), original(&again, "etag")), (304, 0, tag.clone()));
    for other in ["W/\"1\"", "*", "W/\"AAAA\""] {
        let whole = gateway.get_with("desk", "/fhir/Patient/1", &format!("if-none-match: {other}\r\n")).await;
        assert_eq!(whole.status, 200, "{other}");
    }
    let whole = gateway.get_with("clinician", "/fhir/Patient/1", &format!("if-none-match: {tag}\r\n")).await;
    assert_eq!(whole.status, 200, "in another role it is another version");
}

#[tokio::test]
async fn who_sees_everything_writes_what_it_sends() {
    let (upstream, stored) = store().await;
    let gateway = gateway(&upstream).await;
    let body = r#"{"resourceType":"Patient","id":"1","identifier":[{"value":"id-2"}],"multipleBirthInteger":1}"#;
    let reply = send(&gateway, "clinician", "PUT /fhir/Patient/1", "", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(stored.lock().unwrap().1, serde_json::from_str::<Value>(body).unwrap());
    assert_eq!(methods(&upstream), ["PUT"]);
    let twice = r#"{"resourceType":"Patient","active":true,"active":false}"#;
    send(&gateway, "clinician", "PUT /fhir/Patient/1", "", twice).await.is_outcome(400, "structure");
}

/// The value of a header field as it was sent.
fn original(reply: &Reply, name: &str) -> String {
    reply.original.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn l16_a_conditional_write_finds_what_a_search_would_and_keeps_what_was_filtered() {
    let (upstream, stored) = store().await;
    let gateway = gateway(&upstream).await;
    let before = stored.lock().unwrap().1.clone();
    let sent = r#"{"resourceType":"Patient","name":[{"family":"King"}],"gender":"female","birthDate":"1980"}"#;
    let reply = send(&gateway, "desk", "PUT /fhir/Patient?family=Lovelace", "", sent).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut expected = before;
    expected["name"][0]["family"] = json!("King");
    assert_eq!(stored.lock().unwrap().1, expected, "the id is the stored one's, and all that was filtered is there");
    assert_eq!(methods(&upstream), ["GET", "GET", "PUT"]);
    assert!(upstream.requests()[0].starts_with("GET /fhir/Patient?family=Lovelace "));
    assert!(upstream.requests()[2].contains("if-match: W/\"1\""));

    let patch = json!([{"op": "replace", "path": "/gender", "value": "other"}]).to_string();
    let read = gateway.get("desk", "/fhir/Patient/1").await;
    let version = read.original.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    for (version, status) in [("W/\"1\"", 412), (version, 200), (version, 412)] {
        let fields = format!("if-match: {version}\r\n");
        let reply = send(&gateway, "desk", "PATCH /fhir/Patient?family=King", &fields, &patch).await;
        assert_eq!(reply.status, status, "{version}: {}", reply.text());
    }
    assert_eq!(stored.lock().unwrap().1["gender"], "other");
    assert_eq!(send(&gateway, "desk", "DELETE /fhir/Patient?family=many", "", "").await.status, 412);
    assert_eq!(send(&gateway, "desk", "DELETE /fhir/Patient?family=nobody", "", "").await.status, 404);
    assert_eq!(send(&gateway, "desk", "DELETE /fhir/Patient?family=King", "", "").await.status, 204);
}

#[tokio::test]
async fn l16_where_nothing_matches_a_conditional_update_creates_for_who_may() {
    let (upstream, stored) = store().await;
    let gateway = gateway(&upstream).await;
    let sent = r#"{"resourceType":"Patient","name":[{"family":"New"}]}"#;
    let reply = send(&gateway, "desk", "PUT /fhir/Patient?family=nobody", "", sent).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(stored.lock().unwrap().1, serde_json::from_str::<Value>(sent).unwrap());
    assert!(upstream.requests()[1].contains("if-none-exist: family=nobody\r\n"), "{:?}", upstream.requests());
    let fields = "if-none-exist: ?family=x&_format=json\r\n";
    assert_eq!(send(&gateway, "desk", "POST /fhir/Patient", fields, sent).await.status, 201);
    assert!(upstream.requests()[2].contains("if-none-exist: family=x\r\n"), "{:?}", upstream.requests());

    // A role that may only update creates by no way, seen or not.
    let may = "    purposes: [HOPERAT, TREAT]\n    may: [read, search, update]\n";
    let policy = POLICY.replacen("    purposes: [HOPERAT, TREAT]\n", may, 1);
    let policy = policy.replace("may: [read, vread, search]", "may: [read, update]");
    let gateway = Running::start(upstream.address, Setup { policy, ..Setup::default() }).await;
    let asked = upstream.requests().len();
    send(&gateway, "desk", "PUT /fhir/Patient?family=nobody", "", sent).await.is_outcome(404, "not-found");
    send(&gateway, "clinician", "PUT /fhir/Patient?family=nobody", "", sent).await.is_outcome(403, "forbidden");
    assert_eq!(upstream.requests().len(), asked + 1, "a search was all");
}

#[tokio::test]
async fn l16_a_conditional_write_by_what_is_not_seen_is_refused() {
    let (upstream, _stored) = store().await;
    let gateway = gateway(&upstream).await;
    let observation = r#"{"resourceType":"Observation","code":{"text":"x"}}"#;
    let patient = r#"{"resourceType":"Patient","gender":"female"}"#;
    for (line, fields, body) in [
        ("PUT /fhir/Patient?identifier=id-1", "", patient),
        ("PUT /fhir/Patient?birthdate=1980-12-10", "", patient),
        ("PUT /fhir/Patient?_include=Patient:organization", "", patient),
        ("PUT /fhir/Patient?_format=json", "", patient),
        ("PUT /fhir/Patient?_getpages=1", "", patient),
        ("PUT /fhir/Patient?_sort=family", "", patient),
        ("DELETE /fhir/Patient?general-practitioner.name=x", "", ""),
        ("POST /fhir/Patient", "if-none-exist: birthdate=1980-12-10\r\n", patient),
        ("POST /fhir/Patient", "if-none-exist: _count=0\r\n", patient),
        // Of Observations the desk sees those alone that are final.
        ("PUT /fhir/Observation?code=x", "", observation),
        ("POST /fhir/Observation", "if-none-exist: code=x\r\n", observation),
    ] {
        let reply = send(&gateway, "desk", line, fields, body).await;
        assert_eq!(reply.status, 403, "{line} {fields}: {}", reply.text());
    }
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
}
