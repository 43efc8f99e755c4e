//! Holds the FHIR R4 tables to facts of the standard and to each other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

use std::collections::{BTreeMap, BTreeSet};

use fieldgate::fhir::definitions::{Category, Kind, Mapping, ParameterKind, Words};
use fieldgate::fhir::{Definitions, Element, SearchParameter, Type, TypeId};

fn r4() -> Definitions {
    Definitions::r4()
}

fn named<'a>(definitions: &'a Definitions, name: &str) -> &'a Type {
    definitions.get(definitions.type_named(name).unwrap_or_else(|| panic!("no type {name}")))
}

fn element<'a>(definitions: &'a Definitions, path: &str) -> &'a Element {
    let (base, below) = path.split_once('.').unwrap();
    let base = definitions.type_named(base).unwrap();
    definitions.element_at(base, below).unwrap_or_else(|| panic!("no element {path}")).element
}

/// The name of the one type of an element.
fn type_of<'a>(definitions: &'a Definitions, path: &str) -> &'a str {
    let types = &element(definitions, path).types;
    assert_eq!(types.len(), 1, "{path}");
    definitions.get(types[0].target).name
}

/// Every type that an element of a resource leads to, the resource types included.
fn every_type(definitions: &Definitions) -> Vec<&Type> {
    let mut found: BTreeSet<TypeId> = definitions.resource_types().map(|(id, _)| id).collect();
    let mut open: Vec<TypeId> = found.iter().copied().collect();
    while let Some(id) = open.pop() {
        let below = definitions.get(id).elements().iter().flat_map(|element| element.types.iter());
        open.extend(below.map(|of| of.target).filter(|target| found.insert(*target)));
    }
    found.into_iter().map(|id| definitions.get(id)).collect()
}

fn parameter<'a>(definitions: &'a Definitions, resource: &str, code: &str) -> &'a SearchParameter {
    definitions.search_parameter(resource, code).unwrap_or_else(|| panic!("no parameter {resource}.{code}"))
}

fn strs(words: Words) -> Vec<&'static str> {
    words.iter().collect()
}

#[test]
fn the_resource_types_are_those_of_the_standard() {
    let definitions = r4();
    // The code system resource-types has 148 codes, the abstract Resource and DomainResource among them.
    assert_eq!(definitions.resource_types().count(), 146);
    for name in ["Account", "Binary", "Bundle", "OperationOutcome", "Parameters", "Patient", "VisionPrescription"] {
        assert!(definitions.resource(name).is_some(), "{name}");
    }
    // Abstract, abstract, a data type, of a later release, in another letter case, nothing.
    for name in ["Resource", "DomainResource", "HumanName", "SubscriptionStatus", "patient", ""] {
        assert!(definitions.resource(name).is_none(), "{name}");
    }
}

#[test]
fn elements_have_the_type_and_cardinality_of_the_standard() {
    let definitions = r4();
    let birth_date = element(&definitions, "Patient.birthDate");
    assert_eq!((birth_date.min, birth_date.many, birth_date.summary, birth_date.modifier), (0, false, true, false));
    for (path, expected) in [
        ("Patient.birthDate", "date"),
        ("Patient.contact", "Patient.contact"),
        ("Patient.contact.name", "HumanName"),
        ("Patient.id", "id"),
        ("Patient.name.id", "string"),
        ("Patient.contact.id", "string"),
        ("Extension.url", "uri"),
        ("Narrative.div", "xhtml"),
        ("Timing.repeat", "Timing.repeat"),
        ("Observation.referenceRange.low", "Quantity"),
    ] {
        assert_eq!(type_of(&definitions, path), expected, "{path}");
    }
    assert!(element(&definitions, "Patient.name").many);
    assert!(element(&definitions, "Patient.active").modifier);
    assert_eq!(element(&definitions, "Observation.code").min, 1);
    assert!(named(&definitions, "Patient").element("brithDate").is_none());
}

#[test]
fn what_others_added_to_the_definitions_is_unknown() {
    let definitions = r4();
    for (base, path) in [
        ("Meta", "project"),
        ("Meta", "account"),
        ("Binary", "url"),
        ("HealthcareService", "offeredIn"),
        ("ResearchStudy", "studyDesign"),
        ("EvidenceVariable.characteristic", "linkId"),
    ] {
        assert!(named(&definitions, base).element(path).is_none(), "{base}.{path}");
    }
    assert!(named(&definitions, "EvidenceVariable.characteristic").element("usageContext").is_some());
    assert!(definitions.search_parameter("DeviceDefinition", "classification").is_none());
}

