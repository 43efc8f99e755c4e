//! The instruction sets that compare 64 bytes at once, and the one place of this crate where code is unsafe.
//!
//! # Safety
//! Two things are unsafe here. Instructions that the machine may not have: a [`BackEnd`] but the plain one is made by
//! [`BackEnd::all`] alone, which asks the machine; so whoever holds one may run it. Loads from memory: each is of a whole
//! block, a reference to 64 bytes, in parts that add up to those 64, or of a constant in its full length, with
//! instructions that ask for no alignment.
#![allow(unsafe_code, reason = "vector instructions; the argument stands above")]

use super::block::Plain;
use super::lexer::Lexer;
use super::read::scan;
use super::tape::Tape;

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackEnd(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Plain,
}

impl BackEnd {
    /// The fastest.
    pub fn best() -> Self {
        Self::all().next().unwrap_or(Self(Set::Plain))
    }

    /// All that this machine has, the fastest first. They differ in speed alone; to name one is for tests and benches.
    pub fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let sets = {
            let words = is_x86_feature_detected!("pclmulqdq")
                && is_x86_feature_detected!("popcnt")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2");
            let avx2 = words && is_x86_feature_detected!("avx2");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vbmi2");
            [avx512.then_some(Set::Avx512), avx2.then_some(Set::Avx2), Some(Set::Plain)]
        };
        // Each such machine that runs an operating system has NEON. Where bytes stand the other way round, the order of a
        // vector's parts was never tested.
        #[cfg(target_arch = "aarch64")]
        let sets = {
            let neon = cfg!(target_endian = "little") && std::arch::is_aarch64_feature_detected!("neon");
            [neon.then_some(Set::Neon), Some(Set::Plain)]
        };
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let sets = [Some(Set::Plain)];
        sets.into_iter().flatten().map(Self)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "NEON",
            Set::Plain => "plain",
        }
    }

    /// Reads a window; `false` where something in it is not JSON.
    pub(super) fn scan(self, lexer: &mut Lexer, window: &[u8], tape: &mut Tape) -> bool {
        match self.0 {
            // SAFETY: the machine has these instructions, since there is this value.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { x86::scan_avx512(lexer, window, tape) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { x86::scan_avx2(lexer, window, tape) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Set::Neon => unsafe { arm::scan_neon(lexer, window, tape) },
            Set::Plain => scan::<Plain>(lexer, window, tape),
        }
    }
}

