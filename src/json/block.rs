//! A block of 64 bytes as bit maps: bit `n` of a map tells something of byte `n`.
//!
//! This is the seam behind which instruction sets sit. All that follows from the maps, strings and grammar, is the same
//! plain arithmetic on 64-bit words for each of them ([`super::read`]); what differs is how 64 bytes are compared with a
//! character at once. A back end answers exactly what [`Plain`] answers, which the tests hold each of them to.

/// How many bytes a block has.
pub(super) const BLOCK: usize = 64;

/// Which bytes of a block are what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Maps {
    /// `"`
    pub(super) quote: u64,
    /// `\`
    pub(super) backslash: u64,
    /// `{` and `[`
    pub(super) open: u64,
    /// `}` and `]`
    pub(super) close: u64,
    /// `,`
    pub(super) comma: u64,
    /// `:`
    pub(super) colon: u64,
    /// White space (RFC 8259, section 2).
    pub(super) space: u64,
    /// Below 0x20: not allowed in a string.
    pub(super) control: u64,
    /// From 0x80 on: part of a sequence of UTF-8.
    pub(super) high: u64,
}

/// What an instruction set does for the scan.
pub(super) trait Blocks {
    /// The maps of a block.
    fn maps(block: &[u8; BLOCK]) -> Maps;

    /// For each bit, whether it and the bits below it hold an odd number of ones.
    fn parity(bits: u64) -> u64;

    /// The places of the bits, counted from `base`, into as many of the slots. What is in the others after that may be
    /// anything.
    fn places(bits: u64, base: u32, slots: &mut [u32; BLOCK]);
}

/// Each machine: eight bytes at a time.
pub(super) struct Plain;

impl Blocks for Plain {
    fn maps(block: &[u8; BLOCK]) -> Maps {
        let mut maps = Maps::default();
        let (words, _) = block.as_chunks::<8>();
        for (place, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            let lower = word | (ONES * 0x20);
            let at = place * 8;
            maps.quote |= equal(word, b'"') << at;
            maps.backslash |= equal(word, b'\\') << at;
            // Square and curly brackets differ in this one bit, and no other byte shares the rest of theirs.
            maps.open |= equal(lower, b'{') << at;
            maps.close |= equal(lower, b'}') << at;
            maps.comma |= equal(word, b',') << at;
            maps.colon |= equal(word, b':') << at;
            maps.space |= (equal(word, b' ') | equal(word, b'\n') | equal(word, b'\r') | equal(word, b'\t')) << at;
            maps.control |= gathered(!(word | ((word & !HIGHS) + ONES * 0x60)) & HIGHS) << at;
            maps.high |= gathered(word & HIGHS) << at;
        }
        maps
    }

    fn parity(bits: u64) -> u64 {
        let mut bits = bits;
        for by in [1, 2, 4, 8, 16, 32] {
            bits ^= bits << by;
        }
        bits
    }

    #[inline(always)]
    fn places(bits: u64, base: u32, slots: &mut [u32; BLOCK]) {
        let mut rest = bits;
        // Eight at a time, wanted or not: how many there are is hard to foretell, and a slot too much costs little.
        for eight in slots.as_chunks_mut::<8>().0 {
            if rest == 0 {
                break;
            }
            for slot in eight {
                *slot = base.wrapping_add(rest.trailing_zeros());
                rest &= rest.wrapping_sub(1);
            }
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Which of eight bytes are `byte`, as the lowest eight bits.
fn equal(word: u64, byte: u8) -> u64 {
    let other = word ^ (ONES * u64::from(byte));
    // The sum sets a byte's high bit where its lower seven are not all 0, and never carries into the next byte.
    gathered(!(((other & !HIGHS) + !HIGHS) | other) & HIGHS)
}

/// The high bits of eight bytes, as the lowest eight bits.
fn gathered(highs: u64) -> u64 {
    // Each partial product moves one of the bits to a place of its own in the highest byte.
    (highs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the words above say, byte by byte.
    fn naive(block: &[u8; BLOCK]) -> Maps {
        let map = |is: fn(u8) -> bool| (0..BLOCK).fold(0, |map, at| map | u64::from(is(block[at])) << at);
        Maps {
            quote: map(|byte| byte == b'"'),
            backslash: map(|byte| byte == b'\\'),
            open: map(|byte| matches!(byte, b'{' | b'[')),
            close: map(|byte| matches!(byte, b'}' | b']')),
            comma: map(|byte| byte == b','),
            colon: map(|byte| byte == b':'),
            space: map(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')),
            control: map(|byte| byte < 0x20),
            high: map(|byte| byte >= 0x80),
        }
    }

    /// Holds a back end to the words: each byte at each place, and the parity of some words.
    pub(in crate::json) fn is_exact<B: Blocks>() {
        for byte in 0..=u8::MAX {
            for other in [b' ', b'"', b'{', 0, 0xff, byte] {
                for at in 0..BLOCK {
                    let mut block = [other; BLOCK];
                    block[at] = byte;
                    assert_eq!(B::maps(&block), naive(&block), "{byte:#x} at {at} among {other:#x}");
                }
            }
        }
        for bits in [0, 1, 2, u64::MAX, 1 << 63, 0x8000_0000_0000_0001, 0x0123_4567_89ab_cdef] {
            let naive = (0..BLOCK).fold(0, |map, at| {
                let below = if at == 63 { u64::MAX } else { (1 << (at + 1)) - 1 };
                map | u64::from((bits & below).count_ones() % 2) << at
            });
            assert_eq!(B::parity(bits), naive, "{bits:#x}");
            let (mut slots, places) = ([7; BLOCK], (0..64).filter(|at| bits >> at & 1 == 1).map(|at| 1000 + at));
            B::places(bits, 1000, &mut slots);
            assert!(slots.iter().copied().take(bits.count_ones() as usize).eq(places), "{bits:#x}");
        }
    }

    #[test]
    fn each_byte_is_told_as_the_words_say() {
        is_exact::<Plain>();
    }

    proptest! {
        #[test]
        fn a_block_at_random_is_told_as_the_words_say(block in proptest::collection::vec(any::<u8>(), BLOCK)) {
            let block = <[u8; BLOCK]>::try_from(block).unwrap();
            prop_assert_eq!(Plain::maps(&block), naive(&block));
        }
    }
}
