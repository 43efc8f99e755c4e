//! Brackets: each is matched with its partner, and told what is open behind it.
//!
//! They are the one thing that is walked one by one. Whether the next one opens or closes is hard to foretell, so both
//! are done by the same steps: an opening bracket is written one level further up, a closing one over its partner, whose
//! slot is read before. What an opening bracket reads there is of no meaning, and is said of a partner that nobody asks.

use super::super::block::{BLOCK, Blocks};
use super::super::grammar::Nesting;
use super::super::lexer::{Lexer, UnderWay};
use super::super::tape::{OUTER, Tape};
use super::Notes;
use super::dense::Group;

/// The open brackets, each its slot and above that its byte: the outermost at level 1, and at level 0 what is no bracket
/// and has no shape.
#[derive(Debug, Default)]
pub(super) struct Stack(Vec<u64>);

#[inline(always)]
fn bracket(slot: u32, shape: u8) -> u64 {
    u64::from(slot) | u64::from(shape) << 32
}

#[inline(always)]
fn shape(bracket: u64) -> u8 {
    (bracket >> 32) as u8
}

/// The brackets of a window, matched.
pub(super) struct Brackets {
    /// How many are open behind the window.
    depth: usize,
    /// Whether there are any in it.
    any: bool,
}

impl Stack {
    /// Puts what is open before the window onto the stack.
    fn begin(&mut self, nesting: &Nesting) {
        self.make_room(nesting.depth);
        let outer = (0..nesting.depth).map(|level| {
            let shape = if nesting.is_object(level) { b'{' } else { b'[' };
            bracket((OUTER + level) as u32, shape)
        });
        let levels = std::iter::once(0).chain(outer);
        self.0.iter_mut().zip(levels).for_each(|(open, level)| *open = level);
    }

    /// Makes room for a block of brackets to open from a depth on.
    #[inline(always)]
    fn make_room(&mut self, depth: usize) {
        if self.0.len() <= depth + BLOCK {
            self.0.resize(depth + BLOCK + BLOCK / 2, 0);
        }
    }

    /// Matches some brackets, at most a block of them, from a depth on: the depth behind them. Where one closes what was
    /// never opened the depth is less than nothing, which is very much, and the rest is left out. The shape of each
    /// bracket is replaced by that of the innermost open behind it.
    #[inline(never)]
    fn match_some(&mut self, depth: usize, slots: &[u32], shapes: &mut [u8], partners: &mut [u32]) -> usize {
        self.make_room(depth);
        let stack = self.0.as_mut_slice();
        let mut level = depth;
        for (slot, behind) in slots.iter().zip(shapes) {
            let opens = usize::from(is_open(*behind));
            // One less than nothing for a closing bracket, which is all ones.
            let closes = opens.wrapping_sub(1);
            level = level.wrapping_add(opens);
            let Some(open) = stack.get_mut(level) else { break };
            let partner = *open as u32 as usize & closes;
            *open = bracket(*slot, *behind);
            if let Some(partner) = partners.get_mut(partner) {
                *partner = *slot;
            }
            level = level.wrapping_add(closes);
            let Some(open) = stack.get(level) else { break };
            *behind = shape(*open);
        }
        level
    }
}

impl Brackets {
    /// Matches the brackets of a window; `None` where one has no partner or they nest too deep. Whether partners are of
    /// one kind is not asked here.
    #[inline(always)]
    pub(super) fn of<B: Blocks>(lexer: &Lexer, tape: &mut Tape) -> Option<Self> {
        tape.make_slots();
        let Tape { partners, notes, first, .. } = tape;
        Self::list::<B>(lexer, notes, *first)?;

        let Notes { brackets, shapes, stack, .. } = notes;
        stack.begin(&lexer.nesting);
        let (outer, most) = (lexer.nesting.depth, lexer.max_depth);
        let (mut depth, mut ended) = (outer, 0);
        let any = !brackets.items().is_empty();
        let begins = outer > 0 || shapes.items().first().is_none_or(|shape| is_open(*shape));
        for (slots, shapes) in brackets.items().chunks(BLOCK).zip(shapes.items_mut().chunks_mut(BLOCK)) {
            if depth + slots.len() > most && !is_within(most, depth, shapes) {
                return None;
            }
            depth = stack.match_some(depth, slots, shapes, partners);
            // Behind the end of the root nothing is open, and has no shape.
            ended += shapes.iter().map(|shape| u64::from(*shape == 0)).sum::<u64>();
            if depth > most {
                return None;
            }
        }
        // There is one root, and it ends once: nothing may be open behind one bracket, and that is the last.
        (begins && ended == u64::from(any && depth == 0)).then_some(Self { depth, any })
    }

