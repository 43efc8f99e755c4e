//! A read-only view of one value of JSON that has been read onto a tape.
//!
//! A node reads the tape as often as it is asked and stores nothing. What it looks at was checked when it was read, so
//! it passes over each value in one step.

use std::borrow::Cow;

use super::lexer::{Lexer, MOST_DEPTH, SyntaxError};
use super::string::unescape;
use super::tape::{Tape, Window};

/// A whole JSON text that has been read.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a [u8],
    tape: Tape,
}

impl<'a> Document<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// Where it is not JSON.
    pub fn read(text: &'a [u8]) -> Result<Self, SyntaxError> {
        let (mut lexer, mut tape) = (Lexer::new(MOST_DEPTH), Tape::new());
        lexer.read(text, &mut tape)?;
        lexer.finish()?;
        Ok(Self { text, tape })
    }

    /// Its value.
    pub fn root(&self) -> Node<'_> {
        Node { window: self.tape.window(self.text), mark: 0 }
    }
}

/// A value inside JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    window: Window<'a>,
    /// Its first mark.
    mark: usize,
}

/// How many names of an object are compared each with each.
const FEW: usize = 8;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
}

/// An object cannot be read in one way only: a name stands there twice, or its text goes on beyond what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an object holds a name twice; give each member of an object a name of its own")]
pub struct Ambiguous;

impl<'a> Node<'a> {
    /// The value whose first mark this is, and which ends within the window.
    pub fn new(window: Window<'a>, mark: usize) -> Self {
        Self { window, mark }
    }

    /// Its first mark: two values of one window are the same where these are.
    pub fn mark(self) -> usize {
        self.mark
    }

