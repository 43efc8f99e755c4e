//! What no map tells, byte by byte where it occurs: escapes, numbers, literals, and that what is not ASCII is UTF-8.

use super::super::grammar::{Number, Text};
use super::super::lexer::UnderWay;
use super::Scan;

impl Scan {
    /// Checks what stands behind the backslashes of a block.
    pub(super) fn escapes(&mut self, escaped: u64, window: &[u8], base: usize) -> bool {
        let mut rest = escaped;
        while rest != 0 {
            let place = base + rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if place >= self.checked && self.escape(Text::Escape { low: false }, window, place).is_none() {
                return false;
            }
        }
        true
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

    /// Checks the scalar that begins at this place.
    #[inline(always)]
    pub(super) fn scalar_at(&mut self, window: &[u8], place: usize) -> Option<()> {
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

    /// Checks that what is not ASCII is UTF-8, as far as the window goes.
    pub(super) fn is_utf8(&mut self, window: &[u8]) -> bool {
        if self.high == 0 {
            return true;
        }
        let rest = window.get(self.sequence_end..).unwrap_or_default();
        match str::from_utf8(rest) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            // A sequence that the window cuts: the steps say how it may go on.
            Err(error) => {
                self.text = Text::Plain;
                rest.get(error.valid_up_to()..).unwrap_or_default().iter().all(|byte| match self.text.after(*byte) {
                    Ok(state) => {
                        self.text = state;
                        true
                    }
                    Err(_) => false,
                })
            }
        }
    }
}

/// Whether a number or a literal may end before this byte. What may follow it is another rule.
fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b':' | b'[' | b']' | b'{' | b'}' | b'"')
}
