//! From blocks to tokens: what lies in strings, and where each token begins.

use super::super::block::{BLOCK, Blocks, Maps, Outline, spread};
use super::super::list::STRETCH;
use super::super::tape::Tape;
use super::bytes::Content;
use super::dense::{Planes, planes};

/// What is carried from block to block.
#[derive(Default)]
pub(super) struct Tokens {
    /// All ones within a string.
    pub(super) in_string: u64,
    /// One where the last byte was of a scalar.
    pub(super) scalar: u64,
}

/// What was found in a block.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    /// What goes onto the tape.
    marks: u64,
    /// The first byte of each token.
    pub(super) tokens: u64,
    /// The first byte of each scalar that is no string.
    scalars: u64,
    /// The tokens as planes, where they are wanted so.
    pub(super) planes: Planes,
}

/// Some blocks of a window that follow each other.
#[derive(Clone, Copy)]
pub(super) struct Stretch<'a> {
    pub(super) blocks: &'a [[u8; BLOCK]],
    /// How many bytes of each are of the window.
    pub(super) length: usize,
    /// Where in the window the first begins.
    pub(super) base: usize,
    pub(super) window: &'a [u8],
}

impl Tokens {
    /// Lays the marks of some blocks onto the tape, and notes their tokens.
    #[inline(always)]
    pub(super) fn read<B: Blocks>(
        &mut self,
        stretch: Stretch<'_>,
        found: &mut [Found; STRETCH],
        tape: &mut Tape,
        content: &mut Content,
    ) -> Option<()> {
        tape.escapes |= self.find::<B>(stretch, found, content)?;
        let found = found.get(..stretch.blocks.len())?;
        let bases = || (stretch.base as u32..).step_by(BLOCK);
        let notes = &mut tape.notes;

        let mut tokens = notes.tokens.pen::<B>()?;
        for ((found, block), base) in found.iter().zip(stretch.blocks).zip(bases()) {
            tokens.lay::<B>(block, found)?;
            B::places(found.marks, base, tape.places.room()?);
            tape.places.keep(found.marks.count_ones() as usize);
        }
        let length = tokens.length;
        notes.tokens.keep::<B>(length);

        let (scalars, mut count) = (notes.scalars.room::<STRETCH>()?, 0);
        for (found, base) in found.iter().zip(bases()) {
            // Which blocks have any is hard to foretell: each is written, wanted or not.
            *scalars.get_mut(count)? = (base, found.scalars);
            count += usize::from(found.scalars != 0);
        }
        notes.scalars.keep(count);
        Some(())
    }

    /// Finds the tokens of each block. Answers whether any of them has a backslash.
    #[inline(always)]
    fn find<B: Blocks>(
        &mut self,
        stretch: Stretch<'_>,
        found: &mut [Found; STRETCH],
        content: &mut Content,
    ) -> Option<bool> {
        let Stretch { blocks, length, mut base, window } = stretch;
        let Self { mut in_string, mut scalar } = *self;
        let (mut wrong, mut last, mut goes_on, mut escapes) = (0, 0, content.goes_on, 0);
        for (block, found) in blocks.iter().zip(found) {
            let outline = B::outline(block);
            let Outline { operator, bracket, .. } = outline;
            let mut escaped = 0;
            if outline.unusual || goes_on {
                let Maps { backslash, high, .. } = B::maps(block);
                if high != 0 || goes_on {
                    content.sequences(&B::bits(block), base, length)?;
                }
                escapes |= backslash;
                escaped = content.escapes(backslash, window, base..base + length)?;
                goes_on = content.goes_on;
            }

            let quote = outline.quote & !escaped;
            let inside = B::parity(quote) ^ in_string;
            in_string = spread(inside >> 63 != 0);
            wrong |= outline.control & inside;
            let string = inside | quote;

            let of_scalar = !(string | outline.space | operator);
            let scalars = of_scalar & !(of_scalar << 1 | scalar);
            (scalar, last) = (of_scalar >> 63, of_scalar);
            found.marks = (bracket & !string) | quote | scalars;
            found.tokens = (operator & !string) | (quote & inside) | scalars;
            found.scalars = scalars;
            if B::EXTRACTS {
                found.planes = planes::<B>(block, found.tokens, &outline);
            }
            base += BLOCK;
        }
        *self = Self { in_string, scalar: last >> (length - 1) & 1 };
        (wrong == 0).then_some(escapes != 0)
    }
}
