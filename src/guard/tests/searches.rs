//! What a role may search by, and what goes upstream of it.

use super::*;

#[test]
fn a_search_by_what_is_shown_goes_upstream_as_it_was_read() {
    let fixture = Fixture::new();
    for (asked, sent) in [
        ("name=Ada+L%C3%B6vel", "name=Ada+L%C3%B6vel"),
        ("name:exact=Ada&gender=female", "name%3Aexact=Ada&gender=female"),
        ("family:contains=%4c", "family%3Acontains=L"),
        ("_id=1,2&_sort=-family,gender&_count=10", "_id=1%2C2&_sort=-family%2Cgender&_count=10"),
        ("gender:missing=true&gender:not=male", "gender%3Amissing=true&gender%3Anot=male"),
        ("_lastUpdated=gt2026-01-01&_total=none", "_lastUpdated=gt2026-01-01&_total=none"),
        ("organization=Organization/1", "organization=Organization%2F1"),
        ("_count=100000", "_count=100"),
    ] {
        assert_eq!(fixture.search(asked).unwrap().as_deref(), Some(sent), "{asked}");
    }
}

#[test]
fn l10_a_search_by_what_is_not_shown_as_it_is_is_refused_by_name() {
    let fixture = Fixture::new();
    for (asked, parameter, element) in [
        ("birthdate=2001-01-01", "birthdate", "Patient.birthDate"),
        ("birthdate:missing=true", "birthdate", "Patient.birthDate"),
        ("address-postalcode=02139", "address-postalcode", "Patient.address.postalCode"),
        ("phone=555", "phone", "Patient.telecom"),
        ("identifier=ssn|1", "identifier", "Patient.identifier"),
    ] {
        let refused = GuardError::Hidden { parameter: parameter.into(), element: element.into() };
        assert_eq!(fixture.search(asked), Err(refused), "{asked}");
    }
}

/// What a role may not ask, and why.

#[test]
fn l10_a_modifier_is_held_to_what_it_tests() {
    for target in [
        "/Observation?code:text=sugar&code:below=http://loinc.org|1&code:not-in=http://example.org/vs&code:not=1",
        "/Observation?subject:Patient=1&subject:missing=true&subject:identifier=x|1&subject:text=Ada",
        "/Observation?code-value-concept=1$2&combo-code-value-concept:missing=true",
    ] {
        passes("ward", target);
    }
    // A part of what repeats has texts of its own.
    passes("registry", "/Observation?component-code:text=sugar&code-value-concept:missing=true");
    for (target, refusal) in [
        ("/Observation?encounter:identifier=1", hidden("encounter", "Observation.encounter.identifier")),
        ("/Observation?method:text=x", hidden("method", "Observation.method")),
        ("/Patient?identifier:of-type=x|y|1", hidden("identifier", "Patient.identifier")),
        ("/Observation?code-value-quantity=1$5", hidden("code-value-quantity", "Observation.valueQuantity")),
        ("/Observation?combo-value-quantity=5", hidden("combo-value-quantity", "Observation.valueQuantity")),
    ] {
        assert_eq!(refused("ward", target), refusal, "{target}");
    }
    // What leads through other resources, or is no way to test such a value.
    for target in [
        "/Observation?subject:below=1",
        "/Observation?subject:in=1",
        "/Observation?subject:Nobody=1",
        "/Observation?code:Patient=1",
        "/Observation?code:identifier=1",
        "/Observation?code-value-concept:text=1$2",
        "/Observation?code-value-concept:not=1$2",
        "/Observation?about:above=1",
    ] {
        assert!(matches!(refused("ward", target), GuardError::Modifier { .. }), "{target}");
    }
    let texts = "/Observation?subject:text=Ada";
    assert_eq!(Fixture::new().admit("ward", texts).unwrap().as_deref(), Some("subject%3Atext=Ada"));
    assert_eq!(refused("desk", texts), hidden("subject", "Observation.subject.display"));
}

