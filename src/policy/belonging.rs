//! Tests on a whole resource as the upstream sent it: whose it is, and whether a token search parameter finds it.
//!
//! They are exact or there is none: what a server might find and these might not is no match, and what can't be told
//! from the element tables is for the caller to refuse.

use crate::fhir::definitions::{Category, Mapping, ParameterKind};
use crate::fhir::{Definitions, TypeId};
use crate::redact::condition::{Query, Segment, Selector, Test};

use super::condition::{equals, name};
use super::envelope::is_envelope;

/// Whose the resources of a type are.
#[derive(Debug, PartialEq)]
pub(super) enum Belonging {
    /// The patient's of this test alone.
    To(Test),
    /// No patient's: the type tells of none.
    ToNobody,
    /// Some patient's perhaps, and nothing in them tells whose.
    Untold,
}

/// The patient of a compartment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patient<'a> {
    /// Its id.
    pub(super) id: &'a str,
    /// The URL of the server that its resources are on, where references may lead to it in full.
    pub(super) base: Option<&'a str>,
}

/// Whose the resources of a type are, of this patient or not.
pub(super) fn belonging(definitions: &Definitions, type_id: TypeId, patient: Patient<'_>) -> Belonging {
    let of = definitions.get(type_id);
    if of.name == "Patient" {
        return Belonging::To(equals(vec![name("id")], patient.id));
    }
    let mut paths: Vec<&str> = definitions.patient_elements(type_id).iter().collect();
    if paths.is_empty() {
        // In no compartment by the standard's list, and of a patient all the same: Device, Contract, GuidanceResponse.
        let parameter = definitions.search_parameter(of.name, "patient");
        paths.extend(parameter.into_iter().flat_map(|parameter| parameter.elements.iter()));
    }
    if paths.is_empty() {
        return match of.category {
            _ if is_envelope(of.name) => Belonging::ToNobody,
            Some(Category::Anonymous | Category::Business | Category::Individual) => Belonging::ToNobody,
            Some(Category::Patient | Category::NotClassified) | None => Belonging::Untold,
        };
    }
    let mut values = vec![format!("Patient/{}", patient.id)];
    values.extend(patient.base.map(|base| format!("{}/Patient/{}", base.trim_end_matches('/'), patient.id)));
    let leads = |prefix: Vec<Segment>, leaf: TypeId| {
        let is_reference = definitions.get(leaf).name == "Reference";
        let below = [prefix, vec![name("reference")]].concat();
        is_reference.then(|| Test::Any(values.iter().map(|value| equals(below.clone(), value)).collect()))
    };
    let tests = paths.iter().map(|path| along(definitions, type_id, path, &leads));
    tests.collect::<Option<Vec<_>>>().map_or(Belonging::Untold, |tests| Belonging::To(Test::Any(tests)))
}

/// The search parameter that leads from a type to the patient that its resources belong to, and the value for one.
pub(super) fn narrowing(
    definitions: &Definitions,
    type_id: TypeId,
    patient: Patient<'_>,
) -> Option<(&'static str, Box<str>)> {
    let resource = definitions.get(type_id).name;
    if resource == "Patient" {
        return Some(("_id", patient.id.into()));
    }
    let reference = format!("Patient/{}", patient.id).into();
    let own: Vec<&str> = definitions.patient_elements(type_id).iter().collect();
    let within = |code: &str| {
        let parameter = definitions.search_parameter(resource, code);
        parameter.is_some_and(|parameter| {
            parameter.mapping == Mapping::Plain
                && (own.is_empty() || parameter.elements.iter().all(|path| own.contains(&path)))
        })
    };
    if within("patient") {
        return Some(("patient", reference));
    }
    let mut codes = definitions.patient_parameters(resource)?.iter();
    match (codes.next(), codes.next()) {
        (Some(code), None) => Some((code, reference)),
        _ => None,
    }
}

/// The test that a resource of a type passes which a token parameter with this value finds, where it is exact: a
/// parameter on one element that is a CodeableConcept, a Coding, an Identifier or a code, without a modifier.
pub(super) fn token(definitions: &Definitions, type_id: TypeId, code: &str, value: &str) -> Option<Test> {
    let parameter = definitions.search_parameter(definitions.get(type_id).name, code)?;
    let mut paths = parameter.elements.iter();
    let (Some(path), None) = (paths.next(), paths.next()) else { return None };
    let exact = parameter.kind == ParameterKind::Token && parameter.mapping == Mapping::Plain;
    // A backslash escapes what stands behind it, which nobody needs in a scope.
    if !exact || value.contains('\\') {
        return None;
    }
    let leaf = |prefix: Vec<Segment>, leaf: TypeId| {
        let tests = value.split(',').map(|wanted| matches(definitions.get(leaf).name, &prefix, wanted));
        tests.collect::<Option<Vec<_>>>().map(Test::Any)
    };
    along(definitions, type_id, path, &leaf)
}

