//! The redactor: what it lets through, and that it means what the oracle means, for every split of the input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests state behaviour and may panic"
)]

#[path = "support/plans.rs"]
mod plans;

use std::sync::Arc;

use fieldgate::json::BackEnd;
use fieldgate::redact::condition::{Comparison, Literal, Operand, Query, Segment, Selector, Test};
use fieldgate::redact::plan::{Action, Capture, Case, Choice, Edge, Items, Kinds, Plan, PlanBuilder, State, Table};
use fieldgate::redact::transform::{Given, Transform};
use fieldgate::redact::{Bounds, Copied, Limits, RedactError, Redactor, Tally, oracle};
use plans::{NAMES, is};
use proptest::prelude::*;
use serde_json::{Value, json};

const KEEP: Edge = Edge::new(Action::Keep);
const DROP: Edge = Edge::new(Action::Drop);

fn feed(redactor: &mut Redactor, pieces: &[&[u8]]) -> (Vec<u8>, Result<bool, RedactError>) {
    let mut out = Vec::new();
    for piece in pieces {
        if let Err(error) = redactor.write(piece, &mut Copied { piece, out: &mut out }) {
            return (out, Err(error));
        }
    }
    let end = redactor.finish(&mut Copied { piece: &[], out: &mut out });
    (out, end)
}

fn redact(plan: &Arc<Plan>, limits: &Limits, pieces: &[&[u8]]) -> (Vec<u8>, Result<bool, RedactError>) {
    feed(&mut Redactor::new(Arc::clone(plan), Given::default(), limits.clone()), pieces)
}

/// The same, with what the response gives.
fn redact_given(plan: &Arc<Plan>, given: &Given, pieces: &[&[u8]]) -> (Vec<u8>, Result<bool, RedactError>) {
    feed(&mut Redactor::new(Arc::clone(plan), given.clone(), Limits::default()), pieces)
}

/// What is let through of a document, which is the same for every split in two and byte by byte.
fn through(plan: &Arc<Plan>, document: &str) -> String {
    through_given(plan, &Given::default(), document)
}

/// The same, with what the response gives.
fn through_given(plan: &Arc<Plan>, given: &Given, document: &str) -> String {
    let bytes = document.as_bytes();
    let (whole, end) = redact_given(plan, given, &[bytes]);
    let tell = |pieces: &[&[u8]]| {
        let (out, split_end) = redact_given(plan, given, pieces);
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&whole), "{pieces:?}");
        assert_eq!(split_end.is_ok(), end.is_ok());
    };
    for at in 0..=bytes.len() {
        tell(&[&bytes[..at], &bytes[at..]]);
    }
    tell(&bytes.chunks(1).collect::<Vec<_>>());
    assert_eq!(end, Ok(!whole.is_empty()), "{document}");
    String::from_utf8(whole).unwrap()
}

fn state(members: &[(&str, Edge)]) -> State {
    State { members: members.iter().map(|(name, edge)| ((*name), *edge)).collect(), ..State::new() }
}

fn hiding(members: &[(&str, Edge)]) -> State {
    State { other: KEEP, ..state(members) }
}

fn plan(build: impl FnOnce(&mut PlanBuilder) -> Edge) -> Arc<Plan> {
    let mut builder = PlanBuilder::new();
    let root = build(&mut builder);
    Arc::new(builder.build(root).unwrap())
}

fn descend(builder: &mut PlanBuilder, state: State) -> Edge {
    Edge::new(Action::Descend(builder.state(state)))
}

#[test]
fn what_is_kept_stays_byte_for_byte() {
    let plan = plan(|builder| descend(builder, hiding(&[("b", DROP)])));
    assert_eq!(
        through(&plan, "{ \"a\" : 1.50 ,\n  \"b\":2,\n  \"c\" : [ 1 , {} ] }\n"),
        "{ \"a\" : 1.50,\n  \"c\" : [ 1 , {} ] }\n"
    );
}