#[test]
fn l10_a_parameter_of_the_servers_own_is_held_to_what_the_endpoint_says_that_it_tests() {
    passes("ward", "/Patient?nickname=Ada&nickname:exact=Ada&_sort=-nickname");
    passes("ward", "/Observation?subject:Patient.nickname=Ada&about=Patient/1&about:Patient=1");
    assert_eq!(refused("ward", "/Patient?ssn=1"), hidden("ssn", "Patient.identifier"));
    assert_eq!(refused("ward", "/Observation?patient.ssn=1"), hidden("ssn", "Patient.identifier"));
    assert!(matches!(refused("ward", "/Observation?about.name=1"), GuardError::Unfollowed { .. }));
    assert!(matches!(refused("ward", "/Patient?undeclared=1"), GuardError::Unknown { .. }));
    assert!(matches!(refused("ward", "/Observation?nickname=1"), GuardError::Unknown { .. }));
}

#[test]
fn l11_a_chain_is_followed_through_the_types() {
    for target in [
        "/Observation?patient.name=Ada&subject:Patient.gender=female",
        "/Observation?subject:Patient.organization.partof.name:exact=x",
        "/Observation?subject.gender=female",
        "/Patient?_has:Observation:patient:code=1&_has:Observation:subject:code:in=http://example.org/vs",
        "/Organization?_has:Patient:organization:_has:Observation:patient:status=final",
        "/Location?near=1|2|3|km",
    ] {
        passes("ward", target);
    }
    for (target, refusal) in [
        ("/Observation?patient.birthdate=2001", hidden("birthdate", "Patient.birthDate")),
        ("/Observation?patient.organization.address=x", hidden("address", "Organization.address")),
        ("/Patient?_has:Observation:patient:value-quantity=5", hidden("value-quantity", "Observation.valueQuantity")),
        ("/Patient?general-practitioner.name=x", hidden("general-practitioner", "Patient.generalPractitioner")),
        // Of Device, Group, Location and Patient each has an identifier.
        ("/Observation?subject.identifier=1", unseen("subject", "Device")),
        ("/Observation?performer:Practitioner.name=x", unseen("performer", "Practitioner")),
        ("/Patient?_has:Condition:patient:code=1", unseen("_has", "Condition")),
        // A visit that is found tells nothing of the ones that are withheld; what is found by visits does.
        ("/Observation?encounter.status=planned", rows("encounter", "Encounter")),
        ("/Patient?_has:Encounter:patient:status=planned", rows("_has", "Encounter")),
    ] {
        assert_eq!(refused("ward", target), refusal, "{target}");
    }
    for target in [
        "/Observation?code.name=1",
        "/Observation?patient:Group.name=1",
        "/Observation?patient.nothing=1",
        "/Observation?_has:Patient:organization:name=x",
        "/Patient?_has:Nobody:patient:code=1",
        "/Patient?_has:Observation:code:code=1",
    ] {
        let refused = refused("ward", target);
        assert!(matches!(refused, GuardError::Unfollowed { .. } | GuardError::Unknown { .. }), "{target}: {refused}");
    }
}

#[test]
fn l11_what_has_no_elements_is_refused_with_the_reason_wherever_it_stands() {
    for code in ["_text", "_content", "_query", "_list"] {
        for target in [
            format!("/Patient?{code}=x"),
            format!("/Observation?patient.{code}=x"),
            format!("/Patient?_has:Observation:patient:{code}=x"),
            format!("/Patient?_filter={code}+co+x"),
            format!("/Patient?_sort={code}"),
        ] {
            let refused = refused("ward", &target);
            assert!(matches!(refused, GuardError::Unsupported { parameter, .. } if parameter == code), "{target}");
        }
    }
    let chained = refused("ward", "/Observation?patient._filter=name+eq+x");
    assert!(matches!(chained, GuardError::Unsupported { parameter: "_filter", .. }));
    assert!(matches!(refused("ward", "/Patient?_contained=true"), GuardError::Unsupported { .. }));
}

