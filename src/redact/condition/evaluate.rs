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
    pub fn holds<'a>(&'a self, value: Node<'a>) -> Result<bool, Undecided> {
        self.decide(value, &mut Allowance::new(Weighed::Test(self), value))
    }

    fn decide<'a>(&'a self, value: Node<'a>, allowance: &mut Allowance<'a>) -> Result<bool, Undecided> {
        match self {
            Self::All(tests) => tests.iter().try_fold(true, |all, test| Ok(all & test.decide(value, allowance)?)),
            Self::Any(tests) => tests.iter().try_fold(false, |any, test| Ok(any | test.decide(value, allowance)?)),
            Self::Not(test) => Ok(!test.decide(value, allowance)?),
            Self::Exists(query) => Ok(query.only(value, allowance)?.0 > 0),
            Self::Compare(left, comparison, right) => {
                let left = left.value(value, allowance)?;
                let right = right.value(value, allowance)?;
                comparison.holds(&left, &right, allowance)
            }
            Self::AllArrays(query) => {
                let mut all = true;
                query.visit(value, allowance, &mut |node, _| {
                    all &= node.kind() == Some(Kind::Array);
                    Ok(())
                })?;
                Ok(all)
            }
        }
    }
}

impl Query {
    /// The values that the query selects, starting from `value`, in the order of RFC 9535; a value may be there twice.
    ///
    /// # Errors
    /// Where that cannot be decided.
    pub fn select<'a>(&'a self, value: Node<'a>) -> Result<Vec<Node<'a>>, Undecided> {
        let mut nodes = Vec::new();
        self.visit(value, &mut Allowance::new(Weighed::Query(self), value), &mut |node, _| {
            nodes.push(node);
            Ok(())
        })?;
        Ok(nodes)
    }

    /// How many nodes it selects, and the last of them: the one, where there is one.
    fn only<'a>(
        &'a self,
        value: Node<'a>,
        allowance: &mut Allowance<'a>,
    ) -> Result<(usize, Option<Node<'a>>), Undecided> {
        let (mut count, mut last) = (0, None);
        self.visit(value, allowance, &mut |node, _| {
            (count, last) = (count + 1, Some(node));
            Ok(())
        })?;
        Ok((count, last))
    }

    fn visit<'a>(
        &'a self,
        value: Node<'a>,
        allowance: &mut Allowance<'a>,
        visit: Visit<'_, 'a>,
    ) -> Result<(), Undecided> {
        follow(&self.segments, value, allowance, visit)
    }
}

/// What is done with each node that is selected. Most queries select none or one, so no list of them is made.
type Visit<'v, 'a> = &'v mut dyn FnMut(Node<'a>, &mut Allowance<'a>) -> Result<(), Undecided>;

