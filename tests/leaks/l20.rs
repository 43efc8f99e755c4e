//! L20: other formats and charsets, in which nothing can be hidden.

use crate::hostile::messages;
use crate::stage::Stage;

#[tokio::test]
async fn l20_nothing_but_json_is_asked_for_or_passed_on() {
    let stage = Stage::new().await;
    for format in
        ["xml", "application/fhir%2Bxml", "text/xml", "ttl", "text/turtle", "html", "text/html", "ndjson", "{}"]
    {
        for target in ["/Patient/1", "/Patient?name=x", "/metadata"] {
            let sign = if target.contains('?') { '&' } else { '?' };
            let answered = stage.get("desk", &format!("{target}{sign}_format={format}")).await;
            assert_eq!(answered.status, 406, "{target} {format}: {}", answered.text());
        }
    }
    for accept in
        ["application/fhir+xml", "text/html", "text/turtle", "application/fhir+ndjson", "application/json;q=0", ""]
    {
        let answered = stage.ask("desk", "GET /fhir/Patient/1", &format!("accept: {accept}\r\n"), "").await;
        assert_eq!(answered.status, 406, "{accept}: {}", answered.text());
    }
    assert_eq!(stage.all_heard(), Vec::<String>::new());
    for (what, raw) in messages() {
        if ["HTML", "XML", "lines", "an image", "no media type", "UTF-16", "UTF-16 that nobody tells of"]
            .contains(&what)
        {
            stage.answers(raw);
            for caller in ["desk", "billing", "clinician"] {
                let answered = stage.get(caller, "/Patient/1").await;
                assert_eq!(answered.status, 502, "{what} to {caller}: {}", answered.text());
            }
        }
    }
    assert!(stage.all_heard().iter().all(|asked| asked.contains("accept: application/fhir+json")));
    stage.end().await;
}
