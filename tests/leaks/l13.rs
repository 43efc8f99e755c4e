//! L13: `_include` and `_revinclude` pull in other types.

use crate::stage::Stage;

#[tokio::test]
async fn l13_types_that_are_not_seen_are_not_asked_for() {
    let stage = Stage::new().await;
    for (asked, sent) in [
        ("/Observation?_include=Observation:subject", "/Observation?_include=Observation:subject:Patient"),
        ("/Observation?_include=Observation:subject:Device&code=1", "/Observation?code=1"),
        ("/Observation?_include:iterate=Patient:organization", "/Observation?_include:iterate=Patient:organization"),
        (
            "/Observation?_include=*",
            "/Observation?_include=Observation:encounter:Encounter&_include=Observation:patient&_include=Observation:subject:Patient",
        ),
        ("/Patient?_revinclude=Observation:subject", "/Patient?_revinclude=Observation:subject:Patient"),
        ("/Patient?_revinclude=Encounter:patient", "/Patient?_revinclude=Encounter:patient"),
        ("/Organization?_revinclude=*", "/Organization?_revinclude=Patient:organization"),
        ("/?_type=Patient&_include=*", "/?_type=Patient&_include=Patient:organization"),
    ] {
        assert_eq!(stage.sends(asked).await, sent, "{asked}");
    }
    stage.end().await;
}

#[tokio::test]
async fn l13_what_would_tell_of_something_withheld_is_not_included() {
    let stage = Stage::new().await;
    for (target, word) in [
        ("/Patient?_include=Patient:general-practitioner", "Patient.generalPractitioner"),
        ("/Observation?_include=Observation:performer", "Observation.performer"),
        ("/Observation?_include:iterate=Practitioner:organization", "Practitioner"),
        ("/Patient?_revinclude=Condition:subject", "Condition"),
        ("/Patient?_revinclude:iterate=Provenance:target", "Provenance"),
        // The patient of a visit that is withheld would come without it.
        ("/Encounter?_include=Encounter:subject", "Encounter"),
        ("/Encounter?_revinclude=Observation:encounter", "Encounter"),
        ("/Patient?_include={}", "_include"),
        ("/Patient?_include=Patient:{}", "_include"),
    ] {
        stage.refuses(target, &[word]).await;
    }
    assert_eq!(stage.sends("/Encounter?_include=*").await, "/Encounter");
    stage.end().await;
}
