//! Reading a window at a time: all of it checked, its brackets, quotes and scalars laid on a [`Tape`].
//!
//! It says the same as the lexer's steps, in another order of work. A block of 64 bytes becomes bit maps ([`Maps`]), one
//! bit a byte, and each rule of RFC 8259 becomes a few operations on such maps, which decide it for the whole block:
//!
//! - *Escapes.* Within a run of backslashes every second one escapes what follows. An addition whose carry runs through
//!   the run tells where runs of odd length end.
//! - *Strings.* A byte is inside of a string where the number of quotes up to it is odd: the parity of the quote map.
//! - *Tokens.* Outside of strings: brackets, commas, colons, the quotes themselves, and the first byte of each scalar.
//! - *What follows what.* `follow(a)` is the token after each of the tokens `a`: add to the map the same map and all
//!   bytes that are no tokens; a carry starts at each `a`, runs through the gap and comes to rest on the next token. So
//!   "behind a name stands a colon" is `follow(end of name) == colon`, for a whole block at once, and what is carried out
//!   says what the next block begins with.
//! - *Objects and arrays* differ in what may follow a comma. Brackets are the one thing that is walked one by one, to
//!   match them; where the innermost one changes its kind a bit toggles, and the parity of the toggles is the map of
//!   all that lies directly in an object.
//!
//! Escapes other than one letter, numbers, literals and UTF-8 are checked byte by byte where they occur.
//!
//! The maps say that a window is wrong, and not where. Then the lexer steps through it again and finds the place; what
//! stands before it is read once more, so that how a document came in pieces changes nothing in what is made of it.
//! What the lexer keeps between windows is the same for both ways ([`Lexer`]), so that it can.

mod bytes;

