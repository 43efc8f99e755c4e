//! RFC 9535 expressions, read by a parser of that standard and turned into the part of it that the redaction core runs.
//!
//! What the core can't decide on a stream is refused by its name. Nothing is dropped, guessed or approximated: an
//! expression is taken as the standard means it, or not at all.

use jsonpath_rust::parser::model as parsed;
use jsonpath_rust::parser::parse_json_path;

use crate::redact::condition::{Comparison, Literal, Operand, Query, Segment, Selector, Test};

/// Why an expression is refused, as the end of a sentence that names the expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) Box<str>);

type Taken<T> = Result<T, Refused>;

fn refuse<T>(why: impl Into<Box<str>>) -> Taken<T> {
    Err(Refused(why.into()))
}

/// The logical expression of a filter: what stands after the `?`.
pub(super) fn filter(text: &str) -> Taken<Test> {
    let Ok(query) = parse_json_path(&format!("$[?{text}]")) else {
        return refuse("is no filter of RFC 9535");
    };
    match query.segments.as_slice() {
        [parsed::Segment::Selector(parsed::Selector::Filter(expression))] => test(expression),
        _ => refuse("is more than one filter: join them by && or ||"),
    }
}

/// A query from the root of a document: `$.claims[*].status`.
pub(super) fn query(text: &str) -> Taken<Query> {
    if !text.starts_with('$') {
        return refuse("is no query: it starts with $");
    }
    match parse_json_path(text) {
        Ok(query) => segments(&query.segments),
        Err(_) => refuse("is no query of RFC 9535"),
    }
}

fn segments(segments: &[parsed::Segment]) -> Taken<Query> {
    let segments = segments.iter().map(|segment| match segment {
        parsed::Segment::Descendant(inner) => selectors(inner).map(Segment::Descendant),
        other => selectors(other).map(Segment::Child),
    });
    Ok(Query { segments: segments.collect::<Taken<_>>()? })
}

fn selectors(segment: &parsed::Segment) -> Taken<Vec<Selector>> {
    match segment {
        parsed::Segment::Selector(one) => Ok(vec![selector(one)?]),
        parsed::Segment::Selectors(several) => several.iter().map(selector).collect(),
        parsed::Segment::Descendant(_) => refuse("has a descendant segment where none can stand"),
    }
}

fn selector(selector: &parsed::Selector) -> Taken<Selector> {
    Ok(match selector {
        parsed::Selector::Name(name) => Selector::Name(name.as_str().into()),
        parsed::Selector::Wildcard => Selector::Wildcard,
        parsed::Selector::Index(index) => Selector::Index(*index),
        parsed::Selector::Slice(start, end, step) => Selector::Slice { start: *start, end: *end, step: *step },
        parsed::Selector::Filter(expression) => Selector::Filter(Box::new(test(expression)?)),
    })
}

fn test(filter: &parsed::Filter) -> Taken<Test> {
    Ok(match filter {
        parsed::Filter::Or(parts) => Test::Any(parts.iter().map(test).collect::<Taken<_>>()?),
        parsed::Filter::And(parts) => Test::All(parts.iter().map(test).collect::<Taken<_>>()?),
        parsed::Filter::Atom(parsed::FilterAtom::Filter { expr, not }) => negated(test(expr)?, *not),
        parsed::Filter::Atom(parsed::FilterAtom::Test { expr, not }) => negated(existence(expr)?, *not),
        parsed::Filter::Atom(parsed::FilterAtom::Comparison(comparison)) => compare(comparison)?,
    })
}

fn negated(test: Test, not: bool) -> Test {
    if not { Test::Not(Box::new(test)) } else { test }
}

fn existence(test: &parsed::Test) -> Taken<Test> {
    match test {
        parsed::Test::RelQuery(inner) => Ok(Test::Exists(segments(inner)?)),
        parsed::Test::AbsQuery(_) => refuse(ABSOLUTE),
        parsed::Test::Function(function) => match &**function {
            parsed::TestFunction::Length(_) | parsed::TestFunction::Count(_) | parsed::TestFunction::Value(_) => {
                refuse("has length(), count() or value() standing alone: compare it with something")
            }
            other => refuse_function(other),
        },
    }
}

