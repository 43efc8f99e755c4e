//! Documents: JSON that is no FHIR, ruled by the queries of RFC 9535 that a stream can answer.
//!
//! The queries of one role and document run together as one automaton: a state of the plan is the set of places that the
//! queries can be at, and what has no query is withheld.

use std::collections::{BTreeSet, HashMap};

use crate::redact::condition::{Query, Segment, Selector, Test};
use crate::redact::plan::{Action, Choice, Edge, Items, Kinds, Plan, PlanBuilder, State, StateId};

use super::jsonpath;
use super::path::Problem;
use super::resolve::{Because, resolve};
use super::syntax::Position;
use super::treatment::Treatment;

/// The furthest place in an array that a query may name.
const FURTHEST: i64 = 1024;
/// The most edges that the places of one array may need.
const MOST_PLACES: usize = 4096;
/// The most states that the queries of one document may need.
const MOST_STATES: usize = 4096;

/// A rule for the values that a query selects.
#[derive(Debug, Clone)]
pub(super) struct DocumentRule {
    pub(super) text: Box<str>,
    pub(super) query: Query,
    pub(super) treatment: Treatment,
    pub(super) at: Position,
}

/// Takes a query, if a stream can answer it.
pub(super) fn query(text: &str) -> Result<Query, Problem> {
    let refuse = |why: &str, suggestion: Option<&str>| Problem {
        message: format!("the query {text} {why}").into(),
        suggestion: suggestion.map(Into::into),
    };
    let query = jsonpath::query(text).map_err(|refused| refuse(&refused.0, None))?;
    for segment in &query.segments {
        let (Segment::Child(selectors) | Segment::Descendant(selectors)) = segment;
        for selector in selectors {
            match selector {
                Selector::Name(_) | Selector::Wildcard | Selector::Filter(_) => {}
                Selector::Index(index) if *index < 0 => {
                    return Err(refuse("counts from the end of an array, which a stream does not know", None));
                }
                Selector::Index(index) if *index > FURTHEST => {
                    return Err(refuse("names a place beyond 1024", Some("use a slice such as [1000:]")));
                }
                Selector::Index(_) => {}
                Selector::Slice { start, end, step } => {
                    if step.is_some_and(|step| step < 1) {
                        return Err(refuse("has a step below 1, which a stream cannot take", None));
                    }
                    if [start, end].into_iter().flatten().any(|bound| *bound < 0) {
                        return Err(refuse("counts from the end of an array, which a stream does not know", None));
                    }
                    if [start, end, step].into_iter().flatten().any(|bound| *bound > FURTHEST) {
                        return Err(refuse("has a slice with a number beyond 1024", None));
                    }
                }
            }
        }
    }
    Ok(query)
}

/// Why the queries of a document have no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooMuch(pub(super) Box<str>);

/// Compiles the rules of one role for one document.
pub(super) fn compile(name: &str, rules: &[DocumentRule]) -> Result<Plan, TooMuch> {
    let mut compiler = Compiler { name, rules, plan: PlanBuilder::new(), states: HashMap::new() };
    let start: Underway = (0..rules.len()).map(|rule| (rule, 0)).collect();
    let root = compiler.arrive(&start, false)?;
    compiler.plan.build(root).map_err(|_| TooMuch("the queries of this document are too many".into()))
}

/// Queries on their way: each rule with how many of its segments have been taken.
type Underway = BTreeSet<(usize, usize)>;

struct Compiler<'a> {
    name: &'a str,
    rules: &'a [DocumentRule],
    plan: PlanBuilder,
    states: HashMap<(Underway, bool), StateId>,
}

/// A child of an object or an array, as selectors tell children apart.
#[derive(Clone, Copy)]
enum Child<'a> {
    Member(&'a str),
    /// A member that no query names.
    OtherMember,
    Item(i64),
}

