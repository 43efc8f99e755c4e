//! L29: documents that two readers take for two things: names that stand twice or are escaped, bytes that are no text.

use serde_json::json;

use crate::hostile::JSON;
use crate::stage::Stage;
use crate::upstream::{CANARY, answer, fhir};

/// Documents of which one reading hides the secret and another does not, and whether there is anything to see of each.
fn documents() -> Vec<(Vec<u8>, bool)> {
    let deep = format!("{}\"{CANARY}\"{}", "[".repeat(200), "]".repeat(200));
    let text = |text: &str, seen: bool| (text.replace("{}", CANARY).into_bytes(), seen);
    let mut documents = vec![
        text(r#"{"resourceType":"Patient","gender":"x","identifier":[],"identifier":[{"value":"{}"}]}"#, true),
        text(r#"{"resourceType":"Patient","gender":"x","identif\u0069er":[{"value":"{}"}]}"#, true),
        text(r#"{"resourceType":"Patient","gender":"x","\u0069\u0064entifier":{"value":"\u0043ANARY-7f3a"}}"#, true),
        text(
            r#"{"resourceType":"Patient","gender":"x","IDENTIFIER":"{}","identifier ":"{}","\u0000identifier":"{}"}"#,
            true,
        ),
        text(
            r#"{"resourceType":"Patient","gender":"x","birthDate":"1980-12-10","birthDate":"{}","birthD\u0061te":"{}"}"#,
            true,
        ),
        text(r#"{"resourceType":"Patient","gender":"x","_birthDate":{"id":"{}"},"_\u0062irthDate":{"id":"{}"}}"#, true),
        // The type last, and so all before it undecided.
        text(r#"{"identifier":[{"value":"{}"}],"code":{"text":"{}"},"gender":"x","resourceType":"Patient"}"#, true),
        text(r#"{"code":{"text":"{}"},"resource\u0054ype":"Condition"}"#, false),
        text(r#"{"resourceType":"Patient","gender":"{}","resourceType":"Condition","code":"{}"}"#, false),
        text(r#"{"resourceType":"Condition","code":"{}","resourceType":"Patient","gender":"{}"}"#, false),
        text(r#"{"resourceType":"Condition","code":"{}","resource\u0054ype":"Patient","gender":"{}"}"#, false),
        text(r#"{"resourceType":"Pati\u0065nt","gender":"x","identifier":"{}"}"#, true),
        text(r#"{"resourceType":"patient","gender":"{}","gender":"x"}"#, false),
        text(r#"{"resourceType":"Patient\u0000","gender":"{}"}"#, false),
        text(r#"{"resourceType":null,"gender":"{}"}"#, false),
        // Which rows are seen is decided by what stands twice.
        text(r#"{"resourceType":"Encounter","status":"finished","status":"planned","id":"{}"}"#, false),
        text(r#"{"resourceType":"Encounter","status":"planned","st\u0061tus":"finished","id":"{}"}"#, false),
        text(r#"{"resourceType":"Encounter","id":"{}","Status":"finished"}"#, false),
        // No JSON, or more than one.
        text(r#"{"resourceType":"Patient","identifier":"{}","gender":"\ud800"}"#, false),
        text(r#"{"resourceType":"Patient","identifier":"{}","gender":"\udc00\ud800"}"#, false),
        text(r#"{"resourceType":"Patient","identifier":"{}",}"#, false),
        text(r#"{"resourceType":"Patient",'identifier':"{}"}"#, false),
        text(r#"{"resourceType":"Patient",identifier:"{}"}"#, false),
        text(r#"{"resourceType":"Patient"}{"resourceType":"Condition","code":"{}"}"#, false),
        text(r#"{"resourceType":"Patient"} "{}""#, false),
        text(r#"{"resourceType":"Patient","gender":NaN,"identifier":"{}"}"#, false),
        text("{\"resourceType\":\"Patient\",\"gender\":\"a\nb\",\"identifier\":\"{}\"}", false),
        text("\u{feff}{\"resourceType\":\"Patient\",\"identifier\":\"{}\"}", false),
        text(&format!(r#"{{"resourceType":"Patient","identifier":{deep}}}"#), false),
    ];
    for (bytes, at) in [(&b"\xff"[..], 10), (b"\xc0\xaf", 10), (b"\xed\xa0\x80", 10), (b"\0", 0), (b"\0", 30)] {
        let mut document = format!(r#"{{"name":"x","identifier":"{CANARY}","resourceType":"Patient"}}"#).into_bytes();
        document.splice(at..at, bytes.iter().copied());
        documents.push((document, false));
    }
    documents
}

#[tokio::test]
async fn l29_a_document_has_one_reading_or_none() {
    let stage = Stage::new().await;
    for (document, seen) in documents() {
        let text = String::from_utf8_lossy(&document).into_owned();
        let of = if text.contains("Encounter") { "Encounter" } else { "Patient" };
        stage.answers(fhir(&document));
        let read = stage.get("desk", &format!("/{of}/1")).await;
        match seen {
            true => assert_eq!((read.status, &read.json()["gender"]), (200, &json!("x")), "{text}: {}", read.text()),
            false => assert!(!read.whole || matches!(read.status, 404 | 502), "{text}: {}", read.text()),
        }
        let entry = [br#"{"resourceType":"Bundle","entry":[{"resource":"#, &document[..], b"}]}"].concat();
        stage.answers(fhir(entry));
        stage.get("desk", &format!("/{of}?_count=5")).await;
        // What is stored is merged with what is sent only where it has one reading.
        stage.answers(answer("200 OK", &format!("{JSON}etag: W/\"1\"\r\n"), &document));
        let copy = json!({ "resourceType": of, "id": "1" }).to_string();
        stage.send("desk", &format!("PUT /fhir/{of}/1"), "", &copy).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn l29_what_is_written_has_one_reading_too() {
    let stage = Stage::new().await;
    // These would be seen as they are.
    let shown = [
        r#"{"resourceType":"Patient","gender":"male","gender":"male"}"#,
        r#"{"resourceType":"Patient","gender":"male","gender":"female"}"#,
        r#"{"resourceType":"Patient","gender":"male","gend\u0065r":"female"}"#,
        r#"{"resourceType":"Patient","name":[{"family":"x","family":"y"}]}"#,
    ];
    for document in documents().into_iter().map(|(document, _)| document).chain(shown.map(Vec::from)) {
        let Ok(body) = String::from_utf8(document) else { continue };
        stage.all_heard();
        let answered = stage.send("desk", "POST /fhir/Patient", "", &body).await;
        assert!(answered.status >= 400, "{body}: {}", answered.text());
        assert_eq!(stage.all_heard(), Vec::<String>::new(), "{body}");
    }
    stage.end().await;
}
