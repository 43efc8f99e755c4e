//! L10: a search by an element that is withheld or transformed, by modifier, prefix, part or another name.

use crate::stage::Stage;

#[tokio::test]
async fn l10_a_search_by_what_is_withheld_is_refused_by_the_element() {
    let stage = Stage::new().await;
    for (target, element) in [
        ("/Patient?birthdate={}", "Patient.birthDate"),
        ("/Patient?birthdate=ge{}&birthdate=lt{}", "Patient.birthDate"),
        ("/Patient?birthdate:missing=true", "Patient.birthDate"),
        ("/Patient?identifier=http://example.org|{}", "Patient.identifier"),
        ("/Patient?identifier:of-type=a|b|{}", "Patient.identifier"),
        ("/Patient?address-postalcode:contains={}", "Patient.address.postalCode"),
        ("/Patient?phone:not={}", "Patient.telecom"),
        ("/Patient?name=x&gender=male&death-date={}", "Patient.deceasedDateTime"),
        ("/Patient?deceased:not=true", "Patient.deceased"),
        // Displays are withheld unless a rule shows them.
        ("/Observation?subject:text={}", "Observation.subject.display"),
        ("/Observation?category:below={}", "Observation.category"),
        ("/Observation?category:in=http://example.org/{}", "Observation.category"),
        ("/Observation?component-value-concept={}", "Observation.component.value"),
        ("/Observation?component-code-value-quantity=1${}", "Observation.component.value"),
        ("/Observation?combo-value-quantity=gt{}", "Observation.component.value"),
        ("/Observation?_source={}", "Observation.meta.source"),
        ("/Organization?address={}", "Organization.address"),
    ] {
        stage.refuses(target, &[element]).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn l10_a_modifier_that_leads_elsewhere_is_refused_by_the_parameter() {
    let stage = Stage::new().await;
    for target in ["/Observation?subject:below={}", "/Observation?encounter:in={}", "/Patient?name:Patient={}"] {
        stage.refuses(target, &["has a modifier"]).await;
    }
    for target in ["/Patient?name:soundex={}", "/Patient?name:exact:not={}"] {
        stage.refuses(target, &["modifier"]).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn l10_a_parameter_of_the_servers_own_is_held_to_what_it_is_said_to_test() {
    let stage = Stage::new().await;
    stage.refuses("/Patient?nhs-number={}", &["nhs-number", "Patient.identifier"]).await;
    stage.refuses("/Patient?ssn={}", &["ssn"]).await;
    assert_eq!(stage.sends("/Patient?called=Ada").await, "/Patient?called=Ada");
    stage.end().await;
}

#[tokio::test]
async fn l10_a_search_by_what_is_shown_goes_on_and_its_answer_is_filtered() {
    let stage = Stage::new().await;
    for target in [
        "/Patient?name:exact=Ada&gender:not=male&name:missing=false",
        "/Observation?code:below=1&code:text=x&subject:Patient=1&subject:identifier=1",
        "/Observation?code-value-quantity=1$5&value-string:contains=x&combo-code=1",
    ] {
        assert_eq!(stage.sends(target).await, target);
    }
    stage.end().await;
}