use super::block::{BLOCK, Blocks, Maps};
use super::grammar::Text;
use super::lexer::{Expect, Lexer, SyntaxError, SyntaxErrorKind, UnderWay};
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
            tape.begin(0);
        }
        Err(error)
    }

    fn scan(&mut self, window: &[u8], tape: &mut Tape) -> bool {
        tape.begin(self.nesting.depth);
        let fine = self.back_end.scan(self, window, tape);
        tape.end();
        fine
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

/// Reads a window; `false` where something in it is not JSON.
#[inline(always)]
pub(super) fn scan<B: Blocks>(lexer: &mut Lexer, window: &[u8], tape: &mut Tape) -> bool {
    let Some(mut scan) = Scan::resume(lexer, window) else { return false };
    let (mut base, mut padded) = (0, [b' '; BLOCK]);
    while base < window.len() {
        let rest = window.get(base..).unwrap_or_default();
        let (block, length) = match rest.first_chunk::<BLOCK>() {
            Some(block) => (block, BLOCK),
            // Behind the last byte stand spaces, which change nothing.
            None => {
                padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                (&padded, rest.len())
            }
        };
        if !scan.block::<B>(lexer, window, base, block, length, tape) {
            return false;
        }
        base += BLOCK;
    }
    if !scan.is_utf8(window) {
        return false;
    }
    scan.suspend(lexer);
    true
}

// What the next token follows ([`Scan::after`]): at most one of these, but that what is behind an opening bracket is
// behind OPEN and FIRST.

/// The next token follows an opening bracket.
const OPEN: u64 = 1;
/// It follows an opening bracket or a comma.
const FIRST: u64 = 2;
/// It follows the opening quote of a name, and closes it.
const IN_NAME: u64 = 4;
/// It follows a name.
const NAME: u64 = 8;
/// It follows a value.
const VALUE: u64 = 16;

/// What is carried from block to block.
struct Scan {
    /// The next byte is escaped.
    escaped: bool,
    /// All ones within a string.
    in_string: u64,
    /// All ones directly within an object.
    in_object: u64,
    /// The last byte was of a scalar.
    scalar: bool,
    /// What the next token follows, as bits.
    after: u64,
    /// Any byte that was not ASCII.
    high: u64,
    /// Up to where strings were checked byte by byte.
    checked: usize,
    /// The end of the sequence that began before this window.
    sequence_end: usize,
    /// Where the string or scalar stands that the window ends in.
    text: Text,
    under_way: UnderWay,
}

impl Scan {
    /// Goes on from where the lexer stands. What of a sequence, an escape or a scalar comes first in this window is
    /// checked here.
    fn resume(lexer: &Lexer, window: &[u8]) -> Option<Self> {
        let mut scan = Self {
            escaped: false,
            in_string: 0,
            in_object: spread(lexer.nesting.in_object()),
            scalar: false,
            after: 0,
            high: 0,
            checked: 0,
            sequence_end: 0,
            text: Text::Plain,
            under_way: UnderWay::None,
        };
        match lexer.under_way {
            UnderWay::Text { name, state } => {
                scan.in_string = u64::MAX;
                scan.after = if name { IN_NAME } else { 0 };
                scan.escaped = matches!(state, Text::Escape { .. });
                scan.escape(state, window, 0)?;
                scan.sequence_end = scan.checked;
            }
            UnderWay::None => {
                scan.after = match lexer.expect {
                    Expect::Value => 0,
                    Expect::Name => FIRST,
                    Expect::ValueOrEnd | Expect::NameOrEnd => FIRST | OPEN,
                    Expect::Colon => NAME,
                    Expect::CommaOrEnd | Expect::Nothing => VALUE,
                }
            }
            scalar => {
                scan.scalar = true;
                scan.after = VALUE;
                scan.scalar(scalar, window, 0)?;
            }
        }
        Some(scan)
    }

    /// Leaves the lexer where the window ends.
    fn suspend(self, lexer: &mut Lexer) {
        let in_object = self.in_object != 0;
        lexer.expect = match self.after {
            _ if self.under_way != UnderWay::None => Expect::Value,
            FIRST if in_object => Expect::Name,
            NAME => Expect::Colon,
            VALUE if lexer.nesting.depth == 0 => Expect::Nothing,
            VALUE => Expect::CommaOrEnd,
            after if after & OPEN == 0 => Expect::Value,
            _ if in_object => Expect::NameOrEnd,
            _ => Expect::ValueOrEnd,
        };
        lexer.under_way = if self.in_string != 0 {
            let state = if self.escaped && self.text == Text::Plain { Text::Escape { low: false } } else { self.text };
            UnderWay::Text { name: self.after == IN_NAME, state }
        } else {
            self.under_way
        };
    }

    /// Checks the next block, of which as many bytes are of the window.
    #[inline(always)]
    fn block<B: Blocks>(
        &mut self,
        lexer: &mut Lexer,
        window: &[u8],
        base: usize,
        block: &[u8; BLOCK],
        length: usize,
        tape: &mut Tape,
    ) -> bool {
        let maps = B::maps(block);
        let valid = if length == BLOCK { u64::MAX } else { (1 << length) - 1 };
        self.high |= maps.high;

        let escaped = self.escaped_bytes(maps.backslash, length);
        let quote = maps.quote & !escaped;
        let inside = B::parity(quote) ^ self.in_string;
        self.in_string = spread(inside >> 63 != 0);
        let outside = !(inside | quote);
        let mut wrong = maps.control & inside;
        if escaped & valid != 0 && !self.escapes(escaped & valid, window, base) {
            return false;
        }

        let Maps { open, close, comma, colon, .. } = maps;
        let (open, close, comma, colon) = (open & outside, close & outside, comma & outside, colon & outside);
        let scalar = outside & !(maps.space | open | close | comma | colon);
        let scalar_start = scalar & !(scalar << 1 | u64::from(self.scalar));
        self.scalar = scalar >> (length - 1) & 1 != 0;
        let marks = open | close | quote | scalar_start;
        let tokens = marks | comma | colon;

        if tokens == 0 {
            return wrong == 0;
        }

        let first_mark = tape.marks();
        tape.mark::<B>(base, marks);
        let mark_of = |bit: u64| first_mark + (marks & (bit - 1)).count_ones() as usize;
        let Some((in_object, in_none)) = self.brackets::<B>(lexer, block, open, close, mark_of, tape) else {
            return false;
        };
        wrong |= comma & in_none;

        // The token after each of `these`: the sum carries from each through the gap behind it.
        let mut after = 0;
        let mut follow = |these: u64, what: u64| {
            let (next, carried) = these.carrying_add(these | !tokens, self.after & what != 0);
            after |= if carried { what } else { 0 };
            next & tokens
        };
        let behind_open = follow(open, OPEN);
        let first = follow(open | comma, FIRST);
        let name_end = follow(first & in_object & quote, IN_NAME);
        let behind_name = follow(name_end, NAME);
        let value_end = (quote & !inside & !name_end) | close | scalar_start;
        let behind_value = follow(value_end, VALUE);
        self.after = after;
        // What comes first in an object is a name, and a colon stands behind each name and nowhere else. A comma or an
        // end stands behind each value and nowhere else, but that an end may stand right behind the opening bracket.
        wrong |= first & in_object & (open | scalar_start);
        wrong |= behind_name ^ colon;
        wrong |= (behind_value ^ (comma | close)) & !(close & behind_open);

        let mut scalars = scalar_start;
        while scalars != 0 {
            let place = base + scalars.trailing_zeros() as usize;
            scalars &= scalars - 1;
            if self.scalar_at(window, place).is_none() {
                return false;
            }
        }
        wrong == 0
    }

    /// Which bytes a backslash escapes.
    #[inline(always)]
    fn escaped_bytes(&mut self, backslash: u64, length: usize) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        if backslash == 0 {
            return u64::from(std::mem::take(&mut self.escaped));
        }
        // A backslash that is escaped itself escapes nothing.
        let before = u64::from(self.escaped);
        let backslash = backslash & !before;
        let behind = backslash << 1 | before;
        // Runs that begin at an odd place are carried off by the sum, those at an even one stay: what is behind a run
        // is escaped where its length is odd, which is where begin and end differ in being odd.
        let (even_runs, carried) = (backslash & !EVEN & !behind).overflowing_add(backslash);
        let escaped = (EVEN ^ (even_runs << 1)) & behind;
        self.escaped = if length == BLOCK { carried } else { escaped >> length & 1 != 0 };
        escaped
    }

    /// Matches the brackets of a block, and tells which of its bytes lie directly within an object, and which within
    /// nothing; `None` where one has no partner or they nest too deep.
    #[inline(always)]
    fn brackets<B: Blocks>(
        &mut self,
        lexer: &mut Lexer,
        block: &[u8; BLOCK],
        open: u64,
        close: u64,
        mark_of: impl Fn(u64) -> usize,
        tape: &mut Tape,
    ) -> Option<(u64, u64)> {
        let nesting = &mut lexer.nesting;
        let mut in_none = spread(nesting.depth == 0);
        let mut rest = open | close;
        if rest == 0 {
            return Some((self.in_object, in_none));
        }
        let mut toggles = 0;
        let mut object = self.in_object != 0;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            let curly = *block.get(rest.trailing_zeros() as usize & (BLOCK - 1))? & 0x20 != 0;
            rest ^= bit;
            let around = object;
            if open & bit != 0 {
                if nesting.depth == lexer.max_depth {
                    return None;
                }
                if nesting.depth == 0 {
                    in_none &= bit - 1;
                }
                nesting.push(curly);
                object = curly;
                tape.opened(mark_of(bit));
            } else {
                if nesting.depth == 0 || object != curly {
                    return None;
                }
                nesting.pop();
                object = nesting.in_object();
                if nesting.depth == 0 {
                    in_none |= !(bit | (bit - 1));
                }
                tape.closed(mark_of(bit));
            }
            toggles |= if around == object { 0 } else { bit };
        }
        // A bracket itself lies in what was innermost before it.
        let in_object = B::parity(toggles) ^ toggles ^ self.in_object;
        self.in_object = spread(object);
        Some((in_object, in_none))
    }
}