#[test]
fn l11_each_path_of_a_filter_is_held_to_the_rule_of_a_parameter() {
    for target in [
        "/Observation?_filter=code+eq+1+and+not+(subject:Patient.name+co+%22pet%22)",
        "/Patient?_filter=_has:Observation:patient:code+eq+1+or+nickname+eq+x",
        "/Observation?_filter=patient[gender+eq+male].name+eq+x",
    ] {
        passes("ward", target);
    }
    for (target, refusal) in [
        (
            "/Patient?_filter=name+eq+x+or+(gender+eq+male+and+birthdate+eq+2001)",
            hidden("birthdate", "Patient.birthDate"),
        ),
        ("/Observation?_filter=patient[birthdate+eq+2001].name+eq+x", hidden("birthdate", "Patient.birthDate")),
        ("/Observation?_filter=patient[name+eq+x].birthdate+eq+2001", hidden("birthdate", "Patient.birthDate")),
        ("/Observation?_filter=subject[name+eq+x].name+eq+x", unseen("subject", "Device")),
        ("/Observation?_filter=encounter.status+eq+x", rows("encounter", "Encounter")),
    ] {
        assert_eq!(refused("ward", target), refusal, "{target}");
    }
    assert_eq!(refused("ward", "/Patient?_filter=name+is+x"), GuardError::Filter(FilterError { at: 6 }));
    // A name out of a value is not repeated.
    assert!(matches!(refused("ward", "/Patient?_filter=canary+eq+x"), GuardError::Value { .. }));
    assert!(matches!(refused("ward", "/Patient?_sort=canary"), GuardError::Value { .. }));
}

#[test]
fn l12_a_sort_by_what_is_not_shown_is_refused() {
    let fixture = Fixture::new();
    for asked in ["_sort=birthdate", "_sort=gender,-birthdate", "_sort=", "_sort=organization.name", "_sort=_score"] {
        assert!(fixture.search(asked).is_err(), "{asked}");
    }
}

#[test]
fn l13_what_is_included_is_named_by_the_types_that_are_seen() {
    let fixture = Fixture::new();
    for (asked, sent) in [
        ("/Patient?_include=Patient:organization", "_include=Patient:organization"),
        (
            "/Observation?_include=Observation:subject",
            "_include=Observation:subject:Location&_include=Observation:subject:Patient",
        ),
        ("/Observation?_include=Observation:subject:Patient", "_include=Observation:subject:Patient"),
        ("/Observation?_include=Observation:subject:Device&code=1", "code=1"),
        ("/Observation?_include=Observation:performer:Practitioner", ""),
        ("/Patient?_include=*", "_include=Patient:organization"),
        ("/Patient?_include=Patient:*", "_include=Patient:organization"),
        ("/Observation?_include:iterate=Organization:partof", "_include:iterate=Organization:partof"),
        ("/Patient?_revinclude=Observation:subject", "_revinclude=Observation:subject:Patient"),
        // A visit that is withheld does not come, whoever asks for it.
        ("/Patient?_revinclude=Encounter:patient", "_revinclude=Encounter:patient"),
        ("/Observation?_include=Observation:encounter", "_include=Observation:encounter:Encounter"),
        ("/Organization?_revinclude:iterate=Patient:organization", "_revinclude:iterate=Patient:organization"),
        ("/Patient?_revinclude=Provenance:target", "refused"),
    ] {
        let admitted = fixture.admit("ward", asked);
        if sent == "refused" {
            assert_eq!(admitted, Err(unseen("_revinclude", "Provenance")));
            continue;
        }
        let admitted = admitted.unwrap_or_else(|error| panic!("{asked}: {error}")).unwrap_or_default();
        assert_eq!(admitted.replace("%3A", ":"), sent, "{asked}");
    }
    let everything = fixture.admit("ward", "/Patient?_revinclude=*").unwrap().unwrap().replace("%3A", ":");
    let named: Vec<&str> = everything.split('&').map(|part| part.strip_prefix("_revinclude=").unwrap()).collect();
    let own = ["Encounter:patient", "Encounter:subject:Patient", "Observation:patient", "Observation:subject:Patient"];
    assert!(own.iter().all(|one| named.contains(one)), "{everything}");
    let seen = ["Patient", "Observation", "Organization", "Location", "Encounter"];
    assert!(
        named
            .iter()
            .all(|value| value.split(':').all(|part| !part.starts_with(char::is_uppercase) || seen.contains(&part)))
    );
}

