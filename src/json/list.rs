//! Lists that are written a block's worth at a time, wanted or not: how many items were meant is counted afterwards.

use super::block::BLOCK;

/// How many blocks are read before the lists are asked for room again.
pub(super) const STRETCH: usize = 16;

/// Room for what a stretch of blocks can lay, an item for each byte, and for what is written beyond it.
pub(super) const ROOM: usize = (STRETCH + 1) * BLOCK;

/// Items, and slots behind them that hold anything.
#[derive(Debug, Default)]
pub(super) struct List<T> {
    slots: Vec<T>,
    length: usize,
}

impl<T: Copy + Default> List<T> {
    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    /// Makes room, at once, for as many items and what is written beyond them.
    pub(super) fn expect(&mut self, slots: usize) {
        if self.slots.len() < slots {
            self.slots.resize(slots, T::default());
        }
    }

    pub(super) fn items(&self) -> &[T] {
        self.slots.get(..self.length).unwrap_or_default()
    }

    pub(super) fn items_mut(&mut self) -> &mut [T] {
        self.slots.get_mut(..self.length).unwrap_or_default()
    }

    /// So many slots from one on, items or not. `None` where there never were as many.
    #[inline(always)]
    pub(super) fn slots<const N: usize>(&self, from: usize) -> Option<&[T; N]> {
        self.slots.get(from..)?.first_chunk()
    }

    /// So many slots behind the items. `None` never happens.
    #[inline(always)]
    pub(super) fn room<const N: usize>(&mut self) -> Option<&mut [T; N]> {
        if self.slots.len() < self.length + N {
            self.grow(N);
        }
        self.slots.get_mut(self.length..)?.first_chunk_mut()
    }

    /// Makes items of what was written first into the room.
    #[inline(always)]
    pub(super) fn keep(&mut self, count: usize) {
        self.length += count;
    }

    #[cold]
    fn grow(&mut self, room: usize) {
        self.slots.resize((self.slots.len() * 3 / 2).max(self.length + room), T::default());
    }
}