/// What a decision may still read, and what it found last.
struct Allowance<'a> {
    /// In bytes of text.
    text: u64,
    /// What each selector allows, and what is yet to be weighed for it: most decisions read less than one selector may.
    each: u64,
    unweighed: Option<Weighed<'a>>,
    /// Members of the values with these marks: a condition asks for one or two over and over.
    found: [Option<Found<'a>>; 2],
    /// A value, by its mark, in which no object has a member of this name: what `..` selected once, and found nothing,
    /// most conditions on labels ask for again.
    nowhere: Option<(usize, &'a str)>,
}

/// A condition that decides how much may be read.
#[derive(Clone, Copy)]
enum Weighed<'a> {
    Test(&'a Test),
    Query(&'a Query),
}

/// A member that was asked for, by the mark of its object and its name.
type Found<'a> = (usize, &'a str, Option<Node<'a>>);

impl<'a> Allowance<'a> {
    fn new(condition: Weighed<'a>, value: Node<'a>) -> Self {
        let each = (value.text().len() as u64).saturating_add(LEAST_TEXT).saturating_mul(READINGS);
        Self { text: each, each, unweighed: Some(condition), found: [None; 2], nowhere: None }
    }

    /// Must be called before the text of a node is read.
    fn charge(&mut self, node: Node<'_>) -> Result<(), Undecided> {
        let length = node.text().len() as u64 + 1;
        if length > self.text {
            self.weigh();
        }
        self.text = self.text.checked_sub(length).ok_or(Undecided)?;
        Ok(())
    }

    /// Allows what all selectors but one do.
    #[cold]
    fn weigh(&mut self) {
        let weight = match self.unweighed.take() {
            Some(Weighed::Test(test)) => weigh_test(test),
            Some(Weighed::Query(query)) => weigh_query(query),
            None => return,
        };
        self.text = self.text.saturating_add(self.each.saturating_mul(weight.saturating_sub(1)));
    }

    /// The member of this name.
    fn member(&mut self, node: Node<'a>, name: &'a str) -> Result<Option<Node<'a>>, Undecided> {
        let known = |found: &&Found<'a>| found.0 == node.mark() && found.1 == name;
        if let Some((_, _, found)) = self.found.iter().flatten().find(known) {
            return Ok(*found);
        }
        self.charge(node)?;
        let found = node.member(name)?;
        if node.kind() == Some(Kind::Object) {
            self.found = [Some((node.mark(), name, found)), self.found[0]];
        }
        Ok(found)
    }
}

impl From<Ambiguous> for Undecided {
    fn from(_: Ambiguous) -> Self {
        Self
    }
}

/// Follows the segments of a query from a node on.
fn follow<'a>(
    segments: &'a [Segment],
    node: Node<'a>,
    allowance: &mut Allowance<'a>,
    visit: Visit<'_, 'a>,
) -> Result<(), Undecided> {
    let Some((segment, rest)) = segments.split_first() else { return visit(node, allowance) };
    match segment {
        Segment::Child(selectors) => {
            select_children(selectors, node, allowance, &mut |child, allowance| follow(rest, child, allowance, visit))
        }
        Segment::Descendant(selectors) => select_descendants(selectors, node, allowance, &mut |child, allowance| {
            follow(rest, child, allowance, visit)
        }),
    }
}

fn select_children<'a>(
    selectors: &'a [Selector],
    node: Node<'a>,
    allowance: &mut Allowance<'a>,
    visit: Visit<'_, 'a>,
) -> Result<(), Undecided> {
    selectors.iter().try_for_each(|selector| select_by(selector, node, allowance, visit))
}

/// Visits the value and its descendants, parents before children and children in order (RFC 9535, section 2.5.2.2).
fn select_descendants<'a>(
    selectors: &'a [Selector],
    node: Node<'a>,
    allowance: &mut Allowance<'a>,
    visit: Visit<'_, 'a>,
) -> Result<(), Undecided> {
    let name = match selectors {
        [Selector::Name(name)] => Some((node.mark(), &**name)),
        _ => None,
    };
    if name.is_some() && allowance.nowhere == name {
        return Ok(());
    }
    let (mut pending, mut nowhere) = (vec![node], true);
    while let Some(node) = pending.pop() {
        let known = pending.len();
        allowance.charge(node)?;
        node.each_child::<Ambiguous>(|child| {
            if is_structure(child) {
                pending.push(child);
            }
            Ok(())
        })?;
        if let Some(children) = pending.get_mut(known..) {
            children.reverse();
        }
        select_children(selectors, node, allowance, &mut |child, allowance| {
            nowhere = false;
            visit(child, allowance)
        })?;
    }
    if nowhere {
        allowance.nowhere = name;
    }
    Ok(())
}

fn select_by<'a>(
    selector: &'a Selector,
    node: Node<'a>,
    allowance: &mut Allowance<'a>,
    visit: Visit<'_, 'a>,
) -> Result<(), Undecided> {
    match selector {
        Selector::Name(name) => allowance.member(node, name)?.map_or(Ok(()), |member| visit(member, allowance)),
        Selector::Wildcard => {
            allowance.charge(node)?;
            node.each_child(|child| visit(child, allowance))
        }
        Selector::Index(index) => {
            let items = items(node, allowance)?;
            let place = if *index < 0 { i128::from(*index) + items.len() as i128 } else { i128::from(*index) };
            item(&items, place).map_or(Ok(()), |item| visit(item, allowance))
        }
        Selector::Slice { start, end, step } => {
            let (items, mut selected) = (items(node, allowance)?, Vec::new());
            slice(&items, *start, *end, step.unwrap_or(1), &mut selected);
            selected.into_iter().try_for_each(|item| visit(item, allowance))
        }
        Selector::Filter(test) => {
            allowance.charge(node)?;
            node.each_child(|child| if test.decide(child, allowance)? { visit(child, allowance) } else { Ok(()) })
        }
    }
}

