//! What no map tells, byte by byte where it occurs: escapes, numbers and literals.

use std::ops::Range;

use super::super::block::{BLOCK, Bits};
use super::super::grammar::{Number, Text};
use super::super::lexer::UnderWay;
use super::utf8::Sequences;

/// How far the content of strings and scalars was checked.
pub(super) struct Content {
    /// Up to where escapes were checked, and what the window begins with.
    pub(super) checked: usize,
    /// One where the next byte is escaped.
    pub(super) escaped: u64,
    sequences: Sequences,
    /// Whether an escape or a sequence goes on in the next block.
    pub(super) goes_on: bool,
    /// Where in its text the string stands that the window ends in.
    pub(super) text: Text,
    /// The scalar that the window ends in.
    pub(super) under_way: UnderWay,
}

impl Content {
    pub(super) fn new() -> Self {
        Self {
            checked: 0,
            escaped: 0,
            sequences: Sequences::default(),
            goes_on: false,
            text: Text::Plain,
            under_way: UnderWay::None,
        }
    }

    /// Checks that a block, which begins here in the window, is UTF-8. It may be left out where the block is all ASCII, and
    /// nothing goes on in it; asked before its escapes.
    #[cold]
    pub(super) fn sequences(&mut self, bits: &Bits, base: usize, length: usize) -> Option<()> {
        let mut bits = *bits;
        if base == 0 {
            // What the window begins with may be the rest of a sequence, which has been stepped through.
            bits[7] &= u64::MAX.checked_shl(self.checked as u32).unwrap_or_default();
        }
        // Behind the window may stand what a sequence goes on with.
        let wrong = self.sequences.wrong(&bits) & u64::MAX >> (BLOCK - length);
        (wrong == 0).then_some(())
    }

    /// Checks the escapes of a block, which lies here in the window. Answers which of its bytes are escaped.
    #[cold]
    pub(super) fn escapes(&mut self, backslash: u64, window: &[u8], block: Range<usize>) -> Option<u64> {
        let escaped = escaped_bytes(backslash, block.len(), &mut self.escaped);
        self.goes_on = self.escaped != 0 || self.sequences.go_on();
        let mut rest = escaped;
        while rest != 0 {
            let place = block.start + rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if place >= self.checked {
                self.escape(Text::Escape { low: false }, window, place)?;
            }
        }
        Some(escaped)
    }

    /// Steps from within an escape or a sequence to plain content.
    pub(super) fn escape(&mut self, mut state: Text, window: &[u8], mut place: usize) -> Option<()> {
        while state != Text::Plain
            && let Some(byte) = window.get(place)
        {
            state = state.after(*byte).ok()?;
            place += 1;
        }
        self.checked = place;
        self.text = state;
        Some(())
    }

    /// Where the window ends in a sequence: says how it may go on, which the steps know.
    pub(super) fn end(&mut self, window: &[u8]) -> Option<()> {
        if window.last().is_none_or(u8::is_ascii) {
            return Some(());
        }
        // It began one to three bytes before the end; what the window began with has been stepped through.
        let from = window.len().saturating_sub(3).max(self.checked);
        let last = window.get(from..)?;
        if let Some(lead) = last.iter().rposition(|byte| *byte >= 0xc0) {
            for byte in last.get(lead..)? {
                self.text = self.text.after(*byte).ok()?;
            }
        }
        Some(())
    }

    /// Checks the scalars that begin at the bits of these words, each of which lies at its place in the window.
    #[inline(never)]
    pub(super) fn scalars(&mut self, blocks: &[(u32, u64)], window: &[u8]) -> Option<()> {
        // One loop for all of them, and not one for each block: how many a block has is hard to foretell.
        let (mut blocks, mut base, mut rest) = (blocks.iter(), 0, 0);
        for _ in 0..blocks.as_slice().iter().map(|(_, scalars)| scalars.count_ones()).sum() {
            if rest == 0 {
                (base, rest) = *blocks.next()?;
            }
            let place = base as usize + rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if !is_short_scalar(window, place) {
                self.scalar_at(window, place)?;
            }
        }
        Some(())
    }

    /// Checks the scalar that begins at this place.
    fn scalar_at(&mut self, window: &[u8], place: usize) -> Option<()> {
        let state = match window.get(place)? {
            b'-' => UnderWay::Number(Number::Minus),
            b'0' => UnderWay::Number(Number::Zero),
            b'1'..=b'9' => UnderWay::Number(Number::Integer),
            b't' => UnderWay::Literal { rest: b"rue" },
            b'f' => UnderWay::Literal { rest: b"alse" },
            b'n' => UnderWay::Literal { rest: b"ull" },
            _ => return None,
        };
        self.scalar(state, window, place + 1)
    }

    /// Steps through a scalar to its end.
    #[inline]
    pub(super) fn scalar(&mut self, state: UnderWay, window: &[u8], mut place: usize) -> Option<()> {
        self.under_way = match state {
            UnderWay::Number(mut state) => loop {
                // Of digits behind digits only the number is to be known.
                if matches!(state, Number::Integer | Number::Fraction)
                    && let Some(bytes) = window.get(place..).and_then(|rest| rest.first_chunk::<8>())
                {
                    place += leading_digits(u64::from_le_bytes(*bytes)) as usize;
                }
                let Some(byte) = window.get(place) else { break UnderWay::Number(state) };
                match state.after(*byte) {
                    Some(next) => state = next,
                    None if state.may_end() && ends_scalar(*byte) => break UnderWay::None,
                    None => return None,
                }
                place += 1;
            },
            UnderWay::Literal { mut rest } => loop {
                match (window.get(place), rest.split_first()) {
                    (None, _) => break UnderWay::Literal { rest },
                    (Some(byte), None) if ends_scalar(*byte) => break UnderWay::None,
                    (Some(byte), Some((wanted, others))) if byte == wanted => rest = others,
                    _ => return None,
                }
                place += 1;
            },
            UnderWay::Text { .. } | UnderWay::None => return None,
        };
        Some(())
    }
}

