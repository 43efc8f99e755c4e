//! Addresses that callers are given: of resources, and of pages.

use super::*;

#[test]
fn l18_a_page_link_is_taken_back_as_it_was_given_and_in_no_other_form() {
    let fixture = Fixture::new();
    let upstreams = "/?_getpages=abc&_getpagesoffset=20&_count=10&_format=json&_bundletype=searchset";
    let link = fixture.link(upstreams, Some("Patient")).unwrap();
    assert!(link.starts_with("?_getpages=abc&_getpagesoffset=20&_count=10&_bundletype=searchset&_fieldgate=Patient."));
    let follow = |link: &str, role: &str| {
        let query = link.trim_start_matches('?');
        let search = Interaction::parse(&fixture.definitions, &http::Method::GET, "/Patient", None).unwrap();
        let root = CanonicalPath::parse("/").unwrap();
        let asked =
            Asked { interaction: Some(&search), path: &root, query: Some(query), form: None, if_none_exist: None };
        fixture.guard(role).admit(asked).map(|admission| admission.query)
    };
    let sent = "_getpages=abc&_getpagesoffset=20&_count=10&_bundletype=searchset";
    assert_eq!(follow(&link, "desk").unwrap().as_deref(), Some(sent));
    // A client may write the same parameters in another way.
    let spelled = link.replace("_getpages=abc", "%5Fgetpages=%61bc") + "&_format=json";
    assert_eq!(follow(&spelled, "desk").unwrap().as_deref(), Some(sent));
    for changed in [
        link.replace("=20", "=30"),
        link.replace("&_count=10", ""),
        link.replace("_fieldgate=Patient.", "_fieldgate=Observation."),
        link.split("&_fieldgate").next().unwrap().to_owned(),
        format!("{link}&_fieldgate=Patient.AAAA"),
        format!("{link}&name=Ada"),
    ] {
        assert_eq!(follow(&changed, "desk"), Err(GuardError::PageLink), "{changed}");
    }
    assert_eq!(follow(&link, "clinician"), Err(GuardError::PageLink));
    assert!(!format!("{:?}", fixture.key).contains('1'), "the key is a secret");
    assert!(follow(&format!("{link}&birthdate=2001"), "desk").is_err());
}

#[test]
fn l18_no_tag_is_put_on_what_the_guard_would_refuse() {
    let fixture = Fixture::new();
    for address in [
        "/?_getpages=1&birthdate=2001",
        "/Patient?page=2&_filter=x",
        "/Patient?page=2&ssn=1",
        "/Observation?page=2",
        "/Bundle?page=2",
        "/metadata?page=2",
        "/Patient/1?page=2",
    ] {
        assert_eq!(fixture.link(address, Some("Patient")), None, "{address}");
    }
    assert_eq!(fixture.link("/Patient?page=2", None), None, "only a search has pages");
    assert!(fixture.link("/Patient?page=2&name=Ada", Some("Patient")).is_some());
}

#[test]
fn l08_addresses_lead_to_what_the_role_sees_without_what_it_does_not() {
    let fixture = Fixture::new();
    let link = |address: &str| fixture.link(address, None);
    assert_eq!(link("/Patient/1").as_deref(), Some("/Patient/1"));
    assert_eq!(link("/Patient/1/_history/2").as_deref(), Some("/Patient/1/_history/2"));
    assert_eq!(link("/Patient?name=Ada&birthdate=2001&_format=json").as_deref(), Some("/Patient?name=Ada"));
    assert_eq!(link("/Patient?birthdate=2001").as_deref(), Some("/Patient"));
    for hidden in [
        "/Condition",
        "/Condition/1",
        "/Condition?code=1",
        "/",
        "/?x=1",
        "/Patient/1/$everything",
        "/Patient/a%20b",
        "/x",
    ] {
        assert_eq!(link(hidden), None, "{hidden}");
    }
}

