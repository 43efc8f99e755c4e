mod operations;
mod pages;
mod searches;

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
  ward:
    about: Looks after patients.
    owner: ward@hospital.example
    review_by: 2999-01-01
    purposes: [TREAT]
    sees:
      Patient: { name: show, gender: show, birthDate: year, managingOrganization: show, identifier.value: show }
      Observation: { "*": show, note: hide, valueQuantity.value: { round: 10 }, encounter.identifier: hide, method.text: hide }
      Organization: { name: show, alias: show, partOf: show }
      Location: { name: show, alias: show, position: show }
      Encounter: { where: "@.status == 'finished'", subject: show, status: show }
    types: { Reference.display: show! }
  night:
    about: Looks after the patients of one ward.
    owner: ward@hospital.example
    review_by: 2999-01-01
    purposes: [TREAT]
    sees:
      Patient: { where: "@.active == true", name: show }
      Observation: { "*": show, note: hide }
  registry:
    about: Counts what the others do.
    owner: registry@hospital.example
    review_by: 2999-01-01
    purposes: [HSYSADMIN]
    sees:
      Patient: { "*": show, birthDate: hide }
      Observation: { "*": show, note: hide, component.interpretation: hide }
      Immunization: { "*": show, patient: hide }
      Condition: { id: hide, code: show, subject: show, asserter: show }
      Group: { "*": show, name: hide }
  most:
    about: Sees nearly everything.
    owner: registry@hospital.example
    review_by: 2999-01-01
    purposes: [HSYSADMIN]
    sees: { "*": show, Patient: { "*": show, birthDate: hide } }
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
    declared: Declared,
}

impl Fixture {
    fn new() -> Self {
        let definitions = Definitions::r4();
        let (policy, _) = Policy::parse("policy.yaml", POLICY, &definitions).unwrap();
        let mut declared = Declared::default();
        let of = |name| definitions.resource(name).unwrap();
        declared.insert(of("Patient"), "nickname", ["name".into()]);
        declared.insert(of("Patient"), "ssn", ["name.family".into(), "identifier".into()]);
        declared.insert(of("Observation"), "about", ["subject".into()]);
        Self { policy, definitions, key: PageKey::new([1; 32]), declared }
    }

    fn guard<'a>(&'a self, role: &'a str) -> Guard<'a> {
        Guard {
            view: self.policy.role(&Role::new(role)).unwrap(),
            definitions: &self.definitions,
            page_key: &self.key,
            bound: Bound { endpoint: "ehr", caller: "ada", role, within: "", generation: self.policy.generation() },
            now: Timestamp::UNIX_EPOCH,
            link_lifetime: Duration::from_secs(60),
            page_parameters: &[],
            declared: &self.declared,
            takes_types: false,
            most_count: 100,
        }
    }

    fn admit(&self, role: &str, target: &str) -> Result<Option<String>, GuardError> {
        let target = if target.starts_with('?') { &format!("/{target}") } else { target };
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let interaction = Interaction::parse(&self.definitions, &http::Method::GET, path, query).unwrap();
        let path = CanonicalPath::parse(path).unwrap();
        let asked = Asked { interaction: Some(&interaction), path: &path, query, form: None, if_none_exist: None };
        self.guard(role).admit(asked).map(|admission| admission.query)
    }

    fn search(&self, query: &str) -> Result<Option<String>, GuardError> {
        self.admit("desk", &format!("/Patient?{query}"))
    }

    fn link(&self, address: &str, searched: Option<&str>) -> Option<String> {
        self.link_of("desk", address, searched)
    }

    fn link_of(&self, role: &str, address: &str, searched: Option<&str>) -> Option<String> {
        let (path, query) = address.split_once('?').map_or((address, None), |(path, query)| (path, Some(query)));
        self.guard(role).link(&CanonicalPath::parse(path).unwrap(), query, searched)
    }
}

fn refused(role: &str, target: &str) -> GuardError {
    Fixture::new().admit(role, target).expect_err(target)
}

fn hidden(parameter: &str, element: &str) -> GuardError {
    GuardError::Hidden { parameter: parameter.into(), element: element.into() }
}

fn unseen(parameter: &str, of: &str) -> GuardError {
    GuardError::Unseen { parameter: parameter.into(), of: of.into() }
}

fn rows(parameter: &str, of: &str) -> GuardError {
    GuardError::Rows { parameter: parameter.into(), of: of.into() }
}

/// That a request goes upstream with the parameters that it came with.
#[track_caller]
fn passes(role: &str, target: &str) {
    let sent = Fixture::new().admit(role, target).unwrap_or_else(|error| panic!("{target}: {error}"));
    let asked = query::read(target.split_once('?').unwrap().1.as_bytes()).unwrap();
    assert_eq!(query::read(sent.unwrap_or_default().as_bytes()).unwrap(), asked, "{target}");
}