    /// The text, as it stands.
    pub fn text(self) -> &'a [u8] {
        let Some(start) = self.window.place(self.mark) else { return &[] };
        // A scalar that the text ends with ends with it.
        let end = self.window.end_of_value(self.mark).map_or(self.window.text.len(), |(end, _)| end);
        self.window.text.get(start..end).unwrap_or_default()
    }

    /// What the value is; `None` where there is none.
    pub fn kind(self) -> Option<Kind> {
        Some(match self.window.peek(self.mark)?.1 {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::String,
            b't' | b'f' => Kind::Boolean,
            b'n' => Kind::Null,
            _ => Kind::Number,
        })
    }

    /// The text of a string; `None` for another value.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        unescape(self.text().strip_prefix(b"\"")?.strip_suffix(b"\"")?)
    }

    /// The same, as UTF-8.
    pub fn as_utf8(self) -> Option<Cow<'a, [u8]>> {
        let text = self.text().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        // What was read is UTF-8 and holds nothing that must be escaped.
        if !text.contains(&b'\\') {
            return Some(Cow::Borrowed(text));
        }
        Some(Cow::Owned(unescape(text)?.into_owned().into_bytes()))
    }

    /// A number as the nearest double; `None` for another value and beyond what a double can hold.
    pub fn as_f64(self) -> Option<f64> {
        if self.kind()? != Kind::Number {
            return None;
        }
        str::from_utf8(self.text()).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Whether the value is `true` or `false`; `None` for another value.
    pub fn as_bool(self) -> Option<bool> {
        match self.text() {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// Whether the value is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Some(Kind::Null)
    }

    /// The member of this name; `None` where there is none, and for a value that is no object.
    ///
    /// # Errors
    /// Where the name stands twice.
    pub fn member(self, name: &str) -> Result<Option<Node<'a>>, Ambiguous> {
        let mut found = None;
        self.each_member::<Ambiguous>(|each, value| {
            if each.is(name) && found.replace(value.mark).is_some() { Err(Ambiguous) } else { Ok(()) }
        })?;
        Ok(found.map(|mark| Node { mark, ..self }))
    }

    /// The values of an array's items or of an object's members, in order; nothing for a scalar.
    ///
    /// # Errors
    /// Where a name stands twice.
    pub fn children(self) -> Result<Vec<Node<'a>>, Ambiguous> {
        let mut children = Vec::new();
        self.each_child::<Ambiguous>(|child| {
            children.push(child);
            Ok(())
        })?;
        Ok(children)
    }

    /// Visits the same values.
    ///
    /// # Errors
    /// As above, before the first visit to a member; and the first of a visit, with which it ends.
    pub fn each_child<E: From<Ambiguous>>(self, mut visit: impl FnMut(Node<'a>) -> Result<(), E>) -> Result<(), E> {
        match self.kind() {
            Some(Kind::Object) => {
                self.check_distinct()?;
                self.each_member(|_, value| visit(value))
            }
            Some(Kind::Array) => {
                let mut mark = self.mark + 1;
                while self.window.peek(mark).ok_or(Ambiguous)?.1 != b']' {
                    visit(Node { mark, ..self })?;
                    mark = self.window.behind(mark).ok_or(Ambiguous)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The members of an object, once it is known that no name stands there twice; nothing for another value.
    ///
    /// # Errors
    /// Where a name stands twice.
    pub fn distinct_members(self) -> Result<Vec<(Cow<'a, str>, Node<'a>)>, Ambiguous> {
        let mut members = Vec::new();
        self.each_member::<Ambiguous>(|name, value| {
            members.push((name.text().ok_or(Ambiguous)?, value));
            Ok(())
        })?;
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        if names.array_windows().any(|[one, next]| one == next) {
            return Err(Ambiguous);
        }
        Ok(members)
    }

    /// The same, where the members are not asked for. Most objects have few, and names without an escape, which are
    /// compared as they stand.
    fn check_distinct(self) -> Result<(), Ambiguous> {
        let (mut few, mut count, mut more) = ([[].as_slice(); FEW], 0, false);
        self.each_member::<Ambiguous>(|name, _| {
            let known = few.get(..count).unwrap_or_default().contains(&name.raw);
            match few.get_mut(count).filter(|_| !name.raw.contains(&b'\\')) {
                Some(slot) => (*slot, count) = (name.raw, count + 1),
                None => more = true,
            }
            if known { Err(Ambiguous) } else { Ok(()) }
        })?;
        if more { self.distinct_members().map(|_| ()) } else { Ok(()) }
    }

    /// Visits the members of an object, in order and with those that stand twice; nothing for another value.
    fn each_member<E: From<Ambiguous>>(
        self,
        mut visit: impl FnMut(Name<'a>, Node<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.kind() != Some(Kind::Object) {
            return Ok(());
        }
        let (window, mut mark) = (self.window, self.mark + 1);
        // Behind a member stands another, or at least the bracket of its object.
        while let Some([start, end, place]) = window.places(mark)
            && window.text.get(start) == Some(&b'"')
        {
            let raw = window.text.get(start + 1..end).ok_or(Ambiguous)?;
            visit(Name { raw }, Node { mark: mark + 2, ..self })?;
            mark = window.behind_at(mark + 2, place).ok_or(Ambiguous)?;
        }
        if window.peek(mark).is_some_and(|(_, byte)| byte == b'}') { Ok(()) } else { Err(Ambiguous.into()) }
    }
}

/// The name of a member, as it stands between its quotes.
#[derive(Clone, Copy)]
struct Name<'a> {
    raw: &'a [u8],
}

impl<'a> Name<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        unescape(self.raw)
    }

    /// Whether this is the name, however it is spelled.
    #[inline(always)]
    fn is(self, name: &str) -> bool {
        // Most names that are not it begin with another letter.
        match (self.raw.first(), name.as_bytes().first()) {
            (Some(first), Some(wanted)) if first != wanted && *first != b'\\' => false,
            _ => self.is_spelled(name),
        }
    }

    #[inline(never)]
    fn is_spelled(self, name: &str) -> bool {
        let mut expected = name.bytes();
        for byte in self.raw {
            if *byte == b'\\' {
                return self.text().is_some_and(|text| text == name);
            }
            // Up to here nothing was escaped, and nothing that follows takes this byte back.
            if expected.next() != Some(*byte) {
                return false;
            }
        }
        expected.next().is_none()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read(text: &str) -> Document<'_> {
        Document::read(text.as_bytes()).unwrap()
    }

    /// The same value, read through nodes alone.
    fn value(node: Node<'_>) -> Option<Value> {
        Some(match node.kind()? {
            Kind::Null => Value::Null,
            Kind::Boolean => node.as_bool()?.into(),
            Kind::Number => serde_json::from_slice(node.text()).ok()?,
            Kind::String => node.as_str()?.into_owned().into(),
            Kind::Array => node.children().ok()?.into_iter().map(value).collect::<Option<Vec<_>>>()?.into(),
            Kind::Object => {
                let mut members = serde_json::Map::new();
                node.each_member(|name, of| {
                    members.insert(name.text().ok_or(Ambiguous)?.into_owned(), value(of).ok_or(Ambiguous)?);
                    Ok::<_, Ambiguous>(())
                })
                .ok()?;
                members.into()
            }
        })
    }

    pub(in crate::json) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\[\\]{}\",:\\\\ ]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn a_member_is_found_by_its_unescaped_name() {
        let object = read(r#" { "a" : 1 , "\u0062":[ 2 ,{} ], "c":{"a":3}, "d":"}\"" } "#);
        let object = object.root();
        assert_eq!(object.member("a").unwrap().unwrap().text(), b"1");
        assert_eq!(object.member("b").unwrap().unwrap().text(), b"[ 2 ,{} ]");
        assert_eq!(object.member("d").unwrap().unwrap().as_str().unwrap(), "}\"");
        assert!(object.member("e").unwrap().is_none());
        assert!(read("[1]").root().member("a").unwrap().is_none());
    }

    #[test]
    fn a_name_that_stands_twice_is_an_error() {
        let object = read(r#"{"a":1,"b":2,"\u0061":3}"#);
        let object = object.root();
        assert_eq!(object.member("a").unwrap_err(), Ambiguous);
        assert_eq!(object.member("b").unwrap().unwrap().text(), b"2", "the other name stands once");
        assert_eq!(object.distinct_members().unwrap_err(), Ambiguous);
        assert_eq!(object.children().unwrap_err(), Ambiguous);
        let many = format!("{{{}\"x0\":1}}", (0..20).map(|n| format!("\"x{n}\":1,")).collect::<String>());
        assert_eq!(read(&many).root().children().unwrap_err(), Ambiguous);
        assert_eq!(read(&many.replace("\"x0\":1}", "\"y\":1}")).root().children().unwrap().len(), 21);
    }

    #[test]
    fn text_that_is_not_json_is_no_document() {
        for text in
            ["", " ", "{", "{\"a\"", "{\"a\":1", "{a:1}", "{\"a\":1,}", "{\"\\ud800\":1}", "[1 2]", "1}", "nul", "-"]
        {
            assert!(Document::read(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(read("1e400").root().as_f64(), None);
        assert_eq!(read(" 1.5 ").root().text(), b"1.5");
    }

    #[test]
    fn a_value_that_goes_on_beyond_what_was_read_is_ambiguous() {
        let text = br#"{"a":[1,2],"b":{"c":[3"#;
        let (mut lexer, mut tape) = (Lexer::new(8), Tape::new());
        lexer.read(text, &mut tape).unwrap();
        let node = Node::new(tape.window(text), 0);
        assert_eq!(node.member("a").unwrap_err(), Ambiguous);
        assert_eq!(node.children().unwrap_err(), Ambiguous);
    }

    proptest! {
        #[test]
        fn a_node_reads_what_another_parser_reads(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(super::tests::value(read(&text).root()), Some(value));
        }
    }
}
