//! What limits, tallies and references come to at their edges; what is let through otherwise, tests/redactor.rs tells.

use std::sync::Arc;

use super::*;
use crate::redact::Copied;
use crate::redact::condition::{Comparison, Literal, Operand, Query, Segment, Selector, Test};
use crate::redact::plan::{Action, Capture, Case, Choice, Edge, Items, Kinds, Plan, PlanBuilder, State, Table};
use crate::redact::transform::{Secret, Transform};

const KEEP: Edge = Edge::new(Action::Keep);
const DROP: Edge = Edge::new(Action::Drop);

fn state(members: &[(&str, Edge)]) -> State {
    State { members: members.iter().map(|(name, edge)| (*name, *edge)).collect(), ..State::new() }
}

fn plan(build: impl FnOnce(&mut PlanBuilder) -> Edge) -> Arc<Plan> {
    let mut builder = PlanBuilder::new();
    let root = build(&mut builder);
    Arc::new(builder.build(root).unwrap())
}

/// A table of one case, of objects whose `type` is this.
fn table(builder: &mut PlanBuilder, of: &str, state: StateId, fragments: bool) -> Edge {
    let owner = builder.owner(of);
    let table = builder.reserve_table();
    let cases = [(of, Case { state, owner, rows: None, subject: None })].into_iter().collect();
    builder.set_table(table, Table { member: "type".into(), cases, fragments });
    Edge::new(Action::Discriminate(table))
}

/// What is let through of a document that comes in pieces of this size, and the redactor.
fn redacted(plan: &Arc<Plan>, limits: &Limits, size: usize, document: &str) -> (Result<String>, Redactor) {
    let given = Given { secret: Some(Arc::new(Secret::new([7; 32]).unwrap())), ..Given::default() };
    let mut redactor = Redactor::new(Arc::clone(plan), given, limits.clone());
    let mut out = Vec::new();
    let mut write = || {
        for piece in document.as_bytes().chunks(size) {
            redactor.write(piece, &mut Copied { piece, out: &mut out })?;
        }
        redactor.finish(&mut Copied { piece: &[], out: &mut out })
    };
    let end = write();
    (end.map(|_| String::from_utf8(out).unwrap()), redactor)
}

fn through(plan: &Arc<Plan>, document: &str) -> String {
    let (whole, _) = redacted(plan, &Limits::default(), usize::MAX, document);
    for size in [1, 2, 5] {
        assert_eq!(redacted(plan, &Limits::default(), size, document).0, whole, "in pieces of {size}");
    }
    whole.unwrap()
}

const SIZES: [usize; 5] = [1, 2, 7, 64, usize::MAX];

