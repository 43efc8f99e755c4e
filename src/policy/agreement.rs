//! Test: the walk that `explain` and the guard follow, and the plan that the redactor runs, agree on every element of
//! every resource type. Both are followed together, from each resource down to where they come back to themselves.

use std::collections::HashSet;

use super::resolve::Because;
use super::treatment::Treatment;
use super::view::{Outcome, Place, View};
use super::*;
use crate::fhir::definitions::Kind;
use crate::fhir::{Element, TypeRef};
use crate::redact::plan::{Action, Capture, Case, Edge, Kinds, State, StateId};
use crate::redact::transform::Transform;

struct Walk<'a> {
    definitions: &'a Definitions,
    view: &'a View,
    plan: &'a Plan,
    seen: HashSet<(Place, StateId)>,
    elements: usize,
}

impl Walk<'_> {
    fn object(&mut self, name: &str, place: &Place, id: StateId) {
        if !self.seen.insert((place.clone(), id)) {
            return;
        }
        let state = self.plan.state(id).unwrap();
        if self.view.restricted {
            assert_eq!(state.other.action, Action::Drop, "{name}: what is unknown goes");
            let known = known_members(self.definitions, place);
            for (member, _) in state.members.iter() {
                assert!(known.contains(member), "{name}.{member} is named and unknown");
            }
        }
        for element in self.definitions.get(place.type_id).elements() {
            for form in element.types.iter() {
                let name = format!("{name}.{}", form.json_name);
                let fork = self.view.member(self.definitions, place, element, form).unwrap();
                let edge = *state.members.get(form.json_name.as_bytes()).unwrap_or(&state.other);
                for (index, outcome) in fork.outcomes().iter().enumerate() {
                    let edge = match edge.action {
                        Action::Choose(choice) => self.plan.choice(choice).unwrap().outcomes[index],
                        _ => edge,
                    };
                    self.elements += 1;
                    self.element(&name, element, form, outcome, edge, state);
                }
            }
        }
    }

    fn element(&mut self, name: &str, element: &Element, form: &TypeRef, outcome: &Outcome, edge: Edge, state: &State) {
        let treatment = &outcome.ruling.treatment;
        let kind = self.definitions.get(form.target).kind;
        let sibling = state.members.get(format!("_{}", form.json_name).as_bytes());
        match (kind, edge.action) {
            (Kind::Resource, Action::Discriminate(_)) => {
                let by_rule = matches!(outcome.ruling.because, Because::Rule(_) | Because::Conflict(_));
                assert!(*treatment != Treatment::Hide || !by_rule, "{name} is hidden by name");
            }
            (Kind::Resource, Action::Keep) => assert!(!self.view.restricted, "{name}"),
            (Kind::Resource, Action::Drop) => assert_eq!(*treatment, Treatment::Hide, "{name}"),
            (Kind::Primitive, Action::Keep) => {
                assert!(!self.view.restricted && *treatment == Treatment::Show, "{name}")
            }
            (Kind::Primitive, Action::Scalar(_)) => {
                assert_eq!(*treatment, Treatment::Show, "{name}");
                assert!(matches!(sibling.map(|edge| edge.action), Some(Action::Descend(_))), "{name} has no sibling");
            }
            (Kind::Primitive, Action::Drop) => {
                assert!(matches!(treatment, Treatment::Hide | Treatment::Absent), "{name} is {treatment}");
                let absent = *treatment == Treatment::Absent && !element.choice;
                assert_eq!(absent, state.append.contains(&format!("\"_{}\":", form.json_name)), "{name}");
            }
            (Kind::Primitive, Action::Transform(id)) => match self.plan.transform(id).unwrap() {
                Transform::Address | Transform::Page | Transform::Path | Transform::Reference => {
                    assert_eq!(*treatment, Treatment::Show, "{name}")
                }
                transform => {
                    let instant = self.definitions.get(form.target).name == "instant";
                    assert_eq!(treatment.transform(instant).as_ref(), Some(transform), "{name}");
                    assert!(sibling.is_none(), "{name} keeps its sibling");
                }
            },
            (Kind::Complex | Kind::Backbone, Action::Keep) => {
                assert!(!self.view.restricted && *treatment == Treatment::Show, "{name}");
            }
            (Kind::Complex | Kind::Backbone, Action::Drop) => {
                assert_eq!(*treatment, Treatment::Hide, "{name}");
                assert!(!self.view.may_matter(&outcome.inside), "{name} goes with something in it");
            }
            (Kind::Complex, Action::Descend(id)) if matches!(treatment, Treatment::Pseudonym(_)) => {
                let members: HashSet<_> = self.plan.state(id).unwrap().members.iter().map(|(name, _)| name).collect();
                assert_eq!(members, HashSet::from(["reference", "type"]), "{name}");
            }
            (Kind::Complex | Kind::Backbone, Action::Descend(id)) => {
                assert!(matches!(treatment, Treatment::Show | Treatment::Hide), "{name}");
                self.object(name, &outcome.inside, id);
            }
            (kind, action) => panic!("{name}, {kind:?}, is {treatment} and has {action:?}"),
        }
    }
}

