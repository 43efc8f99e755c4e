//! L14: the same parameters in the body of a POST `_search`, and in the query and the body at once.

use crate::stage::Stage;

#[tokio::test]
async fn l14_a_form_and_a_query_are_held_to_the_same_rules() {
    let stage = Stage::new().await;
    for (target, form, word) in [
        ("/Patient/_search", "birthdate={}", "Patient.birthDate"),
        ("/Patient/_search", "name=x&birthdate=ge{}", "Patient.birthDate"),
        ("/Patient/_search?birthdate={}", "name=x", "Patient.birthDate"),
        ("/Patient/_search?name=x", "name=y&b%69rthdate={}", "Patient.birthDate"),
        ("/Patient/_search", "_sort=birthdate", "Patient.birthDate"),
        ("/Observation/_search", "patient.birthdate={}", "Patient.birthDate"),
        ("/Patient/_search", "_filter=birthdate+eq+{}", "Patient.birthDate"),
        ("/_search", "_type=Patient&birthdate={}", "Patient.birthDate"),
        ("/_search?_type=Patient", "_type=Condition&_id={}", "Condition"),
        ("/_search", "_id={}", "_type"),
        ("/Patient/_search", "_getpages={}&_fieldgate=Patient.x", "page link"),
    ] {
        let reply = stage.post("desk", target, form).await;
        stage.is_refused(&reply, target, &[word]);
    }
    stage.end().await;
}

#[tokio::test]
async fn l14_what_is_allowed_goes_on_in_the_form_alone() {
    let stage = Stage::new().await;
    for (target, form, sent) in [
        ("/Patient/_search?gender=male", "name=Ada", "/Patient/_search gender=male&name=Ada"),
        ("/_search?_type=Patient", "_type=Observation&_id=1", "/_search _type=Patient&_type=Observation&_id=1"),
        (
            "/Observation/_search",
            "_include=Observation:subject",
            "/Observation/_search _include=Observation:subject:Patient",
        ),
    ] {
        let reply = stage.post("desk", target, form).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(stage.heard(), sent);
    }
    stage.end().await;
}