impl Compiler<'_> {
    /// The edge to a value that queries have arrived at. `shown`: whether what holds it is shown.
    fn arrive(&mut self, at: &Underway, shown: bool) -> Result<Edge, TooMuch> {
        let mut exact = Vec::new();
        let mut onward = Underway::new();
        for (index, taken) in at {
            let Some(rule) = self.rules.get(*index) else { continue };
            if rule.query.segments.len() == *taken {
                exact.push((*index, &rule.treatment));
            } else {
                onward.insert((*index, *taken));
            }
        }
        let ruling = resolve(&exact, None, shown);
        let decided = match ruling.because {
            Because::Rule(rule) | Because::Conflict(rule) => self.rules.get(rule).map(|rule| &*rule.text),
            Because::TypeRule(_) | Because::Parent => None,
        };
        let element = decided.map(|text| {
            let owner = self.plan.owner(self.name);
            self.plan.element(owner, text)
        });
        let action = match &ruling.treatment {
            Treatment::Show => self.inside(onward, true)?,
            Treatment::Hide | Treatment::Absent => self.inside(onward, false)?,
            transform => match transform.transform(false) {
                Some(transform) => Action::Transform(self.plan.transform(transform)),
                None => Action::Drop,
            },
        };
        Ok(Edge { element, ..Edge::new(action) })
    }

    fn inside(&mut self, onward: Underway, shown: bool) -> Result<Action, TooMuch> {
        let narrows =
            |(rule, _): &(usize, usize)| self.rules.get(*rule).is_some_and(|rule| rule.treatment != Treatment::Show);
        let shows =
            |(rule, _): &(usize, usize)| self.rules.get(*rule).is_some_and(|rule| rule.treatment != Treatment::Hide);
        // Where nothing further changes anything, the value need not be looked into.
        if shown && !onward.iter().any(narrows) {
            return Ok(Action::Keep);
        }
        if !shown && !onward.iter().any(shows) {
            return Ok(Action::Drop);
        }
        Ok(Action::Descend(self.state(onward, shown)?))
    }

    fn state(&mut self, at: Underway, shown: bool) -> Result<StateId, TooMuch> {
        let key = (at.clone(), shown);
        if let Some(known) = self.states.get(&key) {
            return Ok(*known);
        }
        if self.states.len() >= MOST_STATES {
            return Err(TooMuch("the queries of this document tell too many places apart".into()));
        }
        let id = self.plan.reserve();
        self.states.insert(key, id);
        let mut state = State::otherwise(self.child(&at, shown, Child::OtherMember)?);
        state.leaves = if shown { Kinds::ANY } else { Kinds::NONE };
        for name in self.names(&at) {
            let edge = self.child(&at, shown, Child::Member(&name))?;
            state.members.insert(&name, edge);
        }
        state.items = self.items(&at, shown)?;
        self.plan.set(id, state);
        Ok(id)
    }

    fn segment(&self, (rule, taken): (usize, usize)) -> Option<(&[Selector], bool)> {
        match self.rules.get(rule)?.query.segments.get(taken)? {
            Segment::Child(selectors) => Some((selectors, false)),
            Segment::Descendant(selectors) => Some((selectors, true)),
        }
    }

    fn names(&self, at: &Underway) -> BTreeSet<Box<str>> {
        let selectors = at.iter().filter_map(|each| self.segment(*each)).flat_map(|(selectors, _)| selectors);
        let names = selectors.filter_map(|selector| match selector {
            Selector::Name(name) => Some(name.clone()),
            _ => None,
        });
        names.collect()
    }

    /// The items of an array: as many places as the queries tell apart, then the rest over and over.
    fn items(&mut self, at: &Underway, shown: bool) -> Result<Items, TooMuch> {
        let (mut horizon, mut period) = (0_i64, 1_i64);
        for selector in at.iter().filter_map(|each| self.segment(*each)).flat_map(|(selectors, _)| selectors) {
            match selector {
                Selector::Index(index) => horizon = horizon.max(index + 1),
                Selector::Slice { start, end, step } => {
                    horizon = horizon.max(start.unwrap_or(0)).max(end.unwrap_or(0));
                    if end.is_none() {
                        period = least_common_multiple(period, step.unwrap_or(1));
                    }
                }
                Selector::Name(_) | Selector::Wildcard | Selector::Filter(_) => {}
            }
        }
        let places = horizon.saturating_add(period);
        if usize::try_from(places).is_ok_and(|places| places > MOST_PLACES) {
            return Err(TooMuch("the steps of the slices of this document meet too rarely".into()));
        }
        let edges = (0..places).map(|place| self.child(at, shown, Child::Item(place)));
        let mut head: Vec<Edge> = edges.collect::<Result<_, _>>()?;
        let cycle = head.split_off(usize::try_from(horizon).unwrap_or_default());
        Ok(Items::Placed { head: head.into(), cycle: cycle.into() })
    }

    /// The edge to a child of a value that queries are at.
    fn child(&mut self, at: &Underway, shown: bool, child: Child<'_>) -> Result<Edge, TooMuch> {
        let mut certain = Underway::new();
        let mut conditional: Vec<(Test, (usize, usize))> = Vec::new();
        for each @ (rule, taken) in at {
            let Some((selectors, descendant)) = self.segment(*each) else { continue };
            if descendant {
                certain.insert(*each);
            }
            for selector in selectors {
                if selects(selector, child) {
                    certain.insert((*rule, taken + 1));
                } else if let Selector::Filter(test) = selector {
                    conditional.push(((**test).clone(), (*rule, taken + 1)));
                }
            }
        }
        let mut tests: Vec<Test> = Vec::new();
        for (test, _) in &conditional {
            if !tests.contains(test) {
                tests.push(test.clone());
            }
        }
        if tests.len() > Choice::MOST_TESTS {
            return Err(TooMuch("more than 8 conditions meet at one value of this document".into()));
        }
        let mut outcomes = Vec::new();
        for outcome in 0..1_usize << tests.len() {
            let holds =
                |test: &Test| tests.iter().position(|known| known == test).is_some_and(|bit| outcome >> bit & 1 == 1);
            let mut arrived = certain.clone();
            arrived.extend(conditional.iter().filter(|(test, _)| holds(test)).map(|(_, each)| *each));
            outcomes.push(self.arrive(&arrived, shown)?);
        }
        match outcomes.as_slice() {
            [first, rest @ ..] if rest.iter().all(|other| other == first) => Ok(*first),
            _ => {
                let choice = Choice { tests: tests.into(), outcomes: outcomes.into(), per_item: false };
                Ok(Edge::new(Action::Choose(self.plan.choice(choice))))
            }
        }
    }
}

