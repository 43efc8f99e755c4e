//! The demo's spec for `fieldgate conformance`: what the front desk must see of the made-up people and what not.
//!
//! Its values are synthetic. It is written into the demo's folder, beside the key and the token that it names.

use serde_json::Value;

use crate::demo::people::Population;

/// The spec for the front desk and this patient; `None` where the people lack what it shows.
pub(super) fn front_desk(people: &Population, patient: &str) -> Option<String> {
    let record = people.get("Patient", patient)?;
    let is_patients = |resource: &&Value| {
        ["/subject/reference", "/participant/0/actor/reference", "/participant/1/actor/reference"]
            .iter()
            .any(|at| resource.pointer(at).and_then(Value::as_str).is_some_and(|of| of.ends_with(patient)))
    };
    let social_security = record
        .get("identifier")?
        .as_array()?
        .iter()
        .find(|one| one.pointer("/type/coding/0/code").is_some_and(|code| code == "SS"))?;
    let mut spec = String::from(HEAD);
    resource(
        &mut spec,
        record,
        None,
        &[("name.family", record.pointer("/name/0/family")?)],
        &[
            ("birthDate", record.get("birthDate")?, "1901-02-03"),
            ("identifier.value", social_security.get("value")?, "999-99-9999"),
            ("telecom.value", record.pointer("/telecom/0/value")?, "(999) 555-0199"),
            ("address.line", record.pointer("/address/0/line/0")?, "999 Nowhere Street"),
        ],
    )?;
    // Of any patient: the one that shows well may come for nothing.
    let is_seen = |one: &&Value| {
        let label = one.pointer("/meta/security/0/code");
        one.get("description").is_some() && label.is_none_or(|code| code == "N")
    };
    let appointment = people.of_type("Appointment").find(is_seen)?;
    resource(
        &mut spec,
        appointment,
        None,
        &[("start", appointment.get("start")?)],
        &[("description", appointment.get("description")?, "Nothing at all")],
    )?;
    let why = "The front desk sees no Condition at all.";
    let condition = people.of_type("Condition").find(is_patients).or_else(|| people.of_type("Condition").next())?;
    resource(&mut spec, condition, Some(why), &[], &[("code.text", condition.pointer("/code/text")?, "Boredom")])?;
    let why = "It sees vital signs alone.";
    let is_result = |one: &&Value| {
        let category = one.pointer("/category/0/coding/0/code");
        category.is_some_and(|code| code == "laboratory") && one.pointer("/code/text").is_some()
    };
    let result = people.of_type("Observation").filter(is_result).find(is_patients);
    let result = result.or_else(|| people.of_type("Observation").find(is_result))?;
    resource(&mut spec, result, Some(why), &[], &[("code.text", result.pointer("/code/text")?, "Boredom count")])?;
    Some(spec)
}

const HEAD: &str = "\
# What the front desk must see of the demo's people, and what not. Every path is relative to this file.
#   fieldgate conformance --target https://127.0.0.1:8443/fhir --spec conformance.yaml

version: 1
headers:
  Authorization: { file: front-desk.header }
ca: keys/ca.pem

resources:
";

/// Adds a resource; one whose existence is withheld says why.
fn resource(
    spec: &mut String,
    record: &Value,
    withheld: Option<&str>,
    shown: &[(&str, &Value)],
    hidden: &[(&str, &Value, &str)],
) -> Option<()> {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    spec.push_str(&format!("  {}/{}:\n", text("resourceType")?, text("id")?));
    if let Some(why) = withheld {
        spec.push_str(&format!("    # {why}\n    existence: withheld\n"));
    }
    // A JSON string is one of YAML as well.
    if !shown.is_empty() {
        spec.push_str("    shown:\n");
    }
    for (path, value) in shown {
        spec.push_str(&format!("      {path}: {}\n", Value::from(value.as_str()?)));
    }
    spec.push_str("    withheld:\n");
    for (path, value, wrong) in hidden {
        spec.push_str(&format!("      {path}: {{ value: {}, wrong: \"{wrong}\" }}\n", Value::from(value.as_str()?)));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::conformance::Spec;
    use crate::demo::people::{DEMO_PATIENTS, DEMO_SEED};
    use crate::fhir::Definitions;

    #[test]
    fn the_demos_spec_has_no_mistake_whatever_day_it_is() {
        for today in ["2025-01-31", "2026-11-22", "2028-02-29"] {
            let people = Population::generate(DEMO_SEED, DEMO_PATIENTS, today.parse().unwrap());
            let patient = people.of_type("Patient").find(|patient| super::super::shows_well(patient)).unwrap();
            let spec = front_desk(&people, patient["id"].as_str().unwrap()).unwrap();
            let read = Spec::parse(Path::new("conformance.yaml"), &spec, &Definitions::r4());
            assert!(read.is_ok(), "{:?}\n{spec}", read.err());
        }
    }
}