#[test]
fn l13_an_inclusion_tells_of_nothing_that_is_withheld() {
    for (target, refusal) in [
        (
            "/Patient?_include=Patient:general-practitioner",
            hidden("general-practitioner", "Patient.generalPractitioner"),
        ),
        ("/Patient?_include:iterate=Practitioner:organization", unseen("_include", "Practitioner")),
        ("/Patient?_revinclude=Condition:subject", unseen("_revinclude", "Condition")),
        // The patient would come without the visit that is withheld, and tell that it is there.
        ("/Encounter?_include=Encounter:patient", rows("_include", "Encounter")),
        ("/Encounter?_revinclude=Observation:encounter", rows("_revinclude", "Encounter")),
        ("/Patient?_revinclude:iterate=Observation:encounter", rows("_revinclude", "Encounter")),
    ] {
        assert_eq!(refused("ward", target), refusal, "{target}");
    }
    assert_eq!(Fixture::new().admit("ward", "/Encounter?_include=*"), Ok(None));
    let everything = refused("most", "/Patient?_revinclude=*");
    assert!(matches!(everything, GuardError::Value { parameter: "_revinclude", .. }), "{everything}");
    for target in [
        "/Patient?_include=",
        "/Patient?_include=Patient",
        "/Patient?_include=Patient:name",
        "/Patient?_include=Patient:nothing",
        "/Patient?_include=Nobody:name",
        "/Patient?_include=Patient:organization:Patient",
        "/Patient?_include=Patient:organization:Organization:x",
        "/Patient?_include=Patient:nickname",
        "/Observation?_include=Observation:about",
    ] {
        assert!(matches!(refused("ward", target), GuardError::Value { .. }), "{target}");
    }
}

#[test]
fn a_search_of_the_system_is_one_of_each_type_that_it_names() {
    passes("ward", "/?_type=Patient,Observation&_id=1");
    passes("ward", "/?_type=Patient&name=Ada");
    passes("ward", "/?_type=Observation,Encounter&patient:Patient.name=Ada&_count=100");
    for (target, refusal) in [
        ("/?_type=Patient,Condition&_id=1", unseen("_type", "Condition")),
        ("/?_type=Patient&_type=Condition&_id=1", unseen("_type", "Condition")),
        ("/?_type=Patient&birthdate=2001", hidden("birthdate", "Patient.birthDate")),
        (
            "/?_type=Patient,Observation&patient.birthdate=1",
            GuardError::Unknown { parameter: "patient".into(), of: "Patient".into() },
        ),
        ("/?_type=Observation,Encounter&patient.birthdate=1", hidden("birthdate", "Patient.birthDate")),
    ] {
        assert_eq!(refused("ward", target), refusal, "{target}");
    }
    for target in ["/?_id=1", "/", "/Patient/1/*", "/Patient/1/*?_type=Patient"] {
        assert!(matches!(refused("ward", target), GuardError::Unsupported { .. }), "{target}");
    }
    assert!(matches!(refused("ward", "/?_type=canary"), GuardError::Value { .. }));
    // Another server may take the types for those that are searched.
    assert!(matches!(refused("ward", "/Patient?_type=Observation"), GuardError::Unsupported { .. }));
    passes("ward", "/Patient?_type=Patient");
    passes("clinician", "/?_id=1");
    passes("clinician", "/Patient/1/*?_type=Condition,Whatever");
    // Rows of one type are rows of the whole answer.
    let fixture = Fixture::new();
    let admitted = fixture.admit("ward", "/?_type=Patient,Encounter&_id=1&_count=1").unwrap().unwrap();
    assert!(admitted.ends_with("&_count=100"), "{admitted}");
    assert!(fixture.admit("ward", "/?_type=Patient,Encounter&_summary=count").is_err());
    assert!(fixture.admit("ward", "/?_type=Patient&_summary=count").is_ok());
}

#[test]
fn a_search_in_a_compartment_tests_the_references_to_the_patient() {
    let fixture = Fixture::new();
    passes("ward", "/Patient/1/Observation?code=1");
    assert_eq!(
        refused("ward", "/Patient/1/Observation?value-quantity=1"),
        hidden("value-quantity", "Observation.valueQuantity")
    );
    assert_eq!(refused("desk", "/Patient/1/Observation"), hidden("performer", "Observation.performer"));
    assert_eq!(refused("ward", "/Patient/1/Patient"), hidden("link", "Patient.link.other"));
    // Whether a patient is there whom the role does not see.
    assert_eq!(refused("night", "/Patient/1/Observation"), rows("this compartment", "Patient"));
    passes("night", "/Observation?patient=1");
    for target in ["/Encounter/1/Observation", "/Patient/1/Organization"] {
        assert!(matches!(refused("ward", target), GuardError::Unsupported { .. }), "{target}");
    }
    passes("clinician", "/Encounter/1/Observation?code=1");
    // The patient is a parameter, too: a short page would tell whether there is a match that is withheld.
    assert_eq!(fixture.admit("ward", "/Patient/1/Encounter?_count=1").unwrap().as_deref(), Some("_count=100"));
    assert!(fixture.admit("ward", "/Patient/1/Encounter?_summary=count").is_err());
}