/// Whether the value below `prefix` is what a token search by `wanted` finds (R4 search.html#token).
fn matches(leaf: &str, prefix: &[Segment], wanted: &str) -> Option<Test> {
    let below = |member: &str| [prefix, &[name(member)]].concat();
    let (system, code) = match wanted.split_once('|') {
        Some((system, code)) => (Some(system), code),
        None => (None, wanted),
    };
    if code.contains('|') || wanted.is_empty() || wanted == "|" {
        return None;
    }
    let member = match leaf {
        "CodeableConcept" => {
            let coding = matches("Coding", &[], wanted)?;
            let segments = [below("coding"), vec![Segment::Child(vec![Selector::Filter(Box::new(coding))])]].concat();
            return Some(Test::Exists(Query { segments }));
        }
        "Coding" => "code",
        "Identifier" => "value",
        // Its system is none that stands in the resource.
        "code" | "id" if system.is_none() => return Some(equals(prefix.to_vec(), code)),
        _ => return None,
    };
    let mut tests = Vec::new();
    match system {
        None => {}
        Some("") => tests.push(Test::Not(Box::new(Test::Exists(Query { segments: below("system") })))),
        Some(system) => tests.push(equals(below("system"), system)),
    }
    if !code.is_empty() {
        tests.push(equals(below(member), code));
    }
    Some(Test::All(tests))
}

/// A test on what stands at a path: where there are several of anything on the way, on any of them. `leaf` makes the
/// test on a value of a type, given the way to it from what is tested.
fn along(
    definitions: &Definitions,
    base: TypeId,
    path: &str,
    leaf: &dyn Fn(Vec<Segment>, TypeId) -> Option<Test>,
) -> Option<Test> {
    let (mut at, mut segments, mut rest) = (base, Vec::new(), Some(path));
    while let Some(path) = rest {
        let (step, below) = path.split_once('.').map_or((path, None), |(step, below)| (step, Some(below)));
        // Of a choice the path names the one form that is meant.
        let (element, form) = definitions.get(at).member(step)?;
        segments.push(name(&form.json_name));
        at = form.target;
        if element.many {
            let item = match below {
                Some(below) => along(definitions, at, below, leaf)?,
                None => leaf(Vec::new(), at)?,
            };
            segments.push(Segment::Child(vec![Selector::Filter(Box::new(item))]));
            return Some(Test::Exists(Query { segments }));
        }
        rest = below;
    }
    leaf(segments, at)
}

