//! Test: the walk that `explain` and the guard follow, and the plan that the redactor runs, agree on every element of
//! every resource type. Both are followed together, from each resource down to where they come back to themselves.

use std::collections::HashSet;

use super::compile::{Sketch, compile};
use super::treatment::Treatment;
use super::view::{Outcome, Place, View};
use super::*;
use crate::fhir::definitions::Kind;
use crate::fhir::{Element, TypeRef};
use crate::redact::plan::{Action, Edge, State, StateId};
use crate::redact::transform::Transform;

struct Walk<'a> {
    definitions: &'a Definitions,
    view: &'a View,
    sketch: &'a Sketch,
    seen: HashSet<(Place, StateId)>,
    elements: usize,
}

impl Walk<'_> {
    fn object(&mut self, name: &str, place: &Place, id: StateId) {
        if !self.seen.insert((place.clone(), id)) {
            return;
        }
        let state = &self.sketch.states[&id];
        if self.view.restricted {
            assert_eq!(state.other.action, Action::Drop, "{name}: what is unknown goes");
            let known = known_members(self.definitions, place);
            for member in state.members.keys() {
                assert!(known.contains(&**member), "{name}.{member} is named and unknown");
            }
        }
        for element in self.definitions.get(place.type_id).elements() {
            for form in &element.types {
                let name = format!("{name}.{}", form.json_name);
                let fork = self.view.member(self.definitions, place, element, form).unwrap();
                let edge = *state.members.get(&*form.json_name).unwrap_or(&state.other);
                for (index, outcome) in fork.outcomes.iter().enumerate() {
                    let edge = match edge.action {
                        Action::Choose(choice) => self.sketch.choices[&choice].outcomes[index],
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
        let sibling = state.members.get(&*format!("_{}", form.json_name));
        match (kind, edge.action) {
            (Kind::Resource, Action::Discriminate(_)) => {}
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
            (Kind::Primitive, Action::Transform(id)) => match &self.sketch.transforms[&id] {
                Transform::Address | Transform::Reference => assert_eq!(*treatment, Treatment::Show, "{name}"),
                transform => {
                    let instant = &*self.definitions.get(form.target).name == "instant";
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
                let members: HashSet<_> = self.sketch.states[&id].members.keys().map(|name| &**name).collect();
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
    names.flat_map(|(name, _)| [name.into(), format!("_{name}").into()]).chain(["resourceType".into()]).collect()
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
    let definitions = Definitions::r4().unwrap();
    let mut elements = 0;
    for text in policies() {
        let text = text.replace("compose.exclude.system: hide", "compose.include.system: hide");
        let (policy, _) = Policy::parse("p", &text, &definitions).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        for (name, role) in policy.roles() {
            let compiled = compile(&definitions, &role.view).unwrap();
            for cases in [&compiled.sketch.cases, &compiled.sketch.fragments] {
                assert_eq!(cases.len(), role.view.resources.len());
                for (resource, case) in cases {
                    let place = role.view.place(definitions.resource(resource).unwrap()).unwrap();
                    let (view, sketch) = (&role.view, &compiled.sketch);
                    let mut walk = Walk { definitions: &definitions, view, sketch, seen: HashSet::new(), elements: 0 };
                    walk.object(&format!("{name}: {resource}"), &place, case.state);
                    elements += walk.elements;
                }
            }
        }
    }
    assert!(elements > 100_000, "{elements} elements were compared");
}

#[test]
fn a_labelled_resource_ends_with_its_label_and_a_fragment_or_envelope_has_none() {
    let definitions = Definitions::r4().unwrap();
    let text = "{ version: 1, fhir: R4, roles: { r: { purposes: [TREAT], sees: { Patient: { birthDate: year, meta: hide } } } } }";
    let (policy, _) = Policy::parse("p", text, &definitions).unwrap();
    let (_, role) = policy.roles().next().unwrap();
    let sketch = compile(&definitions, &role.view).unwrap().sketch;
    let whole = &sketch.states[&sketch.cases["Patient"].state];
    let ensure = whole.ensure.as_deref().unwrap();
    assert!(ensure.starts_with(r#""meta":{"security":[{"system":"#), "{ensure}");
    assert!(ensure.contains("REDACTED") && ensure.contains("ABSTRED") && !ensure.contains("MASKED"), "{ensure}");
    let Action::Descend(meta) = whole.members["meta"].action else { panic!("meta is descended") };
    let Action::Descend(security) = sketch.states[&meta].members["security"].action else { panic!("security is") };
    let stamp = sketch.states[&security].stamp.as_deref().unwrap();
    assert!(ensure.contains(stamp));
    assert_eq!(sketch.states[&sketch.fragments["Patient"].state].ensure, None);
    assert_eq!(sketch.states[&sketch.cases["Bundle"].state].ensure, None);
}

#[test]
fn the_patient_is_noted_whether_the_reference_is_shown_or_hidden() {
    use crate::redact::plan::Capture;
    let definitions = Definitions::r4().unwrap();
    for sees in ["Observation: { status: show }", "Observation: { subject: show }", "'*': show"] {
        let text = format!("{{ version: 1, fhir: R4, roles: {{ r: {{ purposes: [TREAT], sees: {{ {sees} }} }} }} }}");
        let (policy, _) = Policy::parse("p", &text, &definitions).unwrap();
        let (_, role) = policy.roles().next().unwrap();
        let sketch = compile(&definitions, &role.view).unwrap().sketch;
        let observation = &sketch.states[&sketch.cases["Observation"].state];
        assert_eq!(observation.members["id"].capture, Some(Capture::ResourceId), "{sees}");
        let Action::Descend(subject) = observation.members["subject"].action else { panic!("{sees}: subject is read") };
        assert_eq!(sketch.states[&subject].members["reference"].capture, Some(Capture::Patient), "{sees}");
    }
}

#[test]
fn addresses_of_the_upstream_are_led_back_for_every_role() {
    let definitions = Definitions::r4().unwrap();
    for sees in ["'*': show", "Patient: { gender: show }"] {
        let text = format!("{{ version: 1, fhir: R4, roles: {{ r: {{ purposes: [TREAT], sees: {{ {sees} }} }} }} }}");
        let (policy, _) = Policy::parse("p", &text, &definitions).unwrap();
        let (_, role) = policy.roles().next().unwrap();
        let sketch = compile(&definitions, &role.view).unwrap().sketch;
        let within = |state: &State, member: &str| match state.members[member].action {
            Action::Descend(id) => sketch.states[&id].clone(),
            other => panic!("{sees}: {member} is {other:?}"),
        };
        let led_back = |state: &State, member: &str| match state.members[member].action {
            Action::Transform(id) => assert_eq!(sketch.transforms[&id], Transform::Address, "{sees}: {member}"),
            other => panic!("{sees}: {member} is {other:?}"),
        };
        let bundle = sketch.states[&sketch.cases["Bundle"].state].clone();
        let entry = within(&bundle, "entry");
        assert!(entry.envelope);
        led_back(&within(&bundle, "link"), "url");
        led_back(&entry, "fullUrl");
        led_back(&within(&entry, "request"), "url");
        led_back(&within(&entry, "response"), "location");
        assert!(matches!(entry.members["resource"].action, Action::Discriminate(_)), "{sees}");
        assert!(matches!(within(&entry, "response").members["outcome"].action, Action::Discriminate(_)), "{sees}");
    }
}

#[test]
fn rows_and_the_patient_of_a_shift_are_part_of_the_case() {
    use crate::redact::condition::{Query, Segment, Selector, Test};
    let definitions = Definitions::r4().unwrap();
    let (policy, _) = Policy::parse("p", include_str!("../../config/policy.yaml"), &definitions).unwrap();
    let cases = |role: &str| compile(&definitions, &policy.role(&Role::new(role)).unwrap().view).unwrap().sketch.cases;
    let name = |name: &str| Segment::Child(vec![Selector::Name(name.into())]);
    let researcher = cases("researcher");
    let subject = researcher["Condition"].subject.as_deref().unwrap();
    assert!(subject.contains(&Query { segments: vec![name("subject"), name("reference")] }), "{subject:?}");
    assert_eq!(researcher["Patient"].subject, None, "no date of a Patient is shifted");
    let desk = cases("front-desk");
    assert!(matches!(&desk["Observation"].rows, Some(Test::All(both)) if both.len() == 2), "labels and where");
    assert!(desk["Patient"].rows.is_some(), "labels");
    assert!(desk["Bundle"].rows.is_none(), "an envelope");
}

#[test]
fn five_roles_are_compiled_in_a_moment() {
    let definitions = Definitions::r4().unwrap();
    let start = std::time::Instant::now();
    let (policy, _) = Policy::parse("p", include_str!("../../config/policy.yaml"), &definitions).unwrap();
    let states: usize = policy.roles().map(|(_, role)| role.plan.size()).sum();
    println!("{states} states in {:?}", start.elapsed());
    assert!(states < 20_000, "{states}");
}
