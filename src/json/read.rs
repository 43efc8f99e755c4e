//! Reading a window at a time: all of it checked, its brackets, quotes and scalars laid on a [`Tape`].
//!
//! It says the same as the lexer's steps, in another order of work: not each byte by all rules, but each rule for all of
//! the window, in simple loops over little. A branch that cannot be foretold costs as much as a block of 64 bytes, so the
//! loops have few: they write what may be wanted, and count what was.
//!
//! First, block by block ([`tokens`]), a block as bit maps, one bit a byte ([`Outline`](super::block::Outline)):
//!
//! - *Escapes.* Within a run of backslashes every second one escapes what follows. An addition whose carry runs through
//!   the run tells where runs of odd length end.
//! - *Strings.* A byte is inside of a string where the number of quotes up to it is odd: the parity of the quote map.
//! - *Tokens.* Outside of strings: brackets, commas, colons, opening quotes, and the first byte of each other scalar. What
//!   is on the tape are those without commas and colons, and the closing quotes.
//!
//! A block has few tokens, and those of all blocks are put together without what lies between them ([`dense`]). So the
//! rest, which is the dearer part, is paid once for 64 tokens, and what follows a token is the next bit:
//!
//! - *Brackets* ([`brackets`]) are walked one by one and matched; each is linked to its partner, and told what kind of
//!   bracket is the innermost behind it.
//! - *What follows what* ([`order`]). `behind(a)` is the map `a`, moved by one. So "behind a name stands a colon" is
//!   `behind(name) == colon`, for 64 tokens at once, and the bit that is moved out says what the next group begins with.
//!   Where the kind of the innermost bracket changes a bit toggles, and the parity of the toggles is the map of all that
//!   lies directly in an object, in which alone what may follow a comma is a name.
//!
//! What is not ASCII is checked to be UTF-8 by maps as well ([`utf8`]), in those blocks that have any of it. Escapes,
//! numbers and literals are checked byte by byte where they occur ([`bytes`]), but that short numbers are checked as a word.
//!
//! What is written down on the way ([`Notes`]) is as long as the window has tokens. A window that fits into the first
//! cache with it, some 16 KiB, is read fastest; a longer one is read all the same.
//!
//! The maps say that a window is wrong, and not where. Then the lexer steps through it again and finds the place; what
//! stands before it is read once more, so that how a document came in pieces changes nothing in what is made of it.
//! What the lexer keeps between windows is the same for both ways ([`Lexer`]), so that it can.

mod brackets;
mod bytes;
mod dense;
mod order;
mod tokens;
mod utf8;

use brackets::{Brackets, Stack};
use bytes::Content;
use dense::{Dense, Group};
use order::{FIRST, NAME, OPEN, Order, VALUE};
use tokens::{Found, Stretch, Tokens};

use super::block::{BLOCK, Blocks};
use super::grammar::Text;
use super::lexer::{Expect, Lexer, SyntaxError, SyntaxErrorKind, UnderWay};
use super::list::{List, STRETCH};
use super::tape::Tape;

impl Lexer {
    /// Reads a window of the input, which goes on where the one before ended. A window is at most 4 GiB long.
    ///
    /// # Errors
    /// Where the input is not JSON; the offset is that of the window. The tape then holds what stands before that place.
    /// The lexer must not be used afterwards.
    pub fn read(&mut self, window: &[u8], tape: &mut Tape) -> Result<(), SyntaxError> {
        let before = self.clone();
        if self.scan(window, tape) {
            return Ok(());
        }
        let error = before.clone().first_error(window);
        let valid = window.get(..error.offset as usize).unwrap_or_default();
        *self = before;
        if !self.scan(valid, tape) {
            tape.begin(0, 0);
        }
        Err(error)
    }

    fn scan(&mut self, window: &[u8], tape: &mut Tape) -> bool {
        tape.begin(self.nesting.depth, window.len());
        self.back_end.scan(self, window, tape)
    }