/// Whether a selector selects a child without looking at its value (RFC 9535, section 2.3).
fn selects(selector: &Selector, child: Child<'_>) -> bool {
    match (selector, child) {
        (Selector::Wildcard, _) => true,
        (Selector::Name(wanted), Child::Member(name)) => **wanted == *name,
        (Selector::Index(wanted), Child::Item(place)) => *wanted == place,
        (Selector::Slice { start, end, step }, Child::Item(place)) => {
            let start = start.unwrap_or(0);
            place >= start && end.is_none_or(|end| place < end) && (place - start) % step.unwrap_or(1).max(1) == 0
        }
        _ => false,
    }
}

fn least_common_multiple(one: i64, other: i64) -> i64 {
    let (mut a, mut b) = (one, other.max(1));
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (one / a.max(1)).saturating_mul(other.max(1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::redact::transform::Given;
    use crate::redact::{Copied, Limits, Redactor};

    fn rule(text: &str, treatment: Treatment) -> DocumentRule {
        DocumentRule { text: text.into(), query: query(text).unwrap(), treatment, at: Position::default() }
    }

    #[test]
    fn queries_that_a_stream_cannot_answer_are_refused_by_name() {
        for (text, says) in [
            ("$.a[-1]", "counts from the end"),
            ("$.a[-2:]", "counts from the end"),
            ("$.a[::-1]", "a step below 1"),
            ("$.a[5000]", "beyond 1024"),
            ("$.a[?$.b == 1]", "from the root ($)"),
            ("$.a[?match(@.b, 'x')]", "match()"),
            ("a.b", "starts with $"),
            ("$.a[", "no query"),
        ] {
            let refused = query(text).unwrap_err();
            assert!(refused.message.contains(says), "{text}: {}", refused.message);
        }
    }

    #[test]
    fn names_wildcards_places_slices_descendants_and_filters_compile() {
        let rules = [
            rule("$.id", Treatment::Show),
            rule("$.claims[*].status", Treatment::Show),
            rule("$['a','b']", Treatment::Year),
            rule("$..name", Treatment::Hide),
            rule("$.list[1:9:2]", Treatment::Show),
            rule("$.list[2::3]", Treatment::Show),
            rule("$.claims[?@.x == 1].y", Treatment::Show),
        ];
        let plan = compile("d", &rules).unwrap();
        assert!(plan.size() > 3 && plan.size() < 50, "{} states", plan.size());
    }

    #[test]
    fn what_is_shown_whole_is_kept_without_a_look() {
        assert_eq!(compile("d", &[rule("$", Treatment::Show)]).unwrap().size(), 0);
        assert_eq!(compile("d", &[rule("$", Treatment::Show), rule("$.a", Treatment::Hide)]).unwrap().size(), 1);
    }

    fn shown(queries: &[&str]) -> Result<Plan, TooMuch> {
        let rules: Vec<_> = queries.iter().map(|text| rule(text, Treatment::Show)).collect();
        compile("d", &rules)
    }

    fn seen(plan: Plan, document: &Value) -> Value {
        let (text, mut out) = (document.to_string(), Vec::new());
        let mut redactor = Redactor::new(Arc::new(plan), Given::default(), Limits::default());
        redactor.write(text.as_bytes(), &mut Copied { piece: text.as_bytes(), out: &mut out }).unwrap();
        match redactor.finish(&mut Copied { piece: &[], out: &mut out }).unwrap() {
            true => serde_json::from_slice(&out).unwrap(),
            false => Value::Null,
        }
    }

    #[test]
    fn slices_whose_steps_meet_too_rarely_are_refused() {
        for (queries, compiled) in [
            (&["$[::1023]", "$[::1021]"][..], false),
            (&["$[::512]", "$[::1024]"], true),
            // 1024 places, then 3072 over and over.
            (&["$[1023]", "$[::1024]", "$[::3]"], true),
            (&["$[1024]", "$[::1024]", "$[::3]"], false),
        ] {
            assert_eq!(shown(queries).is_ok(), compiled, "{queries:?}");
        }
    }

    #[test]
    fn places_bounds_and_steps_reach_to_1024() {
        for text in ["$[0]", "$[1024]", "$[0:]", "$[:0]", "$[1024:]", "$[:1024]", "$[::1]", "$[::1024]"] {
            assert!(query(text).is_ok(), "{text}");
        }
        for text in ["$[1025]", "$[1025:]", "$[:1025]", "$[::1025]", "$..[1025]", "$[0, 1025]"] {
            assert!(query(text).unwrap_err().message.contains("beyond 1024"), "{text}");
        }
        for (text, says) in [("$[::0]", "a step below 1"), ("$[:-1]", "counts from the end")] {
            assert!(query(text).unwrap_err().message.contains(says), "{text}");
        }
    }

    #[test]
    fn a_query_shows_what_it_selects() {
        let list = json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let map = json!({ "a": { "x": 1, "y": 2 }, "b": [{ "x": 3, "y": 4 }], "c": 5 });
        let claims = json!({ "claims": [{ "open": true, "x": 1 }, { "x": 2 }, { "open": false, "x": 3, "y": 3 }] });
        for (queries, document, expected) in [
            (&["$[0]"][..], &list, json!([0])),
            (&["$[2]"], &list, json!([2])),
            (&["$[2:8:3]"], &list, json!([2, 5])),
            (&["$[:2]"], &list, json!([0, 1])),
            (&["$[7:]"], &list, json!([7, 8, 9])),
            (&["$[1::4]"], &list, json!([1, 5, 9])),
            (&["$[:0]"], &list, Value::Null),
            (&["$[5:5]", "$[20]"], &list, Value::Null),
            (&["$[::2]", "$[::3]"], &list, json!([0, 2, 3, 4, 6, 8, 9])),
            (&["$[8:]", "$[1]"], &list, json!([1, 8, 9])),
            (&["$[*]"], &list, list.clone()),
            (&["$[?@ > 7]"], &list, json!([8, 9])),
            (&["$.*"], &map, map.clone()),
            (&["$.*.x"], &map, json!({ "a": { "x": 1 } })),
            (&["$..x"], &map, json!({ "a": { "x": 1 }, "b": [{ "x": 3 }] })),
            (&["$['c','d']"], &map, json!({ "c": 5 })),
            (&["$[0]"], &map, Value::Null),
            (&["$.claims[?@.open].x"], &claims, json!({ "claims": [{ "x": 1 }, { "x": 3 }] })),
            (&["$.claims[?@.open == true]"], &claims, json!({ "claims": [{ "open": true, "x": 1 }] })),
        ] {
            assert_eq!(seen(shown(queries).unwrap(), document), expected, "{queries:?} of {document}");
        }
    }

    #[test]
    fn each_filter_that_holds_shows_what_it_is_for() {
        let document = json!([
            { "x": 1, "y": 1 }, { "a": 1, "x": 2, "y": 2 }, { "b": 1, "x": 3, "y": 3 }, { "a": 1, "b": 1, "x": 4, "y": 4 }
        ]);
        let expected = json!([{ "x": 2 }, { "y": 3 }, { "x": 4, "y": 4 }]);
        assert_eq!(seen(shown(&["$[?@.a].x", "$[?@.b].y"]).unwrap(), &document), expected);
        // The same filter of two queries is one.
        let expected = json!([{ "x": 2, "y": 2 }, { "x": 4, "y": 4 }]);
        assert_eq!(seen(shown(&["$[?@.a].x", "$[?@.a].y"]).unwrap(), &document), expected);
    }

    #[test]
    fn eight_filters_may_meet_at_one_value() {
        let queries: Vec<String> = (0..9).map(|n| format!("$[?@.c{n}].x{n}")).collect();
        let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
        let (eight, _) = queries.split_at(8);
        let document = json!([{ "c7": 1, "x0": 0, "x7": 7 }, { "c0": 1, "c7": 1, "x0": 0, "x7": 7 }, { "x7": 7 }]);
        assert_eq!(seen(shown(eight).unwrap(), &document), json!([{ "x7": 7 }, { "x0": 0, "x7": 7 }]));
        assert!(shown(&queries).unwrap_err().0.contains("more than 8 conditions"));
    }

    #[test]
    fn what_no_filter_is_for_is_decided_without_one() {
        let plan = shown(&["$.a.b"]).unwrap();
        let Action::Descend(state) = plan.root.action else { panic!("{:?}", plan.root) };
        let member = plan.state(state).unwrap().members.get(b"a").unwrap();
        assert!(matches!(member.action, Action::Descend(_)), "{member:?}");
    }
}
