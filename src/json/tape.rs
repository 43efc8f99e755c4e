//! The tape: where, in one window of input, its brackets, quotes and scalars stand.
//!
//! A window that was read is JSON as far as it goes, so the tape leaves out what a reader of valid JSON can do without:
//! commas, colons and white space. A string is two marks, its quotes; any other scalar is one, its first byte; and each
//! opening bracket knows its closing one, so that a whole value is passed over in one step however much it holds.

use super::block::BLOCK;
use super::list::List;
use super::read::Notes;

/// The marks of one window. Used again for the next, so that a stream allocates once.
#[derive(Debug, Default)]
pub struct Tape {
    pub(super) places: List<u32>,
    /// For each slot of an opening bracket, the slot of the one that closes it, or [`BEYOND`]. What was opened before the
    /// window has slots, the outermost first, and each mark has one. The others may hold anything.
    pub(super) partners: Vec<u32>,
    /// How many brackets were open when the window began.
    outer: usize,
    /// The slot of the first mark.
    pub(super) first: usize,
    /// Whether there is a backslash anywhere.
    pub(super) escapes: bool,
    pub(super) notes: Notes,
}

/// What stands for the partner of a bracket that this window does not hold. No bracket has this slot; what is said of its
/// own partner is never read.
const BEYOND: u32 = 0;

/// The slot of the outermost bracket opened before the window.
pub(super) const OUTER: usize = 1;

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
        Window { text, places: self.places.items(), tape: self }
    }

    /// Begins anew, at a place within as many arrays and objects, with a window of this length.
    pub(super) fn begin(&mut self, depth: usize, length: usize) {
        self.places.clear();
        // What clinical JSON without white space needs.
        self.places.expect(length / 5 + BLOCK);
        self.notes.clear();
        self.outer = depth;
        self.escapes = false;
        self.first = OUTER + depth;
        (OUTER..OUTER + depth).for_each(|slot| Self::set_beyond(&mut self.partners, slot));
    }

    /// Makes a slot for each mark.
    pub(super) fn make_slots(&mut self) {
        let wanted = self.first + self.places.items().len();
        if self.partners.len() < wanted {
            self.partners.resize(wanted + wanted / 4, BEYOND);
        }
    }

    /// Says that the window does not hold the partner of this slot.
    pub(super) fn set_beyond(partners: &mut [u32], slot: usize) {
        if let Some(partner) = partners.get_mut(slot) {
            *partner = BEYOND;
        }
    }

    /// The mark of the bracket that closes the one of this slot.
    #[inline(always)]
    fn partner(&self, slot: usize) -> Option<usize> {
        (*self.partners.get(slot)? as usize).checked_sub(self.first)
    }
}

impl<'a> Window<'a> {
    /// The place of a mark; `None` behind the last.
    #[inline(always)]
    pub fn place(&self, mark: usize) -> Option<usize> {
        self.places.get(mark).map(|place| *place as usize)
    }

    /// Whether anything in it may be written with an escape.
    #[inline(always)]
    pub fn has_escapes(&self) -> bool {
        self.tape.escapes
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
                let partner = self.tape.partner(self.tape.first + mark)?;
                Some((self.place(partner)? + 1, partner + 1))
            }
            _ => Some((self.end_of_scalar(place)?, mark + 1)),
        }
    }

    /// The mark behind the value whose first mark this is, and of which the window holds the end.
    #[inline(always)]
    pub fn behind(&self, mark: usize) -> Option<usize> {
        self.behind_at(mark, self.place(mark)?)
    }

    /// The same where the place of the mark is known.
    #[inline(always)]
    pub(super) fn behind_at(&self, mark: usize, place: usize) -> Option<usize> {
        match self.text.get(place)? {
            b'"' => Some(mark + 2),
            b'{' | b'[' => Some(self.tape.partner(self.tape.first + mark)? + 1),
            _ => Some(mark + 1),
        }
    }

    /// Behind the string that began before this window.
    pub fn end_of_string(&self) -> Option<(usize, usize)> {
        Some((self.place(0)? + 1, 1))
    }

    /// Behind the array or object that began before this window and lies within as many others.
    pub fn end_of_nested(&self, depth: usize) -> Option<(usize, usize)> {
        if depth >= self.tape.outer {
            return None;
        }
        let mark = self.tape.partner(OUTER + depth)?;
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