#[test]
fn a_choice_has_a_json_name_for_each_of_its_types() {
    let definitions = r4();
    let observation = named(&definitions, "Observation");
    let value = observation.element("value").unwrap();
    assert!(value.choice);
    let names: Vec<_> = value.json_names().map(|(name, of)| (name, definitions.get(of).name)).collect();
    assert_eq!(names.len(), 11);
    for expected in [("valueQuantity", "Quantity"), ("valueDateTime", "dateTime"), ("valueString", "string")] {
        assert!(names.contains(&expected), "{expected:?}");
    }
    let (member, of) = observation.member("valueSampledData").unwrap();
    assert_eq!((&*member.name, definitions.get(of.target).name), ("value", "SampledData"));
    assert!(observation.member("value").is_none(), "JSON has no such member");
    assert!(observation.member("valueMoney").is_none(), "Money is not among the choice");
    assert_eq!(named(&definitions, "Extension").element("value").unwrap().types.len(), 50);
}

#[test]
fn an_element_described_elsewhere_is_of_the_backbone_described_there() {
    let definitions = r4();
    for (path, backbone) in [
        ("Questionnaire.item.item", "Questionnaire.item"),
        ("Questionnaire.item.item.item.item", "Questionnaire.item"),
        ("QuestionnaireResponse.item.answer.item", "QuestionnaireResponse.item"),
        ("Bundle.entry.link", "Bundle.link"),
        ("Parameters.parameter.part", "Parameters.parameter"),
        ("Observation.component.referenceRange", "Observation.referenceRange"),
        ("Provenance.entity.agent", "Provenance.agent"),
        ("ValueSet.compose.exclude", "ValueSet.compose.include"),
    ] {
        assert_eq!(type_of(&definitions, path), backbone, "{path}");
        assert_eq!(named(&definitions, backbone).kind, Kind::Backbone);
    }
}

#[test]
fn a_resource_inside_another_is_of_the_abstract_type() {
    let definitions = r4();
    for path in
        ["Patient.contained", "Bundle.entry.resource", "Bundle.entry.response.outcome", "Parameters.parameter.resource"]
    {
        let target = named(&definitions, type_of(&definitions, path));
        assert!(target.name == "Resource" && target.is_abstract && target.kind == Kind::Resource, "{path}");
    }
}

#[test]
fn every_type_has_the_elements_of_its_bases() {
    let definitions = r4();
    let domain_resource = definitions.type_named("DomainResource").unwrap();
    for (id, resource) in definitions.resource_types() {
        for name in ["id", "meta", "implicitRules", "language"] {
            assert!(resource.element(name).is_some(), "{}.{name}", resource.name);
        }
        let domain = definitions.is_a(id, domain_resource);
        for name in ["text", "contained", "extension", "modifierExtension"] {
            assert_eq!(resource.element(name).is_some(), domain, "{}.{name}", resource.name);
        }
    }
    for known in every_type(&definitions).iter().filter(|known| known.kind != Kind::Resource) {
        assert!(known.element("id").is_some(), "{}", known.name);
        assert_eq!(known.element("extension").is_some(), known.name != "xhtml", "{}", known.name);
    }
    assert!(named(&definitions, "HumanName").element("modifierExtension").is_none());
    assert!(named(&definitions, "Patient.contact").element("modifierExtension").is_some());
    let (age, quantity) = (definitions.type_named("Age").unwrap(), definitions.type_named("Quantity").unwrap());
    assert!(definitions.is_a(age, quantity) && !definitions.is_a(quantity, age));
}