const ABSOLUTE: &str =
    "has a query from the root ($) inside a condition, which is not supported: a condition looks at @";

fn compare(comparison: &parsed::Comparison) -> Taken<Test> {
    let operator = match comparison {
        parsed::Comparison::Eq(..) => Comparison::Equal,
        parsed::Comparison::Ne(..) => Comparison::NotEqual,
        parsed::Comparison::Lt(..) => Comparison::Less,
        parsed::Comparison::Lte(..) => Comparison::LessOrEqual,
        parsed::Comparison::Gt(..) => Comparison::Greater,
        parsed::Comparison::Gte(..) => Comparison::GreaterOrEqual,
    };
    let (left, right) = comparison.vals();
    Ok(Test::Compare(operand(left)?, operator, operand(right)?))
}

fn operand(comparable: &parsed::Comparable) -> Taken<Operand> {
    match comparable {
        parsed::Comparable::Literal(value) => Ok(Operand::Literal(literal(value))),
        parsed::Comparable::SingularQuery(parsed::SingularQuery::Root(_)) => refuse(ABSOLUTE),
        parsed::Comparable::SingularQuery(parsed::SingularQuery::Current(path)) => {
            let segments = path.iter().map(|segment| {
                Segment::Child(vec![match segment {
                    parsed::SingularQuerySegment::Name(name) => Selector::Name(name.as_str().into()),
                    parsed::SingularQuerySegment::Index(index) => Selector::Index(*index),
                }])
            });
            Ok(Operand::Query(Query { segments: segments.collect() }))
        }
        parsed::Comparable::Function(function) => function_operand(function),
    }
}

fn function_operand(function: &parsed::TestFunction) -> Taken<Operand> {
    match function {
        parsed::TestFunction::Count(argument) => Ok(Operand::Count(nodes(argument)?)),
        parsed::TestFunction::Value(argument) => Ok(Operand::Value(nodes(argument)?)),
        parsed::TestFunction::Length(argument) => Ok(Operand::Length(Box::new(match &**argument {
            parsed::FnArg::Literal(value) => Operand::Literal(literal(value)),
            parsed::FnArg::Test(inner) => match &**inner {
                parsed::Test::Function(function) => function_operand(function)?,
                _ => {
                    let query = nodes(argument)?;
                    if !is_singular(&query) {
                        return refuse("asks for the length() of what may be several values: use count()");
                    }
                    Operand::Query(query)
                }
            },
            parsed::FnArg::Filter(_) => return refuse("asks for the length() of a condition"),
        }))),
        other => refuse_function(other),
    }
}

fn nodes(argument: &parsed::FnArg) -> Taken<Query> {
    match argument {
        parsed::FnArg::Test(test) => match &**test {
            parsed::Test::RelQuery(inner) => segments(inner),
            parsed::Test::AbsQuery(_) => refuse(ABSOLUTE),
            parsed::Test::Function(_) => refuse("has a function where a query belongs"),
        },
        _ => refuse("has no query where count() or value() need one"),
    }
}

/// Whether a query selects at most one value, whatever it is asked of (RFC 9535, section 2.3.5.1).
fn is_singular(query: &Query) -> bool {
    query.segments.iter().all(|segment| {
        matches!(segment, Segment::Child(selectors)
            if matches!(selectors.as_slice(), [Selector::Name(_) | Selector::Index(_)]))
    })
}

fn refuse_function<T>(function: &parsed::TestFunction) -> Taken<T> {
    let name = match function {
        parsed::TestFunction::Match(..) => "match",
        parsed::TestFunction::Search(..) => "search",
        parsed::TestFunction::Length(_) => "length",
        parsed::TestFunction::Count(_) => "count",
        parsed::TestFunction::Value(_) => "value",
        parsed::TestFunction::Custom(name, _) => name,
    };
    refuse(format!("has {name}(), which is not supported in a condition"))
}

