//! A read-only view of one value inside JSON text that was validated and lies in one piece.
//!
//! A node reads its text as often as it is asked and stores nothing. On text that is not JSON it finds nothing, or says
//! that it is `Ambiguous`; it never panics, and never recurses.

use std::borrow::Cow;

use memchr::memchr2;

use super::string::unescape;

/// A value inside JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    // INVARIANT: no whitespace at either end.
    text: &'a [u8],
}

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

/// An object cannot be read in one way only: a name stands there twice, or its text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an object holds a name twice; give each member of an object a name of its own")]
pub struct Ambiguous;

impl<'a> Node<'a> {
    /// The value that is `text`, whitespace around it aside.
    pub fn new(text: &'a [u8]) -> Self {
        let start = space(text, 0);
        let text = text.get(start..).unwrap_or_default();
        let end = text.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
        Self { text: text.get(..end).unwrap_or_default() }
    }

    /// The text, as it stands.
    pub fn text(self) -> &'a [u8] {
        self.text
    }

    /// What the value is; `None` where the text is no JSON.
    pub fn kind(self) -> Option<Kind> {
        match self.text.first()? {
            b'{' => Some(Kind::Object),
            b'[' => Some(Kind::Array),
            b'"' => Some(Kind::String),
            b'-' | b'0'..=b'9' => Some(Kind::Number),
            b't' if self.text == b"true" => Some(Kind::Boolean),
            b'f' if self.text == b"false" => Some(Kind::Boolean),
            b'n' if self.text == b"null" => Some(Kind::Null),
            _ => None,
        }
    }

    /// The text of a string; `None` for another value and where it has none ([`unescape`]).
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        unescape(self.text.strip_prefix(b"\"")?.strip_suffix(b"\"")?)
    }

    /// A number as the nearest double; `None` for another value and beyond what a double can hold.
    pub fn as_f64(self) -> Option<f64> {
        if self.kind()? != Kind::Number {
            return None;
        }
        str::from_utf8(self.text).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Whether the value is `true` or `false`; `None` for another value.
    pub fn as_bool(self) -> Option<bool> {
        match self.text {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// Whether the value is `null`.
    pub fn is_null(self) -> bool {
        self.text == b"null"
    }

    /// The members of an object, in order and with those that stand twice; nothing for another value.
    pub fn members(self) -> Members<'a> {
        Members(Children::new(self.text, b'{'))
    }

    /// The items of an array, in order; nothing for another value.
    pub fn items(self) -> Items<'a> {
        Items(Children::new(self.text, b'['))
    }

    /// The member of this name; `None` where there is none, and for a value that is no object.
    ///
    /// # Errors
    /// Where the name stands twice, or the text is not JSON.
    pub fn member(self, name: &str) -> Result<Option<Node<'a>>, Ambiguous> {
        let mut children = Children::new(self.text, b'{');
        let mut found = None;
        while let Some((each, value)) = children.next_member()? {
            if each == name && found.replace(value).is_some() {
                return Err(Ambiguous);
            }
        }
        Ok(found)
    }

    /// The members of an object, once it is known that no name stands there twice; nothing for another value.
    ///
    /// # Errors
    /// Where a name stands twice, or the text is not JSON.
    pub fn distinct_members(self) -> Result<Vec<(Cow<'a, str>, Node<'a>)>, Ambiguous> {
        let mut children = Children::new(self.text, b'{');
        let mut members = Vec::new();
        while let Some(member) = children.next_member()? {
            members.push(member);
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        if names.array_windows().any(|[one, next]| one == next) {
            return Err(Ambiguous);
        }
        Ok(members)
    }

    /// The values of an array's items or of an object's members; nothing for a scalar.
    ///
    /// # Errors
    /// Where a name stands twice, or the text is not JSON.
    pub fn children(self) -> Result<Vec<Node<'a>>, Ambiguous> {
        if self.kind() == Some(Kind::Object) {
            return Ok(self.distinct_members()?.into_iter().map(|(_, value)| value).collect());
        }
        let mut children = Children::new(self.text, b'[');
        let mut items = Vec::new();
        while let Some(item) = children.next_item()? {
            items.push(item);
        }
        Ok(items)
    }
}

/// The members of an object.
#[derive(Debug, Clone)]
pub struct Members<'a>(Children<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_member().ok().flatten()
    }
}

/// The items of an array.
#[derive(Debug, Clone)]
pub struct Items<'a>(Children<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_item().ok().flatten()
    }
}

/// A place among the children of an array or object. After an error there is nothing more.
#[derive(Debug, Clone)]
struct Children<'a> {
    text: &'a [u8],
    at: usize,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    First,
    Later,
    End,
}

impl<'a> Children<'a> {
    fn new(text: &'a [u8], open: u8) -> Self {
        let place = if text.first() == Some(&open) { Place::First } else { Place::End };
        Self { text, at: 1, place }
    }

    fn next_member(&mut self) -> Result<Option<(Cow<'a, str>, Node<'a>)>, Ambiguous> {
        self.next_with(b'}', |children| {
            let name = children.value()?.as_str()?;
            children.at = space(children.text, children.at);
            children.byte(b':')?;
            children.at = space(children.text, children.at);
            Some((name, children.value()?))
        })
    }