    /// Steps to the first byte that is wrong.
    fn first_error(mut self, window: &[u8]) -> SyntaxError {
        let mut at = 0;
        loop {
            match self.next(window, &mut at) {
                Ok(Some(_)) => {}
                // INVARIANT: a window is refused by its maps only where a step refuses it. Were it otherwise, it stays
                // refused.
                Ok(None) => return SyntaxError { kind: SyntaxErrorKind::ExpectedValue, offset: 0 },
                Err(error) => return error,
            }
        }
    }
}

/// What the scan writes down of a window on its way, and has no use for afterwards.
#[derive(Debug, Default)]
pub(super) struct Notes {
    tokens: Dense,
    /// What the tokens are, 64 at a time.
    groups: Vec<Group>,
    /// For each block that has scalars where it begins, and which of its bytes begin one.
    scalars: List<(u32, u64)>,
    /// For each bracket the slot of its partner.
    brackets: List<u32>,
    /// For each bracket its byte, or what of it tells its kind; once they are matched, the same of the innermost bracket
    /// that is open behind it.
    shapes: List<u8>,
    stack: Stack,
}

impl Notes {
    pub(super) fn clear(&mut self) {
        self.tokens.clear();
        self.groups.clear();
        self.brackets.clear();
        self.shapes.clear();
        self.scalars.clear();
    }

    /// Makes room, at once, for what clinical JSON without white space has in a window of this length.
    #[inline(always)]
    fn expect<B: Blocks>(&mut self, length: usize) {
        self.tokens.expect::<B>(length / 5);
        self.brackets.expect(length / 24 + BLOCK);
        self.shapes.expect(length / 24 + BLOCK);
        self.scalars.expect(length / BLOCK + STRETCH);
    }
}

/// Reads a window; `false` where something in it is not JSON.
#[inline(always)]
pub(super) fn scan<B: Blocks>(lexer: &mut Lexer, window: &[u8], tape: &mut Tape) -> bool {
    scan_window::<B>(lexer, window, tape).is_some()
}

#[inline(always)]
fn scan_window<B: Blocks>(lexer: &mut Lexer, window: &[u8], tape: &mut Tape) -> Option<()> {
    let (mut tokens, mut content, mut order) = resume(lexer, window)?;

    tape.notes.expect::<B>(window.len());
    let mut found = [Found::default(); STRETCH];
    let (mut base, mut padded) = (0, [b' '; BLOCK]);
    while let Some(rest) = window.get(base..)
        && !rest.is_empty()
    {
        let (whole, _) = rest.as_chunks();
        let (blocks, length) = if whole.is_empty() {
            // Behind the last byte stand spaces, which change nothing.
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            (std::slice::from_ref(&padded), rest.len())
        } else {
            (whole.get(..STRETCH).unwrap_or(whole), BLOCK)
        };
        tokens.read::<B>(Stretch { blocks, length, base, window }, &mut found, tape, &mut content)?;
        base += blocks.len() * BLOCK;
    }
    content.end(window)?;
    content.scalars(tape.notes.scalars.items(), window)?;

    let Notes { tokens: dense, groups, .. } = &mut tape.notes;
    dense.groups::<B>(groups)?;
    let brackets = Brackets::of::<B>(lexer, tape)?;
    order.check::<B>(&tape.notes.groups, &tape.notes.shapes)?;
    brackets.check_root(lexer, &tape.notes.groups)?;

    brackets.leave(lexer, tape);
    suspend(lexer, &tokens, &content, &order);
    Some(())
}

/// Goes on from where the lexer stands. What of a sequence, an escape or a scalar comes first in this window is checked
/// here.
fn resume(lexer: &Lexer, window: &[u8]) -> Option<(Tokens, Content, Order)> {
    let (mut tokens, mut content) = (Tokens::default(), Content::new());
    let behind = match lexer.under_way {
        UnderWay::Text { name, state } => {
            content.escape(state, window, 0)?;
            tokens.in_string = u64::MAX;
            content.goes_on = matches!(state, Text::Escape { .. });
            content.escaped = u64::from(content.goes_on);
            if name { NAME } else { VALUE }
        }
        UnderWay::None => match lexer.expect {
            Expect::Value => 0,
            Expect::Name => FIRST,
            Expect::ValueOrEnd => OPEN,
            Expect::NameOrEnd => FIRST | OPEN,
            Expect::Colon => NAME,
            Expect::CommaOrEnd | Expect::Nothing => VALUE,
        },
        scalar => {
            content.scalar(scalar, window, 0)?;
            tokens.scalar = 1;
            VALUE
        }
    };
    Some((tokens, content, Order::behind(behind, lexer.nesting.in_object())))
}

