use super::*;
use crate::model::Role;
use crate::policy::Policy;

const POLICY: &str = r#"
version: 1
fhir: R4
roles:
  desk:
    about: Books visits.
    owner: desk@hospital.example
    review_by: 2999-01-01
    purposes: [HOPERAT]
    sees:
      Patient:
        name: show
        gender: show
        birthDate: year
        managingOrganization: show
        "telecom[?@.system == 'phone'].value": show
      Observation:
        where: "@.status == 'final'"
        code: show
        subject: show
  clinician:
    about: Treats.
    owner: care@hospital.example
    review_by: 2999-01-01
    purposes: [TREAT]
    sees: { "*": show }
"#;

struct Fixture {
    policy: Policy,
    definitions: Definitions,
    key: PageKey,
}

impl Fixture {
    fn new() -> Self {
        let definitions = Definitions::r4();
        let (policy, _) = Policy::parse("policy.yaml", POLICY, &definitions).unwrap();
        Self { policy, definitions, key: PageKey::new([1; 32]) }
    }

    fn guard<'a>(&'a self, role: &'a str) -> Guard<'a> {
        Guard {
            view: self.policy.role(&Role::new(role)).unwrap(),
            definitions: &self.definitions,
            page_key: &self.key,
            bound: Bound { endpoint: "ehr", caller: "ada", role, generation: self.policy.generation() },
            page_parameters: &[],
            most_count: 100,
        }
    }

    fn admit(&self, role: &str, target: &str) -> Result<Option<String>, GuardError> {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let interaction = Interaction::parse(&self.definitions, &http::Method::GET, path, query).unwrap();
        let path = CanonicalPath::parse(path).unwrap();
        let asked = Asked { interaction: Some(&interaction), path: &path, query, form: None, if_none_exist: false };
        self.guard(role).admit(asked).map(|admission| admission.query)
    }

    fn search(&self, query: &str) -> Result<Option<String>, GuardError> {
        self.admit("desk", &format!("/Patient?{query}"))
    }

    fn link(&self, address: &str, searched: Option<&str>) -> Option<String> {
        let (path, query) = address.split_once('?').map_or((address, None), |(path, query)| (path, Some(query)));
        self.guard("desk").link(&CanonicalPath::parse(path).unwrap(), query, searched)
    }
}

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

#[test]
fn l11_what_cannot_be_followed_to_its_elements_is_refused() {
    let fixture = Fixture::new();
    for asked in [
        "organization.name=x",
        "organization:Organization.name=x",
        "_has:Observation:patient:code=1",
        "_filter=birthdate+eq+2001",
        "_text=x",
        "_content=x",
        "_query=x",
        "_list=1",
        "ssn=1",
        "name:text=x",
        "gender:in=http://example.org/vs",
        "organization:identifier=1",
        "_contained=true",
        "_type=Patient",
    ] {
        assert!(fixture.search(asked).is_err(), "{asked}");
    }
}

#[test]
fn l12_a_sort_by_what_is_not_shown_is_refused() {
    let fixture = Fixture::new();
    for asked in ["_sort=birthdate", "_sort=gender,-birthdate", "_sort=", "_sort=organization.name", "_sort=_score"] {
        assert!(fixture.search(asked).is_err(), "{asked}");
    }
}

#[test]
fn l13_nothing_is_included() {
    let fixture = Fixture::new();
    for asked in ["_include=Patient:organization", "_revinclude=Observation:subject", "_include:iterate=Patient:link"] {
        assert!(matches!(fixture.search(asked), Err(GuardError::Unsupported { .. })), "{asked}");
    }
}

#[test]
fn l14_the_query_and_the_form_of_a_post_are_held_to_the_same_rules() {
    let fixture = Fixture::new();
    let interaction = Interaction::parse(&fixture.definitions, &http::Method::POST, "/Patient/_search", None).unwrap();
    let path = CanonicalPath::parse("/Patient/_search").unwrap();
    let guard = fixture.guard("desk");
    let admit = |query, form: &'static str| {
        let form = Some(form.as_bytes());
        guard.admit(Asked { interaction: Some(&interaction), path: &path, query, form, if_none_exist: false })
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
            Asked { interaction: Some(&search), path: &root, query: Some(query), form: None, if_none_exist: false };
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
    for hidden in ["/Condition/1", "/Condition?code=1", "/", "/?x=1", "/Patient/1/$everything", "/Patient/a%20b", "/x"]
    {
        assert_eq!(link(hidden), None, "{hidden}");
    }
}
