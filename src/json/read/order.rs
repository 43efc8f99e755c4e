//! The order of tokens: what may follow what, decided for a group of them at once.

use super::super::block::{BLOCK, Blocks, spread};
use super::super::list::List;
use super::dense::Group;

// What the next token follows, as bits: at most one of these, but that behind the opening bracket of an object it is OPEN
// and FIRST.

/// An opening bracket.
pub(super) const OPEN: u64 = 1;
/// What a name must follow: the opening bracket of an object, or a comma in one.
pub(super) const FIRST: u64 = 2;
/// A name.
pub(super) const NAME: u64 = 4;
/// A value.
pub(super) const VALUE: u64 = 8;

/// What is carried from group to group.
pub(super) struct Order {
    // One or none: what the first token of the next group follows.
    open: u64,
    first: u64,
    name: u64,
    value: u64,
    /// All ones directly within an object.
    in_object: u64,
}

impl Order {
    /// Goes on behind what these bits say.
    pub(super) fn behind(bits: u64, in_object: bool) -> Self {
        let bit = |of: u64| u64::from(bits & of != 0);
        Self { open: bit(OPEN), first: bit(FIRST), name: bit(NAME), value: bit(VALUE), in_object: spread(in_object) }
    }

    /// What the next token follows, as bits.
    pub(super) fn bits(&self) -> u64 {
        (self.open * OPEN) | (self.first * FIRST) | (self.name * NAME) | (self.value * VALUE)
    }

    /// Checks the groups. The shapes are those of what is open behind each bracket, the innermost.
    #[inline(always)]
    pub(super) fn check<B: Blocks>(&mut self, groups: &[Group], shapes: &List<u8>) -> Option<()> {
        let (mut wrong, mut brackets) = (0, 0);
        for group in groups {
            let Group { open, close, curly, comma, colon, quote, valid } = *group;
            let bracket = group.bracket();
            let scalar = valid & !(bracket | comma | colon | quote);

            // Where the innermost bracket becomes one of the other kind a bit toggles, so that the parity of the toggles
            // is the map of what lies directly in an object.
            let kinds = B::bit::<5>(shapes.slots::<BLOCK>(brackets)?);
            brackets += bracket.count_ones() as usize;
            let toggles = B::deposit(kinds ^ (kinds << 1 | self.in_object & 1), bracket);
            let in_object = B::parity(toggles) ^ self.in_object;
            self.in_object = spread(in_object >> 63 != 0);

            let last = valid.count_ones() - 1;
            let behind = |these: u64, carried: &mut u64| {
                let behind = these << 1 | *carried;
                *carried = these >> last & 1;
                behind
            };
            let first = behind((open | comma) & in_object, &mut self.first);
            let name = first & quote;
            let behind_name = behind(name, &mut self.name);
            let behind_value = behind((quote & !name) | close | scalar, &mut self.value);
            let behind_open = behind(open, &mut self.open);

            // What comes first in an object is a name or its end.
            wrong |= first & (open | scalar);
            // A colon stands behind each name and nowhere else.
            wrong |= (behind_name ^ colon) & valid;
            // A comma or an end stands behind each value and nowhere else, but that an end may stand right behind the
            // opening bracket. With this, nothing is left to stand behind a colon or an array's comma but a value.
            wrong |= (behind_value ^ (comma | close)) & !(close & behind_open) & valid;
            // A closing bracket is of the kind of what is open before it.
            wrong |= close & (curly ^ in_object ^ toggles);
        }
        (wrong == 0).then_some(())
    }
}
