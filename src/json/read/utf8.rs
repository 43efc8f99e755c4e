//! UTF-8 as arithmetic on maps: a byte is eight bits, so a block is eight maps, and which bytes begin a sequence, go on
//! with one or may not follow is said of all 64 at once (RFC 3629, section 4).
//!
//! No tables are needed for it, and no instructions that other maps do not need as well.

use super::super::block::Bits;

/// The sequences of a block, by their first bytes, of which those go on in the next block that stand at its end.
#[derive(Clone, Copy, Default)]
pub(super) struct Sequences {
    /// The first byte of a sequence of two bytes or more.
    lead: u64,
    /// Of three or more.
    three: u64,
    /// Of four.
    four: u64,
    /// E0 and F0, behind which a low second byte would make an overlong form.
    low: u64,
    /// ED and F4, behind which a high one would make a surrogate, or what is beyond Unicode.
    high: u64,
}

impl Sequences {
    /// Whether one goes on in the next block.
    pub(super) fn go_on(&self) -> bool {
        let Self { lead, three, four, .. } = *self;
        (lead >> 63) | (three >> 62) | (four >> 61) != 0
    }

    /// Goes on with the next block. Answers which bytes are wrong: they begin what is no sequence, or cannot follow those
    /// before them.
    pub(super) fn wrong(&mut self, bits: &Bits) -> u64 {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = *bits;
        let lead = b7 & b6;
        let three = lead & b5;
        let four = three & b4;
        let low = three & !(b3 | b2 | b1 | b0);
        // 0xed and 0xf4 share 1111 of their bits 7 6 5 2, and 0 of bit 1; in bits 4 3 0 one has 011 and the other 100.
        let high = three & b2 & !b1 & (b4 ^ b3) & !(b3 ^ b0);
        let before = std::mem::replace(self, Self { lead, three, four, low, high });

        let behind = |these: u64, before: u64, by: u32| these << by | before >> (64 - by);
        let rest = behind(lead, before.lead, 1) | behind(three, before.three, 2) | behind(four, before.four, 3);
        // From 0xa0 on, as the second of four from 0x90 on.
        let above = b5 | (b4 & behind(four, before.four, 1));
        let overlong = behind(low, before.low, 1) & !above;
        let beyond = behind(high, before.high, 1) & above;
        // C0 and C1 begin overlong forms alone; F5 and above begin nothing.
        let never = (lead & !(b5 | b4 | b3 | b2 | b1)) | (four & (b3 | (b2 & (b1 | b0))));
        (rest ^ (b7 & !b6)) | overlong | beyond | never
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::block::{BLOCK, Blocks, Plain};
    use super::super::super::grammar::Text;
    use super::*;

    /// The first wrong byte, by steps.
    fn steps(text: &[u8]) -> Option<usize> {
        let mut state = Text::Plain;
        text.iter().position(|byte| state.after(*byte).map(|next| state = next).is_err())
    }

    /// The same by maps.
    fn maps(text: &[u8; 2 * BLOCK]) -> Option<usize> {
        let mut sequences = Sequences::default();
        let wrong = |(base, block)| {
            let wrong = sequences.wrong(&Plain::bits(block));
            (wrong != 0).then(|| base + wrong.trailing_zeros() as usize)
        };
        (0..).step_by(BLOCK).zip(text.as_chunks().0).find_map(wrong)
    }

    #[test]
    fn the_first_wrong_byte_is_that_of_the_steps() {
        let mut taken = 0;
        for (first, second) in (0x80..=0xff).flat_map(|first| (0x20..=0xff).map(move |second| (first, second))) {
            for [third, fourth] in [[0x20, 0x20], [0x80, 0x20], [0xbf, 0xbf], [0x80, 0xc2], [0xe1, 0x80]] {
                // Within a block, and with each part of it in the next.
                for at in [7, 61, 62, 63] {
                    let mut text = [b' '; 2 * BLOCK];
                    text[at..at + 4].copy_from_slice(&[first, second, third, fourth]);
                    assert_eq!(maps(&text), steps(&text), "{first:x} {second:x} {third:x} {fourth:x} at {at}");
                    taken += usize::from(maps(&text).is_none());
                }
            }
        }
        assert!(taken > 10_000, "{taken}");
    }
}
