//! An upstream that answers wrongly on purpose: each way to say a secret that nobody asked for, in answer to each request
//! that a gateway lets through.

use std::io::Write;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::stage::Stage;
use crate::upstream::{CANARY, answer, fhir, patient};

pub(crate) const JSON: &str = "content-type: application/fhir+json\r\n";

/// A resource of a type that the desk does not see.
pub(crate) fn condition() -> Value {
    json!({ "resourceType": "Condition", "id": "c", "code": { "text": CANARY } })
}

/// A Bundle of these resources.
pub(crate) fn bundle(kind: &str, resources: &[Value]) -> Value {
    let entries: Vec<Value> = resources.iter().map(|resource| json!({ "resource": resource })).collect();
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Documents that hold what was not asked for, or are in no form that the standard knows.
pub(crate) fn documents() -> Vec<(&'static str, String)> {
    let (condition, patient) = (condition(), serde_json::from_str::<Value>(&patient()).unwrap());
    let with = |member: &str, value: Value| {
        let mut resource = json!({ "resourceType": "Patient", "id": "1", "gender": "female" });
        resource[member] = value;
        resource
    };
    let parameters = |parameter: Value| json!({ "resourceType": "Parameters", "parameter": [parameter] });
    let entry = |entry: Value| json!({ "resourceType": "Bundle", "type": "searchset", "entry": entry });
    let inner = bundle("collection", &[condition.clone(), patient.clone()]);
    let deep = parameters(json!({ "name": "a", "part": [{ "name": "b", "resource": inner.clone() }] }));
    let deep = with("contained", json!([bundle("history", &[deep])]));
    let mut twice = patient.to_string();
    twice.insert_str(1, "\"resourceType\":\"Condition\",");
    let mut told = vec![
        ("another type", condition.clone()),
        ("more than was asked for", patient.clone()),
        ("a Bundle in a Bundle", bundle("searchset", &[bundle("batch-response", std::slice::from_ref(&inner))])),
        ("a Bundle in Parameters in a Bundle in a Patient", deep),
        ("a resource in a response", entry(json!([{ "response": { "status": "200", "outcome": condition } }]))),
        ("a resource in an outcome's place", entry(json!([{ "response": { "outcome": patient } }]))),
        ("a resource in a request", entry(json!([{ "request": { "resource": condition, "ifNoneExist": CANARY } }]))),
        ("an entry that is none", entry(condition.clone())),
        ("entries in a list in a list", entry(json!([[{ "resource": condition }]]))),
        ("resources in a list", entry(json!([{ "resource": [condition, patient] }]))),
        ("a list of resources", json!([condition, patient])),
        ("a text", json!(CANARY)),
        ("an object without a type", json!({ "id": "1", "name": CANARY, "birthDate": CANARY })),
        ("a type in a list", json!({ "resourceType": ["Patient"], "identifier": CANARY })),
        ("a type that is no text", json!({ "resourceType": { "x": CANARY }, "name": CANARY })),
        ("an unknown type", json!({ "resourceType": "Patients", "name": CANARY })),
        ("a type in another case", json!({ "resourcetype": "Patient", "name": CANARY, "resourceType": "Condition" })),
        ("a value in Parameters", parameters(json!({ "name": "x", "valueString": CANARY }))),
        ("a name in Parameters", parameters(json!({ "name": "x", "valueHumanName": { "family": CANARY } }))),
        ("a birth date that is none", with("birthDate", json!(CANARY))),
        ("a birth date in an object", with("birthDate", json!({ "value": CANARY }))),
        ("a birth date in a list", with("birthDate", json!([CANARY, "1980-12-10"]))),
        (
            "a sibling of another shape",
            with("_birthDate", json!([CANARY, { "extension": [{ "valueString": CANARY }] }])),
        ),
        ("a resource in an element", with("managingOrganization", json!({ "contained": [condition], "x": condition }))),
        ("an element in another case", with("Identifier", json!([{ "value": CANARY }]))),
        ("an element of another type", with("diagnosis", condition.clone())),
        (
            "words in an outcome",
            json!({ "resourceType": "OperationOutcome", "text": { "div": CANARY }, "issue": [
            { "severity": "error", "code": "invalid", "diagnostics": CANARY, "location": [CANARY], "details": {
                "text": CANARY, "coding": [{ "display": CANARY, "extension": [{ "valueString": CANARY }] }] } }] }),
        ),
        (
            "a resource in an outcome",
            json!({ "resourceType": "OperationOutcome", "contained": [condition], "issue": [] }),
        ),
        ("a Binary", json!({ "resourceType": "Binary", "contentType": "text/plain", "data": CANARY })),
        (
            "links",
            json!({ "resourceType": "Bundle", "type": "searchset", "identifier": { "value": CANARY }, "link": [
            { "relation": "self", "url": format!("http://other.example/fhir/Patient?name={CANARY}") },
            { "relation": "next", "url": format!("Patient?identifier={CANARY}") },
            { "relation": "first", "url": CANARY }], "signature": { "data": CANARY },
            "entry": [{ "fullUrl": format!("http://other.example/{CANARY}"), "link": [{ "url": CANARY }] }] }),
        ),
        ("a document", json!({ "id": "1", "plan": CANARY, "claims": [{ "id": CANARY }] })),
    ]
    .into_iter()
    .map(|(what, value)| (what, value.to_string()))
    .collect::<Vec<_>>();
    told.extend([
        ("two types", twice),
        ("lines", format!("{patient}\n{condition}\n")),
        ("a name that is escaped", patient.to_string().replace("\"identifier\"", "\"identif\\u0069er\"")),
        ("a mark in front", format!("\u{feff}{patient}")),
        ("a comment", format!("/* {CANARY} */ {patient}")),
        ("something behind", format!("{patient} {CANARY}")),
        ("half of it", patient.to_string().split_at(patient.to_string().len() / 2).0.to_owned()),
        ("nothing but a secret", CANARY.to_owned()),
    ]);
    told
}

/// Answers that say it in another place or in another form than a whole document of JSON.
pub(crate) fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let patient = patient();
    let said = |fields: &str, body: &[u8]| answer("200 OK", fields, body);
    let fields = format!(
        "{JSON}etag: W/\"{CANARY}\"\r\nlast-modified: {CANARY}\r\nlocation: http://other.example/{CANARY}\r\n\
         content-location: /fhir/Patient/{CANARY}?identifier={CANARY}\r\nlink: <http://x/{CANARY}>; rel=next\r\n\
         digest: sha-256={CANARY}\r\nrepr-digest: {CANARY}\r\nset-cookie: a={CANARY}\r\nserver: {CANARY}\r\n\
         warning: 199 - {CANARY}\r\nretry-after: {CANARY}\r\nwww-authenticate: Basic realm=\"{CANARY}\"\r\n\
         x-request-id: {CANARY}\r\nvary: {CANARY}\r\ncontent-language: {CANARY}\r\ncontent-disposition: {CANARY}\r\n\
         x-progress: {CANARY}\r\nfieldgate-policy: {CANARY}\r\nallow: {CANARY}\r\nexpires: {CANARY}\r\n"
    );
    let chunked = |chunks: &str| {
        format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\nconnection: close\r\n\r\n{chunks}")
    };
    let one = format!("{:x};note={CANARY}\r\n{patient}\r\n", patient.len());
    let utf_16: Vec<u8> = patient.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let coded = |coding: &str| format!("{JSON}content-encoding: {coding}\r\n");
    let bomb = gzip(format!("{patient}{}", " ".repeat(8 << 20)).as_bytes());
    let mut damaged = gzip(patient.as_bytes());
    damaged.truncate(damaged.len() - 6);
    vec![
        ("header fields", said(&fields, patient.as_bytes())),
        ("header fields of a created resource", answer("201 Created", &fields, &patient)),
        ("header fields and no body", answer("204 No Content", &fields, "")),
        ("a reason", answer(&format!("200 {CANARY}"), JSON, &patient)),
        ("a reason of an error", answer(&format!("500 {CANARY}"), JSON, &patient)),
        ("a trailer", chunked(&format!("{one}0\r\nx-secret: {CANARY}\r\n\r\n")).into_bytes()),
        ("a chunk that does not end", chunked(&format!("ffff\r\n{patient}{CANARY}")).into_bytes()),
        ("a chunk of no length", chunked(&format!("{CANARY}\r\n{patient}\r\n0\r\n\r\n")).into_bytes()),
        ("more than its length", [fhir(&patient), CANARY.as_bytes().to_vec()].concat()),
        ("two answers", [fhir(&patient), fhir(condition().to_string())].concat()),
        ("a part", answer("206 Partial Content", &format!("{JSON}content-range: bytes 0-9/{CANARY}\r\n"), &patient)),
        (
            "a word before",
            [format!("HTTP/1.1 103 Early Hints\r\nlink: <{CANARY}>\r\n\r\n").into_bytes(), fhir(&patient)].concat(),
        ),
        ("another protocol", answer("101 Switching Protocols", &format!("upgrade: {CANARY}\r\n"), CANARY)),
        (
            "what is later",
            answer("202 Accepted", &format!("content-location: http://other.example/{CANARY}\r\n"), CANARY),
        ),
        ("another place", answer("302 Found", &format!("location: http://other.example/{CANARY}\r\n"), CANARY)),
        ("no change", answer("304 Not Modified", &format!("etag: \"{CANARY}\"\r\n"), "")),
        ("HTML", said("content-type: text/html\r\n", format!("<p>{CANARY}</p>").as_bytes())),
        (
            "XML",
            said(
                "content-type: application/fhir+xml\r\n",
                format!("<Patient><id value='{CANARY}'/></Patient>").as_bytes(),
            ),
        ),
        ("lines", said("content-type: application/fhir+ndjson\r\n", patient.as_bytes())),
        ("an image", said(&format!("content-type: image/png; name={CANARY}\r\n"), CANARY.as_bytes())),
        ("no media type", said("", patient.as_bytes())),
        ("UTF-16", said("content-type: application/fhir+json; charset=utf-16\r\n", &utf_16)),
        ("UTF-16 that nobody tells of", said(JSON, &utf_16)),
        ("a bomb", said(&coded("gzip"), &bomb)),
        ("a coding that is cut off", said(&coded("gzip"), &damaged)),
        ("a coding that it is not in", said(&coded("br"), patient.as_bytes())),
        ("codings in one another", said(&coded("gzip, gzip"), &gzip(&gzip(patient.as_bytes())))),
        ("a coding that nobody tells of", said(JSON, &gzip(patient.as_bytes()))),
        ("an unknown coding", said(&coded(CANARY), patient.as_bytes())),
        ("no HTTP", CANARY.as_bytes().to_vec()),
        ("a head that does not end", format!("HTTP/1.1 200 OK\r\nx-a: {CANARY}\r\n").into_bytes()),
    ]
}

