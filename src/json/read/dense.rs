//! The tokens of a window, without what lies between them.
//!
//! A token is its first byte; a group of 64 is then a block, and has maps as each block has. Where bits are extracted by
//! an instruction and bytes are not, a token is three bits instead, one in each of three planes.

use super::super::block::{BLOCK, Blocks, Maps, Outline};
use super::super::list::{List, ROOM, STRETCH};
use super::tokens::Found;

/// Three bits of each of 64 tokens: whether it is a bracket; whether it is an opening bracket, a colon or a string; and
/// whether it is a curly bracket, a comma or a colon. A scalar that is no string has none of them.
pub(super) type Planes = [u64; 3];

/// The planes of a block's tokens.
#[inline(always)]
pub(super) fn planes<B: Blocks>(block: &[u8; BLOCK], tokens: u64, outline: &Outline) -> Planes {
    let Outline { operator, bracket, quote, .. } = *outline;
    // Of these bytes, opening brackets, the colon and the quote share one bit; curly brackets have one that square ones
    // have not.
    let second = B::bit::<1>(block) & (operator | quote);
    let third = operator & !(bracket & !B::bit::<5>(block));
    [bracket, second, third].map(|bits| B::extract(bits, tokens))
}

/// What each of 64 tokens is. Those without a bit are scalars, but for strings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) open: u64,
    pub(super) close: u64,
    /// Which brackets are curly; of other tokens it tells nothing.
    pub(super) curly: u64,
    pub(super) comma: u64,
    pub(super) colon: u64,
    /// The strings.
    pub(super) quote: u64,
    /// Which tokens there are: all of them, but in the last group.
    pub(super) valid: u64,
}

impl Group {
    #[inline(always)]
    pub(super) fn bracket(&self) -> u64 {
        self.open | self.close
    }
}

/// The tokens.
#[derive(Debug, Default)]
pub(super) struct Dense {
    bytes: List<u8>,
    /// Those that are full, and behind them what there is of the next.
    planes: List<Planes>,
    length: usize,
}

/// What lays the tokens of one stretch of blocks.
pub(super) struct Pen<'a> {
    room: Room<'a>,
    /// How many tokens are in the room.
    pub(super) length: usize,
}

enum Room<'a> {
    Bytes(&'a mut [u8; ROOM]),
    Planes(&'a mut [Planes; STRETCH + 1]),
}

impl Pen<'_> {
    /// Lays the tokens of a block.
    #[inline(always)]
    pub(super) fn lay<B: Blocks>(&mut self, block: &[u8; BLOCK], found: &Found) -> Option<()> {
        match &mut self.room {
            Room::Bytes(room) => {
                B::condense(block, found.tokens, room.get_mut(self.length..)?.first_chunk_mut()?);
            }
            Room::Planes(room) => {
                let [group, next] = room.get_mut(self.length / BLOCK..)?.first_chunk_mut()?;
                let shift = self.length % BLOCK;
                for ((plane, next), bits) in group.iter_mut().zip(next).zip(found.planes) {
                    *plane |= bits << shift;
                    *next = bits >> 1 >> (BLOCK - 1 - shift);
                }
            }
        }
        self.length += found.tokens.count_ones() as usize;
        Some(())
    }
}

impl Dense {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.planes.clear();
        self.length = 0;
    }

    /// Makes room for about as many at once.
    #[inline(always)]
    pub(super) fn expect<B: Blocks>(&mut self, tokens: usize) {
        if B::EXTRACTS {
            self.planes.expect(tokens / BLOCK + STRETCH + 1);
        } else {
            self.bytes.expect(tokens + ROOM);
        }
    }

    /// What lays the next stretch of blocks.
    #[inline(always)]
    pub(super) fn pen<B: Blocks>(&mut self) -> Option<Pen<'_>> {
        if !B::EXTRACTS {
            return Some(Pen { room: Room::Bytes(self.bytes.room()?), length: 0 });
        }
        let room = self.planes.room()?;
        if self.length == 0 {
            room[0] = Planes::default();
        }
        Some(Pen { room: Room::Planes(room), length: self.length % BLOCK })
    }

    /// Keeps what a pen has in its room.
    #[inline(always)]
    pub(super) fn keep<B: Blocks>(&mut self, length: usize) {
        if B::EXTRACTS {
            self.planes.keep(length / BLOCK);
            self.length = self.length / BLOCK * BLOCK + length;
        } else {
            self.bytes.keep(length);
            self.length += length;
        }
    }

    /// Lists the groups that the tokens make.
    #[inline(always)]
    pub(super) fn groups<B: Blocks>(&mut self, groups: &mut Vec<Group>) -> Option<()> {
        if !B::EXTRACTS {
            // The last is filled up with what is no token.
            self.bytes.room::<BLOCK>()?.fill(b' ');
        }
        groups.reserve(self.length.div_ceil(BLOCK));
        for first in (0..self.length).step_by(BLOCK) {
            let valid = u64::MAX >> BLOCK.saturating_sub(self.length - first);
            groups.push(if B::EXTRACTS {
                let [[bracket, second, third]] = *self.planes.slots(first / BLOCK)?;
                let (leads, other) = (second & !bracket, third & !bracket);
                let (open, close) = (bracket & second, bracket & !second);
                let (comma, colon, quote) = (other & !second, other & second, leads & !third);
                Group { open, close, curly: third, comma, colon, quote, valid }
            } else {
                let bytes = self.bytes.slots(first)?;
                let Maps { open, close, comma, colon, quote, .. } = B::maps(bytes);
                Group { open, close, curly: B::bit::<5>(bytes), comma, colon, quote, valid }
            });
        }
        Some(())
    }

    /// The brackets of the group with this number, as the bytes that they are, or as what is left of them of the bits
    /// 0x02, which tells opening ones, and 0x20, which tells curly ones.
    #[inline(always)]
    pub(super) fn shapes<B: Blocks>(&self, number: usize, group: &Group, shapes: &mut [u8; BLOCK]) -> Option<()> {
        let bracket = group.bracket();
        if !B::EXTRACTS {
            B::condense(self.bytes.slots(number * BLOCK)?, bracket, shapes);
            return Some(());
        }
        let (mut open, mut curly) = (B::extract(group.open, bracket), B::extract(group.curly, bracket));
        for shapes in shapes.as_chunks_mut::<8>().0.iter_mut().take(bracket.count_ones().div_ceil(8) as usize) {
            let bits = B::deposit(open, 0x0202_0202_0202_0202) | B::deposit(curly, 0x2020_2020_2020_2020);
            *shapes = bits.to_le_bytes();
            open >>= 8;
            curly >>= 8;
        }
        Some(())
    }
}
