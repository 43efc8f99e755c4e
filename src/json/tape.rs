//! The tape: where, in one window of input, its brackets, quotes and scalars stand.
//!
//! A window that was read is JSON as far as it goes, so the tape leaves out what a reader of valid JSON can do without:
//! commas, colons and white space. A string is two marks, its quotes; any other scalar is one, its first byte; and each
//! opening bracket knows its closing one, so that a whole value is passed over in one step however much it holds.

use super::block::{BLOCK, Blocks};

/// The marks of one window. Used again for the next, so that a stream allocates once.
#[derive(Debug, Default)]
pub struct Tape {
    places: Vec<u32>,
    marks: usize,
    /// For the mark of an opening bracket, the mark of its closing one, or `BEYOND`.
    partners: Vec<u32>,
    /// The marks of opening brackets of this window that have not been closed.
    open: Vec<u32>,
    /// The marks of brackets that close what was opened before this window, the innermost first.
    closes_outer: Vec<u32>,
    outer: usize,
}

/// The partner of a bracket that this window does not hold.
const BEYOND: u32 = u32::MAX;

/// How many marks a block can have.
const MOST: usize = BLOCK;

/// A window of input that has been read, with its tape.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// The input.
    pub text: &'a [u8],
    places: &'a [u32],
    tape: &'a Tape,
}

impl Tape {
    /// A tape without marks.
    pub fn new() -> Self {
        Self::default()
    }

    /// The window that was read last onto this tape.
    pub fn window<'a>(&'a self, text: &'a [u8]) -> Window<'a> {
        Window { text, places: self.places.get(..self.marks).unwrap_or_default(), tape: self }
    }

    /// Begins anew, at a place within as many arrays and objects.
    pub(super) fn begin(&mut self, depth: usize) {
        self.marks = 0;
        self.open.clear();
        self.closes_outer.clear();
        self.outer = depth;
    }

    /// Adds a mark for each bit, at the place of the bit behind `base`.
    #[inline(always)]
    pub(super) fn mark<B: Blocks>(&mut self, base: usize, bits: u64) {
        if self.places.len() < self.marks + MOST {
            self.grow();
        }
        let Some(slots) = self.places.get_mut(self.marks..).and_then(|free| free.first_chunk_mut::<MOST>()) else {
            return;
        };
        B::places(bits, base as u32, slots);
        self.marks += bits.count_ones() as usize;
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.places.len() * 2).max(4 * MOST).max(self.marks + MOST);
        self.places.resize(size, 0);
        self.partners.resize(size, BEYOND);
    }

    /// How many marks there are.
    #[inline(always)]
    pub(super) fn marks(&self) -> usize {
        self.marks
    }

    /// The mark of an opening bracket.
    #[inline(always)]
    pub(super) fn opened(&mut self, mark: usize) {
        self.open.push(mark as u32);
    }

    /// The mark of a closing bracket.
    #[inline(always)]
    pub(super) fn closed(&mut self, mark: usize) {
        match self.open.pop() {
            Some(partner) => {
                if let Some(slot) = self.partners.get_mut(partner as usize) {
                    *slot = mark as u32;
                }
            }
            None => self.closes_outer.push(mark as u32),
        }
    }

    /// Ends the window: what is open has its end beyond it.
    pub(super) fn end(&mut self) {
        for mark in &self.open {
            if let Some(slot) = self.partners.get_mut(*mark as usize) {
                *slot = BEYOND;
            }
        }
    }
}

impl<'a> Window<'a> {
    /// The place of a mark; `None` behind the last.
    #[inline(always)]
    pub fn place(&self, mark: usize) -> Option<usize> {
        self.places.get(mark).map(|place| *place as usize)
    }

    /// The places of several marks, from this one on; `None` where some of them are behind the last.
    #[inline(always)]
    pub fn places<const N: usize>(&self, mark: usize) -> Option<[usize; N]> {
        Some(self.places.get(mark..)?.first_chunk::<N>()?.map(|place| place as usize))
    }

    /// The place of a mark and the byte there: a bracket, a quote, or the first of a scalar.
    #[inline(always)]
    pub fn peek(&self, mark: usize) -> Option<(usize, u8)> {
        let place = self.place(mark)?;
        Some((place, *self.text.get(place)?))
    }

    /// Behind the value whose first mark this is: the place there, and the mark there. `None` where it may go on
    /// beyond the window.
    #[inline(always)]
    pub fn end_of_value(&self, mark: usize) -> Option<(usize, usize)> {
        let (place, byte) = self.peek(mark)?;
        match byte {
            b'"' => Some((self.place(mark + 1)? + 1, mark + 2)),
            b'{' | b'[' => {
                let partner = *self.tape.partners.get(mark)?;
                Some((self.place(partner as usize)? + 1, partner as usize + 1))
            }
            _ => Some((self.end_of_scalar(place)?, mark + 1)),
        }
    }

    /// The mark behind the value whose first mark this is, and of which the window holds the end.
    #[inline(always)]
    pub fn behind(&self, mark: usize) -> Option<usize> {
        match self.peek(mark)?.1 {
            b'"' => Some(mark + 2),
            b'{' | b'[' => Some((*self.tape.partners.get(mark)?).checked_add(1)? as usize),
            _ => Some(mark + 1),
        }
    }

    /// Behind the string that began before this window.
    pub fn end_of_string(&self) -> Option<(usize, usize)> {
        Some((self.place(0)? + 1, 1))
    }

    /// Behind the array or object that began before this window and lies within as many others.
    pub fn end_of_nested(&self, depth: usize) -> Option<(usize, usize)> {
        let mark = *self.tape.closes_outer.get(self.tape.outer.checked_sub(depth + 1)?)? as usize;
        Some((self.place(mark)? + 1, mark + 1))
    }

    /// The end of a number or a literal, of which something lies at this place or ended right before it.
    #[inline(always)]
    pub fn end_of_scalar(&self, place: usize) -> Option<usize> {
        let rest = self.text.get(place..)?;
        Some(place + rest.iter().position(|byte| !is_scalar(*byte))?)
    }
}

/// Whether a byte of valid JSON outside of strings is part of a number or a literal.
#[inline(always)]
fn is_scalar(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'.' | b'-' | b'+' | b'E')
}