/// Answers of errors, by an outcome, a text, a page and another resource.
pub(crate) fn errors() -> Vec<(String, Vec<u8>)> {
    let outcome = documents().into_iter().find(|(what, _)| *what == "words in an outcome").unwrap().1;
    let statuses = [
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "409 Conflict",
        "410 Gone",
        "412 Precondition Failed",
        "422 Unprocessable Content",
        "429 Too Many Requests",
        "500 Oops",
        "503 Unavailable",
    ];
    let bodies = [
        (JSON, outcome),
        (JSON, condition().to_string()),
        (JSON, patient()),
        (JSON, CANARY.to_owned()),
        ("content-type: text/html\r\n", format!("<h1>{CANARY}</h1>")),
        ("content-type: text/plain\r\n", CANARY.to_owned()),
    ];
    let said = |(fields, body): &(&str, String)| {
        statuses.map(|status| {
            (format!("{status}: {fields} {body}"), answer(status, &format!("{fields}warning: {CANARY}\r\n"), body))
        })
    };
    bodies.iter().flat_map(said).collect()
}

#[tokio::test]
async fn l07_to_l30_whatever_an_upstream_answers_to_whatever_request_no_caller_learns_of_it() {
    let stage = Arc::new(Stage::new().await);
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": [
        { "request": { "method": "GET", "url": "Patient/1" } },
        { "request": { "method": "GET", "url": "Patient?name=x" } },
        { "request": { "method": "PUT", "url": "Patient/1" }, "resource": { "resourceType": "Patient", "id": "1" } },
    ] })
    .to_string();
    let resource = json!({ "resourceType": "Patient", "id": "1", "gender": "male" }).to_string();
    let patch = json!([{ "op": "add", "path": "/gender", "value": "male" }]).to_string();
    let requests = [
        ("GET /fhir/Patient/1", String::new()),
        ("HEAD /fhir/Patient/1", String::new()),
        ("GET /fhir/Patient/1/_history/1", String::new()),
        ("GET /fhir/Encounter/1", String::new()),
        ("GET /fhir/Patient?name=x", String::new()),
        ("GET /fhir?_type=Patient,Observation", String::new()),
        ("GET /fhir/metadata", String::new()),
        ("POST /fhir/Patient", resource.clone()),
        ("PUT /fhir/Patient/1", resource.clone()),
        ("PATCH /fhir/Patient/1", patch),
        ("DELETE /fhir/Patient/1", String::new()),
        ("POST /fhir", batch),
        ("GET /plan/v1/members/1", String::new()),
    ];
    let answers = documents().into_iter().map(|(what, body)| (what.to_owned(), fhir(body)));
    // Writes read the version first.
    let versioned = documents().into_iter().map(|(what, body)| {
        (format!("{what}, in a version"), answer("200 OK", &format!("{JSON}etag: W/\"{CANARY}\"\r\n"), body))
    });
    let messages = messages().into_iter().map(|(what, raw)| (what.to_owned(), raw));
    let (mut asked, mut passed) = (0, 0);
    for (what, raw) in answers.chain(versioned).chain(messages).chain(errors()) {
        stage.answers(raw);
        // At once, for each waits for the disk to take its record.
        let mut answers = JoinSet::new();
        for (line, body) in &requests {
            let (stage, line, body) = (Arc::clone(&stage), *line, body.clone());
            // The stage judges each answer.
            answers.spawn(async move { (line, stage.send("desk", line, "", &body).await) });
        }
        for (line, answered) in answers.join_all().await {
            assert!(answered.status >= 200 || !answered.whole, "{what}: {line}: {}", answered.head);
            passed += usize::from(answered.status == 200);
            asked += 1;
        }
    }
    println!("{asked} requests answered, {passed} of them with a part of what the upstream said");
    assert!(asked > 1_500 && passed > 100, "{asked}, {passed}");
    Arc::into_inner(stage).unwrap().end().await;
}
