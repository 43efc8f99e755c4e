//! Operations and histories: what of their parameters goes upstream, and what their answers may hold.

use super::*;

fn called(fixture: &Fixture, role: &str, target: &str) -> Result<Admission, GuardError> {
    called_of(fixture, fixture.guard(role), target)
}

fn called_of(fixture: &Fixture, guard: Guard<'_>, target: &str) -> Result<Admission, GuardError> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let method = if path.ends_with("$validate") { http::Method::POST } else { http::Method::GET };
    let interaction = Interaction::parse(&fixture.definitions, &method, path, query).unwrap();
    let path = CanonicalPath::parse(path).unwrap();
    let asked = Asked { interaction: Some(&interaction), path: &path, query, form: None, if_none_exist: None };
    guard.admit(asked)
}

#[test]
fn an_operation_goes_upstream_without_what_only_shapes_its_answer() {
    let fixture = Fixture::new();
    for (role, asked, goes) in [
        ("registry", "/Patient/1/$everything?_format=json&_pretty=true&_count=3&_summary=true", Some("_count=100")),
        ("registry", "/$export?_format=json&_count=3&_elements=id", None),
        ("registry", "/$export?_type=Patient&_since=2026-01-01", Some("_type=Patient&_since=2026-01-01")),
        ("registry", "/$export?_typeFilter=Patient%3Fgender%3Dmale", Some("_typeFilter=Patient%3Fgender%3Dmale")),
        ("registry", "/$export?_outputFormat=application/fhir%2Bndjson", None),
        ("registry", "/Observation/$lastn?code=1&max=3&_format=json", Some("code=1&max=3")),
        ("registry", "/Patient/$validate?profile=http://example.org/p", Some("profile=http%3A%2F%2Fexample.org%2Fp")),
        (
            "registry",
            "/Patient/1/_history?_count=1000&_since=2026-01-01&_format=json",
            Some("_count=100&_since=2026-01-01"),
        ),
        ("registry", "/Patient/_history?_at=2026&_count=2", Some("_at=2026&_count=2")),
        (
            "clinician",
            "/Patient/1/$everything?_format=json&start=2026&_count=3&x.y=1",
            Some("start=2026&_count=3&x.y=1"),
        ),
        ("clinician", "/_history?_count=1", Some("_count=1")),
    ] {
        let admission = called(&fixture, role, asked).unwrap_or_else(|error| panic!("{role} {asked}: {error}"));
        assert_eq!(admission.query.as_deref(), goes, "{role} {asked}");
    }
}

#[test]
fn what_an_operation_may_not_be_asked_is_refused_by_name() {
    let fixture = Fixture::new();
    let unknown = |parameter: &str, of: &str| GuardError::Unknown { parameter: parameter.into(), of: of.into() };
    for (role, asked, refusal) in [
        ("registry", "/Patient/1/$everything?_format=xml", GuardError::Format),
        ("clinician", "/Patient/1/$everything?_format=xml", GuardError::Format),
        ("registry", "/Patient/1/$everything?code=1", unknown("code", "$everything")),
        ("registry", "/Patient/1/$everything?patient.code=1", unknown("patient.code", "this operation")),
        ("registry", "/Patient/1/$everything?code:text=1", unknown("code:text", "this operation")),
        ("registry", "/Patient/1/$everything?_type=Medication", unseen("_type", "Medication")),
        ("registry", "/$export?patient.typeFilter=1", unknown("patient.typeFilter", "this operation")),
        ("registry", "/$export?_type=Encounter", unseen("_type", "Encounter")),
        ("registry", "/$export?_typeFilter=Patient%3Fbirthdate%3D1", hidden("birthdate", "Patient.birthDate")),
        ("registry", "/Patient/$export?_type=Immunization", hidden("patient", "Immunization.patient")),
        ("registry", "/Patient/1/_history?_elements=id", unknown("_elements", "a history")),
        ("registry", "/Patient/1/_history?name=x", unknown("name", "a history")),
        ("registry", "/Patient/1/_history?_format=xml", GuardError::Format),
        ("night", "/Patient/1/_history", rows("_history", "Patient")),
        ("ward", "/Observation/$lastn?code=1&_getpages=1", GuardError::PageLink),
        ("registry", "/Patient/1/$everything?_fieldgate=x", GuardError::PageLink),
    ] {
        assert_eq!(called(&fixture, role, asked).err(), Some(refusal), "{role} {asked}");
    }
    for (role, asked, parameter) in [
        ("registry", "/Group/$export", "$export here"),
        ("registry", "/Patient/1/$export", "$export here"),
        ("registry", "/Observation/$export", "$export here"),
        ("registry", "/Group/1/$everything", "$everything here"),
        ("registry", "/Patient/1/$validate", "$validate here"),
        ("registry", "/Patient/$validate?mode=create", "mode"),
        ("clinician", "/$validate", "$validate here"),
        ("registry", "/_history", "a history of all types"),
    ] {
        let refused = called(&fixture, role, asked).err();
        assert!(
            matches!(refused, Some(GuardError::Unsupported { parameter: of, .. }) if of == parameter),
            "{asked}: {refused:?}"
        );
    }
    for filter in [
        "Patient",
        "Patient%3Fgender%3Dmale,female",
        "Nothing%3Fgender%3Dmale",
        "Patient%3F_count%3D1",
        "Patient%3F_getpages%3D1",
        "Patient%3F_include%3DPatient%3Aorganization",
    ] {
        let refused = called(&fixture, "registry", &format!("/$export?_typeFilter={filter}")).err();
        assert!(matches!(refused, Some(GuardError::Value { parameter: "_typeFilter", .. })), "{filter}: {refused:?}");
    }
}