    fn next_item(&mut self) -> Result<Option<Node<'a>>, Ambiguous> {
        self.next_with(b']', Self::value)
    }

    fn next_with<T>(&mut self, close: u8, read: impl FnOnce(&mut Self) -> Option<T>) -> Result<Option<T>, Ambiguous> {
        if self.place == Place::End {
            return Ok(None);
        }
        let first = self.place == Place::First;
        // Whatever goes wrong from here on leaves nothing to find.
        self.place = Place::End;
        self.at = space(self.text, self.at);
        if self.byte(close).is_some() {
            return if self.at == self.text.len() { Ok(None) } else { Err(Ambiguous) };
        }
        if !first {
            self.byte(b',').ok_or(Ambiguous)?;
            self.at = space(self.text, self.at);
        }
        let read = read(self).ok_or(Ambiguous)?;
        self.place = Place::Later;
        Ok(Some(read))
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        (*self.text.get(self.at)? == wanted).then(|| self.at += 1)
    }

    fn value(&mut self) -> Option<Node<'a>> {
        let end = skip(self.text, self.at)?;
        let text = self.text.get(self.at..end)?;
        self.at = end;
        Some(Node { text })
    }
}

/// The end of the value that starts at `start`. The text is valid JSON, so that counting brackets is enough.
fn skip(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => at = skip_string(text, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            _ if depth == 0 => {
                at = skip_word(text, at);
                return (at > start).then_some(at);
            }
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

fn skip_string(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        match text.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

fn skip_word(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let is_end = |byte: &u8| is_space(*byte) || matches!(byte, b',' | b':' | b']' | b'}' | b'[' | b'{' | b'"');
    start + rest.iter().position(is_end).unwrap_or(rest.len())
}

fn space(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn node(text: &str) -> Node<'_> {
        Node::new(text.as_bytes())
    }

    /// The same value, read through nodes alone.
    fn read(node: Node<'_>) -> Option<Value> {
        Some(match node.kind()? {
            Kind::Null => Value::Null,
            Kind::Boolean => node.as_bool()?.into(),
            Kind::Number => serde_json::from_slice(node.text()).ok()?,
            Kind::String => node.as_str()?.into_owned().into(),
            Kind::Array => node.items().map(read).collect::<Option<Vec<_>>>()?.into(),
            Kind::Object => Value::Object(
                node.members().map(|(name, value)| Some((name.into_owned(), read(value)?))).collect::<Option<_>>()?,
            ),
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
        let object = node(r#" { "a" : 1 , "\u0062":[ 2 ,{} ], "c":{"a":3}, "d":"}\"" } "#);
        assert_eq!(object.member("a").unwrap().unwrap().text(), b"1");
        assert_eq!(object.member("b").unwrap().unwrap().text(), b"[ 2 ,{} ]");
        assert_eq!(object.member("d").unwrap().unwrap().as_str().unwrap(), "}\"");
        assert!(object.member("e").unwrap().is_none());
        assert!(node("[1]").member("a").unwrap().is_none());
    }

    #[test]
    fn a_name_that_stands_twice_is_an_error() {
        let object = node(r#"{"a":1,"b":2,"\u0061":3}"#);
        assert_eq!(object.member("a").unwrap_err(), Ambiguous);
        assert_eq!(object.member("b").unwrap().unwrap().text(), b"2", "the other name stands once");
        assert_eq!(object.distinct_members().unwrap_err(), Ambiguous);
        assert_eq!(object.children().unwrap_err(), Ambiguous);
        assert_eq!(object.members().count(), 3);
    }

    #[test]
    fn text_that_is_not_json_yields_nothing_or_an_error() {
        for text in [
            "",
            " ",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1,}",
            "{\"\\ud800\":1}",
        ] {
            assert!(node(text).member("b").map_or(true, |found| found.is_none()), "{text}");
        }
        assert!(node("{\"a\":1").member("a").is_err());
        assert!(node("{\"a\":1}}").member("a").is_err());
        assert!(node("[1,]").children().is_err());
        assert!(node("[1 2]").children().is_err());
        assert_eq!(node("nul").kind(), None);
        assert_eq!(node("\"").as_str(), None);
        assert_eq!(node("1e400").as_f64(), None);
        assert_eq!(node("-").as_f64(), None);
    }

    #[test]
    fn nesting_of_any_depth_is_skipped_without_recursion() {
        let text = format!("[{}{},1]", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(node(&text).items().nth(1).unwrap().text(), b"1");
    }

    proptest! {
        #[test]
        fn a_node_reads_what_another_parser_reads(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(read(node(&text)), Some(value));
        }

        #[test]
        fn no_text_panics(text in r#"([\[\]{}",:\\ \n]|true|nul|[0-9eE.-]|\\u00|"a"|é){0,24}"#) {
            fn walk(node: Node<'_>) {
                let _ = (node.as_str(), node.as_f64(), node.as_bool(), node.member("a"), node.children());
                node.items().for_each(walk);
                node.members().for_each(|(_, value)| walk(value));
            }
            walk(node(&text));
        }
    }
}