fn known_members<'a>(definitions: &'a Definitions, place: &Place) -> HashSet<std::borrow::Cow<'a, str>> {
    let elements = definitions.get(place.type_id).elements().iter();
    let names = elements.flat_map(|element| element.json_names());
    let sibling = |name: &str, of| (definitions.get(of).kind == Kind::Primitive).then(|| format!("_{name}").into());
    let known = names.flat_map(|(name, of)| [Some(name.into()), sibling(name, of)]);
    known.flatten().chain(["resourceType".into()]).collect()
}

/// Policies that lean on each part of the language.
const ROLES: [&str; 9] = [
    "sees: { '*': show }",
    "sees: { '*': show, Patient: { birthDate: hide } }",
    "sees: { '*': show }, cleared: [N], types: { date: year, Reference: { pseudonym: { domain: d } } }",
    "sees: { '*': show }, types: { string: hide, code: show, HumanName.family: show, dateTime: { shift_days: 9 } }",
    "sees: { Patient: { name.family: show, birthDate: absent, 'name.given': absent, 'deceased': hide } }",
    "sees: { Observation: { value: show, valueString: hide, 'component[?@.code].value': show, meta: hide } }",
    "sees: { Questionnaire: { item.text: show, \"item[?@.linkId == 'a']\": hide, 'item.code[?@.system].code': show } }",
    "sees: { Patient: { \"extension[?@.url == 'a']\": show, \"birthDate.extension[?@.url == 'b'].valueDateTime\": show, id: { truncate: 3 } } }",
    "sees: { Patient: { meta.security: hide, contained: hide, gender: show }, ValueSet: { compose.include: show, compose.exclude.system: hide } }",
];

fn policies() -> Vec<String> {
    let texts =
        ROLES.iter().map(|role| format!("{{ version: 1, fhir: R4, roles: {{ r: {{ purposes: [TREAT], {role} }} }} }}"));
    texts.chain([include_str!("../../config/policy.yaml").to_owned()]).collect()
}

#[test]
fn explain_and_the_plan_agree_on_every_element_of_every_resource_type() {
    let definitions = Definitions::r4();
    let mut elements = 0;
    for text in policies() {
        let text = text.replace("compose.exclude.system: hide", "compose.include.system: hide");
        let (policy, _) = Policy::parse("p", &text, &definitions).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        for (name, role) in policy.roles() {
            for table in role.plan.tables() {
                assert_eq!(table.cases.len(), role.view.resources.len());
                for (resource, case) in table.cases.iter() {
                    let place = role.view.place(definitions.resource(resource).unwrap()).unwrap();
                    let (view, plan) = (&role.view, &*role.plan);
                    let mut walk = Walk { definitions: &definitions, view, plan, seen: HashSet::new(), elements: 0 };
                    walk.object(&format!("{name}: {resource}"), &place, case.state);
                    elements += walk.elements;
                }
            }
        }
    }
    assert!(elements > 100_000, "{elements} elements were compared");
}

/// The plan of a role that sees this.
fn plan(sees: &str) -> Arc<Plan> {
    plan_of(&format!("sees: {{ {sees} }}"))
}

/// The plan of a role with these keys.
fn plan_of(role: &str) -> Arc<Plan> {
    let definitions = Definitions::r4();
    let text = format!("{{ version: 1, fhir: R4, roles: {{ r: {{ purposes: [TREAT], {role} }} }} }}");
    let (policy, _) = Policy::parse("p", &text, &definitions).unwrap();
    let (_, role) = policy.roles().next().unwrap();
    Arc::clone(&role.plan)
}

/// The case of a resource type, where it stands for itself and where it is contained in another.
fn cases<'p>(plan: &'p Plan, resource: &str) -> [&'p Case; 2] {
    let [whole, fragments] = plan.tables() else { panic!("there are two tables") };
    assert!(!whole.fragments && fragments.fragments);
    [whole, fragments].map(|table| table.cases.get(resource.as_bytes()).unwrap())
}

/// The state of a resource type.
fn resource<'p>(plan: &'p Plan, name: &str) -> &'p State {
    plan.state(cases(plan, name)[0].state).unwrap()
}