/// By the lower half of a byte, the one character of white space that has it; elsewhere a byte that has it not.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[rustfmt::skip]
const SPACES: [u8; 16] = [
    b' ', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, b'\t', b'\n', 0xff, 0xff, b'\r', 0xff, 0,
];

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::block::{BLOCK, Blocks, Maps, Outline};
    use super::{Lexer, SPACES, Tape, scan};

    /// By the lower half of a byte, the one bracket, comma or colon that has it, with the bit of 0x20 set; elsewhere a
    /// byte that has it not.
    #[rustfmt::skip]
    const OPERATORS: [u8; 16] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, b':', b'{', b',', b'}', 0xff, 0,
    ];

    /// Each byte of a block's own place.
    #[rustfmt::skip]
    const PLACES: [u8; BLOCK] = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
        32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60,
        61, 62, 63,
    ];

    /// For each byte the places of its bits, the lowest first, a byte each.
    static ROWS: [u64; 256] = {
        let (mut rows, mut byte) = ([0; 256], 0);
        let mut left: &mut [u64] = &mut rows;
        while let [row, rest @ ..] = left {
            *row = row_of(byte);
            byte += 1;
            left = rest;
        }
        rows
    };

    const fn row_of(byte: u32) -> u64 {
        let (mut row, mut count, mut bit) = (0, 0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                row |= bit << (8 * count);
                count += 1;
            }
            bit += 1;
        }
        row
    }

    // The whole scan is compiled once for each set: all that it calls is inlined into the function that has the feature.

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx2,pclmulqdq,popcnt,lzcnt,bmi1,bmi2")]
    pub(super) fn scan_avx512(lexer: &mut Lexer, window: &[u8], tape: &mut Tape) -> bool {
        scan::<Avx512>(lexer, window, tape)
    }

    #[target_feature(enable = "avx2,pclmulqdq,popcnt,lzcnt,bmi1,bmi2")]
    pub(super) fn scan_avx2(lexer: &mut Lexer, window: &[u8], tape: &mut Tape) -> bool {
        scan::<Avx2>(lexer, window, tape)
    }

    pub(super) struct Avx512;

    impl Blocks for Avx512 {
        #[inline(always)]
        fn maps(block: &[u8; BLOCK]) -> Maps {
            // SAFETY: only `scan_avx512` comes here, where the machine has AVX-512 F, BW and VBMI2; the load is of the 64 bytes.
            unsafe {
                let bytes = _mm512_loadu_si512(block.as_ptr().cast());
                let lower = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
                let spaces = _mm512_broadcast_i32x4(_mm_loadu_si128(SPACES.as_ptr().cast()));
                let equal = |bytes, byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8));
                Maps {
                    quote: equal(bytes, b'"'),
                    backslash: equal(bytes, b'\\'),
                    open: equal(lower, b'{'),
                    close: equal(lower, b'}'),
                    comma: equal(bytes, b','),
                    colon: equal(bytes, b':'),
                    space: _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(spaces, bytes), bytes),
                    control: _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)),
                    high: _mm512_movepi8_mask(bytes),
                }
            }
        }

        #[inline(always)]
        fn parity(bits: u64) -> u64 {
            parity(bits)
        }

        #[inline(always)]
        fn places(bits: u64, base: u32, slots: &mut [u32; BLOCK]) {
            // SAFETY: as above; each store is of sixteen slots, four times as many of which there are.
            unsafe {
                let offsets = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(PLACES.as_ptr().cast()));
                let base = _mm512_set1_epi32(base as i32);
                let count = bits.count_ones();
                let mut store = |round: usize, offsets: __m128i| {
                    let places = _mm512_add_epi32(base, _mm512_cvtepu8_epi32(offsets));
                    _mm512_storeu_si512(slots.as_mut_ptr().add(16 * round).cast(), places);
                };
                store(0, _mm512_castsi512_si128(offsets));
                if count > 16 {
                    store(1, _mm512_extracti32x4_epi32::<1>(offsets));
                }
                if count > 32 {
                    store(2, _mm512_extracti32x4_epi32::<2>(offsets));
                    store(3, _mm512_extracti32x4_epi32::<3>(offsets));
                }
            }
        }

        #[inline(always)]
        fn condense(block: &[u8; BLOCK], bits: u64, slots: &mut [u8; BLOCK]) {
            // SAFETY: as above; the load and the store are of the 64 bytes.
            unsafe {
                let bytes = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(block.as_ptr().cast()));
                _mm512_storeu_si512(slots.as_mut_ptr().cast(), bytes);
            }
        }

        #[inline(always)]
        fn outline(block: &[u8; BLOCK]) -> Outline {
            // SAFETY: as above; the load is of the 64 bytes.
            unsafe {
                let bytes = _mm512_loadu_si512(block.as_ptr().cast());
                let lower = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
                let spaces = _mm512_broadcast_i32x4(_mm_loadu_si128(SPACES.as_ptr().cast()));
                let operators = _mm512_broadcast_i32x4(_mm_loadu_si128(OPERATORS.as_ptr().cast()));
                let equal = |bytes, byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8));
                let control = _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20));
                // Two control characters share all but the bit of 0x20 with a comma and a colon.
                let operator = _mm512_mask_cmpeq_epi8_mask(!control, _mm512_shuffle_epi8(operators, bytes), lower);
                Outline {
                    quote: equal(bytes, b'"'),
                    operator,
                    bracket: _mm512_mask_test_epi8_mask(operator, bytes, _mm512_set1_epi8(0x40)),
                    space: _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(spaces, bytes), bytes),
                    control,
                    unusual: equal(bytes, b'\\') | _mm512_movepi8_mask(bytes) != 0,
                }
            }
        }

        #[inline(always)]
        fn bit<const BIT: u32>(block: &[u8; BLOCK]) -> u64 {
            // SAFETY: as above; the load is of the 64 bytes.
            unsafe {
                let bytes = _mm512_loadu_si512(block.as_ptr().cast());
                _mm512_test_epi8_mask(bytes, _mm512_set1_epi8((1u8 << BIT) as i8))
            }
        }

        #[inline(always)]
        fn extract(bits: u64, among: u64) -> u64 {
            // SAFETY: as above, and BMI2.
            unsafe { _pext_u64(bits, among) }
        }

        #[inline(always)]
        fn deposit(bits: u64, among: u64) -> u64 {
            // SAFETY: as above, and BMI2.
            unsafe { _pdep_u64(bits, among) }
        }
    }

    pub(super) struct Avx2;

    impl Blocks for Avx2 {
        const EXTRACTS: bool = true;

        #[inline(always)]
        fn maps(block: &[u8; BLOCK]) -> Maps {
            // SAFETY: only `scan_avx2` comes here, where the machine has AVX2; the loads are of the first and the last
            // 32 of the 64 bytes.
            unsafe {
                let halves = [
                    _mm256_loadu_si256(block.as_ptr().cast()),
                    _mm256_loadu_si256(block.as_ptr().add(BLOCK / 2).cast()),
                ];
                let map = |of: &dyn Fn(__m256i) -> __m256i| {
                    let [low, high] = halves.map(|half| _mm256_movemask_epi8(of(half)) as u32);
                    u64::from(low) | u64::from(high) << 32
                };
                let equal = |bytes, byte: u8| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte as i8));
                let lower = |bytes| _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
                let spaces = _mm256_broadcastsi128_si256(_mm_loadu_si128(SPACES.as_ptr().cast()));
                let most = _mm256_set1_epi8(0x1f);
                Maps {
                    quote: map(&|bytes| equal(bytes, b'"')),
                    backslash: map(&|bytes| equal(bytes, b'\\')),
                    open: map(&|bytes| equal(lower(bytes), b'{')),
                    close: map(&|bytes| equal(lower(bytes), b'}')),
                    comma: map(&|bytes| equal(bytes, b',')),
                    colon: map(&|bytes| equal(bytes, b':')),
                    space: map(&|bytes| _mm256_cmpeq_epi8(_mm256_shuffle_epi8(spaces, bytes), bytes)),
                    control: map(&|bytes| _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, most), most)),
                    high: map(&|bytes| bytes),
                }
            }
        }

        #[inline(always)]
        fn parity(bits: u64) -> u64 {
            parity(bits)
        }

        #[inline(always)]
        fn places(bits: u64, base: u32, slots: &mut [u32; BLOCK]) {
            // SAFETY: as above; each store is of eight slots, before which lie no more than eight for each byte before.
            unsafe {
                let (mut rest, mut count, base) = (bits, 0, _mm256_set1_epi32(base as i32));
                for eight in 0..8 {
                    let row = ROWS.get(rest as usize & 0xff).copied().unwrap_or_default();
                    let offsets = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(row as i64));
                    let base = _mm256_add_epi32(base, _mm256_set1_epi32(8 * eight));
                    _mm256_storeu_si256(slots.as_mut_ptr().add(count).cast(), _mm256_add_epi32(base, offsets));
                    count += (rest & 0xff).count_ones() as usize;
                    rest >>= 8;
                }
            }
        }

        #[inline(always)]
        fn outline(block: &[u8; BLOCK]) -> Outline {
            // SAFETY: as above.
            unsafe {
                let low = _mm256_loadu_si256(block.as_ptr().cast());
                let high = _mm256_loadu_si256(block.as_ptr().add(BLOCK / 2).cast());
                let spaces = _mm256_broadcastsi128_si256(_mm_loadu_si128(SPACES.as_ptr().cast()));
                let operators = _mm256_broadcastsi128_si256(_mm_loadu_si128(OPERATORS.as_ptr().cast()));
                let (bit, most) = (_mm256_set1_epi8(0x20), _mm256_set1_epi8(0x1f));
                let map = |low, high| {
                    let [low, high] = [low, high].map(|half| _mm256_movemask_epi8(half) as u32);
                    u64::from(low) | u64::from(high) << 32
                };
                let equal = |bytes, byte: u8| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte as i8));
                let control = |bytes| _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, most), most);
                let space = |bytes| _mm256_cmpeq_epi8(_mm256_shuffle_epi8(spaces, bytes), bytes);
                let operator =
                    |bytes| _mm256_cmpeq_epi8(_mm256_shuffle_epi8(operators, bytes), _mm256_or_si256(bytes, bit));
                let control = map(control(low), control(high));
                let operator = map(operator(low), operator(high)) & !control;
                let backslash = _mm256_or_si256(equal(low, b'\\'), equal(high, b'\\'));
                let unusual = _mm256_or_si256(backslash, _mm256_or_si256(low, high));
                Outline {
                    quote: map(equal(low, b'"'), equal(high, b'"')),
                    operator,
                    bracket: operator & map(_mm256_slli_epi16::<1>(low), _mm256_slli_epi16::<1>(high)),
                    space: map(space(low), space(high)),
                    control,
                    unusual: _mm256_movemask_epi8(unusual) != 0,
                }
            }
        }

        #[inline(always)]
        fn bit<const BIT: u32>(block: &[u8; BLOCK]) -> u64 {
            // SAFETY: as above.
            unsafe {
                let low = _mm256_loadu_si256(block.as_ptr().cast());
                let high = _mm256_loadu_si256(block.as_ptr().add(BLOCK / 2).cast());
                let up = _mm_cvtsi32_si128(7 - BIT as i32);
                let [low, high] = [low, high].map(|half| _mm256_movemask_epi8(_mm256_sll_epi16(half, up)) as u32);
                u64::from(low) | u64::from(high) << 32
            }
        }

        #[inline(always)]
        fn extract(bits: u64, among: u64) -> u64 {
            // SAFETY: as above, and BMI2.
            unsafe { _pext_u64(bits, among) }
        }

        #[inline(always)]
        fn deposit(bits: u64, among: u64) -> u64 {
            // SAFETY: as above, and BMI2.
            unsafe { _pdep_u64(bits, among) }
        }
    }

    /// Multiplying without carries by all ones adds up, at each bit, it and those below, modulo two.
    #[inline(always)]
    fn parity(bits: u64) -> u64 {
        // SAFETY: only the scans above come here, where the machine has PCLMULQDQ.
        unsafe {
            let product = _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(bits as i64), _mm_set1_epi8(-1));
            _mm_cvtsi128_si64(product) as u64
        }
    }

    #[cfg(test)]
    mod tests {
        use super::super::super::block::tests::is_exact;
        use super::*;
        use crate::json::BackEnd;

        #[test]
        fn each_set_says_of_a_block_what_the_plain_form_says() {
            for back_end in BackEnd::all() {
                match back_end.name() {
                    "AVX-512" => is_exact::<Avx512>(),
                    "AVX2" => is_exact::<Avx2>(),
                    _ => {}
                }
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::super::block::{BLOCK, Blocks, Maps, Plain};
    use super::{Lexer, SPACES, Tape, scan};

    // As above, the whole scan is inlined into the function that has the feature.

    #[target_feature(enable = "neon")]
    pub(super) fn scan_neon(lexer: &mut Lexer, window: &[u8], tape: &mut Tape) -> bool {
        scan::<Neon>(lexer, window, tape)
    }

    pub(super) struct Neon;

    impl Blocks for Neon {
        #[inline(always)]
        fn maps(block: &[u8; BLOCK]) -> Maps {
            // SAFETY: only `scan_neon` comes here, where the machine has NEON; the loads are of the 64 bytes, and of the
            // sixteen of `SPACES`.
            unsafe {
                // No instruction takes one bit of each byte. But a load may deal the bytes out to four vectors in turn, so
                // that four bytes of the block share a lane. Masks keep one bit of what is said of each, as they stand in
                // the map, twice in the lane. Of two lanes, to shift by four and to narrow leaves the upper half of the
                // first and the lower half of the second. (Weights and `vpaddq_u8` take twice as many instructions: the
                // compiler makes shuffles of that one.)
                let uint8x16x4_t(a, b, c, d) = vld4q_u8(block.as_ptr());
                let map = |of: &dyn Fn(uint8x16_t) -> uint8x16_t| {
                    let masked = |bytes, mask: u8| vandq_u8(of(bytes), vdupq_n_u8(mask));
                    let low = vorrq_u8(masked(a, 0x11), masked(b, 0x22));
                    let high = vorrq_u8(masked(c, 0x44), masked(d, 0x88));
                    let bits = vshrn_n_u16::<4>(vreinterpretq_u16_u8(vorrq_u8(low, high)));
                    vget_lane_u64::<0>(vreinterpret_u64_u8(bits))
                };
                let spaces = vld1q_u8(SPACES.as_ptr());
                let equal = |bytes, byte: u8| vceqq_u8(bytes, vdupq_n_u8(byte));
                let lower = |bytes| vorrq_u8(bytes, vdupq_n_u8(0x20));
                let space_like = |bytes| vqtbl1q_u8(spaces, vandq_u8(bytes, vdupq_n_u8(0x0f)));
                Maps {
                    quote: map(&|bytes| equal(bytes, b'"')),
                    backslash: map(&|bytes| equal(bytes, b'\\')),
                    open: map(&|bytes| equal(lower(bytes), b'{')),
                    close: map(&|bytes| equal(lower(bytes), b'}')),
                    comma: map(&|bytes| equal(bytes, b',')),
                    colon: map(&|bytes| equal(bytes, b':')),
                    space: map(&|bytes| vceqq_u8(space_like(bytes), bytes)),
                    control: map(&|bytes| vcltq_u8(bytes, vdupq_n_u8(0x20))),
                    high: map(&|bytes| vcgeq_u8(bytes, vdupq_n_u8(0x80))),
                }
            }
        }

        /// A shift and the exclusive or with it are one instruction here, so the six steps need no multiplication without
        /// carries, which not each machine has.
        #[inline(always)]
        fn parity(bits: u64) -> u64 {
            Plain::parity(bits)
        }

        #[inline(always)]
        fn places(bits: u64, base: u32, slots: &mut [u32; BLOCK]) {
            Plain::places(bits, base, slots);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::super::super::block::tests::is_exact;
        use super::*;
        use crate::json::BackEnd;

        #[test]
        fn each_set_says_of_a_block_what_the_plain_form_says() {
            assert_eq!(BackEnd::best().name(), if cfg!(target_endian = "little") { "NEON" } else { "plain" });
            if BackEnd::best().name() == "NEON" {
                is_exact::<Neon>();
            }
        }
    }
}
