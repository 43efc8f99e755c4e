//! How conditions are decided: the semantics of RFC 9535 over nodes.
//!
//! Nothing here guesses. Each operand of a test is decided, also where another has settled it, and one that is undecided
//! makes the whole undecided: which operand stands first never decides what is seen.
//!
//! Work is bounded twice. Recursion follows the condition, and in comparisons the value, which nests no deeper than what
//! may be read ([`crate::json::lexer::MOST_DEPTH`]). And each decision has an [`Allowance`] of text to read that grows with the text and with the condition. A condition
//! without `..` reads each byte a few times for each of its selectors. One with `..` reads a byte once for each array and
//! object around it, and `..` in a filter behind `..` multiplies that: ordinary data stays far below the allowance, and
//! nesting made to be expensive is undecided.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Comparison, Literal, Operand, Query, Segment, Selector, Test, Undecided};
use crate::json::node::{Ambiguous, Kind, Node};

/// How often each selector may read each byte: the arrays and objects around a value of deeply nested ordinary data.
const READINGS: u64 = 64;

/// What even the shortest text may take, in bytes.
const LEAST_TEXT: u64 = 1024;

impl Test {
    /// Whether the test holds for this value (`@`).
    ///
    /// # Errors
    /// Where that cannot be decided. Each operand is decided, so that one that is undecided is never hidden by another.
    pub fn holds(&self, value: Node<'_>) -> Result<bool, Undecided> {
        self.decide(value, &mut Allowance::new(weigh_test(self), value))
    }

    fn decide(&self, value: Node<'_>, allowance: &mut Allowance) -> Result<bool, Undecided> {
        match self {
            Self::All(tests) => tests.iter().try_fold(true, |all, test| Ok(all & test.decide(value, allowance)?)),
            Self::Any(tests) => tests.iter().try_fold(false, |any, test| Ok(any | test.decide(value, allowance)?)),
            Self::Not(test) => Ok(!test.decide(value, allowance)?),
            Self::Exists(query) => Ok(!query.run(value, allowance)?.is_empty()),
            Self::Compare(left, comparison, right) => {
                let left = left.value(value, allowance)?;
                let right = right.value(value, allowance)?;
                comparison.holds(&left, &right, allowance)
            }
            Self::AllArrays(query) => {
                Ok(query.run(value, allowance)?.iter().all(|node| node.kind() == Some(Kind::Array)))
            }
        }
    }
}

impl Query {
    /// The values that the query selects, starting from `value`, in the order of RFC 9535; a value may be there twice.
    ///
    /// # Errors
    /// Where that cannot be decided.
    pub fn select<'a>(&self, value: Node<'a>) -> Result<Vec<Node<'a>>, Undecided> {
        self.run(value, &mut Allowance::new(weigh_query(self), value))
    }

    fn run<'a>(&self, value: Node<'a>, allowance: &mut Allowance) -> Result<Vec<Node<'a>>, Undecided> {
        // While the query names one member after another, there is one node or none.
        let (mut node, mut segments) = (value, self.segments.as_slice());
        while let [Segment::Child(selectors), rest @ ..] = segments
            && let [Selector::Name(name)] = selectors.as_slice()
        {
            allowance.charge(node)?;
            let Some(member) = node.member(name)? else { return Ok(Vec::new()) };
            (node, segments) = (member, rest);
        }
        let mut nodes = vec![node];
        for segment in segments {
            let mut selected = Vec::new();
            for node in nodes {
                match segment {
                    Segment::Child(selectors) => select_children(selectors, node, &mut selected, allowance)?,
                    Segment::Descendant(selectors) => select_descendants(selectors, node, &mut selected, allowance)?,
                }
            }
            nodes = selected;
        }
        Ok(nodes)
    }
}

/// What a decision may still read, in bytes of text.
struct Allowance(u64);

impl Allowance {
    fn new(weight: u64, value: Node<'_>) -> Self {
        let text = (value.text().len() as u64).saturating_add(LEAST_TEXT);
        Self(text.saturating_mul(READINGS).saturating_mul(weight))
    }

    /// Must be called before the text of a node is read.
    fn charge(&mut self, node: Node<'_>) -> Result<(), Undecided> {
        self.0 = self.0.checked_sub(node.text().len() as u64 + 1).ok_or(Undecided)?;
        Ok(())
    }
}

impl From<Ambiguous> for Undecided {
    fn from(_: Ambiguous) -> Self {
        Self
    }
}

fn select_children<'a>(
    selectors: &[Selector],
    node: Node<'a>,
    selected: &mut Vec<Node<'a>>,
    allowance: &mut Allowance,
) -> Result<(), Undecided> {
    for selector in selectors {
        select_by(selector, node, selected, allowance)?;
    }
    Ok(())
}