fn is_structure(node: Node<'_>) -> bool {
    matches!(node.kind(), Some(Kind::Array | Kind::Object))
}

/// The children of an array or object; nothing for a scalar.
fn children<'a>(node: Node<'a>, allowance: &mut Allowance<'a>) -> Result<Vec<Node<'a>>, Undecided> {
    allowance.charge(node)?;
    Ok(node.children()?)
}

/// The items of an array; nothing for another value.
fn items<'a>(node: Node<'a>, allowance: &mut Allowance<'a>) -> Result<Vec<Node<'a>>, Undecided> {
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
    /// As UTF-8, whose order is that of Unicode scalar values.
    String(Cow<'a, [u8]>),
    Structure(Node<'a>),
}

impl<'a> Value<'a> {
    fn of(node: Node<'a>) -> Result<Self, Undecided> {
        let value = match node.kind().ok_or(Undecided)? {
            Kind::Null => Some(Self::Null),
            Kind::Boolean => node.as_bool().map(Self::Boolean),
            Kind::Number => node.as_f64().map(Self::Number),
            Kind::String => node.as_utf8().map(Self::String),
            Kind::Array | Kind::Object => Some(Self::Structure(node)),
        };
        value.ok_or(Undecided)
    }
}

impl Operand {
    fn value<'a>(&'a self, value: Node<'a>, allowance: &mut Allowance<'a>) -> Result<Value<'a>, Undecided> {
        match self {
            Self::Literal(Literal::String(string)) => Ok(Value::String(Cow::Borrowed(string.as_bytes()))),
            Self::Literal(Literal::Number(number)) => Ok(Value::Number(*number)),
            Self::Literal(Literal::Boolean(boolean)) => Ok(Value::Boolean(*boolean)),
            Self::Literal(Literal::Null) => Ok(Value::Null),
            Self::Query(query) => match query.only(value, allowance)? {
                (0, _) => Ok(Value::Nothing),
                (1, Some(node)) => Value::of(node),
                _ => Err(Undecided),
            },
            Self::Value(query) => match query.only(value, allowance)? {
                (1, Some(node)) => Value::of(node),
                _ => Ok(Value::Nothing),
            },
            Self::Count(query) => Ok(Value::Number(query.only(value, allowance)?.0 as f64)),
            Self::Length(operand) => Ok(match operand.value(value, allowance)? {
                Value::String(string) => Value::Number(characters(&string) as f64),
                Value::Structure(node) => Value::Number(children(node, allowance)?.len() as f64),
                Value::Nothing | Value::Null | Value::Boolean(_) | Value::Number(_) => Value::Nothing,
            }),
        }
    }
}

impl Comparison {
    /// RFC 9535, section 2.3.5.2.2.
    fn holds<'a>(self, left: &Value<'a>, right: &Value<'a>, allowance: &mut Allowance<'a>) -> Result<bool, Undecided> {
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

/// How many Unicode scalar values UTF-8 holds: each begins with a byte that goes on with no other.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

fn less(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left < right,
        (Value::String(left), Value::String(right)) => left < right,
        _ => false,
    }
}

fn equal<'a>(left: &Value<'a>, right: &Value<'a>, allowance: &mut Allowance<'a>) -> Result<bool, Undecided> {
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
fn same<'a>(left: Node<'a>, right: Node<'a>, allowance: &mut Allowance<'a>) -> Result<bool, Undecided> {
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
    allowance: &mut Allowance<'a>,
) -> Result<bool, Undecided> {
    for (left, right) in pairs {
        if !same(left, right, allowance)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_scalars<'a>(left: Node<'a>, right: Node<'a>, allowance: &mut Allowance<'a>) -> Result<bool, Undecided> {
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