/// All ones, or none.
#[inline(always)]
fn spread(bit: bool) -> u64 {
    u64::from(bit).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::{BackEnd, TokenKind};

    /// What a text is by steps: an error, or its tokens.
    fn steps(text: &[u8]) -> Result<Vec<(usize, u8)>, SyntaxError> {
        let (mut lexer, mut at, mut marks) = (Lexer::new(64), 0, Vec::new());
        while let Some(token) = lexer.next(text, &mut at)? {
            marks.push((token.start, text[token.start]));
            if matches!(token.kind, TokenKind::Name | TokenKind::String) {
                marks.push((token.end - 1, b'"'));
            }
        }
        lexer.finish().map(|_| marks)
    }

    /// The same by windows of these sizes, in turn.
    fn windows(text: &[u8], sizes: &[usize], back_end: BackEnd) -> Result<Vec<(usize, u8)>, SyntaxError> {
        let (mut lexer, mut tape, mut base, mut marks) = (Lexer::new(64).on(back_end), Tape::new(), 0, Vec::new());
        for size in sizes.iter().cycle() {
            if base == text.len() {
                break;
            }
            let window = &text[base..text.len().min(base + size)];
            lexer
                .read(window, &mut tape)
                .map_err(|error| SyntaxError { offset: error.offset + base as u64, ..error })?;
            let read = tape.window(window);
            marks.extend((0..).map_while(|mark| read.peek(mark)).map(|(place, byte)| (base + place, byte)));
            base += window.len();
        }
        lexer.finish().map(|_| marks)
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

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn windows_say_what_steps_say(text in text(), sizes in proptest::collection::vec(1..200usize, 1..4)) {
            let steps = steps(&text);
            for back_end in BackEnd::all() {
                for sizes in [&[text.len()], sizes.as_slice(), &[1]] {
                    prop_assert_eq!(&windows(&text, sizes, back_end), &steps, "{} in windows of {:?}", back_end.name(), sizes);
                }
            }
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