/// Visits the value and its descendants, parents before children and children in order (RFC 9535, section 2.5.2.2).
fn select_descendants<'a>(
    selectors: &[Selector],
    node: Node<'a>,
    selected: &mut Vec<Node<'a>>,
    allowance: &mut Allowance,
) -> Result<(), Undecided> {
    let mut pending = vec![node];
    while let Some(node) = pending.pop() {
        let children = children(node, allowance)?;
        select_children(selectors, node, selected, allowance)?;
        pending.extend(children.into_iter().rev().filter(|child| is_structure(*child)));
    }
    Ok(())
}

fn select_by<'a>(
    selector: &Selector,
    node: Node<'a>,
    selected: &mut Vec<Node<'a>>,
    allowance: &mut Allowance,
) -> Result<(), Undecided> {
    match selector {
        Selector::Name(name) => {
            allowance.charge(node)?;
            selected.extend(node.member(name)?);
        }
        Selector::Wildcard => selected.extend(children(node, allowance)?),
        Selector::Index(index) => {
            let items = items(node, allowance)?;
            let place = if *index < 0 { i128::from(*index) + items.len() as i128 } else { i128::from(*index) };
            selected.extend(item(&items, place));
        }
        Selector::Slice { start, end, step } => {
            let items = items(node, allowance)?;
            slice(&items, *start, *end, step.unwrap_or(1), selected);
        }
        Selector::Filter(test) => {
            allowance.charge(node)?;
            node.each_child::<Undecided>(|child| {
                if test.decide(child, allowance)? {
                    selected.push(child);
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn is_structure(node: Node<'_>) -> bool {
    matches!(node.kind(), Some(Kind::Array | Kind::Object))
}

/// The children of an array or object; nothing for a scalar.
fn children<'a>(node: Node<'a>, allowance: &mut Allowance) -> Result<Vec<Node<'a>>, Undecided> {
    allowance.charge(node)?;
    Ok(node.children()?)
}

/// The items of an array; nothing for another value.
fn items<'a>(node: Node<'a>, allowance: &mut Allowance) -> Result<Vec<Node<'a>>, Undecided> {
    if node.kind() == Some(Kind::Array) { children(node, allowance) } else { Ok(Vec::new()) }
}

fn item<'a>(items: &[Node<'a>], place: i128) -> Option<Node<'a>> {
    items.get(usize::try_from(place).ok()?).copied()
}

/// RFC 9535, section 2.3.4.2.2.
fn slice<'a>(items: &[Node<'a>], start: Option<i64>, end: Option<i64>, step: i64, selected: &mut Vec<Node<'a>>) {
    let len = items.len() as i128;
    // Nothing here can overflow: each number is an i64 or a length, and is added to another at most once.
    let from_start = |place: i64| if place >= 0 { i128::from(place) } else { len + i128::from(place) };
    let step = i128::from(step);
    match step.cmp(&0) {
        Ordering::Equal => {}
        Ordering::Greater => {
            let lower = start.map_or(0, from_start).clamp(0, len);
            let upper = end.map_or(len, from_start).clamp(0, len);
            let mut place = lower;
            while place < upper {
                selected.extend(item(items, place));
                place += step;
            }
        }
        Ordering::Less => {
            let upper = start.map_or(len - 1, from_start).clamp(-1, len - 1);
            let lower = end.map_or(-1, from_start).clamp(-1, len - 1);
            let mut place = upper;
            while place > lower {
                selected.extend(item(items, place));
                place += step;
            }
        }
    }
}

