//! A map from names, for the one look-up that every member costs.
//!
//! It keeps the order in which names came, and all of their text in one piece, so that a map is quickly made, copied and
//! dropped. Open addressing over a power of two of slots, at most half of them taken. The hash is of the length, the
//! first eight and the last eight bytes; a hit is always compared in full, so a poor hash costs time and never a wrong
//! answer.

/// A map from names to values, in the order in which the names came.
#[derive(Debug, Clone)]
pub struct Names<V> {
    /// The names one after another.
    text: String,
    named: Vec<Named<V>>,
    /// Each 0 where it is free, else one more than a place in `named`.
    slots: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Named<V> {
    start: usize,
    end: usize,
    value: V,
}

impl<V> Names<V> {
    /// A map without names.
    pub const fn new() -> Self {
        Self { text: String::new(), named: Vec::new(), slots: Vec::new() }
    }

    /// A map without names that has room for as many.
    pub fn with_capacity(names: usize) -> Self {
        let slots = vec![0; (names * 2).next_power_of_two()];
        Self { text: String::with_capacity(names * 16), named: Vec::with_capacity(names), slots }
    }

    /// Sets the value of a name, and says at which place it stands.
    pub fn insert(&mut self, name: &str, value: V) -> usize {
        if let Some(known) = self.place(name.as_bytes()) {
            if let Some(named) = self.named.get_mut(known) {
                named.value = value;
            }
            return known;
        }
        let place = self.named.len();
        if self.slots.len() < (place + 1) * 2 {
            self.grow();
        }
        let start = self.text.len();
        self.text.push_str(name);
        self.named.push(Named { start, end: self.text.len(), value });
        self.take_slot(place);
        place
    }

    /// Makes room for four times as many names.
    fn grow(&mut self) {
        let more = (self.named.len() * 3).max(4);
        self.named.reserve(more);
        self.text.reserve(more * 16);
        self.slots = vec![0; ((self.named.len() + more) * 2).next_power_of_two()];
        for place in 0..self.named.len() {
            self.take_slot(place);
        }
    }

    fn take_slot(&mut self, place: usize) {
        let Some(named) = self.named.get(place) else { return };
        let mask = self.slots.len() - 1;
        let mut at = hash(self.text(named)) & mask;
        // INVARIANT: half of the slots are free, so the search ends.
        while self.slots.get(at).is_some_and(|slot| *slot != 0) {
            at = (at + 1) & mask;
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = place + 1;
        }
    }

    /// The value of this name.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&V> {
        self.find(name).map(|(_, named)| &named.value)
    }

    /// The place of this name.
    pub fn place(&self, name: &[u8]) -> Option<usize> {
        self.find(name).map(|(place, _)| place)
    }

    /// The name at a place, and its value.
    pub fn at(&self, place: usize) -> Option<(&str, &V)> {
        self.named.get(place).map(|named| (self.name(named), &named.value))
    }

    /// The same, to change the value.
    pub fn value_at_mut(&mut self, place: usize) -> Option<&mut V> {
        self.named.get_mut(place).map(|named| &mut named.value)
    }

    /// The names and their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.named.iter().map(|named| (self.name(named), &named.value))
    }

    /// The values, by place.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.named.iter().map(|named| &named.value)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<(usize, &Named<V>)> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash(name) & mask;
        // A free slot holds 0, which is one more than no place.
        while let Some(place) = self.slots.get(at)?.checked_sub(1) {
            let named = self.named.get(place)?;
            if self.text(named) == name {
                return Some((place, named));
            }
            at = (at + 1) & mask;
        }
        None
    }

    #[inline]
    fn text(&self, named: &Named<V>) -> &[u8] {
        // INVARIANT: `start..end` are within the text; an empty name would be found nowhere but at its own place.
        self.text.as_bytes().get(named.start..named.end).unwrap_or_default()
    }

    fn name(&self, named: &Named<V>) -> &str {
        self.text.get(named.start..named.end).unwrap_or_default()
    }
}

impl<V> Default for Names<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'n, V> FromIterator<(&'n str, V)> for Names<V> {
    fn from_iter<I: IntoIterator<Item = (&'n str, V)>>(named: I) -> Self {
        let mut names = Self::new();
        for (name, value) in named {
            names.insert(name, value);
        }
        names
    }
}

#[inline]
fn hash(name: &[u8]) -> usize {
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    let mixed = (first ^ last.rotate_left(29) ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_own_value_and_no_other_name_has_any() {
        let names: Vec<String> = (0..500).map(|n| format!("{}name{n}", "x".repeat(n % 20))).collect();
        for mut map in [Names::new(), Names::with_capacity(500)] {
            for (n, name) in names.iter().enumerate() {
                assert_eq!(map.insert(name, n + 1), n);
            }
            for (n, name) in names.iter().enumerate() {
                assert_eq!(map.insert(name, n), n, "it stays where it is");
            }
            assert_eq!(map.len(), names.len());
            for (n, (name, known)) in names.iter().zip(map.iter()).enumerate() {
                assert_eq!(known, (name.as_str(), &n));
                assert_eq!(map.at(n), Some(known));
                assert_eq!(map.get(name.as_bytes()), Some(&n));
                assert_eq!(map.get(format!("{name}!").as_bytes()), None);
            }
            assert_eq!(map.get(b""), None);
            assert_eq!(map.insert("", 7), names.len(), "the empty name is a name");
            assert_eq!(map.get(b""), Some(&7));
        }
        assert_eq!(Names::<u8>::new().get(b"a"), None);
    }
}