#[test]
fn a_comma_stands_between_the_members_that_stay() {
    let plan = plan(|builder| descend(builder, hiding(&[("x", DROP)])));
    for (document, expected) in [
        (r#"{"x":1,"a":2,"b":3}"#, r#"{"a":2,"b":3}"#),
        (r#"{"a":2,"x":1,"b":3}"#, r#"{"a":2,"b":3}"#),
        (r#"{"a":2,"b":3,"x":1}"#, r#"{"a":2,"b":3}"#),
        (r#"{"x":0,"a":2,"x":1,"x":[],"b":3,"x":{}}"#, r#"{"a":2,"b":3}"#),
        (r#"{"x":",","a":","}"#, r#"{"a":","}"#),
    ] {
        assert_eq!(through(&plan, document), expected);
    }
}

#[test]
fn a_name_may_hold_what_stands_between_members() {
    let plan = plan(|builder| {
        let constant = Edge::new(Action::Transform(builder.transform(Transform::Replace("r".into()))));
        let first = Edge::new(Action::Transform(builder.transform(Transform::Truncate(1))));
        let tests = [is("a", "x")].into();
        let chosen = builder.choice(Choice { tests, outcomes: [KEEP, DROP].into(), per_item: true });
        let chosen = Edge::new(Action::Choose(chosen));
        let members = [("b", DROP), (",", first), (" ,", KEEP), ("\",{", constant), (",[", chosen)];
        descend(builder, state(&members))
    });
    for name in [",", " ,", r#"\",{"#, ",["] {
        let value = if name == r#"\",{"# { "r" } else { "v" };
        let alone = format!(r#"{{"{name}":"{value}"}}"#);
        assert_eq!(through(&plan, &format!(r#"{{"{name}":"{value}"}}"#)), alone);
        assert_eq!(through(&plan, &format!(r#"{{"{name}":"{value}","b":{{",":1}}}}"#)), alone);
        assert_eq!(
            through(&plan, &format!(r#"{{"b":{{",":1}}  , "{name}":"{value}"}}"#)),
            alone.replacen("{\"", "{ \"", 1)
        );
        assert_eq!(
            through(&plan, &format!(r#"[{{"b":[",",","]}},{{ "{name}":"{value}"}}]"#)),
            format!("[{}]", alone.replacen("{\"", "{ \"", 1))
        );
    }
}

#[test]
fn nothing_empty_stays() {
    let plan = plan(|builder| {
        let leaf = descend(builder, state(&[("keep", KEEP)]));
        let middle = descend(builder, state(&[("leaf", leaf)]));
        descend(builder, state(&[("a", middle), ("b", KEEP)]))
    });
    assert_eq!(through(&plan, r#"{"a":[{"leaf":{"x":1}},{}],"b":1}"#), r#"{"b":1}"#);
    assert_eq!(
        through(&plan, r#"{"a":[{"leaf":{"x":1}},{"leaf":[{"x":1},{"keep":2}]}]}"#),
        r#"{"a":[{"leaf":[{"keep":2}]}]}"#
    );
    assert_eq!(through(&plan, r#"{"a":[{"leaf":{"x":1}}]}"#), "");
}

#[test]
fn the_first_that_stays_takes_no_comma_whatever_went_before_it() {
    let plan = plan(|builder| {
        let leaf = descend(builder, state(&[("keep", KEEP)]));
        let middle = descend(builder, state(&[("leaf", leaf), ("keep", KEEP)]));
        descend(builder, state(&[("a,b", middle), ("keep", KEEP)]))
    });
    for (document, expected) in [
        (r#"{"keep":1,"a,b":{"x":1,"leaf":{"x":2,"keep":3}}}"#, r#"{"keep":1,"a,b":{"leaf":{"keep":3}}}"#),
        (r#"{"keep":1,"a,b":[{"x":1},{"x":1,"keep":2},{"x":",","leaf":[{},{"keep":3}]}],"x":4}"#, {
            r#"{"keep":1,"a,b":[{"keep":2},{"leaf":[{"keep":3}]}]}"#
        }),
        (r#"{"keep":1,"a,b":[{"leaf":[{"x":1},{"x":2}]},{"leaf":{"keep":3,"x":4},"keep":5}]}"#, {
            r#"{"keep":1,"a,b":[{"leaf":{"keep":3},"keep":5}]}"#
        }),
        (r#"{"keep":1,"a,b":{"x":1,"leaf":{"x":2}},"x":3,"keep":4}"#, r#"{"keep":1,"keep":4}"#),
        (r#"{"a,b":[{"x":1,"leaf":{}},{"leaf":[{"keep":2},{}]}]}"#, r#"{"a,b":[{"leaf":[{"keep":2}]}]}"#),
        ("{ \"keep\" : 12 , \"a,b\" : [ { \"x\" : 1 , \"leaf\" : { \"keep\" : 3 } } ] }", {
            "{ \"keep\" : 12 , \"a,b\" : [ { \"leaf\" : { \"keep\" : 3 } } ] }"
        }),
    ] {
        assert_eq!(through(&plan, document), expected, "{document}");
    }
}

#[test]
fn a_name_is_compared_after_unescaping() {
    let plan = plan(|builder| descend(builder, hiding(&[("birthDate", DROP), ("é", DROP)])));
    assert_eq!(
        through(&plan, r#"{"\u0062irthDate":"1970","birth\u0044ate":1,"\u00e9":2,"é":3,"BirthDate":4}"#),
        r#"{"BirthDate":4}"#
    );
}

#[test]
fn a_scalar_of_another_kind_is_withheld_and_an_aligned_array_keeps_its_places() {
    let plan = plan(|builder| {
        let text = Edge::new(Action::Scalar(Kinds::STRING));
        descend(builder, state(&[("s", text), ("t", text)]))
    });
    assert_eq!(through(&plan, r#"{"s":1,"t":"x"}"#), r#"{"t":"x"}"#);
    assert_eq!(
        through(&plan, r#"{"s":{"deep":"secret"},"t":["a",null,{"x":"secret"},"b",7]}"#),
        r#"{"t":["a",null,null,"b",null]}"#
    );
    assert_eq!(through(&plan, r#"{"s":[null,{"x":1}],"t":[null,"a"]}"#), r#"{"t":[null,"a"]}"#);
}

#[test]
fn an_aligned_array_of_objects_keeps_its_places() {
    let plan = plan(|builder| {
        let sibling = descend(builder, State { aligned: true, ..state(&[("id", KEEP)]) });
        descend(builder, state(&[("_given", sibling)]))
    });
    assert_eq!(
        through(&plan, r#"{"_given":[null,{"x":1},{"id":"a"},null,{"id":"b"},{"y":1}]}"#),
        r#"{"_given":[null,null,{"id":"a"},null,{"id":"b"},null]}"#
    );
    assert_eq!(through(&plan, r#"{"_given":[null,{"x":1}]}"#), "");
}

#[test]
fn an_aligned_array_stays_laid_out_as_it_was() {
    let plan = plan(|builder| descend(builder, state(&[("given", Edge::new(Action::Scalar(Kinds::STRING)))])));
    let document = "{\n  \"given\": [\n    \"A\",\n    \"B\"\n  ]\n}";
    assert_eq!(through(&plan, document), document);
}

#[test]
fn items_are_told_apart_by_place() {
    let plan = plan(|builder| {
        let items = Items::Placed { head: [KEEP, DROP].into(), cycle: [DROP, KEEP].into() };
        descend(builder, State { items, ..State::new() })
    });
    assert_eq!(through(&plan, "[0,1,2,3,4,5]"), "[0,3,5]");
}

#[test]
fn members_are_appended_whatever_the_object_holds() {
    let plan = plan(|builder| {
        let name = descend(builder, State { append: r#""_family":0"#.into(), ..state(&[("use", KEEP)]) });
        descend(builder, state(&[("name", name)]))
    });
    assert_eq!(
        through(&plan, r#"{"name":[{"family":"x"},{"use":"y"}]}"#),
        r#"{"name":[{"_family":0},{"use":"y","_family":0}]}"#
    );
}

fn labelling() -> Arc<Plan> {
    plan(|builder| {
        let code = Edge::new(Action::Scalar(Kinds::STRING));
        let security = descend(builder, State { stamp: Some(r#"{"code":"R"}"#.into()), ..state(&[("code", code)]) });
        let meta = State {
            ensure: Some(r#""security":[{"code":"R"}]"#.into()),
            ..state(&[("security", security), ("v", KEEP)])
        };
        let meta = descend(builder, meta);
        let root = State {
            ensure: Some(r#""meta":{"security":[{"code":"R"}]}"#.into()),
            ..state(&[("meta", meta), ("id", KEEP)])
        };
        descend(builder, root)
    })
}

#[test]
fn a_label_is_written_into_what_is_there_or_with_what_is_missing() {
    for (document, expected) in [
        (r#"{"id":1}"#, r#"{"id":1,"meta":{"security":[{"code":"R"}]}}"#),
        (r#"{"meta":{"v":1},"id":1}"#, r#"{"meta":{"v":1,"security":[{"code":"R"}]},"id":1}"#),
        (r#"{"meta":{"security":[{"code":"N"}],"v":1}}"#, r#"{"meta":{"security":[{"code":"N"},{"code":"R"}],"v":1}}"#),
        (r#"{"meta":{"security":[]}}"#, r#"{"meta":{"security":[{"code":"R"}]}}"#),
        (r#"{"meta":{}}"#, r#"{"meta":{"security":[{"code":"R"}]}}"#),
        (r#"{"meta":"no"}"#, r#"{"meta":{"security":[{"code":"R"}]}}"#),
    ] {
        assert_eq!(through(&labelling(), document), expected);
    }
}

/// Objects `{"type": …}`: `P` keeps `a`, `S` keeps `a` where `row` is `in`; envelopes `{"url", "body"}`.
fn discriminating() -> Arc<Plan> {
    plan(|builder| {
        let owner = builder.owner("P");
        let plain = builder.state(state(&[("type", KEEP), ("a", KEEP)]));
        let case = |rows| Case { state: plain, owner, rows, subject: None };
        let cases = [("P", case(None)), ("S", case(Some(is("row", "in"))))].into_iter().collect();
        let table = builder.reserve_table();
        builder.set_table(table, Table { member: "type".into(), cases, fragments: false });
        let body = Edge::new(Action::Discriminate(table));
        let entry =
            descend(builder, State { envelope: true, ..state(&[("url", KEEP), ("body", body), ("score", KEEP)]) });
        descend(builder, state(&[("total", KEEP), ("entry", entry), ("body", body)]))
    })
}

#[test]
fn an_object_is_decided_by_what_it_says_it_is() {
    let plan = discriminating();
    assert_eq!(through(&plan, r#"{"body":{"type":"P","a":1,"b":2}}"#), r#"{"body":{"type":"P","a":1}}"#);
    assert_eq!(through(&plan, r#"{"body":{"a":1,"b":2,"type":"P"}}"#), r#"{"body":{"a":1,"type":"P"}}"#);
    assert_eq!(through(&plan, r#"{"body":{"\u0074ype":"P","a":1}}"#), r#"{"body":{"\u0074ype":"P","a":1}}"#);
    for withheld in
        [r#"{"type":"Q","a":1}"#, r#"{"a":1}"#, "{}", r#"{"type":["P"],"a":1}"#, r#"{"a":1,"type":7}"#, "3", "null"]
    {
        assert_eq!(through(&plan, &format!(r#"{{"body":{withheld},"total":1}}"#)), r#"{"total":1}"#);
    }
    assert_eq!(
        through(&plan, r#"{"body":[{"type":"P","a":1},{"type":"Q","a":2},{"a":3,"type":"P"}]}"#),
        r#"{"body":[{"type":"P","a":1},{"a":3,"type":"P"}]}"#
    );
}

#[test]
fn an_object_that_says_twice_what_it_is_is_refused() {
    for document in [r#"{"body":{"type":"P","a":1,"type":"Q"}}"#, r#"{"body":{"a":1,"type":"P","t\u0079pe":"P"}}"#] {
        for pieces in [vec![document.as_bytes()], document.as_bytes().chunks(1).collect()] {
            let (_, end) = redact(&discriminating(), &Limits::default(), &pieces);
            assert!(matches!(end, Err(RedactError::Ambiguous { .. })), "{end:?}");
        }
    }
}

#[test]
fn a_redactor_that_is_used_again_is_as_a_new_one() {
    let plan = discriminating();
    let documents = [
        r#"{"body":[{"type":"S","a":1,"row":"in"},{"type":"P","a":2}],"total":0}"#,
        r#"{"body":{"type":"S","a":1,"ro"#,
        r#"{"entry":{"url":"x","body":{"a":1"#,
        r#"{"total":"canary"]"#,
        r#"{"body":{"type":"P","type":"P","a":1}}"#,
        "",
    ];
    let run = |mut redactor: Redactor, document: &str| {
        let mut out = Vec::new();
        let pieces = document.as_bytes().chunks(7);
        let mut end = Ok(false);
        for piece in pieces {
            end = end.and(redactor.write(piece, &mut Copied { piece, out: &mut out }).map(|()| false));
        }
        let end = end.and_then(|_| redactor.finish(&mut Copied { piece: &[], out: &mut out }));
        let (tally, again) = redactor.again();
        let counted: Vec<_> =
            tally.elements().map(|(owner, name, count)| format!("{owner}.{name} {count:?}")).collect();
        (String::from_utf8(out).unwrap(), end, counted, again)
    };
    let new = || Redactor::new(Arc::clone(&plan), Given::default(), Limits::default());
    for before in documents {
        for document in documents {
            let (_, _, _, again) = run(new(), before);
            let (out, end, counted, again) = run(again, document);
            assert_eq!(again.held(), 0);
            let (expected, expected_end, expected_counted, _) = run(new(), document);
            assert_eq!((out, end, counted), (expected, expected_end, expected_counted), "{document} behind {before}");
        }
    }
}

#[test]
fn rows_that_do_not_hold_are_withheld() {
    let plan = discriminating();
    assert_eq!(
        through(&plan, r#"{"body":[{"type":"S","a":1,"row":"in"},{"type":"S","a":2},{"row":"in","type":"S","a":3}]}"#),
        r#"{"body":[{"type":"S","a":1},{"type":"S","a":3}]}"#
    );
    // Said twice, the row is of two minds.
    assert_eq!(through(&plan, r#"{"body":{"type":"S","a":1,"row":"in","row":"in"},"total":0}"#), r#"{"total":0}"#);
}

#[test]
fn a_response_holds_what_its_bounds_let_through_of_what_the_plan_shows() {
    let plan = discriminating();
    let document = r#"{"body":[{"type":"P","a":1},{"type":"S","a":2,"row":"in"},{"type":"S","a":3},{"a":4,"type":"P"},{"\u0074ype":"\u0050","a":5},{"type":"Q","a":6}],"entry":[{"url":"u","body":{"type":"P","a":7}},{"url":"v","body":{"row":"in","type":"S","a":8}}],"total":0}"#;
    let told = |allowed: &[(&str, Option<Test>)]| {
        let mut bounds = Bounds::new();
        allowed.iter().for_each(|(said, rows)| bounds.allow(said, rows.clone()));
        assert!(
            ["P", "S", "Q"].iter().all(|said| bounds.allows(said) == allowed.iter().any(|(known, _)| known == said))
        );
        let given = Given { bounds: Some(Arc::new(bounds)), ..Given::default() };
        let seen = through_given(&plan, &given, document);
        let value = serde_json::from_str::<Value>(document).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&seen).ok(), oracle::redact(&plan, &given, &value));
        seen
    };
    assert_eq!(told(&[]), r#"{"total":0}"#);
    // What the plan does not show is withheld, whatever the bounds say.
    assert_eq!(
        told(&[("S", None), ("Q", None)]),
        r#"{"body":[{"type":"S","a":2}],"entry":[{"url":"v","body":{"type":"S","a":8}}],"total":0}"#
    );
    let late = Test::Compare(
        Operand::Query(Query { segments: vec![Segment::Child(vec![Selector::Name("a".into())])] }),
        Comparison::GreaterOrEqual,
        Operand::Literal(Literal::Number(5.0)),
    );
    assert_eq!(
        told(&[("P", Some(late.clone())), ("S", Some(late))]),
        r#"{"body":[{"\u0074ype":"\u0050","a":5}],"entry":[{"url":"u","body":{"type":"P","a":7}},{"url":"v","body":{"type":"S","a":8}}],"total":0}"#
    );
}

#[test]
fn an_envelope_goes_with_its_object() {
    let plan = discriminating();
    for (document, expected) in [
        (r#"{"entry":[{"url":"u","body":{"type":"Q"},"score":1}],"total":0}"#, r#"{"total":0}"#),
        (
            r#"{"entry":[{"url":"u","body":{"type":"P"},"score":1}]}"#,
            r#"{"entry":[{"url":"u","body":{"type":"P"},"score":1}]}"#,
        ),
        (
            r#"{"entry":[{"score":1,"x":2,"body":{"b":1,"type":"S","row":"in"},"url":"u"},{"url":"v","body":[{"type":"P"}]}]}"#,
            r#"{"entry":[{"score":1,"body":{"type":"S"},"url":"u"}]}"#,
        ),
        (r#"{"entry":[{"url":"u"},{"url":"v","body":7},{"x":1}]}"#, r#"{"entry":[{"url":"u"}]}"#),
    ] {
        assert_eq!(through(&plan, document), expected);
    }
}

#[test]
fn a_reference_to_a_part_that_is_withheld_goes() {
    let plan = plan(|builder| {
        let reference = Edge::new(Action::Transform(builder.transform(Transform::Reference)));
        let owner = builder.owner("P");
        let id = KEEP.noted(Capture::FragmentId);
        let part = builder.state(state(&[("type", KEEP), ("id", id)]));
        let parts = builder.reserve_table();
        let cases = [("P", Case { state: part, owner, rows: None, subject: None })].into_iter().collect();
        builder.set_table(parts, Table { member: "type".into(), cases, fragments: true });
        let whole = builder.state(state(&[
            ("type", KEEP),
            ("parts", Edge::new(Action::Discriminate(parts))),
            ("ref", reference),
        ]));
        let table = builder.reserve_table();
        let cases = [("W", Case { state: whole, owner, rows: None, subject: None })].into_iter().collect();
        builder.set_table(table, Table { member: "type".into(), cases, fragments: false });
        Edge::new(Action::Discriminate(table))
    });
    let document = |reference: &str| {
        format!(r##"{{"type":"W","parts":[{{"type":"P","id":"p"}},{{"type":"Q","id":"q"}}],"ref":"{reference}"}}"##)
    };
    for kept in ["#p", "#", "P/q", r"\u0023p"] {
        assert_eq!(
            through(&plan, &document(kept)),
            format!(r##"{{"type":"W","parts":[{{"type":"P","id":"p"}}],"ref":"{kept}"}}"##)
        );
    }
    for gone in ["#q", "#x", r"\u0023q"] {
        assert_eq!(through(&plan, &document(gone)), r#"{"type":"W","parts":[{"type":"P","id":"p"}]}"#);
    }
}

#[test]
fn a_choice_is_made_item_by_item() {
    let plan = plan(|builder| {
        let value = descend(builder, state(&[("value", KEEP)]));
        let tests = [is("system", "phone"), is("use", "old")].into();
        let telecom = builder.choice(Choice { tests, outcomes: [DROP, value, DROP, DROP].into(), per_item: true });
        descend(builder, state(&[("telecom", Edge::new(Action::Choose(telecom)))]))
    });
    assert_eq!(
        through(
            &plan,
            r#"{"telecom":[{"system":"phone","value":"1"},{"system":"email","value":"2"},{"value":"3","use":"old","system":"phone"},7,{"value":"4","system":"phone"}]}"#
        ),
        r#"{"telecom":[{"value":"1"},{"value":"4"}]}"#
    );
    assert_eq!(through(&plan, r#"{"telecom":{"value":"4","system":"phone"}}"#), r#"{"telecom":{"value":"4"}}"#);
    // A condition that a duplicate keeps from being decided withholds.
    assert_eq!(through(&plan, r#"{"telecom":[{"system":"phone","system":"phone","value":"1"}]}"#), "");
}

#[test]
fn a_transform_replaces_a_scalar_and_withholds_what_it_cannot_take() {
    let plan = plan(|builder| {
        let constant = Edge::new(Action::Transform(builder.transform(Transform::Replace("\"x\"\n".into()))));
        descend(builder, state(&[("a", constant), ("b", KEEP)]))
    });
    assert_eq!(through(&plan, r#"{"a":"secret\u00e9","b":1}"#), r#"{"a":"\"x\"\n","b":1}"#);
    assert_eq!(
        through(&plan, r#"{"b":1, "a":["s",7,null,{"a":"s"},["s"]]}"#),
        r#"{"b":1, "a":["\"x\"\n",["\"x\"\n"]]}"#
    );
    assert_eq!(through(&plan, r#"{"a":7,"b":1}"#), r#"{"b":1}"#);
}

#[test]
fn numbers_may_be_the_whole_document() {
    let keep = Arc::new(Plan::keep_all());
    assert_eq!(through(&keep, " -1.50e+400 "), " -1.50e+400 ");
    assert_eq!(through(&keep, "12"), "12");
    let chosen = plan(|builder| {
        let test = Test::Compare(
            Operand::Query(Query::default()),
            Comparison::Greater,
            Operand::Literal(Literal::Number(3.0)),
        );
        Edge::new(Action::Choose(builder.choice(Choice {
            tests: [test].into(),
            outcomes: [DROP, KEEP].into(),
            per_item: false,
        })))
    });
    assert_eq!(through(&chosen, "12"), "12");
    assert_eq!(through(&chosen, "2"), "");
}

#[test]
fn a_value_longer_than_may_be_held_is_withheld_whatever_the_split() {
    let plan = discriminating();
    let limits = Limits { hold: 200, ..Limits::default() };
    let long = "x".repeat(300);
    let document = format!(
        r#"{{"entry":[{{"url":"u","body":{{"a":"{long}","type":"P"}}}},{{"url":"v","body":{{"type":"P","a":"{long}"}}}}],"total":1}}"#
    );
    // What says first what it is needs no hold, however long it is.
    let expected = format!(r#"{{"entry":[{{"url":"v","body":{{"type":"P","a":"{long}"}}}}],"total":1}}"#);
    for size in [1, 7, 100, 150, 350, 10_000] {
        let pieces: Vec<&[u8]> = document.as_bytes().chunks(size).collect();
        let (out, end) = redact(&plan, &limits, &pieces);
        assert_eq!(end, Ok(true));
        assert_eq!(String::from_utf8(out).unwrap(), expected, "in pieces of {size}");
    }
}

#[test]
fn endless_names_and_white_space_are_refused() {
    let plan = discriminating();
    let limits = Limits { lead: 100, ..Limits::default() };
    for document in [
        format!(r#"{{"{}":1}}"#, "x".repeat(200)),
        format!("{{{}}}", " ".repeat(200)),
        format!(r#"{{"a"{}:1}}"#, " ".repeat(200)),
    ] {
        for size in [1, 50, 1000] {
            let pieces: Vec<&[u8]> = document.as_bytes().chunks(size).collect();
            let (out, end) = redact(&plan, &limits, &pieces);
            assert!(matches!(end, Err(RedactError::Lead { limit: 100, .. })), "{end:?}");
            assert!(out.is_empty());
        }
    }
}

#[test]
fn an_error_tells_the_place_in_the_whole_document() {
    let document = br#"{"total":1,"entry":[{"body":{"type":"P","a":tru}}]}"#;
    let place = document.iter().rposition(|byte| *byte == b'u').unwrap() as u64 + 1;
    for size in [1, 5, 1000] {
        let pieces: Vec<&[u8]> = document.chunks(size).collect();
        let (_, end) = redact(&discriminating(), &Limits::default(), &pieces);
        assert_eq!(end.unwrap_err().to_string(), format!("not JSON: malformed literal at byte {place}"));
    }
}

#[test]
fn the_tally_counts_what_was_released_withheld_and_transformed() {
    let mut builder = PlanBuilder::new();
    let owner = builder.owner("Patient");
    let counted =
        |builder: &mut PlanBuilder, name: &str, action| Edge::new(action).counted(builder.element(owner, name));
    let mask = Action::Transform(builder.transform(Transform::Replace("x".into())));
    let members = [
        ("type", KEEP),
        ("id", counted(&mut builder, "id", Action::Drop).noted(Capture::Patient)),
        ("name", counted(&mut builder, "name", Action::Keep)),
        ("birthDate", counted(&mut builder, "birthDate", mask)),
        ("note", counted(&mut builder, "note", Action::Drop)),
        ("text", counted(&mut builder, "text", Action::Scalar(Kinds::STRING))),
    ];
    let patient = builder.state(state(&members));
    let cases = [("Patient", Case { state: patient, owner, rows: None, subject: None })].into_iter().collect();
    let table = builder.reserve_table();
    builder.set_table(table, Table { member: "type".into(), cases, fragments: false });
    let plan = Arc::new(builder.build(Edge::new(Action::Discriminate(table))).unwrap());
    let document =
        br#"[{"type":"Patient","id":"p1","name":[1,2],"birthDate":"1970","note":1,"text":7},{"type":"Other"}]"#;
    for size in [1, 1000] {
        let mut redactor = Redactor::new(Arc::clone(&plan), Given::default(), Limits::default());
        let pieces: Vec<&[u8]> = document.chunks(size).collect();
        feed(&mut redactor, &pieces).1.unwrap();
        let tally = redactor.into_tally();
        let counts: Vec<_> = tally
            .elements()
            .map(|(_, name, count)| (name, count.released, count.withheld, count.transformed))
            .collect();
        assert_eq!(
            counts,
            [("id", 0, 1, 0), ("name", 1, 0, 0), ("birthDate", 0, 0, 1), ("note", 0, 1, 0), ("text", 0, 1, 0)]
        );
        assert_eq!(tally.patients.known.iter().map(|id| &**id).collect::<Vec<_>>(), ["p1"]);
        assert_eq!(
            tally.resources().map(|(owner, ids)| (owner, ids.known.len())).collect::<Vec<_>>(),
            [("Patient", 1)]
        );
        assert_eq!((tally.withheld_objects, tally.mistyped), (1, 1));
    }
}

// Plans and documents at random, over few names, so that they meet.

fn any_document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3i32..4).prop_map(Value::from),
        prop_oneof![Just("P"), Just("S"), Just("#x"), Just("in"), Just("x"), Just("é\n\"\\")].prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::vec((proptest::sample::select(&NAMES[..]), inner), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

/// A plan that only keeps, drops and goes deeper, by states whose objects end with their brackets, and counts all of it.
fn any_plain_plan() -> impl Strategy<Value = Arc<Plan>> {
    let choices = proptest::collection::vec(0usize..16, 4 * NAMES.len() + 4);
    choices.prop_map(|choices| {
        let mut builder = PlanBuilder::new();
        let owner = builder.owner("O");
        let states: Vec<_> = (0..4).map(|_| builder.reserve()).collect();
        let table = builder.reserve_table();
        for (id, choices) in states.iter().zip(choices.chunks(NAMES.len() + 1)) {
            let mut edges = NAMES.iter().chain(&["other"]).zip(choices).map(|(name, choice)| {
                let action = match choice {
                    0..4 => Action::Drop,
                    4..6 => Action::Keep,
                    6 => Action::Scalar(Kinds::STRING),
                    7 => Action::Discriminate(table),
                    choice => Action::Descend(states[choice % 4]),
                };
                let capture = (choice % 5 == 0).then_some(Capture::Patient);
                Edge { capture, ..Edge::new(action).counted(builder.element(owner, name)) }
            });
            let members = NAMES.into_iter().zip(edges.by_ref()).collect();
            let other = edges.next().unwrap();
            builder.set(*id, State { members, ..State::otherwise(other) });
        }
        let case = |state| Case { state, owner, rows: None, subject: None };
        let cases = [("P", case(states[1])), ("S", case(states[2]))].into_iter().collect();
        builder.set_table(table, Table { member: "type".into(), cases, fragments: false });
        Arc::new(builder.build(Edge::new(Action::Descend(states[0]))).unwrap())
    })
}

/// All that a tally tells.
fn told(tally: &Tally) -> String {
    let elements: Vec<_> = tally.elements().collect();
    let resources: Vec<_> = tally.resources().collect();
    let Tally { patients, withheld_objects, mistyped, over_limit, .. } = tally;
    format!("{elements:?} {resources:?} {patients:?} {withheld_objects} {mistyped} {over_limit}")
}

fn any_plan() -> impl Strategy<Value = (Arc<Plan>, Option<Arc<Bounds>>)> {
    let draws = proptest::collection::vec(any::<u8>(), 40..400);
    draws.prop_map(|draws| (plans::laid_out(&draws), plans::bounds(&draws)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn the_redactor_means_what_the_oracle_means_for_every_split(
        (plan, bounds) in any_plan(),
        document in any_document(),
        pretty in any::<bool>(),
        cuts in proptest::collection::vec(1usize..9, 1..20),
        cuts_of_windows in proptest::collection::vec(any::<usize>(), 4),
    ) {
        let given = Given { bounds, ..Given::default() };
        let text = if pretty { serde_json::to_vec_pretty(&document) } else { serde_json::to_vec(&document) }.unwrap();
        let expected = oracle::redact(&plan, &given, &document);
        let (whole, end) = redact_given(&plan, &given, &[&text]);
        prop_assert_eq!(end, Ok(expected.is_some()), "{}", String::from_utf8_lossy(&whole));
        let got = (!whole.is_empty()).then(|| serde_json::from_slice::<Value>(&whole).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&whole))));
        prop_assert_eq!(&got, &expected, "from {}", String::from_utf8_lossy(&text));

        let mut pieces = Vec::new();
        let (mut rest, mut cuts) = (&text[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            pieces.push(piece);
            rest = others;
        }
        let tally = |pieces: &[&[u8]]| {
            let mut redactor = Redactor::new(Arc::clone(&plan), given.clone(), Limits::default());
            _ = feed(&mut redactor, pieces);
            told(redactor.tally())
        };
        prop_assert_eq!(tally(&pieces), tally(&[&text]));
        for back_end in BackEnd::all() {
            let redactor = || Redactor::new(Arc::clone(&plan), given.clone(), Limits::default()).on(back_end);
            for pieces in [&pieces[..], &[&text]] {
                let (split, _) = feed(&mut redactor(), pieces);
                prop_assert_eq!(String::from_utf8_lossy(&split), String::from_utf8_lossy(&whole), "{}", back_end.name());
            }
        }
        // One piece is read in windows of 16 KiB: white space before the document moves their border into it.
        for at in cuts_of_windows.iter().map(|at| at % text.len()) {
            let moved = [&vec![b' '; 16 * 1024 - at], &text[..]].concat();
            let (moved, _) = redact_given(&plan, &given, &[&moved]);
            prop_assert_eq!(String::from_utf8_lossy(moved.trim_ascii_start()), String::from_utf8_lossy(&whole), "window at {}", at);
        }
        for at in 0..text.len().min(200) {
            let (split, _) = redact_given(&plan, &given, &[&text[..at], &text[at..]]);
            prop_assert_eq!(String::from_utf8_lossy(&split), String::from_utf8_lossy(&whole), "cut at {}", at);
        }
    }

    #[test]
    fn what_goes_first_in_an_object_is_left_out_and_counted_alike_for_every_split(
        plan in any_plain_plan(),
        documents in proptest::collection::vec(any_document(), 1..4),
        pretty in any::<bool>(),
        kept in any::<bool>(),
        size in 1usize..30,
    ) {
        let mut document = json!({ "a": documents[0], "b": documents });
        if kept {
            // What stays first hands over to the flow.
            document = json!([{ "id": 1, "a": "x", "b": "x", "ref": "x", "é": "x" }, document]);
        }
        let text = if pretty { serde_json::to_vec_pretty(&document) } else { serde_json::to_vec(&document) }.unwrap();
        let run = |pieces: &[&[u8]]| {
            let mut redactor = Redactor::new(Arc::clone(&plan), Given::default(), Limits::default());
            let (out, end) = feed(&mut redactor, pieces);
            (String::from_utf8(out).unwrap(), end, told(redactor.tally()))
        };
        let whole = run(&[&text]);
        let expected = oracle::redact(&plan, &Given::default(), &document);
        prop_assert_eq!(serde_json::from_str::<Value>(&whole.0).ok(), expected, "{}", String::from_utf8_lossy(&text));
        // Byte by byte nothing flows.
        for size in [1, size] {
            prop_assert_eq!(&run(&text.chunks(size).collect::<Vec<_>>()), &whole, "{} in {}", String::from_utf8_lossy(&text), size);
        }
        for at in 0..text.len().min(300) {
            prop_assert_eq!(&run(&[&text[..at], &text[at..]]), &whole, "cut at {}", at);
        }
    }

    #[test]
    fn hostile_bytes_never_panic_and_are_judged_alike_for_every_split((plan, bounds) in any_plan(), text in "[\\[\\]{}\",:a\\\\u0-9 .etrufalsnP-]{0,60}", size in 1usize..5) {
        let given = Given { bounds, ..Given::default() };
        let (whole, end) = redact_given(&plan, &given, &[text.as_bytes()]);
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        let (split, split_end) = redact_given(&plan, &given, &pieces);
        prop_assert_eq!(&end, &split_end);
        if end.is_ok() {
            prop_assert_eq!(&whole, &split);
        }
    }
}

#[test]
fn the_oracle_itself_withholds_what_is_not_named() {
    let plan = plan(|builder| descend(builder, state(&[("a", KEEP)])));
    assert_eq!(oracle::redact(&plan, &Given::default(), &json!({"a": 1, "b": 2})), Some(json!({"a": 1})));
    assert_eq!(oracle::redact(&plan, &Given::default(), &json!({"b": 2})), None);
}
