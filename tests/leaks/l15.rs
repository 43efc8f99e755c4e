//! L15: `_elements`, `_summary` and counts.

use crate::stage::Stage;

#[tokio::test]
async fn l15_a_part_of_a_resource_is_never_asked_for() {
    let stage = Stage::new().await;
    for asked in ["/Patient?_elements=birthDate,identifier", "/Patient?_summary=true", "/Patient?_summary=data"] {
        assert_eq!(stage.sends(asked).await, "/Patient", "{asked}");
    }
    let asked = "/?_type=Patient&_summary=text";
    assert_eq!(stage.sends(asked).await, "/?_type=Patient");
    stage.end().await;
}

#[tokio::test]
async fn l15_a_count_is_no_way_to_rows_that_are_withheld() {
    let stage = Stage::new().await;
    for target in [
        "/Encounter?status=planned&_summary=count",
        "/Encounter?status=planned&_count=0",
        "/Encounter?patient.name=x&_summary=count",
        "/?_type=Patient,Encounter&_summary=count",
        "/Patient/1/Encounter?_summary=count",
    ] {
        stage.refuses(target, &["count"]).await;
    }
    // The end of a short page would tell of what is withheld behind it.
    for (asked, sent) in [
        ("/Encounter?status=planned&_count=1", "/Encounter?status=planned&_count=1000"),
        ("/Encounter?patient.name=x", "/Encounter?patient.name=x&_count=1000"),
        ("/Encounter?_filter=status+eq+planned&_count=1", "/Encounter?_filter=status eq planned&_count=1000"),
        ("/?_type=Patient,Encounter&_id=1&_count=1", "/?_type=Patient,Encounter&_id=1&_count=1000"),
        ("/Patient/1/Encounter", "/Patient/1/Encounter?_count=1000"),
        ("/Patient?name=x&_summary=count", "/Patient?name=x&_summary=count"),
    ] {
        assert_eq!(stage.sends(asked).await, sent, "{asked}");
    }
    stage.end().await;
}
