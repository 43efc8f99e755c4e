//! The synthetic practice: the same bytes each time, sound as FHIR, sound as a story, and with every case that a filter must handle.
#![cfg(feature = "demo")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

use std::collections::HashSet;

use fieldgate::demo::people::{BASE, DEMO_PATIENTS, DEMO_SEED, Population};
use jiff::civil::{Date, date};
use serde_json::Value;

const TODAY: Date = date(2026, 11, 22);

fn demo() -> Population {
    Population::generate(DEMO_SEED, DEMO_PATIENTS, TODAY)
}

/// Several practices: what holds must hold for any seed.
fn many() -> Vec<Population> {
    (0..6).map(|seed| Population::generate(seed, 60, TODAY)).collect()
}

fn of<'a>(resource: &'a Value, name: &str) -> &'a str {
    resource[name].as_str().unwrap_or_default()
}

/// Calls `see` for the value and all in it, with the name of the member that it is.
fn walk<'a>(value: &'a Value, name: &'a str, see: &mut impl FnMut(&'a str, &'a Value)) {
    see(name, value);
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| walk(value, name, see)),
        Value::Array(items) => items.iter().for_each(|value| walk(value, name, see)),
        _ => {}
    }
}

fn has_label(resource: &Value, code: &str) -> bool {
    resource["meta"]["security"].as_array().is_some_and(|labels| labels.iter().any(|label| label["code"] == code))
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    assert_eq!(demo().bundle(), demo().bundle());
    assert_ne!(demo().bundle(), Population::generate(DEMO_SEED + 1, DEMO_PATIENTS, TODAY).bundle());
}

#[test]
fn a_patient_does_not_depend_on_how_many_there_are() {
    let few = Population::generate(5, 3, TODAY);
    let more = Population::generate(5, 9, TODAY);
    assert!(
        few.resources().all(|resource| more.get(of(resource, "resourceType"), of(resource, "id")) == Some(resource))
    );
}

#[test]
fn ids_are_unique_and_references_resolve() {
    for population in many() {
        let ids: HashSet<&str> = population.resources().map(|resource| of(resource, "id")).collect();
        assert_eq!(ids.len(), population.resources().count());
        for resource in population.resources() {
            let contained: HashSet<String> = resource["contained"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|inner| format!("#{}", of(inner, "id")))
                .collect();
            let mut used = HashSet::new();
            walk(resource, "", &mut |name, value| {
                let Some(reference) = value.as_str().filter(|_| name == "reference") else { return };
                if reference.starts_with('#') {
                    assert!(contained.contains(reference), "{reference} in {}", of(resource, "resourceType"));
                    used.insert(reference.to_owned());
                } else {
                    let (resource_type, id) = reference.split_once('/').unwrap();
                    assert!(population.get(resource_type, id).is_some(), "{reference}");
                }
            });
            // dom-3: nothing is contained that nothing refers to.
            assert_eq!(used, contained);
        }
    }
}

#[test]
fn no_member_is_null_or_empty_and_siblings_stay_aligned() {
    for resource in demo().resources() {
        walk(resource, "", &mut |name, value| match value {
            Value::Object(members) => {
                assert!(!members.is_empty(), "{name}");
                assert!(members.values().all(|member| !member.is_null()), "{name}");
                for (sibling, value) in members.iter().filter(|(name, _)| name.starts_with('_')) {
                    if let Some(items) = value.as_array() {
                        let beside = members[sibling.trim_start_matches('_')].as_array().unwrap();
                        assert_eq!(items.len(), beside.len(), "{sibling}");
                    }
                }
            }
            Value::Array(items) => assert!(!items.is_empty(), "{name}"),
            Value::String(text) => assert!(!text.trim().is_empty(), "{name}"),
            _ => {}
        });
    }
}

