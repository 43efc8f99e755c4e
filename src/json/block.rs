//! A block of 64 bytes as bit maps: bit `n` of a map tells something of byte `n`.
//!
//! This is the seam behind which instruction sets sit. All that follows from the maps, strings and grammar, is the same
//! plain arithmetic on 64-bit words for each of them ([`super::read`]); what differs is how 64 bytes are compared with a
//! character at once, and how bits are moved. A back end answers exactly what [`Plain`] answers, which the tests hold
//! each of them to.

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

/// What the scan asks of each block, which is less than [`Maps`] tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outline {
    /// `"`
    pub(super) quote: u64,
    /// Brackets, commas and colons.
    pub(super) operator: u64,
    /// Those of them that are brackets.
    pub(super) bracket: u64,
    /// White space.
    pub(super) space: u64,
    /// Below 0x20.
    pub(super) control: u64,
    /// Whether anywhere is a backslash, or what is not ASCII.
    pub(super) unusual: bool,
}

/// The bits of each byte of a block: map `n` tells of bit `n`, of which 0 is the lowest.
pub(super) type Bits = [u64; 8];

/// What an instruction set does for the scan. The maps, the parity and the places it must know; the rest is made of them,
/// or of words, where it knows no faster way.
pub(super) trait Blocks {
    /// Whether to extract bits is one instruction, and to condense bytes is not. Then tokens are kept as bits.
    const EXTRACTS: bool = false;

    /// The maps of a block.
    fn maps(block: &[u8; BLOCK]) -> Maps;

    /// The outline of a block.
    #[inline(always)]
    fn outline(block: &[u8; BLOCK]) -> Outline {
        let Maps { quote, backslash, open, close, comma, colon, space, control, high } = Self::maps(block);
        let bracket = open | close;
        let unusual = backslash | high != 0;
        Outline { quote, operator: bracket | comma | colon, bracket, space, control, unusual }
    }

    /// For each bit, whether it and the bits below it hold an odd number of ones.
    fn parity(bits: u64) -> u64;

    /// The places of the bits, counted from `base`, into as many of the slots. What is in the others after that may be
    /// anything.
    fn places(bits: u64, base: u32, slots: &mut [u32; BLOCK]);

    /// The bytes of the bits, in their order, into as many of the slots. What is in the others after that may be anything.
    #[inline(always)]
    fn condense(block: &[u8; BLOCK], bits: u64, slots: &mut [u8; BLOCK]) {
        let mut rest = bits;
        for four in slots.as_chunks_mut::<4>().0 {
            if rest == 0 {
                break;
            }
            for slot in four {
                *slot = block.get(rest.trailing_zeros() as usize % BLOCK).copied().unwrap_or_default();
                rest &= rest.wrapping_sub(1);
            }
        }
    }

    /// Which bytes have this bit, of which 0 is the lowest.
    #[inline(always)]
    fn bit<const BIT: u32>(block: &[u8; BLOCK]) -> u64 {
        let (words, _) = block.as_chunks::<8>();
        let bits = words.iter().map(|word| gathered(u64::from_le_bytes(*word) << (7 - BIT) & HIGHS));
        bits.rev().fold(0, |map, bits| map << 8 | bits)
    }

    /// All bits.
    #[inline(always)]
    fn bits(block: &[u8; BLOCK]) -> Bits {
        [
            Self::bit::<0>(block),
            Self::bit::<1>(block),
            Self::bit::<2>(block),
            Self::bit::<3>(block),
            Self::bit::<4>(block),
            Self::bit::<5>(block),
            Self::bit::<6>(block),
            Self::bit::<7>(block),
        ]
    }

    /// Of the bits of `among`, moved together at the low end, those that are in `bits` too.
    #[inline(always)]
    fn extract(bits: u64, among: u64) -> u64 {
        let (mut rest, mut extracted) = (bits & among, 0);
        while rest != 0 {
            let below = (rest & rest.wrapping_neg()) - 1;
            extracted |= 1 << (among & below).count_ones();
            rest &= rest - 1;
        }
        extracted
    }

    /// The other way round: the lowest of `bits` to where the lowest of `among` stands, and so on.
    #[inline(always)]
    fn deposit(bits: u64, among: u64) -> u64 {
        let (mut rest, mut bits, mut deposited) = (among, bits, 0);
        while rest != 0 {
            deposited |= (rest & rest.wrapping_neg()) & spread(bits & 1 != 0);
            rest &= rest - 1;
            bits >>= 1;
        }
        deposited
    }
}