#[test]
fn l14_the_query_and_the_form_of_a_post_are_held_to_the_same_rules() {
    let fixture = Fixture::new();
    let interaction = Interaction::parse(&fixture.definitions, &http::Method::POST, "/Patient/_search", None).unwrap();
    let path = CanonicalPath::parse("/Patient/_search").unwrap();
    let guard = fixture.guard("desk");
    let admit = |query, form: &'static str| {
        let form = Some(form.as_bytes());
        guard.admit(Asked { interaction: Some(&interaction), path: &path, query, form, if_none_exist: None })
    };
    let admitted = admit(Some("gender=male"), "name=Ada").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((admitted.query, admitted.form.as_deref()), (None, Some("gender=male&name=Ada")));
    assert!(admit(Some("birthdate=2001"), "name=Ada").is_err());
    assert!(admit(Some("name=Ada"), "birthdate=2001").is_err());
}

#[test]
fn l15_a_part_of_a_resource_is_never_asked_for_on_behalf_of_a_restricted_role() {
    let fixture = Fixture::new();
    for asked in ["_elements=name,birthDate", "_summary=true", "_summary=text", "_format=json&_pretty=true"] {
        assert_eq!(fixture.search(asked), Ok(None), "{asked}");
        assert_eq!(fixture.admit("desk", &format!("/Patient/1?{asked}")), Ok(None), "{asked}");
    }
    assert_eq!(fixture.search("_summary=count").unwrap().as_deref(), Some("_summary=count"));
    let observations = |query: &str| fixture.admit("desk", &format!("/Observation?{query}"));
    assert!(observations("_summary=count").is_err(), "the count tells of rows that are withheld");
    assert!(observations("_count=0").is_err());
    // The end of a short page would tell of what is withheld behind it.
    assert_eq!(observations("code=1234-5&_count=1").unwrap().as_deref(), Some("code=1234-5&_count=100"));
    assert_eq!(observations("code=1234-5").unwrap().as_deref(), Some("code=1234-5&_count=100"));
    assert_eq!(observations("_count=1").unwrap().as_deref(), Some("_count=1"));
    assert_eq!(fixture.search("_count=0").unwrap().as_deref(), Some("_count=0"), "of what is seen whole");
    for asked in ["_elements=", "_elements=name%20birthDate", "_elements=name%3Bx"] {
        assert!(matches!(fixture.search(asked), Err(GuardError::Value { parameter: "_elements", .. })), "{asked}");
    }
}

#[test]
fn l20_another_format_than_json_is_refused() {
    let fixture = Fixture::new();
    for format in ["xml", "application/fhir+xml", "text/html", "ttl", "application%2Ffhir%2Bjson,xml"] {
        assert_eq!(fixture.search(&format!("_format={format}")), Err(GuardError::Format), "{format}");
    }
    for format in ["json", "application/fhir+json", "application%2Fjson", "application/fhir%2Bjson;fhirVersion%3D4.0"] {
        let admitted = fixture.search(&format!("_format={}", format.replace(';', "%3B")));
        assert_eq!(admitted, Ok(None), "{format}");
    }
}

#[test]
fn a_role_from_which_nothing_is_withheld_may_search_by_anything() {
    let fixture = Fixture::new();
    for asked in ["birthdate=2001", "_has:Observation:patient:code=1", "_include=Patient:organization", "_filter=x"] {
        assert!(fixture.admit("clinician", &format!("/Patient?{asked}")).is_ok(), "{asked}");
    }
    assert_eq!(fixture.admit("clinician", "/Patient?_getpages=1"), Err(GuardError::PageLink));
}