    /// Lists the brackets of all groups, where the first mark has this slot.
    #[inline(always)]
    fn list<B: Blocks>(lexer: &Lexer, notes: &mut Notes, first: usize) -> Option<()> {
        let Notes { tokens, groups, brackets, shapes, .. } = notes;
        // Room for the group that is asked about its shapes, however few there are.
        shapes.room::<BLOCK>()?;
        // The string that the window begins in has its token in an earlier one, and its closing quote is a mark of this.
        let mut slot = first as u32 + u32::from(matches!(lexer.under_way, UnderWay::Text { .. }));
        let (mut others, mut strings) = ([0; BLOCK], [0; BLOCK]);
        for (number, group) in groups.iter().enumerate() {
            let bracket = group.bracket();
            let marks = group.valid & !(group.comma | group.colon);
            // A string has two marks. So before a bracket stand as many marks as tokens that have one, and as many more
            // as strings; and these are as many as strings and brackets, less the brackets.
            B::places(B::extract(bracket, marks), slot, &mut others);
            B::places(B::extract(bracket, bracket | group.quote), 0, &mut strings);
            for (place, ((slot, other), string)) in
                (0..).zip(brackets.room::<BLOCK>()?.iter_mut().zip(&others).zip(&strings))
            {
                *slot = other.wrapping_add(*string).wrapping_sub(place);
            }
            tokens.shapes::<B>(number, group, shapes.room()?)?;
            brackets.keep(bracket.count_ones() as usize);
            shapes.keep(bracket.count_ones() as usize);
            slot = slot.wrapping_add(marks.count_ones() + group.quote.count_ones());
        }
        Some(())
    }

    /// Checks that the root, where it is an array or an object, has nothing before and behind it. What is not told by
    /// the order of tokens is a comma there.
    pub(super) fn check_root(&self, lexer: &Lexer, groups: &[Group]) -> Option<()> {
        if self.any && lexer.nesting.depth == 0 && groups.first()?.bracket() & 1 == 0 {
            return None;
        }
        if self.depth > 0 {
            return Some(());
        }
        for group in groups.iter().rev() {
            let bracket = group.bracket();
            let behind = u64::MAX.checked_shl(u64::BITS - bracket.leading_zeros()).unwrap_or_default();
            if group.comma & behind != 0 {
                return None;
            }
            if bracket != 0 {
                break;
            }
        }
        Some(())
    }

    /// Leaves what is open behind the window to the lexer and the tape.
    pub(super) fn leave(&self, lexer: &mut Lexer, tape: &mut Tape) {
        if !self.any {
            return;
        }
        lexer.nesting = Nesting::new();
        let Tape { partners, notes, .. } = tape;
        for open in notes.stack.0.iter().skip(1).take(self.depth) {
            lexer.nesting.push(shape(*open) & 0x20 != 0);
            Tape::set_beyond(partners, *open as u32 as usize);
        }
    }
}

#[inline(always)]
fn is_open(shape: u8) -> bool {
    shape & 0x02 != 0
}

/// Whether no bracket opens more than this. What closes too much is no matter of this.
#[cold]
fn is_within(most: usize, depth: usize, shapes: &[u8]) -> bool {
    let mut depth = depth;
    shapes.iter().all(|shape| {
        depth = if is_open(*shape) { depth + 1 } else { depth.saturating_sub(1) };
        depth <= most
    })
}
