//! An allocator that counts.
//!
//! It counts what a thread does within [`during`], so that tests side by side, and what makes their input, leave the
//! figures alone.
#![allow(unsafe_code, reason = "an allocator is unsafe to write; this one hands each call on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What was counted on this thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// How many allocations there were; one that grows is another.
    pub(crate) allocations: u64,
    /// How many bytes they asked for.
    pub(crate) bytes: u64,
    /// How many of those bytes have not been freed.
    pub(crate) live: i64,
    /// The most that were live at once.
    pub(crate) peak: i64,
}

pub(crate) struct Counting;

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { allocations: 0, bytes: 0, live: 0, peak: 0 }) };
}

/// Counts what this does.
pub(crate) fn during<T>(work: impl FnOnce() -> T) -> T {
    ON.set(true);
    let done = work();
    ON.set(false);
    done
}

/// What was counted on this thread so far.
pub(crate) fn so_far() -> Counts {
    COUNTS.get()
}

/// Must not allocate: it is called while something does.
fn count(taken: usize, freed: usize) {
    if ON.get() {
        let mut counts = COUNTS.get();
        counts.allocations += u64::from(taken > 0);
        counts.bytes += taken as u64;
        counts.live += taken as i64 - freed as i64;
        counts.peak = counts.peak.max(counts.live);
        COUNTS.set(counts);
    }
}

// SAFETY: each call is handed on as it is, to an allocator that keeps the promises of this trait; counting changes
// nothing of it, and neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: what the caller promises is what the system asks for, here and below.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}