/// A resource of this id.
pub(super) fn equals_id(id: &str) -> Test {
    equals(vec![name("id")], id)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::json::node::Document;

    const ADA: Patient<'_> = Patient { id: "ada", base: Some("https://ehr.example/fhir/") };

    fn holds(test: &Test, resource: &Value) -> bool {
        let text = resource.to_string();
        test.holds(Document::read(text.as_bytes()).unwrap().root()) == Ok(true)
    }

    fn own(name: &str, resource: Value) -> bool {
        let definitions = Definitions::r4();
        match belonging(&definitions, definitions.resource(name).unwrap(), ADA) {
            Belonging::To(test) => holds(&test, &resource),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn a_resource_is_of_the_patient_whom_it_refers_to_and_no_other() {
        let subject = |reference: &str| own("Observation", json!({ "subject": { "reference": reference } }));
        assert!(subject("Patient/ada") && subject("https://ehr.example/fhir/Patient/ada"));
        for other in
            ["Patient/eve", "ada", "Patient/ada2", "https://other.example/fhir/Patient/ada", "#ada", "Group/ada"]
        {
            assert!(!subject(other), "{other}");
        }
        assert!(!own("Observation", json!({})));
        assert!(!own("Observation", json!({ "subject": { "display": "Patient/ada" } })));
        assert!(own(
            "Observation",
            json!({ "performer": [{ "reference": "Patient/x" }, { "reference": "Patient/ada" }] })
        ));
        let actor = |reference: &str| json!({ "participant": [{}, { "actor": { "reference": reference } }] });
        assert!(own("Appointment", actor("Patient/ada")) && !own("Appointment", actor("Patient/eve")));
        assert!(own("Device", json!({ "patient": { "reference": "Patient/ada" } })) && !own("Device", json!({})));
        assert!(own("Patient", json!({ "id": "ada" })) && !own("Patient", json!({ "id": "eve" })));
        let link = json!({ "id": "eve", "link": [{ "other": { "reference": "Patient/ada" } }] });
        assert!(!own("Patient", link), "another record of hers is another patient's until somebody says otherwise");
    }

    #[test]
    fn of_each_type_it_is_known_whose_its_resources_are_or_none_is_seen() {
        let definitions = Definitions::r4();
        let (mut nobodys, mut untold, mut unsearched) = (0, Vec::new(), Vec::new());
        for (id, of) in definitions.resource_types() {
            match belonging(&definitions, id, ADA) {
                Belonging::To(_) if narrowing(&definitions, id, ADA).is_none() => unsearched.push(of.name),
                Belonging::To(_) => {}
                Belonging::ToNobody => nobodys += 1,
                Belonging::Untold => untold.push(of.name),
            }
        }
        let expected = [
            "Binary",
            "BiologicallyDerivedProduct",
            "EnrollmentResponse",
            "Linkage",
            "MessageHeader",
            "PaymentNotice",
            "PaymentReconciliation",
        ];
        assert_eq!(untold, expected);
        assert_eq!(unsearched, Vec::<&str>::new());
        assert_eq!(nobodys, 69);
    }

    #[test]
    fn a_search_is_narrowed_by_a_parameter_that_leads_to_the_patient() {
        let definitions = Definitions::r4();
        let told = |name: &str| narrowing(&definitions, definitions.resource(name).unwrap(), ADA).map(|(code, _)| code);
        assert_eq!(told("Patient"), Some("_id"));
        assert_eq!(told("Observation"), Some("patient"));
        assert_eq!(told("Group"), Some("member"));
        assert_eq!(told("Device"), Some("patient"));
        assert_eq!(told("Practitioner"), None);
    }

    #[test]
    fn a_token_is_found_as_the_standard_says_or_not_at_all() {
        let definitions = Definitions::r4();
        let of = |resource: &str, code: &str, value: &str| {
            token(&definitions, definitions.resource(resource).unwrap(), code, value)
        };
        let category = |value: &str| of("Observation", "category", value).unwrap();
        let lab = json!({ "category": [{ "coding": [{ "system": "s", "code": "exam" }, { "system": "s", "code": "lab" }] }] });
        for found in ["s|lab", "lab", "s|", "s|x,s|lab", "x,exam"] {
            assert!(holds(&category(found), &lab), "{found}");
        }
        for other in ["t|lab", "|lab", "LAB", "s|la", "t|", "x,y"] {
            assert!(!holds(&category(other), &lab), "{other}");
        }
        // A system and a code of two codings are no match.
        let split =
            json!({ "category": [{ "coding": [{ "system": "s", "code": "x" }, { "system": "t", "code": "lab" }] }] });
        assert!(!holds(&category("s|lab"), &split));
        assert!(holds(&category("|lab"), &json!({ "category": [{ "coding": [{ "code": "lab" }] }] })));
        assert!(holds(&of("Observation", "status", "final").unwrap(), &json!({ "status": "final" })));
        assert!(holds(
            &of("Patient", "identifier", "s|7").unwrap(),
            &json!({ "identifier": [{ "system": "s", "value": "7" }] })
        ));
        assert!(holds(
            &of("Observation", "_security", "N").unwrap(),
            &json!({ "meta": { "security": [{ "code": "N" }] } })
        ));
        for (resource, code, value) in [
            ("Observation", "status", "http://hl7.org/fhir/observation-status|final"),
            ("Observation", "date", "2020"),
            ("Observation", "combo-code", "x"),
            ("Observation", "code-value-quantity", "x"),
            ("Observation", "category:not", "x"),
            ("Observation", "category", "s|a|b"),
            ("Observation", "category", "a,"),
            ("Observation", "category", r"a\,b"),
            ("Observation", "subject", "Patient/1"),
            ("Observation", "nothing", "x"),
            ("Patient", "email", "x"),
            ("Patient", "deceased", "true"),
            ("MessageHeader", "event", "x"),
            ("Patient", "name", "x"),
        ] {
            assert_eq!(of(resource, code, value), None, "{resource}?{code}={value}");
        }
    }
}