#[test]
fn every_resource_has_what_fhir_requires_of_its_type() {
    let required = |resource_type: &str| -> &'static [&'static str] {
        match resource_type {
            "Observation" | "DiagnosticReport" => &["status", "code"],
            "Encounter" => &["status", "class"],
            "Condition" => &["subject", "clinicalStatus"],
            "MedicationRequest" => &["status", "intent", "subject"],
            "AllergyIntolerance" => &["patient"],
            "Immunization" => &["status", "vaccineCode", "patient", "occurrenceDateTime"],
            "Procedure" => &["status", "subject"],
            "Appointment" => &["status", "participant", "start", "end"],
            "Coverage" => &["status", "beneficiary", "payor"],
            "Claim" => &["status", "type", "use", "patient", "created", "provider", "priority", "insurance"],
            "ExplanationOfBenefit" => {
                &["status", "type", "use", "patient", "created", "insurer", "provider", "outcome", "insurance"]
            }
            "DocumentReference" => &["status", "content"],
            "Patient" => &["name", "birthDate", "gender", "address", "identifier"],
            "Organization" | "Practitioner" | "Location" => &["name"],
            other => panic!("{other} is not expected"),
        }
    };
    for resource in demo().resources() {
        let resource_type = of(resource, "resourceType");
        for element in required(resource_type) {
            assert!(!resource[element].is_null(), "{resource_type}.{element}");
        }
        if resource_type == "MedicationRequest" {
            let forms = ["medicationCodeableConcept", "medicationReference"];
            assert_eq!(forms.iter().filter(|form| !resource[**form].is_null()).count(), 1);
        }
    }
}

#[test]
fn dates_parse_and_nothing_clinical_lies_before_birth_or_after_death_or_today() {
    for population in many() {
        for resource in population.resources() {
            let patient = ["subject", "patient"].iter().find_map(|name| resource[*name]["reference"].as_str());
            let patient = patient.and_then(|name| population.get("Patient", name.strip_prefix("Patient/")?));
            let day = |text: &str| text.get(..10).unwrap().parse::<Date>().expect(text);
            walk(resource, "", &mut |name, value| {
                let Some(text) = value.as_str() else { return };
                let clinical = matches!(
                    name,
                    "effectiveDateTime"
                        | "onsetDateTime"
                        | "recordedDate"
                        | "occurrenceDateTime"
                        | "authoredOn"
                        | "performedDateTime"
                );
                if matches!(name, "lastUpdated" | "issued") {
                    text.parse::<jiff::Timestamp>().expect(text);
                }
                if let Some(patient) = patient.filter(|_| clinical) {
                    assert!(
                        day(text) >= day(of(patient, "birthDate")),
                        "{name} {text} before {}",
                        patient["birthDate"]
                    );
                    assert!(day(text) <= TODAY);
                    if let Some(died) = patient["deceasedDateTime"].as_str() {
                        assert!(day(text) <= day(died));
                    }
                }
            });
        }
    }
}

#[test]
fn conditions_fit_age_and_sex() {
    for population in many() {
        for condition in population.of_type("Condition") {
            let id = condition["subject"]["reference"].as_str().unwrap().strip_prefix("Patient/").unwrap();
            let patient = population.get("Patient", id).unwrap();
            let born: Date = of(patient, "birthDate").parse().unwrap();
            let years = TODAY.year() - born.year();
            match condition["code"]["text"].as_str().unwrap() {
                "Pregnancy" => assert!(patient["gender"] == "female" && (18..=42).contains(&years)),
                "Malignant neoplasm of breast" => assert_eq!(patient["gender"], "female"),
                "Benign prostatic hyperplasia" => assert_eq!(patient["gender"], "male"),
                "Alzheimer's disease" => assert!(years >= 70),
                "Otitis media" => assert!(years <= 9),
                "Alcohol dependence" | "Opioid dependence" => assert!(years >= 18),
                _ => {}
            }
        }
    }
}

#[test]
fn whatever_belongs_to_a_sensitive_condition_is_labelled() {
    for population in many() {
        for (word, code) in [("HIV", "HIV"), ("immunodeficiency", "HIV"), ("Opioid", "SUD"), ("depressive", "PSY")] {
            let told: Vec<&Value> =
                population.resources().filter(|resource| resource.to_string().contains(word)).collect();
            assert!(!told.is_empty());
            for resource in told {
                assert!(has_label(resource, code) && has_label(resource, "R"), "{word} in {resource}");
            }
        }
    }
}

