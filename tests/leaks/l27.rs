//! L27: a patch asks (`test`) and carries (`copy`, `move`) by paths.

use serde_json::{Value, json};

use crate::hostile::JSON;
use crate::stage::Stage;
use crate::upstream::{CANARY, answer, patient};

#[tokio::test]
async fn l27_a_patch_reaches_nothing_that_its_caller_does_not_see() {
    let stage = Stage::new().await;
    stage.answers(answer("200 OK", &format!("{JSON}etag: W/\"1\"\r\n"), patient()));
    let after = json!({ "op": "replace", "path": "/gender", "value": "other" });
    let ask = async |operations: Value| {
        stage.all_heard();
        let answered = stage.send("desk", "PATCH /fhir/Patient/1", "", &operations.to_string()).await;
        let heard = stage.all_heard();
        assert!(heard.iter().all(|asked| asked.starts_with("GET ")), "{operations}: {heard:?}");
        assert!(matches!(answered.status, 400 | 403 | 422), "{operations}: {}", answered.text());
        answered.told()
    };
    for (path, right, wrong) in [
        ("/identifier/0/value", json!("id-1"), json!("id-2")),
        ("/birthDate", json!("1980-12-10"), json!("1980-12-11")),
        ("/address/0/city", json!(CANARY), json!("x")),
        ("/text/div", json!(format!("<div>{CANARY}</div>")), json!("x")),
        ("/name/0/_family/extension/0/valueString", json!(CANARY), json!("x")),
        ("/unknown", json!(CANARY), json!("x")),
    ] {
        let right = ask(json!([{ "op": "test", "path": path, "value": right }, after])).await;
        let wrong = ask(json!([{ "op": "test", "path": path, "value": wrong }, after])).await;
        assert_eq!(right, wrong, "{path}: a right guess is told from a wrong one");
        // Of a birth date the caller has the year, and may write that anywhere.
        for op in ["copy", "move"].into_iter().filter(|_| path != "/birthDate") {
            ask(json!([{ "op": op, "from": path, "path": "/name/0/text" }])).await;
            ask(json!([{ "op": op, "from": "/name", "path": path }])).await;
        }
        ask(json!([{ "op": "remove", "path": path }])).await;
        ask(json!([{ "op": "replace", "path": path, "value": "x" }])).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn l27_a_patch_in_the_language_of_paths_is_refused() {
    let stage = Stage::new().await;
    let part = json!([{ "name": "type", "valueCode": "replace" }, { "name": "path", "valueString": format!("Patient.where(birthDate = '{CANARY}').gender") },
        { "name": "value", "valueCode": "other" }]);
    let patch =
        json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": part }] }).to_string();
    for media_type in
        ["application/fhir+json", "application/json", "application/xml-patch+xml", "application/merge-patch+json"]
    {
        let fields = format!("content-type: {media_type}\r\n");
        let answered = stage.ask("desk", "PATCH /fhir/Patient/1", &fields, &patch).await;
        assert_eq!(answered.status, 415, "{media_type}: {}", answered.text());
    }
    assert_eq!(stage.all_heard(), Vec::<String>::new());
    stage.end().await;
}