#[expect(clippy::cast_precision_loss, reason = "the parser takes no integer beyond 2^53")]
fn literal(literal: &parsed::Literal) -> Literal {
    match literal {
        parsed::Literal::Int(number) => Literal::Number(*number as f64),
        parsed::Literal::Float(number) => Literal::Number(*number),
        parsed::Literal::String(text) => Literal::String(text.as_str().into()),
        parsed::Literal::Bool(value) => Literal::Boolean(*value),
        parsed::Literal::Null => Literal::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Segment {
        Segment::Child(vec![Selector::Name(name.into())])
    }

    #[test]
    fn a_comparison_is_taken_as_the_standard_means_it() {
        assert_eq!(
            filter("@.system == 'phone'"),
            Ok(Test::Compare(
                Operand::Query(Query { segments: vec![name("system")] }),
                Comparison::Equal,
                Operand::Literal(Literal::String("phone".into())),
            ))
        );
    }

    #[test]
    fn negations_conjunctions_and_nested_filters_are_taken() {
        let Ok(Test::All(parts)) = filter("@.a && !(@.b || @['c d'] != 1) && @.x[?@.y[?@.z == null]]") else {
            panic!("a conjunction")
        };
        assert_eq!(parts.len(), 3);
        assert!(matches!(&parts[1], Test::Not(inner) if matches!(&**inner, Test::Any(either) if either.len() == 2)));
    }

    #[test]
    fn what_the_core_cannot_run_is_refused_by_name() {
        for (expression, named) in [
            ("match(@.a, 'x')", "match()"),
            ("search(@.a, 'x')", "search()"),
            ("@.a == $.b", "from the root ($)"),
            ("$.b", "from the root ($)"),
            ("@.a[?$.x]", "from the root ($)"),
            ("in(@.a, @.b)", "in()"),
            ("length(@.a)", "length()"),
            ("length(@.*) == 2", "length()"),
            ("@.a, ?@.b", "more than one filter"),
            ("@.a][?@.b", "more than one filter"),
            ("@.a ==", "no filter"),
        ] {
            let refused = filter(expression).unwrap_err().to_string();
            assert!(refused.contains(named), "{expression}: {refused}");
        }
    }

    #[test]
    fn the_length_is_of_one_value_however_it_is_come_by() {
        let a = || Query { segments: vec![name("a")] };
        let first = Query { segments: vec![name("a"), Segment::Child(vec![Selector::Index(0)])] };
        for (text, of) in [
            ("@.a", Operand::Query(a())),
            ("@.a[0]", Operand::Query(first)),
            ("value(@.a)", Operand::Value(a())),
            ("'ab'", Operand::Literal(Literal::String("ab".into()))),
        ] {
            let two = Operand::Literal(Literal::Number(2.0));
            let expected = Test::Compare(Operand::Length(Box::new(of)), Comparison::Equal, two);
            assert_eq!(filter(&format!("length({text}) == 2")), Ok(expected), "{text}");
        }
        for several in ["@.a[*]", "@.*", "@..a", "@['a','b']"] {
            let refused = filter(&format!("length({several}) == 2")).unwrap_err().to_string();
            assert!(refused.contains("use count()"), "{several}: {refused}");
        }
    }

    #[test]
    fn a_query_keeps_its_names_places_and_slices() {
        let taken = query("$.a[0]..['b','c'][1:5:2][*]").unwrap();
        assert_eq!(
            taken.segments,
            [
                name("a"),
                Segment::Child(vec![Selector::Index(0)]),
                Segment::Descendant(vec![Selector::Name("b".into()), Selector::Name("c".into())]),
                Segment::Child(vec![Selector::Slice { start: Some(1), end: Some(5), step: Some(2) }]),
                Segment::Child(vec![Selector::Wildcard]),
            ]
        );
    }
}
