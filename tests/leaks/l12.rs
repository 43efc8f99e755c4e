//! L12: an order by an element that is withheld.

use crate::stage::Stage;

#[tokio::test]
async fn l12_a_sort_by_what_is_withheld_is_refused_by_the_element() {
    let stage = Stage::new().await;
    for (target, word) in [
        ("/Patient?_sort=birthdate", "Patient.birthDate"),
        ("/Patient?_sort=gender,-birthdate", "Patient.birthDate"),
        ("/Patient?_sort=nhs-number", "Patient.identifier"),
        ("/Observation?_sort=combo-code-value-quantity", "Observation.component.value"),
        ("/Observation?_sort=patient.birthdate", "_sort"),
        ("/Observation?_sort=patient.name", "_sort"),
        ("/Patient?_sort=_has:Observation:patient:code", "_sort"),
        ("/Patient?_sort=name:exact", "_sort"),
        ("/Patient?_sort=_text", "_text"),
        ("/Patient?_sort={}", "_sort"),
        ("/?_type=Patient&_sort=birthdate", "Patient.birthDate"),
        ("/Patient/1/Encounter?_sort=date", "Encounter.period"),
    ] {
        stage.refuses(target, &[word]).await;
    }
    let shown = "/Observation?_sort=-code,status,code-value-quantity,_id";
    assert_eq!(stage.sends(shown).await, shown);
    stage.end().await;
}