#[test]
fn an_answer_holds_the_types_of_which_may_be_told() {
    let fixture = Fixture::new();
    let holds = |asked: &str| {
        let holds = called(&fixture, "registry", asked).unwrap_or_else(|error| panic!("{asked}: {error}")).holds;
        let mut holds: Vec<String> = holds.unwrap().iter().map(ToString::to_string).collect();
        // A statement is of nobody, and seen by each role.
        holds.retain(|of| !["Bundle", "OperationOutcome", "Parameters", "CapabilityStatement"].contains(&&**of));
        holds
    };
    // Of a vaccination nobody may be told whose it is.
    assert_eq!(holds("/Patient/1/$everything"), ["Condition", "Group", "Observation", "Patient"]);
    assert_eq!(holds("/Patient/1/$everything?_type=Observation"), ["Observation"]);
    assert_eq!(holds("/Patient/$export"), ["Condition", "Group", "Observation", "Patient"]);
    assert_eq!(holds("/Group/1/$export"), ["Condition", "Group", "Observation", "Patient"]);
    assert_eq!(holds("/$export"), ["Condition", "Group", "Immunization", "Observation", "Patient"]);
    assert_eq!(holds("/Patient/$validate"), [""; 0]);
    assert!(called(&fixture, "clinician", "/$export").unwrap().holds.is_none(), "who sees everything is told of all");

    // An upstream that takes the types is asked for them.
    let guard = Guard { takes_types: true, ..fixture.guard("registry") };
    let asked = called_of(&fixture, guard, "/Patient/$export").unwrap().query;
    assert_eq!(asked.as_deref(), Some("_type=Condition%2CGroup%2CObservation%2CPatient"));
}

#[test]
fn a_parameter_of_the_upstreams_pages_is_known_by_the_name_that_the_endpoint_gives_it() {
    let fixture = Fixture::new();
    let names = ["seite".into()];
    for asked in
        ["/Patient?seite=1&name=Ada", "/Patient/1/$everything?seite=1", "/$export?_typeFilter=Patient%3Fseite%3D1"]
    {
        let guard = Guard { page_parameters: &names, ..fixture.guard("registry") };
        let refused = called_of(&fixture, guard, asked).err();
        let named = matches!(refused, Some(GuardError::PageLink | GuardError::Value { parameter: "_typeFilter", .. }));
        assert!(named, "{asked}: {refused:?}");
    }
    let guard = || Guard { page_parameters: &names, ..fixture.guard("registry") };
    let next =
        guard().link(&CanonicalPath::parse("/Patient").unwrap(), Some("name=Ada&seite=1"), Some("Patient")).unwrap();
    assert_eq!(called_of(&fixture, guard(), &next).unwrap().query.as_deref(), Some("name=Ada&seite=1"));
}