#[test]
fn l18_pages_of_a_system_or_a_compartment_are_the_searchs_own() {
    let fixture = Fixture::new();
    let system = "*Observation_Patient";
    for (next, searched) in [
        ("/?_getpages=abc", system),
        ("/?_type=Patient,Observation&_id=1&page=2", system),
        ("/Patient/1/Observation?code=1&page=2", "Observation"),
    ] {
        let link = fixture.link_of("ward", next, Some(searched)).unwrap_or_else(|| panic!("{next}"));
        let sent = fixture.admit("ward", &link).unwrap_or_else(|error| panic!("{link}: {error}")).unwrap();
        assert_eq!(query::read(sent.as_bytes()), query::read(next.split_once('?').unwrap().1.as_bytes()), "{next}");
        for changed in [link.replace("page", "_offset=1&page"), link.replace("_fieldgate=", "_fieldgate=A")] {
            assert!(fixture.admit("ward", &changed).is_err(), "{changed}");
        }
        assert!(fixture.admit("desk", &link).is_err(), "{link}");
    }
    for (address, searched) in [
        ("/?_getpages=abc", "*Condition_Patient"),
        ("/?_getpages=abc", "*"),
        ("/?_type=Patient&page=2", system),
        ("/?_type=Patient,Observation&birthdate=2001&page=2", system),
        ("/Patient/1/Observation?page=2", "Patient"),
        ("/Patient/1/Observation?value-quantity=1&page=2", "Observation"),
        ("/Encounter/1/Observation?page=2", "Observation"),
        ("/Patient/1/Condition?page=2", "Condition"),
    ] {
        assert_eq!(fixture.link_of("ward", address, Some(searched)), None, "{address} {searched}");
    }
    // A page of a type is no page of the system, and the other way round.
    let of_type = fixture.link_of("ward", "/?_getpages=abc", Some("Patient")).unwrap();
    assert!(matches!(fixture.admit("ward", &of_type), Err(GuardError::Unsupported { .. })));
    let own = |address: &str, searched| fixture.link_of("ward", address, Some(searched));
    assert_eq!(own("/?_type=Patient&name=Ada&birthdate=1", "*Patient").as_deref(), Some("?_type=Patient&name=Ada"));
    assert_eq!(own("/Patient/1/Observation?code=1", "Observation").as_deref(), Some("/Patient/1/Observation?code=1"));
    let narrowed = own("/Observation?_include=Observation:subject:Patient", "Observation");
    assert_eq!(narrowed.as_deref(), Some("/Observation?_include=Observation%3Asubject%3APatient"));
    let everything = fixture.link_of("clinician", "/?_getpages=abc", Some("*")).unwrap();
    assert!(fixture.admit("clinician", &everything).is_ok());
}

#[test]
fn a_page_link_is_not_taken_in_a_form() {
    let fixture = Fixture::new();
    let link = fixture.link("/Patient?page=2&name=Ada", Some("Patient")).unwrap();
    let query = link.split_once('?').unwrap().1;
    let path = CanonicalPath::parse("/Patient").unwrap();
    let search = Interaction::parse(&fixture.definitions, &http::Method::GET, "/Patient", None).unwrap();
    let admit = |query, form| {
        let guard = fixture.guard("desk");
        guard.admit(Asked { interaction: Some(&search), path: &path, query, form, if_none_exist: None }).err()
    };
    assert_eq!(admit(Some(query), None), None);
    // A form without parameters is one that was read from nothing.
    assert_eq!(admit(Some(query), Some(&[][..])), None);
    assert_eq!(admit(None, Some(query.as_bytes())), Some(GuardError::PageLink));
}

#[test]
fn what_narrows_a_request_stays_out_of_its_links_and_nothing_else_does() {
    let fixture = Fixture::new();
    let narrowing = [("subject".into(), "Patient/1".into())];
    let next = "code=2&subject=Patient/1&subject=Patient/2&subject:missing=false";
    let path = CanonicalPath::parse("/Observation").unwrap();
    let link = fixture.guard("registry").link_within(&narrowing, &path, Some(next), Some("Observation"));
    assert_eq!(link.as_deref(), Some("/Observation?code=2&subject=Patient%2F2&subject%3Amissing=false"));
}