/// All ones, or none.
#[inline(always)]
pub(super) fn spread(bit: bool) -> u64 {
    u64::from(bit).wrapping_neg()
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

    fn outline(block: &[u8; BLOCK]) -> Outline {
        let mut outline = Outline::default();
        let mut unusual = 0;
        let (words, _) = block.as_chunks::<8>();
        for (place, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            let lower = word | (ONES * 0x20);
            let at = place * 8;
            let bracket = equals(lower, b'{') | equals(lower, b'}');
            let space = equals(word, b' ') | equals(word, b'\n') | equals(word, b'\r') | equals(word, b'\t');
            outline.quote |= gathered(equals(word, b'"')) << at;
            outline.bracket |= gathered(bracket) << at;
            outline.operator |= gathered(bracket | equals(word, b',') | equals(word, b':')) << at;
            outline.space |= gathered(space) << at;
            outline.control |= gathered(!(word | ((word & !HIGHS) + ONES * 0x60)) & HIGHS) << at;
            unusual |= equals(word, b'\\') | word & HIGHS;
        }
        outline.unusual = unusual != 0;
        outline
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
    gathered(equals(word, byte))
}

/// Which of eight bytes are `byte`, as their high bits.
fn equals(word: u64, byte: u8) -> u64 {
    let other = word ^ (ONES * u64::from(byte));
    // The sum sets a byte's high bit where its lower seven are not all 0, and never carries into the next byte.
    !(((other & !HIGHS) + !HIGHS) | other) & HIGHS
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

    fn map(block: &[u8; BLOCK], is: impl Fn(u8) -> bool) -> u64 {
        (0..BLOCK).fold(0, |map, at| map | u64::from(is(block[at])) << at)
    }

    /// What the words above say, byte by byte.
    fn naive(block: &[u8; BLOCK]) -> Maps {
        let map = |is: fn(u8) -> bool| map(block, is);
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

    fn outline(block: &[u8; BLOCK]) -> Outline {
        let map = |is: fn(u8) -> bool| map(block, is);
        Outline {
            quote: map(|byte| byte == b'"'),
            operator: map(|byte| b"{}[],:".contains(&byte)),
            bracket: map(|byte| b"{}[]".contains(&byte)),
            space: map(|byte| b" \n\r\t".contains(&byte)),
            control: map(|byte| byte < 0x20),
            unusual: map(|byte| byte == b'\\' || byte >= 0x80) != 0,
        }
    }

    /// Holds a back end to the words: each byte at each place, and what is made of some words.
    pub(in crate::json) fn is_exact<B: Blocks>() {
        for byte in 0..=u8::MAX {
            for other in [b' ', b'"', b'{', 0, 0xff, byte] {
                for at in 0..BLOCK {
                    let mut block = [other; BLOCK];
                    block[at] = byte;
                    assert_eq!(B::maps(&block), naive(&block), "{byte:#x} at {at} among {other:#x}");
                    assert_eq!(B::outline(&block), outline(&block), "{byte:#x} at {at} among {other:#x}");
                    let bits: Bits = std::array::from_fn(|bit| map(&block, |byte| byte >> bit & 1 == 1));
                    assert_eq!(B::bits(&block), bits, "{byte:#x} at {at}");
                }
            }
        }
        let numbers: [u8; BLOCK] = std::array::from_fn(|at| at as u8);
        for bits in [0, 1, 2, u64::MAX, 1 << 63, 0x8000_0000_0000_0001, 0x0123_4567_89ab_cdef] {
            let naive = (0..BLOCK).fold(0, |map, at| {
                let below = if at == 63 { u64::MAX } else { (1 << (at + 1)) - 1 };
                map | u64::from((bits & below).count_ones() % 2) << at
            });
            assert_eq!(B::parity(bits), naive, "{bits:#x}");
            let (mut slots, places) = ([7; BLOCK], (0..64).filter(|at| bits >> at & 1 == 1).map(|at| 1000 + at));
            B::places(bits, 1000, &mut slots);
            let count = bits.count_ones() as usize;
            assert!(slots.iter().copied().take(count).eq(places), "{bits:#x}");

            let (mut slots, bytes) = ([7; BLOCK], numbers.iter().filter(|at| bits >> **at & 1 == 1));
            B::condense(&numbers, bits, &mut slots);
            assert!(slots.iter().take(count).eq(bytes), "{bits:#x}");

            for others in [0, 1, u64::MAX, 1 << 63, 0xfedc_ba98_7654_3210, 0x5555_5555_5555_5555] {
                let places = (0..64).filter(|at| bits >> at & 1 == 1);
                let (mut extracted, mut deposited) = (0, 0);
                for (low, high) in places.enumerate() {
                    extracted |= (others >> high & 1) << low;
                    deposited |= (others >> low & 1) << high;
                }
                assert_eq!(B::extract(others, bits), extracted, "{others:#x} among {bits:#x}");
                assert_eq!(B::deposit(others, bits), deposited, "{others:#x} among {bits:#x}");
            }
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
