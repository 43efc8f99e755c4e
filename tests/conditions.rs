//! Conditions against the RFC 9535 compliance suite, and against data made to be read in two ways.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::panic_in_result_fn,
    clippy::string_slice,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

use fieldgate::json::node::Document;
use fieldgate::redact::condition::{Query, Selector, Test, Undecided};
use serde_json::Value;

/// What a condition cannot say. Left out of the suite, and counted.
#[derive(Debug, PartialEq)]
enum LeftOut {
    Pattern,
    InnerRoot,
}

/// From the tree of another crate's parser to conditions.
mod support;

mod reading {
    use fieldgate::redact::condition::{Comparison, Literal, Operand, Query, Segment, Selector, Test};
    use jsonpath_rust::parser::model;
    use jsonpath_rust::parser::parse_json_path;

    use super::LeftOut;

    pub(crate) fn query(text: &str) -> Result<Query, LeftOut> {
        let parsed = parse_json_path(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        segments(&parsed.segments)
    }

    fn segments(segments: &[model::Segment]) -> Result<Query, LeftOut> {
        Ok(Query { segments: segments.iter().map(segment).collect::<Result<_, _>>()? })
    }

    fn segment(segment: &model::Segment) -> Result<Segment, LeftOut> {
        Ok(match segment {
            model::Segment::Descendant(inner) => Segment::Descendant(selectors(inner)?),
            other => Segment::Child(selectors(other)?),
        })
    }

    fn selectors(segment: &model::Segment) -> Result<Vec<Selector>, LeftOut> {
        match segment {
            model::Segment::Selector(one) => Ok(vec![selector(one)?]),
            model::Segment::Selectors(several) => several.iter().map(selector).collect(),
            model::Segment::Descendant(_) => panic!("a descendant of a descendant"),
        }
    }

    fn selector(selector: &model::Selector) -> Result<Selector, LeftOut> {
        Ok(match selector {
            model::Selector::Name(name) => Selector::Name(name.as_str().into()),
            model::Selector::Wildcard => Selector::Wildcard,
            model::Selector::Index(index) => Selector::Index(*index),
            model::Selector::Slice(start, end, step) => Selector::Slice { start: *start, end: *end, step: *step },
            model::Selector::Filter(inner) => Selector::Filter(Box::new(filter(inner)?)),
        })
    }

    fn filter(logical: &model::Filter) -> Result<Test, LeftOut> {
        Ok(match logical {
            model::Filter::Or(several) => Test::Any(several.iter().map(filter).collect::<Result<_, _>>()?),
            model::Filter::And(several) => Test::All(several.iter().map(filter).collect::<Result<_, _>>()?),
            model::Filter::Atom(one) => atom(one)?,
        })
    }

    fn atom(atom: &model::FilterAtom) -> Result<Test, LeftOut> {
        let (test, not) = match atom {
            model::FilterAtom::Filter { expr, not } => (filter(expr)?, *not),
            model::FilterAtom::Test { expr, not } => (existence(expr)?, *not),
            model::FilterAtom::Comparison(inner) => (comparison(inner)?, false),
        };
        Ok(if not { Test::Not(Box::new(test)) } else { test })
    }

    fn existence(test: &model::Test) -> Result<Test, LeftOut> {
        match test {
            model::Test::RelQuery(query) => Ok(Test::Exists(segments(query)?)),
            model::Test::AbsQuery(_) => Err(LeftOut::InnerRoot),
            model::Test::Function(_) => Err(LeftOut::Pattern),
        }
    }

    fn comparison(comparison: &model::Comparison) -> Result<Test, LeftOut> {
        let operator = match comparison {
            model::Comparison::Eq(..) => Comparison::Equal,
            model::Comparison::Ne(..) => Comparison::NotEqual,
            model::Comparison::Gt(..) => Comparison::Greater,
            model::Comparison::Gte(..) => Comparison::GreaterOrEqual,
            model::Comparison::Lt(..) => Comparison::Less,
            model::Comparison::Lte(..) => Comparison::LessOrEqual,
        };
        let (left, right) = comparison.vals();
        Ok(Test::Compare(operand(left)?, operator, operand(right)?))
    }

    fn operand(comparable: &model::Comparable) -> Result<Operand, LeftOut> {
        match comparable {
            model::Comparable::Literal(inner) => Ok(literal(inner)),
            model::Comparable::Function(inner) => function(inner),
            model::Comparable::SingularQuery(model::SingularQuery::Root(_)) => Err(LeftOut::InnerRoot),
            model::Comparable::SingularQuery(model::SingularQuery::Current(steps)) => {
                let step = |step: &model::SingularQuerySegment| match step {
                    model::SingularQuerySegment::Index(index) => Segment::Child(vec![Selector::Index(*index)]),
                    model::SingularQuerySegment::Name(name) => {
                        Segment::Child(vec![Selector::Name(name.as_str().into())])
                    }
                };
                Ok(Operand::Query(Query { segments: steps.iter().map(step).collect() }))
            }
        }
    }

    fn literal(literal: &model::Literal) -> Operand {
        Operand::Literal(match literal {
            model::Literal::Int(number) => Literal::Number(*number as f64),
            model::Literal::Float(number) => Literal::Number(*number),
            model::Literal::String(string) => Literal::String(string.as_str().into()),
            model::Literal::Bool(boolean) => Literal::Boolean(*boolean),
            model::Literal::Null => Literal::Null,
        })
    }

    fn function(called: &model::TestFunction) -> Result<Operand, LeftOut> {
        Ok(match called {
            model::TestFunction::Length(argument) => Operand::Length(Box::new(match &**argument {
                model::FnArg::Literal(inner) => literal(inner),
                model::FnArg::Test(test) => match &**test {
                    model::Test::Function(inner) => function(inner)?,
                    model::Test::RelQuery(query) => Operand::Query(segments(query)?),
                    model::Test::AbsQuery(_) => return Err(LeftOut::InnerRoot),
                },
                model::FnArg::Filter(_) => panic!("the length of a filter"),
            })),
            model::TestFunction::Value(argument) => Operand::Value(nodes(argument)?),
            model::TestFunction::Count(argument) => Operand::Count(nodes(argument)?),
            _ => return Err(LeftOut::Pattern),
        })
    }

    fn nodes(argument: &model::FnArg) -> Result<Query, LeftOut> {
        match argument {
            model::FnArg::Test(test) => match &**test {
                model::Test::RelQuery(query) => segments(query),
                model::Test::AbsQuery(_) => Err(LeftOut::InnerRoot),
                model::Test::Function(_) => panic!("the nodes of a function"),
            },
            _ => panic!("the nodes of a literal"),
        }
    }
}

fn suite() -> Option<Value> {
    let text = std::fs::read(support::corpus("jsonpath-compliance/cts.json")?).unwrap();
    Some(serde_json::from_slice(&text).expect("the suite is JSON"))
}

fn selected(query: &Query, text: &str) -> Result<Vec<Value>, Undecided> {
    let document = Document::read(text.as_bytes()).unwrap();
    let nodes = query.select(document.root())?;
    Ok(nodes.iter().map(|node| serde_json::from_slice(node.text()).unwrap()).collect())
}

fn test(filter: &str) -> Test {
    let query = reading::query(&format!("$[?{filter}]")).unwrap();
    match &query.segments[0] {
        fieldgate::redact::condition::Segment::Child(selectors) => match &selectors[0] {
            Selector::Filter(test) => (**test).clone(),
            _ => panic!("a filter"),
        },
        _ => panic!("a child segment"),
    }
}

fn holds(filter: &str, text: &str) -> Result<bool, Undecided> {
    test(filter).holds(Document::read(text.as_bytes()).unwrap().root())
}

#[test]
fn each_query_of_the_compliance_suite_selects_what_it_must() {
    let Some(suite) = suite() else {
        eprintln!("skipped: the JSONPath compliance suite is not there");
        return;
    };
    let (mut checked, mut patterns, mut inner_roots, mut wrong) = (0, 0, 0, Vec::new());
    for case in suite["tests"].as_array().unwrap() {
        if case["invalid_selector"] == Value::Bool(true) {
            continue;
        }
        let (name, selector) = (case["name"].as_str().unwrap(), case["selector"].as_str().unwrap());
        let query = match reading::query(selector) {
            Ok(query) => query,
            Err(LeftOut::Pattern) => {
                assert!(selector.contains("match(") || selector.contains("search("), "{name}");
                patterns += 1;
                continue;
            }
            Err(LeftOut::InnerRoot) => {
                assert!(selector[1..].contains('$'), "{name}");
                inner_roots += 1;
                continue;
            }
        };
        checked += 1;
        let allowed = match &case["results"] {
            Value::Array(several) => several.clone(),
            _ => vec![case["result"].clone()],
        };
        let found = selected(&query, &case["document"].to_string());
        if !found.as_ref().is_ok_and(|found| allowed.contains(&Value::Array(found.clone()))) {
            wrong.push(format!("{name}: {selector} selected {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((checked, patterns, inner_roots), (397, 50, 9), "checked, with a pattern, with an inner root");
}

#[test]
fn a_member_asked_for_that_stands_twice_is_undecided() {
    let twice = r#"{"system":"phone","system":"email","use":"home","value":{"a":1,"\u0061":2}}"#;
    for filter in [
        "@.system == 'phone'",
        "@['system']",
        "!@.system",
        "@.value.a == 1",
        "@.*",
        "@..use",
        "@[?@ == 'home']",
        "@.value == @.value",
        "length(@.value) == 2",
        "length(@) == 4",
        "count(@.*) == 4",
        "@.use == 'home' || @.system == 'phone'",
        "@.system == 'phone' || @.use == 'home'",
        "@.use == 'work' && @.system == 'phone'",
    ] {
        assert_eq!(holds(filter, twice), Err(Undecided), "{filter}");
    }
    assert_eq!(holds("@.use == 'home'", twice), Ok(true), "what is not asked for does not matter");
    assert_eq!(holds("@.value == 1", twice), Ok(false));
    assert_eq!(holds("@.use == 'home'", "[1,2]"), Ok(false));
}

#[test]
fn duplicates_that_are_compared_are_undecided_unless_a_difference_is_sure() {
    let twice = r#"{"one":{"a":1,"a":2},"other":{"a":2,"a":1},"list":[1,{"a":1,"a":2}],"short":[1],"object":{}}"#;
    assert_eq!(holds("@.one == @.other", twice), Err(Undecided));
    assert_eq!(holds("@.one == @.object", twice), Err(Undecided));
    assert_eq!(holds("@.list == @.list", twice), Err(Undecided));
    assert_eq!(holds("@.list == @.short", twice), Ok(false));
    assert_eq!(holds("@.one == @.list", twice), Ok(false));
}

#[test]
fn objects_are_equal_whatever_the_order_and_spelling_of_their_members() {
    let text =
        r#"{"one":{"a":1,"b":[1.0,"\u0041"]},"other":{"b":[1e0,"A"],"\u0061":100e-2},"third":{"a":1,"c":[1,"A"]}}"#;
    assert_eq!(holds("@.one == @.other", text), Ok(true));
    assert_eq!(holds("@.one <= @.other", text), Ok(true));
    assert_eq!(holds("@.one < @.other", text), Ok(false));
    assert_eq!(holds("@.one == @.third", text), Ok(false));
}

#[test]
fn what_has_no_value_to_compare_is_undecided() {
    assert_eq!(holds("@.a > 1", r#"{"a":1e999}"#), Err(Undecided));
    assert_eq!(holds("@.a", r#"{"a":1e999}"#), Ok(true), "it exists");
}

#[test]
fn a_query_of_several_values_is_undecided_where_one_is_compared() {
    use fieldgate::redact::condition::{Comparison, Literal, Operand};
    let wildcard = reading::query("$.*").unwrap();
    let test = Test::Compare(Operand::Query(wildcard), Comparison::Equal, Operand::Literal(Literal::Number(1.0)));
    assert_eq!(test.holds(Document::read(b"[1]").unwrap().root()), Ok(true));
    assert_eq!(test.holds(Document::read(b"[1,1]").unwrap().root()), Err(Undecided));
}

#[test]
fn all_values_selected_are_arrays_only_where_each_is() {
    let all = |query: &str, text: &str| {
        Test::AllArrays(reading::query(query).unwrap()).holds(Document::read(text.as_bytes()).unwrap().root())
    };
    assert_eq!(all("$.*", "[[],[1]]"), Ok(true));
    assert_eq!(all("$.*", "[[],1]"), Ok(false));
    assert_eq!(all("$.*", "[]"), Ok(true));
    assert_eq!(all("$.a", r#"{"a":[],"a":[]}"#), Err(Undecided));
}

#[test]
fn ordinary_nesting_is_decided_and_nesting_made_to_be_expensive_is_not() {
    let nested = |depth: usize| format!("{}{}{}", r#"{"a":["#.repeat(depth), "1", "]}".repeat(depth));
    assert_eq!(holds("@..[?@..[?@ == 1]]", &nested(8)), Ok(true));
    assert_eq!(holds("@..[?@ == 1]", &nested(60)), Ok(true));
    let wide = format!("{}{}", nested(250).replace('1', &format!("\"{}\"", "x".repeat(1 << 20))), " ");
    assert_eq!(holds("@..[?@..[?@..b]]", &wide), Err(Undecided));
    let doubling = format!("@{}", "['a','a'][0,0]".repeat(30));
    assert_eq!(holds(&doubling, &nested(60)), Err(Undecided));
}

#[test]
fn each_part_of_a_condition_may_read_as_much_as_if_it_were_alone() {
    let items: Vec<String> = (0..400).map(|n| format!(r#"{{"n":{n},"t":"{}"}}"#, "x".repeat(40))).collect();
    let text = format!(r#"{{"items":[{}]}}"#, items.join(","));
    // Each of these reads all of the value some times, and none of them holds.
    let document = Document::read(text.as_bytes()).unwrap();
    for part in [
        "value(@..a1) == 1",
        "@..a1",
        "count(@..a1) > 1",
        "length(value(@..a1)) == 1",
        "1 == value(@..a1)",
        "@.items[?@.n == 1000]",
        "@.items[?@..a1]",
    ] {
        let parts: Vec<Test> = (0..300).map(|n| test(&part.replace("a1", &format!("a{n}")))).collect();
        let any = Test::Any(parts);
        assert_eq!(any.holds(document.root()), Ok(false), "{part}");
        assert_eq!(Test::Not(Box::new(any)).holds(document.root()), Ok(true), "{part}");
    }
    // In one query each selector allows as much.
    assert_eq!(holds("@..[?@..b || @.n == 1000]", &text), Ok(false));
    let named: Vec<String> = (0..200).map(|n| format!("'a{n}'")).collect();
    assert_eq!(holds(&format!("@..[{}]", named.join(",")), &text), Ok(false));
}

#[test]
fn a_slice_begins_within_the_array_whichever_way_it_goes() {
    let of = |slice: &str, length: usize| {
        let text = format!("[{}]", (0..length).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
        let selected = selected(&reading::query(&format!("$[{slice}]")).unwrap(), &text).unwrap();
        selected.iter().map(|value| value.as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(of("10:0:-2", 4), [3, 1]);
    assert_eq!(of("10:0:-3", 5), [4, 1]);
    assert_eq!(of("::-2", 4), [3, 1]);
    assert_eq!(of("::-3", 5), [4, 1]);
    assert_eq!(of("10:20:-1", 5), [0; 0]);
    assert_eq!(of("-10:10:3", 5), [0, 3]);
    assert_eq!(of("3:-10:-1", 5), [3, 2, 1, 0]);
}