fn member(state: &State, name: &str) -> Edge {
    *state.members.get(name.as_bytes()).unwrap_or_else(|| panic!("{name} is no member"))
}

fn within<'p>(plan: &'p Plan, state: &State, name: &str) -> &'p State {
    match member(state, name).action {
        Action::Descend(id) => plan.state(id).unwrap(),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn a_labelled_resource_ends_with_its_label_and_a_fragment_or_envelope_has_none() {
    let plan = plan("Patient: { birthDate: year, meta: hide }");
    let whole = resource(&plan, "Patient");
    let ensure = whole.ensure.as_deref().unwrap();
    assert!(ensure.starts_with(r#""meta":{"security":[{"system":"#), "{ensure}");
    assert!(ensure.contains("REDACTED") && ensure.contains("ABSTRED") && !ensure.contains("MASKED"), "{ensure}");
    let security = within(&plan, within(&plan, whole, "meta"), "security");
    assert!(ensure.contains(security.stamp.as_deref().unwrap()));
    let [_, fragment] = cases(&plan, "Patient");
    assert_eq!(plan.state(fragment.state).unwrap().ensure, None);
    assert_eq!(resource(&plan, "Bundle").ensure, None);
}

#[test]
fn each_resource_type_is_labelled_by_what_its_own_view_does() {
    let plan = plan("Patient: { birthDate: year }, Observation: { status: show }, Encounter: { period.end: year }");
    for (name, generalised) in [("Patient", true), ("Observation", false), ("Encounter", true)] {
        let whole = resource(&plan, name);
        let security = within(&plan, within(&plan, whole, "meta"), "security");
        for label in [&whole.ensure, &security.stamp] {
            assert_eq!(label.as_deref().unwrap().contains("ABSTRED"), generalised, "{name}");
        }
    }
}

#[test]
fn the_patient_is_noted_whether_the_reference_is_shown_or_hidden() {
    for sees in ["Observation: { status: show }", "Observation: { subject: show }", "'*': show"] {
        let plan = plan(sees);
        let observation = resource(&plan, "Observation");
        assert_eq!(member(observation, "id").capture, Some(Capture::ResourceId), "{sees}");
        let subject = within(&plan, observation, "subject");
        assert_eq!(member(subject, "reference").capture, Some(Capture::Patient), "{sees}");
    }
}

#[test]
fn an_id_is_noted_as_that_of_a_resource_a_patient_or_a_fragment() {
    let plan = plan("Patient: { gender: show }, Observation: { id: hide, status: show }");
    for (name, noted) in [("Patient", Capture::Patient), ("Observation", Capture::ResourceId)] {
        let [whole, fragment] = cases(&plan, name).map(|case| plan.state(case.state).unwrap());
        assert_eq!(member(whole, "id").capture, Some(noted));
        assert_eq!(member(fragment, "id").capture, Some(Capture::FragmentId));
        assert_eq!(member(fragment, "id").action, member(whole, "id").action);
    }
}

#[test]
fn addresses_of_the_upstream_are_led_back_for_every_role() {
    for sees in ["'*': show", "Patient: { gender: show }"] {
        let plan = plan(sees);
        let led_by = |state: &State, name: &str, by: Transform| match member(state, name).action {
            Action::Transform(id) => assert_eq!(plan.transform(id), Some(&by), "{sees}: {name}"),
            other => panic!("{sees}: {name} is {other:?}"),
        };
        let led_back = |state: &State, name: &str| led_by(state, name, Transform::Address);
        let bundle = resource(&plan, "Bundle");
        let entry = within(&plan, bundle, "entry");
        assert!(entry.envelope);
        led_by(within(&plan, bundle, "link"), "url", Transform::Page);
        led_back(entry, "fullUrl");
        led_back(within(&plan, entry, "request"), "url");
        let response = within(&plan, entry, "response");
        led_back(response, "location");
        assert!(matches!(member(entry, "resource").action, Action::Discriminate(_)), "{sees}");
        assert!(matches!(member(response, "outcome").action, Action::Discriminate(_)), "{sees}");
    }
}

#[test]
fn rows_and_the_patient_of_a_shift_are_part_of_the_case() {
    use crate::redact::condition::{Query, Segment, Selector, Test};
    let definitions = Definitions::r4();
    let (policy, _) = Policy::parse("p", include_str!("../../config/policy.yaml"), &definitions).unwrap();
    let plan = |role: &str| Arc::clone(&policy.role(&Role::new(role)).unwrap().plan);
    let name = |name: &str| Segment::Child(vec![Selector::Name(name.into())]);
    let researcher = plan("researcher");
    for case in cases(&researcher, "Condition") {
        let subject = case.subject.as_deref().unwrap();
        assert!(subject.contains(&Query { segments: vec![name("subject"), name("reference")] }), "{subject:?}");
    }
    assert_eq!(cases(&researcher, "Patient")[0].subject, None, "no date of a Patient is shifted");
    let desk = plan("front-desk");
    let rows = |resource: &str| cases(&desk, resource)[0].rows.as_ref();
    assert!(matches!(rows("Observation"), Some(Test::All(both)) if both.len() == 2), "labels and where");
    assert!(rows("Patient").is_some(), "labels");
    assert!(rows("Bundle").is_none(), "an envelope");
}

#[test]
fn a_resource_says_of_each_kind_of_treatment_that_it_was_used_and_of_no_other() {
    for (sees, used) in [
        ("Patient: { gender: show }", &[][..]),
        ("Patient: { name.family: { mask: {} } }", &["MASKED"]),
        ("Patient: { telecom: show, \"telecom[?@.system == 'phone'].value\": { mask: {} } }", &["MASKED"]),
        ("Patient: { name.family: { truncate: 1 } }", &["MASKED"]),
        ("Patient: { name.family: { replace: x } }", &["MASKED"]),
        ("Patient: { birthDate: { shift_days: 9 } }", &["MASKED"]),
        ("Patient: { birthDate: absent }", &["MASKED"]),
        ("Patient: { contact.name.text: absent }", &["MASKED"]),
        ("Patient: { gender: show, id: { pseudonym: { domain: d } } }", &["PSEUDED"]),
        ("Patient: { managingOrganization: { pseudonym: { domain: d } } }", &["PSEUDED"]),
        ("Patient: { managingOrganization.reference: { pseudonym: { domain: d } } }", &["PSEUDED"]),
        ("Patient: { birthDate: year }", &["ABSTRED"]),
        ("Patient: { birthDate: month }", &["ABSTRED"]),
        ("Patient: { birthDate: birth_year }", &["ABSTRED"]),
        ("Patient: { address.postalCode: zip3 }", &["ABSTRED"]),
        ("Patient: { multipleBirthInteger: { round: 2 } }", &["ABSTRED"]),
        ("Patient: { birthDate: year, name.family: { mask: {} } }", &["MASKED", "ABSTRED"]),
    ] {
        let plan = plan(sees);
        let ensured = format!("{{{}}}", resource(&plan, "Patient").ensure.as_deref().unwrap());
        let ensured: serde_json::Value = serde_json::from_str(&ensured).unwrap();
        let codings = ensured["meta"]["security"].as_array().unwrap();
        let codes: Vec<_> = codings.iter().map(|coding| coding["code"].as_str().unwrap()).collect();
        assert_eq!(codes, [&["REDACTED"][..], used].concat(), "{sees}");
    }
}

#[test]
fn what_is_absent_is_marked_once_and_of_a_choice_by_a_rule_of_its_own_alone() {
    let marks = |state: &State| -> Vec<String> {
        let marks: serde_json::Value = serde_json::from_str(&format!("{{{}}}", state.append)).unwrap();
        marks.as_object().unwrap().iter().map(|(name, mark)| format!("{name}: {}", mark.is_array())).collect()
    };
    for (role, expected) in [
        ("sees: { Patient: { birthDate: absent, gender: absent } }", &["_gender: false", "_birthDate: false"][..]),
        ("sees: { Patient: { deceased: absent } }", &["_deceasedBoolean: false"]),
        ("sees: { Patient: { '*': show } }, types: { boolean: absent }", &["_active: false"]),
        ("sees: { Patient: { '*': show } }, types: { dateTime: absent }", &[]),
    ] {
        assert_eq!(marks(resource(&plan_of(role), "Patient")), expected, "{role}");
    }
    let plan = plan("Patient: { name.given: absent }");
    assert_eq!(marks(within(&plan, resource(&plan, "Patient"), "name")), ["_given: true"]);
}

#[test]
fn a_shown_primitive_passes_as_the_kind_of_scalar_that_its_type_is() {
    let plan = plan("Patient: show, Observation: show");
    let (patient, observation) = (resource(&plan, "Patient"), resource(&plan, "Observation"));
    let (telecom, photo) = (within(&plan, patient, "telecom"), within(&plan, patient, "photo"));
    let quantity = within(&plan, observation, "valueQuantity");
    for (state, name, kinds) in [
        (patient, "active", Kinds::BOOLEAN),
        (patient, "birthDate", Kinds::STRING),
        (patient, "gender", Kinds::STRING),
        (patient, "multipleBirthInteger", Kinds::NUMBER),
        (telecom, "rank", Kinds::NUMBER),
        (telecom, "value", Kinds::STRING),
        (photo, "size", Kinds::NUMBER),
        (photo, "data", Kinds::STRING),
        (quantity, "value", Kinds::NUMBER),
        (quantity, "unit", Kinds::STRING),
        (observation, "valueInteger", Kinds::NUMBER),
        (observation, "valueBoolean", Kinds::BOOLEAN),
    ] {
        assert_eq!(member(state, name).action, Action::Scalar(kinds), "{name}");
    }
}

#[test]
fn what_need_not_be_looked_into_passes_unread_where_nothing_is_withheld() {
    let plan = plan("'*': show");
    let patient = resource(&plan, "Patient");
    for name in ["name", "contact", "contained", "birthDate"] {
        assert_eq!(member(patient, name).action, Action::Keep, "{name}");
    }
    let bundle = resource(&plan, "Bundle");
    for name in ["link", "entry"] {
        assert!(matches!(member(bundle, name).action, Action::Descend(_)), "{name}");
    }
    let part = within(&plan, resource(&plan, "Parameters"), "parameter");
    assert!(matches!(member(part, "resource").action, Action::Discriminate(_)));
}

#[test]
fn a_resource_within_another_is_seen_as_its_own_type_is_unless_it_is_hidden_by_name() {
    let shown = plan("Patient: show");
    let table = |state: &State, name: &str| match member(state, name).action {
        Action::Discriminate(id) => shown.table(id).unwrap(),
        other => panic!("{name} is {other:?}"),
    };
    assert!(table(resource(&shown, "Patient"), "contained").fragments);
    let bundle = resource(&shown, "Bundle");
    assert!(!table(within(&shown, bundle, "entry"), "resource").fragments);

    let hidden = plan("Patient: { gender: show, contained: hide }, Bundle: { entry.resource: hide }");
    assert_eq!(member(resource(&hidden, "Patient"), "contained").action, Action::Drop);
    let bundle = resource(&hidden, "Bundle");
    assert_eq!(member(within(&hidden, bundle, "entry"), "resource").action, Action::Drop);
}

#[test]
fn a_condition_that_changes_nothing_is_not_asked() {
    let plan = plan("Patient: { contact: show, \"contact[?@.gender == 'male']\": show }");
    assert!(matches!(member(resource(&plan, "Patient"), "contact").action, Action::Descend(_)));
}

#[test]
fn meta_is_counted_where_it_is_shown_and_not_as_the_skeleton_of_what_always_stays() {
    for (sees, counted) in [
        ("Patient: show", true),
        ("Patient: { gender: show, meta: show }", true),
        ("Patient: { gender: show }", false),
        ("Patient: { gender: show, meta: hide }", false),
    ] {
        assert_eq!(member(resource(&plan(sees), "Patient"), "meta").element.is_some(), counted, "{sees}");
    }
}

#[test]
fn a_pseudonym_of_a_reference_keeps_its_shape_and_no_other_string_is_taken_for_one() {
    let plan = plan(concat!(
        "Observation: { subject.reference: { pseudonym: { domain: d } }, subject.display: { pseudonym: { domain: d } }, ",
        "encounter.identifier.value: { pseudonym: { domain: d } } }"
    ));
    let observation = resource(&plan, "Observation");
    let subject = within(&plan, observation, "subject");
    let identifier = within(&plan, within(&plan, observation, "encounter"), "identifier");
    for (state, name, shaped) in
        [(subject, "reference", true), (subject, "display", false), (identifier, "value", false)]
    {
        let Action::Transform(id) = member(state, name).action else { panic!("{name} is no transform") };
        match plan.transform(id).unwrap() {
            Transform::PseudonymReference { .. } => assert!(shaped, "{name}"),
            Transform::Pseudonym { .. } => assert!(!shaped, "{name}"),
            other => panic!("{name} is {other:?}"),
        }
    }
}

#[test]
fn a_reference_that_is_a_pseudonym_is_counted_as_any_other_and_noted_where_it_names_the_patient() {
    let plan = plan(concat!(
        "Observation: { encounter: { pseudonym: { domain: d } }, subject: { pseudonym: { domain: d } }, ",
        "specimen: show }"
    ));
    let observation = resource(&plan, "Observation");
    let [subject, encounter, specimen] =
        ["subject", "encounter", "specimen"].map(|name| member(within(&plan, observation, name), "reference"));
    assert_eq!((subject.capture, encounter.capture), (Some(Capture::Patient), None));
    assert!(subject.element.is_some() && subject.element == encounter.element);
    assert_eq!(subject.element, specimen.element);
}
