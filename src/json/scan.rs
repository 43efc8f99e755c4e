//! Finding the next byte that matters, eight bytes at a time.
//!
//! This is the seam behind which faster scanners sit: each function answers for any input what its one-line
//! definition says, and never looks past the slice.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The place, from `from` on, of the first byte that is not plain string content: a quote, a backslash, a control
/// character, or a byte of a sequence beyond ASCII. The length of the input where there is none.
#[inline]
pub(super) fn end_of_plain(input: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(block) = input.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*block);
        // A byte below `n` (n ≤ 0x80) borrows into its high bit when n is taken away. A borrow may run on into the
        // bytes above, so only the lowest hit is exact, and only that one is used.
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let hits = (word
            | word.wrapping_sub(ONES * 0x20)
            | (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash))
            & HIGHS;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = input.get(at) {
        if byte < 0x20 || byte == b'"' || byte == b'\\' || byte >= 0x80 {
            break;
        }
        at += 1;
    }
    at
}

/// The place, from `from` on, of the first byte that is not white space (RFC 8259, section 2).
#[inline]
pub(super) fn end_of_space(input: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        // Indentation comes as a line feed and a run of spaces: look at eight at once only behind a first space.
        match input.get(at) {
            Some(b' ') => {
                at += 1;
                while let Some(block) = input.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
                    let other = u64::from_le_bytes(*block) ^ (ONES * b' ' as u64);
                    if other != 0 {
                        at += (other.trailing_zeros() / 8) as usize;
                        break;
                    }
                    at += 8;
                }
            }
            Some(b'\n' | b'\r' | b'\t') => at += 1,
            _ => return at,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn plain_content_ends_where_a_byte_by_byte_look_says(input in proptest::collection::vec(any::<u8>(), 0..80), from in 0usize..80) {
            let from = from.min(input.len());
            let naive = input[from..].iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\' || *b >= 0x80);
            prop_assert_eq!(end_of_plain(&input, from), naive.map_or(input.len(), |n| from + n));
        }

        #[test]
        fn plain_content_of_ascii_ends_at_the_first_special_byte(input in "[ -~]{0,80}") {
            let naive = input.bytes().position(|b| b == b'"' || b == b'\\').unwrap_or(input.len());
            prop_assert_eq!(end_of_plain(input.as_bytes(), 0), naive);
        }

        #[test]
        fn space_ends_where_a_byte_by_byte_look_says(input in "[ \n\r\ta]{0,80}") {
            let naive = input.bytes().position(|b| b == b'a').unwrap_or(input.len());
            prop_assert_eq!(end_of_space(input.as_bytes(), 0), naive);
        }
    }
}