#[test]
fn the_demo_holds_every_case_that_a_field_filter_must_handle() {
    let population = demo();
    let all = population.resources().map(Value::to_string).collect::<Vec<_>>().join("\n");
    for case in [
        "\"_birthDate\":{\"extension\"",
        "\"_given\":[null,",
        "\"_family\":{",
        "patient-birthTime",
        "\"contained\":[{\"resourceType\":\"RelatedPerson\"",
        "\"contained\":[{\"resourceType\":\"Medication\"",
        "\"contained\":[{\"resourceType\":\"Specimen\"",
        "\"deceasedBoolean\":false",
        "\"deceasedDateTime\":",
        "\"onsetAge\":",
        "\"onsetPeriod\":",
        "\"onsetDateTime\":",
        "\"valueQuantity\":",
        "\"valueCodeableConcept\":",
        "\"valueInteger\":",
        "\"valueString\":",
        "\"valueDateTime\":",
        "\"performedPeriod\":",
        "\"multipleBirthInteger\":",
        "us-core-race",
        "\"postalCode\":\"036",
    ] {
        assert!(all.contains(case), "{case}");
    }
    for label in ["N", "R", "V", "PSY", "SUD", "ETH", "HIV", "STD"] {
        assert!(population.resources().any(|resource| has_label(resource, label)), "{label}");
    }
    let oldest: Date =
        population.of_type("Patient").map(|patient| of(patient, "birthDate").parse().unwrap()).min().unwrap();
    assert!(TODAY.year() - oldest.year() > 90);
}

#[test]
fn every_patient_is_repeated_in_a_narrative_a_display_a_note_and_an_attachment() {
    use base64::Engine;
    let population = demo();
    for patient in population.of_type("Patient") {
        let name = patient["name"][0]["text"].as_str().unwrap();
        assert!(patient["text"]["div"].as_str().unwrap().contains(of(patient, "birthDate")));
        let reference = format!("Patient/{}", of(patient, "id"));
        let own = |resource: &&Value| resource["subject"]["reference"] == reference.as_str();
        assert!(population.of_type("Encounter").filter(own).all(|encounter| encounter["subject"]["display"] == name));
        let document = population.of_type("DocumentReference").find(own).unwrap();
        let data = document["content"][0]["attachment"]["data"].as_str().unwrap();
        let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(data).unwrap()).unwrap();
        assert!(text.contains(name) && text.contains(of(patient, "birthDate")));
    }
}

#[test]
fn identifiers_and_addresses_are_of_kinds_that_nobody_has() {
    for population in many() {
        for patient in population.of_type("Patient") {
            let ssn = patient["identifier"][1]["value"].as_str().unwrap();
            // Group numbers 50 and up of area 9xx are taxpayer numbers, which are issued.
            assert!(ssn.starts_with('9') && ssn.get(4..6).unwrap().parse::<u8>().unwrap() < 50, "{ssn}");
        }
        for resource in population.resources() {
            walk(resource, "", &mut |name, value| {
                if name == "telecom" && value["system"] == "phone" {
                    assert!(of(value, "value").contains("-555-01"), "{value}");
                }
                if name == "telecom" && value["system"] == "email" {
                    let host = of(value, "value").rsplit('@').next().unwrap();
                    assert!(["example.com", "example.org", "harrowvalley.example"].contains(&host));
                }
            });
        }
    }
}

#[test]
fn a_member_record_is_found_by_the_id_on_the_coverage() {
    let population = demo();
    assert_eq!(population.members().count(), DEMO_PATIENTS);
    for coverage in population.of_type("Coverage") {
        let member = population.member(of(coverage, "subscriberId")).unwrap();
        assert!(!member["claims"].as_array().unwrap().is_empty());
        assert!(member["ssn"].is_string() && member["plan"]["name"].is_string());
    }
}

#[test]
fn a_bundle_of_any_length_is_sound_and_has_new_ids_in_each_copy() {
    let population = Population::generate(3, 4, TODAY);
    let once = population.bundle().len() as u64;
    let mut bytes = Vec::new();
    let written = population.write_bundle(&mut bytes, once * 3).unwrap();
    assert_eq!(written, bytes.len() as u64);
    assert!((once * 3..once * 4).contains(&written));

    let bundle: Value = serde_json::from_slice(&bytes).unwrap();
    let entries = bundle["entry"].as_array().unwrap();
    let urls: HashSet<&str> = entries.iter().map(|entry| of(entry, "fullUrl")).collect();
    assert_eq!(urls.len(), entries.len());
    for entry in entries {
        let resource = &entry["resource"];
        assert_eq!(of(entry, "fullUrl"), format!("{BASE}/{}/{}", of(resource, "resourceType"), of(resource, "id")));
        if let Some(reference) = resource["subject"]["reference"].as_str() {
            assert!(urls.contains(format!("{BASE}/{reference}").as_str()), "{reference}");
        }
    }
}

#[test]
fn a_writer_that_fails_ends_a_bundle_with_an_error() {
    let mut small = [0_u8; 1000];
    assert!(demo().write_bundle(&mut small[..], 1 << 40).is_err());
}
