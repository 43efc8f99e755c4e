//! Conditions: the filter expressions of RFC 9535 as data, relative to one value (`@`).
//!
//! A condition looks at the upstream's bytes, never at what is left of them. One that cannot be decided, since a member
//! that it asks for stands there twice, is not false but [`Undecided`], and its caller withholds.
//!
//! This file is what conditions are; how they are decided stands in [`Test::holds`] and [`Query::select`].

mod evaluate;

/// A logical expression (RFC 9535, section 2.3.5).
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// True where each one is; true where there is none.
    All(Vec<Test>),
    /// True where one of them is.
    Any(Vec<Test>),
    /// The opposite.
    Not(Box<Test>),
    /// True where the query selects at least one value.
    Exists(Query),
    /// True where the comparison holds.
    Compare(Operand, Comparison, Operand),
    /// True where every value that the query selects is an array; true where it selects none.
    AllArrays(Query),
}

/// A query relative to the value under test: `@` and what follows it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// The segments, in order; none selects the value itself.
    pub segments: Vec<Segment>,
}

/// A segment (RFC 9535, section 2.5).
#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    /// Selects among the children.
    Child(Vec<Selector>),
    /// Selects among the children of the value and of all its descendants.
    Descendant(Vec<Selector>),
}

/// A selector (RFC 9535, section 2.3).
#[derive(Debug, Clone, PartialEq)]
pub enum Selector {
    /// The member of this name.
    Name(Box<str>),
    /// Each child.
    Wildcard,
    /// The item at this place, from the end where negative.
    Index(i64),
    /// The items of a slice.
    Slice {
        /// The first place.
        start: Option<i64>,
        /// The place after the last.
        end: Option<i64>,
        /// The step; 1 where none is given.
        step: Option<i64>,
    },
    /// Each child for which the test holds.
    Filter(Box<Test>),
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A literal.
    Literal(Literal),
    /// The value of a singular query, or nothing. A query that selects several values is undecided here.
    Query(Query),
    /// `length(…)`: characters of a string, items of an array, members of an object.
    Length(Box<Operand>),
    /// `count(…)`: how many values the query selects.
    Count(Query),
    /// `value(…)`: the one value that the query selects, or nothing.
    Value(Query),
}

/// A literal of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A string.
    String(Box<str>),
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// `null`.
    Null,
}

/// A comparison operator (RFC 9535, section 2.3.5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A test that cannot be decided for this value, whose data must then be withheld.
///
/// A member that is asked for stands there twice, or any member of an object that is looked at as a whole; a string that
/// is compared has no text, or a number is beyond a double; the text is no JSON; or deciding would take too much work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a condition cannot be decided for this value")]
pub struct Undecided;
