//! Writes of callers who are held to one patient: what is not theirs is neither changed nor made.

use serde_json::{Value, json};

use crate::gateway::{Reply, Running};
use crate::tokens::Issuer;
use crate::upstream::{CANARY, Then, Upstream, answer};

fn observation(id: &str, of: &str) -> Value {
    let reference = format!("Patient/{of}");
    json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "text": "x" }, "subject": { "reference": reference } })
}

/// An upstream that has an Observation of Ada's and one of Eve's, and takes whatever is written.
async fn upstream() -> Upstream {
    let upstream = Upstream::choosing(|request| {
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let fields = "content-type: application/fhir+json\r\netag: W/\"1\"\r\n";
        let found = match (method, target) {
            ("GET", "/fhir/Observation/a") => observation("a", "ada"),
            ("GET", "/fhir/Observation/e") => {
                let mut found = observation("e", "eve");
                found["note"] = json!([{ "text": CANARY }]);
                found
            }
            ("GET", "/fhir/Patient/ada") => json!({ "resourceType": "Patient", "id": "ada" }),
            ("PUT" | "POST", _) => serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap(),
            ("DELETE", _) => return (answer("204 No Content", "", ""), Then::Close),
            _ => return (answer("404 Not Found", "", ""), Then::Close),
        };
        (answer(if method == "POST" { "201 Created" } else { "200 OK" }, fields, found.to_string()), Then::Close)
    });
    upstream.await
}

async fn send(gateway: &Running, token: &str, line: &str, body: Option<&Value>) -> Reply {
    let body = body.map(Value::to_string).unwrap_or_default();
    let typed = if body.is_empty() { "" } else { "content-type: application/fhir+json\r\n" };
    let head = format!("{line} HTTP/1.1\r\nhost: gw.example\r\nauthorization: Bearer {token}\r\n{typed}");
    gateway.ask(&format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await
}

#[tokio::test]
async fn l16_what_is_another_patients_is_neither_changed_nor_made() {
    let (issuer, upstream) = (Issuer::new(), upstream().await);
    let mut setup = issuer.setup("");
    let may = "may: [read, vread, search, create, update, delete, batch]";
    setup.policy = setup.policy.replace("may: [read, vread, search]", may);
    let gateway = Running::start(upstream.address, setup).await;
    let tokens = [
        issuer.token("own", &json!({ "patient": "ada" })),
        issuer.token("clinician", &json!({ "scope": "patient/*.cruds", "patient": "ada" })),
    ];
    let writes = || {
        let requests = upstream.requests();
        requests.iter().filter(|request| !request.starts_with("GET")).count()
    };
    for token in &tokens {
        let before = writes();
        let (mut own, mut away) = (observation("a", "ada"), observation("a", "eve"));
        (own["status"], away["status"]) = (json!("amended"), json!("amended"));
        for (line, body, status) in [
            ("PUT /fhir/Observation/a", Some(&away), 403),
            ("PUT /fhir/Observation/e", Some(&own), 404),
            ("DELETE /fhir/Observation/e", None, 404),
            ("POST /fhir/Observation", Some(&away), 403),
            ("POST /fhir/Observation", Some(&json!({ "resourceType": "Observation", "status": "final" })), 403),
            ("POST /fhir/Patient", Some(&json!({ "resourceType": "Patient" })), 403),
            ("PUT /fhir/Patient/eve", Some(&json!({ "resourceType": "Patient", "id": "eve" })), 404),
            ("PUT /fhir/Observation?status=final", Some(&own), 403),
        ] {
            let reply = send(&gateway, token, line, body).await;
            assert_eq!(reply.status, status, "{line}: {}", reply.text());
            assert!(!reply.text().contains(CANARY), "{line}");
        }
        assert_eq!(writes(), before);
        let reply = send(&gateway, token, "PUT /fhir/Observation/a", Some(&own)).await;
        assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("amended")));
        assert_eq!(send(&gateway, token, "POST /fhir/Observation", Some(&observation("n", "ada"))).await.status, 201);
        assert_eq!(send(&gateway, token, "DELETE /fhir/Observation/a", None).await.status, 204);
        assert_eq!(writes(), before + 3);
    }
    // A scope that reads alone writes nothing, whatever the role may.
    let reads = issuer.token("clinician", &json!({ "scope": "patient/*.rs", "patient": "ada" }));
    send(&gateway, &reads, "PUT /fhir/Observation/a", Some(&observation("a", "ada")))
        .await
        .is_outcome(403, "forbidden");
    // In a batch each is decided alone.
    let entry = |url: &str| json!({ "request": { "method": "GET", "url": url } });
    let entries = ["Patient/ada", "Patient/eve", "Observation/e"].map(entry);
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries });
    for token in &tokens {
        let reply = send(&gateway, token, "POST /fhir", Some(&batch)).await.json();
        let statuses: Vec<&str> = reply["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["response"]["status"].as_str().unwrap())
            .collect();
        assert_eq!(statuses, ["200 OK", "404 Not Found", "404 Not Found"], "{reply}");
        assert!(!reply.to_string().contains(CANARY), "{reply}");
    }
}
