//! A small deterministic generator of numbers for synthetic data: SplitMix64.
//!
//! Never a source of keys, tokens or anything secret: whoever knows the seed knows all that follows.

/// The state of SplitMix64.
pub(super) struct Random(u64);

impl Random {
    /// Stream `stream` of `seed`; streams are independent, so a patient doesn't depend on how many there are.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut mixer = Self(seed ^ 0x6a09_e667_f3bc_c909);
        let base = mixer.next();
        let mut random = Self(base ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        random.next();
        random
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`; `low` where the range is empty.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = high.saturating_sub(low).saturating_add(1).max(1).unsigned_abs();
        low.saturating_add_unsigned(self.next() % width)
    }

    /// True in `percent` of a hundred cases.
    pub(super) fn chance(&mut self, percent: i64) -> bool {
        self.between(0, 99) < percent
    }

    /// One of `from`; nothing of nothing.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let last = i64::try_from(from.len()).ok()?.checked_sub(1)?;
        from.get(usize::try_from(self.between(0, last)).ok()?)
    }

    /// One of `from`, and the empty text of nothing.
    pub(super) fn pick_text(&mut self, from: &[&'static str]) -> &'static str {
        self.pick(from).copied().unwrap_or_default()
    }

    /// A number in -1.0..=1.0 that is near nought more often than not.
    pub(super) fn wobble(&mut self) -> f64 {
        let sum: i32 = (0..3).map(|_| i32::try_from(self.between(-1000, 1000)).unwrap_or(0)).sum();
        f64::from(sum) / 3000.0
    }

    /// An identifier in the form of a version 4 UUID.
    pub(super) fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            ((low >> 48) & 0x3fff) | 0x8000,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let first: Vec<u64> = std::iter::repeat_with(|| Random::new(1, 2).next()).take(2).collect();
        assert_eq!(first[0], first[1]);
        assert_ne!(first[0], Random::new(1, 3).next());
        assert_ne!(first[0], Random::new(2, 2).next());
    }

    #[test]
    fn between_keeps_its_bounds() {
        let mut random = Random::new(7, 7);
        let drawn: Vec<i64> = (0..1000).map(|_| random.between(-2, 2)).collect();
        assert!(drawn.iter().all(|n| (-2..=2).contains(n)));
        assert!((-2..=2).all(|n| drawn.contains(&n)));
    }
}