/// Leaves the lexer where the window ends.
fn suspend(lexer: &mut Lexer, tokens: &Tokens, content: &Content, order: &Order) {
    lexer.under_way = if tokens.in_string != 0 {
        let cut = content.escaped != 0 && content.text == Text::Plain;
        let state = if cut { Text::Escape { low: false } } else { content.text };
        UnderWay::Text { name: order.bits() == NAME, state }
    } else {
        content.under_way
    };
    lexer.expect = match order.bits() {
        _ if lexer.under_way != UnderWay::None => Expect::Value,
        NAME => Expect::Colon,
        VALUE if lexer.nesting.depth == 0 => Expect::Nothing,
        VALUE => Expect::CommaOrEnd,
        FIRST => Expect::Name,
        bits if bits == FIRST | OPEN => Expect::NameOrEnd,
        OPEN => Expect::ValueOrEnd,
        _ => Expect::Value,
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::{BackEnd, TokenKind, Window};

    const DEPTH: usize = 64;

    /// What a text is by steps: an error, or its tokens.
    fn steps(text: &[u8], depth: usize) -> Result<Vec<(usize, u8)>, SyntaxError> {
        let (mut lexer, mut at, mut marks) = (Lexer::new(depth), 0, Vec::new());
        while let Some(token) = lexer.next(text, &mut at)? {
            marks.push((token.start, text[token.start]));
            if matches!(token.kind, TokenKind::Name | TokenKind::String) {
                marks.push((token.end - 1, b'"'));
            }
        }
        // A scalar that ends with the text is its root.
        if lexer.finish()? {
            marks.extend(text.iter().copied().enumerate().find(|(_, byte)| !b" \n\r\t".contains(byte)));
        }
        Ok(marks)
    }

    /// The same by windows of these sizes, in turn.
    fn windows(text: &[u8], depth: usize, sizes: &[usize], back_end: BackEnd) -> Result<Vec<(usize, u8)>, SyntaxError> {
        let (mut lexer, mut tape, mut base, mut marks) = (Lexer::new(depth).on(back_end), Tape::new(), 0, Vec::new());
        for size in sizes.iter().cycle() {
            if base == text.len() {
                break;
            }
            let window = &text[base..text.len().min(base + size)];
            let outer = lexer.nesting.depth;
            let result = lexer.read(window, &mut tape);
            let read = tape.window(window);
            partners_are_matched(&read, outer);
            result.map_err(|error| SyntaxError { offset: error.offset + base as u64, ..error })?;
            marks.extend((0..).map_while(|mark| read.peek(mark)).map(|(place, byte)| (base + place, byte)));
            base += window.len();
        }
        lexer.finish().map(|_| marks)
    }

    /// Holds the links of a window that begins so deep to what one finds who walks its brackets.
    fn partners_are_matched(read: &Window<'_>, outer: usize) {
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        let mut partners = std::collections::HashMap::new();
        let mut marks = 0;
        for (mark, (place, byte)) in (0..).map_while(|mark| Some((mark, read.peek(mark)?))) {
            marks = mark + 1;
            match byte {
                b'{' | b'[' => open.push(mark),
                b'}' | b']' => match open.pop() {
                    Some(partner) => _ = partners.insert(partner, (place + 1, mark + 1)),
                    None => closed.push((place + 1, mark + 1)),
                },
                _ => {}
            }
        }
        for mark in (0..marks).filter(|mark| matches!(read.peek(*mark), Some((_, b'{' | b'[')))) {
            assert_eq!(read.end_of_value(mark), partners.get(&mark).copied(), "mark {mark}");
        }
        for depth in 0..outer + 2 {
            let closed = outer.checked_sub(depth + 1).and_then(|at| closed.get(at));
            assert_eq!(read.end_of_nested(depth), closed.copied(), "depth {depth} of {outer}");
        }
    }

    /// Holds each back end to the steps, in windows of these sizes, in turn.
    fn is_the_same(text: &[u8], depth: usize, sizes: &[usize]) {
        let steps = steps(text, depth);
        for back_end in BackEnd::all() {
            assert_eq!(
                windows(text, depth, sizes, back_end),
                steps,
                "{} in windows of {sizes:?}: {}",
                back_end.name(),
                text.escape_ascii()
            );
        }
    }

    /// Text that is JSON, or was until something happened to it, behind something that moves it off the blocks.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let json = crate::json::node::tests::any_json().prop_map(|value| value.to_string().into_bytes());
        let hostile = "[\\[\\]{}\",:a\\\\u0-9 .etrufalsnE+-]{0,200}".prop_map(String::into_bytes);
        let filler = prop_oneof![Just(Vec::new()), (0..140usize).prop_map(|n| vec![b' '; n])];
        let piece = prop_oneof![
            4 => json.boxed(),
            2 => hostile.boxed(),
            1 => proptest::collection::vec(any::<u8>(), 0..20).boxed(),
            2 => "[\\PC\\\\\"]{0,150}".prop_map(|text| serde_json::to_vec(&text).unwrap()).boxed(),
            1 => "(\\\\u[dD][89a-f][0-9a-f]{2}|\\\\[\"nu/]|\\\\{1,70}|é|x){0,40}".prop_map(|text| format!("\"{text}\"").into_bytes()).boxed(),
        ];
        (filler, proptest::collection::vec(piece, 1..4), 0..3usize, any::<(usize, u8)>()).prop_map(
            |(mut text, pieces, form, (place, byte))| {
                text.push(b'[');
                text.extend(pieces.join(&b','));
                text.push(b']');
                let place = place % text.len();
                match form {
                    0 => {}
                    1 => text[place] = byte,
                    _ => text.truncate(place),
                }
                text
            },
        )
    }

    /// Many tokens without much in them: arrays and objects at random, of which one byte may be another.
    fn tokens() -> impl Strategy<Value = Vec<u8>> {
        let bytes = proptest::sample::select(b"[]{},:\"1 t".to_vec());
        (proptest::collection::vec(any::<u8>(), 0..400), any::<usize>(), proptest::option::of(bytes)).prop_map(
            |(choices, place, other)| {
                let (mut text, mut open, mut first) = (Vec::new(), Vec::new(), true);
                for choice in choices {
                    if !open.is_empty() && choice % 3 == 0 {
                        text.extend(open.pop());
                        first = false;
                        continue;
                    }
                    if !first {
                        text.extend(if open.is_empty() { b"" } else { b",".as_slice() });
                    }
                    if open.is_empty() && !text.is_empty() {
                        break;
                    }
                    if open.last() == Some(&b'}') {
                        text.extend(if choice & 64 == 0 { b"\"\":".as_slice() } else { b"\"a\" :" });
                    }
                    let values = [b"[".as_slice(), b"{", b"{", b"1", b"\"\"", b"true", b" -0.5", b"["];
                    let value = values[usize::from(choice / 3 % 8)];
                    text.extend(value);
                    first = matches!(value, b"[" | b"{");
                    open.extend(first.then_some(if value == b"[" { b']' } else { b'}' }));
                }
                text.extend(open.iter().rev());
                if let (Some(other), false) = (other, text.is_empty()) {
                    let place = place % text.len();
                    text[place] = other;
                }
                text
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn windows_say_what_steps_say(text in text(), sizes in proptest::collection::vec(1..200usize, 1..4)) {
            for sizes in [&[text.len()], sizes.as_slice(), &[1]] {
                is_the_same(&text, DEPTH, sizes);
            }
        }

        #[test]
        fn groups_say_what_steps_say(text in tokens(), sizes in proptest::collection::vec(1..900usize, 1..4)) {
            for sizes in [&[text.len()], sizes.as_slice()] {
                is_the_same(&text, DEPTH, sizes);
            }
        }
    }

    #[test]
    fn groups_may_end_anywhere() {
        for count in (1..70).chain(120..132) {
            for (piece, before, behind) in
                [("1,", "[", "1]"), ("[],", "[", "{}]"), ("\"a\":[],", "{", "\"\":\"\"}"), ("[", "", "")]
            {
                let mut text = format!("{before}{}{behind}", piece.repeat(count)).into_bytes();
                for size in [text.len(), 1, 63, 64, 65, 128] {
                    is_the_same(&text, DEPTH, &[size]);
                }
                // Each byte of it left out.
                for at in (0..text.len()).rev().step_by(3) {
                    let byte = text.remove(at);
                    is_the_same(&text, DEPTH, &[text.len().max(1)]);
                    text.insert(at, byte);
                }
            }
        }
    }

    #[test]
    fn windows_of_each_size() {
        let text = br#" {"name" : [ true, -12.5e+3,null , {"\u00e9\\" : "\ud83d\ude00 \"x\" ","":{}}, [[ ]] ,123456789 ], "b":"","c":false}  "#;
        for size in 1..=text.len() {
            is_the_same(text, DEPTH, &[size]);
            is_the_same(text, DEPTH, &[size, 1, 70]);
            is_the_same(&text[..size], DEPTH, &[size]);
            is_the_same(&text[..size], DEPTH, &[size / 2 + 1]);
        }
    }

    #[test]
    fn the_limit_of_the_depth_holds_anywhere_in_a_group() {
        for depth in [1, 2, 5, 63, 64, 65, 100, 511, 512] {
            for most in [depth - 1, depth] {
                for pairs in [0, 1, 20, 31, 32, 33, 50] {
                    let pairs = if depth > 1 { format!("[{}", "[],".repeat(pairs)) } else { "[".into() };
                    let text = format!("{pairs}{}{}", "[".repeat(depth - 1), "]".repeat(depth));
                    for size in [text.len(), 7, 64] {
                        is_the_same(text.as_bytes(), most, &[size]);
                    }
                }
            }
        }
    }

    #[test]
    fn there_is_one_root() {
        for text in [
            "{}",
            "[]",
            " 1 ",
            "\"\"",
            "{}{}",
            "{},{}",
            "{} , \"a\":{}",
            "[],",
            "[],[]",
            "[]]",
            "{}}",
            "[[]]]",
            "]",
            "}{",
            "][",
            "][]",
            ",",
            ",{}",
            ",[]",
            "1,2",
            "1,[]",
            "1 []",
            "[] 1",
            "[]1",
            "\"a\",\"b\"",
            "\"a\":1",
            "\"a\" {}",
            "\"a\",{}",
            "{}\"a\"",
            "{\"a\":1},",
            "[1],2",
            "[1]:",
            "{]",
            "[}",
            "[{]}",
            "{\"a\":[}]",
            "[[],{},[{}],[}]",
            "[]  ,  ",
            "true,",
            "null[]",
        ] {
            for size in 1..=text.len() {
                is_the_same(text.as_bytes(), DEPTH, &[size]);
                is_the_same(text.as_bytes(), DEPTH, &[size, 100]);
            }
            let long = format!("{}{text}", " ".repeat(60));
            is_the_same(long.as_bytes(), DEPTH, &[long.len()]);
        }
    }

    #[test]
    fn a_value_is_passed_over_in_one_step_within_a_window_and_beyond() {
        let text = br#"{"a":[1,{"b":"]"}],"c":true}"#;
        let (mut lexer, mut tape) = (Lexer::new(8), Tape::new());
        lexer.read(text, &mut tape).unwrap();
        let window = tape.window(text);
        assert_eq!(window.end_of_value(0), Some((text.len(), 16)));
        assert_eq!(window.end_of_value(3), Some((18, 12)));
        assert_eq!(window.end_of_value(14), Some((27, 15)));
        for cut in 6..18 {
            let mut lexer = Lexer::new(8);
            lexer.read(&text[..cut], &mut tape).unwrap();
            assert_eq!(tape.window(&text[..cut]).end_of_value(3), None, "cut at {cut}");
            lexer.read(&text[cut..], &mut tape).unwrap();
            let rest = tape.window(&text[cut..]);
            assert_eq!(rest.end_of_nested(1).map(|(end, _)| end), Some(18 - cut), "cut at {cut}");
            assert_eq!(rest.end_of_nested(0).map(|(end, _)| end), Some(text.len() - cut), "cut at {cut}");
        }
    }
}