#[test]
fn a_value_as_long_as_may_be_held_is_decided_and_a_longer_one_counted() {
    let plan = plan(|builder| {
        let is_a = Test::Compare(
            Operand::Query(Query { segments: vec![Segment::Child(vec![Selector::Name("t".into())])] }),
            Comparison::Equal,
            Operand::Literal(Literal::String("a".into())),
        );
        let choice = builder.choice(Choice { tests: [is_a].into(), outcomes: [DROP, KEEP].into(), per_item: true });
        let patient = Edge::new(Action::Choose(choice)).noted(Capture::Patient);
        Edge::new(Action::Descend(builder.state(state(&[("v", patient), ("w", KEEP)]))))
    });
    let value = format!(r#"{{"x":"{}","t":"a"}}"#, "x".repeat(50));
    let document = format!(r#"{{"v":{value},"w":1}}"#);
    for size in SIZES {
        let limits = |hold| Limits { hold, ..Limits::default() };
        let (out, redactor) = redacted(&plan, &limits(value.len()), size, &document);
        assert_eq!((out.unwrap(), redactor.tally().over_limit), (document.clone(), 0), "{size}");
        let (out, redactor) = redacted(&plan, &limits(value.len() - 1), size, &document);
        assert_eq!((out.unwrap().as_str(), redactor.tally().over_limit), (r#"{"w":1}"#, 1), "{size}");
        let twice = format!("[{document},{document}]");
        let (_, redactor) = redacted(&plan, &limits(20), size, &twice);
        assert_eq!((redactor.tally().over_limit, redactor.held()), (2, 0), "{size}");
    }
}

#[test]
fn a_string_as_long_as_a_transform_takes_is_replaced_and_a_longer_one_goes() {
    let plan = plan(|builder| {
        let cut = Edge::new(Action::Transform(builder.transform(Transform::Truncate(2))));
        Edge::new(Action::Descend(builder.state(state(&[("a", cut), ("b", KEEP)]))))
    });
    let document = r#"{"a":"12345678","b":1}"#;
    for size in SIZES {
        let limits = |text| Limits { text, ..Limits::default() };
        let (out, redactor) = redacted(&plan, &limits(10), size, document);
        assert_eq!((out.unwrap().as_str(), redactor.tally().over_limit), (r#"{"a":"12","b":1}"#, 0), "{size}");
        for text in [9, 5] {
            let (out, redactor) = redacted(&plan, &limits(text), size, document);
            assert_eq!((out.unwrap().as_str(), redactor.tally().over_limit), (r#"{"b":1}"#, 1), "{size} {text}");
        }
    }
}

#[test]
fn a_part_of_one_resource_is_none_of_a_resource_within_it() {
    let plan = plan(|builder| {
        let reference = Edge::new(Action::Transform(builder.transform(Transform::Reference)));
        let part = builder.state(state(&[("type", KEEP), ("id", KEEP.noted(Capture::FragmentId))]));
        let parts = table(builder, "P", part, true);
        let inner = builder.state(state(&[("type", KEEP), ("parts", parts), ("ref", reference)]));
        let within = table(builder, "I", inner, false);
        let outer = state(&[("type", KEEP), ("parts", parts), ("within", within), ("ref", reference)]);
        let outer = builder.state(outer);
        table(builder, "O", outer, false)
    });
    let parts = |id: &str| format!(r#""parts":[{{"type":"P","id":"{id}"}}]"#);
    let (o, i) = (parts("o"), parts("i"));
    let all = format!(r##"{{"type":"O",{o},"within":{{"type":"I",{i},"ref":"#i"}},"ref":"#o"}}"##);
    assert_eq!(through(&plan, &all), all);
    let crossed = all.replace("#i", "#t").replace("#o", "#i").replace("#t", "#o");
    assert_eq!(through(&plan, &crossed), all.replace(r##","ref":"#i""##, "").replace(r##","ref":"#o""##, ""));
}

#[test]
fn the_tally_has_the_ids_of_resources_and_of_the_patients_that_they_name() {
    let plan = plan(|builder| {
        let reference =
            Edge::new(Action::Descend(builder.state(state(&[
                ("reference", KEEP.noted(Capture::Patient)),
                ("id", KEEP.noted(Capture::ResourceId)),
            ]))));
        let whole =
            builder.state(state(&[("type", KEEP), ("id", KEEP.noted(Capture::ResourceId)), ("subject", reference)]));
        table(builder, "Observation", whole, false)
    });
    let one = |id: &str, patient: &str| {
        format!(r#"{{"type":"Observation","id":"{id}","subject":{{"id":"no","reference":"Patient/{patient}"}}}}"#)
    };
    let documents = [one("a", "1"), one("b", "1"), one("c", "2"), one("d", "1")].join(",");
    for size in SIZES {
        let (out, redactor) = redacted(&plan, &Limits::default(), size, &format!("[{documents}]"));
        assert_eq!(out.unwrap(), format!("[{documents}]"));
        let tally = redactor.tally();
        let resources: Vec<_> =
            tally.resources().map(|(of, ids)| (of, ids.known.iter().map(|id| &**id).collect::<Vec<_>>())).collect();
        assert_eq!(resources, [("Observation", vec!["a", "b", "c", "d"])], "{size}");
        assert_eq!(tally.patients.known.iter().map(|id| &**id).collect::<Vec<_>>(), ["1", "2"], "{size}");
    }
}

#[test]
fn a_value_is_moved_by_the_one_patient_whom_an_object_names_however_often() {
    let plan = plan(|builder| {
        let moved = Edge::new(Action::Transform(builder.transform(Transform::ShiftDays(30))));
        let whole = builder.state(state(&[("type", KEEP), ("day", moved), ("to", KEEP)]));
        let owner = builder.owner("V");
        let table = builder.reserve_table();
        let name = |name: &str| Segment::Child(vec![Selector::Name(name.into())]);
        let subject = Some([Query { segments: vec![name("to"), Segment::Child(vec![Selector::Wildcard])] }].into());
        let cases = [("V", Case { state: whole, owner, rows: None, subject })].into_iter().collect();
        builder.set_table(table, Table { member: "type".into(), cases, fragments: false });
        Edge::new(Action::Discriminate(table))
    });
    let visit = |to: &str| through(&plan, &format!(r#"{{"type":"V","day":"2026-06-15","to":[{to}]}}"#));
    let day = |out: &str| out.split("\"day\":\"").nth(1).and_then(|rest| rest.get(..10)).map(str::to_owned);
    let once = day(&visit(r#""Patient/1""#)).unwrap();
    assert_eq!(day(&visit(r#""Patient/1","https://ehr.example/Patient/1","1""#)), Some(once.clone()));
    assert_ne!(day(&visit(r#""Patient/2""#)), Some(once));
    for nobody in [r#""Patient/1","Patient/2""#, "", r#""""#, "7"] {
        assert_eq!(day(&visit(nobody)), None, "{nobody}");
    }
}

#[test]
fn an_array_is_decided_as_a_whole_where_a_choice_says_so() {
    let plan = plan(|builder| {
        let several = Test::Compare(
            Operand::Count(Query { segments: vec![Segment::Child(vec![Selector::Wildcard])] }),
            Comparison::Greater,
            Operand::Literal(Literal::Number(1.0)),
        );
        let choice = builder.choice(Choice { tests: [several].into(), outcomes: [DROP, KEEP].into(), per_item: false });
        Edge::new(Action::Descend(builder.state(state(&[("a", Edge::new(Action::Choose(choice))), ("b", KEEP)]))))
    });
    assert_eq!(through(&plan, r#"{"a":[1,2],"b":1}"#), r#"{"a":[1,2],"b":1}"#);
    assert_eq!(through(&plan, r#"{"a":[[1,2]],"b":1}"#), r#"{"b":1}"#);
}

#[test]
fn items_behind_the_first_places_are_decided_in_turn() {
    let plan = plan(|builder| {
        let items = Items::Placed { head: [KEEP].into(), cycle: [DROP, KEEP, DROP].into() };
        Edge::new(Action::Descend(builder.state(State { items, ..State::new() })))
    });
    assert_eq!(through(&plan, "[0,1,2,3,4,5,6,7,8]"), "[0,2,5,8]");
}

#[test]
fn null_stays_wherever_a_scalar_may_and_nowhere_else() {
    let scalars = |kinds| {
        plan(|builder| Edge::new(Action::Descend(builder.state(state(&[("a", Edge::new(Action::Scalar(kinds)))])))))
    };
    for kinds in [Kinds::STRING, Kinds::NUMBER, Kinds::BOOLEAN, Kinds::ANY] {
        assert_eq!(through(&scalars(kinds), r#"{"a":null}"#), r#"{"a":null}"#);
    }
    assert_eq!(through(&scalars(Kinds::NONE), r#"{"a":null}"#), "");
}

#[test]
fn leads_of_frames_that_are_opened_together_are_each_as_long_as_may_be() {
    let keep_all = plan(|builder| {
        let id = builder.reserve();
        builder.set(id, State::otherwise(Edge::new(Action::Descend(id))));
        Edge::new(Action::Descend(id))
    });
    let limits = Limits { lead: 40, ..Limits::default() };
    for (before, holds) in [(30, true), (60, false)] {
        let space = " ".repeat(before);
        let document = format!(r#"{{"p":[{}],"a":{{{space}"b":{{{space}"c":{{}}}}}}}}"#, "{},".repeat(20_000) + "{}");
        for size in SIZES {
            let (out, _) = redacted(&keep_all, &limits, size, &document);
            assert_eq!(out.is_ok(), holds, "{before} in pieces of {size}: {out:?}");
        }
    }
}

#[test]
fn what_waits_for_the_object_of_an_envelope_is_as_long_as_may_be_held_and_longer_is_refused() {
    let plan = plan(|builder| {
        let inner = builder.state(state(&[("type", KEEP)]));
        let body = table(builder, "P", inner, false);
        let envelope = State { envelope: true, ..state(&[("url", KEEP), ("body", body)]) };
        Edge::new(Action::Descend(builder.state(envelope)))
    });
    let document = |length: usize| format!(r#"{{"url":"{}","body":{{"type":"P"}}}}"#, "u".repeat(length));
    let limits = Limits { hold: 100, ..Limits::default() };
    let (short, long) = (document(60), document(200));
    for size in SIZES {
        let (out, redactor) = redacted(&plan, &limits, size, &short);
        assert_eq!((out.unwrap(), redactor.held()), (short.clone(), 0), "{size}");
        let (out, _) = redacted(&plan, &limits, size, &long);
        assert!(matches!(out, Err(RedactError::Envelope { limit: 100, .. })), "{size}: {out:?}");
    }
    let mut redactor = Redactor::new(Arc::clone(&plan), Given::default(), limits);
    let piece = short.get(..40).unwrap().as_bytes();
    redactor.write(piece, &mut Copied { piece, out: &mut Vec::new() }).unwrap();
    assert!(redactor.held() >= 32, "{}", redactor.held());
}
