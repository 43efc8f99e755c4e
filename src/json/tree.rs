//! A JSON text as a tree that can be taken apart and put together anew.
//!
//! It is for small texts that are changed, not for what streams by. Scalars and names stay as they were written, so that
//! a number keeps its precision and a text its spelling whatever becomes of what surrounds them.

use std::borrow::Cow;

use super::node::{Ambiguous, Document, Kind, Node};
use super::string::escape_into;

/// A value.
#[derive(Debug, Clone)]
pub enum Tree<'a> {
    /// A string, a number, a literal: as it was written.
    Scalar(&'a [u8]),
    /// The items.
    Array(Vec<Tree<'a>>),
    /// The members, in order; no name stands there twice.
    Object(Vec<Member<'a>>),
}

/// A member of an object.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// Its name, unescaped.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: Tree<'a>,
}

impl<'a> Tree<'a> {
    /// The tree of a document's value.
    ///
    /// # Errors
    /// Where an object holds a name twice.
    pub fn of(document: &'a Document<'_>) -> Result<Self, Ambiguous> {
        Self::of_node(document.root())
    }

    // The lexer bounds how deep this goes.
    fn of_node(node: Node<'a>) -> Result<Self, Ambiguous> {
        Ok(match node.kind() {
            Some(Kind::Object) => {
                let members = node.distinct_members()?.into_iter();
                let members = members.map(|(name, value)| Ok(Member { name, value: Self::of_node(value)? }));
                Self::Object(members.collect::<Result<_, Ambiguous>>()?)
            }
            Some(Kind::Array) => {
                Self::Array(node.children()?.into_iter().map(Self::of_node).collect::<Result<_, _>>()?)
            }
            _ => Self::Scalar(node.text()),
        })
    }

    /// The members, of an object.
    pub fn members(&self) -> &[Member<'a>] {
        if let Self::Object(members) = self { members } else { &[] }
    }

    /// The items, of an array.
    pub fn items(&self) -> &[Tree<'a>] {
        if let Self::Array(items) = self { items } else { &[] }
    }

    /// The member of this name.
    pub fn member(&self, name: &str) -> Option<&Tree<'a>> {
        self.members().iter().find(|member| member.name == name).map(|member| &member.value)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Scalar(text) => super::string::unescape(text.strip_prefix(b"\"")?.strip_suffix(b"\"")?),
            Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(b"null"))
    }

    /// Whether both say the same: strings by their text, numbers by how they are written, since `1.50` is more exact than
    /// `1.5`, objects in whatever order.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(one), Self::Scalar(two)) => {
                one == two || self.as_str().zip(other.as_str()).is_some_and(|(one, two)| one == two)
            }
            (Self::Array(one), Self::Array(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.same(two))
            }
            (Self::Object(one), Self::Object(two)) => {
                let in_other =
                    |member: &Member<'_>| other.member(&member.name).is_some_and(|it| it.same(&member.value));
                one.len() == two.len() && one.iter().all(in_other)
            }
            _ => false,
        }
    }

    /// Whether nothing is in it: an object or an array of nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::Array(items) => items.is_empty(),
            Self::Object(members) => members.is_empty(),
        }
    }

    /// Writes it, without white space.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Scalar(text) => out.extend_from_slice(text),
            Self::Array(items) => {
                out.push(b'[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (place, member) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    escape_into(out, &member.name);
                    out.push(b':');
                    member.value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// Its text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_is_written_as_it_was() {
        let text = r#" {"a" : [1.50, -0, 1E400, "é\u00e9\/", true , null, {}, []], "\u0062": {"c": ""}} "#;
        let document = Document::read(text.as_bytes()).unwrap();
        let written = Tree::of(&document).unwrap().to_bytes();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            r#"{"a":[1.50,-0,1E400,"é\u00e9\/",true,null,{},[]],"b":{"c":""}}"#
        );
    }

    #[test]
    fn a_name_that_stands_twice_has_no_tree() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert!(Tree::of(&Document::read(text.as_bytes()).unwrap()).is_err(), "{text}");
        }
    }

    #[test]
    fn same_is_what_says_the_same() {
        let same = |one: &str, two: &str| {
            let (one, two) = (Document::read(one.as_bytes()).unwrap(), Document::read(two.as_bytes()).unwrap());
            let same = Tree::of(&one).unwrap().same(&Tree::of(&two).unwrap());
            assert_eq!(same, Tree::of(&two).unwrap().same(&Tree::of(&one).unwrap()));
            same
        };
        assert!(same(r#"{"a":1,"b":["x"]}"#, r#"{ "b":["\u0078"],"a":1}"#));
        for (one, two) in [("1.50", "1.5"), ("[1,2]", "[2,1]"), ("[1]", "[1,2]"), (r#"{"a":1}"#, r#"{"a":1,"b":1}"#)] {
            assert!(!same(one, two), "{one} {two}");
        }
        assert!(!same("{}", "[]") && !same("null", r#""null""#));
    }
}