#[test]
fn references_name_what_they_may_point_to() {
    let definitions = r4();
    let targets = |path| strs(element(&definitions, path).types[0].profiles);
    assert_eq!(targets("Patient.generalPractitioner"), ["Organization", "Practitioner", "PractitionerRole"]);
    assert_eq!(targets("Provenance.target"), ["Resource"]);
    // What the package that carries the definitions adds of its own stays out.
    assert_eq!(
        targets("AuditEvent.agent.who"),
        ["Device", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"]
    );
    for known in every_type(&definitions) {
        for of in known.elements().iter().flat_map(|element| element.types.iter()) {
            let target = definitions.get(of.target).name;
            assert!(of.profiles.is_empty() || ["Reference", "canonical"].contains(&target), "{}", known.name);
            for profile in of.profiles.iter() {
                assert!(definitions.type_named(profile).is_some(), "{}: {profile}", known.name);
            }
        }
    }
}

#[test]
fn no_two_elements_of_a_type_share_a_json_name() {
    let definitions = r4();
    for known in every_type(&definitions) {
        let mut seen = BTreeSet::new();
        for (name, _) in known.elements().iter().flat_map(Element::json_names) {
            assert!(seen.insert(name), "{}.{name}", known.name);
        }
    }
}

#[test]
fn a_resource_type_has_its_security_category() {
    let definitions = r4();
    for (name, category) in [
        ("Patient", Category::Patient),
        ("Practitioner", Category::Individual),
        ("Organization", Category::Business),
        ("CodeSystem", Category::Anonymous),
        ("Bundle", Category::NotClassified),
    ] {
        assert_eq!(named(&definitions, name).category, Some(category), "{name}");
    }
}

#[test]
fn every_search_parameter_is_understood_and_tests_elements_that_exist() {
    let definitions = r4();
    let mut classes = BTreeMap::new();
    let abstract_types = ["Resource", "DomainResource"].map(|name| definitions.type_named(name).unwrap());
    for id in definitions.resource_types().map(|(id, _)| id).chain(abstract_types) {
        let resource = definitions.get(id);
        let base = resource.base.map(|base| definitions.get(base).name);
        let mut codes = BTreeSet::new();
        for parameter in definitions.search_parameters(resource.name) {
            let name = format!("{}.{}", resource.name, parameter.code);
            assert!(codes.insert(&*parameter.code), "{name} stands twice");
            for path in parameter.elements.iter() {
                assert!(definitions.element_at(id, path).is_some(), "{name}: no element {path}");
            }
            for part in parameter.components.iter() {
                assert!(definitions.search_parameter(resource.name, part).is_some(), "{name}: no part {part}");
            }
            for target in parameter.targets.iter() {
                assert!(definitions.type_named(target).is_some(), "{name}: no target {target}");
            }
            assert_eq!(parameter.is_unmapped(), parameter.elements.is_empty(), "{name}");
            assert_eq!(parameter.kind == ParameterKind::Composite, !parameter.components.is_empty(), "{name}");
            assert_eq!(parameter.kind == ParameterKind::Composite, parameter.mapping == Mapping::Composite, "{name}");
            let own = base.is_none_or(|base| definitions.search_parameter(base, &parameter.code).is_none());
            *classes.entry(format!("{:?}", parameter.mapping)).or_insert(0) += i32::from(own);
        }
    }
    println!("search parameters by how they find their matches: {classes:?}");
    // The 1,377 published parameters, each as often as there are types that it is defined on.
    let expected = [("Composite", 72), ("Opaque", 3), ("Plain", 1632), ("Special", 1)];
    assert_eq!(classes, expected.map(|(class, count)| (class.to_owned(), count)).into());
}

#[test]
fn a_search_parameter_tests_the_elements_of_its_expression() {
    let definitions = r4();
    for (resource, code, expected) in [
        ("Patient", "birthdate", &["birthDate"][..]),
        ("Patient", "name", &["name"]),
        ("Patient", "deceased", &["deceased"]),
        ("Patient", "death-date", &["deceasedDateTime"]),
        ("Patient", "phone", &["telecom"]),
        ("Patient", "_id", &["id"]),
        ("Patient", "_lastUpdated", &["meta.lastUpdated"]),
        ("Observation", "value-quantity", &["valueQuantity", "valueSampledData"]),
        ("Observation", "value-string", &["valueCodeableConcept.text", "valueString"]),
        ("Observation", "date", &["effective"]),
        ("Observation", "patient", &["subject"]),
        ("Observation", "combo-code", &["code", "component.code"]),
        ("AllergyIntolerance", "code", &["code", "reaction.substance"]),
        ("Condition", "code", &["code"]),
        ("Library", "composed-of", &["relatedArtifact.resource", "relatedArtifact.type"]),
        ("InsurancePlan", "name", &["alias", "name"]),
        ("Bundle", "composition", &["entry.resource"]),
        ("Location", "near", &["position"]),
    ] {
        assert_eq!(strs(parameter(&definitions, resource, code).elements), expected, "{resource}.{code}");
    }
    assert!(definitions.search_parameter("Patient", "birthDate").is_none(), "codes are case-sensitive");
    assert!(definitions.search_parameter("Bundle", "_text").is_none(), "a Bundle is no DomainResource");
    assert!(definitions.search_parameter("Nobody", "_id").is_none());
}

#[test]
fn a_composite_tests_the_elements_of_all_its_parts() {
    let definitions = r4();
    for (resource, code, expected) in [
        ("Observation", "code-value-quantity", &["code", "valueQuantity"][..]),
        ("ValueSet", "context-type-value", &["useContext.code", "useContext.valueCodeableConcept"]),
        (
            "MolecularSequence",
            "chromosome-variant-coordinate",
            &["referenceSeq.chromosome", "variant.end", "variant.start"],
        ),
    ] {
        assert_eq!(strs(parameter(&definitions, resource, code).elements), expected, "{resource}.{code}");
    }
    let parts = parameter(&definitions, "Observation", "code-value-quantity").components;
    assert_eq!(strs(parts), ["code", "value-quantity"]);
}

#[test]
fn a_parameter_that_may_test_anything_says_so() {
    let definitions = r4();
    for code in ["_text", "_content", "_query"] {
        assert!(parameter(&definitions, "Patient", code).is_unmapped(), "{code}");
    }
}

#[test]
fn a_reference_parameter_names_its_targets() {
    let definitions = r4();
    let targets = |code| strs(parameter(&definitions, "Observation", code).targets);
    assert_eq!(targets("patient"), ["Patient"]);
    assert_eq!(targets("subject"), ["Device", "Group", "Location", "Patient"]);
    assert_eq!(targets("focus"), ["Resource"]);
    for (_, resource) in definitions.resource_types() {
        for parameter in definitions.search_parameters(resource.name) {
            let reference = parameter.kind == ParameterKind::Reference;
            assert!(reference || parameter.targets.is_empty(), "{}.{}", resource.name, parameter.code);
        }
    }
}

#[test]
fn the_patient_compartment_leads_to_the_patient_by_elements_of_the_resource() {
    let definitions = r4();
    for (resource, expected) in [
        ("Observation", &["subject", "performer"][..]),
        ("Appointment", &["participant.actor"]),
        ("Claim", &["patient", "payee.party"]),
        ("Patient", &["link.other"]),
        ("AuditEvent", &["agent.who", "entity.what"]),
        ("Practitioner", &[]),
    ] {
        let id = definitions.resource(resource).unwrap();
        assert_eq!(strs(definitions.patient_elements(id)), expected, "{resource}");
        assert_eq!(definitions.patient_parameters(resource).is_some(), !expected.is_empty(), "{resource}");
    }
    let mut members = 0;
    for (id, resource) in definitions.resource_types() {
        let Some(codes) = definitions.patient_parameters(resource.name) else { continue };
        members += 1;
        assert!(!definitions.patient_elements(id).is_empty(), "{} leads to no patient", resource.name);
        for code in codes.iter() {
            let found = parameter(&definitions, resource.name, code);
            assert_eq!(found.kind, ParameterKind::Reference, "{}.{code}", resource.name);
        }
    }
    assert_eq!(members, 67);
}

#[test]
fn a_path_that_the_standard_does_not_have_leads_nowhere() {
    let definitions = r4();
    let patient = definitions.resource("Patient").unwrap();
    for path in ["", ".", "name.", "brithDate", "name.family.first", "deceasedAge", "contact.name.name", "name..family"]
    {
        assert!(definitions.element_at(patient, path).is_none(), "{path}");
    }
    let deceased = definitions.element_at(patient, "deceasedDateTime").unwrap();
    assert_eq!((deceased.types.len(), &*deceased.element.name), (1, "deceased"));
    assert_eq!(definitions.element_at(patient, "deceased").unwrap().types.len(), 2);
}