/// A value of a comparison.
enum Value<'a> {
    Nothing,
    Null,
    Boolean(bool),
    Number(f64),
    String(Cow<'a, str>),
    Structure(Node<'a>),
}

impl<'a> Value<'a> {
    fn of(node: Node<'a>) -> Result<Self, Undecided> {
        let value = match node.kind().ok_or(Undecided)? {
            Kind::Null => Some(Self::Null),
            Kind::Boolean => node.as_bool().map(Self::Boolean),
            Kind::Number => node.as_f64().map(Self::Number),
            Kind::String => node.as_str().map(Self::String),
            Kind::Array | Kind::Object => Some(Self::Structure(node)),
        };
        value.ok_or(Undecided)
    }
}

impl Operand {
    fn value<'a>(&'a self, value: Node<'a>, allowance: &mut Allowance) -> Result<Value<'a>, Undecided> {
        match self {
            Self::Literal(Literal::String(string)) => Ok(Value::String(Cow::Borrowed(string))),
            Self::Literal(Literal::Number(number)) => Ok(Value::Number(*number)),
            Self::Literal(Literal::Boolean(boolean)) => Ok(Value::Boolean(*boolean)),
            Self::Literal(Literal::Null) => Ok(Value::Null),
            Self::Query(query) => match query.run(value, allowance)?.as_slice() {
                [] => Ok(Value::Nothing),
                [node] => Value::of(*node),
                _ => Err(Undecided),
            },
            Self::Value(query) => match query.run(value, allowance)?.as_slice() {
                [node] => Value::of(*node),
                _ => Ok(Value::Nothing),
            },
            Self::Count(query) => Ok(Value::Number(query.run(value, allowance)?.len() as f64)),
            Self::Length(operand) => Ok(match operand.value(value, allowance)? {
                Value::String(string) => Value::Number(string.chars().count() as f64),
                Value::Structure(node) => Value::Number(children(node, allowance)?.len() as f64),
                Value::Nothing | Value::Null | Value::Boolean(_) | Value::Number(_) => Value::Nothing,
            }),
        }
    }
}

impl Comparison {
    /// RFC 9535, section 2.3.5.2.2.
    fn holds(self, left: &Value<'_>, right: &Value<'_>, allowance: &mut Allowance) -> Result<bool, Undecided> {
        Ok(match self {
            Self::Equal => equal(left, right, allowance)?,
            Self::NotEqual => !equal(left, right, allowance)?,
            Self::Less => less(left, right),
            Self::LessOrEqual => less(left, right) || equal(left, right, allowance)?,
            Self::Greater => less(right, left),
            Self::GreaterOrEqual => less(right, left) || equal(left, right, allowance)?,
        })
    }
}

fn less(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left < right,
        // The order of UTF-8 is that of Unicode scalar values.
        (Value::String(left), Value::String(right)) => left < right,
        _ => false,
    }
}

fn equal(left: &Value<'_>, right: &Value<'_>, allowance: &mut Allowance) -> Result<bool, Undecided> {
    Ok(match (left, right) {
        (Value::Nothing, Value::Nothing) | (Value::Null, Value::Null) => true,
        (Value::Boolean(left), Value::Boolean(right)) => left == right,
        (Value::Number(left), Value::Number(right)) => left == right,
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Structure(left), Value::Structure(right)) => same(*left, *right, allowance)?,
        _ => false,
    })
}

/// Whether two values are the same at every depth. A difference ends it: no way to read what follows would undo one.
fn same(left: Node<'_>, right: Node<'_>, allowance: &mut Allowance) -> Result<bool, Undecided> {
    if !is_structure(left) || left.kind() != right.kind() {
        // Unequal kinds stay unequal; a structure has no value here that equals one of another kind.
        return equal_scalars(left, right, allowance);
    }
    allowance.charge(left)?;
    allowance.charge(right)?;
    if left.kind() == Some(Kind::Object) {
        let (mut left, mut right) = (left.distinct_members()?, right.distinct_members()?);
        left.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        right.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        return Ok(left.len() == right.len()
            && left.iter().zip(&right).all(|((one, _), (other, _))| one == other)
            && all_same(left.iter().zip(&right).map(|((_, one), (_, other))| (*one, *other)), allowance)?);
    }
    let (left, right) = (left.children()?, right.children()?);
    Ok(left.len() == right.len() && all_same(left.into_iter().zip(right), allowance)?)
}

fn all_same<'a>(
    pairs: impl Iterator<Item = (Node<'a>, Node<'a>)>,
    allowance: &mut Allowance,
) -> Result<bool, Undecided> {
    for (left, right) in pairs {
        if !same(left, right, allowance)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_scalars(left: Node<'_>, right: Node<'_>, allowance: &mut Allowance) -> Result<bool, Undecided> {
    if left.kind() != right.kind() {
        return Ok(false);
    }
    equal(&Value::of(left)?, &Value::of(right)?, allowance)
}

fn weigh_test(test: &Test) -> u64 {
    match test {
        Test::All(tests) | Test::Any(tests) => tests.iter().map(weigh_test).sum(),
        Test::Not(test) => weigh_test(test),
        Test::Exists(query) | Test::AllArrays(query) => weigh_query(query),
        Test::Compare(left, _, right) => 1 + weigh_operand(left) + weigh_operand(right),
    }
}

fn weigh_operand(operand: &Operand) -> u64 {
    match operand {
        Operand::Literal(_) => 0,
        Operand::Query(query) | Operand::Count(query) | Operand::Value(query) => weigh_query(query),
        Operand::Length(operand) => 1 + weigh_operand(operand),
    }
}

fn weigh_query(query: &Query) -> u64 {
    let selectors = query.segments.iter().flat_map(|segment| match segment {
        Segment::Child(selectors) | Segment::Descendant(selectors) => selectors,
    });
    1 + selectors.map(weigh_selector).sum::<u64>()
}

fn weigh_selector(selector: &Selector) -> u64 {
    match selector {
        Selector::Filter(test) => 1 + weigh_test(test),
        Selector::Name(_) | Selector::Wildcard | Selector::Index(_) | Selector::Slice { .. } => 1,
    }
}