/// Which bytes a backslash escapes, of as many.
fn escaped_bytes(backslash: u64, length: usize, carried: &mut u64) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    // A backslash that is escaped itself escapes nothing.
    let backslash = backslash & !*carried;
    let behind = backslash << 1 | *carried;
    // Runs that begin at an odd place are carried off by the sum, those at an even one stay: what is behind a run
    // is escaped where its length is odd, which is where begin and end differ in being odd.
    let (even_runs, carry) = (backslash & !EVEN & !behind).overflowing_add(backslash);
    let escaped = (EVEN ^ (even_runs << 1)) & behind;
    if length == BLOCK {
        *carried = u64::from(carry);
        return escaped;
    }
    *carried = escaped >> length & 1;
    escaped & ((1 << length) - 1)
}

/// Whether a number without an exponent stands here, or a literal, and what ends it too, in no more than eight bytes.
/// Most are such, and they take no branch that depends on how long they are. What is not may be a longer scalar, or none.
#[inline(always)]
fn is_short_scalar(window: &[u8], place: usize) -> bool {
    let Some(bytes) = window.get(place..).and_then(|rest| rest.first_chunk::<8>()) else { return false };
    let word = u64::from_le_bytes(*bytes);
    let number = word >> (8 * u32::from(word as u8 == b'-'));
    let integer = leading_digits(number);
    let behind = number >> (8 * integer);
    let point = behind as u8 == b'.';
    let behind = behind >> (8 * u32::from(point));
    let fraction = leading_digits(behind);
    let end = (behind >> (8 * fraction)) as u8;
    // No digit may follow a zero that comes first.
    let most = if number as u8 == b'0' { 1 } else { 7 };
    if (1..=most).contains(&integer) & (point == (fraction > 0)) & ends_scalar(end) {
        return true;
    }
    let is =
        |literal: &[u8]| bytes.starts_with(literal) && bytes.get(literal.len()).is_some_and(|end| ends_scalar(*end));
    is(b"true") || is(b"false") || is(b"null")
}

/// How many of the first bytes are digits, at most seven.
#[inline(always)]
fn leading_digits(word: u64) -> u32 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let values = word ^ (ONES * u64::from(b'0'));
    // The sum sets a byte's high bit where its lower seven are ten or more, and never carries into the next byte.
    let others = (((values & !HIGHS) + ONES * (0x80 - 10)) | values) & HIGHS;
    (others | 1 << 63).trailing_zeros() / 8
}

/// Whether a number or a literal may end before this byte. What may follow it is another rule.
#[inline(always)]
fn ends_scalar(byte: u8) -> bool {
    const fn bits(bytes: &[u8]) -> u64 {
        match bytes {
            [] => 0,
            [byte, rest @ ..] => 1 << (*byte % 64) | bits(rest),
        }
    }
    const ENDS: [u64; 4] = [bits(b" \n\r\t,:\""), bits(b"[]{}"), 0, 0];
    ENDS.get(usize::from(byte / 64)).is_some_and(|ends| ends >> (byte % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the steps take the scalar at the begin of this text, and an end behind it.
    fn steps(text: &[u8]) -> bool {
        let mut content = Content::new();
        content.scalar_at(text, 0).is_some() && content.under_way == UnderWay::None
    }

    #[test]
    fn a_scalar_ends_where_the_grammar_has_it() {
        for byte in 0..=u8::MAX {
            assert_eq!(ends_scalar(byte), b" \n\r\t,:\"[]{}".contains(&byte), "{byte:#x}");
        }
    }

    #[test]
    fn short_scalars_are_scalars() {
        // All texts of up to five of these bytes, behind them an end or none; and what is longer by some digits.
        let bytes = b"019.-e,\x1f";
        let mut texts = vec![Vec::new()];
        for length in 0..5 {
            for text in texts.clone().iter().filter(|text| text.len() == length) {
                texts.extend(bytes.iter().map(|byte| [text.as_slice(), &[*byte]].concat()));
            }
        }
        let mut short = 0;
        for text in &texts {
            for (before, behind) in
                [("", ",     "), ("12", ",     "), ("-1234", ",,"), ("", "         "), ("1.5", "]]]")]
            {
                let text = [before.as_bytes(), text, behind.as_bytes()].concat();
                short += usize::from(is_short_scalar(&text, 0));
                assert!(!is_short_scalar(&text, 0) || steps(&text), "{}", text.escape_ascii());
            }
        }
        assert!(short > 1000, "{short}");
    }

    #[test]
    fn what_is_short_is_seen_as_such() {
        for text in
            ["0,", "-0]", "7 ", "1234567}", "-123456,", "0.5\n", "12.345,", "-1.25,", "true,", "false]", "null}"]
        {
            assert!(is_short_scalar(format!("{text}       ").as_bytes(), 0), "{text}");
        }
        for text in
            ["", "-", "-,", "00,", "01,", "1.,", ".1,", "1.2.3,", "1e5,", "tru,", "truer,", "falsey", "nul,", "+1,"]
        {
            assert!(!is_short_scalar(format!("{text}       ").as_bytes(), 0), "{text}");
        }
        assert!(!is_short_scalar(b"12345678,", 0) && !is_short_scalar(b"1,", 0) && steps(b"1,"));
    }
}
